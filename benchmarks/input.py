"""The warm input pipeline, beside tf.data without crop or augmentation, and the usual recipe."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.timing import race, report
from lcseg.runtime import start_tensorflow

start_tensorflow()

import tensorflow as tf  # noqa: E402

from lcseg.pipeline.config import InputConfig  # noqa: E402
from lcseg.pipeline.dataset import training_batches  # noqa: E402
from lcseg.pipeline.memory import ChipStore  # noqa: E402
from lcseg.records.manifest import BandStatistics  # noqa: E402

CHIPS, CHIP_PX, CROP_PX, BATCH, BATCHES = 512, 256, 224, 16, 128
STATISTICS = BandStatistics(1, (100.0,) * 4, (40.0,) * 4, (0.0,) * 4, (255.0,) * 4)


def make_store() -> ChipStore:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (CHIPS, CHIP_PX, CHIP_PX, 4), np.uint8)
    labels = random.integers(0, 4, (CHIPS, CHIP_PX, CHIP_PX), np.uint8)
    return ChipStore(tf.constant(images), tf.constant(labels))


def augment(chip: tuple[tf.Tensor, tf.Tensor], number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Crop, flip, turn and brighten one chip, as tutorials do it."""
    image, label = chip
    both = tf.concat([image, label[..., None]], axis=-1)
    seed = tf.stack([0, tf.cast(number, tf.int32)])
    both = tf.image.stateless_random_crop(both, [CROP_PX, CROP_PX, 5], seed)
    both = tf.image.stateless_random_flip_left_right(both, seed)
    both = tf.image.rot90(both, tf.random.stateless_uniform([], seed, 0, 4, tf.int32))
    bright = tf.cast(both[..., :4], tf.float32) + tf.random.stateless_uniform([4], seed, -8, 8)
    return tf.cast(tf.clip_by_value(bright, 0, 255), tf.uint8), both[..., 4]


def consume(batches: tf.data.Dataset) -> Callable[[], None]:
    """A function that takes some more batches of one endless, warm iterator."""
    iterator = iter(batches)

    def run() -> None:
        for _ in range(BATCHES):
            next(iterator)

    return run


def main() -> None:
    store = make_store()
    chips = tf.data.Dataset.from_tensor_slices((store.images, store.labels)).cache()
    endless = chips.repeat().shuffle(CHIPS, seed=0)
    recipe = tf.data.Dataset.zip(endless, tf.data.Dataset.counter()).map(
        augment, num_parallel_calls=tf.data.AUTOTUNE
    )
    plain = InputConfig(BATCH, CROP_PX, d4=False, brightness=0, contrast=0)

    def make_ours(config: InputConfig) -> tf.data.Dataset:
        return training_batches(store, config, STATISTICS, 0, BATCH, 0, 10**6)

    makers = {
        "lcseg": lambda: make_ours(InputConfig(BATCH, CROP_PX)),
        "lcseg, crop only": lambda: make_ours(plain),
        "usual recipe": lambda: recipe.batch(BATCH).prefetch(2),
        "cache, shuffle, batch": lambda: endless.batch(BATCH).prefetch(2),
    }
    rates: dict[str, list[float]] = {}
    # Idle pipelines fill their buffers while others run, so each lives only for its own turn.
    for _ in range(3):
        for name, make in makers.items():
            run = consume(make())
            run()
            rates.setdefault(name, []).extend(race({name: run}, BATCHES * BATCH, 1)[name])
            del run
    report("chips/s", rates, "cache, shuffle, batch")


if __name__ == "__main__":
    main()
