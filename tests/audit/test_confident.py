"""Confident learning on probabilities of rasters, held against the method in plain numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcseg.audit.confident import ConfidentJoint, SelfConfidence, find_issues, guess_classes
from lcseg.classes import IGNORE

ONE = 254


def make_case(seed: int, n_classes: int = 4, height: int = 12, width: int = 17):
    """Probabilities as rasters hold them, and labels of which some are missing."""
    random = np.random.default_rng(seed)
    powers = random.exponential(size=(height, width, n_classes)) ** 2
    probs_hwk = np.rint(ONE * powers / powers.sum(-1, keepdims=True)).astype(np.uint8)
    labels = np.append(np.arange(n_classes), IGNORE)
    return probs_hwk, random.choice(labels, (height, width)).astype(np.uint8)


def reference(probs_nk: np.ndarray, labels: np.ndarray):
    """Thresholds, the class that is confidently there (-1: none), and its joint with the labels."""
    n_classes = probs_nk.shape[1]
    limits = np.array([probs_nk[labels == k, k].mean() for k in range(n_classes)])
    reached = np.where(probs_nk >= limits - 1e-9, probs_nk, -1)
    guess = np.where(reached.max(axis=1) < 0, -1, reached.argmax(axis=1))
    joint = [[((labels == i) & (guess == j)).sum() for j in range(n_classes)] for i in range(4)]
    return limits, guess, np.array(joint)


def test_two_passes_tell_which_labels_are_contradicted():
    # Grass is labelled in four pixels; in the last one the model is sure of water.
    probs_hwk = np.array([[[20, 234], [40, 214], [0, 254], [250, 4], [254, 0]]], np.uint8)
    label_hw = np.array([[1, 1, 1, 1, 0]], np.uint8)
    sums = SelfConfidence.empty(2).add(probs_hwk, label_hw)
    assert sums.thresholds == (1.0, (234 + 214 + 254 + 4) / 4 / 254)
    assert sums.least.tolist() == [254, 177]
    guess_hw = guess_classes(probs_hwk, sums.least)
    assert guess_hw.tolist() == [[1, 1, 1, IGNORE, 0]]
    assert not find_issues(probs_hwk, label_hw, guess_hw).any()
    probs_hwk[0, 3] = 254, 0
    guess_hw = guess_classes(probs_hwk, sums.least)
    assert find_issues(probs_hwk, label_hw, guess_hw).tolist() == [[0, 0, 0, 1, 0]]
    joint = ConfidentJoint.empty(2).add(label_hw, guess_hw)
    assert joint.counts.tolist() == [[1, 0], [1, 3]]
    assert joint.estimate(sums.pixels).tolist() == [[0.2, 0.0], [0.2, 0.6]]


@pytest.mark.parametrize("seed", range(8))
def test_thresholds_guesses_and_joint_are_those_of_the_paper(seed):
    probs_hwk, label_hw = make_case(seed)
    sums = SelfConfidence.empty(4).add(probs_hwk, label_hw)
    is_labelled = label_hw != IGNORE
    labels, probs_nk = label_hw[is_labelled].astype(int), probs_hwk[is_labelled] / ONE
    limits, guess, counts = reference(probs_nk, labels)
    assert np.allclose(sums.thresholds, limits, rtol=1e-12)
    guess_hw = guess_classes(probs_hwk, sums.least)
    assert (np.where(guess < 0, IGNORE, guess) == guess_hw[is_labelled]).all()
    joint = ConfidentJoint.empty(4).add(label_hw, guess_hw)
    assert joint.counts.tolist() == counts.tolist()
    shares = counts / counts.sum(axis=1, keepdims=True) * np.bincount(labels)[:, None]
    assert np.allclose(joint.estimate(sums.pixels), shares / len(labels), rtol=1e-12)
    issues = find_issues(probs_hwk, label_hw, guess_hw)[is_labelled]
    own = probs_nk[np.arange(len(labels)), labels]
    assert (issues == ((guess >= 0) & (guess != labels) & (own < probs_nk.max(axis=1)))).all()
    assert not find_issues(probs_hwk, label_hw, guess_hw)[~is_labelled].any()


@given(st.integers(0, 10**6), st.integers(1, 11), st.randoms())
def test_parts_merge_in_any_order_to_the_whole(seed, cut, random):
    probs_hwk, label_hw = make_case(seed)
    parts = [slice(0, cut), slice(cut, None)]
    random.shuffle(parts)
    empty = SelfConfidence.empty(4)
    one, other = (empty.add(probs_hwk[part], label_hw[part]) for part in parts)
    sums, whole = one.merge(other), empty.add(probs_hwk, label_hw)
    assert (sums.pixels == whole.pixels).all() and (sums.sums == whole.sums).all()
    guess_hw = guess_classes(probs_hwk, whole.least)
    none = ConfidentJoint.empty(4)
    joints = [none.add(label_hw[part], guess_hw[part]) for part in parts]
    assert (joints[0].merge(joints[1]).counts == none.add(label_hw, guess_hw).counts).all()


def test_a_class_without_a_label_has_no_threshold_and_is_guessed_nowhere():
    probs_hwk = np.array([[[0, 0, 254], [254, 0, 0]]], np.uint8)
    sums = SelfConfidence.empty(3).add(probs_hwk, np.array([[1, 0]], np.uint8))
    assert sums.thresholds == (1.0, 0.0, None)
    assert guess_classes(probs_hwk, sums.least).tolist() == [[1, 0]]
    joint = ConfidentJoint.empty(3).estimate(sums.pixels)
    assert joint.tolist() == [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 0]]


def test_a_rare_class_that_is_confident_does_not_contradict_the_most_probable_label():
    # The label is the most probable class, though it does not reach its own high threshold.
    probs_hwk, label_hw = np.array([[[140, 114]]], np.uint8), np.array([[0]], np.uint8)
    guess_hw = guess_classes(probs_hwk, np.array([200, 100], np.uint8))
    assert guess_hw.tolist() == [[1]]
    assert not find_issues(probs_hwk, label_hw, guess_hw).any()
