"""OGC API - Tiles: every link leads somewhere, and tiles are those of the other ways in."""

import httpx
import jsonschema
import pytest
from truth import NATIVE

LINK = {
    "type": "object",
    "required": ["href", "rel"],
    "properties": {"href": {"type": "string", "format": "uri"}, "rel": {"type": "string"}},
}
TILESET = {
    "type": "object",
    "required": ["dataType", "crs", "links"],
    "properties": {
        "dataType": {"enum": ["map", "vector", "coverage"]},
        "tileMatrixSetURI": {"type": "string"},
        "links": {"type": "array", "minItems": 1, "items": LINK},
        "tileMatrixSetLimits": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tileMatrix", "minTileRow", "maxTileRow", "minTileCol", "maxTileCol"],
                "properties": {
                    "tileMatrix": {"type": "string"},
                    "minTileRow": {"type": "integer", "minimum": 0},
                },
            },
        },
        "boundingBox": {
            "type": "object",
            "required": ["lowerLeft", "upperRight"],
            "properties": {
                "lowerLeft": {"type": "array", "minItems": 2, "maxItems": 2},
                "upperRight": {"type": "array", "minItems": 2, "maxItems": 2},
            },
        },
    },
}
"""What the schemas of OGC API - Tiles 1.0 demand of what we say."""


@pytest.fixture(scope="module")
def client(address):
    with httpx.Client(base_url=f"{address}/ogc/", timeout=60) as client:
        yield client


def ask(client, path):
    answer = client.get(path)
    assert answer.status_code == 200, path
    return answer.json()


def follow(document, rel):
    (found,) = (link for link in document["links"] if link["rel"].endswith(rel))
    return found["href"]


def test_every_link_leads_to_what_it_says(client, address):
    waiting, seen = [f"{address}/ogc"], set()
    while waiting:
        url = waiting.pop()
        seen.add(url)
        document = ask(client, url)
        parts = [document]
        for key in ("collections", "tilesets", "tileMatrixSets"):
            parts += document.get(key, [])
        for link in [link for part in parts for link in part.get("links", [])]:
            jsonschema.validate(link, LINK)
            assert link["href"].startswith(address)
            if not link.get("templated") and link["href"] not in seen:
                waiting.append(link["href"])
    paths = {url.removeprefix(f"{address}/") for url in seen}
    assert {"ogc", "ogc/conformance", "openapi.json", "ogc/tileMatrixSets/WebMercatorQuad"} <= paths
    assert "ogc/collections/made.classes/map/tiles/WebMercatorQuad" in paths


def test_it_says_to_conform_to_what_clients_look_for(client):
    classes = ask(client, "conformance")["conformsTo"]
    for name in ("core", "tileset", "tilesets-list", "png"):
        assert f"http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/{name}" in classes


def test_tilesets_are_as_the_standard_has_them(client):
    for collection in ("made.imagery", "made.classes", "bare.soft"):
        document = ask(client, f"collections/{collection}/map/tiles/WebMercatorQuad")
        jsonschema.validate(document, TILESET)
        (listed,) = ask(client, f"collections/{collection}/map/tiles")["tilesets"]
        jsonschema.validate(listed, TILESET)
        assert listed["tileMatrixSetURI"] == document["tileMatrixSetURI"]


def test_tiles_name_the_row_first_and_are_those_of_xyz(client, address):
    collection = ask(client, "collections/made.classes")
    (listed,) = ask(client, follow(collection, "tilesets-map"))["tilesets"]
    tileset = ask(client, follow(listed, "self"))
    scheme = ask(client, follow(tileset, "tiling-scheme"))
    (matrix,) = (found for found in scheme["tileMatrices"] if found["id"] == str(NATIVE))
    assert matrix["cellSize"] == pytest.approx(1.194328566955879)
    template = follow(tileset, "item")
    limits = {limit["tileMatrix"]: limit for limit in tileset["tileMatrixSetLimits"]}
    assert list(limits) == [str(zoom) for zoom in range(NATIVE + 4)]
    for zoom, limit in limits.items():
        row, col = limit["minTileRow"], limit["maxTileCol"]
        url = template.format(tileMatrix=zoom, tileRow=row, tileCol=col)
        found = client.get(url)
        xyz = httpx.get(f"{address}/tiles/made/classes/{zoom}/{col}/{row}.png", timeout=60)
        assert found.status_code == 200
        assert found.content == xyz.content


def test_extent_is_that_of_the_image_and_its_date(client, address):
    extent = ask(client, "collections/made.classes")["extent"]
    bounds = httpx.get(f"{address}/tiles/made/classes/tilejson.json").json()["bounds"]
    assert extent["spatial"]["bbox"] == [bounds]
    ((start, end),) = extent["temporal"]["interval"]
    assert start == end
    assert start.startswith("2024-06-01")


@pytest.mark.parametrize(
    "path",
    [
        "collections/made.nothing",
        "collections/made",
        "collections/x.classes/map/tiles",
        "collections/made.classes/map/tiles/Other",
        "collections/made.classes/map/tiles/Other/17/1/1",
        "collections/made.classes/map/tiles/WebMercatorQuad/2/4/0",
        "tileMatrixSets/Other",
    ],
)
def test_what_is_not_there_is_404(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (404, {"error": "there is no such thing here"})
