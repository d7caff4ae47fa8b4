"""The change layer shows the map of transitions, less what is stable, in every dialect."""

from __future__ import annotations

import io
from dataclasses import replace

import httpx
import numpy as np
import pytest
import rasterio
from PIL import Image
from pyproj import Transformer
from served import CRS, LEFT, SIZE_PX, TOP, Place, write

from lcseg.classes import IGNORE, load_scheme
from lcseg.errors import LcsegError
from lcseg.raster.cog import class_map_profile, write_cog
from lcseg.raster.grid import Grid
from lcseg.serving import changes, reading
from lcseg.serving.changes import halve, open_changes, shrink
from lcseg.serving.dataset import open_dataset
from lcseg.serving.entries import Entry
from lcseg.serving.handles import Handles
from lcseg.serving.tiling import TMS, tile_grid
from lcseg.transitions import transition_scheme

SCHEME = transition_scheme(load_scheme("chesapeake-4"))
GRID = Grid(SIZE_PX, SIZE_PX, (1.0, 0.0, LEFT, 0.0, -1.0, TOP), CRS)
STABLE = (0, 5, 10, 15)
SERVICE = "arcgis/rest/services/made/change"


@pytest.fixture(scope="module")
def code_hw(place: Place) -> np.ndarray:
    """What changed, by rasterio alone; 255 elsewhere."""
    with rasterio.open(place.transitions) as dataset:
        code_hw = dataset.read(1)
    code_hw[np.isin(code_hw, STABLE)] = IGNORE
    return code_hw


def locate(z: int, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
    """Exact rows and columns of the scene under the pixels of a tile."""
    cols, rows = np.meshgrid(np.arange(256) + 0.5, np.arange(256) + 0.5)
    east, north = tile_grid(z, x, y).affine @ (cols, rows)
    own_x, own_y = Transformer.from_crs(3857, CRS, always_xy=True).transform(east, north)
    return TOP - own_y, own_x - LEFT


def sample(values_hw: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    height, width = values_hw.shape
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    at = (
        np.clip(np.floor(axis), 0, size - 1).astype(int)
        for axis, size in ((rows, height), (cols, width))
    )
    return np.where(inside, values_hw[tuple(at)], np.uint8(IGNORE))


def color(code_hw: np.ndarray) -> np.ndarray:
    table = np.zeros((256, 4), np.uint8)
    table[: SCHEME.n_classes] = np.c_[SCHEME.palette, np.full(SCHEME.n_classes, 255)]
    return table[code_hw]


def get_rgba(url: str) -> np.ndarray:
    answer = httpx.get(url, timeout=60)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def list_tiles(address: str, zoom: int) -> list[tuple[int, int, int]]:
    bounds = httpx.get(f"{address}/tiles/made/change/tilejson.json").json()["bounds"]
    return [(tile.z, tile.x, tile.y) for tile in TMS.tiles(*bounds, zoom)]


def test_what_changed_is_read_and_counted(place, code_hw):
    found = open_changes(str(place.transitions), GRID)
    codes, counts = np.unique(code_hw[code_hw != IGNORE], return_counts=True)
    assert found.pixels == dict(zip(codes.tolist(), counts.tolist(), strict=True))
    assert list(found.pixels.values()) == sorted(counts.tolist(), reverse=True)
    assert found.scheme.names == SCHEME.names
    assert found.probability == str(place.change_probability)
    assert np.array_equal(found.overviews[0], code_hw)


@pytest.mark.parametrize("zoom", [17, 18, 20])
def test_tiles_are_the_map_at_the_centre_of_each_pixel_less_what_is_stable(address, code_hw, zoom):
    seen: set[int] = set()
    under = [(tile, *locate(*tile)) for tile in list_tiles(address, zoom)]
    # Those with the most changes: at the closest zoom most tiles have none.
    under.sort(key=lambda each: -len(np.unique(sample(code_hw, *each[1:]))))
    for tile, rows, cols in under[:12]:
        found = sample(code_hw, rows, cols)
        is_clear = (abs(rows - np.round(rows)) > 1e-3) & (abs(cols - np.round(cols)) > 1e-3)
        rgba = get_rgba(f"{address}/tiles/made/change/{'/'.join(map(str, tile))}.png")
        assert np.array_equal(rgba[is_clear], color(found)[is_clear])
        seen |= set(np.unique(found).tolist())
    assert len(seen) > 2


@pytest.mark.parametrize("zoom", [16, 15, 13])
def test_zoomed_out_every_change_is_seen(address, code_hw, zoom):
    """Each pixel is a square of the map's, of which it shows a change if there is any."""
    factor = 2 ** (17 - zoom)
    side = -(-SIZE_PX // factor) * factor
    padded = np.pad(code_hw, (0, side - SIZE_PX), constant_values=IGNORE)
    squares = padded.reshape(side // factor, factor, side // factor, factor).swapaxes(1, 2)
    squares = squares.reshape(side // factor, side // factor, -1)
    n_seen = np.zeros(squares.shape[:2], int)
    for tile in list_tiles(address, zoom):
        rows, cols = (axis / factor for axis in locate(*tile))
        is_clear = (abs(rows - np.round(rows)) > 1e-3) & (abs(cols - np.round(cols)) > 1e-3)
        is_clear &= (rows > 0) & (rows < side / factor) & (cols > 0) & (cols < side / factor)
        rgba = get_rgba(f"{address}/tiles/made/change/{'/'.join(map(str, tile))}.png")
        rows, cols = (np.floor(axis[is_clear]).astype(int) for axis in (rows, cols))
        under = squares[rows, cols]
        has_change = (under != IGNORE).any(axis=-1)
        assert np.array_equal(rgba[is_clear][:, 3] == 255, has_change)
        shown = rgba[is_clear][has_change]
        is_one = (color(under[has_change]) == shown[:, None]).all(axis=-1)
        assert is_one.any(axis=-1).all()
        np.add.at(n_seen, (rows, cols), 1)
    assert n_seen[(squares != IGNORE).any(axis=-1)].all()


def test_of_four_pixels_the_commonest_change_is_shown():
    for four, expected in (
        ([1, 2, 2, 255], 2),
        ([255, 255, 255, 7], 7),
        ([255] * 4, 255),
        ([255, 3, 255, 4], 3),
        ([1, 2, 2, 1], 1),
        ([9, 1, 9, 1], 9),
        ([1, 2, 3, 3], 3),
    ):
        assert halve(np.array(four, np.uint8).reshape(2, 2)).tolist() == [[expected]]
    assert shrink(np.full((5, 3), 7, np.uint8), 4).tolist() == [[7], [7]]


def test_maps_too_large_to_be_kept_are_read_from_their_file(place, code_hw, monkeypatch):
    entry = Entry(str(place.bundle), str(place.image), change=str(place.transitions))
    kept = open_dataset("made", entry)
    monkeypatch.setattr(changes, "_KEPT_PX", 1 << 14)
    monkeypatch.setattr(changes, "_BLOCK_PX", 64)
    changes._survey.cache_clear()
    dataset = open_dataset("made", entry)
    changes._survey.cache_clear()
    assert dataset.changes and kept.changes
    assert dataset.changes.factor == 8
    assert dataset.changes.pixels == kept.changes.pixels
    handles = Handles()
    for zoom in range(12, 19):
        bounds = kept.bounds_lonlat
        tile = TMS.tile((bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2, zoom)
        picture = tile_grid(tile.z, tile.x, tile.y)
        large, small = (reading.read_changes(handles, each, picture) for each in (dataset, kept))
        assert np.array_equal(large, small)
    monkeypatch.setattr(reading, "_MOST_CODES_PX", 1 << 8)
    assert reading.read_changes(handles, dataset, picture) is None


def test_page_is_told_the_changes_that_there_are(address, code_hw):
    made, bare = httpx.get(f"{address}/datasets.json").json()["datasets"]
    codes, counts = np.unique(code_hw[code_hw != IGNORE], return_counts=True)
    order = codes[np.argsort(-counts, kind="stable")].tolist()
    assert [(one["value"], one["name"]) for one in made["changes"]] == [
        (code, SCHEME.names[code]) for code in order
    ]
    assert made["changes"][0]["color"] == SCHEME.classes[order[0]].color
    assert {"name": "change", "title": "Change", "minzoom": 0} in made["layers"]
    assert bare["changes"] == []
    assert "change" not in [layer["name"] for layer in bare["layers"]]


def test_arcgis_has_the_legend_and_the_table_of_what_there_is(address, code_hw):
    codes = np.unique(code_hw[code_hw != IGNORE]).tolist()
    (layer,) = httpx.get(f"{address}/{SERVICE}/MapServer/legend?f=json").json()["layers"]
    assert [(one["label"], one["values"]) for one in layer["legend"]] == [
        (SCHEME.names[code], [code]) for code in codes
    ]
    table = httpx.get(f"{address}/{SERVICE}/ImageServer/rasterAttributeTable?f=json").json()
    assert [row["attributes"]["Value"] for row in table["features"]] == codes
    service = httpx.get(f"{address}/{SERVICE}/ImageServer?f=json").json()
    assert (service["bandCount"], service["maxValues"]) == (1, [codes[-1]])
    box = f"{LEFT},{TOP - SIZE_PX},{LEFT + SIZE_PX},{TOP}"
    answer = httpx.get(
        f"{address}/{SERVICE}/ImageServer/exportImage?bbox={box}&bboxSR=26918&imageSR=26918"
        f"&size={SIZE_PX},{SIZE_PX}&format=tiff&f=image"
    )
    with rasterio.MemoryFile(answer.content) as memory, memory.open() as dataset:
        assert np.array_equal(dataset.read(1), code_hw)
        assert dataset.tags(1)["CLASS_7"] == SCHEME.names[7]


def test_identify_says_the_transition_and_its_probability(address, place, code_hw):
    with rasterio.open(place.transitions) as dataset:
        whole_hw = dataset.read(1)
    with rasterio.open(place.change_probability) as dataset:
        share_hw = dataset.read(1)
    to_lonlat = Transformer.from_crs(CRS, 4326, always_xy=True)
    for is_wanted in (code_hw != IGNORE, np.isin(whole_hw, STABLE), whole_hw == IGNORE):
        row, col = (int(axis[9]) for axis in np.nonzero(is_wanted))
        lon, lat = to_lonlat.transform(LEFT + col + 0.5, TOP - row - 0.5)
        code = int(whole_hw[row, col])
        told = httpx.get(f"{address}/identify/made?lon={lon}&lat={lat}", timeout=60).json()
        asked = f"geometry={LEFT + col + 0.5},{TOP - row - 0.5}&sr=26918&f=json"
        esri = httpx.get(f"{address}/{SERVICE}/ImageServer/identify?{asked}", timeout=60).json()
        if code == IGNORE:
            assert told["change"] is None
            assert "Transition" not in esri["results"][0]["attributes"]
            continue
        share = int(share_hw[row, col]) / 254
        assert told["change"] == {
            "value": code,
            "name": SCHEME.names[code],
            "color": SCHEME.classes[code].color,
            "changed": code not in STABLE,
            "probability": pytest.approx(share, abs=1e-6),
        }
        attributes = esri["results"][0]["attributes"]
        assert attributes["Transition"] == SCHEME.names[code]
        assert attributes["Probability of change"] == pytest.approx(share)
        is_shown = code not in STABLE
        assert esri["value"] == (str(code) if is_shown else "NoData")
        assert esri["properties"]["ClassName"] == (SCHEME.names[code] if is_shown else None)


def test_a_map_without_probabilities_beside_it_will_do(place, tmp_path):
    for name in ("transitions.tif", "transitions.tif.aux.xml"):
        (tmp_path / name).write_bytes((place.folder / "change" / name).read_bytes())
    own = str(tmp_path / "transitions.tif")
    assert open_changes(own, GRID).probability == ""
    # Of lcseg predict, by chance under that name.
    (tmp_path / "probability.tif").write_bytes(place.probabilities.read_bytes())
    assert open_changes(own, GRID).probability == ""


def test_what_is_no_map_of_transitions_is_refused(place, tmp_path):
    fix = "name transitions.tif, which lcseg change writes"
    for path in (place.map, place.image):
        with pytest.raises(LcsegError) as raised:
            open_dataset("made", Entry(str(place.bundle), str(place.image), change=str(path)))
        assert str(raised.value) == f"{path}: is no map of transitions; {fix}"


def test_map_of_another_place_is_refused(place, tmp_path):
    away = replace(GRID, transform=(1.0, 0.0, LEFT + 5000, 0.0, -1.0, TOP))
    path = tmp_path / "transitions.tif"
    with write_cog(path, away, class_map_profile(SCHEME)) as out:
        out.write(away.window, np.zeros((SIZE_PX, SIZE_PX), np.uint8))
    with pytest.raises(LcsegError, match="does not overlap its image: it spans"):
        open_dataset("made", Entry(str(place.bundle), str(place.image), change=str(path)))


def test_probabilities_of_another_grid_are_refused(place, tmp_path):
    for name in ("transitions.tif", "transitions.tif.aux.xml"):
        (tmp_path / name).write_bytes((place.folder / "change" / name).read_bytes())
    write(tmp_path / "probability.tif", np.zeros((9, 9, 1), np.uint8))
    with rasterio.open(tmp_path / "probability.tif", "r+") as dataset:
        dataset.set_band_description(1, "probability")
    with pytest.raises(LcsegError, match=r"probability\.tif: does not lie on the grid of"):
        open_changes(str(tmp_path / "transitions.tif"), GRID)


def test_nothing_changed_is_an_empty_layer(place, tmp_path):
    path = tmp_path / "transitions.tif"
    with write_cog(path, GRID, class_map_profile(SCHEME)) as out:
        out.write(GRID.window, np.full((SIZE_PX, SIZE_PX), 5, np.uint8))
    entry = Entry(str(place.bundle), str(place.image), change=str(path))
    dataset = open_dataset("made", entry)
    assert dataset.changes and dataset.changes.pixels == {}
    from lcseg.serving import services

    assert services.describe_image(dataset, "change")["maxValues"] == [0]
    assert services.describe_legend(dataset, "change")["layers"][0]["legend"] == []
