"""Points of a vector file, and the fields that go with them.

write_points("points.gpkg", grid.crs, xy, {"id": ids, "note": notes})
points = read_points("points.gpkg")
points.fields["note"]                          # object [n], None where it is empty

The format is that of the file's extension, any that OGR writes.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyogrio
import shapely

from lcseg.errors import LcsegError

_OPTIONS = {"CSV": {"GEOMETRY": "AS_XY"}}
"""What a format needs to hold points at all."""

_FAULTS = (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError)


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
    path = Path(path)
    driver = _find_driver(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Some formats are several files.
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}.", dir=path.parent) as folder:
        aside = Path(folder) / path.name
        try:
            pyogrio.raw.write(
                aside,
                shapely.to_wkb(shapely.points(xy)),
                list(fields.values()),
                list(fields),
                driver=driver,
                geometry_type="Point",
                crs=crs,
                encoding="UTF-8",
                layer_options=_OPTIONS.get(driver),
            )
        except (*_FAULTS, pyogrio.errors.FeatureError, RuntimeError) as error:
            raise LcsegError(path, f"cannot be written: {error}") from error
        for file in sorted(Path(folder).iterdir(), key=lambda file: file == aside):
            file.replace(path.with_name(file.name))


def read_points(path: str | Path) -> Points:
    """Read points: the layer that holds points, or else the first.

    Raises:
        LcsegError: it is no vector file that can be read.
    """
    if not Path(path).exists():
        raise LcsegError(path, "does not exist")
    try:
        layers = pyogrio.list_layers(path)
        layer = next((name for name, kind in layers if "Point" in str(kind)), layers[0][0])
        meta, _, geometry, values = pyogrio.raw.read(path, layer=layer, force_2d=True)
    except (*_FAULTS, IndexError) as error:
        raise LcsegError(path, f"is no vector file that can be read: {error}") from error
    fields = dict(zip(meta["fields"].tolist(), values, strict=True))
    n = len(values[0]) if len(values) else 0
    shapes = np.full(n, None) if geometry is None else shapely.from_wkb(geometry)
    # Those that are no points have no x and y either.
    xy = np.stack([shapely.get_x(shapes), shapely.get_y(shapes)], axis=-1)
    return Points(meta["crs"], xy, fields)


def _find_driver(path: Path) -> str:
    try:
        return str(pyogrio.detect_write_driver(path))
    except ValueError as error:
        raise LcsegError(
            path, "has an extension that names no vector format", "use .gpkg or .geojson"
        ) from error
