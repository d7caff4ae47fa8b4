"""What a user may choose when maps are served."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated

_MAX_PORT = 65_535
_PREFIX = re.compile(r"(/[\w.~-]+)+", re.ASCII)
_NAME = re.compile(r"\*|(\*\.)?[\w.-]+|\[[\da-f:.]+\]", re.ASCII | re.IGNORECASE)
_ORIGIN = re.compile(r"https?://[^/\s]+")


@dataclass(frozen=True)
class ServeConfig:
    """What is shown, to whom, and what it may cost."""

    config: Annotated[str, "TOML file that names the data sets to show."] = ""
    model: Annotated[str, "In place of --config: bundle, or ONNX file of lcseg export."] = ""
    image: Annotated[str, "Image raster that goes with --model."] = ""
    label: Annotated[str, "Label raster of the image, to compare with."] = ""
    map: Annotated[str, "Map of the image by lcseg predict, shown where people zoom out."] = ""
    host: Annotated[str, "Address to listen at; 0.0.0.0: all of this machine."] = "127.0.0.1"
    port: Annotated[int, "Port to listen at; 0: any that is free."] = 8000
    root_path: Annotated[str, "Prefix that a proxy puts before all paths, as /maps."] = ""
    hosts: Annotated[tuple[str, ...], "Names by which people reach the server, beside --host."] = ()
    origins: Annotated[
        tuple[str, ...],
        "Other web sites whose pages may read what is served, as https://www.arcgis.com; * is all.",
    ] = ()
    allow_edits: Annotated[bool, "Let those who have the token write verdicts to suspects."] = False
    edit_token_file: Annotated[str, "File that holds the token; empty: a new one is printed."] = ""
    max_blocks: Annotated[int, "Blocks that one request may have predicted."] = 64
    max_waiting: Annotated[int, "Blocks that may wait; beyond, clients are told to come again."] = (
        512
    )
    batch_blocks: Annotated[int, "Blocks that the model takes at once."] = 4
    batch_wait_ms: Annotated[float, "How long the model waits for more of them."] = 2.0
    memory_mb: Annotated[int, "Memory for blocks that are predicted."] = 512
    disk_cache: Annotated[str, "Folder that keeps them longer; empty: none."] = ""
    disk_cache_mb: Annotated[int, "How much it may hold."] = 4096
    timeout_s: Annotated[float, "How long a request may take."] = 30.0

    def __post_init__(self) -> None:
        alone = {
            "give --config, or --model with --image": bool(self.config) == bool(self.model),
            "--model and --image go together": bool(self.model) != bool(self.image),
            "--label and --map stand in the file of --config": bool(
                self.config and (self.label or self.map)
            ),
            "--edit_token_file goes with --allow_edits": bool(self.edit_token_file)
            and not self.allow_edits,
        }
        for problem, is_there in alone.items():
            if is_there:
                raise ValueError(problem)
        if not 0 <= self.port <= _MAX_PORT:
            raise ValueError(f"--port must be from 0 to {_MAX_PORT}")
        if self.root_path and not _PREFIX.fullmatch(self.root_path):
            raise ValueError("--root_path begins with / and does not end with it")
        for name in self.hosts:
            if not _NAME.fullmatch(name):
                raise ValueError(f"--hosts: {name} is no name, as maps.example.org, without port")
        for origin in self.origins:
            # Browsers name an origin without a path, so another would never be allowed.
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"--origins: {origin} is no origin, as https://www.arcgis.com")
        least = {"max_blocks": 1, "max_waiting": 1, "batch_blocks": 1, "memory_mb": 1}
        least |= {"batch_wait_ms": 0, "disk_cache_mb": 1, "timeout_s": 1}
        for flag, value in least.items():
            # Neither NaN nor infinity.
            if not value <= getattr(self, flag) < math.inf:
                raise ValueError(f"--{flag} must be at least {value}")
        if self.max_waiting < self.max_blocks:
            raise ValueError("--max_waiting must be at least --max_blocks")
