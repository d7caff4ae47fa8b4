"""What `lcseg predict` may be asked."""

import pytest

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
