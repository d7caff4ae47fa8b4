"""The server: a gallery, shown at an address until a signal ends it.

serve(ServeConfig(model="run/bundle", image="scene.tif"))
"""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from lcseg.errors import InterruptedRunError, LcsegError
from lcseg.serving.app import make_app
from lcseg.serving.config import ServeConfig
from lcseg.serving.gallery import Gallery, open_gallery

_LOG = logging.getLogger("lcseg")
_GRACE_S = 3
_BACKLOG = 512
_MOST_HEADERS = 1 << 15


def serve(config: ServeConfig, ready: Callable[[str], None] = lambda _: None) -> None:
    """Show what a configuration names, until SIGINT or SIGTERM.

    Args:
        config: what, and where.
        ready: is told the address of the page once it answers; the token of edits is its fragment,
            if it is a new one.

    Raises:
        LcsegError: something of it cannot be shown, or the address cannot be listened at.
    """
    # Programs end with those who read them; a server must outlive clients that hang up.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    with (
        # A signal is how a server ends.
        suppress(KeyboardInterrupt, InterruptedRunError),
        # First the port: loading a model takes longer than a slip should take to be told.
        _listen(config) as listener,
        open_gallery(config) as gallery,
    ):
        host, port = listener.getsockname()[:2]
        shown_host = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host
        is_told = gallery.edits and not config.edit_token_file
        # Fragments are neither sent nor logged.
        fragment = f"#token={gallery.edits.token}" if gallery.edits and is_told else ""
        ready(f"http://{shown_host}:{port}/{fragment}")
        uvicorn.Server(make_settings(gallery)).run(sockets=[listener])


def make_settings(gallery: Gallery) -> uvicorn.Config:
    """How a gallery is served."""
    return uvicorn.Config(
        make_app(gallery),
        root_path=gallery.config.root_path,
        # The other parser that uvicorn takes where it finds it does not bound headers.
        http="h11",
        h11_max_incomplete_event_size=_MOST_HEADERS,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )


def list_addresses(address: str) -> str:
    """The ways in, for people, of the address of a page."""
    base, _, _ = address.partition("#")
    return (
        f"page    {address}\n"
        f"XYZ     {base}tiles/DATASET/classes/{{z}}/{{x}}/{{y}}.png\n"
        f"WMTS    {base}wmts/1.0.0/WMTSCapabilities.xml\n"
        f"ArcGIS  {base}arcgis/rest/services\n"
        f"OGC     {base}ogc\n"
        "Ctrl-C ends it"
    )


def _listen(config: ServeConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # Where the protocol is not named, asyncio leaves Nagle's algorithm on: 40 ms for each answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((config.host, config.port))
        listener.listen(_BACKLOG)
        return listener
    except OSError as error:
        listener.close()
        raise LcsegError(
            f"--host={config.host} --port={config.port}",
            f"cannot be listened at: {error.strerror or error}",
            "name another --port (0 takes any that is free), or an address of this machine",
        ) from error
