"""Whole audits."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from audited import CRS
from conftest import write_raster

from lcseg.audit.auditing import audit
from lcseg.audit.config import AuditConfig
from lcseg.audit.planting import plant
from lcseg.audit.report import AuditReport
from lcseg.classes import load_scheme
from lcseg.documents import read_document
from lcseg.errors import LcsegError
from lcseg.prediction.products import profile_of
from lcseg.raster.cog import write_cog
from lcseg.raster.grid import Grid
from lcseg.records.suspects import read_suspects
from lcseg.synthetic import Landscape

SCHEME = load_scheme("chesapeake-4")
PLACE = (1.0, 0.0, 400_000.0, 0.0, -1.0, 4_300_000.0)
SIZE_PX = 384


def imagine_model(truth_hw: np.ndarray, seed: int) -> np.ndarray:
    """Probabilities of a model that knows the truth, but in specks, which it is not sure of."""
    random = np.random.default_rng(seed)
    said_hw = SCHEME.encode(truth_hw).astype(int)
    is_speck_hw = random.random(said_hw.shape) < 0.002
    said_hw = np.where(is_speck_hw, random.integers(0, 4, said_hw.shape), said_hw)
    sure_hw = np.where(is_speck_hw, random.integers(120, 200, said_hw.shape), 248)
    probs_hwk = np.repeat((254 - sure_hw)[..., None] // 3, 4, axis=-1)
    np.put_along_axis(probs_hwk, said_hw[..., None], sure_hw[..., None], axis=-1)
    return probs_hwk.astype(np.uint8)


@pytest.fixture(scope="module")
def planted():
    return plant(Landscape(SIZE_PX, 11), share=0.03)


@pytest.fixture(scope="module")
def config(planted, tmp_path_factory) -> AuditConfig:
    folder = tmp_path_factory.mktemp("audited")
    grid = Grid(SIZE_PX, SIZE_PX, PLACE, CRS)
    with write_cog(folder / "p.tif", grid, profile_of("probabilities", SCHEME, {})) as writer:
        writer.write(grid.window, imagine_model(planted.truth_hw, 0))
    write_raster(folder / "label.tif", planted.codes_hw)
    write_raster(folder / "image.tif", planted.image_hwc)
    return AuditConfig(
        str(folder / "audit"),
        probabilities=str(folder / "p.tif"),
        label=str(folder / "label.tif"),
        image=str(folder / "image.tif"),
        classes="chesapeake-4",
        quiet=True,
    )


@pytest.fixture(scope="module")
def report(config) -> AuditReport:
    return audit(config)


def test_planted_faults_are_found_and_written_for_people(planted, config, report):
    crs, suspects = read_suspects(f"{config.out}/suspects.gpkg")
    assert crs == CRS
    assert [suspect.id for suspect in suspects] == list(range(1, len(report.places) + 1))
    found_hw = np.zeros((SIZE_PX, SIZE_PX), bool)
    truth_hw, label_hw = SCHEME.encode(planted.truth_hw), SCHEME.encode(planted.codes_hw)
    for suspect in suspects:
        y, x = np.mgrid[:SIZE_PX, :SIZE_PX] + 0.5
        own_hw = shapely.contains_xy(suspect.shape, 400_000 + x, 4_300_000 - y)
        assert np.count_nonzero(own_hw) == suspect.pixels == suspect.area_m2
        assert (label_hw[own_hw] == SCHEME.names.index(suspect.label)).all()
        assert np.mean(truth_hw[own_hw] == SCHEME.names.index(suspect.suggested)) > 0.9
        assert (suspect.new_class, suspect.verdict) == (suspect.suggested, None)
        assert np.mean(planted.planted_hw[own_hw]) > 0.5
        found_hw |= own_hw
    assert found_hw[planted.planted_hw].mean() > 0.7
    scores = [suspect.score for suspect in suspects]
    assert scores == sorted(scores, reverse=True) and len(scores) > 5
    assert read_document(f"{config.out}/report.json", AuditReport) == report


def test_the_page_pictures_the_places(config, report):
    page = Path(config.out, "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == len(report.places)
    assert page.count("data:image/png") == 2 * len(report.places)


def test_the_estimated_share_of_wrong_labels_is_near_the_truth(planted, report):
    wrong = np.mean(SCHEME.encode(planted.codes_hw) != SCHEME.encode(planted.truth_hw))
    # The specks of the model count as wrong labels, too.
    assert wrong < report.wrong_share < wrong + 0.03


def test_a_second_audit_finds_the_same(config, report, tmp_path):
    again = audit(replace(config, out=str(tmp_path / "again")))
    assert replace(again, created=report.created) == report


def test_places_beyond_the_limit_are_counted_but_not_listed(config, report, tmp_path):
    few = audit(replace(config, out=str(tmp_path / "few"), places=3))
    assert few.places == report.places[:3]
    assert few.pairs == report.pairs
    assert len(read_suspects(tmp_path / "few" / "suspects.gpkg")[1]) == 3


def test_a_scene_that_the_model_does_not_know_is_told(config, planted, tmp_path):
    label = write_raster(tmp_path / "label.tif", np.roll(planted.codes_hw, 150, axis=0))
    strange = audit(replace(config, out=str(tmp_path / "audit"), label=label, image=""))
    assert any("there it is rather the model that errs" in note for note in strange.notes)


def test_labels_that_agree_give_a_report_without_places(config, planted, tmp_path):
    label = write_raster(tmp_path / "label.tif", planted.truth_hw)
    clean = audit(replace(config, out=str(tmp_path / "audit"), label=label))
    assert clean.places == () and clean.pairs == ()
    assert read_suspects(tmp_path / "audit" / "suspects.gpkg") == (CRS, [])


def test_a_class_that_is_labelled_nowhere_is_told(config, planted, tmp_path):
    codes_hw = np.where(planted.codes_hw == 1, 3, planted.codes_hw)
    label = write_raster(tmp_path / "label.tif", codes_hw)
    found = audit(replace(config, out=str(tmp_path / "audit"), label=label))
    assert found.classes[0].threshold is None
    assert not any(place.suggested == "water" for place in found.places)
    assert found.notes[0].startswith("no pixel is labelled water: how sure the model is")


def test_what_fails_leaves_nothing(config, tmp_path):
    label = write_raster(tmp_path / "label.tif", np.zeros((SIZE_PX, SIZE_PX), np.uint8))
    with pytest.raises(LcsegError, match="has no pixel with both a label and a probability"):
        audit(replace(config, out=str(tmp_path / "audit"), label=label))
    assert [path.name for path in tmp_path.iterdir()] == ["label.tif"]


def test_probabilities_are_audited_without_tensorflow():
    code = (
        "import lcseg_tools.audit, lcseg.audit.auditing, sys; sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
