"""The pages of deploy/, and the snippets on them."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lcseg.training.cluster import DEFAULT_PORT, find_cluster

DEPLOY = Path(__file__).parents[2] / "deploy"
PAGES = sorted(DEPLOY.glob("*.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SNIPPETS = [(page.stem, *snippet) for page in PAGES for snippet in FENCE.findall(page.read_text())]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def test_every_page_but_the_index_has_snippets():
    assert {page for page, _, _ in SNIPPETS} == {page.stem for page in PAGES} - {"README"}


@pytest.mark.parametrize(("page", "language", "code"), SNIPPETS)
def test_snippets_are_well_formed(page, language, code):
    if language == "yaml":
        assert isinstance(yaml.safe_load(code), dict)
    else:
        assert language == "python"
        ast.parse(code, page)


@each_page
def test_flags_of_train_on_a_page_are_such(page, train_flags):
    # A command of lcseg train, to its end or the end of the line, and lists of arguments.
    text = page.read_text()
    commands = re.findall(r"lcseg train (--.*)|train\.sbatch (--.*)|(\[\s*\"--[^\]]*\])", text)
    named = set(re.findall(r"--(\w+)", " ".join(map("".join, commands))))
    named |= hyperparameters_in(text)
    assert named <= train_flags
    assert {"data", "run"} <= named


def hyperparameters_in(text):
    """The names in `hyperparameters={…}`, which SageMaker makes flags of."""
    return {
        ast.literal_eval(key)
        for _, code in FENCE.findall(text)
        if "hyperparameters=" in code
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.keyword) and node.arg == "hyperparameters"
        for key in node.value.keys
    }


def test_the_index_names_every_file():
    text = (DEPLOY / "README.md").read_text()
    names = [str(path.relative_to(DEPLOY)) for path in DEPLOY.rglob("*") if path.is_file()]
    assert [name for name in names if name != "README.md" and f"`{name}`" not in text] == []


def test_workers_on_azure_are_as_many_as_nodes():
    job = yaml.safe_load(next(code for page, _, code in SNIPPETS if page == "azure-ml"))
    nodes = job["resources"]["instance_count"]
    assert job["distribution"] == {"type": "tensorflow", "worker_count": nodes}


def test_the_start_script_for_sagemaker_tells_every_worker_who_it_is(tmp_path, write_program):
    given = "/opt/ml/input/config/resourceconfig.json"
    code = next(code for _, _, code in SNIPPETS if given in code)
    (tmp_path / "start.py").write_text(code.replace(given, str(tmp_path / "given.json")))
    write_program("lcseg", 'echo "$LCSEG_HOSTS;$LCSEG_INDEX;$*"\n')
    hosts = ["algo-1", "algo-2", "algo-3"]
    for index, host in enumerate(hosts):
        (tmp_path / "given.json").write_text(json.dumps({"current_host": host, "hosts": hosts}))
        run = subprocess.run(
            [sys.executable, tmp_path / "start.py", "--data=d"],
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        )
        names, place, arguments = run.stdout.strip().split(";")
        cluster = find_cluster({"LCSEG_HOSTS": names, "LCSEG_INDEX": place})
        assert cluster.addresses == tuple(f"{name}:{DEFAULT_PORT}" for name in hosts)
        assert cluster.index == index
        assert arguments == "train --data=d"
