"""Files that the page shows, each by an id of its own: no path comes from a browser."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

PREFIX = "/media/"
MAX_FILES = 10_000
"""Files that are remembered; of more, those that were named last."""


class Media:
    """The files inside some folders that the page may show."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [Path(os.path.realpath(folder)) for folder in folders]
        self._secret = secrets.token_bytes(32)
        self._files: OrderedDict[str, Path] = OrderedDict()

    def url(self, path: Path) -> str:
        """Returns the address of a file. It changes with the file, which a browser may keep."""
        media_id = hmac.new(self._secret, os.fsencode(path), hashlib.sha256).hexdigest()
        self._files[media_id] = path
        self._files.move_to_end(media_id)
        if len(self._files) > MAX_FILES:
            self._files.popitem(last=False)
        try:
            version = path.lstat().st_mtime_ns
        except OSError:
            version = 0
        return f"{PREFIX}{media_id}?{version}"

    def file(self, media_id: str) -> Path | None:
        """Returns the file of an id; None for other ids, and for what is not a regular file inside the folders."""
        path = self._files.get(media_id)
        if path is None:
            return None
        real = Path(os.path.realpath(path))
        try:
            is_file = stat.S_ISREG(path.lstat().st_mode)
        except OSError:
            return None
        return real if is_file and any(real.is_relative_to(folder) for folder in self._folders) else None
