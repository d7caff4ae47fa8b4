"""A training step, and many of them in one call.

train_steps = make_train_steps(strategy, model, optimizer, loss, class_weights)
loss_sum, wait_s = train_steps(iterator, tf.constant(10))
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras.optimizers import schedules

from lcseg.model.losses import Loss, global_sum
from lcseg.training.config import OptimizerConfig

MIN_RATE_SHARE = 0.01
"""What is left of the learning rate at the end of the cosine."""


def fix_chance(seed: int, jit: bool) -> None:
    """Have the same seed give the same weights in this process; bit for bit without XLA.

    XLA refuses to compile the gradient of pooling where it must be deterministic.
    """
    keras.utils.set_random_seed(seed)
    if not jit:
        tf.config.experimental.enable_op_determinism()


def build_optimizer(
    config: OptimizerConfig, steps: int, mixed_precision: str, batch: int = 0
) -> keras.optimizers.Optimizer:
    """Build the optimizer, its rate rising linearly and then falling as a cosine.

    Norm parameters and biases do not decay. float16 gets a loss scale.

    Args:
        config: the rule and its rates.
        steps: of the whole run.
        mixed_precision: what the network computes in.
        batch: crops in a step, over all devices, which the rate may follow; 0: it does not.
    """
    warmup = round(config.warmup_share * steps)
    peak = config.rate_for(batch or config.base_batch)
    rate = schedules.CosineDecay(
        initial_learning_rate=peak / (warmup + 1),
        decay_steps=max(steps - warmup, 1),
        alpha=MIN_RATE_SHARE,
        warmup_target=peak if warmup else None,
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
        return AgreedLossScale(optimizer)
    return optimizer


class AgreedLossScale(keras.optimizers.LossScaleOptimizer):
    """A loss scale that all devices change at the same step.

    Keras asks each device whether its own gradients are finite: where only one overflows, it
    leaves out the step in which the others wait for it.
    """

    def check_finite(self, grads: list[tf.Tensor]) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        finite = tf.cast(super().check_finite(grads), tf.float32)
        agreed = context.all_reduce(tf.distribute.ReduceOp.SUM, finite)
        return agreed >= context.num_replicas_in_sync


@dataclass(frozen=True)
class StepPlan:
    """How a step is computed; changes its speed and the memory that it takes."""

    accumulate: int = 1  # Parts of a batch that are computed one after the other.
    jit: bool = False  # Compile the network and its loss with XLA.


def make_train_steps(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    loss: Loss,
    class_weights: np.ndarray,
    plan: StepPlan = StepPlan(),
) -> Callable[[tf.data.Iterator, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Make a function that takes an iterator and a number of steps, and trains.

    It returns the sum of the losses of the steps and the seconds spent waiting for input.
    """
    variables = model.trainable_variables
    moving = find_moving_statistics(model)

    def add_losses(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return loss.sums(model(images, training=True), labels, tf.constant(class_weights))

    if plan.jit:
        # Without what devices do together, which XLA cannot compile.
        add_losses = tf.function(add_losses, jit_compile=True)

    def differentiate(images: tf.Tensor, labels: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        """The gradients of this device's part of the loss, and the loss of the whole batch."""
        with tf.GradientTape() as tape:
            value = loss.value(global_sum(add_losses(images, labels)))
            scaled = optimizer.scale_loss(value)
        return tape.gradient(scaled, variables), value

    def differentiate_parts(
        images: tf.Tensor, labels: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """The same, of a loss that is a mean, with the memory of one part.

        Its denominator is known only after the last part, so the gradients are those of the sum,
        over the number of pixels, and are set right at the end.
        """
        pixels = tf.cast(tf.size(labels), tf.float32)
        image_parts, label_parts = (_cut(x, plan.accumulate) for x in (images, labels))

        def add_part(
            part: tf.Tensor, sums: tf.Tensor, gradients: list[tf.Tensor]
        ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
            with tf.GradientTape() as tape:
                of_part = add_losses(image_parts[part], label_parts[part])
                scaled = optimizer.scale_loss(of_part[0] / pixels)
            more = tape.gradient(scaled, variables)
            return part + 1, sums + of_part, [a + b for a, b in zip(gradients, more, strict=True)]

        begin = tf.constant(0), tf.zeros([2]), [tf.zeros(v.shape) for v in variables]
        _, sums, gradients = tf.while_loop(
            lambda part, *_: part < plan.accumulate, add_part, begin, parallel_iterations=1
        )
        total = global_sum(sums)
        share = tf.math.divide_no_nan(pixels, total[1])
        return [gradient * share for gradient in gradients], loss.value(total)

    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        before = [tf.identity(value) for value in moving]
        in_parts = plan.accumulate > 1
        gradients, value = (differentiate_parts if in_parts else differentiate)(images, labels)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        _settle(moving, before)
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
                arrived_s = _read_clock()
            wait_s += arrived_s - asked_s
            # Else a machine with a single core may read the clock after the step.
            with tf.control_dependencies([arrived_s]):
                loss_sum += run_step(images, labels)
        return loss_sum, wait_s

    return train_steps


def find_moving_statistics(model: keras.Model) -> list[keras.Variable]:
    """The means and variances that each device would keep for itself."""
    return [
        variable
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
        for variable in (layer.moving_mean, layer.moving_variance)
    ]


def _settle(moving: list[keras.Variable], before: list[tf.Tensor]) -> None:
    """Give all devices the mean of their moving statistics; those that overflowed stay as before.

    Left alone they would drift apart, and the one that saves would save its own.
    """
    if not moving:
        return
    values = tf.concat([tf.reshape(variable, [-1]) for variable in moving], axis=0)
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync > 1:
        values = context.all_reduce(tf.distribute.ReduceOp.MEAN, values)
    kept = tf.concat([tf.reshape(value, [-1]) for value in before], axis=0)
    values = tf.where(tf.math.is_finite(values), values, kept)
    parts = tf.split(values, [int(np.prod(variable.shape)) for variable in moving])
    for variable, part in zip(moving, parts, strict=True):
        variable.assign(tf.reshape(part, variable.shape))


def _cut(values: tf.Tensor, parts: int) -> tf.Tensor:
    """[N, …] as [parts, N / parts, …]."""
    return tf.reshape(values, [parts, -1, *values.shape[1:]])


def _read_clock() -> tf.Tensor:
    """Seconds, when the graph gets here; tf.timestamp will not run where ops are deterministic."""
    return tf.ensure_shape(tf.numpy_function(time.monotonic, [], tf.float64), [])
