"""A first look at every pair of rasters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lcseg.classes import load_scheme
from lcseg.errors import LcsegError
from lcseg.raster.pairing import pair_globs
from lcseg.records.config import ConvertConfig
from lcseg.records.survey import Scene, common_pixel_m, survey

SCHEME = load_scheme("chesapeake-4")
HERE = (1.0, 0.0, 400_000.0, 0.0, -1.0, 4_300_000.0)
OTHER_PLACE = (1.0, 0.0, 900_000.0, 0.0, -1.0, 4_300_000.0)
COARSE = (2.0, 0.0, 400_000.0, 0.0, -2.0, 4_300_000.0)


@pytest.fixture
def look(make_raster, tmp_path):
    """A function that surveys scene `a` and one that differs from it as it is told."""

    def survey_scenes(
        shape: tuple[int, ...] = (64, 64, 3),
        dtype: str = "uint8",
        label: dict[str, object] | None = None,
        allow: bool = False,
        **options: object,
    ) -> list[Scene]:
        ones = np.ones((64, 64), np.uint8)
        make_raster("a_image.tif", np.ones((64, 64, 3), np.uint8))
        make_raster("a_label.tif", ones)
        own = np.ones(shape[:2], np.uint8)
        if not (tmp_path / "bb_image.tif").exists():
            make_raster("bb_image.tif", np.ones(shape, dtype), **options)
            make_raster("bb_label.tif", **{"values": own, **options, **(label or {})})
        patterns = f"{tmp_path}/*_image.tif", f"{tmp_path}/*_label.tif"
        config = ConvertConfig("chesapeake-4", str(tmp_path / "data"), *patterns, chip_px=16)
        config = replace(config, allow_ungeoreferenced=allow)
        return survey(pair_globs(*patterns), SCHEME, config)

    return survey_scenes


def test_scenes_are_found_fit_with_what_they_are(look):
    first, second = look()
    assert [scene.pair.key for scene in (first, second)] == ["a", "bb"]
    assert (first.dtype, len(first.bands)) == ("uint8", 3)
    assert first.grid.transform == HERE
    assert first.pixel_m == pytest.approx(1, rel=2e-3)
    assert common_pixel_m([first, second]) == first.pixel_m


def test_files_that_lie_beside_a_raster_count_as_it_does(look, tmp_path):
    before = look()[1].files
    assert [Path(file).name for file, *_ in before] == ["bb_image.tif", "bb_label.tif"]
    (tmp_path / "bb_image.tif.msk").write_bytes((tmp_path / "a_label.tif").read_bytes())
    after = look()[1].files
    assert {Path(file).name for file, *_ in after} == {
        "bb_image.tif",
        "bb_label.tif",
        "bb_image.tif.msk",
    }
    for file, size, changed_ns in after:
        assert (Path(file).stat().st_size, Path(file).stat().st_mtime_ns) == (size, changed_ns)


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        (
            {"shape": (64, 64, 5)},
            "bb_image.tif: has 5 bands of uint8, .*a_image.tif has 3 of uint8",
        ),
        ({"dtype": "int16"}, "has 3 bands of int16, .* has 3 of uint8; convert unlike"),
        ({"transform": COARSE}, r"has pixels of 2.001 m, .*a_image\.tif of 1 m; resample"),
        ({"dtype": "float64"}, "has pixels of type float64; convert it to one of uint8"),
        ({"shape": (15, 64, 3)}, "is 15 x 64 px, smaller than a chip; use --chip_px below 16"),
        ({"crs": None}, "has no coordinate reference system; georeference it"),
        ({"label": {"transform": OTHER_PLACE}}, "bb_label.tif: does not overlap its image"),
        ({"label": {"crs": 'LOCAL_CS["here"]'}}, "bb_label.tif: its CRS .*cannot be reached"),
        (
            {"label": {"values": np.ones((64, 64, 2), np.uint8)}},
            "has 2 bands; say which .*label_band",
        ),
    ],
)
def test_scene_that_does_not_fit_is_refused(look, scene, message):
    with pytest.raises(LcsegError, match=message) as error:
        look(**scene)
    assert "\n" not in str(error.value)


def test_image_that_is_its_own_label_is_refused(make_raster, tmp_path):
    path = make_raster("a_image.tif", np.ones((64, 64), np.uint8))
    link = tmp_path / "a_label.tif"
    link.symlink_to(path)
    config = ConvertConfig("chesapeake-4", "data", path, str(link), chip_px=16)
    with pytest.raises(LcsegError, match=r"a_image\.tif: is its own label; name a label raster"):
        survey(pair_globs(path, str(link)), SCHEME, config)


def test_scenes_without_a_place_have_no_pixel_size(look):
    scenes = look(crs=None, allow=True)
    assert [scene.pixel_m is None for scene in scenes] == [False, True]
    assert common_pixel_m(scenes[1:]) is None
