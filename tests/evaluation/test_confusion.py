"""The confusion matrix, held against scikit-learn."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from lcseg.classes import IGNORE
from lcseg.documents import format_document, parse_document
from lcseg.evaluation.confusion import ClassScores, Confusion, Scores

NAMES = ("water", "forest", "grass", "road", "barren")


@st.composite
def labels_and_predictions(draw) -> tuple[np.ndarray, np.ndarray]:
    """Two maps of up to five classes, some absent, with ignored pixels in either."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    codes = st.lists(st.sampled_from([0, 1, 2, 3, 4, IGNORE]), min_size=1, unique=True)
    label_hw = random.choice(draw(codes), shape).astype(np.uint8)
    other_hw = random.choice(draw(codes), shape).astype(np.uint8)
    agrees = random.random(shape) < draw(st.floats(0, 1))
    return label_hw, np.where(agrees, label_hw, other_hw)


def test_pixels_are_counted_by_what_they_are_and_what_they_were_mapped_as():
    label_hw = np.array([[0, 0, 1], [1, 1, IGNORE]], np.uint8)
    prediction_hw = np.array([[0, 1, 1], [1, IGNORE, 0]], np.uint8)
    confusion = Confusion.empty(2).add(label_hw, prediction_hw)
    assert confusion.counts.tolist() == [[1, 1], [0, 2]]
    scores = confusion.merge(Confusion.empty(2)).scores(["water", "land"])
    assert scores.overall_accuracy == 3 / 4
    assert scores.classes[0] == ClassScores("water", 1 / 2, 2 / 3, 1.0, 1 / 2, 2)
    assert scores.classes[1].iou == 2 / 3
    assert "overall accuracy 0.750" in scores.table()


@settings(deadline=None, max_examples=150)
@given(labels_and_predictions())
def test_scores_are_those_of_scikit_learn(pair):
    label_hw, prediction_hw = pair
    scores = Confusion.empty(5).add(label_hw, prediction_hw).scores(NAMES)
    counted = (label_hw != IGNORE) & (prediction_hw != IGNORE)
    label, prediction = label_hw[counted], prediction_hw[counted]
    assert scores.n_pixels == len(label)
    if len(label) == 0:
        return
    assert scores.overall_accuracy == pytest.approx(metrics.accuracy_score(label, prediction))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of scikit-learn, where all is one class.
        kappa = metrics.cohen_kappa_score(label, prediction)
    assert scores.kappa == (None if np.isnan(kappa) else pytest.approx(kappa))

    how = {"labels": range(5), "average": None, "zero_division": 0}
    in_reference, in_prediction = np.isin(range(5), label), np.isin(range(5), prediction)
    in_either = in_reference | in_prediction
    for name, score, exists in (
        ("iou", metrics.jaccard_score, in_either),
        ("f1", metrics.f1_score, in_either),
        ("precision", metrics.precision_score, in_prediction),
        ("recall", metrics.recall_score, in_reference),
    ):
        expected = score(label, prediction, **how)
        for of_class, value, known in zip(scores.classes, expected, exists, strict=True):
            assert getattr(of_class, name) == (pytest.approx(value) if known else None)

    occurring = {"labels": np.flatnonzero(in_either), "average": "macro", "zero_division": 0}
    assert scores.mean_iou == pytest.approx(metrics.jaccard_score(label, prediction, **occurring))
    assert scores.mean_f1 == pytest.approx(metrics.f1_score(label, prediction, **occurring))


@settings(deadline=None, max_examples=50)
@given(labels_and_predictions())
def test_the_baseline_is_the_score_of_a_map_of_the_commonest_class_alone(pair):
    label_hw, prediction_hw = pair
    scores = Confusion.empty(5).add(label_hw, prediction_hw).scores(NAMES)
    counted = label_hw[(label_hw != IGNORE) & (prediction_hw != IGNORE)]
    if len(counted) == 0:
        return
    commonest = np.full_like(counted, np.bincount(counted).argmax())
    assert scores.commonest_class == NAMES[commonest[0]]
    accuracy = metrics.accuracy_score(counted, commonest)
    assert scores.commonest_class_accuracy == pytest.approx(accuracy)
    mean_iou = metrics.jaccard_score(counted, commonest, average="macro", zero_division=0)
    assert scores.commonest_class_mean_iou == pytest.approx(mean_iou)


@settings(deadline=None, max_examples=50)
@given(labels_and_predictions(), st.data())
def test_merge_of_parts_equals_the_whole_in_any_order(pair, data):
    label_hw, prediction_hw = pair
    cut = data.draw(st.integers(0, len(label_hw)))
    upper = Confusion.empty(5).add(label_hw[:cut], prediction_hw[:cut])
    lower = Confusion.empty(5).add(label_hw[cut:], prediction_hw[cut:])
    whole = Confusion.empty(5).add(label_hw, prediction_hw).counts.tolist()
    assert upper.merge(lower).counts.tolist() == whole
    assert lower.merge(upper).counts.tolist() == whole
    assert upper.add(label_hw[cut:], prediction_hw[cut:]).counts.tolist() == whole


def test_add_leaves_what_it_adds_to_as_it_was():
    empty = Confusion.empty(2)
    empty.add(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))
    assert empty.counts.sum() == 0


def test_without_pixels_every_score_is_none():
    nothing_hw = np.full((3, 3), IGNORE, np.uint8)
    scores = Confusion.empty(2).add(nothing_hw, nothing_hw).scores(["a", "b"])
    absent = tuple(ClassScores(name, None, None, None, None, 0) for name in "ab")
    assert scores == Scores(None, None, None, None, None, None, None, 0, absent)
    assert "no pixel has both a label and a prediction" in scores.table()


def test_table_shows_dashes_thousands_and_the_baseline():
    counts = np.array([[1_234_567, 0, 0], [0, 1_000, 0], [0, 0, 0]], np.int64)
    table = Confusion(counts).scores(["1", "forest", "road"]).table()
    first, _, road = (line for line in table.splitlines() if line.startswith(("1", "f", "r")))
    assert first.split() == ["1", "1.000", "1.000", "1.000", "1.000", "1,234,567"]
    assert road.split() == ["road", "–", "–", "–", "–", "0"]
    assert table.endswith("over 1,235,567 px\nalways 1: overall accuracy 0.999, mean IoU 0.500")


def test_scores_are_read_back_from_json_as_they_were():
    scores = Confusion(np.array([[5, 1], [0, 0]], np.int64)).scores(["a", "b"])
    assert scores.classes[1].recall is None
    assert parse_document(format_document(scores), Scores, "scores") == scores


@pytest.mark.parametrize(
    ("label", "prediction", "says"),
    [
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), "label is (2, 2), prediction is"),
        (np.zeros((2, 2), np.int32), np.zeros((2, 2), np.uint8), "expected uint8"),
        (np.full((2, 2), 3, np.uint8), np.zeros((2, 2), np.uint8), "above 2 and not 255"),
        (np.zeros((2, 2), np.uint8), np.full((2, 2), 254, np.uint8), "above 2 and not 255"),
        (np.full((2, 2), IGNORE, np.uint8), np.full((2, 2), 3, np.uint8), "above 2 and not 255"),
    ],
)
def test_what_cannot_be_counted_is_refused(label, prediction, says):
    with pytest.raises(ValueError) as caught:
        Confusion.empty(3).add(label, prediction)
    assert says in str(caught.value)


def test_confusions_of_different_classes_do_not_merge():
    with pytest.raises(ValueError, match="2 classes do not merge with 3"):
        Confusion.empty(2).merge(Confusion.empty(3))
    with pytest.raises(ValueError, match="1 class names for 2 classes"):
        Confusion.empty(2).scores(["a"])
    with pytest.raises(ValueError, match=r"counts are float64 \[2, 2\], expected int64"):
        Confusion(np.zeros((2, 2)))
