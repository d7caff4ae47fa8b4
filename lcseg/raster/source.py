"""Image rasters, read by windows, with what is missing in them.

with open_image("scene.tif") as image:
    image_hwc, valid_hw = image.read(Window(0, 0, 256, 256))
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import rasterio
from rasterio.enums import ColorInterp

from lcseg.errors import LcsegError
from lcseg.raster.dataset import find_masks, grid_of, open_raster, read_bands, read_mask
from lcseg.raster.grid import Grid, Window
from lcseg.raster.transparency import find_transparency

DTYPES = ("uint8", "uint16", "int16", "float32")
"""The pixel types that images may have."""

_UNNAMED = "band_"


class Imagery(Protocol):
    """Windows of pixels on one grid, wherever they come from."""

    path: str  # By which errors name it.
    grid: Grid
    dtype: str  # Of the pixels.
    bands: tuple[str, ...]  # Their names.

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window, which may overhang the grid on any side.

        Returns:
            The pixels [H, W, C] of `dtype`, and whether each is valid, bool [H, W]. Outside of the
            grid none is; invalid pixels are 0 in every band.
        """


class ImageSource:
    """An open image raster: `grid`, `dtype`, `bands`, `numbers`, `alpha`, `date`, and windows.

    A band tagged as alpha is transparency only if it behaves so (`transparency`); else it is a
    band like the others, as the near infrared of NAIP is.
    """

    def __init__(
        self,
        path: str,
        dataset: rasterio.DatasetReader,
        alpha: int | None = None,
        bands: Sequence[str] = (),
    ) -> None:
        self.path = path
        if not dataset.count:
            raise LcsegError(path, "has no bands of its own", "name one of its subdatasets")
        self.grid = grid_of(dataset)
        self.dtype = dataset.dtypes[0]
        if self.dtype not in DTYPES or len(set(dataset.dtypes)) > 1:
            raise LcsegError(
                path,
                f"has pixels of type {', '.join(sorted(set(dataset.dtypes)))}",
                f"convert it to one of {', '.join(DTYPES)} (gdal_translate -ot)",
            )
        self._dataset = dataset
        self.alpha = (find_transparency(dataset, path) or 0) if alpha is None else alpha
        self._indexes = [i for i in dataset.indexes if i != self.alpha]
        if not self._indexes:
            raise LcsegError(path, "has no band but transparency")
        if bands:
            self._indexes = _choose_bands(dataset, bands, path)
            # Who asks for it by name or number knows what it is.
            self.alpha = 0 if self.alpha in self._indexes else self.alpha
        self.bands = tuple(_name_band(dataset, i) for i in self._indexes)
        self.numbers = tuple(map(str, self._indexes))
        self.date = _read_date(dataset)
        self._nodata = _list_nodata(dataset, self._indexes)
        self._masks = find_masks(dataset, self._indexes)

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window, which may overhang the image on any side.

        Returns:
            The pixels, C-contiguous [H, W, C] of the image's dtype, and whether each is valid,
            bool [H, W]. A pixel is invalid outside of the image, where a mask (of any band) or
            transparency says so, where all bands that have a nodata value hold it (any band, for
            float images: there nodata is never a measurement), and where any band is not finite.
            Invalid pixels are 0 in every band.
        """
        inside = window.clip(self.grid.height, self.grid.width)
        shape = window.height, window.width
        if inside == window:
            image_hwc = np.empty((*shape, len(self._indexes)), self.dtype)
            valid_hw = np.ones(shape, bool)
            self._read_inside(inside, image_hwc, valid_hw)
            return image_hwc, valid_hw
        image_hwc = np.zeros((*shape, len(self._indexes)), self.dtype)
        valid_hw = np.zeros(shape, bool)
        if inside.height and inside.width:
            place = inside.within(window).slices
            valid_hw[place] = True
            self._read_inside(inside, image_hwc[place], valid_hw[place])
        return image_hwc, valid_hw

    def _read_inside(self, window: Window, image_hwc: np.ndarray, valid_hw: np.ndarray) -> None:
        """Fill views of a window that lies inside of the image; `valid_hw` comes all True."""
        # GDAL writes through any strides; turning [C, H, W] afterwards takes longer than reading.
        chw = image_hwc.transpose(2, 0, 1)
        read_bands(self._dataset, self._indexes, window, self.path, out=chw)
        self._drop_missing(image_hwc, valid_hw)
        if self.alpha:
            valid_hw &= read_bands(self._dataset, [self.alpha], window, self.path)[0] > 0
        if self._masks:
            valid_hw &= read_mask(self._dataset, self._masks, window, self.path)
        if not valid_hw.any():
            # Choosing all pixels by a mask takes longer than reading them.
            image_hwc[...] = 0
        elif not valid_hw.all():
            image_hwc[~valid_hw] = 0

    def _drop_missing(self, image_hwc: np.ndarray, valid_hw: np.ndarray) -> None:
        """Clear `valid_hw` where the values themselves say that there is no data."""
        if image_hwc.dtype.kind == "f":
            valid_hw &= np.isfinite(image_hwc).all(axis=-1)
            for channel, value in self._nodata:
                valid_hw &= image_hwc[..., channel] != value
        elif self._nodata:
            channel, value = self._nodata[0]
            missing_hw = image_hwc[..., channel] == value
            for channel, value in self._nodata[1:]:
                if not missing_hw.any():
                    break
                missing_hw &= image_hwc[..., channel] == value
            valid_hw &= ~missing_hw


@contextmanager
def open_image(
    path: str,
    alpha: int | None = None,
    bands: Sequence[str] = (),
    overview: int | None = None,
) -> Iterator[ImageSource]:
    """Open an image raster for reading by windows.

    Args:
        path: the image raster.
        alpha: band that is transparency, as an earlier look at the image has found, 0: none. None:
            it is found out, which takes reading some blocks.
        bands: names, or numbers from 1, of the bands to read, in this order; none: all.
        overview: the number of one of its overviews, from 0, to read that; None: itself.
    """
    with open_raster(path, overview) as dataset:
        yield ImageSource(path, dataset, alpha, bands)


def _list_nodata(
    dataset: rasterio.DatasetReader, indexes: list[int]
) -> list[tuple[int, int | float]]:
    """(channel, value) of the bands that define a nodata value which a pixel can hold."""
    found = [(k, dataset.nodatavals[i - 1]) for k, i in enumerate(indexes)]
    # What is not finite is missing anyhow, and what the type cannot hold rasterio leaves out.
    defined = [(k, v) for k, v in found if v is not None and np.isfinite(v)]
    if np.dtype(dataset.dtypes[0]).kind == "f":
        return defined
    # Compared as integers; as floats they would turn every window into floats first.
    return [(k, int(v)) for k, v in defined if v == int(v)]


def _read_date(dataset: rasterio.DatasetReader) -> str:
    """When the image was taken, in ISO 8601; empty where it does not say so.

    TIFFTAG_DATETIME is not asked: it is when the file was made.
    """
    text = dataset.tags(ns="IMAGERY").get("ACQUISITIONDATETIME", "").strip()
    for parse in (datetime.date.fromisoformat, datetime.datetime.fromisoformat):
        try:
            return parse(text).isoformat()
        except ValueError:
            continue
    return ""


def bands_agree(bands: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether bands agree in number, and in name wherever both sides have a name of their own."""
    return len(bands) == len(others) and all(
        band == other or band.startswith(_UNNAMED) or other.startswith(_UNNAMED)
        for band, other in zip(bands, others, strict=True)
    )


def _choose_bands(dataset: rasterio.DatasetReader, bands: Sequence[str], path: str) -> list[int]:
    """The indexes of bands that are named or numbered."""
    names = {index: _name_band(dataset, index) for index in dataset.indexes}
    by_name = {name.casefold(): index for index, name in reversed(names.items())}
    chosen = []
    for band in bands:
        index = int(band) if band.isdecimal() else by_name.get(band.casefold(), 0)
        if index not in names:
            there = ", ".join(f"{i} {name}" for i, name in names.items())
            raise LcsegError(path, f"has no band {band}; it has {there}", "name others in --bands")
        chosen.append(index)
    return chosen


def _name_band(dataset: rasterio.DatasetReader, index: int) -> str:
    """The band's description, else its colour, else band_N."""
    colors = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    color = dataset.colorinterp[index - 1]
    return dataset.descriptions[index - 1] or (
        color.name if color in colors else f"{_UNNAMED}{index}"
    )
