"""XYZ tiles show what `lcseg predict` has mapped, pixel for pixel."""

import io
import shutil
from collections.abc import Iterator
from dataclasses import replace

import httpx
import numpy as np
import pytest
import rasterio
from PIL import Image
from pyproj import Transformer
from served import CRS, LEFT, SIZE_PX, TOP, Place, running, write

from lcseg.classes import load_scheme
from lcseg.serving.config import ServeConfig
from lcseg.serving.entries import Entry
from lcseg.serving.tiling import TMS, tile_grid

SCHEME = load_scheme("chesapeake-4")
NATIVE = 17


def list_tiles(address: str, zoom: int) -> Iterator[tuple[int, int, int]]:
    bounds = httpx.get(f"{address}/tiles/made/classes/tilejson.json").json()["bounds"]
    for tile in TMS.tiles(*bounds, zoom):
        yield tile.z, tile.x, tile.y


def places_of(z: int, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
    """Exact rows and columns of the scene under the pixels of a tile, float [256, 256]."""
    cols, rows = np.meshgrid(np.arange(256) + 0.5, np.arange(256) + 0.5)
    east, north = tile_grid(z, x, y).affine @ (cols, rows)
    project = Transformer.from_crs(3857, CRS, always_xy=True)
    own_x, own_y = project.transform(east, north)
    return TOP - own_y, own_x - LEFT


def sample(values: np.ndarray, rows: np.ndarray, cols: np.ndarray, missing: int) -> np.ndarray:
    """The nearest values [H, W, …] of the scene's pixels."""
    inside = (rows >= 0) & (rows < SIZE_PX) & (cols >= 0) & (cols < SIZE_PX)
    at = (np.clip(np.floor(axis), 0, SIZE_PX - 1).astype(int) for axis in (rows, cols))
    found = values[tuple(at)]
    found[~inside] = missing
    return found


def is_clear(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Whether a place lies a thousandth of a pixel or more from the border of its pixel."""
    return (abs(rows - np.round(rows)) > 1e-3) & (abs(cols - np.round(cols)) > 1e-3)


def get_rgba(url: str) -> np.ndarray:
    answer = httpx.get(url, timeout=60)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


@pytest.mark.parametrize("zoom", [16, 17, 19])
def test_tiles_are_the_map_at_the_centre_of_each_pixel(address, place, zoom):
    with rasterio.open(place.map) as dataset:
        label_hw = dataset.read(1)
    colors = np.zeros((256, 4), np.uint8)
    colors[: SCHEME.n_classes] = np.c_[SCHEME.palette, np.full(SCHEME.n_classes, 255)]
    seen = set()
    tiles = list(list_tiles(address, zoom))
    for z, x, y in tiles[:: len(tiles) // 12 + 1]:
        rows, cols = places_of(z, x, y)
        found = sample(label_hw, rows, cols, 255)
        clear = is_clear(rows, cols)
        rgba = get_rgba(f"{address}/tiles/made/classes/{z}/{x}/{y}.png")
        assert np.array_equal(rgba[clear], colors[found][clear])
        seen |= set(np.unique(found))
    assert len(seen) >= 4


def test_soft_tiles_mix_the_colours_by_the_probabilities_of_the_map(address, place):
    with rasterio.open(place.probabilities) as dataset:
        shares = np.moveaxis(dataset.read(), 0, -1)
    for z, x, y in list_tiles(address, NATIVE):
        rows, cols = places_of(z, x, y)
        found = sample(shares, rows, cols, 255).astype(float)
        is_there = (found[..., 0] != 255) & is_clear(rows, cols)
        mixed = found @ SCHEME.palette / found.sum(axis=-1, keepdims=True)
        rgba = get_rgba(f"{address}/tiles/made/soft/{z}/{x}/{y}.png")
        assert abs(rgba[is_there][:, :3] - mixed[is_there]).max(initial=0) <= 0.51
        assert not rgba[(found[..., 0] == 255) & is_clear(rows, cols)].any()


def test_confidence_grows_from_violet_to_yellow(address, place):
    with rasterio.open(place.probabilities) as dataset:
        shares = np.moveaxis(dataset.read(), 0, -1)
    z, x, y = next(iter(list_tiles(address, NATIVE)))
    rows, cols = places_of(z, x, y)
    top = sample(shares, rows, cols, 255).max(axis=-1)
    rgba = get_rgba(f"{address}/tiles/made/confidence/{z}/{x}/{y}.png")
    is_there = (top != 255) & is_clear(rows, cols)
    for share in np.unique(top[is_there]):
        assert len(np.unique(rgba[is_there & (top == share)], axis=0)) == 1
    green = [rgba[is_there & (top == share)][0, 1] for share in np.unique(top[is_there])]
    assert np.all(np.diff(np.int32(green)) >= 0)


def test_difference_tells_where_the_map_is_other_than_the_reference(address, place):
    with rasterio.open(place.map) as mapped, rasterio.open(place.label) as label:
        label_hw, reference_hw = mapped.read(1), SCHEME.encode(label.read(1))
    z, x, y = next(iter(list_tiles(address, NATIVE)))
    rows, cols = places_of(z, x, y)
    found, truth = (sample(values, rows, cols, 255) for values in (label_hw, reference_hw))
    clear = is_clear(rows, cols)
    rgba = get_rgba(f"{address}/tiles/made/difference/{z}/{x}/{y}.png")
    is_known = (found != 255) & (truth != 255)
    red = (rgba[..., 0] > 200) & (rgba[..., 1] < 100)
    assert np.array_equal(red[clear], (is_known & (found != truth))[clear])
    assert np.array_equal((rgba[..., 3] == 255)[clear], is_known[clear])
    shown = get_rgba(f"{address}/tiles/made/labels/{z}/{x}/{y}.png")
    assert np.array_equal(shown[clear][:, :3], SCHEME.colorize(truth)[clear])


def test_imagery_is_the_image_and_clear_where_it_has_no_data(address, place):
    with rasterio.open(place.image) as dataset:
        image_hwc = np.moveaxis(dataset.read([1, 2, 3]), 0, -1)
        valid_hw = dataset.read().any(axis=0)
    z, x, y = next(iter(list_tiles(address, 18)))
    rows, cols = places_of(z, x, y)
    rgba = get_rgba(f"{address}/tiles/made/imagery/{z}/{x}/{y}.png")
    clear = is_clear(rows, cols)
    is_there = sample(valid_hw, rows, cols, False) & clear
    assert np.array_equal(rgba[is_there][:, :3], sample(image_hwc, rows, cols, 0)[is_there])
    assert np.array_equal(rgba[clear][:, 3] == 255, is_there[clear])


def test_zoomed_out_tiles_are_of_the_map_or_say_to_zoom_in(address):
    bounds = httpx.get(f"{address}/tiles/made/classes/tilejson.json").json()["bounds"]
    tile = TMS.tile((bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2, 12)
    path = f"{tile.z}/{tile.x}/{tile.y}.png"
    with_map, without = (
        httpx.get(f"{address}/tiles/{name}/classes/{path}") for name in ("made", "bare")
    )
    assert "x-lcseg-note" not in with_map.headers
    colors = np.asarray(Image.open(io.BytesIO(with_map.content)).convert("RGBA"))
    shown = {tuple(color) for color in colors[colors[..., 3] == 255][:, :3]}
    assert shown <= {tuple(color) for color in SCHEME.palette}
    assert len(shown) > 1
    assert without.headers["x-lcseg-note"] == "zoom-in"


def test_shares_are_those_of_the_map_however_far_out(address, place):
    with rasterio.open(place.map) as dataset:
        label_hw = dataset.read(1)
    counts = np.bincount(label_hw.ravel(), minlength=256)[: SCHEME.n_classes]
    west, south, east, north = httpx.get(f"{address}/datasets.json").json()["datasets"][0]["bounds"]
    for margin in (0.0, 0.5):
        box = f"{west - margin},{south - margin},{east + margin},{north + margin}"
        shares = httpx.get(f"{address}/shares/made?bbox={box}", timeout=60).json()["shares"]
        found = [share["share"] for share in shares]
        assert found == pytest.approx(counts / counts.sum(), abs=0.01)


def test_published_zooms_show_something(address):
    for name in ("made", "bare"):
        document = httpx.get(f"{address}/tiles/{name}/classes/tilejson.json").json()
        west, south, east, north = document["bounds"]
        for zoom in range(document["minzoom"], document["maxzoom"] + 1):
            tile = TMS.tile((west + east) / 2, (south + north) / 2, zoom)
            url = document["tiles"][0].format(z=zoom, x=tile.x, y=tile.y)
            answer = httpx.get(url, timeout=60)
            assert answer.status_code == 200
            assert "x-lcseg-note" not in answer.headers
        assert document["minzoom"] == (0 if name == "made" else 16)


def test_raster_without_overviews_is_published_from_where_it_is_shown(place, monkeypatch):
    from lcseg.serving import reading, tiling
    from lcseg.serving.dataset import open_dataset

    dataset = open_dataset("bare", Entry(str(place.bundle), str(place.image)))
    assert tiling.measure_zooms(dataset, "imagery").least == 0
    for module in (reading, tiling):
        monkeypatch.setattr(module, "MOST_READ_PX", 1 << 16)
    # The scene has one overview, of half its size; a tile may take 256 px square of it.
    assert tiling.measure_zooms(dataset, "imagery").least == NATIVE
    assert tiling.measure_zooms(dataset, "classes").least == NATIVE - 1


def test_one_data_set_that_cannot_be_read_does_not_hide_the_others(own_place):
    shutil.copy(own_place.image, own_place.folder / "other.tif")
    config = own_place.folder / "two.toml"
    config.write_text(
        '[a]\nmodel = "bundle"\nimage = "scene.tif"\n[b]\nmodel = "bundle"\nimage = "other.tif"\n'
    )
    with running(ServeConfig(config=str(config), port=0)) as address:
        (own_place.folder / "other.tif").unlink()
        shown = httpx.get(f"{address}/datasets.json").json()["datasets"]
        assert [each["id"] for each in shown] == ["a"]
        capabilities = httpx.get(f"{address}/wmts/1.0.0/WMTSCapabilities.xml").text
        assert "a.classes" in capabilities
        assert "b.classes" not in capabilities
        assert len(httpx.get(f"{address}/ogc/collections").json()["collections"]) == 4
        assert httpx.get(f"{address}/readyz").status_code == 503
        assert httpx.get(f"{address}/tiles/b/classes/17/1/1.png").status_code == 503


@pytest.mark.parametrize(
    "change", [{"label_band": 1}, {"title": "Another"}, {"label": "label.tif"}, {"map": "map.tif"}]
)
def test_what_changes_pictures_alone_keeps_the_blocks(place, change):
    from lcseg.serving.dataset import open_dataset

    entry = Entry(str(place.bundle), str(place.image), label=str(place.label))
    folder = {key: str(place.folder / change[key]) for key in ("label", "map") if key in change}
    one = open_dataset("one", replace(entry, label="") if "label" in change else entry)
    other = open_dataset("one", replace(entry, **(change | folder)))
    assert one.version != other.version
    assert one.prediction_version == other.prediction_version


@pytest.fixture
def own_place(tmp_path, place) -> Place:
    """A place of the test's own, to be changed."""
    shutil.copytree(place.folder, tmp_path / "own")
    return Place(tmp_path / "own")


def test_what_is_known_is_not_sent_again_until_it_changes(own_place):
    config = ServeConfig(model=str(own_place.bundle), image=str(own_place.image), port=0)
    with running(config) as address, httpx.Client(base_url=address, timeout=60) as client:
        tile = TMS.tile(-75.6867, 38.8428, NATIVE)
        url = f"/tiles/scene/classes/{tile.z}/{tile.x}/{tile.y}.png"
        first = client.get(url)
        tag = first.headers["etag"]
        again = client.get(url, headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        with rasterio.open(own_place.image) as dataset:
            values = np.moveaxis(dataset.read(), 0, -1)
        aside = own_place.folder / "aside.tif"
        write(aside, values[::-1].copy(), nodata=0)
        aside.replace(own_place.image)
        changed = client.get(url, headers={"If-None-Match": tag})
        assert changed.status_code == 200
        assert changed.headers["etag"] != tag
        assert changed.content != first.content


def test_another_model_changes_the_next_tile(own_place, tmp_path):
    from bundles import make_bundle

    from lcseg.model.config import UNetConfig

    config = ServeConfig(model=str(own_place.bundle), image=str(own_place.image), port=0)
    with running(config) as address, httpx.Client(base_url=address, timeout=60) as client:
        tile = TMS.tile(-75.6867, 38.8428, NATIVE)
        url = f"/tiles/scene/classes/{tile.z}/{tile.x}/{tile.y}.png"
        first = client.get(url)
        make_bundle(own_place.bundle, UNetConfig(depth=2, width=4))
        changed = client.get(url, headers={"If-None-Match": first.headers["etag"]})
        assert changed.status_code == 200
        assert changed.content != first.content


def test_image_that_is_gone_is_said_without_its_name(own_place):
    config = ServeConfig(model=str(own_place.bundle), image=str(own_place.image), port=0)
    with running(config) as address:
        own_place.image.unlink()
        answer = httpx.get(f"{address}/tiles/scene/classes/17/1/1.png")
        assert answer.status_code == 503
        assert answer.json() == {"error": "this data set cannot be read just now"}
        assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    "path",
    [
        "made/classes/17/-1/3",
        "made/classes/25/1/1",
        "made/classes/3/8/1",
        "made/x/3/1/1",
        "x/soft/3/1/1",
        "bare/labels/17/1/1",
        "bare/difference/17/1/1",
    ],
)
def test_what_is_not_there_is_404(address, path):
    answer = httpx.get(f"{address}/tiles/{path}.png")
    assert (answer.status_code, answer.json()) == (404, {"error": "there is no such thing here"})


def test_jpeg_is_offered_for_imagery(address):
    z, x, y = next(iter(list_tiles(address, NATIVE)))
    answer = httpx.get(f"{address}/tiles/made/imagery/{z}/{x}/{y}.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (256, 256)


def test_a_blended_model_is_shown_as_it_is_mapped(tmp_path):
    from bundles import make_bundle

    from lcseg.model.config import UNetConfig
    from lcseg.prediction.config import PredictConfig
    from lcseg.prediction.mapping import predict_map
    from lcseg.synthetic import Landscape, make_landscape

    make_bundle(tmp_path / "bundle", UNetConfig(depth=2, width=8, norm="group"))
    write(tmp_path / "scene.tif", make_landscape(Landscape(1200)).image_hwc)
    with rasterio.open(tmp_path / "scene.tif", "r+") as dataset:
        dataset.descriptions = ("red", "green", "blue", "band_4")
    out = tmp_path / "map.tif"
    predict_map(PredictConfig(str(tmp_path / "bundle"), str(tmp_path / "scene.tif"), str(out)))
    config = ServeConfig(
        model=str(tmp_path / "bundle"), image=str(tmp_path / "scene.tif"), port=0, timeout_s=120
    )
    with running(config) as address:
        box = f"{LEFT + 900},{TOP - 1200},{LEFT + 1200},{TOP - 900}"
        answer = httpx.get(
            f"{address}/arcgis/rest/services/scene/classes/ImageServer/exportImage"
            f"?bbox={box}&bboxSR=26918&imageSR=26918&size=300,300&format=tiff&f=image",
            timeout=120,
        )
    with (
        rasterio.MemoryFile(answer.content) as memory,
        memory.open() as shown,
        rasterio.open(out) as mapped,
    ):
        assert np.array_equal(shown.read(1), mapped.read(1)[900:1200, 900:1200])
