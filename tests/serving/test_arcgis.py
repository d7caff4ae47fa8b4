"""The ArcGIS REST API says what the map says, in whatever way it is asked."""

import base64
import io
import json

import httpx
import numpy as np
import pytest
import rasterio
from PIL import Image
from pyproj import Transformer
from served import CRS, LEFT, SIZE_PX, TOP, running
from truth import NATIVE, SCHEME, Truth, native_box

from lcseg.serving.config import ServeConfig
from lcseg.serving.tiling import TMS

SERVICES = "arcgis/rest/services"
OWN = {"bboxSR": "26918", "imageSR": "26918"}
EDGES = [
    pytest.param((250, 250, 20, 20), id="corner of four blocks"),
    pytest.param((0, 0, 300, 40), id="upper edge"),
    pytest.param((-30, -20, 64, 48), id="beyond the upper left"),
    pytest.param((660, 640, 100, 90), id="beyond the lower right"),
    pytest.param((505, 90, 14, 400), id="along a border"),
    pytest.param((0, 0, SIZE_PX, SIZE_PX), id="all"),
    pytest.param((-500, -500, 100, 100), id="beside"),
]


@pytest.fixture(scope="module")
def truth(place):
    return Truth(place)


@pytest.fixture(scope="module")
def client(address):
    with httpx.Client(base_url=f"{address}/{SERVICES}/made/", timeout=60) as client:
        yield client


def ask(client, path, **keys):
    answer = client.get(path, params=keys)
    assert answer.status_code == 200, answer.text
    return answer.json()


def box_of(col, row, width, height):
    """The box of pixels of the scene, as text."""
    return f"{LEFT + col},{TOP - row - height},{LEFT + col + width},{TOP - row}"


def export(client, layer="classes", how="GET", **keys):
    sent = {"data": keys} if how == "POST" else {"params": keys}
    answer = client.request(how, f"{layer}/ImageServer/exportImage", **sent)
    assert answer.status_code == 200, answer.text
    return answer


def see(answer):
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def wanted_at(values, col, row, width, height, missing=255):
    """A part of the scene's values [H, W, …], which may reach beyond it."""
    whole = np.pad(
        values, [(500, 500), (500, 500)] + [(0, 0)] * (values.ndim - 2), constant_values=missing
    )
    return whole[row + 500 : row + 500 + height, col + 500 : col + 500 + width]


@pytest.mark.parametrize("window", EDGES)
@pytest.mark.parametrize("how", ["GET", "POST"])
def test_tiff_of_the_images_own_pixels_is_the_map(client, truth, window, how):
    col, row, width, height = window
    answer = export(
        client,
        how=how,
        bbox=box_of(*window),
        size=f"{width},{height}",
        format="tiff",
        f="image",
        **OWN,
    )
    assert answer.headers["content-type"] == "image/tiff"
    with rasterio.MemoryFile(answer.content) as memory, memory.open() as dataset:
        assert np.array_equal(dataset.read(1), wanted_at(truth.label_hw, *window))
        assert dataset.crs == CRS
        assert dataset.nodata == 255
        assert dataset.transform[:6] == (1, 0, LEFT + col, 0, -1, TOP - row)
        assert dataset.colormap(1)[2] == (*SCHEME.palette[2].tolist(), 255)


def test_tiff_of_colours_has_them_and_alpha(client, place):
    window = (200, 100, 80, 60)
    with rasterio.open(place.image) as dataset:
        bands = np.moveaxis(dataset.read(), 0, -1)
    answer = export(
        client, "imagery", bbox=box_of(*window), size="80,60", format="tiff", f="image", **OWN
    )
    with rasterio.MemoryFile(answer.content) as memory, memory.open() as dataset:
        shown = np.moveaxis(dataset.read(), 0, -1)
    there = wanted_at(bands, *window, missing=0)
    assert np.array_equal(shown[..., 3] == 255, there.any(axis=-1))
    assert np.array_equal(shown[..., :3], there[..., :3])


@pytest.mark.parametrize(
    "reference",
    [
        {},
        {"imageSR": "3857"},
        {"bboxSR": "102100", "imageSR": "102100"},
        {"bboxSR": "102113", "imageSR": '{"wkid":102100,"latestWkid":3857}'},
        {"bboxSR": '{"wkid": 102100}', "imageSR": "900913"},
        {"BBOXSR": "3857", "IMAGESR": "3857"},
    ],
)
def test_web_mercator_has_many_names_and_is_meant_where_nothing_is_said(client, truth, reference):
    box, size = native_box()
    class_hw, is_clear_hw = truth.on(box, size, 3857)
    text = ",".join(map(repr, box))
    rgba = see(export(client, bbox=text, size=f"{size[0]},{size[1]}", f="image", **reference))
    assert np.array_equal(rgba[is_clear_hw], truth.colors(class_hw)[is_clear_hw])


def test_boxes_and_pictures_may_be_of_two_references(client, truth):
    box = -75.689, 38.842, -75.686, 38.844
    shown = ask(
        client,
        "classes/ImageServer/exportImage",
        bbox=",".join(map(str, box)),
        bboxSR="4326",
        imageSR="26918",
        size="300,280",
        f="json",
    )
    extent = shown["extent"]
    assert extent["spatialReference"]["wkid"] == 26918
    edge = np.linspace(0, 1, 101)
    xs, ys = np.meshgrid(box[0] + edge * (box[2] - box[0]), box[1] + edge * (box[3] - box[1]))
    x, y = Transformer.from_crs(4326, CRS, always_xy=True).transform(xs, ys)
    found = [extent[key] for key in ("xmin", "ymin", "xmax", "ymax")]
    assert np.allclose(found, [x.min(), y.min(), x.max(), y.max()], atol=0.01)
    class_hw, is_clear_hw = truth.on(tuple(found), (300, 280), CRS)
    rgba = see(httpx.get(shown["href"], timeout=60))
    assert np.array_equal(rgba[is_clear_hw], truth.colors(class_hw)[is_clear_hw])


def test_a_box_of_degrees_is_drawn_in_the_services_own_reference(client):
    """As the API has it: bboxSR says nothing of the picture."""
    keys = {"bbox": "-75.689,38.842,-75.686,38.844", "bboxSR": "4326", "f": "json"}
    extent = ask(client, "classes/ImageServer/exportImage", **keys)["extent"]
    assert extent["spatialReference"] == {"wkid": 102100, "latestWkid": 3857}
    assert extent["xmin"] == pytest.approx(-8425660.93, abs=0.1)


def test_swapped_boxes_are_drawn_upright(client):
    left, bottom, right, top = LEFT + 100, TOP - 300, LEFT + 400, TOP - 100
    boxes = [(left, bottom, right, top), (left, top, right, bottom), (right, top, left, bottom)]
    texts = [",".join(map(str, box)) for box in boxes]
    bodies = {export(client, bbox=text, size="300,200", f="image", **OWN).content for text in texts}
    assert len(bodies) == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("jpg", "JPEG"),
        ("png", "PNG"),
        ("png8", "PNG"),
        ("PNG32", "PNG"),
        ("jpgpng", "PNG"),
        ("", "PNG"),
    ],
)
@pytest.mark.parametrize(("size", "shape"), [("37,251", (37, 251)), ("", (400, 400))])
def test_formats_and_sizes(client, name, kind, size, shape):
    answer = export(
        client, bbox=box_of(100, 100, 200, 200), format=name, size=size, f="image", **OWN
    )
    image = Image.open(io.BytesIO(answer.content))
    assert (image.format, image.size) == (kind, shape)


@pytest.mark.parametrize("form", ["json", "pjson"])
@pytest.mark.parametrize("how", ["GET", "POST"])
def test_json_says_where_the_picture_lies(client, form, how):
    keys = {"bbox": box_of(10, 20, 30, 40), "size": "30,40", "format": "tiff"} | OWN
    answer = export(client, how=how, f=form, **keys)
    assert answer.headers["content-type"] == "application/json"
    assert (b"\n" in answer.content) == (form == "pjson")
    shown = answer.json()
    assert (shown["width"], shown["height"]) == (30, 40)
    assert shown["extent"]["xmin"] == LEFT + 10
    there = httpx.get(shown["href"], timeout=60)
    assert there.content == export(client, f="image", **keys).content


def test_href_has_the_prefix_of_the_proxy_that_takes_it_off(place):
    config = ServeConfig(config=str(place.write_config()), port=0, root_path="/maps/a")
    with running(config) as address:
        answer = httpx.get(
            f"{address}/{SERVICES}/made/classes/ImageServer/exportImage"
            f"?bbox={box_of(0, 0, 9, 9)}&f=json"
        )
        href = f"{address}/maps/a/{SERVICES}/made/classes/ImageServer/exportImage?"
        assert answer.json()["href"].startswith(href)


def test_a_picture_that_takes_too_much_is_an_error_as_tiff_and_a_note_as_png(address):
    url = f"{address}/{SERVICES}/bare/classes/ImageServer/exportImage"
    keys = {"bbox": box_of(-9000, -9000, 20000, 20000), "size": "200,200", "f": "image"} | OWN
    refused = httpx.get(url, params=keys | {"format": "tiff"}, timeout=60)
    assert refused.status_code == 400
    assert "zoom in" in refused.json()["error"]["message"]
    assert httpx.get(url, params=keys).headers["x-lcseg-note"] == "zoom-in"


def test_map_service_draws_the_same(client):
    keys = {"bbox": box_of(10, 20, 300, 400), "size": "300,400", "f": "image"} | OWN
    there = client.get("classes/MapServer/export", params=keys | {"layers": "show:0", "dpi": "96"})
    assert there.content == export(client, **keys).content


@pytest.mark.parametrize(
    "path", ["", "/made", "/made/classes/ImageServer", "/made/classes/MapServer/legend"]
)
def test_a_slash_at_the_end_changes_nothing(address, path):
    bare, slashed = (httpx.get(f"{address}/{SERVICES}{path}{end}?f=json") for end in ("", "/"))
    assert (slashed.status_code, slashed.content) == (200, bare.content)


def test_keys_are_known_in_any_case(client):
    upper = {"BBOX": box_of(10, 20, 50, 50), "SIZE": "50,50", "FORMAT": "tiff", "F": "image"}
    lower = {key.lower(): value for key, value in upper.items()}
    own = {key.upper(): value for key, value in OWN.items()}
    assert export(client, **upper, **own).content == export(client, **lower, **OWN).content


@pytest.mark.parametrize("kind", ["ImageServer", "MapServer"])
def test_tiles_name_the_row_before_the_column(client, address, kind):
    tile = TMS.tile(-75.6867, 38.8428, NATIVE)
    own = client.get(f"classes/{kind}/tile/{tile.z}/{tile.y}/{tile.x}")
    xyz = httpx.get(f"{address}/tiles/made/classes/{tile.z}/{tile.x}/{tile.y}.png")
    assert own.content == xyz.content
    assert see(own)[..., 3].any()


def test_identify_says_what_the_map_and_the_probabilities_say(client, place, truth):
    with rasterio.open(place.probabilities) as dataset:
        shares = np.moveaxis(dataset.read(), 0, -1).astype(float)
    to_lonlat = Transformer.from_crs(CRS, 4326, always_xy=True)
    random = np.random.default_rng(3)
    seen = set()
    for row, col in [
        (0, 699),
        (255, 256),
        (256, 255),
        (699, 699),
        *random.integers(0, SIZE_PX, (16, 2)),
    ]:
        x, y = LEFT + col + 0.5, TOP - row - 0.5
        lon, lat = to_lonlat.transform(x, y)
        point = {"x": lon, "y": lat, "spatialReference": {"wkid": 4326}}
        ways = [
            {"geometry": f"{x},{y}", "sr": "26918", "geometryType": "esriGeometryPoint"},
            {"geometry": json.dumps(point), "sr": "102100", "f": "json"},
        ]
        first, second = (ask(client, "classes/ImageServer/identify", **way) for way in ways)
        assert first["properties"] == second["properties"]
        assert second["location"]["x"] == lon
        found = int(truth.label_hw[row, col])
        seen.add(found)
        if found == 255:
            assert (first["value"], first["properties"]["Values"]) == ("NoData", ["NoData"])
            assert first["properties"]["Probabilities"] == {}
            continue
        assert first["value"] == str(found)
        assert first["properties"]["ClassName"] == SCHEME.names[found]
        told = first["properties"]["Probabilities"]
        assert list(told) == list(SCHEME.names)
        assert sum(told.values()) == pytest.approx(1)
        expected = shares[row, col] / shares[row, col].sum()
        assert list(told.values()) == pytest.approx(expected.tolist())
    assert len(seen) >= 3


def test_identify_says_what_each_layer_shows_there(client, place, truth):
    with rasterio.open(place.image) as image, rasterio.open(place.probabilities) as shares:
        rgb_chw, shares_chw = image.read([1, 2, 3]), shares.read()
    with rasterio.open(place.label) as label:
        reference_hw = SCHEME.encode(label.read(1))
    is_known = (truth.label_hw != 255) & (reference_hw != 255)
    for is_wanted in (truth.label_hw == reference_hw, truth.label_hw != reference_hw):
        row, col = (int(axis[7]) for axis in np.nonzero(is_known & is_wanted))
        asked = {"geometry": f"{LEFT + col + 0.5},{TOP - row - 0.5}", "sr": "26918"}
        told = {
            layer: ask(client, f"{layer}/ImageServer/identify", **asked)
            for layer in ("classes", "labels", "difference", "confidence", "imagery")
        }
        differs = int(truth.label_hw[row, col] != reference_hw[row, col])
        assert {layer: answer["value"] for layer, answer in told.items()} == {
            "classes": str(truth.label_hw[row, col]),
            "labels": str(reference_hw[row, col]),
            "difference": str(differs),
            "confidence": str(shares_chw[:, row, col].max()),
            "imagery": " ".join(map(str, rgb_chw[:, row, col])),
        }
        assert told["labels"]["properties"]["ClassName"] == SCHEME.names[reference_hw[row, col]]
        name = told["difference"]["properties"]["ClassName"]
        assert name == ("other than the reference" if differs else "as the reference")


def test_identify_answers_qgis_which_writes_points_in_its_own_way(client, truth):
    row, col = (int(axis[7]) for axis in np.nonzero(truth.label_hw != 255))
    point = f"{{x: {LEFT + col + 0.5}, y: {TOP - row - 0.5}}}"
    for kind in ("ImageServer", "MapServer"):
        (result,) = ask(client, f"classes/{kind}/identify", geometry=point, sr="26918", f="json")[
            "results"
        ]
        found = int(truth.label_hw[row, col])
        assert result["attributes"]["Pixel Value"] == str(found)
        assert result["attributes"][result["displayFieldName"]] == SCHEME.names[found]


def test_formats_that_are_not_offered_are_refused(client):
    for wanted in ("lerc", "bil", "gif"):
        answer = client.get(
            "classes/ImageServer/exportImage", params={"bbox": "0,0,1,1", "format": wanted}
        )
        assert answer.status_code == 400
        assert "format is one of png" in answer.json()["error"]["message"]


def test_identify_beside_the_image_and_by_post(client):
    beside = client.post(
        "classes/ImageServer/identify", data={"geometry": "0,0", "sr": "4326", "f": "pjson"}
    )
    assert beside.json()["value"] == "NoData"


def test_legend_table_and_colours_are_those_of_the_scheme(client):
    colors = [tuple(color) for color in SCHEME.palette.tolist()]
    for layer in ("classes", "labels"):
        assert ask(client, f"{layer}/ImageServer/colormap")["colormap"] == [
            [k, *color] for k, color in enumerate(colors)
        ]
        table = ask(client, f"{layer}/ImageServer/rasterAttributeTable")
        rows = [row["attributes"] for row in table["features"]]
        assert [row["Value"] for row in rows] == list(range(SCHEME.n_classes))
        assert [row["ClassName"] for row in rows] == list(SCHEME.names)
        assert [(row["Red"], row["Green"], row["Blue"]) for row in rows] == colors
        assert {field["name"] for field in table["fields"]} == set(rows[0])
    for path in (
        "classes/ImageServer",
        "classes/MapServer",
        "labels/ImageServer",
        "soft/ImageServer",
    ):
        (shown,) = ask(client, f"{path}/legend", f="json")["layers"]
        assert [entry["label"] for entry in shown["legend"]] == list(SCHEME.names)
        for entry, color in zip(shown["legend"], colors, strict=True):
            swatch = Image.open(io.BytesIO(base64.b64decode(entry["imageData"])))
            assert swatch.size == (entry["width"], entry["height"])
            assert swatch.convert("RGBA").getcolors() == [(400, (*color, 255))]


def test_services_are_listed_and_describe_themselves(address):
    with httpx.Client(base_url=f"{address}/arcgis/rest/", timeout=60) as client:
        assert ask(client, "info", f="json")["authInfo"] == {"isTokenBasedSecurity": False}
        folders = ask(client, "services", f="pjson")["folders"]
        assert folders == ["made", "bare"]
        for folder in folders:
            for service in ask(client, f"services/{folder}")["services"]:
                described = ask(client, f"services/{service['name']}/{service['type']}", f="json")
                assert described["extent"]["spatialReference"]["latestWkid"] == 3857
                levels = described["tileInfo"]["lods"]
                assert [level["level"] for level in levels] == list(range(NATIVE + 4))
                assert levels[NATIVE]["resolution"] == pytest.approx(1.194328566955879)
        image = ask(client, "services/made/classes/ImageServer")
        assert (image["bandCount"], image["pixelType"], image["noDataValue"]) == (1, "U8", 255)
        assert image["maxValues"] == [SCHEME.n_classes - 1]
        assert image["hasRasterAttributeTable"]
        assert "noDataValue" not in ask(client, "services/made/imagery/ImageServer")
        properties = ask(client, "services/made/imagery/ImageServer/keyProperties")
        assert properties["DataType"] == "Generic"
        assert properties["AcquisitionDate"].startswith("2024-06-01")
        layer = ask(client, "services/made/classes/MapServer")["layers"][0]
        assert (
            ask(client, f"services/made/classes/MapServer/{layer['id']}")["name"] == layer["name"]
        )


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "bbox is missing"),
        ({"bbox": "1,2,3"}, "bbox is 4 numbers with commas between them"),
        ({"bbox": "1,2,1,3"}, "bbox holds no area"),
        ({"bbox": "1,2,3,4", "size": "5000,10"}, "size is from 1 to 4096 pixels a side"),
        (
            {"bbox": "1,2,3,4", "bboxSR": "utm"},
            "a spatial reference is a number, or JSON with its wkid",
        ),
        ({"bbox": "1,2,3,4", "imageSR": "999999"}, "the spatial reference 999999 is not known"),
    ],
)
def test_what_cannot_be_drawn_is_said_as_arcgis_says_it(client, keys, said):
    answer = client.get("classes/ImageServer/exportImage", params=keys)
    assert answer.status_code == 400
    assert answer.json() == {"error": {"code": 400, "message": said, "details": []}}
