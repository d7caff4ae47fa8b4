"""Polygons by which change is summed up, as counties or watersheds.

regions = read_regions("counties.gpkg", "NAME", grid)
tallies = regions.add(regions.empty(n), window, before_hw, after_hw, row_m2, n)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from lcseg.change.tally import Tally, count
from lcseg.errors import LcsegError
from lcseg.raster.area import Area, Outlines, box_of
from lcseg.raster.crs import LONLAT
from lcseg.raster.grid import Grid, Window
from lcseg.raster.vector import read_features


@dataclass(frozen=True, eq=False)
class Regions:
    """Named areas of a grid, which may overlap."""

    names: tuple[str, ...]  # In the order of the file.
    areas: tuple[Area | None, ...]  # In pixels of the grid; None: not on it.
    tree: shapely.STRtree  # Of the areas that are on it.
    numbers: tuple[int, ...]  # Of these, in the order of the tree.

    def empty(self, n_classes: int) -> tuple[Tally, ...]:
        """The tallies of no pixels."""
        return tuple(Tally.empty(n_classes) for _ in self.names)

    def add(
        self,
        tallies: Sequence[Tally],
        window: Window,
        before_hw: np.ndarray,
        after_hw: np.ndarray,
        row_m2: np.ndarray,
    ) -> tuple[Tally, ...]:
        """Add the pixels of a window to the tallies of the regions that they lie in.

        Args:
            tallies: so far, by region.
            window: of the grid.
            before_hw: uint8 class indices of the window, 255 where not known.
            after_hw: likewise.
            row_m2: float64 [H]: ground of a pixel of each row.
        """
        added = list(tallies)
        for place in self.tree.query(box_of(window)).tolist():
            number = self.numbers[place]
            area = self.areas[number]
            assert area is not None
            shared = area.window.meet(window)
            if not (shared.height and shared.width):
                continue
            part = shared.within(window).slices
            is_inside_hw = area.read(shared)
            own = count(
                before_hw[part],
                after_hw[part],
                row_m2[part[0]],
                tallies[number].n_classes,
                is_inside_hw,
            )
            added[number] = added[number].merge(own)
        return tuple(added)


NO_REGIONS = Regions((), (), shapely.STRtree([]), ())


def read_regions(path: str, name_field: str, grid: Grid) -> Regions:
    """Read the polygons of a vector file, in any CRS that it names, on a grid.

    Args:
        path: the file.
        name_field: the field with their names, which need not be unique; empty: they are numbered.
        grid: on which they are wanted.

    Raises:
        LcsegError: it cannot be read, has no polygon or no such field, or none lies on the grid.
    """
    if grid.crs is None:
        raise LcsegError(path, "needs maps with a CRS", "georeference them (gdal_edit.py -a_srs)")
    crs, shapes, fields = read_features(path, "Polygon")
    is_area = [s is not None and shapely.get_dimensions(s) == 2 for s in shapes]
    if not any(is_area):
        raise LcsegError(path, "has no polygon in it", "draw the regions as polygons")
    if name_field and name_field not in fields:
        there = ", ".join(fields) or "none"
        raise LcsegError(
            path, f"has no field {name_field}; it has {there}", "name another --region_name"
        )
    polygons = [shape for shape, is_it in zip(shapes, is_area, strict=True) if is_it]
    given: Sequence[object] = [None] * len(polygons)
    if name_field:
        given = fields[name_field][is_area].tolist()
    names = [_name_region(value, number) for number, value in enumerate(given, start=1)]
    placed = Outlines(polygons, crs or LONLAT, path).place(grid)
    if not placed:
        raise LcsegError(path, "none of its polygons lies on the maps", "give those of this place")
    areas = tuple(
        Area(placed[number], grid) if number in placed else None for number in range(len(names))
    )
    numbers = tuple(sorted(placed))
    return Regions(
        tuple(names), areas, shapely.STRtree([placed[number] for number in numbers]), numbers
    )


def _name_region(value: object, number: int) -> str:
    """The value of a field as a name; the number of the region where there is none."""
    # Whole numbers are read as float where some are missing, and those as NaN.
    if isinstance(value, float) and not math.isinf(value):
        value = None if math.isnan(value) else int(value) if value.is_integer() else value
    return f"region {number}" if value in (None, "") else str(value)
