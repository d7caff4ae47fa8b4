"""Where chips are kept, decided from the manifest alone."""

import dataclasses
import re

import numpy as np
import pytest

from lcseg.errors import LcsegError
from lcseg.pipeline import caching
from lcseg.pipeline.caching import plan_cache
from lcseg.pipeline.disk import cache_bytes, cache_path, map_chips
from lcseg.pipeline.memory import load_chips
from lcseg.pipeline.store import ArrayStore
from lcseg.pipeline.uncached import RecordStore
from lcseg.records.manifest import read_manifest

SPLITS = ("train", "val")


@pytest.fixture
def manifest(dataset):
    return read_manifest(dataset)


@pytest.fixture
def machine(monkeypatch):
    """A function that sets what the machine has free: (memory, disk) in bytes."""

    def have(memory, disk):
        monkeypatch.setattr(caching, "free_memory_bytes", lambda: memory)
        monkeypatch.setattr(caching, "free_disk_bytes", lambda _: disk)

    return have


def sizes_of(manifest):
    """Bytes of the chips, and of the files of a cache on disk."""
    chips = sum(manifest.chips_of(split) for split in SPLITS)
    return chips * manifest.spec.chip_bytes, sum(cache_bytes(manifest, s) for s in SPLITS)


def test_plan_says_what_will_be_kept_where_and_opens_it(dataset, manifest):
    plan = plan_cache(dataset, manifest, SPLITS)
    assert re.fullmatch(
        r"cache: memory, [0-9.]+ GB of train and val in each worker, [0-9.]+ GB may be taken",
        str(plan),
    )
    assert len(plan.open("val")) == manifest.chips_of("val")


def test_auto_takes_memory_then_disk_then_nothing_as_there_is_room(dataset, manifest, machine):
    chips, files = sizes_of(manifest)
    enough_memory, enough_disk = int(chips / 0.7) + 2, int(files / 0.9) + 2
    for memory, disk, folder, kind in (
        (enough_memory, 0, "cache", "memory"),
        (enough_memory - 4, enough_disk, "cache", "disk"),
        (enough_memory - 4, enough_disk - 4, "cache", "none"),
        (enough_memory - 4, enough_disk, "", "none"),
    ):
        machine(memory, disk)
        assert plan_cache(dataset, manifest, SPLITS, "auto", 0, folder).kind == kind


@pytest.mark.parametrize(
    ("kind", "store"), [("memory", ArrayStore), ("disk", ArrayStore), ("none", RecordStore)]
)
def test_choice_is_followed_where_there_is_room(dataset, manifest, tmp_path, kind, store):
    plan = plan_cache(dataset, manifest, SPLITS, kind, 0, tmp_path / "cache")
    assert plan.kind == kind and str(plan).startswith(f"cache: {kind}, ")
    assert not (tmp_path / "cache").exists(), "a plan only looks"
    opened = plan.open("train")
    assert type(opened) is store
    assert cache_path(tmp_path / "cache", manifest, "train").exists() == (kind == "disk")
    expected = load_chips(dataset, manifest, "train").read_chip(1)[0]
    np.testing.assert_array_equal(opened.read_chip(1)[0], expected)


def test_splits_over_the_budget_together_are_refused_in_one_line(dataset, manifest):
    enough_gb = sizes_of(manifest)[0] / 1e9
    assert plan_cache(dataset, manifest, SPLITS, "memory", enough_gb).kind == "memory"
    with pytest.raises(
        LcsegError, match=r"do not fit into .* GB of memory; raise --cache_gb, choose --cache=auto"
    ) as caught:
        plan_cache(dataset, manifest, SPLITS, "memory", 0.999 * enough_gb)
    assert "\n" not in str(caught.value)


def test_budget_of_auto_is_that_which_was_given(dataset, manifest, tmp_path):
    enough_gb = sizes_of(manifest)[0] / 1e9
    plan = plan_cache(dataset, manifest, SPLITS, "auto", 0.999 * enough_gb, tmp_path)
    assert plan.kind == "disk"


def test_disk_without_room_is_refused_in_one_line_with_the_figures(dataset, manifest, machine):
    huge = {s: dataclasses.replace(p, chips=10**6) for s, p in manifest.splits.items()}
    shards = tuple(
        dataclasses.replace(manifest.shards_of(split)[0], records=10**6) for split in huge
    )
    manifest = dataclasses.replace(manifest, splits=huge, shards=shards)
    machine(10**12, 10**10)
    with pytest.raises(
        LcsegError,
        match=r"fast: 41.* GB of chips do not fit into the 9 GB of the disk that may be taken; "
        r"name another --cache_dir, or --cache=none",
    ):
        plan_cache(dataset, manifest, SPLITS, "disk", 0, "fast")


def test_files_that_are_there_already_need_no_more_room(dataset, manifest, machine, tmp_path):
    map_chips(dataset, manifest, "train", tmp_path)
    machine(0, int(cache_bytes(manifest, "val") / 0.9) + 2)
    assert plan_cache(dataset, manifest, SPLITS, "disk", 0, tmp_path).kind == "disk"
    machine(0, int(cache_bytes(manifest, "val") / 0.9) - 2)
    with pytest.raises(LcsegError, match="do not fit"):
        plan_cache(dataset, manifest, SPLITS, "disk", 0, tmp_path)


def test_disk_without_a_folder_is_refused(dataset, manifest):
    with pytest.raises(LcsegError, match="--cache_dir"):
        plan_cache(dataset, manifest, SPLITS, "disk")
