"""Made-up scenes to measure with.

images, labels = write_pairs(folder, scenes=4, size_px=2048)       # patterns for ConvertConfig
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

from lcseg.synthetic import Landscape, make_landscape

BANDS = ("red", "green", "blue", "nir")
_TILE_PX = 1024


def write_pairs(folder: Path, scenes: int, size_px: int, **options: object) -> tuple[str, str]:
    """Write scenes with their labels, side by side; returns the patterns of both."""
    folder.mkdir(exist_ok=True)
    for number in range(scenes):
        landscape = make_landscape(Landscape(_TILE_PX, seed=number))
        codes_hwc = landscape.codes_hw[..., None]
        for name, tile_hwc, bands in (
            ("image", landscape.image_hwc, BANDS),
            ("label", codes_hwc, ("code",)),
        ):
            path = folder / f"{number}_{name}.tif"
            write_scene(path, tile_hwc, size_px, number, bands, **options)
    return f"{folder}/*_image.tif", f"{folder}/*_label.tif"


def write_scene(
    path: Path,
    tile_hwc: np.ndarray,
    size_px: int,
    number: int,
    bands: tuple[str, ...],
    **options: object,
) -> None:
    """Write a tile again and again until it fills a raster; not compressed, unless asked for."""
    times = size_px // len(tile_hwc)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=size_px,
        width=size_px,
        count=len(bands),
        dtype=tile_hwc.dtype,
        crs="EPSG:26918",
        transform=Affine(1, 0, 400_000 + number * size_px, 0, -1, 4_300_000),
        tiled=True,
        **options,
    ) as dataset:
        dataset.write(np.moveaxis(np.tile(tile_hwc, (times, times, 1)), -1, 0))
        dataset.descriptions = bands
