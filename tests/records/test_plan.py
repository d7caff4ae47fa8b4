"""What a conversion will do."""

import numpy as np
import pytest

from lcseg.errors import LcsegError
from lcseg.records.config import ConvertConfig
from lcseg.records.plan import find_pairs, make_plan


@pytest.fixture
def config(make_raster, tmp_path) -> ConvertConfig:
    for name in "ab":
        make_raster(f"{name}_image.tif", np.ones((64, 64, 2), np.uint8))
        make_raster(f"{name}_label.tif", np.ones((64, 64), np.uint8))
    return ConvertConfig(
        "chesapeake-4",
        str(tmp_path / "data"),
        f"{tmp_path}/*_image.tif",
        f"{tmp_path}/*_label.tif",
        chip_px=16,
        block_chips=1,
        split_buffer_px=0,
        keep_below="water:0.5",
    )


def test_plan_says_all_before_a_pixel_is_read(config, tmp_path):
    plan = make_plan(config)
    assert [scene.pair.key for scene in plan.scenes] == ["a", "b"]
    assert [site.scenes for site in plan.sites] == [(0, 1)]
    assert sum(part.chips for part in plan.parts) == 32
    setting = plan.parts[0].setting
    assert (setting.spec.chip_px, setting.spec.bands, setting.spec.dtype) == (16, 2, "uint8")
    assert setting.selection.below == ((0, 0.5),)
    assert not (tmp_path / "data").exists()


def test_pairs_come_from_patterns_or_from_a_table(config, tmp_path):
    (tmp_path / "pairs.csv").write_text("image,label,split\nb_image.tif,b_label.tif,val\n")
    table = ConvertConfig("chesapeake-4", "data", pairs=str(tmp_path / "pairs.csv"))
    assert [pair.key for pair in find_pairs(config)] == ["a", "b"]
    assert [(pair.key, pair.split) for pair in find_pairs(table)] == [("b_image.tif", "val")]


def test_rule_that_names_no_class_is_told_before_any_raster_is_opened():
    config = ConvertConfig("chesapeake-4", "data", "no.tif", "none.tif", keep_below="sea:0.5")
    with pytest.raises(LcsegError, match=r"--keep_below=sea:0\.5: 'sea:0\.5' names no class"):
        make_plan(config)
