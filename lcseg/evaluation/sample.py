"""A sample of points for people to look at: what its file holds, written and read back.

write_sample("points.gpkg", sample, grid)
sample = read_sample("points.gpkg", grid)
sample.references                              # what people have filled in, None where nothing

The file does not tell what the map says at a point: those who look must not know.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lcseg.errors import LcsegError
from lcseg.raster.crs import transform_places
from lcseg.raster.grid import Grid
from lcseg.raster.points import Points, read_points, write_points

_WHOLE_FIELDS = ("id", "row", "col", "drawn", "seed")
_FIELDS = (*_WHOLE_FIELDS, "map_digest", "reference")
_TOLERANCE_PX = 0.5

DATES = ("before", "after")
"""Fields of points of a map of change, for the class at each date."""
_SHOWN = 8


@dataclass(frozen=True, eq=False)
class Sample:
    """Points of a map, in the order of their ids from 1, which is a shuffled one."""

    rows: np.ndarray  # int64 [n]
    cols: np.ndarray  # int64 [n]
    references: tuple[str | None, ...]  # What people saw; None: not filled in.
    map_digest: str  # Of the map that they were drawn from.
    seed: int  # That they were drawn with.


def write_sample(path: str | Path, sample: Sample, grid: Grid, is_of_change: bool = False) -> None:
    """Write a sample as points at the centres of their pixels.

    Every point carries the design of the sample, so that it is there in any format, and in a copy
    of the points too. Of a map of change people may say what was there before and after, in place
    of a transition.
    """
    n = len(sample.rows)
    x, y = grid.affine @ (sample.cols + 0.5, sample.rows + 0.5)
    fields = {
        "id": np.arange(1, n + 1, dtype=np.int32),
        "reference": np.array(sample.references, object),
        **{name: np.full(n, None, object) for name in DATES if is_of_change},
        "note": np.full(n, None, object),
        "row": sample.rows.astype(np.int32),
        "col": sample.cols.astype(np.int32),
        "map_digest": np.full(n, sample.map_digest, object),
        "drawn": np.full(n, n, np.int32),
        "seed": np.full(n, sample.seed, np.int64),
    }
    write_points(path, grid.crs, np.stack([x, y], axis=1), fields)


def read_sample(path: str | Path, grid: Grid) -> Sample:
    """Read a sample of the map on a grid.

    Raises:
        LcsegError: fields are missing or damaged, points are missing, stand twice, come from
            several samples, lie outside of the grid or were moved off their pixels.
    """
    points = read_points(path)
    lacking = [name for name in _FIELDS if name not in points.fields]
    if lacking:
        raise LcsegError(
            path, f"has no field {', '.join(lacking)}", "take points that lcseg sample has drawn"
        )
    whole = {name: _to_whole(path, name, points.fields[name]) for name in _WHOLE_FIELDS}
    digests = {str(value) for value in points.fields["map_digest"]}
    if len(digests) != 1 or len(set(whole["drawn"])) != 1 or len(set(whole["seed"])) != 1:
        raise LcsegError(path, "does not hold the points of one sample", "give it as it was drawn")
    _require_all(path, whole["id"], int(whole["drawn"][0]))
    order = np.argsort(whole["id"])
    rows, cols = whole["row"][order], whole["col"][order]
    _require_unmoved(path, points, order, rows, cols, grid)
    return Sample(
        rows,
        cols,
        _read_references(path, points, order),
        digests.pop(),
        int(whole["seed"][0]),
    )


def _read_references(path: str | Path, points: Points, order: np.ndarray) -> tuple[str | None, ...]:
    """What people filled in: a class, or those of both dates, as "water to grass"."""
    references, *dates = (
        [_to_text(value) for value in points.fields[name][order]]
        for name in ("reference", *DATES)
        if name in points.fields
    )
    if len(dates) < len(DATES):
        return tuple(references)
    pairs = list(zip(*dates, strict=True))
    is_half = [(before is None) != (after is None) for before, after in pairs]
    if any(is_half):
        ids = list_ids(np.flatnonzero(is_half) + 1)
        raise LcsegError(path, f"points {ids} have a class at one date only", "fill in the other")
    is_twice = [bool(one and before) for one, (before, _) in zip(references, pairs, strict=True)]
    if any(is_twice):
        ids = list_ids(np.flatnonzero(is_twice) + 1)
        problem = f"points {ids} have a reference, and classes of both dates as well"
        raise LcsegError(path, problem, "leave one of them empty")
    joined = [None if before is None else f"{before} to {after}" for before, after in pairs]
    return tuple(one or other for one, other in zip(references, joined, strict=True))


def list_ids(ids: Iterable[int]) -> str:
    """Name some points, the first ones only if they are many."""
    shown = sorted(int(i) for i in ids)
    more = f" and {len(shown) - _SHOWN:,} more" if len(shown) > _SHOWN else ""
    return ", ".join(map(str, shown[:_SHOWN])) + more


def _to_whole(path: str | Path, name: str, values: np.ndarray) -> np.ndarray:
    """A field of whole numbers, int64 [n], whichever way the format keeps them."""
    try:
        numbers = values.astype(np.float64)
        whole = numbers.astype(np.int64)
        if (whole == numbers).all():
            return whole
    except (TypeError, ValueError):
        pass
    raise LcsegError(path, f"its field {name} holds what is no whole number", "leave it as it was")


def _to_text(value: object) -> str | None:
    """What was filled in, without spaces around it; a number as the whole number that it is."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return str(value).strip() or None


def _require_all(path: str | Path, ids: np.ndarray, drawn: int) -> None:
    """Refuse a sample that is not whole: what was picked from it is no random sample."""
    expected, ordered = np.arange(1, drawn + 1), np.sort(ids)
    for what, wrong in (
        ("lacks", np.setdiff1d(expected, ids)),
        ("has points that were not drawn:", np.setdiff1d(ids, expected)),
        ("holds more than once", np.unique(ordered[1:][np.diff(ordered) == 0])),
    ):
        if len(wrong):
            raise LcsegError(
                path,
                f"{what} {list_ids(wrong)} of the {drawn:,} points",
                "give the sample as it was drawn",
            )


def _require_unmoved(
    path: str | Path,
    points: Points,
    order: np.ndarray,
    rows: np.ndarray,
    cols: np.ndarray,
    grid: Grid,
) -> None:
    """Refuse points that are not on the grid, or no longer at their pixels."""
    is_inside = (rows >= 0) & (rows < grid.height) & (cols >= 0) & (cols < grid.width)
    if not is_inside.all():
        ids = list_ids(np.flatnonzero(~is_inside) + 1)
        raise LcsegError(path, f"points {ids} are not on the map", "give the map that was sampled")
    xy = points.xy[order]
    has_place = np.isfinite(xy).all(axis=1)
    if points.crs is None or grid.crs is None or not has_place.any():
        # A table is known by rows and columns alone.
        return
    x, y = transform_places(points.crs, grid.crs, xy[has_place, 0], xy[has_place, 1], str(path))
    found_cols, found_rows = ~grid.affine @ (x, y)
    off_px = np.hypot(found_cols - 0.5 - cols[has_place], found_rows - 0.5 - rows[has_place])
    is_off = off_px > _TOLERANCE_PX
    if is_off.all():
        raise LcsegError(path, "its points lie elsewhere than the map says", "give the map sampled")
    if is_off.any():
        ids = list_ids(np.flatnonzero(has_place)[is_off] + 1)
        raise LcsegError(
            path, f"points {ids} were moved off their pixels", "give the sample as it was drawn"
        )
