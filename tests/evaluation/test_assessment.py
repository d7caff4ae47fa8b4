"""Reports of a bundle on a data set, and of a map on a label raster."""

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from lcseg.classes import IGNORE, load_scheme
from lcseg.documents import read_document, write_document
from lcseg.errors import LcsegError
from lcseg.evaluation.assessment import assess, choose_chips
from lcseg.evaluation.config import EvaluateConfig
from lcseg.evaluation.maps import examine_map
from lcseg.evaluation.report import Report
from lcseg.evaluation.scoring import ChipScorer
from lcseg.model.bundle import load_bundle
from lcseg.pipeline.memory import load_chips
from lcseg.pipeline.store import ArrayStore
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.mapping import predict_map
from lcseg.records.manifest import read_manifest
from lcseg.records.statistics import count_classes

SCHEME = load_scheme("chesapeake-4")


def judge_bundle(out: Path, bundle: Path, dataset: Path, split: str = "test") -> Report:
    config = EvaluateConfig(str(out), str(bundle), str(dataset), split, quiet=True)
    return assess(config)


def require_self_contained(page: str) -> None:
    """Fail if a browser would fetch anything to show the page."""
    sources = re.findall(r"(?:src|href|srcset|data|action)\s*=\s*[\"']([^\"']*)", page)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert not re.search(r"<(script|iframe|object|embed)|@import|url\(|https?://", page)


def test_a_bundle_is_judged_on_a_split_of_a_data_set(tmp_path, bundle, dataset):
    report = judge_bundle(tmp_path / "report", bundle, dataset)
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"report.json", "report.html", "confusion.png", "reliability.png"}
    assert read_document(tmp_path / "report" / "report.json", Report) == report

    manifest, loaded = read_manifest(dataset), load_bundle(bundle)
    store = load_chips(dataset, manifest, "test")
    confusion, _ = ChipScorer(loaded.model, 4).score(store, 1, loaded.info.stride_px)
    assert report.counts == confusion.cells
    assert sum(map(sum, report.counts)) == sum(manifest.splits["test"].class_pixels)
    assert report.reference == f"{dataset}, split test"
    assert report.details["chips"] == f"{len(store)} of 64 px"
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    for section in ("Samples", "Calibration", "Distance to the border", "it is worst"):
        assert section in page
    assert ("Scenes" in page) == (len(report.by_scene) > 1)
    for parts in (report.by_distance, report.by_scene):
        assert np.array_equal(sum(np.array(part.counts) for part in parts), confusion.counts)
    assert sum(b.pixels for b in report.calibration.bins) == report.scores.n_pixels
    require_self_contained(page)


def test_the_split_is_that_which_was_asked_for(tmp_path, bundle, dataset):
    report = judge_bundle(tmp_path / "report", bundle, dataset, "val")
    labelled = np.array(report.counts).sum(axis=1)
    assert tuple(labelled) == read_manifest(dataset).splits["val"].class_pixels


def test_a_map_is_judged_by_a_label_raster(tmp_path, bundle, scenes):
    image, label = str(scenes / "0_image.tif"), str(scenes / "0_label.tif")
    out = str(tmp_path / "map.tif")
    predict_map(PredictConfig(str(bundle), image, out, quiet=True))
    config = EvaluateConfig(
        str(tmp_path / "report"), map=out, label=label, classes="chesapeake-4", quiet=True
    )
    report = assess(config)
    assert report.counts == examine_map(config, SCHEME).tally.confusion.cells
    assert (report.subject, report.reference) == (out, label)
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    for section in ("Samples", "Calibration", "Scenes"):
        assert section not in page
    assert "Distance to the border" in page
    require_self_contained(page)


def test_the_probabilities_of_a_map_say_how_it_is_calibrated(tmp_path, bundle, scenes):
    image, label = str(scenes / "0_image.tif"), str(scenes / "0_label.tif")
    paths = {name: str(tmp_path / f"{name}.tif") for name in ("out", "probabilities")}
    predict_map(PredictConfig(str(bundle), image, **paths, quiet=True))
    config = EvaluateConfig(
        str(tmp_path / "report"),
        map=paths["out"],
        label=label,
        classes="chesapeake-4",
        probabilities=paths["probabilities"],
        image=image,
        quiet=True,
    )
    report = assess(config)
    assert report.calibration.accuracy == report.scores.overall_accuracy
    assert 0.25 < report.calibration.confidence < 1
    # The whole map is one window, so that the worst window is as good as the map.
    assert [spot.overall_accuracy for spot in report.worst] == [report.scores.overall_accuracy]
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    for title in ("image", "label", "map", "where they differ", "confidence"):
        assert f'alt="{title}"' in page
    require_self_contained(page)


def test_a_report_that_exists_is_not_replaced(tmp_path, bundle, dataset):
    with pytest.raises(LcsegError, match=r"exists already; name another --out"):
        judge_bundle(tmp_path, bundle, dataset)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "uint16"}, "its pixels are uint8, the bundle's uint16"),
        ({"bands": ("red", "green", "blue")}, "its bands are red, green, blue, band_4, the"),
        ({"bands": ("blue", "green", "red", "nir")}, "the bundle's blue, green, red, nir"),
        ({"class_scheme": load_scheme("chesapeake-6")}, "its classes are water, tree/forest"),
        ({"stride_px": 256}, "its chips have 64 px, the bundle needs more than 128"),
    ],
)
def test_data_that_do_not_fit_the_bundle_are_refused(tmp_path, bundle, dataset, changes, message):
    other = shutil.copytree(bundle, tmp_path / "other")
    info = dataclasses.replace(load_bundle(bundle).info, **changes)
    write_document(other / "bundle.json", info)
    with pytest.raises(LcsegError, match=f"{message}.*; judge the bundle on data like"):
        judge_bundle(tmp_path / "report", other, dataset)
    assert not (tmp_path / "report").exists()


def test_bands_without_a_name_fit_any_name(tmp_path, bundle, dataset):
    other = shutil.copytree(bundle, tmp_path / "other")
    bands = ("red", "band_2", "blue", "nir")
    write_document(
        other / "bundle.json", dataclasses.replace(load_bundle(bundle).info, bands=bands)
    )
    assert judge_bundle(tmp_path / "report", other, dataset).scores.n_pixels > 0


def test_a_split_without_chips_is_refused(tmp_path, bundle, dataset):
    empty = shutil.copytree(dataset, tmp_path / "empty")
    manifest = read_manifest(dataset)
    shards = tuple(shard for shard in manifest.shards if shard.split != "test")
    splits = manifest.splits | {"test": dataclasses.replace(manifest.splits["test"], chips=0)}
    write_document(
        empty / "dataset.json", dataclasses.replace(manifest, shards=shards, splits=splits)
    )
    with pytest.raises(LcsegError, match="no chips in its test split"):
        judge_bundle(tmp_path / "report", bundle, empty)


def test_the_chips_that_show_the_most_are_chosen():
    labels = np.full((5, 8, 8), IGNORE, np.uint8)
    labels[1] = 2  # One class only.
    labels[2] = np.arange(64).reshape(8, 8) % 4
    labels[3, :4] = np.arange(32).reshape(4, 8) % 4  # As even, but half is ignored.
    labels[4] = np.arange(64).reshape(8, 8) % 2
    histograms = np.stack([count_classes(label, 4) for label in labels])
    store = ArrayStore(tf.zeros((5, 8, 8, 3), tf.uint8), tf.constant(labels), histograms)
    assert choose_chips(store, 1) == [2]
    assert choose_chips(store, 2) == [2, 3]
    assert choose_chips(store, 3) == [2, 3, 4]
    assert choose_chips(store, 99) == [0, 1, 2, 3, 4]
