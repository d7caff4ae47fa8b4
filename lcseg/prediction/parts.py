"""Parts of a map: what one process predicts at a time, and what came of it.

parts = cut_parts(task, window, stride_px=16)
outcome = predict_part(parts[7], "stage")      # writes classes-00007.tif, …

An outcome depends on its part alone, so parts may be done anywhere, in any order, and again.
"""

from __future__ import annotations

import functools
import threading
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from lcseg.classes import IGNORE
from lcseg.errors import LcsegError
from lcseg.prediction.answers import Backend, answer
from lcseg.prediction.blocks import plan_blocks
from lcseg.prediction.products import CLASSES, PRODUCTS, profile_of
from lcseg.prediction.task import Part, PartOutcome, Scene, Task, open_scene
from lcseg.raster.dataset import bounded_cache
from lcseg.raster.grid import Window, cover
from lcseg.raster.pieces import PieceWriter, write_piece
from lcseg.runtime import release_memory, start_tensorflow

_PART_BLOCKS = 2
"""Blocks along the side of a part."""

_BLENDED_PART_BLOCKS = 4
"""The same where neighbours are blended: those around a part are predicted for it, too."""


def cut_parts(task: Task, window: Window, stride_px: int) -> list[Part]:
    """Cut a window into parts of whole blocks."""
    first = next(plan_blocks(window, task.block_px, stride_px))
    height = window.row + window.height - first.row
    width = window.col + window.width - first.col
    along = _BLENDED_PART_BLOCKS if task.blend_px else _PART_BLOCKS
    squares = (
        Window(first.row + square.row, first.col + square.col, square.height, square.width)
        for square in cover(height, width, along * task.block_px)
    )
    return [Part(number, task, square.meet(window)) for number, square in enumerate(squares)]


def piece_path(folder: Path, product: str, part: Part) -> Path:
    """The file that a part makes for a product."""
    return folder / f"{product}-{part.number:05d}.tif"


def predict_part(part: Part, folder: str, threads: int = 0) -> PartOutcome:
    """Predict the blocks of a part, and write its pieces.

    Args:
        part: what to predict.
        folder: where the pieces go.
        threads: how many TensorFlow may use, if it is not yet at work; 0: as it likes.
    """
    predictor = load_backend(part.task.model, part.task.model_sha256, part.task.backend, threads)
    scheme = predictor.info.class_scheme
    counts = np.zeros(scheme.n_classes, np.int64)
    writers: dict[str, PieceWriter] = {}
    with bounded_cache(), ExitStack() as stack:
        scene = _find_scene(part.task)
        for block, label_hw, probs_hwk in answer(predictor, scene, part):
            if not writers:
                for product in part.task.products:
                    path = piece_path(Path(folder), product, part)
                    profile = profile_of(product, scheme, {})
                    piece = write_piece(path, scene.image.grid, part.window, profile)
                    writers[product] = stack.enter_context(piece)
            counts += [np.count_nonzero(label_hw == k) for k in range(scheme.n_classes)]
            writers[CLASSES].write(block, label_hw)
            for product in part.task.products[1:]:
                values_hwc = PRODUCTS[product].values(probs_hwk)
                values_hwc[label_hw == IGNORE] = IGNORE
                writers[product].write(block, values_hwc)
    files = {product: piece_path(Path(folder), product, part).stat().st_size for product in writers}
    return PartOutcome(part.digest, files, tuple(counts.tolist()))


_LOCK = threading.Lock()
_HELD = threading.local()
"""The scene that a thread has open: GDAL's datasets serve one thread at a time."""


def forget() -> None:
    """Let go of the model and the scene that this process holds for the next part."""
    _load_once.cache_clear()
    if stack := vars(_HELD).pop("stack", None):
        stack.close()
    release_memory()


def _find_scene(task: Task) -> Scene:
    """The open scene of a task; it stays open for the next part of the same task."""
    if "stack" not in vars(_HELD) or _HELD.digest != task.digest:
        if stack := vars(_HELD).pop("stack", None):
            stack.close()
        stack = ExitStack()
        _HELD.scene = stack.enter_context(open_scene(task.scene))
        _HELD.digest, _HELD.stack = task.digest, stack
    scene: Scene = _HELD.scene
    return scene


def load_backend(model: str, model_sha256: str, backend: str, threads: int = 0) -> Backend:
    """The model of a task, which a process loads once; see `predict_part`."""
    with _LOCK:
        return _load_once(model, model_sha256, backend, threads)


@functools.lru_cache(1)
def _load_once(model: str, model_sha256: str, backend: str, threads: int) -> Backend:
    if backend == "onnx":
        from lcseg.prediction.onnx import OnnxModel, OnnxPredictor, digest_model

        _require_same(model, digest_model(model), model_sha256)
        return OnnxPredictor(OnnxModel(model, threads))
    start_tensorflow()
    from lcseg.prediction.predictor import load_predictor

    predictor = load_predictor(model, threads)
    _require_same(model, predictor.info.model_sha256, model_sha256)
    return predictor


def _require_same(model: str, found_sha256: str, expected_sha256: str) -> None:
    if found_sha256 != expected_sha256:
        raise LcsegError(model, "has changed since the map was begun", "start again")
