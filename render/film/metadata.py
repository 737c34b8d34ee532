"""The metadata embedded in a film or picture: its scene and all that its bytes depend on, as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from render.choices import MAX_RECORDED_THREADS, MAX_REPEATS, MIN_TILE_SIZE
from render.errors import StorageError
from render.film import gif, webp
from render.media import ffmpeg
from render.media.image_bytes import embedded_comment
from render.system.files import open_regular
from render.text import quote

HEADER_BYTES = 2**24
"""Bytes at the start of a picture's file that are searched for its comment; and of a comment, at most."""
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
_COMMENT_FLAGS = re.MULTILINE | re.DOTALL | re.IGNORECASE  # Matroska has names in capitals


class Machine(BaseModel):
    """What the bytes of a film depend on of the machine that made it; see Device.describe."""

    model_config = ConfigDict(strict=True, extra="allow")

    device: str | None = None
    instructions: str | None = None
    features: str | None = None
    limits: dict[str, str] = {}
    precision: str | None = None
    threads: int | None = Field(default=None, ge=1, le=MAX_RECORDED_THREADS)
    flow_threads: int | None = Field(default=None, ge=1, le=MAX_RECORDED_THREADS)
    tile: int | None = Field(default=None, ge=MIN_TILE_SIZE)


class Metadata(BaseModel):
    """The metadata of a film, of any version."""

    model_config = ConfigDict(strict=True, extra="allow")

    scene: dict[str, Any]
    frames: list[int] | None = Field(default=None, min_length=2, max_length=2)
    repeat: int = Field(default=1, ge=1, le=MAX_REPEATS)
    files: dict[str, str] = {}
    weights: str | dict[str, str] | None = None
    machine: Machine = Machine()
    versions: dict[str, str] = {}
    content: dict[str, str | int | None] = {}


def read_metadata(path: Path) -> dict[str, Any] | None:
    """Returns the metadata of a film or picture: scene, files, weights, machine, versions; None for other files.

    Raises StorageError when the file cannot be read, or its metadata is not such as render writes.
    """
    comment = read_comment(path)
    try:
        metadata = json.loads(comment) if comment else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("scene"), dict):
        return None
    try:
        Metadata.model_validate(metadata)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise StorageError(f"{path} embeds metadata that render does not write: {quote(key)}: {first['msg']}") from None
    return metadata


def is_valid_machine(machine: object) -> TypeGuard[dict[str, Any]]:
    """Whether a recorded value describes a machine; see Machine."""
    try:
        Machine.model_validate(machine)
    except ValidationError:
        return False
    return isinstance(machine, dict)


def read_comment(path: Path) -> str | None:
    """Returns the comment embedded in a film or picture, or None. Raises StorageError when the file cannot be read."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        try:
            with open_regular(path) as file:
                return embedded_comment(file.read(HEADER_BYTES))
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}") from None
    if path.suffix.lower() == ".gif":
        return gif.read_comment(path, limit=HEADER_BYTES)
    if path.suffix.lower() == ".webp":
        return webp.read_comment(path, limit=HEADER_BYTES)
    output = ffmpeg.run(*ffmpeg.QUIET, *ffmpeg.input_arguments(path), "-f", "ffmetadata", "-")
    match = re.search(r"^comment=((?:[^\\\n]|\\.)*)$", output.decode("utf-8", "replace"), _COMMENT_FLAGS)
    return re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL) if match else None
