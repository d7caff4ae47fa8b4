"""Workers under `lcseg launch` that are killed, frozen and told to stop at random, for minutes.

After each fault all of them have to be gone in time, and what is started again has to end with the
weights of a run that nothing has disturbed.
"""

from __future__ import annotations

import functools
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tabulate import tabulate

from benchmarks.cluster import make_data
from lcseg import cli
from lcseg.runtime import start_tensorflow
from lcseg.training import launcher

SEED = 0
WORKERS = 2
FAULTS_S = 300.0
"""How long there are faults; then the run is left alone."""
NEXT_S = 25.0
"""Most seconds from a start to its fault: some come before training has begun."""
GONE_S = 30.0
HANG_S = 120.0

FAULTS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "stop": signal.SIGTERM}


def command_of(data: Path, run: Path) -> list[str]:
    """A run of 1,000 steps, some minutes of two cores."""
    flags = {
        "data": data,
        "run": run,
        "depth": 2,
        "width": 8,
        "crop_px": 128,
        "batch": 4,
        "epochs": 10,
        "steps_per_epoch": 100,
        "checkpoint_steps": 10,
        "quiet": "true",
    }
    return ["train", *(f"--{name}={value}" for name, value in flags.items())]


class Launch:
    """`lcseg launch`, which also notes how its workers end."""

    def __init__(self, data: Path, run: Path, notes: Path) -> None:
        self._notes = notes
        notes.touch()
        program = [sys.executable, "-m", "benchmarks.chaos", "launch", str(notes)]
        options = [f"--workers={WORKERS}", "--max_restarts=1000", "--"]
        with notes.with_suffix(".out").open("ab") as out:
            self.process = subprocess.Popen(
                [*program, *options, *command_of(data, run)], stdout=out, stderr=out
            )

    @property
    def workers(self) -> list[int]:
        """The workers that live, in their order."""
        pid = self.process.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            return []
        return [int(child) for child in children.split()]

    @property
    def ends(self) -> list[str]:
        """The exit codes of the workers, for each of their starts that is over."""
        return self._notes.read_text(encoding="ascii").splitlines()


def launch_noting_ends(notes: Path) -> None:
    """Be `lcseg launch`, and append to a file how the workers of each start have ended."""
    find_cause = launcher.find_cause

    def note(endings: list[launcher.Ending]) -> launcher.Ending | None:
        codes = [ending.code for ending in sorted(endings, key=lambda ending: ending.worker)]
        with notes.open("a", encoding="ascii") as file:
            file.write(" ".join(map(str, codes)) + "\n")
        return find_cause(endings)

    launcher.find_cause = note  # type: ignore[assignment]
    cli.main()


def wait_until(is_true: Callable[[], object], within_s: float) -> bool:
    """Wait for something; says whether it came about in time."""
    deadline_s = time.monotonic() + within_s
    while not is_true():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


def is_gone(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


@contextmanager
def killed(start: Callable[[], Launch]) -> Iterator[list[Launch]]:
    """Yield the launchers that were started so far, one to begin with; none outlives the block."""
    launches = [start()]
    try:
        yield launches
    finally:
        for launch in launches:
            launch.process.kill()
            launch.process.wait()


def disturb(data: Path, run: Path, notes: Path) -> list[list[object]]:
    """Disturb a run for FAULTS_S and let it end; returns a row for each fault."""
    chance, until_s, rows = random.Random(SEED), time.monotonic() + FAULTS_S, []
    with killed(lambda: Launch(data, run, notes)) as launches:
        while time.monotonic() < until_s:
            launch = launches[-1]
            wait_until(functools.partial(has_begun, launch), HANG_S)
            time.sleep(chance.uniform(0, NEXT_S))
            if launch.process.poll() is not None:
                break
            rows.append(commit_fault(launch, chance, run))
            print(*rows[-1], sep="\t", flush=True)
            if launch.process.poll() is not None:
                launches.append(Launch(data, run, notes))
        code = launches[-1].process.wait(10 * FAULTS_S)
        if code:
            print(notes.with_suffix(".out").read_text(encoding="utf-8"))
            raise SystemExit(f"the launcher ended with status {code}")
    return rows


def has_begun(launch: Launch) -> bool:
    return len(launch.workers) == WORKERS or launch.process.poll() is not None


def commit_fault(launch: Launch, chance: random.Random, run: Path) -> list[object]:
    """Have something happen to a worker or to the launcher, and see how all workers end."""
    to_workers = itertools.product(FAULTS, range(WORKERS))
    what, victim = chance.choice([*to_workers, ("kill", None), ("stop", None)])
    workers, ends, saved = launch.workers, len(launch.ends), saved_number(run)
    started_s = time.monotonic()
    with suppress(ProcessLookupError, IndexError):
        os.kill(launch.process.pid if victim is None else workers[victim], FAULTS[what])
    in_time = wait_until(lambda: all(map(is_gone, workers)), HANG_S)
    seconds = time.monotonic() - started_s if in_time else float("inf")
    codes = "?"
    if victim is None:
        launch.process.wait()
    elif wait_until(lambda: len(launch.ends) > ends, GONE_S):
        codes = launch.ends[ends]
    name = "launcher" if victim is None else f"worker {victim}"
    return [f"{what} {name}", saved, seconds, codes]


def saved_number(run: Path) -> int:
    """How often a run has saved; 0: never."""
    numbers = (int(path.stem[5:]) for path in (run / "checkpoints").glob("ckpt-*.index"))
    return max(numbers, default=0)


def weights_of(run: Path) -> dict[str, bytes]:
    """Every variable of the newest checkpoint."""
    # Not above: a launcher that has imported it would have threads when it starts its workers.
    start_tensorflow()
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(run / "checkpoints" / f"ckpt-{saved_number(run)}"))
    return {
        name: reader.get_tensor(name).tobytes()
        for name in reader.get_variable_to_shape_map()
        if not name.startswith(("_CHECKPOINTABLE", "save_counter"))
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = make_data(folder)
        calm, disturbed = folder / "calm", folder / "disturbed"
        with killed(lambda: Launch(data, calm, folder / "calm-ends")) as (launch,):
            assert launch.process.wait(10 * FAULTS_S) == 0
        rows = disturb(data, disturbed, folder / "disturbed-ends")
        print(
            tabulate(
                rows, ["fault", "checkpoints before", "all gone, s", "exit codes"], floatfmt=".1f"
            )
        )
        longest_s = max(float(str(row[2])) for row in rows)
        in_time = "pass" if longest_s <= GONE_S else "MISS"
        print(f"all gone, target at most {GONE_S:.0f} s: {in_time} at {longest_s:.1f}")
        same = weights_of(calm) == weights_of(disturbed)
        print(f"weights of the run that nothing disturbed: {'pass' if same else 'MISS'}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["launch"]:
        notes = Path(sys.argv.pop(2))
        launch_noting_ends(notes)
    else:
        main()
