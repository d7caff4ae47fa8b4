"""What a step takes with n workers, and the network that fits what was measured.

network = Network(beta_gb_s=1.1, alpha_us=50)
step = forecast_step(Terms(compute_s=0.116, gradient_bytes=124_000_000), 64, network)
step.seconds, step.reduce_s                    # all of it, and what of it the all-reduce takes
fit_network([ReducePoint(2, 1 << 10, 1e-3), ReducePoint(2, 1 << 24, 0.05)])

    T_step(n) = max(T_in, T_c + max(0, T_ar(n) - hidden)) + T_sync(n) + sigma sqrt(2 ln n)
    T_ar(n)   = 2 (n - 1) / n * B / beta + 2 (n - 1) * alpha           (a ring)
    T_sync(n) = sums * 2 (n - 1) * alpha                               (small sums, one by one)

The ring is that of Patarasuk and Yuan 2009 (doi:10.1016/j.jpdc.2008.09.002); sigma sqrt(2 ln n)
bounds the expected maximum of n normal variables (Boucheron et al. 2013, theorem 2.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Network:
    """What joins the workers."""

    beta_gb_s: float  # beta: 10^9 bytes that each sends in a second; inf: as many as there are.
    alpha_us: float  # Microseconds from one to the next, whatever is sent.

    def ring_s(self, workers: int, of_bytes: float) -> float:
        """Seconds of an all-reduce of so many bytes of each worker, as a ring."""
        hops = 2 * (workers - 1)
        return hops / workers * of_bytes / (self.beta_gb_s * 1e9) + hops * self.alpha_us * 1e-6


@dataclass(frozen=True)
class Terms:
    """What a step is made of, but for the network."""

    compute_s: float  # T_c: seconds of a step of one worker that never waits.
    gradient_bytes: int  # B: what the all-reduce of a step adds up.
    sums: int = 0  # Small sums over all workers in a step, beside the gradients.
    input_s: float = 0.0  # T_in: seconds in which a worker makes the input of a step.
    spread_s: float = 0.0  # sigma: standard deviation of the seconds of a step of one worker.
    hidden_s: float = 0.0  # phi T_bwd: of the all-reduce, what the backward pass hides.


@dataclass(frozen=True)
class Step:
    """The seconds of a step, by what takes them."""

    compute_s: float  # The network's forward and backward pass, and the new weights.
    reduce_s: float  # All-reduce of the gradients, as far as nothing hides it.
    input_s: float  # Waiting for input that takes longer than both.
    sums_s: float  # The small sums.
    straggler_s: float  # Waiting for the slowest.

    @property
    def parts(self) -> dict[str, float]:
        """The seconds by the names that people are shown."""
        return {
            "compute": self.compute_s,
            "all-reduce": self.reduce_s,
            "input": self.input_s,
            "sums": self.sums_s,
            "slowest": self.straggler_s,
        }

    @property
    def seconds(self) -> float:
        return sum(self.parts.values())


def forecast_step(terms: Terms, workers: int, network: Network) -> Step:
    """What a step takes with so many workers on a network."""
    reduce_s = network.ring_s(workers, terms.gradient_bytes)
    return compose_step(terms, workers, reduce_s, network.ring_s(workers, 0))


def compose_step(terms: Terms, workers: int, reduce_s: float, sum_s: float) -> Step:
    """What a step takes where an all-reduce of the gradients and one small sum take so long."""
    shown_s = max(0.0, reduce_s - terms.hidden_s)
    return Step(
        compute_s=terms.compute_s,
        reduce_s=shown_s,
        input_s=max(0.0, terms.input_s - terms.compute_s - shown_s),
        sums_s=terms.sums * sum_s,
        straggler_s=terms.spread_s * math.sqrt(2 * math.log(workers)),
    )


@dataclass(frozen=True)
class ReducePoint:
    """How long an all-reduce took."""

    workers: int  # At least 2.
    bytes: int  # Of each worker.
    seconds: float  # Above 0.


def fit_network(points: Sequence[ReducePoint]) -> Network | None:
    """The network whose ring comes nearest to what all-reduces took, by relative least squares.

    A speed or a latency that would come out negative is left out: inf GB/s, or 0 us.

    Returns:
        None if fewer than two different all-reduces were measured: two numbers are sought.
    """
    if len({(point.workers, point.bytes) for point in points}) < 2:
        return None
    ring = [
        [2 * (p.workers - 1) / p.workers * p.bytes / 1e9, 2 * (p.workers - 1) * 1e-6]
        for p in points
    ]
    relative = np.array(ring) / np.array([[p.seconds] for p in points])
    inverse, alpha_us = _solve_positive(relative)
    return Network(1 / inverse if inverse else math.inf, alpha_us)


def _solve_positive(relative: np.ndarray) -> tuple[float, float]:
    """x >= 0 for which the two columns of `relative`, times x, come nearest to 1."""
    both = np.linalg.lstsq(relative, np.ones(len(relative)), rcond=None)[0]
    if both.min() >= 0:
        return float(both[0]), float(both[1])
    # The least squares of one column alone; where one is negative, the best has a 0.
    alone = relative.sum(axis=0) / np.maximum((relative**2).sum(axis=0), 1e-300)
    errors = ((relative * alone - 1) ** 2).sum(axis=0)
    keep = int(np.argmin(errors))
    return (float(alone[0]), 0.0) if keep == 0 else (0.0, float(alone[1]))


def fit_error(network: Network, points: Sequence[ReducePoint]) -> float:
    """Root mean square of the relative differences between a network's ring and what was seen."""
    ratios = [network.ring_s(p.workers, p.bytes) / p.seconds - 1 for p in points]
    return math.sqrt(sum(ratio**2 for ratio in ratios) / len(ratios))
