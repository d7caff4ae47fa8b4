"""Corrections of labels: what people have said of suspects, brought to the scenes they are about.

verdicts = read_verdicts("suspects.gpkg", keys, scheme)
corrections = place_corrections(verdicts, scenes)
corrections.of_scene[0]                        # those of the first scene, in its pixels

A label that is wrong becomes the new class, or is ignored where there is none; one of which people
are unsure is ignored; what is right, or not judged, stays as it is.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from lcseg.classes import IGNORE, ClassScheme
from lcseg.errors import LcsegError
from lcseg.raster.area import Outlines
from lcseg.records.relabelling import Correction
from lcseg.records.survey import Scene
from lcseg.records.suspects import RIGHT, VERDICTS, WRONG, Suspect, read_suspects

OPEN = "open"
"""What is counted instead of a verdict where nobody has said."""

_SHOWN = 8


@dataclass(frozen=True)
class Verdicts:
    """A file of suspects that people have judged, found fit for some scenes."""

    path: str  # Of the file.
    sha256: str  # Of the file.
    crs: str | None  # Of the file; None: it does not say.
    places: dict[str, int]  # How many there are, by verdict.
    judged: tuple[Suspect, ...]  # Those whose labels are wrong, or may be.
    right: tuple[Suspect, ...]  # Those whose labels are right.
    meanings: tuple[tuple[int | None, int | None], ...]  # Of both: label and new, as `Correction`.


@dataclass(frozen=True)
class Corrections:
    """What verdicts mean for scenes."""

    file: str  # Name of their file, without its folder.
    sha256: str  # Of the file.
    places: dict[str, int]  # How many there are, by verdict.
    of_scene: tuple[tuple[Correction, ...], ...]  # For each scene.
    judged: tuple[int, ...]  # Ids of the places whose labels are wrong, or may be.
    outside: tuple[int, ...]  # Ids of these that lie on no scene.


def read_verdicts(path: str, keys: Collection[str], scheme: ClassScheme) -> Verdicts:
    """Read what people have said of the labels of scenes, which are known by their keys.

    Raises:
        LcsegError: the file cannot be read, or names a class or a scene that there is not.
    """
    sha256 = _hash_file(path)
    crs, suspects = read_suspects(path)
    judged = tuple(suspect for suspect in suspects if suspect.verdict not in (None, RIGHT))
    right = tuple(suspect for suspect in suspects if suspect.verdict == RIGHT)
    for suspect in judged:
        _require_scene(path, suspect, keys, crs)
    counts = Counter(suspect.verdict or OPEN for suspect in suspects)
    return Verdicts(
        path,
        sha256,
        crs,
        {verdict: counts[verdict] for verdict in (*VERDICTS, OPEN)},
        judged,
        right,
        tuple(_find_meaning(path, suspect, scheme) for suspect in judged + right),
    )


def place_corrections(verdicts: Verdicts, scenes: Sequence[Scene]) -> Corrections:
    """Find the places of verdicts in scenes, whichever CRSs the two have.

    Verdicts without a CRS are about scenes without one, in the coordinates of their transforms.

    Raises:
        LcsegError: no scene can be where the verdicts are, or no way leads to one.
    """
    path, said = verdicts.path, verdicts.judged + verdicts.right
    is_bare = [scene.grid.crs is None for scene in scenes]
    if verdicts.judged and verdicts.crs is None and not any(is_bare):
        raise LcsegError(path, "does not say in which CRS it is", "set it (ogr2ogr -a_srs)")
    outlines = Outlines([suspect.shape for suspect in said], verdicts.crs, path)
    of_scene = [_correct_scene(scene, verdicts, outlines) for scene in scenes]
    seen = {correction.place for of_one in of_scene for correction in of_one}
    judged = tuple(suspect.id for suspect in verdicts.judged)
    return Corrections(
        Path(path).name,
        verdicts.sha256,
        verdicts.places,
        tuple(of_scene),
        judged,
        tuple(number for number in judged if number not in seen),
    )


def _correct_scene(scene: Scene, verdicts: Verdicts, outlines: Outlines) -> tuple[Correction, ...]:
    """The corrections of a scene, by outlines of what is judged and what is right."""
    said = verdicts.judged + verdicts.right
    if not verdicts.judged or (scene.grid.crs is None) != (verdicts.crs is None):
        return ()
    placed = outlines.place(scene.grid, lambda n: said[n].scene in ("", scene.pair.key))
    return tuple(
        Correction(said[n].id, shapely.to_wkb(placed[n], hex=True), *verdicts.meanings[n])
        for n in _leave_out_idle(placed, len(verdicts.judged))
    )


def _leave_out_idle(outlines: dict[int, shapely.Geometry], n_judged: int) -> list[int]:
    """The numbers of places in a scene, but for right ones that no judged one touches.

    Those change nothing, and parts that do not hold them need not be done again for them.
    """
    judged = [n for n in outlines if n < n_judged]
    right = [n for n in outlines if n >= n_judged]
    tree = shapely.STRtree([outlines[n] for n in right])
    shapes = np.array([outlines[n] for n in judged], object)
    _, touched = tree.query(shapes, predicate="intersects")
    return judged + [right[i] for i in np.unique(touched).tolist()]


def _require_scene(path: str, suspect: Suspect, keys: Collection[str], crs: str | None) -> None:
    """Refuse a place whose scene is not there: what was said of it would be lost unseen."""
    if suspect.scene and suspect.scene not in keys:
        names = ", ".join(sorted(keys)[:_SHOWN])
        more = f" and {len(keys) - _SHOWN:,} more" if len(keys) > _SHOWN else ""
        raise LcsegError(
            path,
            f"suspect {suspect.id} is of the scene {suspect.scene!r}, which is none of "
            f"{names}{more}",
            "convert that scene too, or empty the field scene",
        )
    if crs is None and not suspect.scene:
        raise LcsegError(
            path,
            f"suspect {suspect.id} names no scene, and the file no CRS",
            "fill in the field scene, or set the CRS (ogr2ogr -a_srs)",
        )


def _find_meaning(
    path: str, suspect: Suspect, scheme: ClassScheme
) -> tuple[int | None, int | None]:
    """The label that a place is about, and what it shall be; see `Correction`."""
    label = _find_class(path, suspect.id, suspect.label, scheme) if suspect.label else None
    if suspect.verdict == RIGHT:
        return label, None
    if suspect.verdict == WRONG and suspect.new_class:
        return label, _find_class(path, suspect.id, suspect.new_class, scheme)
    return label, IGNORE


def _find_class(path: str, number: int, name: str, scheme: ClassScheme) -> int:
    """The index of a class; capitals do not matter."""
    by_name = {known.casefold(): index for index, known in enumerate(scheme.names)}
    by_name |= {known: index for index, known in enumerate(scheme.names)}
    index = by_name.get(name, by_name.get(name.casefold()))
    if index is None:
        raise LcsegError(
            path,
            f"suspect {number} names the class {name!r}, which {scheme.name!r} does not have",
            f"expected one of {', '.join(scheme.names)}",
        )
    return index


def _hash_file(path: str) -> str:
    if not Path(path).is_file():
        raise LcsegError(f"--corrections={path}", "is not a file")
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
