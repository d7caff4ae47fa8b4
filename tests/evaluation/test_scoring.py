"""Scores of models on chips, held against scikit-learn and numpy."""

import keras
import numpy as np
import pytest
from noise import STRIDE_PX, make_model, make_store
from sklearn.metrics import confusion_matrix

from lcseg.classes import IGNORE, load_scheme
from lcseg.evaluation.scoring import ChipScorer
from lcseg.model.losses import LOSSES
from lcseg.pipeline.store import ArrayStore

SCHEME = load_scheme("chesapeake-4")
WEIGHTS = np.array([0.5, 1.0, 2.0, 3.5], np.float32)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return make_model()


def infer(model: keras.Model, image_hwc: np.ndarray) -> np.ndarray:
    """Logits of one chip, float64 [H, W, K]."""
    height, width = image_hwc.shape[:2]
    pad = [(0, -height % STRIDE_PX), (0, -width % STRIDE_PX), (0, 0)]
    logits = model(np.pad(image_hwc, pad, "reflect")[None], training=False).numpy()[0]
    return logits[:height, :width].astype(np.float64)


def score_slowly(
    model: keras.Model, store: ArrayStore, weights: np.ndarray
) -> tuple[np.ndarray, float]:
    """The confusion matrix and the weighted mean cross-entropy, chip by chip."""
    labels, predictions, entropies = [], [], []
    for image_hwc, label_hw in zip(store.images.numpy(), store.labels.numpy(), strict=True):
        logits = infer(model, image_hwc)[label_hw != IGNORE]
        label = label_hw[label_hw != IGNORE]
        log_total = np.log(np.exp(logits).sum(axis=-1))
        entropies.append(log_total - logits[np.arange(len(label)), label])
        labels.append(label)
        predictions.append(logits.argmax(axis=-1))
    label = np.concatenate(labels)
    loss = np.average(np.concatenate(entropies), weights=weights[label].astype(np.float64))
    return confusion_matrix(label, np.concatenate(predictions), labels=range(4)), float(loss)


def test_a_model_is_judged_on_every_chip_once(model):
    store = make_store(count=5, chip_px=16)
    confusion, loss = ChipScorer(model, n_classes=4).score(store, batch=2, multiple_px=STRIDE_PX)
    expected, expected_loss = score_slowly(model, store, np.ones(4))
    assert np.array_equal(confusion.counts, expected)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert confusion.counts.sum() == (store.labels.numpy() != IGNORE).sum()
    assert np.count_nonzero(confusion.counts) > 8


@pytest.mark.parametrize("batch", [1, 3, 7, 50])
@pytest.mark.parametrize("chip_px", [17, 18, 19, 20])
def test_batches_and_odd_chips_change_nothing(model, batch, chip_px):
    store = make_store(7, chip_px)
    scorer = ChipScorer(model, 4, class_weights=WEIGHTS)
    confusion, loss = scorer.score(store, batch, STRIDE_PX)
    expected, expected_loss = score_slowly(model, store, WEIGHTS)
    assert np.array_equal(confusion.counts, expected)
    assert loss == pytest.approx(expected_loss, rel=1e-5)


def test_a_scorer_can_be_used_again(model):
    scorer = ChipScorer(model, 4)
    first, second = make_store(3, 16), make_store(4, 16)
    alone = scorer.score(second, 2, STRIDE_PX)
    scorer.score(first, 2, STRIDE_PX)
    again = scorer.score(second, 2, STRIDE_PX)
    assert np.array_equal(alone[0].counts, again[0].counts)
    assert alone[1] == again[1]


def test_another_loss_is_measured_over_all_chips_at_once(model):
    store = make_store(5, 16)
    scorer = ChipScorer(model, 4, LOSSES["dice_cross_entropy"], WEIGHTS)
    _, loss = scorer.score(store, 2, STRIDE_PX)
    truth, guess = [], []
    for image_hwc, label_hw in zip(store.images.numpy(), store.labels.numpy(), strict=True):
        powers = np.exp(infer(model, image_hwc)[label_hw != IGNORE])
        guess.append(powers / powers.sum(axis=-1, keepdims=True))
        truth.append(np.eye(4)[label_hw[label_hw != IGNORE]])
    one_hot, probs = np.concatenate(truth), np.concatenate(guess)
    dice = 2 * (one_hot * probs).sum(axis=0) / (one_hot.sum(axis=0) + probs.sum(axis=0))
    expected = score_slowly(model, store, WEIGHTS)[1] + 1 - dice.mean()
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_shares_of_three_and_two_chips_are_judged_as_all_five(model, loss, batch):
    whole = make_store(5, 18)
    shares = [
        ArrayStore(whole.images[part], whole.labels[part], whole.histograms[part])
        for part in (slice(0, 3), slice(3, 5))
    ]
    scorer = ChipScorer(model, 4, LOSSES[loss], WEIGHTS)
    said = []

    def note(own: np.ndarray) -> np.ndarray:
        said.append(own)
        return own

    # What is added comes in the same order from all workers.
    scorer.score(shares[0], batch, STRIDE_PX, add=note)
    of_first = iter(said)
    confusion, value = scorer.score(
        shares[1], batch, STRIDE_PX, add=lambda own: own + next(of_first)
    )
    expected, expected_value = scorer.score(whole, 5, STRIDE_PX)
    assert np.array_equal(confusion.counts, expected.counts)
    assert confusion.counts.dtype == np.int64
    assert confusion.counts.sum() == (whole.labels.numpy() != IGNORE).sum()
    assert value == pytest.approx(expected_value, rel=1e-6)


def test_chips_without_any_label_count_nowhere(model):
    confusion, loss = ChipScorer(model, 4).score(make_store(1, 16), 4, STRIDE_PX)
    assert not confusion.counts.any()
    assert loss == 0
