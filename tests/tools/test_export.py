"""`lcseg export`, run as a user would."""

import re

import pytest


@pytest.mark.parametrize(
    ("name", "out"), [("onnx", "model.onnx"), ("savedmodel", "saved"), ("arcgis", "landcover")]
)
def test_a_bundle_is_exported_and_its_ends_are_told(lcseg, bundle, tmp_path, name, out):
    path = tmp_path / out
    result = lcseg("export", f"--model={bundle}", f"--format={name}", f"--out={path}")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("in: image, uint8 [N, H, W, 4], raw red, green, blue, band_4; ")
    assert result.stdout.endswith(f"\n\n{name}: {path}\n")
    assert path.exists()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--format=onnx", "--out=model.bin"], r"flags: --out must end in \.onnx with [^\n]*"),
        (["--format=torch", "--out=model"], r"flag --format=torch: [^\n]*onnx\|arcgis[^\n]*"),
        (["--format=onnx", "--out=model.onnx"], r"nowhere: is not a bundle: [^\n]*"),
        (["--format=onnx", "--out=s3://b/m.onnx"], r"--out=s3://b/m\.onnx: is in a store; [^\n]*"),
    ],
)
def test_a_fault_is_one_line_and_status_2(lcseg, tmp_path, flags, says):
    result = lcseg("export", "--model=nowhere", *flags, cwd=tmp_path)
    assert result.returncode == 2
    assert re.fullmatch(f"lcseg: {says}\n", result.stderr)
    assert not list(tmp_path.iterdir())
