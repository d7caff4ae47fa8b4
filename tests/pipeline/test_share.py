"""What each worker holds of a split."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcseg.errors import LcsegError
from lcseg.pipeline.disk import map_chips
from lcseg.pipeline.memory import load_chips
from lcseg.pipeline.share import WHOLE, Share, Span
from lcseg.pipeline.uncached import RecordStore
from lcseg.records.manifest import ShardInfo, read_manifest


class Shards:
    """As much of a manifest as a share asks for."""

    def __init__(self, sizes: list[int]) -> None:
        self._shards = tuple(
            ShardInfo(
                f"train-{n:05d}.tfrecord", "train", size, 100 * size, f"{hash((n,)):016x}"[:8]
            )
            for n, size in enumerate(sizes)
        )

    def shards_of(self, split: str) -> tuple[ShardInfo, ...]:
        return self._shards

    def chips_of(self, split: str) -> int:
        return sum(shard.records for shard in self._shards)


def test_two_workers_hold_the_halves_of_one_shard():
    manifest = Shards([5])
    (shard,) = manifest.shards_of("train")
    assert list(Share(0, 2).spans(manifest, "train")) == [Span(shard, 0, 2)]
    assert list(Share(1, 2).spans(manifest, "train")) == [Span(shard, 2, 3)]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 15))
def test_workers_hold_every_record_once_and_alike_many(sizes, count):
    manifest = Shards(sizes)
    shares = [Share(index, count) for index in range(count)]
    held = [
        [
            (s.shard.file, s.first + k)
            for s in share.spans(manifest, "train")
            for k in range(s.records)
        ]
        for share in shares
    ]
    everything = Counter(record for records in held for record in records)
    expected = {(s.file, k) for s in manifest.shards_of("train") for k in range(s.records)}
    assert set(everything) == expected
    assert set(everything.values()) == {1}
    assert [len(records) for records in held] == [s.chips(manifest, "train") for s in shares]
    assert max(map(len, held)) - min(map(len, held)) <= 1
    firsts = [share.first(manifest, "train") for share in shares]
    assert firsts == [sum(map(len, held[:n])) for n in range(count)]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_one_worker_holds_the_shards_in_their_order(sizes):
    manifest = Shards(sizes)
    spans = list(WHOLE.spans(manifest, "train"))
    assert [span.shard for span in spans] == list(manifest.shards_of("train"))
    assert all(span.first == 0 and span.records == span.shard.records for span in spans)


def test_neighbours_among_the_shards_do_not_all_fall_to_the_same_worker():
    manifest = Shards([1] * 100)
    numbers = [int(s.shard.file[6:11]) for s in Share(0, 2).spans(manifest, "train")]
    assert 10 < sum(number < 50 for number in numbers) < 40


def test_more_workers_than_chips_are_refused():
    Share(0, 3).require_enough(Shards([2, 1]), "train")
    with pytest.raises(LcsegError, match="4 workers: are more than the 3 chips of the train split"):
        Share(0, 4).require_enough(Shards([2, 1]), "train")


@pytest.mark.parametrize("kind", ["memory", "disk", "none"])
def test_stores_of_all_workers_hold_the_split_together(dataset, tmp_path, kind):
    manifest = read_manifest(dataset)

    def open_store(share):
        if kind == "none":
            return RecordStore(dataset, manifest, "train", share)
        if kind == "disk":
            return map_chips(dataset, manifest, "train", tmp_path, share=share)
        return load_chips(dataset, manifest, "train", share=share)

    def list_chips(store):
        return [store.read_chip(n)[0].tobytes() for n in range(len(store))]

    whole = list_chips(open_store(WHOLE))
    stores = [open_store(Share(index, 3)) for index in range(3)]
    assert Counter(chip for store in stores for chip in list_chips(store)) == Counter(whole)
    assert [store.first for store in stores] == np.cumsum([0, *map(len, stores[:2])]).tolist()
    assert all(store.histograms.shape[0] == len(store) for store in stores)
