"""Accuracies and areas from a stratified random sample, with their 95 % intervals.

estimates = estimate(counts, hectares, scheme.names)
estimates.classes[0].hectares                  # Estimate(value=21157.8, margin=6157.6)
print(estimates.table())

The estimators are those of Olofsson et al. 2014, "Good practices for estimating area and assessing
accuracy of land change", Remote Sensing of Environment 148, whose equations are named here. There,
as here, the map stands in rows and the reference in columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tabulate import tabulate

Z_95 = 1.96
"""Standard errors in half of a 95 % interval."""

NO_ESTIMATE = "–"

MOST_SHOWN = 8
"""Classes of the largest matrix that is set as text."""


@dataclass(frozen=True)
class Estimate:
    """A value that was estimated, and how well."""

    value: float
    margin: float  # Half of its 95 % interval.


@dataclass(frozen=True)
class ClassEstimates:
    """What is estimated of one class."""

    name: str  # What people call it.
    mapped_hectares: float  # What the map shows of it.
    mapped_share: float  # The same, of the map.
    hectares: Estimate  # What there is of it.
    share: Estimate  # The same, of the map.
    users: Estimate | None  # User's accuracy; None where it is not on the map.
    producers: Estimate | None  # Producer's accuracy; None where the reference never names it.


@dataclass(frozen=True)
class AreaEstimates:
    """What a sample tells of a map."""

    total_hectares: float  # Of the map, without nodata.
    counts: tuple[tuple[int, ...], ...]  # Points: map in rows, reference in columns.
    shares: tuple[tuple[float, ...], ...]  # Of the area, estimated, likewise.
    overall: Estimate  # Accuracy.
    classes: tuple[ClassEstimates, ...]  # In the order of the class indices.

    @property
    def hectares_format(self) -> str:
        """How areas are set: with as many decimals as the size of the map makes sense of."""
        return (
            ",.2f" if self.total_hectares < 1e3 else ",.1f" if self.total_hectares < 1e5 else ",.0f"
        )

    def table(self) -> str:
        """Set the matrices, unless they are too wide for a terminal, and the estimates as text."""
        names = [land.name for land in self.classes]
        head = ["map \\ reference", *names, "all"]
        in_points = [[f"{n:,}" for n in (*row, sum(row))] for row in self.counts]
        in_shares = [[f"{share:.4f}" for share in (*row, sum(row))] for row in self.shares]
        rows = [
            [
                land.name,
                format(land.mapped_hectares, self.hectares_format),
                format_estimate(land.hectares, self.hectares_format),
                format_estimate(land.share, ".1f", 100, " %"),
                format_estimate(land.users),
                format_estimate(land.producers),
            ]
            for land in self.classes
        ]
        columns = ["class", "mapped\n(ha)", "area\n(ha)", "share", "user's", "producer's"]
        matrices = [
            "points:\n" + _tabulate(names, in_points, head),
            "shares of the area, estimated:\n" + _tabulate(names, in_shares, head),
        ]
        return "\n\n".join(
            [
                *(matrices if len(names) <= MOST_SHOWN else []),
                "estimates, each with its 95 % interval:\n"
                + _tabulate(names, [row[1:] for row in rows], columns),
                f"overall accuracy {format_estimate(self.overall)} "
                f"by {sum(map(sum, self.counts)):,} points; "
                f"{format(self.total_hectares, self.hectares_format)} ha mapped",
            ]
        )


def estimate(
    counts: np.ndarray,
    hectares: np.ndarray,
    names: Sequence[str],
    is_whole: np.ndarray | None = None,
) -> AreaEstimates:
    """Estimate accuracies and areas.

    Args:
        counts: int64 [n, n], points: the stratum, which is the class on the map, in rows, the
            reference in columns.
        hectares: float64 [n], mapped area of each class.
        names: of the n classes.
        is_whole: bool [n], of the classes all of whose pixels are points, which leaves nothing to
            chance; None: none of them.

    Raises:
        ValueError: a class that is on the map has fewer than two points, and more pixels.
    """
    is_mapped = hectares > 0
    points = counts.sum(axis=1)
    is_drawn = is_mapped if is_whole is None else is_mapped & ~is_whole
    if (points[is_drawn] < 2).any():
        raise ValueError("a class on the map has fewer than two points, which tell no error")
    weight = hectares / hectares.sum()
    # A class that is not on the map has no points; its row is 0.
    within = counts / np.maximum(points, 1)[:, None]
    shares = weight[:, None] * within  # Equation 4.
    right = within.diagonal()
    # Variances of the shares within each stratum.
    spread = within * (1 - within) * (is_drawn / np.maximum(points - 1, 1))[:, None]
    overall_variance = (weight**2 * spread.diagonal()).sum()  # Equation 5.
    area_variance = (weight[:, None] ** 2 * spread).sum(axis=0)  # Equation 10.
    area_share = shares.sum(axis=0)  # Equation 9.
    producers, producers_variance = _producers(weight, within, spread)
    return AreaEstimates(
        float(hectares.sum()),
        tuple(map(tuple, counts.tolist())),
        tuple(map(tuple, shares.tolist())),
        _estimate(shares.trace(), overall_variance),
        tuple(
            ClassEstimates(
                name,
                float(hectares[i]),
                float(weight[i]),
                _estimate(area_share[i], area_variance[i], float(hectares.sum())),
                _estimate(area_share[i], area_variance[i]),
                _estimate(right[i], spread[i, i]) if is_mapped[i] else None,
                _estimate(producers[i], producers_variance[i]) if area_share[i] else None,
            )
            for i, name in enumerate(names)
        ),
    )


def format_estimate(
    value: Estimate | None, how: str = ".3f", factor: float = 1.0, unit: str = ""
) -> str:
    """Set an estimate with its margin, or a dash where there is none."""
    if value is None:
        return NO_ESTIMATE
    margin = format(factor * value.margin, how.removeprefix("+"))
    return f"{format(factor * value.value, how)} ± {margin}{unit}"


def _producers(
    weight: np.ndarray, within: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Producer's accuracy of each class and its variance: equation 7, with areas for pixels."""
    area = (weight[:, None] * within).sum(axis=0)
    area = np.where(area > 0, area, np.nan)
    accuracy = weight * within.diagonal() / area
    own = weight**2 * spread.diagonal()
    of_others = (weight[:, None] ** 2 * spread).sum(axis=0) - own
    return accuracy, ((1 - accuracy) ** 2 * own + accuracy**2 * of_others) / area**2


def _estimate(value: float, variance: float, factor: float = 1.0) -> Estimate:
    return Estimate(float(value * factor), float(Z_95 * np.sqrt(variance) * factor))


def _tabulate(names: list[str], rows: list[list[str]], head: list[str]) -> str:
    return tabulate(
        [[name, *row] for name, row in zip(names, rows, strict=True)],
        head,
        disable_numparse=True,
        colalign=("left", *["right"] * (len(head) - 1)),
    )
