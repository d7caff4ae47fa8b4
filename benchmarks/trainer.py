"""Training as users run it, beside a bare train step of the same network on one batch for ever."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.scenes import write_pairs
from benchmarks.timing import race, report
from lcseg.runtime import start_tensorflow

start_tensorflow()

import tensorflow as tf  # noqa: E402

from lcseg.errors import InterruptedRunError  # noqa: E402
from lcseg.model.config import UNetConfig  # noqa: E402
from lcseg.model.unet import ModelInput, build_unet  # noqa: E402
from lcseg.pipeline.config import InputConfig  # noqa: E402
from lcseg.records.config import ConvertConfig  # noqa: E402
from lcseg.records.conversion import convert  # noqa: E402
from lcseg.records.manifest import Manifest  # noqa: E402
from lcseg.training.config import TrainConfig  # noqa: E402
from lcseg.training.run import open_run  # noqa: E402
from lcseg.training.step import build_optimizer, fix_chance  # noqa: E402
from lcseg.training.trainer import Trainer  # noqa: E402

BATCH, CROP_PX, CALL_STEPS, CALLS = 8, 128, 10, 4


class Laps:
    """Asks a run to stop after so many looks of the host, and notes when each of them was.

    The first look is left out of the time: the input pipeline starts before it.
    """

    def __init__(self, looks: int) -> None:
        self._looks = looks
        self._looks_s: list[float] = []

    @property
    def signal_number(self) -> int:
        self._looks_s.append(time.perf_counter())
        return signal.SIGTERM if len(self._looks_s) >= self._looks else 0

    @property
    def seconds(self) -> float:
        return self._looks_s[self._looks - 1] - self._looks_s[0]


def make_bare_steps(config: TrainConfig, manifest: Manifest) -> Callable[[], None]:
    """The plainest loop that learns: no input, no masks, no log."""
    statistics = manifest.statistics
    model = build_unet(
        config.model, ModelInput(4, manifest.dtype, statistics.mean, statistics.std), 4
    )
    optimizer = build_optimizer(config.optimizer, 10_000, "none")
    optimizer.build(model.trainable_variables)
    random = np.random.default_rng(0)
    images = tf.constant(random.integers(0, 256, (BATCH, CROP_PX, CROP_PX, 4), np.uint8))
    labels = tf.constant(random.integers(0, 4, (BATCH, CROP_PX, CROP_PX), np.int32))

    @tf.function
    def steps(count: tf.Tensor) -> None:
        for _ in tf.range(count):
            with tf.GradientTape() as tape:
                logits = model(images, training=True)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
                loss = tf.reduce_mean(losses)
            variables = model.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    def run() -> None:
        for _ in range(CALLS):
            steps(tf.constant(CALL_STEPS))

    return run


def main() -> None:
    fix_chance(0, jit=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images, labels = write_pairs(folder, scenes=2, size_px=1024)
        data = str(folder / "data")
        manifest = convert(
            ConvertConfig("chesapeake-4", data, images, labels, block_chips=1, quiet=True)
        )
        config = TrainConfig(
            data,
            str(folder / "run"),
            UNetConfig(3, 16),
            InputConfig(BATCH, CROP_PX),
            steps_per_epoch=100_000,
            steps_per_call=CALL_STEPS,
            quiet=True,
        )
        trainer = Trainer(config, manifest, open_run(config, manifest.digest))
        bare = make_bare_steps(config, manifest)

        def train() -> float:
            laps = Laps(1 + CALLS)
            try:
                trainer.run(laps)  # type: ignore[arg-type]
            except InterruptedRunError:
                return laps.seconds
            raise AssertionError("the run ended by itself")

        train()
        bare()
        crops = BATCH * CALL_STEPS * CALLS
        rates = race({"trainer": train, "bare step": bare}, crops, repeats=3)
    report("crops/s", rates, "bare step", target=0.95)


if __name__ == "__main__":
    main()
