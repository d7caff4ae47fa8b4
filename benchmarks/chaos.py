"""Workers under `lcseg launch` that are killed, frozen and told to stop at random, for minutes.

After each fault all of them have to be gone in time, and what is started again has to end with the
weights of a run that nothing has disturbed.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
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
PATIENCE_S = 1800.0
"""How long it may take then; a run of its own takes some minutes."""
TRAINING_SHARE = 0.75
"""Of the faults; the others come while workers start."""
NEXT_S = 10.0
"""Most seconds until a fault, from there."""
GONE_S = 30.0
"""How long the last worker may live after a fault in training."""
START_S = 60.0
"""How much longer one that starts may wait for another."""

SIGNALS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "stop": signal.SIGTERM}


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
        "start_timeout_s": START_S,
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


@dataclass(frozen=True)
class Fault:
    """What happened to a worker or to the launcher, and how all workers ended."""

    name: str
    checkpoint: int  # The newest one when it happened.
    was_training: bool  # This start had already saved.
    gone_s: float  # Until the last worker was gone.
    codes: str  # Exit codes of the workers; of a launcher that is killed nobody knows them.

    @property
    def limit_s(self) -> float:
        return GONE_S if self.was_training else START_S + GONE_S


def disturb(data: Path, run: Path, notes: Path) -> list[Fault]:
    """Disturb a run for FAULTS_S, and let it end then."""
    chance, until_s = random.Random(SEED), time.monotonic() + FAULTS_S
    faults: list[Fault] = []
    with killed(lambda: Launch(data, run, notes)) as launches:
        while time.monotonic() < until_s:
            launch, saved = launches[-1], saved_number(run)
            wait_until(functools.partial(has_begun, launch), START_S)
            if chance.random() < TRAINING_SHARE:
                wait_until(functools.partial(has_saved, launch, run, saved), START_S + GONE_S)
            time.sleep(chance.uniform(0, NEXT_S))
            if launch.process.poll() is not None:
                break
            faults.append(commit_fault(launch, chance, run, saved))
            if launch.process.poll() is not None:
                launches.append(Launch(data, run, notes))
        code = launches[-1].process.wait(PATIENCE_S)
        assert code == 0, notes.with_suffix(".out").read_text(encoding="utf-8")
    return faults


def has_begun(launch: Launch) -> bool:
    return len(launch.workers) == WORKERS or launch.process.poll() is not None


def has_saved(launch: Launch, run: Path, before: int) -> bool:
    return saved_number(run) > before or launch.process.poll() is not None


def commit_fault(launch: Launch, chance: random.Random, run: Path, before: int) -> Fault:
    """Have something happen, and wait until all workers are gone; `before` is what was saved."""
    to_workers = itertools.product(SIGNALS, range(WORKERS))
    what, victim = chance.choice([*to_workers, ("kill", None), ("stop", None)])
    workers, ends, saved = launch.workers, len(launch.ends), saved_number(run)
    started_s = time.monotonic()
    with suppress(ProcessLookupError, IndexError):
        os.kill(launch.process.pid if victim is None else workers[victim], SIGNALS[what])
    is_gone_in_time = wait_until(lambda: all(map(is_gone, workers)), 2 * (START_S + GONE_S))
    gone_s = time.monotonic() - started_s if is_gone_in_time else math.inf
    if victim is None:
        launch.process.wait()
    wait_until(lambda: len(launch.ends) > ends or launch.process.poll() is not None, GONE_S)
    codes = launch.ends[ends] if len(launch.ends) > ends else ""
    name = f"{what} {'launcher' if victim is None else f'worker {victim}'}"
    return Fault(name, saved, saved > before, gone_s, codes)


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
            launch.process.wait(PATIENCE_S)
            assert launch.ends == ["0 0"], "something has disturbed the run that nothing disturbs"
        faults = disturb(data, disturbed, folder / "disturbed-ends")
        headers = ["fault", "checkpoint", "in training", "all gone, s", "exit codes"]
        print(tabulate(map(astuple, faults), headers, floatfmt=".1f"))
        for was_training, when in ((True, "in training"), (False, "before")):
            judge([fault for fault in faults if fault.was_training == was_training], when)
        same = weights_of(calm) == weights_of(disturbed)
        print(
            f"weights of the run that nothing disturbed: {'pass' if same else 'MISS'}", flush=True
        )


def judge(faults: list[Fault], when: str) -> None:
    if faults:
        longest = max(faults, key=lambda fault: fault.gone_s)
        verdict = "pass" if longest.gone_s <= longest.limit_s else "MISS"
        target = f"target at most {longest.limit_s:.0f} s"
        print(f"all gone after a fault {when}, {target}: {verdict} at {longest.gone_s:.1f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["launch"]:
        notes = Path(sys.argv.pop(2))
        launch_noting_ends(notes)
    else:
        main()
