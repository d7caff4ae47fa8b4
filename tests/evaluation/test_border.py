"""Distances to the borders of classes, held against scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_cdt

from lcseg.classes import IGNORE
from lcseg.evaluation.border import BAND_NAMES, MARGIN_PX, band_distances


def band_slowly(label_hw: np.ndarray) -> np.ndarray:
    """Bands by scipy's chessboard distances; -1 where there is no label."""
    bands_hw = np.full(label_hw.shape, -1)
    for value in set(np.unique(label_hw).tolist()) - {IGNORE}:
        others = (label_hw != value) & (label_hw != IGNORE)
        far = np.full(label_hw.shape, 9_999)
        if others.any():
            far = distance_transform_cdt(~others, "chessboard")
        own = label_hw == value
        bands_hw[own] = np.searchsorted([1, 2, 4, 8, 16], far[own])
    return bands_hw


def make_labels(shape: tuple[int, int], seed: int, patch_px: int) -> np.ndarray:
    """Patches of classes, some of the highest index that there may be, with ignored pixels."""
    random = np.random.default_rng(seed)
    coarse = random.choice([0, 1, 7, 253, IGNORE], shape).astype(np.uint8)
    fine = coarse.repeat(patch_px, axis=0).repeat(patch_px, axis=1)[: shape[0], : shape[1]].copy()
    fine[random.random(shape) < 0.1] = IGNORE
    return fine


def test_pixels_are_sorted_by_their_distance_to_another_class():
    label_hw = np.zeros((3, 60), np.uint8)
    label_hw[:, 40:] = 1
    label_hw[:, 20:24] = IGNORE
    bands = [BAND_NAMES[band] for band in band_distances(label_hw)[1]]
    assert bands[40:48] == ["1", "2", "3–4", "3–4", "5–8", "5–8", "5–8", "5–8"]
    assert bands[48:60] == ["9–16"] * 8 + ["over 16"] * 4
    assert bands[39] == "1"
    assert set(bands[:20]) == {"over 16"}


@given(
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.integers(0, 999),
    st.sampled_from([1, 5, 20, 40]),
)
def test_bands_are_those_of_chessboard_distances(shape, seed, patch_px):
    label_hw = make_labels(shape, seed, patch_px)
    expected = band_slowly(label_hw)
    is_labelled = label_hw != IGNORE
    assert np.array_equal(band_distances(label_hw)[is_labelled], expected[is_labelled])


@pytest.mark.parametrize("seed", range(3))
def test_what_is_beyond_the_margin_changes_nothing(seed):
    label_hw = make_labels((120, 120), seed, 30)
    whole = band_distances(label_hw)
    part = band_distances(label_hw[10:100, 20:110])
    inner = slice(MARGIN_PX, -MARGIN_PX), slice(MARGIN_PX, -MARGIN_PX)
    is_labelled = label_hw[10:100, 20:110][inner] != IGNORE
    assert np.array_equal(part[inner][is_labelled], whole[10:100, 20:110][inner][is_labelled])
    assert set(np.unique(part[inner])) == set(range(len(BAND_NAMES)))


def test_ignored_pixels_and_edges_are_no_border():
    label_hw = np.full((40, 40), 2, np.uint8)
    label_hw[20:, :] = IGNORE
    assert (band_distances(label_hw)[:20] == len(BAND_NAMES) - 1).all()
