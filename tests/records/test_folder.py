"""Folders that appear whole or not at all."""

import pytest

from lcseg.errors import LcsegError
from lcseg.records.folder import written_aside


def test_folder_appears_when_it_is_whole(tmp_path):
    out = tmp_path / "deep" / "data"
    with written_aside(out) as folder:
        (folder / "part").write_text("1")
        assert not out.exists()
    assert [path.name for path in out.iterdir()] == ["part"]
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_folder_that_fails_is_removed(tmp_path, error):
    with pytest.raises(error), written_aside(tmp_path / "data") as folder:
        (folder / "part").write_text("1")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_has_left_is_not_taken_over(tmp_path):
    (tmp_path / ".data.partial").mkdir()
    (tmp_path / ".data.partial" / "old").write_text("half")
    with written_aside(tmp_path / "data") as folder:
        (folder / "new").write_text("1")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["new"]


def test_two_runs_do_not_write_one_folder(tmp_path):
    out = tmp_path / "data"
    with written_aside(out) as folder:
        (folder / "part").write_text("1")
        refused = pytest.raises(LcsegError, match="data: is being written by another process; wait")
        with refused, written_aside(out):
            pass
    assert (out / "part").read_text() == "1"


def test_folder_that_exists_is_refused_and_untouched(tmp_path):
    (tmp_path / "mine").write_text("mine")
    for out in (tmp_path, tmp_path / "mine"):
        refused = pytest.raises(LcsegError, match="exists already; name another --out")
        with refused, written_aside(out):
            pass
    assert (tmp_path / "mine").read_text() == "mine"
