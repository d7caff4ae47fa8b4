"""Blocks are predicted once, kept within bounds, and dropped where nobody waits for them."""

from __future__ import annotations

import asyncio
import pickle
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from lcseg.errors import LcsegError
from lcseg.model.info import BundleInfo
from lcseg.prediction.answers import Backend
from lcseg.prediction.parts import load_backend
from lcseg.serving.config import ServeConfig
from lcseg.serving.dataset import Dataset, open_dataset
from lcseg.serving.entries import Entry
from lcseg.serving.handles import Handles
from lcseg.serving.metrics import Metrics
from lcseg.serving.store import BlockStore, BusyError

ALL = [(row, col) for row in range(3) for col in range(3)]


@dataclass
class Counting:
    """A model that counts what it is asked, and answers once it may."""

    backend: Backend
    may_answer: threading.Event = field(default_factory=threading.Event)
    is_asked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    n_asked: int = 0
    fails: bool = False

    @property
    def info(self) -> BundleInfo:
        return self.backend.info

    def classify(self, padded_nhwc: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def predict(self, padded_nhwc: np.ndarray) -> tuple[np.ndarray, Any]:
        self.n_asked += 1
        self.is_asked.release()
        assert self.may_answer.wait(60)
        if self.fails:
            raise LcsegError("model", "fails")
        return self.backend.predict(padded_nhwc)

    def to_probabilities(self, logits_nhwk: Any) -> np.ndarray:
        return self.backend.to_probabilities(logits_nhwk)

    async def wait_until_asked(self) -> None:
        assert await asyncio.to_thread(self.is_asked.acquire, timeout=60)


@pytest.fixture(scope="module")
def dataset(place) -> Dataset:
    return open_dataset("made", Entry(str(place.bundle), str(place.image)))


@pytest.fixture(scope="module")
def model(dataset) -> Backend:
    return load_backend(dataset.task.model, dataset.task.model_sha256, dataset.task.backend)


@pytest.fixture
def backend(model) -> Counting:
    counting = Counting(model)
    counting.may_answer.set()
    return counting


@pytest.fixture
def make_store() -> Iterator[Any]:
    """A function that makes a store by some flags; `waiting` of the metrics is what it does."""
    stores = []

    def make(**flags: Any) -> BlockStore:
        config = ServeConfig(config="unread.toml", **{"batch_blocks": 1, **flags})
        stores.append(BlockStore(config, Handles(), Metrics()))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def read_metric(store: BlockStore, name: str) -> float:
    lines = store._metrics.format().decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


async def settle(store: BlockStore) -> None:
    """Wait until nothing is at work any more."""
    while store._works:
        await asyncio.wait([work.outcome for work in store._works.values()])
        await asyncio.sleep(0)


def test_blocks_are_what_lcseg_predict_maps(make_store, dataset, backend, place):
    store = make_store()
    blocks = asyncio.run(store.fetch(dataset, backend, ALL))
    with rasterio.open(place.map) as mapped, rasterio.open(place.probabilities) as probabilities:
        planes = np.concatenate([mapped.read(), probabilities.read()])
    side = dataset.block_px
    padded = np.pad(planes, [(0, 0), (0, 68), (0, 68)], constant_values=255)
    assert padded.shape[1] == 3 * side
    for (row, col), block in blocks.items():
        window = padded[:, row * side :, col * side :][:, :side, :side]
        assert np.array_equal(block, window)


def test_what_is_in_memory_is_not_predicted_again(make_store, dataset, backend):
    store = make_store()
    first = asyncio.run(store.fetch(dataset, backend, ALL[:2]))
    n_asked = backend.n_asked
    again = asyncio.run(store.fetch(dataset, backend, ALL[:2]))
    assert backend.n_asked == n_asked
    assert all(again[number] is first[number] for number in ALL[:2])
    assert read_metric(store, "lcseg_block_hits_total") == 2
    assert read_metric(store, "lcseg_blocks_predicted_total") == 2


def test_many_who_ask_for_a_block_share_one_prediction(make_store, dataset, backend):
    store = make_store()
    backend.may_answer.clear()

    async def ask() -> None:
        asking = [asyncio.create_task(store.fetch(dataset, backend, ALL[:2])) for _ in range(8)]
        await backend.wait_until_asked()
        assert {work.waiting for work in store._works.values()} == {8}
        backend.may_answer.set()
        found = await asyncio.gather(*asking)
        assert all(each[ALL[0]] is found[0][ALL[0]] for each in found)
        await settle(store)

    asyncio.run(ask())
    assert read_metric(store, "lcseg_blocks_predicted_total") == 2
    assert not store._works


def test_what_nobody_waits_for_any_more_is_not_begun(make_store, dataset, backend):
    store = make_store()
    backend.may_answer.clear()
    n_threads = store._pool._max_workers

    async def leave() -> None:
        asking = asyncio.create_task(store.fetch(dataset, backend, ALL))
        for _ in range(n_threads):
            await backend.wait_until_asked()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert len(store._works) == n_threads < len(ALL)
        assert all(work.waiting == 0 for work in store._works.values())
        backend.may_answer.set()
        await settle(store)

    asyncio.run(leave())
    assert read_metric(store, "lcseg_blocks_predicted_total") == n_threads
    assert read_metric(store, "lcseg_blocks_waiting") == 0


def test_what_another_still_waits_for_is_predicted(make_store, dataset, backend):
    store = make_store()
    backend.may_answer.clear()

    async def leave() -> dict:
        leaving = asyncio.create_task(store.fetch(dataset, backend, ALL))
        staying = asyncio.create_task(store.fetch(dataset, backend, ALL[-1:]))
        await backend.wait_until_asked()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert [work.waiting for work in store._works.values() if work.waiting] == [1]
        backend.may_answer.set()
        found = await staying
        await settle(store)
        return found

    assert list(asyncio.run(leave())) == ALL[-1:]
    assert not store._works


def test_block_asked_for_again_after_all_have_left_is_begun_anew(make_store, dataset, backend):
    store = make_store()
    backend.may_answer.clear()

    async def come_back() -> dict:
        leaving = asyncio.create_task(store.fetch(dataset, backend, ALL))
        await backend.wait_until_asked()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        again = asyncio.create_task(store.fetch(dataset, backend, ALL))
        await asyncio.sleep(0)
        backend.may_answer.set()
        found = await again
        await settle(store)
        return found

    assert len(asyncio.run(come_back())) == len(ALL)
    assert read_metric(store, "lcseg_blocks_predicted_total") == len(ALL)
    assert not store._works


def test_error_is_told_to_all_who_wait_and_leaves_nothing_behind(make_store, dataset, backend):
    store = make_store()
    backend.may_answer.clear()
    backend.fails = True

    async def ask() -> None:
        asking = [asyncio.create_task(store.fetch(dataset, backend, ALL)) for _ in range(2)]
        await backend.wait_until_asked()
        works = list(store._works.values())
        backend.may_answer.set()
        for outcome in await asyncio.gather(*asking, return_exceptions=True):
            assert isinstance(outcome, LcsegError)
        assert all(work.waiting == 0 for work in works)
        await settle(store)
        backend.fails = False
        assert len(await store.fetch(dataset, backend, ALL)) == len(ALL)

    asyncio.run(ask())
    assert not store._works


def test_more_than_may_wait_is_refused_and_takes_nothing_along(make_store, dataset, backend):
    store = make_store(max_blocks=4, max_waiting=4)
    backend.may_answer.clear()

    async def ask() -> None:
        first = asyncio.create_task(store.fetch(dataset, backend, ALL[:3]))
        await backend.wait_until_asked()
        with pytest.raises(BusyError):
            await store.fetch(dataset, backend, ALL[3:5])
        waiting = {work.key[1]: work.waiting for work in store._works.values() if work.waiting}
        assert waiting == dict.fromkeys(ALL[:3], 1)
        # Those that are asked for already take no room.
        second = asyncio.create_task(store.fetch(dataset, backend, ALL[:3]))
        await asyncio.sleep(0)
        backend.may_answer.set()
        assert len(await first) == len(await second) == 3
        await settle(store)

    asyncio.run(ask())
    assert not store._works


def test_memory_is_bounded_in_bytes(make_store, dataset, backend):
    store = make_store(memory_mb=1)
    blocks = asyncio.run(store.fetch(dataset, backend, ALL))
    size = blocks[ALL[0]].nbytes
    held = read_metric(store, "lcseg_block_bytes")
    assert held == (1 << 20) // size * size
    # The last ones are those that are kept.
    asyncio.run(store.fetch(dataset, backend, ALL[-1:]))
    assert read_metric(store, "lcseg_blocks_predicted_total") == len(ALL)
    asyncio.run(store.fetch(dataset, backend, ALL[:1]))
    assert read_metric(store, "lcseg_blocks_predicted_total") == len(ALL) + 1


def test_disk_survives_a_restart(make_store, dataset, backend, tmp_path):
    folder = str(tmp_path / "cache" / "of blocks")
    first = asyncio.run(make_store(disk_cache=folder).fetch(dataset, backend, ALL))
    store = make_store(disk_cache=folder)
    again = asyncio.run(store.fetch(dataset, backend, ALL))
    assert all(np.array_equal(first[number], again[number]) for number in ALL)
    assert read_metric(store, "lcseg_blocks_predicted_total") == 0
    assert read_metric(store, "lcseg_block_disk_hits_total") == len(ALL)


def test_disk_is_bounded(make_store, dataset, backend, tmp_path):
    asyncio.run(make_store(disk_cache=str(tmp_path), disk_cache_mb=1).fetch(dataset, backend, ALL))
    kept = sum(path.stat().st_size for path in tmp_path.rglob("*.val"))
    size = dataset.block_px**2 * (1 + dataset.scheme.n_classes)
    assert 0 < kept <= (1 << 20) + 2 * size < len(ALL) * size


def damage(what: str, folder: Path) -> None:
    """Have the one block that is kept be other than it was written."""
    (path,) = folder.rglob("*.val")
    content = bytearray(path.read_bytes())
    if what == "cut":
        path.write_bytes(content[:-1])
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "gone":
        path.unlink()
    elif what == "changed":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif what == "index":
        (folder / "cache.db").write_bytes(b"no database" * 1000)
    else:
        set_value = {
            "number": ("UPDATE Cache SET mode = 1, filename = NULL, value = 5", ()),
            "pickle": (
                "UPDATE Cache SET mode = 4, filename = NULL, value = ?",
                (pickle.dumps(Bomb(str(folder / "exploded"))),),
            ),
        }[what]
        with closing(sqlite3.connect(folder / "cache.db")) as index, index:
            index.execute(*set_value)


class Bomb:
    """Writes a file where it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (Path(self.path),)


@pytest.mark.parametrize("what", ["cut", "empty", "gone", "changed", "number", "pickle"])
def test_what_is_not_as_it_was_written_is_not_used(make_store, dataset, backend, tmp_path, what):
    store = make_store(disk_cache=str(tmp_path))
    first = asyncio.run(store.fetch(dataset, backend, ALL[:1]))
    damage(what, tmp_path)
    for n_predicted in (1, 0):
        store = make_store(disk_cache=str(tmp_path))
        again = asyncio.run(store.fetch(dataset, backend, ALL[:1]))
        assert np.array_equal(first[ALL[0]], again[ALL[0]])
        assert read_metric(store, "lcseg_blocks_predicted_total") == n_predicted
    assert not (tmp_path / "exploded").exists()


def test_disk_that_fails_meanwhile_costs_no_answer(make_store, dataset, backend, tmp_path):
    store = make_store(disk_cache=str(tmp_path))
    asyncio.run(store.fetch(dataset, backend, ALL[:1]))
    damage("index", tmp_path)
    assert len(asyncio.run(store.fetch(dataset, backend, ALL[1:3]))) == 2


def test_folder_that_keeps_nothing_is_told_in_one_line(make_store, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "cache.db").write_bytes(b"no database" * 1000)
    for name in ("file", "file/below", "foreign"):
        with pytest.raises(LcsegError, match=r": cannot keep blocks: .*; name another") as raised:
            make_store(disk_cache=str(tmp_path / name))
        assert "\n" not in str(raised.value)


def test_another_model_or_image_is_another_block_and_another_label_is_not(
    make_store, dataset, backend, tmp_path
):
    from dataclasses import replace

    store = make_store(disk_cache=str(tmp_path))
    other_model = replace(dataset, task=replace(dataset.task, model_sha256="0" * 64))
    other_label = replace(dataset, files=(*dataset.files, ("label", 1, 1)))
    for shown, predicted in ((dataset, 1), (other_label, 1), (other_model, 2), (dataset, 2)):
        asyncio.run(store.fetch(shown, backend, ALL[:1]))
        assert read_metric(store, "lcseg_blocks_predicted_total") == predicted
