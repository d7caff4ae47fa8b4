"""Class maps as class indices, of lcseg and of others."""

import numpy as np
import pytest

from lcseg.classes import IGNORE, load_scheme
from lcseg.errors import LcsegError, UnknownCodesError
from lcseg.raster.class_map import open_class_map
from lcseg.raster.cog import class_map_profile, write_cog
from lcseg.raster.grid import Grid, Window

SCHEME = load_scheme("chesapeake-4")
PLACE = (1.0, 0.0, 400_000.0, 0.0, -1.0, 4_300_000.0)


@pytest.fixture
def map_hw() -> np.ndarray:
    indices_hw = np.random.default_rng(0).integers(0, 5, (40, 30)).astype(np.uint8)
    return np.where(indices_hw == 4, np.uint8(IGNORE), indices_hw)


@pytest.fixture
def own_map(tmp_path, map_hw) -> str:
    grid = Grid(*map_hw.shape, PLACE, "EPSG:26918")
    profile = class_map_profile(SCHEME, {"lcseg_classes": SCHEME.name})
    with write_cog(tmp_path / "map.tif", grid, profile) as writer:
        writer.write(Window(0, 0, *map_hw.shape), map_hw)
    return str(tmp_path / "map.tif")


def test_a_map_of_lcseg_tells_its_classes(own_map, map_hw):
    with open_class_map(own_map) as mapped:
        assert np.array_equal(mapped.read(Window(0, 0, 40, 30)), map_hw)
        assert mapped.read(Window(-1, -1, 2, 2)).tolist() == [[IGNORE] * 2, [IGNORE, map_hw[0, 0]]]
        assert (mapped.scheme.name, mapped.scheme.names) == (SCHEME.name, SCHEME.names)
        assert np.array_equal(mapped.scheme.palette, SCHEME.palette)
        assert [land.codes for land in mapped.scheme.classes] == [(0,), (1,), (2,), (3,)]
        assert (mapped.grid.height, mapped.grid.width, mapped.path) == (40, 30, own_map)


def test_the_scheme_of_a_map_of_lcseg_may_be_given_too(own_map, map_hw):
    with open_class_map(own_map, SCHEME) as mapped:
        assert np.array_equal(mapped.read(Window(0, 0, 40, 30)), map_hw)
    with (
        pytest.raises(LcsegError, match=r"map.tif: has the classes water, .*--classes has water"),
        open_class_map(own_map, load_scheme("chesapeake-6")),
    ):
        pass


def test_a_map_of_others_holds_codes(make_raster, map_hw):
    codes_hw = np.where(map_hw == IGNORE, 0, map_hw + 1).astype(np.uint8)
    with open_class_map(make_raster("foreign.tif", codes_hw, nodata=0), SCHEME) as mapped:
        assert np.array_equal(mapped.read(Window(0, 0, 40, 30)), map_hw)
        assert mapped.scheme.classes[3].codes == (4, 5, 6)


def test_a_map_of_others_needs_a_scheme(make_raster, map_hw):
    with (
        pytest.raises(LcsegError, match=r"does not name its classes; give .* with --classes"),
        open_class_map(make_raster("foreign.tif", map_hw)),
    ):
        pass


def test_an_ignored_code_is_no_class_of_a_map(make_raster, map_hw):
    with (
        open_class_map(make_raster("foreign.tif", map_hw % 4), SCHEME) as mapped,
        pytest.raises(UnknownCodesError, match=r"does not name: 0 \(.*declare it as nodata"),
    ):
        mapped.read(Window(0, 0, 40, 30))
    path = make_raster("foreign.tif", map_hw % 4)
    with open_class_map(path, SCHEME, takes_ignored=True) as mapped:
        assert ((mapped.read(Window(0, 0, 40, 30)) == IGNORE) == (map_hw % 4 == 0)[:40, :30]).all()
