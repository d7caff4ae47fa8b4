"""How training scales: the same steps with one worker of this machine, and with more.

readings = measure_scaling(ScalingConfig("data", "1,2,4", "scaling"))
readings.paces[2]                              # what both of two workers have measured

Each worker keeps its batch and has as many cores as the single one, so that a step does the same
with any number of them.
"""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lcseg.cli import format_flags
from lcseg.documents import read_document
from lcseg.errors import InterruptedRunError, LcsegError, PeerLostError
from lcseg.pipeline.share import Share
from lcseg.progress import counted
from lcseg.records.manifest import read_manifest
from lcseg.scaling.config import ScalingConfig
from lcseg.scaling.pace import Pace, PaceConfig
from lcseg.training.launcher import WorkerFailedError, describe_workers, share_gpus
from lcseg.training.signals import StopRequest
from lcseg.training.workers import Ending, find_cause, run_workers

_LOG = logging.getLogger("lcseg")

# -P: what lies in the current folder shall not replace a module.
_PROGRAM = [
    *(sys.executable, "-P", "-c"),
    "from lcseg.runtime import start_tensorflow; start_tensorflow()\n"
    "from lcseg.scaling.worker import main; main()",
]


@dataclass(frozen=True)
class Seats:
    """The cores of this machine, dealt so that each worker has as many, whatever the size."""

    cores: tuple[int, ...]  # All that may be used.
    most_workers: int  # Of the largest size.

    @property
    def cores_each(self) -> int:
        """Cores of a worker of its own; 1 also where there are not enough."""
        return max(len(self.cores) // self.most_workers, 1)

    def is_crowded(self, workers: int) -> bool:
        """Whether so many workers must share cores."""
        return workers > len(self.cores)

    def take(self, workers: int) -> tuple[int, ...]:
        """The cores of so many workers together."""
        return self.cores[: workers * self.cores_each]


@dataclass(frozen=True)
class Readings:
    """What was measured, and where."""

    paces: dict[int, list[Pace]]  # By number of workers, of each of them.
    seats: Seats  # The cores that they had.
    chips: int  # Of the training split.
    load: float  # Processes that wanted a core in the minute before; not ours.


def measure_scaling(config: ScalingConfig) -> Readings:
    """Have each number of workers train for some steps, and say how long it took.

    Raises:
        LcsegError: `out` exists, or there are fewer chips than workers.
        WorkerFailedError: a worker failed.
        InterruptedRunError: a signal came.
    """
    out, most = Path(config.out), config.sizes[-1]
    if out.exists():
        raise LcsegError(out, "exists already", "name another --out, or remove it first")
    manifest = read_manifest(config.data)
    for split in ("train", "val"):
        Share(count=most).require_enough(manifest, split)
    share_gpus(most, config.gpus_per_worker)
    seats = Seats(tuple(sorted(os.sched_getaffinity(0))), most)
    if seats.is_crowded(most):
        _LOG.warning(
            "warning: %d workers share the cores, of which there are %d: their steps take longer "
            "for that alone",
            most,
            len(seats.cores),
        )
    load = os.getloadavg()[0]
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    # Beside the report: what is kept on a disk may need as much room as the data set.
    with (
        tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.absolute().parent) as folder,
        StopRequest() as stop,
    ):
        paces = {
            workers: _measure_size(config, workers, Path(folder) / str(workers), seats, stop)
            for workers in config.sizes
        }
    return Readings(paces, seats, manifest.chips_of("train"), load)


def _measure_size(
    config: ScalingConfig, workers: int, run: Path, seats: Seats, stop: StopRequest
) -> list[Pace]:
    train = config.train_with(workers, str(run))
    flags = shlex.split(format_flags(PaceConfig(train, config.steps)))
    environments = describe_workers(share_gpus(workers, config.gpus_per_worker))
    with _kept_on(seats.take(workers)):
        cause = find_cause(run_workers([*_PROGRAM, *flags], environments, stop))
    if stop.signal_number:
        name = signal.Signals(stop.signal_number).name
        problem = "the workers have ended, and nothing was written"
        raise InterruptedRunError(name, problem, "", stop.signal_number)
    if cause:
        raise _failed(cause)
    paces = [read_document(run / f"worker-{index}.json", Pace) for index in range(workers)]
    steps, seconds = sum(paces[0].call_steps), sum(paces[0].call_s)
    _LOG.info(
        "%s: %d steps, %.2f steps a second", counted(workers, "worker"), steps, steps / seconds
    )
    return paces


def _failed(cause: Ending) -> WorkerFailedError:
    code = cause.code if 0 < cause.code < 128 else PeerLostError.exit_code
    return WorkerFailedError(f"worker {cause.worker}", str(cause), "what it printed says why", code)


@contextmanager
def _kept_on(cores: Sequence[int]) -> Iterator[None]:
    """Have what is started meanwhile use these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
