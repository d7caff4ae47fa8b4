import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcseg.classes import (
    IGNORE,
    MAX_CLASSES,
    SCHEMES,
    ClassScheme,
    LandClass,
    code_number,
    load_scheme,
    unpack_color,
)
from lcseg.documents import format_document
from lcseg.errors import LcsegError, UnknownCodesError

WATER = {"name": "water", "color": "#0000FF", "codes": [1]}
LAND = {"name": "land", "color": "#00FF00", "codes": [2, 3]}
DTYPES = ["uint8", "uint16", "int16", "int32", "uint32", "int64"]


def write_scheme(folder, **fields) -> str:
    path = folder / "classes.json"
    path.write_text(json.dumps({"name": "mine", "classes": [WATER, LAND], **fields}))
    return str(path)


@st.composite
def schemes(draw, highest: int = 70_000) -> ClassScheme:
    """Schemes of numbers, some above two bytes."""
    n = draw(st.integers(2, 6))
    pool = st.integers(0, 255) | st.integers(0, highest)
    codes = draw(st.lists(pool, min_size=n + 1, max_size=4 * n, unique=True))
    owners = [*range(n), *draw(st.lists(st.integers(0, n), min_size=len(codes) - n))][: len(codes)]
    return ClassScheme(
        "drawn",
        tuple(
            LandClass(f"class {k}", f"#{k:06X}", tuple(c for c, o in zip(codes, owners) if o == k))  # noqa: B905
            for k in range(n)
        ),
        tuple(c for c, o in zip(codes, owners) if o == n),  # noqa: B905
    )


def label_slowly(scheme: ClassScheme, codes: list[int]) -> list[int]:
    """Labels one code at a time."""
    meaning = {code: k for k, land in enumerate(scheme.classes) for code in land.codes}
    meaning |= dict.fromkeys(scheme.ignore, IGNORE)
    return [meaning[code] for code in codes]


def test_scheme_turns_codes_into_labels_and_labels_into_colours():
    scheme = load_scheme("chesapeake-4")
    label_hw = scheme.encode(np.array([[1, 2, 3], [4, 6, 15]], np.uint8))
    assert label_hw.tolist() == [[0, 1, 2], [3, 3, 255]]
    assert label_hw.dtype == np.uint8
    rgb_hwc = scheme.colorize(label_hw)
    assert rgb_hwc[0, 0].tolist() == [0x1F, 0x78, 0xC8]
    assert rgb_hwc[1, 2].tolist() == [0, 0, 0]


@given(schemes(), st.data())
def test_encode_agrees_with_a_dictionary_for_every_code(scheme, data):
    known = [code for land in scheme.classes for code in land.codes] + list(scheme.ignore)
    codes = data.draw(st.lists(st.sampled_from(known), min_size=1))
    for dtype in DTYPES:
        if max(codes) <= np.iinfo(dtype).max:
            labels = scheme.encode(np.array(codes, dtype))
            assert labels.tolist() == label_slowly(scheme, codes)
            assert labels.dtype == np.uint8


@given(schemes(), st.integers(-5, 80_000), st.sampled_from(DTYPES))
def test_code_that_the_scheme_does_not_name_is_never_a_label(scheme, code, dtype):
    known = {code for land in scheme.classes for code in land.codes} | set(scheme.ignore)
    if code in known or not np.iinfo(dtype).min <= code <= np.iinfo(dtype).max:
        return
    assert not scheme.knows(code)
    with pytest.raises(
        UnknownCodesError, match=rf"^drawn: no class has the codes {code}; add them"
    ):
        scheme.encode(np.array([[code, code]], dtype))


def test_unknown_codes_are_shown_once_each_in_order_and_not_without_end():
    codes = np.arange(500, 40, -1, dtype=np.int32)
    with pytest.raises(UnknownCodesError, match=r"codes 41, 42, 43, .*51, 52;") as caught:
        load_scheme("chesapeake-4").encode(codes)
    assert "53" not in str(caught.value)


def test_encode_keeps_the_shape_even_of_nothing():
    assert load_scheme("chesapeake-4").encode(np.zeros((0, 3), np.uint8)).shape == (0, 3)
    assert load_scheme("chesapeake-4").encode(np.zeros((2, 3, 4), np.int64)).shape == (2, 3, 4)


@given(schemes(), st.data())
def test_colorize_agrees_with_the_colours_as_they_are_written(scheme, data):
    labels = data.draw(st.lists(st.sampled_from([*range(scheme.n_classes), IGNORE]), min_size=1))
    written = [*(land.color for land in scheme.classes)]
    rgb = scheme.colorize(np.array([labels], np.uint8))[0]
    for label, color in zip(labels, rgb.tolist(), strict=True):
        expected = "#000000" if label == IGNORE else written[label]
        assert "#{:02X}{:02X}{:02X}".format(*color) == expected


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_colour_codes_are_packed_red_first(rgb):
    text = "#{:02x}{:02X}{:02x}".format(*rgb)
    red, green, blue = rgb
    assert code_number(text) == red * 65536 + green * 256 + blue
    assert unpack_color(code_number(text)) == rgb


def test_scheme_of_colours_reads_packed_colours_and_shows_them_as_such():
    scheme = ClassScheme(
        "colours",
        (LandClass("a", "#000000", ("#00000A",)), LandClass("b", "#FFFFFF", ("#0A0000",))),
    )
    assert scheme.has_color_codes
    assert scheme.encode(np.array([[0x0A0000, 0x00000A]])).tolist() == [[1, 0]]
    assert scheme.format_code(0x0A0B0C) == "#0A0B0C"
    assert not load_scheme("chesapeake-4").has_color_codes
    assert load_scheme("chesapeake-4").format_code(7) == "7"


@pytest.mark.parametrize("name", SCHEMES)
def test_builtin_schemes_name_every_code_of_the_chesapeake(name):
    scheme = load_scheme(name)
    assert scheme.name == name
    assert scheme.n_classes == int(name[-1])
    labels = scheme.encode(np.array([0, 1, 2, 3, 4, 5, 6, 15]))
    assert set(labels.tolist()) == {*range(scheme.n_classes), IGNORE}
    assert labels[[0, -1]].tolist() == [IGNORE, IGNORE]
    assert len({land.color for land in scheme.classes}) == scheme.n_classes


def test_scheme_is_read_from_a_file(tmp_path):
    scheme = load_scheme(write_scheme(tmp_path, ignore=[9]))
    assert scheme.names == ("water", "land")
    assert scheme.encode(np.array([1, 3, 9])).tolist() == [0, 1, 255]


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_scheme_survives_being_written(tmp_path, scheme):
    path = tmp_path / "classes.json"
    path.write_text(format_document(scheme))
    assert load_scheme(str(path)) == scheme


def test_scheme_that_is_neither_builtin_nor_a_file_lists_the_builtin_ones():
    expected = "--classes=none: neither a built-in scheme nor a file; .* chesapeake-4, chesapeake-6"
    with pytest.raises(LcsegError, match=expected):
        load_scheme("none")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"classes": [WATER]}, "1 classes, expected 2 to 254"),
        ({"classes": [WATER, LAND | {"name": "water"}]}, "two classes have the same name"),
        ({"classes": [WATER, LAND | {"codes": [1]}]}, "a source code stands twice"),
        ({"ignore": [3]}, "a source code stands twice"),
        ({"classes": [WATER, LAND | {"codes": []}]}, "classes.1: class 'land' has no source codes"),
        (
            {"classes": [WATER, LAND | {"color": "red"}]},
            "classes.1: color of class 'land' is 'red'",
        ),
        ({"classes": [WATER, LAND | {"codes": ["#00FF00"]}]}, "codes mix integers and colours"),
        ({"classes": [WATER, LAND | {"codes": [2.5]}]}, "classes.1.codes.0"),
        (
            {"classes": [WATER | {"codes": ["7"]}, LAND | {"codes": ["8"]}]},
            "code '7', expected an integer or \"#RRGGBB\"",
        ),
        (
            {"classes": [WATER | {"codes": ["#00ff00"]}, LAND | {"codes": ["#00FF00"]}]},
            "a source code stands twice",
        ),
        ({"classes": [WATER, {"name": "land", "codes": [2]}]}, "classes.1.color: Field required"),
        ({"ignored": [0]}, "ignored: there is no such field"),
        ({"classes": [WATER, LAND | {"colour": "#000000"}]}, "classes.1.colour: there is no such"),
        ({"name": 7}, "name: Input should be a valid string"),
    ],
)
def test_fault_in_a_scheme_is_one_line_that_names_the_field(tmp_path, fields, expected):
    with pytest.raises(LcsegError, match=r"classes\.json: .*" + re.escape(expected)) as caught:
        load_scheme(write_scheme(tmp_path, **fields))
    assert "\n" not in str(caught.value)
    assert "Value error" not in str(caught.value)


def test_largest_scheme_leaves_255_to_what_is_ignored():
    classes = tuple(LandClass(f"{k}", f"#{k:06X}", (k,)) for k in range(MAX_CLASSES))
    scheme = ClassScheme("large", classes, ignore=(254,))
    codes = np.arange(255, dtype=np.uint8)
    assert scheme.encode(codes).tolist() == [*range(254), 255]
    with pytest.raises(UnknownCodesError):
        scheme.encode(np.array([255], np.uint8))
    with pytest.raises(ValueError, match="255 classes, expected 2 to 254"):
        ClassScheme("too large", (*classes, LandClass("x", "#FFFFFF", (254,))))
