"""Who trains together, as the environment tells.

cluster = find_cluster(os.environ)     # of TF_CONFIG, a Slurm step, LCSEG_HOSTS, or alone
cluster.size, cluster.is_chief         # 4, True
cluster.name_of(1)                     # "worker 1 (h1:2222)"
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from lcseg.errors import LcsegError
from lcseg.training.slurm import LAST_PORT, find_step, read_number

DEFAULT_PORT = 2222

T = TypeVar("T")

_LABEL = r"[A-Za-z0-9_-]{1,63}"
_ADDRESS = re.compile(rf"({_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{{1,9}}))?")
_JSON_NAMES: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}
# The jobs whose tasks train, in the order in which they are numbered.
_TRAINING_JOBS = ("chief", "master", "worker")


@dataclass(frozen=True)
class Cluster:
    """The processes that train as one."""

    addresses: tuple[str, ...]  # host:port of each, the chief's first
    index: int  # of this process among them; -1: it is an evaluator, which is none of them
    source: str  # what told so: TF_CONFIG, Slurm or LCSEG_HOSTS; empty: nothing did

    def __post_init__(self) -> None:
        address, times = Counter(self.addresses).most_common(1)[0]
        if times > 1:
            raise LcsegError(
                self.source, f"names {address} twice, expected another address for each worker"
            )

    @property
    def size(self) -> int:
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    @property
    def is_evaluator(self) -> bool:
        return self.index < 0

    @property
    def address(self) -> str:
        assert not self.is_evaluator
        return self.addresses[self.index]

    def name_of(self, index: int) -> str:
        """A worker as people are told of it."""
        return f"worker {index} ({self.addresses[index]})"

    def tf_config(self) -> str:
        """The TF_CONFIG that tells TensorFlow the same; a chief is worker 0 there."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": self.addresses}, "task": task})


ALONE = Cluster((f"localhost:{DEFAULT_PORT}",), 0, "")


def find_cluster(environ: Mapping[str, str]) -> Cluster:
    """The cluster that the environment names.

    TF_CONFIG goes before a Slurm step, and that before LCSEG_HOSTS with LCSEG_INDEX or, in an
    indexed Job of Kubernetes, JOB_COMPLETION_INDEX. LCSEG_PORT is the port where none is given.
    `TF_CONFIG={}` says that a process trains alone, whatever else is set.

    Raises:
        LcsegError: names the variable, and the field in it, that is malformed.
    """
    if environ.get("TF_CONFIG", "").strip():
        return _read_tf_config(environ["TF_CONFIG"])
    if step := find_step(environ):
        return Cluster(*step, "Slurm")
    if environ.get("LCSEG_HOSTS", "").strip():
        return _read_hosts(environ)
    if environ.get("LCSEG_INDEX"):
        raise LcsegError("LCSEG_HOSTS", "is not set, but LCSEG_INDEX is", "set both or neither")
    return ALONE


def split_address(address: str) -> tuple[str, int]:
    """Host, without brackets, and port of an address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _read_hosts(environ: Mapping[str, str]) -> Cluster:
    port = DEFAULT_PORT
    if environ.get("LCSEG_PORT"):
        port = read_number(environ, "LCSEG_PORT", least=1, most=LAST_PORT)
    addresses = tuple(
        _read_address(f"LCSEG_HOSTS: host {index}", text.strip(), port)
        for index, text in enumerate(environ["LCSEG_HOSTS"].split(","))
    )
    is_pod = not environ.get("LCSEG_INDEX") and environ.get("JOB_COMPLETION_INDEX")
    name = "JOB_COMPLETION_INDEX" if is_pod else "LCSEG_INDEX"
    return Cluster(addresses, read_number(environ, name, most=len(addresses) - 1), "LCSEG_HOSTS")


def _read_address(where: str, value: object, default_port: int | None = None) -> str:
    text = _expect(str, where, value)
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise LcsegError(where, f"{text!r} is no address, expected host:port")
    if match[2] is None and default_port is None:
        raise LcsegError(where, f"{text!r} has no port, expected host:port")
    port = int(match[2] or default_port or 0)
    if not 1 <= port <= LAST_PORT:
        raise LcsegError(where, f"{text!r} has port {port}, expected 1 to {LAST_PORT}")
    return f"{match[1]}:{port}"


def _read_tf_config(text: str) -> Cluster:
    try:
        config = _expect(dict, "TF_CONFIG", json.loads(text))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise LcsegError("TF_CONFIG", f"is not JSON: {error.msg} at {place}") from error
    if "sparseCluster" in config:
        raise LcsegError(
            "TF_CONFIG: sparseCluster",
            "names some of the workers, expected all of them, as cluster",
            "set enableDynamicWorker: false in the TFJob",
        )
    cluster = _expect(dict, "TF_CONFIG: cluster", config.get("cluster", {}))
    if not cluster:
        return ALONE
    jobs = {job: _read_job(job, tasks) for job, tasks in cluster.items()}
    training = {job: jobs.get(job, []) for job in _TRAINING_JOBS}
    if not any(training.values()):
        raise LcsegError("TF_CONFIG: cluster", "names no worker")
    if len(training["chief"] + training["master"]) > 1:
        raise LcsegError("TF_CONFIG: cluster", "names several chiefs, expected one at most")
    addresses = tuple(itertools.chain(*training.values()))
    return Cluster(addresses, _read_task(config.get("task"), training), "TF_CONFIG")


def _read_job(job: str, value: object) -> list[str]:
    where = f"TF_CONFIG: cluster.{job}"
    if job not in (*_TRAINING_JOBS, "evaluator", "ps"):
        raise LcsegError(where, "there is no such job, expected chief, worker or evaluator")
    tasks = _expect(list, where, value)
    if job == "ps" and tasks:
        raise LcsegError(where, "lcseg trains without parameter servers", "leave ps out")
    return [_read_address(f"{where}[{index}]", address) for index, address in enumerate(tasks)]


def _read_task(value: object, jobs: dict[str, list[str]]) -> int:
    """The place of this process's task among all that train; -1 for an evaluator."""
    task = _expect(dict, "TF_CONFIG: task", value)
    kind = _expect(str, "TF_CONFIG: task.type", task.get("type"))
    if kind == "evaluator":
        return -1
    if kind not in _TRAINING_JOBS:
        raise LcsegError("TF_CONFIG: task.type", f"{kind!r}, expected chief, worker or evaluator")
    # Some launchers write the number as a text.
    text = str(task.get("index"))
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise _unexpected("TF_CONFIG: task.index", "a whole number from 0", task.get("index"))
    index, count = int(text), len(jobs[kind])
    if index >= count:
        many = f"{count} {kind}{'' if count == 1 else 's'}"
        raise LcsegError("TF_CONFIG: task.index", f"{index}, but the cluster has {many}")
    before = _TRAINING_JOBS[: _TRAINING_JOBS.index(kind)]
    return sum(len(jobs[job]) for job in before) + index


def _expect(kind: type[T], where: str, value: object) -> T:
    if not isinstance(value, kind):
        raise _unexpected(where, _JSON_NAMES[kind], value)
    return value


def _unexpected(where: str, expected: str, value: object) -> LcsegError:
    found = "nothing" if value is None else json.dumps(value)[:60]
    return LcsegError(where, f"expected {expected}, found {found}")
