"""Whether all peers are there, asked before TensorFlow, which would wait an hour without a word.

await_peers(cluster, deadline_s=60)    # PeerLostError: worker 2 (h2:2222): no answer within 60 s
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import ipaddress
import logging
import os
import re
import socket
import time
from collections.abc import Callable

from lcseg.errors import LcsegError, PeerLostError
from lcseg.training.cluster import Cluster, split_address

POLL_S = 0.2
SAY_EVERY_S = 10.0
CONNECT_S = 10.0  # where the first name server is silent, a look-up takes 5 s
ANSWER_S = 2.0  # who listens answers at once
LINGER_S = 2.0  # who is here asks every POLL_S
OWN_PORT_S = 3.0  # a predecessor that was just killed may still be closing

_HELLO = re.compile(rb"lcseg ([0-9a-f]{16}) ([0-9]{1,9})\n")
# HTTP/2, and so gRPC, greets with a frame of this kind after its length (RFC 9113, 3.4).
_SETTINGS = b"\x04\x00"
_LOG = logging.getLogger("lcseg")


def await_peers(
    cluster: Cluster, deadline_s: float, say: Callable[[str], None] = _LOG.info
) -> None:
    """Wait until every peer has answered; this process must not listen at its address yet.

    Args:
        cluster: who trains together.
        deadline_s: seconds after which a peer that has not answered is given up.
        say: is told now and then who is missing.

    Raises:
        PeerLostError: names the peers that have not answered.
        LcsegError: names a peer that has another list of workers, another place in it or another
            program at its port, or this process's own port where it cannot listen.
    """
    if cluster.size > 1:
        asyncio.run(_Probe(cluster).run(deadline_s, say))


class _Probe:
    """Answers at this process's port, and asks every peer at its own.

    No two live processes wait for each other until the deadline: each listens before it asks, and
    asks until it is answered, so two that are here meet, whoever came first. One that has met all
    goes on answering until all have asked it, but only for a moment: a peer that was answered by a
    predecessor of this process asks no more. Whoever asks later finds the port closed until gRPC
    opens it, asks on, and takes the greeting of gRPC as an answer.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.missing = set(range(cluster.size)) - {cluster.index}
        self.not_asked_by = set(self.missing)
        self.all_asked = asyncio.Event()

    async def run(self, deadline_s: float, say: Callable[[str], None]) -> None:
        """Meet all peers, or raise what hinders it."""
        async with await asyncio.start_server(self.answer, sock=await _listen(self.cluster)):
            report = asyncio.create_task(self.report(say))
            asks = [asyncio.create_task(self.ask(index)) for index in sorted(self.missing)]
            first = asyncio.FIRST_EXCEPTION
            done, _ = await asyncio.wait(asks, timeout=deadline_s, return_when=first)
            report.cancel()
            faults = [fault for ask in asks if ask in done and (fault := ask.exception())]
            # A peer that is at odds with this process is to find it out, too.
            if faults or not self.missing:
                await self.linger()
        if faults:
            raise faults[0]
        if self.missing:
            problem = f"no answer within {deadline_s:g} s"
            raise PeerLostError(self.names(), problem, "start it, or look why it did not start")

    async def linger(self) -> None:
        """Go on answering until every peer has asked, for a moment at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await self.all_asked.wait()

    async def report(self, say: Callable[[str], None]) -> None:
        """Say now and then who is missing."""
        while True:
            await asyncio.sleep(SAY_EVERY_S)
            say(f"waiting for {self.names()}")

    def names(self) -> str:
        """The peers that have not answered."""
        return ", ".join(self.cluster.name_of(index) for index in sorted(self.missing))

    async def ask(self, index: int) -> None:
        """Ask a peer until it answers; an LcsegError if it is not who it should be."""
        while not (answer := await self.ask_once(index)):
            await asyncio.sleep(POLL_S)
        if answer[3:5] == _SETTINGS:
            # It has met all and gone on, so it asks no more.
            self.note_asked(index)
        else:
            _check_hello(self.cluster, index, answer)
        self.missing.discard(index)

    async def ask_once(self, index: int) -> bytes:
        """A peer's answer; empty if there is none, for whatever reason."""
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(
                    *split_address(self.cluster.addresses[index])
                )
        except OSError:
            return b""
        with contextlib.closing(writer):
            # Where nobody listens, TCP may choose that very port for this end, and so meets itself.
            if writer.get_extra_info("sockname") == writer.get_extra_info("peername"):
                return b""
            writer.write(hello_of(self.cluster, self.cluster.index))
            return await _read_line(reader)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Say hello to who asks, and note who it was."""
        # Python 3.11 reports an answer as a fault if the end of the loop cuts it off.
        cut_off = contextlib.suppress(OSError, asyncio.CancelledError)
        with contextlib.closing(writer), cut_off:
            question = await _read_line(reader)
            writer.write(hello_of(self.cluster, self.cluster.index))
            # Who asks closes first, so that what TCP keeps of a connection does not hold our port.
            async with asyncio.timeout(ANSWER_S):
                await reader.read(1)
            if hello := _HELLO.fullmatch(question):
                self.note_asked(int(hello[2]))

    def note_asked(self, index: int) -> None:
        """Note that a peer needs no answer any more."""
        self.not_asked_by.discard(index)
        if not self.not_asked_by:
            self.all_asked.set()


def hello_of(cluster: Cluster, index: int) -> bytes:
    """What a worker says of itself: the list that it was given, as a digest, and its place."""
    return f"lcseg {_digest_of(cluster)} {index}\n".encode()


def _digest_of(cluster: Cluster) -> str:
    return hashlib.sha256(" ".join(cluster.addresses).encode()).hexdigest()[:16]


def _check_hello(cluster: Cluster, index: int, answer: bytes) -> None:
    where, hello = cluster.name_of(index), _HELLO.fullmatch(answer)
    if hello is None:
        problem = f"another program answers there: {answer[:40]!r}"
        raise LcsegError(where, problem, "end it, or choose another port")
    if hello[1].decode() != _digest_of(cluster):
        raise LcsegError(where, "has another list of workers", "give all workers the same list")
    if int(hello[2]) != index:
        problem = f"says that it is worker {int(hello[2])}"
        raise LcsegError(where, problem, "give every worker its own place in the list")


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    """What comes until a line ends, the other side closes or ANSWER_S are over."""
    line = b""
    with contextlib.suppress(OSError):
        async with asyncio.timeout(ANSWER_S):
            while not line.endswith(b"\n") and len(line) < 100 and (part := await reader.read(100)):
                line += part
    return line


async def _listen(cluster: Cluster) -> socket.socket:
    """Listen at this process's port, at all interfaces unless its address is a loopback one."""
    host, port = split_address(cluster.address)
    until_s = time.monotonic() + OWN_PORT_S
    while True:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((_interface(host), port), family=family)
        except OSError as error:
            number = error.errno or 0
            if number != errno.EADDRINUSE:
                problem = f"cannot be listened at: {os.strerror(number)}"
                raise LcsegError(f"port {port}", problem) from error
            if time.monotonic() > until_s:
                problem = "is taken by another process of this machine"
                raise LcsegError(
                    f"port {port}", problem, "end it, or choose another port"
                ) from error
        await asyncio.sleep(POLL_S)


def _interface(host: str) -> str:
    """The host itself if it is a loopback address, else all interfaces."""
    try:
        return host if ipaddress.ip_address(host).is_loopback else ""
    except ValueError:
        return ""
