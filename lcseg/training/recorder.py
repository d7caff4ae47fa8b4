"""What a run leaves for people: curves, the history of its epochs, and its best bundle.

recorder = Recorder(config, manifest, folder, model, validation, step=0)
recorder.record_steps(step, loss=0.3, rate=1e-3, crops_per_s=900, wait_share=0.01)
recorder.record_epoch(step, epoch_steps, loss, confusion, validation_loss)
recorder.keep_bundle(step, scores)

The chief alone has one.
"""

from __future__ import annotations

import dataclasses

import keras

from lcseg.evaluation.assessment import PANEL_CHIPS, choose_chips, draw_predictions
from lcseg.evaluation.card import describe_model
from lcseg.evaluation.confusion import Confusion, Scores
from lcseg.model.bundle import make_info, save_bundle
from lcseg.model.unet import ModelInput
from lcseg.pipeline.store import ChipStore
from lcseg.records.manifest import Manifest
from lcseg.training.config import TrainConfig
from lcseg.training.monitor import Monitor
from lcseg.training.run import EpochRow, History, RunFolder, flatten

_KEPT_SCORES = ("mean_iou", "overall_accuracy", "kappa", "mean_f1")


class Recorder:
    """Writes into the folder of a run.

    Args:
        config: of the run.
        manifest: of its data.
        folder: where to write.
        model: what is trained.
        validation: chips, a few of which are drawn after every epoch.
        step: where the run stands; the history beyond it is forgotten.
    """

    def __init__(
        self,
        config: TrainConfig,
        manifest: Manifest,
        folder: RunFolder,
        model: keras.Model,
        validation: ChipStore,
        step: int,
    ) -> None:
        self._config, self._manifest, self._folder = config, manifest, folder
        self._model, self._validation = model, validation
        self._scheme = manifest.class_scheme
        self._history = folder.read_history().until(step)
        self._shown = choose_chips(validation, PANEL_CHIPS)
        self._monitor = Monitor(folder.tensorboard, self._scheme)
        self.record_steps, self.flush = self._monitor.record_steps, self._monitor.flush

    def record_epoch(
        self,
        step: int,
        epoch_steps: int,
        loss: float,
        confusion: Confusion,
        validation_loss: float,
    ) -> None:
        """Record what came out of the epoch of `epoch_steps` steps that ended at `step`."""
        stride_px = self._config.model.stride_px
        rows = draw_predictions(self._model, self._validation, self._shown, self._scheme, stride_px)
        self._monitor.record_validation(step, validation_loss, confusion, rows)
        scores = confusion.scores(self._scheme.names)
        row = EpochRow(
            epoch=step // epoch_steps,
            step=step,
            loss=loss,
            validation_loss=validation_loss,
            mean_iou=scores.mean_iou,
            iou={land.name: land.iou for land in scores.classes},
        )
        self._history = History((*self._history.rows, row))
        self._folder.write_history(self._history)

    def finish(self) -> None:
        """Note that the run has ended by itself."""
        self._folder.write_history(dataclasses.replace(self._history, is_finished=True))

    def keep_bundle(self, step: int, scores: Scores) -> None:
        """Save the model as the run's bundle."""
        config, manifest = self._config, self._manifest
        info = make_info(
            self._model,
            config.model.stride_px,
            ModelInput.of(manifest),
            self._scheme,
            manifest.bands,
            manifest.pixel_m,
            data_digest=manifest.digest,
            step=step,
            scores={name: getattr(scores, name) for name in _KEPT_SCORES},
            config=flatten(config),
        )
        card = describe_model(info, manifest, scores)
        save_bundle(self._folder.bundle, self._model, info, card)
