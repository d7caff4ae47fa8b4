"""Image rasters, read by windows, with what is missing in them.

with open_image("scene.tif") as image:
    image_hwc, valid_hw = image.read(Window(0, 0, 256, 256))
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window as RasterioWindow

from lcseg.errors import LcsegError
from lcseg.raster.grid import GDAL_ERRORS, Grid, Window

DTYPES = ("uint8", "uint16", "int16", "float32")
"""The pixel types that images may have."""

_ALPHA_SAMPLES = 5
_ALPHA_SAMPLE_PX = 128
_UNNAMED = "band_"
_ALPHA_SHARE = 0.95


class ImageSource:
    """An open image raster: `grid`, `dtype`, band names, and windows of pixels.

    A band tagged as alpha is transparency only if it looks like it (where it is not fully clear,
    nearly all of it is fully opaque); else it is a band like the others, as the near infrared of
    NAIP is.
    """

    def __init__(self, path: str, dataset: rasterio.DatasetReader) -> None:
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
        self._alpha = _find_transparency(dataset, path)
        self._indexes = [i for i in dataset.indexes if i != self._alpha]
        if not self._indexes:
            raise LcsegError(path, "has no band but transparency")
        self.bands = tuple(_name_band(dataset, i) for i in self._indexes)
        flags = dataset.mask_flag_enums[0]
        self._has_mask = MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window, which may overhang the image.

        Returns:
            The pixels, [H, W, C] of the image's dtype, and whether each is valid, bool [H, W].
            A pixel is invalid outside of the image, where a mask or transparency says so, where
            every band holds the nodata value (any band, for float images: there nodata is never
            a measurement), and where any band is not finite. Invalid pixels are 0 in every band.
        """
        image_hwc = np.zeros((window.height, window.width, len(self._indexes)), self.dtype)
        valid_hw = np.zeros((window.height, window.width), bool)
        inside = window.clip(self.grid.height, self.grid.width)
        if inside.height and inside.width:
            place = inside.within(window).slices
            image_hwc[place], valid_hw[place] = self._read_inside(inside)
        return image_hwc, valid_hw

    def _read_inside(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        image_chw = read_bands(self._dataset, self._indexes, window, self.path)
        valid_hw = self._find_valid(image_chw)
        if self._alpha:
            valid_hw &= read_bands(self._dataset, [self._alpha], window, self.path)[0] > 0
        if self._has_mask:
            valid_hw &= read_mask(self._dataset, 1, window, self.path)
        if not valid_hw.all():
            image_chw = np.where(valid_hw, image_chw, np.zeros((), image_chw.dtype))
        return np.moveaxis(image_chw, 0, -1), valid_hw

    def _find_valid(self, image_chw: np.ndarray) -> np.ndarray:
        is_float = image_chw.dtype.kind == "f"
        valid_hw = np.ones(image_chw.shape[1:], bool)
        if is_float:
            valid_hw &= np.isfinite(image_chw).all(axis=0)
        nodata = [self._dataset.nodatavals[i - 1] for i in self._indexes]
        is_nodata = [b == v for b, v in zip(image_chw, nodata, strict=True) if v is not None]
        if len(is_nodata) == len(nodata) or (is_float and is_nodata):
            combine = np.logical_or if is_float else np.logical_and
            valid_hw &= ~combine.reduce(is_nodata)
        return valid_hw


@contextmanager
def open_raster(path: str) -> Iterator[rasterio.DatasetReader]:
    """Open any raster; what GDAL cannot open or read is an LcsegError."""
    try:
        with warnings.catch_warnings():
            # Missing georeferencing is decided by require_crs, not by a warning.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(path)
    except GDAL_ERRORS as error:
        reason = str(error).removeprefix(f"'{path}' ").removeprefix(f"{path}: ")
        raise LcsegError(path, f"is not a raster that can be opened: {reason}") from error
    with dataset:
        yield dataset


@contextmanager
def open_image(path: str) -> Iterator[ImageSource]:
    """Open an image raster for reading by windows."""
    with open_raster(path) as dataset:
        yield ImageSource(path, dataset)


def require_crs(path: str, grid: Grid, allow_ungeoreferenced: bool) -> None:
    """Refuse a raster without a CRS, unless that is allowed."""
    if grid.crs is None and not allow_ungeoreferenced:
        raise LcsegError(
            path,
            "has no coordinate reference system",
            "georeference it (gdal_edit.py -a_srs), or pass --allow_ungeoreferenced",
        )


def grid_of(dataset: rasterio.DatasetReader) -> Grid:
    """The pixel grid of an open raster."""
    crs = dataset.crs.to_string() if dataset.crs else None
    return Grid(dataset.height, dataset.width, tuple(dataset.transform)[:6], crs)


def read_bands(
    dataset: rasterio.DatasetReader, indexes: list[int], window: Window, path: str
) -> np.ndarray:
    """Read bands of a window inside of the raster, [C, H, W]; damage is an LcsegError."""
    try:
        return dataset.read(indexes, window=to_rasterio(window))
    except GDAL_ERRORS as error:
        raise _damage(path, window) from error


def read_mask(dataset: rasterio.DatasetReader, index: int, window: Window, path: str) -> np.ndarray:
    """Read where the mask of a band says that there is data, bool [H, W]."""
    try:
        return dataset.read_masks(index, window=to_rasterio(window)) > 0
    except GDAL_ERRORS as error:
        raise _damage(path, window) from error


def _damage(path: str, window: Window) -> LcsegError:
    return LcsegError(
        path,
        f"cannot be read at row {window.row}, column {window.col}",
        "the file is truncated or damaged; get it anew",
    )


def to_rasterio(window: Window) -> RasterioWindow:
    return RasterioWindow(window.col, window.row, window.width, window.height)


def _find_transparency(dataset: rasterio.DatasetReader, path: str) -> int | None:
    """The index of a band that is tagged as alpha and behaves as such."""
    if dataset.count < 2 or dataset.colorinterp[-1] != ColorInterp.alpha:
        return None
    alpha = _sample_band(dataset, dataset.count, path)
    # What is opaque in a byte is found in wider types too.
    full = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "iu" else 1
    seen = alpha[alpha != 0]
    opaque = max((seen == value).sum() for value in {1, 255, full})
    return dataset.count if opaque >= _ALPHA_SHARE * seen.size else None


def _sample_band(dataset: rasterio.DatasetReader, index: int, path: str) -> np.ndarray:
    """Values from a lattice of small windows: a few blocks, however large the raster is."""
    height, width = dataset.height, dataset.width
    rows, cols = (
        np.linspace(0, max(size - _ALPHA_SAMPLE_PX, 0), _ALPHA_SAMPLES).astype(int).tolist()
        for size in (height, width)
    )
    windows = {
        Window(row, col, _ALPHA_SAMPLE_PX, _ALPHA_SAMPLE_PX).clip(height, width)
        for row in rows
        for col in cols
    }
    return np.concatenate([read_bands(dataset, [index], w, path).ravel() for w in windows])


def bands_agree(bands: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether bands agree in number, and in name wherever both sides have a name of their own."""
    return len(bands) == len(others) and all(
        band == other or band.startswith(_UNNAMED) or other.startswith(_UNNAMED)
        for band, other in zip(bands, others, strict=True)
    )


def _name_band(dataset: rasterio.DatasetReader, index: int) -> str:
    """The band's description, else its colour, else band_N."""
    colors = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    color = dataset.colorinterp[index - 1]
    return dataset.descriptions[index - 1] or (
        color.name if color in colors else f"{_UNNAMED}{index}"
    )


@contextmanager
def bounded_cache(megabytes: int = 256) -> Iterator[None]:
    """Bound GDAL's block cache, which else takes 5 % of the machine's memory."""
    with rasterio.Env(GDAL_CACHEMAX=megabytes):
        yield
