"""Places of an image whose labels are suspected to be wrong, as their file now has them.

listing = list_suspects(dataset)               # read again only where the file has changed
listing.suspects[7].verdict
listing.bounds[7]                              # west, south, east, north

They are those that lie on the image and, where the data set names its scene, are of that or of any.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from lcseg.errors import LcsegError
from lcseg.raster.area import Outlines
from lcseg.raster.crs import LONLAT, transform_places
from lcseg.raster.grid import Grid
from lcseg.raster.vector import read_driver
from lcseg.records.suspects import Suspect, read_suspects
from lcseg.serving.dataset import Dataset

State = tuple[tuple[int, int, int], ...]
"""By which a file and its journal are known: number, size, and time of the last change in ns."""

_PLAIN = ("GPKG", "GeoJSON", "ESRI Shapefile", "FlatGeobuf", "CSV")
"""Formats that hold their features themselves; others name files and hosts."""

_KIND = "Polygon"
_TRIES = 3


@dataclass(frozen=True, eq=False)
class Listing:
    """Suspects of an image, as they were when their file was read."""

    version: str  # Changes with the file.
    suspects: dict[int, Suspect]  # By id, the most certain first; shapes by longitude and latitude.

    @functools.cached_property
    def bounds(self) -> dict[int, tuple[float, float, float, float]]:
        """West, south, east and north of each."""
        return {number: suspect.shape.bounds for number, suspect in self.suspects.items()}


def list_suspects(dataset: Dataset) -> Listing:
    """The suspects of a data set that has a file of them.

    Raises:
        LcsegError: the file cannot be read, or does not say where they lie.
    """
    path = dataset.entry.suspects
    for _ in range(_TRIES):
        state = _find_state(path)
        listing = _read(path, dataset.entry.scene, dataset.grid, state)
        if _find_state(path) == state:
            return listing
        # What was read is not of the state that it is kept under.
        _read.cache_clear()
    raise LcsegError(path, "changes while it is read")


def _find_state(path: str) -> State:
    try:
        stats = [Path(path).stat()]
    except OSError as error:
        raise LcsegError(path, f"cannot be read: {error.strerror}") from error
    with contextlib.suppress(FileNotFoundError):
        # What other programs have said, and not yet written to the file itself.
        stats.append(Path(f"{path}-wal").stat())
    return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)


@functools.lru_cache(maxsize=16)
def _read(path: str, scene: str, grid: Grid, state: State) -> Listing:
    driver = read_driver(path, _KIND)
    if driver not in _PLAIN:
        raise LcsegError(
            path,
            f"is a {driver}, which may show any file of this machine",
            f"convert it to one of {', '.join(_PLAIN)} (ogr2ogr)",
        )
    version = hashlib.sha256(repr(state).encode()).hexdigest()[:16]
    crs, suspects = read_suspects(path)
    if not suspects:
        return Listing(version, {})
    if crs is None:
        raise LcsegError(path, "does not say in which CRS it is", "set it (ogr2ogr -a_srs)")
    shapes = [suspect.shape for suspect in suspects]
    placed = Outlines(shapes, crs, path).place(
        grid, lambda n: not scene or suspects[n].scene in ("", scene)
    )
    found: dict[int, Suspect] = {}
    for n in sorted(placed, key=lambda n: suspects[n].id):
        own = dataclasses.replace(suspects[n], shape=_to_lonlat(shapes[n], crs, path))
        found[own.id] = _join(found[own.id], own) if own.id in found else own
    return Listing(version, found)


def _join(one: Suspect, other: Suspect) -> Suspect:
    """A suspect that stands in several rows, as people cut polygons."""
    return dataclasses.replace(
        one,
        shape=shapely.union_all([one.shape, other.shape]),
        pixels=one.pixels + other.pixels,
        area_m2=one.area_m2 + other.area_m2,
    )


def _to_lonlat(shape: shapely.Geometry, crs: str, path: str) -> shapely.Geometry:
    def project(places: np.ndarray) -> np.ndarray:
        return np.stack(transform_places(crs, LONLAT, places[:, 0], places[:, 1], path), axis=1)

    return shapely.transform(shape, project)


def say_number(value: float) -> float | None:
    """A number as JSON has it; None: not known."""
    return value if math.isfinite(value) else None
