"""Whatever a client sends, the server answers soon, says nothing of its files, and goes on."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import rasterio
from served import CRS, LEFT, SIZE_PX, TOP, Place, running, write, write_suspected

from lcseg.errors import LcsegError
from lcseg.model.info import BundleInfo
from lcseg.prediction.answers import Backend
from lcseg.records.suspects import read_suspects
from lcseg.serving import engine as engines
from lcseg.serving.config import ServeConfig
from lcseg.serving.tiling import TMS

EXPORT = "/arcgis/rest/services/made/classes/ImageServer/exportImage"
IDENTIFY = "/arcgis/rest/services/made/classes/ImageServer/identify"
FORM = "application/x-www-form-urlencoded"
SOON_S = 1.0
PATIENCE_S = 60
MOST_MB, MOST_LARGE_MB = 400, 2000
"""That a server may take on top of what it takes after its first tile, for tiles and for pictures
of the largest size."""


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=PATIENCE_S) as client:
        # What is loaded with the first request of its kind takes no time of those that follow.
        for path in ("/wmts", f"{EXPORT}?bbox=0,0,1,1", f"{IDENTIFY}?geometry=0,0"):
            client.get(path)
        yield client


def ask_soon(client: httpx.Client, method: str, path: str, **more: Any) -> httpx.Response:
    """Ask what must be answered soon; what else this machine is at may delay one answer or two."""
    for _ in range(3):
        started_s = time.monotonic()
        answer = client.request(method, path, **more)
        if time.monotonic() - started_s < SOON_S:
            return answer
    raise AssertionError(f"{path} takes longer than {SOON_S} s")


def require_harmless(answer: httpx.Response, place: Place) -> None:
    """Nothing of the server's files is in it, and browsers are told what not to do with it."""
    text = answer.text + str(answer.headers)
    for name in (str(place.folder), "/tmp", "scene.tif", "root:x:0", "Traceback", "site-packages"):
        assert name not in text
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def read_metric(address: str, name: str) -> float:
    lines = httpx.get(f"{address}/metrics").text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


def list_tiles(dataset: str, zoom: int, layer: str = "classes") -> list[str]:
    """Paths of the tiles of the scene."""
    from pyproj import Transformer

    there = Transformer.from_crs(CRS, "OGC:CRS84", always_xy=True)
    bounds = there.transform_bounds(LEFT, TOP - SIZE_PX, LEFT + SIZE_PX, TOP)
    return [
        f"/tiles/{dataset}/{layer}/{tile.z}/{tile.x}/{tile.y}.png"
        for tile in TMS.tiles(*bounds, zoom)
    ]


def wait_until(claim: Any) -> None:
    """Wait until something that the server does by itself has come true."""
    until = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < until


DIGITS = "9" * 401
REFUSED = [
    "/wmts?SERVICE=WMTS&REQUEST=GetTile&LAYER=/etc/passwd&TILEMATRIX=1&TILEROW=1&TILECOL=1",
    "/wmts?REQUEST=GetMap&LAYERS=/etc/passwd",
    "/etc/passwd",
    "/../../../../etc/passwd",
    "/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/vendor/..%5c..%5c..%5cetc%5cpasswd",
    "/tiles/..%2f..%2fmade/classes/3/1/1.png",
    "/tiles/%2fetc%2fpasswd/classes/3/1/1.png",
    "/ogc/collections/..%2f..%2fetc%2fpasswd",
    "/arcgis/rest/services/..%2f/etc%2fpasswd/ImageServer",
    "/%00",
    "/tiles/made%00/classes/3/1/1.png",
    "/vendor",
    f"/{'a' * 3000}",
    f"/{'a/' * 3000}",
    f"/healthz?{'a' * 9000}",
    "/tiles/made/classes/30/1/1.png",
    "/tiles/made/classes/-1/-1/-1.png",
    f"/tiles/made/classes/3/{DIGITS}/1.png",
    f"/tiles/made/classes/{DIGITS}/1/1.png",
    f"/tiles/made/classes/3/{'9' * 5000}/1.png",
    "/tiles/made/classes/3/1e3/1.png",
    "/tiles/made/classes/3/nan/1.png",
    "/tiles/made/classes/3/%FF/1.png",
    "/tiles/made/classes/3/1/1.tif",
    "/wmts/1.0.0/made.classes/default/WebMercatorQuad/30/1/1.png",
    "/ogc/collections/made.classes/map/tiles/WebMercatorQuad/30/1/1",
    "/arcgis/rest/services/made/classes/ImageServer/tile/30/1/1",
    "/shares/made?bbox=nan,nan,nan,nan",
    "/shares/made?bbox=-inf,0,inf,1",
    "/shares/made?bbox=1,1,0,0",
    "/shares/made?bbox=0,1,1,0",
    "/shares/made?bbox=-1e400,0,1,1",
    f"/shares/made?bbox={',' * 5000}",
    "/shares/made",
    "/suspects/..%2f..%2fetc%2fpasswd",
    "/suspects/made/%2fetc%2fpasswd",
    f"/suspects/made/{'9' * 5000}",
    "/suspects/made/1e3",
    "/suspects/made/-1",
    "/suspects/bare",
    "/identify/made?lon=nan&lat=0",
    "/identify/made?lon=0&lat=-inf",
    f"/identify/made?lon={DIGITS}&lat=0",
    "/identify/made?lon=181&lat=0",
    f"{EXPORT}?bbox=0,0,1,1&size=100000,100000",
    f"{EXPORT}?bbox=0,0,1,1&size=-5,-5",
    f"{EXPORT}?bbox=0,0,1,1&size=0,0",
    f"{EXPORT}?bbox=0,0,1,1&size=nan,1e400",
    f"{EXPORT}?bbox=nan,0,1,1",
    f"{EXPORT}?bbox=0,0,inf,1",
    f"{EXPORT}?bbox=0,0,0,0",
    f"{EXPORT}?bbox=0,0,1e-323,1e-323",
    f"{EXPORT}?bbox=-1e308,-1e308,1e308,1e308",
    f"{EXPORT}?bbox={DIGITS},0,1,1",
    f"{EXPORT}?bbox=0,0,1,1&bboxSR=/etc/passwd",
    f"{EXPORT}?bbox=0,0,1,1&bboxSR=%00",
    f"{EXPORT}?bbox=0,0,1,1&bboxSR=-1",
    f"{EXPORT}?bbox=0,0,1,1&bboxSR={DIGITS}",
    f"{EXPORT}?bbox=0,0,1,1&imageSR={{%22wkt%22:%22/etc/passwd%22}}",
    f"{EXPORT}?bbox={{%22xmin%22:NaN,%22ymin%22:0,%22xmax%22:1,%22ymax%22:1}}",
    f"{EXPORT}?bbox=-180,-90,180,90&bboxSR=4326&imageSR=26918",
    EXPORT,
    f"{IDENTIFY}?geometry=nan,1",
    f"{IDENTIFY}?geometry={{%22x%22:{{}},%22y%22:[]}}",
    IDENTIFY,
]


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path[:60])
def test_what_makes_no_sense_is_refused_at_once(client, place, path):
    answer = ask_soon(client, "GET", path)
    assert answer.status_code in (400, 404, 414, 422, 503)
    require_harmless(answer, place)


@pytest.mark.parametrize(
    "path",
    [
        "/tiles/made/classes/3/1/1.png?url=file:///etc/passwd",
        "/tiles/made/classes/3/1/1.png?url=http://127.0.0.1:1/",
        "/wmts?LAYERS=/etc/passwd",
        f"{EXPORT}?bbox=0,0,1,1&renderingRule=/etc/passwd&mosaicRule=/etc/passwd",
        f"{EXPORT}?bbox=0,0,1,1&compression=../../etc/passwd",
        "//etc/passwd/../..",
    ],
)
def test_what_is_no_parameter_changes_nothing(client, place, path):
    bare = path.partition("?")[0]
    plain = client.get(f"{bare}?bbox=0,0,1,1" if bare == EXPORT else bare)
    answer = client.get(path)
    assert (answer.status_code, answer.content) == (plain.status_code, plain.content)
    require_harmless(answer, place)


@pytest.mark.parametrize(
    "path",
    [
        "/shares/made?bbox=-180,-90,180,90",
        "/shares/made?bbox=0,0,5e-324,5e-324",
        "/shares/made?bbox=-360,89.99999,360,90",
        "/identify/made?lon=180&lat=90",
        f"{EXPORT}?bbox=0,0,1e-323,1e-323&size=1,1&format=tiff",
        f"{EXPORT}?bbox=0,0,1e308,1e308&size=5,5&format=tiff",
        f"{EXPORT}?bbox=1e308,1e308,1.1e308,1.1e308&bboxSR=4326&imageSR=4326",
        f"{EXPORT}?bbox=-180,-90,180,90&bboxSR=4326&imageSR=4326&size=4096,1",
        f"{EXPORT}?bbox=0,0,1,1&bboxSR=4978&imageSR=4978",
        f"{EXPORT}?bbox=0,0,1,1&bboxSR=5703&imageSR=5703",
        f"{IDENTIFY}?geometry=1e308,1e308&sr=4326",
    ],
)
def test_what_is_no_place_of_the_data_is_empty(client, place, path):
    answer = client.get(path)
    assert answer.status_code in (200, 400)
    require_harmless(answer, place)


def test_picture_of_a_continent_in_full_size_takes_seconds(client):
    started_s = time.monotonic()
    answer = client.get(
        EXPORT.replace("classes", "imagery")
        + "?bbox=-100,20,-50,60&bboxSR=4326&imageSR=4326&size=4096,4096"
    )
    assert answer.status_code == 200
    assert time.monotonic() - started_s < 20


JUNK = b"\xff\xfe\x00--x\r\n"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"x" * 70_000, FORM, 413),
        (b"a=1&" * 16_000, FORM, 400),
        (b"bbox=" + b"[" * 60_000, FORM, 400),
        (b"bbox=0,0,1,1&bboxSR=" + b'{"a":' * 10_000, FORM, 400),
        (JUNK, FORM, 400),
        (JUNK, "multipart/form-data", 400),
        (JUNK, "multipart/form-data; boundary=x; charset=no", 400),
        (b"--x\r\n\r\n\r\n--x--\r\n", "multipart/form-data; boundary=x", 400),
        (
            b'--x\r\nContent-Disposition: form-data; name="bbox"; filename="/etc/passwd"\r\n\r\n'
            b"0,0,1,1\r\n--x--\r\n",
            "multipart/form-data; boundary=x",
            400,
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 500 + b"--x--\r\n",
            "multipart/form-data; boundary=x",
            400,
        ),
        (b'{"bbox": [0, 0, 1, 1]}', "application/json", 400),
    ],
)
def test_forms_that_are_none_are_refused(client, place, body, kind, status):
    answer = ask_soon(client, "POST", EXPORT, content=body, headers={"content-type": kind})
    assert answer.status_code == status
    require_harmless(answer, place)


def test_body_without_a_length_is_refused(client, place):
    answer = client.post(EXPORT, content=iter([b"bbox=0,0,1,1"]), headers={"content-type": FORM})
    assert answer.status_code == 413
    require_harmless(answer, place)


def save(array: np.ndarray, **header: Any) -> bytes:
    """A .npy file, of which the header may lie."""
    buffer = io.BytesIO()
    described = {**np.lib.format.header_data_from_array_1_0(array), **header}
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue() + array.tobytes()


PIXELS = np.zeros((128, 128, 4), np.uint8)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x93NUMPY",
        b"PK\x03\x04" + b"\0" * 100,
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"\x93NUMPY\x01\x00\x06\x00" + b"{[]:1}",
        b"\x93NUMPY\x01\x00\x10\x00" + b"(" * 16,
        save(PIXELS, shape=(10**13, 1, 4)),
        save(PIXELS, shape=(-1, -1, 4)),
        save(PIXELS, shape=(128, 128, 4, 1)),
        save(PIXELS, descr="|O"),
        save(PIXELS, descr="<f8"),
        save(PIXELS[..., :3]),
        save(PIXELS[:100]),
        save(PIXELS)[:-1],
    ],
)
def test_pixels_that_are_none_are_refused(client, place, body):
    info = json.loads((place.bundle / "bundle.json").read_text())
    headers = {"x-lcseg-model": info["model_sha256"]}
    assert client.post("/arcgis/block", content=save(PIXELS), headers=headers).status_code == 200
    answer = client.post("/arcgis/block", content=body, headers=headers)
    assert answer.status_code == 400
    require_harmless(answer, place)


@pytest.mark.parametrize(
    "host",
    (
        *("evil.com", "127.0.0.1.evil.com", "localhost.evil.com", "localhost.", "169.254.169.254"),
        *("0.0.0.0", "", "[", "localhost:80@evil.com", "localhost:x", 'a"><x'),
    ),
)
def test_names_that_another_made_up_for_this_machine_are_refused(client, place, host):
    answer = client.get("/datasets.json", headers={"host": host})
    assert answer.status_code == 400
    require_harmless(answer, place)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000"])
def test_names_of_this_machine_are_answered(client, host):
    document = client.get("/tiles/made/classes/tilejson.json", headers={"host": host}).json()
    assert document["tiles"][0].lower().startswith(f"http://{host.lower()}/tiles/made/")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "OPTIONS", "FOO"])
def test_methods_that_are_none_are_refused(client, place, method):
    for path in ("/", "/tiles/made/classes/3/1/1.png", "/datasets.json"):
        answer = client.request(method, path)
        assert answer.status_code == 405
        require_harmless(answer, place)


KNOWN = {
    "dataset": "made",
    "layer": "classes",
    "collection": "made.classes",
    "tms": "WebMercatorQuad",
    "kind": "png",
    "number": 1,
}

ALL_PATHS = [
    "/",
    "/page.js",
    "/nowhere",
    "/datasets.json",
    "/tiles/made/classes/tilejson.json",
    "/tiles/made/classes/3/1/1.png",
    "/tiles/nowhere/classes/3/1/1.png",
    "/wmts/1.0.0/WMTSCapabilities.xml",
    "/wmts?REQUEST=nothing",
    "/ogc",
    "/ogc/conformance",
    "/ogc/tileMatrixSets",
    "/ogc/collections",
    "/ogc/collections/made.classes/map/tiles/WebMercatorQuad",
    "/arcgis/rest/info",
    "/arcgis/rest/services",
    "/arcgis/rest/services/made",
    "/arcgis/rest/services/made/classes/ImageServer",
    "/arcgis/rest/services/made/classes/ImageServer/legend",
    "/arcgis/rest/services/made/classes/MapServer",
    "/identify/made?lon=-75.68&lat=38.84",
    "/suspects/made",
    "/suspects/made/1",
    "/suspects/made/4",
    "/suspects/bare",
    "/openapi.json",
    "/healthz",
    "/readyz",
    "/metrics",
]


@pytest.mark.parametrize("path", ALL_PATHS)
def test_no_answer_names_a_file_of_the_server(client, place, path):
    require_harmless(client.get(path), place)


@pytest.mark.parametrize("known", [{}, KNOWN], ids=["anything", "what is there"])
def test_schemathesis_finds_no_request_that_makes_the_server_fail(address, known):
    statuses = ask_at_random(address, known)
    assert sum(statuses.values()) > 200
    assert statuses[200] > (100 if known else 10)


@pytest.mark.parametrize("token", ["0123456789abcdef", "another"])
def test_schemathesis_writes_nothing_but_verdicts(place, tmp_path, token):
    path, config = tmp_path / "suspects.gpkg", tmp_path / "maps.toml"
    write_suspected(path)
    before = {one.id: one for one in read_suspects(path)[1]}
    (tmp_path / "token").write_text("0123456789abcdef")
    config.write_text(
        f'[made]\nmodel = "{place.bundle}"\nimage = "{place.image}"\nsuspects = "suspects.gpkg"\n'
    )
    flags = {"allow_edits": True, "edit_token_file": str(tmp_path / "token")}
    with running(ServeConfig(config=str(config), port=0, **flags)) as address:
        headers = {"Authorization": f"Bearer {token}"}
        statuses = ask_at_random(address, KNOWN, "/suspects", headers, max_examples=60)
    after = {one.id: one for one in read_suspects(path)[1]}
    if token == "another":
        assert statuses[401] > 20
        assert after == before
    else:
        assert statuses[422] and statuses[200] > 20
        for number, one in after.items():
            assert one.verdict in (None, "wrong", "right", "unsure")
            kept = {"verdict": one.verdict, "new_class": one.new_class}
            assert one == replace(before[number], **kept)
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def ask_at_random(
    address: str,
    known: dict[str, Any],
    prefix: str = "/",
    headers: dict[str, str] | None = None,
    max_examples: int = 12,
) -> Counter[int]:
    """Ask what schemathesis thinks of, of all paths with a prefix; returns how often by status."""
    import hypothesis
    import schemathesis

    api = schemathesis.openapi.from_url(f"{address}/openapi.json")
    statuses: Counter[int] = Counter()
    for operation in api.get_all_operations():
        if not operation.ok().path.startswith(prefix):
            continue

        @hypothesis.settings(
            max_examples=max_examples,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.ok().as_strategy())
        def ask(case: Any) -> None:
            for name in known.keys() & case.path_parameters.keys():
                case.path_parameters[name] = known[name]
            answer = case.call(timeout=PATIENCE_S, headers=headers)
            statuses[answer.status_code] += 1
            assert answer.status_code < 500 or answer.status_code == 503, case.as_curl_command()

        ask()
    return statuses


def test_other_sites_may_not_read_unless_they_are_named(client, place):
    asked = {"origin": "https://www.arcgis.com"}
    for path in ("/datasets.json", "/page.js", "/nowhere"):
        assert "access-control-allow-origin" not in client.get(path, headers=asked).headers
    config = ServeConfig(
        model=str(place.bundle), image=str(place.image), origins=("https://www.arcgis.com",)
    )
    with running(config) as address:
        for origin, allowed in (("https://www.arcgis.com", True), ("https://evil.com", False)):
            for method in ("GET", "OPTIONS"):
                answer = httpx.request(
                    method,
                    f"{address}/datasets.json",
                    headers={"origin": origin, "access-control-request-method": "GET"},
                )
                named = answer.headers.get("access-control-allow-origin")
                assert named == (origin if allowed else None)
                assert "Origin" in answer.headers["vary"]
                require_harmless(answer, place)


def test_names_are_those_that_are_given_even_where_all_addresses_are_listened_at(place):
    given = {"model": str(place.bundle), "image": str(place.image), "host": "0.0.0.0"}
    for hosts, expected in ((("maps.example.org",), [200, 200, 400]), ((), [200, 200, 200])):
        with running(ServeConfig(**given, hosts=hosts)) as address:
            found = [
                httpx.get(f"{address}/healthz", headers={"host": host}).status_code
                for host in ("Maps.Example.org:443", "localhost", "example.org")
            ]
        assert found == expected


@pytest.mark.parametrize("prefix", ["/maps", "/arcgis/dover", "/tiles"])
def test_addresses_in_answers_lead_back_through_the_proxy(place, prefix):
    """The proxy takes the prefix away, and says by which scheme and name it was asked."""
    config = ServeConfig(
        config=str(place.write_config()), root_path=prefix, hosts=("maps.example.org",)
    )
    outside = f"https://maps.example.org{prefix}"
    headers = {"host": "maps.example.org", "x-forwarded-proto": "https"}
    with running(config) as address, httpx.Client(base_url=address, headers=headers) as client:
        for path in (
            "/tiles/made/classes/tilejson.json",
            "/wmts/1.0.0/WMTSCapabilities.xml",
            "/wmts?request=GetCapabilities",
            "/ogc",
            "/ogc/tileMatrixSets",
            "/ogc/collections",
            "/ogc/collections/made.classes",
            "/ogc/collections/made.classes/map/tiles",
            "/ogc/collections/made.classes/map/tiles/WebMercatorQuad",
            f"{EXPORT}?bbox=0,0,1,1&f=json",
        ):
            text = client.get(path).text
            found = re.findall(r"https?://(?:maps\.example\.org|127)[^\s\"'<>?]*", text)
            assert found
            for url in found:
                assert url.startswith(f"{outside}/")
                if "{" not in url:
                    answer = client.get(url.removeprefix(outside))
                    assert answer.status_code == (400 if "exportImage" in url else 200)
        tile = client.get("/tiles/made/classes/tilejson.json").json()["tiles"][0]
        href = client.get(f"{EXPORT}?bbox=0,0,1,1&f=json").json()["href"]
        for url in (tile.format(z=3, x=1, y=1), href):
            answer = client.get(url.removeprefix(outside))
            assert answer.headers["content-type"] == "image/png"
        assert client.get(EXPORT).json()["error"]["code"] == 400
        assert client.get("/openapi.json").json()["servers"] == [{"url": prefix}]
        assert client.get("/page.js").status_code == 200


@pytest.mark.parametrize(
    ("known", "is_known"),
    [
        ("{tag}", True),
        ("W/{tag}", True),
        ('"other", {tag}', True),
        ('W/"other" ,W/{tag},"third"', True),
        ("*", True),
        ('"other"', False),
        ("", False),
        ('"*"', False),
        ('"', False),
        ("{bare}", False),
    ],
)
def test_tags_may_be_weak_and_several(client, known, is_known):
    path = list_tiles("made", 16)[0]
    tag = client.get(path).headers["etag"]
    known = known.format(tag=tag, bare=tag.strip('"')[:-1])
    answer = client.get(path, headers={"if-none-match": known})
    assert answer.status_code == (304 if is_known else 200)
    if is_known:
        assert answer.headers["etag"] == tag


def test_tags_may_come_in_several_headers(client):
    path = list_tiles("made", 16)[0]
    tag = client.get(path).headers["etag"]
    known = [("if-none-match", '"other"'), ("if-none-match", tag)]
    assert client.get(path, headers=known).status_code == 304


def test_note_to_zoom_in_is_not_kept(client):
    answer = client.get(list_tiles("bare", 12)[0])
    assert answer.headers["x-lcseg-note"] == "zoom-in"
    assert "etag" not in answer.headers


def test_fault_of_the_server_is_told_without_its_details(place, monkeypatch):
    def fail(*_: Any) -> Any:
        raise RuntimeError(f"a bug at {place.folder}")

    monkeypatch.setattr("lcseg.serving.tiles.reply_picture", fail)
    with running(ServeConfig(model=str(place.bundle), image=str(place.image))) as address:
        answer = httpx.get(f"{address}/tiles/scene/classes/3/1/1.png")
    assert answer.status_code == 500
    assert answer.json() == {"error": "this went wrong; the log of the server says how"}
    require_harmless(answer, place)


def test_image_that_cannot_be_read_is_told_without_its_name(place, monkeypatch, caplog):
    def fail(*_: Any) -> Any:
        raise LcsegError(place.image, "cannot be read: a disk fails")

    monkeypatch.setattr("lcseg.serving.store.predict_block", fail)
    with running(ServeConfig(model=str(place.bundle), image=str(place.image))) as address:
        answer = httpx.get(address + list_tiles("scene", 17)[0], timeout=PATIENCE_S)
        assert answer.status_code == 503
        assert answer.json() == {"error": "this data set cannot be read just now"}
        require_harmless(answer, place)
        assert read_metric(address, "lcseg_blocks_waiting") == 0
    assert f"a request failed: {place.image}: cannot be read: a disk fails" in caplog.text


@dataclass
class Gate:
    """A model that answers once it may."""

    backend: Backend
    may_answer: threading.Event = field(default_factory=threading.Event)
    asked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def info(self) -> BundleInfo:
        return self.backend.info

    def classify(self, padded_nhwc: np.ndarray) -> np.ndarray:
        return self.predict(padded_nhwc)[0]

    def predict(self, padded_nhwc: np.ndarray) -> tuple[np.ndarray, Any]:
        self.asked.release()
        assert self.may_answer.wait(PATIENCE_S)
        return self.backend.predict(padded_nhwc)

    def to_probabilities(self, logits_nhwk: Any) -> np.ndarray:
        return self.backend.to_probabilities(logits_nhwk)


@pytest.fixture
def gate(monkeypatch) -> Iterator[Gate]:
    """The model of the next server that is started; it lets pass what it is shown at the start."""
    load = engines.load_backend
    made: list[Gate] = []

    def load_gate(*arguments: Any) -> Gate:
        found.backend = load(*arguments)
        return found

    found = Gate(None)  # type: ignore[arg-type]
    found.may_answer.set()
    made.append(found)
    monkeypatch.setattr(engines, "load_backend", load_gate)
    yield found
    found.may_answer.set()


def close_gate(gate: Gate) -> None:
    """Have the model wait, from its next question on."""
    while gate.asked.acquire(blocking=False):
        pass
    gate.may_answer.clear()


def send(address: str, head: str, body: bytes = b"") -> socket.socket:
    """Send a request, and do not wait for its answer."""
    where = urlsplit(address)
    connection = socket.create_connection((where.hostname, where.port), timeout=PATIENCE_S)
    connection.sendall(f"{head}\r\nHost: {where.netloc}\r\n\r\n".encode() + body)
    return connection


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_work_of_clients_that_left_is_dropped(place, gate, method):
    flags: dict[str, Any] = {"batch_blocks": 1, "max_waiting": 64}
    with running(ServeConfig(model=str(place.bundle), image=str(place.image), **flags)) as address:
        close_gate(gate)
        box = f"bbox={LEFT},{TOP - SIZE_PX},{LEFT + SIZE_PX},{TOP}&bboxsr=26918&imagesr=26918"
        path = EXPORT.replace("made", "scene")
        if method == "GET":
            leaving = send(address, f"GET {path}?{box}&size=700,700 HTTP/1.1")
        else:
            body = f"{box}&size=700,700".encode()
            head = f"POST {path} HTTP/1.1\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}"
            leaving = send(address, head, body)
        assert gate.asked.acquire(timeout=PATIENCE_S)
        wait_until(lambda: read_metric(address, "lcseg_blocks_waiting") == 9)
        leaving.close()
        wait_until(lambda: read_metric(address, "lcseg_gone_total") == 1)
        # Those that threads have begun already are finished, as threads cannot be ended.
        wait_until(lambda: read_metric(address, "lcseg_blocks_waiting") <= 3)
        gate.may_answer.set()
        wait_until(lambda: read_metric(address, "lcseg_blocks_waiting") == 0)
        assert read_metric(address, "lcseg_blocks_predicted_total") <= 3
        answer = httpx.get(address + list_tiles("scene", 17)[0], timeout=PATIENCE_S)
        assert answer.status_code == 200


def test_image_that_is_replaced_while_it_is_predicted_is_not_shown_as_of_before(
    place, gate, tmp_path
):
    own = Path(shutil.copytree(place.folder, tmp_path / "own"))
    image, other, before = own / "scene.tif", own / "other.tif", own / "before.tif"
    with rasterio.open(image) as dataset:
        values_hwc = np.moveaxis(dataset.read(), 0, -1)
    write(other, values_hwc[::-1].copy(), nodata=0)
    with (
        running(ServeConfig(model=str(own / "bundle"), image=str(image))) as address,
        ThreadPoolExecutor(1) as pool,
    ):
        tile = address + list_tiles("scene", 17)[0]
        close_gate(gate)
        asking = pool.submit(httpx.get, tile, timeout=PATIENCE_S)
        assert gate.asked.acquire(timeout=PATIENCE_S)
        os.link(image, before)
        other.replace(image)
        gate.may_answer.set()
        assert asking.result().status_code == 503
        new = httpx.get(tile, timeout=PATIENCE_S)
        # With its own time of change, so that its version is as before.
        before.replace(image)
        old = httpx.get(tile, timeout=PATIENCE_S)
    assert new.status_code == old.status_code == 200
    assert new.content != old.content
    with running(ServeConfig(model=str(own / "bundle"), image=str(image))) as address:
        assert httpx.get(tile.replace(tile[: tile.index("/tiles")], address)).content == old.content


def test_client_that_has_sent_a_form_and_waits_gets_its_answer(place, gate):
    with running(ServeConfig(model=str(place.bundle), image=str(place.image))) as address:
        close_gate(gate)
        form = {"bbox": f"{LEFT},{TOP - 99},{LEFT + 99},{TOP}", "bboxSR": "26918"}
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(
                httpx.post,
                address + EXPORT.replace("made", "scene"),
                data={**form, "imageSR": "26918", "size": "99,99"},
                timeout=PATIENCE_S,
            )
            assert gate.asked.acquire(timeout=PATIENCE_S)
            assert not asking.done()
            gate.may_answer.set()
            assert asking.result().headers["content-type"] == "image/png"
        assert read_metric(address, "lcseg_gone_total") == 0


WHOLE = (
    f"?bbox={LEFT},{TOP - SIZE_PX},{LEFT + SIZE_PX},{TOP}&bboxSR=26918&imageSR=26918&size=700,700"
)
"""Of an export: takes all nine blocks of the scene."""


def test_full_queue_is_503_and_come_again(place, gate):
    # Other values are other blocks.
    path = place.write_config(scale="1.0")
    config = ServeConfig(config=str(path), max_blocks=9, max_waiting=9)
    with running(config) as address, ThreadPoolExecutor(2) as pool:
        close_gate(gate)
        waiting = pool.submit(httpx.get, f"{address}{EXPORT}{WHOLE}", timeout=PATIENCE_S)
        wait_until(lambda: read_metric(address, "lcseg_blocks_waiting") == 9)
        for path in (EXPORT.replace("made", "bare") + WHOLE, list_tiles("bare", 17)[0]):
            answer = httpx.get(address + path, timeout=PATIENCE_S)
            assert answer.status_code == 503
            assert "busy; come again" in answer.text
            assert int(answer.headers["retry-after"]) > 0
            require_harmless(answer, place)
        assert read_metric(address, "lcseg_busy_total") == 2
        # What is asked for already can be had.
        also = pool.submit(httpx.get, address + list_tiles("made", 17)[0], timeout=PATIENCE_S)
        gate.may_answer.set()
        assert waiting.result().status_code == also.result().status_code == 200
        again = httpx.get(address + list_tiles("bare", 17)[0], timeout=PATIENCE_S)
        assert again.status_code == 200


def test_what_takes_too_long_is_503_and_its_work_dropped(place, gate):
    config = ServeConfig(
        model=str(place.bundle), image=str(place.image), batch_blocks=1, timeout_s=1
    )
    with running(config) as address:
        close_gate(gate)
        answer = httpx.get(address + EXPORT.replace("made", "scene") + WHOLE, timeout=PATIENCE_S)
        assert answer.status_code == 503
        assert answer.json()["error"]["message"] == "it took too long; come again"
        assert int(answer.headers["retry-after"]) > 0
        # The rest are those that threads were at already.
        wait_until(lambda: read_metric(address, "lcseg_blocks_waiting") == 3)
        gate.may_answer.set()
        wait_until(lambda: read_metric(address, "lcseg_blocks_waiting") == 0)
        assert read_metric(address, "lcseg_blocks_predicted_total") == 3


def test_more_pictures_than_there_is_room_for_are_503(place, gate):
    config = ServeConfig(model=str(place.bundle), image=str(place.image))
    with running(config) as address, ThreadPoolExecutor(40) as pool:
        close_gate(gate)
        path = EXPORT.replace("made", "scene") + WHOLE.replace("700,700", "1024,1024")
        asking = [pool.submit(httpx.get, address + path, timeout=PATIENCE_S) for _ in range(40)]
        wait_until(lambda: sum(each.done() for each in asking) == 8)
        assert {each.result().status_code for each in asking if each.done()} == {503}
        gate.may_answer.set()
        statuses = Counter(each.result().status_code for each in asking)
    assert statuses == {200: 32, 503: 8}


def test_pixels_are_held_for_some_clients_at_a_time(place, caplog):
    info = json.loads((place.bundle / "bundle.json").read_text())
    body = save(PIXELS)
    head = f"POST /arcgis/block HTTP/1.1\r\nX-Lcseg-Model: {info['model_sha256']}"
    with running(ServeConfig(model=str(place.bundle), image=str(place.image))) as address:

        def ask() -> int:
            return httpx.post(
                f"{address}/arcgis/block",
                content=body,
                headers={"x-lcseg-model": info["model_sha256"]},
                timeout=PATIENCE_S,
            ).status_code

        assert ask() == 200
        held = [send(address, f"{head}\r\nContent-Length: {1 << 26}", body) for _ in range(8)]
        wait_until(lambda: ask() == 503)
        for connection in held:
            connection.close()
        wait_until(lambda: read_metric(address, "lcseg_gone_total") == 8)
        assert ask() == 200
    assert "failed" not in caplog.text


@pytest.fixture(scope="module")
def program(place) -> Iterator[tuple[str, int]]:
    """The address and the process of `lcseg serve`, as its user runs it."""
    command = [str(Path(sys.executable).with_name("lcseg")), "serve", "--port=0"]
    command += [f"--config={place.write_config()}", "--max_waiting=64"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        line = next(line for line in process.stdout if line.startswith("page "))
        yield line.split()[1].rstrip("/"), process.pid
        process.send_signal(signal.SIGINT)


def peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1000


def count_threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def count_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def require_alive(address: str) -> None:
    """It predicts what it is asked, and nothing is left of what was asked before."""
    wait_until(lambda: read_metric(address, "lcseg_blocks_waiting") == 0)
    answer = httpx.get(address + list_tiles("bare", 17)[0], timeout=PATIENCE_S)
    assert answer.status_code == 200


@pytest.mark.slow
def test_floods_of_cold_tiles_and_clients_that_hang_up_leave_nothing_behind(program):
    address, pid = program
    require_alive(address)
    least_mb, least_files = peak_mb(pid), count_files(pid)
    paths = [path for zoom in (16, 17, 18, 19) for path in list_tiles("made", zoom, "soft")]
    random = np.random.default_rng(0)
    asked = [paths[i] for i in random.permutation(len(paths))[:200]]
    assert len(asked) == 200
    start = threading.Barrier(200)

    def ask(number: int) -> int:
        start.wait(PATIENCE_S)
        path = asked[number]
        if number % 3:
            return httpx.get(address + path, timeout=PATIENCE_S).status_code
        with send(address, f"GET {path} HTTP/1.1") as connection:
            # Some leave at once, others as the answer comes.
            return 0 if number % 2 else len(connection.recv(10)) * 0
        return 0

    with ThreadPoolExecutor(200) as pool:
        statuses = Counter(pool.map(ask, range(200)))
    assert set(statuses) <= {0, 200, 503}
    assert statuses[200] > 0
    require_alive(address)
    assert peak_mb(pid) - least_mb < MOST_MB
    assert count_threads(pid) < 100
    wait_until(lambda: count_files(pid) < least_files + 100)


@pytest.mark.slow
def test_floods_of_the_largest_pictures_take_bounded_memory(program):
    address, pid = program
    require_alive(address)
    least_mb = peak_mb(pid)
    box = f"bbox={LEFT},{TOP - SIZE_PX},{LEFT + SIZE_PX},{TOP}&bboxSR=26918&imageSR=3857"
    start = threading.Barrier(16)

    def ask(number: int) -> int:
        start.wait(PATIENCE_S)
        layer = ("imagery", "classes", "soft", "difference")[number % 4]
        path = EXPORT.replace("classes", layer)
        return httpx.get(
            f"{address}{path}?{box}&size=4096,4096", timeout=2 * PATIENCE_S
        ).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = Counter(pool.map(ask, range(16)))
    assert set(statuses) <= {200, 503}
    assert statuses[503] > 0
    require_alive(address)
    assert peak_mb(pid) - least_mb < MOST_LARGE_MB


def test_floods_of_headers_and_bodies_without_end_are_cut_off(program):
    address, pid = program
    require_alive(address)
    least_mb = peak_mb(pid)
    line = b"x-flood: " + b"y" * 1000 + b"\r\n"
    get, post = (
        f"{start} HTTP/1.1\r\nHost: localhost\r\n" for start in ("GET /", f"POST {EXPORT}")
    )
    for head, more, most in (
        (get, line, 100_000),
        ("GET /" + "a" * 100_000, b"a" * 1000, 1000),
        (f"{post}Content-Length: {10**15}\r\n\r\n", line, 50_000),
        (f"{post}Content-Length: -1\r\n\r\n", b"", 0),
        (f"{post}Content-Length: 1\r\nContent-Length: 2\r\n\r\n", b"", 0),
        ("\x16\x03\x01\x02\x00\r\n\r\n", b"", 0),
        ("GET / HTTP/9.9\r\n\r\n", b"", 0),
        ("GET / HTTP/1.1\r\n\r\n", b"", 0),
        ("GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", b"", 0),
    ):
        where = urlsplit(address)
        with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
            try:
                connection.sendall(head.encode("latin-1"))
                for _ in range(most):
                    connection.sendall(more)
                answer = connection.recv(1 << 16)
            except ConnectionError:
                continue
            assert answer.startswith(b"HTTP/1.1 4")
            assert b"/tmp" not in answer
    require_alive(address)
    assert peak_mb(pid) - least_mb < MOST_MB


def test_upgrade_to_a_socket_is_ignored(program):
    address, _ = program
    headers = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "13",
    }
    assert httpx.get(f"{address}/healthz", headers=headers).status_code == 200


def test_many_who_look_at_a_place_have_it_predicted_once(place, gate):
    config = ServeConfig(config=str(place.write_config()), batch_blocks=4, batch_wait_ms=20)
    with running(config) as address:
        close_gate(gate)
        paths = list_tiles("bare", 16) + list_tiles("bare", 17)

        def view(number: int) -> list[bytes]:
            shuffled = np.random.default_rng(number).permutation(paths)
            with httpx.Client(base_url=address, timeout=PATIENCE_S) as client:
                answers = {path: client.get(path) for path in shuffled}
            assert {answer.status_code for answer in answers.values()} == {200}
            return [answers[path].content for path in paths]

        with ThreadPoolExecutor(8) as pool:
            looking = pool.map(view, range(8))
            assert gate.asked.acquire(timeout=PATIENCE_S)
            gate.may_answer.set()
            first, *others = looking
        assert all(other == first for other in others)
        assert read_metric(address, "lcseg_blocks_predicted_total") == 9
        # How many are answered together is a matter of time; the tests of the engine have more.
        assert read_metric(address, "lcseg_batch_blocks_sum") == 9


def test_server_that_is_started_again_predicts_nothing_that_its_disk_has(place, tmp_path):
    flags = {"disk_cache": str(tmp_path)}
    found = []
    for n_predicted in (9, 0):
        with running(ServeConfig(config=str(place.write_config()), **flags)) as address:
            found.append(
                [httpx.get(address + path, timeout=60).content for path in list_tiles("bare", 17)]
            )
            assert read_metric(address, "lcseg_blocks_predicted_total") == n_predicted
    assert found[0] == found[1]
