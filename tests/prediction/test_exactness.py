"""Any model, any scene, any blocks: the map is that of the whole scene at once."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from bundles import make_bundle
from conftest import write_raster
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from maps import CLOSE, infer_whole, is_sure, make_values, read

from lcseg.model.bundle import load_bundle
from lcseg.model.config import UNetConfig
from lcseg.prediction.answers import answer
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.mapping import predict_map
from lcseg.prediction.plan import make_plan
from lcseg.prediction.predictor import Predictor
from lcseg.prediction.task import open_scene

_MOST_BLOCKS = 150
"""Thousands of blocks of a pixel take minutes, and say no more."""


@dataclass(frozen=True)
class Case:
    """A model, a scene, where it lies, and how it is cut."""

    model: UNetConfig
    height: int
    width: int
    origin: tuple[float, float]  # x and y.
    block_px: int

    @property
    def n_blocks(self) -> int:
        """How many blocks the scene is cut into."""
        stride_px = self.model.stride_px
        side = -(-self.block_px // stride_px) * stride_px
        return -(-self.height // side) * -(-self.width // side)


cases = st.builds(
    Case,
    st.builds(
        UNetConfig,
        depth=st.integers(0, 4),
        width=st.integers(1, 6),
        norm=st.sampled_from(["none", "batch", "sync_batch"]),
        kernel_px=st.sampled_from([1, 3, 5]),
    ),
    st.integers(1, 150),
    st.integers(1, 150),
    st.tuples(st.floats(-1e6, 1e6), st.floats(0, 9e6)),
    st.integers(1, 200),
).filter(lambda case: case.n_blocks <= _MOST_BLOCKS)


@pytest.mark.slow
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(case=cases)
def test_blocks_are_windows_of_the_whole(case):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        x, y = case.origin
        values_hwc = make_values(case.height, case.width)
        place = (1.0, 0.0, x, 0.0, -1.0, y)
        image = write_raster(
            folder / "image.tif", values_hwc, transform=place, photometric="MINISBLACK"
        )
        bundle = load_bundle(make_bundle(folder / "bundle", case.model))
        config = PredictConfig(
            str(bundle.path),
            image,
            str(folder / "map.tif"),
            str(folder / "probabilities.tif"),
            block_px=case.block_px,
            quiet=True,
        )
        expected = infer_whole(bundle, values_hwc)
        plan = make_plan(config, [image])
        found = np.full(expected.shape, np.nan)
        with open_scene(plan.task.scene) as scene:
            for part in plan.parts:
                for block, _, probs_hwk in answer(Predictor(bundle), scene, part):
                    inside = block.clip(case.height, case.width)
                    found[inside.slices] = probs_hwk[: inside.height, : inside.width]
        assert abs(found - expected).max() < CLOSE
        predict_map(config)
        sure_hw = is_sure(expected)
        classes_hw = read(folder / "map.tif")[..., 0]
        assert np.array_equal(classes_hw[sure_hw], expected.argmax(axis=-1)[sure_hw])
        shares = read(folder / "probabilities.tif") / 254
        assert abs(shares - expected).max() <= 0.5 / 254 + CLOSE
