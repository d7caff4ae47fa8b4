"""Maps, held against one pass of the network over the whole scene, mirrored by numpy."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from maps import CLOSE, infer_whole, is_sure, make_values, read
from rio_cogeo import cog_validate

from lcseg.classes import IGNORE, load_scheme
from lcseg.errors import LcsegError
from lcseg.model.bundle import Bundle, load_bundle
from lcseg.model.config import UNetConfig
from lcseg.prediction.blocks import plan_blocks, read_padded
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.mapping import PredictSummary, predict_map
from lcseg.prediction.predictor import Predictor
from lcseg.raster.cog import CogProfile, write_cog
from lcseg.raster.grid import Grid, Window
from lcseg.raster.probabilities import PROBABILITY_ONE
from lcseg.raster.source import grid_of, open_image
from lcseg.synthetic import Landscape, make_landscape

CRS = "EPSG:26918"
TRANSFORM = (1.0, 0.0, 400_000.0, 0.0, -1.0, 4_300_000.0)
SCHEME = load_scheme("chesapeake-4")


def infer_blocks(bundle: Bundle, path: str, block_px: int) -> np.ndarray:
    """Probabilities of a scene block by block, float32 [H, W, K]."""
    predictor, info = Predictor(bundle), bundle.info
    with open_image(path) as image:
        height, width = image.grid.height, image.grid.width
        probs = np.full((height, width, info.class_scheme.n_classes), np.nan, np.float32)
        for block in plan_blocks(image.grid.window, block_px, info.stride_px):
            padded_hwc, _ = read_padded(image, block, info.halo_px)
            inside = block.clip(height, width)
            of_block = predictor.to_probabilities(predictor.predict(padded_hwc[None])[1])[0]
            probs[inside.slices] = of_block[: inside.height, : inside.width]
    return probs


@pytest.fixture(scope="session")
def scene(tmp_path_factory) -> str:
    """A scene of 1024 x 896 px, of which a tenth holds no data."""
    image_hwc = make_landscape(Landscape(1024, seed=3, nodata_share=0.1)).image_hwc[:, :896]
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    profile = CogProfile("uint8", ("red", "green", "blue", "nir"), nodata=0)
    with write_cog(path, Grid(1024, 896, TRANSFORM, CRS), profile) as writer:
        writer.write(Window(0, 0, 1024, 896), image_hwc)
    return str(path)


@pytest.fixture(scope="session")
def mapped(bundle, scene, tmp_path_factory) -> tuple[Path, PredictSummary]:
    """The folder of `map.tif` and `probabilities.tif` of that scene, and its summary."""
    folder = tmp_path_factory.mktemp("mapped")
    out, probabilities = str(folder / "map.tif"), str(folder / "probabilities.tif")
    config = PredictConfig(str(bundle), scene, out, probabilities, block_px=400, quiet=True)
    return folder, predict_map(config)


@pytest.fixture
def predict(tmp_path, bundle):
    """A function that maps an image into an empty folder of the test: (image, …) -> map."""
    folder = tmp_path / "maps"
    folder.mkdir()

    def run(image: str, model: Path = bundle, **options: object) -> Path:
        config = PredictConfig(str(model), image, str(folder / "map.tif"), **options, quiet=True)
        predict_map(config)
        return folder / "map.tif"

    run.folder = folder
    return run


def test_an_image_becomes_a_map_of_classes(mapped, scene):
    folder, summary = mapped
    label_hw = read(folder / "map.tif")[..., 0]
    assert sorted(path.name for path in folder.iterdir()) == [
        "map.json",
        "map.qml",
        "map.tif",
        "map.tif.aux.xml",
        "probabilities.tif",
    ]
    assert label_hw.shape == (1024, 896)
    assert summary.out == str(folder / "map.tif")
    assert summary.pixels == 1024 * 896
    assert summary.names == SCHEME.names
    assert summary.class_pixels == tuple((label_hw == i).sum() for i in range(4))
    assert min(summary.class_pixels) > 0
    assert summary.pixel_m == pytest.approx(1, rel=0.01)
    assert summary.seconds > 0


@pytest.mark.parametrize("norm", ["none", "batch", "sync_batch"])
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_blocks_of_any_size_give_the_map_of_the_whole_scene(
    depth, norm, save_bundle_of, make_raster, tmp_path
):
    path = save_bundle_of(tmp_path / "bundle", UNetConfig(depth, 4, norm))
    bundle, values_hwc = load_bundle(path), make_values(173, 131)
    image = make_raster("image.tif", values_hwc)
    expected = infer_whole(bundle, values_hwc)
    sure_hw = is_sure(expected)
    assert sure_hw.mean() > 0.95
    for block_px in (40, 97, 1024):
        found = infer_blocks(bundle, image, block_px)
        assert abs(found - expected).max() < CLOSE
        out = tmp_path / f"{block_px}.tif"
        predict_map(PredictConfig(str(path), image, str(out), block_px=block_px, quiet=True))
        assert np.array_equal(read(out)[sure_hw, 0], expected.argmax(axis=-1)[sure_hw])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 77), (60, 1), (2, 3), (5, 19), (23, 90)])
def test_a_scene_smaller_than_the_halo_is_the_same_in_blocks(height, width, make_raster, bundle):
    bundle, values_hwc = load_bundle(bundle), make_values(height, width)
    image, expected = make_raster("image.tif", values_hwc), infer_whole(bundle, values_hwc)
    assert min(height, width) < bundle.info.halo_px
    for block_px in (1, 12, 1024):
        assert abs(infer_blocks(bundle, image, block_px) - expected).max() < CLOSE


def test_a_narrow_scene_is_mapped_whole(predict, make_raster, bundle):
    values_hwc = make_values(1, 77)
    expected = infer_whole(load_bundle(bundle), values_hwc)
    found_hw = read(predict(make_raster("image.tif", values_hwc), block_px=16))[..., 0]
    sure_hw = is_sure(expected)
    assert np.array_equal(found_hw[sure_hw], expected.argmax(axis=-1)[sure_hw])


def test_a_narrower_halo_would_show_seams(make_raster, bundle):
    bundle, values_hwc = load_bundle(bundle), make_values(120, 120)
    image, expected = make_raster("image.tif", values_hwc), infer_whole(bundle, values_hwc)
    assert (bundle.info.halo_px, bundle.info.stride_px) == (24, 4)
    narrow = replace(bundle, info=replace(bundle.info, halo_px=4))
    differs_hw = abs(infer_blocks(narrow, image, 40) - expected).max(axis=-1) > 100 * CLOSE
    assert differs_hw[36:44].mean() > 0.5
    assert not differs_hw[59:61, 59:61].any()


def test_pixels_without_data_are_255_in_both_rasters(mapped, scene):
    folder, summary = mapped
    missing_hw = ~read(scene).any(axis=-1)
    label_hw, probs_hwk = read(folder / "map.tif")[..., 0], read(folder / "probabilities.tif")
    assert 0.05 < missing_hw.mean() < 0.2
    assert np.array_equal(label_hw == IGNORE, missing_hw)
    assert np.array_equal((probs_hwk == IGNORE).all(axis=-1), missing_hw)
    assert np.array_equal((probs_hwk == IGNORE).any(axis=-1), missing_hw)
    assert sum(summary.class_pixels) == (~missing_hw).sum()


def test_an_image_without_any_data_is_a_map_without_any(predict, make_raster):
    # Without colours: a fourth band that is 0 everywhere would be taken for transparency.
    options = {"nodata": 0, "photometric": "MINISBLACK"}
    image = make_raster("image.tif", np.zeros((50, 50, 4), np.uint8), **options)
    out = predict(image, probabilities=str(predict.folder / "probabilities.tif"))
    assert (read(out) == IGNORE).all()
    assert (read(predict.folder / "probabilities.tif") == IGNORE).all()


def test_probabilities_are_bytes_of_which_254_is_one(mapped, scene, bundle):
    expected = infer_whole(load_bundle(bundle), read(scene))
    valid_hw = read(scene).any(axis=-1)
    with rasterio.open(mapped[0] / "probabilities.tif") as dataset:
        assert set(dataset.dtypes) == {"uint8"}
        assert dataset.descriptions == SCHEME.names
        assert dataset.scales == pytest.approx((1 / 254,) * 4)
        assert dataset.offsets == (0,) * 4
        assert dataset.nodata == IGNORE
        found = np.moveaxis(dataset.read(), 0, -1)[valid_hw] * dataset.scales[0]
    assert PROBABILITY_ONE == 254
    assert abs(found - expected[valid_hw]).max() <= 0.5 / 254 + CLOSE
    assert found.max() > 0.9


@pytest.mark.parametrize("name", ["map.tif", "probabilities.tif"])
def test_both_rasters_are_cloud_optimized(mapped, name):
    is_valid, errors, warnings = cog_validate(mapped[0] / name)
    assert (is_valid, errors, warnings) == (True, [], [])


def test_a_map_says_what_its_values_mean(mapped, bundle):
    with rasterio.open(mapped[0] / "map.tif") as dataset:
        palette, tags = dataset.colormap(1), dataset.tags(1)
        assert (dataset.dtypes, dataset.nodata) == (("uint8",), IGNORE)
        assert dataset.tags()["lcseg_classes"] == "chesapeake-4"
        assert dataset.tags()["lcseg_model"] == load_bundle(bundle).info.model_sha256
    assert [palette[i][:3] for i in range(4)] == list(map(tuple, SCHEME.palette.tolist()))
    assert palette[IGNORE][3] == 0
    assert [tags[f"CLASS_{i}"] for i in range(4)] == list(SCHEME.names)
    names = ElementTree.parse(mapped[0] / "map.tif.aux.xml").iter("Category")
    assert [name.text for name in names] == list(SCHEME.names)


@pytest.mark.skipif(not shutil.which("gdalinfo"), reason="needs gdalinfo")
def test_gdal_shows_class_names_palette_and_nodata(mapped):
    text = subprocess.check_output(["gdalinfo", mapped[0] / "map.tif"], text=True)
    assert "LAYOUT=COG" in text
    assert "NoData Value=255" in text
    assert "Color Table" in text
    assert "0: 31,120,200,255" in text
    for index, name in enumerate(SCHEME.names):
        assert f"{index}: {name}" in text
    text = subprocess.check_output(["gdalinfo", mapped[0] / "probabilities.tif"], text=True)
    assert "Description = tree/forest" in text
    assert text.count(f"Scale:{1 / 254:.12f}"[:16]) == 4


def test_overviews_show_the_commonest_class(mapped):
    label_hw = read(mapped[0] / "map.tif")[..., 0]
    with rasterio.open(mapped[0] / "map.tif") as dataset:
        assert dataset.overviews(1)[0] == 2
        overview_hw = dataset.read(1, out_shape=(512, 448))
    cells = label_hw.reshape(512, 2, 448, 2).swapaxes(1, 2).reshape(512, 448, 4)
    times = (cells[..., None] == np.arange(4)).sum(axis=2)
    has_data_hw = times.any(axis=-1)
    chosen = np.where(overview_hw == IGNORE, 0, overview_hw)[..., None]
    of_chosen = np.take_along_axis(times, chosen, axis=-1)[..., 0]
    assert np.array_equal(overview_hw != IGNORE, has_data_hw)
    assert (of_chosen == times.max(axis=-1))[has_data_hw].all()
    assert (times.max(axis=-1) == 3).any()


@pytest.mark.parametrize(
    "transform",
    [
        TRANSFORM,
        (0.8, 0.6, 400_000.0, 0.6, -0.8, 4_300_000.0),
        (1.0, 0.0, 400_000.0, 0.0, 1.0, 4_300_000.0),
    ],
    ids=["north up", "rotated", "south up"],
)
def test_a_map_lies_on_the_grid_of_its_image(predict, make_raster, bundle, transform):
    values_hwc = make_values(70, 90)
    image = make_raster("image.tif", values_hwc, transform=transform)
    out = predict(image, block_px=32)
    with rasterio.open(out) as of_map, rasterio.open(image) as of_image:
        assert grid_of(of_map) == grid_of(of_image)
        assert tuple(of_map.transform)[:6] == transform
        assert of_map.crs == CRS
    expected = infer_whole(load_bundle(bundle), values_hwc)
    sure_hw = is_sure(expected)
    assert np.array_equal(read(out)[sure_hw, 0], expected.argmax(axis=-1)[sure_hw])


def test_holes_in_a_float_image_are_zeros_to_the_network_and_nodata_in_the_map(
    predict, save_bundle_of, make_raster, tmp_path
):
    model = save_bundle_of(tmp_path / "floats", UNetConfig(1, 4), 2, "float32")
    random = np.random.default_rng(0)
    values_hwc = random.uniform(0, 200, (90, 80, 2)).astype(np.float32)
    hole_hw = np.zeros((90, 80), bool)
    hole_hw[30:41, 20:33] = hole_hw[89, 79] = True
    holed_hwc = values_hwc.copy()
    holed_hwc[hole_hw, 1] = np.nan
    holed_hwc[30, 20] = np.inf
    out = predict(make_raster("image.tif", holed_hwc), model, block_px=32)
    filled_hwc = np.where(hole_hw[..., None], np.float32(0), values_hwc)
    expected = infer_whole(load_bundle(model), filled_hwc)
    sure_hw = is_sure(expected) & ~hole_hw
    label_hw = read(out)[..., 0]
    assert np.array_equal(label_hw == IGNORE, hole_hw)
    assert np.array_equal(label_hw[sure_hw], expected.argmax(axis=-1)[sure_hw])
    assert sure_hw.sum() > 0.95 * (~hole_hw).sum()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_an_image_without_crs_is_refused_unless_it_is_allowed(predict, make_raster):
    image = make_raster("image.tif", make_values(40, 40), crs=None, transform=None)
    with pytest.raises(LcsegError, match=r"has no coordinate reference system; .*--allow"):
        predict(image)
    assert not list(predict.folder.iterdir())
    with rasterio.open(predict(image, allow_ungeoreferenced=True)) as dataset:
        assert dataset.crs is None


def test_an_image_that_does_not_fit_is_refused_before_anything_is_written(predict, make_raster):
    wide = (1.11, 0.0, 400_000.0, 0.0, -1.11, 4_300_000.0)
    for values_hwc, place, message in (
        (make_values(40, 40, 3), TRANSFORM, "has 3 bands, the bundle was trained on 4"),
        (make_values(40, 40).astype(np.int16), TRANSFORM, "has pixels of int16"),
        (make_values(40, 40), wide, "has pixels of 1.11 m, the bundle was trained on 1 m"),
    ):
        with pytest.raises(LcsegError, match=message):
            predict(make_raster("image.tif", values_hwc, transform=place, photometric="RGB"))
        assert not list(predict.folder.iterdir())


@pytest.mark.parametrize("name", ["map.tif", "probabilities.tif"])
def test_what_exists_is_neither_replaced_nor_joined(predict, make_raster, name):
    image = make_raster("image.tif", make_values(40, 40))
    (predict.folder / name).write_text("precious")
    with pytest.raises(LcsegError, match=f"{name}: exists already; name another file"):
        predict(image, probabilities=str(predict.folder / "probabilities.tif"))
    assert [path.name for path in predict.folder.iterdir()] == [name]
    assert (predict.folder / name).read_text() == "precious"


def test_a_truncated_image_is_refused_and_leaves_nothing(predict, make_raster):
    image = make_raster(
        "image.tif", make_values(400, 400), tiled=True, blockxsize=64, blockysize=64
    )
    os.truncate(image, Path(image).stat().st_size * 6 // 10)
    message = "image.tif: cannot be read at row .*; the file is truncated or damaged"
    with pytest.raises(LcsegError, match=message):
        predict(image, block_px=64, probabilities=str(predict.folder / "probabilities.tif"))
    assert not list(predict.folder.iterdir())


def test_a_damaged_bundle_is_refused_and_leaves_nothing(predict, make_raster, bundle, tmp_path):
    damaged = shutil.copytree(bundle, tmp_path / "damaged")
    weights = next(damaged.glob("*.keras"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with pytest.raises(LcsegError, match=r"\.keras: its checksum differs from the bundle's"):
        predict(make_raster("image.tif", make_values(40, 40)), damaged)
    assert not list(predict.folder.iterdir())


def test_a_process_that_is_killed_leaves_no_map(predict, make_raster, bundle):
    image, out = make_raster("image.tif", make_values(200, 200)), predict.folder / "map.tif"
    program = f"""
import os
from lcseg.runtime import start_tensorflow
start_tensorflow()
from lcseg.prediction import mapping
class Killer(mapping.Progress):
    def advance(self, n):
        super().advance(n)
        if self.count > 30_000:
            os.kill(os.getpid(), {int(signal.SIGKILL)})
mapping.Progress = Killer
mapping.predict_map(mapping.PredictConfig({str(bundle)!r}, {image!r}, {str(out)!r}, block_px=64))
"""
    killed = subprocess.run([sys.executable, "-c", program], check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert list(predict.folder.iterdir())
    assert not list(predict.folder.glob("map*"))
    assert read(predict(image)).shape == (200, 200, 1)


@pytest.fixture
def small_disk(tmp_path, request):
    """A file system of so many KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={request.param}k", "lcseg-test", str(folder)]
    if not shutil.which("mount") or subprocess.run(["mount", *options], check=False).returncode:
        pytest.skip("may not mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(
    ("small_disk", "kept"),
    [(400, 0), (2200, 1), (4500, 4)],
    indirect=["small_disk"],
    ids=["first piece", "later piece", "copy"],
)
def test_a_full_disk_is_said_in_one_line_and_work_goes_on_when_there_is_room(
    small_disk, kept, make_raster, bundle
):
    image = make_raster("image.tif", make_values(1024, 1024))
    config = PredictConfig(
        str(bundle),
        image,
        str(small_disk / "map.tif"),
        str(small_disk / "probabilities.tif"),
        block_px=256,
        quiet=True,
    )
    with pytest.raises((LcsegError, OSError), match=r"No space left|disk full") as caught:
        predict_map(config)
    assert "\n" not in str(caught.value)
    assert [path.name for path in small_disk.iterdir() if path.name[0] != "."] == []
    notes = list(small_disk.glob(".map.tif.partial/part-*.json"))
    assert (len(notes) == 4) if kept == 4 else (len(notes) >= kept)
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    predict_map(config)
    assert sorted(path.name for path in small_disk.iterdir()) == [
        "map.json",
        "map.qml",
        "map.tif",
        "map.tif.aux.xml",
        "probabilities.tif",
    ]
