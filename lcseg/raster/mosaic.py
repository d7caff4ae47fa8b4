"""Several images of one grid, read as if they were one.

mosaic = Mosaic.of([("a.tif", grid_a), ("b.tif", grid_b)], open_image, bands, dtype)
image_hwc, valid_hw = mosaic.read(window)
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import numpy as np

from lcseg.errors import LcsegError
from lcseg.raster.crs import crs_name, is_same_crs
from lcseg.raster.grid import Grid, Window
from lcseg.raster.source import Imagery

MAX_OFF_PX = 0.05
"""By how much of a pixel the grids of images may differ and still be one."""

_MOST_OPEN = 32


@dataclass(frozen=True)
class Member:
    """An image of a mosaic."""

    path: str  # Of the image.
    place: Window  # In the grid of the mosaic.


class Mosaic:
    """Imagery of several images; where they overlap, the first one with data there counts."""

    def __init__(
        self,
        paths: Sequence[str],
        grids: Sequence[Grid],
        open_member: Callable[[str], AbstractContextManager[Imagery]],
        bands: tuple[str, ...],
        dtype: str,
    ) -> None:
        self.path = f"{paths[0]} and {len(paths) - 1} more"
        self.bands, self.dtype = bands, dtype
        self.grid, places = join_grids(paths, grids)
        self._members = tuple(map(Member, paths, places))
        self._open_member = open_member
        self._open: OrderedDict[str, tuple[Imagery, ExitStack]] = OrderedDict()

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window, as `Imagery` says."""
        image_hwc = np.zeros((window.height, window.width, len(self.bands)), self.dtype)
        valid_hw = np.zeros((window.height, window.width), bool)
        for member in self._members:
            needed = window.within(member.place).clip(member.place.height, member.place.width)
            if not (needed.height and needed.width):
                continue
            at = Window(
                needed.row + member.place.row - window.row,
                needed.col + member.place.col - window.col,
                needed.height,
                needed.width,
            ).slices
            if valid_hw[at].all():
                continue
            own_hwc, own_hw = self._find(member.path).read(needed)
            is_new = own_hw & ~valid_hw[at]
            image_hwc[at][is_new] = own_hwc[is_new]
            valid_hw[at] |= own_hw
        return image_hwc, valid_hw

    def _find(self, path: str) -> Imagery:
        """An open member; those that were not read for long are closed."""
        if path not in self._open:
            if len(self._open) >= _MOST_OPEN:
                self._open.popitem(last=False)[1][1].close()
            stack = ExitStack()
            self._open[path] = stack.enter_context(self._open_member(path)), stack
        self._open.move_to_end(path)
        return self._open[path][0]

    def __enter__(self) -> Mosaic:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._open.popitem()[1][1].close()


def join_grids(paths: Sequence[str], grids: Sequence[Grid]) -> tuple[Grid, list[Window]]:
    """The smallest grid that holds several of one CRS and pixel, and their places in it.

    Raises:
        LcsegError: names the image whose grid is another one.
    """
    first = grids[0]
    corners = []
    for path, grid in zip(paths, grids, strict=True):
        _require_one_grid(path, grid, paths[0], first)
        col, row = ~first.affine @ (grid.transform[2], grid.transform[5])
        corners.append((round(row), round(col)))
    top, left = (min(axis) for axis in zip(*corners, strict=True))
    bottom = max(row + grid.height for (row, _), grid in zip(corners, grids, strict=True))
    right = max(col + grid.width for (_, col), grid in zip(corners, grids, strict=True))
    whole = Window(top, left, bottom - top, right - left)
    places = [
        Window(row - top, col - left, grid.height, grid.width)
        for (row, col), grid in zip(corners, grids, strict=True)
    ]
    return Grid(whole.height, whole.width, first.transform_of(whole), first.crs), places


def _require_one_grid(path: str, grid: Grid, first_path: str, first: Grid) -> None:
    fix = "bring it there (gdalwarp -t_srs -tr -tap), or map each image by itself (--nomosaic)"
    if (grid.crs is None) != (first.crs is None) or not is_same_crs(
        grid.crs or "", first.crs or ""
    ):
        problem = f"is in {crs_name(grid.crs or 'no CRS')}, {first_path} in "
        raise LcsegError(path, problem + crs_name(first.crs or "no CRS"), fix)
    # How far the far corner is from where the first image's pixels would put it.
    corners = [(0, 0), (grid.width, grid.height), (0, grid.height), (grid.width, 0)]
    found = np.array([~first.affine @ (grid.affine @ corner) for corner in corners])
    expected = np.rint(found[0]) + np.array(corners)
    off_px = float(np.abs(found - expected).max())
    if off_px > MAX_OFF_PX:
        raise LcsegError(
            path, f"its pixels lie up to {off_px:.2g} px off those of {first_path}", fix
        )
