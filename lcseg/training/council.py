"""What workers tell each other beside gradients, so that all of them decide alike.

council = Council(strategy, cluster)
counts = council.add(counts)                   # the sum over all workers, the same on each
steps = council.gather(step)[:, 0]             # what each of them has said
with council.together(): …                     # what one cannot do, none goes on without

Every call is made by all workers, in the same order; it ends when all have made it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from lcseg.errors import LcsegError
from lcseg.training.cluster import ALONE, Cluster


class Council:
    """All workers of a cluster; one that works alone is a council of one."""

    def __init__(self, strategy: tf.distribute.Strategy, cluster: Cluster = ALONE) -> None:
        self._strategy, self._cluster = strategy, cluster
        self._devices = strategy.num_replicas_in_sync // cluster.size

        def add_of_device(values: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            # Each worker speaks once, however many devices it has.
            speaks = context.replica_id_in_sync_group % self._devices == 0
            own = tf.where(speaks, values, tf.zeros_like(values))
            return context.all_reduce(tf.distribute.ReduceOp.SUM, own)

        @tf.function
        def add(values: tf.Tensor) -> tf.Tensor:
            sums = strategy.run(add_of_device, (values,))
            return strategy.experimental_local_results(sums)[0]

        self._add = add

    def add(self, values: np.ndarray) -> np.ndarray:
        """Add arrays of one shape over all workers; int64 or float64."""
        if self._cluster.size == 1:
            return values
        return self._add(tf.constant(values)).numpy()

    def gather(self, *values: float) -> np.ndarray:
        """What each worker has said, float64 [workers, values]; whole numbers up to 2^53."""
        rows = np.zeros((self._cluster.size, len(values)))
        rows[self._cluster.index] = values
        return self.add(rows)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Around what each worker does by itself: if one cannot, none goes on.

        Raises:
            LcsegError: what went wrong here, or which worker says what went wrong there.
        """
        try:
            yield
        except (LcsegError, OSError):
            self.gather(1)
            raise
        failed = np.flatnonzero(self.gather(0)[:, 0])
        if failed.size:
            names = ", ".join(self._cluster.name_of(int(index)) for index in failed)
            raise LcsegError(names, "cannot go on", "its own last line says why")
