"""A tiny network, batches for it, and what it has become after some steps.

images, labels = make_batches(20)
loss_sum, weights = train_tiny(one_device(), images, labels, norm="batch")
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from lcseg.classes import IGNORE
from lcseg.model.config import UNetConfig
from lcseg.model.losses import LOSSES
from lcseg.model.unet import ModelInput, build_unet
from lcseg.training.config import OptimizerConfig
from lcseg.training.step import (
    StepPlan,
    build_optimizer,
    find_moving_statistics,
    make_train_steps,
)

MEAN, STD = (100.0, 40.0), (60.0, 25.0)
WEIGHTS = np.array([1.0, 0.5, 4.0], np.float32)
STANDARD = OptimizerConfig("sgd", 0.05, weight_decay=0, warmup_share=0)
PLAIN = StepPlan()


def make_batches(n: int, batch: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images whose first band tells their labels, a third of the pixels ignored."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, (n, batch, 8, 8)).astype(np.uint8)
    images = random.integers(0, 80, (n, batch, 8, 8, 2)).astype(np.uint8)
    images[..., 0] += labels * 80
    labels[random.random(labels.shape) < 0.33] = IGNORE
    return images, labels


def make_uneven_batches(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Batches of four whose labels lie mostly in the second half, and in turn:

    there alone, not in its last sample, in the first half alone, nowhere.
    """
    images, labels = make_batches(n)
    labels[:, :2, 2:] = IGNORE
    labels[1::5, :2] = IGNORE
    labels[2::5, 3:] = IGNORE
    labels[3::5, 2:] = IGNORE
    labels[4::5] = IGNORE
    return images, labels


def one_device() -> tf.distribute.Strategy:
    return tf.distribute.OneDeviceStrategy("/cpu:0")


def make_trainer(
    strategy: tf.distribute.Strategy,
    config: OptimizerConfig = STANDARD,
    norm: Any = "none",
    precision: Any = "none",
    loss: str = "cross_entropy",
    plan: StepPlan = PLAIN,
    depth: int = 1,
) -> tuple[keras.Model, keras.optimizers.Optimizer, Any]:
    """(model, optimizer, train_steps) of a tiny network, always begun alike."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model_input = ModelInput(2, "uint8", MEAN, STD)
        model = build_unet(UNetConfig(depth, 2, norm, precision), model_input, 3)
        optimizer = build_optimizer(config, 100, precision)
        optimizer.build(model.trainable_variables)
    steps = make_train_steps(strategy, model, optimizer, LOSSES[loss], WEIGHTS, plan)
    return model, optimizer, steps


def deal(strategy: tf.distribute.Strategy, images: np.ndarray, labels: np.ndarray) -> Any:
    """An iterator over batches that gives each worker, and each of its devices, its piece."""

    def make(context: tf.distribute.InputContext) -> tf.data.Dataset:
        own = [
            np.split(values, context.num_input_pipelines, axis=1)[context.input_pipeline_id]
            for values in (images, labels)
        ]
        each = context.get_per_replica_batch_size(images.shape[1])
        return tf.data.Dataset.from_tensor_slices(tuple(own)).unbatch().batch(each)

    return iter(strategy.distribute_datasets_from_function(make))


def train_tiny(
    strategy: tf.distribute.Strategy, images: np.ndarray, labels: np.ndarray, **choice: Any
) -> tuple[float, list[np.ndarray]]:
    """The sum of the losses and the weights after a step for each batch."""
    model, _, train_steps = make_trainer(strategy, **choice)
    loss_sum, _ = train_steps(deal(strategy, images, labels), tf.constant(len(images)))
    return float(loss_sum), weights_of(model)


def weights_of(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(weight) for weight in model.weights]


def assert_close(found: list[np.ndarray], expected: list[np.ndarray], tolerance: float) -> None:
    """Weights are alike, as measured by the largest of each tensor."""
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=tolerance * max(np.abs(two).max(), 1e-3))


def convolve(images: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A convolution of 3 x 3 pixels, of images that are 0 beyond their edge."""
    height, width = images.shape[1:3]
    padded = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)])
    places = [(row, column) for row in range(3) for column in range(3)]
    return np.sum([padded[:, r : r + height, c : c + width] @ kernel[r, c] for r, c in places], 0)


def list_moments(images: np.ndarray, kernels: list[np.ndarray]) -> list[np.ndarray]:
    """Mean and variance of what enters each norm of a network of no depth, in float64."""
    x, moments = (images.astype(np.float64) - MEAN) / STD, []
    for kernel in kernels:
        x = convolve(x, kernel.astype(np.float64))
        mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
        moments += [mean, variance]
        x = np.maximum((x - mean) / np.sqrt(variance + 1e-3), 0)
    return moments


def step_without_depth(
    strategy: tf.distribute.Strategy, images: np.ndarray, labels: np.ndarray, plan: StepPlan = PLAIN
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The kernels before one step of a network of no depth, and its moving statistics after it."""
    model, _, train_steps = make_trainer(strategy, norm="batch", plan=plan, depth=0)
    kernels = [np.asarray(model.get_layer(f"bottom{part}_conv").kernel) for part in "ab"]
    train_steps(deal(strategy, images, labels), tf.constant(1))
    return kernels, [np.asarray(variable) for variable in find_moving_statistics(model)]
