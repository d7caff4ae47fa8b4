"""Free memory in made-up machines, and of this one."""

import os
from pathlib import Path

import pytest

from lcseg.pipeline.capacity import free_disk_bytes, free_memory_bytes

GB = 10**9
UNLIMITED = 2**63 - 4096
"""What version 1 says if no limit was set."""


def make_machine(root, available, mounts, memberships):
    """A machine with so much memory: mounts are lines "folder type options"."""
    files = {
        "proc/meminfo": f"MemTotal: 99 kB\nMemAvailable: {available // 1000} kB\n",
        "proc/self/mounts": "".join(f"x /{place} {kind} 0 0\n" for place, kind in mounts),
        "proc/self/cgroup": "".join(f"{line}\n" for line in memberships),
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def limit_v2(folder, most, used, old=0, high="max"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{most}\n")
    (folder / "memory.high").write_text(f"{high}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {old}\n")


def limit_v1(folder, most, used, old=0):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.limit_in_bytes").write_text(f"{most}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"inactive_file 1\ntotal_inactive_file {old}\n")


V2 = [("sys/fs/cgroup", "cgroup2 rw")]
V1 = [("sys/fs/cgroup/cpu", "cgroup rw,cpu"), ("sys/fs/cgroup/memory", "cgroup rw,memory")]
BOTH = [*V1, ("sys/fs/cgroup/unified", "cgroup2 rw")]


def test_free_memory_is_less_than_the_machine_has():
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert 10_000_000 < free_memory_bytes() < total


def test_without_control_groups_it_is_what_the_machine_has_available(tmp_path):
    make_machine(tmp_path, 7 * GB, [("", "ext4 rw")], [])
    assert free_memory_bytes(tmp_path) == 7_000_000 * 1024


def test_limit_of_the_own_group_counts_without_pages_that_are_given_back(tmp_path):
    make_machine(tmp_path, 50 * GB, V2, ["0::/job"])
    limit_v2(tmp_path / "sys/fs/cgroup/job", 8 * GB, 3 * GB, old=2 * GB)
    assert free_memory_bytes(tmp_path) == 7 * GB


def test_limit_of_a_group_around_counts_if_it_leaves_less(tmp_path):
    make_machine(tmp_path, 50 * GB, V2, ["0::/slurm/job_7/step_0"])
    limit_v2(tmp_path / "sys/fs/cgroup/slurm/job_7/step_0", "max", 1 * GB)
    limit_v2(tmp_path / "sys/fs/cgroup/slurm/job_7", 16 * GB, 6 * GB)
    limit_v2(tmp_path / "sys/fs/cgroup/slurm", 30 * GB, 28 * GB)
    limit_v2(tmp_path / "sys/fs/cgroup/slurm/job_8", 1 * GB, 1 * GB)
    assert free_memory_bytes(tmp_path) == 2 * GB


def test_high_mark_counts_as_a_limit(tmp_path):
    make_machine(tmp_path, 50 * GB, V2, ["0::/job"])
    limit_v2(tmp_path / "sys/fs/cgroup/job", 8 * GB, 3 * GB, high=4 * GB)
    assert free_memory_bytes(tmp_path) == 1 * GB


def test_container_that_sees_its_own_part_of_the_tree_only_is_bound_by_it(tmp_path):
    """Without a namespace of its own /proc names the path outside, which is not there inside."""
    make_machine(tmp_path, 50 * GB, V1, ["4:memory:/docker/abc", "1:cpu:/docker/abc"])
    limit_v1(tmp_path / "sys/fs/cgroup/memory", 4 * GB, 1 * GB)
    assert free_memory_bytes(tmp_path) == 3 * GB


def test_first_version_counts_nested_groups_and_their_own_key(tmp_path):
    make_machine(tmp_path, 50 * GB, V1, ["4:cpu,memory:/a/b", "0::/"])
    limit_v1(tmp_path / "sys/fs/cgroup/memory", UNLIMITED, 9 * GB)
    limit_v1(tmp_path / "sys/fs/cgroup/memory/a", 6 * GB, 3 * GB, old=1 * GB)
    limit_v1(tmp_path / "sys/fs/cgroup/memory/a/b", UNLIMITED, 3 * GB)
    assert free_memory_bytes(tmp_path) == 4 * GB


def test_both_versions_side_by_side_are_both_looked_at(tmp_path):
    make_machine(tmp_path, 50 * GB, BOTH, ["4:memory:/a", "0::/b"])
    limit_v1(tmp_path / "sys/fs/cgroup/memory/a", 6 * GB, 1 * GB)
    limit_v2(tmp_path / "sys/fs/cgroup/unified/b", 4 * GB, 1 * GB)
    assert free_memory_bytes(tmp_path) == 3 * GB


def test_machine_that_is_short_of_memory_binds_more_than_a_wide_limit(tmp_path):
    make_machine(tmp_path, 2 * GB, V2, ["0::/job"])
    limit_v2(tmp_path / "sys/fs/cgroup/job", 64 * GB, 1 * GB)
    assert free_memory_bytes(tmp_path) == 2_000_000 * 1024


def test_group_that_is_over_its_limit_leaves_nothing(tmp_path):
    make_machine(tmp_path, 50 * GB, V2, ["0::/job"])
    limit_v2(tmp_path / "sys/fs/cgroup/job", 8 * GB, 9 * GB)
    assert free_memory_bytes(tmp_path) == 0


@pytest.mark.parametrize("folder", ["", "not/yet/made"])
def test_free_disk_is_that_of_the_file_system_where_a_folder_will_be(tmp_path, folder):
    status = os.statvfs(tmp_path)
    expected = status.f_bavail * status.f_frsize
    assert free_disk_bytes(tmp_path / folder) == pytest.approx(expected, rel=0.05)
