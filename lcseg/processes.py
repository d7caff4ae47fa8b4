"""Many processes that do the parts of some work.

with open_team(workers=4) as team:
    for part, outcome in run_parts(parts, partial(convert_part, folder="data"), team): …

A team of one is this process; a larger one are local processes of Dask, or those of a cluster.
"""

from __future__ import annotations

import logging
import signal
from asyncio import CancelledError
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any, Protocol, TypeVar

import dask.config
import distributed
from dask.system import CPU_COUNT
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker

from lcseg.errors import LcsegError

_AHEAD = 2
"""Parts that are given out for each worker: it shall not wait for the next one."""

_CONNECT_S = 15

_SETTINGS = {
    # Among them is one that has each freed array go back to the system, which must then clear the
    # pages of the next one: that takes a fifth of a worker's time.
    "distributed.nanny.pre-spawn-environ": {},
    # It looks a hundred times a second at what a worker does, and nobody looks at it.
    "distributed.worker.profile.enabled": False,
}
"""Of local workers, other than Dask's own."""


def count_cores() -> int:
    """How many cores this process may use."""
    return int(CPU_COUNT)


class Named(Protocol):
    """A part of some work."""

    @property
    def source(self) -> str:
        """The file that it is about, for errors."""


Part = TypeVar("Part", bound=Named)
Outcome = TypeVar("Outcome")


class Team:
    """Those who do the parts; the processes are started, or sought, when there is work for them.

    Attributes:
        workers: how many local processes.
        scheduler: address of a Dask cluster that works instead; empty: none.
    """

    def __init__(self, workers: int, scheduler: str, stack: ExitStack) -> None:
        self.workers, self.scheduler = workers, scheduler
        self._stack = stack

    @property
    def is_alone(self) -> bool:
        """Whether this process does all."""
        return self.workers <= 1 and not self.scheduler

    @cached_property
    def client(self) -> distributed.Client:
        """The way to the processes."""
        return self._stack.enter_context(_connect(self.workers, self.scheduler))


@contextmanager
def open_team(workers: int, scheduler: str = "") -> Iterator[Team]:
    """Yield a team, whose processes end with it.

    Args:
        workers: how many local processes; 0: one for each core.
        scheduler: address of a Dask cluster, which is then used instead.
    """
    with ExitStack() as stack:
        yield Team(workers or count_cores(), scheduler, stack)


def run_parts(
    parts: Sequence[Part], work: Callable[[Part], Outcome], team: Team
) -> Iterator[tuple[Part, Outcome]]:
    """Do parts of some work; they come back in the order in which they are done.

    Args:
        parts: what to do.
        work: does one part. All processes must be able to import it, and reach the files that it
            reads and writes at the same paths.
        team: who does it.
    """
    if not parts:
        return
    if team.is_alone or (len(parts) == 1 and not team.scheduler):
        for part in parts:
            yield part, work(part)
        return
    client = team.client
    waiting = deque(parts)
    running = distributed.as_completed(raise_errors=False)
    part_of: dict[object, Part] = {}
    room = _AHEAD * sum(client.ncores().values())

    def give_out() -> None:
        while waiting and len(part_of) < room:
            part = waiting.popleft()
            future = client.submit(_do, work, part, pure=False, retries=0)
            part_of[future.key] = part
            running.add(future)

    give_out()
    for future in running:
        part = part_of.pop(future.key)
        yield part, _take(future, part, team.scheduler)
        future.release()
        give_out()


def _do(work: Callable[[Part], Outcome], part: Part) -> Outcome:
    """Do a part in a worker: an error crosses alone, as its causes may not be able to."""
    try:
        return work(part)
    except LcsegError as error:
        error.__cause__ = error.__context__ = None
        raise error.with_traceback(None) from None


def _take(future: distributed.Future, part: Named, scheduler: str) -> Any:
    try:
        return future.result()
    except ImportError as error:
        raise LcsegError(
            f"--scheduler={scheduler}",
            f"its workers lack something: {error}",
            "install lcseg there",
        ) from error
    except KilledWorker as error:
        raise LcsegError(
            part.source,
            "the workers that were to read it died",
            "is there enough memory? use fewer --workers",
        ) from error
    except (CancelledError, FutureCancelledError) as error:
        raise LcsegError(
            f"--scheduler={scheduler}",
            "the cluster is gone",
            "start one again; the same command goes on from here",
        ) from error


class _Undisturbed(distributed.WorkerPlugin):
    """Has a worker leave Ctrl-C, which a terminal sends to all, to whom it works for."""

    def setup(self, worker: distributed.Worker) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _connect(workers: int, scheduler: str) -> Iterator[distributed.Client]:
    """A client of a cluster of local processes, which ends with it, or of the one at an address."""
    # Dask gives its loggers levels of their own; what matters comes as an exception.
    for name in [*logging.root.manager.loggerDict, "distributed"]:
        if name.startswith("distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    # What Dask has to cancel when a signal comes just before it asks is logged by its event loop.
    logging.getLogger("tornado.application").setLevel(logging.CRITICAL)
    if not scheduler:
        with _start_local(workers) as cluster, distributed.Client(cluster) as client:
            client.register_plugin(_Undisturbed())
            yield client
        return
    try:
        client = distributed.Client(scheduler, timeout=_CONNECT_S)
    except (OSError, ValueError) as error:
        raise LcsegError(
            f"--scheduler={scheduler}",
            "no Dask scheduler answers there",
            "start one with dask scheduler, and workers with dask worker",
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_CONNECT_S)
        except TimeoutError as error:
            raise LcsegError(
                f"--scheduler={scheduler}", "has no workers", "start some: dask worker"
            ) from error
        yield client


def _start_local(workers: int) -> distributed.LocalCluster:
    try:
        with dask.config.set(_SETTINGS):
            return distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=0,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
    except RuntimeError as error:
        raise LcsegError(
            f"--workers={workers}",
            "the worker processes cannot start",
            'a script must call lcseg under if __name__ == "__main__", or with one worker',
        ) from error
