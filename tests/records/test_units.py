"""Units of ground: what shows the same ground is one, whatever scenes show it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from grounds import (
    CONFIG,
    WORLDS,
    around,
    configs,
    grounds,
    make_scene,
    nearest_m,
    pixel_width_m,
    place_scene,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lcseg.errors import LcsegError
from lcseg.records.config import ConvertConfig
from lcseg.records.layout import Layout, lay_out
from lcseg.records.manifest import SourceInfo
from lcseg.records.report import list_settings
from lcseg.records.splits import deal_evenly
from lcseg.records.survey import Scene
from lcseg.records.units import Units, find_units


def describe(scenes: list[Scene], config: ConvertConfig) -> SimpleNamespace:
    """What a manifest of these scenes says of their ground."""
    sources = [
        SourceInfo(
            scene.pair.key,
            "",
            "",
            scene.grid.height,
            scene.grid.width,
            scene.grid.transform,
            scene.grid.crs,
            "",
            0,
        )
        for scene in scenes
    ]
    return SimpleNamespace(sources=sources, settings=list_settings(config), chip_px=config.chip_px)


def find(scenes: list[Scene], layouts: list[Layout], config: ConvertConfig) -> Units:
    numbers = np.concatenate([np.full(len(own.windows), n) for n, own in enumerate(layouts)])
    windows = np.concatenate([own.windows for own in layouts])
    return find_units(describe(scenes, config), numbers, windows, "data")


def deal(units: Units, layouts: list[Layout], seed: int) -> list[Layout]:
    """The layouts with three groups in place of the splits."""
    sizes = {name: int((units.of_chip == n).sum()) for n, name in enumerate(units.names)}
    dealt = deal_evenly(sizes, 3, seed)
    groups = np.array([dealt[name] for name in units.names])[units.of_chip]
    ends = np.cumsum([len(own.windows) for own in layouts])[:-1]
    return [
        replace(own, splits=of_scene)
        for own, of_scene in zip(layouts, np.split(groups, ends), strict=True)
    ]


def test_units_are_the_squares_that_convert_has_dealt():
    scene = make_scene("a")
    _, layouts = lay_out([scene], CONFIG)
    units = find([scene], layouts, CONFIG)
    assert sorted(units.names) == [f"a/{row}/{col}" for row in range(3) for col in range(3)]
    for (row, col, *_), unit in zip(layouts[0].windows.tolist(), units.of_chip, strict=True):
        assert units.names[unit] == f"a/{row // 32}/{col // 32}"


@settings(deadline=None, max_examples=80)
@given(grounds(), configs, st.integers(0, 9))
def test_no_ground_is_in_two_groups(ground, config, seed):
    scenes, lon, lat = ground
    config = replace(config, stride_px=0)
    try:
        _, layouts = lay_out(scenes, config)
    except LcsegError:
        assume(False)
    assume(sum(len(own.windows) for own in layouts))
    units = find(scenes, layouts, config)
    place = around(lon, lat)
    pixel_m = min(pixel_width_m(scene, place) for scene in scenes)
    # Pixels of different groups lie beside each other at most.
    assert nearest_m(scenes, deal(units, layouts, seed), place) > 0.97 * pixel_m


@pytest.mark.parametrize("world", list(WORLDS))
@pytest.mark.parametrize("buffer_px", [0, 20])
def test_squares_stay_as_far_apart_as_convert_has_laid_them(world, buffer_px):
    at = {"pixel_m": 1.0, "is_west": True, "shape": (200, 200), "split": ""}
    scenes = [
        place_scene(
            f"{i}",
            *world,
            crs,
            {**at, "east_m": -100 + 10.3 * i, "north_m": 100, "angle": 11.0 * i, "is_south_up": 0},
        )
        for i, crs in enumerate(WORLDS[world])
    ]
    config = replace(CONFIG, split_buffer_px=buffer_px)
    _, layouts = lay_out(scenes, config)
    units = find(scenes, layouts, config)
    # Nothing has been joined without need.
    assert len(units.names) >= (200 // (32 + buffer_px)) ** 2
    place = around(*world)
    pixel_m = min(pixel_width_m(scene, place) for scene in scenes)
    nearest = nearest_m(scenes, deal(units, layouts, 0), place)
    assert nearest > 0.98 * pixel_m * max(buffer_px - 1, 1)


def test_dates_of_one_place_and_scenes_that_overlap_share_their_squares():
    scenes = [
        make_scene("2019", (96, 96)),
        make_scene("2021", (96, 96)),
        make_scene("beside", (96, 96), (1.0, 0.0, 400_064.0, 0.0, -1.0, 4_300_000.0)),
        make_scene("far", (96, 96), (1.0, 0.0, 420_000.0, 0.0, -1.0, 4_300_000.0)),
    ]
    _, layouts = lay_out(scenes, CONFIG)
    units = find(scenes, layouts, CONFIG)
    assert len(units.names) == 3 * 5 + 9
    names = np.array(units.names)[units.of_chip].reshape(4, 36)
    assert names[0].tolist() == names[1].tolist()
    assert len({*names[0]} & {*names[2]}) == 3
    assert not {*names[3]} & {*names[:3].ravel()}


def test_scenes_that_are_dealt_whole_are_units_and_one_where_they_overlap():
    def at(east: int) -> tuple[float, ...]:
        return 1.0, 0.0, 400_000.0 + east, 0.0, -1.0, 4_300_000.0

    scenes = [
        make_scene(key, (64, 64), at(east))
        for key, east in {"a": 0, "a again": 0, "overlaps": 50, "abuts": 114, "far": 9000}.items()
    ]
    windows = np.array([[r, c, 16, 16] for r in range(0, 64, 16) for c in range(0, 64, 16)])
    config = replace(CONFIG, split_by="scene")
    layouts = [Layout(windows, np.zeros(16, np.uint8), windows[:0]) for _ in scenes]
    units = find(scenes, layouts, config)
    assert units.names == ("a", "abuts", "far")
    assert units.of_chip.tolist() == [0] * 48 + [1] * 16 + [2] * 16


def test_scenes_without_a_crs_share_no_ground():
    scenes = [make_scene(key, (32, 32), crs=None) for key in "ab"]
    windows = np.array([[0, 0, 16, 16], [16, 0, 16, 16]])
    layouts = [Layout(windows, np.zeros(2, np.uint8), windows[:0]) for _ in scenes]
    units = find(scenes, layouts, replace(CONFIG, block_chips=1))
    assert units.names == ("a/0/0", "a/1/0", "b/0/0", "b/1/0")


def test_chips_of_a_scene_that_overlap_are_refused():
    scene = make_scene("a")
    config = replace(CONFIG, stride_px=8)
    _, layouts = lay_out([scene], config)
    with pytest.raises(LcsegError) as caught:
        find([scene], layouts, config)
    assert str(caught.value) == (
        "data: its training chips overlap, so not all can be for testing; "
        "convert the rasters again without --stride_px"
    )


@pytest.mark.parametrize("value", [None, "four", 0])
def test_data_set_that_does_not_say_how_it_was_divided_is_refused(value):
    scene = make_scene("a")
    manifest = describe([scene], CONFIG)
    manifest.settings["block_chips"] = value
    with pytest.raises(LcsegError, match=f"divided: block_chips of its settings is {value}; conv"):
        find_units(manifest, np.zeros(1, int), np.array([[0, 0, 16, 16]]), "data")
