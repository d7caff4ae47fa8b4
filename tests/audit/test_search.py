"""Two looks at all evidence."""

import numpy as np
import pytest
from audited import ArrayEvidence, sure_scene
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label as find_parts

from lcseg.audit.config import AuditConfig
from lcseg.audit.search import SceneCount, search
from lcseg.classes import IGNORE
from lcseg.errors import LcsegError


def configure(**options) -> AuditConfig:
    rasters = {"probabilities": "p.tif", "label": "l.tif", "classes": "chesapeake-4"}
    return AuditConfig("audit", **rasters, quiet=True, **options)


def test_places_of_all_scenes_are_found():
    label_hw = np.zeros((30, 40), np.uint8)
    label_hw[:, 20:] = 1
    said_hw = label_hw.copy()
    said_hw[5:15, 5:15] = 1
    scenes = [sure_scene(said_hw, label_hw, 2), sure_scene(label_hw, label_hw, 2)]
    found = search(scenes, 2, configure())
    (place,) = found.harvest.places
    assert (place.scene, place.label, place.suggested, place.pixels) == (0, 0, 1, 100)
    assert place.area_m2 == 400.0
    assert found.sums.pixels.tolist() == [1200, 1200]
    assert found.sums.thresholds == (1100 / 1200, 1.0)
    assert found.scenes == (SceneCount(1200, 100), SceneCount(1200, 0))
    assert found.joint.counts.tolist() == [[1100, 100], [0, 1200]]


def make_scene(seed: int, block_px: int) -> ArrayEvidence:
    """Blobs of labels, blobs of what a model says, and noise in how sure it is."""
    random = np.random.default_rng(seed)
    small_hw = random.integers(0, 3, (6, 7), np.uint8)
    label_hw = np.kron(small_hw, np.ones((6, 6), np.uint8))
    label_hw[random.random(label_hw.shape) < 0.01] = IGNORE
    said_hw = np.kron(random.integers(0, 3, (9, 11), np.uint8), np.ones((4, 4), np.uint8))
    said_hw = said_hw[: label_hw.shape[0], : label_hw.shape[1]]
    sure_hw = random.integers(120, 255, label_hw.shape).astype(np.uint8)
    probs_hwk = np.zeros((*label_hw.shape, 3), np.uint8)
    np.put_along_axis(probs_hwk, said_hw[..., None].astype(int), sure_hw[..., None], axis=-1)
    rest_hwk = ((254 - sure_hw) // 2)[..., None]
    return ArrayEvidence(np.where(probs_hwk, probs_hwk, rest_hwk), label_hw, block_px)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 50), st.integers(0, 2))
def test_blocks_of_any_size_change_nothing(seed, block_px, edge_px):
    config = configure(edge_tolerance_px=edge_px, places=5)
    whole, blocks = (search([make_scene(seed, px)], 3, config) for px in (1024, block_px))
    assert blocks.harvest == whole.harvest
    assert blocks.scenes == whole.scenes
    assert (blocks.joint.counts == whole.joint.counts).all()


@pytest.mark.parametrize("seed", range(5))
def test_places_are_the_connected_areas_of_the_whole_scene(seed):
    scene = make_scene(seed, 16)
    found = search([scene], 3, configure(edge_tolerance_px=0, places=1000))
    probs_hwk, label_hw = scene.read(scene.grid.window)
    limits = [probs_hwk[label_hw == k, k].mean() for k in range(3)]
    reached = np.where(probs_hwk >= limits, probs_hwk.astype(int), -1)
    guess_hw = np.where(reached.max(-1) < 0, 9, reached.argmax(-1))
    is_issue_hw = (guess_hw < 9) & (label_hw < 9) & (guess_hw != label_hw)
    own_hw = np.take_along_axis(probs_hwk, np.minimum(label_hw, 2)[..., None].astype(int), -1)
    is_issue_hw &= own_hw[..., 0] < probs_hwk.max(-1)
    parts_hw = find_parts(
        np.where(is_issue_hw, 1 + 3 * label_hw.astype(int) + guess_hw, 0),
        connectivity=1,
        background=0,
    )
    sizes = np.bincount(parts_hw.ravel())[1:]
    assert sorted(place.pixels for place in found.harvest.places) == sorted(sizes.tolist())
    for place in found.harvest.places[:10]:
        own_hw = parts_hw == parts_hw[place.first]
        margins = probs_hwk[own_hw].astype(float) @ np.eye(3)[place.suggested]
        margins -= probs_hwk[own_hw].astype(float) @ np.eye(3)[place.label]
        assert place.score == pytest.approx(margins.mean() / 254)


def test_what_has_no_label_is_refused():
    none_hw = np.full((8, 8), IGNORE, np.uint8)
    with pytest.raises(LcsegError, match=r"a\.tif: has no pixel with both a label and a prob"):
        search([sure_scene(0 * none_hw, none_hw, 2, scene="a")], 2, configure())


def test_areas_are_asked_of_a_scene_without_a_crs():
    label_hw = np.zeros((8, 8), np.uint8)
    scene = sure_scene(label_hw, label_hw, 2, scene="a", crs=None)
    with pytest.raises(LcsegError, match=r"a\.tif: has no CRS, so no areas; leave --min_area"):
        search([scene], 2, configure(min_area_m2=5))
    assert search([scene], 2, configure()).harvest.places == ()
