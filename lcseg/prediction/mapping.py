"""From an image raster to a class map, block by block.

summary = predict_map(PredictConfig(model="run/bundle", image="scene.tif", out="map.tif"))
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lcseg.classes import IGNORE
from lcseg.errors import LcsegError
from lcseg.model.bundle import load_bundle
from lcseg.prediction.blocks import plan_blocks, read_padded
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.predictor import Predictor, require_fit, to_probabilities
from lcseg.progress import Progress
from lcseg.raster.cog import CogProfile, CogWriter, aux_path, class_map_profile, write_cog
from lcseg.raster.grid import Window, pixel_size_m
from lcseg.raster.source import ImageSource, open_image, require_crs

PROBABILITY_ONE = 254
"""The value of probability 1 in a probability raster; 255 is no data."""

_READ_AHEAD = 2
_WRITE_BEHIND = 2


@dataclass(frozen=True)
class PredictSummary:
    """What was mapped."""

    out: str  # Path of the class map.
    pixels: int  # Of the image.
    class_pixels: tuple[int, ...]  # By class.
    names: tuple[str, ...]  # Of the classes.
    pixel_m: float | None  # Ground sample distance.
    seconds: float  # Taken.

    @property
    def speed_mpx_s(self) -> float:
        """Million pixels a second."""
        return self.pixels / 1e6 / self.seconds


def predict_map(config: PredictConfig) -> PredictSummary:
    """Map an image; the map appears whole or not at all.

    Blocks are read with a halo as wide as the model sees, so the map is the same as if the whole
    scene, mirrored at its edge, had been predicted at once. Invalid pixels are 255 in the map.
    """
    started_s = time.monotonic()
    outs = [Path(path) for path in (config.out, config.probabilities) if path]
    for path in outs:
        if path.exists():
            raise LcsegError(path, "exists already", "name another file, or remove it first")
    bundle = load_bundle(config.model)
    info, scheme = bundle.info, bundle.info.class_scheme
    counts = np.zeros(256, np.int64)
    with ExitStack() as stack:
        stack.push(partial(_remove_unless_done, outs))
        image = stack.enter_context(open_image(config.image))
        pixel_m = pixel_size_m(image.grid)
        require_crs(config.image, image.grid, config.allow_ungeoreferenced or not info.pixel_m)
        require_fit(info, image, pixel_m)
        tags = {"lcseg_model": info.model_sha256, "lcseg_classes": scheme.name}
        class_map = stack.enter_context(
            write_cog(config.out, image.grid, class_map_profile(scheme, tags))
        )
        probability_map = None
        if config.probabilities:
            profile = CogProfile(
                "uint8", scheme.names, IGNORE, scale=1 / PROBABILITY_ONE, tags=tags
            )
            probability_map = stack.enter_context(
                write_cog(config.probabilities, image.grid, profile)
            )
        blocks = list(plan_blocks(image.grid, config.block_px, info.stride_px))
        progress = stack.enter_context(
            Progress(
                "predict", image.grid.height * image.grid.width, "px", config.quiet, scale=True
            )
        )
        writer = stack.enter_context(_Behind())
        predictor = Predictor(bundle)
        for block, padded_hwc, valid_hw in _read_ahead(image, blocks, info.halo_px):
            label_hw, probs_hwk = _predict(predictor, padded_hwc, valid_hw, bool(probability_map))
            counts += np.bincount(label_hw.ravel(), minlength=256)
            writer.submit(class_map, block, label_hw)
            if probability_map:
                writer.submit(probability_map, block, probs_hwk)
            inside = block.clip(image.grid.height, image.grid.width)
            progress.advance(inside.height * inside.width)
    return PredictSummary(
        config.out,
        image.grid.height * image.grid.width,
        tuple(counts[: scheme.n_classes].tolist()),
        scheme.names,
        pixel_m,
        time.monotonic() - started_s,
    )


def _remove_unless_done(paths: list[Path], kind: type[BaseException] | None, *_: object) -> None:
    """One of two rasters may be whole when the other fails; they stand or fall together."""
    for path in paths if kind else ():
        path.unlink(missing_ok=True)
        aux_path(path).unlink(missing_ok=True)


def _predict(
    predictor: Predictor, padded_hwc: np.ndarray, valid_hw: np.ndarray, with_probabilities: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Classes, uint8 [H, W], and probabilities, uint8 [H, W, K] or empty; 255 where invalid."""
    n_classes = predictor.info.class_scheme.n_classes if with_probabilities else 0
    if not valid_hw.any():
        return (
            np.full(valid_hw.shape, IGNORE, np.uint8),
            np.full((*valid_hw.shape, n_classes), IGNORE, np.uint8),
        )
    label_hw, logits_hwk = predictor.predict(padded_hwc)
    label_hw = np.where(valid_hw, label_hw, np.uint8(IGNORE))
    if not with_probabilities:
        return label_hw, np.empty((*valid_hw.shape, 0), np.uint8)
    scaled = np.rint(to_probabilities(logits_hwk) * PROBABILITY_ONE).astype(np.uint8)
    return label_hw, np.where(valid_hw[..., None], scaled, np.uint8(IGNORE))


def _read_ahead(
    image: ImageSource, blocks: list[Window], halo_px: int
) -> Iterator[tuple[Window, np.ndarray, np.ndarray]]:
    """Read blocks in order, in a thread of their own, a few ahead of the network."""
    waiting: deque[tuple[Window, Future[tuple[np.ndarray, np.ndarray]]]] = deque()
    with ThreadPoolExecutor(1, "read") as pool:
        try:
            for block in blocks:
                waiting.append((block, pool.submit(read_padded, image, block, halo_px)))
                if len(waiting) > _READ_AHEAD:
                    ready, future = waiting.popleft()
                    yield ready, *future.result()
            while waiting:
                ready, future = waiting.popleft()
                yield ready, *future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Behind:
    """Writes windows in order, in a thread of its own; an error is raised at the next one."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "write")
        self._waiting: deque[Future[None]] = deque()

    def submit(self, raster: CogWriter, window: Window, values: np.ndarray) -> None:
        self._waiting.append(self._pool.submit(raster.write, window, values))
        while len(self._waiting) > _WRITE_BEHIND:
            self._waiting.popleft().result()

    def __enter__(self) -> _Behind:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            while self._waiting and kind is None:
                self._waiting.popleft().result()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
