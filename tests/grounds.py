"""Grounds to lay chips on: scenes of one neighbourhood, of all kinds, that overlap.

scenes, lon, lat = draw(grounds())
nearest_m(scenes, layouts, around(lon, lat))   # between pixels of different splits

Places are held against rasterio's transforms and PROJ, never against what lcseg computes.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import rasterio.warp
from hypothesis import strategies as st
from rasterio.transform import Affine
from sklearn.neighbors import KDTree

from lcseg.raster.fit import LabelFit
from lcseg.raster.grid import Grid
from lcseg.raster.pairing import SPLITS, Pair
from lcseg.records.config import ConvertConfig
from lcseg.records.layout import Layout
from lcseg.records.survey import Scene

UTM = "EPSG:26918"
CONFIG = ConvertConfig(
    "chesapeake-4",
    "data",
    "*.tif",
    "*.tif",
    chip_px=16,
    block_chips=2,
    split_buffer_px=0,
    val_share=0.25,
    test_share=0.25,
)

WORLDS = {
    (-78.0, 39.0): ("EPSG:26918", "EPSG:26917", "EPSG:4326", "EPSG:3857"),
    (180.0, -17.0): ("EPSG:32760", "EPSG:32701", "EPSG:4326", "EPSG:3857"),
    (15.0, 78.0): ("EPSG:32633", "EPSG:3413", "EPSG:4326", "EPSG:3035"),
}
"""CRSs that serve a place, by longitude and latitude: where zones meet, antimeridian, Svalbard."""


def make_scene(
    key: str,
    shape: tuple[int, int] = (96, 96),
    transform: tuple[float, ...] = (1.0, 0.0, 400_000.0, 0.0, -1.0, 4_300_000.0),
    crs: str | None = UTM,
    split: str = "",
) -> Scene:
    """A scene as the survey would have found it; there is no raster."""
    grid = Grid(*shape, transform, crs)
    pair = Pair(key, f"{key}.tif", f"{key}_lc.tif", split)
    fit = LabelFit("as it is", (0.0, 0.0), (0.0, 0.0), 1.0, "", 1.0)
    return Scene(pair, grid, ("a",), "uint8", 0, 1.0, fit, "", ())


def find_centers(layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """(column, row) of the centre of each pixel of each chip, and the split, in the scene."""
    points, splits = [np.zeros((0, 2))], [np.zeros(0, int)]
    for (row, col, height, width), split in zip(layout.windows, layout.splits, strict=True):
        cols, rows = np.meshgrid(col + np.arange(width) + 0.5, row + np.arange(height) + 0.5)
        points.append(np.column_stack([cols.ravel(), rows.ravel()]))
        splits.append(np.full(cols.size, split))
    return np.concatenate(points), np.concatenate(splits)


def to_ground(grid: Grid, points: np.ndarray, ground: str) -> np.ndarray:
    """Places in pixels of a grid as metres of a projection around it."""
    if not len(points):
        return points
    x, y = Affine(*grid.transform) @ (points[:, 0], points[:, 1])
    return np.column_stack(rasterio.warp.transform(grid.crs, ground, x, y))


def around(lon: float, lat: float) -> str:
    return f"+proj=aeqd +lon_0={lon} +lat_0={lat} +datum=WGS84 +units=m"


def nearest_m(scenes: list[Scene], layouts: list[Layout], ground: str) -> float:
    """The least distance between two pixel centres of different splits, in metres."""
    parts = []
    for scene, layout in zip(scenes, layouts, strict=True):
        points, splits = find_centers(layout)
        parts.append((to_ground(scene.grid, points, ground), splits))
    points, splits = (np.concatenate(values) for values in zip(*parts, strict=True))
    nearest = math.inf
    for split in (1, 2):
        own, others = points[splits == split], points[splits < split]
        if len(own) and len(others):
            nearest = min(nearest, float(KDTree(others).query(own)[0].min()))
    return nearest


def place_scene(key: str, lon: float, lat: float, crs: str, at: dict) -> Scene:
    """A scene whose first pixel is so many metres from a place, turned, flipped, on any grid."""
    (x,), (y,) = rasterio.warp.transform(
        around(lon, lat), "EPSG:4326", [at["east_m"]], [at["north_m"]]
    )
    if crs == "EPSG:4326":
        # Longitudes go on across the antimeridian, to one side or to the other.
        x %= 360
        x -= 360 if x > 270 or (lon == 180 and at["is_west"]) else 0
        wide = tall = at["pixel_m"] / 111_320
    else:
        (cx,), (cy,) = rasterio.warp.transform("EPSG:4326", crs, [x], [y])
        wide = tall = at["pixel_m"] / (math.cos(math.radians(lat)) if crs == "EPSG:3857" else 1)
        x, y = cx, cy
    flip = 1 if at["is_south_up"] else -1
    transform = (
        Affine.translation(x, y) * Affine.rotation(at["angle"]) * Affine.scale(wide, flip * tall)
    )
    return make_scene(key, at["shape"], tuple(transform)[:6], crs, at["split"])


@st.composite
def grounds(draw, worlds=tuple(WORLDS)) -> tuple[list[Scene], float, float]:
    """Scenes of one neighbourhood, of which many overlap, with the place."""
    lon, lat = draw(st.sampled_from(worlds))
    offset = st.one_of(st.integers(-90, 90), st.floats(-90, 90, allow_nan=False))
    one = st.fixed_dictionaries(
        {
            "east_m": offset,
            "north_m": offset,
            "pixel_m": st.sampled_from([1.0, 1.0, 0.93, 1.04]),
            "angle": st.one_of(st.just(0.0), st.floats(-180, 180)),
            "is_south_up": st.booleans(),
            "is_west": st.booleans(),
            "shape": st.tuples(st.integers(17, 100), st.integers(17, 100)),
            "split": st.sampled_from(["", "", "", *SPLITS]),
        }
    )
    places = draw(st.lists(one, min_size=1, max_size=4))
    scenes = [
        place_scene(f"scene {i}", lon, lat, draw(st.sampled_from(WORLDS[lon, lat])), at)
        for i, at in enumerate(places)
    ]
    # The same grid again, at another date.
    for i in draw(st.lists(st.integers(0, len(scenes) - 1), max_size=2)):
        again = scenes[i]
        split = draw(st.sampled_from(["", *SPLITS]))
        pair = replace(again.pair, key=f"scene {len(scenes)}", split=split)
        scenes.append(replace(again, pair=pair))
    return scenes, lon, lat


configs = st.builds(
    lambda **values: replace(CONFIG, **values),
    split_by=st.sampled_from(["block", "block", "scene"]),
    block_chips=st.integers(1, 3),
    split_buffer_px=st.sampled_from([0, 0, 1, 5, 32]),
    stride_px=st.sampled_from([0, 5, 8, 16]),
    seed=st.integers(0, 99),
)


def pixel_width_m(scene: Scene, ground: str) -> float:
    """How narrow a scene's first pixel is on the ground, which may be askew there."""
    corner, across, down = to_ground(scene.grid, np.array([[0, 0], [1, 0], [0, 1]]), ground)
    sides = np.stack([across - corner, down - corner])
    return abs(np.linalg.det(sides)) / np.linalg.norm(sides, axis=1).max()
