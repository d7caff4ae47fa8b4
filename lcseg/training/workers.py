"""Worker processes that end together.

ends = run_workers(["lcseg", "train", …], [environment_0, environment_1], stop)
cause = find_cause(ends)         # None if all ended well
print(f"worker {cause.worker} {cause}")
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from lcseg.errors import PeerLostError
from lcseg.training.console import Console
from lcseg.training.signals import StopRequest

LINGER_S = 10.0
"""How long workers may take to notice that one is gone; TensorFlow needs up to 8 s."""

GRACE_S = 60.0
"""How long workers may take to save after a signal."""

_LOOK_S = 0.1
_PR_SET_PDEATHSIG = 1

Process = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Ending:
    """How a worker ended."""

    worker: int  # Its index.
    code: int  # Its exit code; negative: the number of the signal that killed it.
    was_hung: bool  # It did not end by itself.

    @property
    def lost_peer(self) -> bool:
        """Whether it failed because another one did."""
        return self.code == PeerLostError.exit_code

    @property
    def is_passing(self) -> bool:
        """Whether the same command may well succeed."""
        return self.code < 0 or self.code >= 128

    def __str__(self) -> str:
        if self.was_hung:
            return "did not end and was killed"
        if self.code < 0:
            return f"was killed by signal {-self.code} ({signal.strsignal(-self.code)})"
        return "lost another one" if self.lost_peer else f"ended with status {self.code}"


def find_cause(endings: Sequence[Ending]) -> Ending | None:
    """The first that failed; one that lost another is the cause only if there is no other."""
    failed = [ending for ending in endings if ending.code]
    return min(failed, key=lambda ending: ending.lost_peer, default=None)


def run_workers(
    command: Sequence[str],
    environments: Sequence[Mapping[str, str]],
    stop: StopRequest,
    names: Sequence[str] = (),
) -> list[Ending]:
    """Run a process for each environment; returns how they ended, in that order.

    None outlives this call, nor this process. The first one may draw a bar. A signal that `stop`
    has noted reaches each of them once, as SIGTERM. What they print stands behind their names, or
    their numbers where none are given.
    """
    names = names or [str(index) for index in range(len(environments))]
    processes: list[Process] = []
    with Console() as console:
        try:
            for index, (name, environment) in enumerate(zip(names, environments, strict=True)):
                cores = share_cores(index, len(environments))
                processes.append(_start(command, environment, console, name, index == 0, cores))
            return _watch(processes, console, stop)
        finally:
            _kill(processes)


def share_cores(index: int, count: int) -> set[int]:
    """The cores of one of `count` workers: its own, as far as there are enough of them.

    TensorFlow has a thread for each core that it may use, and those of several workers would be in
    each other's way.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < count:
        return set(cores)
    return set(cores[index * len(cores) // count : (index + 1) * len(cores) // count])


def _start(
    command: Sequence[str],
    environment: Mapping[str, str],
    console: Console,
    name: str,
    is_live: bool,
    cores: set[int],
) -> Process:
    out = console.open(sys.stdout, f"[{name}] ")
    errors = console.open(sys.stderr, f"[{name}] ", live=is_live)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            env=environment,
            # A terminal sends Ctrl-C to all of its session: they get only what we send.
            start_new_session=True,
            # Unsafe only where a process has threads: one that launches has none.
            preexec_fn=_tie_to_parent(cores),  # noqa: PLW1509
        )
    finally:
        os.close(out)
        os.close(errors)


def _tie_to_parent(cores: set[int]) -> Callable[[], None]:
    """Make what a new process calls to stay on its cores, and to be killed when this one dies."""
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, cores)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return tie


def _watch(processes: Sequence[Process], console: Console, stop: StopRequest) -> list[Ending]:
    """Wait until all have ended; after a signal, or once one has failed, not for long."""
    endings: list[Ending] = []
    waiting = dict(enumerate(processes))
    deadline_s = math.inf
    while waiting:
        console.pump(_LOOK_S)
        is_late = time.monotonic() > deadline_s
        if is_late:
            _kill(waiting.values())
        for index in [i for i, process in waiting.items() if process.poll() is not None]:
            code = waiting.pop(index).returncode
            endings.append(Ending(index, code, is_late and code == -signal.SIGKILL))
        if deadline_s == math.inf and stop.signal_number:
            deadline_s = time.monotonic() + GRACE_S
            for process in waiting.values():
                process.terminate()
        elif deadline_s == math.inf and any(ending.code for ending in endings):
            deadline_s = time.monotonic() + LINGER_S
    return endings


def _kill(processes: Collection[Process]) -> None:
    for process in processes:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    for process in processes:
        process.wait()
