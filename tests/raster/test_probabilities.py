from __future__ import annotations

import numpy as np
import pytest

from lcseg.classes import load_scheme
from lcseg.errors import LcsegError
from lcseg.raster.cog import CogProfile, write_cog
from lcseg.raster.grid import Grid, Window
from lcseg.raster.probabilities import (
    PROBABILITY_ONE,
    open_probabilities,
    probability_profile,
    to_shares,
)

SCHEME = load_scheme("chesapeake-4")
GRID = Grid(12, 10, (1.0, 0.0, 4e5, 0.0, -1.0, 4.3e6), "EPSG:26918")


def make_probabilities() -> np.ndarray:
    drawn = np.random.default_rng(3).random((GRID.height, GRID.width, 4), np.float32)
    drawn /= drawn.sum(axis=-1, keepdims=True)
    drawn[2:4, 5] = np.nan
    return drawn


def test_probabilities_come_back_to_half_a_share(tmp_path):
    probs_hwk = make_probabilities()
    path = str(tmp_path / "p.tif")
    with write_cog(path, GRID, probability_profile(SCHEME.names)) as writer:
        writer.write(GRID.window, to_shares(probs_hwk))
    with open_probabilities(path, SCHEME) as source:
        shares_hwk, is_known_hw = source.read(GRID.window)
        overhanging = source.read(Window(-2, -3, 8, 8))
    is_nan_hw = np.isnan(probs_hwk[..., 0])
    assert (is_known_hw == ~is_nan_hw).all() and is_nan_hw.sum() == 2
    assert not shares_hwk[is_nan_hw].any()
    error = np.abs(shares_hwk / PROBABILITY_ONE - probs_hwk)[~is_nan_hw].max()
    assert error <= 0.5 / PROBABILITY_ONE + 1e-6
    assert (overhanging[0][2:, 3:] == shares_hwk[:6, :5]).all()
    assert not overhanging[1][:2].any() and not overhanging[1][:, :3].any()


def test_255_is_not_known_though_nothing_declares_it(tmp_path):
    shares_hwk = np.full((GRID.height, GRID.width, 4), 60, np.uint8)
    shares_hwk[1, 2, 3] = 255
    path = str(tmp_path / "p.tif")
    with write_cog(path, GRID, CogProfile("uint8", SCHEME.names)) as writer:
        writer.write(GRID.window, shares_hwk)
    with open_probabilities(path, SCHEME) as source:
        read_hwk, is_known_hw = source.read(source.grid.window)
    assert np.argwhere(~is_known_hw).tolist() == [[1, 2]]
    assert not read_hwk[1, 2].any()


def test_a_band_of_confidence_is_taken_where_that_is_wanted(tmp_path):
    path = str(tmp_path / "c.tif")
    with write_cog(path, GRID, probability_profile(("confidence",))) as writer:
        writer.write(GRID.window, np.full((GRID.height, GRID.width), 200, np.uint8))
    with open_probabilities(path, SCHEME, takes_confidence=True) as source:
        assert (source.read(GRID.window)[0] == 200).all()
    with pytest.raises(LcsegError, match="has uint8 bands confidence, expected uint8 and a band"):
        open_probabilities(path, SCHEME).__enter__()
