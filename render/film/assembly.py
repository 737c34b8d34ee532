"""Assembly: segments become the film, verified on the disk before it is put in its place."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from render.errors import StorageError
from render.film import encoder
from render.film.atomic import ExistsError, atomic_path, atomic_write, storage_errors
from render.film.content import CONTENT_KEY, concatenated_content, read_content
from render.film.encoder import OutputFormat
from render.film.metadata import IMAGE_SUFFIXES, read_metadata
from render.film.naming import numbered_path
from render.media import ffmpeg
from render.media.audio import AudioSpan, write_audio
from render.media.image_bytes import read_bytes, split_stream, with_comment, without_comment

JOIN_PREFIX = "render-join."
"""Of the name of the temporary folder in which films are joined."""


@dataclass(frozen=True)
class Placement:
    """How a film is put in its place.

    `replace` replaces what is there. `verify` raises StorageError when what the film is made from has changed; it is
    called before the film is made, and before it is put there.
    """

    replace: bool = False
    verify: Callable[[], None] = lambda: None


def write_film(
    segments: Sequence[Path],
    target: Path,
    *,
    output_format: OutputFormat,
    metadata: Mapping[str, Any],
    audio: AudioSpan | None = None,
    placement: Placement = Placement(),
) -> None:
    """Writes the film of the segments, atomically, with its metadata, its content and audio embedded.

    The segments are in one folder on the target's disk, where temporary files are written. Raises StorageError; also
    when what is on the disk is not what was written. Raises ExistsError when a file appeared at the target.
    """
    placement.verify()
    folder = segments[0].parent
    list_file = encoder.list_segments(segments)
    sound = None if audio is None else _write_sound(audio, folder, target.suffix.lower())
    content = concatenated_content(list_file, fps=output_format.fps, sound=sound)
    first, last = metadata.get("frames", (0, content["frames"]))
    if content["frames"] != last - first:
        raise StorageError(
            f"the segments of {target} hold {content['frames']} frames, not {last - first}; --restart starts over"
        )
    comment = json.dumps({**metadata, CONTENT_KEY: content})
    with atomic_path(target, folder, replace=placement.replace) as temporary:
        encoder.concatenate(list_file, temporary, output_format=output_format, comment=comment, sound=sound)
        if read_content(temporary) != content:
            raise StorageError(f"what was written to {folder} reads back damaged; check its disk")
        placement.verify()


def write_pictures(
    segments: Sequence[Path],
    target: Path,
    *,
    metadata: Mapping[str, Any],
    first_number: int,
    placement: Placement = Placement(),
) -> None:
    """Writes the pictures of the segments, each atomically, with `metadata` and its checksum embedded.

    The target is a pattern, `frames/%05d.png`, or the path of one picture. A picture that is there already is kept.
    Temporary files are written in the folder of the segments. Raises StorageError, ExistsError as `write_film`.
    """
    placement.verify()
    pictures = (picture for segment in segments for picture in split_stream(segment))
    number = first_number
    for number, picture in enumerate(pictures, first_number):
        file = numbered_path(target, number)
        data = with_comment(picture, json.dumps({**metadata, CONTENT_KEY: picture_content(picture)}))
        try:
            atomic_write(file, data, segments[0].parent, replace=placement.replace)
        except ExistsError:
            if read_bytes(file) != data:
                raise
        if read_bytes(file) != data:
            raise StorageError(f"what was written to {file} reads back damaged; check its disk")


@contextmanager
def linked_segments(films: Sequence[Path], target: Path) -> Iterator[list[Path]]:
    """Yields finished films as segments, in a temporary folder on the target's disk. Raises StorageError."""
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=JOIN_PREFIX, dir=target.parent))
    try:
        segments = [folder / f"{number:05d}{film.suffix.lower()}" for number, film in enumerate(films)]
        for segment, film in zip(segments, films, strict=True):
            with storage_errors(segment):
                segment.symlink_to(film.absolute())
        yield segments
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_intact(film: Path) -> bool | None:
    """Whether a film or picture holds what was written; None when it does not say what that was.

    Raises KilledError; StorageError when a picture cannot be read.
    """
    metadata = read_metadata(film) or {}
    if CONTENT_KEY not in metadata:
        return None
    try:
        return bool(metadata[CONTENT_KEY] == content_of(film))
    except ffmpeg.KilledError:
        raise
    except StorageError:
        return False


def content_of(film: Path) -> dict[str, Any]:
    """Returns the content of a film or a picture, from its bytes. Raises StorageError."""
    if film.suffix.lower() in IMAGE_SUFFIXES:
        return picture_content(without_comment(read_bytes(film)))
    return read_content(film)


def _write_sound(audio: AudioSpan, folder: Path, suffix: str) -> Path:
    with storage_errors(folder):
        (folder / f"sound{suffix}").unlink(missing_ok=True)  # ffmpeg would write into a file that has other names too
    return write_audio(audio, folder, suffix=suffix)


def picture_content(picture: bytes) -> dict[str, Any]:
    """Returns the content of the bytes of a picture without a comment."""
    return {"frames": 1, "video": hashlib.sha256(picture).hexdigest()}
