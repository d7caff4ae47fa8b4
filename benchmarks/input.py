"""The warm input pipeline beside the obvious recipe, and beside loaders that read rasters.

All of them give crops of 224 px with 4 bands and a label, 16 in a batch, out of the same scenes;
only the first two, and lcseg balanced, turn them and change their light. What limits lcseg is the
processor: cut, turn and light take about a third of the time each, and "cache, shuffle, batch",
which is copying alone, about a fifth of all three.
"""

from __future__ import annotations

import importlib.util
import itertools
import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

from benchmarks.scenes import write_pairs
from benchmarks.timing import race, report
from lcseg.runtime import start_tensorflow

start_tensorflow()

import tensorflow as tf  # noqa: E402

from lcseg.pipeline.config import InputConfig  # noqa: E402
from lcseg.pipeline.dataset import training_batches  # noqa: E402
from lcseg.pipeline.memory import load_chips  # noqa: E402
from lcseg.pipeline.store import ArrayStore  # noqa: E402
from lcseg.records.config import ConvertConfig  # noqa: E402
from lcseg.records.conversion import convert  # noqa: E402
from lcseg.records.manifest import Manifest, read_manifest  # noqa: E402

SCENES, SIZE_PX, CHIP_PX, CROP_PX, BATCH = 2, 4096, 256, 224, 16
BATCHES, ROUNDS = 128, 9
RASTER_BATCHES = 12
"""Fewer, as they take long."""


def augment(chip: tuple[tf.Tensor, tf.Tensor], number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Flip, turn, crop and light one chip, as tutorials do it."""
    image, label = chip
    seed = tf.stack([tf.constant(0, tf.int64), number])
    both = tf.concat([image, label[..., None]], axis=-1)
    both = tf.image.stateless_random_flip_left_right(both, seed)
    both = tf.image.stateless_random_flip_up_down(both, seed + 1)
    both = tf.image.rot90(both, tf.random.stateless_uniform([], seed, 0, 4, tf.int32))
    both = tf.image.stateless_random_crop(both, [CROP_PX, CROP_PX, 5], seed)
    image = tf.image.stateless_random_brightness(both[..., :4], 0.2, seed)
    return tf.image.stateless_random_contrast(image, 0.8, 1.2, seed), both[..., 4]


def make_pipelines(
    store: ArrayStore, manifest: Manifest
) -> dict[str, Callable[[], tf.data.Dataset]]:
    """Endless batches by name."""
    chips = tf.data.Dataset.from_tensor_slices((store.images, store.labels)).cache()
    endless = chips.shuffle(len(store), seed=0).repeat()
    recipe = tf.data.Dataset.zip(endless, tf.data.Dataset.counter()).map(
        augment, num_parallel_calls=tf.data.AUTOTUNE
    )

    def make_ours(**choice: object) -> tf.data.Dataset:
        config = InputConfig(BATCH, CROP_PX, **choice)  # type: ignore[arg-type]
        return training_batches(store, config, manifest.statistics, 0, BATCH, 0, 10**6)

    return {
        "lcseg": make_ours,
        "obvious recipe": lambda: recipe.batch(BATCH).prefetch(tf.data.AUTOTUNE),
        "lcseg, crop and turn": lambda: make_ours(brightness=0, contrast=0),
        "lcseg, crop only": lambda: make_ours(brightness=0, contrast=0, d4=False),
        "lcseg, balanced": lambda: make_ours(sampling="balanced"),
        "cache, shuffle, batch": lambda: endless.batch(BATCH).prefetch(tf.data.AUTOTUNE),
    }


def race_pipelines(makers: dict[str, Callable[[], tf.data.Dataset]]) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {}
    # Idle pipelines fill their buffers while others run, so each lives only for its own turn.
    for _ in range(ROUNDS):
        for name, make in makers.items():
            iterator = iter(make())

            def run(iterator: tf.data.Iterator = iterator) -> None:
                for _ in range(BATCHES):
                    next(iterator)

            run()
            rates.setdefault(name, []).extend(race({name: run}, BATCHES * BATCH, 1)[name])
            del run, iterator
    return rates


def read_windows(folder: Path, seed: int) -> None:
    """Read random windows of random scenes into batches: half of what two threads have to do."""
    random = np.random.default_rng(seed)
    names = [[folder / f"{n}_{what}.tif" for what in ("image", "label")] for n in range(SCENES)]
    scenes = [[rasterio.open(path) for path in pair] for pair in names]
    for _ in range(RASTER_BATCHES // 2):
        batch = []
        for _ in range(BATCH):
            image, label = scenes[random.integers(SCENES)]
            window = Window(*random.integers(0, SIZE_PX - CROP_PX, 2), CROP_PX, CROP_PX)
            batch.append((image.read(window=window), label.read(1, window=window)))
        for crops in zip(*batch, strict=True):
            np.stack(crops)
    for dataset in itertools.chain.from_iterable(scenes):
        dataset.close()


def race_rasters(folder: Path) -> dict[str, list[float]]:
    def run_rasterio() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda seed: read_windows(folder, seed), range(2)))

    def run_torchgeo() -> float:
        # In a process of its own: its workers are forked, which TensorFlow does not survive.
        arguments = [str(folder), str(CROP_PX), str(BATCH), str(RASTER_BATCHES)]
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.torchgeo_loader", *arguments]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    rivals: dict[str, Callable[[], object]] = {"rasterio windows": run_rasterio}
    if importlib.util.find_spec("torchgeo"):
        rivals["TorchGeo"] = run_torchgeo
    else:
        print("TorchGeo is left out; to measure it: .venv/bin/pip install --editable '.[bench]'")
    return race(rivals, RASTER_BATCHES * BATCH, ROUNDS)


def main() -> None:
    logging.getLogger("lcseg").setLevel(logging.ERROR)  # There are no splits to be missed.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "scenes"
        images, labels = write_pairs(folder, SCENES, SIZE_PX)
        data = f"{name}/data"
        convert(
            ConvertConfig(
                "chesapeake-4",
                data,
                images,
                labels,
                chip_px=CHIP_PX,
                split_buffer_px=0,
                val_share=0,
                test_share=0,
                quiet=True,
            )
        )
        manifest = read_manifest(data)
        rates = race_pipelines(make_pipelines(load_chips(data, manifest, "train"), manifest))
        rates |= race_rasters(folder)
    report("chips/s", rates, "obvious recipe", target=8)


if __name__ == "__main__":
    main()
