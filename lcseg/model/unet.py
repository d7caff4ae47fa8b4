"""The U-Net (Ronneberger et al. 2015, arXiv:1505.04597) that takes raw pixels.

model = build_unet(UNetConfig(depth=4, width=32), ModelInput(4, "uint8", mean, std), n_classes=4)
logits_nhwc = model(images_nhwc)               # float32 [N, H, W, classes]
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras
from keras import layers

from lcseg.model.config import UNetConfig
from lcseg.records.manifest import Manifest

_GROUPS = 32
"""At most so many groups of filters, as Wu and He 2018 (arXiv:1803.08494) have them."""


@dataclass(frozen=True)
class ModelInput:
    """What the network is fed."""

    bands: int  # Bands of the image.
    dtype: str  # Of the image.
    mean: tuple[float, ...]  # Of each band, in the image's own units.
    std: tuple[float, ...]  # Standard deviation of each band.

    @classmethod
    def of(cls, manifest: Manifest) -> ModelInput:
        """What a network is fed that learns from a data set."""
        statistics = manifest.statistics
        return cls(len(manifest.bands), manifest.dtype, statistics.mean, statistics.std)


def build_unet(config: UNetConfig, model_input: ModelInput, n_classes: int) -> keras.Model:
    """Build the network: raw pixels [N, H, W, bands] in, float32 logits [N, H, W, n_classes] out.

    The first layer normalises with the statistics of the training split, in float32.
    """
    policy = "float32" if config.mixed_precision == "none" else f"mixed_{config.mixed_precision}"
    image = keras.Input((None, None, model_input.bands), dtype=model_input.dtype, name="image")
    x = layers.Normalization(
        mean=model_input.mean,
        variance=[std**2 for std in model_input.std],
        dtype="float32",
        name="normalise",
    )(image)
    skips = []
    for level in range(config.depth):
        x = _convolve_twice(x, config, level, policy, f"down{level}")
        skips.append(x)
        x = layers.MaxPooling2D(dtype=policy, name=f"down{level}_pool")(x)
    x = _convolve_twice(x, config, config.depth, policy, "bottom")
    for level in reversed(range(config.depth)):
        filters = config.width * 2**level
        x = layers.Conv2DTranspose(filters, 2, 2, dtype=policy, name=f"up{level}_widen")(x)
        x = layers.Concatenate(dtype=policy, name=f"up{level}_join")([skips[level], x])
        x = _convolve_twice(x, config, level, policy, f"up{level}")
    logits = layers.Conv2D(n_classes, 1, dtype="float32", name="logits")(x)
    return keras.Model(image, logits, name="unet")


def _normalise(x: keras.KerasTensor, norm: str, policy: str, name: str) -> keras.KerasTensor:
    if norm == "none":
        return x
    if norm == "group":
        groups = math.gcd(x.shape[-1], _GROUPS)
        return layers.GroupNormalization(groups, dtype=policy, name=name)(x)
    synchronized = norm == "sync_batch"
    return layers.BatchNormalization(synchronized=synchronized, dtype=policy, name=name)(x)


def _convolve_twice(
    x: keras.KerasTensor, config: UNetConfig, level: int, policy: str, name: str
) -> keras.KerasTensor:
    for part in "ab":
        x = layers.Conv2D(
            config.width * 2**level,
            config.kernel_px,
            padding="same",
            use_bias=config.norm == "none",
            kernel_initializer="he_normal",
            dtype=policy,
            name=f"{name}{part}_conv",
        )(x)
        x = _normalise(x, config.norm, policy, f"{name}{part}_norm")
        x = layers.ReLU(dtype=policy, name=f"{name}{part}_relu")(x)
    return x
