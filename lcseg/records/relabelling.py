"""Labels of a window, changed by what people have said of places.

relabeller = Relabeller([Correction(7, outline, label=2, new=0)], grid)
label_hw, changes = relabeller.relabel(label_hw, valid_hw, window)
changes.pixels                                 # {2: Counter({0: 150})}

A pixel is of a place if its centre is. Where places say different things of a pixel, nobody knows,
and it is ignored: so the order of places means nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely

from lcseg.classes import IGNORE
from lcseg.raster.area import Area, box_of
from lcseg.raster.grid import Grid, Window


@dataclass(frozen=True)
class Correction:
    """What is known of the labels of a place in a scene."""

    place: int  # Id of the suspect.
    outline: str  # Polygon in pixels of the scene, x is columns, y is rows: WKB in hexadecimal.
    label: int | None  # It is about pixels of this label alone; None: about any.
    new: int | None  # What their label shall be, 255 is ignored; None: it is right.


@dataclass(frozen=True)
class Changes:
    """What corrections have changed; changes merge in any order."""

    pixels: dict[int, Counter[int]] = field(default_factory=dict)  # By label before, then after.
    places: Counter[int] = field(default_factory=Counter)  # Pixels that a place changes, by id.
    contested: Counter[int] = field(default_factory=Counter)  # Pixels of which others say else.

    def merge(self, other: Changes) -> Changes:
        labels = sorted({*self.pixels, *other.pixels})
        none: Counter[int] = Counter()
        return Changes(
            {old: self.pixels.get(old, none) + other.pixels.get(old, none) for old in labels},
            self.places + other.places,
            self.contested + other.contested,
        )


class Touching:
    """Corrections of a scene, to be asked which of them touch some windows."""

    def __init__(self, corrections: Sequence[Correction]) -> None:
        self._corrections = corrections
        self._tree = shapely.STRtree(_outlines(corrections))

    def find(self, windows: np.ndarray) -> tuple[Correction, ...]:
        """Those that touch any of some windows, int [n, 4]: row, col, height, width; in order."""
        rows, cols, heights, widths = windows.T
        boxes = shapely.box(cols, rows, cols + widths, rows + heights)
        _, found = self._tree.query(boxes, predicate="intersects")
        return tuple(self._corrections[number] for number in np.unique(found).tolist())


class Relabeller:
    """Corrections of a scene, ready for its windows."""

    def __init__(self, corrections: Sequence[Correction], grid: Grid) -> None:
        outlines = _outlines(corrections)
        self._corrections = corrections
        self._areas = [Area(outline, grid) for outline in outlines]
        self._tree = shapely.STRtree(outlines)

    def relabel(
        self, label_hw: np.ndarray, valid_hw: np.ndarray, window: Window
    ) -> tuple[np.ndarray, Changes]:
        """Change the labels of a window of the scene.

        Args:
            label_hw: uint8 class indices, 255 where there is none.
            valid_hw: bool: where the image has data; elsewhere no label is changed.
            window: where the two lie in the scene.

        Returns:
            The labels, which may be those that were given, and what has changed.
        """
        found = sorted(self._tree.query(box_of(window), predicate="intersects").tolist())
        changes = Changes()
        if not found:
            return label_hw, changes
        new_hw = label_hw.copy()
        teller_hw = np.full(label_hw.shape, -1, np.int32)
        is_contested = np.zeros(label_hw.shape, bool)
        for number in found:
            correction, area = self._corrections[number], self._areas[number]
            part = area.window.within(window).clip(window.height, window.width)
            if not (part.height and part.width):
                continue
            inside = part.slices
            old_hw = label_hw[inside]
            is_meant = area.read(part.within(Window(-window.row, -window.col, 0, 0)))
            is_meant &= valid_hw[inside]
            if correction.label is not None:
                is_meant &= old_hw == correction.label
            told_hw = old_hw if correction.new is None else np.full_like(old_hw, correction.new)
            differs = is_meant & (teller_hw[inside] >= 0) & (new_hw[inside] != told_hw)
            for other, pixels in _count(teller_hw[inside][differs]).items():
                changes.contested[self._corrections[other].place] += pixels
                changes.contested[correction.place] += pixels
            is_contested[inside] |= differs
            new_hw[inside][is_meant] = told_hw[is_meant]
            teller_hw[inside][is_meant] = number
            changes.places[correction.place] += int(
                np.count_nonzero(is_meant & (told_hw != old_hw))
            )
        new_hw[is_contested] = IGNORE
        is_changed = new_hw != label_hw
        for old in np.unique(label_hw[is_changed]).tolist():
            changes.pixels[old] = Counter(_count(new_hw[is_changed & (label_hw == old)]))
        return new_hw, changes


def _outlines(corrections: Sequence[Correction]) -> list[shapely.Geometry]:
    return [shapely.from_wkb(correction.outline) for correction in corrections]


def _count(values: np.ndarray) -> dict[int, int]:
    """How often each value occurs."""
    found, times = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), times.tolist(), strict=True))
