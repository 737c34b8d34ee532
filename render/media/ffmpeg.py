"""The ffmpeg binary, its processes and their errors."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from threading import Thread
from typing import IO, NamedTuple, Self

import imageio_ffmpeg

from render.errors import DiskFullError, MissingError, RenderError, StorageError
from render.media.image_bytes import max_pixels

QUIET = ("-hide_banner", "-nostdin", "-loglevel", "error", "-y")
LOCAL_ONLY = ("-protocol_whitelist", "file")
"""Precedes each `-i`, so that ffmpeg opens no URL that a file names."""
LOG_BYTES = 2**16
"""Bytes that are kept of the start of ffmpeg's log, and of its end."""
LIST_FORMATS = (
    "avisynth", "concat", "dash", "dvdvideo", "hls", "image2", "imf", "mlv", "rtp", "rtsp", "sap", "sdp", "svg_pipe",
    "vapoursynth", "vobsub", "webm_dash_manifest",
)  # fmt: skip
"""ffmpeg's input formats that name other files, have parts in other files, or are scripts."""
MAX_FFMPEG_PIXELS = 2**31 - 1
"""The largest limit that ffmpeg accepts."""
TIMED_FRAMES = (
    "-fps_mode", "passthrough", "-enc_time_base", "demux",
    "-stats_mux_pre:v", "pipe:1", "-stats_mux_pre_fmt:v", "{pts} {tb}",
    "-flush_packets", "1", "-c:v", "rawvideo", "-f", "rawvideo", "-",
)  # fmt: skip
"""Output arguments for `Reader.read_timed`: a line with the time and tick of each decoded frame, and its bytes."""
EXHAUSTED = (errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE)
"""Why a program that exists cannot be started: no memory, process or open file remains."""
BASE_ALLOCATION, PIXEL_BYTES = 2**28, 8
"""Bytes, fixed and for each pixel, of the largest single allocation, for a picture or for a list of frames."""


@lru_cache(maxsize=1)
def binary() -> str:
    """Returns the path of imageio-ffmpeg's binary, or of the one that IMAGEIO_FFMPEG_EXE names. Raises MissingError."""
    shipped = [str(file) for file in files("imageio_ffmpeg.binaries").iterdir() if file.name.startswith("ffmpeg-")]
    try:  # get_ffmpeg_exe runs each candidate, and returns another one when that run is killed
        path = os.environ.get("IMAGEIO_FFMPEG_EXE") or next(iter(shipped), None) or imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        raise MissingError("ffmpeg is missing: pip install imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE") from None
    return str(Path(path).absolute()) if os.sep in path else path


def input_arguments(path: Path) -> tuple[str, ...]:
    """Returns the arguments that open a file of any name for reading, but no other file that it names."""
    limits = ("-max_pixels", str(_pixels()), *allocation())
    return (*LOCAL_ONLY, "-format_whitelist", containers(), *limits, "-i", f"file:{path.absolute()}")


def allocation() -> tuple[str, str]:
    """Returns the argument that limits ffmpeg's allocations."""
    return "-max_alloc", str(BASE_ALLOCATION + PIXEL_BYTES * _pixels())


def _pixels() -> int:
    return min(max_pixels(), MAX_FFMPEG_PIXELS)


@lru_cache(maxsize=1)
def containers() -> str:
    """Returns the input formats of this ffmpeg, without devices and LIST_FORMATS."""
    listing = run("-hide_banner", "-demuxers").decode("utf-8", "replace")
    names = re.findall(r"^ D.([ d]) (\S+)", listing, re.MULTILINE)
    return ",".join(name for device, name in names if device == " " and name not in LIST_FORMATS)


@lru_cache(maxsize=1)
def version() -> str:
    """Returns the first line of `ffmpeg -version`. Raises MissingError when the binary is another program."""
    first_line, *_ = [*run("-version").decode("utf-8", "replace").splitlines(), ""]
    if not first_line.startswith("ffmpeg"):
        raise MissingError(f"{binary()} is not an ffmpeg; set IMAGEIO_FFMPEG_EXE to one")
    return first_line


def require_encoder(name: str) -> None:
    """Raises MissingError when this ffmpeg was built without the encoder."""
    encoders = run("-hide_banner", "-encoders").decode("utf-8", "replace")
    if not re.search(rf"^ \S+ {re.escape(name)} ", encoders, re.MULTILINE):
        raise MissingError(f"{binary()} has no encoder {name}; set IMAGEIO_FFMPEG_EXE to an ffmpeg that has it")


def run(*arguments: str, folder: Path | None = None) -> bytes:
    """Runs ffmpeg in `folder`; returns its standard output. Raises MissingError or StorageError."""
    with Reader(arguments, folder=folder) as reader:
        return b"".join(reader.chunks(LOG_BYTES))


class KilledError(StorageError):
    """ffmpeg was killed, or had no memory to start; the file that it read or wrote need not be the reason."""


class _Process:
    """A running ffmpeg, in a session of its own, so that Ctrl-C does not reach it; the end of the context kills it."""

    def __init__(self, arguments: Sequence[str], stdin: int, stdout: int, *, folder: Path | None = None) -> None:
        try:
            self._process = subprocess.Popen(
                [binary(), *arguments],
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                cwd=folder,
                start_new_session=True,
            )
        except OSError as error:
            raise _not_started(error) from None
        assert self._process.stderr is not None
        try:
            self._log = _Log(self._process.stderr)
        except (RuntimeError, MemoryError):  # a thread that cannot be started is a RuntimeError
            self._process.kill()
            self._process.communicate()
            raise _not_started(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))) from None

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
        return _failure(self._log.text(), status=self._process.returncode)


class _Log(Thread):
    """Reads the standard error of a process, so that the process never blocks; keeps its start and its end."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._kept = b""
        self.start()

    def run(self) -> None:
        """Reads until the process ends."""
        with self._stream:
            while data := os.read(self._stream.fileno(), LOG_BYTES):
                self._kept += data
                if len(self._kept) > 2 * LOG_BYTES:
                    self._kept = self._kept[:LOG_BYTES] + b"\n" + self._kept[-LOG_BYTES + 1 :]

    def text(self) -> bytes:
        """Waits until the process has ended; returns the log."""
        self.join()
        return self._kept


class Writer(_Process):
    """An ffmpeg that reads raw frames: `write` each, then `finish`, which raises the error of a failed ffmpeg."""

    def __init__(self, arguments: Sequence[str]) -> None:
        super().__init__(arguments, subprocess.PIPE, subprocess.DEVNULL)
        assert self._process.stdin is not None
        self._input = self._process.stdin

    def write(self, frame: memoryview) -> None:
        """Writes a raw frame. Raises StorageError when ffmpeg has ended."""
        try:
            self._input.write(frame)
        except BrokenPipeError:
            self._process.wait()
            raise self._error() from None

    def finish(self) -> None:
        """Ends the input and waits until the file is written. Raises StorageError when ffmpeg failed."""
        with contextlib.suppress(BrokenPipeError):  # ffmpeg has ended; its status is checked below
            self._input.close()
        if self._process.wait() != 0:
            raise self._error()


class TimedFrame(NamedTuple):
    """A decoded frame: its time in seconds on the file's own clock, and its bytes."""

    time: Fraction
    data: bytes


class Reader(_Process):
    """An ffmpeg that writes raw frames, or lines, to its standard output."""

    def __init__(self, arguments: Sequence[str], *, folder: Path | None = None) -> None:
        super().__init__(arguments, subprocess.DEVNULL, subprocess.PIPE, folder=folder)
        assert self._process.stdout is not None
        self._output = self._process.stdout

    def read(self, size: int) -> bytes | None:
        """Returns the next frame, of `size` bytes; None after the last. Raises StorageError when ffmpeg failed."""
        frame = self._output.read(size)
        if len(frame) == size:
            return frame
        if self._process.wait() != 0 or frame:
            raise self._error()
        return None

    def read_timed(self, size: int) -> TimedFrame | None:
        """Returns the next frame, of `size` bytes, of TIMED_FRAMES; None after the last. Raises StorageError."""
        line = self._output.readline()
        data = self.read(size)
        if data is None:
            return None
        time, tick = line.split()
        return TimedFrame(int(time) * Fraction(tick.decode()), data)

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yields the output in pieces of `size` bytes, the last shorter. Raises StorageError when ffmpeg failed."""
        while data := self._output.read(size):
            yield data
        if self._process.wait() != 0:
            raise self._error()

    def lines(self) -> Iterator[str]:
        """Yields the lines of the output. Raises StorageError when ffmpeg failed."""
        for line in self._output:
            yield line.decode("utf-8", "replace")
        if self._process.wait() != 0:
            raise self._error()

    def log(self) -> str:
        """Waits until ffmpeg has ended; returns its standard error."""
        return self._log.text().decode("utf-8", "replace")


def _not_started(error: OSError) -> RenderError:
    """Returns the error of an ffmpeg that cannot be started: there is none, or no memory for it."""
    if error.errno in EXHAUSTED:
        return KilledError(f"ffmpeg cannot be started: {error.strerror}; run the same command to resume")
    return MissingError(f"cannot run {binary()}: {error.strerror}; set IMAGEIO_FFMPEG_EXE to an ffmpeg")


def _failure(log: bytes, *, status: int) -> RenderError:
    """Returns the error of a failed ffmpeg: the first and last lines of its log, without the names of components."""
    lines = log.decode("utf-8", "replace").strip().splitlines()
    if any(re.search("No space left on device|Disk quota exceeded", line) for line in lines):
        return DiskFullError("the disk is full; make room, then run the same command to resume")
    if status < 0:
        return KilledError(f"ffmpeg was killed by signal {-status}; run the same command to resume")
    reasons = [re.sub(r"^(\[[^\]]*\] )+", "", line) for line in dict.fromkeys([*lines[:1], *lines[-2:]])]
    return StorageError(f"ffmpeg failed: {'; '.join(reasons) or f'exit status {status}'}")
