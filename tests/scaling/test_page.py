"""A scaling report as tables, picture, page and JSON: every number says where it is from."""

import dataclasses
import re
from html.parser import HTMLParser

import pytest
from readings import CONFIG, make_readings

from lcseg.documents import read_document
from lcseg.scaling.page import draw_scaling, format_tables, render_html, write_report
from lcseg.scaling.projection import make_report
from lcseg.scaling.report import ScalingReport

KINDS = {"measured", "projected", "published", "fitted", "counted", "assumed"}
PNG = b"\x89PNG"


@pytest.fixture
def report() -> ScalingReport:
    config = dataclasses.replace(CONFIG, step_s=0.03)
    return make_report(config, make_readings(cores=2))


class Page(HTMLParser):
    """Rows of the tables of a page, each a list of its cells; and what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.figures: list[str] = []
        self.references: list[str] = []
        self._into: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.references += [v for k, v in attrs if k in ("src", "href", "srcset", "action")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td", "dt"):
            self._into = self.figures if tag == "dt" else self.rows[-1]
            self._into.append("")

    def handle_endtag(self, tag):
        if tag in ("th", "td", "dt"):
            self._into = None

    def handle_data(self, data):
        if self._into is not None:
            self._into[-1] = " ".join([*self._into[-1].split(), *data.split()])


def test_a_report_is_written_as_json_a_picture_and_a_page(tmp_path, report):
    write_report(report, tmp_path / "new")
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["report.html", "report.json", "scaling.png"]
    assert read_document(tmp_path / "new" / "report.json", ScalingReport) == report
    assert (tmp_path / "new" / "scaling.png").read_bytes().startswith(PNG)


def test_every_row_of_the_page_says_of_which_kind_it_is(report):
    page = Page(render_html(report, PNG))
    details = ("cores of the machine", "wanted by others before", "steps timed")
    kind_of_column: list[str] = []
    for row in page.rows:
        if row[0] in ("workers", "term"):
            assert "kind" in row
        elif row[0] == "GPUs":
            kind_of_column = row
        elif row[0] not in details and len(row) != len(kind_of_column):
            assert len(set(row) & KINDS) == 1, row
    assert [text.rsplit(maxsplit=1)[-1] for text in kind_of_column[1:]] == [
        *("published", "projected", "projected"),
    ]
    assert {text.split()[-1] for text in page.figures} == {"measured", "projected"}


def test_the_page_shows_what_was_measured_and_what_is_projected(report):
    rows = Page(render_html(report, PNG)).rows
    # By hand: 101 ms alone; of two 125.3 ms; of four that share two cores 280 ms.
    assert [row[1] for row in rows if row[0] == "2" and "measured" in row] == ["1.61x"]
    assert [row[1] for row in rows if row[0] == "4 shared cores"] == ["1.44x"]
    assert [row[-1] for row in rows if row[0] in ("1", "2", "4 shared cores")] == ["measured"] * 3
    assert [row[1:] for row in rows if row[0] == "64" and len(row) == 4] == [
        ["26.3x, 41 %", "41.6x, 65 %", "27.6x, 43 %"]
    ]


def test_the_page_asks_for_nothing_else(report):
    text = render_html(report, PNG)
    assert [reference.partition(",")[0] for reference in Page(text).references] == [
        *("data:", "data:image/png;base64"),
    ]
    assert not re.search(r"https?:|url\(|@import|<script", text)


def test_more_devices_than_one_are_not_held_beside_gpus_of_others(report):
    assert "Beside the work of 2018" in render_html(report, PNG)
    several = make_report(CONFIG, make_readings(devices=2))
    assert "Beside the work of 2018" not in render_html(several, PNG)


def test_every_line_of_the_tables_says_of_which_kind_it_is(report):
    tables = format_tables(report)
    numbers = [line for line in tables.splitlines() if re.match(r"\d", line)]
    assert [line.split()[-1] for line in numbers] == ["measured"] * 3 + ["projected"] * 10
    assert "base: 1 worker, 1 x CPU, cores of its own: 1, batch 4 of 64 px for each" in tables
    assert "4 (shared cores)" in tables


def test_the_picture_tells_measured_from_projected(report):
    (axis,) = draw_scaling(report).axes
    lines = {line.get_label(): line for line in axis.lines}
    assert list(lines["measured"].get_xdata()) == [1, 2]
    assert list(lines["measured, on shared cores"].get_xdata()) == [4]
    own = lines["projected: the step of this machine, 100 ms"]
    speedups = dict(zip(own.get_xdata(), own.get_ydata(), strict=True))
    assert speedups[1] == 1
    last = report.projections[0].rows[-1]
    assert speedups[148] == pytest.approx(last.speedup)
    assert "projected: the stated step, 30 ms" in lines
    assert list(lines["ideal"].get_ydata()) == [1, 148]
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")


def test_a_report_without_a_known_network_has_a_page(report):
    text = render_html(make_report(CONFIG, make_readings(cores=1)), PNG)
    assert "β here" not in text
