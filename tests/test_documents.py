from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcseg.documents import format_document, parse_document, read_document, write_document
from lcseg.errors import LcsegError


@dataclass(frozen=True)
class Part:
    name: str
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...]
    score: float | None = None
    notes: dict[str, str] | None = None


PARTS = st.builds(Part, st.text(), st.lists(st.integers()).map(tuple))
WHOLES = st.builds(
    Whole,
    st.lists(PARTS, max_size=3).map(tuple),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.dictionaries(st.text(), st.text(), max_size=3),
)


def test_document_is_written_as_json_and_read_back(tmp_path):
    whole = Whole((Part("água", (1, 2)),), 0.25)
    write_document(tmp_path / "whole.json", whole)
    text = (tmp_path / "whole.json").read_text(encoding="utf-8")
    assert json.loads(text)["parts"] == [{"name": "água", "sizes": [1, 2]}]
    assert read_document(tmp_path / "whole.json", Whole) == whole


@given(WHOLES)
def test_any_document_survives_being_written(whole):
    assert parse_document(format_document(whole), Whole, "text") == whole


def test_missing_number_is_null_which_every_reader_of_json_takes():
    text = format_document(Whole((), math.nan))
    assert json.loads(text, parse_constant=pytest.fail)["score"] is None
    assert parse_document(text, Whole, "text").score is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"parts": [{"name": 3}]}',
            r"whole\.json: parts\.0\.name: Input should be a valid string",
        ),
        ('{"parts": [{"name": "a"}, {}]}', r"parts\.1\.name: Field required"),
        ('{"parts": [], "score": "high"}', r"score: Input should be a valid number"),
        ("{", r"whole\.json: the document: Invalid JSON"),
        ("", r"whole\.json: the document: Invalid JSON"),
        ("[]", r"whole\.json: the document: Input should be an object"),
    ],
)
def test_field_that_does_not_fit_is_named_in_one_line(tmp_path, text, expected):
    path = tmp_path / "whole.json"
    path.write_text(text)
    with pytest.raises(LcsegError, match=expected) as caught:
        read_document(path, Whole)
    assert "\n" not in str(caught.value)


def test_document_that_is_no_text_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "whole.json"
    path.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(LcsegError, match=r"whole\.json: the document: Invalid JSON"):
        read_document(path, Whole)


def test_missing_document_and_folder_cannot_be_read(tmp_path):
    with pytest.raises(LcsegError, match=r"none\.json: cannot be read: No such file"):
        read_document(tmp_path / "none.json", Whole)
    with pytest.raises(LcsegError, match="cannot be read: Is a directory"):
        read_document(tmp_path, Whole)


def test_old_document_stays_where_writing_the_new_one_fails(tmp_path, monkeypatch):
    path = tmp_path / "whole.json"
    write_document(path, Whole((), 1))

    def fill_disk(handle: int) -> None:
        os.truncate(handle, 5)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fill_disk)
    with pytest.raises(OSError, match="No space left"):
        write_document(path, Whole((), 2))
    assert read_document(path, Whole).score == 1
    assert [p.name for p in tmp_path.iterdir()] == ["whole.json"]
