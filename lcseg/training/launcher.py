"""Training on several workers of this machine, which are started and restarted together.

config = LaunchConfig(("train", "--data=data", "--run=run"), workers=2)
launch(config, ["lcseg"])        # lcseg train … twice, each told by TF_CONFIG which one it is
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated

from lcseg.errors import InterruptedRunError, LcsegError, PeerLostError
from lcseg.training.cluster import Cluster
from lcseg.training.signals import StopRequest
from lcseg.training.workers import Ending, find_cause, run_workers

_LOG = logging.getLogger("lcseg")

_HOST = "127.0.0.1"
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_OTHER_CLUSTERS = ("TF_CONFIG", "SLURM_STEP_", "LCSEG_HOSTS", "LCSEG_INDEX")


@dataclass(frozen=True)
class LaunchConfig:
    """Several workers of one training run on this machine."""

    command: Annotated[tuple[str, ...], "What each worker does: train, with its flags."]
    workers: Annotated[int, "Processes that train together; the first one writes the run."]
    gpus_per_worker: Annotated[int, "GPUs of each worker's own; 0: a single worker has all."] = 0
    max_restarts: Annotated[int, "Most restarts of all workers after one has died."] = 3

    def __post_init__(self) -> None:
        verb = self.command[0] if self.command else ""
        if verb != "train":
            raise ValueError(f"-- {verb}: only train can be launched")
        if self.workers < 1:
            raise ValueError(f"--workers={self.workers}, expected at least 1")
        if min(self.gpus_per_worker, self.max_restarts) < 0:
            raise ValueError("--gpus_per_worker and --max_restarts must be at least 0")


class WorkerFailedError(LcsegError):
    """A worker failed as it would again; the exit code is the worker's."""

    def __init__(self, where: object, problem: str, fix: str, exit_code: int) -> None:
        super().__init__(where, problem, fix)
        self.exit_code = exit_code


def launch(config: LaunchConfig, program: Sequence[str]) -> int:
    """Run `program` with the command, once for each worker, until all have ended well.

    Where one dies, all are started again: they go on from the newest checkpoint. SIGINT and SIGTERM
    reach each worker once, as SIGTERM, and no restart follows; a second one kills all.

    Returns:
        How often they were restarted.

    Raises:
        WorkerFailedError: a worker failed as it would again.
        PeerLostError: one died and no restart was left.
        InterruptedRunError: a signal came.
        LcsegError: there are not enough GPUs.
    """
    gpus = share_gpus(config.workers, config.gpus_per_worker)
    command = [*program, *config.command]
    restarts = 0
    with StopRequest() as stop:
        while cause := find_cause(run_workers(command, describe_workers(gpus), stop)):
            if stop.signal_number:
                raise _interrupted(stop.signal_number)
            _require_restart(config, cause, restarts)
            restarts += 1
            _LOG.info(
                "worker %d %s: restart %d of at most %d, from the newest checkpoint",
                cause.worker,
                cause,
                restarts,
                config.max_restarts,
            )
    return restarts


def share_gpus(workers: int, gpus_per_worker: int) -> list[str | None]:
    """Decide on each worker's CUDA_VISIBLE_DEVICES; None leaves it as it is."""
    gpus = _visible_gpus() if workers > 1 or gpus_per_worker else []
    if not gpus_per_worker:
        if gpus:
            raise LcsegError(
                f"--workers={workers}",
                f"would share {len(gpus)} GPUs, of which each takes all memory",
                f"give each its own with --gpus_per_worker, or none with {_VISIBLE}=",
            )
        return [None] * workers
    if workers * gpus_per_worker > len(gpus):
        raise LcsegError(
            f"--gpus_per_worker={gpus_per_worker}",
            f"{workers} workers need {workers * gpus_per_worker} GPUs, found {len(gpus)}",
            f"use fewer; if there are more, name them in {_VISIBLE}",
        )
    ends = range(gpus_per_worker, workers * gpus_per_worker + 1, gpus_per_worker)
    return [",".join(gpus[end - gpus_per_worker : end]) for end in ends]


def _visible_gpus() -> list[str]:
    """The numbers or identifiers of the GPUs that this process may use."""
    named = os.environ.get(_VISIBLE)
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False
        ).stdout
    except FileNotFoundError:
        return []
    return [str(i) for i in range(sum(line.startswith("GPU ") for line in listed.splitlines()))]


def describe_workers(gpus: Sequence[str | None]) -> list[dict[str, str]]:
    """Make the environment of each worker: ours, with a cluster of their own at free ports."""
    addresses = _find_addresses(len(gpus))
    _LOG.info("workers at %s", ", ".join(addresses))
    ours = {k: v for k, v in os.environ.items() if not k.startswith(_OTHER_CLUSTERS)}
    environments = []
    for index, share in enumerate(gpus):
        place = {"TF_CONFIG": Cluster(addresses, index, "launch").tf_config()}
        environments.append(ours | place | ({} if share is None else {_VISIBLE: share}))
    return environments


def _find_addresses(n: int) -> tuple[str, ...]:
    """Find ports that nobody has; all are held at once, so that they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind((_HOST, 0))
        return tuple(f"{_HOST}:{one.getsockname()[1]}" for one in sockets)


def _interrupted(signal_number: int) -> InterruptedRunError:
    return InterruptedRunError(
        signal.Signals(signal_number).name,
        "the workers have ended",
        "the same command again goes on from the newest checkpoint",
        signal_number,
    )


def _require_restart(config: LaunchConfig, cause: Ending, restarts: int) -> None:
    where = f"worker {cause.worker}"
    if not cause.is_passing:
        raise WorkerFailedError(where, str(cause), "what it printed says why", cause.code)
    if restarts == config.max_restarts:
        raise PeerLostError(
            where,
            f"{cause}, and no restart is left of --max_restarts={config.max_restarts}",
            "the same command again goes on from the newest checkpoint",
        )
