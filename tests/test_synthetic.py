from dataclasses import replace

import numpy as np
import pytest

from lcseg.classes import load_scheme
from lcseg.synthetic import (
    BARREN,
    NO_LABEL,
    TREES,
    Landscape,
    decide_cover,
    make_landscape,
    render,
    survey_ground,
)

SMALL = Landscape(size_px=256, seed=7)


def test_landscape_is_an_image_of_four_bands_and_a_label_that_the_scheme_reads():
    scene = make_landscape(SMALL)
    label_hw = load_scheme("chesapeake-4").encode(scene.codes_hw)
    assert scene.image_hwc.shape == (256, 256, 4)
    assert scene.image_hwc.dtype == scene.codes_hw.dtype == scene.truth_hw.dtype == np.uint8
    assert set(np.unique(label_hw)) == {0, 1, 2, 3}
    assert scene.valid_hw.all()


def test_same_configuration_makes_the_same_bytes():
    config = replace(SMALL, unlabelled_share=0.1, nodata_share=0.1)
    once, again = make_landscape(config), make_landscape(config)
    for name, array in vars(once).items():
        assert array.tobytes() == getattr(again, name).tobytes(), name


def test_other_seeds_make_other_ground_and_other_light():
    one, other = make_landscape(SMALL), make_landscape(replace(SMALL, seed=8))
    assert (one.truth_hw != other.truth_hw).mean() > 0.2
    assert (one.image_hwc != other.image_hwc).mean() > 0.8


@pytest.mark.parametrize("seed", range(6))
def test_every_merged_class_covers_a_sixteenth_of_the_scene(seed):
    config = Landscape(size_px=512, seed=seed)
    label_hw = load_scheme("chesapeake-4").encode(decide_cover(survey_ground(config), config))
    assert np.bincount(label_hw.ravel(), minlength=4).min() >= label_hw.size / 16


def test_image_is_zero_in_all_bands_exactly_where_it_is_not_valid():
    scene = make_landscape(replace(SMALL, nodata_share=0.2))
    np.testing.assert_array_equal(scene.image_hwc.any(axis=-1), scene.valid_hw)
    assert 1 - scene.valid_hw.mean() == pytest.approx(0.2, abs=0.01)


def test_no_valid_band_is_zero_even_in_strong_noise():
    assert make_landscape(replace(SMALL, noise=255)).image_hwc.min() == 1


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3])
def test_labels_are_missing_on_the_share_that_was_asked(share):
    scene = make_landscape(replace(SMALL, unlabelled_share=share))
    assert (scene.codes_hw == NO_LABEL).mean() == pytest.approx(share, abs=0.005)


def test_codes_are_the_truth_wherever_there_is_a_label():
    scene = make_landscape(replace(SMALL, unlabelled_share=0.2))
    has_label = scene.codes_hw != NO_LABEL
    np.testing.assert_array_equal(scene.codes_hw[has_label], scene.truth_hw[has_label])


def test_truth_holds_every_code_and_no_other():
    truth_hw = make_landscape(Landscape(size_px=512, seed=1)).truth_hw
    assert np.unique(truth_hw).tolist() == [1, 2, 3, 4, 5, 6]


def test_missing_labels_and_image_change_nothing_else():
    whole, torn = (
        make_landscape(replace(SMALL, unlabelled_share=share, nodata_share=share))
        for share in (0, 0.3)
    )
    np.testing.assert_array_equal(torn.truth_hw, whole.truth_hw)
    np.testing.assert_array_equal(torn.image_hwc[torn.valid_hw], whole.image_hwc[torn.valid_hw])


def test_planted_change_leaves_the_image_alone_beyond_the_reach_of_shadows():
    survey = survey_ground(SMALL)
    before_hw = decide_cover(survey, SMALL)
    after_hw = before_hw.copy()
    after_hw[100:140, 100:140] = np.where(after_hw[100:140, 100:140] == TREES, BARREN, TREES)
    is_other = (render(before_hw, survey, SMALL) != render(after_hw, survey, SMALL)).any(axis=-1)
    assert is_other[102:138, 102:138].mean() > 0.9
    is_other[86:142, 86:154] = False
    assert not is_other.any()


def test_bands_of_one_pixel_do_not_tell_the_classes_apart():
    scene = make_landscape(replace(SMALL, size_px=512))
    label = load_scheme("chesapeake-4").encode(scene.truth_hw).ravel()
    image = scene.image_hwc.reshape(-1, 4).astype(np.float64)
    means = np.array([image[label == k].mean(axis=0) for k in range(4)])
    nearest = ((image[:, None] - means) ** 2).sum(axis=-1).argmin(axis=1)
    assert 0.4 < (nearest == label).mean() < 0.85


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size_px", 31),
        ("seed", -1),
        ("unlabelled_share", 1.1),
        ("nodata_share", -0.1),
        ("noise", float("nan")),
    ],
)
def test_wrong_configuration_is_named_with_its_value(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}, expected"):
        Landscape(**{field: value})
