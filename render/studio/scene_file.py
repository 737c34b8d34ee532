"""A scene file that a page edits: atomic saves, edits made elsewhere, drafts, and one writer at a time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_state_path
from pydantic import BaseModel, ConfigDict, ValidationError

from render.errors import StorageError
from render.film.atomic import atomic_write, storage_errors
from render.system.files import open_regular

MAX_BYTES = 2**22
"""Bytes of a scene file that a page edits."""


def drafts_folder() -> Path:
    """Returns the folder of drafts, which is the user's own."""
    return user_state_path("render", appauthor=False) / "studio"


class ChangedError(StorageError):
    """The file was changed elsewhere since it was read."""


@dataclass(frozen=True)
class Saved:
    """The text of a file with lines that end in \\n, as its lines end in the file, and the checksum of its bytes."""

    text: str
    newline: str
    checksum: str

    @classmethod
    def of(cls, data: bytes) -> Saved:
        """Returns what bytes say. Raises UnicodeDecodeError."""
        text = data.decode("utf-8")
        newline = "\r\n" if "\r\n" in text else "\n"
        return cls(text.replace("\r\n", "\n"), newline, hashlib.sha256(data).hexdigest())


class Draft(BaseModel):
    """Text that was not saved, and the checksum of the file that it is a change of."""

    model_config = ConfigDict(frozen=True)
    text: str
    checksum: str


class SceneFile:
    """A scene file, with a draft and a lock beside each other in `folder`, under a name of their own."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        name = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()
        self._draft = folder / f"{name}.json"
        self._lock = FileLock(folder / f"{name}.lock", thread_local=False)

    def read(self) -> Saved:
        """Reads the file. Raises StorageError when there is none, when it is too large, or not UTF-8."""
        try:
            with open_regular(self.path) as file:
                data = file.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                raise StorageError(f"{self.path} has more than {MAX_BYTES} bytes")
            return Saved.of(data)
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise StorageError(f"{self.path} is not UTF-8") from None

    def save(self, text: str, base: Saved) -> Saved:
        """Writes a text that was edited from what `base` says, and forgets the draft; returns what the file says now.

        Raises ChangedError when the file says something else by now, StorageError when it cannot be written.
        """
        if self.read_or_none() not in (None, base):
            raise ChangedError(f"{self.path.name} was changed elsewhere since it was read here")
        data = text.replace("\n", base.newline).encode()
        atomic_write(self.path.resolve(), data)
        self.forget_draft()
        return Saved.of(data)

    def read_or_none(self) -> Saved | None:
        """Returns what the file says, None when it cannot be read."""
        try:
            return self.read()
        except StorageError:
            return None

    def draft(self) -> Draft | None:
        """Returns the draft that was kept; None for none, or a damaged one."""
        try:
            return Draft.model_validate_json(self._draft.read_bytes())
        except (OSError, ValidationError):
            return None

    def keep_draft(self, text: str, base: Saved) -> None:
        """Keeps a text that is not saved. Raises StorageError."""
        with storage_errors(self._draft):
            self._draft.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(self._draft, Draft(text=text, checksum=base.checksum).model_dump_json().encode())

    def forget_draft(self) -> None:
        """Deletes the draft. Raises StorageError."""
        with storage_errors(self._draft):
            self._draft.unlink(missing_ok=True)

    def begin_writing(self) -> bool:
        """Takes the lock, which the process keeps; returns whether no other studio has it. Raises StorageError."""
        with storage_errors(self._draft):
            self._draft.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                return False
        return True

    def end_writing(self) -> None:
        """Releases the lock."""
        self._lock.release()
