"""Where the pixels of a raster lie: its size, its transform, its CRS, and windows of it.

grid = Grid(height=1000, width=800, transform=(1, 0, 400000, 0, -1, 4300000), crs="EPSG:26918")
windows = cover(grid.height, grid.width, 256)  # row-major; the last ones overhang the edge
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import rasterio.warp
from rasterio._err import CPLE_BaseError
from rasterio.errors import CRSError, RasterioError
from rasterio.transform import Affine

EQUATOR_RADIUS_M = 6_378_137.0
_ECCENTRICITY_2 = 0.006694379990141
"""Of WGS 84, which GRS 80 equals to a fraction of a millimetre."""

PIXEL_TOLERANCE = 0.1
"""By how much, as a share, ground sample distances may differ and still be alike."""

GDAL_ERRORS = (RasterioError, CRSError, CPLE_BaseError)
"""What rasterio raises where GDAL or PROJ fail; the last has no public name."""


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels; it may lie partly or wholly outside of the raster."""

    row: int  # First row.
    col: int  # First column.
    height: int  # Rows.
    width: int  # Columns.

    def clip(self, height: int, width: int) -> Window:
        """The part inside a raster of this size; empty (0 rows or columns) if there is none."""
        row, col = max(self.row, 0), max(self.col, 0)
        return Window(
            row,
            col,
            max(min(self.row + self.height, height) - row, 0),
            max(min(self.col + self.width, width) - col, 0),
        )

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the window in an [H, W, …] array."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    def widen(self, margin_px: int) -> Window:
        """The same with so many pixels more on every side."""
        return Window(
            self.row - margin_px,
            self.col - margin_px,
            self.height + 2 * margin_px,
            self.width + 2 * margin_px,
        )

    def meet(self, other: Window) -> Window:
        """What two windows share; empty (0 rows or columns) if there is nothing."""
        shared = self.within(other).clip(other.height, other.width)
        return Window(shared.row + other.row, shared.col + other.col, shared.height, shared.width)

    def holds(self, row: int, col: int) -> bool:
        """Whether a pixel is in it."""
        return 0 <= row - self.row < self.height and 0 <= col - self.col < self.width

    def within(self, outer: Window) -> Window:
        """The same place, counted from the first pixel of `outer`."""
        return Window(self.row - outer.row, self.col - outer.col, self.height, self.width)


@dataclass(frozen=True)
class Grid:
    """The pixel grid of a raster."""

    height: int  # Rows.
    width: int  # Columns.
    transform: tuple[float, ...]  # a, b, c, d, e, f: x = a*col + b*row + c, y = d*col + e*row + f.
    crs: str | None  # WKT or "EPSG:n"; None: not georeferenced.

    @property
    def affine(self) -> Affine:
        return Affine(*self.transform)

    @property
    def window(self) -> Window:
        """All of it."""
        return Window(0, 0, self.height, self.width)

    def part(self, window: Window) -> Grid:
        """The grid of a window of this one."""
        return Grid(window.height, window.width, self.transform_of(window), self.crs)

    def transform_of(self, window: Window) -> tuple[float, ...]:
        """The transform of a window of this grid."""
        a, b, c, d, e, f = self.transform
        x, y = (float(k * window.col + m * window.row + n) for k, m, n in ((a, b, c), (d, e, f)))
        return a, b, x, d, e, y

    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) in the CRS, of rotated grids too."""
        corners = [(0, 0), (self.width, 0), (0, self.height), (self.width, self.height)]
        x, y = zip(*(self.affine @ corner for corner in corners), strict=True)
        return min(x), min(y), max(x), max(y)


def cover(height: int, width: int, size_px: int) -> Iterator[Window]:
    """Cover a raster once with squares, row-major; those at the far edges may overhang."""
    for row in range(0, height, size_px):
        for col in range(0, width, size_px):
            yield Window(row, col, size_px, size_px)


def lattice(grid: Grid, size_px: int, along: int) -> list[Window]:
    """Squares spread evenly over a raster, so many along each side; fewer where it is small."""
    rows, cols = (
        sorted({round(i * max(size - size_px, 0) / max(along - 1, 1)) for i in range(along)})
        for size in (grid.height, grid.width)
    )
    squares = (Window(row, col, size_px, size_px) for row in rows for col in cols)
    return [square.clip(grid.height, grid.width) for square in squares]


def pixel_size_m(grid: Grid) -> float | None:
    """Measure the ground sample distance at the centre of a raster, in metres.

    The pixel's two sides are measured on the ellipsoid after projecting to longitude and latitude,
    so that degrees, feet and Web Mercator all come out in ground metres.

    Returns:
        The geometric mean of the two sides; None without a CRS, or one that is not of the Earth.
    """
    if grid.crs is None:
        return None
    row, col = grid.height / 2, grid.width / 2
    points = [grid.affine @ point for point in ((col, row), (col + 1, row), (col, row + 1))]
    x, y = zip(*points, strict=True)
    try:
        lon, lat = rasterio.warp.transform(grid.crs, "EPSG:4326", x, y)
    except GDAL_ERRORS:
        return None
    sides = [_distance_m(lon[0], lat[0], lon[i], lat[i]) for i in (1, 2)]
    size = math.sqrt(sides[0] * sides[1])
    return round(size, 6) if math.isfinite(size) and size > 0 else None


def pixel_sizes_agree(pixel_m: float | None, other_m: float | None) -> bool:
    """Whether two ground sample distances are alike; one that is not known agrees with any."""
    if not (pixel_m and other_m):
        return True
    return abs(math.log(pixel_m / other_m)) <= math.log1p(PIXEL_TOLERANCE)


def _distance_m(lon_a: float, lat_a: float, lon_b: float, lat_b: float) -> float:
    """The short way between two places, along the ellipsoid's radii of curvature there."""
    sine, cosine = math.sin(math.radians(lat_a)), math.cos(math.radians(lat_a))
    flatness = 1 - _ECCENTRICITY_2 * sine**2
    east_m = EQUATOR_RADIUS_M / math.sqrt(flatness) * cosine
    north_m = EQUATOR_RADIUS_M * (1 - _ECCENTRICITY_2) / flatness**1.5
    # Across the antimeridian, too, the way is short.
    lon = (lon_b - lon_a + 180) % 360 - 180
    return math.hypot(math.radians(lon) * east_m, math.radians(lat_b - lat_a) * north_m)
