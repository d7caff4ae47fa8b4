"""The report of an evaluation, as JSON, pictures and a page."""

import base64
import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from lcseg.classes import ClassScheme, LandClass
from lcseg.documents import read_document
from lcseg.evaluation.calibration import Reliability
from lcseg.evaluation.confusion import Confusion
from lcseg.evaluation.report import Pictures, Report, render_html, score_pages, write_report
from lcseg.evaluation.spots import Place, Spot
from lcseg.evaluation.tally import Tally, count, score_part
from lcseg.pictures import encode_png

SCHEME = ClassScheme(
    "three",
    (
        LandClass("water", "#1F78C8", (1,)),
        LandClass("<b>tree</b>/forest", "#1E6B34", (2,)),
        LandClass("road", "#3C3C3C", (3,)),
    ),
)
COUNTS = np.array([[9_000, 1_000, 0], [500, 12_345, 0], [0, 0, 0]], np.int64)
PNG = encode_png(np.zeros((4, 4, 3), np.uint8))
PANELS = Pictures(PNG)


def make_report(counts: np.ndarray, details: dict[str, str]) -> Report:
    confusion = Confusion(counts)
    return Report(
        title="Evaluation of a & b",
        subject="runs/a/bundle",
        reference="chips, split <test>",
        scheme=SCHEME,
        counts=confusion.cells,
        scores=confusion.scores(SCHEME.names),
        created="2026-01-02T03:04:05+00:00",
        details=details,
    )


@pytest.fixture
def report() -> Report:
    return make_report(COUNTS, {"pixel size": "1 m", "<i>": "<script>alert(1)</script>"})


class Page(HTMLParser):
    """What a page holds: its tags, what they refer to, and the text of its table cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.titles: list[str] = []
        self.cells: list[str] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references += [v for k, v in attrs if k in ("src", "href", "srcset", "action")]
        self.titles += [v for k, v in attrs if k == "title"]
        if tag == "td":
            self.cells.append("")
        self._in_cell = tag == "td" or (self._in_cell and tag != "th")

    def handle_endtag(self, tag):
        self._in_cell = self._in_cell and tag != "td"

    def handle_data(self, data):
        if self._in_cell:
            self.cells[-1] += data.strip()


def test_a_report_is_written_as_json_a_picture_and_a_page(tmp_path, report):
    write_report(report, tmp_path / "new", PANELS)
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["confusion.png", "report.html", "report.json"]
    assert read_document(tmp_path / "new" / "report.json", Report) == report
    assert (tmp_path / "new" / "confusion.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    assert page == render_html(report, PANELS)


def test_a_report_that_is_written_again_replaces_the_old_one(tmp_path, report):
    (tmp_path / "report.html").write_text("old")
    write_report(report, tmp_path)
    write_report(report, tmp_path)
    assert "Evaluation of a &amp; b" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(list(tmp_path.iterdir())) == 3


def test_counts_of_other_classes_are_refused(report):
    assert report.confusion.counts.tolist() == COUNTS.tolist()
    with pytest.raises(ValueError, match="not those of the 3 classes"):
        dataclasses.replace(report, counts=Confusion.empty(2).cells)


def test_the_page_asks_for_nothing_else(report):
    text = render_html(report, PANELS)
    page = Page(text)
    assert page.references == [
        "data:,",
        "data:image/png;base64," + base64.b64encode(PNG).decode(),
    ]
    assert not re.search(r"https?:|//|url\(|@import", render_html(report))
    assert not {"script", "iframe", "object", "form"} & set(page.tags)


def test_names_and_details_are_escaped(report):
    text = render_html(report)
    assert "<b>tree" not in text
    assert "&lt;b&gt;tree&lt;/" in text
    assert "<script>" not in text
    assert "split &lt;test&gt;" in text
    assert Page(text).titles[1] == "water mapped as <b>tree</b>/forest: 1,000 pixels"


def test_the_page_shows_scores_and_shares_of_rows(report):
    cells = Page(render_html(report)).cells
    assert cells[:5] == ["0.857", "0.923", "0.947", "0.900", "10,000"]
    assert cells[9] == "12,845"
    assert cells[10:15] == ["–", "–", "–", "–", "0"]
    assert cells[15:19] == ["90.0", "10.0", "0.0", "90.0"]
    assert cells[19:23] == ["3.9", "96.1", "0.0", "96.1"]
    assert cells[23:27] == ["–", "–", "–", "–"]
    assert cells[27:31] == ["94.7", "92.5", "–", "93.4"]


def test_samples_and_details_stand_only_where_there_are_any(report):
    plain = make_report(COUNTS, {})
    assert "Samples" not in render_html(plain)
    assert "Details" not in render_html(plain)
    assert "Samples" in render_html(report, PANELS)
    assert "pixel size" in render_html(report)


def test_a_report_of_no_pixels_says_so(tmp_path):
    empty = make_report(np.zeros_like(COUNTS), {})
    write_report(empty, tmp_path)
    assert read_document(tmp_path / "report.json", Report) == empty
    text = render_html(empty)
    assert "No pixel has both a label and a prediction" in text
    assert "None" not in text
    assert "nan" not in text


def make_closer_report(scenes: int = 25, pixels: int = 10_000) -> Report:
    """A report with all that a closer look finds: each scene is a little better than the last."""
    counts = np.array([[9_000, 1_000, 0], [500, 12_345, 0], [0, 0, 0]], np.int64)
    parts = [
        score_part(f"scene <{i}>", Confusion(counts + np.diag([i, i, 0])), SCHEME.names)
        for i in range(scenes)
    ]
    confidence = np.full(pixels, 0.9, np.float32)
    reliability = Reliability.empty().add(confidence, np.arange(pixels) % 5 > 0)
    return dataclasses.replace(
        make_report(COUNTS, {}),
        calibration=reliability.calibration(),
        by_distance=Tally.empty(3).distances(SCHEME.names),
        by_scene=tuple(parts),
        worst=(Spot(Place("scene <7>", 1024, 256, 3), 12_345, 0.25), Spot(Place("", 0, 5), 9, 0.5)),
    )


def test_a_closer_look_is_written_and_shown(tmp_path):
    report = make_closer_report()
    tiles = [[("label", PNG), ("map", PNG)]] * 2
    write_report(report, tmp_path, Pictures(PNG, tiles))
    assert read_document(tmp_path / "report.json", Report) == report
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "in 15 bins of equal width, is <b>0.100</b>" in text
    assert "It claims more than it holds" in text
    assert "These are the first 20 of 25" in text
    cells = Page(text).cells
    assert text.count("scene &lt;") == 21
    assert cells.count("0") == 7  # The support of a class, and six bands of distance.
    assert "row 1,024, column 256" in text
    assert "of 9 px right:" in text
    data = "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert Page(text).references.count(data) == 5
    assert not re.search(r"https?:|url\(|@import|<b>tree", text)


def test_what_matters_most_is_told_as_text():
    scores, *lines = make_closer_report().text().rsplit("\n", 2)
    assert scores == make_report(COUNTS, {}).scores.table()
    assert lines == [
        "calibration error (ECE, 15 bins) 0.100: confidence 0.900, accuracy 0.800",
        "worst of 25 scenes: scene <0>, overall accuracy 0.934",
    ]
    assert make_report(COUNTS, {}).text() == scores
    bands = count(np.arange(3, dtype=np.uint8)[None], np.zeros((1, 3), np.uint8), None, 3)
    near = dataclasses.replace(make_report(COUNTS, {}), by_distance=bands.distances(SCHEME.names))
    assert near.text().endswith("by distance to the label border: 1 px 0.333")


def test_one_scene_is_not_ranked():
    assert "Scenes" not in render_html(make_closer_report(scenes=1))
    assert "worst of" not in make_closer_report(scenes=1).text()


def test_another_template_can_import_the_pieces(report):
    template = score_pages("lcseg.demo").from_string(
        '{% import "parts.html" as parts %}{% import "scores.html" as score_parts %}'
        '{{ parts.head("Index", score_parts.css()) }}{{ score_parts.headline(scores) }}'
    )
    text = template.render(scores=report.scores)
    assert "<title>Index</title>" in text
    assert ".confusion td {" in text
    assert "<dd>0.934</dd>" in text
