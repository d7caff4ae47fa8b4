"""Chips of noise, and a network that says something else at every pixel of them."""

import keras
import numpy as np
import tensorflow as tf

from lcseg.classes import IGNORE
from lcseg.model.config import UNetConfig
from lcseg.model.unet import ModelInput, build_unet
from lcseg.pipeline.store import ArrayStore
from lcseg.records.statistics import count_classes

CLASSES = 4
STRIDE_PX = 4


def make_model() -> keras.Model:
    """An untrained network of that stride, for three bands of uint8."""
    keras.utils.set_random_seed(0)
    model_input = ModelInput(3, "uint8", (120.0,) * 3, (50.0,) * 3)
    return build_unet(UNetConfig(2, 4, "none"), model_input, CLASSES)


def make_store(count: int, chip_px: int, labelled_rows: int = 0) -> ArrayStore:
    """Chips a third of whose pixels are ignored; of the first, all but some rows."""
    random = np.random.default_rng([count, chip_px])
    labels = random.choice([*range(CLASSES), IGNORE, IGNORE], (count, chip_px, chip_px))
    labels[0, labelled_rows:] = IGNORE
    images = random.integers(1, 256, (count, chip_px, chip_px, 3), np.uint8)
    histograms = np.stack([count_classes(label, CLASSES) for label in labels])
    return ArrayStore(tf.constant(images), tf.constant(labels.astype(np.uint8)), histograms)
