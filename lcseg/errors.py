"""What goes wrong for a user, said in one line.

raise LcsegError("a.tif", "has 3 bands, expected 4", "pass an image with the bands of the bundle")
# a.tif: has 3 bands, expected 4; pass an image with the bands of the bundle
"""


class LcsegError(Exception):
    """A fault in the input, the flags or the machine that the user can mend.

    Args:
        where: the file, folder or flag that is at fault.
        problem: what was expected and what was found.
        fix: what to do about it; empty if nothing is known to help.
    """

    exit_code = 2

    def __init__(self, where: object, problem: str, fix: str = "") -> None:
        super().__init__(str(where), problem, fix)
        self.where, self.problem, self.fix = str(where), problem, fix

    def __str__(self) -> str:
        text = f"{self.where}: {self.problem}" + (f"; {self.fix}" if self.fix else "")
        return " ".join(text.split())


class UnknownCodesError(LcsegError):
    """A label raster holds codes that the class scheme does not name."""


class StoreError(LcsegError):
    """An object store does not answer, or does not do what it was asked."""


class PeerLostError(LcsegError):
    """A peer in training is lost or never came; starting again may help.

    The exit code is the one that a TFJob of Kubernetes keeps for faults of which a program says
    itself that they pass.
    """

    exit_code = 138


class InterruptedRunError(LcsegError):
    """Work ended early because a signal asked for it; nothing is lost.

    The exit code is the shell's: 128 plus the number of the signal.
    """

    def __init__(self, where: object, problem: str, fix: str, signal_number: int) -> None:
        super().__init__(where, problem, fix)
        # An exception crosses to another process as its arguments.
        self.args = (*self.args, signal_number)
        self.signal_number, self.exit_code = signal_number, 128 + signal_number
