"""Diagrams of transitions and of areas over time."""

import numpy as np
import pytest
from changed import SCHEME, make_scheme

from lcseg.change.flow import draw_flow, draw_trend
from lcseg.pictures import figure_png


def texts_of(figure) -> list[str]:
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def heights_of(figure) -> list[float]:
    return [p.get_height() for p in figure.axes[0].patches if hasattr(p, "get_height")]


def test_what_changed_is_drawn_with_names_and_areas():
    cells = np.array([[90, 0, 0, 4], [6, 50, 0, 0], [0, 0, 70, 0], [0, 0, 0, 10]], float)
    figure = draw_flow(cells, SCHEME, ("2013", "2017"), "{:.1f} ha".format)
    texts = texts_of(figure)
    assert texts[0] == "2013" and "2017" in texts
    assert "water\n4.0 ha" in texts and "tree/forest\n6.0 ha" in texts
    assert "water\n6.0 ha" in texts and "barren/impervious\n4.0 ha" in texts
    assert len(texts) == 6
    # Bars are as tall as their share of what moved.
    assert sorted(heights_of(figure)) == pytest.approx([0.4, 0.4, 0.6, 0.6])
    assert figure_png(figure).startswith(b"\x89PNG")


def test_nothing_changed_is_said():
    figure = draw_flow(np.eye(4) * 7, SCHEME, ("a", "b"), str)
    assert texts_of(figure) == ["nothing changed"]
    assert figure_png(figure)


@pytest.mark.parametrize("n", [2, 15])
def test_all_transitions_of_any_number_of_classes_have_room(n):
    cells = np.random.default_rng(0).random((n, n)) ** 8
    figure = draw_flow(cells, make_scheme(n), ("a", "b"), "{:.2g} ha".format)
    figure_png(figure)
    axis = figure.axes[0]
    low, high = sorted(axis.get_ylim())
    for text in axis.texts:
        assert low <= text.get_position()[1] <= high
    for side in ("left", "right"):
        places = [t.get_position()[1] for t in axis.texts if t.get_ha() == side]
        gaps = -np.diff(places)
        assert (gaps > 0.05).all()


def test_areas_over_time_are_drawn_by_class():
    areas = [[1, 2, 3, 4], [2, 2, 3, 3], [3, 2, 3, 2]]
    figure = draw_trend(areas, SCHEME, ["2013", "2015", "2017"], "ha")
    axis = figure.axes[0]
    assert [line.get_label() for line in axis.lines] == list(SCHEME.names)
    assert list(axis.lines[0].get_ydata()) == [1, 2, 3]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["2013", "2015", "2017"]
    assert (axis.get_ylabel(), axis.get_ylim()[0]) == ("ha", 0)
    assert figure_png(figure)
