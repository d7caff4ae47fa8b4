"""What TensorBoard shows of a run.

monitor = Monitor(folder, scheme)
monitor.record_steps(step, loss=0.3, rate=1e-3, crops_per_s=900, wait_share=0.01)
monitor.record_validation(step, loss, confusion, panels)
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from PIL import Image

from lcseg.classes import ClassScheme
from lcseg.evaluation.confusion import Confusion
from lcseg.files import told
from lcseg.pictures import draw_confusion, draw_panels, figure_png


class Monitor:
    """Writes the event files of a run: `train` and `validation`."""

    def __init__(self, folder: Path, scheme: ClassScheme) -> None:
        self._folder, self._scheme = folder, scheme
        self._train = tf.summary.create_file_writer(str(folder / "train"))
        self._validation = tf.summary.create_file_writer(str(folder / "validation"))

    def record_steps(
        self, step: int, loss: float, rate: float, crops_per_s: float, wait_share: float
    ) -> None:
        """Record the mean loss, learning rate and speed of the latest steps."""
        with self._train.as_default(step=step):
            tf.summary.scalar("loss", loss)
            tf.summary.scalar("learning_rate", rate)
            tf.summary.scalar("speed/crops_per_second", crops_per_s)
            tf.summary.scalar("speed/input_wait_share", wait_share)

    def record_validation(
        self, step: int, loss: float, confusion: Confusion, rows: list[list[np.ndarray]]
    ) -> None:
        """Record the scores on the validation split, and pictures of fixed chips."""
        scores = confusion.scores(self._scheme.names)
        matrix = draw_confusion(confusion.counts, self._scheme.names)
        panels = draw_panels(["image", "label", "prediction"], rows, self._scheme)
        with self._validation.as_default(step=step):
            tf.summary.scalar("loss", loss)
            for name in ("mean_iou", "overall_accuracy", "kappa"):
                value = getattr(scores, name)
                if value is not None:
                    tf.summary.scalar(name, value)
            for land in scores.classes:
                if land.iou is not None:
                    tf.summary.scalar(f"iou/{land.name}", land.iou)
            tf.summary.image("confusion_matrix", _as_image(matrix))
            tf.summary.image("panels", _as_image(panels))
        self.flush()

    def flush(self) -> None:
        with told(self._folder):
            self._train.flush()
            self._validation.flush()


class WorkerMonitor:
    """Writes the event file of one worker of several, so that a slow one shows: `workers/N`.

    Nothing is written until something is recorded.
    """

    def __init__(self, folder: Path, index: int) -> None:
        self._folder = folder / "workers" / str(index)
        self._writer: tf.summary.SummaryWriter | None = None

    def record(self, step: int, step_s: float, wait_share: float) -> None:
        """Record the seconds of a step, the share of them spent waiting, and the memory taken."""
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self._folder))
        with self._writer.as_default(step=step):
            tf.summary.scalar("worker/step_seconds", step_s)
            tf.summary.scalar("worker/input_wait_share", wait_share)
            tf.summary.scalar("worker/resident_gb", _resident_bytes() / 1e9)

    def flush(self) -> None:
        if self._writer is not None:
            with told(self._folder):
                self._writer.flush()


def _resident_bytes() -> int:
    """Memory of this process that is in RAM, from the second number of statm."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _as_image(figure: Figure) -> np.ndarray:
    """Render a figure as uint8 [1, H, W, 3]."""
    with Image.open(io.BytesIO(figure_png(figure, dpi=80))) as picture:
        return np.asarray(picture.convert("RGB"))[None]
