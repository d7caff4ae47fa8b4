"""Rasters that lcseg writes: Cloud-Optimized GeoTIFFs, written by windows.

with write_cog("map.tif", grid, class_map_profile(scheme)) as writer:
    writer.write(window, label_hw)
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.transform import Affine

from lcseg.classes import IGNORE, ClassScheme
from lcseg.errors import LcsegError
from lcseg.files import replaced
from lcseg.raster.dataset import open_raster, to_rasterio
from lcseg.raster.grid import GDAL_ERRORS, Grid, Window, cover
from lcseg.raster.legend import aux_path, write_legend

BLOCK_PX = 512
_COMPARE_PX = 2048

_DEFLATE_LEVEL = 5
"""A map is 4 % larger than at GDAL's own level, 6, and is made in a third of the time."""


_MOST_OPEN = 32
"""Files that GDAL holds open of a raster in many pieces: each takes a megabyte or two. A row of the
pieces of a state is fewer."""


@dataclass(frozen=True)
class CogProfile:
    """What a raster holds."""

    dtype: str  # Of every band.
    bands: tuple[str, ...]  # Their descriptions.
    nodata: float | None = None  # The value of pixels without data; None: all have data.
    overviews: str = "average"  # How overviews are made: a resampling of GDAL.
    scheme: ClassScheme | None = None  # Gives a palette and class names; None: not a class map.
    scale: float = 1.0  # What a value of 1 stands for.
    tags: dict[str, str] = field(default_factory=dict)  # Metadata of the raster.


class CogWriter:
    """Takes the windows of a raster, in any order."""

    def __init__(self, dataset: rasterio.io.DatasetWriter) -> None:
        self._dataset = dataset

    def write(self, window: Window, values: np.ndarray) -> None:
        """Write [H, W] or [H, W, C] values; what overhangs the raster is dropped."""
        inside = window.clip(self._dataset.height, self._dataset.width)
        values_hwc = values.reshape(*values.shape[:2], -1)[inside.within(window).slices]
        self._dataset.write(np.moveaxis(values_hwc, -1, 0), window=to_rasterio(inside))


def class_map_profile(scheme: ClassScheme, tags: dict[str, str] | None = None) -> CogProfile:
    """The profile of a class map: uint8 class indices, 255 where there is no data."""
    return CogProfile("uint8", ("class",), IGNORE, "mode", scheme, tags=tags or {})


@contextmanager
def write_cog(path: str | Path, grid: Grid, profile: CogProfile) -> Iterator[CogWriter]:
    """Write a COG; it appears at `path` when the block ends without an error, or not at all.

    The windows go to an uncompressed file beside `path`, which is then copied into a COG.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replaced(path) as finished, _scratch_beside(path) as scratch:
            with _open_scratch(scratch, grid, profile) as dataset:
                yield CogWriter(dataset)
            _require_whole(scratch, grid, profile)
            copy_to_cog(scratch, finished, profile)
        aux_path(path).unlink(missing_ok=True)
        if profile.scheme:
            write_legend(path, profile.scheme)
    except GDAL_ERRORS as error:
        raise LcsegError(path, f"cannot be written: {error}", "is the disk full?") from error


def copy_to_cog(source: Path, finished: Path, profile: CogProfile) -> None:
    """Copy a raster that lies in other files into a COG, by windows, and see that it is there."""
    with rasterio.Env(GDAL_MAX_DATASET_POOL_SIZE=_MOST_OPEN):
        rasterio.shutil.copy(
            source,
            finished,
            driver="COG",
            COMPRESS="DEFLATE",
            LEVEL=_DEFLATE_LEVEL,
            PREDICTOR="NO" if profile.scheme else "YES",
            BLOCKSIZE=BLOCK_PX,
            OVERVIEW_RESAMPLING=profile.overviews.upper(),
            NUM_THREADS="ALL_CPUS",
            BIGTIFF="IF_SAFER",
        )
    aux_path(finished).unlink(missing_ok=True)
    _sync(finished)
    _require_equal(finished, source)


def replace_cog(source: Path, path: Path, profile: CogProfile) -> None:
    """Copy a raster into a COG at `path`, which appears whole or not at all."""
    try:
        with replaced(path) as finished:
            copy_to_cog(source, finished, profile)
    except GDAL_ERRORS as error:
        raise LcsegError(path, f"cannot be written: {error}", "is the disk full?") from error


@contextmanager
def _scratch_beside(path: Path) -> Iterator[Path]:
    """Yield the path of a scratch file beside `path`, which is removed at the end."""
    scratch = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.scratch.tif")
    try:
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Have the disk say now whether it holds a file: a full one is an OSError here."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _open_scratch(path: Path, grid: Grid, profile: CogProfile) -> rasterio.io.DatasetWriter:
    dataset = rasterio.open(path, "w", **tiled(grid, profile))
    describe(dataset, profile)
    return dataset


def tiled(grid: Grid, profile: CogProfile) -> dict[str, Any]:
    """How rasterio is to make a tiled GeoTIFF, uncompressed."""
    return {
        "driver": "GTiff",
        "height": grid.height,
        "width": grid.width,
        "count": len(profile.bands),
        "dtype": profile.dtype,
        "crs": grid.crs,
        "transform": Affine(*grid.transform),
        "nodata": profile.nodata,
        "tiled": True,
        "blockxsize": BLOCK_PX,
        "blockysize": BLOCK_PX,
        "bigtiff": "IF_SAFER",
    }


def describe(dataset: rasterio.io.DatasetWriter, profile: CogProfile) -> None:
    """Have a raster say what it holds."""
    dataset.update_tags(**profile.tags)
    dataset.scales = [profile.scale] * len(profile.bands)
    for index, name in enumerate(profile.bands, start=1):
        dataset.set_band_description(index, name)
    if profile.scheme:
        colors = {i: (*map(int, rgb), 255) for i, rgb in enumerate(profile.scheme.palette)}
        dataset.write_colormap(1, {**colors, IGNORE: (0, 0, 0, 0)})
        names = {f"CLASS_{i}": name for i, name in enumerate(profile.scheme.names)}
        dataset.update_tags(1, **names)


def _require_whole(scratch: Path, grid: Grid, profile: CogProfile) -> None:
    """GDAL does not tell of blocks that it failed to flush at closing; the file's size does."""
    blocks = -(-grid.height // BLOCK_PX) * -(-grid.width // BLOCK_PX)
    expected = blocks * BLOCK_PX**2 * len(profile.bands) * np.dtype(profile.dtype).itemsize
    if scratch.stat().st_size < expected:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(scratch))


def _require_equal(finished: Path, scratch: Path) -> None:
    """Read everything back: nor does GDAL tell of what it failed to write to the COG at closing."""
    with rasterio.open(finished, NUM_THREADS="ALL_CPUS") as cog, rasterio.open(scratch) as source:
        for window in cover(cog.height, cog.width, _COMPARE_PX):
            place = to_rasterio(window.clip(cog.height, cog.width))
            if cog.read(window=place).tobytes() != source.read(window=place).tobytes():
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(finished))
        n_overviews = len(cog.overviews(1))
    for level in range(n_overviews):
        with rasterio.open(finished, overview_level=level, NUM_THREADS="ALL_CPUS") as overview:
            for window in cover(overview.height, overview.width, _COMPARE_PX):
                overview.read(window=to_rasterio(window.clip(overview.height, overview.width)))


def read_class_names(path: str) -> tuple[str, ...]:
    """The class names of a map that lcseg wrote; empty for any other raster."""
    with open_raster(path) as dataset:
        tags = dataset.tags(1)
    names: list[str] = []
    while f"CLASS_{len(names)}" in tags:
        names.append(tags[f"CLASS_{len(names)}"])
    return tuple(names)


def read_tags(path: str | Path) -> dict[str, str]:
    """The metadata of a raster."""
    with open_raster(str(path)) as dataset:
        tags: dict[str, str] = dataset.tags()
    return tags


def read_class_map(path: str) -> np.ndarray:
    """Read a whole class map, uint8 [H, W]."""
    with open_raster(path) as dataset:
        return dataset.read(1)
