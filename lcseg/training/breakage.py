"""A cluster that breaks, told in one line that names who is lost.

with told_breakage(cluster): …                 # PeerLostError: worker 1 (h1:2222): is lost; …
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from lcseg.errors import PeerLostError
from lcseg.training.cluster import Cluster, split_address

_SIGNS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.DeadlineExceededError,
    tf.errors.CancelledError,
)
"""What collective operations raise when a peer is gone, depending on who notices first."""

_VAGUE = (tf.errors.InternalError, tf.errors.UnknownError, tf.errors.FailedPreconditionError)
"""What they may raise too, but also has causes of its own."""

_TASK = re.compile(r"/job:worker/(?:replica:0/)?task:(\d+)")
_SILENT = re.compile(rf"stopped sending heartbeats\):((?:\s*{_TASK.pattern})+)")
_LEADER = 0  # Who counts the heartbeats of the others.
_CONNECT_S = 0.5


@contextmanager
def told_breakage(cluster: Cluster) -> Iterator[None]:
    """Around what workers do together: raises a PeerLostError where one of them is lost.

    What went wrong on this worker alone is raised as it is.
    """
    try:
        yield
    except (*_SIGNS, *_VAGUE) as error:
        lost = _find_lost(cluster, error.message) if cluster.size > 1 else []
        if cluster.size == 1 or (not lost and isinstance(error, _VAGUE)):
            raise
        names = ", ".join(map(cluster.name_of, lost)) or "a worker"
        raise PeerLostError(
            names,
            "is lost: " + _say(error),
            "start all workers again; they go on from the newest checkpoint",
        ) from error


def _find_lost(cluster: Cluster, message: str) -> list[int]:
    """Those whose ports are closed, else those that the message speaks of."""
    others = [index for index in range(cluster.size) if index != cluster.index]
    closed = [index for index in others if not _answers(cluster.addresses[index])]
    silent = _SILENT.search(message)
    # It names who passed it on, too.
    named = {int(number) for number in _TASK.findall(silent[1] if silent else message)}
    if not named and "/Heartbeat" in message:
        named = {_LEADER}
    return closed or [index for index in others if index in named]


def _answers(address: str) -> bool:
    """Whether something listens; a process that is frozen still does."""
    try:
        socket.create_connection(split_address(address), _CONNECT_S).close()
    except OSError:
        return False
    return True


def _say(error: tf.errors.OpError) -> str:
    """How it was noticed, in a few words."""
    text = error.message.lower()
    for sign, words in _WORDS.items():
        if sign in text:
            return words
    return type(error).__name__.removesuffix("Error").lower()


_WORDS = {
    "connection reset": "its connection broke",
    "socket closed": "its connection broke",
    "connection refused": "its connection broke",
    "broken pipe": "its connection broke",
    "heartbeat": "it no longer shows signs of life",
    "incarnation": "it was started again by itself",
    "timed out": "it did not answer in time",
    "deadline": "it did not answer in time",
    "additional grpc error": "its connection broke",
}
"""How it was noticed, by a word in the message; what stands first goes before."""
