"""Corrections of labels: from a file of verdicts to the records of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio.features
import rasterio.warp
import shapely
from conftest import CRS, write_raster
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine

from lcseg.classes import load_scheme
from lcseg.errors import LcsegError
from lcseg.raster.fit import LabelFit
from lcseg.raster.grid import Grid, Window
from lcseg.raster.pairing import Pair
from lcseg.raster.vector import write_features
from lcseg.records import conversion
from lcseg.records.codec import decode_chip
from lcseg.records.config import ConvertConfig
from lcseg.records.conversion import convert
from lcseg.records.corrections import place_corrections, read_verdicts
from lcseg.records.manifest import read_manifest
from lcseg.records.parts import Part, PartOutcome
from lcseg.records.relabelling import Relabeller
from lcseg.records.shards import read_shard
from lcseg.records.spec import Chip
from lcseg.records.survey import Scene
from lcseg.records.suspects import Suspect, set_verdict, write_suspects
from lcseg.synthetic import Landscape, make_landscape

SCHEME = load_scheme("chesapeake-4")
NAMES = SCHEME.names
PX = 96

PLACES = {
    "north up": Affine(1, 0, 400_000, 0, -1, 4_300_000),
    "south up": Affine(1, 0, 400_000, 0, 1, 4_300_000),
    "turned": Affine.translation(400_000, 4_300_000) * Affine.rotation(31) * Affine.scale(1, -1),
}


class Ground:
    """A scene with planted faults in its labels: what it shows, and what its label says."""

    def __init__(self, folder: Path, key: str, transform: Affine, seed: int = 0) -> None:
        self.key, self.transform = key, transform
        scene = make_landscape(Landscape(PX, seed, unlabelled_share=0.1, nodata_share=0.05))
        self.valid_hw = scene.valid_hw
        self.truth_hw = np.where(self.valid_hw, SCHEME.encode(scene.codes_hw), 255)
        self.path = folder / f"{key}_image.tif"
        self._label = folder / f"{key}_label.tif"
        write_raster(self.path, scene.image_hwc, transform=tuple(transform)[:6], nodata=0)
        self.write_label(self.truth_hw)

    def write_label(self, label_hw: np.ndarray) -> None:
        codes_hw = np.choose(np.minimum(label_hw, 4), [1, 2, 3, 4, 0]).astype(np.uint8)
        write_raster(self._label, codes_hw, transform=tuple(self.transform)[:6])

    def plant(self, is_wrong: np.ndarray) -> list[tuple[shapely.Geometry, int]]:
        """Turn the labels of some pixels to the next class; returns outlines and true classes."""
        wrong_hw = np.where(is_wrong & (self.truth_hw < 4), (self.truth_hw + 1) % 4, self.truth_hw)
        self.write_label(wrong_hw)
        shapes = rasterio.features.shapes(
            self.truth_hw.astype(np.uint8),
            is_wrong & (self.truth_hw < 4),
            transform=self.transform,
        )
        return [(shapely.geometry.shape(shape), int(label)) for shape, label in shapes]

    def outline(self, row: float, col: float, height: float, width: float) -> shapely.Geometry:
        """A window of its pixels, in its CRS."""
        corners = [(col, row), (col + width, row), (col + width, row + height), (col, row + height)]
        return shapely.Polygon([self.transform @ corner for corner in corners])


def configure(folder: Path, **changes: object) -> ConvertConfig:
    config = ConvertConfig(
        classes="chesapeake-4",
        out=str(folder / "data"),
        images=f"{folder}/*_image.tif",
        labels=f"{folder}/*_label.tif",
        corrections=str(folder / "suspects.gpkg"),
        chip_px=32,
        block_chips=1,
        split_buffer_px=0,
        workers=1,
        quiet=True,
    )
    return replace(config, **changes)


def read_chips(folder: str | Path) -> Iterator[Chip]:
    manifest = read_manifest(folder)
    for shard in manifest.shards:
        for record in read_shard(Path(folder) / shard.file):
            yield decode_chip(manifest.spec, record)


def read_labels(folder: str | Path, key: str) -> tuple[np.ndarray, np.ndarray]:
    """The labels of a scene, put together from its chips, and where there is a chip."""
    label_hw, is_there = np.full((PX, PX), 255, np.uint8), np.zeros((PX, PX), bool)
    for chip in read_chips(folder):
        if chip.source == key:
            place = slice(chip.row, chip.row + 32), slice(chip.col, chip.col + 32)
            label_hw[place], is_there[place] = chip.label_hw, True
    return label_hw, is_there


def hash_shards(config: ConvertConfig) -> list[str]:
    return [f"{shard.file} {shard.crc32c}" for shard in read_manifest(config.out).shards]


def make_scene(key: str, grid: Grid) -> Scene:
    """A scene as the survey would have found it; there is no raster."""
    fit = LabelFit("as it is", (0.0, 0.0), (0.0, 0.0), 1.0, "", 1.0)
    return Scene(Pair(key, "", ""), grid, ("a",), "uint8", 0, 1.0, fit, "", ())


@pytest.mark.parametrize("place", list(PLACES))
@pytest.mark.parametrize("crs", [CRS, "EPSG:4326", "EPSG:3857", "EPSG:26917"])
def test_labels_that_people_have_corrected_are_the_truth(tmp_path, place, crs):
    ground = Ground(tmp_path, "a", PLACES[place])
    is_wrong = np.zeros((PX, PX), bool)
    # Over the borders of four chips.
    is_wrong[20:50, 20:70] = True
    shapes = ground.plant(is_wrong)

    def project(xy: np.ndarray) -> np.ndarray:
        return np.stack(rasterio.warp.transform(CRS, crs, *xy.T), axis=1)

    write_suspects(
        tmp_path / "suspects.gpkg",
        crs,
        [
            Suspect(
                shapely.transform(shape, project),
                number,
                "a",
                label=NAMES[(label + 1) % 4],
                new_class=NAMES[label],
            )
            for number, (shape, label) in enumerate(shapes, start=1)
        ],
    )
    config = configure(tmp_path)
    convert(replace(config, out=str(tmp_path / "before")))
    assert (read_labels(tmp_path / "before", "a")[0] != ground.truth_hw).sum() > 500
    for number in range(1, len(shapes) + 1):
        set_verdict(config.corrections, number, "wrong", NAMES[shapes[number - 1][1]])
    corrections = convert(config).corrections
    label_hw, is_there = read_labels(config.out, "a")
    np.testing.assert_array_equal(label_hw[is_there], ground.truth_hw[is_there])
    n_wrong = (is_wrong & (ground.truth_hw < 4)).sum()
    assert is_there[is_wrong].all()
    assert (corrections.relabelled_pixels, corrections.ignored_pixels) == (n_wrong, 0)
    assert corrections.places == {"wrong": len(shapes), "right": 0, "unsure": 0, "open": 0}
    for change in corrections.changes:
        was, shall_be = NAMES.index(change.label), NAMES.index(change.new_class)
        assert was == (shall_be + 1) % 4
        assert change.pixels == (is_wrong & (ground.truth_hw == shall_be)).sum()


def test_each_verdict_does_what_it_says(tmp_path):
    ground = Ground(tmp_path, "a", PLACES["north up"])
    other = Ground(tmp_path, "b", PLACES["north up"] * Affine.translation(500, 0), seed=1)
    truth_hw = ground.truth_hw
    told = [
        ("wrong", "water", ""),
        ("wrong", None, ""),
        ("unsure", "water", ""),
        ("right", "water", ""),
        (None, "water", ""),
        ("wrong", "WATER ", "grass/herbaceous"),
    ]
    write_suspects(
        tmp_path / "suspects.gpkg",
        CRS,
        [
            Suspect(
                ground.outline(14 * i, 2, 11, 90),
                i + 1,
                label=label,
                verdict=verdict,
                new_class=new_class,
            )
            for i, (verdict, new_class, label) in enumerate(told)
        ],
    )
    config = configure(tmp_path)
    convert(config)
    expected_hw = truth_hw.copy()
    expected_hw[:11, 2:92] = 0
    expected_hw[14:25, 2:92] = expected_hw[28:39, 2:92] = 255
    last = expected_hw[70:81, 2:92]
    last[last == 2] = 0
    expected_hw[~ground.valid_hw] = 255
    label_hw, is_there = read_labels(config.out, "a")
    assert is_there.all()
    np.testing.assert_array_equal(label_hw, expected_hw)
    untouched_hw, is_there = read_labels(config.out, "b")
    np.testing.assert_array_equal(untouched_hw[is_there], other.truth_hw[is_there])


def test_place_that_names_its_scene_leaves_other_dates_of_the_ground_alone(tmp_path):
    first = Ground(tmp_path, "2019", PLACES["north up"])
    second = Ground(tmp_path, "2023", PLACES["north up"], seed=1)
    suspects = [Suspect(first.outline(0, 0, PX, PX), 1, "2023", verdict="wrong", new_class="water")]
    write_suspects(tmp_path / "suspects.gpkg", CRS, suspects)
    config = configure(tmp_path)
    convert(config)
    label_hw, is_there = read_labels(config.out, "2019")
    np.testing.assert_array_equal(label_hw[is_there], first.truth_hw[is_there])
    label_hw, is_there = read_labels(config.out, "2023")
    np.testing.assert_array_equal(label_hw == 0, is_there & second.valid_hw)


def test_drawn_file_is_about_any_scene_and_any_label(tmp_path):
    dates = [Ground(tmp_path, key, PLACES["north up"], seed) for seed, key in enumerate("ab")]
    shapes = np.array([dates[0].outline(0, 0, 40, 40), dates[0].outline(50, 50, 9, 9)], object)
    classes = {"new_class": np.array(["water", None], object)}
    write_features(tmp_path / "drawn.geojson", CRS, "Polygon", shapes, classes)
    config = configure(tmp_path, corrections=str(tmp_path / "drawn.geojson"))
    manifest = convert(config)
    for ground in dates:
        expected_hw = ground.truth_hw.copy()
        expected_hw[:40, :40] = np.where(ground.valid_hw[:40, :40], 0, 255)
        label_hw, is_there = read_labels(config.out, ground.key)
        np.testing.assert_array_equal(label_hw[is_there], expected_hw[is_there])
    assert manifest.corrections.file == "drawn.geojson"


def test_contradiction_makes_pixels_ignored_and_is_told(tmp_path, caplog):
    ground = Ground(tmp_path, "a", PLACES["north up"])
    suspects = [
        Suspect(ground.outline(0, 0, 40, 40), 1, verdict="wrong", new_class="water"),
        Suspect(ground.outline(20, 20, 40, 40), 2, verdict="right"),
        Suspect(ground.outline(70, 70, 9, 9), 3, verdict="right"),
    ]
    expected_hw = ground.truth_hw.copy()
    expected_hw[:40, :40] = 0
    # Where both say water there is no contradiction.
    inner = np.s_[20:40, 20:40]
    expected_hw[inner] = np.where(ground.truth_hw[inner] == 0, 0, 255)
    expected_hw[~ground.valid_hw] = 255
    for order, name in ((suspects, "one"), (suspects[::-1], "other")):
        path = tmp_path / f"{name}.gpkg"
        write_suspects(path, CRS, [replace(s, id=i) for i, s in enumerate(order, start=1)])
        config = configure(tmp_path, corrections=str(path), out=str(tmp_path / name))
        convert(config)
        label_hw, is_there = read_labels(config.out, "a")
        np.testing.assert_array_equal(label_hw[is_there], expected_hw[is_there])
        assert "contradict others on the same pixels, which are ignored" in caplog.text
        caplog.clear()


def test_corrections_that_come_to_nothing_are_told_by_their_ids(tmp_path, caplog):
    ground = Ground(tmp_path, "a", PLACES["north up"])
    far = shapely.box(0, 0, 9, 9)
    label = NAMES[(int(ground.truth_hw[50, 50]) + 1) % 4]
    suspects = [
        Suspect(far, 3, verdict="wrong"),
        Suspect(ground.outline(50, 50, 1, 1), 4, label=label, verdict="wrong"),
        Suspect(far, 5, verdict="right"),
    ]
    write_suspects(tmp_path / "suspects.gpkg", CRS, suspects)
    convert(configure(tmp_path))
    assert "Corrections 3 of suspects.gpkg lie outside of every scene" in caplog.text
    assert "Corrections 4 of suspects.gpkg change no pixel of a chip" in caplog.text


@pytest.mark.parametrize("suspects", [[], [Suspect(shapely.box(0, 0, 1, 1), 1, "no such scene")]])
def test_file_without_a_verdict_changes_nothing_and_is_told(tmp_path, caplog, suspects):
    Ground(tmp_path, "a", PLACES["north up"])
    write_suspects(tmp_path / "suspects.gpkg", CRS, suspects)
    manifest = convert(configure(tmp_path))
    plain = convert(configure(tmp_path, corrections="", out=str(tmp_path / "plain")))
    assert manifest.digest == plain.digest
    assert plain.corrections is None
    assert manifest.corrections.changes == ()
    assert manifest.corrections.places["open"] == len(suspects)
    assert "Nothing in suspects.gpkg corrects a label: no verdict there is wrong" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scene": "b"}, "suspect 1 is of the scene 'b', which is none of a; convert that scene"),
        (
            {"new_class": "watr"},
            "suspect 1 names the class 'watr', which 'chesapeake-4' does not have; expected one of "
            "water, tree/forest, grass/herbaceous, barren/impervious",
        ),
        ({"label": "watr"}, "suspect 1 names the class 'watr', which"),
    ],
)
def test_names_that_nothing_has_are_refused(tmp_path, changes, message):
    Ground(tmp_path, "a", PLACES["north up"])
    suspect = Suspect(shapely.box(0, 0, 1, 1), 1, verdict="wrong", **changes)
    write_suspects(tmp_path / "suspects.gpkg", CRS, [suspect])
    with pytest.raises(LcsegError) as caught:
        convert(configure(tmp_path))
    assert message in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_file_that_is_not_there_or_holds_no_polygons_is_refused(tmp_path):
    Ground(tmp_path, "a", PLACES["north up"])
    with pytest.raises(LcsegError, match=r"--corrections=none\.gpkg: is not a file"):
        convert(configure(tmp_path, corrections="none.gpkg"))
    points = np.array([shapely.Point(0, 0)], object)
    verdicts = {"verdict": np.array(["wrong"], object)}
    write_features(tmp_path / "suspects.gpkg", CRS, "Point", points, verdicts)
    with pytest.raises(LcsegError, match=r"suspects\.gpkg: suspect 1 has no polygon"):
        convert(configure(tmp_path))


def read_and_place(path: Path, suspects: list[Suspect], crs: str | None, *scenes: Scene):
    write_suspects(path, crs, suspects)
    keys = [scene.pair.key for scene in scenes]
    return place_corrections(read_verdicts(str(path), keys, SCHEME), scenes)


def test_without_a_crs_a_place_is_of_the_scene_that_it_names(tmp_path):
    bare = make_scene("a", Grid(40, 50, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), None))
    placed = make_scene("b", Grid(40, 50, tuple(PLACES["north up"])[:6], CRS))
    path, shape = tmp_path / "a.gpkg", shapely.box(3, 4, 10, 9)
    suspect = Suspect(shape, 1, "a", verdict="wrong", new_class="water")
    found = read_and_place(path, [suspect], None, bare, placed)
    assert [len(of_scene) for of_scene in found.of_scene] == [1, 0]
    ((correction,), _) = found.of_scene
    assert shapely.from_wkb(correction.outline).equals(shape)
    with pytest.raises(LcsegError, match="suspect 1 names no scene, and the file no CRS"):
        read_and_place(path, [replace(suspect, scene="")], None, bare)
    with pytest.raises(LcsegError, match="does not say in which CRS it is; set it"):
        read_and_place(path, [replace(suspect, scene="b")], None, placed)
    found = read_and_place(path, [suspect], CRS, bare, placed)
    assert found.of_scene == ((), ()) and found.outside == (1,)


def test_right_places_are_taken_along_only_where_others_touch_them(tmp_path):
    scene = make_scene("a", Grid(90, 90, tuple(PLACES["north up"])[:6], CRS))
    x, y = 400_000, 4_300_000
    suspects = [
        Suspect(shapely.box(x, y - 9, x + 9, y), 1, verdict="wrong"),
        Suspect(shapely.box(x + 5, y - 9, x + 14, y), 2, verdict="right"),
        Suspect(shapely.box(x + 50, y - 9, x + 59, y), 3, verdict="right"),
        Suspect(shapely.box(x, y - 9, x + 9, y), 4),
    ]
    (of_scene,) = read_and_place(tmp_path / "a.gpkg", suspects, CRS, scene).of_scene
    assert [correction.place for correction in of_scene] == [1, 2]


@settings(deadline=None, max_examples=25)
@given(
    st.floats(-180, 180),
    st.booleans(),
    st.sampled_from([CRS, "EPSG:4326", "EPSG:3857", "EPSG:26917"]),
    st.tuples(st.floats(0, 80), st.floats(0, 80), st.floats(2, 40), st.floats(2, 40)),
)
def test_pixels_are_corrected_where_their_centres_are_whatever_the_crs(
    tmp_path_factory, angle, is_south_up, crs, window
):
    transform = Affine.translation(400_000, 4_300_000) * Affine.rotation(angle)
    transform *= Affine.scale(0.7, 0.7 if is_south_up else -0.7)
    grid = Grid(PX, PX, tuple(transform)[:6], CRS)
    left, top, wide, tall = window
    shape = shapely.Polygon(
        [transform @ (left + x, top + y) for x, y in ((0, 0), (wide, 0), (wide, tall), (0, tall))]
    )
    told = shapely.transform(
        # Straight lines of another CRS are bent here.
        shapely.segmentize(shape, 0.5),
        lambda xy: np.stack(rasterio.warp.transform(CRS, crs, *xy.T), axis=1),
    )
    path = tmp_path_factory.mktemp("places") / "a.gpkg"
    suspect = Suspect(told, 1, verdict="wrong", new_class="water")
    (of_scene,) = read_and_place(path, [suspect], crs, make_scene("a", grid)).of_scene
    label_hw, valid_hw = np.ones((PX, PX), np.uint8), np.ones((PX, PX), bool)
    new_hw, _ = Relabeller(of_scene, grid).relabel(label_hw, valid_hw, grid.window)
    rows, cols = np.mgrid[:PX, :PX] + 0.5
    inside_hw = (cols > left) & (cols < left + wide) & (rows > top) & (rows < top + tall)
    edges = (cols - left, cols - left - wide, rows - top, rows - top - tall)
    # A thousandth of a pixel is what projecting there and back may be off.
    is_near = np.min(np.abs(edges), axis=0) < 1e-3
    np.testing.assert_array_equal(new_hw[~is_near] == 0, inside_hw[~is_near])


@pytest.fixture
def long(tmp_path: Path) -> tuple[ConvertConfig, Ground]:
    """A conversion of two scenes, with a suspect at the beginning and one at the end."""
    ground = Ground(tmp_path, "a", PLACES["north up"])
    Ground(tmp_path, "b", PLACES["north up"] * Affine.translation(500, 0), seed=1)
    suspects = [
        Suspect(ground.outline(2, 2, 9, 9), 1, "a", verdict="wrong", new_class="water"),
        Suspect(
            shapely.affinity.translate(ground.outline(80, 80, 9, 9), 500),
            2,
            "b",
            verdict="right",
            new_class="water",
        ),
    ]
    write_suspects(tmp_path / "suspects.gpkg", CRS, suspects)
    return configure(tmp_path, chip_px=16, shard_mb=1), ground


class StopError(Exception):
    """What ends a conversion in a test."""


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """A function that ends conversions after so many parts; returns those that were done."""
    run_parts, cut_parts = conversion.run_parts, conversion.make_plan.__globals__["cut_parts"]

    def stop(parts: int) -> list[int]:
        done: list[int] = []

        def few(todo: list[Part], *rest: object) -> Iterator[tuple[Part, PartOutcome]]:
            for part, outcome in run_parts(todo, *rest):
                if len(done) == parts:
                    raise StopError
                done.append(part.number)
                yield part, outcome

        monkeypatch.setattr(conversion, "run_parts", few)
        # Small parts, so that there are several of a small scene.
        monkeypatch.setitem(
            conversion.make_plan.__globals__,
            "cut_parts",
            lambda scenes, layouts, setting, _, of_scene: cut_parts(
                scenes, layouts, setting, 12 * setting.spec.record_bytes, of_scene
            ),
        )
        return done

    return stop


@pytest.mark.parametrize(
    ("edit", "redone"),
    [
        (None, set()),
        ((1, "wrong", "tree/forest"), {0}),
        ((1, "right", "water"), {0}),
        ((2, "wrong", "water"), {5}),
        # What is right changes nothing, whichever class stands beside it.
        ((2, "right", "tree/forest"), set()),
        ((2, None, None), set()),
    ],
)
def test_edited_file_has_the_parts_done_again_that_it_is_about_and_no_others(
    long, stop_after, tmp_path, edit, redone
):
    config, _ = long
    done = stop_after(99)
    convert(replace(config, out=str(tmp_path / "whole")))
    n_parts = len(done)
    assert n_parts == 6
    # Killed before the last part.
    stop_after(n_parts - 1)
    with pytest.raises(StopError):
        convert(config)
    if edit:
        set_verdict(config.corrections, *edit)
    again = stop_after(99)
    convert(config)
    assert set(again) == redone | {5}
    fresh = replace(config, out=str(tmp_path / "fresh"))
    convert(fresh)
    assert hash_shards(config) == hash_shards(fresh)


def test_bytes_do_not_depend_on_the_number_of_workers(long, stop_after, tmp_path):
    config, _ = long
    set_verdict(config.corrections, 2, "unsure", None)
    stop_after(99)
    one, two = (replace(config, out=str(tmp_path / f"{n}"), workers=n) for n in (1, 2))
    manifests = [convert(one), convert(two)]
    assert hash_shards(one) == hash_shards(two)
    assert manifests[0].corrections == manifests[1].corrections
    assert manifests[0].corrections.ignored_pixels > 0


def test_many_places_are_looked_up_and_not_gone_through(tmp_path):
    scene = make_scene("a", Grid(5000, 5000, tuple(PLACES["north up"])[:6], CRS))
    rows, cols = (axis.ravel() for axis in np.mgrid[:50, :50] * 100)
    shapes = shapely.box(400_000 + cols, 4_300_000 - rows - 9, 400_009 + cols, 4_300_000 - rows)
    suspects = [Suspect(s, i, verdict="wrong") for i, s in enumerate(shapes, start=1)]
    (of_scene,) = read_and_place(tmp_path / "a.gpkg", suspects, CRS, scene).of_scene
    assert len(of_scene) == 2500
    looked_at = []
    relabeller = Relabeller(of_scene, scene.grid)
    for area in relabeller._areas:
        area.read = lambda window, area=area, read=area.read: looked_at.append(area) or read(window)
    window = Window(2000, 2000, 256, 256)
    label_hw = np.ones((256, 256), np.uint8)
    new_hw, _ = relabeller.relabel(label_hw, label_hw > 0, window)
    assert len(looked_at) == 9
    assert (new_hw == 255).sum() == 9 * 81
