"""The report of an audit, as text, JSON and a page."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lcseg.audit.report import (
    AuditReport,
    ClassRow,
    LeftOut,
    PairRow,
    PlaceRow,
    render_html,
    write_report,
)
from lcseg.audit.thumbnails import Thumbnail
from lcseg.classes import ClassScheme, LandClass
from lcseg.documents import read_document
from lcseg.pictures import encode_png

SCHEME = ClassScheme(
    "cover", (LandClass("grass <b>", "#A8D66B", (1,)), LandClass("water", "#1F78C8", (2,)))
)
PNG = encode_png(np.zeros((4, 4, 3), np.uint8))


@pytest.fixture
def report() -> AuditReport:
    return AuditReport(
        labels="labels & co.tif",
        predictions="probabilities.tif",
        scheme=SCHEME,
        classes=(ClassRow("grass <b>", 900, 0.875, 0.1), ClassRow("water", 0, None, None)),
        joint=((0.9, 0.1), (0.0, 0.0)),
        pairs=(PairRow("grass <b>", "water", 1200, 48_000, 4.8, 0.9312),),
        places=(
            PlaceRow(
                1,
                "scene-3",
                "2021-06-01",
                10,
                2000,
                "grass <b>",
                "water",
                150,
                600.0,
                0.97,
                0.01,
                0.96,
            ),
        ),
        left_out=(LeftOut("narrow", 3400, 9000), LeftOut("small", 0, 0)),
        notes=("the model was trained on <this>",),
        details={"scenes": "3"},
        created="2026-01-02T03:04:05+00:00",
    )


@pytest.fixture
def thumbnail() -> Thumbnail:
    return Thumbnail(64, (("label", "png", PNG), ("prediction", "png", PNG)), "M1 1L1 5L5 5Z")


def test_a_report_is_written_as_json_and_a_page(tmp_path, report, thumbnail):
    write_report(report, [thumbnail], tmp_path / "audit")
    names = sorted(path.name for path in (tmp_path / "audit").iterdir())
    assert names == ["report.html", "report.json"]
    assert read_document(tmp_path / "audit" / "report.json", AuditReport) == report


def test_the_text_says_what_was_found_and_what_was_left_out(report):
    assert report.text() == (
        "label      model      places    hectares    confidence\n"
        "---------  -------  --------  ----------  ------------\n"
        "grass <b>  water       1,200        4.80          0.93\n"
        "\n"
        "1,200 places, 1 of them listed; "
        "by all pixels, 10.0 % of the labels are wrong (estimated)\n"
        "left out: 3,400 that are no wider than borders that are drawn off\n"
        "note: the model was trained on <this>"
    )


def test_without_areas_pixels_are_told(report):
    pair = replace(report.pairs[0], hectares=None)
    place = replace(report.places[0], area_m2=None)
    bare = replace(report, pairs=(pair,), places=(place,))
    assert "pixels" in bare.text() and "48,000" in bare.text()
    assert "hectares" not in bare.text() + render_html(bare, [Thumbnail(64, (), "")])


def test_the_page_shows_every_place_with_its_outline(report, thumbnail):
    page = render_html(report, [thumbnail])
    assert page.count('href="#outline-1"') == 4
    assert page.count("data:image/png;base64,") == 2
    assert "M1 1L1 5L5 5Z" in page
    plain = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    for text in (
        "labels &amp; co.tif",
        "0.97 against 0.01, 150 px, 600 m², 2021-06-01, scene-3, row 10, column 2,000",
        "3,400 places of 9,000 px that are no wider than borders",
        "the model was trained on &lt;this&gt;",
        "places found 1,200",
    ):
        assert text in plain
    assert '<b>"' not in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_a_page_without_findings_says_so(report):
    empty = replace(report, pairs=(), places=(), joint=((1.0, 0.0), (0.0, 0.0)))
    assert "Nothing was found" in render_html(empty)
    assert empty.text().startswith("label    model    places    hectares    confidence\n")
    assert "0 places, 0 of them listed; by all pixels, 0.0 % of the labels" in empty.text()
