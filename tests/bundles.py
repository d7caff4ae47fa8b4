"""Bundles of untrained models that say something else at every pixel: no fault goes unseen."""

from pathlib import Path

import keras
import numpy as np

from lcseg.classes import load_scheme
from lcseg.model.bundle import save_bundle
from lcseg.model.config import UNetConfig
from lcseg.model.info import FORMAT, VERSION, BundleInfo
from lcseg.model.receptive import measure_halo
from lcseg.model.unet import ModelInput, build_unet


def make_bundle(folder: Path, config: UNetConfig, bands: int = 4, dtype: str = "uint8") -> Path:
    """Save a model with random weights and norm statistics, whose probabilities span 0 to 1."""
    keras.utils.set_random_seed(0)
    scheme = load_scheme("chesapeake-4")
    model_input = ModelInput(bands, dtype, (100.0,) * bands, (40.0,) * bands)
    model = build_unet(config, model_input, scheme.n_classes)
    random = np.random.default_rng(0)
    low_high = {"moving_mean": (-0.5, 0.5), "moving_variance": (0.5, 1.5), "bias": (-0.3, 0.3)}
    for variable in model.variables:
        if variable.name in low_high:
            variable.assign(random.uniform(*low_high[variable.name], variable.shape))
    info = BundleInfo(
        format=FORMAT,
        format_version=VERSION,
        created_by="tests",
        model_file="",
        model_sha256="",
        class_scheme=scheme,
        bands=("red", "green", "blue", "band_4")[:bands] if bands > 2 else ("band_1", "band_2"),
        dtype=dtype,
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
    return folder
