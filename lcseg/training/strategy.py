"""The devices that train together.

strategy = build_strategy()
with strategy.scope(): …
"""

from __future__ import annotations

import tensorflow as tf


def build_strategy() -> tf.distribute.Strategy:
    """All GPUs of this machine, or its CPU."""
    gpus = tf.config.list_logical_devices("GPU")
    if len(gpus) > 1:
        return tf.distribute.MirroredStrategy([gpu.name for gpu in gpus])
    return tf.distribute.OneDeviceStrategy(gpus[0].name if gpus else "/cpu:0")
