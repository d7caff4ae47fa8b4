"""Event files, read back as TensorBoard reads them."""

import io

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator
from tensorboard.util import tensor_util

from lcseg.classes import load_scheme
from lcseg.evaluation.confusion import Confusion
from lcseg.training.monitor import Monitor

SCHEME = load_scheme("chesapeake-4")


def read_events(folder):
    events = EventAccumulator(str(folder), size_guidance={TENSORS: 0})
    events.Reload()
    return {
        tag: {e.step: tensor_util.make_ndarray(e.tensor_proto) for e in events.Tensors(tag)}
        for tag in events.Tags()[TENSORS]
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorboard")
    monitor = Monitor(folder, SCHEME)
    monitor.record_steps(10, loss=0.5, rate=1e-3, crops_per_s=900.0, wait_share=0.25)
    monitor.record_steps(20, loss=0.25, rate=2e-3, crops_per_s=950.0, wait_share=0.5)
    # No pixel of the last two classes, neither in reference nor in prediction.
    counts = np.array([[30, 10, 0, 0], [20, 40, 0, 0], [0] * 4, [0] * 4], np.int64)
    picture = np.full((8, 8, 3), 200, np.uint8)
    monitor.record_validation(20, 0.75, Confusion(counts), [[picture] * 3] * 2)
    return folder


def test_steps_are_recorded_with_rate_and_speed(folder):
    events = read_events(folder / "train")
    assert {tag: [float(x) for x in of_tag.values()] for tag, of_tag in events.items()} == {
        "loss": [0.5, 0.25],
        "learning_rate": pytest.approx([1e-3, 2e-3]),
        "speed/crops_per_second": [900, 950],
        "speed/input_wait_share": [0.25, 0.5],
    }
    assert list(events["loss"]) == [10, 20]


def test_validation_is_recorded_with_the_classes_that_occur(folder):
    events = read_events(folder / "validation")
    scalars = {tag: float(x[20]) for tag, x in events.items() if x[20].ndim == 0}
    assert scalars == pytest.approx(
        {
            "loss": 0.75,
            "mean_iou": (30 / 60 + 40 / 70) / 2,
            "overall_accuracy": 0.7,
            "kappa": (0.7 - 0.5) / 0.5,
            "iou/water": 30 / 60,
            "iou/tree/forest": 40 / 70,
        }
    )


@pytest.mark.parametrize("tag", ["confusion_matrix", "panels"])
def test_pictures_decode_and_show_something(folder, tag):
    width, height, png = read_events(folder / "validation")[tag][20]
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.size == (int(width), int(height))
        pixels = np.asarray(picture.convert("RGB"))
    assert min(pixels.shape[:2]) > 100
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 5
