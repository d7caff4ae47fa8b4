"""Gains and losses of each class from a sample of a map of change, with their 95 % intervals.

change = estimate_change(counts, hectares, transitions, is_whole)
change.classes[1].net                          # Estimate(value=-1.4, margin=0.3), hectares
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tabulate import tabulate

from lcseg.classes import ClassScheme
from lcseg.evaluation.area import Z_95, Estimate, format_estimate
from lcseg.transitions import classes_of


@dataclass(frozen=True)
class ClassChange:
    """What is estimated to have become of a class, in hectares."""

    name: str  # Of the class.
    lost: Estimate  # To other classes.
    gained: Estimate  # From other classes.
    net: Estimate  # Gained less lost.
    mapped_net: float  # The same on the map, its pixels counted.


@dataclass(frozen=True)
class ChangeEstimates:
    """What a sample tells of change."""

    changed: Estimate  # Hectares whose class is another one.
    classes: tuple[ClassChange, ...]

    def table(self, how: str = ",.2f") -> str:
        """Set gains and losses as text; `how` is the format of hectares."""
        rows = [
            [
                flow.name,
                format_estimate(flow.lost, how),
                format_estimate(flow.gained, how),
                format_estimate(flow.net, f"+{how}"),
                format(flow.mapped_net, f"+{how}"),
            ]
            for flow in self.classes
        ]
        text = tabulate(
            rows,
            ["class, ha", "lost", "gained", "net", "net on the map"],
            disable_numparse=True,
            colalign=("left", *["right"] * 4),
        )
        return (
            f"{text}\n\nchanged: {format_estimate(self.changed, how)} ha\n"
            "(as if in each stratum one point more contradicted the others: see the report)"
        )


def estimate_change(
    counts: np.ndarray,
    hectares: np.ndarray,
    transitions: ClassScheme,
    is_whole: np.ndarray | None = None,
) -> ChangeEstimates | None:
    """Estimate gains, losses and net change of each class.

    Args:
        counts: int64 [n, n], points: the stratum, a transition on the map, in rows, the reference,
            a transition too, in columns.
        hectares: float64 [n], mapped area of each transition.
        transitions: the scheme of the map.
        is_whole: bool [n], of the strata all of whose pixels are points.

    Returns:
        None where the scheme is not one of transitions.
    """
    names = classes_of(transitions)
    if names is None:
        return None
    n = len(names)
    before, after = np.divmod(np.arange(n * n), n)
    moved = before != after
    flows = []
    for k, name in enumerate(names):
        lost, gained = moved & (before == k), moved & (after == k)
        net = gained.astype(float) - lost
        of_lost, of_gained, of_net = (
            estimate_sum(counts, hectares, each, is_whole) for each in (lost, gained, net)
        )
        flows.append(ClassChange(name, of_lost, of_gained, of_net, float(hectares @ net)))
    return ChangeEstimates(estimate_sum(counts, hectares, moved, is_whole), tuple(flows))


def estimate_sum(
    counts: np.ndarray,
    hectares: np.ndarray,
    values: np.ndarray,
    is_whole: np.ndarray | None = None,
) -> Estimate:
    """Estimate a sum over the ground of what each reference counts for.

    The value is the stratified estimator of a total (Cochran 1977, Sampling Techniques, equation
    5.1), of which the areas of Olofsson et al. 2014 are the case that a value is 1 for one class.

    The margin is that of equation 5.7 with one point more in each stratum, which says what is
    farthest from the others. Change is rare: the few pixels of a large stratum where a map missed
    it are seldom among the points, and without that one the interval would be the narrower the
    less was seen. (Pseudo-observations, as in Agresti and Coull 1998, The American Statistician
    52, for a single proportion.)

    Args:
        counts: int64 [n, m], points: strata in rows, references in columns.
        hectares: float64 [n], area of each stratum.
        values: [m], what a hectare of each reference counts for.
        is_whole: bool [n], of the strata all of whose pixels are points: nothing is left to
            chance in them; None: none of them.
    """
    values = np.asarray(values, float)
    points = counts.sum(axis=1)
    mean, square = (counts @ power / np.maximum(points, 1) for power in (values, values**2))
    farthest = np.where(values.max() - mean > mean - values.min(), values.max(), values.min())
    more = points + 1
    mean_of_more = (mean * points + farthest) / more
    square_of_more = (square * points + farthest**2) / more
    variances = (square_of_more - mean_of_more**2) / np.maximum(points, 1)
    if is_whole is not None:
        variances = np.where(is_whole, 0, variances)
    variance = (hectares**2 * variances).sum()
    return Estimate(float(hectares @ mean), float(Z_95 * np.sqrt(variance)))
