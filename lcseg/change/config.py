"""What a user may choose when maps of several dates are compared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from lcseg.files import require_local

BEFORE, AFTER = "before", "after"
"""What two dates are called that have no names."""

_DAY = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_FILE_NAME_ONLY = set('/\\:*?"<>|')


@dataclass(frozen=True)
class Dated:
    """What is known of one date."""

    name: str  # What the date is called, as 2013-07-04.
    map: str = ""  # Class map; empty: it is predicted.
    probabilities: str = ""  # Of the classes, as lcseg predict writes them; empty: none.
    image: str = ""  # That the map was, or is to be, made of; empty: none.


@dataclass(frozen=True)
class ChangeConfig:
    """Which maps are compared, and what is taken for change."""

    out: Annotated[str, "Folder for maps, tables and the report; must not exist yet."]
    before: Annotated[str, "Class map of the first of two dates."] = ""
    after: Annotated[str, "Class map of the second."] = ""
    maps: Annotated[tuple[str, ...], "Class maps of two or more dates, in order: DATE=FILE,…"] = ()
    probabilities_before: Annotated[
        str, "Probabilities of the first date, of lcseg predict --probabilities."
    ] = ""
    probabilities_after: Annotated[str, "Probabilities of the second."] = ""
    probabilities: Annotated[tuple[str, ...], "Probabilities by date: DATE=FILE,…"] = ()
    image_before: Annotated[str, "Image of the first date: to be shown, or mapped by --model."] = ""
    image_after: Annotated[str, "Image of the second."] = ""
    images: Annotated[tuple[str, ...], "Images by date: DATE=FILE,…"] = ()
    model: Annotated[str, "Bundle that maps the images, where there are no maps."] = ""
    classes: Annotated[
        str, "Class scheme, a name or a JSON file, of maps that do not name their classes."
    ] = ""
    regions: Annotated[str, "Polygons (GeoPackage, GeoJSON, …) to sum change up by."] = ""
    region_name: Annotated[str, "Field with the names of the regions; empty: numbers."] = ""
    min_confidence: Annotated[
        float, "Least mean probability of change of a place, where there are probabilities."
    ] = 0.85
    edge_tolerance_px: Annotated[
        int, "By how many pixels the border of a class may move without a change."
    ] = 1
    min_area_m2: Annotated[float, "Changed places that are smaller are left out."] = 0.0
    places: Annotated[int, "How many of the largest changed places to list and picture."] = 24
    allow_ungeoreferenced: Annotated[bool, "Take rasters without CRS, pixel on pixel."] = False
    quiet: Annotated[bool, "Show no progress."] = False

    def __post_init__(self) -> None:
        require_local(self.out, "out")
        if not 0 <= self.min_confidence <= 1:
            raise ValueError("--min_confidence must lie between 0 and 1")
        if not 0 <= self.edge_tolerance_px <= 64:
            raise ValueError("--edge_tolerance_px must lie between 0 and 64")
        if self.min_area_m2 < 0 or self.places < 0:
            raise ValueError("--min_area_m2 and --places must be at least 0")
        if self.region_name and not self.regions:
            raise ValueError("--region_name is for --regions")
        self._check_dates(self.dates)

    @property
    def dates(self) -> tuple[Dated, ...]:
        """The dates in their order."""
        of_first = self.before, self.probabilities_before, self.image_before
        of_second = self.after, self.probabilities_after, self.image_after
        if any((*of_first, *of_second)):
            if self.maps or self.probabilities or self.images:
                raise ValueError("give --before and --after, or --maps, --images DATE=FILE,…")
            return Dated(BEFORE, *of_first), Dated(AFTER, *of_second)
        maps, probabilities, images = (
            _parse_dated(flag, getattr(self, flag)) for flag in ("maps", "probabilities", "images")
        )
        names = list(maps or images)
        for flag, given in (("probabilities", probabilities), ("images", images)):
            if strange := sorted(set(given) - set(names)):
                raise ValueError(f"--{flag} has the date {strange[0]}, which --maps does not have")
        return tuple(
            Dated(name, maps.get(name, ""), probabilities.get(name, ""), images.get(name, ""))
            for name in names
        )

    def _check_dates(self, dates: Sequence[Dated]) -> None:
        if len(dates) < 2:
            raise ValueError(
                "give two dates: --before and --after, --maps=DATE=FILE,DATE=FILE, or --model with "
                "images"
            )
        if any(date.map for date in dates) and not all(date.map for date in dates):
            missing = next(date.name for date in dates if not date.map)
            raise ValueError(f"{missing} has no map; give one for each date, or --model for all")
        has_maps = bool(dates[0].map)
        if not has_maps and not self.model:
            raise ValueError("give maps, or --model to make them")
        if not has_maps and not all(date.image for date in dates):
            missing = next(date.name for date in dates if not date.image)
            raise ValueError(f"{missing} has no image for --model to map")
        if not has_maps and any(date.probabilities for date in dates):
            raise ValueError("probabilities go with maps; --model makes its own")
        if any(d.probabilities for d in dates) and not all(d.probabilities for d in dates):
            missing = next(date.name for date in dates if not date.probabilities)
            raise ValueError(
                f"{missing} has no probabilities; give them for each date, or for none"
            )


def _read_day(name: str) -> str:
    """A name that is a year or a date, so that it can be sorted; empty: it is another name."""
    return name if _DAY.fullmatch(name) else ""


def _parse_dated(flag: str, pairs: Sequence[str]) -> dict[str, str]:
    """Files by date."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        name = name.strip()
        if not (equals and name and path):
            raise ValueError(f"--{flag}={pair}: expected DATE=FILE")
        if _FILE_NAME_ONLY & set(name) or name.startswith("."):
            raise ValueError(f"--{flag}: the date {name!r} becomes part of names of files")
        if name in found:
            raise ValueError(f"--{flag} has the date {name} twice")
        found[name] = path
    days = [_read_day(name) for name in found]
    if all(days) and days != sorted(days):
        raise ValueError(f"--{flag}: {', '.join(found)} are not in the order of time")
    return found
