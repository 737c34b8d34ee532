"""Clips and sounds that nobody means well with: each is footage or a sentence, soon; no other file, no network."""

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
from render.film import clip, ffmpeg, media, pictures, sound
from tests.film.clips import LOSSLESS, flashing, footage, levels, made

SOON = 4.0
"""Seconds."""
MARK = b"not for you"


def told(path: Path, count: int = 3) -> str | None:
    """What is wrong with a clip, one sentence that names it; None when its frames come. Soon."""
    begun = time.monotonic()
    try:
        found = clip.probe(path)
        fps = min(max(found.fps, Fraction(1, 100)), Fraction(1000))
        assert len(list(clip.frames(found, (32, 32), fps, count))) == count
        return None
    except StorageError as error:
        assert path.name in str(error), error  # noqa: PT017  # each error of many
        assert "\n" not in str(error)  # noqa: PT017  # as above
        return str(error)
    finally:
        assert time.monotonic() - begun < SOON


@contextmanager
def untouched(folder: Path) -> Iterator[tuple[str, str]]:
    """A URL on this machine and a file, of which neither may be asked for or read."""
    pipe = folder / "secret.mp4"
    os.mkfifo(pipe)
    both = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    os.write(both, MARK)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield f"http://127.0.0.1:{server.getsockname()[1]}/secret.mp4", str(pipe)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert os.read(both, 100) == MARK
    os.close(both)


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
def test_what_names_other_files_does_not_reach_them(kind: str, suffix: str, tmp_path: Path) -> None:
    with untouched(tmp_path) as others:
        for other in others:
            path = tmp_path / f"clip.{suffix}"
            path.write_text(SCRIPTS[kind].replace("{}", other))
            assert re.search("is not a clip that can be read|is cut off", told(path) or "")


def test_files_that_lie_beside_a_clip_are_not_parts_of_it(tmp_path: Path) -> None:
    with untouched(tmp_path):
        (tmp_path / "secret.sub").symlink_to("secret.mp4")
        (tmp_path / "secret.idx").write_text(
            "# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 0\n"
        )
        (tmp_path / "secret.M00").symlink_to("secret.mp4")
        (tmp_path / "secret.mlv").write_bytes(b"MLVI" + struct.pack("<I", 52) + b"v2.0\0\0\0\0" + bytes(36))
        assert told(tmp_path / "secret.idx")
        assert told(tmp_path / "secret.mlv")


def elsewhere(film: bytes, entry: bytes) -> bytes:
    """An MP4 with another data reference (ISO 14496-12, 8.7.2) than to itself, and the boxes around it as long as that
    makes them."""
    place = film.index(b"dref") + 12
    (length,) = struct.unpack_from(">I", film, place)
    data, start = bytearray(film), 0
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        start = film.index(kind, start)
        (before,) = struct.unpack_from(">I", film, start - 4)
        struct.pack_into(">I", data, start - 4, before + len(entry) - length)
    return bytes(data[:place] + entry + data[place + length :])


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
def test_pictures_that_lie_in_another_file_are_not_looked_for(kind: bytes, tmp_path: Path) -> None:
    film = made(tmp_path / "plain.mov", levels(5), *LOSSLESS).read_bytes()
    with untouched(tmp_path) as others:
        for other in others:
            url = struct.pack(">I4sI", 13 + len(other), kind, 0) + other.encode() + b"\0"
            (tmp_path / "c.mov").write_bytes(elsewhere(film, alias(other) if kind == b"alis" else url))
            told(tmp_path / "c.mov")


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
def test_a_name_is_the_name_of_a_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "No such file" in (told(Path(name)) or "")
    made(tmp_path / "c.mkv", levels(3), *LOSSLESS).rename(name)
    assert told(Path(name)) is None
    assert sound.probe(Path(name)) is None


def test_a_url_is_a_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with untouched(tmp_path) as (url, _):
        assert "No such file" in (told(Path(url)) or "")


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    if kind == "pipe":
        os.mkfifo(tmp_path / "c.mp4")
    else:
        (tmp_path / "c.mp4").symlink_to("/dev/zero")
    assert "c.mp4 is not a file" in (told(tmp_path / "c.mp4") or "")


def test_pictures_of_too_many_pixels_are_refused_by_the_limit_that_pictures_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = bytearray(made(tmp_path / "bomb.mov", levels(1), "-c:v", "png").read_bytes())
    struct.pack_into(">II", bomb, bomb.index(b"IHDR") + 4, 16000, 16000)
    (tmp_path / "bomb.mov").write_bytes(bomb)
    assert re.search(rf"pictures of more than {2**27} pixels; .* {pictures.PIXELS}", told(tmp_path / "bomb.mov") or "")
    small = made(tmp_path / "small.mp4", levels(3), *LOSSLESS)
    monkeypatch.setenv(pictures.PIXELS, "3000")
    assert "small.mp4 has pictures of more than 3000 pixels" in (told(small) or "")
    media._probe.cache_clear()
    monkeypatch.setenv(pictures.PIXELS, "4000")
    assert told(small) is None


@pytest.mark.parametrize(
    ("size", "options"),
    [((1, 1), ()), ((4000, 1), ()), ((64, 48), ("-vf", "setsar=30000")), ((64, 48), ("-vf", "setsar=1/30000"))],
)
def test_absurd_shapes_are_shown(size: tuple[int, int], options: tuple[str, ...], tmp_path: Path) -> None:
    assert told(made(tmp_path / "c.mkv", levels(3, *size), *options, "-c:v", "ffv1", "-pix_fmt", "bgr0")) is None


def test_a_shape_of_which_hardly_anything_would_be_seen_is_told(tmp_path: Path) -> None:
    found = clip.probe(made(tmp_path / "c.mkv", levels(3, 65535, 1), "-c:v", "ffv1", "-pix_fmt", "bgr0"))
    with pytest.raises(StorageError, match=r"c\.mkv is 65535x1, too long a shape to cover 512x512; cut it"):
        next(clip.frames(found, (512, 512), Fraction(25), 1))


@pytest.mark.parametrize(("rate", "count"), [("1000000", 3), ("1/1000", 3), ("25", 1)])
def test_absurd_rates_and_lengths_are_shown_or_told(rate: str, count: int, tmp_path: Path) -> None:
    path = made(tmp_path / "c.mp4", levels(count), *LOSSLESS, fps=rate)
    assert clip.probe(path).duration == count / Fraction(rate)
    assert told(path) in (None, f"{path} has no frame at 0 s")
    coarse = bytearray(made(tmp_path / "c.avi", levels(3), "-c:v", "mjpeg").read_bytes())
    struct.pack_into("<II", coarse, coarse.index(b"vids") + 20, 2**31, 1)
    (tmp_path / "c.avi").write_bytes(coarse)
    assert "ticks every 2.14748e+09 s; convert it to .mkv" in (told(tmp_path / "c.avi") or "")


def test_a_clip_that_claims_to_last_for_years_takes_no_more_than_is_shown_of_it(tmp_path: Path) -> None:
    """A frame that stands is repeated; all of its repetitions are made before the first is seen."""
    late = "setpts='if(lt(N,4),N,N+25*315576000)/25/TB'"
    path = made(tmp_path / "c.mkv", levels(6), "-vf", late, "-fps_mode", "vfr", *LOSSLESS)
    assert clip.probe(path).duration > 315_000_000
    assert told(path, 500) is None


TABLES = {
    "lasts no time": (b"stts", 12, struct.pack(">I", 0)),
    "goes back": (b"stts", 12, struct.pack(">i", -512)),
    "no clock": (b"mdhd", 16, struct.pack(">I", 0)),
    "more frames than memory": (b"stsz", 8, struct.pack(">II", 1, 2**31 - 1)),
    "frames of all bytes": (b"stsz", 8, struct.pack(">II", 2**31 - 1, 5)),
    "chunks elsewhere": (b"stco", 12, struct.pack(">I", 2**32 - 1)),
}


@pytest.mark.parametrize("how", TABLES)
def test_tables_that_lie_are_told_or_seen_through(how: str, tmp_path: Path) -> None:
    kind, offset, value = TABLES[how]
    film = bytearray(made(tmp_path / "c.mp4", levels(5), *LOSSLESS).read_bytes())
    start = film.index(kind) + offset
    film[start : start + len(value)] = value
    if how == "more frames than memory":
        struct.pack_into(">I", film, film.index(b"stts") + 8, 2**31 - 1)
        struct.pack_into(">I", film, film.index(b"stsc") + 16, 2**31 - 1)
    (tmp_path / "c.mp4").write_bytes(film)
    told(tmp_path / "c.mp4")


def test_a_film_of_another_kind_than_its_name_says_is_what_it_is(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "photo.png")
    (tmp_path / "photo.png").rename(tmp_path / "photo.mp4")
    assert told(tmp_path / "photo.mp4") is None
    (tmp_path / "page.mp4").write_text("<html><video src='http://127.0.0.1/'></video></html>")
    assert told(tmp_path / "page.mp4")
    (tmp_path / "notes.txt").write_text("no film")
    (tmp_path / "lines.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nfile:///etc/passwd\n")
    made(tmp_path / "c.mkv", levels(3), *LOSSLESS)
    more = ["-i", str(tmp_path / "lines.srt"), "-attach", str(tmp_path / "notes.txt"), "-metadata:s:t", "mimetype=x/y"]
    full = tmp_path / "full.mkv"
    ffmpeg.run(*ffmpeg.QUIET, "-i", str(tmp_path / "c.mkv"), *more, "-map", "0", "-map", "1", "-c:v", "copy", str(full))
    assert told(full) is None


@pytest.mark.parametrize("name", ["bikes.mp4", "carphone_pristine.mp4"])
def test_real_footage_that_is_damaged_is_a_clip_or_a_sentence(name: str, tmp_path: Path) -> None:
    whole = footage(name).read_bytes()
    for seed in range(30):
        (tmp_path / f"{seed}.mp4").write_bytes(damaged(whole, whole.index(b"moov"), seed))
        told(tmp_path / f"{seed}.mp4")


def damaged(whole: bytes, head: int, seed: int) -> bytes:
    """Some bytes are others, mostly in the tables after `head`; sometimes the end is missing."""
    random = np.random.default_rng((seed, len(whole)))
    data = np.frombuffer(whole, np.uint8).copy()
    first, last = (0, len(data)) if seed % 4 == 0 else (head, min(head + 4000, len(data)))
    places = random.integers(first, last, random.integers(1, 9))
    data[places] = random.choice(np.array([0, 1, 127, 128, 255, 77], np.uint8), len(places))
    return data[: random.integers(1, len(data))].tobytes() if seed % 5 == 0 else data.tobytes()


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_damaged_sound_is_heard_or_a_sentence(suffix: str, tmp_path: Path) -> None:
    whole = flashing(tmp_path / f"c.{suffix}").read_bytes()
    for seed in range(16):
        path = tmp_path / f"{seed}.{suffix}"
        path.write_bytes(damaged(whole, max(whole.find(b"moov"), 0), seed))
        begun = time.monotonic()
        try:
            found = sound.probe(path)
            if found is not None:
                sound.track(sound.Heard(found, found.begin, Fraction(1)), tmp_path, ".mp4")
        except StorageError as error:
            assert path.name in str(error)  # noqa: PT017  # each error of many
        assert time.monotonic() - begun < SOON
