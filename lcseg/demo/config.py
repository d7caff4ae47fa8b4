"""What a user may choose about the demo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lcseg.files import require_local


@dataclass(frozen=True)
class DemoConfig:
    """The whole way once, on a made-up landscape."""

    out: Annotated[str, "Folder for everything that the demo makes; must not exist yet."]
    epochs: Annotated[int, "Epochs of 50 steps."] = 8
    seed: Annotated[int, "Decides the landscape and the training."] = 0
    serve: Annotated[bool, "In the end, show the scene live, and open the page in a browser."] = (
        False
    )
    port: Annotated[int, "Port for --serve; 0: any that is free."] = 8000
    quiet: Annotated[bool, "Show no progress."] = False

    def __post_init__(self) -> None:
        require_local(self.out, "out")
        if self.epochs < 1 or not 0 <= self.seed < 2**31:
            raise ValueError("--epochs must be at least 1, --seed from 0 to less than 2^31")
        if not 0 <= self.port < 2**16:
            raise ValueError("--port must be from 0 to 65535")
