"""The devices that train together, on this machine or on all of a cluster.

strategy = build_strategy(cluster)
with strategy.scope(): …
"""

from __future__ import annotations

import tensorflow as tf

from lcseg.training.cluster import ALONE, Cluster

PACK_BYTES = 50 << 20
"""Gradients are sent in packs of this size: many small ones cost a round trip each."""


def build_strategy(cluster: Cluster = ALONE) -> tf.distribute.Strategy:
    """The devices of all workers; of one worker all GPUs, or its CPU.

    It must be called before any operation, and on all workers of a cluster.
    """
    if cluster.size > 1:
        return tf.distribute.MultiWorkerMirroredStrategy(
            _resolve(cluster),
            tf.distribute.experimental.CommunicationOptions(bytes_per_pack=PACK_BYTES),
        )
    gpus = tf.config.list_logical_devices("GPU")
    if len(gpus) > 1:
        return tf.distribute.MirroredStrategy([gpu.name for gpu in gpus])
    return tf.distribute.OneDeviceStrategy(gpus[0].name if gpus else "/cpu:0")


def _resolve(cluster: Cluster) -> tf.distribute.cluster_resolver.ClusterResolver:
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.index,
        rpc_layer="grpc",
    )
