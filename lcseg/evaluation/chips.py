"""A closer look at what a model says of chips than validation takes.

findings = examine_chips(model, store, places, scheme, multiple_px=16, config=config)
prediction_hw, confidence_hw = predict_chip(model, image_hwc, multiple_px=16)
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from lcseg.classes import IGNORE, ClassScheme
from lcseg.errors import LcsegError
from lcseg.evaluation.config import EvaluateConfig
from lcseg.evaluation.confusion import Confusion
from lcseg.evaluation.findings import Findings
from lcseg.evaluation.places import Places
from lcseg.evaluation.spots import (
    ENOUGH,
    Spot,
    Tiles,
    Worst,
    draw_confidence,
    draw_tiles,
    judge_spot,
)
from lcseg.evaluation.tally import Tally, count
from lcseg.pictures import stretch
from lcseg.pipeline.dataset import evaluation_batches
from lcseg.pipeline.store import ChipStore
from lcseg.progress import Progress


def examine_chips(
    model: keras.Model,
    store: ChipStore,
    places: Places,
    scheme: ClassScheme,
    multiple_px: int,
    config: EvaluateConfig,
) -> Findings:
    """Judge a model on every chip once, by classes, scenes, distances to borders and confidence.

    Args:
        model: raw pixels in, logits out.
        store: the chips.
        places: where they lie.
        scheme: the classes.
        multiple_px: chips are padded to a multiple of this, as in validation.
        config: chips in a step, how many of the worst to picture, and whether to show progress.

    Raises:
        LcsegError: what the model says is not a number.
    """

    @tf.function
    def judge(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _decide(model(images, training=False))

    tally, worst = Tally.empty(scheme.n_classes), Worst(config.worst)
    by_scene: dict[str, Confusion] = {}
    least_px = ENOUGH * np.prod(store.image_shape[:2])
    with Progress("evaluate", len(store), "chips", config.quiet) as progress, store.named_faults():
        for images, labels in evaluation_batches(store, config.batch, multiple_px):
            arrays = (labels.numpy(), *(array.numpy() for array in judge(images)))
            # The last batch is filled up.
            n_chips = min(config.batch, len(store) - progress.count)
            for label_hw, prediction_hw, confidence_hw in zip(
                *(array[:n_chips] for array in arrays), strict=True
            ):
                place = places[progress.count]
                if not np.isfinite(confidence_hw).all():
                    where = f"{place.scene}, row {place.row}, column {place.col}"
                    raise LcsegError(where, "the model's answer is not a number", "train again")
                found = count(label_hw, prediction_hw, confidence_hw, scheme.n_classes)
                tally = tally.merge(found)
                before = by_scene.get(place.scene, Confusion.empty(scheme.n_classes))
                by_scene[place.scene] = before.merge(found.confusion)
                worst = worst.add(judge_spot(place, label_hw, prediction_hw, least_px))
                progress.advance()
    tiles = [_picture(model, store, spot, scheme, multiple_px) for spot in worst.spots]
    return Findings(tally, worst.spots, tiles, by_scene)


def predict_chip(
    model: keras.Model, image_hwc: np.ndarray, multiple_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ask a model for the classes of one chip, uint8 [H, W], and how sure it is, float32 [H, W]."""
    height, width, _ = image_hwc.shape
    pad = [[0, -height % multiple_px], [0, -width % multiple_px], [0, 0]]
    logits = model(np.pad(image_hwc, pad, "reflect")[None], training=False)
    prediction, confidence = _decide(logits[:, :height, :width])
    return prediction[0].numpy(), confidence[0].numpy()


def draw_predictions(
    model: keras.Model,
    store: ChipStore,
    chips: Sequence[int],
    scheme: ClassScheme,
    multiple_px: int,
) -> list[list[np.ndarray]]:
    """Picture chips as rows of (image, label, prediction), uint8 [H, W, 3] each."""
    rows = [_draw_chip(model, store, chip, scheme, multiple_px) for chip in chips]
    return [pictures[:3] for pictures in rows]


def _decide(logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Classes, uint8 [N, H, W], and their probabilities, float32, of logits [N, H, W, K]."""
    probs = tf.nn.softmax(tf.cast(logits, tf.float32))
    return tf.cast(tf.argmax(logits, -1), tf.uint8), tf.reduce_max(probs, -1)


def _picture(
    model: keras.Model, store: ChipStore, spot: Spot, scheme: ClassScheme, multiple_px: int
) -> Tiles:
    assert spot.place.chip is not None
    pictures = _draw_chip(model, store, spot.place.chip, scheme, multiple_px)
    titles = "image", "label", "prediction", "confidence"
    return draw_tiles(list(zip(titles, pictures, strict=True)))


def _draw_chip(
    model: keras.Model, store: ChipStore, chip: int, scheme: ClassScheme, multiple_px: int
) -> list[np.ndarray]:
    """Image, label, prediction and confidence of a chip, uint8 [H, W, 3] each."""
    image_hwc, label_hw = store.read_chip(chip)
    prediction_hw, confidence_hw = predict_chip(model, image_hwc, multiple_px)
    valid_hw = np.any(image_hwc, axis=-1)
    prediction_hw = np.where(valid_hw, prediction_hw, np.uint8(IGNORE))
    return [
        stretch(image_hwc, valid_hw),
        scheme.colorize(label_hw),
        scheme.colorize(prediction_hw),
        draw_confidence(np.where(valid_hw, confidence_hw, np.float32(0))),
    ]
