"""Many processes that do parts of some work: the same bytes, and one line where they fail."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import distributed
import numpy as np
import pytest
from conftest import write_raster

from lcseg.errors import LcsegError, UnknownCodesError
from lcseg.processes import open_team, run_parts
from lcseg.records.config import ConvertConfig
from lcseg.records.conversion import convert
from lcseg.records.parts import convert_part
from lcseg.records.plan import make_plan


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ConvertConfig:
    """A conversion of two scenes that overlap, in some parts."""
    folder = tmp_path_factory.mktemp("scenes")
    random = np.random.default_rng(0)
    for number in range(2):
        place = (1.0, 0.0, 400_000.0 + 300.5 * number, 0.0, -1.0, 4_300_000.0)
        image_hwc = random.normal(100, 30, (512, 512, 3)).astype(np.float32)
        codes_hw = random.integers(0, 7, (512, 512)).astype(np.uint8)
        write_raster(folder / f"{number}_image.tif", image_hwc, transform=place)
        write_raster(folder / f"{number}_label.tif", codes_hw, transform=place)
    return ConvertConfig(
        "chesapeake-4",
        str(folder / "data"),
        f"{folder}/*_image.tif",
        f"{folder}/*_label.tif",
        chip_px=32,
        shard_mb=1,
        block_chips=2,
        workers=1,
        quiet=True,
    )


@pytest.fixture(scope="module")
def expected(config: ConvertConfig) -> dict[str, str]:
    """The checksums of what one process makes."""
    convert(config)
    return hash_files(config.out)


def hash_files(folder: str | Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in Path(folder).iterdir()
    }


@pytest.fixture
def cluster() -> Iterator[distributed.LocalCluster]:
    """A Dask cluster as a user might have started it."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0
    ) as started:
        yield started


def test_parts_come_back_as_they_are_done(config, tmp_path):
    parts = make_plan(config).parts
    assert len(parts) > 3
    work = partial(convert_part, folder=str(tmp_path))
    with open_team(workers=1) as team:
        outcomes = {part.number: outcome for part, outcome in run_parts(parts, work, team)}
    assert list(outcomes) == [part.number for part in parts]
    written = {shard.file for outcome in outcomes.values() for shard in outcome.shards}
    assert {path.name for path in tmp_path.iterdir()} == written


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_gives_the_same_bytes(config, expected, tmp_path, workers):
    out = str(tmp_path / "data")
    convert(replace(config, out=out, workers=workers))
    assert hash_files(out) == expected


def test_cluster_gives_the_same_bytes_and_lives_on(config, expected, tmp_path, cluster):
    for name in ("one", "two"):
        out = str(tmp_path / name)
        convert(replace(config, out=out, scheduler=cluster.scheduler_address))
        assert hash_files(out) == expected
    with distributed.Client(cluster) as client:
        assert len(client.ncores()) == 2


def test_error_of_a_worker_is_that_of_its_part(config, tmp_path):
    wrong = write_raster(tmp_path / "label.tif", np.full((512, 512), 77, np.uint8))
    image = config.images.replace("*", "0")
    bad = replace(config, images=image, labels=wrong, out=str(tmp_path / "data"), workers=2)
    with pytest.raises(UnknownCodesError, match=r"label\.tif: codes that 'chesapeake-4' does not"):
        convert(bad)
    assert [path.name for path in tmp_path.iterdir()] == ["label.tif"]


def test_nothing_to_do_needs_no_worker():
    with open_team(2, "tcp://127.0.0.1:1") as team:
        assert list(run_parts([], convert_part, team)) == []


def test_a_team_does_one_work_after_another(config, tmp_path):
    parts = make_plan(config).parts
    work = partial(convert_part, folder=str(tmp_path))
    with open_team(workers=2) as team:
        for share in (parts[:2], parts[2:4]):
            done = {part.number for part, _ in run_parts(share, work, team)}
            assert done == {part.number for part in share}
            assert len(team.client.ncores()) == 2


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x", "127.0.0.1:port"])
def test_scheduler_that_does_not_answer_is_one_line(config, tmp_path, address, monkeypatch):
    monkeypatch.setattr("lcseg.processes._CONNECT_S", 1)
    with pytest.raises(LcsegError) as error:
        convert(replace(config, out=str(tmp_path / "data"), scheduler=address))
    assert str(error.value) == (
        f"--scheduler={address}: no Dask scheduler answers there; "
        "start one with dask scheduler, and workers with dask worker"
    )
    assert list(tmp_path.iterdir()) == []


def test_scheduler_without_workers_is_one_line(config, tmp_path):
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None) as empty,
        pytest.raises(LcsegError, match="has no workers; start some: dask worker"),
    ):
        convert(replace(config, out=str(tmp_path / "data"), scheduler=empty.scheduler_address))


def test_cluster_that_ends_meanwhile_is_one_line_and_keeps_what_is_done(
    config, expected, tmp_path, cluster, monkeypatch
):
    from lcseg.records import conversion

    def run(*arguments: object) -> Iterator[object]:
        for done, result in enumerate(run_parts(*arguments)):
            yield result
            if not done:
                cluster.close()

    changed = replace(config, out=str(tmp_path / "data"), scheduler=cluster.scheduler_address)
    with monkeypatch.context() as patch:
        patch.setattr(conversion, "run_parts", run)
        with pytest.raises(LcsegError, match=r"--scheduler=tcp://.*: the cluster is gone"):
            convert(changed)
    assert list((tmp_path / ".data.partial" / "progress").iterdir())
    convert(replace(changed, scheduler=""))
    assert hash_files(changed.out) == expected
