"""Bundles of untrained networks to measure with."""

from __future__ import annotations

from pathlib import Path

import keras

from benchmarks.scenes import BANDS
from lcseg.classes import ClassScheme, LandClass
from lcseg.model.bundle import make_info, save_bundle
from lcseg.model.config import UNetConfig
from lcseg.model.unet import ModelInput, build_unet

HALF_A_MILLION = UNetConfig(depth=3, width=16)
"""A network of 0.48 million weights."""

SCHEME = ClassScheme(
    "five", tuple(LandClass(f"class {i}", f"#{40 * i:02x}8040", (i,)) for i in range(5))
)


def write_bundle(folder: Path, config: UNetConfig = HALF_A_MILLION) -> None:
    """Save a network with random weights: 4 bands of uint8 at 1 m, five classes."""
    keras.utils.set_random_seed(0)
    model_input = ModelInput(4, "uint8", (100.0,) * 4, (40.0,) * 4)
    model = build_unet(config, model_input, SCHEME.n_classes)
    info = make_info(
        model, config.stride_px, model_input, SCHEME, BANDS, 1.0, config={"norm": config.norm}
    )
    save_bundle(folder, model, info)
