"""Workers of a cluster as processes, each on its own core, which train and say how long it took.

seconds = train_pinned(data, run, addresses, batch=16, cores=[0, 1])    # of each worker

As a program it is one such worker: TF_CONFIG tells its cluster, arguments its data and the rest.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

CALL_STEPS, CALLS = 10, 6  # As `lcseg train` does by itself.


class Laps:
    """Asks a run to stop after so many looks of the host, and notes when each of them was.

    The first look is left out of the time: input and tracing begin before it.
    """

    def __init__(self) -> None:
        self._looks_s: list[float] = []

    @property
    def signal_number(self) -> int:
        self._looks_s.append(time.perf_counter())
        return signal.SIGTERM if len(self._looks_s) > CALLS else 0

    @property
    def seconds(self) -> float:
        return self._looks_s[CALLS] - self._looks_s[0]


def train_pinned(
    data: Path,
    run: Path,
    addresses: Sequence[str],
    batch: int,
    cores: Sequence[int],
    prefixes: Sequence[Sequence[str]] = (),
) -> list[float]:
    """Train with a worker at each address; returns the seconds of CALL_STEPS * CALLS steps of each.

    Args:
        data: the data set.
        run: a folder that does not exist yet.
        addresses: host:port of the workers; none: one that works alone.
        batch: crops in a step, over all workers.
        cores: that of each worker.
        prefixes: what stands before the command of each worker, as `ip netns exec NAME`.
    """
    processes = []
    for index, core in enumerate(cores):
        task = {"type": "worker", "index": index}
        cluster = {"cluster": {"worker": list(addresses)}, "task": task} if addresses else {}
        prefix = prefixes[index] if prefixes else ()
        processes.append(
            subprocess.Popen(
                [
                    *prefix,
                    sys.executable,
                    "-m",
                    "benchmarks.pinned",
                    data,
                    run,
                    str(batch),
                    str(core),
                ],
                env={**os.environ, "TF_CONFIG": json.dumps(cluster)},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit(f"a worker failed: {[process.returncode for process in processes]}")
    return [float(output.splitlines()[-1]) for output in outputs]


def free_addresses(count: int) -> list[str]:
    """Addresses on this machine that nobody listens at."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]


def main(data: str, run: str, batch: str, core: str) -> None:
    os.sched_setaffinity(0, {int(core)})
    from lcseg.runtime import start_tensorflow

    start_tensorflow()
    from lcseg.errors import InterruptedRunError
    from lcseg.model.config import UNetConfig
    from lcseg.pipeline.config import InputConfig
    from lcseg.records.manifest import read_manifest
    from lcseg.training.cluster import find_cluster
    from lcseg.training.config import TrainConfig
    from lcseg.training.run import RunFolder, open_run
    from lcseg.training.step import fix_chance
    from lcseg.training.team import form_team
    from lcseg.training.trainer import Trainer

    team = form_team(find_cluster(os.environ))
    fix_chance(0, jit=False)
    settings: dict[str, Any] = {"steps_per_epoch": 100_000, "steps_per_call": CALL_STEPS}
    config = TrainConfig(
        data, run, UNetConfig(3, 16), InputConfig(int(batch), 128), quiet=True, **settings
    )
    manifest = read_manifest(data)
    if team.is_chief:
        open_run(config, manifest.digest)
    trainer = Trainer(config, manifest, RunFolder(Path(run)), team=team)
    laps = Laps()
    try:
        trainer.run(laps)  # type: ignore[arg-type]
    except InterruptedRunError:
        print(laps.seconds, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
