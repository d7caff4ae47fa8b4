"""Seams: do neighbouring pixels differ more often across the borders of blocks than inside?

The seam score is the share of neighbouring pixels of unlike class across the borders of blocks,
over that share inside of blocks; a map without seams has 1. Two networks are trained for some
steps on a made-up landscape, one with batch norm and one with group norm, and map another one: as
lcseg does (with a halo, or blended), and the naive way, in which each block is predicted alone.
The noise of the score is that of maps whose borders are drawn half a block away.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from tabulate import tabulate

from benchmarks.scenes import BANDS, write_pairs, write_scene
from lcseg.runtime import start_tensorflow

start_tensorflow()

import numpy as np  # noqa: E402

from lcseg.model.bundle import Bundle, load_bundle  # noqa: E402
from lcseg.model.config import UNetConfig  # noqa: E402
from lcseg.pipeline.config import InputConfig  # noqa: E402
from lcseg.prediction.config import PredictConfig  # noqa: E402
from lcseg.prediction.mapping import predict_map  # noqa: E402
from lcseg.raster.cog import read_class_map  # noqa: E402
from lcseg.raster.grid import cover  # noqa: E402
from lcseg.records.config import ConvertConfig  # noqa: E402
from lcseg.records.conversion import convert  # noqa: E402
from lcseg.synthetic import Landscape, make_landscape  # noqa: E402
from lcseg.training.config import TrainConfig  # noqa: E402
from lcseg.training.trainer import train  # noqa: E402

SIZE_PX, BLOCK_PX, STEPS = 2048, 128, 300
TARGET = 1.05


def seam_score(classes_hw: np.ndarray, offset_px: int = 0) -> float:
    """Unlike neighbours across the borders of blocks, over those inside."""
    across, inside = [], []
    for axis in (0, 1):
        differs = np.diff(classes_hw.astype(int), axis=axis) != 0
        share = differs.mean(axis=1 - axis)
        is_border = (np.arange(1, len(share) + 1) - offset_px) % BLOCK_PX == 0
        across.append(share[is_border])
        inside.append(share[~is_border])
    return float(np.concatenate(across).mean() / np.concatenate(inside).mean())


def predict_naively(bundle: Bundle, image_hwc: np.ndarray) -> np.ndarray:
    """Classes, [H, W], of blocks that are predicted each alone."""
    classes_hw = np.empty(image_hwc.shape[:2], np.uint8)
    for block in cover(*classes_hw.shape, BLOCK_PX):
        logits = bundle.model(image_hwc[block.slices][None], training=False)
        classes_hw[block.slices] = np.argmax(logits[0], axis=-1)
    return classes_hw


def train_bundle(folder: Path, data: str, norm: str) -> Path:
    run = folder / norm
    train(
        TrainConfig(
            data,
            str(run),
            UNetConfig(3, 16, norm),
            InputConfig(batch=8, crop_px=BLOCK_PX),
            epochs=1,
            steps_per_epoch=STEPS,
            quiet=True,
        )
    )
    return run / "bundle"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images, labels = write_pairs(folder / "scenes", scenes=4, size_px=1024)
        data = str(folder / "data")
        convert(
            ConvertConfig("chesapeake-4", data, images, labels, chip_px=256, workers=1, quiet=True)
        )
        image_hwc = make_landscape(Landscape(SIZE_PX, seed=9)).image_hwc
        (folder / "one").mkdir()
        image = str(folder / "one" / "scene.tif")
        write_scene(Path(image), image_hwc, SIZE_PX, 0, BANDS)
        rows = []
        for norm, way in (("batch", "halo"), ("group", "blended")):
            bundle = load_bundle(train_bundle(folder, data, norm))

            def by_lcseg(
                path: Path = bundle.path, out: Path = folder / f"{norm}.tif"
            ) -> np.ndarray:
                predict_map(
                    PredictConfig(str(path), image, str(out), block_px=BLOCK_PX, quiet=True)
                )
                return read_class_map(str(out))

            ways: dict[str, Callable[[], np.ndarray]] = {
                way: by_lcseg,
                "naive": lambda bundle=bundle: predict_naively(bundle, image_hwc),
            }
            for label, predict in ways.items():
                classes_hw = predict()
                rows.append(
                    [norm, label, seam_score(classes_hw), seam_score(classes_hw, BLOCK_PX // 2)]
                )
    print(tabulate(rows, ["norm", "blocks", "seam score", "noise"], floatfmt=".3f"))
    worst = max(score for _, label, score, _ in rows if label != "naive")
    is_fine = worst <= TARGET
    print(f"target at most {TARGET}: {'pass' if is_fine else 'MISS'} at {worst:.3f}")


if __name__ == "__main__":
    main()
