"""Vector files: features with fields, in the format of the file's extension, any that OGR writes.

write_features("points.gpkg", grid.crs, "Point", shapes, {"id": ids, "note": notes})
crs, shapes, fields = read_features("points.gpkg", "Point")
change_fields("points.gpkg", "Point", lambda fields, n: {"note": notes})
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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

_VERSIONS = {"GPKG": {"VERSION": "1.3"}}
"""Of 2020: GDAL 3.6 and QGIS of that time warn of newer ones."""

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
        kind: "Point", "Polygon" or "MultiPolygon", of which a polygon is one, too.
        shapes: shapely geometries of that kind, object [n].
        fields: values by name, [n] each: numbers, or objects that are texts or None.

    Raises:
        LcsegError: no format is known by the extension, or the file cannot be written.
    """
    path = Path(path)
    driver = find_driver(path)
    with _written_aside(path) as aside:
        pyogrio.raw.write(
            aside,
            shapely.to_wkb(shapes),
            list(fields.values()),
            list(fields),
            driver=driver,
            geometry_type=kind,
            promote_to_multi=kind.startswith("Multi"),
            crs=crs,
            encoding="UTF-8",
            layer_options=_OPTIONS.get(driver, {}).get(kind.removeprefix("Multi")),
            dataset_options=_VERSIONS.get(driver),
        )


@contextmanager
def _written_aside(path: Path) -> Iterator[Path]:
    """Yield a path to write to, whose files then take their places, the one of that name last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Some formats are several files.
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}.", dir=path.parent) as folder:
        aside = Path(folder) / path.name
        try:
            with warnings.catch_warnings():
                # It says so where there is no CRS.
                warnings.simplefilter("ignore", UserWarning)
                # A shapefile has ten letters for a name.
                warnings.filterwarnings("ignore", "Normalized/laundered field name")
                yield aside
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
    with _read_faults(path):
        layer, _ = _find_layer(path, kind)
        meta, _, geometry, values = pyogrio.raw.read(path, layer=layer, force_2d=True)
    fields = dict(zip(meta["fields"].tolist(), values, strict=True))
    n = len(values[0]) if len(values) else 0
    shapes = np.full(n, None) if geometry is None else shapely.from_wkb(geometry)
    return meta["crs"], shapes, fields


def read_driver(path: str | Path, kind: str) -> str:
    """The format that a file has, whatever its extension, as OGR calls it.

    Raises:
        LcsegError: it is no vector file that can be read.
    """
    if not Path(path).exists():
        raise LcsegError(path, "does not exist")
    with _read_faults(path):
        layer, _ = _find_layer(path, kind)
        return str(pyogrio.read_info(path, layer=layer)["driver"])


def change_fields(
    path: str | Path,
    kind: str,
    change: Callable[[dict[str, np.ndarray], int], Mapping[str, np.ndarray]],
) -> None:
    """Write a file anew with other values in some fields; its other fields and layers stay.

    Args:
        path: the file.
        kind: the layer is the one that `read_features` reads.
        change: takes its fields, and how many features it has; returns the fields that are to be
            set, [n] each, which may be new ones.

    Raises:
        LcsegError: the file cannot be read or written, or another program has it open and has not
            written everything to it yet.
    """
    path = Path(path)
    driver = find_driver(path)
    pending = path.with_name(f"{path.name}-wal")
    # SQLite would take what stands there for a part of the new file.
    if pending.exists() and pending.stat().st_size:
        raise LcsegError(path, "is open in another program", "save it there, and close it")
    with _read_faults(path):
        changed, layers = _find_layer(path, kind)
        found = [
            (layer, *pyogrio.raw.read(path, layer=layer, return_fids=True)) for layer in layers
        ]
    with _written_aside(path) as aside:
        for layer, meta, fids, geometry, values in found:
            names = meta["fields"].tolist()
            fields = {
                name: _restore(column, dtype)
                for name, column, dtype in zip(names, values, meta["dtypes"], strict=True)
            }
            if layer == changed:
                news = change(dict(zip(names, values, strict=True)), len(fids))
                fields |= {name: (column, None) for name, column in news.items()}
            pyogrio.raw.write(
                aside,
                # A table has its geometry as text among its fields.
                None if driver == "CSV" else geometry,
                [column for column, _ in fields.values()],
                list(fields),
                field_mask=[mask for _, mask in fields.values()],
                layer=layer,
                driver=driver,
                geometry_type=meta["geometry_type"],
                crs=meta["crs"],
                encoding="UTF-8",
            )


def _restore(column: np.ndarray, dtype: str) -> tuple[np.ndarray, np.ndarray | None]:
    """A field in the type that it has in its file, and where it is empty: whole numbers with gaps
    are read as float."""
    if column.dtype.kind != "f" or np.dtype(dtype).kind == "f":
        return column, None
    is_empty = np.isnan(column)
    return np.where(is_empty, 0, column).astype(dtype), is_empty


def _find_layer(path: str | Path, kind: str) -> tuple[str, list[str]]:
    """The layer that holds shapes of a kind, or else the first, and all layers."""
    layers = pyogrio.list_layers(path)
    found = next((name for name, of in layers if kind in str(of)), layers[0][0])
    return found, [name for name, _ in layers]


@contextmanager
def _read_faults(path: str | Path) -> Iterator[None]:
    try:
        yield
    except (*_FAULTS, IndexError) as error:
        raise LcsegError(path, f"is no vector file that can be read: {error}") from error


def find_driver(path: Path) -> str:
    """The name of the format that an extension means; an unknown one is an LcsegError."""
    try:
        return str(pyogrio.detect_write_driver(path))
    except ValueError as error:
        raise LcsegError(
            path, "has an extension that names no vector format", "use .gpkg or .geojson"
        ) from error
