"""What is named to be shown.

# maps.toml
[dover]
title = "Dover, Delaware"
model = "run/bundle"
image = "dover_2013.tif"
label = "dover_lc.tif"
map = "dover_2013_map.tif"
date = "2013-07-04"
beside = "dover-2018"
change = "change/transitions.tif"
suspects = "audit/suspects.gpkg"
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import ClassVar

from lcseg.documents import check_document
from lcseg.errors import LcsegError
from lcseg.serving.config import ServeConfig

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Entry:
    """A scene that is shown, and how."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    model: str  # Bundle, or ONNX file.
    image: str  # Image raster.
    title: str = ""  # For people; empty: its id.
    label: str = ""  # Label raster; empty: none.
    label_band: int = 0  # Its band, from 1; 0: the only one.
    map: str = ""  # Map of the image by the same model; empty: none.
    date: str = ""  # When the image was taken; empty: what it says itself.
    beside: str = ""  # Id of the same place at another date; empty: none.
    change: str = ""  # Map of transitions by lcseg change, of this place; empty: none.
    suspects: str = ""  # Vector file of suspected labels, as of lcseg audit; empty: none.
    scene: str = ""  # Key of the image in that file; empty: all that lie on it are its own.
    bands: tuple[str, ...] = ()  # Of the image, as in lcseg predict.
    scale: float | None = None  # As in lcseg predict.
    offset: float = 0.0  # As in lcseg predict.
    resample: bool = False  # As in lcseg predict.
    allow_vrt: bool = False  # A VRT may name any file of this machine, so it must be trusted.


def read_entries(config: ServeConfig) -> dict[str, Entry]:
    """The data sets that are named, by id; relative paths are relative to the file of --config."""
    if not config.config:
        identifier = re.sub(r"[^a-z0-9_-]+", "-", Path(config.image).stem.lower()).strip("-_")
        entry = Entry(config.model, config.image, Path(config.image).stem)
        return {identifier[:64] or "scene": replace(entry, label=config.label, map=config.map)}
    path = Path(config.config)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise LcsegError(path, f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LcsegError(path, f"is no TOML: {error}") from error
    values = {name: _spell(value) for name, value in values.items()}
    entries = check_document(values, dict[str, Entry], path)
    if not entries:
        raise LcsegError(path, "names no data set", "write one: [dover], with model and image")
    for identifier, entry in entries.items():
        if not _ID.fullmatch(identifier):
            raise LcsegError(
                path, f"[{identifier}] is no id", "use lower-case letters, digits, - and _"
            )
        if entry.beside and entry.beside not in entries:
            raise LcsegError(path, f"{identifier}.beside: there is no [{entry.beside}]")
    return {name: _resolve(path.parent, entry) for name, entry in entries.items()}


def _spell(table: object) -> object:
    """Dates as TOML has them, and bands by number, as texts."""
    if not isinstance(table, dict):
        return table
    spelt = {
        key: value.isoformat() if isinstance(value, date) else value for key, value in table.items()
    }
    bands = spelt.get("bands")
    if isinstance(bands, str):
        bands = bands.split(",")
    if isinstance(bands, list):
        spelt["bands"] = [str(band) for band in bands]
    return spelt


def _resolve(folder: Path, entry: Entry) -> Entry:
    def resolve(path: str) -> str:
        return str(folder / path) if path and not path.startswith("/vsi") else path

    return replace(
        entry,
        model=resolve(entry.model),
        image=resolve(entry.image),
        label=resolve(entry.label),
        map=resolve(entry.map),
        change=resolve(entry.change),
        suspects=resolve(entry.suspects),
    )
