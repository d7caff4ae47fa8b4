"""A server on loopback, with a data set whose map and probabilities `lcseg predict` has made."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import shapely
import uvicorn
from bundles import make_bundle
from rasterio.enums import Resampling

from lcseg.classes import IGNORE, load_scheme
from lcseg.model.config import UNetConfig
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.mapping import predict_map
from lcseg.raster.cog import CogProfile, class_map_profile, write_cog
from lcseg.raster.grid import Grid
from lcseg.records.suspects import Suspect, write_suspects
from lcseg.serving.config import ServeConfig
from lcseg.serving.gallery import open_gallery
from lcseg.serving.server import make_settings
from lcseg.synthetic import Landscape, make_landscape
from lcseg.transitions import encode, transition_scheme

CRS = "EPSG:26918"
LEFT, TOP = 440_000.0, 4_300_000.0
SIZE_PX = 700
"""The scene is square, of pixels of 1 m: two whole blocks and a part of one along each side."""


@dataclass(frozen=True)
class Place:
    """The files of a data set."""

    folder: Path

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    @property
    def image(self) -> Path:
        return self.folder / "scene.tif"

    @property
    def label(self) -> Path:
        return self.folder / "label.tif"

    @property
    def map(self) -> Path:
        return self.folder / "map.tif"

    @property
    def transitions(self) -> Path:
        return self.folder / "change" / "transitions.tif"

    @property
    def change_probability(self) -> Path:
        return self.folder / "change" / "probability.tif"

    @property
    def suspects(self) -> Path:
        return self.folder / "suspects.gpkg"

    @property
    def probabilities(self) -> Path:
        return self.folder / "probabilities.tif"

    def write_config(self, **more: str) -> Path:
        """A TOML file of two data sets: "made" has everything, "bare" has no reference and map."""
        path = self.folder / "maps.toml"
        path.write_text(
            '[made]\ntitle = "A made-up place"\nmodel = "bundle"\nimage = "scene.tif"\n'
            'label = "label.tif"\nmap = "map.tif"\ndate = "2024-06-01"\nbeside = "bare"\n'
            'change = "change/transitions.tif"\nsuspects = "suspects.gpkg"\n'
            '[bare]\nmodel = "bundle"\nimage = "scene.tif"\ndate = "2020-06-01"\n'
            + "".join(f"{key} = {value}\n" for key, value in more.items())
        )
        return path


def make_place(folder: Path) -> Place:
    """Make a scene with a wedge without data, its reference, a model, its map and its changes."""
    place = Place(folder)
    folder.mkdir(parents=True, exist_ok=True)
    make_bundle(place.bundle, UNetConfig(depth=3, width=4))
    made = make_landscape(Landscape(SIZE_PX, seed=1, nodata_share=0.1, unlabelled_share=0.1))
    write(place.image, made.image_hwc, nodata=0)
    with rasterio.open(place.image, "r+") as dataset:
        dataset.descriptions = ("red", "green", "blue", "band_4")
        dataset.build_overviews([2], Resampling.average)
    write(place.label, made.codes_hw[..., None])
    predict_map(
        PredictConfig(
            str(place.bundle),
            str(place.image),
            str(place.map),
            probabilities=str(place.probabilities),
            quiet=True,
        )
    )
    write_changes(place)
    write_suspected(place.suspects)
    return place


def write_changes(place: Place) -> None:
    """Write what `lcseg change` would: large and small places that changed, and how likely."""
    with rasterio.open(place.map) as dataset:
        before_hw = dataset.read(1)
    scheme, random = load_scheme("chesapeake-4"), np.random.default_rng(5)
    after_hw = before_hw.copy()
    for place_hw in (np.s_[40:170, 300:420], np.s_[400:520, 90:260]):
        after_hw[place_hw] = (before_hw[place_hw] + 1) % scheme.n_classes
    rows, cols = random.integers(0, SIZE_PX, (2, 60))
    after_hw[rows, cols] = random.integers(0, scheme.n_classes, len(rows))
    after_hw[before_hw == IGNORE] = IGNORE
    share_hw = np.where(after_hw == before_hw, 10, random.integers(150, 255, after_hw.shape))
    share_hw[before_hw == IGNORE] = IGNORE
    grid = Grid(SIZE_PX, SIZE_PX, (1.0, 0.0, LEFT, 0.0, -1.0, TOP), CRS)
    with write_cog(place.transitions, grid, class_map_profile(transition_scheme(scheme))) as out:
        out.write(grid.window, encode(before_hw, after_hw, scheme.n_classes))
    profile = CogProfile("uint8", ("probability",), IGNORE, scale=1 / 254)
    with write_cog(place.change_probability, grid, profile) as out:
        out.write(grid.window, share_hw.astype(np.uint8))


def write(path: Path, values_hwc: np.ndarray, nodata: float | None = None) -> None:
    """Write a raster at the place of the scene."""
    height, width, bands = values_hwc.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=bands,
        dtype=values_hwc.dtype,
        crs=CRS,
        transform=rasterio.transform.from_origin(LEFT, TOP, 1, 1),
        nodata=nodata,
        tiled=True,
        blockxsize=128,
        blockysize=128,
        photometric="MINISBLACK",
    ) as dataset:
        dataset.write(np.moveaxis(values_hwc, -1, 0))


def write_suspected(path: Path, crs: str | None = CRS) -> None:
    """Write suspects: three on the scene, of which one is of another date, and one beside it."""

    def box(col: float, row: float, side: float = 60) -> shapely.Polygon:
        return shapely.box(LEFT + col, TOP - row - side, LEFT + col + side, TOP - row)

    water, forest, grass = "water", "tree/forest", "grass/herbaceous"
    write_suspects(
        path,
        crs,
        [
            Suspect(
                box(100, 100),
                1,
                "dover",
                "",
                forest,
                water,
                0.97,
                0.01,
                3600,
                3600.0,
                new_class=water,
            ),
            Suspect(
                box(300, 400),
                2,
                "other",
                "",
                water,
                grass,
                0.93,
                0.02,
                3600,
                3600.0,
                new_class=grass,
            ),
            Suspect(box(500, 200, 20), 3, "", "", grass, forest, note="Seen from the road."),
            Suspect(box(9000, 100), 4, "dover", "", grass, forest, 0.9, 0.1, 3600, 3600.0),
        ],
    )


class _Announcing(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@contextmanager
def running(config: ServeConfig) -> Iterator[str]:
    """Serve in a thread; yields the address, without a slash at its end."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener,
        open_gallery(config) as gallery,
    ):
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        server = _Announcing(make_settings(gallery))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        server.listening.wait()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
