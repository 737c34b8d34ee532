"""Hostile and damaged clips and audio: each is decoded or an error of one line, soon; no other file is opened."""

from __future__ import annotations

import os
import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from render.errors import StorageError
from render.media import ffmpeg
from render.media.audio import AudioSpan, probe_audio, write_audio
from render.media.clip import clip_frames, probe_clip
from render.media.image_bytes import PIXEL_LIMIT_VARIABLE
from render.media.probe import _probe
from tests.media.clips import LOSSLESS, footage, levels, write_clip, write_flashing_clip

SOON = 4.0
"""Seconds."""
MARK = b"not for you"


def error_of(path: Path, count: int = 3) -> str | None:
    """The message of the error of a clip, one line that names it; None when its frames are decoded. Soon."""
    start_time = time.monotonic()
    try:
        clip = probe_clip(path)
        fps = min(max(clip.fps, Fraction(1, 100)), Fraction(1000))
        assert len(list(clip_frames(clip, (32, 32), fps=fps, frames=range(count)))) == count
        message = None
    except StorageError as error:
        message = str(error)
    assert time.monotonic() - start_time < SOON
    assert message is None or (path.name in message and "\n" not in message), message
    return message


@contextmanager
def untouched(folder: Path) -> Iterator[tuple[str, str]]:
    """A URL on this machine and a file; asserts that neither is opened."""
    pipe = folder / "secret.mp4"
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    os.write(descriptor, MARK)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield f"http://127.0.0.1:{server.getsockname()[1]}/secret.mp4", str(pipe)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert os.read(descriptor, 100) == MARK
    os.close(descriptor)


SCRIPTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=control:{}\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" profiles="x" '
    'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
    'bandwidth="1"><BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "svg": '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="64" height="48">'
    '<image width="64" height="48" xlink:href="{}"/></svg>',
    "smil": '<smil><body><video src="{}"/></body></smil>',
    "asx": '<asx version="3.0"><entry><ref href="{}"/></entry></asx>',
    "text": "[playlist]\nFile1={}\nconcat:{}|{}\n",
}


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "m3u8"])
@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_file_that_names_other_files_does_not_open_them(kind: str, suffix: str, tmp_path: Path) -> None:
    with untouched(tmp_path) as others:
        for other in others:
            path = tmp_path / f"clip.{suffix}"
            path.write_text(SCRIPTS[kind].replace("{}", other))
            assert re.search("is not a clip that can be read|is truncated", error_of(path) or "")


def test_files_beside_a_clip_are_not_opened(tmp_path: Path) -> None:
    with untouched(tmp_path):
        (tmp_path / "secret.sub").symlink_to("secret.mp4")
        (tmp_path / "secret.idx").write_text(
            "# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 0\n"
        )
        (tmp_path / "secret.M00").symlink_to("secret.mp4")
        (tmp_path / "secret.mlv").write_bytes(b"MLVI" + struct.pack("<I", 52) + b"v2.0\0\0\0\0" + bytes(36))
        assert error_of(tmp_path / "secret.idx")
        assert error_of(tmp_path / "secret.mlv")


def elsewhere(film: bytes, entry: bytes) -> bytes:
    """An MP4 with a data reference (ISO 14496-12, 8.7.2) to another file, and the lengths of the boxes around it."""
    offset = film.index(b"dref") + 12
    (length,) = struct.unpack_from(">I", film, offset)
    data, start = bytearray(film), 0
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        start = film.index(kind, start)
        (before,) = struct.unpack_from(">I", film, start - 4)
        struct.pack_into(">I", data, start - 4, before + len(entry) - length)
    return bytes(data[:offset] + entry + data[offset + length :])


def alias(path: str) -> bytes:
    """QuickTime's reference to another file: its volume, its name and its path (Inside Macintosh: Files)."""
    name = Path(path).name.encode()
    text = path.encode()
    record = (
        bytes(10) + b"\4disk".ljust(28, b"\0") + bytes(12) + (bytes([len(name)]) + name).ljust(64, b"\0") + bytes(16)
    )
    record += (
        struct.pack(">HH", 1, 1) + bytes(16) + struct.pack(">hH", 2, len(text)) + text.ljust(-(-len(text) // 2) * 2)
    )
    record += struct.pack(">hH", -1, 0)
    return struct.pack(">I4sI", 12 + len(record), b"alis", 0) + record


@pytest.mark.parametrize("kind", [b"url ", b"alis"])
def test_pictures_in_another_file_are_not_opened(kind: bytes, tmp_path: Path) -> None:
    film = write_clip(tmp_path / "plain.mov", levels(5), *LOSSLESS).read_bytes()
    with untouched(tmp_path) as others:
        for other in others:
            url = struct.pack(">I4sI", 13 + len(other), kind, 0) + other.encode() + b"\0"
            (tmp_path / "c.mov").write_bytes(elsewhere(film, alias(other) if kind == b"alis" else url))
            error_of(tmp_path / "c.mov")


@pytest.mark.parametrize(
    "name",
    [
        "http:",
        "concat:a.mp4|b.mp4",
        "pipe:0",
        "-",
        "subfile,,start,0,end,0,,:c.mp4",
        "data:video",
        "-f",
        "cache:c.mp4",
        "c%d.mp4",
    ],
)
def test_a_path_that_looks_like_a_url_or_an_option_is_a_path(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "No such file" in (error_of(Path(name)) or "")
    write_clip(tmp_path / "c.mkv", levels(3), *LOSSLESS).rename(name)
    assert error_of(Path(name)) is None
    assert probe_audio(Path(name)) is None


def test_a_url_is_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with untouched(tmp_path) as (url, _):
        assert "No such file" in (error_of(Path(url)) or "")


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_and_a_device_are_not_read(kind: str, tmp_path: Path) -> None:
    if kind == "pipe":
        os.mkfifo(tmp_path / "c.mp4")
    else:
        (tmp_path / "c.mp4").symlink_to("/dev/zero")
    assert "c.mp4 is not a file" in (error_of(tmp_path / "c.mp4") or "")


def test_a_clip_has_the_pixel_limit_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = bytearray(write_clip(tmp_path / "bomb.mov", levels(1), "-c:v", "png").read_bytes())
    struct.pack_into(">II", bomb, bomb.index(b"IHDR") + 4, 16000, 16000)
    (tmp_path / "bomb.mov").write_bytes(bomb)
    assert re.search(
        rf"pictures of more than {2**27} pixels; .* {PIXEL_LIMIT_VARIABLE}", error_of(tmp_path / "bomb.mov") or ""
    )
    small = write_clip(tmp_path / "small.mp4", levels(3), *LOSSLESS)
    monkeypatch.setenv(PIXEL_LIMIT_VARIABLE, "3000")
    assert "small.mp4 has pictures of more than 3000 pixels" in (error_of(small) or "")
    _probe.cache_clear()
    monkeypatch.setenv(PIXEL_LIMIT_VARIABLE, "4000")
    assert error_of(small) is None


@pytest.mark.parametrize(
    ("size", "options"),
    [((1, 1), ()), ((4000, 1), ()), ((64, 48), ("-vf", "setsar=30000")), ((64, 48), ("-vf", "setsar=1/30000"))],
)
def test_extreme_shapes_are_decoded(size: tuple[int, int], options: tuple[str, ...], tmp_path: Path) -> None:
    assert (
        error_of(write_clip(tmp_path / "c.mkv", levels(3, *size), *options, "-c:v", "ffv1", "-pix_fmt", "bgr0")) is None
    )


def test_a_shape_that_would_be_cropped_to_almost_nothing_is_an_error(tmp_path: Path) -> None:
    clip = probe_clip(write_clip(tmp_path / "c.mkv", levels(3, 65535, 1), "-c:v", "ffv1", "-pix_fmt", "bgr0"))
    with pytest.raises(StorageError, match=r"c\.mkv is 65535x1, too long a shape to cover 512x512; cut it"):
        next(clip_frames(clip, (512, 512), fps=Fraction(25), frames=range(1)))


@pytest.mark.parametrize(("rate", "count"), [("1000000", 3), ("1/1000", 3), ("25", 1)])
def test_extreme_rates_and_lengths_are_decoded(rate: str, count: int, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "c.mp4", levels(count), *LOSSLESS, fps=rate)
    assert probe_clip(path).duration == count / Fraction(rate)
    assert error_of(path) is None


def test_a_clock_with_ticks_of_years_is_an_error(tmp_path: Path) -> None:
    coarse = bytearray(write_clip(tmp_path / "c.avi", levels(3), "-c:v", "mjpeg").read_bytes())
    struct.pack_into("<II", coarse, coarse.index(b"vids") + 20, 2**31, 1)
    (tmp_path / "c.avi").write_bytes(coarse)
    assert "ticks every 2.14748e+09 s; convert it to .mkv" in (error_of(tmp_path / "c.avi") or "")


def test_a_clip_that_claims_to_last_for_years_takes_the_time_of_its_requested_frames(tmp_path: Path) -> None:
    """ffmpeg repeats a frame that lasts long, and queues all repetitions before it outputs the first."""
    late = "setpts='if(lt(N,4),N,N+25*315576000)/25/TB'"
    path = write_clip(tmp_path / "c.mkv", levels(6), "-vf", late, "-fps_mode", "vfr", *LOSSLESS)
    assert probe_clip(path).duration > 315_000_000
    assert error_of(path, 500) is None


TABLES = {
    "duration 0": (b"stts", 12, struct.pack(">I", 0)),
    "negative duration": (b"stts", 12, struct.pack(">i", -512)),
    "no clock": (b"mdhd", 16, struct.pack(">I", 0)),
    "more frames than memory": (b"stsz", 8, struct.pack(">II", 1, 2**31 - 1)),
    "frames of 2 GB": (b"stsz", 8, struct.pack(">II", 2**31 - 1, 5)),
    "chunks outside": (b"stco", 12, struct.pack(">I", 2**32 - 1)),
}


@pytest.mark.parametrize("table", TABLES)
def test_wrong_durations_are_ignored_and_other_wrong_tables_are_errors(table: str, tmp_path: Path) -> None:
    kind, offset, value = TABLES[table]
    film = bytearray(write_clip(tmp_path / "c.mp4", levels(5), *LOSSLESS).read_bytes())
    start = film.index(kind) + offset
    film[start : start + len(value)] = value
    if table == "more frames than memory":
        struct.pack_into(">I", film, film.index(b"stts") + 8, 2**31 - 1)
        struct.pack_into(">I", film, film.index(b"stsc") + 16, 2**31 - 1)
    (tmp_path / "c.mp4").write_bytes(film)
    assert (error_of(tmp_path / "c.mp4") is None) == ("duration" in table)


def test_the_contents_decide_the_kind_of_a_clip(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "photo.png")
    (tmp_path / "photo.png").rename(tmp_path / "photo.mp4")
    assert error_of(tmp_path / "photo.mp4") is None
    (tmp_path / "page.mp4").write_text("<html><video src='http://127.0.0.1/'></video></html>")
    assert error_of(tmp_path / "page.mp4")
    (tmp_path / "notes.txt").write_text("no film")
    (tmp_path / "lines.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nfile:///etc/passwd\n")
    write_clip(tmp_path / "c.mkv", levels(3), *LOSSLESS)
    more = ["-i", str(tmp_path / "lines.srt"), "-attach", str(tmp_path / "notes.txt"), "-metadata:s:t", "mimetype=x/y"]
    full = tmp_path / "full.mkv"
    ffmpeg.run(*ffmpeg.QUIET, "-i", str(tmp_path / "c.mkv"), *more, "-map", "0", "-map", "1", "-c:v", "copy", str(full))
    assert error_of(full) is None


@pytest.mark.parametrize("name", ["bikes.mp4", "carphone_pristine.mp4"])
def test_damaged_footage_is_decoded_or_an_error(name: str, tmp_path: Path) -> None:
    whole = footage(name).read_bytes()
    for seed in range(30):
        (tmp_path / f"{seed}.mp4").write_bytes(damaged(whole, whole.index(b"moov"), seed))
        error_of(tmp_path / f"{seed}.mp4")


def damaged(whole: bytes, head: int, seed: int) -> bytes:
    """The file with some changed bytes, mostly in the tables after `head`; sometimes truncated."""
    random = np.random.default_rng((seed, len(whole)))
    data = np.frombuffer(whole, np.uint8).copy()
    first, last = (0, len(data)) if seed % 4 == 0 else (head, min(head + 4000, len(data)))
    offsets = random.integers(first, last, random.integers(1, 9))
    data[offsets] = random.choice(np.array([0, 1, 127, 128, 255, 77], np.uint8), len(offsets))
    return data[: random.integers(1, len(data))].tobytes() if seed % 5 == 0 else data.tobytes()


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_damaged_audio_is_decoded_or_an_error(suffix: str, tmp_path: Path) -> None:
    whole = write_flashing_clip(tmp_path / f"c.{suffix}").read_bytes()
    for seed in range(16):
        path = tmp_path / f"{seed}.{suffix}"
        path.write_bytes(damaged(whole, max(whole.find(b"moov"), 0), seed))
        start_time, message = time.monotonic(), path.name
        try:
            track = probe_audio(path)
            if track is not None:
                write_audio(AudioSpan(track, track.start, Fraction(1)), tmp_path, suffix=".mp4")
        except StorageError as error:
            message = str(error)
        assert path.name in message
        assert time.monotonic() - start_time < SOON
