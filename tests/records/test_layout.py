"""Where chips lie: no place in two splits, and nothing lost without need.

Places are held against rasterio's transforms and PROJ, never against what lcseg computes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from grounds import (
    CONFIG,
    UTM,
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
from lcseg.records.survey import Scene


def assert_no_leak(scenes: list[Scene], config: ConvertConfig, lon: float, lat: float) -> None:
    try:
        _, layouts = lay_out(scenes, config)
    except LcsegError as error:
        # Too little ground for three splits.
        assert "cannot be dealt" in str(error)
        assume(False)
    ground = around(lon, lat)
    nearest = nearest_m(scenes, layouts, ground)
    # The buffer is counted in pixels of the first scene of a site, which may be narrow in degrees.
    pixel_m = min(pixel_width_m(scene, ground) for scene in scenes)
    assert nearest > 0.98 * pixel_m * max(config.split_buffer_px - 1, 1)


def test_chips_lie_within_squares_of_one_split():
    sites, (layout,) = lay_out([make_scene("a")], CONFIG)
    assert [site.scenes for site in sites] == [(0,)]
    assert len(layout.windows) == 36
    split_of_square = {}
    for (row, col, *size), split in zip(layout.windows.tolist(), layout.splits, strict=True):
        assert size == [16, 16]
        assert split_of_square.setdefault((row // 32, col // 32), split) == split
    assert Counter(split_of_square.values()) == {0: 5, 1: 2, 2: 2}


@settings(deadline=None, max_examples=200)
@given(grounds(), configs)
def test_no_place_is_in_two_splits(ground, config):
    scenes, lon, lat = ground
    assert_no_leak(scenes, config, lon, lat)


@pytest.mark.parametrize("world", list(WORLDS))
@pytest.mark.parametrize("buffer_px", [0, 32])
def test_scenes_of_all_kinds_upon_each_other_share_no_place_between_splits(world, buffer_px):
    lon, lat = world
    at = {"pixel_m": 1.0, "is_west": True, "shape": (200, 200), "split": ""}
    scenes = [
        place_scene(
            f"{i}",
            lon,
            lat,
            crs,
            {
                **at,
                "east_m": -100 + 10.3 * i,
                "north_m": 100,
                "angle": 11.0 * i,
                "is_south_up": i == 2,
            },
        )
        for i, crs in enumerate(WORLDS[world])
    ]
    config = replace(CONFIG, split_buffer_px=buffer_px)
    sites, layouts = lay_out(scenes, config)
    assert [site.scenes for site in sites] == [(0, 1, 2, 3)]
    for layout in layouts:
        assert len(layout.windows) > 10
    assert {split for layout in layouts for split in layout.splits.tolist()} == {0, 1, 2}
    assert_no_leak(scenes, config, lon, lat)


def count_times(scene: Scene, layout: Layout) -> np.ndarray:
    """In how many chips each pixel of a scene is."""
    times_hw = np.zeros((scene.grid.height, scene.grid.width), int)
    for row, col, height, width in layout.windows:
        times_hw[row : row + height, col : col + width] += 1
    return times_hw


@given(
    st.integers(48, 150),
    st.integers(48, 150),
    st.integers(1, 3),
    st.sampled_from([0, 1, 7, 32]),
    st.booleans(),
)
def test_scene_alone_loses_nothing_but_the_strips(height, width, block_chips, buffer_px, is_bare):
    scene = make_scene("a", (height, width), crs=None if is_bare else UTM)
    config = replace(CONFIG, block_chips=block_chips, split_buffer_px=buffer_px)
    try:
        _, (layout,) = lay_out([scene], config)
    except LcsegError:
        assume(False)
    side = 16 * block_chips
    is_kept = [np.arange(size) % (side + buffer_px) < side for size in (height, width)]
    np.testing.assert_array_equal(count_times(scene, layout), np.outer(*is_kept).astype(int))
    assert not len(layout.refused)


def test_scenes_side_by_side_lose_nothing_but_the_strips_of_one_lattice():
    left = make_scene("a", (96, 90))
    right = make_scene("b", (96, 90), (1.0, 0.0, 400_090.0, 0.0, -1.0, 4_300_000.0))
    _, layouts = lay_out([left, right], replace(CONFIG, split_buffer_px=8))
    is_kept = np.arange(180) % 40 < 32
    expected = np.outer(is_kept[:96], is_kept).astype(int)
    np.testing.assert_array_equal(count_times(left, layouts[0]), expected[:, :90])
    np.testing.assert_array_equal(count_times(right, layouts[1]), expected[:, 90:])


def test_dates_of_one_place_have_the_same_splits():
    dates = [make_scene(f"{year}", (160, 160)) for year in range(2010, 2014)]
    _, layouts = lay_out(dates, replace(CONFIG, split_buffer_px=4))
    for layout in layouts:
        np.testing.assert_array_equal(layout.windows, layouts[0].windows)
        np.testing.assert_array_equal(layout.splits, layouts[0].splits)


@pytest.mark.parametrize("split", ["val", ""])
def test_date_that_is_given_a_split_draws_the_place_along_with_scenes(split):
    places = [(1.0, 0.0, 400_000.0 + 500 * i, 0.0, -1.0, 4_300_000.0) for i in range(8)]
    scenes = [
        make_scene(f"{i}-{date}", transform=at) for i, at in enumerate(places) for date in "ab"
    ]
    scenes[0] = make_scene("0-a", transform=places[0], split=split)
    _, layouts = lay_out(scenes, replace(CONFIG, split_by="scene"))
    splits = [set(layout.splits.tolist()) for layout in layouts]
    assert all(len(of_scene) == 1 for of_scene in splits)
    assert splits[::2] == splits[1::2]
    assert Counter(min(of_scene) for of_scene in splits[2:]) >= Counter({0: 6, 1: 2, 2: 2})
    if split:
        assert splits[0] == {1}


def test_given_split_goes_before_squares_and_the_later_of_two_before_the_earlier():
    scenes = [
        make_scene("squares", (96, 96)),
        make_scene("train", (96, 96), (1.0, 0.0, 400_048.0, 0.0, -1.0, 4_300_000.0), split="train"),
        make_scene("test", (96, 96), (1.0, 0.0, 400_096.0, 0.0, -1.0, 4_300_000.0), split="test"),
    ]
    _, (squares, train, test) = lay_out(scenes, CONFIG)
    assert len(test.windows) == 36 and not len(test.refused)
    assert train.windows[:, 1].max() == 32 and len(train.windows) == 18
    assert train.refused[:, 1].min() == 48 and len(train.refused) == 18
    over_train = squares.splits[squares.windows[:, 1] >= 48]
    assert set(over_train.tolist()) <= {0}
    assert len(squares.windows) + len(squares.refused) == 36


@pytest.mark.parametrize("buffer_px", [0, 20])
def test_scene_with_nothing_left_gives_no_chip(buffer_px):
    scenes = [
        make_scene("a", (32, 32), split="train"),
        make_scene("b", (64, 64), split="val"),
        make_scene("c", (16, 16), split="test"),
    ]
    _, layouts = lay_out(scenes, replace(CONFIG, split_buffer_px=buffer_px))
    assert len(layouts[0].windows) == 0
    assert len(layouts[2].windows) == 1


@pytest.mark.parametrize("stride_px", [4, 5, 8, 13])
def test_training_chips_overlap_by_the_stride_and_others_do_not(stride_px):
    scene = make_scene("a", (140, 150))
    _, (layout,) = lay_out([scene], replace(CONFIG, block_chips=3, stride_px=stride_px))
    squares: dict[tuple[int, int], list[tuple[int, int, int, int]]] = {}
    for row, col, height, width in layout.windows.tolist():
        squares.setdefault((row // 48, col // 48), []).append((row % 48, col % 48, height, width))
    split_of = {
        (row // 48, col // 48): split
        for (row, col, *_), split in zip(layout.windows.tolist(), layout.splits, strict=True)
    }
    assert set(split_of.values()) == {0, 1, 2}
    for (i, j), chips in squares.items():
        step = 16 if split_of[i, j] else stride_px
        high, wide = min(48, 140 - 48 * i), min(48, 150 - 48 * j)
        starts = [
            [x for x in range(0, size, step) if x - step + 16 < size or not x]
            for size in (high, wide)
        ]
        expected = [
            (r, c, min(16, high - r), min(16, wide - c)) for r in starts[0] for c in starts[1]
        ]
        assert sorted(chips) == sorted(expected)
    assert (count_times(scene, layout) >= 1).all()


def test_chips_come_along_the_rows_of_their_scene():
    _, (layout,) = lay_out([make_scene("a", (200, 200))], CONFIG)
    places = [tuple(window[:2]) for window in layout.windows.tolist()]
    assert places == sorted(places)


@pytest.mark.parametrize("beyond_px", [8, 9])
def test_sliver_of_a_chip_is_left_out(beyond_px):
    config = replace(CONFIG, chip_px=256, block_chips=1, val_share=0.0, test_share=0.0)
    scene = make_scene("a", (256, 256 + beyond_px))
    _, (layout,) = lay_out([scene], config)
    assert len(layout.windows) == (1 if beyond_px == 8 else 2)


@pytest.mark.parametrize(("val", "test"), [(0.15, 0.15), (0.3, 0.1), (0.1, 0.0)])
def test_ground_is_shared_out_as_asked(val, test):
    scenes = [
        make_scene(f"{i}", (320, 320), (1.0, 0.0, 400_000.0 + 250 * i, 0.0, -1.0, 4_300_000.0))
        for i in range(5)
    ]
    config = replace(CONFIG, val_share=val, test_share=test, split_buffer_px=4)
    _, layouts = lay_out(scenes, config)
    counts = Counter(split for layout in layouts for split in layout.splits.tolist())
    total = sum(counts.values())
    assert counts[1] / total == pytest.approx(val, abs=0.02)
    assert counts[2] / total == pytest.approx(test, abs=0.02)


def test_another_seed_deals_the_squares_otherwise():
    first, second = (lay_out([make_scene("a")], replace(CONFIG, seed=s))[1][0] for s in (0, 1))
    np.testing.assert_array_equal(first.windows, second.windows)
    assert first.splits.tolist() != second.splits.tolist()


def test_too_little_ground_for_the_splits_is_refused():
    with pytest.raises(LcsegError, match="1 unit cannot be dealt to train, val, test; use smaller"):
        lay_out([make_scene("a", (32, 32))], CONFIG)
