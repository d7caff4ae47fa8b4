"""Suspected labels are listed as their file has them; with a token, verdicts are written to it."""

from __future__ import annotations

import re
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyogrio
import pytest
import shapely
from pyproj import Transformer
from served import CRS, LEFT, TOP, Place, running, write_suspected

from lcseg.errors import LcsegError
from lcseg.records.suspects import read_suspects, set_verdict, write_suspects
from lcseg.serving import suspects, verdicts
from lcseg.serving.config import ServeConfig
from lcseg.serving.dataset import Dataset, open_dataset
from lcseg.serving.edits import Edits, WrongTokenError, read_token
from lcseg.serving.entries import Entry
from lcseg.serving.suspects import list_suspects

TOKEN = "a-token-of-ones-own"
RIGHT = {"verdict": "right"}


@dataclass(frozen=True)
class Own:
    """A server of a test's own, and its file of suspects."""

    client: httpx.Client
    path: Path

    def tell(self, number: int | str, said: Any, token: str | None = TOKEN) -> httpx.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.client.post(f"/suspects/made/{number}/verdict", json=said, headers=headers)

    def read(self) -> dict[int, Any]:
        return {suspect.id: suspect for suspect in read_suspects(self.path)[1]}


@contextmanager
def serve(place: Place, folder: Path, **flags: Any) -> Iterator[Own]:
    path = folder / "suspects.gpkg"
    if not path.exists():
        write_suspected(path)
    config = folder / "own.toml"
    config.write_text(
        f'[made]\nmodel = "{place.bundle}"\nimage = "{place.image}"\n'
        f'label = "{place.label}"\nsuspects = "suspects.gpkg"\n'
    )
    with (
        running(ServeConfig(config=str(config), port=0, **flags)) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        yield Own(client, path)


@pytest.fixture(scope="module")
def token_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("token") / "token"
    path.write_text(f"{TOKEN}\n")
    return str(path)


@pytest.fixture(scope="module")
def shared(
    place: Place, tmp_path_factory: pytest.TempPathFactory, token_file: str
) -> Iterator[Own]:
    folder = tmp_path_factory.mktemp("edited")
    with serve(place, folder, allow_edits=True, edit_token_file=token_file) as own:
        yield own


@pytest.fixture
def own(shared: Own) -> Own:
    """The server that allows edits, its file as at first."""
    write_suspected(shared.path)
    return shared


@pytest.fixture
def dataset(place: Place, tmp_path: Path) -> Dataset:
    path = tmp_path / "suspects.gpkg"
    write_suspected(path)
    return open_dataset("made", Entry(str(place.bundle), str(place.image), suspects=str(path)))


def test_suspects_are_listed_the_most_certain_first(dataset: Dataset) -> None:
    listing = list_suspects(dataset)
    # The fourth is of another place.
    assert list(listing.suspects) == [1, 2, 3]
    assert listing.suspects[1].suggested == "water"
    to_lonlat = Transformer.from_crs(CRS, 4326, always_xy=True)
    west, south = to_lonlat.transform(LEFT + 100, TOP - 160)
    assert listing.bounds[1][:2] == pytest.approx((west, south), abs=1e-5)


def test_page_is_told_of_each_place_and_its_outline(own: Own) -> None:
    told = own.client.get("/suspects/made").json()
    assert told["editable"]
    first = told["suspects"][0]
    assert {key: first[key] for key in ("id", "label", "suggested", "verdict", "new_class")} == {
        "id": 1,
        "label": "tree/forest",
        "suggested": "water",
        "verdict": None,
        "new_class": "water",
    }
    assert (first["confidence"], first["area_m2"]) == (pytest.approx(0.97), 3600)
    assert told["suspects"][2]["confidence"] is None
    one = own.client.get("/suspects/made/1").json()
    shape = shapely.geometry.shape(one["geometry"])
    assert shape.bounds == pytest.approx(first["bounds"])
    assert one["properties"] == first
    assert own.client.get("/suspects/made/4").status_code == 404
    assert own.client.get("/suspects/nowhere").status_code == 404


def test_only_those_of_the_scene_or_of_any_are_its_own(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "suspects.gpkg"
    write_suspected(path)
    entry = Entry(str(place.bundle), str(place.image), suspects=str(path), scene="dover")
    assert list(list_suspects(open_dataset("made", entry)).suspects) == [1, 3]


def test_list_is_known_until_the_file_changes(own: Own) -> None:
    first = own.client.get("/suspects/made")
    headers = {"If-None-Match": first.headers["etag"]}
    assert own.client.get("/suspects/made", headers=headers).status_code == 304
    # As QGIS does, or another server.
    set_verdict(own.path, 2, "unsure", None)
    changed = own.client.get("/suspects/made", headers=headers)
    assert changed.status_code == 200
    assert changed.json()["suspects"][1]["verdict"] == "unsure"
    assert changed.json()["version"] != first.json()["version"]


def test_verdict_does_not_open_the_image_anew(own: Own) -> None:
    tag = own.client.get("/tiles/made/imagery/17/1/1.png").headers["etag"]
    assert own.tell(1, RIGHT).status_code == 200
    assert own.client.get("/tiles/made/imagery/17/1/1.png").headers["etag"] == tag


def test_without_the_flag_there_is_no_way_to_write(place: Place, tmp_path: Path) -> None:
    with serve(place, tmp_path) as own:
        before = own.path.read_bytes()
        assert not own.client.get("/suspects/made").json()["editable"]
        for token in (None, TOKEN):
            answer = own.tell(1, RIGHT, token)
            assert (answer.status_code, answer.json()) == (
                404,
                {"error": "there is no such thing here"},
            )
        assert not [p for p in own.client.get("/openapi.json").json()["paths"] if "verdict" in p]
        assert own.path.read_bytes() == before


@pytest.mark.parametrize("token", [None, "x", TOKEN + "x", TOKEN[:-1], "ü"])
def test_without_the_token_nothing_is_written(own: Own, token: str | None) -> None:
    before = own.path.read_bytes()
    headers = {} if token is None else {"Authorization": f"Bearer {token}".encode()}
    for number in (1, 999):
        url = f"/suspects/made/{number}/verdict"
        answer = own.client.post(url, json=RIGHT, headers=headers)
        assert (answer.status_code, answer.json()) == (
            401,
            {"error": "this takes the token that the server was started with"},
        )
        assert answer.headers["www-authenticate"] == "Bearer"
    assert own.path.read_bytes() == before


def test_token_goes_in_no_other_way(own: Own) -> None:
    url = "/suspects/made/1/verdict"
    for way in (
        {"params": {"token": TOKEN}},
        {"cookies": {"token": TOKEN}},
        {"headers": {"Authorization": TOKEN}},
        {"headers": {"Authorization": f"Basic {TOKEN}"}},
    ):
        with httpx.Client(base_url=own.client.base_url) as client:
            client.cookies.update(way.pop("cookies", {}))
            assert client.post(url, json=RIGHT, **way).status_code == 401


def test_verdict_is_written_and_told(own: Own) -> None:
    answer = own.tell(1, {"verdict": "wrong", "new_class": "barren/impervious"})
    assert answer.status_code == 200
    told = answer.json()["suspect"]
    assert (told["verdict"], told["new_class"]) == ("wrong", "barren/impervious")
    assert answer.json()["version"] == own.client.get("/suspects/made").json()["version"]
    _, _, _, values = pyogrio.raw.read(own.path, columns=["id", "verdict", "new_class"])
    rows = {row[0]: row[1:] for row in zip(*values, strict=True)}
    assert rows[1] == ("wrong", "barren/impervious")
    assert rows[2] == (None, "grass/herbaceous")


def test_wrong_without_a_class_is_one_that_nobody_knows(own: Own) -> None:
    assert own.tell(1, {"verdict": "wrong", "new_class": None}).status_code == 200
    assert (own.read()[1].verdict, own.read()[1].new_class) == ("wrong", None)


def test_other_verdicts_leave_the_class_as_it_is(own: Own) -> None:
    for verdict in ("right", "unsure", None):
        assert own.tell(1, {"verdict": verdict}).status_code == 200
        assert (own.read()[1].verdict, own.read()[1].new_class) == (verdict, "water")


def test_columns_and_layers_of_others_are_kept(own: Own) -> None:
    with sqlite3.connect(own.path) as file:
        file.execute("ALTER TABLE suspects ADD COLUMN reviewer TEXT")
        file.execute("UPDATE suspects SET reviewer = 'Ada' WHERE id = 2")
    file.close()
    pyogrio.raw.write(
        own.path,
        shapely.to_wkb(np.array([shapely.Point(LEFT, TOP)])),
        [np.array(["here"], object)],
        ["note"],
        layer="notes",
        driver="GPKG",
        geometry_type="Point",
        crs=CRS,
        append=False,
    )
    assert own.tell(1, RIGHT).status_code == 200
    meta, _, _, values = pyogrio.raw.read(own.path, layer="suspects")
    fields = dict(zip(meta["fields"].tolist(), values, strict=True))
    assert fields["reviewer"].tolist() == [None, "Ada", None, None]
    assert fields["verdict"].tolist() == ["right", None, None, None]
    assert [name for name, _ in pyogrio.list_layers(own.path)] == ["suspects", "notes"]


def test_many_who_write_at_once_all_have_their_say(own: Own) -> None:
    said = {1: "right", 2: "unsure", 3: "wrong"}
    for _ in range(3):
        with ThreadPoolExecutor(9) as pool:
            answers = pool.map(
                lambda number: own.tell(number, {"verdict": said[number]}), list(said) * 3
            )
            assert {answer.status_code for answer in answers} == {200}
        assert {n: own.read()[n].verdict for n in said} == said
        write_suspected(own.path)


def test_what_was_written_by_others_meanwhile_is_kept(own: Own) -> None:
    own.client.get("/suspects/made")
    set_verdict(own.path, 2, "unsure", None)
    assert own.tell(1, RIGHT).status_code == 200
    assert [own.read()[n].verdict for n in (1, 2)] == ["right", "unsure"]


def test_file_that_was_replaced_is_the_one_that_is_written(own: Own) -> None:
    own.client.get("/suspects/made")
    crs, found = read_suspects(own.path)
    write_suspects(own.path, crs, [one for one in found if one.id != 1])
    assert own.tell(1, RIGHT).status_code == 404
    assert own.tell(2, RIGHT).status_code == 200
    assert list(own.read()) == [2, 3, 4]


@pytest.mark.parametrize(
    ("number", "said", "status"),
    [
        (1, {}, 422),
        (1, {"verdict": "Wrong"}, 422),
        (1, {"verdict": 1}, 422),
        (1, {"verdict": ["wrong"]}, 422),
        (1, {"verdict": "wrong", "new_class": "ocean"}, 422),
        (1, {"verdict": "wrong", "new_class": "Water"}, 422),
        (1, {"verdict": "wrong", "new_class": ""}, 422),
        (1, {"verdict": "wrong", "new_class": "'; DROP TABLE suspects; --"}, 422),
        (1, {"verdict": "right", "new_class": "water"}, 422),
        (1, {"verdict": "right", "path": "/etc/passwd"}, 422),
        (1, [], 422),
        (1, None, 422),
        (4, RIGHT, 404),
        (0, RIGHT, 404),
        (-1, RIGHT, 404),
        (10**30, RIGHT, 404),
        ("x", RIGHT, 422),
        ("1.5", RIGHT, 422),
        ("..%2f1", RIGHT, 405),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    own: Own, number: int | str, said: Any, status: int
) -> None:
    before = own.path.read_bytes()
    answer = own.tell(number, said)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert "\n" not in answer.json()["error"]
    assert str(own.path.parent) not in answer.text
    assert own.path.read_bytes() == before


def test_body_that_is_no_json_is_refused(own: Own) -> None:
    for content in (b"{", b"\xff", b"", b"[" * 20_000):
        answer = own.client.post(
            "/suspects/made/1/verdict",
            content=content,
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        )
        assert answer.status_code in (400, 422), answer.text


def test_file_that_is_open_elsewhere_is_left_alone(own: Own) -> None:
    other = sqlite3.connect(own.path)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("UPDATE suspects SET note = 'from QGIS' WHERE id = 2")
    other.commit()
    assert own.client.get("/suspects/made").json()["suspects"][1]["note"] == "from QGIS"
    answer = own.tell(1, RIGHT)
    assert answer.status_code == 503
    assert answer.json()["error"].startswith("nothing was written: the file is open in another")
    assert str(own.path.parent) not in answer.text
    other.close()
    assert own.tell(1, RIGHT).status_code == 200
    assert (own.read()[1].verdict, own.read()[2].note) == ("right", "from QGIS")


def test_folder_that_cannot_be_written_is_told(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(own.path))

    monkeypatch.setattr(verdicts, "set_verdict", fail)
    answer = own.tell(1, RIGHT)
    assert answer.status_code == 503
    assert "cannot be written" in answer.json()["error"]
    assert str(own.path) not in answer.text


def test_file_that_cannot_be_read_just_now_hides_nothing_else(own: Own) -> None:
    content = own.path.read_bytes()
    own.path.write_bytes(b"no GeoPackage")
    try:
        answer = own.client.get("/suspects/made")
        assert answer.status_code == 503
        assert str(own.path.parent) not in answer.text
        assert own.client.get("/tiles/made/imagery/17/1/1.png").status_code == 200
        assert own.tell(1, RIGHT).status_code == 503
    finally:
        own.path.write_bytes(content)
    assert own.client.get("/suspects/made").status_code == 200


def test_more_who_wait_than_may_are_told_to_come_again(
    own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_open = threading.Event()

    def wait(*_: object) -> None:
        assert is_open.wait(60)

    monkeypatch.setattr(verdicts, "set_verdict", wait)
    with ThreadPoolExecutor(40) as pool:
        answers = [pool.submit(own.tell, 1, RIGHT) for _ in range(40)]
        while not any(answer.done() for answer in answers):
            pass
        is_open.set()
        statuses = [answer.result().status_code for answer in answers]
    assert set(statuses) == {200, 503}


def test_file_without_a_field_for_verdicts_is_given_one(
    place: Place, tmp_path: Path, token_file: str
) -> None:
    path = tmp_path / "suspects.gpkg"
    square = shapely.box(LEFT + 10, TOP - 60, LEFT + 60, TOP - 10)
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array([square, square])),
        [np.array(["water", "tree/forest"], object)],
        ["new_class"],
        driver="GPKG",
        geometry_type="Polygon",
        crs=CRS,
    )
    with serve(place, tmp_path, allow_edits=True, edit_token_file=token_file) as own:
        told = own.client.get("/suspects/made").json()
        assert told["editable"]
        assert [suspect["verdict"] for suspect in told["suspects"]] == ["wrong", "wrong"]
        assert own.tell(1, RIGHT).status_code == 200
        told = own.client.get("/suspects/made").json()
        # What nobody has touched counts as before.
        assert [suspect["verdict"] for suspect in told["suspects"]] == ["right", "wrong"]


def refuse(place: Place, path: Path) -> str:
    entry = Entry(str(place.bundle), str(place.image), suspects=str(path))
    with pytest.raises(LcsegError) as raised:
        list_suspects(open_dataset("made", entry))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_file_that_cannot_be_shown_is_told_at_the_start(place: Place, tmp_path: Path) -> None:
    assert refuse(place, tmp_path / "none.gpkg") == (
        f"{tmp_path / 'none.gpkg'}: cannot be read: No such file or directory"
    )
    bare = tmp_path / "bare.gpkg"
    write_suspected(bare, crs=None)
    assert refuse(place, bare).startswith(f"{bare}: does not say in which CRS it is")
    linked = tmp_path / "linked.gpkg"
    linked.write_text(
        '<OGRVRTDataSource><OGRVRTLayer name="bare">'
        f"<SrcDataSource>{bare}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>"
    )
    said = refuse(place, linked)
    assert said.startswith(f"{linked}: is a OGR_VRT, which may show any file of this machine")
    with pytest.raises(LcsegError, match=r"none\.gpkg"), serve_named(place, tmp_path, "none.gpkg"):
        pass


@contextmanager
def serve_named(place: Place, folder: Path, name: str) -> Iterator[str]:
    config = folder / "named.toml"
    config.write_text(
        f'[made]\nmodel = "{place.bundle}"\nimage = "{place.image}"\nsuspects = "{name}"\n'
    )
    with running(ServeConfig(config=str(config), port=0)) as address:
        yield address


def test_several_rows_of_one_place_are_one(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "suspects.gpkg"
    write_suspected(path)
    crs, found = read_suspects(path)
    moved = shapely.affinity.translate(found[0].shape, 200, -200)
    import dataclasses

    write_suspects(path, crs, [*found, dataclasses.replace(found[0], shape=moved)])
    entry = Entry(str(place.bundle), str(place.image), suspects=str(path))
    listing = list_suspects(open_dataset("made", entry))
    assert list(listing.suspects) == [1, 2, 3]
    assert len(shapely.get_parts(listing.suspects[1].shape)) == 2
    assert listing.suspects[1].area_m2 == 7200


def test_file_that_changes_while_it_is_read_is_read_again(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, calls = suspects.read_suspects, []

    def interfere(path: str) -> Any:
        found = read(path)
        if not calls:
            calls.append(path)
            set_verdict(path, 1, "right", None)
        return found

    monkeypatch.setattr(suspects, "read_suspects", interfere)
    assert list_suspects(dataset).suspects[1].verdict == "right"


def test_token_is_new_or_of_a_file(tmp_path: Path) -> None:
    config = ServeConfig(config="a", allow_edits=True)
    assert len({read_token(config) for _ in range(9)}) == 9
    assert all(re.fullmatch(r"[\w-]{32}", read_token(config)) for _ in range(9))
    path = tmp_path / "token"
    named = ServeConfig(config="a", allow_edits=True, edit_token_file=str(path))
    path.write_text(" 0123456789abcdef\n")
    assert read_token(named) == "0123456789abcdef"
    for text in ("", "short", "two words of length", "ünbrauchbares-wort-hier"):
        path.write_text(text)
        with pytest.raises(LcsegError, match=r"holds no token of 16 or more .*; make one: openssl"):
            read_token(named)
    path.unlink()
    with pytest.raises(LcsegError, match=r"edit_token_file=.*: cannot be read: No such file"):
        read_token(named)


def test_those_who_have_the_token_pass() -> None:
    edits = Edits(TOKEN)
    edits.require(TOKEN)
    with pytest.raises(WrongTokenError):
        edits.require("")
    edits.close()


def test_edits_take_a_file_to_be_written(place: Place, tmp_path: Path) -> None:
    config = ServeConfig(model=str(place.bundle), image=str(place.image), port=0, allow_edits=True)
    problem = "--allow_edits: no data set names suspects; name them"
    with pytest.raises(LcsegError, match=problem), running(config):
        pass
    with pytest.raises(ValueError, match="--edit_token_file goes with --allow_edits"):
        ServeConfig(config="a", edit_token_file="b")


def test_formats_without_transactions_will_do(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "suspects.geojson"
    write_suspected(path)
    entry = Entry(str(place.bundle), str(place.image), suspects=str(path))
    dataset = open_dataset("made", entry)
    assert list(list_suspects(dataset).suspects) == [1, 2, 3]
    set_verdict(path, 1, "right", None)
    assert list_suspects(dataset).suspects[1].verdict == "right"
    shutil.rmtree(tmp_path)
