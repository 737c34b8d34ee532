"""Assembly: segments become the film, verified on the disk before it is put in its place."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from render.errors import StorageError
from render.film import encoder, gif, webp
from render.film.atomic import ExistsError, atomic_path, atomic_write, storage_errors
from render.film.content import CONTENT_KEY, FIRST_FRAME, concatenated_content, parse_rate, read_content
from render.film.encoder import MATROSKA, PALETTE, OutputFormat
from render.film.metadata import IMAGE_SUFFIXES, read_metadata
from render.film.naming import numbered_path
from render.media import ffmpeg
from render.media.audio import ONE_REPETITION, REPETITIONS, AudioSpan, write_audio
from render.media.image_bytes import read_bytes, split_stream, with_comment, without_comment

JOIN_PREFIX = "render-join."
"""Of the name of the temporary folder in which films are joined."""
PLAIN_GIF = "plain.gif"
"""The name of a GIF before its comment is embedded."""


@dataclass(frozen=True)
class Placement:
    """How a film is put in its place.

    `repeat` is how often it is written into its file. `replace` replaces what is there. `verify` raises StorageError
    when what the film is made from has changed; it is called before the film is made, and before it is put there.
    """

    repeat: int = 1
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

    The segments are in one folder on the target's disk, where temporary files are written. Where the format joins, they
    may be finished films. Raises StorageError; also when what is on the disk is not what was written. Raises
    ExistsError when a file appeared at the target.
    """
    placement.verify()
    folder = segments[0].parent
    film = _Film(segments, output_format, metadata=metadata, audio=audio, repeat=placement.repeat)
    write = {"gif": _write_gif, "webp": _write_webp}.get(output_format.codec, _write_streams)
    with atomic_path(target, folder, replace=placement.replace) as temporary:
        content = write(film, temporary)
        if content_of(temporary, output_format.fps) != content:
            raise StorageError(f"what was written to {folder} reads back damaged; check its disk")
        placement.verify()


@dataclass(frozen=True)
class _Film:
    """What a film is made of."""

    segments: Sequence[Path]
    format: OutputFormat
    metadata: Mapping[str, Any]
    audio: AudioSpan | None
    repeat: int

    @property
    def length(self) -> int | None:
        """The number of its frames, None when its metadata does not say."""
        first, last = self.metadata.get("frames", (0, None))
        return None if last is None else (last - first) * self.repeat

    def comment(self, content: Mapping[str, Any]) -> str:
        """Returns what it embeds. Raises StorageError when the segments have another number of frames."""
        if self.length not in (None, content["frames"]):
            raise StorageError(
                f"the segments in {self.segments[0].parent} hold {content['frames']} frames, not {self.length}; "
                "--restart starts over"
            )
        return json.dumps({**self.metadata, CONTENT_KEY: content})


def _write_streams(film: _Film, target: Path) -> dict[str, Any]:
    """Copies the streams of the segments and of a sound into a new file; returns its content."""
    list_file = encoder.list_segments(film.segments, repeat=film.repeat)
    sound = None if film.audio is None else _write_sound(film.audio, target)
    container = "matroska" if target.suffix.lower() in MATROSKA else None
    if container is not None:
        _new_file(target.parent, FIRST_FRAME)
    content = concatenated_content(list_file, fps=film.format.fps, sound=sound, frames=film.length, container=container)
    comment, frames = film.comment(content), content["frames"]
    encoder.concatenate(list_file, target, output_format=film.format, frames=frames, comment=comment, sound=sound)
    return content


def _write_gif(film: _Film, target: Path) -> dict[str, Any]:
    """Encodes lossless segments to a new file; returns its content."""
    list_file = encoder.list_segments(film.segments)
    frames = concatenated_content(list_file, fps=film.format.fps, sound=None)["frames"]
    _new_file(target.parent, PALETTE)
    plain = _new_file(target.parent, PLAIN_GIF)
    encoder.encode_gif(list_file, plain, output_format=film.format, frames=frames)
    content = gif.read_content(plain, film.format.fps)
    gif.with_comment(plain, target, film.comment(content))
    return content


def _write_webp(film: _Film, target: Path) -> dict[str, Any]:
    """Puts the pictures of the segments into a new file; returns its content."""
    content = webp.segments_content(film.segments, film.format.fps)
    comment = film.comment(content)
    webp.write_animation(film.segments, target, size=film.format.size, fps=film.format.fps, comment=comment)
    return content


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
def linked_segments(films: Sequence[Path], target: Path, output_format: OutputFormat) -> Iterator[list[Path]]:
    """Yields finished films as segments, in a temporary folder on the target's disk. Raises StorageError.

    They are links, and copies of those films whose container rounds the times of frames.
    """
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=JOIN_PREFIX, dir=target.parent))
    try:
        yield [_linked(film, folder / f"{number:05d}", output_format) for number, film in enumerate(films)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _linked(film: Path, segment: Path, output_format: OutputFormat) -> Path:
    """Makes a segment of a finished film, at a path without its suffix; returns its path."""
    if film.suffix.lower() in MATROSKA:
        copy = segment.with_suffix(output_format.suffix)
        encoder.remux(film, copy, output_format)
        return copy
    link = segment.with_suffix(film.suffix.lower())
    with storage_errors(link):
        link.symlink_to(film.absolute())
    return link


def is_intact(film: Path) -> bool | None:
    """Whether a film or picture holds what was written; None when it does not say what that was.

    Raises KilledError; StorageError when a picture cannot be read.
    """
    metadata = read_metadata(film) or {}
    if CONTENT_KEY not in metadata:
        return None
    try:
        content = metadata[CONTENT_KEY]
        return bool(content == content_of(film, parse_rate(content.get("fps"))))
    except ffmpeg.KilledError:
        raise
    except StorageError:
        return False


def content_of(film: Path, fps: Fraction | None = None) -> dict[str, Any]:
    """Returns the content of a film at `fps` or of a picture, from its bytes; see read_content. Raises StorageError."""
    suffix = film.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return picture_content(without_comment(read_bytes(film)))
    return {".gif": gif.read_content, ".webp": webp.read_content}.get(suffix, read_content)(film, fps)


def _write_sound(audio: AudioSpan, film: Path) -> Path:
    """Writes the sound of a film beside it; returns its path."""
    suffix = film.suffix.lower()
    for name in (f"sound{suffix}", ONE_REPETITION, REPETITIONS):
        _new_file(film.parent, name)
    return write_audio(audio, film.parent, suffix=suffix)


def _new_file(folder: Path, name: str) -> Path:
    """Returns a path at which nothing is: ffmpeg would write into a file that has other names too."""
    path = folder / name
    with storage_errors(path):
        path.unlink(missing_ok=True)
    return path


def picture_content(picture: bytes) -> dict[str, Any]:
    """Returns the content of the bytes of a picture without a comment."""
    return {"frames": 1, "video": hashlib.sha256(picture).hexdigest()}
