"""Bundles: saved, replaced, damaged."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest

from lcseg.errors import LcsegError
from lcseg.model.bundle import load_bundle, save_bundle
from lcseg.model.info import read_info


@pytest.fixture
def own_bundle(bundle, tmp_path):
    """A copy of the bundle that a test may harm."""
    return shutil.copytree(bundle, tmp_path / "bundle")


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_bundle_that_was_saved_is_loaded_as_it_was(bundle, tmp_path):
    first = load_bundle(bundle)
    saved = save_bundle(tmp_path / "copy", first.model, first.info)
    again = load_bundle(tmp_path / "copy")
    assert again.info == saved
    names = ("model_file", "model_sha256")
    plain = dict.fromkeys(names, "")
    assert dataclasses.replace(saved, **plain) == dataclasses.replace(first.info, **plain)
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 4)).astype(np.uint8)
    np.testing.assert_array_equal(again.model(image), first.model(image))
    assert again.path == tmp_path / "copy"


def test_bundle_is_replaced_and_leaves_no_file_of_the_old_one(own_bundle):
    loaded = load_bundle(own_bundle)
    for weight in loaded.model.trainable_variables:
        weight.assign(weight + 1)
    saved = save_bundle(own_bundle, loaded.model, dataclasses.replace(loaded.info, step=7))
    assert set(files_of(own_bundle)) == {"bundle.json", saved.model_file}
    assert saved.model_file != loaded.info.model_file
    again = load_bundle(own_bundle)
    assert again.info.step == 7
    for new, old in zip(again.model.weights, loaded.model.weights, strict=True):
        np.testing.assert_array_equal(new, old)


def test_card_is_that_of_the_model_that_was_saved_last(own_bundle):
    loaded = load_bundle(own_bundle)
    save_bundle(own_bundle, loaded.model, loaded.info, "# card\n")
    assert files_of(own_bundle)["MODEL_CARD.md"] == b"# card\n"
    save_bundle(own_bundle, loaded.model, loaded.info)
    assert "MODEL_CARD.md" not in files_of(own_bundle)


@pytest.mark.parametrize("where", ["while the model is written", "before the document is"])
def test_old_bundle_stays_readable_if_saving_breaks_off(own_bundle, monkeypatch, where):
    loaded = load_bundle(own_bundle)
    before = read_info(own_bundle)

    def half_written(model, path):
        path.write_bytes(b"half a model")
        raise KeyboardInterrupt

    def not_written(path, value):
        raise KeyboardInterrupt

    if where == "while the model is written":
        monkeypatch.setattr(keras.Model, "save", half_written)
    else:
        monkeypatch.setattr("lcseg.model.bundle.write_document", not_written)
        for weight in loaded.model.trainable_variables:
            weight.assign(weight + 1)
    with pytest.raises(KeyboardInterrupt):
        save_bundle(own_bundle, loaded.model, dataclasses.replace(before, step=9))
    monkeypatch.undo()
    assert load_bundle(own_bundle).info == before
    save_bundle(own_bundle, loaded.model, before)
    assert len(files_of(own_bundle)) == 2


def test_folder_without_a_bundle_is_refused(tmp_path):
    with pytest.raises(LcsegError, match=r"is not a bundle: it has no bundle\.json; give the"):
        load_bundle(tmp_path)


def test_missing_model_file_is_named(own_bundle):
    model_file = own_bundle / read_info(own_bundle).model_file
    model_file.unlink()
    with pytest.raises(LcsegError) as caught:
        load_bundle(own_bundle)
    assert str(caught.value) == f"{model_file}: is missing; copy the whole folder of the bundle"


@pytest.mark.parametrize("place", [0, 0.5, 0.999])
def test_model_file_with_a_changed_byte_is_refused(own_bundle, place):
    model_file = own_bundle / read_info(own_bundle).model_file
    content = bytearray(model_file.read_bytes())
    content[int(place * len(content))] ^= 1
    model_file.write_bytes(content)
    with pytest.raises(LcsegError, match="its checksum differs from the bundle's; copy it again"):
        load_bundle(own_bundle)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format_version": "2.0"}, "is lcseg-bundle 2.0, this lcseg reads lcseg-bundle 1.0"),
        ({"format_version": "12.0"}, "is lcseg-bundle 12.0"),
        ({"format": "lcseg-dataset"}, "is lcseg-dataset 1.0, this lcseg reads lcseg-bundle"),
        ({"halo_px": "wide"}, "halo_px: "),
    ],
)
def test_bundle_document_that_is_not_ours_is_refused_in_one_line(own_bundle, change, says):
    path = own_bundle / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(LcsegError) as caught:
        read_info(own_bundle)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_newer_minor_version_is_read_and_a_newer_major_of_other_fields_is_named(own_bundle):
    path = own_bundle / "bundle.json"
    path.write_text(path.read_text().replace('"format_version": "1.0"', '"format_version": "1.9"'))
    assert read_info(own_bundle).format_version == "1.9"
    path.write_text(json.dumps({"format": "lcseg-bundle", "format_version": "2.0"}))
    with pytest.raises(LcsegError, match=r"is lcseg-bundle 2\.0"):
        read_info(own_bundle)
