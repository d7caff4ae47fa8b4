"""What other people's programs show of a server: GDAL, QGIS, and three libraries of web maps."""

from __future__ import annotations

import functools
import http.server
import io
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from pyproj import Transformer
from served import CRS, LEFT, SIZE_PX, TOP, Place, running
from truth import NATIVE, ORIGIN_M, SCHEME, Truth, native_box

from lcseg import serving
from lcseg.classes import IGNORE
from lcseg.serving.config import ServeConfig

pytestmark = pytest.mark.clients

PATIENCE_MS = 60_000
PATIENCE_S = 300
QGIS_PYTHON = "/usr/bin/python3"
DRAW_IN_QGIS = Path(__file__).parents[1] / "draw_in_qgis.py"
PACKAGES = ("leaflet@1.9", "esri-leaflet@3", "maplibre-gl@6")
OPENLAYERS = next(Path(serving.__file__).with_name("page").glob("vendor/ol-*"))

SIDE_PX = 1000
N_POINTS = 20

XYZ = f"""<GDAL_WMS>
  <Service name="TMS">
    <ServerUrl>{{server}}/tiles/made/classes/${{{{z}}}}/${{{{x}}}}/${{{{y}}}}.png</ServerUrl>
  </Service>
  <DataWindow>
    <UpperLeftX>-{ORIGIN_M}</UpperLeftX><UpperLeftY>{ORIGIN_M}</UpperLeftY>
    <LowerRightX>{ORIGIN_M}</LowerRightX><LowerRightY>-{ORIGIN_M}</LowerRightY>
    <TileLevel>{NATIVE}</TileLevel><TileCountX>1</TileCountX><TileCountY>1</TileCountY>
    <YOrigin>top</YOrigin>
  </DataWindow>
  <Projection>EPSG:3857</Projection>
  <BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY><BandsCount>4</BandsCount>
</GDAL_WMS>
"""

GDAL_SOURCES = {
    "WMTS": "WMTS:{server}/wmts/1.0.0/WMTSCapabilities.xml,layer=made.classes,"
    f"zoom_level={NATIVE}",
    "WMTS by keys": "WMTS:{server}/wmts?SERVICE=WMTS&REQUEST=GetCapabilities,layer=made.classes,"
    f"zoom_level={NATIVE}",
    "XYZ": XYZ,
    "ImageServer": "{server}/arcgis/rest/services/made/classes/ImageServer?f=json",
    "MapServer": "{server}/arcgis/rest/services/made/classes/MapServer?f=json",
}

QGIS_SOURCES = {
    "XYZ": (
        "wms",
        f"type=xyz&url={{server}}/tiles/made/classes/%7Bz%7D/%7Bx%7D/%7By%7D.png&zmax={NATIVE}",
    ),
    "WMTS": (
        "wms",
        "crs=EPSG:3857&dpiMode=7&format=image/png&layers=made.classes&styles=default"
        "&tileMatrixSet=WebMercatorQuad&url={server}/wmts/1.0.0/WMTSCapabilities.xml",
    ),
    "ImageServer": (
        "arcgismapserver",
        "crs='EPSG:3857' format='PNG32' layer='' "
        "url='{server}/arcgis/rest/services/made/classes/ImageServer'",
    ),
    "MapServer": (
        "arcgismapserver",
        "crs='EPSG:3857' format='PNG32' layer='0' "
        "url='{server}/arcgis/rest/services/made/classes/MapServer'",
    ),
}

_PAGE = """
<!DOCTYPE html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="node_modules/leaflet/dist/leaflet.css">
<link rel="stylesheet" href="node_modules/maplibre-gl/dist/maplibre-gl.css">
<style>body {{ margin: 0 }} #map {{ width: {side}px; height: {side}px; background: white }}</style>
<div id="map"></div>
{scripts}
<script type="module">
const server = "{server}", zoom = {zoom}, lonlat = {lonlat}, centre = {centre};
const service = server + "/arcgis/rest/services/made/classes/";
const done = () => {{ window.isDone = true; }};
{script}
</script>
"""
_LEAFLET = """
const map = L.map("map", {center: [lonlat[1], lonlat[0]], zoom: zoom, fadeAnimation: false,
  zoomAnimation: false, zoomControl: false, attributionControl: false});
"""
_OPENLAYERS = """
const show = async (source) => {
  while (source.getState() !== "ready") {
    await new Promise((resolve) => source.once("change", resolve));
  }
  const kind = source instanceof ol.source.Image ? "Image" : "Tile";
  const map = new ol.Map({target: "map", controls: [], pixelRatio: 1,
    view: new ol.View({center: centre, zoom: zoom, constrainResolution: true}),
    layers: [new ol.layer[kind]({source: source})]});
  map.once("rendercomplete", done);
};
"""
_PLAIN = '<script src="{}"></script>'
_LEAFLET_FILES = (
    "node_modules/leaflet/dist/leaflet.js",
    "node_modules/esri-leaflet/dist/esri-leaflet.js",
)

PAGES = {
    "esri-leaflet image": (
        _LEAFLET_FILES,
        _LEAFLET
        + 'L.esri.imageMapLayer({url: service + "ImageServer", format: "png32", f: "image"})'
        '.on("load", done).addTo(map);',
    ),
    "esri-leaflet image by json": (
        _LEAFLET_FILES,
        _LEAFLET
        + 'L.esri.imageMapLayer({url: service + "ImageServer", format: "png32", f: "json"})'
        '.on("load", done).addTo(map);',
    ),
    "esri-leaflet tiles": (
        _LEAFLET_FILES,
        _LEAFLET
        + 'L.esri.tiledMapLayer({url: service + "MapServer"}).on("load", done).addTo(map);',
    ),
    "esri-leaflet map": (
        _LEAFLET_FILES,
        _LEAFLET
        + 'L.esri.dynamicMapLayer({url: service + "MapServer", format: "png32", f: "image"})'
        '.on("load", done).addTo(map);',
    ),
    "OpenLayers image": (
        ("ol/ol.js",),
        _OPENLAYERS + 'show(new ol.source.ImageArcGISRest({url: service + "ImageServer", ratio: 1,'
        ' crossOrigin: "anonymous", interpolate: false}));',
    ),
    "OpenLayers WMTS": (
        ("ol/ol.js",),
        _OPENLAYERS
        + """
const text = await (await fetch(server + "/wmts/1.0.0/WMTSCapabilities.xml")).text();
const options = ol.source.WMTS.optionsFromCapabilities(new ol.format.WMTSCapabilities().read(text),
  {layer: "made.classes", matrixSet: "WebMercatorQuad"});
show(new ol.source.WMTS({...options, crossOrigin: "anonymous", interpolate: false, transition: 0}));
""",
    ),
    "OpenLayers OGC API": (
        ("ol/ol.js",),
        _OPENLAYERS
        + """
show(new ol.source.OGCMapTile({crossOrigin: "anonymous", interpolate: false, transition: 0,
  url: server + "/ogc/collections/made.classes/map/tiles/WebMercatorQuad"}));
""",
    ),
    "MapLibre": (
        (),
        """
const {Map} = await import("./node_modules/maplibre-gl/dist/maplibre-gl.mjs");
const map = new Map({container: "map", center: lonlat, zoom: zoom - 1, fadeDuration: 0,
  attributionControl: false, style: {version: 8,
    sources: {made: {type: "raster", tileSize: 256,
      url: server + "/tiles/made/classes/tilejson.json"}},
    layers: [{id: "made", type: "raster", source: "made",
      paint: {"raster-resampling": "nearest", "raster-fade-duration": 0}}]}});
map.once("idle", done);
""",
    ),
}


@pytest.fixture(scope="module")
def truth(place: Place) -> Truth:
    return Truth(place)


@pytest.mark.parametrize("source", GDAL_SOURCES)
def test_gdal_reads_the_map_pixel_for_pixel(
    address: str, truth: Truth, tmp_path: Path, source: str
) -> None:
    if not shutil.which("gdal_translate"):
        pytest.skip("there is no GDAL; on Debian: apt install gdal-bin")
    (left, bottom, right, top), size = native_box()
    subprocess.run(
        [
            *("gdal_translate", "-q", "-projwin", *map(str, (left, top, right, bottom))),
            *("-outsize", *map(str, size)),
            *(GDAL_SOURCES[source].format(server=address), "read.tif"),
        ],
        cwd=tmp_path,
        check=True,
        timeout=PATIENCE_S,
    )
    with rasterio.open(tmp_path / "read.tif") as dataset:
        read = np.moveaxis(dataset.read(), 0, -1)
    class_hw, is_clear_hw = truth.on((left, bottom, right, top), size, 3857)
    wanted = truth.colors(class_hw)[..., : read.shape[-1]]
    assert np.array_equal(read[is_clear_hw], wanted[is_clear_hw])
    assert len(np.unique(class_hw)) == SCHEME.n_classes + 1


@pytest.fixture(scope="module")
def qgis() -> str:
    """The Python that QGIS is for, which is not that of the tests."""
    asked = [QGIS_PYTHON, "-c", "import qgis.core"]
    there = Path(QGIS_PYTHON).exists()
    if not there or subprocess.run(asked, capture_output=True, check=False).returncode:
        pytest.skip("there is no QGIS; on Debian: apt install python3-qgis qgis-providers")
    return QGIS_PYTHON


def draw_in_qgis(python: str, jobs: list[dict[str, Any]], home: Path) -> list[dict[str, Any]]:
    """Draw layers; says what QGIS has to say of each."""
    done = subprocess.run(
        [python, str(DRAW_IN_QGIS)],
        input=json.dumps(jobs),
        env={"PATH": os.defpath, "HOME": str(home), "QT_QPA_PLATFORM": "offscreen"},
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    said: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(said) == len(jobs)
    return said


def test_qgis_draws_all_services_upright_in_the_colours_of_the_legend(
    qgis: str, address: str, truth: Truth, tmp_path: Path
) -> None:
    box, size = native_box()
    jobs: list[dict[str, Any]] = [
        {
            "provider": provider,
            "source": source.format(server=address),
            "crs": "EPSG:3857",
            "box": box,
            "size": size,
            "out": str(tmp_path / f"{name}.png"),
        }
        for name, (provider, source) in QGIS_SOURCES.items()
    ]
    said = draw_in_qgis(qgis, jobs, tmp_path)
    points = truth.choose_points(200, seed=5, reach_px=1)
    class_n, _ = truth.at(points[:, 0], points[:, 1], 3857)
    assert len(np.unique(class_n)) >= 3
    cols, rows = find_pixels(points, box, size)
    known = {tuple(color) for color in truth.colors(np.arange(SCHEME.n_classes)).tolist()}
    for job, told in zip(jobs, said, strict=True):
        assert told["is_valid"], job["source"]
        assert told["crs"] == "EPSG:3857"
        rgba = np.asarray(Image.open(job["out"]).convert("RGBA"))
        assert {
            tuple(color) for color in np.unique(rgba.reshape(-1, 4), axis=0).tolist()
        } == known | {(0, 0, 0, 0)}
        assert np.array_equal(rgba[rows, cols], truth.colors(class_n)), job["source"]


def test_qgis_draws_a_map_in_the_colours_and_names_beside_it(
    qgis: str, place: Place, truth: Truth, tmp_path: Path
) -> None:
    for name in ("map.tif", "map.qml"):
        shutil.copy(place.folder / name, tmp_path / name)
    job: dict[str, Any] = {
        "provider": "gdal",
        "source": str(tmp_path / "map.tif"),
        "crs": CRS,
        "box": [LEFT, TOP - SIZE_PX, LEFT + SIZE_PX, TOP],
        "size": [SIZE_PX, SIZE_PX],
        "out": str(tmp_path / "map.png"),
    }
    (told,) = draw_in_qgis(qgis, [job], tmp_path)
    assert told["renderer"] == "paletted"
    assert told["classes"] == [
        [index, land.name, land.color.lower()] for index, land in enumerate(SCHEME.classes)
    ]
    rgba = np.asarray(Image.open(job["out"]).convert("RGBA"))
    assert np.array_equal(rgba, truth.colors(truth.label_hw))


def find_pixels(
    points: np.ndarray, box: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of a picture of a box in which points lie."""
    left, bottom, right, top = box
    cols = (points[:, 0] - left) / (right - left) * size[0]
    rows = (top - points[:, 1]) / (top - bottom) * size[1]
    return np.floor(cols).astype(int), np.floor(rows).astype(int)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what other people's map pages consist of."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm; on Debian: apt install npm")
    folder = tmp_path_factory.mktemp("packages")
    flags = ("--silent", "--no-fund", "--no-audit", "--ignore-scripts", "--prefix", str(folder))
    subprocess.run([npm, "install", *flags, *PACKAGES], check=True, timeout=PATIENCE_S)
    shutil.copytree(OPENLAYERS, folder / "ol")
    return folder


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def origin(packages: Path) -> Iterator[str]:
    """Another web site, whose pages show what the server serves."""
    handler = functools.partial(_Quiet, directory=str(packages))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{site.server_port}"
        site.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def open_address(place: Place, origin: str) -> Iterator[str]:
    """A server that lets the pages of that site read what it serves."""
    with running(ServeConfig(config=str(place.write_config()), port=0, origins=(origin,))) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if program is None:
        pytest.skip("there is no chromium; on Debian: apt install chromium")
    flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def middle() -> tuple[float, float]:
    """The middle of the place in Web Mercator, where pixels of tiles meet."""
    (left, bottom, right, top), _ = native_box()
    return (left + right) / 2, (bottom + top) / 2


@pytest.mark.parametrize("client", PAGES)
def test_web_maps_elsewhere_show_the_same_classes(
    client: str,
    browser: Browser,
    packages: Path,
    origin: str,
    open_address: str,
    truth: Truth,
    middle: tuple[float, float],
) -> None:
    files, script = PAGES[client]
    (packages / "page.html").write_text(
        _PAGE.format(
            side=SIDE_PX,
            scripts="".join(map(_PLAIN.format, files)),
            server=open_address,
            zoom=NATIVE,
            lonlat=json.dumps(to_lonlat(middle)),
            centre=json.dumps(middle),
            script=script,
        )
    )
    complaints: list[str] = []
    page = browser.new_page(viewport={"width": SIDE_PX, "height": SIDE_PX})
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "response",
        lambda answer: None if answer.ok else complaints.append(f"{answer.status} {answer.url}"),
    )
    page.goto(f"{origin}/page.html")
    page.wait_for_function("window.isDone", timeout=PATIENCE_MS)
    rgba = np.asarray(Image.open(io.BytesIO(page.locator("#map").screenshot())).convert("RGBA"))
    page.close()
    assert complaints == []
    reach_m = SIDE_PX / 2 * 2 * ORIGIN_M / 256 / 2**NATIVE
    box = (middle[0] - reach_m, middle[1] - reach_m, middle[0] + reach_m, middle[1] + reach_m)
    points = truth.choose_points(N_POINTS, seed=11)
    class_n, _ = truth.at(points[:, 0], points[:, 1], 3857)
    assert len(np.unique(class_n)) >= 3
    cols, rows = find_pixels(points, box, (SIDE_PX, SIDE_PX))
    assert np.array_equal(rgba[rows, cols], truth.colors(class_n))
    class_hw, is_clear_hw = truth.on(box, (SIDE_PX, SIDE_PX), 3857)
    wanted = truth.colors(class_hw)
    wanted[class_hw == IGNORE] = 255
    assert np.array_equal(rgba[is_clear_hw], wanted[is_clear_hw])


def to_lonlat(point: tuple[float, float]) -> tuple[float, float]:
    lon, lat = Transformer.from_crs(3857, 4326, always_xy=True).transform(*point)
    return float(lon), float(lat)


def test_esri_leaflet_identifies_what_the_map_says(
    browser: Browser, packages: Path, origin: str, open_address: str, truth: Truth
) -> None:
    points = truth.choose_points(N_POINTS, seed=12)
    class_n, _ = truth.at(points[:, 0], points[:, 1], 3857)
    lonlats = [to_lonlat(tuple(point)) for point in points.tolist()]
    (packages / "identify.html").write_text("".join(map(_PLAIN.format, _LEAFLET_FILES)))
    page = browser.new_page()
    page.goto(f"{origin}/identify.html")
    found = page.evaluate(
        """([service, lonlats]) => Promise.all(lonlats.map(([lon, lat]) => new Promise(
            (resolve, reject) => L.esri.imageService({url: service}).identify()
                .at(L.latLng(lat, lon))
                .run((error, _, raw) => (error ? reject(error.message) : resolve(raw.value))))))""",
        [f"{open_address}/arcgis/rest/services/made/classes/ImageServer", lonlats],
    )
    page.close()
    assert found == [str(index) for index in class_n]


def test_pages_of_other_sites_are_not_let_in_unasked(
    browser: Browser, origin: str, address: str
) -> None:
    page = browser.new_page()
    page.goto(f"{origin}/ol/ol.css")
    told = page.evaluate(
        "url => fetch(url).then(() => 'read', () => 'refused')", f"{address}/datasets.json"
    )
    page.close()
    assert told == "refused"
