"""Slurm steps as their environment describes them."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.python.distribute.cluster_resolver import slurm_cluster_resolver as reference

from lcseg.errors import LcsegError
from lcseg.training.slurm import expand_nodes, expand_tasks, find_step, read_number

STEP = {
    "SLURM_JOB_ID": "600",
    "SLURM_STEP_ID": "3",
    "SLURM_STEP_NODELIST": "gpu[08-10]",
    "SLURM_STEP_NUM_TASKS": "5",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
    "SLURM_NODEID": "1",
    "SLURM_LOCALID": "1",
    # As `--distribution=cyclic` numbers them.
    "SLURM_PROCID": "4",
}


def test_step_is_known_by_all_its_tasks_and_this_ones_place():
    first = 12_000 + 16 * ((7 * 600 + 3) % 1250)
    assert find_step(STEP) == (
        (
            f"gpu08:{first}",
            f"gpu08:{first + 1}",
            f"gpu09:{first}",
            f"gpu09:{first + 1}",
            f"gpu10:{first}",
        ),
        3,
    )


def test_every_task_finds_the_same_step_and_a_place_of_its_own():
    places = [(node, local) for node, tasks in enumerate([2, 2, 1]) for local in range(tasks)]
    steps = [
        find_step(STEP | {"SLURM_NODEID": str(node), "SLURM_LOCALID": str(local)})
        for node, local in places
    ]
    assert len({addresses for addresses, _ in steps}) == 1
    assert [place for _, place in steps] == [0, 1, 2, 3, 4]


def test_job_without_a_step_of_several_tasks_is_no_step():
    assert find_step({}) is None
    assert find_step({"SLURM_JOB_ID": "600", "SLURM_NODEID": "0"}) is None
    assert find_step(STEP | {"SLURM_STEP_NUM_TASKS": "1"}) is None


def test_port_is_what_the_user_says():
    addresses, _ = find_step(STEP | {"LCSEG_PORT": "65534"})
    assert addresses[2:4] == ("gpu09:65534", "gpu09:65535")


@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_ports_lie_below_those_of_outgoing_connections(job, step):
    addresses, _ = find_step(STEP | {"SLURM_JOB_ID": str(job), "SLURM_STEP_ID": str(step)})
    ports = [int(address.partition(":")[2]) for address in addresses]
    assert min(ports) >= 12_000
    assert max(ports) < 32_768


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32))
def test_neighbouring_jobs_and_steps_share_no_port(job):
    near = [(job + later, step) for later in range(20) for step in range(7)]
    firsts = {
        find_step(STEP | {"SLURM_JOB_ID": str(number), "SLURM_STEP_ID": str(step)})[0][0]
        for number, step in near
    }
    assert len(firsts) == len(near)


def format_nodes(prefix, numbers, width, suffix):
    """Numbers as Slurm writes them: runs of neighbours as ranges."""
    runs = itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    ranges = []
    for _, pairs in runs:
        run = [number for _, number in pairs]
        ranges.append("-".join(f"{end:0{width}}" for end in dict.fromkeys([run[0], run[-1]])))
    return f"{prefix}[{','.join(ranges)}]{suffix}"


NAMES = st.from_regex(r"[a-z]([a-z0-9.-]{0,5}[a-z])?", fullmatch=True)
NUMBERS = st.sets(st.integers(0, 300), min_size=1, max_size=20).map(sorted)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(NAMES, NUMBERS, st.integers(1, 5), NAMES | st.just("")), min_size=1))
def test_nodes_that_were_written_as_a_list_are_read_back(groups):
    text = ",".join(format_nodes(*group) for group in groups)
    assert expand_nodes(text) == [
        f"{prefix}{number:0{width}}{suffix}"
        for prefix, numbers, width, suffix in groups
        for number in numbers
    ]


@pytest.mark.parametrize(
    "text", ["n1", "n1,n2", "node[01-03,7],gpu5", "n[1-2],m5,o[3-4,6,7-9]", "a[098-101]"]
)
def test_nodes_are_those_that_tensorflow_reads(text):
    assert expand_nodes(text) == reference.expand_hostlist(text)


def test_several_brackets_are_every_choice_the_last_changing_first():
    assert expand_nodes("a[1-2]b[3-4]c") == ["a1b3c", "a1b4c", "a2b3c", "a2b4c"]


@given(st.lists(st.integers(1, 9), min_size=1))
def test_counts_that_were_written_as_a_list_are_read_back(counts):
    runs = [(count, len(list(run))) for count, run in itertools.groupby(counts)]
    text = ",".join(f"{count}(x{times})" if times > 1 else f"{count}" for count, times in runs)
    assert expand_tasks(text) == counts == reference.expand_tasks_per_node(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"SLURM_STEP_NUM_TASKS": "many"},
            "SLURM_STEP_NUM_TASKS: is 'many', expected a whole number from 0",
        ),
        (
            {"SLURM_STEP_NODELIST": ""},
            "SLURM_STEP_NODELIST: '' is no list of nodes, as node[01-03],gpu5",
        ),
        (
            {"SLURM_STEP_NODELIST": "a[1-2"},
            "SLURM_STEP_NODELIST: 'a[1-2' is no list of nodes, as node[01-03],gpu5",
        ),
        (
            {"SLURM_STEP_NODELIST": "a[1-x]"},
            "SLURM_STEP_NODELIST: 'a[1-x]' is no list of nodes, as node[01-03],gpu5",
        ),
        (
            {"SLURM_STEP_NODELIST": "a,,b"},
            "SLURM_STEP_NODELIST: 'a,,b' is no list of nodes, as node[01-03],gpu5",
        ),
        (
            {"SLURM_STEP_NODELIST": "a[3-1]"},
            "SLURM_STEP_NODELIST: the range 3-1 runs backwards",
        ),
        (
            {"SLURM_STEP_NODELIST": "a,b"},
            "SLURM_STEP_TASKS_PER_NODE: counts tasks of 3 nodes, but SLURM_STEP_NODELIST names 2",
        ),
        (
            {"SLURM_STEP_TASKS_PER_NODE": "2(x)"},
            "SLURM_STEP_TASKS_PER_NODE: '2(x)' is no list of counts, as 2(x3),1",
        ),
        (
            {"SLURM_STEP_TASKS_PER_NODE": "2(x3)"},
            "SLURM_STEP_TASKS_PER_NODE: counts 6 tasks, but SLURM_STEP_NUM_TASKS is 5",
        ),
        ({"SLURM_NODEID": "3"}, "SLURM_NODEID: is '3', expected a whole number from 0 to 2"),
        ({"SLURM_LOCALID": "2"}, "SLURM_LOCALID: is '2', expected a whole number from 0 to 1"),
        ({"SLURM_LOCALID": ""}, "SLURM_LOCALID: is not set, expected a whole number from 0 to 1"),
        ({"SLURM_JOB_ID": "x"}, "SLURM_JOB_ID: is 'x', expected a whole number from 0"),
        ({"SLURM_STEP_ID": ""}, "SLURM_STEP_ID: is not set, expected a whole number from 0"),
        (
            {"LCSEG_PORT": "65535"},
            "LCSEG_PORT: is '65535', expected a whole number from 1 to 65534",
        ),
    ],
)
def test_malformed_variable_is_named(change, message):
    with pytest.raises(LcsegError) as error:
        find_step(STEP | change)
    assert (str(error.value), error.value.exit_code) == (message, 2)


@pytest.mark.parametrize("text", ["", " ", "-1", "1.0", "٣", "1_000", "9" * 30, "11"])
def test_number_is_written_in_plain_digits_within_its_bounds(text):
    assert read_number({"N": " 007 "}, "N", most=10) == 7
    with pytest.raises(LcsegError, match=r"^N: is .*expected a whole number from 0 to 10$"):
        read_number({"N": text}, "N", most=10)
