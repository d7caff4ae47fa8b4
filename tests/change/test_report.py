"""Reports as numbers, as texts, and as a page in a browser."""

import csv
import shutil

import numpy as np
import pytest
from changed import make_maps, write_map
from conftest import write_raster
from playwright.sync_api import sync_playwright

from lcseg.change.analysis import find_change
from lcseg.change.comparison import Filtering
from lcseg.change.config import ChangeConfig
from lcseg.change.places import Place
from lcseg.change.registration import Shift
from lcseg.change.report import (
    ChangeReport,
    DateInfo,
    Interval,
    IntervalPictures,
    Matrix,
    RegionChange,
    format_area,
    write_report,
)
from lcseg.change.search import Rules
from lcseg.change.tables import write_tables
from lcseg.change.tally import Tally
from lcseg.classes import ClassScheme, LandClass
from lcseg.documents import read_document
from lcseg.raster.fit import LabelFit
from lcseg.raster.grid import Window

SCHEME = ClassScheme(
    "two", (LandClass("<b>wood</b> & more", "#1E6B34", (1,)), LandClass("water", "#1F78C8", (2,)))
)
PIXELS = np.array([[7000, 300, 10], [100, 2600, 0], [0, 20, 500]])
MATRIX = Matrix.of(Tally(PIXELS, 900.0 * PIXELS), True)
PLACE = Place(
    1, SCHEME.names[0], "water", 0.9, 200, 18.0, 0.93, (-76.15, 38.84), (3, 4), Window(3, 4, 9, 30)
)
PNG = b"\x89PNG"


def make_report(matrix: Matrix = MATRIX, **choices: object) -> ChangeReport:
    interval = Interval(
        "2013",
        "2017",
        matrix,
        matrix,
        Filtering(400, 400, 400, 400),
        LabelFit("shifted", (0.0, 0.25), (1.0, 0.25), 0.98, "UTM", 30.0),
        Shift(0.31, -1.2, 0.4, 9),
        (RegionChange("Kent <county>", matrix),),
        (PLACE,),
        "",
    )
    dates = DateInfo("2013", "a & b.tif", "", None), DateInfo("2017", "b.tif", "", None)
    values = {
        "scheme": SCHEME,
        "dates": dates,
        "intervals": (interval,),
        "rules": Rules(0.85, 1, 1000.0),
        "has_probabilities": True,
        "warnings": ("something <odd>",),
        "created": "2026-11-27T06:00:00+00:00",
    }
    return ChangeReport(**{**values, **choices})


def write(report: ChangeReport, folder) -> str:
    folder.mkdir()
    tiles = [("map, 2013", PNG), ("map, 2017", PNG)]
    maps = [*tiles, ("change", PNG)]
    pictures = IntervalPictures(flow=PNG, panels=PNG, maps=maps, places=[tiles])
    write_report(report, [pictures] * len(report.intervals), None, folder)
    write_tables(report, folder)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_a_report_is_a_page_a_document_and_tables(tmp_path):
    report = make_report()
    page = write(report, tmp_path / "change")
    names = {path.name for path in (tmp_path / "change").iterdir()}
    tables = {"matrix.csv", "classes.csv", "regions.csv"}
    assert names == {"report.html", "report.json", "flow.png", "maps.png"} | tables
    assert read_document(tmp_path / "change" / "report.json", ChangeReport) == report
    assert "2013 to 2017" in page and "38.84000, -76.15000" in page
    with (tmp_path / "change" / "classes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == list(SCHEME.names)
    assert float(rows[1]["net_ha"]) == pytest.approx(200 * 0.09)


def test_names_are_text_on_the_page_whatever_is_in_them(tmp_path):
    page = write(make_report(), tmp_path / "change")
    assert "<b>wood" not in page and "Kent <county>" not in page and "<odd>" not in page
    assert "&lt;b&gt;wood" in page and "Kent &lt;county&gt;" in page and "a &amp; b.tif" in page


def test_a_matrix_knows_gains_and_losses():
    assert (MATRIX.known_pixels, MATRIX.changed_pixels) == (10_000, 400)
    assert MATRIX.changed_hectares == pytest.approx(36)
    wood, water = MATRIX.flows()
    figures = wood.before, wood.after, wood.lost, wood.gained, wood.net
    assert figures == pytest.approx((657, 639, 27, 9, -18))
    assert (water.net, water.lost) == pytest.approx((18, 9))
    bare = Matrix.of(Tally(PIXELS, PIXELS.astype(float)), False)
    assert (bare.hectares, bare.changed_hectares) == (None, None)
    assert bare.flows()[0].net == -200 and bare.cells == bare.pixels


def test_text_tells_gains_losses_and_the_shift():
    lines = make_report().text().splitlines()
    assert lines[0].split() == ["2013", "to", "2017,", "ha", "before", "lost", "gained", "net"]
    assert lines[2].split()[-4:] == ["657.00", "27.00", "9.00", "−18.00"]
    assert lines[3].split() == ["water", "243.00", "9.00", "27.00", "+18.00"]
    assert "differing 4.00 % of the area; taken for change 4.00 %" in lines
    assert lines[-1] == (
        "the second image lies 0.31 px down and 1.20 px left of the first (± 0.40, 9 windows)"
    )


@pytest.mark.parametrize(
    ("value", "unit", "largest", "sign", "expected"),
    [
        (None, "ha", 1, False, "–"),
        (0.0, "ha", 1, True, "0.000"),
        (-0.0001, "ha", 1, True, "0.000"),
        (0.0001, "ha", 1, True, "0.000"),
        (0.0123, "ha", 0.5, True, "+0.0123"),
        (-12.345, "ha", 50, True, "−12.35"),
        (12.34, "ha", 50, True, "+12.34"),
        (1234.5, "ha", 5000, False, "1,234.5"),
        (123456.7, "ha", 5e5, False, "123,457"),
        (-0.2, "ha", 5e5, True, "0"),
        (12.0, "px", 50, False, "12"),
        (-1234.0, "px", 5000, True, "−1,234"),
    ],
)
def test_areas_have_as_many_decimals_as_make_sense(value, unit, largest, sign, expected):
    assert format_area(value, unit, largest, sign) in (expected, expected.replace("35", "34"))


def test_a_report_without_areas_shows_pixels(tmp_path):
    bare = Matrix.of(Tally(PIXELS, PIXELS.astype(float)), False)
    page = write(make_report(bare), tmp_path / "change")
    assert "hectares" not in page and "7,000" in page
    assert make_report(bare).text().startswith("2013 to 2017, px")


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Pages of two dates with images, of three without, and of two that are the same."""
    folder = tmp_path_factory.mktemp("reports")
    maps = [make_maps([seed], 260, 300) for seed in range(2)]
    labels = [maps[0].before_hw, maps[0].after_hw, maps[1].before_hw]
    paths = [write_map(folder / f"{i}.tif", label_hw) for i, label_hw in enumerate(labels)]
    random = np.random.default_rng(0)
    images = [
        write_raster(folder / f"i{i}.tif", random.integers(1, 256, (260, 300, 3), np.uint8))
        for i in range(2)
    ]
    names = ["2013-07-04", "2015-08-12", "2017-06-30"]
    configs = {
        "two": {"before": paths[0], "after": paths[1]}
        | {"image_before": images[0], "image_after": images[1]},
        "three": {"maps": tuple(f"{n}={p}" for n, p in zip(names, paths, strict=True))},
        "same": {"before": paths[0], "after": paths[0]},
    }
    for name, choices in configs.items():
        find_change(ChangeConfig(str(folder / name), **choices, places=6, quiet=True))
    return folder


@pytest.mark.clients
@pytest.mark.parametrize("name", ["two", "three", "same"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1100])
def test_the_page_is_whole_in_a_browser(reports, name, scheme, width):
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if program is None:
        pytest.skip("there is no chromium; on Debian: apt install chromium")
    complaints: list[str] = []
    asked_for: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text))
        page.on("request", lambda asked: asked_for.append(asked.url))
        page.goto((reports / name / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        is_shown = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
        assert page.evaluate(is_shown)
        # Pictures of places are named by their captions.
        unnamed = "[...document.images].filter(i => !i.alt && !i.closest('.tiles')).length"
        assert page.evaluate(unnamed) == 0
        assert page.evaluate("[...document.images].every(i => i.hasAttribute('alt'))")
        assert page.title().startswith("What changed: ")
        headings = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => h.tagName)")
        assert headings[0] == "H1" and headings.count("H1") == 1
        browser.close()
    assert complaints == []
    assert all(url.startswith(("data:", "file:")) for url in asked_for)
