"""Parts of a conversion: what one process does at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.windows import Window

from lcseg.documents import format_document, parse_document
from lcseg.records.codec import decode_chip
from lcseg.records.config import ConvertConfig
from lcseg.records.parts import PartOutcome, convert_part, cut_parts
from lcseg.records.plan import Plan, make_plan
from lcseg.records.relabelling import Correction
from lcseg.records.shards import read_shard


@pytest.fixture
def plan(make_raster, tmp_path) -> Plan:
    """A plan of two scenes, the first with a hole in the image and one in the label."""
    random = np.random.default_rng(0)
    for number in range(2):
        place = (1.0, 0.0, 400_000.0 + 1000 * number, 0.0, -1.0, 4_300_000.0)
        image_hwc = random.integers(1, 200, (70, 90, 3)).astype(np.int16)
        codes_hw = random.integers(1, 7, (70, 90)).astype(np.uint8)
        if not number:
            image_hwc[:20, :20], codes_hw[40:60, 40:80] = 0, 0
        make_raster(f"{number}_image.tif", image_hwc, transform=place, nodata=0)
        make_raster(f"{number}_label.tif", codes_hw, transform=place)
    return make_plan(
        ConvertConfig(
            "chesapeake-4",
            str(tmp_path / "data"),
            f"{tmp_path}/*_image.tif",
            f"{tmp_path}/*_label.tif",
            chip_px=16,
            block_chips=2,
            split_buffer_px=5,
            val_share=0.25,
            test_share=0.25,
        )
    )


def test_part_becomes_a_shard_for_each_split_and_an_outcome(plan, tmp_path):
    (part,) = plan.parts
    outcome = convert_part(part, str(tmp_path))
    assert outcome.digest == part.digest
    assert [shard.file for shard in outcome.shards] == [
        f"{split}-00000.tfrecord" for split in ("train", "val", "test")
    ]
    assert [tally.scene for tally in outcome.tallies] == [0, 1]
    assert sum(len(tally.fates) for tally in outcome.tallies) == part.chips
    without = convert_part(part, None)
    assert without.shards == ()
    assert without.tallies == outcome.tallies


def test_chips_are_what_rasterio_reads_in_their_windows_and_padding_beyond(plan, tmp_path):
    (part,) = plan.parts
    outcome = convert_part(part, str(tmp_path))
    windows = {
        (piece.key, *window[:2]): window for piece in part.pieces for window in piece.windows
    }
    seen = 0
    for shard in outcome.shards:
        for record in read_shard(tmp_path / shard.file):
            chip = decode_chip(part.setting.spec, record)
            row, col, height, width = windows[chip.source, chip.row, chip.col]
            with rasterio.open(tmp_path / f"{chip.source}_image.tif") as raster:
                window = Window(col, row, width, height)
                image = np.moveaxis(raster.read(window=window), 0, -1)
                first = raster.xy(row, col, offset="ul")
            with rasterio.open(tmp_path / f"{chip.source}_label.tif") as raster:
                codes = raster.read(1, window=window)
            label = np.choose(codes, [255, 0, 1, 2, 3, 3, 3]).astype(np.uint8)
            label[(image == 0).all(axis=-1)] = 255
            np.testing.assert_array_equal(chip.image_hwc[:height, :width], image)
            np.testing.assert_array_equal(chip.label_hw[:height, :width], label)
            assert not chip.image_hwc[height:].any() and not chip.image_hwc[:, width:].any()
            assert (chip.label_hw[height:] == 255).all() and (chip.label_hw[:, width:] == 255).all()
            assert (chip.transform[2], chip.transform[5]) == first
            seen += 1
    assert seen == sum(shard.records for shard in outcome.shards) > 20


def test_tallies_count_what_is_missing_and_ignored_in_the_windows_alone(plan):
    (part,) = plan.parts
    for piece, tally in zip(part.pieces, convert_part(part, None).tallies, strict=True):
        missing = ignored = pixels = 0
        with (
            rasterio.open(piece.image) as image,
            rasterio.open(piece.label) as label,
        ):
            for row, col, height, width in piece.windows:
                window = Window(col, row, width, height)
                is_missing = (image.read(window=window) == 0).all(axis=0)
                pixels += is_missing.size
                missing += int(is_missing.sum())
                ignored += int((is_missing | (label.read(1, window=window) == 0)).sum())
        assert (tally.pixels, tally.missing, tally.ignored) == (pixels, missing, ignored)


def test_outcome_is_read_back_as_it_was_written(plan, tmp_path):
    outcome = convert_part(plan.parts[0], str(tmp_path))
    assert parse_document(format_document(outcome), PartOutcome, "note") == outcome


def test_digest_changes_with_all_that_the_outcome_depends_on(plan):
    (part,) = plan.parts
    piece, setting = part.pieces[0], part.setting
    moved = replace(piece.grid, transform=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0))
    others = [
        replace(part, number=1),
        replace(part, pieces=(piece,)),
        *(
            replace(part, pieces=(replace(piece, corrections=(correction,)), *part.pieces[1:]))
            for correction in (
                Correction(1, shapely.box(0, 0, 9, 9).wkb_hex, None, 0),
                Correction(1, shapely.box(0, 0, 9, 9).wkb_hex, None, 1),
                Correction(1, shapely.box(0, 0, 9, 9).wkb_hex, 1, 0),
                Correction(1, shapely.box(0, 0, 9, 8).wkb_hex, None, 0),
            )
        ),
        replace(part, setting=replace(setting, label_band=1)),
        replace(part, setting=replace(setting, created_by="lcseg 9")),
        replace(
            part, setting=replace(setting, selection=replace(setting.selection, below=((0, 0.5),)))
        ),
        *(
            replace(part, pieces=(replace(piece, **change), *part.pieces[1:]))
            for change in (
                {"grid": moved},
                {"date": "2020"},
                {"files": ((piece.image, 1, 1),)},
                {"splits": (2, *piece.splits[1:])},
                {"windows": ((1, 1, 16, 16), *piece.windows[1:])},
            )
        ),
    ]
    digests = {other.digest for other in [part, *others]}
    assert len(digests) == len(others) + 1


@pytest.mark.parametrize("most_chips", [1, 7, 1000])
def test_parts_hold_every_chip_once_in_order(plan, most_chips):
    setting = plan.parts[0].setting
    most_bytes = most_chips * setting.spec.record_bytes
    parts = list(cut_parts(plan.scenes, plan.layouts, setting, most_bytes))
    assert [part.number for part in parts] == list(range(len(parts)))
    assert {part.chips for part in parts[:-1]} <= {most_chips}
    for number, layout in enumerate(plan.layouts):
        pieces = [piece for part in parts for piece in part.pieces if piece.scene == number]
        assert [w for piece in pieces for w in piece.windows] == list(
            map(tuple, layout.windows.tolist())
        )
        assert [s for piece in pieces for s in piece.splits] == layout.splits.tolist()
    assert all(Path(piece.image).is_absolute() for part in parts for piece in part.pieces)


def test_part_holds_the_corrections_that_touch_its_chips_and_no_others(plan):
    setting = plan.parts[0].setting
    boxes = [shapely.box(0, 0, 4, 4), shapely.box(60, 60, 66, 66), shapely.box(900, 0, 901, 1)]
    corrections = [Correction(i, box.wkb_hex, None, 0) for i, box in enumerate(boxes)]
    most_bytes = 4 * setting.spec.record_bytes
    parts = list(cut_parts(plan.scenes, plan.layouts, setting, most_bytes, [corrections, ()]))
    for part in parts:
        for piece in part.pieces:
            is_touched = [
                any(
                    box.intersects(shapely.box(col, row, col + width, row + height))
                    for row, col, height, width in piece.windows
                )
                for box in boxes
            ]
            held = [correction.place for correction in piece.corrections]
            assert held == [i for i in range(3) if is_touched[i] and piece.scene == 0]
    assert {place.place for part in parts for p in part.pieces for place in p.corrections} == {0, 1}


def test_run_reaches_as_far_as_its_tallest_window():
    from lcseg.raster.grid import Window as Place
    from lcseg.records.piece import _runs

    windows = [Place(0, 0, 100, 64), Place(0, 64, 99, 64)]
    ((run, around),) = _runs(windows, 10**6)
    assert run == windows
    assert around == Place(0, 0, 100, 128)
