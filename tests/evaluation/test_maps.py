"""Maps held against label rasters; numbers against scikit-learn, scipy and numpy."""

import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from memory import peak_mb
from rasterio.warp import transform as warp_places
from scipy.ndimage import distance_transform_cdt
from sklearn.metrics import confusion_matrix

from lcseg.classes import IGNORE, ClassScheme, LandClass, load_scheme
from lcseg.documents import write_document
from lcseg.errors import LcsegError, UnknownCodesError
from lcseg.evaluation.config import EvaluateConfig
from lcseg.evaluation.confusion import Confusion
from lcseg.evaluation.findings import Findings
from lcseg.evaluation.maps import examine_map
from lcseg.evaluation.spots import Place
from lcseg.raster.cog import CogProfile, class_map_profile, write_cog
from lcseg.raster.grid import Grid, Window

SCHEME = load_scheme("chesapeake-4")
PLACE = (1.0, 0.0, 400_000.0, 0.0, -1.0, 4_300_000.0)


def examine(map_path: str, label: str, scheme: ClassScheme = SCHEME, **options) -> Findings:
    block_px = options.pop("block_px", 1024)
    config = EvaluateConfig("report", map=map_path, label=label, classes="a", quiet=True, **options)
    return examine_map(config, scheme, block_px)


def score_map(map_path: str, label: str, scheme: ClassScheme = SCHEME, **options) -> Confusion:
    return examine(map_path, label, scheme, **options).tally.confusion


def make_labels(height: int, width: int, seed: int) -> np.ndarray:
    """Class indices with ignored pixels, uint8."""
    random = np.random.default_rng(seed)
    return random.choice([0, 1, 2, 3, IGNORE], (height, width)).astype(np.uint8)


def to_codes(label_hw: np.ndarray) -> np.ndarray:
    """Source codes of chesapeake-4 for class indices; 0 where there is no label."""
    lut = np.zeros(256, np.uint8)
    lut[:4] = [1, 2, 3, 5]
    return lut[label_hw]


def count_slowly(label_hw: np.ndarray, map_hw: np.ndarray) -> np.ndarray:
    both = (label_hw != IGNORE) & (map_hw != IGNORE)
    return confusion_matrix(label_hw[both], map_hw[both], labels=range(4))


def write_cog_of(path: Path, values: np.ndarray, profile: CogProfile) -> str:
    grid = Grid(*values.shape[:2], PLACE, "EPSG:26918")
    with write_cog(path, grid, profile) as writer:
        writer.write(Window(0, 0, *values.shape[:2]), values)
    return str(path)


@pytest.fixture
def write_map(tmp_path):
    """A function that writes class indices as a map of lcseg."""

    def write(map_hw: np.ndarray) -> str:
        return write_cog_of(tmp_path / "map.tif", map_hw, class_map_profile(SCHEME))

    return write


@pytest.fixture
def write_probabilities(tmp_path):
    """A function that writes uint8 values as `lcseg predict` writes probabilities."""

    def write(values_hwk: np.ndarray) -> str:
        bands = SCHEME.names if values_hwk.shape[-1] == 4 else ("confidence",)
        profile = CogProfile("uint8", bands, IGNORE, scale=1 / 254)
        return write_cog_of(tmp_path / "probabilities.tif", values_hwk, profile)

    return write


def test_a_map_is_judged_by_a_label_raster(write_map, make_raster):
    map_hw, label_hw = make_labels(300, 200, 0), make_labels(300, 200, 1)
    confusion = score_map(write_map(map_hw), make_raster("lc.tif", to_codes(label_hw)))
    assert np.array_equal(confusion.counts, count_slowly(label_hw, map_hw))
    assert confusion.counts.min() > 0


def test_blocks_of_a_large_map_are_counted_once(write_map, make_raster):
    map_hw, label_hw = make_labels(1100, 1050, 0), make_labels(1100, 1050, 1)
    confusion = score_map(write_map(map_hw), make_raster("lc.tif", to_codes(label_hw)), SCHEME)
    assert np.array_equal(confusion.counts, count_slowly(label_hw, map_hw))


def test_a_label_raster_of_other_pixels_and_place_is_brought_onto_the_map(write_map, make_raster):
    map_hw, coarse_hw = make_labels(100, 90, 0), make_labels(30, 50, 1)
    place = (3.0, 0.0, PLACE[2] + 24, 0.0, -3.0, PLACE[5] - 6)
    label = make_raster("lc.tif", to_codes(coarse_hw), transform=place)
    label_hw = np.full((100, 90), IGNORE, np.uint8)
    label_hw[6:96, 24:] = coarse_hw.repeat(3, axis=0).repeat(3, axis=1)[:, :66]
    confusion = score_map(write_map(map_hw), label, SCHEME)
    assert np.array_equal(confusion.counts, count_slowly(label_hw, map_hw))


def test_the_label_may_be_one_band_of_several(write_map, make_raster):
    map_hw, label_hw = make_labels(50, 50, 0), make_labels(50, 50, 1)
    bands = np.dstack([np.full_like(label_hw, 9), to_codes(label_hw)])
    label = make_raster("lc.tif", bands)
    confusion = score_map(write_map(map_hw), label, SCHEME, label_band=2)
    assert np.array_equal(confusion.counts, count_slowly(label_hw, map_hw))


def test_a_map_of_other_classes_is_refused(write_map, make_raster):
    path, label = write_map(make_labels(20, 20, 0)), make_raster("lc.tif", make_labels(20, 20, 1))
    message = "map.tif: has the classes water, tree/forest, .*--classes has water, .*impervious"
    with pytest.raises(LcsegError, match=message):
        score_map(path, label, load_scheme("chesapeake-6"))


def test_a_foreign_map_holds_the_codes_of_the_scheme(make_raster):
    map_hw, label_hw = make_labels(40, 60, 0), make_labels(40, 60, 1)
    foreign = make_raster("foreign.tif", to_codes(map_hw), nodata=0)
    confusion = score_map(foreign, make_raster("lc.tif", to_codes(label_hw)), SCHEME)
    assert np.array_equal(confusion.counts, count_slowly(label_hw, map_hw))


def test_a_foreign_map_with_an_ignored_code_may_hold_class_indices_and_is_refused(make_raster):
    indices_hw = make_labels(40, 60, 0) % 4
    foreign = make_raster("foreign.tif", indices_hw.astype(np.uint8))
    with pytest.raises(
        UnknownCodesError, match=r"does not name: 0 \(.* px\).*declare it as nodata"
    ):
        score_map(foreign, make_raster("lc.tif", to_codes(indices_hw)), SCHEME)


def test_codes_of_a_foreign_map_that_the_scheme_does_not_name_are_refused(make_raster):
    foreign = make_raster("foreign.tif", np.full((8, 8), 77, np.uint8))
    with pytest.raises(UnknownCodesError, match=r"foreign.tif: codes .* 77 \(64 px\)"):
        score_map(foreign, make_raster("lc.tif", np.ones((8, 8), np.uint8)), SCHEME)


def test_rasters_that_share_no_labelled_pixel_are_refused(write_map, make_raster):
    map_hw = make_labels(20, 20, 0)
    label = make_raster("lc.tif", to_codes(np.where(map_hw == IGNORE, 2, IGNORE)))
    with pytest.raises(LcsegError, match=r"lc.tif: has no labelled pixel where the map has"):
        score_map(write_map(map_hw), label, SCHEME)


def test_a_map_that_is_not_a_raster_is_refused(tmp_path: Path, make_raster):
    (tmp_path / "map.tif").write_text("not a raster")
    with pytest.raises(LcsegError, match=r"map.tif: is not a raster that can be opened"):
        score_map(str(tmp_path / "map.tif"), make_raster("lc.tif", make_labels(8, 8, 0)), SCHEME)


def make_pair(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A label of broad patches with some pixels ignored, and a map that errs near borders."""
    random = np.random.default_rng([height, width])
    coarse = random.integers(0, 4, (height // 48 + 1, width // 48 + 1), np.uint8)
    label_hw = coarse.repeat(48, axis=0).repeat(48, axis=1)[:height, :width].copy()
    map_hw = np.roll(label_hw, (2, 3), axis=(0, 1))
    label_hw[random.random((height, width)) < 0.05] = IGNORE
    map_hw[random.random((height, width)) < 0.02] = IGNORE
    return label_hw, map_hw


def measure_distances(label_hw: np.ndarray) -> np.ndarray:
    """Chessboard distance to the nearest pixel of another class, by scipy; -1 where none is."""
    distances = np.full(label_hw.shape, -1)
    for value in range(4):
        others = (label_hw != value) & (label_hw != IGNORE)
        if others.any():
            far = distance_transform_cdt(~others, "chessboard")
            distances[label_hw == value] = far[label_hw == value]
    return distances


def test_pixels_are_told_apart_by_their_distance_to_the_label_border(write_map, make_raster):
    label_hw, map_hw = make_pair(300, 260)
    found = examine(write_map(map_hw), make_raster("lc.tif", to_codes(label_hw)))
    distances = measure_distances(label_hw)
    both = (label_hw != IGNORE) & (map_hw != IGNORE)
    lows = 1, 2, 3, 5, 9, 17
    for low, high, counts in zip(lows, (*lows[1:], 9_999), found.tally.by_distance, strict=True):
        own = both & (distances >= low) & (distances < high)
        assert np.array_equal(counts, confusion_matrix(label_hw[own], map_hw[own], labels=range(4)))
        assert counts.sum() > 100
    accuracies = [part.overall_accuracy for part in found.tally.distances(SCHEME.names)]
    assert accuracies[0] < 0.6
    assert accuracies[-1] > 0.95


@pytest.mark.parametrize("block_px", [256, 512, 768])
def test_the_size_of_the_blocks_changes_nothing(
    write_map, write_probabilities, make_raster, block_px
):
    label_hw, map_hw = make_pair(1100, 700)
    values = np.random.default_rng(0).integers(0, 256, (1100, 700, 1), np.uint8)
    paths = write_map(map_hw), make_raster("lc.tif", to_codes(label_hw))
    options = {"probabilities": write_probabilities(values)}
    whole, parts = examine(*paths, **options), examine(*paths, block_px=block_px, **options)
    assert np.array_equal(whole.tally.by_distance, parts.tally.by_distance)
    assert np.array_equal(whole.tally.reliability.table, parts.tally.reliability.table)
    assert whole.worst == parts.worst
    assert whole.tiles == parts.tiles


@pytest.mark.parametrize("bands", [1, 4])
def test_a_map_is_calibrated_by_the_probability_of_what_it_says(
    write_map, write_probabilities, make_raster, bands
):
    map_hw, label_hw = make_labels(90, 80, 0), make_labels(90, 80, 1)
    values = np.random.default_rng(2).integers(0, 255, (90, 80, bands), np.uint8)
    values[:7] = IGNORE
    found = examine(
        write_map(map_hw),
        make_raster("lc.tif", to_codes(label_hw)),
        probabilities=write_probabilities(values),
    )
    chosen = map_hw % bands if bands == 1 else np.minimum(map_hw, 3)
    confidence = np.take_along_axis(values, chosen[..., None].astype(int), -1)[..., 0] / 254
    own = (label_hw != IGNORE) & (map_hw != IGNORE)
    own[:7] = False
    calibration = found.tally.reliability.calibration()
    assert calibration.confidence == pytest.approx(confidence[own].mean(), abs=1e-6)
    assert calibration.accuracy == (label_hw == map_hw)[own].mean()
    assert sum(b.pixels for b in calibration.bins) == own.sum()


def test_without_probabilities_a_map_has_no_calibration(write_map, make_raster):
    map_hw = make_labels(40, 40, 0)
    found = examine(write_map(map_hw), make_raster("lc.tif", to_codes(map_hw)))
    assert found.tally.reliability.calibration() is None
    assert not found.by_scene


def test_the_worst_windows_are_pictured(write_map, make_raster):
    label_hw = np.zeros((600, 520), np.uint8)
    map_hw = label_hw.copy()
    map_hw[256:384, 256:512] = 1  # Half of a window is wrong.
    map_hw[0:64, 0:256] = 2  # A quarter of another.
    label_hw[512:, 512:] = IGNORE
    map_hw[0:256, 512:] = 3  # All of one that is too narrow.
    image = np.random.default_rng(0).integers(1, 255, (600, 520, 3), np.uint8)
    found = examine(
        write_map(map_hw),
        make_raster("lc.tif", to_codes(label_hw)),
        image=make_raster("image.tif", image),
        worst=2,
    )
    assert [spot.place for spot in found.worst] == [Place("", 256, 256), Place("", 0, 0)]
    assert [spot.overall_accuracy for spot in found.worst] == [0.5, 0.75]
    assert [title for title, _ in found.tiles[0]] == ["image", "label", "map", "where they differ"]


def test_a_small_map_is_one_window(write_map, make_raster):
    map_hw, label_hw = make_labels(40, 30, 0), make_labels(40, 30, 1)
    found = examine(write_map(map_hw), make_raster("lc.tif", to_codes(label_hw)))
    (spot,) = found.worst
    assert spot.n_pixels == found.tally.confusion.counts.sum()
    assert spot.overall_accuracy == found.tally.confusion.scores(SCHEME.names).overall_accuracy


@pytest.mark.parametrize("flag", ["probabilities", "image"])
def test_a_raster_on_another_grid_than_the_map_is_refused(write_map, make_raster, flag):
    map_hw = make_labels(40, 40, 0)
    place = (1.0, 0.0, PLACE[2] + 5, 0.0, -1.0, PLACE[5])
    other = make_raster("other.tif", np.ones((40, 40, 1), np.uint8), transform=place)
    with pytest.raises(LcsegError, match=r"other.tif: does not lie on the grid of the map; warp"):
        examine(write_map(map_hw), make_raster("lc.tif", to_codes(map_hw)), **{flag: other})


@pytest.mark.parametrize(("bands", "dtype"), [(3, "uint8"), (4, "float32")])
def test_what_is_no_raster_of_probabilities_is_refused(write_map, make_raster, bands, dtype):
    map_hw = make_labels(40, 40, 0)
    other = make_raster("other.tif", np.ones((40, 40, bands), dtype))
    with pytest.raises(
        LcsegError, match=r"expected uint8 and a band for each of .*, or confidence; give"
    ):
        examine(write_map(map_hw), make_raster("lc.tif", to_codes(map_hw)), probabilities=other)


def test_labels_of_another_crs_are_brought_onto_the_map(write_map, make_raster):
    map_hw = make_pair(300, 260)[1]
    # A label raster in Web Mercator, half as fine, around the map.
    step, size = 2.6, 260
    lon_lat = warp_places("EPSG:26918", "EPSG:3857", [PLACE[2] + 130], [PLACE[5] - 150])
    x, y = lon_lat[0][0] - step * size / 2, lon_lat[1][0] + step * size / 2
    coarse_hw = make_pair(size, size)[0]
    label = make_raster(
        "lc.tif",
        to_codes(coarse_hw),
        crs="EPSG:3857",
        transform=(step, 0.0, x, 0.0, -step, y),
    )
    cols, rows = np.meshgrid(np.arange(260) + 0.5, np.arange(300) + 0.5)
    xs, ys = warp_places(
        "EPSG:26918", "EPSG:3857", (PLACE[2] + cols).ravel(), (PLACE[5] - rows).ravel()
    )
    own_cols = np.floor((np.array(xs) - x) / step).astype(int).reshape(300, 260)
    own_rows = np.floor((y - np.array(ys)) / step).astype(int).reshape(300, 260)
    label_hw = coarse_hw[own_rows, own_cols]
    found = score_map(write_map(map_hw), label).counts
    expected = count_slowly(label_hw, map_hw)
    # Places between knots are interpolated: a pixel in a thousand may fall beyond an edge.
    assert np.abs(found - expected).sum() < 0.002 * expected.sum()
    assert found.sum() > 60_000


def write_sparse(path: Path, side_px: int) -> str:
    """A raster of zeros of any size, of which the file holds a corner."""
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=side_px,
        width=side_px,
        count=1,
        dtype="uint8",
        crs="EPSG:26918",
        transform=rasterio.transform.Affine(*PLACE),
        tiled=True,
        sparse_ok=True,
    ) as dataset:
        dataset.write(np.ones((1, 64, 64), np.uint8), window=rasterio.windows.Window(0, 0, 64, 64))
    return str(path)


PROGRAM = """
import sys
from lcseg.evaluation.assessment import assess
from lcseg.evaluation.config import EvaluateConfig
out, map_path, label, classes = sys.argv[1:]
assess(EvaluateConfig(out, map=map_path, label=label, classes=classes, quiet=True))
"""


def measure_peak_mb(folder: Path, side_px: int) -> float:
    """The most memory that `lcseg evaluate` takes for a map of this size, in MB."""
    map_path, label = (write_sparse(folder / f"{what}.tif", side_px) for what in ("map", "lc"))
    scheme = ClassScheme("two", (LandClass("a", "#1F78C8", (0,)), LandClass("b", "#1E6B34", (1,))))
    write_document(folder / "two.json", scheme)
    out = folder / "out"
    peak = peak_mb(PROGRAM, out, map_path, label, folder / "two.json")
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert re.search(rf"<dd>{side_px**2:,}</dd>", page)
    return peak


@pytest.mark.slow
def test_memory_does_not_grow_with_the_map(tmp_path):
    for name in ("small", "large"):
        (tmp_path / name).mkdir()
    small_mb = measure_peak_mb(tmp_path / "small", 2_000)
    large_mb = measure_peak_mb(tmp_path / "large", 20_000)
    # GDAL keeps up to 48 MB of decoded blocks; the rasters hold 800 MB.
    assert large_mb < small_mb + 80
