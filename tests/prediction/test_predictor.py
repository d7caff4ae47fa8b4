"""The predictor, held against the bare model and numpy."""

import dataclasses

import numpy as np
import pytest

from lcseg.model.bundle import load_bundle
from lcseg.prediction.predictor import Predictor

RANDOM = np.random.default_rng(0)
VALUES = RANDOM.integers(1, 255, (24, 24, 4), np.uint8)


@pytest.fixture(scope="module")
def loaded(bundle):
    return load_bundle(bundle)


@pytest.fixture(scope="module")
def predictor(loaded):
    return Predictor(loaded)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(np.float64(logits) - np.float64(logits).max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_blocks_become_classes_and_probabilities(predictor):
    halo_px = predictor.info.halo_px
    padded_nhwc = RANDOM.integers(0, 256, (3, 32 + 2 * halo_px, 48 + 2 * halo_px, 4), np.uint8)
    label_nhw, logits_nhwk = predictor.predict(padded_nhwc)
    probs_nhwk = predictor.to_probabilities(logits_nhwk)
    assert (label_nhw.shape, label_nhw.dtype) == ((3, 32, 48), np.uint8)
    assert (probs_nhwk.shape, probs_nhwk.dtype) == ((3, 32, 48, 4), np.float32)
    assert np.allclose(probs_nhwk.sum(axis=-1), 1, atol=1e-6)
    assert np.array_equal(label_nhw, probs_nhwk.argmax(axis=-1))
    assert np.array_equal(label_nhw, predictor.classify(padded_nhwc))


@pytest.mark.parametrize(("height", "width"), [(4, 4), (64, 4), (12, 40)])
def test_blocks_of_any_size_are_what_the_model_says_of_them(loaded, predictor, height, width):
    halo_px = predictor.info.halo_px
    padded_hwc = RANDOM.integers(0, 256, (height + 2 * halo_px, width + 2 * halo_px, 4), np.uint8)
    (label_hw,), (logits_hwk,) = predictor.predict(padded_hwc[None])
    inner = np.s_[halo_px : halo_px + height, halo_px : halo_px + width]
    expected_hwk = loaded.model(padded_hwc[None], training=False).numpy()[0][inner]
    assert np.allclose(logits_hwk, expected_hwk, atol=1e-4)
    sure_hw = np.diff(np.sort(expected_hwk, axis=-1)[..., -2:])[..., 0] > 1e-3
    assert sure_hw.mean() > 0.9
    assert np.array_equal(label_hw[sure_hw], expected_hwk.argmax(axis=-1)[sure_hw])


def test_a_model_without_reach_needs_no_halo(loaded):
    info = dataclasses.replace(loaded.info, halo_px=0)
    label_nhw, logits_nhwk = Predictor(dataclasses.replace(loaded, info=info)).predict(VALUES[None])
    assert label_nhw.shape == (1, 24, 24)
    assert tuple(logits_nhwk.shape) == (1, 24, 24, 4)


def test_probabilities_are_the_softmax_however_large_the_logits(predictor):
    logits_hwk = np.array([[[0, 0, 0], [1e4, 0, -1e4], [-3, 2, 2.5]]], np.float32)
    assert np.allclose(predictor.to_probabilities(logits_hwk), softmax(logits_hwk), atol=1e-6)
