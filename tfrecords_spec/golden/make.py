"""Make the golden vectors anew, from formulas: none/, zlib/ and chips.json beside this file.

python tfrecords_spec/golden/make.py

They change only with the contract. zlib/ may differ in bytes where zlib is another build.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from lcseg.classes import IGNORE, ClassScheme, LandClass
from lcseg.raster.grid import Grid, Window
from lcseg.records import manifest as manifests
from lcseg.records.codec import encode_chip
from lcseg.records.manifest import (
    BandStatistics,
    ChangeInfo,
    CorrectionsInfo,
    Manifest,
    SourceInfo,
    SplitSummary,
)
from lcseg.records.shards import write_shard
from lcseg.records.spec import COMPRESSIONS, Chip, RecordSpec
from lcseg.records.statistics import Moments, count_classes

CHIP_PX = 16
BANDS = ("red", "green", "near infrared")
SCHEME = ClassScheme(
    "golden",
    (
        LandClass("water", "#1F78C8", (1,)),
        LandClass("forest", "#1E6B34", (2, 3)),
        LandClass("other", "#B5A79A", (9,)),
    ),
    ignore=(0,),
)
# Turned by some 37 degrees: a side of 0.2, 0.15 is 0.25 m long.
TURNED = (0.2, 0.15, 2_683_000.0, 0.15, -0.2, 1_247_000.0)
SCENES = {
    "Zürich/夏 1": (Grid(40, 30, TURNED, "EPSG:2056"), "2023-06-15"),
    "nowhere": (Grid(20, 20, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), None), ""),
}
# The measurement of zeros had no label before; two chips show it.
CORRECTIONS = CorrectionsInfo(
    "suspects.gpkg",
    hashlib.sha256(b"golden").hexdigest(),
    {"wrong": 1, "right": 0, "unsure": 0, "open": 2},
    relabelled_pixels=2,
    ignored_pixels=0,
    changes=(ChangeInfo(None, "other", 2),),
)
# Split, number of the shard, scene, row and column; two overlap, two overhang their scene.
PLACES = (
    ("train", 0, "Zürich/夏 1", -5, -3),
    ("train", 0, "Zürich/夏 1", 3, 5),
    ("val", 2, "nowhere", 10, 12),
)


def make(folder: Path) -> None:
    """Write the data sets and their content into a folder."""
    chips = [(split, number, _cut(*place)) for split, number, *place in PLACES]
    for compression in COMPRESSIONS:
        _write_dataset(folder / compression, chips, compression)
    content = [_describe(split, chip) for split, _, (chip, _) in chips]
    (folder / "chips.json").write_text(_format(content), encoding="utf-8")


def _cut(scene: str, row: int, col: int) -> tuple[Chip, np.ndarray]:
    """A chip, and which of its pixels are valid."""
    grid, date = SCENES[scene]
    rows, cols = np.mgrid[row : row + CHIP_PX, col : col + CHIP_PX]
    bands = np.arange(len(BANDS))
    # Over all 16 bits, the low and the high byte apart.
    image_hwc = (rows[..., None] * 4099 + cols[..., None] * 257 + bands * 21_001 + 7) % 2**16
    label_hw = (rows // 4 + cols // 6) % SCHEME.n_classes
    image_hwc[(rows == 4) & (cols == 6)] = 0  # A measurement, for it has a label.
    label_hw[(rows == 4) & (cols == 6)] = 2
    label_hw[(rows * 7 + cols * 3) % 11 == 0] = IGNORE  # An image without a label.
    valid_hw = (rows >= 0) & (rows < grid.height) & (cols >= 0) & (cols < grid.width)
    valid_hw &= (rows != 8) | (cols != 9)  # Nodata within the scene.
    window = Window(row, col, CHIP_PX, CHIP_PX)
    chip = Chip(
        np.where(valid_hw[..., None], image_hwc, 0).astype(np.uint16),
        np.where(valid_hw, label_hw, IGNORE).astype(np.uint8),
        scene,
        row,
        col,
        grid.transform_of(window),
        grid.crs or "",
        date,
    )
    return chip, valid_hw


def _write_dataset(folder: Path, chips: list, compression: str) -> None:
    spec = RecordSpec(CHIP_PX, len(BANDS), "uint16", SCHEME.n_classes, compression)
    moments = Moments.empty(spec.bands)
    counts: dict[str, np.ndarray] = {}
    shards = []
    for split, number in dict.fromkeys((split, number) for split, number, _ in chips):
        counts[split] = np.zeros(SCHEME.n_classes + 1, np.int64)
        with write_shard(folder / f"{split}-{number:05d}.tfrecord", split) as writer:
            for chip, valid_hw in (cut for s, n, cut in chips if (s, n) == (split, number)):
                writer.write(encode_chip(spec, chip))
                counts[split] += count_classes(chip.label_hw, SCHEME.n_classes)
                if split == "train":
                    moments = moments.add(chip.image_hwc[valid_hw])
        shards.append(writer.info)
    summaries = {
        split: SplitSummary(
            sum(s == split for s, _, _ in chips), tuple(n[:-1].tolist()), int(n[-1])
        )
        for split, n in counts.items()
    }
    manifest = Manifest(
        format=manifests.FORMAT,
        format_version=manifests.VERSION,
        created_by="golden vectors of lcseg",
        chip_px=CHIP_PX,
        bands=BANDS,
        dtype=spec.dtype,
        compression=compression,
        pixel_m=0.25,
        class_scheme=SCHEME,
        statistics=BandStatistics.of(moments),
        splits=summaries,
        shards=tuple(shards),
        sources=tuple(
            SourceInfo(
                key,
                f"{key}.tif",
                f"{key} label.tif",
                grid.height,
                grid.width,
                grid.transform,
                grid.crs,
                date,
                sum(chip.source == key for _, _, (chip, _) in chips),
            )
            for key, (grid, date) in SCENES.items()
        ),
        settings={"chip_px": CHIP_PX, "stride_px": 8, "compression": compression},
        corrections=CORRECTIONS,
    )
    manifests.write_manifest(folder, manifest)


def _describe(split: str, chip: Chip) -> dict:
    """A decoded chip in plain JSON."""
    return {
        "split": split,
        "source": chip.source,
        "row": chip.row,
        "col": chip.col,
        "shape": list(chip.image_hwc.shape),
        "transform": list(chip.transform),
        "crs": chip.crs,
        "date": chip.date,
        "histogram": count_classes(chip.label_hw, SCHEME.n_classes).tolist(),
        "label": chip.label_hw.tolist(),
        "image": chip.image_hwc.tolist(),
    }


def _format(content: list[dict]) -> str:
    """JSON text, one row of an array on a line."""
    chips = []
    for chip in content:
        texts = {key: json.dumps(value, ensure_ascii=False) for key, value in chip.items()}
        texts["label"] = texts["label"].replace("], [", "],\n    [")
        texts["image"] = texts["image"].replace("]], [[", "]],\n    [[")
        chips.append("{\n" + ",\n".join(f'  "{key}": {t}' for key, t in texts.items()) + "\n}")
    return "[\n" + ",\n".join(chips) + "\n]\n"


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
