"""A split as chips that can be read in any order, wherever they are kept.

images, labels = store.read_crops(chips, starts, (224, 224))      # inside tf.data or outside
image_hwc, label_hw = store.read_chip(7)
store.histograms                                                  # int64 [N, classes + 1]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from lcseg.errors import LcsegError


class ChipStore(ABC):
    """Chips in the order of the records."""

    image_shape: tuple[int, int, int]
    """Rows, columns and bands of a chip."""

    first: int = 0
    """Number of the first chip among those of all workers."""

    fault: LcsegError | None = None
    """What went wrong while crops were read inside tf.data, which passes on only its text."""

    @property
    @abstractmethod
    def histograms(self) -> np.ndarray:
        """Labelled pixels of each class and, last, the ignored ones: int64 [N, classes + 1]."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read_crops(
        self, chips: tf.Tensor, starts: tf.Tensor, crop_hw: tuple[int, int]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Cut one rectangle out of each of some chips.

        Args:
            chips: int64 [B], B static: numbers of chips; one may come more than once.
            starts: int64 [B, 2]: first row and column of each crop.
            crop_hw: rows and columns of a crop.

        Returns:
            Images [B, *crop_hw, C] of the chips' dtype and labels uint8 [B, *crop_hw].
        """

    def read_chip(self, chip: int) -> tuple[np.ndarray, np.ndarray]:
        """Read one whole chip: image [H, W, C] and label [H, W]."""
        chips, starts = tf.constant([chip], tf.int64), tf.zeros([1, 2], tf.int64)
        with self.named_faults():
            images, labels = self.read_crops(chips, starts, self.image_shape[:2])
        return images[0].numpy(), labels[0].numpy()

    @contextmanager
    def named_faults(self) -> Iterator[None]:
        """Around the use of crops: raises as itself the LcsegError that reading them has met."""
        try:
            yield
        except tf.errors.OpError as error:
            if self.fault is None:
                raise
            raise self.fault from error


class ArrayStore(ChipStore):
    """Chips that lie side by side, in memory or in a mapped file.

    Args:
        images: [N, H, W, C] of the data set's dtype, on the host.
        labels: uint8 [N, H, W], on the host.
        histograms: int64 [N, classes + 1].
        first: number of the first of them among those of all workers.
    """

    def __init__(
        self, images: tf.Tensor, labels: tf.Tensor, histograms: np.ndarray, first: int = 0
    ) -> None:
        self.images, self.labels, self._histograms = images, labels, histograms
        self.first = first
        count, height, width, bands = (int(n) for n in images.shape)
        self.image_shape = height, width, bands
        assert tuple(labels.shape) == (count, height, width) and len(histograms) == count

    @classmethod
    def wrap(
        cls, images: np.ndarray, labels: np.ndarray, histograms: np.ndarray, first: int = 0
    ) -> ArrayStore:
        """A store of arrays that TensorFlow reads where they are; aligned to 64 bytes.

        tf.convert_to_tensor would copy them twice, and the budget is for one.
        """
        view = tf.experimental.dlpack.from_dlpack
        return cls(view(images.__dlpack__()), view(labels.__dlpack__()), histograms, first)

    @property
    def histograms(self) -> np.ndarray:
        return self._histograms

    def __len__(self) -> int:
        return int(self.images.shape[0])

    def read_crops(
        self, chips: tf.Tensor, starts: tf.Tensor, crop_hw: tuple[int, int]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        begins = tf.unstack(tf.concat([chips[:, None], starts], axis=1), int(chips.shape[0]))
        bands = self.image_shape[2]
        images = [
            tf.slice(self.images, tf.concat([begin, [0]], 0), [1, *crop_hw, bands])
            for begin in begins
        ]
        labels = [tf.slice(self.labels, begin, [1, *crop_hw]) for begin in begins]
        return tf.concat(images, axis=0), tf.concat(labels, axis=0)
