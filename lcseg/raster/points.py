"""Points of a vector file, and the fields that go with them.

write_points("points.gpkg", grid.crs, xy, {"id": ids, "note": notes})
points = read_points("points.gpkg")
points.fields["note"]                          # object [n], None where it is empty

The format is that of the file's extension, any that OGR writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from lcseg.raster.vector import read_features, write_features


@dataclass(frozen=True, eq=False)
class Points:
    """What a vector file holds of points."""

    crs: str | None  # WKT or "EPSG:n"; None: the file does not say.
    xy: np.ndarray  # float64 [n, 2] in the CRS; NaN where there is no point.
    fields: dict[str, np.ndarray]  # By name, [n] each.


def write_points(
    path: str | Path, crs: str | None, xy: np.ndarray, fields: dict[str, np.ndarray]
) -> None:
    """Write points; all files of the format appear when they are whole, or none does.

    Args:
        path: the file; its extension says the format.
        crs: of the places.
        xy: float64 [n, 2].
        fields: values by name, [n] each: numbers, or objects that are texts or None.

    Raises:
        LcsegError: no format is known by the extension, or the file cannot be written.
    """
    write_features(path, crs, "Point", shapely.points(xy), fields)


def read_points(path: str | Path) -> Points:
    """Read points: the layer that holds points, or else the first.

    Raises:
        LcsegError: it is no vector file that can be read.
    """
    crs, shapes, fields = read_features(path, "Point")
    # Those that are no points have no x and y either.
    xy = np.stack([shapely.get_x(shapes), shapely.get_y(shapes)], axis=-1)
    return Points(crs, xy, fields)
