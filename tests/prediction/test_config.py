"""What `lcseg predict` may be asked."""

import re

import pytest

from lcseg.errors import LcsegError
from lcseg.prediction.config import PredictConfig


def test_model_image_and_out_are_enough():
    config = PredictConfig(model="run/bundle", image="scene.tif", out="map.tif")
    assert config.block_px == 1024
    assert config.probabilities == ""
    assert not config.allow_ungeoreferenced


@pytest.mark.parametrize("block_px", [0, -16])
def test_a_block_without_pixels_is_refused(block_px):
    with pytest.raises(ValueError, match="--block_px must be at least 1"):
        PredictConfig("bundle", "scene.tif", "map.tif", block_px=block_px)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": ""}, "give --image, or --images"),
        ({"images": "*.tif"}, "give --image, or --images"),
        ({"image": "", "images": "*.tif"}, "--out has no {name} for each image"),
        ({"mosaic": True}, "--mosaic is for --images"),
        ({"offset": 1.0}, "--offset goes with --scale"),
        ({"min_area_m2": 1.0}, "--min_area_m2 is for --polygons"),
        ({"scale": 0.0}, "--scale must not be 0"),
        ({"out": "map.json"}, "--out=map.json is a GeoTIFF; end it with .tif"),
        ({"margin": "map.qml"}, "--margin=map.qml is a GeoTIFF; end it with .tif"),
        ({"workers": -1}, "--workers and --min_area_m2 must be at least 0"),
        ({"workers": 2, "scheduler": "tcp://a:1"}, "give --workers, or --scheduler with workers"),
        ({"date": "July"}, "--date=July is no date as 2013-07-04"),
        ({"margin": "s3://bucket/m.tif"}, "--margin=s3://bucket/m.tif: is in a store"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    given = {"model": "bundle", "image": "scene.tif", "out": "map.tif"} | options
    with pytest.raises((ValueError, LcsegError), match=re.escape(message)):
        PredictConfig(**given)


def test_each_of_several_images_has_its_own_paths():
    config = PredictConfig(
        "bundle", images="*.tif", out="maps/{name}.tif", margin="{name}/margin.tif"
    )
    named = config.named("there/scene_1.tif")
    assert (named.image, named.images) == ("there/scene_1.tif", "")
    assert (named.out, named.margin) == ("maps/scene_1.tif", "scene_1/margin.tif")


def test_an_empty_path_for_the_map_is_refused():
    with pytest.raises(ValueError, match="--out is empty"):
        PredictConfig("bundle", "scene.tif", "")


@pytest.mark.parametrize("probabilities", ["map.tif", "./map.tif", "../{here}/map.tif"])
def test_two_maps_in_one_file_are_refused(probabilities, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="--probabilities and --out are the same file"):
        PredictConfig(
            "bundle",
            "scene.tif",
            "map.tif",
            probabilities=probabilities.format(here=tmp_path.name),
        )
