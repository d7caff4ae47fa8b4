"""What the model says of a part, block by block: exactly, or blended.

for block, label_hw, probs_hwk in answer(predictor, scene, part): …

A model that looks at a neighbourhood of each pixel gives the same answer whatever block the pixel
is in, if the block is read with its halo. One that normalises by the statistics of what it is shown
does not: its blocks overlap, and where they do, their probabilities are mixed, by weights that fall
linearly towards the border of each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product
from typing import Any, Protocol

import numpy as np

from lcseg.classes import IGNORE
from lcseg.model.info import BundleInfo
from lcseg.prediction.blocks import plan_blocks, read_padded
from lcseg.prediction.task import Part, Scene
from lcseg.raster.dataset import bounded_cache
from lcseg.raster.grid import Window

Answer = tuple[Window, np.ndarray, np.ndarray]
"""A block, or the part of it that is mapped; classes, uint8 [H, W], 255 where nothing is mapped;
and probabilities, float32 [H, W, K], without K where no product asks for them."""

_READ_AHEAD = 2


class Backend(Protocol):
    """What runs a model on blocks of one size, each read with the halo, which is cut off again."""

    @property
    def info(self) -> BundleInfo:
        """What the model says of itself."""

    def classify(self, padded_nhwc: np.ndarray) -> np.ndarray:
        """Classes, uint8 [N, H, W], of blocks [N, H + 2 halo, W + 2 halo, C]."""

    def predict(self, padded_nhwc: np.ndarray) -> tuple[np.ndarray, Any]:
        """Classes, uint8 [N, H, W], and logits [N, H, W, K], of the same."""

    def to_probabilities(self, logits_nhwk: Any) -> np.ndarray:
        """Probabilities, float32 [N, H, W, K], of logits."""


def answer(backend: Backend, scene: Scene, part: Part) -> Iterator[Answer]:
    """Ask the model about the blocks of a part; those without anything to map are left out."""
    return (_answer_blended if part.task.blend_px else _answer_exactly)(backend, scene, part)


def _answer_exactly(backend: Backend, scene: Scene, part: Part) -> Iterator[Answer]:
    info = backend.info
    needs_probabilities = len(part.task.products) > 1
    blocks = list(plan_blocks(part.window, part.task.block_px, info.stride_px))
    for whole, padded_hwc, is_wanted in _read_ahead(scene, blocks, info.halo_px):
        if not is_wanted.any():
            continue
        # What is not wanted at the rim need not be predicted.
        rows, cols = (_span(np.any(is_wanted, axis=axis), info.stride_px) for axis in (1, 0))
        wanted_hw = is_wanted[rows, cols]
        block = Window(whole.row + rows.start, whole.col + cols.start, *wanted_hw.shape)
        around = (slice(axis.start, axis.stop + 2 * info.halo_px) for axis in (rows, cols))
        own_hwc = np.ascontiguousarray(padded_hwc[tuple(around)])
        if needs_probabilities:
            label_nhw, logits_nhwk = backend.predict(own_hwc[None])
            label_hw, probs_hwk = label_nhw[0], backend.to_probabilities(logits_nhwk)[0]
        else:
            label_hw = backend.classify(own_hwc[None])[0]
            probs_hwk = np.empty((*label_hw.shape, 0), np.float32)
        yield block, np.where(wanted_hw, label_hw, np.uint8(IGNORE)), probs_hwk


def _span(is_wanted: Any, stride_px: int) -> slice:
    """From the first to the last True, bool [n], in whole strides."""
    wanted = np.flatnonzero(is_wanted)
    first, end = int(wanted[0]), int(wanted[-1]) + 1
    return slice(first // stride_px * stride_px, -(-end // stride_px) * stride_px)


def _answer_blended(backend: Backend, scene: Scene, part: Part) -> Iterator[Answer]:
    """Every block that reaches into the part adds to it; the sum is one answer for all of it."""
    window, reach, info = part.window, part.task.blend_px, backend.info
    side, grid = part.task.block_px, scene.image.grid
    first = next(plan_blocks(window, side, info.stride_px))
    spans = (
        _overlapping(first.row, window.row + window.height, side, reach, grid.height),
        _overlapping(first.col, window.col + window.width, side, reach, grid.width),
    )
    blocks = [Window(row, col, side + 2 * reach, side + 2 * reach) for row, col in product(*spans)]
    ramp = np.minimum(np.arange(0.5, side + 2 * reach) / (2 * reach), 1).astype(np.float32)
    slope = np.minimum(ramp, ramp[::-1])
    sums_hwk = np.zeros((window.height, window.width, info.class_scheme.n_classes), np.float32)
    weights_hw = np.zeros((window.height, window.width, 1), np.float32)
    wanted_hw = np.zeros((window.height, window.width), bool)
    for block, padded_hwc, is_wanted in _read_ahead(scene, blocks, info.halo_px):
        if not is_wanted.any():
            continue
        own = block.within(window).clip(window.height, window.width)
        place = own.within(block.within(window)).slices
        probs_hwk = backend.to_probabilities(backend.predict(padded_hwc[None])[1])[0]
        weight_hw = np.outer(slope, slope)[place][..., None]
        sums_hwk[own.slices] += probs_hwk[place] * weight_hw
        weights_hw[own.slices] += weight_hw
        wanted_hw[own.slices] |= is_wanted[place]
    if not wanted_hw.any():
        return
    label_hw = sums_hwk.argmax(axis=-1).astype(np.uint8)
    label_hw[~wanted_hw] = IGNORE
    yield window, label_hw, sums_hwk / np.maximum(weights_hw, np.finfo(np.float32).tiny)


def _overlapping(start: int, end: int, side: int, reach: int, size: int) -> list[int]:
    """Where the blocks begin, with their reach, that overlap a span of an axis of `size` pixels.

    `start` is where one of them begins.
    """
    first = start - -(-reach // side) * side
    begins = range(first, end + reach, side)
    return [begin - reach for begin in begins if begin + side > 0 and begin < size]


def _read_ahead(
    scene: Scene, blocks: Sequence[Window], halo_px: int
) -> Iterator[tuple[Window, np.ndarray, np.ndarray]]:
    """Read blocks in order, in a thread of their own, a few ahead of the network.

    With each comes where it is to be mapped, bool [H, W].
    """

    def read(block: Window) -> tuple[np.ndarray, np.ndarray]:
        # rasterio counts its environments by thread; what is opened here may be closed elsewhere.
        with bounded_cache():
            padded_hwc, wanted_hw = read_padded(scene.image, block, halo_px)
        if scene.area:
            wanted_hw &= scene.area.read(block)
        return padded_hwc, wanted_hw

    waiting: deque[tuple[Window, Future[tuple[np.ndarray, np.ndarray]]]] = deque()
    with ThreadPoolExecutor(1, "read") as pool:
        try:
            for block in blocks:
                waiting.append((block, pool.submit(read, block)))
                if len(waiting) > _READ_AHEAD:
                    ready, future = waiting.popleft()
                    yield ready, *future.result()
            while waiting:
                ready, future = waiting.popleft()
                yield ready, *future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
