"""Bundles of untrained networks to measure with."""

from __future__ import annotations

from pathlib import Path

import keras

from benchmarks.scenes import BANDS
from lcseg.classes import ClassScheme, LandClass
from lcseg.model.bundle import save_bundle
from lcseg.model.config import UNetConfig
from lcseg.model.info import FORMAT, VERSION, BundleInfo
from lcseg.model.receptive import measure_halo
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
    info = BundleInfo(
        format=FORMAT,
        format_version=VERSION,
        created_by="benchmarks",
        model_file="",
        model_sha256="",
        class_scheme=SCHEME,
        bands=BANDS,
        dtype="uint8",
        pixel_m=1.0,
        stride_px=config.stride_px,
        halo_px=measure_halo(model, config.stride_px),
        mean=model_input.mean,
        std=model_input.std,
        data_digest="",
        step=0,
        scores={},
        config={"norm": config.norm},
    )
    save_bundle(folder, model, info)
