"""Pictures of places."""

import io

import numpy as np
import shapely
from audited import sure_scene
from PIL import Image

from lcseg.audit.thumbnails import choose_window, draw_thumbnail
from lcseg.classes import load_scheme
from lcseg.raster.grid import Window

SCHEME = load_scheme("chesapeake-4")


def decode(picture: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(picture)).convert("RGB"))


def test_a_place_is_drawn_with_the_ground_around_it():
    label_hw, said_hw = np.zeros((200, 200), np.uint8), np.ones((200, 200), np.uint8)
    label_hw[60:70, 100:110] = 3
    scene = sure_scene(said_hw, label_hw, 4)
    thumbnail = draw_thumbnail(scene, shapely.box(100, 60, 110, 70), SCHEME)
    assert thumbnail.side_px == 64
    assert [(title, kind) for title, kind, _ in thumbnail.tiles] == [
        ("label", "png"),
        ("prediction", "png"),
    ]
    label, prediction = (decode(picture) for _, _, picture in thumbnail.tiles)
    assert (prediction == SCHEME.palette[1]).all()
    assert (label[27:37, 27:37] == SCHEME.palette[3]).all()
    assert (label == SCHEME.palette[3]).all(axis=-1).sum() == 100
    assert sorted(thumbnail.outline[1:-1].split("L")) == ["27 27", "27 37", "37 27", "37 37"]


def test_the_image_stands_first_and_what_is_not_known_is_black():
    label_hw = np.zeros((40, 40), np.uint8)
    scene = sure_scene(label_hw, label_hw, 4)
    scene.picture = lambda window: np.full((window.height, window.width, 3), 99, np.uint8)
    thumbnail = draw_thumbnail(scene, shapely.box(0, 0, 8, 8), SCHEME)
    assert [title for title, _, _ in thumbnail.tiles] == ["image", "label", "prediction"]
    image, label, prediction = (decode(picture) for _, _, picture in thumbnail.tiles)
    assert image.shape == label.shape == (64, 64, 3)
    assert (abs(image.astype(int) - 99) < 4).all()
    assert not label[:28].any() and not prediction[:28].any() and prediction[28:, 28:].all()


def test_a_large_place_is_shown_in_part_and_coarsely():
    shape = shapely.MultiPolygon([shapely.box(0, 0, 5000, 20), shapely.box(0, 0, 20, 5000)])
    shape = shapely.union_all(shape)
    window = choose_window(shape)
    assert (window.height, window.width) == (1024, 1024)
    assert shape.intersection(
        shapely.box(window.col, window.row, window.col + 1024, window.row + 1024)
    )
    label_hw = np.zeros((5000, 5000), np.uint8)
    thumbnail = draw_thumbnail(sure_scene(label_hw, label_hw, 1), shape, SCHEME)
    assert thumbnail.side_px == 1024
    assert decode(thumbnail.tiles[0][2]).shape == (147, 147, 3)
    numbers = [
        float(n)
        for n in thumbnail.outline.replace("M", " ").replace("L", " ").replace("Z", " ").split()
    ]
    assert min(numbers) >= 0 and max(numbers) <= 1024


def test_the_window_holds_the_whole_place_in_its_middle():
    assert choose_window(shapely.box(100, 200, 180, 220)) == Window(130, 60, 160, 160)


def test_holes_are_outlined():
    shape = shapely.box(0, 0, 30, 30) - shapely.box(10, 10, 20, 20)
    label_hw = np.zeros((40, 40), np.uint8)
    outline = draw_thumbnail(sure_scene(label_hw, label_hw, 2), shape, SCHEME).outline
    assert outline.count("M") == outline.count("Z") == 2
