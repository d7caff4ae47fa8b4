"""Chips put together on the grids of their scenes, as bytes in files.

mosaic = Mosaic(folder, n_bytes=5)
mosaic.write("scene-1", grid, row, col, values_hwb)              # of each chip
values_hwb = mosaic.read("scene-1", grid, window)                # 0 where no chip is

Where chips overlap, the ground counts once: what was written last stays. A file is as large as its
scene, but takes no room where there is no chip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lcseg.raster.grid import Grid, Window


class Mosaic:
    """Scenes of which some chips are known.

    Args:
        folder: for the files, one for each scene.
        n_bytes: of each pixel.
        block_px: side of the squares that they are read by.
    """

    def __init__(self, folder: Path, n_bytes: int, block_px: int) -> None:
        self._folder, self._bytes, self._block_px = folder, n_bytes, block_px
        self._blocks: dict[str, set[tuple[int, int]]] = {}

    def write(self, scene: str, grid: Grid, row: int, col: int, values_hwb: np.ndarray) -> None:
        """Write a chip, uint8 [H, W, bytes]; what overhangs the scene is dropped."""
        chip = Window(row, col, *values_hwb.shape[:2])
        inside = chip.clip(grid.height, grid.width)
        if not (inside.height and inside.width):
            return
        path, width_bytes = self._path(scene), grid.width * self._bytes
        # Of a full disk, a mapped file would tell by killing the process.
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.truncate(grid.height * width_bytes)
            for at, values in enumerate(values_hwb[inside.within(chip).slices], start=inside.row):
                file.seek(at * width_bytes + inside.col * self._bytes)
                file.write(values.tobytes())
        side = self._block_px
        rows = range(inside.row // side, (inside.row + inside.height - 1) // side + 1)
        cols = range(inside.col // side, (inside.col + inside.width - 1) // side + 1)
        self._blocks.setdefault(scene, set()).update((r, c) for r in rows for c in cols)

    def read(self, scene: str, grid: Grid, window: Window) -> np.ndarray:
        """Read a window, which may overhang the scene, uint8 [H, W, bytes]; 0 where no chip is."""
        values_hwb = np.zeros((window.height, window.width, self._bytes), np.uint8)
        inside = window.clip(grid.height, grid.width)
        if inside.height and inside.width:
            shape = grid.height, grid.width, self._bytes
            stored_hwb = np.memmap(self._path(scene), np.uint8, "r", shape=shape)
            values_hwb[inside.within(window).slices] = stored_hwb[inside.slices]
        return values_hwb

    def blocks(self, scene: str, grid: Grid) -> Iterator[Window]:
        """The squares of a scene that chips reach into, row-major, cut off at its edge."""
        side = self._block_px
        for row, col in sorted(self._blocks[scene]):
            yield Window(row * side, col * side, side, side).clip(grid.height, grid.width)

    @property
    def scenes(self) -> tuple[str, ...]:
        """The scenes of which there are chips, by their names."""
        return tuple(sorted(self._blocks))

    def _path(self, scene: str) -> Path:
        # Names of scenes may hold slashes.
        return self._folder / hashlib.sha256(scene.encode()).hexdigest()[:24]
