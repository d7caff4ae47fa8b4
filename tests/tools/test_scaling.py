"""`lcseg scaling`, as a user runs it."""

import pytest

from lcseg.documents import read_document
from lcseg.scaling.report import ScalingReport

TINY = ("--depth=1", "--width=2", "--batch=2", "--crop_px=32", "--steps=5")


@pytest.mark.slow
def test_two_workers_beside_one_give_a_report(lcseg, dataset, tmp_path):
    out = tmp_path / "out"
    run = lcseg("scaling", f"--data={dataset}", "--workers=1,2", f"--out={out}", *TINY)
    assert run.returncode == 0, run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert sorted(path.name for path in out.iterdir()) == [
        *("report.html", "report.json", "scaling.png"),
    ]
    report = read_document(out / "report.json", ScalingReport)
    assert (report.base.batch, report.base.crop_px, report.base.cache) == (2, 32, "memory")
    assert [row.workers for row in report.measured] == [1, 2]
    alone, both = report.measured
    assert both.crops_per_s / alone.crops_per_s == pytest.approx(both.speedup)
    assert alone.reduce_s == 0 < both.reduce_s
    (own,) = report.projections
    # The loss, the moving statistics, and whether both have input.
    assert own.terms.sums in (2, 3)
    assert own.terms.gradient_bytes == 4 * report.base.weights
    assert [row.workers for row in own.rows] == [8, 16, 64, 128, 148]
    assert run.stdout.startswith("base: 1 worker, 1 x CPU, cores of its own:")
    assert run.stdout.endswith(f"report: {out}/report.html\n")
    assert f"1 worker: 5 steps, {alone.steps_per_s:.2f} steps a second" in run.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--workers=2,4"], "flags: --workers=2,4, expected 1 and more, as 1,2,4"),
        (["--workers=1,4,2"], "flags: --workers=1,4,2, expected rising whole numbers from 1"),
        (["--workers=1,0"], "flags: --workers=1,0, expected rising whole numbers from 1, as 1,2,4"),
        (["--workers=1,x"], "flags: --workers=1,x, expected rising whole numbers from 1, as 1,2,4"),
        ([], "missing: --workers (--help lists the flags)"),
        (["--workers=1,9999"], "9999 workers: are more than the "),
        (["--workers=1,2", "--out=."], ".: exists already; name another --out, or remove it first"),
        (["--workers=1,2", "--data=none"], "none: is not a data set"),
        (["--workers=1,2", "--batch=0"], "flags: --batch must be at least 1"),
    ],
)
def test_faulty_command_is_one_line_and_status_2(lcseg, dataset, tmp_path, flags, message):
    run = lcseg("scaling", f"--data={dataset}", f"--out={tmp_path / 'out'}", *flags)
    assert (run.returncode, run.stdout) == (2, "")
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"lcseg: {message}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_train_would_refuse_is_said_by_a_worker(lcseg, dataset, tmp_path):
    flags = [f"--data={dataset}", "--workers=1,2", f"--out={tmp_path / 'out'}", "--crop_px=128"]
    run = lcseg("scaling", *flags)
    assert (run.returncode, run.stdout) == (2, "")
    *_, first, fault, last = run.stderr.splitlines()
    assert first.startswith("workers at 127.0.0.1:")
    assert fault.startswith("[0] lcseg: --crop_px=128: is larger than the chips")
    assert last == "lcseg: worker 0: ended with status 2; what it printed says why"
    assert list(tmp_path.iterdir()) == []
