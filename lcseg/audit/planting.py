"""Made-up scenes whose labels have known faults, by which an audit is tried.

scene = plant(Landscape(size_px=768, seed=7), share=0.02)
scene.codes_hw                                 # the label, with faults and sloppy borders
scene.planted_hw                               # where the faults are
scene.truth_hw                                 # what the image shows

Half of the faults are outdated: houses and ponds that came or went between the label and the image.
The others are objects that were given the code of another class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, default_rng
from skimage.measure import label

from lcseg.synthetic import (
    BARREN,
    GRASS,
    IMPERVIOUS,
    TREES,
    WATER,
    Landscape,
    Survey,
    decide_cover,
    make_noise,
    render,
    survey_ground,
)

OBJECT_PX = (60, 1500)
"""The least and the most pixels of an object that is planted."""

_KINDS = {WATER: 0, TREES: 1, GRASS: 2, BARREN: 3}
"""The codes that an object is relabelled to; those of buildings and roads count as barren."""


@dataclass(frozen=True)
class PlantedScene:
    """An image, its faulty label, and the truth behind both."""

    image_hwc: np.ndarray  # uint8 [H, W, 4]: red, green, blue, near infrared.
    codes_hw: np.ndarray  # uint8 [H, W]: Chesapeake codes, as they were drawn.
    truth_hw: np.ndarray  # uint8 [H, W]: Chesapeake codes of what the image shows.
    planted_hw: np.ndarray  # bool [H, W]: where a fault was planted, as its outline was drawn.


def plant(config: Landscape, share: float = 0.02, sloppy_px: float = 2.0) -> PlantedScene:
    """Make a scene whose label has faults.

    Args:
        config: of the landscape; the same one gives the same bytes.
        share: of the pixels that are to be wrong, beside those along sloppy borders.
        sloppy_px: how far borders are drawn from where they are, at most.
    """
    survey, rng = survey_ground(config), default_rng([config.seed, 5])
    truth_hw = decide_cover(survey, config)
    codes_hw = truth_hw.copy()
    most_px = share * truth_hw.size
    _age(codes_hw, truth_hw, survey, rng, config, most_px / 2)
    _relabel(codes_hw, truth_hw, rng, most_px)
    planted_hw = codes_hw != truth_hw
    image_hwc = render(truth_hw, survey, config)
    rows, cols = _displace(rng, config.size_px, sloppy_px)
    return PlantedScene(image_hwc, codes_hw[rows, cols], truth_hw, planted_hw[rows, cols])


def _age(
    codes_hw: np.ndarray,
    truth_hw: np.ndarray,
    survey: Survey,
    rng: Generator,
    config: Landscape,
    most_px: float,
) -> None:
    """Have the label show an earlier time: houses and ponds lost since, none of the new ones."""
    is_house = (abs(survey.house_u) < 1) & (abs(survey.house_v) < 1)
    hollows = make_noise(rng, config.size_px, 60, 8)
    is_pond = hollows > np.quantile(hollows, 0.96)
    objects = [
        (label((truth_hw == IMPERVIOUS), connectivity=1), GRASS),
        (label((truth_hw == WATER), connectivity=1), GRASS),
        (label(is_house & (truth_hw == GRASS), connectivity=1), IMPERVIOUS),
        (label(is_pond & (truth_hw == GRASS), connectivity=1), WATER),
    ]
    _change(codes_hw, truth_hw, rng, most_px, objects)


def _relabel(codes_hw: np.ndarray, truth_hw: np.ndarray, rng: Generator, most_px: float) -> None:
    """Give objects the code of another class."""
    objects = []
    for code in _KINDS:
        kind_hw = np.where(truth_hw > BARREN, BARREN, truth_hw)
        parts_hw = label((kind_hw == code) & (codes_hw == truth_hw), connectivity=1)
        objects += [(parts_hw, other) for other in _KINDS if other != code]
    _change(codes_hw, truth_hw, rng, most_px, objects)


def _change(
    codes_hw: np.ndarray,
    truth_hw: np.ndarray,
    rng: Generator,
    most_px: float,
    objects: list[tuple[np.ndarray, int]],
) -> None:
    """Change objects, by turns of each kind, until enough pixels are wrong."""
    queues = []
    for parts_hw, code in objects:
        sizes = np.bincount(parts_hw.ravel())
        sizes[0] = 0
        fitting = np.flatnonzero((sizes >= OBJECT_PX[0]) & (sizes <= OBJECT_PX[1]))
        queues.append((parts_hw, code, list(rng.permutation(fitting))))
    while any(queue for _, _, queue in queues):
        for parts_hw, code, queue in queues:
            if not queue:
                continue
            if np.count_nonzero(codes_hw != truth_hw) >= most_px:
                return
            is_own_hw = parts_hw == queue.pop()
            if (codes_hw[is_own_hw] == truth_hw[is_own_hw]).all():
                codes_hw[is_own_hw] = code


def _displace(rng: Generator, size_px: int, most_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of a label that is drawn by hand come from, int [H, W] rows and columns."""
    y, x = np.mgrid[:size_px, :size_px]
    rows, cols = (
        np.rint(at + most_px / 2 * make_noise(rng, size_px, 30, 15)).astype(int) for at in (y, x)
    )
    return rows.clip(0, size_px - 1), cols.clip(0, size_px - 1)
