"""Vector files: features with fields, in the format of the file's extension, any that OGR writes.

write_features("points.gpkg", grid.crs, "Point", shapes, {"id": ids, "note": notes})
meta, shapes, fields = read_features("points.gpkg", "Point")
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyogrio
import shapely

from lcseg.errors import LcsegError

_OPTIONS: dict[str, dict[str, dict[str, str]]] = {
    # It holds no geometry unasked.
    "CSV": {"Point": {"GEOMETRY": "AS_XY"}, "Polygon": {"GEOMETRY": "AS_WKT"}},
    # Who reads it expects longitude and latitude.
    "GeoJSON": {"Point": {"RFC7946": "YES"}, "Polygon": {"RFC7946": "YES"}},
}
"""What a format is to be told, for points and for polygons."""

_FAULTS = (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError)


def write_features(
    path: str | Path,
    crs: str | None,
    kind: str,
    shapes: np.ndarray,
    fields: Mapping[str, np.ndarray],
) -> None:
    """Write features; all files of the format appear when they are whole, or none does.

    Args:
        path: the file; its extension says the format.
        crs: of the places; None: the file does not say.
        kind: "Point" or "Polygon".
        shapes: shapely geometries of that kind, object [n].
        fields: values by name, [n] each: numbers, or objects that are texts or None.

    Raises:
        LcsegError: no format is known by the extension, or the file cannot be written.
    """
    path = Path(path)
    driver = find_driver(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Some formats are several files.
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}.", dir=path.parent) as folder:
        aside = Path(folder) / path.name
        try:
            with warnings.catch_warnings():
                # It says so where there is no CRS.
                warnings.simplefilter("ignore", UserWarning)
                pyogrio.raw.write(
                    aside,
                    shapely.to_wkb(shapes),
                    list(fields.values()),
                    list(fields),
                    driver=driver,
                    geometry_type=kind,
                    crs=crs,
                    encoding="UTF-8",
                    layer_options=_OPTIONS.get(driver, {}).get(kind),
                )
        except (*_FAULTS, pyogrio.errors.FeatureError, RuntimeError) as error:
            raise LcsegError(path, f"cannot be written: {error}") from error
        for file in sorted(Path(folder).iterdir(), key=lambda file: file == aside):
            file.replace(path.with_name(file.name))


def read_features(
    path: str | Path, kind: str
) -> tuple[str | None, np.ndarray, dict[str, np.ndarray]]:
    """Read the layer that holds shapes of a kind, or else the first.

    Returns:
        The CRS, None where the file does not say; the shapes, object [n], None where a feature has
        none; and fields by name, [n] each.

    Raises:
        LcsegError: it is no vector file that can be read.
    """
    if not Path(path).exists():
        raise LcsegError(path, "does not exist")
    try:
        layers = pyogrio.list_layers(path)
        layer = next((name for name, of in layers if kind in str(of)), layers[0][0])
        meta, _, geometry, values = pyogrio.raw.read(path, layer=layer, force_2d=True)
    except (*_FAULTS, IndexError) as error:
        raise LcsegError(path, f"is no vector file that can be read: {error}") from error
    fields = dict(zip(meta["fields"].tolist(), values, strict=True))
    n = len(values[0]) if len(values) else 0
    shapes = np.full(n, None) if geometry is None else shapely.from_wkb(geometry)
    return meta["crs"], shapes, fields


def find_driver(path: Path) -> str:
    """The name of the format that an extension means; an unknown one is an LcsegError."""
    try:
        return str(pyogrio.detect_write_driver(path))
    except ValueError as error:
        raise LcsegError(
            path, "has an extension that names no vector format", "use .gpkg or .geojson"
        ) from error
