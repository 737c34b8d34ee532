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
from nicegui import ui

from render.errors import StorageError, UsageError
from render.studio import page
from render.studio.child import pictures_folder
from render.studio.editing import Shared
from render.studio.media import Media
from render.studio.scene_file import drafts_folder
from render.studio.security import Access, Guard
from render.studio.workspace import MAX_UPLOAD, Workspace

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8420
PORTS = 20
"""Ports that are tried from the default one on, when none is named."""


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
        media = Media([workspace.folder, Path(previews), pictures_folder()])
        shared = Shared(drafts_folder())
        page.register(page.Studio(workspace, name, shared=shared, media=media, previews=Path(previews)))
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
        except OSError as error:
            bound.close()
            message = f"cannot serve at {address.host}:{port}: {error.strerror}"
        else:
            return bound
    raise StorageError(message)
