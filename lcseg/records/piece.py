"""Some chips of one scene, and how they are read.

for chip, valid_hw, changes in read_chips(piece, setting): …
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lcseg import __version__
from lcseg.classes import IGNORE, ClassScheme
from lcseg.raster.grid import Grid, Window
from lcseg.raster.label import open_label
from lcseg.raster.source import open_image
from lcseg.records.relabelling import Changes, Correction, Relabeller
from lcseg.records.selection import Selection
from lcseg.records.spec import Chip, RecordSpec

_READ_BYTES = 4_000_000
"""How much is read at once: enough that chips share blocks, little enough that it stays near the
processor until the last of them is written."""


@dataclass(frozen=True)
class Setting:
    """What is alike in all parts of a conversion."""

    spec: RecordSpec  # Of the records.
    scheme: ClassScheme  # Says what label codes mean.
    selection: Selection  # Says which chips are kept.
    label_band: int  # Of the label rasters, from 1; 0: the only one.
    allow_ungeoreferenced: bool  # Take rasters without CRS.
    created_by: str = f"lcseg {__version__}"  # Another version may do it otherwise.


@dataclass(frozen=True)
class Piece:
    """Some chips of one scene."""

    scene: int  # Its number.
    key: str  # Its name.
    image: str  # Absolute path of the image raster.
    label: str  # Absolute path of the label raster.
    date: str  # When the image was taken.
    alpha: int  # Band of the image that is transparency; 0: none.
    grid: Grid  # Of the image.
    files: tuple[tuple[str, int, int], ...]  # Path, size and time of change of what is read.
    windows: tuple[tuple[int, int, int, int], ...]  # Row, col, height, width.
    splits: tuple[int, ...]  # Indices into SPLITS.
    corrections: tuple[Correction, ...] = ()  # Of labels, those that touch the windows.


def read_chips(piece: Piece, setting: Setting) -> Iterator[tuple[Chip, np.ndarray, Changes]]:
    """Read chips in order, with corrected labels.

    Yields:
        A chip, which of the pixels in its window are valid, bool [h, w], and what was corrected.
    """
    spec = setting.spec
    relabeller = Relabeller(piece.corrections, piece.grid)
    with (
        open_image(piece.image, piece.alpha) as image,
        open_label(
            piece.label,
            image.grid,
            setting.scheme,
            setting.label_band,
            setting.allow_ungeoreferenced,
        ) as label,
    ):
        most_px = _READ_BYTES // (spec.chip_bytes // spec.chip_px**2)
        for run, around in _runs([Window(*window) for window in piece.windows], most_px):
            image_hwc, valid_hw = image.read(around)
            label_hw = label.read(around)
            if not valid_hw.all():
                label_hw = np.where(valid_hw, label_hw, IGNORE)
            for window in run:
                place = window.within(around).slices
                own_hw, changes = relabeller.relabel(label_hw[place], valid_hw[place], window)
                yield (
                    Chip(
                        _fill(image_hwc[place], spec.image_shape, 0),
                        _fill(own_hw, spec.image_shape[:2], IGNORE),
                        piece.key,
                        window.row,
                        window.col,
                        image.grid.transform_of(window),
                        image.grid.crs or "",
                        piece.date,
                    ),
                    valid_hw[place],
                    changes,
                )


def _runs(windows: Sequence[Window], most_px: int) -> Iterator[tuple[list[Window], Window]]:
    """Put windows together that follow each other row by row, with the window around them."""
    run: list[Window] = []
    for window in windows:
        if run and not (_goes_on(run, window) and _area(_around([*run, window])) <= most_px):
            yield run, _around(run)
            run = []
        run.append(window)
    if run:
        yield run, _around(run)


def _goes_on(run: list[Window], window: Window) -> bool:
    """Whether a window comes next in its row, or begins another one below."""
    first, last = run[0], run[-1]
    if window.row == last.row:
        return last.col < window.col <= last.col + last.width
    return window.col == first.col and last.row < window.row <= last.row + last.height


def _around(windows: Sequence[Window]) -> Window:
    """The smallest window that holds all of some, the first of which is at its upper left."""
    row, col = windows[0].row, windows[0].col
    bottom, right = max(w.row + w.height for w in windows), max(w.col + w.width for w in windows)
    return Window(row, col, bottom - row, right - col)


def _area(window: Window) -> int:
    return window.height * window.width


def _fill(values: np.ndarray, shape: tuple[int, ...], rest: int) -> np.ndarray:
    """Values in the upper left of an array of a shape, and `rest` elsewhere."""
    if values.shape == shape:
        # One copy here saves one each where the pixels are measured and where they are written.
        return np.ascontiguousarray(values)
    filled = np.full(shape, rest, values.dtype)
    filled[: values.shape[0], : values.shape[1]] = values
    return filled
