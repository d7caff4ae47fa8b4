"""What ArcGIS asks is understood or refused in one line, whatever it is."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served import CRS, LEFT, SIZE_PX, TOP, Place

from lcseg.serving import esri, services
from lcseg.serving.dataset import Dataset, open_dataset
from lcseg.serving.entries import Entry
from lcseg.serving.esri import EsriError
from lcseg.serving.layers import list_entries


@pytest.fixture(scope="module")
def dataset(place: Place) -> Dataset:
    paths = {name: str(getattr(place, name)) for name in ("image", "label", "map")}
    return open_dataset("made", Entry(model=str(place.bundle), title="A place", **paths))


def test_box_in_one_reference_is_a_grid_in_another(dataset):
    box = esri.parse_bbox("-75.7,38.8,-75.6,38.9")
    crs = esri.parse_reference("4326", dataset)
    grid = esri.make_grid(box, esri.parse_size("100,200"), crs, "EPSG:3857")
    assert (grid.width, grid.height, grid.crs) == (100, 200, "EPSG:3857")
    left, bottom, right, top = grid.bounds()
    half = math.pi * 6_378_137
    assert (left, right) == pytest.approx((-75.7 / 180 * half, -75.6 / 180 * half))
    assert bottom < top
    assert esri.say_extent(grid)["spatialReference"] == {"wkid": 102100, "latestWkid": 3857}


@pytest.mark.parametrize(
    "text", ["26918", '{"wkid": 26918}', '{"wkid": 1, "latestWkid": 26918}', ' {"wkid":"26918"}']
)
def test_reference_of_the_image_is_spelt_as_the_image_spells_it(dataset, text):
    assert esri.parse_reference(text, dataset) == dataset.grid.crs == CRS


@pytest.mark.parametrize("text", ["102100", "3857", "900913", "102113", '{"wkid": 102100}', ""])
def test_web_mercator_has_many_names(dataset, text):
    assert esri.parse_reference(text, dataset) == "EPSG:3857"


@pytest.mark.parametrize(
    "text",
    [
        "999999",
        "-1",
        "1e3",
        "3857.0",
        "９９",
        "²",
        "\0",
        "EPSG:4326",
        "/etc/passwd",
        "{}",
        "{",
        "[3857]",
        '{"wkid": [3857]}',
        '{"wkid": {"wkid": 3857}}',
        '{"wkid": null}',
        '{"wkid": NaN}',
        '{"wkt": "/etc/passwd"}',
        '{"wkid": 1' + "0" * 4000 + "}",
        '{"wkid": 1' + "0" * 5000 + "}",
    ],
)
def test_reference_that_is_none_is_refused(dataset, text):
    with pytest.raises(EsriError) as raised:
        esri.parse_reference(text, dataset)
    assert raised.value.status == 400


@pytest.mark.parametrize("text", ["5,6,1,2", "1,6,5,2", " 1, 2 ,5,6", "5e0,2,1,6"])
def test_box_is_understood_however_its_corners_are_ordered(text):
    assert esri.parse_bbox(text) == (1, 2, 5, 6)


@pytest.mark.parametrize(
    "text",
    (
        *("", "1,2,3", "1,2,3,4,5", "1,2,3,nan", "1,2,inf,4", "1,2,-1e400,4", "a,b,c,d", "1;2;3;4"),
        *("1,2,1,4", "1,2,3,2", "0,0,0,0", "," * 4000, "[1,2,3,4]", "\0,1,2,3"),
    ),
)
def test_box_that_is_none_is_refused(text):
    with pytest.raises(EsriError, match="bbox"):
        esri.parse_bbox(text)


@pytest.mark.parametrize(
    "size", ["0,1", "1,0", "-1,1", "4097,1", "100000,100000", "1e400,1", "nan,1", "1", "1,1,1", "x"]
)
def test_size_is_of_a_picture_that_can_be_drawn(size):
    with pytest.raises(EsriError, match="size is "):
        esri.parse_size(size)
    assert esri.parse_size("") == (400, 400)
    assert esri.parse_size("4096,1") == (4096, 1)


def test_box_so_small_or_large_that_its_pixels_have_no_size_is_refused():
    for box in ((0, 0, 1e-323, 1e-323), (-1e308, 0, 1e308, 1)):
        with pytest.raises(EsriError, match="bbox holds no area"):
            esri.make_grid(box, (400, 400), "EPSG:3857", "EPSG:3857")


def test_box_that_does_not_lie_in_the_reference_is_refused():
    with pytest.raises(EsriError, match="does not lie in the spatial reference"):
        esri.make_grid((-180, -90, 180, 90), (10, 10), "EPSG:4326", "EPSG:26918")


def test_point_may_say_its_reference_itself(dataset):
    own = '{"x": 1.5, "y": -2, "spatialReference": {"wkid": 4326}}'
    assert esri.parse_point(own, "3857", dataset) == (1.5, -2, "EPSG:4326")
    assert esri.parse_point("1.5,-2", "4326", dataset) == (1.5, -2, "EPSG:4326")
    assert esri.parse_point('{"x": 1, "y": 2}', "", dataset) == (1, 2, "EPSG:3857")


@pytest.mark.parametrize("depth", [10, 400, 990, 1000, 1500, 2040, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_json_of_any_depth_is_refused_in_one_line(dataset, depth, opening, closing):
    bomb = opening * depth + "1" * (opening != "[") + closing * depth
    for text in (bomb, f'{{"x": {bomb}, "y": 1}}', f'{{"x":1,"y":1,"spatialReference":{bomb}}}'):
        with pytest.raises(EsriError):
            esri.parse_point(text, "", dataset)
    with pytest.raises(EsriError):
        esri.parse_reference(f'{{"wkid": {bomb}}}', dataset)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.text(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["x", "y", "wkid", "latestWkid", "spatialReference"]), inner
                )
            ),
            max_leaves=8,
        ).map(json.dumps),
    )
)
def test_anything_is_understood_or_refused(dataset, text):
    for parse in (
        lambda: esri.parse_reference(text, dataset),
        lambda: esri.parse_bbox(text),
        lambda: esri.parse_size(text),
        lambda: esri.parse_point(text, text, dataset),
    ):
        try:
            parse()
        except EsriError as error:
            assert "\n" not in error.message
            assert len(error.message) < 100


@pytest.mark.parametrize("layer", ["classes", "labels", "difference", "imagery", "confidence"])
def test_service_says_where_it_is_and_what_it_shows(dataset, layer, place):
    service = services.describe_image(dataset, layer)
    text = json.dumps(
        [service, services.describe_map(dataset, layer), services.list_services(dataset)]
    )
    assert str(place.folder) not in text
    assert "NaN" not in text
    extent = service["extent"]
    grid = esri.make_grid((LEFT, TOP - SIZE_PX, LEFT + SIZE_PX, TOP), (1, 1), CRS, "EPSG:3857")
    assert (extent["xmin"], extent["ymax"]) == pytest.approx(
        (grid.bounds()[0], grid.bounds()[3]), abs=1e-6
    )
    names = [name for _, name, _ in list_entries(dataset, layer)]
    assert service["hasRasterAttributeTable"] == bool(names)
    if layer in ("classes", "labels"):
        assert names == list(dataset.scheme.names)
