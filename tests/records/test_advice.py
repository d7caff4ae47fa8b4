"""What a user is warned of, and what not."""

import dataclasses

import pytest

from lcseg.classes import SCHEMES
from lcseg.records.advice import advise
from lcseg.records.manifest import SplitSummary
from lcseg.records.pair_report import PairReport

SCHEME = SCHEMES["chesapeake-4"]
FULL = SplitSummary(10, (5, 5, 5, 5), 0)
SPLITS = {"train": FULL, "val": FULL, "test": FULL}
PAIR = PairReport(
    key="a",
    image="a.tif",
    label="a_lc.tif",
    date="",
    site=0,
    height=64,
    width=64,
    crs="EPSG:26918",
    pixel_m=1.0,
    label_crs="EPSG:26918",
    label_pixel_m=1.0,
    sampling="as it is",
    shift_px=(0.0, 0.0),
    off_px=(0.0, 0.0),
    overlap=1.0,
    nodata=0.0,
    ignored=0.0,
    chips={"train": 8, "val": 1, "test": 1},
    dropped={},
    class_pixels=(5, 5, 5, 5),
)


def warn(splits: dict[str, SplitSummary] | None = None, **changes: object) -> list[str]:
    pair = dataclasses.replace(PAIR, **changes)  # type: ignore[arg-type]
    return list(advise([PAIR, pair], SPLITS | (splits or {}), SCHEME))


def test_a_class_that_is_missing_from_splits_is_named_with_what_to_do():
    without = SplitSummary(10, (0, 5, 5, 5), 0)
    (warning,) = warn({"val": without, "test": without})
    assert warning.startswith("water is missing from val and test: its scores there are unknown;")
    assert "--seed" in warning
    (warning,) = warn({"train": without})
    assert warning.startswith("water is missing from train: it cannot be learnt;")
    (warning,) = warn({"train": without, "val": without})
    assert "from train and val: it cannot be learnt, its scores there are unknown;" in warning
    (warning,) = warn(dict.fromkeys(SPLITS, without))
    assert warning.startswith("water occurs nowhere: check the codes")


def test_an_empty_split_is_said_once_and_only_where_it_was_wanted():
    empty = SPLITS | {"test": SplitSummary(0, (0, 0, 0, 0), 0)}
    (warning,) = advise([PAIR], empty, SCHEME)
    assert warning.startswith("test holds no chip: there is nothing to measure the model with;")
    assert list(advise([PAIR], empty, SCHEME, wanted=("train", "val"))) == []


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"chips": {"train": 0, "val": 0, "test": 0}}, "No chip comes from b:"),
        ({"overlap": 0.9}, "The label raster does not cover the whole image of b:"),
        ({"nodata": 0.51}, "Most pixels are without image in b:"),
        ({"ignored": 0.51}, "Most pixels of the image are without label in b:"),
        ({"label_crs": "EPSG:4326"}, "Image and label are in different CRSs in b:"),
        (
            {"sampling": "shifted", "off_px": (0.0, -0.5)},
            "Labels lie between the pixels of the image in b:",
        ),
    ],
)
def test_a_pair_that_a_user_should_look_at_is_named(changes, start):
    (warning,) = warn(key="b", **changes)
    assert warning.startswith(start)
    assert warning.endswith(".")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"overlap": 0.996},
        {"nodata": 0.5, "ignored": 0.5},
        {"label_crs": ""},
        {"crs": ""},
        {"sampling": "shifted", "shift_px": (3.0, -2.0), "off_px": (0.0, -0.01)},
        {"dropped": {"without label": 9}},
    ],
)
def test_nothing_is_said_of_what_is_as_it_should_be(changes):
    assert warn(**changes) == []


def test_many_pairs_of_one_kind_are_one_warning():
    pairs = [dataclasses.replace(PAIR, key=f"p{i}", overlap=0.5) for i in range(5)]
    (warning,) = advise(pairs, SPLITS, SCHEME)
    assert "image of p0, p1, p2 and 2 more:" in warning
    (warning,) = advise(pairs[:3], SPLITS, SCHEME)
    assert "image of p0, p1, p2:" in warning


def test_a_name_with_braces_is_left_as_it_is():
    (warning,) = warn(key="{0}", overlap=0.5)
    assert "image of {0}:" in warning
