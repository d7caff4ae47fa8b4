"""Prediction, reading and writing included, beside the bare network on the same blocks."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.scenes import BANDS, write_scene
from benchmarks.timing import race, report
from lcseg.runtime import start_tensorflow

start_tensorflow()

import tensorflow as tf  # noqa: E402

from lcseg.classes import load_scheme  # noqa: E402
from lcseg.model.bundle import load_bundle, save_bundle  # noqa: E402
from lcseg.model.config import UNetConfig  # noqa: E402
from lcseg.model.info import FORMAT, VERSION, BundleInfo  # noqa: E402
from lcseg.model.receptive import measure_halo  # noqa: E402
from lcseg.model.unet import ModelInput, build_unet  # noqa: E402
from lcseg.prediction.blocks import plan_blocks, read_padded  # noqa: E402
from lcseg.prediction.config import PredictConfig  # noqa: E402
from lcseg.prediction.mapping import predict_map  # noqa: E402
from lcseg.raster.source import open_image  # noqa: E402
from lcseg.synthetic import Landscape, make_landscape  # noqa: E402

SIZE_PX = 8192
BLOCK_PX = 1024


def write_bundle(folder: Path) -> None:
    config, model_input = UNetConfig(3, 16), ModelInput(4, "uint8", (100.0,) * 4, (40.0,) * 4)
    scheme = load_scheme("chesapeake-4")
    model = build_unet(config, model_input, scheme.n_classes)
    info = BundleInfo(
        format=FORMAT,
        format_version=VERSION,
        created_by="benchmarks",
        model_file="",
        model_sha256="",
        class_scheme=scheme,
        bands=BANDS,
        dtype="uint8",
        pixel_m=1.0,
        stride_px=config.stride_px,
        halo_px=measure_halo(model, config.stride_px),
        mean=model_input.mean,
        std=model_input.std,
        data_digest="",
        step=0,
        scores={},
        config={},
    )
    save_bundle(folder, model, info)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene, out, bundle_path = folder / "scene.tif", folder / "map.tif", folder / "bundle"
        write_scene(scene, make_landscape(Landscape(1024)).image_hwc, SIZE_PX, 0, BANDS)
        write_bundle(bundle_path)
        bundle = load_bundle(bundle_path)
        forward = tf.function(lambda images: tf.argmax(bundle.model(images, training=False), -1))
        with open_image(str(scene)) as image:
            blocks = [
                read_padded(image, block, bundle.info.halo_px)[0]
                for block in plan_blocks(image.grid, BLOCK_PX, bundle.info.stride_px)
            ]
        forward(blocks[0][None])

        def predict() -> float:
            out.unlink(missing_ok=True)
            return predict_map(
                PredictConfig(str(bundle_path), str(scene), str(out), block_px=BLOCK_PX, quiet=True)
            ).seconds

        def infer() -> None:
            for padded_hwc in blocks:
                forward(padded_hwc[None]).numpy()

        rates = race({"predict": predict, "bare network": infer}, SIZE_PX**2 / 1e6, repeats=2)
    report("Mpx/s", rates, "bare network", target=0.85)


if __name__ == "__main__":
    main()
