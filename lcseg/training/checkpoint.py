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
from lcseg.files import list_files, remove_tree

_LOG = logging.getLogger("lcseg")

KEEP = 2

_INDEX = re.compile(r"ckpt-(\d+)\.index")
_PARTS = ("ckpt-*_temp", "ckpt-*.part-*")
"""What TensorFlow gathers a checkpoint from: folders, or in S3 files."""

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
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(folder), max_to_keep=KEEP, step_counter=state.step
        )

    def save(self) -> None:
        """Save; the checkpoint before stays until this one is whole."""
        # A run that is killed while it saves leaves the part that it has written.
        for pattern in _PARTS:
            for part in list_files(self._folder, pattern):
                remove_tree(part)
        try:
            self._manager.save()
        except tf.errors.OpError as error:
            text = _OPERATION.sub("", error.message).rpartition("; ")[2]
            raise LcsegError(self._folder, f"no checkpoint can be written: {text}") from error

    def restore(self) -> None:
        """Restore the newest checkpoint that can be read; a damaged one is said and passed over.

        The files themselves are looked at, not TensorFlow's list of them, which may be lost.
        """
        indexes = sorted(filter(number_of, list_files(self._folder)), key=number_of, reverse=True)
        for path in (index.with_suffix("") for index in indexes):
            try:
                self._checkpoint.restore(str(path)).assert_existing_objects_matched()
            # A file that is cut off is an IndexError.
            except (tf.errors.OpError, AssertionError, IndexError, ValueError) as error:
                _LOG.warning("%s cannot be read, trying the one before: %s", path, error)
            else:
                return
        if indexes:
            raise LcsegError(
                self._folder, "none of its checkpoints can be read", "remove the folder"
            )


def number_of(path: Path) -> int:
    """The number of the checkpoint, from 1, that a file makes whole; 0: it makes none whole."""
    found = _INDEX.fullmatch(path.name)
    return int(found[1]) if found else 0
