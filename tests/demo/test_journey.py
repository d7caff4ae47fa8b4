"""The whole way once, as a user goes it."""

from __future__ import annotations

import io
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import httpx
import pytest
from conftest import Server
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator
from tensorboard.util import tensor_util

from lcseg.change.report import ChangeReport
from lcseg.demo.config import DemoConfig
from lcseg.demo.journey import AFTER, BEFORE, EPOCH_STEPS, Stage, describe, plan_way
from lcseg.documents import read_document
from lcseg.evaluation.report import Report
from lcseg.serving.layers import TITLES
from lcseg.serving.tiling import TMS


def test_table_says_what_each_stage_did_and_where_its_result_lies() -> None:
    text = describe([Stage("scenes", "10 pairs", "demo-run/scenes", 1.25)])
    assert re.search(r"scenes +10 pairs +1\.2 +demo-run/scenes", text)


def test_the_mapped_scene_is_of_the_test_split() -> None:
    plan = plan_way(DemoConfig("demo-run"))
    assert plan.predict.image == "demo-run/scenes/scene-9_image.tif"
    assert plan.train.steps_per_epoch == EPOCH_STEPS


def read_wait_shares(folder: Path) -> list[float]:
    """The share of the time that each look at a run has seen its steps wait for input."""
    events = EventAccumulator(str(folder), size_guidance={TENSORS: 0})
    events.Reload()
    recorded = events.Tensors("speed/input_wait_share")
    return [float(tensor_util.make_ndarray(event.tensor_proto)) for event in recorded]


@pytest.mark.slow
def test_demo_learns_leaves_a_page_and_shows_the_scene_live(
    demo: tuple[Path, Server], lcseg: Callable[..., CompletedProcess[str]]
) -> None:
    (folder, server), printed = demo, demo[1].printed
    address = server.address
    shown, later = httpx.get(f"{address}datasets.json").json()["datasets"]
    assert set(TITLES) >= {layer["name"] for layer in shown["layers"]} >= {"classes", "difference"}
    assert (shown["date"], later["date"]) == (BEFORE, AFTER)
    assert "<html" in httpx.get(address).text
    west, south, east, north = shown["bounds"]
    tile = TMS.tile((west + east) / 2, (south + north) / 2, shown["nativezoom"])
    drawn = httpx.get(f"{address}tiles/demo/classes/{tile.z}/{tile.x}/{tile.y}.png", timeout=60)
    assert drawn.status_code == 200
    assert len(Image.open(io.BytesIO(drawn.content)).convert("RGBA").getcolors() or ()) > 1
    assert server.end()[0] == 0

    scores = read_document(folder / "demo-run/report/report.json", Report).scores
    assert scores.mean_iou is not None
    assert scores.commonest_class_mean_iou is not None
    assert scores.mean_iou >= 0.75 > scores.commonest_class_mean_iou
    for stage in ("scenes", "convert", "train", "evaluate", "predict", "change", "show"):
        assert re.search(rf"^{stage} ", printed, re.MULTILINE)
    assert f"mean IoU {scores.mean_iou:.3f} on test" in printed
    assert f"{scores.commonest_class_mean_iou:.3f})" in printed

    change = read_document(folder / "demo-run/change/report.json", ChangeReport)
    (interval,) = change.intervals
    # A wood was felled and a lake drained, so both have less than before.
    flows = dict(zip(change.scheme.names, interval.change.flows(), strict=True))
    assert flows["tree/forest"].net < -0.3 and flows["water"].net < 0
    assert interval.change.changed_hectares < 0.6 * interval.raw.changed_hectares
    assert f"{interval.change.changed_hectares:.2f} ha changed" in printed

    shares = read_wait_shares(folder / "demo-run/run/tensorboard/train")
    # Of each of the 10 steps between two looks; the first look holds the start of the input.
    assert len(shares) > 10
    assert statistics.mean(shares[1:]) < 0.02, f"input wait: {shares}"

    page = (folder / "demo-run/index.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert not re.search(r"(src|href)=\"?https?:", page)
    for name in (land.name for land in scores.classes):
        assert name in page

    again = lcseg("demo", "--out=demo-run", cwd=folder)
    assert again.returncode == 2
    assert again.stderr.strip() == (
        "lcseg: demo-run: exists already; name another --out, or remove it first"
    )
