"""What is named to be shown is checked before anything is shown, and told in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from bundles import make_bundle
from served import Place, write

from lcseg.errors import LcsegError
from lcseg.model.config import UNetConfig
from lcseg.serving.config import ServeConfig
from lcseg.serving.dataset import open_dataset
from lcseg.serving.entries import Entry, read_entries


@pytest.fixture
def read(tmp_path):
    """A function that reads a TOML text, and its path."""
    path = tmp_path / "maps.toml"

    def read_text(text: str) -> dict[str, Entry]:
        path.write_text(text)
        return read_entries(ServeConfig(config=str(path)))

    return read_text


def refuse(entry: Entry) -> str:
    """What is said of an entry that cannot be shown."""
    with pytest.raises(LcsegError) as raised:
        open_dataset("made", entry)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def make_vrt(path: Path, source: Path) -> Path:
    """A VRT of one band of another raster; no name tells what it is."""
    with rasterio.open(source) as dataset:
        n_bands, transform, crs = dataset.count, dataset.transform, dataset.crs
        height, width = dataset.shape
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource>'
        f'<SourceFilename relativeToVRT="0">{source}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band in range(1, n_bands + 1)
    )
    place = ",".join(map(str, transform.to_gdal()))
    path.write_text(
        f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}"><SRS>{crs}</SRS>'
        f"<GeoTransform>{place}</GeoTransform>{bands}</VRTDataset>"
    )
    return path


def test_entries_are_by_id_and_their_paths_beside_the_file(read, tmp_path):
    entries = read(
        '[dover]\nmodel = "run/bundle"\nimage = "a.tif"\nlabel = "/data/l.tif"\nbeside = "old"\n'
        '[old]\nmodel = "run/bundle"\nimage = "/vsizip/b.zip/b.tif"\n'
    )
    assert list(entries) == ["dover", "old"]
    assert entries["dover"] == Entry(
        str(tmp_path / "run/bundle"), str(tmp_path / "a.tif"), label="/data/l.tif", beside="old"
    )
    assert entries["old"].image == "/vsizip/b.zip/b.tif"


@pytest.mark.parametrize(
    ("name", "identifier"),
    [("Dover 2013.tif", "dover-2013"), ("__.tif", "scene"), ("Ünï.tif", "n"), ("x" * 80, "x" * 64)],
)
def test_image_alone_gets_an_id_from_its_name(name, identifier):
    entries = read_entries(ServeConfig(model="bundle", image=f"/data/{name}", label="l.tif"))
    assert list(entries) == [identifier]
    assert entries[identifier].label == "l.tif"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "names no data set; write one: [dover], with model and image"),
        ("[a\n", "is no TOML: "),
        ('title = "x"\n', "title: Input should be "),
        ('[a]\nmodel = "m"\n', "a.image: "),
        ('[a]\nmodel = "m"\nimage = "i"\nalow_vrt = true\n', "a.alow_vrt: there is no such field"),
        ('[a]\nmodel = "m"\nimage = 3\n', "a.image: Input should be a valid string"),
        ('[a]\nmodel = "m"\nimage = "i"\ndate = 3\n', "a.date: Input should be a valid"),
        ('["../a"]\nmodel = "m"\nimage = "i"\n', "[../a] is no id; use lower-case letters"),
        ('[a]\nmodel = "m"\nimage = "i"\nbeside = "b"\n', "a.beside: there is no [b]"),
    ],
)
def test_faults_of_the_file_are_one_line_that_names_it(read, tmp_path, text, problem):
    with pytest.raises(LcsegError) as raised:
        read(text)
    assert str(raised.value).startswith(f"{tmp_path / 'maps.toml'}: {problem}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("bands", ['"4,1,2"', "[4, 1, 2]", '["4", "1", "2"]'])
def test_bands_and_dates_may_be_written_as_people_write_them(read, bands):
    text = f'\ufeff[a]\nmodel = "m"\nimage = "i"\ndate = 2024-06-01\nbands = {bands}\n'
    (entry,) = read(text).values()
    assert (entry.date, entry.bands) == ("2024-06-01", ("4", "1", "2"))


def test_date_that_is_none_is_one_line(place):
    entry = Entry(str(place.bundle), str(place.image), date="July 4")
    assert refuse(entry) == "[made]: date=July 4 is no date as 2013-07-04"


def test_map_of_lcseg_is_no_reference(place):
    entry = Entry(str(place.bundle), str(place.image), label=str(place.map))
    assert refuse(entry).startswith(f"{place.map}: is a map of lcseg, not a reference")


def test_map_by_the_bundle_goes_with_the_onnx_file_of_the_bundle(place, tmp_path):
    from lcseg.model.config import ExportConfig
    from lcseg.model.export import export

    onnx = tmp_path / "model.onnx"
    export(ExportConfig(str(place.bundle), "onnx", str(onnx)))
    dataset = open_dataset("made", Entry(str(onnx), str(place.image), map=str(place.map)))
    assert len(dataset.map_levels) > 0


def test_file_that_is_not_there_or_no_text_is_named(tmp_path):
    with pytest.raises(LcsegError, match=r"maps\.toml: cannot be read: No such file"):
        read_entries(ServeConfig(config=str(tmp_path / "maps.toml")))
    (tmp_path / "maps.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(LcsegError, match=r"maps\.toml: is no TOML"):
        read_entries(ServeConfig(config=str(tmp_path / "maps.toml")))


@pytest.mark.parametrize("what", ["model", "image", "label", "map"])
def test_file_that_is_missing_is_named(place, what):
    paths = {"model": place.bundle, "image": place.image, what: place.folder / "nowhere"}
    assert str(place.folder / "nowhere") in refuse(Entry(**{k: str(v) for k, v in paths.items()}))


def test_model_of_other_bands_is_refused(place, tmp_path):
    bundle = make_bundle(tmp_path / "bundle", UNetConfig(depth=2, width=4), bands=2)
    assert refuse(Entry(str(bundle), str(place.image))).startswith(f"{place.image}: has 4 bands")


def test_map_of_another_model_is_refused(place, tmp_path):
    bundle = make_bundle(tmp_path / "bundle", UNetConfig(depth=2, width=4))
    said = refuse(Entry(str(bundle), str(place.image), map=str(place.map)))
    assert said == f"{place.map}: was not made by this model; map the image again"


def test_map_of_another_grid_is_refused(place, tmp_path):
    with rasterio.open(place.image) as dataset:
        values = np.moveaxis(dataset.read(), 0, -1)
    image = tmp_path / "smaller.tif"
    write(image, values[:-1], nodata=0)
    with rasterio.open(image, "r+") as dataset:
        dataset.descriptions = ("red", "green", "blue", "band_4")
    said = refuse(Entry(str(place.bundle), str(image), map=str(place.map)))
    assert said.startswith(f"{place.map}: does not lie on the grid of the image")


def test_image_without_a_place_cannot_be_shown(place, tmp_path):
    with rasterio.open(place.image) as dataset:
        values = dataset.read()
        profile = {**dataset.profile, "crs": None, "transform": None}
    image = tmp_path / "nowhere.tif"
    with rasterio.open(image, "w", **profile) as dataset:
        dataset.write(values)
        dataset.descriptions = ("red", "green", "blue", "band_4")
    assert refuse(Entry(str(place.bundle), str(image))).startswith(f"{image}: ")


@pytest.mark.parametrize("what", ["image", "label", "map"])
def test_vrt_is_refused_by_whatever_name_unless_it_is_trusted(place, tmp_path, what):
    source = {"image": place.image, "label": place.label, "map": place.map}[what]
    vrt = make_vrt(tmp_path / "innocent.tif", source)
    paths = {"model": str(place.bundle), "image": str(place.image), what: str(vrt)}
    said = refuse(Entry(**paths))
    assert said.startswith(f"{vrt}: is a VRT, which may show any file of this machine; ")
    if what != "map":
        assert open_dataset("made", Entry(**paths, allow_vrt=True)).entry.allow_vrt


def test_raster_that_asks_a_server_is_refused_like_a_vrt(place, tmp_path):
    image = tmp_path / "innocent.tif"
    image.write_text(
        '<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1:1/${z}/${x}/${y}.png</ServerUrl>'
        "</Service><DataWindow><UpperLeftX>-1</UpperLeftX><UpperLeftY>1</UpperLeftY>"
        "<LowerRightX>1</LowerRightX><LowerRightY>-1</LowerRightY><TileLevel>1</TileLevel>"
        "</DataWindow><Projection>EPSG:3857</Projection><BlockSizeX>256</BlockSizeX>"
        "<BlockSizeY>256</BlockSizeY><BandsCount>4</BandsCount></GDAL_WMS>"
    )
    said = refuse(Entry(str(place.bundle), str(image)))
    assert said.startswith(f"{image}: is a WMS, which may show any file of this machine; ")


def test_version_changes_with_each_of_the_files(place, tmp_path):
    shutil.copytree(place.folder, tmp_path / "own")
    own = Place(tmp_path / "own")
    entry = Entry(str(own.bundle), str(own.image), label=str(own.label), map=str(own.map))
    versions = {open_dataset("made", entry).version}
    for path in (own.image, own.label, own.map, own.bundle / "bundle.json"):
        dataset = open_dataset("made", entry)
        assert dataset.is_current()
        content = path.read_bytes()
        aside = path.with_name("aside")
        aside.write_bytes(content)
        aside.replace(path)
        assert not dataset.is_current()
        versions.add(open_dataset("made", entry).version)
    assert len(versions) == 5
