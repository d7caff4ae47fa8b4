"""A process of its own for what can be set only once, or is measured only from the start.

with own_process(devices=2) as pool:
    pool.submit(function_of_a_test_module, argument).result()
"""

from __future__ import annotations

import functools
import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

_ROOT = Path(__file__).parents[1]


@contextmanager
def own_process(devices: int = 1) -> Iterator[ProcessPoolExecutor]:
    """Yield a fresh process whose CPU is so many devices to TensorFlow."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, _begin, (str(_ROOT), devices)) as pool:
        yield pool


@functools.cache
def mirrored() -> tf.distribute.Strategy:
    """Both devices; two strategies of one process would mix up their collective ops."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def _begin(root: str, devices: int) -> None:
    # Test modules go by names like tests.model.test_losses.
    sys.path.insert(0, root)
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * devices
    tf.config.set_logical_device_configuration(cpu, parts)
