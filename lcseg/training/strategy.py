"""The devices that train together, on this machine or on all of a cluster.

strategy = build_strategy(cluster, start_timeout_s=300)
with strategy.scope(): …
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.eager import context

from lcseg.errors import PeerLostError
from lcseg.training.cluster import Cluster, split_address

PACK_BYTES = 50 << 20
"""Gradients are sent in packs of this size: many small ones cost a round trip each."""


def build_strategy(cluster: Cluster, start_timeout_s: float) -> tf.distribute.Strategy:
    """The devices of all workers; of one worker all GPUs, or its CPU.

    It must be called before any operation, and on all workers of a cluster.

    Raises:
        PeerLostError: this worker's port is taken.
        tf.errors.DeadlineExceededError: a worker that was there has not come in time.
    """
    if cluster.size > 1:
        _bound_start(cluster, start_timeout_s)
        return _build_for_all(cluster)
    gpus = tf.config.list_logical_devices("GPU")
    if len(gpus) > 1:
        return tf.distribute.MirroredStrategy([gpu.name for gpu in gpus])
    return tf.distribute.OneDeviceStrategy(gpus[0].name if gpus else "/cpu:0")


def _build_for_all(cluster: Cluster) -> tf.distribute.Strategy:
    options = tf.distribute.experimental.CommunicationOptions(bytes_per_pack=PACK_BYTES)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(_resolve(cluster), options)
    except tf.errors.UnknownError as error:
        if "Could not start gRPC server" not in error.message:
            raise
        # It was free a moment ago, when the probe listened at it.
        port = split_address(cluster.address)[1]
        problem = "was just taken by another process of this machine"
        raise PeerLostError(f"port {port}", problem, "start all workers again") from error


def _resolve(cluster: Cluster) -> tf.distribute.cluster_resolver.ClusterResolver:
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.index,
        rpc_layer="grpc",
    )


def _bound_start(cluster: Cluster, start_timeout_s: float) -> None:
    """Have TensorFlow wait no longer for a worker that dies just before it joins.

    Left alone it waits an hour, deaf to signals. There is no public way to say so: this is what
    the strategy itself does, with a timeout, and a barrier that binds the leader to it as well.
    """
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        cluster_register_timeout_in_ms=round(start_timeout_s * 1000),
        coordinated_jobs=[
            context.coordination_config_pb2.CoordinatedJob(name="worker", num_tasks=cluster.size)
        ],
    )
    service = context.context().coordination_service
    # TensorFlow 2.16 has none: there, a leader waits for a worker that dies just before it joins.
    if hasattr(service, "cluster_register_with_barrier"):
        service.cluster_register_with_barrier = True
