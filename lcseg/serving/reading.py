"""What is read, not predicted: imagery, the reference, and maps that were made before.

rgba_hwc = read_imagery(handles, dataset, tile_grid)   # None: it would take too many pixels
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lcseg.classes import IGNORE
from lcseg.raster.dataset import bounded_cache
from lcseg.raster.grid import Grid, Window
from lcseg.raster.levels import Level, choose_level
from lcseg.raster.probabilities import PROBABILITY_ONE
from lcseg.serving.changes import Changes, read_changed, shrink
from lcseg.serving.dataset import Dataset
from lcseg.serving.handles import Handles
from lcseg.serving.view import View, look, measure

MOST_READ_PX = 1 << 24
"""Pixels that are read for one picture."""

_MOST_CODES_PX = 1 << 26
"""Of a map of transitions, which has one byte a pixel."""


def read_imagery(handles: Handles, dataset: Dataset, picture: Grid) -> np.ndarray | None:
    """The image as colours, uint8 [H, W, 4]; transparent where there is none."""
    nothing = np.zeros((picture.height, picture.width, 4), np.uint8)
    level, under = _look_at_one(dataset.image_levels, picture)
    if under is None:
        return nothing
    if not _is_few(under.window):
        return None
    with bounded_cache():
        image_hwc, valid_hw = handles.image(dataset, level.overview).read(under.window)
    nothing[..., :3] = _light(under.take(image_hwc, under.window, 0), dataset.limits)
    is_there_hw = under.take(valid_hw, under.window, False)
    nothing[..., 3] = is_there_hw * np.uint8(255)
    nothing[~is_there_hw] = 0
    return nothing


def read_map(handles: Handles, dataset: Dataset, picture: Grid) -> np.ndarray | None:
    """Classes of the map, in the size that the picture needs, uint8 [H, W]."""
    nothing = np.full((picture.height, picture.width), IGNORE, np.uint8)
    level, under = _look_at_one(dataset.map_levels, picture)
    if under is None:
        return nothing
    if not _is_few(under.window):
        return None
    with bounded_cache():
        image_hwc, valid_hw = handles.map(dataset, level.overview).read(under.window)
    label_hw = np.where(valid_hw, image_hwc[..., 0], np.uint8(IGNORE))
    return under.take(label_hw, under.window, IGNORE)


def read_labels(handles: Handles, dataset: Dataset, picture: Grid) -> np.ndarray | None:
    """The reference, uint8 [H, W], 255 where there is none."""
    view = look(picture, dataset.grid)
    if view is None:
        return np.full((picture.height, picture.width), IGNORE, np.uint8)
    if not _is_few(view.window):
        return None
    with bounded_cache():
        label_hw = handles.label(dataset).read(view.window)
    return view.take(label_hw, view.window, IGNORE)


def read_changes(handles: Handles, dataset: Dataset, picture: Grid) -> np.ndarray | None:
    """Codes of what has changed, in the size that the picture needs, uint8 [H, W], else 255."""
    nothing = np.full((picture.height, picture.width), IGNORE, np.uint8)
    changes = _require_changes(dataset)
    pixels = measure(picture, changes.grid)
    if pixels is None:
        return nothing
    factor = changes.choose_factor(pixels)
    view = look(picture, changes.coarsen(factor))
    if view is None:
        return nothing
    window = view.window
    overview_hw = changes.find_overview(factor)
    if overview_hw is not None:
        return view.take(overview_hw[window.slices], window, IGNORE)
    sides = window.row, window.col, window.height, window.width
    wide = Window(*(factor * side for side in sides))
    if wide.height * wide.width > _MOST_CODES_PX:
        return None
    with bounded_cache():
        code_hw = read_changed(handles.change(changes, dataset.version), wide)
    return view.take(shrink(code_hw, factor), window, IGNORE)


def read_transition(
    handles: Handles, dataset: Dataset, point: Grid
) -> tuple[int | None, float | None]:
    """The code of the transition at a point, and the probability of change; None: not known."""
    changes = _require_changes(dataset)
    view = look(point, changes.grid)
    if view is None:
        return None, None
    with bounded_cache():
        code = int(handles.change(changes, dataset.version).read(view.window)[0, 0])
        if code == IGNORE:
            return None, None
        if not changes.probability:
            return code, None
        share_hwc, valid_hw = handles.probability(changes, dataset.version).read(view.window)
    return code, int(share_hwc[0, 0, 0]) / PROBABILITY_ONE if valid_hw[0, 0] else None


def _require_changes(dataset: Dataset) -> Changes:
    assert dataset.changes is not None
    return dataset.changes


def _look_at_one(levels: Sequence[Level], picture: Grid) -> tuple[Level, View | None]:
    """The level of a raster that a picture needs, and what of it lies under the picture."""
    pixels = measure(picture, levels[0].grid)
    level = choose_level(levels, pixels or 1.0)
    return level, None if pixels is None else look(picture, level.grid)


def _light(image_hwc: np.ndarray, limits: tuple[float, float] | None) -> np.ndarray:
    """Values as bytes from black to white, uint8 [H, W, 3 or 1]."""
    if limits is None:
        return image_hwc
    low, high = limits
    scaled = (image_hwc.astype(np.float32) - low) * (255 / (high - low))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _is_few(window: Window) -> bool:
    return window.height * window.width <= MOST_READ_PX
