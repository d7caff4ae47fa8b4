"""The demo's imagery: made-up scenes as GeoTIFFs, a kilometre apart.

pairs_csv = write_scenes(Path("demo-run/scenes"), seed=0)
write_later(Path("demo-run/later"), seed=0)    # the last scene, some years later
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from lcseg.planted import Dates, make_dates
from lcseg.raster.cog import CogProfile, write_cog
from lcseg.raster.grid import Grid, Window
from lcseg.synthetic import NO_LABEL, Landscape, Scene, make_landscape

SCENE_PX = 768
SPLITS = ("train",) * 6 + ("val",) * 2 + ("test",) * 2
CRS = "EPSG:26918"
_WEST_M, _NORTH_M, _APART_M = 400_000.0, 4_300_000.0, 1000.0
_BANDS = ("red", "green", "blue", "nir")


def write_scenes(folder: Path, seed: int) -> Path:
    """Write ten pairs of image and label, and the CSV that names them with their splits.

    Whole scenes are training, validation or test. Some labels are missing, and every other image
    has a corner without data, as in life.
    """
    rows = []
    for number, split in enumerate(SPLITS):
        scene = make_landscape(_describe(number, seed))
        image, label = (folder / f"scene-{number}_{what}.tif" for what in ("image", "label"))
        _write_scene(image, label, scene, _grid_of(number))
        rows.append({"image": image.name, "label": label.name, "split": split})
    path = folder / "pairs.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ("image", "label", "split"))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_later(folder: Path, seed: int) -> None:
    """Write the last scene at a second date: its image, and what is there, as a label.

    In between a wood was felled, houses were built, and a lake was drained. The season is another
    one, and the image lies off by part of a pixel, as in life.
    """
    number = len(SPLITS) - 1
    dates = Dates(_describe(number, seed), shift_px=(0.3, -0.2))
    _write_scene(
        folder / "image.tif", folder / "label.tif", make_dates(dates).after, _grid_of(number)
    )


def _describe(number: int, seed: int) -> Landscape:
    """What a scene is like."""
    return Landscape(
        SCENE_PX,
        seed * len(SPLITS) + number,
        unlabelled_share=0.05,
        nodata_share=0.03 * (number % 2),
    )


def _grid_of(number: int) -> Grid:
    place = (1.0, 0.0, _WEST_M + number * _APART_M, 0.0, -1.0, _NORTH_M)
    return Grid(SCENE_PX, SCENE_PX, place, CRS)


def _write_scene(image: Path, label: Path, scene: Scene, grid: Grid) -> None:
    _write(image, grid, scene.image_hwc, CogProfile("uint8", _BANDS, nodata=0))
    _write(label, grid, scene.codes_hw, CogProfile("uint8", ("code",), NO_LABEL, "mode"))


def _write(path: Path, grid: Grid, values: np.ndarray, profile: CogProfile) -> None:
    with write_cog(path, grid, profile) as writer:
        writer.write(Window(0, 0, grid.height, grid.width), values)
