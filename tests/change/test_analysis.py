"""The whole way from maps, or images and a model, to a folder with a report."""

import csv
import json
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from bundles import make_bundle
from changed import (
    CRS,
    IGNORE,
    SCHEME,
    TRANSFORM,
    N,
    count_pairs,
    expect,
    make_maps,
    write_map,
    write_probabilities,
)
from conftest import write_raster
from rio_cogeo.cogeo import cog_validate

from lcseg.change.analysis import find_change
from lcseg.change.config import ChangeConfig
from lcseg.change.report import ChangeReport
from lcseg.documents import read_document
from lcseg.errors import LcsegError
from lcseg.evaluation.area_assessment import assess_area
from lcseg.evaluation.config import AreaConfig, SampleConfig
from lcseg.evaluation.sample import read_sample, write_sample
from lcseg.evaluation.sampling import draw_sample
from lcseg.model.config import UNetConfig
from lcseg.planted import Dates, make_dates
from lcseg.raster.class_map import open_class_map
from lcseg.synthetic import Landscape
from lcseg.transitions import transition_scheme

NAMES = SCHEME.names


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        values: np.ndarray = dataset.read(1)
    return values


def read_rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def list_files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def maps(tmp_path):
    """Two maps with probabilities, as arrays and as choices."""
    found = make_maps([8], 120, 150, has_probabilities=True)
    choices = {
        "before": write_map(tmp_path / "2013.tif", found.before_hw),
        "after": write_map(tmp_path / "2017.tif", found.after_hw),
        "quiet": True,
    }
    return found, choices


def with_probabilities(maps, folder) -> dict[str, str]:
    return {
        f"probabilities_{date}": write_probabilities(folder / f"p_{date}.tif", shares_hwk)
        for date, shares_hwk in zip(("before", "after"), maps[0].shares, strict=True)
    }


def test_two_maps_become_a_folder_of_maps_tables_and_a_report(maps, tmp_path):
    out = tmp_path / "change"
    choices = with_probabilities(maps, tmp_path)
    report = find_change(ChangeConfig(str(out), **maps[1], **choices, min_area_m2=3))
    expected = expect(maps[0], 1, 3, 0.85)
    assert np.array(report.intervals[0].raw.pixels).tolist() == expected.raw.tolist()
    assert np.array(report.intervals[0].change.pixels).tolist() == expected.filtered.tolist()
    assert (read(out / "transitions.tif") == expected.transitions_hw).all()
    names = "report.html", "report.json", "matrix.csv", "classes.csv", "places.gpkg"
    pictures = "flow.png", "maps.png"
    rasters = "transitions.tif", "change.tif", "probability.tif"
    legends = {name for name in list_files(out) if name.endswith((".aux.xml", ".qml", ".clr"))}
    assert list_files(out) == {*names, *pictures, *rasters} | legends
    assert read_document(out / "report.json", ChangeReport) == report
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_tables_hold_the_numbers_of_the_maps(maps, tmp_path):
    out = tmp_path / "change"
    find_change(ChangeConfig(str(out), **maps[1]))
    expected = expect(maps[0], 1, 0, 0)
    rows = read_rows(out / "matrix.csv")
    assert len(rows) == (N + 1) ** 2
    names = [*NAMES, "no data"]
    for row in rows:
        cell = names.index(row["before"]), names.index(row["after"])
        assert int(row["raw_px"]) == expected.raw[cell]
        assert int(row["change_px"]) == expected.filtered[cell]
        assert float(row["raw_ha"]) == pytest.approx(expected.raw[cell] / 1e4)
        assert float(row["change_ha"]) == pytest.approx(expected.filtered[cell] / 1e4)
    known = expected.filtered[:-1, :-1] / 1e4
    for i, row in enumerate(read_rows(out / "classes.csv")):
        assert (row["interval"], row["class"]) == ("before to after", NAMES[i])
        before, after, lost, gained, net = (
            float(row[f"{figure}_ha"]) for figure in ("before", "after", "lost", "gained", "net")
        )
        assert before == pytest.approx(known[i].sum()) and after == pytest.approx(known[:, i].sum())
        assert lost == pytest.approx(known[i].sum() - known[i, i])
        assert gained == pytest.approx(known[:, i].sum() - known[i, i])
        assert net == pytest.approx(after - before, abs=1e-9)
        raw = expected.raw[:-1, :-1] / 1e4
        assert float(row["raw_net_ha"]) == pytest.approx(raw[:, i].sum() - raw[i].sum(), abs=1e-9)


def test_regions_have_a_table(maps, tmp_path):
    left, top = TRANSFORM[2], TRANSFORM[5]
    halves = [shapely.box(left, 0, left + 70, top), shapely.box(left + 70, 0, left + 999, top)]
    path = tmp_path / "counties.gpkg"
    values = [np.array(["Kent", "Talbot"], object)]
    shapes = shapely.to_wkb(np.array(halves))
    pyogrio.raw.write(
        path, shapes, values, ["NAME"], driver="GPKG", geometry_type="Polygon", crs=CRS
    )
    out = tmp_path / "change"
    find_change(ChangeConfig(str(out), **maps[1], regions=str(path), region_name="NAME"))
    rows = read_rows(out / "regions.csv")
    assert {row["region"] for row in rows} == {"Kent", "Talbot"}
    classes = {row["class"]: row for row in read_rows(out / "classes.csv")}
    for name in NAMES:
        for figure in ("before_ha", "after_ha", "lost_ha", "gained_ha", "net_ha"):
            parts = sum(float(row[figure]) for row in rows if row["class"] == name)
            assert parts == pytest.approx(float(classes[name][figure]), abs=1e-9)


def test_of_a_series_each_date_is_compared_with_the_next_and_the_first_with_the_last(tmp_path):
    labels = [make_maps([seed], 60, 50).before_hw for seed in range(3)]
    dates = ["2013-07-04", "2015", "2017 summer"]
    paths = [write_map(tmp_path / f"{i}.tif", label_hw) for i, label_hw in enumerate(labels)]
    named = tuple(f"{date}={path}" for date, path in zip(dates, paths, strict=True))
    out = tmp_path / "change"
    report = find_change(ChangeConfig(str(out), maps=named, edge_tolerance_px=0, quiet=True))
    spans = [(0, 1), (1, 2), (0, 2)]
    assert [interval.name for interval in report.intervals] == [
        f"{dates[i]} to {dates[j]}" for i, j in spans
    ]
    for interval, (i, j) in zip(report.intervals, spans, strict=True):
        assert interval.folder == f"{dates[i]}_to_{dates[j]}"
        assert np.array(interval.raw.pixels).tolist() == count_pairs(labels[i], labels[j]).tolist()
        assert {"transitions.tif", "change.tif", "places.gpkg"} <= list_files(out / interval.folder)
    assert len(read_rows(out / "matrix.csv")) == 3 * (N + 1) ** 2
    assert {path.name for path in out.iterdir() if path.is_dir()} == {
        interval.folder for interval in report.intervals
    }


def test_maps_without_a_crs_have_pixels_and_no_areas(tmp_path):
    maps = make_maps([8], 40, 50)
    nowhere = {"crs": None, "transform": None}
    paths = [
        write_map(tmp_path / f"{i}.tif", label_hw, **nowhere)
        for i, label_hw in enumerate((maps.before_hw, maps.after_hw))
    ]
    choices = {"before": paths[0], "after": paths[1], "quiet": True}
    out = tmp_path / "change"
    with pytest.raises(LcsegError, match="--allow_ungeoreferenced"):
        find_change(ChangeConfig(str(out), **choices))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.tif", "1.tif"]
    report = find_change(ChangeConfig(str(out), **choices, allow_ungeoreferenced=True))
    assert report.unit == "px" and report.intervals[0].change.hectares is None
    assert all(place.hectares is None for place in report.intervals[0].places)
    assert {row["raw_ha"] for row in read_rows(out / "matrix.csv")} == {""}
    assert "before_px" in read_rows(out / "classes.csv")[0]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert " ha<" not in page and "hectares" not in page


def test_where_nothing_changed_there_are_no_places_and_the_page_is_fine(maps, tmp_path):
    choices = {**maps[1], "after": maps[1]["before"]}
    out = tmp_path / "change"
    report = find_change(ChangeConfig(str(out), **choices))
    assert report.intervals[0].places == ()
    assert not (out / "places.gpkg").exists()
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "The largest places" not in page and "nan" not in page
    assert "taken for change 0.00 %" in report.text()


def test_maps_that_know_nothing_in_common_are_compared_all_the_same(tmp_path):
    label_hw = make_maps([8], 40, 50).before_hw
    rows = np.arange(40)[:, None]
    before = write_map(tmp_path / "a.tif", np.where(rows < 20, label_hw, IGNORE))
    after = write_map(tmp_path / "b.tif", np.where(rows < 20, IGNORE, label_hw))
    config = ChangeConfig(str(tmp_path / "change"), before=before, after=after, quiet=True)
    report = find_change(config)
    assert report.intervals[0].raw.known_pixels == 0
    assert any("only 0 % of the ground" in warning for warning in report.warnings)
    assert "nan" not in (tmp_path / "change" / "report.html").read_text(encoding="utf-8")


def test_transitions_are_a_class_map_of_which_areas_are_estimated(maps, tmp_path):
    out = tmp_path / "change"
    find_change(ChangeConfig(str(out), **maps[1]))
    path = str(out / "transitions.tif")
    expected = transition_scheme(SCHEME)
    with open_class_map(path) as transitions:
        assert transitions.scheme.names == expected.names
        assert np.array_equal(transitions.scheme.palette, expected.palette)
        grid = transitions.grid
    assert cog_validate(path, strict=True)[0]
    points = tmp_path / "points.gpkg"
    draw_sample(SampleConfig(path, str(points), n=600, min_per_class=30, quiet=True))
    sample = read_sample(points, grid)
    codes = read(Path(path))[sample.rows, sample.cols]
    names = tuple(expected.names[code] for code in codes)
    # Some points say otherwise.
    names = tuple("stable water" if i % 9 == 0 else name for i, name in enumerate(names))
    write_sample(points, type(sample)(**{**vars(sample), "references": names}), grid)
    estimates = assess_area(AreaConfig(path, str(points), quiet=True)).estimates
    assert np.sum(estimates.counts) == 600
    assert {land.name for land in estimates.classes} <= set(expected.names)


def test_a_folder_that_exists_is_refused_before_any_work(maps, tmp_path):
    out = tmp_path / "change"
    out.mkdir()
    (out / "mine").write_text("x")
    choices = {**maps[1], "before": str(tmp_path / "none.tif")}
    with pytest.raises(LcsegError, match=r"change: exists already; name another --out"):
        find_change(ChangeConfig(str(out), **choices))
    assert [path.name for path in out.iterdir()] == ["mine"]


def test_nothing_is_left_of_a_comparison_that_fails(maps, tmp_path):
    before = {path.name for path in tmp_path.iterdir()}
    fails = [
        {"after": str(tmp_path / "none.tif")},
        {"regions": str(tmp_path / "none.gpkg")},
        {"image_before": maps[1]["before"], "image_after": str(tmp_path / "none.tif")},
        {"classes": "chesapeake-6"},
        {"model": str(tmp_path / "none")},
    ]
    for choices in fails:
        with pytest.raises(LcsegError):
            find_change(ChangeConfig(str(tmp_path / "change"), **{**maps[1], **choices}))
        assert {path.name for path in tmp_path.iterdir()} == before


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Images of two dates, and a model that has learned nothing."""
    folder = tmp_path_factory.mktemp("images")
    pair = make_dates(Dates(Landscape(300, 5), shift_px=(0.5, 0.0)))
    paths = [
        write_raster(folder / f"{date}.tif", scene.image_hwc, nodata=0)
        for date, scene in (("2013", pair.before), ("2017", pair.after))
    ]
    return make_bundle(folder / "bundle", UNetConfig(2, 4)), paths


def test_a_model_maps_the_images_first(images, tmp_path):
    bundle, paths = images
    out = tmp_path / "change"
    report = find_change(
        ChangeConfig(
            str(out),
            model=str(bundle),
            images=(f"2013={paths[0]}", f"2017={paths[1]}"),
            min_confidence=0.6,
            quiet=True,
        )
    )
    made = {"2013.tif", "2013_probabilities.tif", "2017.tif", "2017_probabilities.tif"}
    assert made <= {path.name for path in (out / "maps").iterdir()}
    assert [date.map for date in report.dates] == [f"{out}/maps/2013.tif", f"{out}/maps/2017.tif"]
    assert all(Path(date.map).exists() for date in report.dates)
    assert report.has_probabilities and all(date.fitness for date in report.dates)
    interval = report.intervals[0]
    assert interval.shift is not None
    labels = [read(out / "maps" / f"{date}.tif") for date in (2013, 2017)]
    assert np.array(interval.raw.pixels).tolist() == count_pairs(*labels).tolist()
    assert not [name for name in list_files(out) if Path(name).name.startswith(".")]
    # The same from the maps that it has made.
    again = find_change(
        ChangeConfig(
            str(tmp_path / "again"),
            maps=tuple(f"{date}={out}/maps/{date}.tif" for date in (2013, 2017)),
            probabilities=tuple(
                f"{date}={out}/maps/{date}_probabilities.tif" for date in (2013, 2017)
            ),
            min_confidence=0.6,
            quiet=True,
        )
    )
    assert again.intervals[0].change == interval.change
    first, second = (
        (folder / "transitions.tif").read_bytes() for folder in (out, tmp_path / "again")
    )
    assert first == second


def test_images_that_are_only_shown_are_measured_too(images, maps, tmp_path):
    choices = {"image_before": images[1][0], "image_after": images[1][1]}
    report = find_change(ChangeConfig(str(tmp_path / "change"), **maps[1], **choices))
    assert report.intervals[0].shift is None or report.intervals[0].shift.n_windows
    assert all(date.fitness is None for date in report.dates)
    document = json.loads((tmp_path / "change" / "report.json").read_text())
    assert [date["image"] for date in document["dates"]] == images[1]


def test_nothing_of_an_earlier_start_with_other_choices_is_in_the_result(images, maps, tmp_path):
    bundle, paths = images
    out = tmp_path / "change"
    choices = {"model": str(bundle), "quiet": True}
    with pytest.raises(LcsegError):
        # The second image cannot be read, so the map of the first is kept for the next start.
        dates = f"a={paths[0]}", f"b={tmp_path}/none.tif"
        find_change(ChangeConfig(str(out), images=dates, **choices))
    find_change(ChangeConfig(str(out), **maps[1]))
    assert not (out / "maps").exists()


def test_a_map_of_another_image_is_made_anew(images, tmp_path):
    bundle, paths = images
    out, again = tmp_path / "change", tmp_path / "again"
    with pytest.raises(LcsegError):
        dates = f"a={paths[0]}", f"b={tmp_path}/none.tif"
        find_change(ChangeConfig(str(out), images=dates, model=str(bundle), quiet=True))
    # The map of the first date is there already, but of another image.
    dates = f"a={paths[1]}", f"b={paths[0]}"
    for folder in (out, again):
        find_change(ChangeConfig(str(folder), images=dates, model=str(bundle), quiet=True))
    assert (out / "maps/a.tif").read_bytes() == (again / "maps/a.tif").read_bytes()


def test_a_map_of_a_date_whose_name_begins_alike_is_not_taken_over(images, tmp_path):
    bundle, paths = images
    out, choices = tmp_path / "change", {"model": str(bundle), "quiet": True}
    # What a start has left that was told of the dates ab and c.
    maps = tmp_path / ".change.partial" / "change" / "maps"
    for name in ("progress/maps", "change/maps/ab.tif", "change/maps/ab.json"):
        path = tmp_path / ".change.partial" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left")
    dates = f"a={paths[0]}", f"b={paths[1]}"
    find_change(ChangeConfig(str(out), images=dates, **choices))
    assert not maps.exists()
    assert {path.name.split(".")[0].split("_")[0] for path in (out / "maps").iterdir()} == {
        "a",
        "b",
    }
