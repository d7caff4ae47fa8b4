"""What may be compared, and what is refused before any work."""

import pytest

from lcseg.change.config import ChangeConfig, Dated
from lcseg.errors import LcsegError

TWO = {"before": "a.tif", "after": "b.tif"}
SERIES = {"maps": ("2013=a.tif", "2015=b.tif", "2017=c.tif")}


def test_two_maps_or_several_dates_are_named():
    assert ChangeConfig("out", **TWO).dates == (Dated("before", "a.tif"), Dated("after", "b.tif"))
    images = "2013=a_image.tif", "2017=c_image.tif"
    dates = ChangeConfig("out", **SERIES, images=images).dates
    assert [date.name for date in dates] == ["2013", "2015", "2017"]
    assert dates[0] == Dated("2013", "a.tif", "", "a_image.tif")
    assert dates[1].image == ""


def test_dates_may_be_days_and_paths_may_have_equal_signs():
    maps = "2013-07-04= /data/year=2013/a.tif".replace("= /", "=/"), " 2017-08-12 =b.tif"
    dates = ChangeConfig("out", maps=maps).dates
    assert dates == (Dated("2013-07-04", "/data/year=2013/a.tif"), Dated("2017-08-12", "b.tif"))


def test_images_stand_for_maps_where_there_is_a_model():
    config = ChangeConfig("out", model="bundle", image_before="a.tif", image_after="b.tif")
    assert [(date.map, date.image) for date in config.dates] == [("", "a.tif"), ("", "b.tif")]
    config = ChangeConfig("out", model="bundle", images=("2013=a.tif", "2017=b.tif"))
    assert [date.name for date in config.dates] == ["2013", "2017"]


REFUSED = [
    ({}, "give two dates"),
    ({"before": "a.tif"}, "after has no map; give one for each date"),
    ({"maps": ("2013=a.tif",)}, "give two dates"),
    ({**TWO, **SERIES}, "give --before and --after, or --maps"),
    ({**TWO, "probabilities": ("x=a.tif",)}, "give --before and --after, or --maps"),
    ({"maps": ("a.tif", "b.tif")}, "--maps=a.tif: expected DATE=FILE"),
    ({"maps": ("=a.tif", "b=b.tif")}, "--maps==a.tif: expected DATE=FILE"),
    ({"maps": ("a=", "b=b.tif")}, "--maps=a=: expected DATE=FILE"),
    ({"maps": ("a=a.tif", "a=b.tif")}, "--maps has the date a twice"),
    ({"maps": ("4/7=a.tif", "b=b.tif")}, "the date '4/7' becomes part of names of files"),
    ({"maps": ("..=a.tif", "b=b.tif")}, "the date '..' becomes part of names of files"),
    ({**SERIES, "images": ("2014=x.tif",)}, "--images has the date 2014, which --maps does not"),
    ({**SERIES, "probabilities": ("2013=x.tif",)}, "2015 has no probabilities"),
    ({**TWO, "probabilities_after": "p.tif"}, "before has no probabilities"),
    ({"image_before": "a.tif", "image_after": "b.tif"}, "give maps, or --model to make them"),
    ({"model": "bundle", "image_before": "a.tif"}, "after has no image for --model to map"),
    (
        {
            "model": "bundle",
            "image_before": "a.tif",
            "image_after": "b.tif",
            "probabilities_before": "p.tif",
            "probabilities_after": "q.tif",
        },
        "probabilities go with maps",
    ),
    ({**TWO, "min_confidence": 1.1}, "--min_confidence must lie between 0 and 1"),
    ({**TWO, "min_confidence": -0.1}, "--min_confidence must lie between 0 and 1"),
    ({**TWO, "edge_tolerance_px": -1}, "--edge_tolerance_px must lie between 0 and 64"),
    ({**TWO, "edge_tolerance_px": 65}, "--edge_tolerance_px must lie between 0 and 64"),
    ({**TWO, "min_area_m2": -1.0}, "--min_area_m2 and --places must be at least 0"),
    ({**TWO, "places": -1}, "--min_area_m2 and --places must be at least 0"),
    ({**TWO, "region_name": "NAME"}, "--region_name is for --regions"),
]
"""Choices, and what is said of them; the command line is held to the same in tests/tools."""


@pytest.mark.parametrize(("choices", "message"), REFUSED)
def test_what_does_not_go_together_is_refused(choices, message):
    with pytest.raises(ValueError) as caught:
        ChangeConfig("out", **choices)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_results_are_written_to_this_machine():
    with pytest.raises(LcsegError, match=r"--out=s3://bucket/change: is in a store"):
        ChangeConfig("s3://bucket/change", **TWO)


@pytest.mark.parametrize(
    "choices", [{"min_confidence": 0.0}, {"min_confidence": 1.0}, {"places": 0}]
)
def test_bounds_are_allowed(choices):
    assert ChangeConfig("out", **TWO, **choices)


def test_dates_stand_in_the_order_of_time():
    with pytest.raises(ValueError, match="2013, 2009 are not in the order of time"):
        ChangeConfig("out", maps=("2013=a.tif", "2009=b.tif"))
    ChangeConfig("out", maps=("2009-05=a.tif", "2013=b.tif"))
    ChangeConfig("out", maps=("wet=a.tif", "dry=b.tif"))
