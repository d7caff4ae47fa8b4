"""A closer look at what a model says of chips, held against numpy, chip by chip."""

import dataclasses

import keras
import numpy as np
import pytest
from noise import STRIDE_PX, make_model, make_store

from lcseg.classes import IGNORE, load_scheme
from lcseg.errors import LcsegError
from lcseg.evaluation.chips import draw_predictions, examine_chips, predict_chip
from lcseg.evaluation.config import EvaluateConfig
from lcseg.evaluation.findings import Findings
from lcseg.evaluation.places import Places
from lcseg.evaluation.scoring import ChipScorer
from lcseg.model.bundle import load_bundle
from lcseg.pipeline.memory import load_chips
from lcseg.pipeline.store import ArrayStore
from lcseg.records.manifest import read_manifest

SCHEME = load_scheme("chesapeake-4")
CONFIG = EvaluateConfig("report", model="bundle", data="data", batch=3, worst=2, quiet=True)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return make_model()


def make_places(count: int) -> Places:
    """Places in two scenes by turns."""
    table = [(chip % 2, 10 * chip, 20 * chip) for chip in range(count)]
    return Places(["even", "odd"], np.array(table, np.int32))


def examine(model: keras.Model, store: ArrayStore, config: EvaluateConfig = CONFIG) -> Findings:
    return examine_chips(model, store, make_places(len(store)), SCHEME, STRIDE_PX, config)


@pytest.mark.parametrize("chip_px", [18, 20])
def test_a_model_is_judged_by_classes_scenes_and_confidence(model, chip_px):
    store = make_store(7, chip_px, labelled_rows=1)
    found = examine(model, store)
    confusion, _ = ChipScorer(model, 4).score(store, 2, STRIDE_PX)
    assert np.array_equal(found.tally.confusion.counts, confusion.counts)
    even, odd = (found.by_scene[scene].counts for scene in ("even", "odd"))
    assert np.array_equal(even + odd, confusion.counts)

    sums, right, accuracies = 0.0, 0, []
    for image_hwc, label_hw in zip(store.images.numpy(), store.labels.numpy(), strict=True):
        pad = [(0, -chip_px % STRIDE_PX)] * 2
        logits = model(np.pad(image_hwc, [*pad, (0, 0)], "reflect")[None], training=False)
        powers = np.exp(logits.numpy()[0, :chip_px, :chip_px].astype(np.float64))
        probs = (powers / powers.sum(axis=-1, keepdims=True))[label_hw != IGNORE]
        is_right = probs.argmax(axis=-1) == label_hw[label_hw != IGNORE]
        sums, right = sums + probs.max(axis=-1).sum(), right + is_right.sum()
        accuracies.append(is_right.mean())
    calibration = found.tally.reliability.calibration()
    assert calibration.confidence == pytest.approx(sums / confusion.counts.sum(), rel=1e-5)
    assert calibration.accuracy == right / confusion.counts.sum()

    # The first chip has too few labels to be one of the worst.
    expected = (1 + np.argsort(accuracies[1:], kind="stable")[:2]).tolist()
    assert [spot.place.chip for spot in found.worst] == expected
    assert [spot.overall_accuracy for spot in found.worst] == [accuracies[i] for i in expected]
    assert found.worst[0].place == make_places(7)[expected[0]]
    titles = [title for title, _ in found.tiles[0]]
    assert titles == ["image", "label", "prediction", "confidence"]
    assert even.sum() > odd.sum() > 0


def test_batches_change_nothing(model):
    store = make_store(7, 16, labelled_rows=1)
    whole, single = (
        examine(model, store, dataclasses.replace(CONFIG, batch=batch)) for batch in (50, 1)
    )
    assert np.array_equal(whole.tally.by_distance, single.tally.by_distance)
    assert whole.worst == single.worst


def test_an_answer_that_is_no_number_is_refused(model):
    broken = keras.models.clone_model(model)
    broken.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    with pytest.raises(LcsegError, match=r"even, row 0, column 0: the model's answer is not a"):
        examine(broken, make_store(3, 16, labelled_rows=1))


def test_predictions_are_pictured_beside_image_and_label(bundle, dataset):
    loaded, manifest = load_bundle(bundle), read_manifest(dataset)
    chips = load_chips(dataset, manifest, "test")
    odd = ArrayStore(chips.images[:, :51, :61], chips.labels[:, :51, :61], chips.histograms)
    (row,) = draw_predictions(loaded.model, odd, [1], SCHEME, loaded.info.stride_px)
    padded_hwc = np.pad(odd.images[1].numpy(), [(0, 1), (0, 3), (0, 0)], "reflect")
    logits = loaded.model(padded_hwc[None], training=False).numpy()[0, :51, :61]
    assert [picture.shape for picture in row] == [(51, 61, 3)] * 3
    assert np.array_equal(row[1], SCHEME.colorize(odd.labels[1].numpy()))
    assert np.array_equal(row[2], SCHEME.palette[logits.argmax(axis=-1)])
    prediction_hw, confidence_hw = predict_chip(loaded.model, odd.images[1].numpy(), 4)
    powers = np.exp(logits.astype(np.float64))
    expected = (powers / powers.sum(axis=-1, keepdims=True)).max(axis=-1)
    assert np.array_equal(prediction_hw, logits.argmax(axis=-1))
    assert confidence_hw == pytest.approx(expected, rel=1e-5)
