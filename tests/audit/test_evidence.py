"""Probabilities and labels in rasters, as evidence."""

import numpy as np
import pytest

from lcseg.audit.config import AuditConfig
from lcseg.audit.evidence import open_rasters
from lcseg.classes import IGNORE, load_scheme
from lcseg.errors import LcsegError
from lcseg.prediction.products import profile_of
from lcseg.raster.cog import write_cog
from lcseg.raster.grid import Grid, Window

SCHEME = load_scheme("chesapeake-4")
PLACE = (1.0, 0.0, 400_000.0, 0.0, -1.0, 4_300_000.0)
CRS = "EPSG:26918"


@pytest.fixture
def rasters(tmp_path, make_raster):
    """A function that writes probabilities and labels, and says how they are audited."""

    def write(probs_hwk, codes_hw, scheme=SCHEME, crs=CRS, **options) -> AuditConfig:
        path = tmp_path / "probabilities.tif"
        grid = Grid(*probs_hwk.shape[:2], PLACE, crs)
        with write_cog(path, grid, profile_of("probabilities", scheme, {})) as writer:
            writer.write(grid.window, probs_hwk)
        label = make_raster("label.tif", codes_hw, crs=crs, nodata=0)
        rasters = {"probabilities": str(path), "label": label, "classes": "chesapeake-4"}
        return AuditConfig(str(tmp_path / "audit"), **rasters, **options)

    return write


def test_rasters_are_read_together(rasters):
    probs_hwk = np.full((6, 5, 4), 60, np.uint8)
    probs_hwk[0, 0] = 255
    codes_hw = np.full((6, 5), 2, np.uint8)
    codes_hw[5, 4], codes_hw[4, 4] = 0, 3
    with open_rasters(rasters(probs_hwk, codes_hw), SCHEME) as evidence:
        found_hwk, label_hw = evidence.read(Window(-1, 0, 8, 5))
        assert [(w.height, w.width) for w in evidence.blocks()] == [(6, 5)]
        assert evidence.picture(Window(0, 0, 2, 2)) is None
    expected_hw = np.full((8, 5), 1)
    expected_hw[0] = expected_hw[7] = expected_hw[1, 0] = expected_hw[6, 4] = IGNORE
    expected_hw[5, 4] = 2
    assert label_hw.tolist() == expected_hw.tolist()
    assert (found_hwk[1:7] == np.where(probs_hwk == 255, 0, probs_hwk)).all()
    assert not found_hwk[[0, 7]].any()


def test_labels_are_brought_onto_the_grid_of_the_probabilities(rasters, make_raster):
    config = rasters(np.full((8, 8, 4), 60, np.uint8), np.full((2, 2), 1, np.uint8))
    coarse = np.array([[1, 2], [3, 4]], np.uint8)
    make_raster("label.tif", coarse, transform=(4.0, 0.0, 400_000.0, 0.0, -4.0, 4_300_000.0))
    with open_rasters(config, SCHEME) as evidence:
        _, label_hw = evidence.read(evidence.grid.window)
    assert label_hw.tolist() == np.kron([[0, 1], [2, 3]], np.ones((4, 4), int)).tolist()


def test_other_classes_are_refused(rasters):
    config = rasters(
        np.zeros((4, 4, 6), np.uint8), np.ones((4, 4), np.uint8), load_scheme("chesapeake-6")
    )
    message = (
        r"probabilities\.tif: has uint8 bands water, tree/forest, grass/herbaceous, barren, "
        "impervious, road, expected uint8 and a band for each of water, tree/forest, "
    )
    with pytest.raises(LcsegError, match=message), open_rasters(config, SCHEME):
        pass


def test_a_label_elsewhere_is_refused(rasters, make_raster):
    config = rasters(np.zeros((4, 4, 4), np.uint8), np.ones((4, 4), np.uint8))
    make_raster("label.tif", np.ones((4, 4), np.uint8), transform=(1.0, 0.0, 5e5, 0.0, -1.0, 4e6))
    with pytest.raises(LcsegError, match="does not overlap"), open_rasters(config, SCHEME):
        pass


def test_an_image_on_another_grid_is_refused(rasters, make_raster):
    image = make_raster("image.tif", np.ones((5, 4, 3), np.uint8))
    config = rasters(np.zeros((4, 4, 4), np.uint8), np.ones((4, 4), np.uint8), image=image)
    message = r"image\.tif: does not lie on the grid of the probabilities; give the image that"
    with pytest.raises(LcsegError, match=message), open_rasters(config, SCHEME):
        pass
