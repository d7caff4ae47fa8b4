"""The demo's imagery on disk."""

from __future__ import annotations

import itertools
from pathlib import Path

import rasterio

from lcseg.classes import load_scheme
from lcseg.demo.landscape import SCENE_PX, SPLITS, write_later, write_scenes
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


def test_a_second_date_shows_the_last_scene_with_woods_felled(tmp_path: Path) -> None:
    write_scenes(tmp_path / "scenes", seed=0)
    write_later(tmp_path / "later", seed=0)
    paths = tmp_path / "scenes/scene-9_label.tif", tmp_path / "later/label.tif"
    with rasterio.open(paths[0]) as before, rasterio.open(paths[1]) as after:
        assert (before.transform, before.crs) == (after.transform, after.crs)
        scheme = load_scheme("chesapeake-4")
        before_hw, after_hw = (scheme.encode(label.read(1)) for label in (before, after))
    is_known = (before_hw != 255) & (after_hw != 255)
    changed = is_known & (before_hw != after_hw)
    assert 0.02 < changed.sum() / is_known.sum() < 0.12
    assert (before_hw[changed] == scheme.names.index("tree/forest")).sum() > 5000
