"""Rivals timed in turns, so that whatever else the machine does falls on all of them alike.

    rates = race({"lcseg": lambda: work(), "limit": lambda: bare()}, amount=100, repeats=5)
    report("crops/s", rates, "limit", target=0.95)

A rival returns the seconds that its own work took, or None: then the whole call is timed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from tabulate import tabulate


def race(
    rivals: Mapping[str, Callable[[], object]],
    amount: float,
    repeats: int,
    between: Callable[[], None] = lambda: None,
) -> dict[str, list[float]]:
    """Run each rival once in every round; returns its amounts in a second, by round.

    What is called between them is not timed.
    """
    rates: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, work in rivals.items():
            between()
            started_s = time.perf_counter()
            own_s = work()
            seconds = own_s if isinstance(own_s, float) else time.perf_counter() - started_s
            rates[name].append(amount / seconds)
    return rates


def report(
    title: str, rates: dict[str, list[float]], limit: str, target: float | None = None
) -> None:
    """Print the median of each rival, its range, and its share of the limit, or of any rival that
    the others are held against.

    The share is the median over rounds, in each of which both had the same machine. The first
    rival has to reach the target.
    """
    shares = {
        name: statistics.median(a / b for a, b in zip(values, rates[limit], strict=True))
        for name, values in rates.items()
    }
    rows = [
        [name, statistics.median(values), f"{min(values):.4g} – {max(values):.4g}", shares[name]]
        for name, values in rates.items()
    ]
    headers = ["", title, "range", f"of {limit}"]
    print(tabulate(rows, headers, floatfmt=("", ".4g", "", ".3f")))
    if target is not None:
        share = next(iter(shares.values()))
        print(f"target {target:.2f}: {'pass' if share >= target else 'MISS'} at {share:.3f}")
    print(flush=True)
