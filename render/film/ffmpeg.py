"""The ffmpeg binary, its processes and its errors."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from threading import Thread
from typing import IO, Self

import imageio_ffmpeg

from render.errors import DiskFullError, MissingError, RenderError, StorageError
from render.film.pictures import most_pixels

QUIET = ("-hide_banner", "-nostdin", "-loglevel", "error", "-y")
LOCAL_ONLY = ("-protocol_whitelist", "file")
"""Goes before each `-i`: whatever a file says, ffmpeg opens local files only."""
KEPT = 2**16
"""Bytes that are kept of the beginning of what ffmpeg says, and of its end."""
LISTS = (
    "avisynth", "concat", "dash", "dvdvideo", "hls", "image2", "imf", "mlv", "rtp", "rtsp", "sap", "sdp", "svg_pipe",
    "vapoursynth", "vobsub", "webm_dash_manifest",
)  # fmt: skip
"""What ffmpeg reads that names other files, has parts in other files, or is a program."""
MOST_PIXELS = 2**31 - 1
"""More than which ffmpeg cannot be told to allow."""
ROOM, WIDEST_PIXEL = 2**28, 8
"""Bytes, in all and of each pixel, that may be asked for at once, be it for a picture or for a list of frames."""


@lru_cache(maxsize=1)
def binary() -> str:
    """The ffmpeg that imageio-ffmpeg ships, or that IMAGEIO_FFMPEG_EXE names. Raises MissingError."""
    shipped = [str(file) for file in files("imageio_ffmpeg.binaries").iterdir() if file.name.startswith("ffmpeg-")]
    try:  # imageio-ffmpeg itself tries each by running it, and takes another when somebody ends just that
        found = os.environ.get("IMAGEIO_FFMPEG_EXE") or next(iter(shipped), None) or imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        raise MissingError("ffmpeg is missing: pip install imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE") from None
    return str(Path(found).absolute()) if os.sep in found else found


def opened(path: Path) -> tuple[str, ...]:
    """The arguments that open a file for reading, by whatever name, and nothing else that it may point to."""
    pixels = min(most_pixels(), MOST_PIXELS)
    limits = ("-max_pixels", str(pixels), "-max_alloc", str(ROOM + WIDEST_PIXEL * pixels))
    return (*LOCAL_ONLY, "-format_whitelist", _containers(), *limits, "-i", f"file:{path.absolute()}")


@lru_cache(maxsize=1)
def _containers() -> str:
    """All that this ffmpeg reads but devices, and lists of other files."""
    told = run("-hide_banner", "-demuxers").decode("utf-8", "replace")
    names = re.findall(r"^ D.([ d]) (\S+)", told, re.MULTILINE)
    return ",".join(name for device, name in names if device == " " and name not in LISTS)


@lru_cache(maxsize=1)
def version() -> str:
    """The first line of `ffmpeg -version`. Raises MissingError when this is no ffmpeg."""
    first, *_ = [*run("-version").decode("utf-8", "replace").splitlines(), ""]
    if not first.startswith("ffmpeg"):
        raise MissingError(f"{binary()} is not an ffmpeg; set IMAGEIO_FFMPEG_EXE to one")
    return first


def require_encoder(name: str) -> None:
    """Raises MissingError when this ffmpeg was built without the encoder."""
    if not re.search(
        rf"^ \S+ {re.escape(name)} ", run("-hide_banner", "-encoders").decode("utf-8", "replace"), re.MULTILINE
    ):
        raise MissingError(f"{binary()} has no encoder {name}; set IMAGEIO_FFMPEG_EXE to an ffmpeg that has it")


def run(*arguments: str, folder: Path | None = None) -> bytes:
    """Runs ffmpeg to its end, in `folder`; what it wrote to standard output. Raises MissingError or StorageError."""
    try:
        done = subprocess.run(
            [binary(), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=folder,
            start_new_session=True,
            check=False,
        )
    except OSError as error:
        raise _missing(error) from None
    if done.returncode != 0:
        raise _failure(done.stderr, done.returncode)
    return done.stdout


class KilledError(StorageError):
    """Somebody ended ffmpeg, which says nothing of what it was reading or writing."""


class _Running:
    """An ffmpeg at work, in a session of its own, so that Ctrl-C reaches only us; leaving the context ends it."""

    def __init__(self, arguments: Sequence[str], stdin: int, stdout: int) -> None:
        try:
            self._process = subprocess.Popen(
                [binary(), *arguments], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise _missing(error) from None
        assert self._process.stderr is not None
        self._log = _Log(self._process.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()
        self._log.join()

    def _error(self) -> RenderError:
        return _failure(self._log.text(), self._process.returncode)


class _Log(Thread):
    """Listens to what a process says on its standard error, so that it never waits for us; the two ends are kept."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._kept = b""
        self.start()

    def run(self) -> None:
        """Reads until the process ends."""
        with self._stream:
            while more := self._stream.read1(KEPT):  # type: ignore[attr-defined]  # a pipe of Popen's is buffered
                self._kept += more
                if len(self._kept) > 2 * KEPT:
                    self._kept = self._kept[:KEPT] + b"\n" + self._kept[-KEPT + 1 :]

    def text(self) -> bytes:
        """What it has said, once it has ended."""
        self.join()
        return self._kept


class Writer(_Running):
    """One ffmpeg that is fed raw frames: `write` each, then `finish`, which raises what went wrong."""

    def __init__(self, arguments: Sequence[str]) -> None:
        super().__init__(arguments, subprocess.PIPE, subprocess.DEVNULL)
        assert self._process.stdin is not None
        self._input = self._process.stdin

    def write(self, frame: memoryview) -> None:
        """One raw frame. Raises StorageError when ffmpeg has given up."""
        try:
            self._input.write(frame)
        except BrokenPipeError:
            self._process.wait()
            raise self._error() from None

    def finish(self) -> None:
        """Ends the input and waits until all is written. Raises StorageError when ffmpeg failed."""
        with contextlib.suppress(BrokenPipeError):  # ffmpeg is gone already; its status says why
            self._input.close()
        if self._process.wait() != 0:
            raise self._error()


class Reader(_Running):
    """One ffmpeg that gives raw frames, or lines, on its standard output."""

    def __init__(self, arguments: Sequence[str]) -> None:
        super().__init__(arguments, subprocess.DEVNULL, subprocess.PIPE)
        assert self._process.stdout is not None
        self._output = self._process.stdout

    def read(self, size: int) -> bytes | None:
        """The next frame of `size` bytes, None after the last. Raises StorageError when ffmpeg failed."""
        frame = self._output.read(size)
        if len(frame) == size:
            return frame
        if self._process.wait() != 0 or frame:
            raise self._error()
        return None

    def lines(self) -> Iterator[str]:
        """All that it writes, a line at a time. Raises StorageError when ffmpeg failed."""
        for line in self._output:
            yield line.decode("utf-8", "replace")
        if self._process.wait() != 0:
            raise self._error()

    def said(self) -> str:
        """What it has said on standard error."""
        return self._log.text().decode("utf-8", "replace")


def _missing(error: OSError) -> MissingError:
    return MissingError(f"cannot run {binary()}: {error.strerror}; set IMAGEIO_FFMPEG_EXE to an ffmpeg")


def _failure(log: bytes, status: int) -> RenderError:
    """The ends of the log, without what ffmpeg calls its parts: the cause, and what followed from it."""
    lines = log.decode("utf-8", "replace").strip().splitlines()
    if any(re.search("No space left on device|Disk quota exceeded", line) for line in lines):
        return DiskFullError("the disk is full; make room, then the same command goes on")
    if status < 0:
        return KilledError(f"ffmpeg was ended by signal {-status}; the same command goes on")
    reasons = [re.sub(r"^(\[[^\]]*\] )+", "", line) for line in dict.fromkeys([*lines[:1], *lines[-2:]])]
    return StorageError(f"ffmpeg failed: {'; '.join(reasons) or f'it ended with status {status}'}")
