"""Stratified random samples of a map, by which people judge it.

summary = draw_sample(SampleConfig(map="map.tif", out="points.gpkg", n=500))
print(summary.table())

The strata are the classes of the map. In each, all pixels are as likely to be drawn; by longitude
and latitude, where they are not alike, in proportion to their areas. So what is true of a share of
the points holds for that share of the area.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tabulate import tabulate

from lcseg.classes import load_scheme
from lcseg.errors import LcsegError
from lcseg.evaluation.config import SampleConfig
from lcseg.evaluation.sample import Sample, write_sample
from lcseg.evaluation.strata import Strata, count_strata
from lcseg.raster.class_map import ClassMap, open_class_map
from lcseg.raster.dataset import bounded_cache
from lcseg.transitions import classes_of

ALLOCATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "proportional": lambda hectares: hectares,
    "equal": lambda hectares: np.ones(len(hectares)),
}
"""What the points of the classes are proportional to, by the areas of the classes."""

_SPARE = 20


@dataclass(frozen=True)
class SampleSummary:
    """What was drawn."""

    names: tuple[str, ...]  # Of the classes.
    pixels: tuple[int, ...]  # Of the map, by class.
    hectares: tuple[float, ...]  # Of the map, by class.
    points: tuple[int, ...]  # Drawn, by class.

    def table(self) -> str:
        """Set the strata as text."""
        total = sum(self.hectares)
        rows = [
            [name, f"{pixels:,}", f"{hectares:,.1f}", f"{100 * hectares / total:.1f} %", f"{n:,}"]
            for name, pixels, hectares, n in zip(
                self.names, self.pixels, self.hectares, self.points, strict=True
            )
        ]
        return tabulate(
            rows,
            ["class", "pixels", "hectares", "share", "points"],
            disable_numparse=True,
            colalign=("left", *["right"] * 4),
        )


def draw_sample(config: SampleConfig) -> SampleSummary:
    """Draw points from a map and write them for people to fill in."""
    if Path(config.out).exists():
        raise LcsegError(config.out, "exists already", "name another file, or remove it first")
    scheme = load_scheme(config.classes) if config.classes else None
    with bounded_cache(), open_class_map(config.map, scheme) as mapped:
        strata = count_strata(mapped, config.quiet)
        n = config.n or plan_size(strata.hectares, config.accuracies, config.standard_error)
        weights = ALLOCATIONS[config.allocation](strata.hectares)
        points = allocate(strata.pixels, weights, n, config.min_per_class)
        rows, cols = draw_points(mapped, strata, points, config.seed)
        sample = Sample(rows, cols, (None,) * n, strata.digest, config.seed)
        write_sample(config.out, sample, mapped.grid, bool(classes_of(mapped.scheme)))
    return SampleSummary(
        mapped.scheme.names,
        tuple(strata.pixels.tolist()),
        tuple(strata.hectares.tolist()),
        tuple(points.tolist()),
    )


def plan_size(hectares: np.ndarray, accuracies: tuple[float, ...], standard_error: float) -> int:
    """How many points give overall accuracy a standard error: Olofsson et al. 2014, equation 13.

    Args:
        hectares: mapped area of each class, float64 [n].
        accuracies: user's accuracy that is expected of each class, or one for all.
        standard_error: of overall accuracy, as a share.
    """
    if len(accuracies) not in (1, len(hectares)):
        raise LcsegError(
            "--expected_accuracy",
            f"has {len(accuracies)} values, the map has {len(hectares)} classes",
            "give one for all, or one for each class in their order",
        )
    expected = np.broadcast_to(accuracies, len(hectares))
    deviation = hectares / hectares.sum() @ np.sqrt(expected * (1 - expected))
    # What is a whole number but for rounding is that number.
    return max(math.ceil((deviation / standard_error) ** 2 - 1e-9), 2 * len(hectares))


def allocate(pixels: np.ndarray, weights: np.ndarray, n: int, min_per_class: int) -> np.ndarray:
    """Share points out among classes in proportion to weights, within their bounds.

    Args:
        pixels: of each class, int64 [k]; no class gets more points than that.
        weights: float64 [k].
        n: points to share out.
        min_per_class: points that each class gets at least, if it has as many pixels.

    Returns:
        int64 [k], whose sum is n. A class without pixels gets none.
    """
    least = np.minimum(pixels, min_per_class)
    if not least.sum() <= n <= pixels.sum():
        raise LcsegError(
            f"{n:,} points",
            f"the map takes at least {least.sum():,}, {min_per_class} for each class "
            f"(--min_per_class), and has {pixels.sum():,} pixels",
            "give another --n or --min_per_class",
        )
    low, high = 0.0, n / weights[pixels > 0].min()
    for _ in range(200):
        middle = (low + high) / 2
        if np.clip(middle * weights, least, pixels).sum() < n:
            low = middle
        else:
            high = middle
    shares = np.clip(high * weights, least, pixels)
    points = np.floor(shares).astype(np.int64)
    # What rounding down leaves over goes to the largest remainders.
    points[np.argsort(points - shares, kind="stable")[: n - points.sum()]] += 1
    return points


def draw_points(
    mapped: ClassMap, strata: Strata, points: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw pixels of each class, none twice: rows and columns, int64 [n] each, shuffled.

    Args:
        mapped: the open map.
        strata: of the map.
        points: how many of each class, int64 [k].
        seed: the same gives the same pixels.
    """
    drawn = []
    for label in np.flatnonzero(points).tolist():
        random = np.random.default_rng([seed, label])
        ranks = _draw_ranks(strata, label, int(points[label]), random)
        drawn.append(np.stack(strata.locate(mapped, label, ranks)))
    places = np.concatenate(drawn, axis=1)
    order = np.random.default_rng([seed, len(points)]).permutation(places.shape[1])
    rows, cols = places[:, order]
    return rows, cols


def _draw_ranks(strata: Strata, label: int, n: int, random: np.random.Generator) -> np.ndarray:
    """Ranks of pixels of a class, int64 [n]: a pixel of half the area is kept half as often."""
    counts = strata.row_pixels[:, label]
    largest_m2 = strata.row_m2[counts > 0].max()
    total = int(counts.sum())
    thinned = largest_m2 * total / (strata.row_m2 @ counts)
    candidates = random.choice(
        total, min(math.ceil(2 * n * thinned) + _SPARE, total), replace=False
    )
    area_m2 = strata.row_m2[strata.locate_rows(label, candidates)]
    is_kept = random.random(len(candidates)) * largest_m2 <= area_m2
    # Where hardly a pixel is left, those that were not kept are taken after all.
    return np.concatenate([candidates[is_kept], candidates[~is_kept]])[:n]
