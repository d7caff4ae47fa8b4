"""Seconds of a step over a slow network, beside what the model of a ring says they are.

Two workers, each on its own core and in a network of its own (`ip netns`), are joined by a cable
(veth) whose speed is limited (tc's token bucket). The forecast adds what the ring sends, at the
speed of the cable, to the seconds of a step over a cable without a limit:

    T(rate) = T(no limit) + 2(n - 1)/n * gradient bytes / rate

It needs root and iproute2; where networks cannot be made, nothing is measured.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tabulate import tabulate

from benchmarks.cluster import BATCH, STEPS, WEIGHTS, make_data
from benchmarks.pinned import train_pinned

RATES_MBIT = (400, 200, 100)
WORKERS = 2
_NAMES = [f"lcseg-{os.getpid()}-{index}" for index in range(WORKERS)]
_ADDRESSES = [f"10.77.0.{index + 1}" for index in range(WORKERS)]
_PORT = 2222


@contextmanager
def joined_networks() -> Iterator[None]:
    """Two networks that are joined by a cable, as long as the block lasts."""
    try:
        for name in _NAMES:
            _run("ip", "netns", "add", name)
        ends = [["cable", "netns", name] for name in _NAMES]
        _run("ip", "link", "add", *ends[0], "type", "veth", "peer", "name", *ends[1])
        for name, address in zip(_NAMES, _ADDRESSES, strict=True):
            _run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "cable")
            _run("ip", "-n", name, "link", "set", "cable", "up")
            _run("ip", "-n", name, "link", "set", "lo", "up")
        yield
    finally:
        for name in _NAMES:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def limit_rate(mbit: int) -> None:
    """Let each end of the cable send so many megabits in a second; 0: as many as it can."""
    for name in _NAMES:
        command = ["tc", "-n", name, "qdisc", "del", "dev", "cable", "root"]
        subprocess.run(command, check=False, capture_output=True)
        if mbit:
            bucket = ["tbf", "rate", f"{mbit}mbit", "burst", "256kb", "latency", "100ms"]
            _run("tc", "-n", name, "qdisc", "add", "dev", "cable", "root", *bucket)


def time_step(folder: Path, data: Path, mbit: int) -> float:
    """Seconds of a step at a rate."""
    limit_rate(mbit)
    cores = sorted(os.sched_getaffinity(0))[:WORKERS]
    addresses = [f"{address}:{_PORT}" for address in _ADDRESSES]
    prefixes = [["ip", "netns", "exec", name] for name in _NAMES]
    run = folder / f"run-{mbit}"
    return max(train_pinned(data, run, addresses, WORKERS * BATCH, cores, prefixes)) / STEPS


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = make_data(folder)
        try:
            with joined_networks():
                seconds = {mbit: time_step(folder, data, mbit) for mbit in (0, *RATES_MBIT)}
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"network: not measured, networks cannot be made here: {error}")
            return
    sent = 2 * (WORKERS - 1) / WORKERS * 4 * WEIGHTS
    rows, worst = [["no limit", seconds[0], None, None]], 0.0
    for mbit in RATES_MBIT:
        forecast = seconds[0] + sent / (mbit * 1e6 / 8)
        fault = forecast / seconds[mbit] - 1
        worst = max(worst, abs(fault))
        rows.append([f"{mbit} Mbit/s", seconds[mbit], forecast, f"{fault:+.1%}"])
    headers = ["cable", "measured\n(s a step)", "forecast\n(s a step)", "error"]
    print(tabulate(rows, headers, floatfmt=".3f", missingval="–"))
    print(f"target 15 %: {'pass' if worst < 0.15 else 'MISS'} at {worst:.1%}\n", flush=True)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main()
