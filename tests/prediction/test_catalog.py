"""The catalogue entry of a map, held against the schemas and models of its standards."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from pystac.extensions.classification import ClassificationExtension
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from stac_model.schema import MLModelProperties

from lcseg.classes import load_scheme
from lcseg.errors import LcsegError
from lcseg.prediction.catalog import measure_footprint
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.mapping import predict_map
from lcseg.raster.grid import Grid


@pytest.fixture
def config(bundle, make_raster, tmp_path) -> PredictConfig:
    values = np.random.default_rng(0).integers(1, 255, (64, 96, 4), np.uint8)
    image = make_raster("scene.tif", values, photometric="MINISBLACK")
    with rasterio.open(image, "r+") as dataset:
        dataset.update_tags(ns="IMAGERY", ACQUISITIONDATETIME="2018-07-05")
    return PredictConfig(
        str(bundle), image, str(tmp_path / "map.tif"), str(tmp_path / "p.tif"), quiet=True
    )


def test_map_has_an_item_that_its_standards_take(config, tmp_path):
    predict_map(config)
    item = pystac.Item.from_file(str(tmp_path / "map.json"))
    # The core of the standard; its extensions are schemas of the network.
    JsonSchemaSTACValidator().validate_core(
        item.to_dict(), pystac.STACObjectType.ITEM, "1.1.0", href=None
    )
    model = {key: value for key, value in item.properties.items() if key.startswith("mlm:")}
    MLModelProperties.model_validate(model)
    assert (item.id, item.datetime.isoformat()) == ("map", "2018-07-05T00:00:00+00:00")
    assert item.properties["proj:code"] == "EPSG:26918"
    assert item.properties["proj:shape"] == [64, 96]
    for product, name in (("classes", "map.tif"), ("probabilities", "p.tif")):
        assert Path(item.assets[product].get_absolute_href()) == tmp_path / name
    model_file = Path(item.assets["model"].get_absolute_href())
    assert model_file.resolve().parent == Path(config.model).resolve()
    classes = ClassificationExtension.ext(item.assets["classes"]).classes
    scheme = load_scheme("chesapeake-4")
    assert [(c.value, c.description) for c in classes] == list(enumerate(scheme.names))
    assert [c.color_hint for c in classes] == [land.color[1:].upper() for land in scheme.classes]


def test_date_that_is_given_is_that_of_the_item(config, tmp_path):
    predict_map(replace(config, date="2013-07-04"))
    item = pystac.Item.from_file(str(tmp_path / "map.json"))
    assert item.datetime.isoformat() == "2013-07-04T00:00:00+00:00"


def test_item_is_the_same_when_the_map_is_made_again(config, tmp_path):
    predict_map(config)
    first = (tmp_path / "map.json").read_text()
    for path in tmp_path.glob("*"):
        if path.name != "scene.tif":
            path.unlink()
    predict_map(config)
    assert (tmp_path / "map.json").read_text() == first


def test_map_without_place_has_no_item(config, tmp_path, make_raster):
    values = np.random.default_rng(0).integers(1, 255, (64, 96, 4), np.uint8)
    image = make_raster("bare.tif", values, crs=None, transform=None, photometric="MINISBLACK")
    predict_map(replace(config, image=image, allow_ungeoreferenced=True))
    assert not (tmp_path / "map.json").exists()
    assert (tmp_path / "map.qml").exists()


def test_footprint_is_the_outline_of_the_grid():
    grid = Grid(2000, 3000, (1.0, 0.0, 400_000.0, 0.0, -1.0, 4_300_000.0), "EPSG:26918")
    footprint = measure_footprint(grid, "map.tif")
    left, bottom, right, top = footprint.bounds
    assert -76.16 < left < right < -76.11
    assert 38.82 < bottom < top < 38.85
    assert shapely.is_valid(footprint)
    assert json.dumps(shapely.geometry.mapping(footprint)).count(".") < 100


def test_file_that_is_no_item_is_not_written_over_and_a_style_is_kept(config, tmp_path):
    (tmp_path / "map.json").write_text('{"notes": "mine"}')
    with pytest.raises(LcsegError, match=r"map\.json: exists already"):
        predict_map(config)
    assert (tmp_path / "map.json").read_text() == '{"notes": "mine"}'
    (tmp_path / "map.json").write_text('{"stac_version": "1.0.0"}')
    (tmp_path / "map.qml").write_text("mine")
    predict_map(config)
    assert (tmp_path / "map.qml").read_text() == "mine"


def test_footprint_across_the_antimeridian_is_in_two_parts():
    grid = Grid(1000, 4000, (10.0, 0.0, 260_000.0, 0.0, -10.0, 5_600_000.0), "EPSG:32601")
    footprint = measure_footprint(grid, "map.tif")
    assert footprint.geom_type == "MultiPolygon"
    west, east = footprint.geoms
    assert west.bounds[2] == 180
    assert east.bounds[0] == -180
    assert west.bounds[2] - west.bounds[0] < 2
    assert east.bounds[2] - east.bounds[0] < 2
