"""The report of a conversion: its figures against independent counts, its page, its warnings."""

import base64
import dataclasses
import io
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from conftest import write_raster
from PIL import Image

from lcseg.classes import ClassScheme, LandClass, code_number, unpack_color
from lcseg.documents import read_document
from lcseg.pictures import encode_png
from lcseg.records.codec import decode_chip
from lcseg.records.config import ConvertConfig
from lcseg.records.conversion import convert, rehearse
from lcseg.records.looks import LOOKS
from lcseg.records.manifest import read_manifest
from lcseg.records.report import ConversionReport, render_html, write_report
from lcseg.records.shards import read_shard
from lcseg.records.suspects import Suspect, write_suspects

CHIP = 32
SHAPES = {"a": (128, 128), "bb": (160, 112)}
PNG = encode_png(np.zeros((4, 4, 3), np.uint8))
VOID = {"meta", "link", "img", "br", "wbr", "input", "hr"}


def make_config(folder: Path, **changes: object) -> ConvertConfig:
    settings: dict[str, object] = {
        "classes": "chesapeake-4",
        "out": str(folder / "data"),
        "images": f"{folder}/*_image.tif",
        "labels": f"{folder}/*_label.tif",
        "chip_px": CHIP,
        "block_chips": 1,
        "split_buffer_px": 0,
        "min_labelled": 0.2,
        "workers": 1,
        "quiet": True,
    }
    return ConvertConfig(**(settings | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes a kilometre apart, with a chip without label, one with little, and no data."""
    folder = tmp_path_factory.mktemp("report")
    for number, (name, shape) in enumerate(SHAPES.items()):
        random = np.random.default_rng(number)
        image_hwc = random.integers(1, 200, (*shape, 3)).astype(np.uint8)
        image_hwc[-8:, :40] = 0
        codes_hw = random.integers(1, 7, shape).astype(np.uint8)
        codes_hw[:CHIP, :CHIP] = 0
        codes_hw[:CHIP, CHIP + 4 : 2 * CHIP] = 0
        place = (0.5, 0.0, 400_000.0 + 1000 * number, 0.0, -0.5, 4_300_000.0)
        write_raster(folder / f"{name}_image.tif", image_hwc, transform=place, nodata=0)
        write_raster(folder / f"{name}_label.tif", codes_hw, transform=place)
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> ConversionReport:
    convert(make_config(folder))
    return read_document(folder / "data" / "conversion.json", ConversionReport)


class Page(HTMLParser):
    """What a page holds; `problems` are tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.problems: list[str] = []
        self.tags: Counter[str] = Counter()
        self.references: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.references += [v for k, v in attrs if k in ("src", "href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(tag)

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] = f"{self.rows[-1][-1]} {data.strip()}".strip()


def read_rasters(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(is valid, label) of a scene by rasterio and numpy alone; label 255 where there is none."""
    with rasterio.open(folder / f"{name}_image.tif") as dataset:
        valid_hw = (dataset.read() != 0).any(axis=0)
    with rasterio.open(folder / f"{name}_label.tif") as dataset:
        codes_hw = dataset.read(1)
    label_hw = np.array([255, 0, 1, 2, 3, 3, 3], np.uint8)[codes_hw]
    return valid_hw, np.where(valid_hw, label_hw, 255)


def test_a_conversion_leaves_its_report_as_json_and_a_page(folder, report):
    assert (folder / "data" / "conversion.html").read_text(encoding="utf-8").count("<h1>") == 1
    text = (folder / "data" / "conversion.json").read_text(encoding="utf-8")
    assert not re.search(r"NaN|Infinity", text)
    assert not report.is_plan
    assert (report.chip_px, report.dtype, len(report.bands), report.sites) == (CHIP, "uint8", 3, 2)
    assert report.pixel_m == pytest.approx(0.5, rel=2e-3)
    assert report.settings["min_labelled"] == 0.2
    assert "workers" not in report.settings
    assert report.settings == read_manifest(folder / "data").settings


def test_the_report_that_is_read_back_is_the_one_that_was_written(tmp_path, report):
    write_report(report, PNG, tmp_path / "new")
    assert read_document(tmp_path / "new" / "conversion.json", ConversionReport) == report
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {"conversion.json", "conversion.html"}


@pytest.mark.parametrize("index", [0, 1])
def test_shares_of_a_pair_are_what_rasterio_counts(folder, report, index):
    pair, name = report.pairs[index], list(SHAPES)[index]
    valid_hw, label_hw = read_rasters(folder, name)
    assert (pair.key, pair.height, pair.width, pair.crs) == (
        name,
        *SHAPES[name],
        "NAD83 / UTM zone 18N",
    )
    assert pair.nodata == pytest.approx(1 - valid_hw.mean(), abs=1e-12)
    assert pair.nodata > 0
    assert pair.ignored == pytest.approx((valid_hw & (label_hw == 255)).mean(), abs=1e-12)
    assert pair.ignored > pair.nodata
    assert pair.pixel_m == pytest.approx(0.5, rel=2e-3)
    assert (pair.site, pair.image) == (index, str(folder / f"{name}_image.tif"))


@pytest.mark.parametrize("index", [0, 1])
def test_chips_and_classes_of_a_pair_are_those_that_its_rasters_give(folder, report, index):
    pair, name = report.pairs[index], list(SHAPES)[index]
    label_hw = read_rasters(folder, name)[1]
    fates: Counter[str] = Counter()
    classes = np.zeros(4, int)
    for row in range(0, SHAPES[name][0], CHIP):
        for col in range(0, SHAPES[name][1], CHIP):
            held = label_hw[row : row + CHIP, col : col + CHIP]
            labelled = np.count_nonzero(held != 255)
            fate = "kept" if labelled >= 0.2 * CHIP**2 else "scarce" if labelled else "empty"
            fates[fate] += 1
            if fate == "kept":
                classes += [np.count_nonzero(held == i) for i in range(4)]
    assert sum(pair.chips.values()) == pair.kept == fates["kept"]
    assert pair.dropped == {
        "without label": fates["empty"],
        "less label than --min_labelled": fates["scarce"],
    }
    assert set(pair.dropped.values()) == {1}
    assert pair.class_pixels == tuple(classes.tolist())


def test_splits_are_what_the_records_hold(folder, report):
    manifest = read_manifest(folder / "data")
    chips: Counter[tuple[str, str]] = Counter()
    pixels = {split: np.zeros(256, int) for split in report.splits}
    for shard in manifest.shards:
        for record in read_shard(folder / "data" / shard.file):
            chip = decode_chip(manifest.spec, record)
            chips[chip.source, shard.split] += 1
            pixels[shard.split] += np.bincount(chip.label_hw.ravel(), minlength=256)
    for split, summary in report.splits.items():
        assert summary.class_pixels == tuple(pixels[split][:4].tolist())
        assert summary.ignored_pixels == pixels[split][255]
        for pair in report.pairs:
            assert pair.chips[split] == chips[pair.key, split]
        assert summary.chips == sum(pair.chips[split] for pair in report.pairs) > 0
    assert report.chips == chips.total()
    assert report.dropped == 4


def test_the_map_on_the_page_shows_every_split_in_its_colour(folder):
    text = (folder / "data" / "conversion.html").read_text(encoding="utf-8")
    (encoded,) = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"))
    for split in ("train", "val", "test"):
        color = unpack_color(code_number(LOOKS[split].face))
        assert np.count_nonzero((picture == color).all(axis=-1)) > 10_000
        assert f"--color: {LOOKS[split].face}" in text


def test_a_dry_run_tells_the_same_and_says_that_it_is_one(folder, report, tmp_path):
    rehearsed = rehearse(make_config(folder, out=str(tmp_path / "dry")))
    written = tmp_path / "dry.plan"
    assert {path.name for path in written.iterdir()} == {"conversion.json", "conversion.html"}
    assert rehearsed == dataclasses.replace(report, is_plan=True)
    page = (written / "conversion.html").read_text(encoding="utf-8")
    assert "Dry run: no records were written" in page
    assert "Dry run" not in render_html(report, PNG)


def test_chips_given_up_for_another_split_are_counted(tmp_path):
    for number in range(4):
        place = (1.0, 0.0, 400_000.0 + 80 * number, 0.0, -1.0, 4_300_000.0)
        write_raster(
            tmp_path / f"{number}_image.tif", np.full((96, 96, 3), 7, np.uint8), transform=place
        )
        write_raster(
            tmp_path / f"{number}_label.tif", np.full((96, 96), 1, np.uint8), transform=place
        )
    made = rehearse(make_config(tmp_path, split_by="scene"))
    refused = [pair.dropped.get("on the ground of another split", 0) for pair in made.pairs]
    assert [pair.kept + n for pair, n in zip(made.pairs, refused, strict=True)] == [9] * 4
    assert sum(refused) == made.dropped > 0
    assert made.sites == 1
    said = [warning.split(":")[0] for warning in made.warnings]
    given_up = [pair.key for pair, n in zip(made.pairs, refused, strict=True) if n]
    assert said == [
        *(f"{x} occurs nowhere" for x in ("tree/forest", "grass/herbaceous", "barren/impervious")),
        f"Chips of {', '.join(given_up)} were given up",
    ]


def test_nothing_is_warned_of_where_nothing_is_wrong(report):
    assert report.warnings == ()
    page = render_html(report, PNG)
    assert "your attention" not in page
    assert "nothing else stands out" in page


def test_a_split_that_was_not_asked_for_is_not_missed(folder, tmp_path):
    made = rehearse(make_config(folder, out=str(tmp_path / "two"), test_share=0.0))
    assert made.splits["test"].chips == 0
    assert made.warnings == ()
    page = Page(render_html(made, PNG))
    assert [page.rows[1][0], page.rows[1][3]] == ["water", "– % 0"]


def test_the_page_is_whole_and_asks_for_nothing_else(report):
    text = render_html(report, PNG)
    page = Page(text)
    assert (page.problems, page.open) == ([], [])
    assert all(reference.startswith("data:") for reference in page.references)
    assert page.tags["img"] == 1
    assert not {"script", "iframe", "object", "form"} & set(page.tags)
    assert not re.search(
        r"https?:|url\(|@import|//(?!/)\w+\.", re.sub(r'src="data:[^"]*"', "", text)
    )


def test_the_page_shows_the_figures_of_splits_and_pairs(report):
    rows = Page(render_html(report, PNG)).rows
    for index, name in enumerate(report.scheme.names):
        assert rows[1 + index][0].replace(" ", "") == name
        for cell, summary in zip(rows[1 + index][1:], report.splits.values(), strict=True):
            pixels = summary.class_pixels[index]
            assert cell == f"{100 * pixels / sum(summary.class_pixels):.1f} % {pixels:,}"
    pair = report.pairs[1]
    cells = next(row for row in rows if row[0].startswith(pair.key))
    assert cells[1] == "NAD83 / UTM zone 18N 160 x 112 px of 0.5 m"
    assert cells[3:6] == ["100.0", f"{100 * pair.nodata:.1f}", f"{100 * pair.ignored:.1f}"]
    assert cells[6:9] == [str(count) for count in pair.chips.values()]
    assert cells[9] == "1 without label 1 less label than --min_labelled"


def test_labels_on_another_grid_are_described(report):
    pair = dataclasses.replace(
        report.pairs[0],
        label_crs="EPSG:4326",
        label_pixel_m=2.0,
        sampling="mode of 4 x 4",
        shift_px=(0.25, -0.5),
        off_px=(0.25, -0.5),
        overlap=0.75,
    )
    rows = Page(render_html(dataclasses.replace(report, pairs=(pair,)), PNG)).rows
    cells = next(row for row in rows if row[0].startswith(pair.key))
    assert cells[2:4] == ["mode of 4 x 4 EPSG:4326 pixels of 2 m shift +0.25, −0.50 px", "75.0"]


def test_a_class_that_a_split_lacks_is_marked(report):
    lacking = dataclasses.replace(report.splits["val"], class_pixels=(0, 5, 5, 5))
    changed = dataclasses.replace(report, splits={**report.splits, "val": lacking})
    rows = Page(render_html(changed, PNG)).rows
    assert rows[1][2] == "missing 0"
    assert [row[2] for row in rows[2:5]] == ["33.3 % 5"] * 3


def test_names_are_escaped(report):
    land = LandClass("<b>w</b>", "#1F78C8", (1,))
    scheme = ClassScheme("<u>", (land, *report.scheme.classes[1:]))
    pair = dataclasses.replace(report.pairs[0], key="<script>", image='"><i>', crs="<s>")
    changed = dataclasses.replace(report, scheme=scheme, pairs=(pair,), warnings=("<em>",))
    text = render_html(changed, PNG)
    assert not re.search(r"<script|<b>w|<i>|<s>|<em>|<u>", text)
    assert text.count("&lt;script&gt;") == 1
    assert "<li>&lt;em&gt;</li>" in text
    page = Page(text)
    assert (page.problems, page.open) == ([], [])


def test_the_page_and_a_dry_run_show_what_was_corrected(folder, report, tmp_path):
    shape = shapely.box(400_000, 4_299_950, 400_020, 4_299_980)
    suspect = Suspect(shape, 1, label="water", verdict="wrong", new_class="barren/impervious")
    write_suspects(tmp_path / "suspects.gpkg", "EPSG:26918", [suspect])
    config = make_config(
        folder, out=str(tmp_path / "data"), corrections=str(tmp_path / "suspects.gpkg")
    )
    found = rehearse(config)
    (change,) = found.corrections.changes
    assert (change.label, change.new_class) == ("water", "barren/impervious")
    _, label_hw = read_rasters(folder, "a")
    assert change.pixels == (label_hw[40:100, :40] == 0).sum()
    for of_split in (found, dataclasses.replace(found, is_plan=False)):
        page = Page(render_html(of_split, PNG))
        assert not page.problems and not page.open
        assert ["water", "barren/ impervious", f"{change.pixels:,}"] in page.rows
    assert convert(config).corrections == found.corrections
    assert "Corrections" not in render_html(report, PNG)


def test_beyond_500_pairs_the_page_shows_the_first_and_says_so(report):
    pairs = tuple(dataclasses.replace(report.pairs[0], key=f"pair-{i}") for i in range(501))
    text = render_html(dataclasses.replace(report, pairs=pairs), PNG)
    assert "The first 500 of 501 pairs; conversion.json has all of them." in text
    assert "pair-499" in text
    assert "pair-500" not in text
    assert "The first" not in render_html(dataclasses.replace(report, pairs=pairs[:500]), PNG)


def test_a_report_of_no_chip_can_be_written(tmp_path, report):
    pairs = tuple(
        dataclasses.replace(p, chips=dict.fromkeys(p.chips, 0), class_pixels=(0,) * 4, pixel_m=None)
        for p in report.pairs
    )
    splits = {
        name: dataclasses.replace(s, chips=0, class_pixels=(0,) * 4, ignored_pixels=0)
        for name, s in report.splits.items()
    }
    empty = dataclasses.replace(report, pairs=pairs, splits=splits, pixel_m=None)
    write_report(empty, PNG, tmp_path)
    assert read_document(tmp_path / "conversion.json", ConversionReport) == empty
    text = (tmp_path / "conversion.html").read_text(encoding="utf-8")
    assert not re.search(r">\s*None|nan\b", text)
    assert "<b>0 chips</b>" in text
