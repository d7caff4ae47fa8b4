"""An audit of labels with planted faults, and what comes of correcting them.

- How many of the first 100 places are faults, and which share of the planted area is found.
- The pixels that are contradicted, beside those of cleanlab on the same probabilities. Of several
  confident classes cleanlab takes the most probable one of all classes, the paper and lcseg that of
  the confident ones: of a model that has learnt anything, it is the same one.
- The way back: verdicts from the known truth in place of a person, converted, trained again; scores
  on scenes with clean labels before and after, and with labels that never had a fault.

python -m benchmarks audit          # a quarter of an hour; cleanlab is of lcseg[bench]
"""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
from tabulate import tabulate

from benchmarks.scenes import BANDS
from lcseg.audit.confident import ConfidentJoint, SelfConfidence, find_issues, guess_classes
from lcseg.audit.planting import PlantedScene, plant
from lcseg.classes import IGNORE, load_scheme
from lcseg.documents import read_document
from lcseg.evaluation.report import Report
from lcseg.raster.cog import CogProfile, write_cog
from lcseg.raster.dataset import open_raster
from lcseg.raster.grid import Grid
from lcseg.records.suspects import RIGHT, WRONG, Suspect, read_suspects, write_suspects
from lcseg.synthetic import Landscape

SCHEME = load_scheme("chesapeake-4")
SPLITS = ("train",) * 8 + ("val",) * 2 + ("test",) * 3
"""Of the scenes; those of the test split have clean labels."""

SIZE_PX, SHARE, FOLDS, FIRST, SEEDS = 768, 0.02, 3, 100, (0, 1)
TARGET_PRECISION, TARGET_AGREEMENT = 0.9, 0.999
TRAINING = (
    "--depth=3",
    "--width=16",
    "--crop_px=128",
    "--batch=8",
    "--epochs=8",
    "--steps_per_epoch=50",
)
_LCSEG = str(Path(sys.executable).with_name("lcseg"))


def run(*arguments: object) -> str:
    """Run lcseg; returns what it printed."""
    command = [_LCSEG, *map(str, arguments)]
    print(f"$ lcseg {' '.join(command[1:])}", flush=True)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


class Bench:
    """Scenes, and all that is made of them, in a folder."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.scenes = {
            f"scene-{number}": plant(
                Landscape(SIZE_PX, 1000 * seed + number), SHARE if split != "test" else 0.0
            )
            for number, split in enumerate(SPLITS)
        }
        self.grids = {
            key: Grid(
                SIZE_PX, SIZE_PX, (1.0, 0.0, 1000.0 * n, 0.0, -1.0, 4_300_000.0), "EPSG:26918"
            )
            for n, key in enumerate(self.scenes)
        }
        for key, scene in self.scenes.items():
            self._write(f"{key}_image.tif", self.grids[key], scene.image_hwc, BANDS, 0)
            # Those that a model is judged by are exact.
            codes_hw = scene.truth_hw if self._is_test(key) else scene.codes_hw
            self._write(f"{key}_faulty.tif", self.grids[key], codes_hw, ("code",))
            clean_hw = np.where(scene.planted_hw, scene.truth_hw, codes_hw)
            self._write(f"{key}_clean.tif", self.grids[key], clean_hw, ("code",))

    def _is_test(self, key: str) -> bool:
        return SPLITS[list(self.scenes).index(key)] == "test"

    def _write(
        self,
        name: str,
        grid: Grid,
        values: np.ndarray,
        bands: tuple[str, ...],
        nodata: float | None = None,
    ) -> None:
        with write_cog(self.folder / name, grid, CogProfile("uint8", bands, nodata)) as writer:
            writer.write(grid.window, values)

    def convert(self, labels: str, out: str, *flags: str) -> Path:
        """Convert all scenes with labels of a kind: faulty or clean."""
        pairs = self.folder / f"{labels}.csv"
        with pairs.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("image", "label", "split"))
            for key, split in zip(self.scenes, SPLITS, strict=True):
                writer.writerow((f"{key}_image.tif", f"{key}_{labels}.tif", split))
        data = self.folder / out
        run(
            "convert",
            f"--pairs={pairs}",
            "--classes=chesapeake-4",
            f"--out={data}",
            "--quiet",
            *flags,
        )
        return data

    def score(self, data: Path, seed: int) -> Report:
        """Train on a data set and judge the model by the scenes with clean labels."""
        folder = self.folder / f"{data.name}-{seed}"
        run(
            "train", f"--data={data}", f"--run={folder}/run", f"--seed={seed}", "--quiet", *TRAINING
        )
        run(
            "evaluate",
            f"--model={folder}/run/bundle",
            f"--data={data}",
            f"--out={folder}/report",
            "--quiet",
        )
        return read_document(folder / "report" / "report.json", Report)

    def audit(self, data: Path) -> Path:
        """Audit a data set by folds; returns the file of places."""
        out = self.folder / "audit"
        print(
            run(
                "audit",
                f"--data={data}",
                f"--folds={FOLDS}",
                f"--out={out}",
                "--quiet",
                "--",
                *TRAINING,
            )
        )
        return out / "suspects.gpkg"

    def pixels_of(self, suspect: Suspect) -> tuple[PlantedScene, np.ndarray]:
        """The scene of a place, and its pixels, bool [H, W]."""
        key = next(key for key in self.scenes if suspect.scene.startswith(f"{key}_"))
        x, y = self.grids[key].affine @ tuple(np.meshgrid(*2 * [np.arange(SIZE_PX) + 0.5]))
        return self.scenes[key], shapely.contains_xy(suspect.shape, x, y)

    def judge(self, path: Path) -> Path:
        """Judge each place by the truth, as a person would; returns the file with the verdicts."""
        crs, suspects = read_suspects(path)
        judged, is_planted, found_px = [], [], 0
        for suspect in suspects:
            scene, own_hw = self.pixels_of(suspect)
            is_planted.append(scene.planted_hw[own_hw].mean() >= 0.5)
            truth = np.bincount(SCHEME.encode(scene.truth_hw)[own_hw]).argmax()
            new_class = SCHEME.names[truth]
            is_wrong = new_class != suspect.label
            judged.append(
                replace(suspect, verdict=WRONG, new_class=new_class)
                if is_wrong
                else replace(suspect, verdict=RIGHT, new_class=None)
            )
            found_px += np.count_nonzero(scene.planted_hw & own_hw)
        planted_px = sum(scene.planted_hw.sum() for scene in self.scenes.values())
        first = is_planted[:FIRST]
        precision = np.mean(first)
        share = planted_px / (SIZE_PX**2 * (len(SPLITS) - SPLITS.count("test")))
        print(f"planted: {planted_px:,} px, {100 * share:.2f} % of the labels of their scenes")
        print(f"planted faults: {sum(first)} of the first {len(first)} places, ", end="")
        print(f"{sum(is_planted)} of all {len(suspects)}")
        print(f"of the planted area {100 * found_px / planted_px:.1f} % lies in the places")
        is_fine = precision >= TARGET_PRECISION and len(first) == FIRST
        result = f"{'pass' if is_fine else 'MISS'} at {precision:.3f}"
        print(f"target {TARGET_PRECISION:.2f}: {result}\n", flush=True)
        out = path.with_name("judged.gpkg")
        write_suspects(out, crs, judged)
        return out


def compare_with_cleanlab(bench: Bench, data: Path) -> None:
    """Hold thresholds, joint and pixels against cleanlab on the probabilities of one model."""
    if importlib.util.find_spec("cleanlab") is None:
        print("cleanlab is not installed: pip install 'lcseg[bench]'\n")
        return
    from cleanlab.count import compute_confident_joint, estimate_joint, get_confident_thresholds
    from cleanlab.filter import find_label_issues

    probs, labels = [], []
    bundle = bench.folder / f"{data.name}-0" / "run" / "bundle"
    for key in list(bench.scenes)[:2]:
        path = bench.folder / f"{key}_probabilities.tif"
        run(
            "predict",
            f"--model={bundle}",
            f"--image={bench.folder}/{key}_image.tif",
            f"--out={bench.folder}/{key}_map.tif",
            f"--probabilities={path}",
            "--quiet",
        )
        with open_raster(str(path)) as raster:
            probs.append(np.moveaxis(raster.read(), 0, -1))
        labels.append(SCHEME.encode(bench.scenes[key].codes_hw))
    probs_hwk, label_hw = np.concatenate(probs), np.concatenate(labels)
    assert (label_hw != IGNORE).all() and (probs_hwk <= 254).all()
    started_s = time.perf_counter()
    sums = SelfConfidence.empty(4).add(probs_hwk, label_hw)
    guess_hw = guess_classes(probs_hwk, sums.least)
    joint = ConfidentJoint.empty(4).add(label_hw, guess_hw)
    is_issue = find_issues(probs_hwk, label_hw, guess_hw).ravel()
    own_s = time.perf_counter() - started_s
    flat, shares = label_hw.ravel().astype(int), probs_hwk.reshape(-1, 4) / 254
    started_s = time.perf_counter()
    thresholds = get_confident_thresholds(flat, shares)
    their_joint = compute_confident_joint(flat, shares, calibrate=False)
    estimated = estimate_joint(flat, shares, confident_joint=compute_confident_joint(flat, shares))
    is_theirs = find_label_issues(flat, shares, filter_by="confident_learning", n_jobs=1)
    their_s = time.perf_counter() - started_s
    agreement = float(np.mean(is_issue == is_theirs))
    rows = [
        ["pixels that are contradicted", f"{is_issue.sum():,}", f"{is_theirs.sum():,}"],
        ["thresholds", *(" ".join(f"{t:.4f}" for t in ts) for ts in (sums.thresholds, thresholds))],
        ["seconds", f"{own_s:.2f}", f"{their_s:.2f}"],
    ]
    print(tabulate(rows, [f"{len(flat):,} pixels", "lcseg", "cleanlab"], disable_numparse=True))
    print(
        f"cells of the confident joint that differ: {np.count_nonzero(joint.counts != their_joint)}"
    )
    apart = abs(joint.estimate(sums.pixels) - estimated).max()
    print(f"estimated joints are at most {apart:.1e} apart")
    print(f"pixels that differ: {np.count_nonzero(is_issue != is_theirs):,}")
    is_fine = agreement >= TARGET_AGREEMENT
    print(
        f"target {TARGET_AGREEMENT}: {'pass' if is_fine else 'MISS'} at {agreement:.6f}\n",
        flush=True,
    )


def compare_labels(bench: Bench, datasets: Sequence[Path]) -> None:
    """Train on each data set from the same seeds, and print the scores on clean labels."""
    rows = []
    for data in datasets:
        scores = [bench.score(data, seed).scores for seed in SEEDS]
        rows.append(
            [
                data.name,
                " ".join(f"{one.mean_iou:.4f}" for one in scores),
                np.mean([one.overall_accuracy for one in scores]),
                np.mean([one.mean_iou for one in scores]),
                *np.mean([[land.iou for land in one.classes] for one in scores], axis=0),
            ]
        )
    headers = ["labels", "mean IoU by seed", "overall accuracy", "mean IoU", *SCHEME.names]
    print(tabulate(rows, headers, floatfmt=".4f"))
    print("(on three scenes with clean labels; the last five columns are means)\n", flush=True)


def main() -> None:
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), int(sys.argv[1]) if len(sys.argv) > 1 else 0)
        faulty = bench.convert("faulty", "faulty")
        judged = bench.judge(bench.audit(faulty))
        corrected = bench.convert("faulty", "corrected", f"--corrections={judged}")
        compare_labels(bench, [faulty, corrected, bench.convert("clean", "clean")])
        compare_with_cleanlab(bench, faulty)
    print(f"{time.monotonic() - started_s:.0f} s")


if __name__ == "__main__":
    main()
