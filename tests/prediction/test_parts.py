"""Parts: the same answer whoever gives it, and whenever."""

import hashlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import distributed
import numpy as np
import pytest
from maps import make_values, read

from lcseg.errors import LcsegError
from lcseg.model.bundle import load_bundle
from lcseg.model.config import UNetConfig
from lcseg.prediction import mapping, parts
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.mapping import predict_map
from lcseg.prediction.parts import predict_part
from lcseg.prediction.plan import make_plan
from lcseg.prediction.workshop import open_workshop
from lcseg.raster.grid import Window

HEIGHT, WIDTH, BLOCK_PX = 300, 220, 64


@pytest.fixture(scope="module")
def config(bundle, tmp_path_factory) -> PredictConfig:
    """A map of six parts with all its products, of a scene whose corner is missing."""
    from conftest import write_raster

    folder = tmp_path_factory.mktemp("parts")
    values_hwc = np.random.default_rng(0).integers(1, 256, (HEIGHT, WIDTH, 4), np.uint8)
    values_hwc[:140, :130] = 0
    image = write_raster(folder / "scene.tif", values_hwc, nodata=0, photometric="MINISBLACK")
    paths = {
        what: str(folder / f"{what}.tif") for what in ("probabilities", "confidence", "margin")
    }
    return PredictConfig(
        str(bundle), image, str(folder / "map.tif"), **paths, block_px=BLOCK_PX, quiet=True
    )


@pytest.fixture(scope="module")
def expected(config) -> dict[str, str]:
    """The checksums of what one process makes."""
    predict_map(config)
    return hash_files(Path(config.out).parent)


def hash_files(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != "scene.tif"
    }


def into(config: PredictConfig, folder: Path, **options: object) -> PredictConfig:
    """The same map in another folder."""
    outs = ("out", "probabilities", "confidence", "margin")
    moved = {flag: str(folder / Path(getattr(config, flag)).name) for flag in outs}
    return replace(config, **moved, **options)


def test_part_says_what_it_has_written(config, tmp_path):
    plan = make_plan(config, [config.image])
    assert [part.window for part in plan.parts] == [
        Window(0, 0, 128, 128),
        Window(0, 128, 128, 92),
        Window(128, 0, 128, 128),
        Window(128, 128, 128, 92),
        Window(256, 0, 44, 128),
        Window(256, 128, 44, 92),
    ]
    outcome = predict_part(plan.parts[1], str(tmp_path))
    assert sum(outcome.class_pixels) == 128 * 90
    assert outcome.files == {
        what: (tmp_path / f"{what}-00001.tif").stat().st_size
        for what in ("classes", "probabilities", "confidence", "margin")
    }
    empty = predict_part(plan.parts[0], str(tmp_path))
    assert (empty.files, sum(empty.class_pixels)) == ({}, 0)
    mapping.forget()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_gives_the_same_bytes(config, expected, tmp_path, workers):
    predict_map(into(config, tmp_path, workers=workers))
    assert hash_files(tmp_path) == expected


@pytest.mark.slow
def test_cluster_gives_the_same_bytes(config, expected, tmp_path):
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, dashboard_address=None, memory_limit=0
    ) as cluster:
        predict_map(into(config, tmp_path, scheduler=cluster.scheduler_address))
    assert hash_files(tmp_path) == expected


def test_work_that_was_interrupted_goes_on(config, expected, tmp_path, monkeypatch):
    done: list[int] = []

    def few(parts, *rest):
        for part, outcome in mapping_run(parts, *rest):
            yield part, outcome
            done.append(part.number)
            if len(done) == 3:
                raise KeyboardInterrupt

    mapping_run = mapping.run_parts
    again = into(config, tmp_path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(mapping, "run_parts", few)
        predict_map(again)
    assert [path.name for path in tmp_path.iterdir()] == [".map.tif.partial"]
    (tmp_path / ".map.tif.partial" / "classes-00002.tif").write_bytes(b"damaged")
    asked: list[int] = []

    def all_of(parts, *rest):
        asked.extend(part.number for part in parts)
        return mapping_run(parts, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(mapping, "run_parts", all_of)
        predict_map(again)
    assert asked == [2, 3, 4, 5]
    assert hash_files(tmp_path) == expected


@pytest.mark.parametrize(
    "change",
    [{"block_px": 32}, {"bands": ("4", "3", "2", "1")}, {"scale": 0.5}, {"margin": ""}],
    ids=["block_px", "bands", "scale", "margin"],
)
def test_parts_of_another_map_are_not_used(config, tmp_path, monkeypatch, change):
    first = into(config, tmp_path)
    stop_after_first(monkeypatch, first)
    asked: list[int] = []

    def spy(parts, *rest):
        asked.extend(part.number for part in parts)
        return iter(())

    changed = replace(first, **change)
    with monkeypatch.context() as patch, pytest.raises(KeyError):
        patch.setattr(mapping, "run_parts", spy)
        predict_map(changed)
    assert asked[0] == 0


def stop_after_first(monkeypatch, config):
    run = mapping.run_parts

    def one(parts, *rest):
        yield next(run(parts, *rest))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(mapping, "run_parts", one)
        predict_map(config)


def test_an_image_that_has_changed_is_predicted_anew(config, tmp_path, monkeypatch):
    image = Path(config.image)
    copy = tmp_path / image.name
    copy.write_bytes(image.read_bytes())
    changed = replace(into(config, tmp_path), image=str(copy))
    stop_after_first(monkeypatch, changed)
    before = make_plan(changed, [changed.image]).task.digest
    os.utime(copy, ns=(1, 1))
    assert make_plan(changed, [changed.image]).task.digest != before


PROGRAM = """
import os, sys
from lcseg.prediction import delivery, mapping, workshop
from lcseg.prediction.config import PredictConfig
from pathlib import Path
kill_at = int(sys.argv[1])
steps = 0
def killing(function):
    def run(*arguments, **options):
        global steps
        steps += 1
        if steps == kill_at:
            os.kill(os.getpid(), {signal})
        return function(*arguments, **options)
    return run
workshop.write_document = killing(workshop.write_document)
delivery.join_pieces = killing(delivery.join_pieces)
delivery.replace_cog = killing(delivery.replace_cog)
delivery.give_name = killing(delivery.give_name)
mapping.predict_map({config!r})
"""


@pytest.mark.slow
def test_process_that_is_killed_anywhere_goes_on_to_the_same_bytes(config, expected, tmp_path):
    again = into(config, tmp_path)
    program = PROGRAM.format(signal=int(signal.SIGKILL), config=again)
    for kill_at in (4, 5, 7, 8, 9, 10, 11, 12):
        run = [sys.executable, "-c", program, str(kill_at)]
        killed = subprocess.run(run, check=False, timeout=120, capture_output=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    predict_map(again)
    assert hash_files(tmp_path) == expected


def test_two_processes_do_not_make_one_map(config, tmp_path):
    again = into(config, tmp_path)
    with (
        open_workshop(Path(again.out)),
        pytest.raises(LcsegError, match=r"map\.tif: is being written by another process"),
    ):
        predict_map(again)


@pytest.fixture
def blended(save_bundle_of, config, tmp_path) -> PredictConfig:
    """A map by a model with group norm, in blocks of 16 px."""
    model = save_bundle_of(tmp_path / "group", UNetConfig(2, 8, "group"))
    return replace(into(config, tmp_path), model=str(model), block_px=16)


def test_blended_map_does_not_depend_on_its_parts(blended, tmp_path, monkeypatch):
    predict_map(blended)
    monkeypatch.setattr(parts, "_BLENDED_PART_BLOCKS", 100)
    one = into(blended, tmp_path / "one")
    assert len(make_plan(one, [one.image]).parts) == 1
    predict_map(one)
    for name in ("map.tif", "probabilities.tif", "confidence.tif", "margin.tif"):
        assert np.array_equal(read(tmp_path / name), read(tmp_path / "one" / name))


def blend_whole(model, image_hwc: np.ndarray, side: int, reach: int, halo: int) -> np.ndarray:
    """Probabilities of a scene by the definition of blending, float64 [H, W, K], pixel by pixel."""
    height, width = image_hwc.shape[:2]
    far = side + reach + halo
    plane_hwc = np.pad(image_hwc, [(far, far + side), (far, far + side), (0, 0)], mode="reflect")
    sums = np.zeros((height + 2 * far + side, width + 2 * far + side, 4))
    weights = np.zeros(sums.shape[:2])
    distance = np.arange(side + 2 * reach) + 0.5
    slope = np.clip(np.minimum(distance, distance[::-1]) / (2 * reach), 0, 1)
    weight_hw = slope[:, None] * slope
    for row in range(0, height, side):
        for col in range(0, width, side):
            own = np.s_[far + row - reach :, far + col - reach :]
            outer = plane_hwc[far + row - reach - halo :, far + col - reach - halo :]
            size = side + 2 * reach
            logits = model(outer[None, : size + 2 * halo, : size + 2 * halo]).numpy()[0]
            logits = logits[halo : halo + size, halo : halo + size].astype(np.float64)
            powers = np.exp(logits - logits.max(-1, keepdims=True))
            probs = powers / powers.sum(-1, keepdims=True)
            sums[own][:size, :size] += probs * weight_hw[..., None]
            weights[own][:size, :size] += weight_hw
    inside = np.s_[far : far + height, far : far + width]
    return sums[inside] / weights[inside][..., None]


def test_blended_map_is_the_weighted_mean_of_overlapping_blocks(
    blended, tmp_path, make_raster, monkeypatch
):
    values_hwc = make_values(70, 90)
    image = make_raster("noise.tif", values_hwc, photometric="MINISBLACK")
    config = replace(blended, image=image)
    task = make_plan(config, [image]).task
    assert (task.block_px, task.blend_px) == (16, 4)
    loaded = load_bundle(config.model)
    expected = blend_whole(loaded.model, values_hwc, 16, 4, loaded.info.halo_px)
    predict_map(config)
    found = read(tmp_path / "probabilities.tif") / 254
    assert abs(found - expected).max() <= 0.5 / 254 + 1e-4


def test_blended_map_changes_gently_where_blocks_meet(blended, tmp_path):
    predict_map(blended)
    smooth = read(tmp_path / "probabilities.tif").astype(int)
    steps = abs(np.diff(smooth[150:, 140:], axis=0)).mean(axis=(1, 2))
    rows = np.arange(151, 300)
    assert steps[rows % 16 == 0].mean() < 1.05 * steps[rows % 16 != 0].mean()


@pytest.mark.slow
def test_blended_map_has_the_same_bytes_by_any_number_of_workers(blended, tmp_path):
    predict_map(blended)
    predict_map(into(blended, tmp_path / "two", workers=2))
    for name in ("map.tif", "probabilities.tif", "confidence.tif", "margin.tif"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.slow
def test_fault_in_a_worker_is_one_line(config, tmp_path):
    image = tmp_path / "torn.tif"
    image.write_bytes(Path(config.image).read_bytes())
    os.truncate(image, image.stat().st_size * 6 // 10)
    torn = replace(into(config, tmp_path / "out"), image=str(image), workers=2)
    with pytest.raises(LcsegError, match=r"torn\.tif: cannot be read at row .*damaged"):
        predict_map(torn)


def test_model_that_changes_meanwhile_is_not_mixed_in(config, tmp_path, save_bundle_of):
    model = save_bundle_of(tmp_path / "bundle", UNetConfig(1, 4))
    again = replace(into(config, tmp_path), model=str(model))
    plan = make_plan(again, [again.image])
    save_bundle_of(model, UNetConfig(1, 5))
    with pytest.raises(LcsegError, match="has changed since the map was begun; start again"):
        predict_part(plan.parts[1], str(tmp_path))
    mapping.forget()


def test_file_of_the_user_is_not_taken_for_polygons_of_an_earlier_start(
    config, tmp_path, monkeypatch
):
    again = into(config, tmp_path)
    stop_after_first(monkeypatch, again)
    mine = tmp_path / "mine.gpkg"
    mine.write_text("precious")
    with pytest.raises(LcsegError, match=r"mine\.gpkg: exists already"):
        predict_map(replace(again, polygons=str(mine)))
    assert mine.read_text() == "precious"
