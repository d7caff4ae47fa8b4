"""Two workers, each pinned to a core, beside one: how much of twice the speed is reached.

Every worker takes the same batch, so two make twice the crops of one in a step. Beside it: two that
work at the same time but apart, which shows what the machine itself takes from each (memory,
caches); what the way through a cluster costs one worker, and the bytes that two send in a step.
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.pinned import CALL_STEPS, CALLS, free_addresses, train_pinned
from benchmarks.scenes import write_pairs
from benchmarks.timing import race, report
from lcseg.records.config import ConvertConfig
from lcseg.records.conversion import convert

BATCH = 8
STEPS = CALL_STEPS * CALLS
WEIGHTS = 484_340
"""Of the network of `benchmarks.pinned`, 4 bytes each."""


def make_data(folder: Path) -> Path:
    images, labels = write_pairs(folder, scenes=2, size_px=1024)
    data = folder / "data"
    convert(ConvertConfig("chesapeake-4", str(data), images, labels, block_chips=1, quiet=True))
    return data


def race_workers(folder: Path, data: Path) -> None:
    """Weak scaling: seconds of a step with two workers on two cores, and with one on one."""
    numbers = itertools.count()
    cores = sorted(os.sched_getaffinity(0))[:2]

    def train(workers: int, is_cluster: bool = True) -> float:
        addresses = free_addresses(workers) if is_cluster else []
        run = folder / f"run-{next(numbers)}"
        seconds = max(train_pinned(data, run, addresses, BATCH * workers, cores[:workers]))
        return seconds / workers  # Of as many crops as one worker makes.

    def train_apart() -> float:
        with ThreadPoolExecutor(2) as threads:
            runs = [folder / f"run-{next(numbers)}" for _ in range(2)]
            jobs = [
                threads.submit(train_pinned, data, run, [], BATCH, [core])
                for run, core in zip(runs, cores, strict=True)
            ]
            return max(seconds for job in jobs for seconds in job.result()) / 2

    rivals = {
        "2 workers": lambda: train(2),
        "2 apart": train_apart,
        "1 worker of a cluster": lambda: train(1),
        "1 worker alone": lambda: train(1, is_cluster=False),
    }
    rates = race(rivals, BATCH * STEPS, repeats=3)
    report("crops/s", rates, "1 worker alone")
    pairs = zip(rates["2 workers"], rates["1 worker alone"], strict=True)
    efficiency = statistics.median(two / one / 2 for two, one in pairs)
    print(f"weak-scaling efficiency, target 0.90: {_judge(efficiency, 0.9)}")
    pairs = zip(rates["2 workers"], rates["2 apart"], strict=True)
    print(f"of two that work apart: {statistics.median(two / apart for two, apart in pairs):.3f}")
    pairs = zip(rates["1 worker of a cluster"], rates["1 worker alone"], strict=True)
    share = statistics.median(one / alone for one, alone in pairs)
    print(f"cluster of one beside alone, target 0.98: {_judge(share, 0.98)}\n", flush=True)


def _judge(value: float, target: float) -> str:
    return f"{'pass' if value >= target else 'MISS'} at {value:.3f}"


def measure_bytes(folder: Path, data: Path) -> None:
    """Bytes that two workers send in a step, in a network of their own where nobody else sends."""
    command = [sys.executable, "-m", "benchmarks.cluster", "bytes", data, folder / "run-bytes"]
    isolated = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
    if subprocess.run(isolated, check=False).returncode:
        print("bytes on the wire: not measured, network namespaces cannot be made here")


def count_bytes(data: Path, run: Path) -> None:
    """Count what loopback carries while two workers train, start and end included."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    before = _read_sent()
    train_pinned(data, run, free_addresses(2), 2 * BATCH, cores)
    sent = (_read_sent() - before) / ((1 + CALLS) * CALL_STEPS)
    # Each of n workers sends 2(n-1)/n of the gradients in a ring.
    ring = 2 * 4 * WEIGHTS
    print(f"bytes on the wire in a step: {sent / 1e6:.2f} MB, the ring's {ring / 1e6:.2f} MB")
    share = sent / ring
    print(f"target at most 1.10: {'pass' if share <= 1.1 else 'MISS'} at {share:.3f}\n", flush=True)


def _read_sent() -> int:
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[9]) for line in lines if line.strip().startswith("lo:"))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = make_data(folder)
        race_workers(folder, data)
        measure_bytes(folder, data)


if __name__ == "__main__":
    if sys.argv[1:2] == ["bytes"]:
        count_bytes(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
