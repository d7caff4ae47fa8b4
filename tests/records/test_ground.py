"""Where chips lie on the ground, and what became of each."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import write_raster

from lcseg.records import ground
from lcseg.records.config import ConvertConfig
from lcseg.records.ground import FATES, REFUSED, look_at_ground
from lcseg.records.parts import PartOutcome, convert_part
from lcseg.records.plan import Plan, make_plan

CHIP = 16
North = tuple[float, float]
Ground = tuple[Plan, Sequence[PartOutcome]]


@pytest.fixture
def survey_ground(tmp_path: Path) -> Callable[..., Ground]:
    """A function that plans scenes alike: (transforms, codes, …) -> (plan, outcomes)."""

    def look(
        transforms: Sequence[Sequence[float]],
        codes_hw: np.ndarray,
        crs: str | None = "EPSG:26918",
        **changes: object,
    ) -> Ground:
        for number, transform in enumerate(transforms):
            image_hwc = np.full((*codes_hw.shape, 3), 9, np.uint8)
            for what, values in (("image", image_hwc), ("label", codes_hw)):
                path = tmp_path / f"{number:02d}_{what}.tif"
                write_raster(path, values, crs=crs, transform=tuple(transform))
        settings = {
            "classes": "chesapeake-4",
            "out": str(tmp_path / "data"),
            "images": f"{tmp_path}/*_image.tif",
            "labels": f"{tmp_path}/*_label.tif",
            "chip_px": CHIP,
            "block_chips": 1,
            "split_buffer_px": 0,
            "quiet": True,
        }
        plan = make_plan(ConvertConfig(**(settings | changes)))
        return plan, [convert_part(part, None) for part in plan.parts]

    return look


def place(east_m: float = 0.0, south_m: float = 0.0) -> tuple[float, ...]:
    return (1.0, 0.0, 400_000.0 + east_m, 0.0, -1.0, 4_300_000.0 - south_m)


def ones(rows: int, cols: int) -> np.ndarray:
    return np.ones((rows, cols), np.uint8)


def corners_of(rows: Sequence[int], cols: Sequence[int]) -> list[list[float]]:
    return [[cols[0], rows[0]], [cols[1], rows[0]], [cols[1], rows[1]], [cols[0], rows[1]]]


def test_chips_of_a_site_are_placed_by_what_became_of_them(survey_ground):
    codes_hw = ones(64, 40)
    codes_hw[16:32, :16] = 0
    plan, outcomes = survey_ground([place()], codes_hw)
    (panel,), counts = look_at_ground(plan, outcomes)
    assert panel.names == ("00",)
    assert panel.bounds == pytest.approx((0, 0, 40, 64))
    assert panel.chips["without label"].tolist() == [corners_of((16, 32), (0, 16))]
    assert counts["without label"] == 1
    kept = {name: counts[name] for name in ("train", "val", "test")}
    assert sum(kept.values()) == 4 * 3 - 1
    assert set(counts) == set(panel.chips) == set(FATES)
    for index, split in enumerate(kept):
        windows = plan.layouts[0].windows[plan.layouts[0].splits == index].tolist()
        wanted = [corners_of((r, r + h), (c, c + w)) for r, c, h, w in windows if (r, c) != (16, 0)]
        np.testing.assert_allclose(panel.chips[split], wanted)


def test_scenes_that_share_ground_are_drawn_in_the_frame_of_the_first(survey_ground):
    plan, outcomes = survey_ground([place(), place(48, 32)], ones(64, 64))
    (panel,), counts = look_at_ground(plan, outcomes)
    assert panel.names == ("00", "01")
    assert panel.bounds == pytest.approx((0, 0, 112, 96), abs=1e-6)
    drawn = np.concatenate(list(panel.chips.values()))
    assert len(drawn) == sum(counts.values())
    assert drawn.reshape(-1, 2).max(axis=0) == pytest.approx([112, 96], abs=1e-6)


def test_chips_on_the_ground_of_another_split_are_shown_as_such(survey_ground):
    places = [place(east_m) for east_m in (0, 40, 80, 120)]
    plan, outcomes = survey_ground(places, ones(64, 64), split_by="scene")
    (panel,), counts = look_at_ground(plan, outcomes)
    refused = [len(layout.refused) for layout in plan.layouts]
    assert counts[REFUSED] == len(panel.chips[REFUSED]) == sum(refused) > 0
    assert sum(counts.values()) == 4 * 16


def test_the_largest_sites_come_first_and_counts_are_of_all(survey_ground, monkeypatch):
    monkeypatch.setattr(ground, "MOST_PANELS", 2)
    places = [place(0), place(9_000), place(5_000), place(5_050)]
    plan, outcomes = survey_ground(places, ones(64, 64))
    panels, counts = look_at_ground(plan, outcomes)
    assert [panel.names for panel in panels] == [("02", "03"), ("00",)]
    assert len(plan.sites) == 3
    assert sum(counts.values()) == sum(len(layout.windows) for layout in plan.layouts)


def test_in_a_crowd_the_chip_in_the_middle_stands_for_its_neighbours(survey_ground, monkeypatch):
    codes_hw = ones(6 * CHIP, 6 * CHIP)
    codes_hw[4 * CHIP : 5 * CHIP, CHIP : 2 * CHIP] = 0
    codes_hw[:CHIP, :CHIP] = 0
    monkeypatch.setattr(ground, "MOST_SQUARES", 4)
    plan, outcomes = survey_ground([place()], codes_hw)
    (panel,), counts = look_at_ground(plan, outcomes)
    assert panel.chips_per_square == 3
    assert sum(len(squares) for squares in panel.chips.values()) == 4
    assert panel.chips["without label"].tolist() == [corners_of((48, 96), (0, 48))]
    assert counts["without label"] == 2
    layout = plan.layouts[0]
    splits = {
        tuple(w[:2]): FATES[s] for w, s in zip(layout.windows.tolist(), layout.splits, strict=True)
    }
    for row, col in ((0, 0), (0, 48), (48, 48)):
        squares = panel.chips[splits[row + CHIP, col + CHIP]].tolist()
        assert corners_of((row, row + 48), (col, col + 48)) in squares


def test_a_square_of_a_crowd_ends_at_the_edge_of_its_scene(survey_ground, monkeypatch):
    monkeypatch.setattr(ground, "MOST_SQUARES", 4)
    plan, outcomes = survey_ground([place()], ones(4 * CHIP, 5 * CHIP - 4))
    (panel,), _ = look_at_ground(plan, outcomes)
    drawn = np.concatenate(list(panel.chips.values()))
    assert panel.chips_per_square == 3
    assert drawn.reshape(-1, 2).max(axis=0).tolist() == [76, 64]


@pytest.mark.parametrize(
    ("transform", "north"),
    [
        ((1.0, 0.0, 4e5, 0.0, -1.0, 4.3e6), (0, -1)),
        ((1.0, 0.0, 4e5, 0.0, 1.0, 4.3e6), (0, 1)),
        ((0.0, 2.0, 4e5, 2.0, 0.0, 4.3e6), (1, 0)),
        ((0.6, 0.8, 4e5, 0.8, -0.6, 4.3e6), (0.8, -0.6)),
    ],
)
def test_north_is_where_the_crs_has_it(survey_ground, transform: Sequence[float], north: North):
    (panel,), _ = look_at_ground(*survey_ground([transform], ones(64, 64)))
    assert panel.north == pytest.approx(north)


def test_without_a_crs_scenes_are_sites_without_north_or_scale(survey_ground):
    bare = (1.0, 0.0, 5.0, 0.0, 1.0, 0.0)
    known = survey_ground([bare, bare], ones(64, 64), crs=None, allow_ungeoreferenced=True)
    panels, _ = look_at_ground(*known)
    assert [panel.names for panel in panels] == [("00",), ("01",)]
    assert {(panel.north, panel.pixel_m) for panel in panels} == {(None, None)}
