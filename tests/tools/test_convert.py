"""`lcseg convert`, as a user runs it."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import distributed
import numpy as np
import pytest
import rasterio
from conftest import write_raster

from lcseg.records.config import ConvertConfig
from lcseg.records.manifest import read_manifest
from lcseg.records.plan import make_plan


@pytest.fixture
def good(make_raster) -> dict[str, str]:
    """The flags of a conversion that succeeds, of a scene in the test's own folder."""
    random = np.random.default_rng(0)
    image = make_raster("a_image.tif", random.integers(1, 255, (96, 96, 3)).astype(np.uint8))
    make_raster("a_label.tif", random.integers(1, 7, (96, 96)).astype(np.uint8))
    folder = Path(image).parent
    return {
        "classes": "chesapeake-4",
        "images": f"{folder}/*_image.tif",
        "labels": f"{folder}/*_label.tif",
        "out": f"{folder}/data",
        "chip_px": "32",
        "block_chips": "1",
        "split_buffer_px": "0",
        "workers": "1",
    }


def as_flags(values: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]


def spoil(folder: Path, how: str, make_raster) -> str:
    """Spoil the input of a conversion; return what the error must say."""
    image, label = folder / "a_image.tif", folder / "a_label.tif"
    if how == "truncated TIFF":
        os.truncate(image, image.stat().st_size // 2)
        return "a_image.tif: cannot be read at row "
    if how == "HTML page":
        label.write_text("<!DOCTYPE html><html><body>404 Not Found</body></html>")
        return "a_label.tif: is not a raster that can be opened"
    if how == "missing mate":
        make_raster("b_image.tif", np.ones((96, 96, 3), np.uint8))
        return "1 files have no mate: "
    if how == "unknown code":
        make_raster(label.name, np.full((96, 96), 77, np.uint8))
        return "a_label.tif: codes that 'chesapeake-4' does not name: 77 (9,216 px)"
    (folder / "data").mkdir()
    return "data: exists already"


def assert_one_line(run: subprocess.CompletedProcess[str], message: str) -> None:
    assert run.returncode == 2, run.stderr
    assert run.stdout == ""
    lines = [x for x in run.stderr.splitlines() if not x.startswith("convert: ")]
    assert len(lines) == 1, run.stderr
    assert lines[0].startswith("lcseg: ")
    assert message in lines[0]


def test_convert_packs_a_folder_and_prints_what_is_in_it(lcseg, good):
    run = lcseg("convert", *as_flags(good))
    assert run.returncode == 0, run.stderr
    manifest = read_manifest(good["out"])
    assert sum(summary.chips for summary in manifest.splits.values()) == 9
    *table, shards, report = run.stdout.splitlines()
    assert shards == f"3 shards from 1 scenes in {good['out']}"
    assert report == f"report: {good['out']}/conversion.html"
    assert [line.split()[0] for line in table if line[:1] != "-" and line.split()] == [
        "split",
        "train",
        "val",
        "test",
    ]
    assert [line for line in run.stderr.splitlines() if "ConvertConfig(" not in line] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", ["truncated TIFF", "HTML page", "missing mate", "unknown code", "output exists"]
)
def test_input_that_is_no_good_is_one_line_and_leaves_nothing(
    lcseg, good, make_raster, tmp_path, how
):
    message = spoil(tmp_path, how, make_raster)
    before = sorted(tmp_path.rglob("*"))
    assert_one_line(lcseg("convert", *as_flags(good)), message)
    assert sorted(tmp_path.rglob("*")) == before


def test_flags_that_are_missing_or_unknown_are_one_line(lcseg, good):
    del good["classes"]
    assert_one_line(lcseg("convert", *as_flags(good)), "classes")
    run = lcseg("convert", *as_flags({**good, "clases": "chesapeake-4"}))
    assert_one_line(run, "clases")


def lcseg_process(*arguments: str, **options: object) -> subprocess.Popen[str]:
    """Start `lcseg VERB …` in a process group of its own."""
    program = Path(sys.executable).with_name("lcseg")
    return subprocess.Popen(
        [str(program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def wait_for(process: subprocess.Popen[str], is_so: Callable[[], object]) -> bool:
    """Watch until something is so; False if the process ended before."""
    deadline = time.monotonic() + 60
    while not is_so():
        if process.poll() is not None:
            return bool(is_so())
        assert time.monotonic() < deadline
    return True


def group_of(process: subprocess.Popen[str]) -> list[int]:
    """The processes of the session that a process leads; those that only wait are left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == process.pid and fields[0] != "Z":
                found.append(int(path.parent.name))
    return found


def wait_alone(process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 30
    while group_of(process):
        assert time.monotonic() < deadline, group_of(process)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The flags of a conversion in many parts, but for --out and --workers."""
    folder = tmp_path_factory.mktemp("long")
    random = np.random.default_rng(0)
    for number in range(2):
        place = (1.0, 0.0, 400_000.0 + 1300 * number, 0.0, -1.0, 4_300_000.0)
        for what, shape in (("image", (1280, 1280, 4)), ("label", (1280, 1280))):
            values = random.integers(1, 7, shape).astype(np.uint8)
            write_raster(folder / f"{number}_{what}.tif", values, transform=place)
    return {
        "classes": "chesapeake-4",
        "images": f"{folder}/*_image.tif",
        "labels": f"{folder}/*_label.tif",
        "chip_px": "64",
        "block_chips": "2",
        "shard_mb": "1",
    }


ALL = 99
"""Parts, if it is to be all of them."""


def long_config(flags: dict[str, str]) -> dict[str, object]:
    return {name: int(text) if text.isdigit() else text for name, text in flags.items()}


@pytest.fixture(scope="module")
def whole(long, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The checksums of what that conversion makes if nothing disturbs it."""
    out = tmp_path_factory.mktemp("whole") / "data"
    process = lcseg_process("convert", *as_flags({**long, "out": str(out), "workers": "1"}))
    assert process.wait() == 0, process.communicate()
    return hash_files(out)


def hash_files(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def notes(space: Path) -> set[str]:
    """The parts that are noted as done; `.part…` is one that is just being written."""
    folder = space / "progress"
    return {p.name for p in folder.glob("part-*.json")} if folder.exists() else set()


def identify_done(space: Path, done: set[str]) -> dict[str, tuple[int, int]]:
    numbers = {name.removeprefix("part-").removesuffix(".json") for name in done}
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in space.glob("data/[a-z]*.tfrecord")
        if path.stem.rpartition("-")[2] in numbers
    }


def assert_goes_on(flags: dict[str, str], whole: dict[str, str], run: subprocess.Popen) -> None:
    """After a conversion has ended early: what is there, and that the next start goes on."""
    out = Path(flags["out"])
    space = out.with_name(".data.partial")
    assert not out.exists()
    done = notes(space)
    before = identify_done(space, done)
    assert before
    again = lcseg_process("convert", *as_flags(flags))
    _, stderr = again.communicate(timeout=120)
    assert again.returncode == 0, stderr
    assert f"{len(done)} of " in stderr
    after = {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in out.glob("*.tfrecord")}
    assert before.items() <= after.items()
    assert hash_files(out) == whole
    assert [path.name for path in out.parent.iterdir()] == ["data"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "parts"), [(1, 1), (1, 4), (1, 11), (1, ALL), (2, 1), (2, 6), (2, ALL)]
)
def test_killed_conversion_goes_on_and_ends_with_the_same_bytes(
    lcseg, long, whole, tmp_path, workers, parts
):
    flags = {**long, "out": f"{tmp_path}/data", "workers": str(workers)}
    space = tmp_path / ".data.partial"
    process = lcseg_process("convert", *as_flags(flags))
    total = len(make_plan(ConvertConfig(**long_config(flags))).parts)
    assert parts == ALL or parts < total
    try:
        if parts != ALL:
            assert wait_for(process, lambda: len(notes(space)) >= parts)
        else:
            # Between the last part and the manifest.
            assert wait_for(process, lambda: len(notes(space)) == total)
    finally:
        process.kill()
    process.communicate()
    wait_alone(process)
    if (tmp_path / "data").exists():
        pytest.skip("it had ended already")
    if parts != ALL:
        for verb, flag in (("inspect", "data"), ("train", "data")):
            for folder in (space, space / "data"):
                run = lcseg(verb, f"--{flag}={folder}", *(["--run=r"] if verb == "train" else []))
                assert run.returncode == 2
                assert "is not a data set" in run.stderr
            if workers == 2 or parts > 1:
                break
    assert_goes_on(flags, whole, process)


@pytest.mark.slow
def test_conversion_that_is_killed_again_and_again_ends_with_the_same_bytes(long, whole, tmp_path):
    flags = {**long, "out": f"{tmp_path}/data", "workers": "1"}
    space, starts = tmp_path / ".data.partial", 0
    while len(notes(space)) < 15:
        before = len(notes(space))
        process = lcseg_process("convert", *as_flags(flags))
        assert wait_for(process, lambda: len(notes(space)) >= before + 3)  # noqa: B023
        process.kill()
        process.communicate()
        starts += 1
    assert starts > 2
    assert_goes_on(flags, whole, process)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("to_all", [False, True])
def test_signal_ends_in_one_line_and_keeps_what_is_done(
    long, whole, tmp_path, workers, number, to_all
):
    flags = {**long, "out": f"{tmp_path}/data", "workers": str(workers)}
    space = tmp_path / ".data.partial"
    process = lcseg_process("convert", *as_flags(flags))
    try:
        assert wait_for(process, lambda: len(notes(space)) >= 2)
        (os.killpg if to_all else os.kill)(process.pid, number)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    lines = [line for line in stderr.splitlines() if not line.startswith("convert: ")]
    assert len(lines) == 1, stderr
    assert lines[0].startswith("lcseg: ")
    assert "nothing unfinished is left that reads as whole" in lines[0]
    wait_alone(process)
    assert_goes_on(flags, whole, process)


@pytest.mark.slow
def test_second_process_is_refused_while_the_first_one_writes(lcseg, long, whole, tmp_path):
    flags = {**long, "out": f"{tmp_path}/data", "workers": "1"}
    process = lcseg_process("convert", *as_flags(flags))
    assert wait_for(process, lambda: notes(tmp_path / ".data.partial"))
    process.send_signal(signal.SIGSTOP)
    try:
        assert_one_line(lcseg("convert", *as_flags(flags)), "is being written by another process")
    finally:
        process.send_signal(signal.SIGCONT)
    assert process.wait(60) == 0
    assert hash_files(tmp_path / "data") == whole


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_full_disk_is_one_line_and_goes_on_when_there_is_room(
    lcseg, long, whole, tmp_path, workers
):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6M", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system is not permitted")
    flags = {**long, "out": f"{disk}/data", "workers": str(workers)}
    try:
        assert_one_line(lcseg("convert", *as_flags(flags)), "No space left on device")
        assert notes(disk / ".data.partial")
        room = ["mount", "-o", "remount,size=40M", str(disk)]
        subprocess.run(room, check=True)
        assert_goes_on(flags, whole, None)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_cluster_of_the_command_line_gives_the_same_bytes(long, whole, tmp_path, lcseg):
    bin_ = Path(sys.executable).parent
    file = tmp_path / "scheduler.json"
    common = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen(
        [
            *f"{bin_}/dask scheduler --host=127.0.0.1 --port=0 --no-dashboard".split(),
            f"--scheduler-file={file}",
        ],
        **common,
    )
    worker = None
    try:
        assert wait_for(scheduler, file.exists)
        worker = subprocess.Popen(
            [
                *f"{bin_}/dask worker --no-dashboard --nthreads=1 --nworkers=2".split(),
                f"--scheduler-file={file}",
                f"--local-directory={tmp_path}/scratch",
            ],
            **common,
        )
        address = json.loads(file.read_text())["address"]
        with distributed.Client(address) as client:
            client.wait_for_workers(2, timeout=60)
        out = tmp_path / "out" / "data"
        run = lcseg("convert", *as_flags({**long, "out": str(out), "scheduler": address}))
        assert run.returncode == 0, run.stderr
        assert hash_files(out) == whole
    finally:
        for process in (worker, scheduler):
            if process:
                process.terminate()
                process.wait(60)


QUICK = """
import sys, time
from lcseg import cli
start = time.perf_counter()
sys.argv = ["lcseg", *{arguments}]
try:
    cli.main()
except SystemExit as end:
    code = end.code
heavy = {{"tensorflow", "keras", "torch", "matplotlib"}} & set(sys.modules)
print(code, sorted(heavy), "rasterio" in sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["convert", "--clases=x"], "clases"),
        (["convert", "--classes=chesapeake-4", "--out=o"], "give either --images and --labels"),
        (
            ["convert", "--classes=chesapeake-4", "--out=o", "--pairs=none.csv"],
            "none.csv: cannot be",
        ),
        (
            ["convert", "--classes=none.json", "--out=o", "--images=a.tif", "--labels=b.tif"],
            "none.json: neither a built-in scheme nor a file",
        ),
        (
            ["convert", "--classes=chesapeake-4", "--out=o", "--images=no*.tif", "--labels=b.tif"],
            "no file matches no*.tif",
        ),
    ],
)
def test_fault_in_the_flags_is_told_at_once(tmp_path, arguments, says):
    start = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-c", QUICK.format(arguments=arguments)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    took_s = time.monotonic() - start
    *lines, last = [x for x in run.stderr.splitlines() if not x.startswith("convert: ")]
    assert last.startswith("2 []"), run.stderr
    assert len(lines) == 1 and says in lines[0]
    assert took_s < 2
    assert list(tmp_path.iterdir()) == []


def test_help_lists_the_flags_without_loading_anything_heavy(tmp_path):
    start = time.monotonic()
    run = subprocess.run(
        [Path(sys.executable).with_name("lcseg"), "convert", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert time.monotonic() - start < 2
    for flag in ("--split_buffer_px=… (default: 32)", "--workers=…", "--split_by=block|scene"):
        assert flag in run.stdout


def test_plan_leaves_the_report_alone(lcseg, good, tmp_path):
    before = set(tmp_path.iterdir())
    run = lcseg("convert", *as_flags(good), "--plan")
    assert run.returncode == 0, run.stderr
    assert set(tmp_path.iterdir()) - before == {tmp_path / "data.plan"}
    assert {path.stem for path in (tmp_path / "data.plan").iterdir()} == {"conversion"}
    assert run.stdout.splitlines()[-1].startswith("no records were written; report: ")


JUDGE = """
import json, pathlib, re, sys, time
from absl import flags
from lcseg import cli
from lcseg_tools import convert
flags.FLAGS(["judge"])
for line in sys.stdin:
    start = time.monotonic()
    config = convert.ConvertConfig(**json.loads(line))
    convert.FLAGS.collect = lambda: config
    sys.stderr.flush()
    code = cli._guard(convert.FLAGS, convert.main)
    # Not ru_maxrss: that of a process begins with what the one that started it had.
    status = pathlib.Path("/proc/self/status").read_text()
    mb = int(re.search(r"VmHWM:\\s+([0-9]+)", status)[1]) // 1024
    print("judged", json.dumps([code, time.monotonic() - start, mb]), flush=True)
"""
"""Plans one conversion after the other as the command does, and says how each ended."""


def judge(tasks: list[tuple[str, dict[str, object]]], folder: Path) -> dict[str, list[str]]:
    """Plan conversions in one process; returns what is wrong, by name."""
    wrong: dict[str, list[str]] = {}
    errors = folder / "stderr"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", JUDGE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        for name, task in tasks:
            seen = errors.stat().st_size
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
            line = next((x for x in process.stdout if x.startswith("judged")), None)
            said = errors.read_text()[seen:].splitlines()
            if line is None:
                wrong[name] = ["crashed", *said[-3:]]
                break
            code, took_s, mb = json.loads(line.removeprefix("judged "))
            lines = [x for x in said if x.startswith("lcseg: ")]
            if (
                (code, len(lines)) not in ((0, 0), (2, 1))
                or any("Traceback" in x or "rror" in x.partition(":")[0] for x in said)
                or took_s > 20
                or mb > 1000
            ):
                wrong[name] = [f"status {code}, {took_s:.1f} s, {mb} MB", *said[-4:]]
        process.stdin.close()
        process.wait(30)
    return wrong


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("role", ["image", "label"])
def test_odd_raster_gives_a_plan_or_one_line(real_data, tmp_path, role):
    scheme = tmp_path / "any.json"
    everything = [
        {"name": "low", "color": "#FF0000", "codes": list(range(1, 128))},
        {"name": "high", "color": "#00FF00", "codes": list(range(128, 255))},
    ]
    scheme.write_text(json.dumps({"name": "any", "classes": everything, "ignore": [0, 255]}))
    tasks = []
    for path in sorted((real_data / "odd-tiffs").glob("*/*.tif")):
        mate = tmp_path / f"{path.stem}_mate.tif"
        try:
            with rasterio.open(path) as odd:
                shape, place = odd.shape, {"crs": odd.crs, "transform": tuple(odd.transform)[:6]}
        except rasterio.errors.RasterioError:
            shape, place = (64, 64), {}
        if max(shape) > 6000:
            shape = (64, 64)
        values = np.random.default_rng(0).integers(1, 9, shape).astype(np.uint8)
        write_raster(mate, values, **place)
        image, label = (path, mate) if role == "image" else (mate, path)
        tasks.append(
            (
                path.name,
                {
                    "classes": str(scheme),
                    "out": str(tmp_path / path.stem),
                    "images": str(image),
                    "labels": str(label),
                    "label_band": 1 if role == "label" else 0,
                    "allow_ungeoreferenced": True,
                    # Large ones in chips of such a size as users have.
                    "chip_px": 256 if min(shape) > 1000 else 16,
                    "block_chips": 1,
                    "split_buffer_px": 1,
                    "plan": True,
                    "workers": 1,
                },
            )
        )
    assert len(tasks) > 30
    assert judge(tasks, tmp_path) == {}
    # Many can be used, and those that cannot are refused each for a reason of its own.
    assert len(list(tmp_path.glob("*.plan"))) > (20 if role == "image" else 10)
    assert len(set((tmp_path / "stderr").read_text().splitlines())) > 5


MEASURE = """
import resource, subprocess, sys
run = subprocess.run(sys.argv[1:], stderr=subprocess.PIPE, text=True)
print(run.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


def measure_mb(folder: Path, size_px: int, *more: str) -> int:
    """Convert a scene of which two corners are labelled; returns the peak memory in MB."""
    random = np.random.default_rng(0)
    for what, bands in (("image", 4), ("label", 1)):
        with rasterio.open(
            folder / f"{size_px}_{what}.tif",
            "w",
            driver="GTiff",
            height=size_px,
            width=size_px,
            count=bands,
            dtype="uint8",
            crs="EPSG:26918",
            transform=rasterio.Affine(1, 0, 400_000, 0, -1, 4_300_000),
            tiled=True,
            blockxsize=512,
            blockysize=512,
            SPARSE_OK=True,
            BIGTIFF="YES",
        ) as raster:
            for at in (0, size_px - 2048):
                values = random.integers(1, 7, (bands, 2048, 2048)).astype(np.uint8)
                raster.write(values, window=rasterio.windows.Window(at, at, 2048, 2048))
    flags = {
        "classes": "chesapeake-4",
        "images": str(folder / f"{size_px}_image.tif"),
        "labels": str(folder / f"{size_px}_label.tif"),
        "out": str(folder / f"data-{size_px}{len(more)}"),
        "workers": "1",
    }
    program = str(Path(sys.executable).with_name("lcseg"))
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, program, "convert", *as_flags(flags), *more],
        capture_output=True,
        text=True,
        check=True,
    )
    code, mb = map(int, run.stdout.splitlines()[-1].split())
    assert code == 0, run.stderr
    return mb


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--plan"]])
def test_memory_does_not_grow_with_the_scene(tmp_path, more):
    small, large = (measure_mb(tmp_path, size_px, *more) for size_px in (10_000, 40_000))
    assert large < 1200
    assert large < 1.1 * small
