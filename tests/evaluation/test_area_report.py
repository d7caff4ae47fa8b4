"""The report of areas, as JSON and as a page."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lcseg.classes import ClassScheme, LandClass
from lcseg.documents import read_document
from lcseg.evaluation.area import estimate
from lcseg.evaluation.area_report import AreaReport, render_area_html, write_area_report

SCHEME = ClassScheme(
    "change",
    (
        LandClass("deforestation", "#D66C34", (1,)),
        LandClass("forest <gain>", "#A8D66B", (2,)),
        LandClass("stable forest", "#1E6B34", (3,)),
        LandClass("stable non-forest", "#B5A79A", (4,)),
    ),
)
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
HECTARES = np.array([18_000.0, 13_500.0, 288_000.0, 580_500.0])


@pytest.fixture
def report() -> AreaReport:
    return AreaReport(
        map="maps/change.tif",
        reference="points & notes.gpkg",
        scheme=SCHEME,
        estimates=estimate(COUNTS, HECTARES, SCHEME.names),
        notes=("a note <b>",),
        details={"pixel": "900 m²"},
        created="2026-01-02T03:04:05+00:00",
    )


def texts(page: str) -> list[str]:
    """The cells of the page's tables, without their tags."""
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]*>|&nbsp;", " ", cell).split()) for cell in cells]


def test_a_report_is_written_as_json_and_a_page(tmp_path, report):
    write_area_report(report, tmp_path / "area")
    assert sorted(path.name for path in (tmp_path / "area").iterdir()) == [
        "report.html",
        "report.json",
    ]
    assert read_document(tmp_path / "area" / "report.json", AreaReport) == report
    page = (tmp_path / "area" / "report.html").read_text(encoding="utf-8")
    assert page == render_area_html(report)


def test_the_page_shows_estimates_and_both_matrices(report):
    page = render_area_html(report)
    cells = texts(page)
    assert cells[1:6] == [
        "21,158 ± 6,158",
        "2.4 ± 0.7 %",
        "18,000",
        "0.880 ± 0.074",
        "0.749 ± 0.213",
    ]
    assert cells[24:29] == ["66", "0", "5", "4", "75"]
    assert cells[44:49] == ["69", "56", "175", "340", "640"]
    assert cells[49:54] == ["0.0176", "0.0000", "0.0013", "0.0011", "0.0200"]
    assert cells[73] == "1.0000"
    assert "0.947" in page


def test_bars_fit_their_cells(report):
    page = render_area_html(report)
    values = {
        name: [float(v) for v in re.findall(rf"--{name}: ([\d.]+)%", page)]
        for name in ("value", "low", "span", "mapped")
    }
    assert all(len(found) == 4 for found in values.values())
    ends = [low + span for low, span in zip(values["low"], values["span"], strict=True)]
    assert max(ends + values["mapped"]) == pytest.approx(100)
    assert values["low"][0] < values["value"][0] < ends[0]


def test_the_page_asks_for_nothing_else_and_escapes_names(report):
    page = render_area_html(report)
    assert not re.search(r"https?:|//|url\(|@import|<script|<iframe", page)
    assert "forest &lt;gain&gt;" in page
    assert "a note &lt;b&gt;" in page
    assert "points &amp; notes.gpkg" in page


def test_what_cannot_be_estimated_is_a_dash(report):
    counts, hectares = COUNTS.copy(), HECTARES.copy()
    counts[1], hectares[1], counts[:, 1] = 0, 0, 0
    estimates = estimate(counts, hectares, SCHEME.names)
    page = render_area_html(replace(report, estimates=estimates))
    assert texts(page)[7:12] == ["0 ± 0", "0.0 ± 0.0 %", "0", "–", "–"]
    assert not re.search(r"nan|None", page)
