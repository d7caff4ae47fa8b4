"""Made-up labels with known faults."""

import numpy as np
import pytest

from lcseg.audit.planting import OBJECT_PX, plant
from lcseg.classes import load_scheme
from lcseg.synthetic import Landscape, make_landscape

SCHEME = load_scheme("chesapeake-4")


@pytest.mark.parametrize("seed", range(3))
def test_the_share_of_planted_pixels_is_what_was_asked_for(seed):
    scene = plant(Landscape(384, seed), share=0.02, sloppy_px=0)
    wrong_hw = SCHEME.encode(scene.codes_hw) != SCHEME.encode(scene.truth_hw)
    assert (scene.planted_hw == (scene.codes_hw != scene.truth_hw)).all()
    assert (wrong_hw <= scene.planted_hw).all()
    most_px = OBJECT_PX[1] / scene.codes_hw.size
    assert 0.02 <= scene.planted_hw.mean() < 0.02 + most_px
    assert wrong_hw.mean() > 0.95 * scene.planted_hw.mean()


def test_the_image_shows_the_truth_and_nothing_of_the_faults():
    config = Landscape(256, 3)
    scene, clean = plant(config), make_landscape(config)
    assert (scene.image_hwc == clean.image_hwc).all()
    assert (scene.truth_hw == clean.truth_hw).all()
    assert (plant(config).codes_hw == scene.codes_hw).all()


def test_sloppy_borders_are_off_by_no_more_than_was_asked_for():
    exact, sloppy = (plant(Landscape(256, 1), 0.0, sloppy_px=px) for px in (0, 2))
    off_hw = exact.codes_hw != sloppy.codes_hw
    assert 0.005 < off_hw.mean() < 0.1
    assert not sloppy.planted_hw.any()
    padded = np.pad(exact.codes_hw, 2, mode="edge")
    near = [padded[row : row + 256, col : col + 256] for row in range(5) for col in range(5)]
    assert (np.stack(near) == sloppy.codes_hw).any(axis=0).all()
