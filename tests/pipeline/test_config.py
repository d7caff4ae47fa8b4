"""What may be chosen about batches."""

import pytest

from lcseg.pipeline.config import InputConfig


def test_input_has_defaults_that_stand():
    config = InputConfig()
    assert (config.batch, config.crop_px, config.d4) == (16, 0, True)
    assert (config.cache, config.sampling) == ("auto", "uniform")


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"batch": 0}, "--batch must be at least 1"),
        ({"crop_px": -1}, "--crop_px and --cache_gb at least 0"),
        ({"cache_gb": -0.5}, "--crop_px and --cache_gb at least 0"),
        ({"contrast": 1.0}, r"--contrast must be in \[0, 1\)"),
        ({"contrast": -0.1}, r"--contrast must be in \[0, 1\)"),
        ({"brightness": -0.1}, "--brightness at least 0"),
        ({"cache": "tape"}, "--cache=tape, expected one of auto, memory, disk, none"),
        ({"sampling": "fair"}, "--sampling=fair, expected one of uniform, balanced"),
    ],
)
def test_choice_that_makes_no_sense_is_refused_by_its_flag(choice, says):
    with pytest.raises(ValueError, match=says):
        InputConfig(**choice)


def test_least_choices_are_allowed():
    InputConfig(batch=1, crop_px=0, brightness=0, contrast=0, cache_gb=0)
