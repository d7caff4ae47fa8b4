"""A map held against a label raster, window by window, in memory that does not grow with them.

config = EvaluateConfig("report", map="map.tif", label="lc.tif", classes="chesapeake-4")
findings = examine_map(config, load_scheme(config.classes))
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from lcseg.classes import ClassScheme
from lcseg.errors import LcsegError
from lcseg.evaluation.border import MARGIN_PX
from lcseg.evaluation.config import EvaluateConfig
from lcseg.evaluation.findings import Findings
from lcseg.evaluation.spots import (
    ENOUGH,
    Place,
    Tiles,
    Worst,
    draw_confidence,
    draw_difference,
    draw_tiles,
    judge_spot,
)
from lcseg.evaluation.tally import Tally, count
from lcseg.pictures import stretch
from lcseg.progress import Progress
from lcseg.raster.alignment import is_same_grid
from lcseg.raster.class_map import ClassMap, open_class_map
from lcseg.raster.dataset import bounded_cache
from lcseg.raster.grid import Grid, Window, cover
from lcseg.raster.label import LabelSource, open_label
from lcseg.raster.probabilities import PROBABILITY_ONE, Probabilities, open_probabilities
from lcseg.raster.source import Imagery, ImageSource, open_image

BLOCK_PX = 1024
SPOT_PX = 256
"""Side of the windows of which the worst are shown; a block holds whole ones."""

_CACHE_MB = 48


@dataclass(frozen=True)
class MapPair:
    """A map and what it is held against, open, all on the grid of the map."""

    grid: Grid  # Of the map.
    map: ClassMap  # Its classes.
    label: LabelSource  # The labels.
    probabilities: Probabilities | None  # Of each class, or of the class that is mapped.
    image: ImageSource | None  # To be shown.

    def read_confidence(self, window: Window, map_hw: np.ndarray) -> np.ndarray | None:
        """Read the probability of what the map says, float32 [H, W], NaN where it is not known.

        None: no probabilities were given.
        """
        if self.probabilities is None:
            return None
        shares_hwk, is_known_hw = self.probabilities.read(window)
        band_hw = np.minimum(map_hw, shares_hwk.shape[-1] - 1).astype(np.intp)
        chosen_hw = np.take_along_axis(shares_hwk, band_hw[..., None], axis=-1)[..., 0]
        return np.where(is_known_hw, chosen_hw / np.float32(PROBABILITY_ONE), np.float32(np.nan))


def examine_map(config: EvaluateConfig, scheme: ClassScheme, block_px: int = BLOCK_PX) -> Findings:
    """Judge a map by a label raster, which is brought onto the map's grid.

    Args:
        config: names the rasters.
        scheme: the classes.
        block_px: side of what is read at once, a multiple of SPOT_PX; it changes no number.

    Raises:
        LcsegError: the rasters do not fit each other, or share no labelled pixel.
    """
    tally, worst = Tally.empty(scheme.n_classes), Worst(config.worst)
    with bounded_cache(_CACHE_MB), _open_pair(config, scheme) as pair:
        height, width = pair.grid.height, pair.grid.width
        least_px = ENOUGH * min(SPOT_PX, height) * min(SPOT_PX, width)
        windows = list(cover(height, width, block_px))
        with Progress("evaluate", len(windows), "blocks", config.quiet) as progress:
            for window in windows:
                label_hw = pair.label.read(window.widen(MARGIN_PX))
                map_hw = pair.map.read(window)
                confidence_hw = pair.read_confidence(window, map_hw)
                tally = tally.merge(
                    count(label_hw, map_hw, confidence_hw, scheme.n_classes, MARGIN_PX)
                )
                own_hw = label_hw[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
                for part in cover(block_px, block_px, SPOT_PX):
                    place = Place("", window.row + part.row, window.col + part.col)
                    pixels = own_hw[part.slices], map_hw[part.slices]
                    worst = worst.add(judge_spot(place, *pixels, least_px))
                progress.advance()
        if not tally.by_distance.any():
            raise LcsegError(config.label, "has no labelled pixel where the map has a class")
        tiles = [_picture(pair, spot.place, scheme) for spot in worst.spots]
    return Findings(tally, worst.spots, tiles)


@contextmanager
def _open_pair(config: EvaluateConfig, scheme: ClassScheme) -> Iterator[MapPair]:
    free = config.allow_ungeoreferenced
    with ExitStack() as stack:
        opened = stack.enter_context
        mapped = opened(open_class_map(config.map, scheme, free))
        grid = mapped.grid
        label = opened(open_label(config.label, grid, scheme, config.label_band, free))
        probabilities = image = None
        if config.probabilities:
            probabilities = opened(open_probabilities(config.probabilities, scheme, True))
            _require_same_grid(probabilities, grid)
        if config.image:
            image = opened(open_image(config.image))
            _require_same_grid(image, grid)
        yield MapPair(grid, mapped, label, probabilities, image)


def _picture(pair: MapPair, place: Place, scheme: ClassScheme) -> Tiles:
    window = Window(place.row, place.col, SPOT_PX, SPOT_PX)
    window = window.clip(pair.grid.height, pair.grid.width)
    label_hw, map_hw = pair.label.read(window), pair.map.read(window)
    pictures = [
        ("label", scheme.colorize(label_hw)),
        ("map", scheme.colorize(map_hw)),
        ("where they differ", draw_difference(label_hw, map_hw)),
    ]
    confidence_hw = pair.read_confidence(window, map_hw)
    if confidence_hw is not None:
        pictures.append(("confidence", draw_confidence(confidence_hw)))
    if pair.image:
        pictures.insert(0, ("image", stretch(*pair.image.read(window))))
    return draw_tiles(pictures)


def _require_same_grid(source: Imagery, grid: Grid) -> None:
    if not is_same_grid(grid, source.grid):
        raise LcsegError(source.path, "does not lie on the grid of the map", "warp it (gdalwarp)")
