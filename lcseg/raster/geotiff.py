"""A small raster as the bytes of a GeoTIFF.

body = encode_geotiff(label_hw, grid, class_map_profile(scheme))
"""

from __future__ import annotations

import numpy as np
from rasterio.io import MemoryFile

from lcseg.raster.cog import CogProfile, describe, tiled
from lcseg.raster.grid import Grid


def encode_geotiff(values: np.ndarray, grid: Grid, profile: CogProfile) -> bytes:
    """Encode [H, W] or [H, W, C] values on their grid."""
    values_hwc = values.reshape(*values.shape[:2], -1)
    with MemoryFile() as memory:
        with memory.open(**tiled(grid, profile) | {"compress": "DEFLATE"}) as dataset:
            describe(dataset, profile)
            dataset.write(np.moveaxis(values_hwc, -1, 0))
        return bytes(memory.getbuffer())
