"""Who trains together: found, counted, and what each takes."""

import time

import pytest
import tensorflow as tf
from processes import free_addresses, team_of, workers

from lcseg.errors import LcsegError, PeerLostError
from lcseg.pipeline.share import Share
from lcseg.training.cluster import ALONE, Cluster
from lcseg.training.council import Council
from lcseg.training.team import Team, form_team, share_of


def describe(cluster):
    """What a team of processes says of itself on one of them."""
    team = team_of(cluster)
    whole = team.strategy.num_replicas_in_sync
    return team.is_chief, team.devices, whole, team.split_batch(12, parts=3)


@pytest.mark.slow
def test_two_workers_form_a_team_of_two_devices_and_one_chief():
    with workers(2) as both:
        assert both.results(describe) == [(True, 1, 2, 6), (False, 1, 2, 6)]


def test_one_alone_is_the_chief_of_one_device():
    team = form_team()
    assert (team.is_chief, team.devices, team.split_batch(12, parts=3)) == (True, 1, 12)


def test_worker_that_does_not_come_is_named_before_tensorflow_waits_for_it():
    addresses = free_addresses(2)
    started_s = time.monotonic()
    with pytest.raises(PeerLostError) as caught:
        form_team(Cluster(addresses, 0, "LCSEG_HOSTS"), start_timeout_s=0.3)
    assert str(caught.value).startswith(f"worker 1 ({addresses[1]}): no answer within 0.3 s; ")
    assert time.monotonic() - started_s < 30


def make_team(devices: int) -> Team:
    """A team of one worker that says it has so many devices."""

    class Devices(tf.distribute.OneDeviceStrategy):
        num_replicas_in_sync = devices

    strategy = Devices("/cpu:0")
    return Team(ALONE, strategy, Council(strategy))


@pytest.mark.parametrize(
    ("devices", "batch", "parts", "each"),
    [(1, 7, 1, 7), (3, 12, 1, 4), (3, 12, 2, 4), (1, 8, 8, 8)],
)
def test_devices_get_the_same_number_of_crops_each(devices, batch, parts, each):
    assert make_team(devices).split_batch(batch, parts) == each


@pytest.mark.parametrize(
    ("devices", "batch", "parts", "says"),
    [
        (4, 6, 1, "--batch=6: is not a multiple of the 4 devices"),
        (2, 6, 2, "--batch=6: is not a multiple of the 2 devices x --accumulate=2"),
    ],
)
def test_batch_that_does_not_divide_is_refused_in_one_line(devices, batch, parts, says):
    with pytest.raises(LcsegError) as caught:
        make_team(devices).split_batch(batch, parts)
    assert str(caught.value) == says


def test_workers_share_the_room_of_a_machine_with_those_of_the_same_host():
    hosts = ("a:1", "b:1", "a:2", "a:3")
    shares = [share_of(Cluster(hosts, index, "Slurm")) for index in range(4)]
    assert shares == [Share(0, 4, 3), Share(1, 4, 1), Share(2, 4, 3), Share(3, 4, 3)]
    assert share_of(ALONE) == Share()
