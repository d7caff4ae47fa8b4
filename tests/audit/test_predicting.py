"""What is audited where predictions have to be made."""

import json
from dataclasses import replace

import pytest
from conftest import write_raster

from lcseg.audit.auditing import audit
from lcseg.audit.config import AuditConfig
from lcseg.audit.predicting import predict_split
from lcseg.errors import LcsegError
from lcseg.model.config import UNetConfig
from lcseg.raster.crs import LONLAT, is_same_crs
from lcseg.records.config import ConvertConfig
from lcseg.records.conversion import convert
from lcseg.records.folder import open_workspace
from lcseg.records.manifest import read_manifest
from lcseg.records.suspects import read_suspects
from lcseg.synthetic import Landscape, make_landscape


@pytest.fixture
def config(bundle, dataset, tmp_path) -> AuditConfig:
    return AuditConfig(
        str(tmp_path / "audit"),
        model=str(bundle),
        data=str(dataset),
        edge_tolerance_px=1,
        quiet=True,
    )


def say_trained_on(bundle, digest, folder):
    """A copy of a bundle that was trained on the data of a digest."""
    folder.mkdir()
    for path in bundle.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    document = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(document | {"data_digest": digest}))
    return str(folder)


def test_a_split_is_audited_by_a_bundle(config, dataset):
    report = audit(config)
    manifest = read_manifest(dataset)
    assert report.scheme == manifest.class_scheme
    assert (report.labels, report.predictions) == (f"{dataset}, split test", config.model)
    expected = manifest.splits["test"].class_pixels
    assert tuple(row.pixels for row in report.classes) == expected
    # All scenes of the data set have one CRS.
    crs, suspects = read_suspects(f"{config.out}/suspects.gpkg")
    assert crs == "EPSG:26918"
    assert {suspect.scene for suspect in suspects} <= {s.key for s in manifest.sources}
    assert len(suspects) == len(report.places) > 0


@pytest.mark.parametrize(
    ("split", "is_its_own", "note"),
    [
        ("train", True, "the model was trained on this split, and does not contradict the wrong"),
        ("val", True, "the model was chosen by this split"),
        ("test", True, ""),
        ("test", False, "the model was trained on other data; whether it has seen this ground"),
    ],
)
def test_what_the_model_may_have_learnt_is_told(
    config, bundle, dataset, tmp_path, split, is_its_own, note
):
    digest = read_manifest(dataset).digest if is_its_own else "other"
    model = say_trained_on(bundle, digest, tmp_path / "bundle")
    with open_workspace(tmp_path / "out") as space:
        subject = predict_split(replace(config, model=model, split=split), space)
    assert len(subject.notes) == bool(note)
    assert all(told.startswith(note) for told in subject.notes)


def test_a_bundle_for_other_images_is_refused(config, save_bundle_of, tmp_path):
    other = save_bundle_of(tmp_path / "other", UNetConfig(2, 4), bands=2)
    with pytest.raises(LcsegError, match="its bands are red, green, blue"):
        audit(replace(config, model=str(other)))
    assert not (tmp_path / "audit").exists()


def test_places_of_scenes_in_several_crs_are_told_in_longitude_and_latitude(config, tmp_path):
    for crs in ("EPSG:26918", "EPSG:26917"):
        scene = make_landscape(Landscape(96, 5))
        for what, values in (("image", scene.image_hwc), ("label", scene.codes_hw)):
            write_raster(tmp_path / f"{crs[5:]}_{what}.tif", values, crs=crs)
    convert(
        ConvertConfig(
            "chesapeake-4",
            str(tmp_path / "data"),
            f"{tmp_path}/*_image.tif",
            f"{tmp_path}/*_label.tif",
            chip_px=48,
            split_by="scene",
            val_share=0,
            test_share=0,
            quiet=True,
        )
    )
    report = audit(replace(config, data=str(tmp_path / "data"), split="train"))
    crs, suspects = read_suspects(f"{config.out}/suspects.gpkg")
    assert crs is not None and is_same_crs(crs, LONLAT)
    assert {place.scene for place in report.places} == {"26917", "26918"}
    for suspect in suspects:
        lon = {"26918": -76.15, "26917": -82.15}[suspect.scene]
        assert suspect.shape.centroid.x == pytest.approx(lon, abs=0.01)
        assert suspect.shape.centroid.y == pytest.approx(38.84, abs=0.01)
