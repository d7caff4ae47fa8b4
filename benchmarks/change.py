"""Change between two dates of made-up landscapes, of which it is known what has changed.

Woods are felled, houses built, a lake drained; the second date has another season, light and
noise, and lies off by part of a pixel. A model is trained as in the demo, on other landscapes.

The first figures are those of change found, pixel by pixel; the second say how often the net area
of each class lies in the 95 % interval that a sample of the map of transitions gives it, where its
points are filled in with what is known; the last are of scenes in which nothing has changed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lcseg.change.analysis import find_change
from lcseg.change.config import ChangeConfig
from lcseg.classes import load_scheme
from lcseg.demo.config import DemoConfig
from lcseg.demo.journey import plan_way
from lcseg.demo.landscape import write_scenes
from lcseg.evaluation.area_assessment import assess_area
from lcseg.evaluation.config import AreaConfig, SampleConfig
from lcseg.evaluation.sample import read_sample, write_sample
from lcseg.evaluation.sampling import draw_sample
from lcseg.planted import Dates, Pair, make_dates
from lcseg.raster.cog import CogProfile, read_class_map, write_cog
from lcseg.raster.grid import Grid
from lcseg.records.conversion import convert
from lcseg.runtime import start_tensorflow
from lcseg.synthetic import Landscape
from lcseg.training.trainer import train
from lcseg.transitions import encode, find_changed, transition_scheme

SEEDS, UNCHANGED_SEEDS, SIZE_PX = range(1000, 1100), range(1000, 1025), 512
SCHEME = load_scheme("chesapeake-4")
TRANSITIONS = transition_scheme(SCHEME)
N_POINTS, MIN_PER_CLASS = 800, 25
_GRID = Grid(SIZE_PX, SIZE_PX, (1.0, 0.0, 400_000.0, 0.0, -1.0, 4_300_000.0), "EPSG:26918")
_NONE = {"felled_share": 0.0, "built_share": 0.0, "drains_lake": False}


@dataclass(frozen=True)
class Trial:
    """What came of a seed."""

    right: int  # Pixels rightly called change.
    wrong: int  # Pixels wrongly called change.
    missed: int  # Changed pixels that were not called so.
    covered: tuple[bool, ...]  # By class: whether its net area lies in its interval.


def main() -> None:
    start_tensorflow()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = train_bundle(folder)
        trials = [try_seed(folder / str(seed), bundle, seed) for seed in SEEDS]
        report_found(trials)
        report_areas(trials)
        report_unchanged(
            [find_unchanged(folder / f"same-{seed}", bundle, seed) for seed in UNCHANGED_SEEDS]
        )


def report_found(trials: Sequence[Trial]) -> None:
    """Print how well change was found."""
    right, wrong, missed = (
        sum(getattr(trial, what) for trial in trials) for what in ("right", "wrong", "missed")
    )
    each = [2 * t.right / (2 * t.right + t.wrong + t.missed) for t in trials]
    f1 = 2 * right / (2 * right + wrong + missed)
    print(f"{len(trials)} landscapes with change: F1 {f1:.3f}, ", end="")
    print(f"precision {right / (right + wrong):.3f}, recall {right / (right + missed):.3f}")
    print(f"of single ones: median {np.median(each):.3f}, 10 % below {np.quantile(each, 0.1):.3f}")
    _judge(f1 >= 0.85, "F1 of at least 0.85")


def report_areas(trials: Sequence[Trial]) -> None:
    """Print how often net areas lie in their intervals."""
    covered = np.array([trial.covered for trial in trials])
    for land, times in zip(SCHEME.names, covered.sum(axis=0).tolist(), strict=True):
        print(f"net area of {land} within its interval: {times} of {len(trials)}")
    _judge(bool((covered.mean(axis=0) >= 0.9).all()), "at least 90 of 100, each class")


def report_unchanged(shares: Sequence[float]) -> None:
    """Print how much was called change where there is none."""
    print(f"{len(shares)} landscapes without change: {100 * np.mean(shares):.2f} % called change")
    print(f"of single ones: median {100 * np.median(shares):.3f} %, most {100 * max(shares):.2f} %")
    _judge(float(np.mean(shares)) <= 0.01, "at most 1 % of pixels")


def _judge(is_reached: bool, target: str) -> None:
    print(f"target {target}: {'pass' if is_reached else 'MISS'}\n", flush=True)


def train_bundle(folder: Path) -> str:
    """Train the demo's network on the demo's scenes."""
    plan = plan_way(DemoConfig(str(folder / "way"), quiet=True))
    write_scenes(folder / "way" / "scenes", seed=0)
    convert(plan.convert)
    return train(plan.train).bundle


def make_pair(seed: int, **nuisance: object) -> Pair:
    """Two dates of a landscape, with noise, season and shift of their own."""
    random = np.random.default_rng(seed)
    down_px, right_px = random.uniform(-0.5, 0.5, 2).tolist()
    return make_dates(
        Dates(
            Landscape(SIZE_PX, seed),
            season=1 + seed % 3,
            noise=float(random.uniform(3, 10)),
            shift_px=(down_px, right_px),
            **nuisance,
        )
    )


def compare_pair(folder: Path, bundle: str, pair: Pair) -> np.ndarray:
    """Write a pair, find its change, and read the codes of transitions."""
    profile = CogProfile("uint8", ("red", "green", "blue", "nir"))
    for name, scene in (("before", pair.before), ("after", pair.after)):
        with write_cog(folder / f"{name}.tif", _GRID, profile) as writer:
            writer.write(_GRID.window, scene.image_hwc)
    find_change(
        ChangeConfig(
            str(folder / "change"),
            image_before=str(folder / "before.tif"),
            image_after=str(folder / "after.tif"),
            model=bundle,
            places=0,
            quiet=True,
        )
    )
    return read_class_map(str(folder / "change" / "transitions.tif"))


def find_unchanged(folder: Path, bundle: str, seed: int) -> float:
    """The share of pixels that is called change where nothing has changed."""
    code_hw = compare_pair(folder, bundle, make_pair(seed, **_NONE))
    return float(find_changed(code_hw, SCHEME.n_classes).mean())


def try_seed(folder: Path, bundle: str, seed: int) -> Trial:
    """Find the planted changes of a seed, and estimate their areas by a sample."""
    pair, n = make_pair(seed), SCHEME.n_classes
    code_hw = compare_pair(folder, bundle, pair)
    truth_hw = encode(SCHEME.encode(pair.before.truth_hw), SCHEME.encode(pair.after.truth_hw), n)
    found_hw, is_hw = find_changed(code_hw, n), find_changed(truth_hw, n)
    map_path, points = str(folder / "change" / "transitions.tif"), folder / "points.gpkg"
    draw_sample(
        SampleConfig(
            map_path, str(points), N_POINTS, min_per_class=MIN_PER_CLASS, seed=seed, quiet=True
        )
    )
    sample = read_sample(points, _GRID)
    names = tuple(TRANSITIONS.names[k] for k in truth_hw[sample.rows, sample.cols])
    points.unlink()
    write_sample(
        points, type(sample)(sample.rows, sample.cols, names, sample.map_digest, seed), _GRID
    )
    report = assess_area(AreaConfig(map_path, str(points), quiet=True))
    assert report.change is not None
    before, after = (np.bincount(part.ravel(), minlength=n) for part in np.divmod(truth_hw, n))
    net = (after - before) / 1e4
    covered = tuple(
        abs(flow.net.value - net[k]) <= flow.net.margin
        for k, flow in enumerate(report.change.classes)
    )
    return Trial(
        int((found_hw & is_hw).sum()),
        int((found_hw & ~is_hw).sum()),
        int((~found_hw & is_hw).sum()),
        covered,
    )


if __name__ == "__main__":
    main()
