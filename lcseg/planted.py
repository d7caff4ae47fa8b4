"""A synthetic landscape at two dates, with changes of known place and kind between them.

pair = make_dates(Dates(Landscape(seed=7)))
pair.before.truth_hw != pair.after.truth_hw    # what has changed: woods felled, houses, a lake
pair.after.image_hwc                           # another season, light and noise; a little shifted
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import default_rng
from skimage.measure import label

from lcseg.synthetic import (
    BARREN,
    GRASS,
    IMPERVIOUS,
    TREES,
    WATER,
    Landscape,
    Scene,
    Survey,
    decide_cover,
    draw,
    make_noise,
    pick,
    render,
    survey_ground,
    top,
)

_SEASONS = 1_000_003


@dataclass(frozen=True)
class Dates:
    """What happens to a landscape between two dates."""

    landscape: Landscape  # The first date, and how noisy its sensor is.
    season: int = 1  # Of the second date: another light, other crops; 0: those of the first.
    felled_share: float = 0.03  # Of the scene: woods that become bare soil, at most.
    built_share: float = 0.3  # Of the empty plots of villages.
    drains_lake: bool = True  # Whether the largest lake falls dry and is grass; a river stays.
    noise: float = 8.0  # Largest error of the second sensor, in grey levels.
    shift_px: tuple[float, float] = (0.0, 0.0)  # Of the second image: (down, right), at most 1.

    def __post_init__(self) -> None:
        if max(map(abs, self.shift_px)) > 1:
            raise ValueError(f"shift_px is {self.shift_px}, expected -1 to 1 each way")


@dataclass(frozen=True)
class Pair:
    """Two dates of a landscape, on one grid."""

    before: Scene
    after: Scene


def make_dates(config: Dates) -> Pair:
    """Make both dates: the same bytes on every machine."""
    landscape = config.landscape
    survey = survey_ground(landscape)
    before_hw = decide_cover(survey, landscape)
    after_hw = plant_changes(before_hw, survey, config)
    later = landscape
    if config.season:
        later = replace(landscape, seed=landscape.seed + config.season * _SEASONS)
    later = replace(later, noise=0)
    image_hwc = render(before_hw, survey, landscape)
    moved_hwc = shift_image(render(after_hw, survey, later), *config.shift_px)
    rng = default_rng([landscape.seed, config.season, 5])
    noisy_hwc = moved_hwc + draw(rng, -config.noise, config.noise, moved_hwc.shape)
    is_valid_hw = np.ones(before_hw.shape, bool)
    return Pair(
        Scene(image_hwc, before_hw, before_hw, is_valid_hw),
        Scene(noisy_hwc.clip(1, 255).astype(np.uint8), after_hw, after_hw, is_valid_hw),
    )


def plant_changes(truth_hw: np.ndarray, survey: Survey, config: Dates) -> np.ndarray:
    """The cover at the second date, uint8 [H, W] of codes."""
    rng, size_px = default_rng([config.landscape.seed, 4]), len(truth_hw)
    after_hw = truth_hw.copy()
    woods = make_noise(rng, size_px, 160, 40) - 9 * (truth_hw != TREES)
    after_hw[top(woods, config.felled_share) & (truth_hw == TREES)] = BARREN
    plots = (abs(survey.house_u) < 1) & (abs(survey.house_v) < 1) & survey.is_village
    is_built = plots & (pick(rng, survey.plot) < config.built_share)
    after_hw[is_built & (truth_hw == GRASS)] = IMPERVIOUS
    if config.drains_lake:
        after_hw[_find_lake(truth_hw)] = GRASS
    return after_hw


def _find_lake(truth_hw: np.ndarray) -> np.ndarray:
    """The largest water that does not cross the scene, bool [H, W]."""
    part_hw = label(truth_hw == WATER, connectivity=1)
    edges = np.concatenate([part_hw[0], part_hw[-1], part_hw[:, 0], part_hw[:, -1]])
    pixels = np.bincount(part_hw.ravel())
    pixels[np.unique(np.append(edges, 0))] = 0
    return part_hw == pixels.argmax() if pixels.any() else np.zeros(truth_hw.shape, bool)


def shift_image(image_hwc: np.ndarray, down_px: float, right_px: float) -> np.ndarray:
    """Move an image by at most a pixel each way, between pixels linearly; float32."""
    moved = image_hwc.astype(np.float32)
    for axis, by_px in ((0, down_px), (1, right_px)):
        step = 1 if by_px > 0 else -1
        neighbour = np.roll(moved, step, axis)
        # What comes in at the edge is what lay there.
        edge, inner = (np.moveaxis(a, axis, 0) for a in (neighbour, moved))
        edge[0 if step > 0 else -1] = inner[0 if step > 0 else -1]
        moved = (1 - abs(by_px)) * moved + abs(by_px) * neighbour
    return moved
