"""Suspected labels on the page of `lcseg serve`, in a real browser before a real server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import DESKTOP, PHONE, hash_of, open_page, settle
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Route, expect
from served import Place, running, write_suspected

from lcseg.records.suspects import Suspect, read_suspects, set_verdict
from lcseg.serving.config import ServeConfig

pytestmark = pytest.mark.clients

TOKEN = "0123456789abcdef"
OUTLINE = (214, 0, 108)


@pytest.fixture(scope="module")
def folder(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged")
    write_suspected(folder / "suspects.gpkg")
    (folder / "token").write_text(TOKEN)
    (folder / "maps.toml").write_text(
        f'[made]\nmodel = "{place.bundle}"\nimage = "{place.image}"\n'
        f'label = "{place.label}"\nsuspects = "suspects.gpkg"\n'
        f'[bare]\nmodel = "{place.bundle}"\nimage = "{place.image}"\n'
    )
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """The address of a server that takes verdicts."""
    flags = {"allow_edits": True, "edit_token_file": str(folder / "token")}
    with running(ServeConfig(config=str(folder / "maps.toml"), port=0, **flags)) as address:
        yield f"{address}/"


@pytest.fixture(scope="module")
def reader(folder: Path) -> Iterator[str]:
    """The address of a server that takes none."""
    with running(ServeConfig(config=str(folder / "maps.toml"), port=0)) as address:
        yield f"{address}/"


@pytest.fixture
def path(folder: Path) -> Path:
    """The file, as at first."""
    write_suspected(folder / "suspects.gpkg")
    return folder / "suspects.gpkg"


def visit(page: Page, address: str, **choices: str | int) -> None:
    page.goto("about:blank")
    page.goto(f"{address}#{'&'.join(f'{name}={value}' for name, value in choices.items())}")
    settle(page)
    expect(rows(page)).to_have_count(3)


def rows(page: Page) -> Locator:
    return page.locator("#suspect-list [role=option]")


def chosen(page: Page) -> str | None:
    return page.locator("#suspect-list [aria-selected=true]").get_attribute("data-id")


def press(page: Page, key: str) -> None:
    page.keyboard.press(key)
    page.wait_for_timeout(700)


def find_outline(page: Page) -> tuple[float, float] | None:
    """The middle of the outline, as shares of the map's width and height."""
    picture = Image.open(io.BytesIO(page.locator("#map").screenshot())).convert("RGB")
    is_line = np.abs(np.asarray(picture, int) - OUTLINE).max(axis=-1) < 12
    if is_line.sum() < 50:
        return None
    down, across = (float((axis.min() + axis.max()) / 2) for axis in np.nonzero(is_line))
    return across / picture.width, down / picture.height


def read(path: Path) -> dict[int, Suspect]:
    return {suspect.id: suspect for suspect in read_suspects(path)[1]}


def test_places_are_listed_the_most_certain_first(page: Page, reader: str, path: Path) -> None:
    set_verdict(path, 2, "wrong", "water")
    visit(page, reader)
    told = [" ".join(row.inner_text().split()) for row in rows(page).all()]
    assert told == [
        "1 Tree/forest → Water 97 % sure, 3,600 m², dover",
        "2 Water → Grass/herbaceous 93 % sure, 3,600 m², other wrong: water",
        "3 Grass/herbaceous → Tree/forest",
    ]
    expect(page.locator("#suspects-count")).to_have_text("1 of 3 judged, the most certain first.")
    assert find_outline(page) is None


def test_keys_step_through_them_and_the_map_flies_to_each(
    page: Page, reader: str, path: Path
) -> None:
    visit(page, reader)
    places = set()
    page.locator("#suspect-list").focus()
    steps = [("j", "1"), ("ArrowDown", "2"), ("n", "3"), ("n", "3"), ("k", "2"), ("ArrowUp", "1")]
    for key, number in [*steps, ("p", "1"), ("End", "3"), ("Home", "1")]:
        press(page, key)
        assert chosen(page) == number
        settle(page)
        assert hash_of(page)["suspect"] == number
        places.add((number, hash_of(page)["map"]))
        middle = find_outline(page)
        assert middle and middle == pytest.approx((0.5, 0.5), abs=0.05)
    assert len(places) == len({place for _, place in places}) == 3
    active = page.locator("#suspect-list").get_attribute("aria-activedescendant")
    assert active == "suspect-1"


def test_keys_act_on_the_map_too_and_where_nobody_types(
    page: Page, reader: str, path: Path
) -> None:
    visit(page, reader)
    page.locator("#map").focus()
    press(page, "n")
    assert chosen(page) == "1"
    for key, side in (("1", "imagery"), ("3", "reference"), ("2", "prediction")):
        press(page, key)
        assert page.locator("#right").input_value() == side
    page.locator("#left").focus()
    press(page, "n")
    assert chosen(page) == "1"
    page.locator("#opacity").focus()
    press(page, "n")
    assert chosen(page) == "1"


def test_click_chooses_a_place_and_a_link_leads_to_it(page: Page, reader: str, path: Path) -> None:
    visit(page, reader)
    rows(page).nth(2).click()
    page.wait_for_timeout(700)
    settle(page)
    link = page.url
    assert hash_of(page)["suspect"] == "3"
    expect(page.locator("#suspect-note")).to_have_text("Seen from the road.")
    page.goto("about:blank")
    page.goto(link)
    settle(page)
    assert chosen(page) == "3"
    assert page.url == link
    assert find_outline(page)


def test_another_data_set_has_none_of_them(page: Page, reader: str, path: Path) -> None:
    visit(page, reader, suspect=1)
    page.locator("#dataset").select_option("bare")
    settle(page)
    expect(page.locator("#suspects")).to_be_hidden()
    assert "suspect" not in hash_of(page)
    assert find_outline(page) is None


def test_without_the_flag_there_are_no_buttons(page: Page, reader: str, path: Path) -> None:
    before = path.read_bytes()
    posted: list[str] = []
    page.on("request", lambda one: posted.append(one.url) if one.method == "POST" else None)
    visit(page, reader)
    page.locator("#suspect-list").focus()
    press(page, "j")
    expect(page.locator("#verdict-form")).to_be_hidden()
    for key in "wru0":
        press(page, key)
    expect(page.locator("#token-dialog")).to_be_hidden()
    assert posted == []
    assert path.read_bytes() == before


def test_verdicts_are_given_by_keys_and_written_to_the_file(
    page: Page, server: str, path: Path
) -> None:
    visit(page, server, token=TOKEN)
    page.locator("#suspect-list").focus()
    press(page, "j")
    for key, verdict in (("r", "right"), ("u", "unsure"), ("w", "wrong"), ("0", None)):
        with page.expect_response("**/suspects/made/1/verdict") as response:
            page.keyboard.press(key)
        assert response.value.status == 200
        expect(page.locator("#suspects-count")).to_have_text(
            f"{int(verdict is not None)} of 3 judged, the most certain first."
        )
        assert (read(path)[1].verdict, read(path)[1].new_class) == (verdict, "water")
        if verdict:
            expect(rows(page).first).to_contain_text(verdict)
            pressed = page.locator("#verdicts [aria-pressed=true]")
            expect(pressed).to_have_attribute("data-key", key)
    assert chosen(page) == "1"
    assert read(path)[2].verdict is None


def test_buttons_and_the_class_that_it_is(page: Page, server: str, path: Path) -> None:
    visit(page, server, token=TOKEN)
    rows(page).nth(2).click()
    assert page.locator("#new-class").input_value() == "tree/forest"
    page.locator("#new-class").select_option("barren/impervious")
    assert read(path)[3].verdict is None
    for value, new_class in (("", "barren/impervious"), ("water", "water"), ("unknown", None)):
        with page.expect_response("**/suspects/made/3/verdict") as response:
            if not value:
                page.get_by_role("button", name="Wrong").click()
            else:
                page.locator("#new-class").select_option("" if value == "unknown" else value)
        assert response.value.status == 200
        assert (read(path)[3].verdict, read(path)[3].new_class) == ("wrong", new_class)
        expect(rows(page).nth(2)).to_contain_text(f"wrong: {new_class or 'class not known'}")


def test_token_of_the_address_is_in_no_link_and_no_request(
    page: Page, server: str, path: Path
) -> None:
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    visit(page, server, token=TOKEN, map="18/38.8436/-75.6873", left="imagery")
    assert TOKEN not in page.url
    assert hash_of(page)["map"] == "18/38.8436/-75.6873"
    page.locator("[data-link=view]").click()
    assert TOKEN not in page.locator("#copied-url").input_value()
    rows(page).first.click()
    with page.expect_response("**/verdict") as response:
        page.get_by_role("button", name="Right").click()
    assert response.value.request.headers["authorization"] == f"Bearer {TOKEN}"
    assert not [url for url in asked if "token" in url or TOKEN in url]
    # It is kept for the tab.
    page.reload()
    settle(page)
    rows(page).nth(1).click()
    with page.expect_response("**/verdict") as response:
        page.get_by_role("button", name="Right").click()
    assert response.value.status == 200


def test_token_is_asked_for_once(page: Page, server: str, path: Path) -> None:
    visit(page, server)
    page.locator("#suspect-list").focus()
    press(page, "j")
    press(page, "w")
    dialog = page.locator("#token-dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert read(path)[1].verdict is None
    page.locator("#suspect-list").focus()
    press(page, "w")
    page.keyboard.type("wru0-no-token")
    page.keyboard.press("Enter")
    expect(page.locator("#token-why")).to_have_text("That was not the token of this server.")
    page.locator("#token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(rows(page).first).to_contain_text("wrong: water")
    assert read(path)[1].verdict == "wrong"
    page.locator("#suspect-list").focus()
    with page.expect_response("**/verdict") as response:
        page.keyboard.press("r")
    assert response.value.status == 200
    expect(dialog).to_be_hidden()


def test_what_failed_is_told(page: Page, server: str, path: Path) -> None:
    def fail(route: Route) -> None:
        route.fulfill(status=503, json={"error": "nothing was written: it is open"})

    visit(page, server, token=TOKEN)
    page.route("**/verdict", fail)
    rows(page).nth(1).click()
    page.get_by_role("button", name="Unsure").click()
    expect(page.locator("#suspects-error")).to_have_text(
        "Place 2: nothing was written: it is open."
    )
    expect(rows(page).nth(1)).not_to_contain_text("unsure")
    page.unroute("**/verdict")
    page.get_by_role("button", name="Unsure").click()
    expect(rows(page).nth(1)).to_contain_text("unsure")
    expect(page.locator("#suspects-error")).to_have_text("")


def test_list_follows_the_file(page: Page, reader: str, path: Path) -> None:
    visit(page, reader)
    rows(page).nth(1).click()
    set_verdict(path, 1, "unsure", None)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(rows(page).first).to_contain_text("unsure")
    assert chosen(page) == "2"


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_no_serious_finding_of_axe(
    browser: Browser, server: str, path: Path, axe: str, scheme: Any, size: tuple[int, int]
) -> None:
    for number, verdict in ((1, "wrong"), (2, "right"), (3, "unsure")):
        set_verdict(path, number, verdict, "water")
    viewport: Any = {"width": size[0], "height": size[1]}
    with browser.new_context(viewport=viewport, color_scheme=scheme) as context:
        page = open_page(context)
        visit(page, server)
        page.locator("#suspect-list").focus()
        press(page, "j")
        for is_asked in (False, True):
            if is_asked:
                page.get_by_role("button", name="Clear").click()
                expect(page.locator("#token-dialog")).to_be_visible()
            page.evaluate(axe)
            found = page.evaluate("axe.run()")["violations"]
            bad = [one for one in found if one["impact"] in ("serious", "critical")]
            assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in bad] == []
        for element in ("html", "#panel", "#suspect-list", "#token-dialog"):
            assert page.locator(element).evaluate("e => e.scrollWidth - e.clientWidth") <= 0
        for control in page.locator("#verdicts button, #new-class, #token-dialog *").all():
            box = control.bounding_box()
            assert box and box["x"] >= 0 and box["x"] + box["width"] <= size[0]
