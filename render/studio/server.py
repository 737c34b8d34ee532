"""The server of the studio's page, on an address of this machine."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import uvicorn
from fastapi import FastAPI
from nicegui import app as nicegui_app
from nicegui import ui

from render.errors import StorageError, UsageError
from render.studio import media_route, page
from render.studio.child import pictures_folder
from render.studio.dream_preview import DreamPreview
from render.studio.editing import Shared
from render.studio.films import Films
from render.studio.films_panel import FilmWatch
from render.studio.media import Media
from render.studio.scene_file import drafts_folder
from render.studio.security import Access, Guard
from render.studio.workspace import MAX_UPLOAD, Workspace

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8420
PORTS = 20
"""Ports that are tried from the default one on, when none is named."""

BACKLOG = 128


@dataclass(frozen=True)
class Address:
    """Where the page is: a host's name or number, a port (None: one that is free), and the password, None for a token.

    A host other than loopback needs a password.
    """

    host: str = LOOPBACK
    port: int | None = None
    password: str | None = None

    def __post_init__(self) -> None:
        if not self.is_loopback and not self.password:
            raise UsageError(
                f"other machines can reach {self.host}: it needs --password (or RENDER_STUDIO_PASSWORD), since the "
                "connection is not encrypted and an address with a token would be readable on the network"
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in (LOOPBACK, "localhost", "::1")

    def hosts(self, port: int) -> frozenset[str]:
        """Returns the values of the header Host that name the page."""
        names = {self.host, LOOPBACK, "localhost"}
        if not self.is_loopback:
            names |= {socket.gethostname().lower(), f"{socket.gethostname().lower()}.local"}
            names |= {each.address for group in psutil.net_if_addrs().values() for each in group}
        return frozenset(f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name in names)


def serve(path: Path, address: Address, announce: Callable[[str], None]) -> None:
    """Serves the page of a scene file, or of a folder of scenes, until it is interrupted.

    `announce` gets the page's address once it can be opened. Raises StorageError when there is no such file or folder,
    or no port that is free.
    """
    workspace = Workspace.of(path)
    name = "" if path.is_dir() else path.resolve().relative_to(workspace.folder).as_posix()
    with _bound(address) as bound, TemporaryDirectory(prefix="render-studio-") as previews:
        port = bound.getsockname()[1]
        access = Access(address.hosts(port), address.password, cookie=f"render-studio-{port}")
        app = FastAPI(openapi_url=None)
        dream = DreamPreview()
        nicegui_app.on_shutdown(dream.stop)
        media = Media([workspace.folder, Path(previews), dream.folder, pictures_folder()])
        media_route.register(nicegui_app, media)
        studio = page.Studio(
            workspace,
            name,
            shared=Shared(drafts_folder()),
            media=media,
            previews=Path(previews),
            dream=dream,
            watch=FilmWatch(Films(workspace.folder)),
        )
        page.register(studio)
        ui.run_with(app, title="render studio", dark=None, show_welcome_message=False, reconnect_timeout=30)
        guard = Guard(app, access, max_body=MAX_UPLOAD)
        config = uvicorn.Config(guard, log_level="warning", server_header=False, ws_max_size=2**22)
        query = "" if address.password else f"?token={access.token}"
        announce(f"http://{LOOPBACK if address.host == '0.0.0.0' else address.host}:{port}/{query}")
        uvicorn.Server(config).run(sockets=[bound])


def _bound(address: Address) -> socket.socket:
    """Returns a socket that listens at the address. Raises StorageError."""
    ports = range(DEFAULT_PORT, DEFAULT_PORT + PORTS) if address.port is None else [address.port]
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    message = ""
    for port in ports:
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((address.host, port))
            bound.listen(BACKLOG)  # a browser that comes before the server answers waits
        except OSError as error:
            bound.close()
            message = f"cannot serve at {address.host}:{port}: {error.strerror}"
        else:
            return bound
    raise StorageError(message)
