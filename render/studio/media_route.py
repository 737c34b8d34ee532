"""Serves the files of `Media` by their ids; films in ranges of bytes, so that a player can seek."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse

from render.studio.media import PREFIX, Media
from render.system.files import open_regular

PICTURES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}
MAX_PICTURE = 2**26
"""Bytes of a picture, at most."""
HEADERS = {"cache-control": "private, max-age=3600"}
"""The address of a file changes with it."""


def register(app: FastAPI, media: Media) -> None:
    """Adds the route of media to an application."""

    @app.get(f"{PREFIX}{{media_id}}")
    async def file(media_id: str) -> Response:
        return await asyncio.to_thread(respond, media, media_id)


def respond(media: Media, media_id: str) -> Response:
    """Returns the response for an id."""
    path = media.file(media_id)
    if path is None:
        return Response(status_code=404)
    kind = PICTURES.get(path.suffix.lower())
    if kind is None:
        return FileResponse(path, headers=HEADERS)
    try:  # at once, since the file may be replaced meanwhile
        with open_regular(path, follow_links=False) as stream:
            return Response(stream.read(MAX_PICTURE), media_type=kind, headers=HEADERS)
    except OSError:
        return Response(status_code=404)
