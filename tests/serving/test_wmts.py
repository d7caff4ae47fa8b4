"""WMTS: the document is one that the standard allows, and what it names is there."""

import io
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
from owslib.wmts import WebMapTileService
from PIL import Image
from served import running
from truth import NATIVE, ORIGIN_M, Truth

from lcseg.serving.config import ServeConfig

WMTS, OWS = "{http://www.opengis.net/wmts/1.0}", "{http://www.opengis.net/ows/1.1}"
ORDER = {
    f"{WMTS}Capabilities": (
        f"{OWS}ServiceIdentification",
        f"{OWS}OperationsMetadata",
        f"{WMTS}Contents",
        f"{WMTS}ServiceMetadataURL",
    ),
    f"{OWS}ServiceIdentification": (
        f"{OWS}Title",
        f"{OWS}ServiceType",
        f"{OWS}ServiceTypeVersion",
    ),
    f"{WMTS}Contents": (f"{WMTS}Layer", f"{WMTS}TileMatrixSet"),
    f"{WMTS}Layer": (
        f"{OWS}Title",
        f"{OWS}WGS84BoundingBox",
        f"{OWS}Identifier",
        f"{WMTS}Style",
        f"{WMTS}Format",
        f"{WMTS}TileMatrixSetLink",
        f"{WMTS}ResourceURL",
    ),
    f"{OWS}WGS84BoundingBox": (f"{OWS}LowerCorner", f"{OWS}UpperCorner"),
    f"{WMTS}TileMatrixSetLink": (f"{WMTS}TileMatrixSet", f"{WMTS}TileMatrixSetLimits"),
    f"{WMTS}TileMatrixLimits": tuple(
        f"{WMTS}{name}"
        for name in ("TileMatrix", "MinTileRow", "MaxTileRow", "MinTileCol", "MaxTileCol")
    ),
    f"{WMTS}TileMatrixSet": (
        f"{OWS}Identifier",
        f"{OWS}SupportedCRS",
        f"{WMTS}WellKnownScaleSet",
        f"{WMTS}TileMatrix",
    ),
    f"{WMTS}TileMatrix": (
        f"{OWS}Identifier",
        *(
            f"{WMTS}{name}"
            for name in (
                "ScaleDenominator",
                "TopLeftCorner",
                "TileWidth",
                "TileHeight",
                "MatrixWidth",
                "MatrixHeight",
            )
        ),
    ),
}
"""Elements in the order of the schemas of WMTS 1.0.0 and OWS 1.1.0, without those left out."""
SCALE_M = 0.28e-3
"""Side of the pixel that scale denominators are told of."""


@pytest.fixture(scope="module")
def document(address):
    answer = httpx.get(f"{address}/wmts/1.0.0/WMTSCapabilities.xml")
    assert answer.status_code == 200
    return answer.content


@pytest.fixture(scope="module")
def service(address, document):
    return WebMapTileService(f"{address}/wmts", xml=document)


def test_owslib_finds_all_layers_and_fetches_the_map(service, address, place):
    layers = ("imagery", "classes", "soft", "confidence", "labels", "difference", "change")
    assert set(service.contents) == {f"made.{name}" for name in layers} | {
        f"bare.{name}" for name in layers[:4]
    }
    layer = service["made.classes"]
    assert layer.title == "A made-up place: Land cover"
    limits = layer.tilematrixsetlinks["WebMercatorQuad"].tilematrixlimits[str(NATIVE)]
    row, col = limits.mintilerow + 1, limits.mintilecol + 1
    found = service.gettile(
        layer="made.classes",
        tilematrixset="WebMercatorQuad",
        tilematrix=str(NATIVE),
        row=row,
        column=col,
    )
    rgba = np.asarray(Image.open(io.BytesIO(found.read())).convert("RGBA"))
    truth, side = Truth(place), 2 * ORIGIN_M / 2**NATIVE
    left, top = col * side - ORIGIN_M, ORIGIN_M - row * side
    class_hw, is_clear_hw = truth.on((left, top - side, left + side, top), (256, 256), 3857)
    assert np.array_equal(rgba[is_clear_hw], truth.colors(class_hw)[is_clear_hw])
    assert len(np.unique(class_hw)) > 1


def test_owslib_asks_for_the_document_by_keys(address, service):
    assert set(WebMapTileService(f"{address}/wmts").contents) == set(service.contents)


def test_elements_stand_in_the_order_of_the_schema(document):
    root = ElementTree.fromstring(document)
    assert root.get("version") == "1.0.0"
    seen = set()
    for element in root.iter():
        order = ORDER.get(element.tag)
        names = [child.tag for child in element]
        if order and names:
            assert names == sorted(names, key=order.index)
            assert set(names) == set(order)
            seen.add(element.tag)
    assert seen == set(ORDER)
    assert root.find(f"{OWS}ServiceIdentification/{OWS}ServiceType").text == "OGC WMTS"
    names = [operation.get("name") for operation in root.iter(f"{OWS}Operation")]
    assert names == ["GetCapabilities", "GetTile"]


def test_matrices_are_those_of_google_maps_as_far_as_there_is_something_to_see(document):
    matrices = list(ElementTree.fromstring(document).iter(f"{WMTS}TileMatrix"))
    matrices = [matrix for matrix in matrices if len(matrix)]
    assert len(matrices) == NATIVE + 3 + 1
    for zoom, matrix in enumerate(matrices):
        assert matrix.find(f"{OWS}Identifier").text == str(zoom)
        pixel_m = float(matrix.find(f"{WMTS}ScaleDenominator").text) * SCALE_M
        assert pixel_m == pytest.approx(2 * ORIGIN_M / 256 / 2**zoom, rel=1e-9)
        assert int(matrix.find(f"{WMTS}MatrixWidth").text) == 2**zoom


def test_corners_of_all_that_is_advertised_are_there(service, address):
    with httpx.Client(timeout=60) as client:
        for layer in service.contents.values():
            (template,) = (found["template"] for found in layer.resourceURLs)
            assert template.startswith(address)
            limits = layer.tilematrixsetlinks["WebMercatorQuad"].tilematrixlimits
            for zoom, limit in limits.items():
                for row in {limit.mintilerow, limit.maxtilerow}:
                    for col in {limit.mintilecol, limit.maxtilecol}:
                        places = {"TileMatrix": zoom, "TileRow": row, "TileCol": col}
                        url = template
                        for key, value in {
                            "Style": "default",
                            "TileMatrixSet": "WebMercatorQuad",
                            **places,
                        }.items():
                            url = url.replace(f"{{{key}}}", str(value))
                        answer = client.get(url)
                        assert answer.status_code == 200, url
                        assert "x-lcseg-note" not in answer.headers, url


def test_tiles_by_keys_are_those_by_path(service, address):
    limits = service["made.soft"].tilematrixsetlinks["WebMercatorQuad"].tilematrixlimits
    limit = limits[str(NATIVE)]
    row, col = limit.mintilerow + 1, limit.mintilecol + 1
    path = f"made.soft/default/WebMercatorQuad/{NATIVE}/{row}/{col}.png"
    by_path = httpx.get(f"{address}/wmts/1.0.0/{path}").content
    keys = {
        "SERVICE": "WMTS",
        "REQUEST": "GetTile",
        "VERSION": "1.0.0",
        "LAYER": "made.soft",
        "STYLE": "default",
        "FORMAT": "image/png",
        "TILEMATRIXSET": "WebMercatorQuad",
        "TILEMATRIX": str(NATIVE),
        "TILEROW": str(row),
        "TILECOL": str(col),
    }
    lower = {key.lower(): value for key, value in keys.items()}
    prefixed = keys | {"TILEMATRIX": f"WebMercatorQuad:{NATIVE}"}
    for way in (keys, lower, prefixed):
        answer = httpx.get(f"{address}/wmts", params=way)
        assert answer.content == by_path
        assert answer.headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    ("change", "code", "locator"),
    [
        ({"LAYER": "made.nothing"}, "InvalidParameterValue", "layer"),
        ({"LAYER": "/etc/passwd"}, "InvalidParameterValue", "layer"),
        ({"TILEROW": "131072"}, "TileOutOfRange", "tilerow"),
        ({"TILEMATRIX": "99"}, "TileOutOfRange", "tilerow"),
        ({"TILECOL": "x"}, "InvalidParameterValue", "tilecol"),
        ({"TILEROW": None}, "MissingParameterValue", "tilerow"),
        ({"TILEMATRIXSET": "mine"}, "InvalidParameterValue", "tilematrixset"),
        ({"STYLE": "night"}, "InvalidParameterValue", "style"),
        ({"FORMAT": "image/gif"}, "InvalidParameterValue", "format"),
        ({"REQUEST": "GetFeatureInfo"}, "OperationNotSupported", "request"),
        ({"SERVICE": "WMS"}, "InvalidParameterValue", "service"),
    ],
)
def test_what_is_wrong_is_told_in_an_exception_report(address, change, code, locator):
    keys = {
        "SERVICE": "WMTS",
        "REQUEST": "GetTile",
        "LAYER": "made.classes",
        "TILEMATRIX": "17",
        "TILEROW": "1",
        "TILECOL": "1",
    } | change
    sent = {key: value for key, value in keys.items() if value is not None}
    answer = httpx.get(f"{address}/wmts", params=sent)
    assert answer.status_code == 400
    (told,) = ElementTree.fromstring(answer.content)
    assert (told.get("exceptionCode"), told.get("locator")) == (code, locator)


def test_titles_are_escaped_and_no_path_is_told(place):
    config = place.folder / "odd.toml"
    config.write_text(
        "[odd]\ntitle = '<Bed & \"Breakfast\">'\nmodel = 'bundle'\nimage = 'scene.tif'\n"
    )
    with running(ServeConfig(config=str(config), port=0)) as address:
        text = httpx.get(f"{address}/wmts?REQUEST=GetCapabilities").text
    titles = [found.text for found in ElementTree.fromstring(text).iter(f"{OWS}Title")]
    assert '<Bed & "Breakfast">: Land cover' in titles
    assert str(place.folder) not in text
    assert not any(name in text for name in ("scene.tif", "map.tif", "bundle", "/tmp"))
