"""`lcseg serve`, as its user runs it."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from served import Place, make_place

from lcseg.serving.server import list_addresses


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    return make_place(tmp_path_factory.mktemp("served"))


def test_page_and_services_are_there_until_it_is_ended(serving, place):
    _, address, end = serving("serve", f"--config={place.write_config()}", "--port=0")
    assert address.startswith("http://127.0.0.1:")
    for path in ("", "readyz", "datasets.json", "wmts/1.0.0/WMTSCapabilities.xml", "ogc"):
        assert httpx.get(address + path).status_code == 200
    services = httpx.get(f"{address}arcgis/rest/services/made?f=json").json()["services"]
    assert {"name": "made/classes", "type": "ImageServer"} in services
    assert end() == (0, "")


def test_a_model_and_an_image_will_do(serving, place):
    _, address, end = serving(
        "serve",
        f"--model={place.bundle}",
        f"--image={place.image}",
        f"--map={place.map}",
        "--port=0",
    )
    (shown,) = httpx.get(f"{address}datasets.json").json()["datasets"]
    assert (shown["id"], shown["minzoom"]) == ("scene", 0)
    assert end() == (0, "")


def test_the_address_that_is_printed_answers_behind_a_prefix_too(serving, place):
    _, address, end = serving(
        "serve",
        f"--model={place.bundle}",
        f"--image={place.image}",
        "--root_path=/maps",
        "--port=0",
    )
    assert httpx.get(f"{address}readyz").json() == {"status": "ready"}
    assert end() == (0, "")


def test_token_of_edits_is_printed_once_and_is_in_no_other_address(serving, place):
    flags = [f"--config={place.write_config()}", "--port=0", "--allow_edits"]
    _, address, end = serving("serve", *flags)
    base, _, token = address.partition("#token=")
    assert re.fullmatch(r"[\w-]{32}", token)
    assert list_addresses(address).count(token) == 1
    url = f"{base}suspects/made/1/verdict"
    assert httpx.post(url, json={"verdict": None}).status_code == 401
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.post(url, json={"verdict": "right"}, headers=headers)
    assert answer.json()["suspect"]["verdict"] == "right"
    code, said = end()
    assert code == 0
    assert token not in said


def test_token_of_a_file_is_not_printed(serving, place, tmp_path):
    (tmp_path / "token").write_text("0123456789abcdef")
    flags = [f"--config={place.write_config()}", "--port=0", "--allow_edits"]
    _, address, end = serving("serve", *flags, f"--edit_token_file={tmp_path / 'token'}")
    assert "#" not in list_addresses(address)
    assert end()[0] == 0


def test_client_that_hangs_up_while_it_is_answered_does_not_end_the_server(place):
    """Whether the answer or the end of the connection comes first is chance; the signal is not."""
    program = str(Path(sys.executable).with_name("lcseg"))
    flags = [f"--config={place.write_config()}", "--port=0"]
    with subprocess.Popen([program, "serve", *flags], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("page ")
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.send_signal(signal.SIGTERM)
    ignored = int(re.search(r"SigIgn:\s*(\w+)", status)[1], 16)
    assert ignored >> (signal.SIGPIPE - 1) & 1
    assert process.returncode == 0


def test_port_that_is_taken_is_told_before_a_model_is_loaded(lcseg, place):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = lcseg("serve", f"--model={place.bundle}", f"--image={place.image}", f"--port={port}")
    assert done.returncode == 2
    assert done.stderr.strip() == (
        f"lcseg: --host=127.0.0.1 --port={port}: cannot be listened at: Address already in use; "
        "name another --port (0 takes any that is free), or an address of this machine"
    )


def test_image_that_does_not_fit_is_one_line(lcseg, place):
    done = lcseg("serve", f"--model={place.bundle}", f"--image={place.label}", "--port=0")
    assert done.returncode == 2
    assert done.stderr.strip().startswith(f"lcseg: {place.label}: has 1 band, the bundle was")


def test_what_does_not_go_together_is_one_line(lcseg):
    done = lcseg("serve", "--config=maps.toml", "--model=bundle", "--image=a.tif")
    assert (done.returncode, done.stderr.strip()) == (
        2,
        "lcseg: flags: give --config, or --model with --image",
    )
