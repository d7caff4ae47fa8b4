"""Bundles of untrained models that say something else at every pixel: no fault goes unseen."""

from pathlib import Path

import keras
import numpy as np

from lcseg.classes import load_scheme
from lcseg.model.bundle import make_info, save_bundle
from lcseg.model.config import UNetConfig
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
    names = ("red", "green", "blue", "band_4") if bands > 2 else ("band_1", "band_2")
    names = names[:bands]
    info = make_info(
        model, config.stride_px, model_input, scheme, names, 1.0, config={"norm": config.norm}
    )
    save_bundle(folder, model, info)
    return folder
