"""What workers tell each other, between processes."""

import numpy as np
import pytest
import tensorflow as tf
from processes import own_process, team_of, workers

from lcseg.errors import LcsegError
from lcseg.training.cluster import Cluster
from lcseg.training.council import Council

LARGE = 2**60
"""More than a float64 tells from its neighbours."""


@pytest.fixture(scope="module")
def two_workers():
    with workers(2) as both:
        yield both


def confer(cluster):
    """Sums and what each has said, of numbers that differ between the workers."""
    council, own = team_of(cluster).council, cluster.index + 1
    counts = council.add(np.array([[LARGE + own, own], [0, -own]]))
    return counts, council.add(np.array([0.1 * own])), council.gather(own, 2.0**53 - own)


@pytest.mark.slow
def test_workers_hear_the_same_sums_and_who_said_what(two_workers):
    for counts, share, said in two_workers.results(confer):
        assert counts.dtype == np.int64
        assert counts.tolist() == [[2 * LARGE + 3, 3], [0, -3]]
        assert (share.dtype, share.tolist()) == (np.float64, [0.1 + 0.2])
        assert said.tolist() == [[1, 2**53 - 1], [2, 2**53 - 2]]


def go_together(cluster, faults):
    """Meet a fault of one's own, if there is one, and confer once more afterwards."""
    council = team_of(cluster).council
    try:
        with council.together():
            if faults[cluster.index]:
                raise faults[cluster.index]
    finally:
        assert council.gather(cluster.index).tolist() == [[0], [1]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", [LcsegError("a.tif", "is lost"), FileNotFoundError(2, "no such file", "a.tif")]
)
@pytest.mark.parametrize("failing", [0, 1])
def test_what_one_worker_cannot_do_ends_all_and_the_others_name_it(two_workers, fault, failing):
    faults = [fault if index == failing else None for index in range(2)]
    errors = two_workers.errors(go_together, faults)
    own, of_other = errors[failing], errors[1 - failing]
    assert (type(own), str(own)) == (type(fault), str(fault))
    assert type(of_other) is LcsegError
    assert str(of_other).startswith(f"{two_workers.names[failing]}: cannot ")
    assert str(of_other).endswith("; its own last line says why")


@pytest.mark.slow
def test_workers_that_all_fail_say_what_each_has_met_and_those_that_can_go_on(two_workers):
    faults = [LcsegError("a.tif", "is lost"), LcsegError("b.tif", "is lost")]
    errors = two_workers.errors(go_together, faults)
    assert [str(error) for error in errors] == ["a.tif: is lost", "b.tif: is lost"]
    assert two_workers.errors(go_together, [None, None]) == [None, None]


def add_on_four_devices(values):
    devices = tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(4)])
    return Council(devices, Cluster(("h0:1", "h1:1"), 0, "TF_CONFIG")).add(values)


@pytest.mark.slow
def test_worker_of_two_devices_speaks_once():
    with own_process(devices=4) as pool:
        assert pool.submit(add_on_four_devices, np.array([3, 5])).result().tolist() == [6, 10]


def test_one_alone_hears_itself_and_meets_its_own_faults():
    council = team_of().council
    assert council.add(np.array([1, 2])).tolist() == [1, 2]
    assert council.gather(4, 5).tolist() == [[4, 5]]
    with council.together():
        pass
    with pytest.raises(LcsegError, match=r"^a\.tif: is lost$"), council.together():
        raise LcsegError("a.tif", "is lost")
