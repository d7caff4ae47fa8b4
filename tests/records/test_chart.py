"""The picture of where chips lie: colours at known places, legend, scale and notes."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from lcseg.pictures import figure_png
from lcseg.records.chart import plot_ground
from lcseg.records.ground import FATES, REFUSED, Panel
from lcseg.records.looks import LOOKS

NONE = dict.fromkeys(FATES, 0)
OUTLINE = np.array([[0, 0], [400, 0], [400, 300], [0, 300], [0, 0]], float)


def square(col: float, row: float, side: float = 100) -> list[list[float]]:
    return [[col, row], [col + side, row], [col + side, row + side], [col, row + side]]


def make_panel(
    names: Sequence[str] = ("a",),
    pixel_m: float | None = 0.5,
    north: tuple[float, float] | None = (0.0, -1.0),
    per_square: int = 1,
    **chips: list[list[list[float]]],
) -> Panel:
    placed = {name: np.array(chips.get(name, []), float).reshape(-1, 4, 2) for name in FATES}
    outlines = tuple(OUTLINE + 10 * i for i in range(len(names)))
    return Panel(tuple(names), outlines, placed, per_square, pixel_m, north)


def color_at(figure: Figure, number: int, col: float, row: float) -> tuple[int, ...]:
    """The colour at a place of a panel, in the picture as it is written."""
    picture = Image.open(io.BytesIO(figure_png(figure, 100))).convert("RGB")
    figure.set_dpi(100)
    x, y = figure.axes[number].transData.transform((col, row))
    pixel = picture.getpixel((int(x), picture.height - 1 - int(y)))
    assert isinstance(pixel, tuple)
    return pixel


def rgb(color: str) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in to_rgb(color))


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for axis in figure.axes for t in axis.texts] + [
        t.get_text() for t in figure.texts
    ]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for block in figure.legends for text in block.get_texts()]


@pytest.mark.parametrize("side", [90, 4])
def test_chips_have_the_colour_of_their_split_at_their_place(side):
    chips = {"train": [square(20, 10, side)], "val": [square(200, 100, side)]}
    panel = make_panel(**chips, test=[square(300, 200, side)])
    figure = plot_ground([panel, panel], NONE, 2)
    for number in (0, 1):
        for split, col, row in (("train", 20, 10), ("val", 200, 100), ("test", 300, 200)):
            found = color_at(figure, number, col + side / 2, row + side / 2)
            assert found == rgb(LOOKS[split].face)
        assert color_at(figure, number, 150, 250) == (255, 255, 255)


def test_a_chip_that_is_kept_lies_over_one_that_was_dropped():
    panel = make_panel(train=[square(100, 100)], **{"without label": [square(50, 100)]})
    figure = plot_ground([panel], NONE, 1)
    assert color_at(figure, 0, 130, 150) == rgb(LOOKS["train"].face)
    assert color_at(figure, 0, 70, 150) == rgb(LOOKS["without label"].face)


def test_splits_differ_in_lightness_too():
    lightness = sorted(
        np.dot(to_rgb(LOOKS[split].face), (0.299, 0.587, 0.114))
        for split in ("train", "val", "test")
    )
    assert lightness[1] - lightness[0] > 0.2
    colors = [LOOKS[name].face for name in FATES]
    assert len(set(colors)) == len(FATES)


def test_the_legend_counts_splits_and_the_reasons_that_occur():
    counts = NONE | {"train": 12_345, "val": 6, REFUSED: 7}
    wanted = ["train  12,345", "val  6", "test  0", "on the ground of another split  7"]
    assert legend(plot_ground([make_panel()], counts, 1)) == wanted
    assert legend(plot_ground([make_panel()] * 5, counts, 5)) == wanted
    assert legend(plot_ground([make_panel()] * 5, NONE, 5)) == ["train  0", "val  0", "test  0"]


@pytest.mark.parametrize(
    ("pixel_m", "text", "length_px"),
    [(0.5, "50 m", 100), (1.0, "100 m", 100), (100.0, "10 km", 100), (0.003, "0.2 m", 200 / 3)],
)
def test_the_scale_is_a_round_length_on_the_ground(pixel_m, text, length_px):
    figure = plot_ground([make_panel(pixel_m=pixel_m)], NONE, 1)
    assert text in texts(figure)
    (bar,) = figure.axes[0].lines
    assert np.ptp(bar.get_xdata()) == pytest.approx(length_px)
    assert "N" in texts(figure)


def test_without_a_place_on_earth_there_is_no_scale_and_no_north():
    figure = plot_ground([make_panel(pixel_m=None, north=None)], NONE, 1)
    assert texts(figure) == ["a"]
    assert not figure.axes[0].lines


def test_notes_say_what_is_not_shown():
    figure = plot_ground([make_panel()] * 12, NONE, 13)
    assert len(figure.axes) == 12
    assert texts(figure)[-1].startswith("and 1 more site: the largest are shown")
    figure = plot_ground([make_panel(per_square=1), make_panel(per_square=3)], NONE, 2)
    assert texts(figure)[-1].startswith("A square stands for up to 3 x 3 chips")
    assert all(
        "more" not in text and "square" not in text
        for text in texts(plot_ground([make_panel()], NONE, 1))
    )


def test_few_scenes_are_named_and_many_are_counted():
    few = texts(plot_ground([make_panel(("a", "$x_1$"))], NONE, 1))
    assert few[:3] == ["2 scenes", "a", "$x_1$"]
    many = texts(plot_ground([make_panel([f"s{i}" for i in range(9)])], NONE, 1))
    assert many[0] == "9 scenes, s0 to s8"
    assert "s1" not in many


def test_a_long_name_is_shortened_in_the_middle():
    (title, *_) = texts(plot_ground([make_panel(("begin" + "x" * 200 + "end",))] * 12, NONE, 12))
    assert title.startswith("begin")
    assert title.endswith("end")
    assert "…" in title
    assert len(title) < 30


def test_panels_lie_side_by_side_inside_of_the_picture():
    for count in range(1, 13):
        figure = plot_ground([make_panel()] * count, NONE, count)
        boxes = [axis.get_position() for axis in figure.axes]
        assert all(box.x0 >= 0 and box.x1 <= 1 and box.y0 >= 0 and box.y1 <= 1 for box in boxes)
        for number, box in enumerate(boxes):
            assert not any(
                min(box.x1, other.x1) > max(box.x0, other.x0) + 1e-9
                and min(box.y1, other.y1) > max(box.y0, other.y0) + 1e-9
                for other in boxes[:number]
            )
