"""Rasters that are made in pieces, each a file of its own, and joined when all are there.

with write_piece("map-00007.tif", grid, window, profile) as writer:
    writer.write(block, label_hw)
join_pieces("map.vrt", [("map-00007.tif", window)], grid, profile)
copy_to_cog("map.vrt", "map.tif", profile)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import rasterio
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from lcseg.errors import LcsegError
from lcseg.files import replaced
from lcseg.raster.cog import BLOCK_PX, CogProfile, describe, tiled
from lcseg.raster.dataset import to_rasterio
from lcseg.raster.grid import GDAL_ERRORS, Grid, Window


class PieceWriter:
    """Takes the windows of a piece, which are given in the grid of the whole."""

    def __init__(self, dataset: rasterio.io.DatasetWriter, window: Window) -> None:
        self._dataset = dataset
        self._window = window

    def write(self, window: Window, values: np.ndarray) -> None:
        """Write [H, W] or [H, W, C] values; what overhangs the piece is dropped."""
        own = window.within(self._window)
        inside = own.clip(self._window.height, self._window.width)
        values_hwc = values.reshape(*values.shape[:2], -1)[inside.within(own).slices]
        self._dataset.write(np.moveaxis(values_hwc, -1, 0), window=to_rasterio(inside))


@contextmanager
def write_piece(
    path: Path, grid: Grid, window: Window, profile: CogProfile
) -> Iterator[PieceWriter]:
    """Write a window of a grid into a file, which appears whole or not at all.

    It is made in memory: GDAL does not tell of what it fails to write to a disk at closing.
    """
    layout = tiled(grid.part(window), profile) | {"compress": "ZSTD", "zstd_level": 1}
    try:
        with MemoryFile() as memory:
            with memory.open(**layout) as dataset:
                yield PieceWriter(dataset, window)
            with replaced(path) as aside, aside.open("wb") as file:
                file.write(memory.getbuffer())
                file.flush()
                os.fsync(file.fileno())
    except GDAL_ERRORS as error:
        raise LcsegError(path, f"cannot be written: {error}", "is the disk full?") from error


def join_pieces(
    path: Path, pieces: Sequence[tuple[Path, Window]], grid: Grid, profile: CogProfile
) -> None:
    """Write a VRT that shows pieces, in the same folder as itself, as one raster.

    Where there is no piece, there is no data.
    """
    root = ElementTree.Element(
        "VRTDataset", rasterXSize=str(grid.width), rasterYSize=str(grid.height)
    )
    place = " , ".join(map(repr, Affine(*grid.transform).to_gdal()))
    ElementTree.SubElement(root, "GeoTransform").text = place
    for index in range(1, len(profile.bands) + 1):
        band = ElementTree.SubElement(
            root, "VRTRasterBand", dataType=_TYPES[profile.dtype], band=str(index)
        )
        if profile.nodata is not None:
            ElementTree.SubElement(band, "NoDataValue").text = str(profile.nodata)
        for piece, window in pieces:
            _show_piece(band, piece, window, profile, index)
    ElementTree.ElementTree(root).write(path, encoding="utf-8")
    with rasterio.open(path, "r+") as dataset:
        if grid.crs:
            dataset.crs = grid.crs
        describe(dataset, profile)


_TYPES = {"uint8": "Byte", "float32": "Float32"}


def _show_piece(
    band: ElementTree.Element, piece: Path, window: Window, profile: CogProfile, index: int
) -> None:
    source = ElementTree.SubElement(band, "SimpleSource")
    name = ElementTree.SubElement(source, "SourceFilename", relativeToVRT="1")
    name.text = piece.name
    ElementTree.SubElement(source, "SourceBand").text = str(index)
    width, height = str(window.width), str(window.height)
    # With these, GDAL need not open every piece to learn them.
    ElementTree.SubElement(
        source,
        "SourceProperties",
        RasterXSize=width,
        RasterYSize=height,
        DataType=_TYPES[profile.dtype],
        BlockXSize=str(BLOCK_PX),
        BlockYSize=str(BLOCK_PX),
    )
    for rectangle, row, col in (("SrcRect", 0, 0), ("DstRect", window.row, window.col)):
        place = {"xOff": str(col), "yOff": str(row), "xSize": width, "ySize": height}
        source.append(ElementTree.Element(rectangle, place))
