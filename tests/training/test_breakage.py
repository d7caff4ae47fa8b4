"""A cluster that breaks: errors of TensorFlow, with peers that listen or do not."""

import os
import signal
import socket
from contextlib import ExitStack

import numpy as np
import pytest
import tensorflow as tf
from processes import free_addresses, team_of, workers

from lcseg.errors import PeerLostError
from lcseg.training.breakage import told_breakage
from lcseg.training.cluster import ALONE, Cluster

RESET = "Collective ops is aborted by: Connection reset by peer"
# What TensorFlow 2.21 says of worker 2 that was stopped with SIGSTOP; worker 1 passed it on.
SILENT = (
    "Collective ops is aborted by: Error reported from /job:worker/task:1: The following tasks are "
    "unhealthy (stopped sending heartbeats):\n/job:worker/replica:0/task:2\nThe tasks have "
    "crashed. Check the task logs for an earlier error, or scheduler events (e.g. preemption, "
    "eviction) to debug further."
)


@pytest.fixture
def make_cluster():
    """A function that gives a cluster of three, in which this process is worker 0 or another.

    Those that are named listen, but never answer, like a process that is frozen.
    """
    with ExitStack() as stack:

        def make(*listening: int, own: int = 0) -> Cluster:
            addresses = free_addresses(3)
            for index in listening:
                port = int(addresses[index].rpartition(":")[2])
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return Cluster(addresses, own, "TF_CONFIG")

        yield make


def tell(cluster, error):
    """What becomes of an error of TensorFlow."""
    with pytest.raises(Exception) as caught, told_breakage(cluster):
        raise error
    return caught.value


def test_worker_whose_port_is_closed_is_named_and_what_to_do(make_cluster):
    cluster = make_cluster(2)
    told = tell(cluster, tf.errors.UnavailableError(None, None, RESET))
    assert type(told) is PeerLostError
    assert str(told) == (
        f"worker 1 ({cluster.addresses[1]}): is lost: its connection broke; "
        "start all workers again; they go on from the newest checkpoint"
    )
    assert isinstance(told.__cause__, tf.errors.UnavailableError)


def test_frozen_worker_still_listens_and_is_named_as_tensorflow_names_it(make_cluster):
    cluster = make_cluster(1, 2)
    told = tell(cluster, tf.errors.UnavailableError(None, None, SILENT))
    name = f"worker 2 ({cluster.addresses[2]})"
    assert str(told).startswith(f"{name}: is lost: it no longer shows signs of life; ")


def test_leader_that_is_frozen_is_named_by_the_call_that_it_does_not_answer(make_cluster):
    cluster = make_cluster(0, 2, own=1)
    message = "Deadline Exceeded; RPC: /tensorflow.CoordinationService/Heartbeat"
    told = tell(cluster, tf.errors.DeadlineExceededError(None, None, message))
    assert told.where == f"worker 0 ({cluster.addresses[0]})"
    assert told.problem == "is lost: it no longer shows signs of life"


def test_closed_port_goes_before_what_the_message_names(make_cluster):
    cluster = make_cluster(2)
    told = tell(cluster, tf.errors.UnavailableError(None, None, SILENT))
    assert told.where == f"worker 1 ({cluster.addresses[1]})"


def test_all_that_are_gone_are_named(make_cluster):
    cluster = make_cluster()
    told = tell(cluster, tf.errors.AbortedError(None, None, "another incarnation"))
    assert told.where == f"worker 1 ({cluster.addresses[1]}), worker 2 ({cluster.addresses[2]})"
    assert told.problem == "is lost: it was started again by itself"


@pytest.mark.parametrize(
    ("kind", "message", "says"),
    [
        (tf.errors.UnavailableError, "Socket closed", "its connection broke"),
        (tf.errors.AbortedError, "wrong incarnation", "it was started again by itself"),
        (tf.errors.DeadlineExceededError, "Collective has timed out", "it did not answer in time"),
        (tf.errors.DeadlineExceededError, "RPC: /Heartbeat", "it no longer shows signs of life"),
        (tf.errors.CancelledError, "", "cancelled"),
        (tf.errors.UnavailableError, "", "unavailable"),
    ],
)
def test_what_only_a_lost_worker_causes_is_told_also_if_none_can_be_found(
    make_cluster, kind, message, says
):
    told = tell(make_cluster(1, 2), kind(None, None, message))
    assert type(told) is PeerLostError
    assert str(told).startswith(f"a worker: is lost: {says}; start all workers again")


VAGUE = [tf.errors.InternalError, tf.errors.UnknownError, tf.errors.FailedPreconditionError]


@pytest.mark.parametrize("kind", VAGUE)
def test_vague_error_is_a_lost_worker_only_if_one_is_gone(make_cluster, kind):
    error = kind(None, None, "something went wrong")
    assert tell(make_cluster(1, 2), error) is error
    assert type(tell(make_cluster(1), error)) is PeerLostError


@pytest.mark.parametrize("error", [tf.errors.InvalidArgumentError(None, None, RESET), KeyError()])
def test_own_faults_stay_themselves_though_a_worker_is_gone(make_cluster, error):
    assert tell(make_cluster(), error) is error


@pytest.mark.parametrize("kind", [tf.errors.UnavailableError, *VAGUE])
def test_one_alone_loses_nobody(kind):
    error = kind(None, None, SILENT)
    assert tell(ALONE, error) is error


def lose_worker_1(cluster):
    """Confer until worker 1 is killed; it may die before worker 0 has read what both gathered."""
    council = team_of(cluster).council
    with told_breakage(cluster):
        council.gather(1)
        if cluster.index == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        council.add(np.ones(3))


@pytest.mark.slow
def test_worker_that_is_killed_is_told_by_the_one_that_waits_for_it():
    with workers(2) as both:
        told, _ = both.errors(lose_worker_1)
        assert type(told) is PeerLostError
        assert told.where == both.names[1]
        assert told.problem.startswith("is lost: ")
