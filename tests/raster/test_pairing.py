import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcseg.errors import LcsegError
from lcseg.raster.pairing import Pair, pair_globs, read_pairs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder that patterns are relative to."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write_csv(folder: Path, text: str, encoding: str = "utf-8") -> str:
    path = folder / "pairs.csv"
    path.write_text(text, encoding=encoding)
    return str(path)


def test_files_pair_where_the_text_of_the_wildcard_is_equal(folder):
    touch(folder, "b_naip.tif", "a_naip.tif", "a_lc.tif", "b_lc.tif", "notes.txt")
    assert pair_globs("*_naip.tif", "*_lc.tif") == [
        Pair("a", "a_naip.tif", "a_lc.tif"),
        Pair("b", "b_naip.tif", "b_lc.tif"),
    ]


def test_several_wildcards_must_all_be_equal(folder):
    touch(folder, "md/2013/x_1.tif", "md/2014/x_1.tif", "lc/md_2013_1.tif", "lc/md_2014_1.tif")
    pairs = pair_globs("*/*/x_*.tif", "lc/*_*_*.tif")
    assert [(p.key, p.image, p.label) for p in pairs] == [
        ("md/2013/1", "md/2013/x_1.tif", "lc/md_2013_1.tif"),
        ("md/2014/1", "md/2014/x_1.tif", "lc/md_2014_1.tif"),
    ]


def test_two_stars_match_any_depth_even_none(folder):
    names = ("0", "p/1", "p/q/2")
    touch(folder, *(f"image/{n}.tif" for n in names), *(f"label/{n}.tif" for n in names))
    pairs = pair_globs("image/**/*.tif", "label/**/*.tif")
    assert {(p.image, p.label) for p in pairs} == {
        (f"image/{n}.tif", f"label/{n}.tif") for n in names
    }
    assert len({p.key for p in pairs}) == 3


def test_patterns_without_wildcards_pair_one_file_with_one(folder):
    touch(folder, "scene.tif", "truth.tif")
    assert pair_globs("scene.tif", "truth.tif") == [Pair("scene", "scene.tif", "truth.tif")]


def test_question_marks_and_sets_narrow_the_files_but_are_no_key(folder):
    touch(folder, "a1_i.tif", "b1_i.tif", "c1_i.tif", "a1_l.tif")
    assert [p.image for p in pair_globs("[!bc]?_i.tif", "[a]?_l.tif")] == ["a1_i.tif"]


@given(st.text("ab.+()$^{}| -", min_size=1, max_size=6).filter(lambda text: text.strip(". ")))
def test_signs_of_regular_expressions_in_names_mean_themselves(name):
    with tempfile.TemporaryDirectory() as made:
        touch(Path(made), f"{name}/1_i.tif", f"{name}/1_l.tif")
        (pair,) = pair_globs(f"{made}/{name}/*_i.tif", f"{made}/{name}/*_l.tif")
    assert pair.key == "1"


def test_files_without_a_mate_are_listed_on_both_sides(folder):
    touch(folder, "a_i.tif", "b_i.tif", "a_l.tif", "c_l.tif")
    with pytest.raises(LcsegError, match=r"2 files have no mate: b_i\.tif, c_l\.tif; files pair"):
        pair_globs("*_i.tif", "*_l.tif")


def test_every_file_without_a_mate_is_listed(folder):
    touch(folder, "x_l.tif", *(f"{n:02}_i.tif" for n in range(20)))
    with pytest.raises(LcsegError, match="21 files have no mate") as caught:
        pair_globs("*_i.tif", "*_l.tif")
    assert all(name in str(caught.value) for name in ("x_l.tif", "00_i.tif", "19_i.tif"))


def test_two_files_with_the_same_text_of_the_wildcards_are_refused(folder):
    touch(folder, "a/s1_x.tif", "a/s2_x.tif", "x_l.tif")
    expected = r"--images: a/s1_x\.tif and a/s2_x\.tif match with the same text"
    with pytest.raises(LcsegError, match=expected):
        pair_globs("a/s?_*.tif", "*_l.tif")


@pytest.mark.parametrize(("flag", "empty"), [("--images", "i"), ("--labels", "l")])
def test_pattern_that_matches_nothing_names_its_flag(folder, flag, empty):
    touch(folder, "a_i.tif", "a_l.tif")
    patterns = {"i": "*_i.tif", "l": "*_l.tif", empty: "*_none.tif"}
    with pytest.raises(LcsegError, match=rf"^{flag}: no file matches \*_none\.tif$"):
        pair_globs(patterns["i"], patterns["l"])


def test_sidecar_files_are_no_rasters(folder):
    touch(folder, "a_i.tif", "a_i.tif.aux.xml", "a_l.tif")
    assert len(pair_globs("*_i.tif*", "*_l.tif*")) == 1


def test_list_is_read_with_paths_from_its_own_folder(folder):
    path = write_csv(folder, "image,label,split\na.tif,sub/a_lc.tif,train\nb.tif,b_lc.tif,\n")
    assert read_pairs(path) == [
        Pair("a.tif", str(folder / "a.tif"), str(folder / "sub/a_lc.tif"), "train"),
        Pair("b.tif", str(folder / "b.tif"), str(folder / "b_lc.tif"), ""),
    ]


def test_absolute_and_virtual_paths_and_urls_stay_as_they_are(folder):
    images = ("/data/a.tif", "/vsis3/bucket/a.tif", "s3://bucket/a.tif", "https://host/a.tif")
    lines = "".join(f"{image},{image},\n" for image in images)
    pairs = read_pairs(write_csv(folder, f"image,label,split\n{lines}"))
    assert [pair.image for pair in pairs] == [pair.label for pair in pairs] == list(images)


def test_list_may_have_a_byte_order_mark_other_columns_and_any_order(folder):
    text = "note,label,image\nold, a_lc.tif , a.tif \n"
    (pair,) = read_pairs(write_csv(folder, text, "utf-8-sig"))
    assert pair == Pair("a.tif", str(folder / "a.tif"), str(folder / "a_lc.tif"))
    (pair,) = read_pairs(write_csv(folder, "image,label\na.tif,a_lc.tif\n", "utf-8-sig"))
    assert pair.key == "a.tif"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected the columns image,label,split, found no rows"),
        ("image,label,split\n", "expected the columns image,label,split, found no rows"),
        ("image,mask\na,b\n", "expected the columns image,label,split, found image, mask"),
        ("image,label,split\na,b,dev\n", "line 2: split is 'dev', expected train or val or test"),
        ("image,label,split\na,b,val\nc,,val\n", "line 3: image or label is empty"),
        ("image,label,split\n  ,b,val\n", "line 2: image or label is empty"),
        ("image,label,split\na\n", "line 2: image or label is empty"),
        ("image,label\na,b,train\n", "line 2: has more fields than the header"),
        ("image,label,split\na,b,\n./a,c,\n", "images that stand twice: .*a$"),
    ],
)
def test_fault_in_a_list_is_named_with_its_line(folder, text, expected):
    with pytest.raises(LcsegError, match=rf"pairs\.csv: {expected}"):
        read_pairs(write_csv(folder, text))


def test_list_that_is_missing_or_no_text_cannot_be_read(folder):
    with pytest.raises(LcsegError, match=r"pairs\.csv: cannot be read as CSV: .*No such file"):
        read_pairs("pairs.csv")
    (folder / "pairs.csv").write_bytes(b"image,label\n\xff\xfe,b\n")
    with pytest.raises(LcsegError, match=r"pairs\.csv: cannot be read as CSV"):
        read_pairs("pairs.csv")
