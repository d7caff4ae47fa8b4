"""How the end of some workers is read; tests/training/test_launcher.py runs them."""

import os

import pytest

from lcseg.errors import PeerLostError
from lcseg.training.workers import Ending, find_cause, share_cores

PEER_LOST = PeerLostError.exit_code


def endings(*codes: int) -> list[Ending]:
    """Workers 0, 1, … that ended in this order."""
    return [Ending(worker, code, False) for worker, code in enumerate(codes)]


def test_cause_is_the_first_failure_and_none_if_all_ended_well():
    assert find_cause(endings(0, 0)) is None
    cause = find_cause(endings(0, -11, 1))
    assert f"worker {cause.worker} {cause}" == (
        "worker 1 was killed by signal 11 (Segmentation fault)"
    )


def test_worker_that_lost_another_is_the_cause_only_if_there_is_no_other():
    assert find_cause(endings(PEER_LOST, PEER_LOST, 2)).worker == 2
    assert find_cause(endings(0, PEER_LOST, PEER_LOST)).worker == 1
    hung = Ending(0, -9, True)
    assert find_cause([*endings(PEER_LOST), hung]) == hung
    assert str(hung) == "did not end and was killed"


@pytest.mark.parametrize(
    ("code", "is_passing"),
    [(1, False), (2, False), (127, False), (128, True), (PEER_LOST, True), (143, True), (-9, True)],
)
def test_faults_that_come_again_are_told_from_those_that_may_not(code, is_passing):
    assert Ending(0, code, False).is_passing is is_passing


@pytest.mark.parametrize("count", range(1, 9))
def test_workers_share_the_cores_and_each_has_some(monkeypatch, count):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {8, 1, 3, 2, 5, 4})
    shares = [share_cores(index, count) for index in range(count)]
    assert set().union(*shares) == {1, 2, 3, 4, 5, 8}
    assert all(shares)
    if count <= 6:
        assert sum(map(len, shares)) == 6
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
