"""`lcseg predict`, run as a user would."""

import re

import rasterio


def test_an_image_is_mapped_and_its_classes_are_told(lcseg, bundle, scenes, tmp_path):
    out = tmp_path / "map.tif"
    image = scenes / "0_image.tif"
    result = lcseg("predict", f"--model={bundle}", f"--image={image}", f"--out={out}", "--quiet")
    assert (result.returncode, result.stderr) == (0, "")
    for name in ("water", "tree/forest", "grass/herbaceous", "barren/impervious"):
        assert re.search(rf"^{name} +[\d,]+ +\d+\.\d % +\d", result.stdout, re.MULTILINE)
    assert re.search(r"0\.04 Mpx in [\d.]+ s \([\d.]+ Mpx/s\)", result.stdout)
    assert result.stdout.endswith(f"map: {out}\n")
    with rasterio.open(out) as dataset:
        assert dataset.shape == (192, 192)


def test_a_fault_is_one_line_and_status_2(lcseg, bundle, scenes, tmp_path):
    out, label = tmp_path / "map.tif", scenes / "0_label.tif"
    result = lcseg("predict", f"--model={bundle}", f"--image={label}", f"--out={out}")
    assert result.returncode == 2
    assert re.fullmatch(r"lcseg: .*0_label.tif: has 1 band, .* on 4: [^\n]*\n", result.stderr)
    assert result.stdout == ""
    assert not list(tmp_path.iterdir())


def test_a_missing_flag_is_one_line_and_status_2(lcseg, tmp_path):
    result = lcseg("predict", f"--image={tmp_path}/scene.tif", f"--out={tmp_path}/map.tif")
    assert result.returncode == 2
    assert re.fullmatch(r"lcseg: [^\n]*--model[^\n]*\n", result.stderr)
