"""Model cards: written from what a bundle says of itself, completed by evaluation."""

import dataclasses
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcseg.evaluation.assessment import assess
from lcseg.evaluation.card import complete_card, describe_model, put_section
from lcseg.evaluation.config import EvaluateConfig
from lcseg.evaluation.confusion import Confusion
from lcseg.model.bundle import load_bundle, save_bundle
from lcseg.records.manifest import describe, read_manifest

COUNTS = np.array([[90, 5, 5, 0], [0, 50, 0, 50], [0, 0, 80, 20], [0, 60, 0, 40]], np.int64)
NAMES = ("water", "tree/forest", "grass/herbaceous", "barren/impervious")
SCORES = Confusion(COUNTS).scores(NAMES)


@pytest.fixture
def loaded(bundle, tmp_path):
    """A bundle that a test may write into; other tests may have written into the card of theirs."""
    own = shutil.copytree(bundle, tmp_path / "bundle")
    (own / "MODEL_CARD.md").unlink(missing_ok=True)
    return load_bundle(own)


def card_of(loaded) -> str:
    return (loaded.path / "MODEL_CARD.md").read_text()


def headings_of(text: str) -> list[str]:
    return [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]


def test_card_tells_the_data_the_classes_the_pixels_the_scores_and_the_limits(loaded, dataset):
    manifest = read_manifest(dataset)
    card = describe_model(loaded.info, manifest, SCORES)
    assert card.startswith("# chesapeake-4: model card\n")
    assert headings_of(card) == ["In and out", "Data", "Limits", "Scores on validation"]
    for part in (
        "raw pixels of uint8, 1 m wide on the ground; bands red, green, blue, band_4",
        "multiples of 4 px",
        f"sees {loaded.info.halo_px} px beyond",
        "3 scenes, as chips of 64 px",
        describe(manifest.splits, manifest.class_scheme),
        SCORES.table(),
        *NAMES,
    ):
        assert part in card


def test_dates_of_the_scenes_are_told_where_they_are_known(loaded, dataset):
    manifest = read_manifest(dataset)
    dates = ("2018-07-01T16:00:00", "", "2017-06-30")
    sources = tuple(
        dataclasses.replace(source, date=date)
        for source, date in zip(manifest.sources, dates, strict=True)
    )
    card = describe_model(loaded.info, dataclasses.replace(manifest, sources=sources))
    assert "3 scenes, taken from 2017-06-30 to 2018-07-01, as chips" in card
    assert "taken" not in describe_model(loaded.info, manifest)


def test_classes_that_are_poor_or_rare_are_named_among_the_limits(loaded, dataset):
    manifest = read_manifest(dataset)
    train = dataclasses.replace(manifest.splits["train"], class_pixels=(9, 100, 900, 0))
    rare = dataclasses.replace(manifest, splits={**manifest.splits, "train": train})
    card = describe_model(loaded.info, rare, SCORES)
    assert "little of water, barren/impervious: less than 1 % of the labels" in card
    assert "poor at tree/forest, barren/impervious: IoU on validation below 0.5" in card
    assert "poor" not in describe_model(loaded.info, manifest)


def test_model_whose_maps_are_blended_says_so(loaded):
    info = dataclasses.replace(loaded.info, config={"norm": "group", "depth": 2})
    card = describe_model(info)
    assert "blended where its blocks meet" in card and "A U-Net (depth 2, norm group) that" in card
    assert "blended" not in describe_model(loaded.info)


def test_unknown_pixel_size_is_said_to_be_unknown(loaded):
    card = describe_model(dataclasses.replace(loaded.info, pixel_m=None))
    assert "of unknown width on the ground" in card and "None" not in card


def test_evaluation_completes_the_card_once_for_each_reference(loaded):
    save_bundle(loaded.path, loaded.model, loaded.info, describe_model(loaded.info, None, SCORES))
    bundle = load_bundle(loaded.path)
    complete_card(bundle, "data, split test", SCORES)
    complete_card(bundle, "other, split val", SCORES)
    better = Confusion(np.diag([7, 8, 9, 10]).astype(np.int64)).scores(NAMES)
    complete_card(bundle, "data, split test", better)
    card = card_of(bundle)
    assert headings_of(card)[-3:] == [
        "Scores on validation",
        "Scores on data, split test",
        "Scores on other, split val",
    ]
    assert card.count(SCORES.table()) == 2 and card.count(better.table()) == 1


def test_evaluation_of_a_bundle_completes_its_card(loaded, dataset, tmp_path):
    out = str(tmp_path / "report")
    config = EvaluateConfig(out=out, model=str(loaded.path), data=str(dataset), quiet=True)
    report = assess(config)
    assert headings_of(card_of(loaded))[-1] == f"Scores on {dataset}, split test"
    assert card_of(loaded).endswith(f"```\n{report.scores.table()}\n```\n")


def test_what_people_wrote_stays(loaded):
    complete_card(loaded, "data, split test", SCORES)
    path = loaded.path / "MODEL_CARD.md"
    path.write_text(path.read_text().replace("## Limits\n", "## Limits\n\nNever at night.\n"))
    complete_card(loaded, "data, split test", SCORES)
    assert "## Limits\n\nNever at night.\n" in card_of(loaded)


def test_bundle_without_a_card_gets_one(loaded):
    (loaded.path / "MODEL_CARD.md").unlink(missing_ok=True)
    complete_card(loaded, "data, split test", SCORES)
    assert headings_of(card_of(loaded)) == [
        "In and out",
        "Data",
        "Limits",
        "Scores on data, split test",
    ]


def test_card_of_another_model_is_left_as_it_is(loaded, caplog):
    for weight in loaded.model.trainable_variables:
        weight.assign(weight + 1)
    save_bundle(loaded.path, loaded.model, loaded.info, "new\n")
    with caplog.at_level("INFO", "lcseg"):
        complete_card(loaded, "data, split test", SCORES)
    assert card_of(loaded) == "new\n"
    assert "left as it is" in caplog.text and "holds another model by now" in caplog.text


def test_bundle_that_cannot_be_written_is_told_and_no_error(loaded, monkeypatch, caplog):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lcseg.evaluation.card.write_bytes", refuse)
    with caplog.at_level("INFO", "lcseg"):
        complete_card(loaded, "data, split test", SCORES)
    assert "model card: left as it is: [Errno 13] Permission denied" in caplog.text


HEADINGS = st.sampled_from(["Limits", "Data", "Scores on a", "Scores on b"])
BODIES = st.text("ab #`\n", max_size=20).map(str.strip).filter(lambda text: "## " not in text)


@given(st.lists(st.tuples(HEADINGS, BODIES), max_size=8))
def test_last_section_of_each_heading_is_the_one_that_stands(puts):
    text = "# Card\n"
    for heading, body in puts:
        text = put_section(text, heading, body)
    last = dict(puts)
    assert headings_of(text) == list(dict.fromkeys(heading for heading, _ in puts))
    for heading, body in last.items():
        assert f"## {heading}\n\n{body}".rstrip("\n") in text
    assert text.startswith("# Card\n") and text.endswith("\n")
