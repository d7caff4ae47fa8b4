"""Files here; `tests/stores` has those of object stores."""

from __future__ import annotations

import importlib.util

import pytest

from lcseg.errors import LcsegError
from lcseg.files import (
    exists,
    fetched,
    list_files,
    locate,
    move,
    remove,
    replaced,
    size_of,
    write_bytes,
)


def test_replacement_is_beside_its_place_hidden_and_of_the_same_kind(tmp_path):
    path = tmp_path / "map.tif"
    with replaced(path) as aside:
        assert (aside.parent, aside.suffix, aside.name[0]) == (tmp_path, ".tif", ".")
        aside.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_place_do_not_meet(tmp_path):
    with replaced(tmp_path / "a") as one, replaced(tmp_path / "a") as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "a").read_text() == "one"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_replacement_is_removed_where_the_block_fails(tmp_path, error):
    with pytest.raises(error), replaced(tmp_path / "a") as aside:
        aside.write_text("half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_files_are_listed_in_order_and_by_pattern(tmp_path):
    for name in ("b.json", "a.json", "a.tif"):
        write_bytes(tmp_path / "new" / name, b"x")
    assert [path.name for path in list_files(tmp_path / "new")] == ["a.json", "a.tif", "b.json"]
    assert [path.name for path in list_files(tmp_path / "new", "*.json")] == ["a.json", "b.json"]
    assert list_files(tmp_path / "none") == []


def test_file_that_is_moved_replaces_and_one_that_is_missing_may_be_removed(tmp_path):
    for name, content in (("old", b"1"), ("new", b"22")):
        write_bytes(tmp_path / name, content)
    move(tmp_path / "new", tmp_path / "old")
    assert (size_of(tmp_path / "old"), size_of(tmp_path / "new")) == (2, -1)
    remove(tmp_path / "new")
    remove(tmp_path / "old")
    assert not exists(tmp_path / "old")


def test_file_here_is_fetched_as_it_is(tmp_path):
    write_bytes(tmp_path / "a", b"1")
    with fetched(tmp_path / "a") as path:
        assert path == tmp_path / "a"


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("gs://bucket/data", "no store is known by gs://; use a folder, s3:// and az://"),
        ("s3://bucket", "is a whole store; name a folder: s3://BUCKET/FOLDER"),
        ("s3://bucket/", "is a whole store"),
        ("az://account/container", "name a folder: az://ACCOUNT/CONTAINER/FOLDER"),
    ],
)
def test_address_that_names_no_folder_of_a_store_is_refused_in_one_line(address, says):
    with pytest.raises(LcsegError) as caught:
        locate(address)
    assert says in str(caught.value)


@pytest.mark.skipif(bool(importlib.util.find_spec("tensorflow_io")), reason="it is installed")
@pytest.mark.parametrize("address", ["s3://bucket/data", "az://account/container/data"])
def test_store_without_the_extra_is_one_line_that_names_it(lcseg, address):
    done = lcseg("inspect", f"--data={address}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"lcseg: {address}: is in a store, which takes tensorflow-io")
    assert done.stderr.endswith("; pip install 'lcseg[io]'\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("verb", "flag"),
    [
        ("predict --model=a --image=a.tif", "out"),
        ("predict --model=a --image=a.tif --out=map.tif", "probabilities"),
        ("evaluate --model=a --data=a", "out"),
        ("train --data=a --run=a", "cache_dir"),
        ("scaling --data=a --workers=1,2", "out"),
        ("demo", "out"),
    ],
)
def test_what_must_be_written_here_is_not_taken_for_a_folder_named_after_a_store(
    lcseg, tmp_path, verb, flag
):
    done = lcseg(*verb.split(), f"--{flag}=s3://bucket/a", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    says = f"lcseg: --{flag}=s3://bucket/a: is in a store; write it here, and copy it there\n"
    assert done.stderr == says
    assert list(tmp_path.iterdir()) == []
