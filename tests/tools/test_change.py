"""`lcseg change`, run as a user would."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from changed import SCHEME, make_maps, write_map
from conftest import write_raster

from lcseg.planted import Dates, make_dates
from lcseg.synthetic import Landscape

PATIENCE_S = 300

CASES = [
    [],
    ["--before=a.tif"],
    ["--maps=2013=a.tif"],
    ["--before=a.tif", "--after=b.tif", "--maps=2013=a.tif,2015=b.tif"],
    ["--maps=a.tif,b.tif"],
    ["--maps=a=a.tif,a=b.tif"],
    ["--maps=4/7=a.tif,b=b.tif"],
    ["--maps=a=a.tif,b=b.tif", "--images=c=c.tif"],
    ["--maps=a=a.tif,b=b.tif", "--probabilities=a=p.tif"],
    ["--image_before=a.tif", "--image_after=b.tif"],
    ["--model=bundle", "--image_before=a.tif"],
    ["--before=a.tif", "--after=b.tif", "--min_confidence=1.1"],
    ["--before=a.tif", "--after=b.tif", "--min_confidence=nan"],
    ["--before=a.tif", "--after=b.tif", "--edge_tolerance_px=65"],
    ["--before=a.tif", "--after=b.tif", "--edge_tolerance_px=much"],
    ["--before=a.tif", "--after=b.tif", "--min_area_m2=-1"],
    ["--before=a.tif", "--after=b.tif", "--places=-1"],
    ["--before=a.tif", "--after=b.tif", "--region_name=NAME"],
    ["--before=none.tif", "--after=none.tif"],
    ["--before=a.tif", "--after=b.tif", "--classes=none.json"],
    ["--model=none", "--image_before=a.tif", "--image_after=b.tif"],
    ["a.tif", "b.tif"],
]

# Each case in a process of its own, which has imported everything already.
PROGRAM = """
import json, os, sys, tempfile
from lcseg import cli
from lcseg_tools import change
import lcseg.change.analysis
said = []
for case in json.loads(sys.argv[1]):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1), os.dup2(errors.fileno(), 2)
            cli.run(change.FLAGS, change.main, ["lcseg change", "--out=" + sys.argv[2], *case])
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = [file.seek(0) or file.read().decode() for file in (out, errors)]
        said.append([status, *texts])
print(json.dumps(said))
"""


@pytest.fixture
def maps(tmp_path):
    found = make_maps([1], 80, 90)
    return [
        f"--{date}={write_map(tmp_path / f'{date}.tif', label_hw)}"
        for date, label_hw in (("before", found.before_hw), ("after", found.after_hw))
    ]


def test_two_maps_are_compared_and_what_changed_is_told(lcseg, maps, tmp_path):
    out = tmp_path / "change"
    result = lcseg("change", *maps, f"--out={out}", "--quiet")
    assert result.returncode == 0
    assert all(line.startswith("warning: ") for line in result.stderr.splitlines())
    for name in SCHEME.names:
        number = r"[+−]?[\d.,]+"
        row = rf"^{name}( +{number}){{4}}$"
        assert re.search(row, result.stdout, re.MULTILINE)
    assert re.search(r"^differing [\d.]+ % of the area; taken for ", result.stdout, re.MULTILINE)
    assert result.stdout.endswith(f"{out}/transitions.tif\nreport: {out}/report.html\n")
    assert (out / "report.html").exists()


def test_a_series_tells_where_each_of_its_maps_is(lcseg, maps, tmp_path):
    first, second = (flag.partition("=")[2] for flag in maps)
    out = tmp_path / "change"
    series = f"--maps=2013-07-04={first},2015-08-12={second},2017={first}"
    result = lcseg("change", series, f"--out={out}", "--quiet")
    assert result.returncode == 0
    for name in ("2013-07-04_to_2015-08-12", "2015-08-12_to_2017", "2013-07-04_to_2017"):
        assert f"{out}/{name}/transitions.tif\n" in result.stdout
        assert (out / name / "transitions.tif").exists()


def test_whatever_is_wrong_with_the_flags_is_one_line_and_status_2(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(CASES), str(tmp_path / "change")],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        timeout=PATIENCE_S,
    )
    for case, (status, out, errors) in zip(CASES, json.loads(done.stdout), strict=True):
        assert status == 2, (case, status, errors)
        assert re.fullmatch(r"lcseg: [^\n]+\n", errors), (case, errors)
        assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_one_line_and_status_2(lcseg, maps, tmp_path):
    (tmp_path / "change").mkdir()
    result = lcseg("change", *maps, f"--out={tmp_path}/change")
    assert (result.returncode, result.stdout) == (2, "")
    assert re.fullmatch(r"lcseg: \S*/change: exists already; [^\n]+\n", result.stderr)


def list_partial(folder: Path) -> list[Path]:
    """What there is of the map of the first date while it is made."""
    return list(folder.glob(".change.partial/change/maps/.before*/*"))


@pytest.mark.slow
def test_a_comparison_that_was_killed_while_it_mapped_goes_on_and_ends_alike(
    lcseg, bundle, tmp_path
):
    pair = make_dates(Dates(Landscape(1400, 2)))
    flags = [f"--model={bundle}", "--quiet"]
    for date, scene in (("before", pair.before), ("after", pair.after)):
        path = write_raster(tmp_path / f"{date}.tif", scene.image_hwc)
        flags.append(f"--image_{date}={path}")
    program = str(Path(sys.executable).with_name("lcseg"))
    out = tmp_path / "change"
    command = [program, "change", *flags, f"--out={out}"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline_s = time.monotonic() + PATIENCE_S
    while not list_partial(tmp_path):
        assert time.monotonic() < deadline_s and process.poll() is None
        time.sleep(0.005)
    time.sleep(0.3)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()

    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    left = [path.name for path in out.rglob("*")]
    assert not [name for name in left if name.startswith(".") or "scratch" in name]
    assert [path.name for path in tmp_path.glob(".*")] == []
    fresh = tmp_path / "fresh"
    again = lcseg("change", *flags, f"--out={fresh}")
    assert again.returncode == 0
    assert again.stdout.replace(str(fresh), str(out)) == result.stdout
    assert sorted(left) == sorted(path.name for path in fresh.rglob("*"))
    for name in ("maps/before.tif", "maps/after_probabilities.tif", "transitions.tif"):
        assert (out / name).read_bytes() == (fresh / name).read_bytes()


@pytest.mark.real
@pytest.mark.slow
def test_naip_of_two_years_whose_grids_differ_goes_the_whole_way(
    lcseg, bundle, real_data, tmp_path
):
    paths = sorted((real_data / "unlabelled" / "naip-nd-5m").glob("*.tif"))
    images = ",".join(f"{path.stem[-8:-4]}={path}" for path in paths)
    model = learnt_at(bundle, 5.0, tmp_path)
    out = tmp_path / "change"
    flags = [f"--model={model}", f"--images={images}", f"--out={out}", "--quiet"]
    result = lcseg("change", *flags, "--min_confidence=0.5")
    assert result.returncode == 0, result.stderr
    report = json.loads((out / "report.json").read_text())
    assert [date["name"] for date in report["dates"]] == ["2009", "2020"]
    (interval,) = report["intervals"]
    assert interval["fit"]["sampling"] == "shifted"
    assert interval["fit"]["shift_px"] == pytest.approx([0.2, -0.2])
    assert interval["shift"]["n_windows"] > 3
    with rasterio.open(out / "transitions.tif") as dataset, rasterio.open(paths[0]) as image:
        assert (dataset.shape, dataset.transform) == (image.shape, image.transform)
        pixels = np.count_nonzero(dataset.read(1) != 255)
    assert pixels == np.array(interval["raw"]["pixels"])[:-1, :-1].sum() > 600_000


@pytest.mark.real
@pytest.mark.slow
def test_a_map_of_others_with_a_palette_is_compared_with_itself_moved(lcseg, real_data, tmp_path):
    path = real_data / "chesapeake-lc-map" / "cog_cmap.tif"
    with rasterio.open(path) as dataset:
        window = rasterio.windows.Window(2000, 3000, 900, 800)
        codes_hw = dataset.read(1, window=window)
        place = tuple(dataset.window_transform(window))[:6]
        crs = dataset.crs
    codes = sorted(set(np.unique(codes_hw).tolist()) - {0})
    classes = [
        {"name": f"code {code}", "color": f"#{20 * i:02X}8060", "codes": [code]}
        for i, code in enumerate(codes)
    ]
    scheme = tmp_path / "scheme.json"
    scheme.write_text(json.dumps({"name": "theirs", "classes": classes, "ignore": [0]}))
    maps = [
        write_raster(tmp_path / f"{i}.tif", label_hw, crs, place, nodata=0)
        for i, label_hw in enumerate((codes_hw, np.roll(codes_hw, 1, axis=1)))
    ]
    flags = [f"--before={maps[0]}", f"--after={maps[1]}", f"--classes={scheme}", "--quiet"]
    result = lcseg("change", *flags, f"--out={tmp_path}/change")
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "change" / "report.json").read_text())
    filtering = report["intervals"][0]["filtering"]
    # Every border has moved by a pixel, and nothing else has happened.
    assert filtering["change"] < 0.05 * filtering["differing"]


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(
    "place", ["tile/m_3907833_nw_17_1", "patches/wv_1m_2014-m_3708020_sw_17_1-0"]
)
def test_both_dates_of_the_chesapeake_naip_go_the_whole_way(
    lcseg, bundle, real_data, tmp_path, place
):
    old, new = (
        real_data / "chesapeake-naip" / f"{place}_naip-{when}.tif" for when in ("old", "new")
    )
    has_crs = place.startswith("tile")
    # The tile has pixels of 24 x 29 m, the patch no CRS; both tag near infrared as alpha, or not.
    model = learnt_at(bundle, 26.4 if has_crs else None, tmp_path)
    out = tmp_path / "change"
    flags = [f"--model={model}", f"--image_before={old}", f"--image_after={new}", f"--out={out}"]
    flags += ["--quiet", "--min_confidence=0.5", *([] if has_crs else ["--allow_ungeoreferenced"])]
    result = lcseg("change", *flags)
    assert result.returncode == 0, result.stderr
    (interval,) = json.loads((out / "report.json").read_text())["intervals"]
    with rasterio.open(out / "transitions.tif") as dataset, rasterio.open(old) as image:
        assert (dataset.shape, dataset.crs) == (image.shape, image.crs)
        pixels = np.count_nonzero(dataset.read(1) != 255)
    assert pixels == np.array(interval["raw"]["pixels"])[:-1, :-1].sum() > 30_000
    assert (interval["raw"]["hectares"] is not None) == has_crs
    if has_crs:
        assert np.hypot(interval["shift"]["rows_px"], interval["shift"]["cols_px"]) < 1
    else:
        # One window of forest in two seasons tells nothing, and it is said so.
        assert "lies at an unknown distance" in result.stdout


def learnt_at(bundle, pixel_m, folder):
    """The bundle as if its training imagery had had other pixels, and bands without names."""
    info = json.loads((bundle / "bundle.json").read_text())
    model = folder / "bundle"
    model.mkdir()
    (model / info["model_file"]).write_bytes((bundle / info["model_file"]).read_bytes())
    info |= {"pixel_m": pixel_m, "bands": [f"band_{i}" for i in range(1, 5)]}
    (model / "bundle.json").write_text(json.dumps(info))
    return model
