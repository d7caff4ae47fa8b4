"""The demo's imagery on disk."""

from __future__ import annotations

import itertools
from pathlib import Path

import rasterio

from lcseg.demo.landscape import SCENE_PX, SPLITS, write_scenes
from lcseg.raster.pairing import read_pairs


def test_scenes_are_pairs_of_georeferenced_rasters_with_their_splits(tmp_path: Path) -> None:
    pairs = read_pairs(str(write_scenes(tmp_path, seed=0)))
    assert [pair.split for pair in pairs] == list(SPLITS)
    for pair in pairs[:2]:
        with rasterio.open(pair.image) as image, rasterio.open(pair.label) as label:
            assert (image.count, image.shape) == (4, (SCENE_PX, SCENE_PX))
            assert image.descriptions == ("red", "green", "blue", "nir")
            assert (label.transform, label.crs) == (image.transform, image.crs)
    boxes = []
    for pair in pairs:
        with rasterio.open(pair.image) as image:
            boxes.append((image.bounds.left, image.bounds.right))
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(boxes)), "scenes overlap"
