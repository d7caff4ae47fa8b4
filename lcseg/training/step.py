"""A training step, and many of them in one call.

train_steps = make_train_steps(strategy, model, optimizer, loss, class_weights)
loss_sum, wait_s = train_steps(iterator, tf.constant(10))
"""

from __future__ import annotations

import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras.optimizers import schedules

from lcseg.model.losses import Loss, global_sum
from lcseg.training.config import OptimizerConfig

MIN_RATE_SHARE = 0.01
"""What is left of the learning rate at the end of the cosine."""


def build_optimizer(
    config: OptimizerConfig, steps: int, mixed_precision: str
) -> keras.optimizers.Optimizer:
    """Build the optimizer, its rate rising linearly and then falling as a cosine.

    Norm parameters and biases do not decay. float16 gets a loss scale.
    """
    warmup = round(config.warmup_share * steps)
    rate = schedules.CosineDecay(
        initial_learning_rate=config.learning_rate / (warmup + 1),
        decay_steps=max(steps - warmup, 1),
        alpha=MIN_RATE_SHARE,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    if config.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)
    else:
        optimizer = keras.optimizers.SGD(
            rate, momentum=config.momentum, nesterov=True, weight_decay=config.weight_decay
        )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    if mixed_precision == "float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def make_train_steps(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    loss: Loss,
    class_weights: np.ndarray,
) -> Callable[[tf.data.Iterator, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Make a function that takes an iterator and a number of steps, and trains.

    It returns the sum of the losses of the steps and the seconds spent waiting for input.
    """

    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        weights = tf.constant(class_weights)
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            value = loss.value(global_sum(loss.sums(logits, labels, weights)))
            scaled = optimizer.scale_loss(value)
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(scaled, variables), variables, strict=True))
        return value

    @tf.function
    def run_step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        # Every replica returns the loss of the whole batch.
        return strategy.experimental_local_results(strategy.run(step, (images, labels)))[0]

    @tf.function
    def train_steps(iterator: tf.data.Iterator, steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        loss_sum = tf.constant(0.0)
        wait_s = tf.constant(0.0, tf.float64)
        for _ in tf.range(steps):
            # A call of run_step is done when its weights are: only then the wait for input begins.
            with tf.control_dependencies([loss_sum]):
                asked_s = _read_clock()
            with tf.control_dependencies([asked_s]):
                images, labels = next(iterator)
            arrived = [t for x in (images, labels) for t in strategy.experimental_local_results(x)]
            with tf.control_dependencies(arrived):
                wait_s += _read_clock() - asked_s
            loss_sum += run_step(images, labels)
        return loss_sum, wait_s

    return train_steps


def _read_clock() -> tf.Tensor:
    """Seconds, when the graph gets here; tf.timestamp will not run where ops are deterministic."""
    return tf.ensure_shape(tf.numpy_function(time.monotonic, [], tf.float64), [])
