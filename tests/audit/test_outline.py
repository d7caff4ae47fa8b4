"""Outlines of places."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from audited import sure_scene
from hypothesis import given, settings
from hypothesis import strategies as st

from lcseg.audit.config import AuditConfig
from lcseg.audit.outline import to_ground, trace_place
from lcseg.audit.search import search
from lcseg.raster.crs import LONLAT

CONFIG = AuditConfig(
    "out", probabilities="p", label="l", classes="c", edge_tolerance_px=0, places=99, quiet=True
)


def find(scene, **options):
    found = search([scene], 2, replace(CONFIG, **options))
    return found.harvest.places, found.sums.least


def test_an_outline_is_that_of_the_pixels_in_the_scene_and_on_the_ground():
    label_hw, said_hw = np.zeros((20, 30), np.uint8), np.zeros((20, 30), np.uint8)
    said_hw[4:9, 10:16] = 1
    label_hw[0] = said_hw[0] = 1
    scene = sure_scene(said_hw, label_hw, 2)
    (place,), least = find(scene)
    shape = trace_place(scene, place, least, 0)
    assert shape.equals(shapely.box(10, 4, 16, 9))
    ground = to_ground(shape, scene.grid, scene.grid.crs, scene.path)
    assert ground.bounds == (400_020.0, 4_299_982.0, 400_032.0, 4_299_992.0)
    lonlat = to_ground(shape, scene.grid, LONLAT, scene.path)
    assert lonlat.centroid.x == pytest.approx(-76.1525, abs=1e-3)
    assert lonlat.centroid.y == pytest.approx(38.8433, abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 9), st.integers(0, 1))
def test_a_place_that_is_traced_in_pieces_has_the_same_outline(seed, piece_px, edge_px):
    random = np.random.default_rng(seed)
    said_hw = (random.random((25, 31)) < (0.9 if edge_px else 0.6)).astype(np.uint8)
    label_hw = np.zeros_like(said_hw)
    label_hw[:1] = said_hw[:1] = 1
    scene = sure_scene(said_hw, label_hw, 2)
    places, least = find(scene, edge_tolerance_px=edge_px)
    for place in places:
        whole = trace_place(scene, place, least, edge_px)
        pieces = trace_place(scene, place, least, edge_px, piece_px)
        assert pieces.equals(whole)
        assert pieces.area == place.pixels
