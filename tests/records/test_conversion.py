"""Scenes to data sets, held against what rasterio reads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
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
from lcseg.records.codec import decode_chip
from lcseg.records.config import ConvertConfig
from lcseg.records.conversion import convert
from lcseg.records.manifest import Manifest, describe, read_manifest
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


def sha256s(manifest: Manifest) -> list[str]:
    return [shard.sha256 for shard in manifest.shards]


def test_pairs_of_rasters_become_a_data_set(make_scene, setup):
    make_scene("a")
    make_scene("bb")
    config = setup()
    manifest = convert(config)
    assert read_manifest(config.out) == manifest
    assert sum(manifest.chips_of(split) for split in ("train", "val", "test")) == 2 * 16
    assert [source.key for source in manifest.sources] == ["a", "bb"]
    assert manifest.pixel_m == pytest.approx(1.0, rel=2e-3)
    assert "tree/forest" in describe(manifest)
    files = {path.name for path in Path(config.out).iterdir()}
    assert files == {shard.file for shard in manifest.shards} | {"dataset.json"}


def test_every_chip_is_what_rasterio_reads_at_its_place(dataset):
    manifest = read_manifest(dataset)
    sources = {source.key: source for source in manifest.sources}
    places = set()
    for _, chip in read_chips(dataset):
        source = sources[chip.source]
        image_hwc, label_hw = expect_chip(source.image, source.label, chip.row, chip.col, 64)
        np.testing.assert_array_equal(chip.image_hwc, image_hwc)
        np.testing.assert_array_equal(chip.label_hw, label_hw)
        with rasterio.open(source.image) as raster:
            assert (
                chip.transform
                == tuple(raster.window_transform(Window(chip.col, chip.row, 64, 64)))[:6]
            )
            assert chip.crs == raster.crs.to_string()
        places.add((chip.source, chip.row, chip.col))
    wanted = {(key, r, c) for key in sources for r in (0, 64, 128) for c in (0, 64, 128)}
    assert places == wanted


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


def test_class_counts_are_those_of_the_rasters(dataset):
    manifest = read_manifest(dataset)
    expected = dict.fromkeys([0, 1, 2, 3, 255], 0)
    for source in manifest.sources:
        _, label_hw = expect_chip(source.image, source.label, 0, 0, 192)
        for label in expected:
            expected[label] += int((label_hw == label).sum())
    summaries = manifest.splits.values()
    assert [sum(s.class_pixels[i] for s in summaries) for i in range(4)] == list(expected.values())[
        :4
    ]
    assert sum(s.ignored_pixels for s in summaries) == expected[255]


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
    make_scene("a", label={"values": codes_hw})
    config = setup(val_share=0.0, test_share=0.0)
    manifest = convert(config)
    assert (manifest.sources[0].chips, manifest.sources[0].chips_without_label) == (12, 4)
    assert manifest.splits["train"].chips == len(list(read_chips(config.out))) == 12
    assert all((chip.label_hw != 255).any() for _, chip in read_chips(config.out))


def test_chips_beyond_the_label_raster_are_ignored(make_scene, setup):
    make_scene("a", (48, 48, 3), label={"values": np.full((20, 20), 1, np.uint8)})
    manifest = convert(setup(val_share=0.0, test_share=0.0))
    assert manifest.splits["train"].class_pixels == (400, 0, 0, 0)
    assert manifest.splits["train"].chips == 4


def test_data_set_without_a_labelled_training_chip_is_refused(make_scene, setup):
    make_scene("a", label={"values": np.zeros((64, 64), np.uint8)})
    with pytest.raises(LcsegError, match="no labelled chip fell into the training split"):
        convert(setup())
    assert_nothing_left(setup())


@pytest.mark.parametrize("block_chips", [1, 2, 3])
def test_no_pixel_is_in_two_splits(make_scene, setup, block_chips):
    make_scene("a", (100, 90, 1))
    make_scene("bb", (70, 130, 1))
    config = setup(block_chips=block_chips, val_share=0.3, test_share=0.3)
    manifest = convert(config)
    footprints: dict[tuple[str, str], np.ndarray] = {}
    blocks: dict[tuple[str, int, int], set[str]] = {}
    times = {
        source.key: np.zeros((source.height, source.width), int) for source in manifest.sources
    }
    for split, chip in read_chips(config.out):
        seen_hw = footprints.setdefault((chip.source, split), np.zeros((160, 160), bool))
        seen_hw[chip.row : chip.row + 16, chip.col : chip.col + 16] = True
        times[chip.source][chip.row : chip.row + 16, chip.col : chip.col + 16] += 1
        side = 16 * block_chips
        blocks.setdefault((chip.source, chip.row // side, chip.col // side), set()).add(split)
    assert {split for _, split in footprints} == {"train", "val", "test"}
    for one, other in combinations(footprints, 2):
        assert one[0] != other[0] or not (footprints[one] & footprints[other]).any()
    assert all((seen == 1).all() for seen in times.values())
    assert all(len(splits) == 1 for splits in blocks.values())


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
    assert sha256s(one) == sha256s(again)
    assert one.digest == again.digest
    assert replace(one, settings={}) == replace(again, settings={})
    assert one.digest != other.digest
    places = [
        {(chip.row, chip.col) for split, chip in read_chips(tmp_path / name) if split == "val"}
        for name in ("one", "other")
    ]
    assert places[0] != places[1]


def test_settings_are_the_flags_but_for_the_place(make_scene, setup):
    make_scene("a")
    settings_ = convert(setup(seed=7)).settings
    assert settings_["seed"] == 7
    assert settings_["chip_px"] == 16
    assert {"out", "quiet"}.isdisjoint(settings_)


def test_large_scene_fills_several_shards(make_scene, setup):
    make_scene("a", (512, 512, 6))
    manifest = convert(setup(chip_px=64, shard_mb=1, val_share=0.0, test_share=0.0))
    assert [shard.records for shard in manifest.shards] == [35, 29]
    assert [shard.file for shard in manifest.shards] == [
        "train-00000.tfrecord",
        "train-00001.tfrecord",
    ]


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


OTHER_PLACE = (1.0, 0.0, 900_000.0, 0.0, -1.0, 4_300_000.0)
COARSE = (2.0, 0.0, 400_000.0, 0.0, -2.0, 4_300_000.0)


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        (
            {"shape": (64, 64, 4)},
            "bb_image.tif: has 4 bands of uint8, .*a_image.tif has 3 of uint8",
        ),
        ({"dtype": "int16"}, "has 3 bands of int16, .* has 3 of uint8; convert unlike"),
        ({"transform": COARSE}, r"has pixels of 2.001 m, .*a_image\.tif of 1 m; resample"),
        ({"dtype": "float64"}, "has pixels of type float64; convert it to one of uint8"),
        ({"shape": (15, 64, 3)}, "is 15 x 64 px, smaller than a chip; use --chip_px below 16"),
        ({"crs": None}, "has no coordinate reference system; georeference it"),
        ({"label": {"transform": OTHER_PLACE}}, "bb_label.tif: does not overlap its image"),
        ({"label": {"crs": 'LOCAL_CS["here"]'}}, "bb_label.tif: its CRS .*cannot be reached"),
        (
            {"label": {"values": np.full((64, 64), 9, np.uint8)}},
            r"bb_label.tif: codes that 'chesapeake-4' does not name: 9 \(4,096 px\)",
        ),
        (
            {"label": {"values": np.ones((64, 64, 2), np.uint8)}},
            "has 2 bands; say which .*label_band",
        ),
    ],
)
def test_scene_that_does_not_fit_is_refused_and_nothing_is_left(make_scene, setup, scene, message):
    make_scene("a")
    make_scene("bb", **scene)
    with pytest.raises(LcsegError, match=message) as error:
        convert(setup())
    assert "\n" not in str(error.value)
    assert_nothing_left(setup())


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
    with pytest.raises(
        LcsegError, match="1 units cannot be dealt to train, val, test; use smaller"
    ):
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
    ],
)
def test_flags_that_make_no_sense_are_refused(setup, changes):
    with pytest.raises(ValueError, match="--"):
        setup(**changes)


SLOW = """
import sys, time
from lcseg.runtime import start_tensorflow
start_tensorflow()
from lcseg import cli
from lcseg.records import conversion, shards
from lcseg_tools import convert
write = shards.ShardWriter.write
def slow(self, record):
    write(self, record)
    time.sleep(0.05)
shards.ShardWriter.write = slow
cli.run(convert.FLAGS, convert.main)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_run_leaves_nothing_that_reads_as_a_data_set(make_scene, setup, number):
    make_scene("a", (512, 512, 3))
    config = setup(chip_px=64)
    flags = [f"--{name}={getattr(config, name)}" for name in ("classes", "out", "images", "labels")]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *flags, "--chip_px=32", "--block_chips=1"],
        stderr=subprocess.PIPE,
        text=True,
    )
    partial = Path(config.out).with_name(".data.partial")
    deadline = time.monotonic() + 60
    while not list(partial.glob("*.tfrecord")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)
    with pytest.raises(LcsegError, match="is being written by another process"):
        convert(config)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)

    with pytest.raises(LcsegError, match="is not a data set"):
        read_manifest(config.out)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "Traceback" not in stderr
        assert stderr.splitlines()[-1].startswith("lcseg: interrupted")
        assert_nothing_left(config)
    else:
        assert partial.exists()
        with pytest.raises(LcsegError, match="is not a data set"):
            read_manifest(partial)
        (partial / "val-00099.tfrecord").write_bytes(b"of the run that was killed")
    convert(config)
    left = {path.name for path in Path(config.out).iterdir()}
    assert left == {shard.file for shard in read_manifest(config.out).shards} | {"dataset.json"}
    assert not partial.exists()


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of `size` bytes at a folder; skips where that is not permitted."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system is not permitted")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_full_disk_is_one_line_and_leaves_nothing(make_scene, setup, tmp_path, share):
    make_scene("a", (256, 256, 3))
    whole = convert(setup(chip_px=32))
    size = int(share * sum(shard.bytes for shard in whole.shards))
    with small_disk(tmp_path / "disk", max(size, 1)) as disk:
        # A tmpfs of size 0 would have no bound; it has at least a page.
        with pytest.raises((LcsegError, OSError), match="No space left on device") as error:
            convert(setup(chip_px=32, out=str(disk / "data")))
        assert "\n" not in str(error.value)
        assert list(disk.iterdir()) == []


def test_disk_that_holds_the_shards_but_not_the_manifest_leaves_nothing(
    make_scene, setup, monkeypatch
):
    make_scene("a")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="No space left"):
        convert(setup())
    assert_nothing_left(setup())


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
