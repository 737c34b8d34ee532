"""Media over HTTP: by id, in ranges, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from render.studio.media import PREFIX, Media
from render.studio.media_route import register


def get(app: FastAPI, address: str, **headers: str) -> tuple[int, dict[bytes, bytes], bytes]:
    """The status, headers and body of the answer to a request."""
    path, _, query = address.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
    }
    messages: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        messages.append(message)

    asyncio.run(app(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in messages)
    return messages[0]["status"], dict(messages[0]["headers"]), body


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a film and a picture, beside which there is a secret."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "film.mp4").write_bytes(bytes(range(100)))
    (folder / "preview-0.jpg").write_bytes(b"jpeg")
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    return folder


def test_files_are_served_by_their_ids_alone(folder: Path) -> None:
    media, app = Media([folder]), FastAPI(openapi_url=None)
    register(app, media)
    status, headers, body = get(app, media.url(folder / "film.mp4"))
    assert (status, headers[b"content-type"], body) == (200, b"video/mp4", bytes(range(100)))
    status, _, body = get(app, media.url(folder / "film.mp4"), range="bytes=10-19")
    assert (status, body) == (206, bytes(range(10, 20)))
    status, headers, body = get(app, media.url(folder / "preview-0.jpg"))
    assert (status, headers[b"content-type"], body) == (200, b"image/jpeg", b"jpeg")
    secret = media.url(folder.parent / "secret.mp4")
    for path in (secret, f"{PREFIX}film.mp4", f"{PREFIX}../secret.mp4", f"{PREFIX}..%2fsecret.mp4", PREFIX):
        assert get(app, path)[0] == 404
