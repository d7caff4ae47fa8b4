"""Clusters as the environment tells of them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcseg.errors import LcsegError
from lcseg.training.cluster import Cluster, find_cluster, split_address

TWO = ["h0:2222", "h1:2222"]
STEP = {
    "SLURM_STEP_NODELIST": "n[1-2]",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
    "SLURM_NODEID": "1",
    "SLURM_LOCALID": "0",
    "LCSEG_PORT": "3000",
}


def tf_config(cluster, kind="worker", index=0, **extra):
    task = {"type": kind, "index": index}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task} | extra)}


def test_cluster_names_who_trains_and_which_of_them_this_process_is():
    cluster = find_cluster(tf_config({"worker": TWO}, index=1))
    assert cluster == Cluster(("h0:2222", "h1:2222"), 1, "TF_CONFIG")
    assert (cluster.size, cluster.is_chief, cluster.address) == (2, False, "h1:2222")
    assert cluster.name_of(1) == "worker 1 (h1:2222)"


@pytest.mark.parametrize(
    "environ",
    [{}, {"TF_CONFIG": " "}, {"TF_CONFIG": "{}"}, tf_config({}), {"JOB_COMPLETION_INDEX": "3"}],
)
def test_who_is_told_of_nobody_is_alone(environ):
    cluster = find_cluster(environ)
    assert (cluster.size, cluster.index, cluster.source) == (1, 0, "")
    assert cluster.is_chief


def test_empty_tf_config_says_alone_whatever_else_is_set():
    assert find_cluster(STEP | {"LCSEG_HOSTS": "a,b", "TF_CONFIG": "{}"}).size == 1


@pytest.mark.parametrize("chief", ["chief", "master"])
def test_chief_is_the_first_of_the_workers(chief):
    jobs = {"worker": TWO, chief: ["c:1"]}
    lead, follower = (find_cluster(tf_config(jobs, kind)) for kind in (chief, "worker"))
    assert lead.addresses == follower.addresses == ("c:1", "h0:2222", "h1:2222")
    assert (lead.index, lead.is_chief) == (0, True)
    assert (follower.index, follower.is_chief) == (1, False)


def test_evaluator_is_none_of_those_who_train():
    cluster = find_cluster(tf_config({"worker": TWO}, "evaluator"))
    assert (cluster.is_evaluator, cluster.is_chief, cluster.size) == (True, False, 2)
    assert not find_cluster(tf_config({"worker": TWO, "evaluator": ["e:1"]})).is_evaluator


def test_what_platforms_add_is_passed_over():
    jobs = {"worker": TWO, "ps": [], "chief": []}
    environ = tf_config(jobs, index="1", environment="cloud", job={"a": 1}, trial=None)
    assert find_cluster(environ).index == 1


def test_order_is_tf_config_then_slurm_then_hosts():
    hosts = {"LCSEG_HOSTS": "a,b", "LCSEG_INDEX": "1"}
    named = [hosts, STEP | hosts, tf_config({"worker": TWO}) | STEP | hosts]
    assert [find_cluster(environ).source for environ in named] == [
        "LCSEG_HOSTS",
        "Slurm",
        "TF_CONFIG",
    ]
    assert find_cluster(STEP) == Cluster(("n1:3000", "n2:3000"), 1, "Slurm")


def test_hosts_are_listed_with_or_without_ports():
    environ = {"LCSEG_HOSTS": "h0, h1.example.org:3000,[fd00::1]", "LCSEG_INDEX": "2"}
    cluster = find_cluster(environ)
    assert cluster == Cluster(
        ("h0:2222", "h1.example.org:3000", "[fd00::1]:2222"), 2, "LCSEG_HOSTS"
    )
    addresses = find_cluster(environ | {"LCSEG_PORT": "4000"}).addresses
    assert addresses == ("h0:4000", "h1.example.org:3000", "[fd00::1]:4000")


def test_pod_of_an_indexed_job_need_not_be_told_its_index():
    environ = {"LCSEG_HOSTS": "a,b", "JOB_COMPLETION_INDEX": "1"}
    assert find_cluster(environ).index == 1
    assert find_cluster(environ | {"LCSEG_INDEX": "0"}).index == 0


def test_cluster_of_one_is_still_a_cluster():
    cluster = find_cluster({"LCSEG_HOSTS": "h0", "LCSEG_INDEX": "0"})
    assert (cluster.size, cluster.source) == (1, "LCSEG_HOSTS")


def test_tensorflow_is_told_of_workers_only():
    cluster = find_cluster(tf_config({"chief": ["c:1"], "worker": TWO}, index=1, environment="x"))
    assert json.loads(cluster.tf_config()) == {
        "cluster": {"worker": ["c:1", "h0:2222", "h1:2222"]},
        "task": {"type": "worker", "index": 2},
    }


LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,9}[a-z0-9])?", fullmatch=True)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join) | st.ip_addresses(v=6).map(
    "[{}]".format
)
ADDRESSES = st.tuples(HOSTS, st.integers(1, 65535))


@settings(deadline=None, max_examples=30)
@given(st.lists(ADDRESSES, min_size=1, max_size=5, unique=True), st.data())
def test_what_tensorflow_is_told_says_the_same(parts, data):
    addresses = tuple(f"{host}:{port}" for host, port in parts)
    index = data.draw(st.integers(0, len(parts) - 1))
    cluster = Cluster(addresses, index, "TF_CONFIG")
    assert find_cluster({"TF_CONFIG": cluster.tf_config()}) == cluster
    assert split_address(cluster.address) == (parts[index][0].strip("[]"), parts[index][1])


def worker(*addresses):
    return tf_config({"worker": list(addresses)})["TF_CONFIG"]


NO_TASK = json.dumps({"cluster": {"worker": TWO}})
JOBS = "expected chief, worker or evaluator"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("worker", "TF_CONFIG: is not JSON: Expecting value at line 1 column 1"),
        ('{"cluster": {}', "TF_CONFIG: is not JSON: Expecting ',' delimiter at line 1 column 15"),
        ("[1]", "TF_CONFIG: expected an object, found [1]"),
        (
            '{"sparseCluster": {"worker": {"1": "h1:2222"}}}',
            "TF_CONFIG: sparseCluster: names some of the workers, expected all of them, as cluster;"
            " set enableDynamicWorker: false in the TFJob",
        ),
        ('{"cluster": null}', "TF_CONFIG: cluster: expected an object, found nothing"),
        ('{"cluster": []}', "TF_CONFIG: cluster: expected an object, found []"),
        ('{"cluster": {"worker": []}}', "TF_CONFIG: cluster: names no worker"),
        ('{"cluster": {"evaluator": ["e:1"]}}', "TF_CONFIG: cluster: names no worker"),
        ('{"cluster": {"wroker": []}}', f"TF_CONFIG: cluster.wroker: there is no such job, {JOBS}"),
        (
            '{"cluster": {"worker": ["h0:1"], "ps": ["p:1"]}}',
            "TF_CONFIG: cluster.ps: lcseg trains without parameter servers; leave ps out",
        ),
        (
            '{"cluster": {"chief": ["c:1"], "master": ["m:1"]}}',
            "TF_CONFIG: cluster: names several chiefs, expected one at most",
        ),
        (
            '{"cluster": {"worker": {"0": "h0:1"}}}',
            'TF_CONFIG: cluster.worker: expected a list, found {"0": "h0:1"}',
        ),
        (worker("h0:1", 7), "TF_CONFIG: cluster.worker[1]: expected a text, found 7"),
        (
            worker("h0:1", "h1"),
            "TF_CONFIG: cluster.worker[1]: 'h1' has no port, expected host:port",
        ),
        (
            worker("[fd00::1]"),
            "TF_CONFIG: cluster.worker[0]: '[fd00::1]' has no port, expected host:port",
        ),
        (
            worker("fd00::1:2222"),
            "TF_CONFIG: cluster.worker[0]: 'fd00::1:2222' is no address, expected host:port",
        ),
        (
            worker("grpc://h0:1"),
            "TF_CONFIG: cluster.worker[0]: 'grpc://h0:1' is no address, expected host:port",
        ),
        (
            worker("h0..svc:1"),
            "TF_CONFIG: cluster.worker[0]: 'h0..svc:1' is no address, expected host:port",
        ),
        (
            worker("h0:65536"),
            "TF_CONFIG: cluster.worker[0]: 'h0:65536' has port 65536, expected 1 to 65535",
        ),
        (worker("h0:0"), "TF_CONFIG: cluster.worker[0]: 'h0:0' has port 0, expected 1 to 65535"),
        (
            worker("h0:1", "h0:01"),
            "TF_CONFIG: names h0:1 twice, expected another address for each worker",
        ),
        (NO_TASK, "TF_CONFIG: task: expected an object, found nothing"),
    ],
)
def test_malformed_tf_config_is_refused_in_one_line_that_names_the_field(text, message):
    with pytest.raises(LcsegError) as error:
        find_cluster({"TF_CONFIG": text})
    assert (str(error.value), error.value.exit_code) == (message, 2)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (["worker", 0], 'task: expected an object, found ["worker", 0]'),
        ({"index": 0}, "task.type: expected a text, found nothing"),
        ({"type": "boss", "index": 0}, f"task.type: 'boss', {JOBS}"),
        ({"type": "ps", "index": 0}, f"task.type: 'ps', {JOBS}"),
        ({"type": "worker"}, "task.index: expected a whole number from 0, found nothing"),
        ({"type": "worker", "index": -1}, "task.index: expected a whole number from 0, found -1"),
        ({"type": "worker", "index": 0.0}, "task.index: expected a whole number from 0, found 0.0"),
        (
            {"type": "worker", "index": True},
            "task.index: expected a whole number from 0, found true",
        ),
        (
            {"type": "worker", "index": "one"},
            'task.index: expected a whole number from 0, found "one"',
        ),
        ({"type": "worker", "index": 5}, "task.index: 5, but the cluster has 2 workers"),
        ({"type": "chief", "index": 0}, "task.index: 0, but the cluster has 0 chiefs"),
    ],
)
def test_malformed_task_is_refused_in_one_line_that_names_the_field(task, message):
    with pytest.raises(LcsegError) as error:
        find_cluster({"TF_CONFIG": json.dumps({"cluster": {"worker": TWO}, "task": task})})
    assert str(error.value) == f"TF_CONFIG: {message}"


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"LCSEG_INDEX": "1"},
            "LCSEG_HOSTS: is not set, but LCSEG_INDEX is; set both or neither",
        ),
        (
            {"LCSEG_HOSTS": "a,b"},
            "LCSEG_INDEX: is not set, expected a whole number from 0 to 1",
        ),
        (
            {"LCSEG_HOSTS": "a,b", "LCSEG_INDEX": "2"},
            "LCSEG_INDEX: is '2', expected a whole number from 0 to 1",
        ),
        (
            {"LCSEG_HOSTS": "a,b", "JOB_COMPLETION_INDEX": "2"},
            "JOB_COMPLETION_INDEX: is '2', expected a whole number from 0 to 1",
        ),
        (
            {"LCSEG_HOSTS": "a,,b", "LCSEG_INDEX": "0"},
            "LCSEG_HOSTS: host 1: '' is no address, expected host:port",
        ),
        (
            {"LCSEG_HOSTS": "a,b:x", "LCSEG_INDEX": "0"},
            "LCSEG_HOSTS: host 1: 'b:x' is no address, expected host:port",
        ),
        (
            {"LCSEG_HOSTS": "a,a:2222", "LCSEG_INDEX": "0"},
            "LCSEG_HOSTS: names a:2222 twice, expected another address for each worker",
        ),
        (
            {"LCSEG_HOSTS": "a,b", "LCSEG_INDEX": "0", "LCSEG_PORT": "0"},
            "LCSEG_PORT: is '0', expected a whole number from 1 to 65535",
        ),
    ],
)
def test_malformed_hosts_are_refused_in_one_line_that_names_the_variable(environ, message):
    with pytest.raises(LcsegError) as error:
        find_cluster(environ)
    assert (str(error.value), error.value.exit_code) == (message, 2)
