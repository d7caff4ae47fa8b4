"""The page of `lcseg serve`, in a real browser before a real server."""

from __future__ import annotations

import hashlib
import http.client
import http.server
import io
import json
import re
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import (
    COLORS,
    DESKTOP,
    PHONE,
    color_at,
    colors_of,
    hash_of,
    open_page,
    run_server,
    settle,
)
from bundles import make_bundle
from conftest import write_raster
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from lcseg import serving
from lcseg.model.config import UNetConfig
from lcseg.synthetic import Landscape, make_landscape

pytestmark = pytest.mark.clients

STATIC = Path(serving.__file__).with_name("page")
PREFIX = "/maps/a"
MIDDLE = "38.840021/-76.148205"
"""Of the made scenes, latitude and longitude."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of one place at two dates; the first has a reference."""
    folder = tmp_path_factory.mktemp("serve")
    make_bundle(folder / "bundle", UNetConfig(2, 4))
    for seed, name in enumerate(("dover", "dover-2018")):
        scene = make_landscape(Landscape(700, seed))
        write_raster(folder / f"{name}.tif", scene.image_hwc)
        write_raster(folder / f"{name}_label.tif", scene.codes_hw)
    (folder / "maps.toml").write_text(
        '[dover]\ntitle = "Dover"\nmodel = "bundle"\nimage = "dover.tif"\n'
        'label = "dover_label.tif"\ndate = "2013-07-04"\nbeside = "dover-2018"\n'
        '[dover-2018]\ntitle = "Dover"\nmodel = "bundle"\nimage = "dover-2018.tif"\n'
        'date = "2018-08-12"\n'
    )
    yield from run_server(f"--config={folder / 'maps.toml'}", "--port=0")


def visit(page: Page, address: str, zoom: int = 18, **choices: str | int) -> None:
    """Open the page at the middle of the scenes, and wait for all that it shows."""
    hash_ = "&".join(f"{name}={value}" for name, value in choices.items())
    page.goto("about:blank")
    page.goto(f"{address}#map={zoom}/{MIDDLE}&{hash_}")
    settle(page)


def ask(address: str) -> Any:
    with urllib.request.urlopen(address) as answer:
        return json.load(answer)


def click(page: Page, across: float, down: float) -> Any:
    """Click at shares of the map, and give what the server answered."""
    box = page.locator("#map").bounding_box()
    assert box
    with page.expect_response(re.compile("/identify/dover\\?")) as response:
        page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])
    expect(page.locator("#point .probabilities").first).to_be_visible()
    return response.value.json()


def test_page_shows_imagery_beside_the_prediction(page: Page, server: str) -> None:
    visit(page, server, left="imagery", right="prediction")
    assert page.title() == "Dover – land cover"
    assert colors_of(page, 0.6, 0.9) <= set(COLORS.values())
    assert len(colors_of(page, 0.1, 0.4) - set(COLORS.values())) > 100


def test_two_dates_are_compared_where_they_stand_beside_each_other(page: Page, server: str) -> None:
    page.goto(server)
    settle(page)
    chosen = [page.locator(f"#{side} option:checked").inner_text() for side in ("left", "right")]
    assert chosen == ["Prediction 2013", "Prediction 2018"]
    assert page.locator("#shares thead").inner_text().split()[-2:] == ["2013", "2018"]
    visit(page, server, 20)
    box = page.locator("#map").bounding_box()
    assert box
    for across, dataset in ((0.25, "dover"), (0.75, "dover-2018")):
        color = color_at(page, across, 0.6)
        click(page, across, 0.6)
        lon, lat = hash_of(page)["point"].split(",")
        found = ask(f"{server}identify/{dataset}?lon={lon}&lat={lat}")
        assert color == COLORS[found["class"]["name"]]


def test_handle_is_moved_by_keys(page: Page, server: str) -> None:
    visit(page, server, left="imagery", right="prediction")
    knob = page.get_by_role("slider", name="Swipe between Imagery 2013 and Prediction 2013")
    expect(knob).to_have_attribute("aria-valuenow", "50")
    knob.press("Home")
    expect(knob).to_have_attribute("aria-valuenow", "0")
    assert colors_of(page, 0.1, 0.4) <= set(COLORS.values())
    knob.press("End")
    expect(knob).to_have_attribute("aria-valuenow", "100")
    assert not colors_of(page, 0.6, 0.9) <= set(COLORS.values())
    for key, now in (("ArrowLeft", 98), ("PageDown", 88), ("ArrowRight", 90), ("ArrowUp", 92)):
        knob.press(key)
        expect(knob).to_have_attribute("aria-valuenow", str(now))
    assert hash_of(page)["swipe"] == "92"
    assert hash_of(page)["map"].startswith("18/38.84")


def test_handle_is_dragged(page: Page, server: str) -> None:
    visit(page, server, left="imagery", right="prediction")
    box = page.locator("#knob").bounding_box()
    stage = page.locator("#map").bounding_box()
    assert box and stage
    page.mouse.move(box["x"] + 22, box["y"] + 22)
    page.mouse.down()
    page.mouse.move(stage["x"] + 0.05 * stage["width"], stage["y"] + 300, steps=5)
    page.mouse.up()
    expect(page.locator("#knob")).to_have_attribute("aria-valuenow", "5")
    page.wait_for_timeout(200)
    assert colors_of(page, 0.1, 0.4) <= set(COLORS.values())


def test_click_tells_the_class_its_probabilities_and_the_reference(page: Page, server: str) -> None:
    visit(page, server, 20, left="imagery", right="prediction")
    color = color_at(page, 0.7, 0.6)
    told = click(page, 0.7, 0.6)
    lon, lat = map(float, hash_of(page)["point"].split(","))
    found = ask(f"{server}identify/dover?lon={lon}&lat={lat}")
    assert (found["class"], found["probabilities"]) == (told["class"], told["probabilities"])
    assert color == COLORS[found["class"]["name"]]

    point = page.locator("#point")
    assert point.locator(".best").inner_text().lower() == found["class"]["name"]
    assert f"{abs(lat):.5f}° N, {abs(lon):.5f}° W" in point.inner_text()
    assert found["label"]["name"] in point.locator(".reference").inner_text().lower()
    rows = [row.inner_text().split("\n") for row in point.locator(".probabilities li").all()]
    assert [name.lower() for name, _ in rows] == [one["name"] for one in found["probabilities"]]
    for (_, percent), one in zip(rows, found["probabilities"], strict=True):
        told_share = float(re.sub("[<>%]", "", percent)) / 100
        assert told_share == pytest.approx(one["probability"], abs=0.0101)
    widths = [
        row.locator(".bar").evaluate("bar => getComputedStyle(bar, '::before').width")
        for row in point.locator(".probabilities li").all()
    ]
    shares = [one["probability"] for one in found["probabilities"]]
    lengths = [float(width.removesuffix("px")) for width in widths]
    assert np.corrcoef(lengths, shares)[0, 1] > 0.999


def test_enter_reads_the_centre(page: Page, server: str) -> None:
    visit(page, server, 20, left="imagery", right="prediction")
    expect(page.locator(".crosshair")).to_be_hidden()
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(600)
    expect(page.locator(".crosshair")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#point .probabilities")).to_be_visible()
    lon, lat = hash_of(page)["point"].split(",")
    _, *centre = hash_of(page)["map"].split("/")
    assert [lat, lon] == centre
    assert float(lon) > float(MIDDLE.split("/")[1])


def test_point_outside_of_the_map_is_told_so(page: Page, server: str) -> None:
    visit(page, server, 16, left="imagery", right="prediction")
    page.locator("#map").click(position={"x": 60, "y": 400})
    expect(page.locator("#point")).to_contain_text("outside of the map")


def test_shares_of_the_view_sum_to_100_and_follow_it(page: Page, server: str) -> None:
    visit(page, server, 19, left="imagery", right="prediction")
    first = read_shares(page)
    assert sum(first.values()) == pytest.approx(100, abs=1e-6)
    with page.expect_response(re.compile("/shares/dover\\?")) as response:
        page.get_by_role("button", name="Zoom in").first.click()
    settle(page)
    second = read_shares(page)
    assert second != first
    names = list(COLORS)
    told = {names[one["value"]]: 100 * one["share"] for one in response.value.json()["shares"]}
    assert second == pytest.approx(told, abs=0.11)
    assert sum(second.values()) == pytest.approx(100, abs=1e-6)


def read_shares(page: Page) -> dict[str, float]:
    rows = page.locator("#shares tbody tr").all()
    return {
        row.locator("th").inner_text().strip().lower(): float(
            row.locator("td").first.inner_text().removesuffix(" %")
        )
        for row in rows
    }


def test_every_view_shows_its_own_layer(page: Page, server: str) -> None:
    visit(page, server, 20, left="imagery", right="prediction")
    seen = [colors_of(page, 0.6, 0.9)]
    for view in ("Soft", "Confidence", "Difference"):
        with page.expect_response(re.compile(f"/tiles/dover/{view.lower()}/")):
            page.get_by_role("radio", name=view).check(force=True)
        settle(page)
        assert hash_of(page)["view"] == view.lower()
        seen.append(colors_of(page, 0.6, 0.9))
    assert seen[3] <= {(200, 200, 200), (214, 40, 40)}
    assert all(a != b for at, a in enumerate(seen) for b in seen[:at])


def test_pixels_are_not_mixed_beyond_the_last_zoom(page: Page, server: str) -> None:
    visit(page, server, 21, left="imagery", right="prediction")
    assert hash_of(page)["map"].startswith("21/")
    assert 1 < len(colors_of(page, 0.6, 0.9)) <= len(COLORS)
    assert colors_of(page, 0.6, 0.9) <= set(COLORS.values())


def test_opacity_lets_the_imagery_through(page: Page, server: str) -> None:
    visit(page, server, left="imagery", right="prediction")
    assert colors_of(page, 0.6, 0.9) <= set(COLORS.values())
    page.get_by_label("Opacity").fill("40")
    page.wait_for_timeout(300)
    assert len(colors_of(page, 0.6, 0.9)) > 100
    assert hash_of(page)["opacity"] == "40"


def test_permalink_brings_all_back(page: Page, context: BrowserContext, server: str) -> None:
    visit(page, server, 19, left="reference", right="prediction")
    page.get_by_role("radio", name="Confidence").check(force=True)
    page.get_by_label("Opacity").fill("65")
    page.locator("#knob").press("PageUp")
    click(page, 0.8, 0.7)
    settle(page)
    link, shares, point = page.url, read_shares(page), page.locator("#point").inner_text()
    picture = page.locator("#map").screenshot()

    page.goto("about:blank")
    page.goto(link)
    settle(page)
    expect(page.locator("#point .probabilities")).to_be_visible()
    assert page.url == link
    assert (read_shares(page), page.locator("#point").inner_text()) == (shares, point)
    assert page.locator("#left").input_value() == "reference"
    expect(page.get_by_role("radio", name="Confidence")).to_be_checked()
    again = np.asarray(Image.open(io.BytesIO(page.locator("#map").screenshot())).convert("RGB"))
    before = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    assert (again != before).mean() < 0.01

    page.evaluate(f"window.location.hash = 'data=dover-2018&map=20/{MIDDLE}&swipe=25'")
    settle(page)
    assert page.locator("#dataset").input_value() == "dover-2018"
    expect(page.locator("#knob")).to_have_attribute("aria-valuenow", "25")
    assert hash_of(page)["map"] == f"20/{MIDDLE}"
    assert page.get_by_role("radio", name="Difference").count() == 0


def test_permalink_of_nonsense_shows_what_is_usual(page: Page, server: str) -> None:
    page.goto(f"{server}#data=nowhere&map=a/b/999&left=labels&view=difference&swipe=x&opacity=-3")
    settle(page)
    assert hash_of(page)["data"] == "dover"
    assert hash_of(page)["left"] == "prediction"
    assert hash_of(page)["swipe"] == "50"


def test_data_set_is_chosen(page: Page, server: str) -> None:
    visit(page, server, 19)
    place = hash_of(page)["map"]
    page.locator("#dataset").select_option("dover-2018")
    settle(page)
    assert hash_of(page)["data"] == "dover-2018"
    assert hash_of(page)["map"] == place
    assert colors_of(page, 0.6, 0.9) <= set(COLORS.values())


def test_copied_links_answer(page: Page, context: BrowserContext, server: str) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit(page, server, 19, left="imagery", right="prediction", view="soft")
    kinds = {"xyz": "image/png", "wmts": "xml", "imageserver": "application/json"}
    for name, kind in kinds.items():
        page.locator(f"[data-link={name}]").click()
        expect(page.locator("#copied-label")).to_contain_text("address copied")
        link = page.locator("#copied-url").input_value()
        assert page.evaluate("navigator.clipboard.readText()") == link
        assert link.startswith(server)
        if name == "xyz":
            assert link == f"{server}tiles/dover/soft/{{z}}/{{x}}/{{y}}.png"
            link = link.format(z=17, x=37810, y=50034)
        if name == "imageserver":
            link += "?f=json"
        with urllib.request.urlopen(link) as answer:
            assert answer.status == 200
            assert kind in answer.headers["Content-Type"]
            assert b'"error"' not in answer.read()
    page.locator("[data-link=view]").click()
    assert page.locator("#copied-url").input_value() == page.url


def test_busy_tiles_are_pending_and_come_by_themselves(page: Page, server: str) -> None:
    asked: dict[str, int] = {}

    def answer(route: Route) -> None:
        url = route.request.url
        asked[url] = asked.get(url, 0) + 1
        if asked[url] == 1:
            headers = {"Retry-After": "5"}
            route.fulfill(status=503, headers=headers, json={"error": "busy; come again"})
        else:
            route.continue_()

    page.route("**/tiles/dover/classes/**", answer)
    page.goto(f"{server}#map=18/{MIDDLE}&left=imagery&right=prediction")
    expect(page.locator("#pending")).to_contain_text("pending")
    page.wait_for_timeout(1000)
    expect(page.locator("#pending")).to_contain_text(f"{len(asked)} tiles pending")
    expect(page.locator("#retry")).to_be_hidden()
    assert set(asked.values()) == {1}
    settle(page)
    assert set(asked.values()) == {2}
    assert colors_of(page, 0.6, 0.9) <= set(COLORS.values())


def test_failed_tiles_are_told_and_tried_again_when_asked(page: Page, server: str) -> None:
    page.route(
        "**/tiles/dover/classes/**",
        lambda route: route.fulfill(status=500, json={"error": "it broke"}),
    )
    page.goto(f"{server}#map=18/{MIDDLE}&left=imagery&right=prediction")
    expect(page.locator("#failed")).to_contain_text("failed")
    expect(page.locator("#pending")).to_be_hidden()
    assert not colors_of(page, 0.6, 0.9) <= set(COLORS.values())
    page.unroute("**/tiles/dover/classes/**")
    page.get_by_role("button", name="Retry").click()
    settle(page)
    expect(page.locator("#failed")).to_be_hidden()
    assert colors_of(page, 0.6, 0.9) <= set(COLORS.values())


def test_tiles_given_up_on_the_way_are_asked_for_again(page: Page, server: str) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/tiles/dover/classes/**", hold)
    page.goto(f"{server}#map=18/{MIDDLE}&left=imagery&right=prediction")
    expect(page.locator("#pending")).to_be_visible()
    page.get_by_role("radio", name="Soft").check(force=True)
    settle(page)
    page.unroute("**/tiles/dover/classes/**")
    assert held
    page.get_by_role("radio", name="Classes").check(force=True)
    settle(page)
    assert colors_of(page, 0.6, 0.9) <= set(COLORS.values())


def test_tiles_that_left_the_view_are_not_pending(page: Page, server: str) -> None:
    page.route(
        "**/tiles/dover/classes/18/**",
        lambda route: route.fulfill(status=503, headers={"Retry-After": "30"}, body=""),
    )
    page.goto(f"{server}#map=18/{MIDDLE}&left=imagery&right=prediction")
    expect(page.locator("#pending")).to_be_visible()
    page.get_by_role("button", name="Zoom in").first.click()
    settle(page)
    expect(page.locator("#status")).to_be_hidden()


def test_tiles_of_a_view_on_its_way_do_not_fail(page: Page, server: str) -> None:
    visit(page, server, 16)
    for way in ("in", "out", "in", "out", "in", "in"):
        page.get_by_role("button", name=f"Zoom {way}").first.click()
        page.wait_for_timeout(120)
    settle(page)
    expect(page.locator("#failed")).to_be_hidden()
    assert colors_of(page, 0.6, 0.9) <= set(COLORS.values())


def test_far_out_the_page_says_so_and_leads_back(page: Page, server: str) -> None:
    visit(page, server, 13)
    expect(page.locator("#far")).to_be_visible()
    settle(page)
    # The shares are those of the scene, which is small enough.
    assert sum(read_shares(page).values()) == pytest.approx(100, abs=1e-6)
    page.locator("#closer").click()
    settle(page)
    expect(page.locator("#far")).to_be_hidden()
    assert sum(read_shares(page).values()) == pytest.approx(100, abs=1e-6)


def test_errors_of_the_server_are_told_in_its_words(page: Page, server: str) -> None:
    page.route(
        "**/identify/**", lambda route: route.fulfill(status=500, json={"error": "it broke"})
    )
    visit(page, server, 19)
    page.locator("#map").click(position={"x": 300, "y": 500})
    expect(page.locator("#point")).to_contain_text("it broke")
    page.unroute("**/identify/**")
    page.locator("#point").get_by_role("button", name="Retry").click()
    expect(page.locator("#point .probabilities").first).to_be_visible()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_no_serious_finding_of_axe(
    browser: Browser, server: str, axe: str, scheme: Any, size: tuple[int, int]
) -> None:
    viewport: Any = {"width": size[0], "height": size[1]}
    with browser.new_context(viewport=viewport, color_scheme=scheme) as context:
        page = open_page(context)
        visit(page, server, 18)
        page.locator("#map").click(position={"x": 100, "y": 300})
        expect(page.locator("#point .probabilities").first).to_be_visible()
        page.locator("[data-link=xyz]").click()
        for view in ("Classes", "Confidence", "Difference"):
            page.get_by_role("radio", name=view).check(force=True)
            page.evaluate(axe)
            found = page.evaluate("axe.run()")["violations"]
            bad = [one for one in found if one["impact"] in ("serious", "critical")]
            assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in bad] == []


def test_phone_has_all_within_its_width(browser: Browser, server: str) -> None:
    viewport: Any = {"width": PHONE[0], "height": PHONE[1]}
    with browser.new_context(viewport=viewport, has_touch=True, is_mobile=True) as context:
        page = open_page(context)
        visit(page, server, 18)
        page.locator("#map").tap(position={"x": 300, "y": 300})
        expect(page.locator("#point .probabilities").first).to_be_in_viewport()
        for element in ("html", "#panel"):
            wide = page.locator(element).evaluate("e => e.scrollWidth - e.clientWidth")
            assert wide <= 0
        for control in page.locator("select, button, input, .knob").all():
            if control.is_visible():
                box = control.bounding_box()
                assert box and box["x"] >= 0 and box["x"] + box["width"] <= PHONE[0]


def test_page_works_under_the_prefix_of_a_proxy(page: Page, server: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with run_proxy(server) as address:
        visit(page, address, 19, left="imagery", right="prediction")
        assert colors_of(page, 0.6, 0.9) <= set(COLORS.values())
        click(page, 0.7, 0.6)
        page.locator("[data-link=wmts]").click()
        assert page.locator("#copied-url").input_value().startswith(f"{address}wmts/")
    assert [url for url in asked if url.startswith("http") and not url.startswith(address)] == []


class run_proxy:  # noqa: N801
    """A proxy that takes a prefix off, and knows nothing outside of it."""

    def __init__(self, server: str) -> None:
        host = server.removeprefix("http://").strip("/")
        self._proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), make_handler(host))

    def __enter__(self) -> str:
        threading.Thread(target=self._proxy.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._proxy.server_port}{PREFIX}/"

    def __exit__(self, *_: object) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()


def make_handler(host: str) -> Callable[..., http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(f"{PREFIX}/"):
                self.send_error(404)
                return
            connection = http.client.HTTPConnection(host)
            connection.request("GET", self.path.removeprefix(PREFIX))
            answer = connection.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.read())
            connection.close()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def test_what_others_made_is_as_they_made_it() -> None:
    folder = STATIC / "vendor"
    sums = dict(reversed(line.split()) for line in (folder / "SHA256SUMS").read_text().splitlines())
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert set(sums) == files - {"SHA256SUMS"}
    for name, checksum in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == checksum
