"""Chips of a data set, predicted, as evidence on the grids of their scenes.

chips = ChipEvidence(folder, manifest)
chips.predict(bundle, "data", manifest, "test", config)      # each chip once
evidence = chips.scenes()
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from lcseg.audit.config import AuditConfig
from lcseg.audit.evidence import BLOCK_PX, Evidence
from lcseg.audit.mosaic import Mosaic
from lcseg.errors import LcsegError
from lcseg.evaluation.places import read_places
from lcseg.model.bundle import Bundle
from lcseg.pictures import stretch
from lcseg.pipeline.caching import plan_cache
from lcseg.pipeline.dataset import evaluation_batches
from lcseg.prediction.products import PROBABILITIES, PRODUCTS
from lcseg.progress import Progress
from lcseg.raster.grid import Grid, Window
from lcseg.records.manifest import Manifest, SourceInfo

_SHOWN_BANDS = 3


class ChipEvidence:
    """Predictions, labels and pictures of chips, in files.

    A pixel is the probabilities of its classes, its label plus 1 (0: none), and the bands that are
    shown, so that what is all 0 is not known.

    Args:
        folder: for the files.
        manifest: of the data set that the chips come from.
        block_px: side of the squares that are read at once.
    """

    def __init__(self, folder: Path, manifest: Manifest, block_px: int = BLOCK_PX) -> None:
        self._n_classes = manifest.class_scheme.n_classes
        self._dtype = np.dtype(manifest.dtype)
        self._shown = min(len(manifest.bands), _SHOWN_BANDS)
        n_bytes = self._n_classes + 1 + self._shown * self._dtype.itemsize
        self._mosaic = Mosaic(folder, n_bytes, block_px)
        self._sources = {source.key: source for source in manifest.sources}

    def predict(
        self, bundle: Bundle, data: str | Path, manifest: Manifest, split: str, config: AuditConfig
    ) -> None:
        """Predict the chips of a split.

        Raises:
            LcsegError: the split has no chip, a shard is damaged, or an answer is not a number.
        """
        store = plan_cache(data, manifest, [split], "none").open(split)
        places = read_places(data, manifest, split)
        height, width, _ = store.image_shape

        batches = evaluation_batches(store, config.batch, bundle.info.stride_px)

        def answer(images: tf.Tensor) -> tf.Tensor:
            logits = tf.cast(bundle.model(images, training=False), tf.float32)
            return tf.nn.softmax(logits)[:, :height, :width]

        # Traced now: TensorFlow warns of functions that are traced for every fold.
        judge = tf.function(answer).get_concrete_function(batches.element_spec[0])
        with (
            Progress("predict", len(store), "chips", config.quiet) as progress,
            store.named_faults(),
        ):
            for images, labels in batches:
                arrays = (images, labels, judge(images))
                # The last batch is filled up.
                n_chips = min(config.batch, len(store) - progress.count)
                for image_hwc, label_hw, probs_hwk in zip(
                    *(array.numpy()[:n_chips, :height, :width] for array in arrays), strict=True
                ):
                    place = places[progress.count]
                    if not np.isfinite(probs_hwk).all():
                        where = f"{place.scene}, row {place.row}, column {place.col}"
                        problem = "the model's answer is not a number"
                        raise LcsegError(where, problem, "train again")
                    values_hwb = self._pack(image_hwc, label_hw, probs_hwk)
                    grid = _grid_of(self._sources[place.scene])
                    self._mosaic.write(place.scene, grid, place.row, place.col, values_hwb)
                    progress.advance()

    def scenes(self) -> Sequence[Evidence]:
        """The evidence of each scene that a chip was predicted of."""
        return [_SceneEvidence(self, self._sources[key]) for key in self._mosaic.scenes]

    def blocks(self, scene: str, grid: Grid) -> Iterator[Window]:
        """The squares of a scene in which there are chips."""
        return self._mosaic.blocks(scene, grid)

    def read(self, scene: str, grid: Grid, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read probabilities and labels of a scene; see `Evidence`."""
        values_hwb = self._mosaic.read(scene, grid, window)
        # 0 is no label, which is 255.
        return values_hwb[..., : self._n_classes], values_hwb[..., self._n_classes] - np.uint8(1)

    def picture(self, scene: str, grid: Grid, window: Window) -> np.ndarray:
        """Picture the image of a scene; see `Evidence`."""
        values_hwb = self._mosaic.read(scene, grid, window)
        is_known_hw = np.asarray(values_hwb[..., : self._n_classes].any(axis=-1))
        shown_hwb = np.ascontiguousarray(values_hwb[..., self._n_classes + 1 :])
        return stretch(shown_hwb.view(self._dtype), is_known_hw)

    def _pack(
        self, image_hwc: np.ndarray, label_hw: np.ndarray, probs_hwk: np.ndarray
    ) -> np.ndarray:
        """The bytes of the pixels of a chip; those without an image are all 0."""
        shown_hwc = np.ascontiguousarray(image_hwc[..., : self._shown])
        values = PRODUCTS[PROBABILITIES].values(probs_hwk)
        label_hw1 = (label_hw + np.uint8(1))[..., None]
        values_hwb = np.concatenate([values, label_hw1, shown_hwc.view(np.uint8)], axis=-1)
        return values_hwb * image_hwc.any(axis=-1, keepdims=True)


class _SceneEvidence:
    """What is known of one scene."""

    def __init__(self, chips: ChipEvidence, source: SourceInfo) -> None:
        self._chips = chips
        self.scene, self.date, self.path = source.key, source.date, source.image
        self.grid = _grid_of(source)

    def blocks(self) -> Iterator[Window]:
        return self._chips.blocks(self.scene, self.grid)

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        return self._chips.read(self.scene, self.grid, window)

    def picture(self, window: Window) -> np.ndarray | None:
        return self._chips.picture(self.scene, self.grid, window)


def _grid_of(source: SourceInfo) -> Grid:
    return Grid(source.height, source.width, source.transform, source.crs)
