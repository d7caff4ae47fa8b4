import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lcseg.classes import load_scheme
from lcseg.pictures import (
    Curve,
    draw_confusion,
    draw_curves,
    draw_pairs,
    draw_panels,
    encode_png,
    figure_png,
    save_figure,
    stretch,
)

SCHEME = load_scheme("chesapeake-4")
RANDOM = np.random.default_rng(0)


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_image_and_label_are_drawn_side_by_side_with_a_legend(tmp_path):
    rgb_hwc = stretch(RANDOM.integers(0, 255, (32, 32, 4), np.uint8))
    label_hw = RANDOM.integers(0, 4, (32, 32), np.uint8)
    figure = draw_panels(["image", "label"], [[rgb_hwc, SCHEME.colorize(label_hw)]], SCHEME)
    save_figure(figure, tmp_path / "preview.png")
    assert [axis.get_title() for axis in figure.axes] == ["image", "label"]
    assert legend_texts(figure) == [*SCHEME.names, "ignored"]
    with Image.open(tmp_path / "preview.png") as picture:
        assert picture.width > picture.height > 100
    assert [path.name for path in tmp_path.iterdir()] == ["preview.png"]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_each_pair_stands_under_its_title_with_one_legend_for_all(n):
    black, white = (np.full((32, 32, 3), value, np.uint8) for value in (0, 255))
    titles = [f"pair {i}" for i in range(n)]
    figure = draw_pairs(titles, [(black, white)] * n, SCHEME)
    drawn = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title(loc="left") for axis in drawn] == titles
    assert all(axis.images[0].get_array().shape == (32, 65, 3) for axis in drawn)
    assert legend_texts(figure) == [*SCHEME.names, "ignored"]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_stretch_spans_the_second_to_the_98th_percentile_of_the_bands_together(dtype):
    image_hwc = (RANDOM.normal(100, 25, (60, 50, 3)) * [1, 0.2, 0.7]).astype(dtype)
    low, high = np.percentile(image_hwc.astype(np.float64), [2, 98])
    expected = ((image_hwc.astype(np.float64) - low) / (high - low)).clip(0, 1) * 255
    rgb_hwc = stretch(image_hwc)
    assert rgb_hwc.dtype == np.uint8
    np.testing.assert_allclose(rgb_hwc, expected, atol=1.01)


def test_stretch_leaves_grey_grey_and_shows_the_first_three_bands_only():
    grey_hw = RANDOM.integers(20, 90, (30, 30), np.uint8)
    other_hw = RANDOM.integers(0, 255, (30, 30), np.uint8)
    rgb_hwc = stretch(np.dstack([grey_hw, grey_hw, grey_hw, other_hw]))
    assert (rgb_hwc == rgb_hwc[..., :1]).all()
    assert np.ptp(rgb_hwc) == 255


def test_missing_pixels_are_black_and_do_not_count_in_the_stretch():
    image_hwc = RANDOM.uniform(10, 20, (30, 30, 3)).astype(np.float32)
    valid_hw = np.ones((30, 30), bool)
    valid_hw[:10] = False
    torn_hwc = image_hwc.copy()
    torn_hwc[:10] = 1e9
    rgb_hwc = stretch(torn_hwc, valid_hw)
    assert (rgb_hwc[:10] == 0).all()
    np.testing.assert_array_equal(rgb_hwc[10:], stretch(image_hwc[10:]))
    assert (stretch(torn_hwc, np.zeros((30, 30), bool)) == 0).all()


@pytest.mark.filterwarnings("error")
def test_missing_pixels_that_are_no_number_are_black_without_a_warning():
    image_hwc = RANDOM.uniform(10, 20, (30, 30, 3)).astype(np.float32)
    image_hwc[:10] = np.nan
    valid_hw = np.isfinite(image_hwc).all(axis=-1)
    assert (stretch(image_hwc, valid_hw)[:10] == 0).all()


@pytest.mark.parametrize("bands", [1, 2])
def test_image_of_fewer_than_three_bands_is_grey(bands):
    image_hwc = RANDOM.integers(0, 255, (20, 20, bands), np.uint8)
    rgb_hwc = stretch(image_hwc)
    assert (rgb_hwc == rgb_hwc[..., :1]).all()
    np.testing.assert_array_equal(rgb_hwc[..., :1], stretch(image_hwc[..., :1])[..., :1])
    assert np.ptp(rgb_hwc) > 200


def test_image_of_one_value_is_no_division_by_zero():
    assert np.unique(stretch(np.full((8, 8, 3), 7, np.uint8))).tolist() == [0]


def test_png_holds_the_pixels_exactly():
    rgb_hwc = RANDOM.integers(0, 255, (9, 7, 3), np.uint8)
    with Image.open(io.BytesIO(encode_png(rgb_hwc))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), rgb_hwc)


def test_confusion_shows_the_share_of_each_row_and_nothing_for_an_empty_one():
    counts = np.array([[3, 1, 0], [0, 0, 0], [1, 1, 6]])
    figure = draw_confusion(counts, ["a", "b", "c"])
    axis = figure.axes[0]
    texts = {text.get_position(): text.get_text() for text in axis.texts}
    assert texts[0, 0] == "75.0 %"
    assert texts[1, 0] == "25.0 %"
    assert texts[2, 2] == "75.0 %"
    assert all(row != 1 for _, row in texts)
    assert [label.get_text() for label in axis.get_xticklabels()] == ["a", "b", "c"]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("predicted", "reference")


def test_curves_are_drawn_by_name():
    curves = [Curve("train", [1, 2], [0.9, 0.5], "red"), Curve("val", [1, 2], [1, 0.8], "#0000FF")]
    axis = draw_curves(curves, "step", "loss").axes[0]
    drawn = {line.get_label(): (list(line.get_ydata()), line.get_color()) for line in axis.lines}
    assert drawn == {"train": ([0.9, 0.5], "red"), "val": ([1, 0.8], "#0000FF")}
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("step", "loss")


def test_figure_is_the_same_picture_each_time():
    def draw() -> bytes:
        return figure_png(draw_curves([Curve("a", [1], [2], "red")], "x", "y"))

    assert draw() == draw()
    with Image.open(io.BytesIO(draw())) as picture:
        assert picture.format == "PNG"
