"""The way from rasters to maps on imagery that the project did not make."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from lcseg.classes import ClassScheme, LandClass
from lcseg.documents import write_document
from lcseg.evaluation.assessment import assess
from lcseg.evaluation.config import EvaluateConfig
from lcseg.model.config import UNetConfig
from lcseg.pipeline.config import InputConfig
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.mapping import predict_map
from lcseg.records.config import ConvertConfig
from lcseg.records.conversion import convert
from lcseg.training.config import OptimizerConfig, TrainConfig
from lcseg.training.trainer import train

pytestmark = [pytest.mark.real, pytest.mark.slow]

DUBAI = ClassScheme(
    "dubai",
    (
        LandClass("building", "#3C1098", ("#3C1098",)),
        LandClass("land", "#8429F6", ("#8429F6",)),
        LandClass("road", "#6EC1E4", ("#6EC1E4",)),
        LandClass("vegetation", "#FEDD3A", ("#FEDD3A",)),
        LandClass("water", "#E2A929", ("#E2A929",)),
    ),
    ignore=("#9B9B9B", "#000000"),
)

# Codes of the International Geosphere-Biosphere Programme, 1 to 17, in four groups.
IGBP = ClassScheme(
    "igbp",
    (
        LandClass("forest", "#1E6B34", (1, 2, 3, 4, 5)),
        LandClass("shrub/grass", "#A8D66B", (6, 7, 8, 9, 10, 11)),
        LandClass("crops/urban", "#B5A79A", (12, 13, 14)),
        LandClass("bare/water", "#1F78C8", (15, 16, 17)),
    ),
    ignore=(0,),
)


def train_a_little(data: Path, run: Path, crop_px: int = 64) -> Path:
    """Train ten steps of a tiny network; returns the bundle."""
    config = TrainConfig(
        data=str(data),
        run=str(run),
        model=UNetConfig(depth=2, width=4),
        input=InputConfig(batch=4, crop_px=crop_px),
        optimizer=OptimizerConfig(learning_rate=0.02),
        epochs=2,
        steps_per_epoch=5,
        quiet=True,
    )
    summary = train(config)
    rows = json.loads((run / "history.json").read_text())["rows"]
    assert summary.steps == 10
    assert rows[1]["loss"] < rows[0]["loss"]
    return Path(summary.bundle)


def judge(bundle: Path, data: Path, out: Path) -> None:
    report = assess(
        EvaluateConfig(out=str(out), model=str(bundle), data=str(data), split="val", quiet=True)
    )
    assert report.scores.n_pixels > 0
    assert 0 < report.scores.overall_accuracy <= 1
    assert (out / "report.html").exists()


def map_raster(bundle: Path, image: Path, out: Path, n_classes: int, bare: bool = False) -> None:
    """Map a raster, and find a class at every pixel on the image's own grid."""
    predict_map(
        PredictConfig(str(bundle), str(image), str(out), allow_ungeoreferenced=bare, quiet=True)
    )
    with rasterio.open(image) as source, rasterio.open(out) as mapped:
        assert mapped.shape == source.shape
        assert mapped.crs == source.crs
        assert mapped.transform == source.transform
        classes = np.unique(mapped.read(1))
    assert set(classes.tolist()) <= {*range(n_classes), 255}
    assert (classes != 255).any()


def test_colour_labels_without_georeference_go_the_whole_way(real_data, tmp_path):
    write_document(tmp_path / "scheme.json", DUBAI)
    folder = real_data / "dubai-rgb"
    splits = {"tile1": "train", "tile2": "train", "tile3": "val"}
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "label", "split"])
        for tile, split in splits.items():
            for number in (1, 2, 3):
                name = f"image_part_{number:03d}"
                image, label = f"images/{name}.jpg", f"masks/{name}.png"
                rows.writerow([folder / tile / image, folder / tile / label, split])
    data = tmp_path / "data"
    manifest = convert(
        ConvertConfig(
            classes=str(tmp_path / "scheme.json"),
            out=str(data),
            pairs=str(tmp_path / "pairs.csv"),
            allow_ungeoreferenced=True,
            chip_px=128,
            quiet=True,
        )
    )
    assert len(manifest.bands) == 3 and manifest.pixel_m is None
    assert manifest.chips_of("val") > 0 and manifest.chips_of("test") == 0
    bundle = train_a_little(data, tmp_path / "run")
    judge(bundle, data, tmp_path / "report")
    image = folder / "tile1" / "images" / "image_part_001.jpg"
    map_raster(bundle, image, tmp_path / "map.tif", DUBAI.n_classes, bare=True)


def test_four_bands_go_the_whole_way_and_map_a_scene_of_another_state(real_data, tmp_path):
    patches, data = real_data / "chesapeake-naip" / "patches", tmp_path / "data"
    manifest = convert(
        ConvertConfig(
            classes="chesapeake-4",
            out=str(data),
            images=f"{patches}/*_naip-new.tif",
            labels=f"{patches}/*_lc.tif",
            allow_ungeoreferenced=True,
            split_by="scene",
            chip_px=64,
            quiet=True,
        )
    )
    assert len(manifest.bands) == 4 and manifest.dtype == "uint8"
    assert manifest.chips_of("train") > manifest.chips_of("val") > 0
    bundle = train_a_little(data, tmp_path / "run")
    judge(bundle, data, tmp_path / "report")
    image = min(patches.glob("*_naip-old.tif"))
    map_raster(bundle, image, tmp_path / "old.tif", 4, bare=True)
    scene = min((real_data / "unlabelled" / "naip-nc-1m").glob("*.tif"))
    map_raster(bundle, scene, tmp_path / "scene.tif", 4)


def test_thirteen_bands_of_sixteen_bits_go_the_whole_way(real_data, tmp_path):
    write_document(tmp_path / "scheme.json", IGBP)
    folder, data = real_data / "sen12ms-pair", tmp_path / "data"
    paths = {}
    for path in folder.rglob("*.tif"):
        with rasterio.open(path) as raster:
            paths[raster.count] = path
    manifest = convert(
        ConvertConfig(
            classes=str(tmp_path / "scheme.json"),
            out=str(data),
            images=str(paths[13]),
            labels=str(paths[4]),
            label_band=1,
            chip_px=32,
            block_chips=1,
            quiet=True,
        )
    )
    assert len(manifest.bands) == 13 and manifest.dtype == "uint16"
    bundle = train_a_little(data, tmp_path / "run", crop_px=32)
    judge(bundle, data, tmp_path / "report")
    map_raster(bundle, paths[13], tmp_path / "map.tif", IGBP.n_classes)
