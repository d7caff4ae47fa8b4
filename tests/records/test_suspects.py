"""The file of suspects: written by lcseg, filled in by people, read by lcseg."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lcseg.errors import LcsegError
from lcseg.raster.vector import write_features
from lcseg.records.suspects import VERDICTS, Suspect, read_suspects, set_verdict, write_suspects

CRS = "EPSG:26918"
X, Y = 400_000, 4_300_000
SQUARE = shapely.box(X, Y - 20, X + 10, Y - 5)
APART = shapely.MultiPolygon([shapely.box(X + 20, Y - 9, X + 29, Y), SQUARE])
SUSPECTS = [
    Suspect(
        SQUARE,
        1,
        "scene 1",
        "2023-06-15",
        "grass/herbaceous",
        "water",
        0.97,
        0.01,
        150,
        150.0,
        0.96,
        None,
        "water",
    ),
    Suspect(APART, 2, "scene 2", label="water", suggested="tree/forest", note="a shadow?"),
]


def write_drawn(path: Path, **fields: list) -> Path:
    """A file as a person draws it: two squares and some fields."""
    shapes = np.array([SQUARE, shapely.box(X + 50, Y - 9, X + 60, Y)], object)
    columns = {name: np.array(values, object) for name, values in fields.items()}
    write_features(path, CRS, "Polygon", shapes, columns)
    return path


def test_suspects_are_written_judged_and_read(tmp_path):
    path = tmp_path / "suspects.gpkg"
    write_suspects(path, CRS, SUSPECTS)
    set_verdict(path, 1, "wrong", "water")
    crs, suspects = read_suspects(path)
    assert crs == CRS
    assert [suspect.verdict for suspect in suspects] == ["wrong", None]
    first, second = suspects
    assert replace(first, verdict=None, shape=SQUARE) == SUSPECTS[0]
    assert first.shape.equals(SQUARE) and second.shape.equals(APART)
    assert (second.label, second.note, second.new_class) == ("water", "a shadow?", None)
    assert math.isnan(second.area_m2) and math.isnan(second.confidence)


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.shp", "a.fgb"])
def test_any_format_keeps_what_is_told(tmp_path, name):
    path = tmp_path / name
    write_suspects(path, CRS, SUSPECTS)
    set_verdict(path, 2, " Unsure", None)
    _, suspects = read_suspects(path)
    by_id = {suspect.id: suspect for suspect in suspects}
    assert {number: suspect.verdict for number, suspect in by_id.items()} == {1: None, 2: "unsure"}
    for known in SUSPECTS:
        found = by_id[known.id]
        assert (found.scene, found.date, found.label) == (known.scene, known.date, known.label)
        assert (found.suggested, found.note, found.pixels) == (
            known.suggested,
            known.note,
            known.pixels,
        )
        for number in ("confidence", "label_probability", "area_m2", "score"):
            assert getattr(found, number) == pytest.approx(getattr(known, number), nan_ok=True)


def test_suspects_stand_in_the_order_of_their_ids(tmp_path):
    write_suspects(tmp_path / "a.gpkg", CRS, SUSPECTS[::-1])
    assert [suspect.id for suspect in read_suspects(tmp_path / "a.gpkg")[1]] == [1, 2]


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson"])
def test_no_suspects_are_a_file_too(tmp_path, name):
    write_suspects(tmp_path / name, CRS, [])
    assert read_suspects(tmp_path / name)[1] == []


def test_suspects_without_a_place_on_earth_are_kept(tmp_path):
    write_suspects(tmp_path / "a.gpkg", None, SUSPECTS)
    crs, suspects = read_suspects(tmp_path / "a.gpkg")
    assert crs is None
    assert suspects[0].shape.equals(SQUARE)


def test_all_else_stays_when_a_verdict_is_set(tmp_path):
    path = tmp_path / "suspects.gpkg"
    write_suspects(path, CRS, SUSPECTS)
    _, _, geometry, values = pyogrio.raw.read(path)
    names = pyogrio.read_info(path)["fields"].tolist()
    own = {
        "looked_at": np.array(["2026-01-02", "NaT"], "datetime64[D]"),
        "visits": np.array([3, 0], np.int32),
        "is_urgent": np.array([True, False]),
    }
    gaps = [np.array([False, True])] * 3
    columns = [values[i] for i in range(len(names))] + list(own.values())
    options = {"geometry_type": "MultiPolygon", "crs": CRS, "layer": "mine"}
    path.unlink()
    pyogrio.raw.write(
        path, geometry, columns, [*names, *own], field_mask=[None] * len(names) + gaps, **options
    )
    style = [np.array(["<qgis/>"], object)]
    pyogrio.raw.write(path, None, style, ["styleQML"], layer="layer_styles", geometry_type=None)
    before = pyogrio.read_info(path, layer="mine"), pyogrio.raw.read(path, layer="mine")
    set_verdict(path, 2, "right", "")
    after = pyogrio.read_info(path, layer="mine"), pyogrio.raw.read(path, layer="mine")
    assert pyogrio.list_layers(path).tolist() == [["mine", "MultiPolygon"], ["layer_styles", None]]
    assert pyogrio.raw.read(path, layer="layer_styles")[3][0].tolist() == ["<qgis/>"]
    assert before[0]["ogr_types"] == after[0]["ogr_types"]
    assert before[0]["ogr_subtypes"] == after[0]["ogr_subtypes"]
    assert before[1][2].tolist() == after[1][2].tolist()
    for name, old, new in zip(before[0]["fields"], before[1][3], after[1][3], strict=True):
        if name == "verdict":
            assert new.tolist() == [None, "right"]
        else:
            np.testing.assert_array_equal(old, new, err_msg=name)


def test_verdict_that_cannot_be_written_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "suspects.gpkg"
    write_suspects(path, CRS, SUSPECTS)
    before = path.read_bytes()
    with pytest.raises(LcsegError, match=r"suspects\.gpkg: has no suspect 7; name one of its ids"):
        set_verdict(path, 7, "wrong", None)
    with pytest.raises(LcsegError, match="suspect 1 has the verdict 'perhaps'; write wrong, right"):
        set_verdict(path, 1, "perhaps", None)
    (tmp_path / "suspects.gpkg-wal").write_bytes(b"not yet")
    with pytest.raises(LcsegError, match=r"suspects\.gpkg: is open in another program; save"):
        set_verdict(path, 1, "wrong", None)
    assert path.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"suspects.gpkg", "suspects.gpkg-wal"}


def test_verdict_may_be_taken_back(tmp_path):
    path = tmp_path / "suspects.gpkg"
    write_suspects(path, CRS, SUSPECTS)
    for verdict, new_class in (("wrong", "water"), (None, None)):
        set_verdict(path, 1, verdict, new_class)
        suspect = read_suspects(path)[1][0]
        assert (suspect.verdict, suspect.new_class) == (verdict, new_class)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(st.sampled_from(VERDICTS), st.text(" \t", max_size=2), st.randoms())
def test_verdicts_of_people_are_understood(tmp_path_factory, verdict, space, random):
    told = "".join(random.choice([c.lower(), c.upper()]) for c in verdict)
    path = tmp_path_factory.mktemp("drawn") / "drawn.gpkg"
    write_drawn(path, verdict=[f"{space}{told}{space}", None])
    assert [suspect.verdict for suspect in read_suspects(path)[1]] == [verdict, None]


@pytest.mark.parametrize("told", ["falsch", "wrong!", "yes"])
def test_verdict_that_is_none_is_refused(tmp_path, told):
    path = write_drawn(tmp_path / "a.gpkg", id=[4, 9], verdict=["wrong", told])
    with pytest.raises(LcsegError) as caught:
        read_suspects(path)
    assert str(caught.value) == (
        f"{path}: suspect 9 has the verdict {told!r}; write wrong, right, unsure, or nothing"
    )


def test_drawn_file_with_classes_alone_says_what_labels_shall_be(tmp_path):
    path = write_drawn(tmp_path / "a.gpkg", New_Class=["water ", ""])
    suspects = read_suspects(path)[1]
    assert [(s.id, s.verdict, s.new_class) for s in suspects] == [
        (1, "wrong", "water"),
        (2, None, None),
    ]
    assert {(s.scene, s.label) for s in suspects} == {("", "")}


def test_with_a_field_for_verdicts_a_class_alone_is_no_verdict(tmp_path):
    path = write_drawn(tmp_path / "a.gpkg", verdict=["wrong", None], new_class=[None, "water"])
    told = [(suspect.verdict, suspect.new_class) for suspect in read_suspects(path)[1]]
    assert told == [("wrong", None), (None, "water")]


def test_rows_that_people_add_are_numbered_after_the_others(tmp_path):
    path = write_drawn(tmp_path / "a.gpkg", id=[7, None], verdict=["right", "wrong"])
    assert [suspect.id for suspect in read_suspects(path)[1]] == [7, 8]
    set_verdict(path, 8, "unsure", None)
    assert [suspect.verdict for suspect in read_suspects(path)[1]] == ["right", "unsure"]


def test_drawn_polygons_without_any_field_can_be_judged_and_not_be_read_before(tmp_path):
    path = write_drawn(tmp_path / "a.gpkg")
    with pytest.raises(LcsegError, match="has neither a field verdict nor new_class; add verdict"):
        read_suspects(path)
    set_verdict(path, 2, "wrong", None)
    assert [suspect.verdict for suspect in read_suspects(path)[1]] == [None, "wrong"]


def test_what_has_no_polygon_is_refused(tmp_path):
    (tmp_path / "points.geojson").write_text(
        json.dumps(
            {
                "type": "Feature",
                "properties": {"verdict": "wrong"},
                "geometry": {"type": "Point", "coordinates": [0, 0]},
            }
        )
    )
    with pytest.raises(LcsegError, match=r"points\.geojson: suspect 1 has no polygon; draw it"):
        read_suspects(tmp_path / "points.geojson")
    path = tmp_path / "a.gpkg"
    shapes = np.array([SQUARE, None], object)
    write_features(path, CRS, "Polygon", shapes, {"verdict": np.array(["wrong"] * 2, object)})
    with pytest.raises(LcsegError, match="suspect 2 has no polygon"):
        read_suspects(path)
    with pytest.raises(LcsegError, match=r"none\.gpkg: does not exist"):
        read_suspects(tmp_path / "none.gpkg")


def test_a_first_verdict_leaves_what_others_have_said_by_their_new_class(tmp_path):
    path, square = tmp_path / "drawn.gpkg", shapely.box(0, 0, 10, 10)
    fields = {"new_class": np.array(["water", "grass", None], object)}
    write_features(path, "EPSG:26918", "Polygon", np.array([square] * 3, object), fields)
    set_verdict(path, 1, "right", None)
    _, suspects = read_suspects(path)
    assert [suspect.verdict for suspect in suspects] == ["right", "wrong", None]
