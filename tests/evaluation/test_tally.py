"""What is counted for a report, held against scikit-learn."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score

from lcseg.classes import IGNORE
from lcseg.evaluation.confusion import Confusion
from lcseg.evaluation.tally import Tally, count, rank_scenes, score_part

NAMES = "a", "b", "c"


def make_arrays(seed: int, side_px: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label, prediction and confidence of noise, some ignored, some not known."""
    random = np.random.default_rng(seed)
    label, prediction = random.choice([0, 1, 2, IGNORE], (2, side_px, side_px)).astype(np.uint8)
    confidence = random.uniform(0, 1, label.shape).astype(np.float32)
    confidence[random.random(label.shape) < 0.1] = np.nan
    return label, prediction, confidence


def test_pixels_are_counted_by_class_distance_and_confidence():
    label, prediction, confidence = make_arrays(0)
    tally = Tally.empty(3).merge(count(label, prediction, confidence, 3))
    both = (label != IGNORE) & (prediction != IGNORE)
    expected = confusion_matrix(label[both], prediction[both])
    assert np.array_equal(tally.confusion.counts, expected)
    assert np.array_equal(tally.by_distance.sum(axis=0), expected)
    known = both & ~np.isnan(confidence)
    assert tally.reliability.table[0].sum() == known.sum()
    assert tally.reliability.table[1].sum() == (label == prediction)[known].sum()
    nearest = tally.distances(NAMES)[0]
    assert nearest.name == "1"
    assert nearest.n_pixels == tally.by_distance[0].sum()


def test_without_confidences_none_are_counted():
    label, prediction, _ = make_arrays(0)
    assert not count(label, prediction, None, 3).reliability.table.any()


def test_labels_around_are_known_but_not_counted():
    label, prediction, confidence = make_arrays(1, 60)
    inner = slice(16, -16), slice(16, -16)
    found = count(label, prediction[inner], confidence[inner], 3, margin_px=16)
    both = (label[inner] != IGNORE) & (prediction[inner] != IGNORE)
    assert found.confusion.counts.sum() == both.sum()


@given(st.lists(st.integers(0, 99), min_size=2, max_size=4), st.randoms())
def test_tallies_merge_in_any_order(seeds, random):
    tallies = [count(*make_arrays(seed), 3) for seed in seeds]
    forward = Tally.empty(3)
    for tally in tallies:
        forward = forward.merge(tally)
    random.shuffle(tallies)
    other = tallies[0]
    for tally in tallies[1:]:
        other = tally.merge(other)
    assert np.array_equal(forward.by_distance, other.by_distance)
    assert np.array_equal(forward.reliability.table, other.reliability.table)


def test_a_part_is_scored():
    label, prediction, _ = make_arrays(2)
    both = (label != IGNORE) & (prediction != IGNORE)
    part = score_part("here", Confusion.empty(3).add(label, prediction), NAMES)
    own = label[both], prediction[both]
    assert part.overall_accuracy == accuracy_score(*own)
    assert abs(part.mean_iou - jaccard_score(*own, average="macro")) < 1e-12
    assert part.n_pixels == both.sum()


def test_scenes_are_ranked_from_the_least_accurate_one():
    right, wrong = np.eye(2, dtype=np.int64), 1 - np.eye(2, dtype=np.int64)
    scenes = {
        "good": Confusion(3 * right),
        "b": Confusion(right + wrong),
        "empty": Confusion.empty(2),
        "a": Confusion(right + wrong),
        "bad": Confusion(right + 5 * wrong),
    }
    assert [part.name for part in rank_scenes(scenes, ("x", "y"))] == ["bad", "a", "b", "good"]
