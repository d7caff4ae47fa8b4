"""What changed between dates: from maps, or images and a model, to a folder of maps and tables.

report = find_change(ChangeConfig("change", before="2013.tif", after="2017.tif"))
print(report.text())
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from lcseg.change.advice import advise
from lcseg.change.comparison import TRANSITIONS, compare
from lcseg.change.config import ChangeConfig, Dated
from lcseg.change.drawings import draw_interval, draw_series
from lcseg.change.pair import MapPair, open_pair
from lcseg.change.places import Place, Tiles, describe_places, draw_place, write_places
from lcseg.change.regions import NO_REGIONS, read_regions
from lcseg.change.registration import measure_shift
from lcseg.change.report import (
    ChangeReport,
    DateInfo,
    Interval,
    IntervalPictures,
    Matrix,
    RegionChange,
    write_report,
)
from lcseg.change.search import Rules
from lcseg.change.tables import write_tables
from lcseg.classes import ClassScheme, load_scheme
from lcseg.errors import LcsegError
from lcseg.model.info import BundleInfo, read_info
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.fitness import Fitness, measure_fitness
from lcseg.prediction.mapping import ensure_map
from lcseg.prediction.plan import make_plan
from lcseg.raster.aligned import Aligned
from lcseg.raster.alignment import shares_ground
from lcseg.raster.class_map import open_class_map
from lcseg.raster.dataset import bounded_cache
from lcseg.raster.source import Imagery, open_image
from lcseg.records.folder import Workspace, open_workspace

_LOG = logging.getLogger("lcseg")

PLACES = "places.gpkg"
MAPS = "maps"
"""The folder of the maps that are made for a comparison."""


def find_change(config: ChangeConfig) -> ChangeReport:
    """Compare the maps of two or more dates, and write maps, tables and a report.

    Of more than two dates each is compared with the next, and the first with the last. Where a
    model has to map the images first, an interrupted call goes on with the maps that are there.

    Raises:
        LcsegError: files cannot be read, or do not fit each other or the model.
    """
    scheme = load_scheme(config.classes) if config.classes else None
    info = read_info(config.model) if config.model else None
    with open_workspace(Path(config.out)) as space:
        _sweep(space, config)
        dates = config.dates
        if not dates[0].map:
            dates = _map_images(dates, config, space)
        spans = list(itertools.pairwise(dates))
        if len(dates) > 2:
            spans.append((dates[0], dates[-1]))
        found = []
        for span in spans:
            name = "" if len(spans) == 1 else f"{span[0].name}_to_{span[1].name}"
            folder = space.folder / name
            folder.mkdir(exist_ok=True)
            found.append(_compare_dates(span, config, scheme, folder, name))
        intervals = tuple(interval for interval, _, _ in found)
        infos = tuple(
            DateInfo(
                date.name,
                asked.map or f"{config.out}/{MAPS}/{Path(date.map).name}",
                date.image,
                _measure_fitness(date, info),
            )
            for date, asked in zip(dates, config.dates, strict=True)
        )
        has_probabilities = bool(dates[0].probabilities)
        rules = _rules(config)
        report = ChangeReport(
            scheme=found[0][2],
            dates=infos,
            intervals=intervals,
            rules=rules,
            has_probabilities=has_probabilities,
            warnings=tuple(advise(intervals, infos, rules, has_probabilities)),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        pictures = [of_interval for _, of_interval, _ in found]
        write_report(report, pictures, draw_series(report), space.folder)
        write_tables(report, space.folder)
    # Of images that are unlike training, mapping them has told.
    is_told = not config.dates[0].map
    for warning in advise(intervals, () if is_told else infos, rules, has_probabilities):
        _LOG.warning("warning: %s", warning)
    return report


def _sweep(space: Workspace, config: ChangeConfig) -> None:
    """Remove what an earlier start has left, but for maps that this one can go on with."""
    names = [date.name for date in config.dates if not date.map]
    maps = space.folder / MAPS
    files = (".tif", ".tif.aux.xml", ".qml", ".json", "_probabilities.tif")
    kept = {f"{name}{file}" for name in names for file in files}
    kept |= {f".{name}.tif.partial" for name in names}
    left = [path for path in space.folder.iterdir() if path != maps or not names]
    if maps not in left and maps.exists():
        left += [path for path in maps.iterdir() if path.name not in kept]
    for path in left:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _rules(config: ChangeConfig) -> Rules:
    return Rules(config.min_confidence, config.edge_tolerance_px, config.min_area_m2, config.places)


def _map_images(
    dates: Sequence[Dated], config: ChangeConfig, space: Workspace
) -> tuple[Dated, ...]:
    """Have the model map the image of each date, unless an earlier start has done so.

    All are looked at before the first one is mapped.
    """
    configs = [_plan_map(date, config, space) for date in dates]
    plans = []
    for each in configs:
        try:
            plans.append(make_plan(each, [each.image]))
        except LcsegError as error:
            fix = "lcseg predict can read it otherwise; then give the maps as --before and --after"
            raise LcsegError(error.where, error.problem, fix) from error
        if not shares_ground(plans[0].grid, plans[-1].grid):
            problem = f"does not overlap {configs[0].image}"
            raise LcsegError(each.image, problem, "compare images of one place")
    # By this the next start finds the maps that are done.
    (space.progress / MAPS).touch()
    for plan, each in zip(plans, configs, strict=True):
        ensure_map(plan, each)
    return tuple(
        dataclasses.replace(date, map=each.out, probabilities=each.probabilities)
        for date, each in zip(dates, configs, strict=True)
    )


def _plan_map(date: Dated, config: ChangeConfig, space: Workspace) -> PredictConfig:
    folder = space.folder / MAPS
    return PredictConfig(
        config.model,
        date.image,
        str(folder / f"{date.name}.tif"),
        str(folder / f"{date.name}_probabilities.tif"),
        allow_ungeoreferenced=config.allow_ungeoreferenced,
        quiet=config.quiet,
    )


def _compare_dates(
    span: tuple[Dated, Dated],
    config: ChangeConfig,
    scheme: ClassScheme | None,
    folder: Path,
    name: str,
) -> tuple[Interval, IntervalPictures, ClassScheme]:
    """Compare two dates, and leave their rasters and places in a folder."""
    before, after = span
    free = config.allow_ungeoreferenced
    with ExitStack() as stack:
        stack.enter_context(bounded_cache())
        pair = stack.enter_context(open_pair(before, after, scheme, free))
        images = _open_images(span, pair, stack)
        regions = NO_REGIONS
        if config.regions:
            regions = read_regions(config.regions, config.region_name, pair.grid)
        shift = measure_shift(images[0], images[1]) if images[0] and images[1] else None
        comparison = compare(pair, _rules(config), folder, regions, config.quiet)
        transitions = str(folder / TRANSITIONS)
        places = describe_places(transitions, comparison.places, pair)
        if places:
            write_places(folder / PLACES, places, transitions)
        has_areas = pair.grid.crs is not None
        interval = Interval(
            before=before.name,
            after=after.name,
            raw=Matrix.of(comparison.raw, has_areas),
            change=Matrix.of(comparison.filtered, has_areas),
            filtering=comparison.filtering,
            fit=pair.fit,
            shift=shift,
            regions=tuple(
                RegionChange(region, Matrix.of(tally, has_areas))
                for region, tally in zip(regions.names, comparison.regions, strict=True)
            ),
            places=places,
            folder=name,
        )
        tiles = list(_draw_places(places, pair, transitions, images, span))
        return interval, draw_interval(interval, comparison, pair.scheme, tiles), pair.scheme


def _open_images(
    span: tuple[Dated, Dated], pair: MapPair, stack: ExitStack
) -> tuple[Imagery | None, Imagery | None]:
    """The images of two dates on the grid of the pair."""
    opened = [
        Aligned(stack.enter_context(open_image(date.image)), pair.grid) if date.image else None
        for date in span
    ]
    return opened[0], opened[1]


def _draw_places(
    places: Sequence[Place],
    pair: MapPair,
    transitions_path: str,
    images: tuple[Imagery | None, Imagery | None],
    span: tuple[Dated, Dated],
) -> Iterator[Tiles]:
    with open_class_map(transitions_path, allow_ungeoreferenced=True) as transitions:
        for place in places:
            yield draw_place(place, pair, transitions, images, (span[0].name, span[1].name))


def _measure_fitness(date: Dated, info: BundleInfo | None) -> Fitness | None:
    if info is None or not date.image:
        return None
    with open_image(date.image) as image:
        return measure_fitness(image, info)
