"""The pictures that the page displays: files by ids that say nothing of their paths, at `/pictures/ID`."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from pathlib import Path
from threading import Lock

from fastapi import FastAPI, Response

from render.system.files import open_regular

TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}
MAX_PICTURES = 20_000
"""Pictures that have an address at a time; the ones that were added first lose theirs."""
MAX_BYTES = 2**26
CHANGING, CONSTANT = "no-store", "private, max-age=86400, immutable"
"""What a browser may keep."""


class Pictures:
    """Files that have an address on the page. `add` and the route may be used in several threads."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, tuple[Path, str]] = OrderedDict()
        self._ids: dict[tuple[Path, str], str] = {}
        self._lock = Lock()

    def add(self, file: Path, *, is_constant: bool) -> str:
        """Returns the address of a picture. One that `is_constant` never changes, and browsers keep it."""
        key = (file, CONSTANT if is_constant else CHANGING)
        with self._lock:
            if key not in self._ids:
                self._ids[key] = secrets.token_urlsafe(16)
                self._files[self._ids[key]] = key
                if len(self._files) > MAX_PICTURES:
                    _, oldest = self._files.popitem(last=False)
                    del self._ids[oldest]
            return f"/pictures/{self._ids[key]}"

    def answer(self, picture: str) -> Response:
        """Returns the answer to a request for an id: the picture; 404 for an id that is unknown or has no file."""
        with self._lock:
            file, keeping = self._files.get(picture, (None, ""))
        if file is None or file.suffix not in TYPES:
            return Response(status_code=404)
        try:
            with open_regular(file, follow_links=False) as stream:
                data = stream.read(MAX_BYTES)
        except OSError:
            return Response(status_code=404)
        return Response(data, media_type=TYPES[file.suffix], headers={"cache-control": keeping})

    def register(self, app: FastAPI) -> None:
        """Adds the route to an application."""
        app.get("/pictures/{picture}", response_class=Response)(self.answer)
