"""Maps of two dates to compare, and what a comparison must say of them, by loops over all of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from conftest import CRS, TRANSFORM, write_raster
from skimage.measure import label

from lcseg.change.config import Dated
from lcseg.change.pair import MapPair, open_pair
from lcseg.classes import IGNORE, ClassScheme, LandClass, load_scheme

SCHEME = load_scheme("chesapeake-4")
N = SCHEME.n_classes
ONE = 254
"""A probability of 1, as it is stored."""


def make_scheme(n: int) -> ClassScheme:
    """A scheme of so many classes, with codes from 1."""
    classes = (LandClass(f"class {k}", f"#{40 + 9 * k:02X}80C0", (k + 1,)) for k in range(n))
    return ClassScheme(f"of {n}", tuple(classes), ignore=(0,))


def write_map(
    path: str | Path, label_hw: np.ndarray, scheme: ClassScheme = SCHEME, **options: object
) -> str:
    """Write a map as `lcseg predict` does: class indices, a palette, and names in its tags."""
    colors = {i: (*map(int, rgb), 255) for i, rgb in enumerate(scheme.palette)}
    colors[IGNORE] = (0, 0, 0, 0)
    write_raster(path, label_hw.astype(np.uint8), nodata=IGNORE, colormap=colors, **options)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(1, **{f"CLASS_{i}": name for i, name in enumerate(scheme.names)})
    return str(path)


def write_probabilities(
    path: str | Path, shares_hwk: np.ndarray, scheme: ClassScheme = SCHEME, **options: object
) -> str:
    """Write probabilities as `lcseg predict` does: shares of 254, 255 where they are not known."""
    write_raster(path, shares_hwk, nodata=IGNORE, **options)
    with rasterio.open(path, "r+") as dataset:
        for index, name in enumerate(scheme.names, start=1):
            dataset.set_band_description(index, name)
    return str(path)


@dataclass(frozen=True, eq=False)
class Maps:
    """Two maps of one grid, and perhaps their probabilities."""

    before_hw: np.ndarray  # uint8, 255 where not known.
    after_hw: np.ndarray  # Likewise.
    shares: tuple[np.ndarray, np.ndarray] | None = None  # uint8 [H, W, K] of 254, 255 not known.


def make_maps(
    seed: Sequence[int], height: int, width: int, has_probabilities: bool = False, n: int = N
) -> Maps:
    """Patches of all sizes, some of which change; holes in both, and in the probabilities."""
    random = np.random.default_rng(list(seed))
    before_hw = make_patches(random, height, width, n)
    is_new_hw = make_patches(random, height, width, 3) == 0
    after_hw = np.where(is_new_hw, make_patches(random, height, width, n), before_hw)
    is_speck_hw = random.random((height, width)) < 0.04
    after_hw = np.where(is_speck_hw, random.integers(0, n, (height, width)), after_hw)
    shares = None
    if has_probabilities:
        shares = (
            make_shares(random, before_hw, n),
            make_shares(random, after_hw.astype(np.uint8), n),
        )
    for label_hw in (before_hw, after_hw):
        label_hw[make_patches(random, height, width, 9) == 0] = IGNORE
    return Maps(before_hw.astype(np.uint8), after_hw.astype(np.uint8), shares)


def make_patches(random: np.random.Generator, height: int, width: int, n: int) -> np.ndarray:
    side = int(random.integers(1, 7))
    coarse = random.integers(0, n, (-(-height // side), -(-width // side)))
    return coarse.repeat(side, axis=0).repeat(side, axis=1)[:height, :width].astype(np.uint8)


def make_shares(random: np.random.Generator, label_hw: np.ndarray, n: int) -> np.ndarray:
    """Probabilities whose greatest is mostly that of the label; a few are not known."""
    weights_hwk = random.random((*label_hw.shape, n)) ** 2 / 3
    np.put_along_axis(weights_hwk, label_hw[..., None].astype(int), 1, axis=-1)
    shares_hwk = np.rint(ONE * weights_hwk / weights_hwk.sum(axis=-1, keepdims=True))
    shares_hwk[random.random(label_hw.shape) < 0.1] = IGNORE
    return shares_hwk.astype(np.uint8)


@contextmanager
def opened(
    folder: Path, maps: Maps, scheme: ClassScheme = SCHEME, **where: object
) -> Iterator[MapPair]:
    """Maps, written to files and open as a pair."""
    paths = [
        write_map(folder / f"{date}.tif", label_hw, scheme, **where)
        for date, label_hw in (("before", maps.before_hw), ("after", maps.after_hw))
    ]
    probabilities = ["", ""]
    if maps.shares:
        probabilities = [
            write_probabilities(folder / f"p_{date}.tif", shares_hwk, scheme, **where)
            for date, shares_hwk in zip(("before", "after"), maps.shares, strict=True)
        ]
    dates = [
        Dated(name, *files)
        for name, *files in zip(("before", "after"), paths, probabilities, strict=True)
    ]
    with open_pair(*dates, allow_ungeoreferenced=True) as pair:
        yield pair


def expect_probability(maps: Maps) -> np.ndarray | None:
    """The probability of change, float64 [H, W], NaN where it is not known; by its formula."""
    if maps.shares is None:
        return None
    before_hwk, after_hwk = (shares_hwk.astype(int) for shares_hwk in maps.shares)
    same_hw = (before_hwk * after_hwk).sum(axis=-1) / ONE**2
    is_known_hw = (before_hwk != IGNORE).all(axis=-1) & (after_hwk != IGNORE).all(axis=-1)
    return np.where(is_known_hw, np.clip(1 - same_hw, 0, 1), np.nan)


def _around(row: int, col: int, tolerance_px: int) -> tuple[slice, slice]:
    return (
        slice(max(row - tolerance_px, 0), row + tolerance_px + 1),
        slice(max(col - tolerance_px, 0), col + tolerance_px + 1),
    )


def expect_core(
    before_hw: np.ndarray, after_hw: np.ndarray, is_differing_hw: np.ndarray, tolerance_px: int
) -> np.ndarray:
    """Which differences no moved border explains, pixel by pixel."""
    is_core_hw = np.zeros(before_hw.shape, bool)
    for row, col in np.argwhere(is_differing_hw):
        near = _around(row, col, tolerance_px)
        was_near = (before_hw[near] == after_hw[row, col]).any()
        is_near = (after_hw[near] == before_hw[row, col]).any()
        is_core_hw[row, col] = not tolerance_px or not (was_near and is_near)
    return is_core_hw


def expect_believed(
    is_core_hw: np.ndarray, is_differing_hw: np.ndarray, tolerance_px: int
) -> np.ndarray:
    """Which differences are such, or beside one, pixel by pixel."""
    believed_hw = np.zeros(is_core_hw.shape, bool)
    for row, col in np.argwhere(is_differing_hw):
        believed_hw[row, col] = is_core_hw[_around(row, col, tolerance_px)].any()
    return believed_hw


@dataclass(frozen=True, eq=False)
class Expected:
    """What a comparison must find."""

    counts: tuple[int, int, int, int]  # Differing, likely, beyond edges, change.
    change_hw: np.ndarray  # bool.
    places: list[tuple[int, int, int]]  # Pixels, first row and column; the largest first.
    raw: np.ndarray  # int64 [n + 1, n + 1], no data last.
    filtered: np.ndarray  # Likewise.
    transitions_hw: np.ndarray  # uint8 codes.


def expect(
    maps: Maps, tolerance_px: int, least_px: float, min_confidence: float, n: int = N
) -> Expected:
    """Compare whole maps."""
    before_hw, after_hw = maps.before_hw, maps.after_hw
    is_known_hw = (before_hw != IGNORE) & (after_hw != IGNORE)
    is_differing_hw = is_known_hw & (before_hw != after_hw)
    probability_hw = expect_probability(maps)
    is_likely_hw = is_differing_hw.copy()
    if probability_hw is not None:
        is_likely_hw &= np.isnan(probability_hw) | (probability_hw >= min(min_confidence, 0.7))
    is_core_hw = expect_core(before_hw, after_hw, is_likely_hw, tolerance_px)
    believed_hw = expect_believed(is_core_hw, is_likely_hw, tolerance_px)
    part_hw = label(believed_hw, connectivity=1)
    change_hw, places = np.zeros_like(believed_hw), []
    for number in range(1, part_hw.max() + 1):
        is_own_hw = part_hw == number
        if is_own_hw.sum() < least_px or not is_core_hw[is_own_hw].any():
            continue
        if probability_hw is not None:
            known = probability_hw[is_own_hw]
            known = known[~np.isnan(known)]
            if len(known) and known.mean() < min_confidence:
                continue
        change_hw |= is_own_hw
        row, col = np.argwhere(is_own_hw)[0].tolist()
        places.append((int(is_own_hw.sum()), row, col))
    places.sort(key=lambda place: (-place[0], place[1:]))
    kept_hw = np.where(is_differing_hw & ~change_hw, before_hw, after_hw)
    stages = is_differing_hw, is_likely_hw, believed_hw, change_hw
    counts = tuple(int(stage.sum()) for stage in stages)
    code_hw = np.full(before_hw.shape, IGNORE)
    for i in range(n):
        for j in range(n):
            code_hw[(before_hw == i) & (kept_hw == j)] = n * i + j
    code_hw[~is_known_hw] = IGNORE
    matrices = (count_pairs(before_hw, other_hw, n) for other_hw in (after_hw, kept_hw))
    return Expected(counts, change_hw, places, *matrices, code_hw.astype(np.uint8))


def count_pairs(before_hw: np.ndarray, after_hw: np.ndarray, n: int = N) -> np.ndarray:
    """Pixels by what they were and are, no data last."""
    labels = [*range(n), IGNORE]
    return np.array(
        [[int(((before_hw == i) & (after_hw == j)).sum()) for j in labels] for i in labels]
    )


def area_on_the_ellipsoid(south: float, north: float, width: float) -> float:
    """Square metres between two parallels and two meridians of WGS 84, all in degrees.

    By the integral of the ellipsoid's zones (Snyder 1987, equation 3-12).
    """
    a, f = 6_378_137.0, 1 / 298.257223563
    e = math.sqrt(f * (2 - f))

    def zone(latitude: float) -> float:
        s = math.sin(math.radians(latitude))
        return s / (1 - (e * s) ** 2) + math.atanh(e * s) / e

    b_2 = (a * (1 - f)) ** 2
    return b_2 / 2 * math.radians(width) * (zone(north) - zone(south))


__all__ = ["CRS", "IGNORE", "TRANSFORM"]
