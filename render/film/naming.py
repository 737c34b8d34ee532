"""Names of files beside a film: the pictures of a sequence, and the working folder."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from pathlib import Path

from render.choices import CONTAINERS, IMAGE_CODECS

FOLDER_SUFFIX = ".parts"
DEFAULT_NAME_BYTES = 255
"""Bytes of a name, where the system does not say how many are allowed."""
_REPEATED = re.compile(r"\.repeat[0-9]+(?=\.[^.]*$)")
_NUMBER = re.compile(r"%0?([0-9]*)d")


def numbered_path(pattern: Path, number: int) -> Path:
    """Returns the path of one picture of a sequence."""
    return Path(_NUMBER.sub(lambda match: f"{number:0{match[1] or 1}d}", str(pattern)))


def repeated_title(repeat: int) -> str:
    """Returns what the name of a film that is several times in its file has before its suffix."""
    return f"repeat{repeat}"


def same_frames_paths(target: Path, codec: str) -> list[Path]:
    """Returns where a film of the same frames may be: at the target, in other containers, and without a repetition."""
    unrepeated = target.with_name(_REPEATED.sub("", target.name))
    suffixes = [suffix for suffix, codecs in CONTAINERS.items() if codec in codecs]
    return [path.with_suffix(suffix) for path in dict.fromkeys((target, unrepeated)) for suffix in suffixes]


def work_folder(target: Path) -> Path:
    """Returns the working folder of a film: beside it, and the same for all patterns of the same pictures.

    A name that would be longer than the disk allows ends in a checksum of the film's name.
    """
    name = target.name
    if CONTAINERS.get(target.suffix.lower(), ("",))[0] in IMAGE_CODECS:
        name = _NUMBER.sub(lambda match: "%d" if int(match[1] or 1) <= 1 else f"%0{int(match[1])}d", name)
    limit = max_name_bytes(target.parent)
    if len(os.fsencode(name + FOLDER_SUFFIX)) <= limit:
        return target.parent / f"{name}{FOLDER_SUFFIX}"
    # A disk that ignores case, or how accents are composed, sees one film where the names differ in that alone.
    same = unicodedata.normalize("NFC", name).casefold().encode("utf-8", "surrogateescape")
    ending = f".{hashlib.sha256(same).hexdigest()[:16]}{FOLDER_SUFFIX}"
    start = os.fsencode(name)[: max(limit - len(ending), 0)].decode("utf-8", "ignore")
    return target.parent / f"{start}{ending}"


def max_name_bytes(folder: Path) -> int:
    """Returns the bytes that a name in a folder has at most; the folder need not exist."""
    try:
        return os.pathconf(nearest_existing(folder), "PC_NAME_MAX")
    except (OSError, ValueError):
        return DEFAULT_NAME_BYTES


def nearest_existing(folder: Path) -> Path:
    """Returns the folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if os.path.lexists(path))
