"""Processes of their own for what can be set only once, or is measured only from the start.

with own_process(devices=2) as pool:
    pool.submit(function_of_a_test_module, argument).result()
with workers(2) as both:
    both.results(function_of_a_test_module, argument)  # of function(cluster, argument), by worker
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import tensorflow as tf

from lcseg.training.cluster import ALONE, Cluster
from lcseg.training.team import Team, form_team

PATIENCE_S = 150.0
"""Workers that take longer hang: they wait for each other."""

_ROOT = Path(__file__).parents[1]


@contextmanager
def own_process(devices: int = 1) -> Iterator[ProcessPoolExecutor]:
    """Yield a fresh process whose CPU is so many devices to TensorFlow."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, _begin, (str(_ROOT), devices)) as pool:
        yield pool


class Workers:
    """Processes that are the workers of a cluster, and do the same at the same time."""

    def __init__(self, pools: Sequence[ProcessPoolExecutor], clusters: Sequence[Cluster]) -> None:
        self._pools, self._clusters = pools, clusters
        self._numbers = [pool.submit(os.getpid) for pool in pools]
        self.names = [cluster.name_of(cluster.index) for cluster in clusters]

    @property
    def process_numbers(self) -> list[int]:
        return [number.result(PATIENCE_S) for number in self._numbers]

    def results(self, function: Callable[..., Any], *arguments: object) -> list[Any]:
        """What `function(cluster, *arguments)` returns on each worker."""
        return [one.result() for one in self._run(function, arguments)]

    def errors(self, function: Callable[..., Any], *arguments: object) -> list[Any]:
        """What `function(cluster, *arguments)` raises on each worker; None where it does not."""
        return [one.exception() for one in self._run(function, arguments)]

    def kill(self) -> None:
        """End all processes, however stuck."""
        for number in self.process_numbers:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)

    def _run(
        self, function: Callable[..., Any], arguments: tuple[object, ...]
    ) -> list[Future[Any]]:
        calls = [
            pool.submit(function, cluster, *arguments)
            for pool, cluster in zip(self._pools, self._clusters, strict=True)
        ]
        if wait(calls, PATIENCE_S).not_done:
            # The tests after this one fail at once.
            self.kill()
        return calls


@contextmanager
def workers(count: int) -> Iterator[Workers]:
    """Yield the fresh processes of a cluster on this machine; they are killed at the end."""
    addresses = free_addresses(count)
    clusters = [Cluster(addresses, index, "TF_CONFIG") for index in range(count)]
    with ExitStack() as stack:
        all_of_them = Workers([stack.enter_context(own_process()) for _ in clusters], clusters)
        stack.callback(all_of_them.kill)
        yield all_of_them


def free_addresses(count: int) -> tuple[str, ...]:
    """Addresses of this machine at which nobody listens."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return tuple(f"127.0.0.1:{one.getsockname()[1]}" for one in sockets)


@functools.cache
def team_of(cluster: Cluster = ALONE) -> Team:
    """The team of this process: it can be of only one."""
    return form_team(cluster, 60)


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
