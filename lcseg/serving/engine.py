"""The one thread that runs models: what many readers ask it, it answers some at a time.

engine = Engine(batch_blocks=4, wait_s=0.002, observe=sizes.observe)
backend = engine.load(task)                    # in place of the model itself, from any thread
classes_nhw, probs_nhwk = backend.predict(padded_nhwc)
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lcseg.model.info import BundleInfo
from lcseg.prediction.answers import Backend
from lcseg.prediction.parts import load_backend
from lcseg.prediction.task import Task

Answer = tuple[np.ndarray, np.ndarray]
"""Classes, uint8 [H, W], and probabilities, float32 [H, W, K]."""


@dataclass(frozen=True)
class _Question:
    """A block with its halo, and who answers it."""

    backend: Backend
    padded_hwc: np.ndarray
    answer: Future[Answer] = field(default_factory=Future)

    @property
    def kind(self) -> object:
        """What can be answered together has the same."""
        return id(self.backend), self.padded_hwc.shape


@dataclass(frozen=True)
class _Errand:
    """A model to be loaded."""

    task: Task
    answer: Future[Backend] = field(default_factory=Future)


class Engine:
    """Owns the models, which need not bear several threads at once.

    Args:
        batch_blocks: how many blocks are answered together at most.
        wait_s: how long to wait for more of them when there is one.
        observe: is told how many there were.
    """

    def __init__(
        self, batch_blocks: int, wait_s: float, observe: Callable[[float], None] = lambda _: None
    ) -> None:
        self._batch_blocks, self._wait_s, self._observe = batch_blocks, wait_s, observe
        self._inbox: queue.SimpleQueue[_Question | _Errand | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def load(self, task: Task) -> EngineBackend:
        """Load the model of a task, and have it answer once, so that the next answer is quick."""
        errand = _Errand(task)
        self._inbox.put(errand)
        return EngineBackend(errand.answer.result(), self)

    def ask(self, backend: Backend, padded_hwc: np.ndarray) -> Future[Answer]:
        """Have a block answered, unless this is cancelled before its turn comes."""
        question = _Question(backend, padded_hwc)
        self._inbox.put(question)
        return question.answer

    def close(self) -> None:
        """Answer what has been asked, and end."""
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            item = self._inbox.get()
            questions: list[_Question] = []
            if isinstance(item, _Question):
                questions, item = self._gather(item)
            wanted = [each for each in questions if each.answer.set_running_or_notify_cancel()]
            for kind in dict.fromkeys(question.kind for question in wanted):
                alike = [question for question in wanted if question.kind == kind]
                self._observe(len(alike))
                _settle([question.answer for question in alike], _answer, alike)
            if isinstance(item, _Errand):
                _settle([item.answer], _load, [item])
            is_open = item is not None

    def _gather(self, first: _Question) -> tuple[list[_Question], _Question | _Errand | None]:
        """A question and those that come soon after, and what has come last."""
        questions = [first]
        until = time.monotonic() + self._wait_s
        while len(questions) < self._batch_blocks:
            try:
                item = self._inbox.get(timeout=max(until - time.monotonic(), 0))
            except queue.Empty:
                break
            if not isinstance(item, _Question):
                return questions, item
            questions.append(item)
        return questions, questions[-1]


def _load(errands: list[_Errand]) -> list[Backend]:
    (task,) = (errand.task for errand in errands)
    backend = load_backend(task.model, task.model_sha256, task.backend)
    info, side = backend.info, task.block_px + 2 * backend.info.halo_px
    # TensorFlow traces a function anew until it has seen that number and size of blocks differ.
    for number, side_px in ((1, side), (2, side), (1, side + info.stride_px)):
        image_hwc = np.zeros((side_px, side_px, len(info.bands)), info.dtype)
        _answer([_Question(backend, image_hwc)] * number)
    return [backend]


def _answer(alike: list[_Question]) -> list[Answer]:
    backend = alike[0].backend
    labels, logits = backend.predict(np.stack([question.padded_hwc for question in alike]))
    return list(zip(labels, backend.to_probabilities(logits), strict=True))


def _settle(answers: list[Future[Any]], work: Callable[[list[Any]], list[Any]], asked: Any) -> None:
    """Give the results of some work, or its error, to those who wait for them."""
    try:
        results = work(asked)
    except Exception as error:  # Whatever it is, who has asked must hear of it.
        for answer in answers:
            answer.set_exception(error)
        return
    for answer, result in zip(answers, results, strict=True):
        answer.set_result(result)


@dataclass(frozen=True)
class EngineBackend:
    """A model that answers through the engine; in place of it for `lcseg.prediction.answers`."""

    backend: Backend
    engine: Engine

    @property
    def info(self) -> BundleInfo:
        return self.backend.info

    def classify(self, padded_nhwc: np.ndarray) -> np.ndarray:
        """Classes, uint8 [N, H, W], of blocks read with the halo."""
        return self.predict(padded_nhwc)[0]

    def predict(self, padded_nhwc: np.ndarray) -> tuple[np.ndarray, Any]:
        """Classes, uint8 [N, H, W], and probabilities, float32 [N, H, W, K]."""
        answers = [self.engine.ask(self.backend, padded_hwc) for padded_hwc in padded_nhwc]
        labels, probs = zip(*(each.result() for each in answers), strict=True)
        return np.stack(labels), np.stack(probs)

    def to_probabilities(self, probs_nhwk: Any) -> np.ndarray:
        """What `predict` gives already."""
        array: np.ndarray = probs_nhwk
        return array
