"""What a training run leaves on disk, to hold one run against another.

weights_of(run) == weights_of(undisturbed)
saved_number(run), step_of(run, number)        # of its newest checkpoint, and any one's step
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import tensorflow as tf


def weights_of(run: Path) -> tuple[dict[str, str], str]:
    """Every variable of the newest checkpoint by its md5, and what the bundle says of itself."""
    reader = tf.train.load_checkpoint(str(checkpoint_of(run, saved_number(run))))
    sums = {
        key: hashlib.md5(reader.get_tensor(key).tobytes()).hexdigest()
        for key in reader.get_variable_to_shape_map()
        if not key.startswith(("_CHECKPOINTABLE", "save_counter"))
    }
    document = json.loads((run / "bundle" / "bundle.json").read_text())
    return sums, json.dumps([document["step"], document["scores"], document["class_scheme"]])


def rows_of(run: Path) -> list[dict]:
    """The epochs of its history."""
    return json.loads((run / "history.json").read_text())["rows"]


def saved_number(run: Path) -> int:
    """How often it has saved, over all starts; 0: never."""
    numbers = (int(path.stem[5:]) for path in (run / "checkpoints").glob("ckpt-*.index"))
    return max(numbers, default=0)


def checkpoint_of(run: Path, number: int) -> Path:
    """What the names of the files of a checkpoint begin with."""
    return run / "checkpoints" / f"ckpt-{number}"


def step_of(run: Path, number: int) -> int:
    """The step at which a checkpoint was saved."""
    path = str(checkpoint_of(run, number))
    return int(tf.train.load_variable(path, "state/step/.ATTRIBUTES/VARIABLE_VALUE"))
