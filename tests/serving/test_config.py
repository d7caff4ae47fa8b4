"""What a user may choose is checked before anything is opened."""

import math

import pytest

from lcseg.serving.config import ServeConfig


def test_file_or_model_with_image_will_do():
    assert ServeConfig(config="maps.toml").max_blocks == 64
    config = ServeConfig(model="bundle", image="a.tif", label="l.tif", map="m.tif")
    assert config.host == "127.0.0.1"
    assert config.origins == ()


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ({}, "give --config, or --model with --image"),
        ({"config": "a", "model": "b", "image": "c"}, "give --config, or --model with --image"),
        ({"model": "b"}, "--model and --image go together"),
        ({"config": "a", "image": "b"}, "--model and --image go together"),
        ({"config": "a", "label": "b"}, "--label and --map stand in the file of --config"),
    ],
)
def test_what_does_not_go_together_is_told(chosen, problem):
    with pytest.raises(ValueError, match=problem):
        ServeConfig(**chosen)


@pytest.mark.parametrize("port", [-1, 65_536])
def test_port_is_one(port):
    with pytest.raises(ValueError, match="--port must be from 0 to 65535"):
        ServeConfig(config="a", port=port)


@pytest.mark.parametrize("prefix", ["maps", "/maps/", "/", "//", "/a b", "/a?b", "//a.com/", "/é"])
def test_prefix_is_a_path(prefix):
    with pytest.raises(ValueError, match="--root_path begins with / and does not end with it"):
        ServeConfig(config="a", root_path=prefix)


@pytest.mark.parametrize("prefix", ["", "/maps", "/maps/of-dover_2/v1.0"])
def test_prefix_may_be_of_several_parts(prefix):
    assert ServeConfig(config="a", root_path=prefix).root_path == prefix


@pytest.mark.parametrize("name", ["a.com:80", "https://a.com", "a*.com", "a.*", "", "a com"])
def test_host_that_no_request_would_name_is_told(name):
    with pytest.raises(ValueError, match=r"is no name, as maps\.example\.org, without port"):
        ServeConfig(config="a", hosts=(name,))


def test_hosts_are_names_addresses_or_all():
    hosts = ("*", "*.example.org", "maps.example.org", "10.0.0.1", "[::1]")
    assert ServeConfig(config="a", hosts=hosts).hosts == hosts


@pytest.mark.parametrize("origin", ["https://a.com/", "a.com", "https://", "https://*/x", ""])
def test_origin_that_no_browser_would_name_is_told(origin):
    with pytest.raises(ValueError, match=r"is no origin, as https://www\.arcgis\.com"):
        ServeConfig(config="a", origins=("https://fine.com", origin))


def test_origins_are_sites_or_all():
    for origins in (("*",), ("https://a.com", "http://localhost:3000")):
        assert ServeConfig(config="a", origins=origins).origins == origins


@pytest.mark.parametrize(
    "flag",
    ["max_blocks", "max_waiting", "batch_blocks", "memory_mb", "disk_cache_mb", "timeout_s"],
)
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_bounds_are_positive_and_finite(flag, value):
    with pytest.raises(ValueError, match=f"--{flag} must be at least 1"):
        ServeConfig(config="a", **{flag: value})


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_model_waits_for_more_blocks_for_a_time_that_ends(value):
    with pytest.raises(ValueError, match="--batch_wait_ms must be at least 0"):
        ServeConfig(config="a", batch_wait_ms=value)
    assert ServeConfig(config="a", batch_wait_ms=0).batch_wait_ms == 0


def test_one_request_may_not_ask_for_more_than_may_wait():
    with pytest.raises(ValueError, match="--max_waiting must be at least --max_blocks"):
        ServeConfig(config="a", max_blocks=65, max_waiting=64)
