"""Comparisons by blocks, held against loops over whole maps."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from changed import (
    IGNORE,
    ONE,
    SCHEME,
    Maps,
    N,
    area_on_the_ellipsoid,
    expect,
    expect_probability,
    make_maps,
    make_scheme,
    opened,
    write_map,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory import peak_mb
from rio_cogeo.cogeo import cog_validate

from lcseg.change.comparison import CHANGE, PROBABILITY, TRANSITIONS, Comparison, compare
from lcseg.change.config import Dated
from lcseg.change.pair import open_pair
from lcseg.change.search import Rules
from lcseg.raster.class_map import open_class_map
from lcseg.raster.grid import Window

CHUNK = 4000


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        values: np.ndarray = dataset.read(1)
    return values


def list_places(comparison: Comparison) -> list[tuple[int, int, int]]:
    table = comparison.places
    rows = np.column_stack([table.pixels, table.first]).tolist()
    return [(pixels, row, col) for pixels, row, col in rows]


def test_two_maps_are_compared_and_three_rasters_are_left(tmp_path):
    before_hw, after_hw = np.zeros((40, 50), np.uint8), np.zeros((40, 50), np.uint8)
    after_hw[10:20, 10:30] = 2
    after_hw[0, 0] = IGNORE
    with opened(tmp_path, Maps(before_hw, after_hw)) as pair:
        comparison = compare(pair, Rules(), tmp_path)
    assert comparison.raw.pixels[0].tolist() == [1799, 0, 200, 0, 1]
    assert comparison.filtered.changed_hectares == pytest.approx(0.02)
    assert list_places(comparison) == [(200, 10, 10)]
    change_hw = read(tmp_path / CHANGE)
    assert change_hw[0, 0] == IGNORE and (change_hw == 1).sum() == 200
    assert (read(tmp_path / TRANSITIONS)[10:20, 10:30] == 2).all()
    assert not (tmp_path / PROBABILITY).exists()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(1, 24),
    st.integers(0, 3),
    st.sampled_from([0.0, 2.0, 5.0, 11.5]),
    st.sampled_from([None, 0.0, 0.55, 0.8, 1.0]),
    st.integers(0, 12),
)
def test_blocks_of_any_size_find_what_the_whole_maps_say(
    seed, shape, block_px, tolerance_px, least_px, min_confidence, most_places
):
    maps = make_maps([seed], *shape, min_confidence is not None)
    confidence = min_confidence or 0.0
    # Pixels of 2 m.
    rules = Rules(confidence, tolerance_px, 4 * least_px, most_places)
    with folder() as path:
        place = (2.0, 0.0, 400_000.0, 0.0, -2.0, 4_300_000.0)
        with opened(path, maps, transform=place) as pair:
            found = compare(pair, rules, path, block_px=block_px)
        expected = expect(maps, tolerance_px, least_px, confidence)
        filtering = found.filtering
        assert (
            filtering.differing,
            filtering.likely,
            filtering.beyond_edges,
            filtering.change,
        ) == expected.counts
        assert (found.raw.pixels == expected.raw).all()
        assert (found.filtered.pixels == expected.filtered).all()
        assert np.allclose(found.filtered.m2, 4 * expected.filtered)
        assert found.filtered.changed_pixels == expected.counts[-1]
        assert list_places(found) == expected.places[:most_places]
        assert (read(path / TRANSITIONS) == expected.transitions_hw).all()
        is_known_hw = (maps.before_hw != IGNORE) & (maps.after_hw != IGNORE)
        assert (read(path / CHANGE) == np.where(is_known_hw, expected.change_hw, IGNORE)).all()
        probability_hw = expect_probability(maps)
        assert (path / PROBABILITY).exists() == (probability_hw is not None)
        if probability_hw is not None:
            shares_hw = read(path / PROBABILITY).astype(float)
            assert ((shares_hw == IGNORE) == np.isnan(probability_hw)).all()
            off_hw = np.abs(shares_hw - ONE * probability_hw)[~np.isnan(probability_hw)]
            assert (off_hw <= 0.5 + 1e-3).all()


@pytest.mark.parametrize("has_probabilities", [False, True])
def test_blocks_change_no_byte_of_what_is_left(tmp_path, has_probabilities):
    maps = make_maps([7, 1], 300, 260, has_probabilities)
    names = [TRANSITIONS, CHANGE, *([PROBABILITY] if has_probabilities else [])]
    results = []
    with opened(tmp_path, maps) as pair:
        for block_px in (1024, 128, 61, 17):
            out = tmp_path / str(block_px)
            out.mkdir()
            found = compare(pair, Rules(0.8, 2, 6.0, 20), out, block_px=block_px)
            assert sorted(path.name for path in out.iterdir() if path.suffix == ".tif") == sorted(
                names
            )
            pictures = [picture.tobytes() for picture in found.overview.draw(SCHEME)]
            table = found.places
            results.append(
                (
                    [(out / name).read_bytes() for name in names],
                    found.filtering,
                    found.raw.pixels.tolist(),
                    found.filtered.pixels.tolist(),
                    list_places(found),
                    [table.window(i) for i in range(len(table))],
                    table.sums.tolist(),
                    pictures,
                )
            )
    for result in results[1:]:
        for one, other in zip(results[0], result, strict=True):
            assert one == other


def test_rows_and_columns_of_all_differences_sum_to_the_two_maps(tmp_path):
    maps = make_maps([3], 120, 90)
    with opened(tmp_path, maps) as pair:
        found = compare(pair, Rules(edge_tolerance_px=1), tmp_path, block_px=50)
    labels = [*range(N), IGNORE]
    for axis, name in ((1, "before.tif"), (0, "after.tif")):
        pixels = np.bincount(read(tmp_path / name).ravel(), minlength=256)[labels]
        assert (found.raw.pixels.sum(axis=axis) == pixels).all()
    assert (found.filtered.pixels.sum(axis=1) == found.raw.pixels.sum(axis=1)).all()
    assert np.allclose(found.raw.m2, found.raw.pixels)
    code_hw = read(tmp_path / TRANSITIONS)
    assert (
        np.bincount(code_hw.ravel(), minlength=256)[: N * N].reshape(N, N)
        == found.filtered.pixels[:-1, :-1]
    ).all()


@pytest.mark.parametrize(
    ("crs", "transform", "pixel_m2"),
    [
        ("EPSG:26918", (30.0, 0.0, 4e5, 0.0, -30.0, 4.3e6), 900.0),
        # South up, and rotated.
        ("EPSG:26918", (2.0, 0.0, 4e5, 0.0, 2.0, 4.3e6), 4.0),
        ("EPSG:26918", (0.6, 0.8, 4e5, 0.8, -0.6, 4.3e6), 1.0),
        # Maryland in US survey feet.
        ("EPSG:2248", (10.0, 0.0, 1.4e6, 0.0, -10.0, 5e5), 100 * (1200 / 3937) ** 2),
    ],
)
def test_areas_are_pixels_times_the_ground_of_one(tmp_path, crs, transform, pixel_m2):
    maps = make_maps([4], 30, 40)
    with opened(tmp_path, maps, crs=crs, transform=transform) as pair:
        found = compare(pair, Rules(), tmp_path)
    assert np.allclose(found.raw.m2, found.raw.pixels * pixel_m2, rtol=1e-9)
    assert np.allclose(found.places.sums[:, 0], found.places.pixels * pixel_m2, rtol=1e-9)
    with rasterio.open(tmp_path / TRANSITIONS) as dataset:
        assert tuple(dataset.transform)[:6] == pytest.approx(transform)
        assert dataset.crs == rasterio.CRS.from_user_input(crs)


def test_areas_by_longitude_and_latitude_are_those_on_the_ellipsoid(tmp_path):
    maps, step = make_maps([5], 60, 20), 0.25
    place = (step, 0.0, -75.0, 0.0, -step, 60.0)
    with opened(tmp_path, maps, crs="EPSG:4326", transform=place) as pair:
        found = compare(pair, Rules(), tmp_path, block_px=16)
    expected_m2 = np.zeros((N + 1, N + 1))
    labels = [*range(N), IGNORE]
    for row in range(60):
        row_m2 = area_on_the_ellipsoid(60 - (row + 1) * step, 60 - row * step, step)
        for i, before in enumerate(labels):
            for j, after in enumerate(labels):
                cell = (maps.before_hw[row] == before) & (maps.after_hw[row] == after)
                expected_m2[i, j] += row_m2 * cell.sum()
    assert np.allclose(found.raw.m2, expected_m2, rtol=1e-3)


def test_a_place_is_too_small_by_its_own_ground_not_by_that_of_an_average_pixel(tmp_path):
    # A pixel of the last row covers twice as much as one of the first.
    label_hw = np.zeros((61, 40), np.uint8)
    after_hw = label_hw.copy()
    after_hw[0:2, 0:10] = 1
    after_hw[59:61, 0:10] = 1
    place = (0.5, 0.0, 5.0, 0.0, -0.5, 60.0)
    north, south = (10 * area_on_the_ellipsoid(top - 1, top, 0.5) for top in (60, 30.5))
    with opened(tmp_path, Maps(label_hw, after_hw), crs="EPSG:4326", transform=place) as pair:
        for least_m2, expected in (
            (0.98 * north, [(20, 0, 0), (20, 59, 0)]),
            (1.02 * north, [(20, 59, 0)]),
            (0.98 * south, [(20, 59, 0)]),
            (1.02 * south, []),
        ):
            assert list_places(compare(pair, Rules(min_area_m2=least_m2), tmp_path)) == expected


@pytest.mark.parametrize("pixel_m", [0.3, 0.1, 0.6, 1 / 3, 7.0])
def test_a_place_of_just_the_least_area_is_change(tmp_path, pixel_m):
    before_hw, after_hw = np.zeros((30, 30), np.uint8), np.zeros((30, 30), np.uint8)
    after_hw[5:15, 5:15] = 1
    place = (pixel_m, 0.0, 4e5, 0.0, -pixel_m, 4.3e6)
    with opened(tmp_path, Maps(before_hw, after_hw), transform=place) as pair:
        for block_px in (1024, 7):
            rules = Rules(min_area_m2=100 * pixel_m**2)
            assert compare(pair, rules, tmp_path, block_px=block_px).filtering.change == 100
            rules = Rules(min_area_m2=100.4 * pixel_m**2)
            assert compare(pair, rules, tmp_path, block_px=block_px).filtering.change == 0


def test_without_a_crs_the_least_area_is_one_of_pixels(tmp_path):
    maps = make_maps([9], 50, 50)
    with opened(tmp_path, maps, crs=None, transform=None) as pair:
        found = compare(pair, Rules(min_area_m2=8), tmp_path)
    assert list_places(found) == expect(maps, 0, 8, 0).places[:24]
    assert (found.raw.m2 == found.raw.pixels).all()


def test_a_place_that_crosses_many_blocks_is_one_place(tmp_path):
    # A comb: its teeth meet only in the last row.
    before_hw, after_hw = np.zeros((50, 51), np.uint8), np.zeros((50, 51), np.uint8)
    after_hw[:, ::2] = 1
    after_hw[-1] = 1
    after_hw[5, 1] = 2
    with opened(tmp_path, Maps(before_hw, after_hw)) as pair:
        found = compare(pair, Rules(), tmp_path, block_px=8)
    # Other transitions beside it are part of the place.
    assert list_places(found) == [(50 * 26 + 25 + 1, 0, 0)]
    assert found.places.window(0) == Window(0, 0, 50, 51)


def test_places_whose_probability_is_not_known_at_all_are_change(tmp_path):
    before_hw, after_hw = np.zeros((10, 20), np.uint8), np.zeros((10, 20), np.uint8)
    after_hw[2:5, 2:5], after_hw[2:5, 12:15] = 1, 1
    shares = np.full((10, 20, N), 63, np.uint8)
    known = shares.copy()
    known[:, :10] = IGNORE
    after = shares.copy()
    after[after_hw == 1, 1] += 1
    with opened(tmp_path, Maps(before_hw, after_hw, (known, after))) as pair:
        found = compare(pair, Rules(min_confidence=0.9), tmp_path)
    assert list_places(found) == [(9, 2, 2)]


def test_what_is_counted_is_what_was_looked_at_where_another_crs_decides_by_a_hair(tmp_path):
    random, coarse = np.random.default_rng(0), (300.0, 0.0, 400_000.0, 0.0, -300.0, 4_300_000.0)
    maps = [
        write_map(tmp_path / "a.tif", random.integers(0, N, (400, 400)), transform=coarse),
        # Four degrees from the middle of its zone, where lines bend.
        write_map(
            tmp_path / "b.tif",
            random.integers(0, N, (500, 500)),
            crs="EPSG:32617",
            transform=(300.0, 0.0, 910_705.0, 0.0, -300.0, 4_320_749.0),
        ),
    ]
    for tolerance_px in (1, 2, 3):
        with open_pair(Dated("a", maps[0]), Dated("b", maps[1])) as pair:
            rules = Rules(edge_tolerance_px=tolerance_px)
            found = compare(pair, rules, tmp_path, block_px=150)
        assert found.filtering.differing == found.raw.changed_pixels
        assert found.filtering.change == found.filtered.changed_pixels


def test_maps_of_two_and_of_15_classes_are_compared(tmp_path):
    for n in (2, 15):
        maps, scheme = make_maps([n], 30, 40, n=n), make_scheme(n)
        with opened(tmp_path, maps, scheme) as pair:
            found = compare(pair, Rules(edge_tolerance_px=1), tmp_path, block_px=11)
        expected = expect(maps, 1, 0, 0, n)
        assert (found.filtered.pixels == expected.filtered).all()
        assert (read(tmp_path / TRANSITIONS) == expected.transitions_hw).all()


def test_what_is_left_are_cogs_that_name_their_classes(tmp_path):
    maps = make_maps([11], 700, 600, True)
    with opened(tmp_path, maps) as pair:
        compare(pair, Rules(0.7, 1), tmp_path)
    for name in (TRANSITIONS, CHANGE, PROBABILITY):
        is_valid, errors, warnings = cog_validate(tmp_path / name, strict=True)
        assert is_valid and not errors and not warnings
    with rasterio.open(tmp_path / PROBABILITY) as dataset:
        assert (dataset.descriptions, dataset.nodata) == (("probability",), IGNORE)
        assert dataset.scales == pytest.approx((1 / ONE,))
    with open_class_map(str(tmp_path / CHANGE)) as change:
        assert change.scheme.names == ("no change", "change")
    for name in (TRANSITIONS, CHANGE):
        with open_class_map(str(tmp_path / name)) as mapped:
            names, label_hw = mapped.scheme.names, mapped.read(mapped.grid.window)
        counts = np.bincount(label_hw.ravel(), minlength=256)[: len(names)]
        table = ElementTree.parse(f"{tmp_path / name}.aux.xml").getroot().iter("Row")
        rows = [[field.text for field in row] for row in table]
        assert [row[2] for row in rows] == list(names)
        assert [int(row[1]) for row in rows] == counts.tolist()
        style = ElementTree.parse((tmp_path / name).with_suffix(".qml")).getroot()
        assert [entry.get("label") for entry in style.iter("paletteEntry")] == list(names)


def test_no_two_maps_differ_where_they_are_the_same(tmp_path):
    maps = make_maps([12], 64, 64)
    with opened(tmp_path, Maps(maps.before_hw, maps.before_hw)) as pair:
        found = compare(pair, Rules(edge_tolerance_px=3), tmp_path, block_px=20)
    assert found.filtering.differing == 0 and len(found.places) == 0
    assert found.raw.changed_pixels == 0
    assert (read(tmp_path / CHANGE) != 1).all()


PROGRAM = """
import sys
from pathlib import Path
from lcseg.change.comparison import compare
from lcseg.change.search import Rules
from lcseg.change.config import Dated
from lcseg.change.pair import open_pair
from lcseg.raster.dataset import bounded_cache
before, after, out = sys.argv[1:]
with bounded_cache(), open_pair(Dated("a", before), Dated("b", after)) as pair:
    found = compare(pair, Rules(edge_tolerance_px=1, min_area_m2=20), Path(out))
print(found.filtering)
"""


def write_large(path: Path, label_hw: np.ndarray, times: int) -> str:
    """A map that repeats one of some thousand pixels, as the same tiles over and over."""
    side = len(label_hw)
    small = write_map(path.with_suffix(".part.tif"), label_hw, tiled=True, compress="deflate")
    sources = "".join(
        f"<SimpleSource><SourceFilename relativeToVRT='0'>{small}</SourceFilename>"
        f"<SourceBand>1</SourceBand><DstRect xOff='{col * side}' yOff='{row * side}' "
        f"xSize='{side}' ySize='{side}'/></SimpleSource>"
        for row in range(times)
        for col in range(times)
    )
    names = "".join(f"<MDI key='CLASS_{i}'>{name}</MDI>" for i, name in enumerate(SCHEME.names))
    a, b, c, d, e, f = (1.0, 0.0, 400_000.0, 0.0, -1.0, 4_300_000.0)
    path.write_text(
        f"<VRTDataset rasterXSize='{side * times}' rasterYSize='{side * times}'>"
        f"<SRS>EPSG:26918</SRS><GeoTransform>{c},{a},{b},{f},{d},{e}</GeoTransform>"
        f"<VRTRasterBand dataType='Byte' band='1'><NoDataValue>255</NoDataValue>"
        f"<Metadata>{names}</Metadata>{sources}</VRTRasterBand></VRTDataset>"
    )
    return str(path)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_maps(tmp_path):
    random = np.random.default_rng(0)
    before_hw = random.integers(0, N, (CHUNK // 40, CHUNK // 40)).astype(np.uint8)
    before_hw = before_hw.repeat(40, axis=0).repeat(40, axis=1)
    after_hw = np.roll(before_hw, 1, axis=1)
    # Nothing that is large, but much that is none.
    after_hw[random.random(after_hw.shape) < 0.01] = 3
    after_hw[100:160, 100:180] = 2
    peaks_mb = []
    # GDAL's caches are full with either.
    for times in (2, 3):
        out = tmp_path / str(times)
        out.mkdir()
        maps = [
            write_large(tmp_path / f"{date}_{times}.vrt", label_hw, times)
            for date, label_hw in (("a", before_hw), ("b", after_hw))
        ]
        peaks_mb.append(peak_mb(PROGRAM, *maps, out))
        with rasterio.open(out / TRANSITIONS) as dataset:
            assert dataset.shape == (CHUNK * times, CHUNK * times)
    assert peaks_mb[1] <= 1.1 * peaks_mb[0] + 50
    assert peaks_mb[1] < 600


def test_the_rim_of_what_is_left_out_is_no_place_of_its_own(tmp_path):
    before_hw, after_hw = np.zeros((12, 12), np.uint8), np.zeros((12, 12), np.uint8)
    # A corner that moved by one, beside which, diagonally, something new is not sure enough.
    before_hw[6:, 6:], after_hw[6:, 6:] = 1, 1
    after_hw[5, 5], after_hw[4, 4] = 1, 2
    shares = [np.zeros((12, 12, N), np.uint8) for _ in range(2)]
    for share, label_hw in zip(shares, (before_hw, after_hw), strict=True):
        np.put_along_axis(share, label_hw[..., None].astype(int), 254, axis=-1)
    shares[1][4, 4] = (60, 0, 194, 0)
    with opened(tmp_path, Maps(before_hw, after_hw, tuple(shares))) as pair:
        found = compare(pair, Rules(min_confidence=0.9, edge_tolerance_px=1), tmp_path)
    assert list_places(found) == []
