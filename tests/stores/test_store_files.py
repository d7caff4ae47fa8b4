"""Files in object stores, held against real servers."""

from __future__ import annotations

import gc
import shutil

import pytest

pytest.importorskip("tensorflow_io", reason="needs lcseg[io]")

from lcseg.errors import LcsegError, StoreError
from lcseg.files import (
    exists,
    fetched,
    list_files,
    locate,
    move,
    open_binary,
    read_bytes,
    remove,
    replaced,
    size_of,
    write_bytes,
)


def test_file_is_written_found_read_and_removed(place):
    path = locate(place) / "a.json"
    assert (exists(path), size_of(path)) == (False, -1)
    write_bytes(path, b"old content")
    write_bytes(path, b"new")
    assert (exists(path), size_of(path), read_bytes(path)) == (True, 3, b"new")
    remove(path)
    remove(path)
    assert not exists(path)


def test_path_names_others_as_any_path_does(place):
    folder = locate(place) / "run"
    assert str(folder / "bundle" / "a.json") == f"{place}/run/bundle/a.json"
    assert str(folder.with_name(".run.progress")) == f"{place}/.run.progress"
    assert ((folder / "a.json").stem, (folder / "a.json").suffix) == ("a", ".json")


def test_files_of_a_folder_are_listed_by_pattern(place):
    folder = locate(place)
    assert list_files(folder) == []
    for name in ("ckpt-2.index", "ckpt-10.index", "checkpoint"):
        write_bytes(folder / name, b"x")
    write_bytes(folder / "below" / "ckpt-3.index", b"x")
    assert list_files(folder, "ckpt-*.index") == [folder / "ckpt-10.index", folder / "ckpt-2.index"]


def test_missing_file_is_an_error_and_not_empty(place):
    path = locate(place) / "none"
    with pytest.raises(FileNotFoundError, match=f"{place}/none"):
        read_bytes(path)
    with pytest.raises(FileNotFoundError, match=f"{place}/none"), fetched(path):
        pass


def test_piece_of_a_file_is_read_without_the_rest(place):
    path = locate(place) / "a"
    write_bytes(path, bytes(range(256)) * 4096)
    with open_binary(path) as file:
        file.seek(256 * 2000 + 5)
        assert file.read(3) == b"\x05\x06\x07"


def test_large_file_comes_back_as_it_was(place, tmp_path):
    content = bytes(range(251)) * 200_000
    (tmp_path / "a").write_bytes(content)
    move(tmp_path / "a", locate(place) / "a")
    assert not (tmp_path / "a").exists()
    with fetched(locate(place) / "a") as path:
        assert path.read_bytes() == content
    assert not path.exists()


def test_block_that_fails_leaves_what_was_there(place):
    path = locate(place) / "a"
    write_bytes(path, b"old")
    with pytest.raises(ValueError, match="half"), replaced(path) as aside:
        aside.write_bytes(b"ne")
        raise ValueError("half")
    assert read_bytes(path) == b"old"


def test_upload_that_fails_midway_leaves_what_was_there(monkeypatch, tmp_path, place):
    path = locate(place) / "a"
    write_bytes(path, b"old")
    (tmp_path / "new").write_bytes(b"new" * 1000)

    def copy_half(source, target, _):
        target.write(source.read(1500))
        raise InterruptedError("midway")

    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr(shutil, "copyfileobj", copy_half)
        move(tmp_path / "new", path)
    gc.collect()
    assert read_bytes(path) == b"old"
    assert (tmp_path / "new").exists()


def test_file_is_renamed_though_the_answer_is_lost(monkeypatch, place):
    import tensorflow as tf

    path, rename = locate(place) / "a", tf.io.gfile.rename

    def lose_answer(*arguments, **options):
        rename(*arguments, **options)
        raise tf.errors.NotFoundError(None, None, "Failed to get delete after copy")

    monkeypatch.setattr(tf.io.gfile, "rename", lose_answer)
    write_bytes(path, b"content")
    assert read_bytes(path) == b"content"
    assert list_files(locate(place)) == [path]


def test_file_that_is_not_renamed_is_an_error(monkeypatch, store, place):
    import tensorflow as tf

    if store.startswith("s3"):
        pytest.skip("S3 has a file under its name at once")

    def refuse(*_, **__):
        raise tf.errors.PermissionDeniedError(None, None, "no")

    monkeypatch.setattr(tf.io.gfile, "rename", refuse)
    with pytest.raises(StoreError, match="the store refuses: PermissionDenied"):
        write_bytes(locate(place) / "a", b"content")


def test_store_that_is_not_there_is_one_line(store):
    elsewhere = {"s3": "s3://elsewhere/a", "az": "az://devstoreaccount1/elsewhere/a"}[store[:2]]
    with pytest.raises(
        LcsegError, match=r"the store refuses: .* are address and credentials right"
    ):
        write_bytes(locate(elsewhere), b"x")
