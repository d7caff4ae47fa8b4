"""Places where labels are suspected to be wrong, and what people say of them, as a vector file.

write_suspects("suspects.gpkg", grid.crs, [Suspect(shape, id=1, label="grass", new_class="water")])
crs, suspects = read_suspects("suspects.gpkg")
suspects[0].verdict                            # None: nobody has said
set_verdict("suspects.gpkg", 1, "wrong", "water")

The format is that of the file's extension, any that OGR writes. A file that a person has drawn does
as well: polygons, and a field `verdict` or `new_class`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from lcseg.errors import LcsegError
from lcseg.raster.vector import change_fields, read_features, write_features

WRONG, RIGHT, UNSURE = VERDICTS = ("wrong", "right", "unsure")
"""What people may say of a label; nothing: nobody has said."""

_TEXTS = ("scene", "date", "label", "suggested", "verdict", "new_class", "note")
_NUMBERS = ("confidence", "label_probability", "area_m2", "score")
_WHOLE = ("id", "pixels")
_SHAPEFILE_NAME = 10


@dataclass(frozen=True)
class Suspect:
    """A connected area whose label may be wrong."""

    shape: shapely.Geometry  # Polygon or MultiPolygon, in the CRS of the file.
    id: int  # From 1, the most certain one first.
    scene: str = ""  # Key of the scene whose label it is; empty: of any scene at that place.
    date: str = ""  # Of the scene, as ISO 8601; empty: not known.
    label: str = ""  # Class that the label says; empty: any.
    suggested: str = ""  # Class that the model says.
    confidence: float = math.nan  # Mean probability of the suggested class, 0 to 1.
    label_probability: float = math.nan  # Mean probability of the label's class, 0 to 1.
    pixels: int = 0  # Of the scene, in it.
    area_m2: float = math.nan  # On the ground; NaN: not georeferenced.
    score: float = math.nan  # What the ids are ordered by, the greatest first.
    verdict: str | None = None  # Is the label wrong? One of VERDICTS; None: nobody has said.
    new_class: str | None = None  # Class that a wrong label is to be; None: nobody knows.
    note: str = ""  # What people want to say of it.


def write_suspects(path: str | Path, crs: str | None, suspects: Sequence[Suspect]) -> None:
    """Write suspects in the order of their ids, with the fields of `Suspect` by their names.

    Raises:
        LcsegError: no format is known by the extension, or the file cannot be written.
    """
    ordered = sorted(suspects, key=lambda suspect: suspect.id)
    fields = {}
    for field in dataclasses.fields(Suspect)[1:]:
        values = [getattr(suspect, field.name) for suspect in ordered]
        if field.name in _TEXTS:
            # An empty field is one that people see as empty.
            fields[field.name] = np.array([value or None for value in values], object)
        else:
            fields[field.name] = np.array(values, np.int32 if field.name in _WHOLE else np.float64)
    shapes = np.array([suspect.shape for suspect in ordered], object)
    write_features(path, crs, "MultiPolygon", shapes, fields)


def read_suspects(path: str | Path) -> tuple[str | None, list[Suspect]]:
    """Read suspects, in the order of the file; fields that it lacks are as `Suspect` has them.

    Without a field `verdict`, what has a `new_class` is wrong. What has no id gets the next one.

    Returns:
        The CRS, None where the file does not say, and the suspects.

    Raises:
        LcsegError: the file cannot be read, has no polygon where it has rows, has neither of the
            fields that people fill in, or holds a verdict that is none.
    """
    crs, shapes, fields = read_features(path, "Polygon")
    if not len(shapes):
        return crs, []
    has_verdict, has_class = (_find_column(fields, name) for name in ("verdict", "new_class"))
    if not has_verdict and not has_class:
        raise LcsegError(
            path,
            "has neither a field verdict nor new_class",
            f"add verdict, of {', '.join(VERDICTS)}, or new_class, of class names",
        )
    ids = _number(fields, len(shapes))
    suspects = []
    for row, (shape, number) in enumerate(zip(shapes, ids, strict=True)):
        if shape is None or not isinstance(shape, shapely.Polygon | shapely.MultiPolygon):
            raise LcsegError(path, f"suspect {number} has no polygon", "draw it, or delete the row")
        values = _read_row(fields, row)
        new_class = values["new_class"] or None
        told = values["verdict"] if has_verdict else WRONG if new_class else ""
        verdict = _parse_verdict(path, number, told)
        values |= {"verdict": verdict, "new_class": new_class}
        suspects.append(Suspect(_unwrap(shape), number, **values))
    return crs, suspects


def set_verdict(
    path: str | Path, suspect_id: int, verdict: str | None, new_class: str | None
) -> None:
    """Note what a person says of a suspect; the file is written anew, and all else in it stays.

    Args:
        path: the file.
        suspect_id: as `read_suspects` has it; several parts of one suspect may have the same.
        verdict: one of VERDICTS; None: nothing.
        new_class: class that a wrong label is to be; None: nobody knows.

    Raises:
        LcsegError: there is no such suspect or verdict, or the file cannot be written.
    """
    verdict = _parse_verdict(path, suspect_id, verdict or "")
    told = {"verdict": verdict, "new_class": new_class or None}

    def change(fields: dict[str, np.ndarray], n: int) -> dict[str, np.ndarray]:
        is_meant = np.array(_number(fields, n)) == suspect_id
        if not is_meant.any():
            raise LcsegError(path, f"has no suspect {suspect_id}", "name one of its ids")
        changed = {}
        for name, value in told.items():
            column = _find_column(fields, name) or name
            olds = fields[column] if column in fields else _imply(name, fields, n)
            changed[column] = np.array([_to_text(old) or None for old in olds], object)
            changed[column][is_meant] = value
        return changed

    change_fields(path, "Polygon", change)


def _imply(name: str, fields: Mapping[str, np.ndarray], n: int) -> Sequence[object]:
    """What a field stands for that is not there: what has a new class, and no verdict, is wrong."""
    column = _find_column(fields, "new_class")
    if name != "verdict" or not column:
        return [None] * n
    return [WRONG if _to_text(value) else None for value in fields[column]]


def _read_row(fields: Mapping[str, np.ndarray], row: int) -> dict:
    """The values of one row by the names of `Suspect`, but for shape and id."""
    found = {name: _find_column(fields, name) for name in (*_TEXTS, *_NUMBERS, "pixels")}
    raw = {name: fields[column][row] for name, column in found.items() if column}
    values: dict = {name: _to_text(raw.get(name)) for name in _TEXTS}
    values |= {name: _to_number(raw.get(name)) for name in _NUMBERS}
    pixels = _to_number(raw.get("pixels"))
    return values | {"pixels": 0 if math.isnan(pixels) else int(pixels)}


def _find_column(fields: Mapping[str, np.ndarray], name: str) -> str | None:
    """The name that a file has for a field: people write capitals, shapefiles ten letters."""
    known = {column.strip().lower(): column for column in fields}
    return known.get(name) or known.get(name[:_SHAPEFILE_NAME])


def _number(fields: Mapping[str, np.ndarray], n: int) -> list[int]:
    """The ids of all rows; rows that people have added follow the greatest one."""
    column = _find_column(fields, "id")
    told = [_to_number(value) for value in fields[column]] if column else [math.nan] * n
    last = max((int(value) for value in told if not math.isnan(value)), default=0)
    ids = []
    for value in told:
        last += math.isnan(value)
        ids.append(last if math.isnan(value) else int(value))
    return ids


def _parse_verdict(path: str | Path, number: int, told: str) -> str | None:
    verdict = told.strip().lower()
    if verdict and verdict not in VERDICTS:
        raise LcsegError(
            path,
            f"suspect {number} has the verdict {told!r}",
            f"write {', '.join(VERDICTS)}, or nothing",
        )
    return verdict or None


def _to_text(value: object) -> str:
    """What people have filled in, without spaces around it; empty, also as NaN or NaT, is ""."""
    return "" if value is None or value != value else str(value).strip()  # noqa: PLR0124


def _to_number(value: object) -> float:
    """A number, whichever way the format keeps it; NaN where it is none."""
    try:
        return float(_to_text(value))
    except ValueError:
        return math.nan


def _unwrap(shape: shapely.Geometry) -> shapely.Geometry:
    """A polygon, where a MultiPolygon has but one."""
    parts = shapely.get_parts(shape)
    return parts[0] if len(parts) == 1 else shape
