"""The command `studio`: serves the page of the studio."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from render.cli.output import print_line
from render.errors import MissingError

ADDRESS = "Address options"


def studio(
    scene: Annotated[
        Path | None,
        typer.Argument(help="Scene file, or a folder of scenes; the current one by default.", metavar="[SCENE]"),
    ] = None,
    *,
    host: Annotated[
        str,
        typer.Option(
            help="Address to serve at; 0.0.0.0 lets other machines in.", metavar="HOST", rich_help_panel=ADDRESS
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            help="Port; by default the first free one from 8420 on.",
            metavar="PORT",
            min=1,
            max=65535,
            rich_help_panel=ADDRESS,
        ),
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(
            help="Password of the page, instead of the token in its address.",
            metavar="PASSWORD",
            envvar="RENDER_STUDIO_PASSWORD",
            rich_help_panel=ADDRESS,
        ),
    ] = None,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser.", rich_help_panel=ADDRESS)
    ] = False,
) -> None:
    """Serve a page on which a scene is written and watched.

    Example:
      render studio zoom.yaml --open
    """
    if find_spec("nicegui") is None:
        raise MissingError("the studio needs NiceGUI; install it with: pip install 'render-dreams[studio]'")
    from render.studio.scene_file import drafts_folder

    os.environ.setdefault("NICEGUI_STORAGE_PATH", str(drafts_folder() / "nicegui"))  # read when NiceGUI is imported
    from render.studio.server import Address, serve

    def announce(address: str) -> None:
        print_line(address)
        if open_page:
            import webbrowser

            webbrowser.open(address)

    serve(Path.cwd() if scene is None else scene, Address(host, port, password), announce)
