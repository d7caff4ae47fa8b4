"""Folders that appear whole or not at all, and the work that fills them."""

import shutil

import pytest

from lcseg.errors import LcsegError
from lcseg.records.folder import claimed, open_workspace


def test_folder_appears_when_it_is_whole(tmp_path):
    out = tmp_path / "deep" / "data"
    with open_workspace(out) as space:
        (space.folder / "part").write_text("1")
        (space.progress / "note").write_text("1")
        assert not out.exists()
        assert space.folder.parent == tmp_path / "deep" / ".data.partial"
    assert [path.name for path in out.iterdir()] == ["part"]
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_work_that_fails_without_progress_is_removed(tmp_path, error):
    with pytest.raises(error), open_workspace(tmp_path / "data") as space:
        (space.folder / "part").write_text("1")
        raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_work_that_fails_after_some_progress_is_found_again(tmp_path, error):
    with pytest.raises(error), open_workspace(tmp_path / "data") as space:
        (space.folder / "part").write_text("1")
        (space.progress / "note").write_text("1")
        raise error
    assert [path.name for path in tmp_path.iterdir()] == [".data.partial"]
    with open_workspace(tmp_path / "data") as space:
        assert space.has_progress
        assert (space.folder / "part").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_files_without_progress_are_not_taken_over(tmp_path):
    left = tmp_path / ".data.partial" / "data"
    left.mkdir(parents=True)
    (left / "old").write_text("half")
    with open_workspace(tmp_path / "data") as space:
        (space.folder / "new").write_text("1")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["new"]


def test_two_do_not_write_one_folder(tmp_path):
    out = tmp_path / "data"
    with open_workspace(out) as space:
        (space.folder / "part").write_text("1")
        refused = pytest.raises(LcsegError, match="data: is being written by another process; wait")
        with refused, open_workspace(out):
            pass
    assert (out / "part").read_text() == "1"


def test_folder_that_exists_is_refused_and_untouched(tmp_path):
    (tmp_path / "mine").write_text("mine")
    for out in (tmp_path, tmp_path / "mine"):
        refused = pytest.raises(LcsegError, match="exists already; name another --out")
        with refused, open_workspace(out):
            pass
    assert (tmp_path / "mine").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_progress_of_work_is_kept_where_its_name_was_taken_meanwhile(tmp_path):
    with pytest.raises(RuntimeError), open_workspace(tmp_path / "data") as space:
        (space.progress / "note").write_text("1")
        raise RuntimeError
    (tmp_path / "data").mkdir()
    with pytest.raises(LcsegError, match="exists already"), open_workspace(tmp_path / "data"):
        pass
    assert (tmp_path / ".data.partial" / "progress" / "note").exists()


def test_what_is_left_after_the_last_rename_is_cleared_away(tmp_path):
    # A process that was killed between renaming the folder and removing its notes.
    (tmp_path / "data").mkdir()
    (tmp_path / ".data.partial" / "progress").mkdir(parents=True)
    (tmp_path / ".data.partial" / "progress" / "note").write_text("1")
    with pytest.raises(LcsegError, match="exists already"), open_workspace(tmp_path / "data"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_claim_ends_with_its_block_and_notices_a_folder_that_went_away(tmp_path):
    with claimed(tmp_path, "data", "--out"):
        busy = pytest.raises(LcsegError, match=r"data: is being written .*, or name another --out")
        with busy, claimed(tmp_path, "data", "--out"):
            pass
    with claimed(tmp_path, "data", "--out"):
        pass
    folder = tmp_path / "gone"
    folder.mkdir()
    with claimed(folder, "data", "--out"):
        shutil.rmtree(folder)
    gone = pytest.raises(LcsegError, match="data: is being written by another process")
    with gone, claimed(folder, "data", "--out"):
        pass
