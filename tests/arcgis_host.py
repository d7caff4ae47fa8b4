"""Asks a Python raster function for blocks, in the order of ArcGIS; needs numpy alone.

python arcgis_host.py LcsegClassifier.py raster.npz out.npz '{"output_type": "Hardmax"}'
"""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Raster:
    """A raster as ArcGIS shows it to a function."""

    pixels_chw: np.ndarray
    mask_chw: np.ndarray  # 0 where a band has no data.
    nodata: Any = None  # A value for each band.
    cell: float = 1.0  # Side, in units of the map.
    corner: tuple[float, float] = (400_000.0, 4_300_000.0)  # Top left.
    reference: int = 26918

    def info(self, row: int, col: int, height: int, width: int) -> dict[str, Any]:
        """The raster's information, or that of a part of it."""
        left, top = self.corner[0] + col * self.cell, self.corner[1] - row * self.cell
        return {
            "bandCount": len(self.pixels_chw),
            "pixelType": self.pixels_chw.dtype.str[1:],
            "noData": self.nodata,
            "cellSize": (self.cell, self.cell),
            "extent": (left, top - height * self.cell, left + width * self.cell, top),
            "spatialReference": self.reference,
        }


def load(path: str | Path) -> Any:
    """An object of the class that is called like its module."""
    name = Path(path).stem
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)()


def start(function: Any, raster: Raster, **scalars: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """All that comes before the first block: the configuration, and what is to come out."""
    infos = function.getParameterInfo()
    scalars = {
        info["name"]: scalars.get(info["name"], info["value"])
        for info in infos
        if info["dataType"] not in ("raster", "rasters")
    }
    configuration = function.getConfiguration(**scalars)
    info = raster.info(0, 0, *raster.pixels_chw.shape[1:])
    output = dict(info) if configuration["inheritProperties"] & 2 else {**info, "noData": None}
    asked = function.updateRasterInfo(raster_info=info, output_info=output, **scalars)
    return configuration, asked["output_info"]


def draw(
    function: Any,
    raster: Raster,
    seed: int = 0,
    part: tuple[int, int, int, int] | None = None,
    padding: int | None = None,
    **scalars: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Ask for blocks of any shape and origin, and put them together.

    Args:
        function: the object.
        raster: what it maps.
        seed: of the blocks; some of them overhang the raster.
        part: row, column, height and width of what is asked for; None: all.
        padding: in place of what the function asks for.
        scalars: parameters that are not as the function has them.

    Returns:
        Pixels and mask, uint8 [bands, H, W].
    """
    configuration, output = start(function, raster, **scalars)
    random, around = np.random.default_rng(seed), padding or configuration["padding"]
    size = raster.pixels_chw.shape[1:]
    top, left, height, width = part or (0, 0, *size)
    props = {
        **raster.info(top, left, height, width),
        "pixelType": output["pixelType"],
        "width": width,
        "height": height,
    }
    found = np.zeros((2, output["bandCount"], height, width), np.uint8)
    for first_row, end_row in _cut(random, height):
        for first_col, end_col in _cut(random, width):
            block = end_row - first_row, end_col - first_col
            is_flat = output["bandCount"] == 1 and random.random() < 0.5
            shape = block if is_flat else (output["bandCount"], *block)
            rows = np.arange(top + first_row - around, top + end_row + around)
            cols = np.arange(left + first_col - around, left + end_col + around)
            pixels, mask = _read(raster, rows, cols, random)
            answer = function.updatePixels(
                (float(first_col), float(first_row)),
                shape,
                props,
                raster_pixels=pixels[0] if len(pixels) == 1 else pixels,
                raster_mask=mask[0] if len(mask) == 1 else mask,
            )
            for name, whole in zip(("pixels", "mask"), found, strict=True):
                values = answer[f"output_{name}"]
                assert values.shape == shape
                assert values.dtype == np.uint8
                _paste(whole, values.reshape(-1, *block), first_row, first_col)
    return found[0], found[1]


def _cut(random: np.random.Generator, size: int) -> list[tuple[int, int]]:
    """Spans of any length, which overhang an axis at both of its ends."""
    inner = np.sort(random.integers(0, size + 1, random.integers(0, 5)))
    places = [-int(random.integers(0, 9)), *inner.tolist(), size + int(random.integers(0, 9))]
    return [(first, end) for first, end in pairwise(places) if end > first]


def _read(
    raster: Raster, rows: np.ndarray, cols: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and mask; what lies outside of the raster is anything, and masked."""
    bands, height, width = raster.pixels_chw.shape
    shape = bands, len(rows), len(cols)
    pixels = random.integers(0, 256, shape).astype(raster.pixels_chw.dtype)
    mask = np.zeros(shape, np.uint8)
    inner = np.ix_((rows >= 0) & (rows < height), (cols >= 0) & (cols < width))
    there = np.ix_(rows[inner[0].ravel()], cols[inner[1].ravel()])
    for band in range(bands):
        pixels[band][inner] = raster.pixels_chw[band][there]
        mask[band][inner] = raster.mask_chw[band][there]
    return pixels, mask


def _paste(whole: np.ndarray, values: np.ndarray, row: int, col: int) -> None:
    height, width = whole.shape[1:]
    cut_row, cut_col = max(-row, 0), max(-col, 0)
    inside = values[:, cut_row : height - row, cut_col : width - col]
    row, col = max(row, 0), max(col, 0)
    whole[:, row : row + inside.shape[1], col : col + inside.shape[2]] = inside


if __name__ == "__main__":
    path, source, out, options = sys.argv[1:]
    with np.load(source) as arrays:
        given = Raster(arrays["pixels"], arrays["mask"])
    made = draw(load(path), given, **json.loads(options))
    np.savez(out, pixels=made[0], mask=made[1], modules=sorted(sys.modules))
