"""A profile of some steps, for the profiler of TensorBoard.

profiler = Profiler(folder.tensorboard / "train", 10, 20)
with profiler.around(step): …                  # once for each step from 10 to 19
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf


class Profiler:
    """Profiles steps into an event folder.

    Args:
        folder: that of the run's training curves.
        first: the first step, from 0.
        last: the step after the last one; none are profiled if it is `first`.
    """

    def __init__(self, folder: Path, first: int, last: int) -> None:
        self._folder, self._first, self._last = folder, first, last

    def limit(self, step: int) -> int:
        """The step at which the host has to look at the latest: profiled steps are single ones."""
        if step < self._first:
            return self._first
        return step + 1 if step < self._last else 2**62

    @contextmanager
    def around(self, step: int) -> Iterator[None]:
        """Around the steps that begin with `step`."""
        if not self._first <= step < self._last:
            yield
            return
        if step == self._first:
            tf.profiler.experimental.start(str(self._folder))
        # Without the mark the profiler knows of no steps.
        with tf.profiler.experimental.Trace("train", step_num=step, _r=1):
            yield
        if step + 1 == self._last:
            tf.profiler.experimental.stop()
