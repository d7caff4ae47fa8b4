"""Open rasters of any kind: opened, placed, and read by windows, with errors that name the file.

with bounded_cache(), open_raster("scene.tif") as dataset:
    grid = grid_of(dataset)
    bands_chw = read_bands(dataset, [1, 2], Window(0, 0, 256, 256), "scene.tif")
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from rasterio._env import get_gdal_config, set_gdal_config
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window as RasterioWindow

from lcseg.errors import LcsegError
from lcseg.raster.grid import GDAL_ERRORS, Grid, Window
from lcseg.raster.header import require_readable


@contextmanager
def open_raster(path: str, overview: int | None = None) -> Iterator[rasterio.DatasetReader]:
    """Open any raster; what GDAL cannot open or read by windows is an LcsegError.

    Args:
        path: the raster.
        overview: the number of one of its overviews, from 0, to open that; None: itself.
    """
    level = {} if overview is None else {"overview_level": overview}
    try:
        with warnings.catch_warnings():
            # Missing georeferencing is decided by require_crs, not by a warning.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(path, **level)
    except UnicodeEncodeError as error:
        raise LcsegError(ascii(path), "has a name that is not UTF-8", "rename it") from error
    except GDAL_ERRORS as error:
        reason = _say_reason(str(error), path)
        raise LcsegError(path, f"is not a raster that can be opened: {reason}") from error
    with dataset:
        require_readable(dataset, path)
        yield dataset


@contextmanager
def bounded_cache(megabytes: int = 128) -> Iterator[None]:
    """Bound the memory in which GDAL keeps decoded blocks, of all rasters together.

    By default that is 5 % of the machine's memory, so that on a large machine a process grows with
    the scene that it reads until it holds gigabytes of blocks which nobody asks for again.
    """
    with rasterio.Env():
        _BOUNDS.enter(megabytes)
        try:
            yield
        finally:
            _BOUNDS.leave()


class _Bounds:
    """Counts who wants the cache bounded: it is one for all threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: int | None = None

    def enter(self, megabytes: int) -> None:
        with self._lock:
            if not self._users:
                self._before = get_gdal_config(_CACHE)
                # GDAL takes a small number for megabytes, rasterio always for bytes.
                set_gdal_config(_CACHE, megabytes << 20)
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users and self._before is not None:
                set_gdal_config(_CACHE, self._before)


_CACHE = "GDAL_CACHEMAX"
_BOUNDS = _Bounds()


def source_files(raster: rasterio.DatasetReader | str) -> tuple[str, ...]:
    """The files that a raster, open or named by its path, is read from.

    Beside the raster itself those are its sidecars (masks, overviews, world files) and the
    sources of a VRT, and theirs.
    """
    if isinstance(raster, str):
        with open_raster(raster) as dataset:
            return source_files(dataset)
    files = dict.fromkeys(raster.files)
    nested = [file for file in files if file.endswith(".vrt") and file != raster.name]
    return tuple(files | dict.fromkeys(deep for file in nested for deep in source_files(file)))


def identify(paths: Sequence[str]) -> tuple[tuple[str, int, int], ...]:
    """Path, size in bytes and time of the last change in ns, of what rasters are read from.

    What is not a file here, as on the web, is taken to be as it was.
    """
    stats = [(path, Path(path).stat()) for path in paths if Path(path).is_file()]
    return tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats)


def to_absolute(path: str) -> str:
    """A path that means the same in another process; those of GDAL's virtual systems do anyway."""
    return path if path.startswith("/vsi") or "://" in path else os.path.abspath(path)  # noqa: PTH100


def grid_of(dataset: rasterio.DatasetReader) -> Grid:
    """The pixel grid of an open raster; a CRS without a geotransform places nothing."""
    is_placed = dataset.crs and not dataset.transform.is_identity
    crs = dataset.crs.to_string() if is_placed else None
    return Grid(dataset.height, dataset.width, tuple(dataset.transform)[:6], crs)


def read_bands(
    dataset: rasterio.DatasetReader,
    indexes: list[int],
    window: Window,
    path: str,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Read bands of a window inside of the raster, [C, H, W]; damage is an LcsegError.

    Args:
        dataset: the open raster.
        indexes: of the bands, from 1.
        window: lies wholly inside of the raster.
        path: of the raster, for errors.
        out: the array to fill, [C, H, W] of any strides; None: a new one.
    """
    try:
        return dataset.read(indexes, window=to_rasterio(window), out=out)
    except GDAL_ERRORS as error:
        raise _damage(path, window) from error


def read_mask(
    dataset: rasterio.DatasetReader, indexes: list[int], window: Window, path: str
) -> np.ndarray:
    """Read where the masks of all these bands say that there is data, bool [H, W]."""
    try:
        return (dataset.read_masks(indexes, window=to_rasterio(window)) > 0).all(axis=0)
    except GDAL_ERRORS as error:
        raise _damage(path, window) from error


def find_masks(dataset: rasterio.DatasetReader, indexes: list[int]) -> list[int]:
    """Those of the bands whose masks say more than nodata values and transparency do.

    A mask of the whole raster needs to be read once only; those of single bands, as VRTs have
    them, carry no flag at all.
    """
    flags = {i: dataset.mask_flag_enums[i - 1] for i in indexes}
    of_all = [
        i for i, f in flags.items() if MaskFlags.per_dataset in f and MaskFlags.alpha not in f
    ]
    return of_all[:1] + [i for i, f in flags.items() if not f]


def to_rasterio(window: Window) -> RasterioWindow:
    return RasterioWindow(window.col, window.row, window.width, window.height)


def _damage(path: str, window: Window) -> LcsegError:
    return LcsegError(
        path,
        f"cannot be read at row {window.row}, column {window.col}",
        "the file is truncated or damaged; get it anew",
    )


def _say_reason(text: str, path: str) -> str:
    """What GDAL said, without the path, which it names in several ways and more than once."""
    for name in (f"'{path}' ", f"{path}:", f"{Path(path).name}:"):
        text = text.replace(name, "")
    return text.strip()
