"""The hidden folder beside a map where its parts lie until all are there.

with open_workshop(Path("map.tif")) as shop:
    outcome = shop.find(part)                  # None: it is yet to be done
    shop.keep(part, predict_part(part, str(shop.stage)))
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lcseg.documents import read_document, write_document
from lcseg.errors import LcsegError
from lcseg.prediction.parts import piece_path
from lcseg.prediction.task import Part, PartOutcome
from lcseg.records.folder import claimed


@dataclass(frozen=True)
class Workshop:
    """Parts of a map, and notes of those that are done."""

    folder: Path  # Of parts that are done.
    stage: Path  # What workers write into; each start has its own, as those of an earlier one may
    # still be at work.

    def find(self, part: Part) -> PartOutcome | None:
        """What an earlier start has noted of a part, if the part and its files are as they were."""
        try:
            outcome = read_document(self._note(part), PartOutcome)
        except LcsegError:
            # Not there, or half written when the power went: the part is done again.
            return None
        is_whole = not any(_missing(self.folder, part, outcome))
        return outcome if is_whole and outcome.digest == part.digest else None

    def keep(self, part: Part, outcome: PartOutcome) -> None:
        """Take over what a worker has done of a part, and note it."""
        for path in _missing(self.stage, part, outcome):
            raise LcsegError(
                path,
                "is not what a worker has written",
                "all workers must have this file system at the same path",
            )
        for product in outcome.files:
            piece_path(self.stage, product, part).replace(piece_path(self.folder, product, part))
        write_document(self._note(part), outcome)

    def sweep(self, parts: Sequence[Part], done: dict[int, PartOutcome]) -> None:
        """Remove what does not belong to the parts that are done."""
        kept = set()
        for part in parts:
            if part.number in done:
                kept.add(self._note(part))
                kept |= {piece_path(self.folder, name, part) for name in done[part.number].files}
        for path in self.folder.iterdir():
            if path not in kept and path.is_file():
                path.unlink()

    def _note(self, part: Part) -> Path:
        return self.folder / f"part-{part.number:05d}.json"


def _missing(folder: Path, part: Part, outcome: PartOutcome) -> Iterator[Path]:
    """Files of a part that are not in a folder, or not whole."""
    for product, size in outcome.files.items():
        path = piece_path(folder, product, part)
        if not path.exists() or path.stat().st_size != size:
            yield path


def workshop_folder(out: Path) -> Path:
    """Where the parts of a map lie."""
    return out.absolute().with_name(f".{out.name}.partial")


@contextmanager
def open_workshop(out: Path) -> Iterator[Workshop]:
    """Yield the workshop of a map, which is removed at the end.

    If the work ends early, it is kept if anything in it can be used by the next start.

    Raises:
        LcsegError: another process is at work in it.
    """
    folder = workshop_folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    with claimed(folder, out, "--out"):
        try:
            for left in folder.glob("stage-*"):
                shutil.rmtree(left, ignore_errors=True)
            stage = folder / f"stage-{uuid.uuid4().hex[:8]}"
            stage.mkdir()
            yield Workshop(folder, stage)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            if folder.exists() and not any(folder.glob("part-*.json")):
                shutil.rmtree(folder, ignore_errors=True)
