"""An exported model in onnxruntime beside the same one in Keras, on one block."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.bundles import write_bundle
from benchmarks.predict import BLOCK_PX
from benchmarks.timing import race, report
from lcseg.runtime import start_tensorflow

start_tensorflow()

import tensorflow as tf  # noqa: E402

from lcseg.model.bundle import load_bundle  # noqa: E402
from lcseg.model.config import ExportConfig  # noqa: E402
from lcseg.model.export import export  # noqa: E402
from lcseg.prediction.onnx import OnnxModel  # noqa: E402

REPEATS = 9


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        bundle_path, out = f"{name}/bundle", f"{name}/model.onnx"
        write_bundle(Path(bundle_path))
        export(ExportConfig(bundle_path, "onnx", out))
        bundle, onnx = load_bundle(bundle_path), OnnxModel(out)
        forward = tf.function(lambda images: bundle.model(images, training=False))
        side = BLOCK_PX + 2 * bundle.info.halo_px
        images = np.random.default_rng(0).integers(0, 256, (1, side, side, 4), np.uint8)
        rivals = {
            "onnxruntime": lambda: onnx.predict(images),
            "Keras": lambda: forward(images).numpy(),
        }
        race(rivals, 1, repeats=2)
        rates = race(rivals, BLOCK_PX**2 / 1e6, REPEATS)
    report("Mpx/s", rates, "Keras")


if __name__ == "__main__":
    main()
