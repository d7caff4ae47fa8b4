"""The state of a run on disk, so that it can go on at any step.

state = RunState()
keeper = CheckpointKeeper(folder, model, optimizer, state)
keeper.restore()                               # the newest that can be read, or none
keeper.save()
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import keras
import tensorflow as tf

from lcseg.errors import LcsegError
from lcseg.files import fetched, list_files, move, remove, scratch_in

_LOG = logging.getLogger("lcseg")

KEEP = 2

_INDEX = re.compile(r"ckpt-(\d+)\.index")

_OPERATION = re.compile(r"\{\{.*?\}\}\s*|\s*\[Op:\w+\].*", re.DOTALL)
"""What TensorFlow puts around a message: the operation that says it."""


class RunState(tf.Module):
    """Where a run stands; every number in it is in the checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.best_mean_iou = tf.Variable(-1.0, dtype=tf.float64, trainable=False)
        self.stale_epochs = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.workers = tf.Variable(1, dtype=tf.int64, trainable=False)
        self.epoch_loss_sum = tf.Variable(0.0, dtype=tf.float64, trainable=False)


class CheckpointKeeper:
    """Saves and restores a model, its optimizer and the state of the run."""

    def __init__(
        self,
        folder: Path,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        state: RunState,
    ) -> None:
        self._folder = folder
        self._checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, state=state)
        self._damaged: set[int] = set()

    def save(self) -> None:
        """Save; the checkpoint before stays until this one is whole.

        It is gathered aside, and its index, without which it is none, takes its name last.
        """
        numbers = self._list_numbers()
        readable = [number for number in numbers if number not in self._damaged]
        kept = [max(numbers, default=0) + 1, *readable[: KEEP - 1]]
        name = f"ckpt-{kept[0]}"
        try:
            with scratch_in(self._folder) as aside:
                self._checkpoint.write(str(aside / name))
                for path in sorted(aside.iterdir(), key=number_of):
                    move(path, self._folder / path.name)
        except (tf.errors.OpError, OSError) as error:
            text = getattr(error, "message", None) or error.strerror or str(error)
            text = _OPERATION.sub("", text).rpartition("; ")[2]
            raise LcsegError(self._folder, f"no checkpoint can be written: {text}") from error
        # From the last to the first: an index goes before its data.
        for path in reversed(list_files(self._folder, "ckpt-*.*")):
            if not path.name.startswith(tuple(f"ckpt-{n}." for n in kept)):
                remove(path)

    def restore(self) -> None:
        """Restore the newest checkpoint that can be read; a damaged one is said and passed over."""
        numbers = self._list_numbers()
        for number in numbers:
            prefix = self._folder / f"ckpt-{number}"
            try:
                with fetched(*self._list_files(number)) as file:
                    here = str(file.with_name(prefix.name))
                    self._checkpoint.read(here).assert_existing_objects_matched()
            # A file that is cut off is an IndexError.
            except (tf.errors.OpError, AssertionError, IndexError, ValueError) as error:
                self._damaged.add(number)
                _LOG.warning("%s cannot be read, trying the one before: %s", prefix, error)
            else:
                return
        if numbers:
            raise LcsegError(
                self._folder, "none of its checkpoints can be read", "remove the folder"
            )

    def _list_numbers(self) -> list[int]:
        """Those of the checkpoints that are whole, the newest first."""
        return sorted(filter(None, map(number_of, list_files(self._folder))), reverse=True)

    def _list_files(self, number: int) -> list[Path]:
        """The files of a checkpoint, its index last."""
        return list_files(self._folder, f"ckpt-{number}.*")


def number_of(path: Path) -> int:
    """The number of the checkpoint, from 1, that a file makes whole; 0: it makes none whole."""
    found = _INDEX.fullmatch(path.name)
    return int(found[1]) if found else 0
