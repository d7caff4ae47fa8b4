"""Scenes to data sets, held against what rasterio reads."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from conftest import RasterMaker, write_raster
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.windows import Window

from lcseg.errors import LcsegError
from lcseg.records import conversion
from lcseg.records.codec import decode_chip
from lcseg.records.config import ConvertConfig
from lcseg.records.conversion import convert, rehearse
from lcseg.records.manifest import Manifest, describe, read_manifest
from lcseg.records.parts import Part, PartOutcome
from lcseg.records.shards import read_shard
from lcseg.records.spec import Chip

LABEL_OF_CODE = {0: 255, 1: 0, 2: 1, 3: 2, 4: 3, 5: 3, 6: 3, 15: 255}
"""chesapeake-4, written out once more."""

Setup = Callable[..., ConvertConfig]


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """A function that configures the conversion of the rasters in the test's own folder."""

    def configure(**changes: object) -> ConvertConfig:
        config = ConvertConfig(
            classes="chesapeake-4",
            out=str(tmp_path / "data"),
            images=f"{tmp_path}/*_image.tif",
            labels=f"{tmp_path}/*_label.tif",
            chip_px=16,
            block_chips=1,
            split_buffer_px=0,
            workers=1,
            quiet=True,
        )
        return replace(config, **changes)

    return configure


@pytest.fixture
def make_scene(make_raster: RasterMaker) -> Callable[..., None]:
    """A function that writes a scene of random pixels and codes into the test's own folder."""

    def make(
        name: str = "a",
        shape: tuple[int, ...] = (64, 64, 3),
        dtype: str = "uint8",
        label: dict[str, object] | None = None,
        **options: object,
    ) -> None:
        random = np.random.default_rng(len(name))
        image_hwc = random.integers(1, 200, shape).astype(dtype)
        codes_hw = random.integers(1, 7, shape[:2]).astype(np.uint8)
        # Each scene has a place of its own.
        options = {"transform": (1.0, 0.0, 4e5 + 1000 * len(name), 0.0, -1.0, 4.3e6), **options}
        make_raster(f"{name}_image.tif", image_hwc, **options)
        make_raster(f"{name}_label.tif", **{"values": codes_hw, **options, **(label or {})})

    return make


def read_chips(folder: str | Path) -> Iterator[tuple[str, Chip]]:
    """(split, chip) of every record of a data set."""
    manifest = read_manifest(folder)
    for shard in manifest.shards:
        for record in read_shard(Path(folder) / shard.file):
            yield shard.split, decode_chip(manifest.spec, record)


def expect_chip(image: str, label: str, row: int, col: int, px: int) -> tuple[np.ndarray, ...]:
    """Pixels and labels of a place, read by rasterio alone; the two share one grid."""
    window = Window(col, row, px, px)
    with rasterio.open(image) as dataset:
        image_hwc = np.moveaxis(dataset.read(window=window, boundless=True, fill_value=0), 0, -1)
        nodata = dataset.nodata
    with rasterio.open(label) as dataset:
        codes_hw = dataset.read(1, window=window, boundless=True, fill_value=0)
    label_hw = np.vectorize(LABEL_OF_CODE.get)(codes_hw).astype(np.uint8)
    if nodata is not None:
        label_hw[(image_hwc == nodata).all(axis=-1)] = 255
    return image_hwc, label_hw


def assert_nothing_left(config: ConvertConfig) -> None:
    out = Path(config.out)
    assert [path.name for path in out.parent.iterdir() if out.name in path.name] == []


def hash_files(folder: str | Path) -> dict[str, str]:
    """The SHA-256 of every file of a folder, by name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in Path(folder).iterdir()
    }


def identify(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of every shard, by name."""
    files = {path.name: path.stat() for path in folder.glob("*.tfrecord")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in files.items()}


def assert_no_workspace(config: ConvertConfig) -> None:
    out = Path(config.out)
    assert not out.with_name(f".{out.name}.partial").exists()


def test_pairs_of_rasters_become_a_data_set(make_scene, setup):
    make_scene("a")
    make_scene("bb")
    config = setup()
    manifest = convert(config)
    assert read_manifest(config.out) == manifest
    assert sum(manifest.chips_of(split) for split in ("train", "val", "test")) == 2 * 16
    assert_no_workspace(config)
    assert [source.key for source in manifest.sources] == ["a", "bb"]
    assert manifest.pixel_m == pytest.approx(1.0, rel=2e-3)
    assert "tree/forest" in describe(manifest.splits, manifest.class_scheme)
    files = {path.name for path in Path(config.out).iterdir()}
    shards = {shard.file for shard in manifest.shards}
    assert {name for name in files - shards if not name.startswith("conversion.")} == {
        "dataset.json"
    }


def test_every_chip_is_what_rasterio_reads_at_its_place(dataset):
    manifest = read_manifest(dataset)
    sources = {source.key: source for source in manifest.sources}
    keys = []
    for _, chip in read_chips(dataset):
        source = sources[chip.source]
        place = Window(chip.col, chip.row, 64, 64)
        height, width = (min(64, 192 - at) for at in (chip.row, chip.col))
        image_hwc, label_hw = expect_chip(source.image, source.label, chip.row, chip.col, 64)
        # What a chip reaches is bounded by its square, the scene's edge and nothing else.
        size = [np.flatnonzero(chip.image_hwc.any(axis=2).any(axis=i)).max() + 1 for i in (1, 0)]
        assert size[0] <= height and size[1] <= width
        inside = slice(0, size[0]), slice(0, size[1])
        np.testing.assert_array_equal(chip.image_hwc[inside], image_hwc[inside])
        np.testing.assert_array_equal(chip.label_hw[inside], label_hw[inside])
        for beyond in (np.s_[size[0] :], np.s_[:, size[1] :]):
            assert not chip.image_hwc[beyond].any()
            assert (chip.label_hw[beyond] == 255).all()
        with rasterio.open(source.image) as raster:
            assert chip.transform == tuple(raster.window_transform(place))[:6]
            assert chip.crs == raster.crs.to_string()
        keys.append((chip.source, chip.row, chip.col))
    assert len(keys) == len(set(keys))
    assert {(row, col) for _, row, col in keys} == {(r, c) for r in (0, 96) for c in (0, 96)}


@settings(deadline=None, max_examples=16)
@given(
    st.sampled_from(["uint8", "uint16", "int16", "float32"]),
    st.integers(1, 16),
    st.integers(16, 70),
    st.integers(16, 70),
    st.integers(0, 2**32 - 1),
)
def test_scene_of_any_type_and_size_is_cut_without_loss(
    tmp_path_factory, dtype, bands, height, width, seed
):
    folder = tmp_path_factory.mktemp("scene")
    random = np.random.default_rng(seed)
    low, high = (-100, 100) if dtype in ("int16", "float32") else (0, 256)
    image_hwc = random.integers(low, high, (height, width, bands)).astype(dtype)
    codes_hw = random.choice([0, 1, 2, 3, 4, 5, 6, 15], (height, width)).astype(np.uint8)
    image = write_raster(folder / "image.tif", image_hwc)
    label = write_raster(folder / "label.tif", codes_hw)
    config = ConvertConfig(
        "chesapeake-4", str(folder / "data"), image, label, chip_px=16, val_share=0, test_share=0
    )
    config = replace(config, split_buffer_px=0, workers=1)
    manifest = convert(replace(config, quiet=True))
    rebuilt_hwc = np.zeros((-(-height // 16) * 16, -(-width // 16) * 16, bands), dtype)
    label_hw = np.full(rebuilt_hwc.shape[:2], 255, np.uint8)
    kept_hw = np.zeros(label_hw.shape, bool)
    for _, chip in read_chips(folder / "data"):
        place = slice(chip.row, chip.row + 16), slice(chip.col, chip.col + 16)
        assert (label_hw[place] == 255).all()
        rebuilt_hwc[place], label_hw[place] = chip.image_hwc, chip.label_hw
        kept_hw[place] = True
    kept_hw = kept_hw[:height, :width]
    # A chip is missing only where nothing is labelled.
    assert np.isin(codes_hw[~kept_hw], [0, 15]).all()
    np.testing.assert_array_equal(rebuilt_hwc[:height, :width][kept_hw], image_hwc[kept_hw])
    assert not rebuilt_hwc[height:].any()
    assert not rebuilt_hwc[:, width:].any()
    expected_hw = np.full(label_hw.shape, 255, np.uint8)
    expected_hw[:height, :width] = np.vectorize(LABEL_OF_CODE.get)(codes_hw)
    np.testing.assert_array_equal(label_hw, expected_hw)
    assert manifest.dtype == dtype
    assert len(manifest.bands) == bands


def test_statistics_are_those_of_the_valid_training_pixels_of_the_rasters(dataset):
    manifest = read_manifest(dataset)
    sources = {source.key: source for source in manifest.sources}
    parts = []
    for split, chip in read_chips(dataset):
        if split == "train":
            with rasterio.open(sources[chip.source].image) as raster:
                part = raster.read(window=Window(chip.col, chip.row, 64, 64)).reshape(4, -1)
            parts.append(part[:, part.any(axis=0)])
    pixels = np.concatenate(parts, axis=1).astype(np.float64)
    statistics = manifest.statistics
    assert statistics.pixels == pixels.shape[1]
    np.testing.assert_allclose(statistics.mean, pixels.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(statistics.std, pixels.std(axis=1), rtol=1e-12)
    assert statistics.low == tuple(pixels.min(axis=1))
    assert statistics.high == tuple(pixels.max(axis=1))


def test_class_counts_are_those_of_the_rasters(scenes, setup):
    patterns = {"images": f"{scenes}/*_image.tif", "labels": f"{scenes}/*_label.tif"}
    manifest = convert(setup(**patterns, chip_px=64))
    expected = dict.fromkeys([0, 1, 2, 3, 255], 0)
    for source in manifest.sources:
        _, label_hw = expect_chip(source.image, source.label, 0, 0, 192)
        for label in expected:
            expected[label] += int((label_hw == label).sum())
    found = np.sum([s.class_pixels for s in manifest.splits.values()], axis=0)
    assert found.tolist() == list(expected.values())[:4]
    assert sum(s.ignored_pixels for s in manifest.splits.values()) == expected[255]


def test_nodata_and_ignored_codes_become_255(make_raster, setup):
    image_hwc = np.full((16, 16, 3), 9, np.uint8)
    image_hwc[0], image_hwc[1, :, 0] = 0, 0
    codes_hw = np.full((16, 16), 2, np.uint8)
    codes_hw[2], codes_hw[3], codes_hw[4] = 0, 15, 77
    make_raster("a_image.tif", image_hwc, nodata=0)
    make_raster("a_label.tif", codes_hw, nodata=77)
    config = setup(val_share=0.0, test_share=0.0)
    convert(config)
    ((_, chip),) = read_chips(config.out)
    assert chip.label_hw[:, 0].tolist() == [255, 1, 255, 255, 255, *[1] * 11]
    np.testing.assert_array_equal(chip.image_hwc, image_hwc)


def test_constant_faint_band_keeps_statistics_that_can_divide(make_raster, setup):
    image_hwc = np.full((32, 32, 2), 0.1, np.float32)
    image_hwc[..., 1] = np.linspace(1e-11, 3e-11, 32)
    make_raster("a_image.tif", image_hwc)
    make_raster("a_label.tif", np.ones((32, 32), np.uint8))
    statistics = convert(setup(val_share=0.0, test_share=0.0)).statistics
    assert statistics.std[0] == 1
    assert statistics.std[1] == pytest.approx(image_hwc[..., 1].astype(float).std())


def test_places_without_label_give_no_chip_and_are_counted(make_raster, make_scene, setup):
    codes_hw = np.zeros((64, 64), np.uint8)
    codes_hw[:, :40] = 3
    codes_hw[0, 40] = 1
    make_scene("a", label={"values": codes_hw})
    config = setup(val_share=0.0, test_share=0.0, min_labelled=0.6, keep_below="grass/herbaceous:1")
    make_scene("bb", (64, 64, 3))
    manifest = convert(config)
    report = json.loads((Path(config.out) / "conversion.json").read_text())
    (pair, other) = report["pairs"]
    assert pair["dropped"] == {
        "without label": 4,
        "less label than --min_labelled": 4,
        "too common by --keep_below": 8,
    }
    assert sum(pair["chips"].values()) == manifest.sources[0].chips == 0
    assert sum(other["chips"].values()) == manifest.sources[1].chips == 16
    assert manifest.splits["train"].chips == len(list(read_chips(config.out))) == 16


def test_chips_beyond_the_label_raster_are_ignored(make_scene, setup):
    make_scene("a", (48, 48, 3), label={"values": np.full((20, 20), 1, np.uint8)})
    manifest = convert(setup(val_share=0.0, test_share=0.0))
    assert manifest.splits["train"].class_pixels == (400, 0, 0, 0)
    assert manifest.splits["train"].chips == 4


def test_data_set_without_a_labelled_training_chip_is_refused(make_scene, setup):
    make_scene("a", label={"values": np.zeros((64, 64), np.uint8)})
    with pytest.raises(LcsegError, match="no labelled chip fell into the training split"):
        convert(setup())
    assert not Path(setup().out).exists()


def test_training_chips_lie_as_far_apart_as_the_stride_says(make_scene, setup):
    make_scene("a", (96, 96, 2))
    config = setup(block_chips=3, stride_px=8, val_share=0.25, test_share=0.25)
    convert(config)
    places: dict[str, list[tuple[int, int]]] = {"train": [], "val": [], "test": []}
    for split, chip in read_chips(config.out):
        image_hwc, label_hw = expect_chip(
            config.images.replace("*", "a"), config.labels.replace("*", "a"), chip.row, chip.col, 16
        )
        np.testing.assert_array_equal(chip.image_hwc, image_hwc)
        np.testing.assert_array_equal(chip.label_hw, label_hw)
        places[split].append((chip.row, chip.col))
    assert len(places["train"]) == 2 * 25 and len(set(places["train"])) == 50
    assert {x % 8 for place in places["train"] for x in place} == {0}
    for split in ("val", "test"):
        assert len(places[split]) == 9
        assert {x % 16 for place in places[split] for x in place} == {0}


def test_scenes_go_whole_into_one_split(make_scene, setup):
    for i in range(1, 7):
        make_scene("a" * i, (32, 32, 1))
    config = setup(split_by="scene")
    convert(config)
    splits: dict[str, set[str]] = {}
    for split, chip in read_chips(config.out):
        splits.setdefault(chip.source, set()).add(split)
    assert sorted(map(sorted, splits.values())) == [["test"], *[["train"]] * 4, ["val"]]


def test_same_seed_gives_the_same_bytes_and_another_one_another_split(make_scene, setup, tmp_path):
    make_scene("a", (96, 96, 2))
    one, again, other = (
        convert(setup(out=str(tmp_path / name), seed=seed))
        for name, seed in (("one", 0), ("again", 0), ("other", 1))
    )
    assert hash_files(tmp_path / "one") == hash_files(tmp_path / "again")
    assert one.digest == again.digest
    assert one.digest != other.digest
    places = [
        {(chip.row, chip.col) for split, chip in read_chips(tmp_path / name) if split == "val"}
        for name in ("one", "other")
    ]
    assert places[0] != places[1]


def test_settings_are_the_flags_but_for_the_place_and_the_way(make_scene, setup):
    make_scene("a")
    settings_ = convert(setup(seed=7)).settings
    assert settings_["seed"] == 7
    assert settings_["chip_px"] == 16
    assert {"out", "quiet", "workers", "scheduler", "plan"}.isdisjoint(settings_)


def test_large_scene_fills_several_shards_that_are_named_by_their_parts(make_scene, setup):
    make_scene("a", (512, 512, 6))
    manifest = convert(setup(chip_px=64, shard_mb=1, block_chips=8, val_share=0.0, test_share=0.0))
    assert sum(shard.records for shard in manifest.shards) == 64
    names = [shard.file for shard in manifest.shards]
    assert names == [f"train-{number:05d}.tfrecord" for number in range(len(names))]
    assert len(names) > 1
    assert max(shard.bytes for shard in manifest.shards) <= 1_000_000


@pytest.mark.parametrize("has_split", [True, False])
def test_pairs_of_a_csv_are_read_with_and_without_splits(make_scene, setup, tmp_path, has_split):
    wanted = {"a": "test", "bb": "train", "ccc": "val", "dddd": "train"}
    for name in wanted:
        make_scene(name, (32, 32, 1))
    rows = [
        f"{name}_image.tif,{name}_label.tif" + (f",{split}" if has_split else "")
        for name, split in wanted.items()
    ]
    header = "image,label,split" if has_split else "image,label"
    (tmp_path / "pairs.csv").write_text("\n".join([header, *rows]))
    config = setup(images="", labels="", pairs=str(tmp_path / "pairs.csv"))
    manifest = convert(config)
    found = {
        (chip.source.removesuffix("_image.tif"), split) for split, chip in read_chips(config.out)
    }
    if has_split:
        assert found == set(wanted.items())
    else:
        assert {split for _, split in found} == {"train", "val", "test"}
    assert sum(summary.chips for summary in manifest.splits.values()) == 16


def test_pixel_size_is_that_of_the_scenes_that_have_a_place(make_scene, setup):
    make_scene("a", crs=None)
    make_scene("bb")
    manifest = convert(setup(allow_ungeoreferenced=True))
    assert manifest.pixel_m == pytest.approx(1.0, rel=2e-3)
    crs = {chip.source: chip.crs for _, chip in read_chips(setup().out)}
    assert crs == {"a": "", "bb": "EPSG:26918"}


def test_output_that_exists_is_refused_and_untouched(make_scene, setup, tmp_path):
    make_scene("a")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.txt").write_text("mine")
    with pytest.raises(LcsegError, match="data: exists already; name another --out"):
        convert(setup())
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mine.txt"]
    assert (tmp_path / "data" / "mine.txt").read_text() == "mine"


def test_too_few_blocks_for_the_splits_are_refused(make_scene, setup):
    make_scene("a")
    with pytest.raises(LcsegError, match="1 unit cannot be dealt to train, val, test; use smaller"):
        convert(setup(block_chips=4))
    assert_nothing_left(setup())


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": ""},
        {"pairs": "pairs.csv"},
        {"images": "", "labels": ""},
        {"chip_px": 8},
        {"shard_mb": 0},
        {"label_band": -1},
        {"val_share": 0.5, "test_share": 0.5},
        {"val_share": -0.1},
        {"stride_px": 17},
        {"stride_px": -1},
        {"split_buffer_px": -1},
        {"workers": -1},
        {"min_labelled": 1.1},
    ],
)
def test_flags_that_make_no_sense_are_refused(setup, changes):
    with pytest.raises(ValueError, match="--"):
        setup(**changes)


def test_plan_writes_the_report_alone_and_says_what_the_conversion_will(make_scene, setup):
    make_scene("a", (100, 90, 3))
    before = sorted(Path(setup().out).parent.iterdir())
    report = rehearse(setup(plan=True))
    folder = Path(f"{setup().out}.plan")
    assert sorted(folder.parent.iterdir()) == sorted([*before, folder])
    assert {path.name.split(".")[0] for path in folder.iterdir()} == {"conversion"}
    assert report.is_plan
    assert report.splits == convert(setup()).splits


class StopError(Exception):
    """What ends a conversion in a test."""


def stop_after(monkeypatch: pytest.MonkeyPatch, parts: int) -> list[int]:
    """End a conversion after so many parts; returns the numbers of those that were done."""
    done: list[int] = []

    def few(todo: list[Part], *rest: object) -> Iterator[tuple[Part, PartOutcome]]:
        for part, outcome in run_parts(todo, *rest):
            if len(done) == parts:
                raise StopError
            done.append(part.number)
            yield part, outcome
        if len(done) == parts:
            raise StopError

    monkeypatch.setattr(conversion, "run_parts", few)
    return done


run_parts = conversion.run_parts


@pytest.fixture
def long(make_scene, setup) -> ConvertConfig:
    """A conversion of two scenes in eight parts; one of them holds chips of both."""
    make_scene("a", (512, 512, 6))
    make_scene("bb", (512, 512, 6))
    return setup(chip_px=32, shard_mb=1, block_chips=2)


@pytest.mark.parametrize("parts", [0, 1, 5, 8])
def test_stopped_conversion_goes_on_and_ends_with_the_same_bytes(
    long, monkeypatch, tmp_path, parts
):
    convert(replace(long, out=str(tmp_path / "whole")))
    total = len(conversion.make_plan(long).parts)
    assert total == 8
    space = tmp_path / ".data.partial"
    stop_after(monkeypatch, parts)
    with pytest.raises(StopError):
        convert(long)
    assert not Path(long.out).exists()
    assert space.exists() == (parts > 0)
    before = identify(space / "data") if parts else {}
    notes = list((space / "progress").iterdir()) if parts else []
    assert len(notes) == parts
    again = stop_after(monkeypatch, 99)
    convert(long)
    assert again == list(range(parts, total))
    after = identify(Path(long.out))
    done = [name for name in before if int(name[-14:-9]) < parts]
    assert bool(done) == (parts > 0)
    assert all(after[name] == before[name] for name in done)
    assert hash_files(long.out) == hash_files(tmp_path / "whole")
    assert_no_workspace(long)


@pytest.mark.parametrize("damage", ["note", "shard", "missing"])
def test_part_whose_traces_are_damaged_is_done_again(long, monkeypatch, tmp_path, damage):
    convert(replace(long, out=str(tmp_path / "whole")))
    stop_after(monkeypatch, 3)
    with pytest.raises(StopError):
        convert(long)
    space = tmp_path / ".data.partial"
    note = space / "progress" / "part-00001.json"
    shard = min(space.glob("data/*-00001.tfrecord"))
    if damage == "note":
        note.write_bytes(b"")
    elif damage == "shard":
        os.truncate(shard, 100)
    else:
        shard.unlink()
    again = stop_after(monkeypatch, 99)
    convert(long)
    assert again == [1, *range(3, 8)]
    assert hash_files(long.out) == hash_files(tmp_path / "whole")


@pytest.mark.parametrize(
    ("change", "redone"),
    [
        ("nothing", range(0)),
        ("second image", range(3, 8)),
        ("second label", range(3, 8)),
        ("side file", range(3, 8)),
        ("seed", range(8)),
        ("flag", range(8)),
        ("scheme", range(8)),
        ("progress", range(0)),
    ],
)
def test_change_redoes_what_it_touches_and_only_that(
    long, make_scene, monkeypatch, tmp_path, change, redone
):
    stop_after(monkeypatch, 8)
    with pytest.raises(StopError):
        convert(long)
    before = identify(tmp_path / ".data.partial" / "data")
    if change in ("second image", "second label"):
        path = tmp_path / f"bb_{change.split()[1]}.tif"
        with rasterio.open(path, "r+") as raster:
            raster.write(raster.read() % 3 + 1)
    elif change == "side file":
        (tmp_path / "bb_image.tif.aux.xml").write_text("<PAMDataset></PAMDataset>")
    elif change == "seed":
        long = replace(long, seed=5)
    elif change == "flag":
        long = replace(long, min_labelled=0.1)
    elif change == "scheme":
        long = replace(long, classes="chesapeake-6")
    else:
        long = replace(long, quiet=False)
    again = stop_after(monkeypatch, 99)
    convert(long)
    assert again == list(redone)
    after = identify(Path(long.out))
    kept = [name for name in before if int(name[-14:-9]) not in redone]
    assert all(after[name] == before[name] for name in kept)
    fresh = replace(long, out=str(tmp_path / "fresh"))
    convert(fresh)
    assert hash_files(long.out) == hash_files(fresh.out)


def test_damaged_scene_keeps_what_was_done_before_and_the_mended_one_goes_on(
    long, monkeypatch, tmp_path
):
    convert(replace(long, out=str(tmp_path / "whole")))
    image = tmp_path / "bb_image.tif"
    whole, times = image.read_bytes(), image.stat()
    os.truncate(image, len(whole) * 3 // 4)
    with pytest.raises(LcsegError, match=r"bb_image\.tif: cannot be read at row ") as error:
        convert(long)
    assert "\n" not in str(error.value)
    space = tmp_path / ".data.partial"
    done = sorted(path.name for path in (space / "progress").iterdir())
    assert done[:3] == [f"part-{number:05d}.json" for number in range(3)]
    assert len(done) < 8
    for folder in (space, space / "data"):
        with pytest.raises(LcsegError, match="is not a data set"):
            read_manifest(folder)
    image.write_bytes(whole)
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    again = stop_after(monkeypatch, 99)
    convert(long)
    # The parts of the second scene were made of a file that was shorter.
    assert again == list(range(3, 8))
    assert hash_files(long.out) == hash_files(tmp_path / "whole")
    assert_no_workspace(long)


def test_nothing_of_other_flags_is_left_beside_unfinished_parts(long, monkeypatch, tmp_path):
    def stop(*_: object) -> None:
        raise StopError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stop)
        with pytest.raises(StopError):
            convert(long)
    space = tmp_path / ".data.partial" / "data"
    # Killed just before the last rename: all is there, and it is whole.
    assert read_manifest(space).chips_of("train") > 0
    stop_after(monkeypatch, 1)
    with pytest.raises(StopError):
        convert(replace(long, seed=5))
    with pytest.raises(LcsegError, match="is not a data set"):
        read_manifest(space)
    assert {path.name[-14:-9] for path in space.iterdir()} <= {"00000", "00001"}


def test_disk_that_holds_the_shards_but_not_the_manifest_keeps_the_parts(long, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(conversion.manifests, "write_manifest", fail)
        with pytest.raises(OSError, match="No space left"):
            convert(long)
    assert not Path(long.out).exists()
    again = stop_after(monkeypatch, 99)
    convert(long)
    assert again == []
    assert_no_workspace(long)


def count_labels(manifest: Manifest) -> dict[int, int]:
    """Pixels of each label in all splits; those of places without a chip are ignored ones."""
    summaries = manifest.splits.values()
    totals = np.sum([summary.class_pixels for summary in summaries], axis=0)
    return {label: n for label, n in enumerate(totals.tolist()) if n}


def write_scheme(path: Path, codes: list[int | str], ignore: list[int | str]) -> str:
    classes = [
        {"name": f"class {c}", "color": f"#0000{i:02X}", "codes": [c]} for i, c in enumerate(codes)
    ]
    path.write_text(json.dumps({"name": path.stem, "classes": classes, "ignore": ignore}))
    return str(path)


@pytest.mark.real
def test_coloured_labels_without_a_place_are_split_by_tile(real_data, setup, tmp_path):
    colors = ["#3C1098", "#8429F6", "#6EC1E4", "#FEDD3A", "#E2A929"]
    splits = {"tile1": "train", "tile2": "train", "tile3": "train", "tile5": "val", "tile6": "test"}
    masks = sorted((real_data / "dubai-rgb").glob("*/masks/*.png"))
    images = [mask.parents[1] / "images" / f"{mask.stem}.jpg" for mask in masks]
    rows = [f"{i},{m},{splits[m.parts[-3]]}" for i, m in zip(images, masks, strict=True)]
    (tmp_path / "pairs.csv").write_text("\n".join(["image,label,split", *rows]))
    config = setup(
        classes=write_scheme(tmp_path / "dubai.json", colors, ["#9B9B9B", "#000000"]),
        images="",
        labels="",
        pairs=str(tmp_path / "pairs.csv"),
        chip_px=256,
        allow_ungeoreferenced=True,
    )
    manifest = convert(config)
    expected = dict.fromkeys(range(5), 0)
    for mask in masks:
        rgb = np.asarray(Image.open(mask).convert("RGB")).astype(int)
        packed = rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
        for label, color in enumerate(colors):
            expected[label] += int((packed == int(color[1:], 16)).sum())
    assert len(masks) == 45
    assert any(Image.open(mask).mode == "P" for mask in masks)
    assert count_labels(manifest) == expected
    assert manifest.pixel_m is None
    found = {(Path(chip.source).parts[-3], split) for split, chip in read_chips(config.out)}
    assert found == set(splits.items())


@pytest.mark.real
@pytest.mark.parametrize(
    ("folder", "chip_px", "has_place"), [("patches", 128, False), ("tile", 64, True)]
)
def test_naip_keeps_its_near_infrared(real_data, setup, folder, chip_px, has_place):
    place = real_data / "chesapeake-naip" / folder
    config = setup(
        images=f"{place}/*_naip-new.tif",
        labels=f"{place}/*_lc.tif",
        chip_px=chip_px,
        allow_ungeoreferenced=not has_place,
    )
    manifest = convert(config)
    expected = dict.fromkeys([0, 1, 2, 3, 255], 0)
    for path in place.glob("*_lc.tif"):
        with rasterio.open(path) as raster:
            codes, counts = np.unique(raster.read(1), return_counts=True)
        for code, n in zip(codes.tolist(), counts.tolist(), strict=True):
            expected[LABEL_OF_CODE[code]] += n
    expected.pop(255)
    assert count_labels(manifest) == {label: n for label, n in expected.items() if n}
    assert (len(manifest.bands), manifest.dtype) == (4, "uint8")
    assert manifest.pixel_m == (
        pytest.approx((23.6 * 29.5) ** 0.5, rel=0.02) if has_place else None
    )
    sources = {source.key: source for source in manifest.sources}
    for _, chip in read_chips(config.out):
        with rasterio.open(sources[chip.source].image) as raster:
            window = Window(chip.col, chip.row, chip_px, chip_px)
            image = raster.read(window=window, boundless=True, fill_value=0)
        np.testing.assert_array_equal(chip.image_hwc, np.moveaxis(image, 0, -1))


@pytest.mark.real
def test_sentinel_2_gives_thirteen_bands_with_the_classes_of_one_label_band(
    real_data, setup, tmp_path
):
    (image,) = (real_data / "sen12ms-pair").glob("*_s2_*.tif")
    (label,) = (real_data / "sen12ms-pair").glob("*_lc_*.tif")
    with rasterio.open(label) as raster:
        codes, counts = np.unique(raster.read(1), return_counts=True)
    config = setup(
        classes=write_scheme(tmp_path / "igbp.json", codes.tolist(), []),
        images=str(image),
        labels=str(label),
        label_band=1,
        chip_px=32,
    )
    manifest = convert(config)
    assert (len(manifest.bands), manifest.dtype) == (13, "uint16")
    assert count_labels(manifest) == dict(enumerate(counts.tolist()))
    assert manifest.pixel_m == pytest.approx(10, rel=0.01)
    with rasterio.open(image) as raster:
        everything = np.moveaxis(raster.read(), 0, -1)
    for _, chip in read_chips(config.out):
        place = slice(chip.row, chip.row + 32), slice(chip.col, chip.col + 32)
        np.testing.assert_array_equal(chip.image_hwc, everything[place])


def test_shard_that_no_worker_has_left_is_an_error_and_no_data_set(long, monkeypatch, tmp_path):
    def lose(todo: list[Part], *rest: object) -> Iterator[tuple[Part, PartOutcome]]:
        for part, outcome in run_parts(todo, *rest):
            if part.number == 2:
                Path(rest[0].keywords["folder"], outcome.shards[0].file).unlink()
            yield part, outcome

    monkeypatch.setattr(conversion, "run_parts", lose)
    with pytest.raises(LcsegError, match=r"tfrecord: is not what a worker has written; all"):
        convert(long)
    assert not (tmp_path / "data").exists()
    monkeypatch.undo()
    convert(long)
    assert not list(tmp_path.glob(".data.partial"))


def test_order_of_the_pairs_changes_nothing(long, tmp_path):
    convert(replace(long, out=str(tmp_path / "globs")))
    for name, order in (("up", ("a", "bb")), ("down", ("bb", "a"))):
        rows = "".join(f"{key}_image.tif,{key}_label.tif\n" for key in order)
        (tmp_path / f"{name}.csv").write_text("image,label\n" + rows, encoding="utf-8")
        out, pairs = str(tmp_path / name), str(tmp_path / f"{name}.csv")
        convert(replace(long, images="", labels="", pairs=pairs, out=out))
    shards = ("train", "val", "test")
    up, down = (hash_files(tmp_path / name) for name in ("up", "down"))
    assert {n: h for n, h in up.items() if n.startswith(shards)} == {
        n: h for n, h in down.items() if n.startswith(shards)
    }


@pytest.mark.parametrize("out", ["data", "data/", "./data"])
def test_report_of_a_rehearsal_lies_beside_the_data_set_to_be(out):
    assert conversion.plan_folder(out) == Path("data.plan")


def test_out_without_a_name_is_refused(long):
    with pytest.raises(LcsegError, match=r"--out=\.: has no name"):
        convert(replace(long, out="."))
