"""What is known of one place.

place = await inspect_place(artist, shown, lon, lat, LONLAT)
place.class_index, place.probabilities
"""

from __future__ import annotations

from dataclasses import dataclass

from lcseg.classes import IGNORE
from lcseg.raster.grid import Grid
from lcseg.serving.artist import Artist, Shown
from lcseg.serving.reading import read_labels, read_transition
from lcseg.serving.view import look

_POINT = 1e-9
"""Side of the picture that is a point, in units of its CRS."""


@dataclass(frozen=True)
class Place:
    """What is known of a place."""

    is_inside: bool  # Whether it lies in the image.
    class_index: int | None  # That the model says; None: nothing is mapped there.
    probabilities: tuple[float, ...]  # Of each class; they sum to 1; empty: nothing is mapped.
    label_index: int | None  # That the reference says; None: nothing, or there is none.
    transition: int | None = None  # Code that the map of change says; None: nothing, or no map.
    change_probability: float | None = None  # As it says; None: not known.


async def inspect_place(artist: Artist, shown: Shown, x: float, y: float, crs: str) -> Place:
    """Ask the model, and the reference, of the pixel that a place lies in."""
    point = make_point(x, y, crs)
    is_inside = await artist.run(lambda: look(point, shown.dataset.grid)) is not None
    every = range(1 + shown.dataset.scheme.n_classes)
    planes = (await artist.predict(shown, point, every))[0, 0].tolist()
    label = IGNORE
    if shown.dataset.entry.label:
        label = int((await artist.read(read_labels, shown.dataset, point))[0, 0])
    label_index = None if label == IGNORE else label
    change: tuple[int | None, float | None] = None, None
    if shown.dataset.changes:
        change = await artist.read(read_transition, shown.dataset, point)
    if planes[0] == IGNORE:
        return Place(is_inside, None, (), label_index, *change)
    # Rounded to 254ths, they need not sum to one.
    total = sum(planes[1:]) or 1
    probabilities = tuple(share / total for share in planes[1:])
    return Place(is_inside, planes[0], probabilities, label_index, *change)


def make_point(x: float, y: float, crs: str) -> Grid:
    """The grid of a picture that is a point."""
    return Grid(1, 1, (_POINT, 0.0, x - _POINT / 2, 0.0, -_POINT, y + _POINT / 2), crs)
