"""Chips, predicted and put together to scenes."""

import dataclasses

import keras
import numpy as np
import pytest
import rasterio
from bundles import make_bundle

from lcseg.audit.chips import ChipEvidence
from lcseg.audit.config import AuditConfig
from lcseg.classes import IGNORE
from lcseg.errors import LcsegError
from lcseg.evaluation.places import read_places
from lcseg.model.bundle import load_bundle
from lcseg.model.config import UNetConfig
from lcseg.pictures import stretch
from lcseg.pipeline.memory import load_chips
from lcseg.raster.grid import Window
from lcseg.raster.probabilities import PROBABILITY_ONE
from lcseg.records.config import ConvertConfig
from lcseg.records.conversion import convert
from lcseg.records.manifest import read_manifest

CONFIG = AuditConfig("audit", data="data", model="bundle", batch=3, quiet=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_bundle(make_bundle(tmp_path_factory.mktemp("bundle") / "b", UNetConfig(2, 4)))


def predict(folder, data, model, split="train", block_px=100):
    manifest = read_manifest(data)
    chips = ChipEvidence(folder, manifest, block_px)
    chips.predict(model, data, manifest, split, CONFIG)
    return {evidence.scene: evidence for evidence in chips.scenes()}


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_scenes_hold_what_the_model_says_of_each_chip(tmp_path, dataset, model):
    scenes = predict(tmp_path, dataset, model)
    manifest = read_manifest(dataset)
    store, places = load_chips(dataset, manifest, "train"), read_places(dataset, manifest, "train")
    assert len(store) == manifest.chips_of("train") > 4
    for chip in range(len(store)):
        place, (image_hwc, label_hw) = places[chip], store.read_chip(chip)
        window = Window(place.row, place.col, 64, 64)
        evidence = scenes[place.scene]
        probs_hwk, found_hw = evidence.read(window)
        assert (found_hw == label_hw).all()
        valid_hw = image_hwc.any(axis=-1)
        expected_hwk = softmax(model.model(image_hwc[None], training=False).numpy()[0])
        expected_hwk *= valid_hw[..., None]
        assert abs(probs_hwk / PROBABILITY_ONE - expected_hwk).max() < 0.51 / PROBABILITY_ONE
        assert (evidence.picture(window) == stretch(image_hwc, valid_hw)).all()
    n_labelled = sum(
        np.count_nonzero(evidence.read(window)[1] != IGNORE)
        for evidence in scenes.values()
        for window in evidence.blocks()
    )
    assert n_labelled == sum(manifest.splits["train"].class_pixels)


def test_ground_without_a_chip_is_not_known(tmp_path, dataset, model):
    (evidence, *_) = predict(tmp_path, dataset, model, "test").values()
    source = next(s for s in read_manifest(dataset).sources if s.key == evidence.scene)
    assert (evidence.grid.transform, evidence.grid.crs) == (source.transform, source.crs)
    whole = evidence.grid.window.widen(9)
    probs_hwk, label_hw = evidence.read(whole)
    is_unknown_hw = ~probs_hwk.any(axis=-1)
    assert is_unknown_hw[:9].all() and not is_unknown_hw.all()
    assert (label_hw[is_unknown_hw] == IGNORE).all()
    assert not evidence.picture(whole)[is_unknown_hw].any()


def test_overlapping_chips_count_the_ground_once(tmp_path, scenes, model):
    data = tmp_path / "data"
    convert(
        ConvertConfig(
            classes="chesapeake-4",
            out=str(data),
            images=f"{scenes}/*_image.tif",
            labels=f"{scenes}/*_label.tif",
            chip_px=64,
            stride_px=24,
            split_by="scene",
            val_share=0,
            test_share=0,
            quiet=True,
        )
    )
    (tmp_path / "scratch").mkdir()
    found = predict(tmp_path / "scratch", data, model)
    assert read_manifest(data).chips_of("train") > 3 * 9
    for evidence in found.values():
        source = next(s for s in read_manifest(data).sources if s.key == evidence.scene)
        with rasterio.open(source.label) as dataset:
            codes_hw = dataset.read(1)
        covered_hw = evidence.read(evidence.grid.window)[1]
        counted = sum(
            np.count_nonzero(evidence.read(window)[1] != IGNORE) for window in evidence.blocks()
        )
        assert counted == np.count_nonzero(covered_hw != IGNORE) <= np.count_nonzero(codes_hw)


def test_a_model_whose_answer_is_no_number_is_refused(tmp_path, dataset, model):
    broken = keras.models.clone_model(model.model)
    for variable in broken.trainable_variables:
        variable.assign(np.full(variable.shape, np.nan))
    with pytest.raises(LcsegError, match=r"row .*: the model's answer is not a number"):
        predict(tmp_path, dataset, dataclasses.replace(model, model=broken))
