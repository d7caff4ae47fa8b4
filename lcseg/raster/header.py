"""What the header of a raster tells before any pixel is read: whether it can be read by windows.

    with rasterio.open(path) as dataset:
        require_readable(dataset, path)

A file of some hundred bytes can claim to hold terabytes, and one block of it can be larger than
memory. Nothing here reads pixels.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import rasterio

from lcseg.errors import LcsegError

MAX_BLOCK_BYTES = 512 << 20
"""The largest block that is read: GDAL holds several at once."""

MAX_WHOLE_BYTES = 2 << 30
"""The largest raster that is read where every window means decoding all that stands before it."""

MAX_PIXELS = 10**13
"""A country at half a metre; more is a header that lies."""

_WHOLE_DRIVERS = ("BIGGIF", "BMP", "GIF", "JPEG", "PNG", "WEBP", "XPM")
_TO_TILED = "convert it to a tiled GeoTIFF (gdal_translate -co TILED=YES)"


def require_readable(dataset: rasterio.DatasetReader, path: str) -> None:
    """Refuse a raster that cannot be read by windows in bounded memory, or that has no place."""
    height, width = dataset.height, dataset.width
    if height * width > MAX_PIXELS:
        raise LcsegError(path, f"claims to be {height} x {width} px", "its header is damaged")
    # A raster without a geotransform has the identity, which can be inverted.
    a, b, c, d, e, f = tuple(dataset.transform)[:6]
    if not (math.isfinite(c + f) and math.isfinite(a * e - b * d) and a * e - b * d):
        raise LcsegError(
            path, f"its pixels have no area: geotransform {a:g}, {b:g}, {c:g}, {d:g}, {e:g}, {f:g}"
        )
    if not dataset.count:
        return
    pixel_bytes = sum(map(_measure_value, dataset.dtypes))
    raw_bytes = height * width * pixel_bytes
    block_bytes = _measure_block(dataset, pixel_bytes)
    if block_bytes > MAX_BLOCK_BYTES:
        raise LcsegError(
            path,
            f"one block of it takes {_gb(block_bytes)}, expected at most {_gb(MAX_BLOCK_BYTES)}",
            _TO_TILED,
        )
    if raw_bytes <= MAX_WHOLE_BYTES:
        return
    if dataset.driver in _WHOLE_DRIVERS or _is_one_strip(dataset):
        raise LcsegError(
            path,
            f"holds {_gb(raw_bytes)} that can only be read from its beginning, "
            f"expected at most {_gb(MAX_WHOLE_BYTES)}",
            _TO_TILED,
        )
    _require_whole(dataset, path, raw_bytes)


def _measure_block(dataset: rasterio.DatasetReader, pixel_bytes: int) -> int:
    """Bytes that the largest block takes in memory, of all bands where they are interleaved."""
    if dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "PIXEL":
        return max(rows * cols for rows, cols in dataset.block_shapes) * pixel_bytes
    return max(
        rows * cols * _measure_value(dtype)
        for (rows, cols), dtype in zip(dataset.block_shapes, dataset.dtypes, strict=True)
    )


def _measure_value(dtype: str) -> int:
    """Bytes of one value; numpy has no complex integers, which GDAL has."""
    return 4 if dtype == "complex_int16" else np.dtype(dtype).itemsize


def _is_one_strip(dataset: rasterio.DatasetReader) -> bool:
    """Whether a TIFF is one compressed strip, which GDAL passes off as blocks of one row."""
    return (
        dataset.driver == "GTiff"
        and "COMPRESSION" in dataset.tags(ns="IMAGE_STRUCTURE")
        and dataset.height > 1
        and dataset.block_shapes[0] == (1, dataset.width)
        and _tag(dataset, "OFFSET", 0) is not None
        and _tag(dataset, "OFFSET", 1) is None
    )


def _require_whole(dataset: rasterio.DatasetReader, path: str, raw_bytes: int) -> None:
    """Refuse a TIFF whose last block, by its header, lies beyond the end of the file."""
    if dataset.driver != "GTiff" or not Path(path).is_file():
        return
    rows, cols = dataset.block_shapes[0]
    last = -(-dataset.height // rows) - 1
    col = -(-dataset.width // cols) - 1
    offset, size = (_tag(dataset, what, last, col) for what in ("OFFSET", "SIZE"))
    file_bytes = Path(path).stat().st_size
    # A block that was never written has no offset: such a raster is sparse, and whole.
    if offset and size and offset + size > file_bytes:
        raise LcsegError(
            path,
            f"claims {_gb(raw_bytes)} of pixels, but the file ends after {file_bytes:,} bytes",
            "the file is truncated or damaged; get it anew",
        )


def _tag(dataset: rasterio.DatasetReader, what: str, row: int, col: int = 0) -> int | None:
    """Where the file holds a block (OFFSET), or in how many bytes (SIZE)."""
    text = dataset.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=1)
    return int(text) if text else None


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:,.1f} GiB"
