"""What may be asked of an audit."""

import pytest

from lcseg.audit.config import AuditConfig

RASTERS = {"probabilities": "p.tif", "label": "l.tif", "classes": "chesapeake-4"}
WAYS = "give --folds and --data, or --model and --data, or --probabilities, --label and --classes"


def test_each_way_of_auditing_is_taken():
    assert AuditConfig("audit", **RASTERS).places == 200
    assert AuditConfig("audit", data="data", model="run/bundle").split == "test"
    config = AuditConfig("audit", data="data", folds=3, training=("--epochs=2", "--nod4"))
    assert config.training == ("--epochs=2", "--nod4")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, WAYS),
        ({"data": "data"}, WAYS),
        ({"model": "bundle"}, WAYS),
        ({"folds": 3}, WAYS),
        ({"data": "data", "model": "bundle", "folds": 3}, WAYS),
        ({**RASTERS, "data": "data"}, WAYS),
        ({**RASTERS, "model": "bundle"}, WAYS),
        ({"probabilities": "p.tif", "label": "l.tif"}, WAYS),
        ({"data": "data", "folds": 3, "image": "i.tif"}, "--image and --classes go with"),
        ({"data": "data", "folds": 2}, "--folds=2, expected at least 3: to test,"),
        ({**RASTERS, "training": ("--epochs=2",)}, "--epochs=2: flags of lcseg train go with"),
        (
            {"data": "d", "folds": 3, "training": ("--epochs=2", "--run=run")},
            "-- --run=run: the audit decides on the data and the runs",
        ),
        (
            {"data": "d", "folds": 3, "training": ("-data", "other")},
            "-- -data: the audit decides on the data and the runs",
        ),
        ({**RASTERS, "keep": "folds"}, "--keep goes with --folds"),
        ({**RASTERS, "places": 0}, "--places and --batch must be at least 1"),
        ({**RASTERS, "edge_tolerance_px": -1}, "--edge_tolerance_px, .* must not be negative"),
        ({**RASTERS, "min_area_m2": -0.5}, "--min_area_m2, .* must not be negative"),
    ],
)
def test_flags_without_a_sense_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        AuditConfig("audit", **flags)
