"""What a training run leaves on disk, to hold one run against another.

weights_of(run) == weights_of(undisturbed)
saved_number(run), step_of(run, number)        # of its newest checkpoint, and any one's step
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import tensorflow as tf

from lcseg.files import list_files, locate, read_bytes
from lcseg.training.checkpoint import number_of


def weights_of(run: str | Path) -> tuple[dict[str, str], str]:
    """Every variable of the newest checkpoint by its md5, and what the bundle says of itself."""
    prefix = checkpoint_of(run, saved_number(run))
    with tempfile.TemporaryDirectory() as folder:
        for path in list_files(prefix.parent, f"{prefix.name}.*"):
            (Path(folder) / path.name).write_bytes(read_bytes(path))
        reader = tf.train.load_checkpoint(f"{folder}/{prefix.name}")
        sums = {
            key: hashlib.md5(reader.get_tensor(key).tobytes()).hexdigest()
            for key in reader.get_variable_to_shape_map()
            if not key.startswith(("_CHECKPOINTABLE", "save_counter"))
        }
    document = json.loads(read_bytes(locate(run) / "bundle" / "bundle.json"))
    return sums, json.dumps([document["step"], document["scores"], document["class_scheme"]])


def rows_of(run: Path) -> list[dict]:
    """The epochs of its history."""
    return json.loads((run / "history.json").read_text())["rows"]


def saved_number(run: str | Path) -> int:
    """How often it has saved, over all starts; 0: never."""
    return max(map(number_of, list_files(locate(run) / "checkpoints")), default=0)


def checkpoint_of(run: str | Path, number: int) -> Path:
    """What the names of the files of a checkpoint begin with."""
    return locate(run) / "checkpoints" / f"ckpt-{number}"


def step_of(run: Path, number: int) -> int:
    """The step at which a checkpoint was saved."""
    path = str(checkpoint_of(run, number))
    return int(tf.train.load_variable(path, "state/step/.ATTRIBUTES/VARIABLE_VALUE"))
