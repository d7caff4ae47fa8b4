"""One thread answers what many ask, some at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from lcseg.model.info import BundleInfo
from lcseg.prediction.parts import load_backend
from lcseg.serving.dataset import open_dataset
from lcseg.serving.engine import Engine, EngineBackend
from lcseg.serving.entries import Entry


@dataclass
class Held:
    """A model that says what it was shown, once it may."""

    may_answer: threading.Event = field(default_factory=threading.Event)
    is_asked: threading.Event = field(default_factory=threading.Event)
    seen: list[tuple[int, ...]] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)

    @property
    def info(self) -> BundleInfo:
        raise NotImplementedError

    def classify(self, padded_nhwc: np.ndarray) -> np.ndarray:
        return self.predict(padded_nhwc)[0]

    def predict(self, padded_nhwc: np.ndarray) -> tuple[np.ndarray, Any]:
        self.is_asked.set()
        assert self.may_answer.wait(60)
        self.seen.append(padded_nhwc.shape)
        self.threads.add(threading.current_thread().name)
        if (padded_nhwc == 255).any():
            raise ValueError("a model that fails")
        return padded_nhwc[..., 0], padded_nhwc.astype(np.float32)

    def to_probabilities(self, logits_nhwk: Any) -> np.ndarray:
        return logits_nhwk / 2


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(batch_blocks=4, wait_s=0.001)
    yield engine
    engine.close()


def block(value: int, side: int = 8) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def hold(engine: Engine, backend: Held) -> Future:
    """Have the model's thread wait at a question of its own, so that what comes queues up."""
    first = engine.ask(backend, block(0))
    assert backend.is_asked.wait(60)
    return first


def test_each_block_gets_its_own_answer_from_one_thread(engine):
    backend = Held()
    backend.may_answer.set()
    ask = EngineBackend(backend, engine)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda value: ask.predict(block(value)[None]), range(100)))
    for value, (label_nhw, probs_nhwk) in enumerate(found):
        assert (label_nhw == value).all()
        assert (ask.to_probabilities(probs_nhwk) == value / 2).all()
    assert backend.threads == {"model"}
    assert max(shape[0] for shape in backend.seen) <= 4


def test_what_waits_is_answered_some_at_a_time():
    sizes: list[float] = []
    backend, engine = Held(), Engine(4, 0.001, sizes.append)
    hold(engine, backend)
    waiting = [engine.ask(backend, block(value)) for value in range(1, 10)]
    backend.may_answer.set()
    assert [int(answer.result()[0][0, 0]) for answer in waiting] == list(range(1, 10))
    engine.close()
    assert sizes == [1, 4, 4, 1]
    assert [shape[0] for shape in backend.seen] == sizes


def test_blocks_of_other_sizes_and_models_are_answered_apart(engine):
    one, other = Held(), Held()
    other.may_answer.set()
    hold(engine, one)
    answers = [engine.ask(*asked) for asked in ((one, block(1)), (other, block(2)))]
    answers += [engine.ask(one, block(3, side=16)), engine.ask(other, block(4))]
    one.may_answer.set()
    assert [answer.result()[0].shape[0] for answer in answers] == [8, 8, 16, 8]
    assert one.seen == [(1, 8, 8, 3), (1, 8, 8, 3), (1, 16, 16, 3)]
    assert other.seen == [(2, 8, 8, 3)]


def test_what_is_cancelled_before_its_turn_is_never_predicted(engine):
    backend = Held()
    first = hold(engine, backend)
    kept, dropped = engine.ask(backend, block(1)), engine.ask(backend, block(2))
    assert dropped.cancel()
    assert not first.cancel()
    backend.may_answer.set()
    assert (kept.result()[0] == 1).all()
    with pytest.raises(CancelledError):
        dropped.result()
    assert backend.seen == [(1, 8, 8, 3), (1, 8, 8, 3)]


def test_error_of_a_model_is_told_to_those_who_asked_and_to_nobody_else(engine):
    backend = Held()
    hold(engine, backend)
    bad = [engine.ask(backend, block(255)) for _ in range(2)]
    apart = engine.ask(backend, block(1, side=16))
    backend.may_answer.set()
    for answer in bad:
        with pytest.raises(ValueError, match="a model that fails"):
            answer.result()
    assert (apart.result()[0] == 1).all()
    assert (engine.ask(backend, block(7)).result()[0] == 7).all()


def test_what_was_asked_before_the_end_is_answered():
    backend, engine = Held(), Engine(4, 0.001)
    hold(engine, backend)
    last = engine.ask(backend, block(3))
    closing = threading.Thread(target=engine.close)
    closing.start()
    backend.may_answer.set()
    closing.join(60)
    assert not closing.is_alive()
    assert (last.result(0)[0] == 3).all()


def test_model_of_a_task_is_loaded_and_answers_as_itself(engine, place):
    task = open_dataset("made", Entry(str(place.bundle), str(place.image))).task
    backend = engine.load(task)
    alone = load_backend(task.model, task.model_sha256, task.backend)
    side = 2 * backend.info.halo_px + 16 * backend.info.stride_px
    shape = (3, side, side, len(backend.info.bands))
    blocks = np.random.default_rng(0).integers(0, 256, shape).astype(backend.info.dtype)
    label_nhw, probs_nhwk = backend.predict(blocks)
    own_nhw, logits_nhwk = alone.predict(blocks)
    assert np.array_equal(label_nhw, own_nhw)
    assert np.array_equal(backend.classify(blocks), own_nhw)
    assert abs(probs_nhwk - alone.to_probabilities(logits_nhwk)).max() < 1e-6


def test_model_that_cannot_be_loaded_is_told_and_the_thread_goes_on(engine, place, tmp_path):
    from dataclasses import replace

    task = open_dataset("made", Entry(str(place.bundle), str(place.image))).task
    with pytest.raises(Exception, match="nowhere"):
        engine.load(replace(task, model=str(tmp_path / "nowhere")))
    assert engine.load(task).info.model_sha256 == task.model_sha256
