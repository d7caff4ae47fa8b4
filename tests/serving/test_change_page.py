"""What changed, on the page of `lcseg serve`, in a real browser before a real server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from browsing import DESKTOP, PHONE, color_at, hash_of, open_page, settle
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from pyproj import Transformer
from served import CRS, LEFT, TOP, Place

from lcseg.classes import load_scheme
from lcseg.transitions import transition_scheme

pytestmark = pytest.mark.clients

SCHEME = transition_scheme(load_scheme("chesapeake-4"))


def find_spot(path: Path) -> tuple[int, int]:
    """Row and column in the midst of a place that changed, of 81 px a side at least."""
    with rasterio.open(path) as dataset:
        code_hw = dataset.read(1)
    changed_hw = (code_hw != 255) & (code_hw % 5 != 0)
    around = np.lib.stride_tricks.sliding_window_view(changed_hw, (81, 81))
    row, col = np.argwhere(around.all(axis=(2, 3)))[0]
    return int(row) + 40, int(col) + 40


@pytest.fixture(scope="module")
def spot(place: Place) -> str:
    """Latitude and longitude of a place that changed, as the hash has them."""
    row, col = find_spot(place.transitions)
    to_lonlat = Transformer.from_crs(CRS, 4326, always_xy=True)
    lon, lat = to_lonlat.transform(LEFT + col + 0.5, TOP - row - 0.5)
    return f"{lat:.6f}/{lon:.6f}"


@pytest.fixture
def server(address: str) -> Iterator[str]:
    yield f"{address}/"


def visit(page: Page, server: str, where: str, zoom: int = 18, **choices: str) -> None:
    page.goto("about:blank")
    chosen = "".join(f"&{name}={value}" for name, value in choices.items())
    page.goto(f"{server}#data=made&map={zoom}/{where}{chosen}")
    settle(page)


def difference(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def test_two_dates_are_shown_with_the_contours_of_what_changed(page: Page, server: str) -> None:
    page.goto(f"{server}#data=made")
    settle(page)
    chosen = [page.locator(f"#{side} option:checked").inner_text() for side in ("left", "right")]
    assert chosen == ["Imagery 2020", "Imagery 2024"]
    assert hash_of(page)["change"] == "1"
    expect(page.get_by_label("Draw it over both sides")).to_be_checked()


def test_change_is_a_side_in_the_colours_of_its_map(
    page: Page, server: str, spot: str, place: Place
) -> None:
    visit(page, server, spot, 20, left="imagery", right="change", change="0")
    labels = page.locator("#right option").all_inner_texts()
    assert "Change" in labels
    with rasterio.open(place.transitions) as dataset:
        code_hw = dataset.read(1)
    row, col = find_spot(place.transitions)
    codes = np.unique(code_hw[row - 40 : row + 41, col - 40 : col + 41])
    colors = [tuple(SCHEME.palette[code].tolist()) for code in codes]
    assert color_at(page, 0.7, 0.55) in colors
    assert color_at(page, 0.3, 0.55) not in colors
    page.locator("[data-link=xyz]").click()
    assert "/tiles/made/change/" in page.locator("#copied-url").input_value()


def test_legend_names_what_changed_the_commonest_first(page: Page, server: str, spot: str) -> None:
    visit(page, server, spot)
    told = httpx.get(f"{server}datasets.json").json()["datasets"][0]["changes"]
    page.locator("#change summary").click()
    rows = page.locator("#change li").all_inner_texts()
    assert [row.strip().lower() for row in rows] == [one["name"] for one in told]


def test_overlay_lets_the_ground_through_and_goes_by_a_key(
    page: Page, server: str, spot: str
) -> None:
    visit(page, server, spot, 19, left="imagery", right="imagery", change="0")
    bare = [color_at(page, across, 0.6) for across in (0.45, 0.55)]
    page.locator("#map").focus()
    page.keyboard.press("c")
    settle(page)
    assert hash_of(page)["change"] == "1"
    over = [color_at(page, across, 0.6) for across in (0.45, 0.55)]
    for one, other in zip(bare, over, strict=True):
        assert one != other
        assert difference(one, other) < 100
    page.get_by_label("Draw it over both sides").uncheck()
    settle(page)
    assert [color_at(page, across, 0.6) for across in (0.45, 0.55)] == bare


def test_small_changes_are_seen_from_afar(page: Page, server: str, spot: str, place: Place) -> None:
    """A pixel of the map that changed is a pixel of the screen at least."""
    visit(page, server, spot, 15, left="imagery", right="change", change="0", swipe="0")
    picture = page.locator("#map").screenshot()
    shown = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).reshape(-1, 3)
    with rasterio.open(place.transitions) as dataset:
        codes, counts = np.unique(dataset.read(1), return_counts=True)
    small = [code for code, n in zip(codes, counts, strict=True) if n < 20 and code % 5]
    assert small
    assert any((shown == SCHEME.palette[code]).all(axis=-1).any() for code in small)


def test_click_tells_what_became_of_the_place(page: Page, server: str, spot: str) -> None:
    visit(page, server, spot, 19, left="imagery", right="change")
    box = page.locator("#map").bounding_box()
    assert box
    page.mouse.click(box["x"] + 0.56 * box["width"], box["y"] + 0.56 * box["height"])
    expect(page.locator("#point .probabilities").first).to_be_visible()
    lon, lat = hash_of(page)["point"].split(",")
    told = httpx.get(f"{server}identify/made?lon={lon}&lat={lat}", timeout=60).json()["change"]
    assert told["changed"]
    percent = round(100 * told["probability"])
    expect(page.locator("#point")).to_contain_text(
        f"{told['name']} (probability of change {percent} %)", ignore_case=True
    )


def test_a_scene_without_it_shows_nothing_of_it(page: Page, server: str, spot: str) -> None:
    visit(page, server, spot)
    page.locator("#dataset").select_option("bare")
    settle(page)
    expect(page.locator("#change")).to_be_hidden()
    assert "change" not in hash_of(page)
    assert "Change" not in page.locator("#right option").all_inner_texts()
    page.locator("#map").focus()
    page.keyboard.press("c")
    assert "change" not in hash_of(page)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_no_serious_finding_of_axe(
    browser: Browser, server: str, spot: str, axe: str, scheme: Any, size: tuple[int, int]
) -> None:
    viewport: Any = {"width": size[0], "height": size[1]}
    with browser.new_context(viewport=viewport, color_scheme=scheme) as context:
        page = open_page(context)
        visit(page, server, spot)
        page.locator("#change summary").click()
        page.evaluate(axe)
        found = page.evaluate("axe.run()")["violations"]
        bad = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in bad] == []
        for element in ("html", "#panel"):
            assert page.locator(element).evaluate("e => e.scrollWidth - e.clientWidth") <= 0
