"""Pictures that nobody means well with: each is a picture or a sentence, soon, in little memory."""

from __future__ import annotations

import io
import os
import re
import resource
import socket
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
import skimage.data
from PIL import Image
from torch import Tensor

from render.errors import StorageError
from render.film import pictures, source
from tests.production.processes import rendered

PHOTO = cv2.resize(skimage.data.astronaut(), (96, 80))  # type: ignore[no-untyped-call]  # skimage has no types
SIDE = 50_000
MEGABYTES = 400
SOON = 2.0
"""Seconds."""


def encoded(suffix: str, photo: object = PHOTO, *options: int) -> bytes:
    """The photo as OpenCV writes it."""
    return cv2.imencode(suffix, np.asarray(photo), options)[1].tobytes()


def saved(kind: str, mode: str = "RGB", size: tuple[int, int] = (0, 0), **options: object) -> bytes:
    """The photo, or black of a size, as Pillow writes it."""
    stream = io.BytesIO()
    (Image.new(mode, size) if any(size) else Image.fromarray(PHOTO)).save(stream, kind, **options)
    return stream.getvalue()


LIGHT = PHOTO.astype(np.float32) / 255
FILES = {
    "png": encoded(".png"),
    "deep.png": encoded(".png", PHOTO.astype(np.uint16) * 257),
    "pillow.png": saved("PNG"),
    "jpg": encoded(".jpg"),
    "progressive.jpg": saved("JPEG", progressive=True),
    "restarts.jpg": encoded(".jpg", PHOTO, cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
    "webp": encoded(".webp"),
    "lossless.webp": saved("WEBP", lossless=True),
    "tif": encoded(".tif"),
    "plain.tif": saved("TIFF"),
    "deflated.tif": saved("TIFF", compression="tiff_adobe_deflate"),
    "bmp": encoded(".bmp"),
    "ppm": encoded(".ppm"),
    "pgm": encoded(".pgm", PHOTO[..., 0]),
    "pam": encoded(".pam"),
    "pfm": encoded(".pfm", LIGHT),
    "hdr": encoded(".hdr", LIGHT),
    "gif": encoded(".gif"),
    "jp2": encoded(".jp2"),
    "ras": encoded(".ras"),
}


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, packed: bytes, *more: bytes) -> bytes:
    """A black and white PNG with these pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return pictures.PNG_SIGNATURE + header + b"".join(more) + chunk(b"IDAT", packed) + chunk(b"IEND")


def zeros(count: int) -> bytes:
    """So many bytes, packed."""
    packer = zlib.compressobj(1)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(count >> 20)) + packer.flush()


def patched(name: str, at: bytes, offset: int, value: bytes) -> bytes:
    """A file with other bytes at an offset from a mark in it."""
    found = FILES[name].index(at) + offset
    return FILES[name][:found] + value + FILES[name][found + len(value) :]


WIDE, TALL, LARGE = (struct.pack(">II", *size) for size in ((96, 80), (80, 96), (SIDE, SIDE)))
BOMBS: dict[str, Callable[[], bytes]] = {
    "png": lambda: png(SIDE, SIDE, zeros((SIDE // 8 + 1) * SIDE)),
    "jpg": lambda: patched("jpg", b"\xff\xc0", 5, struct.pack(">HH", SIDE, SIDE)),
    "progressive.jpg": lambda: patched("progressive.jpg", b"\xff\xc2", 5, struct.pack(">HH", SIDE, SIDE)),
    "webp": lambda: saved("WEBP", "RGB", (16383, 16383), lossless=True, quality=0, method=0),
    "tif": lambda: saved("TIFF", "1", (SIDE, SIDE // 2), compression="group4"),
    "bmp": lambda: patched("bmp", b"BM", 18, struct.pack("<ii", SIDE, SIDE)),
    "ppm": lambda: FILES["ppm"].replace(b"96 80", b"50000 50000", 1),
    "pgm": lambda: FILES["pgm"].replace(b"96 80", b"50000 50000", 1),
    "pam": lambda: FILES["pam"].replace(b"WIDTH 96\nHEIGHT 80", b"WIDTH 50000\nHEIGHT 50000"),
    "pfm": lambda: FILES["pfm"].replace(b"96 80", b"50000 50000", 1),
    "hdr": lambda: FILES["hdr"].replace(b"-Y 80 +X 96", b"-Y 50000 +X 50000"),
    "gif": lambda: patched("gif", b"GIF", 6, struct.pack("<HH", SIDE, SIDE)),
    "jp2": lambda: FILES["jp2"].replace(WIDE, LARGE).replace(TALL, LARGE),
    "ras": lambda: patched("ras", b"\x59\xa6\x6a\x95", 4, struct.pack(">II", SIDE, SIDE)),
}


def confined() -> None:
    """A process that may take little more memory, and no more than a few seconds, than it has."""
    resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
    most = psutil.Process().memory_info().vms + MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded_whatever_its_kind(tmp_path: Path) -> None:
    for name, made in BOMBS.items():
        (tmp_path / f"bomb.{name}").write_bytes(made())
    layers = ", ".join(f"{{layer: blocks.4, mask: bomb.{name}}}" for name in BOMBS)
    (tmp_path / "scene.yaml").write_text(f"layers: [{layers}]\n")
    ended = rendered(tmp_path, "check", "scene.yaml", before=confined)
    assert ended.status == 4
    for name in BOMBS:
        assert re.search(rf"bomb\.{name} has more than {2**27} pixels, .* set {pictures.PIXELS} to allow", ended.err)
    assert "Traceback" not in ended.err


def test_the_limit_is_the_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p.png").write_bytes(FILES["png"])
    monkeypatch.setenv(pictures.PIXELS, str(96 * 80))
    assert source.picture_size(tmp_path / "p.png") == (96, 80)
    monkeypatch.setenv(pictures.PIXELS, str(96 * 80 - 1))
    with pytest.raises(StorageError, match=rf"p\.png has more than 7679 pixels, .* {pictures.PIXELS}"):
        source.picture_size(tmp_path / "p.png")


@pytest.mark.parametrize(("given", "limit"), [("1000", 1000), ("lots", 2**27), ("", 2**27), ("9" * 30, 2**27)])
def test_a_variable_that_is_no_number_is_the_default_limit(given: str, limit: int) -> None:
    """OpenCV itself would end the process."""
    code = "import render, cv2; from render.film.pictures import most_pixels; print(most_pixels())"
    own = {**os.environ, pictures.PIXELS: given}
    assert int(subprocess.run([sys.executable, "-c", code], env=own, check=True, capture_output=True).stdout) == limit


def test_a_large_picture_takes_no_more_memory_than_itself_and_its_pixels_as_floats(tmp_path: Path) -> None:
    side = 2048
    (tmp_path / "p.png").write_bytes(encoded(".png", np.full((side, side, 3), 128, np.uint8)))
    tracemalloc.start()
    try:
        source.picture_size(tmp_path / "p.png")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < side**2 * (3 + 12) + 2**23


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "socket", "huge"])
def test_what_is_no_picture_by_its_kind_or_size_is_not_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    with socket.socket(socket.AF_UNIX) as unix:
        match kind:
            case "folder":
                path.mkdir()
            case "pipe":
                os.mkfifo(path)
            case "device":
                path.symlink_to("/dev/zero")
            case "socket":
                unix.bind(str(path))
            case "huge":
                with path.open("wb") as file:
                    file.truncate(2**40)
        refused(
            path, r"p\.png is (a folder|no file), not a picture|p\.png has 1099511627776 bytes; a picture has at most"
        )


def refused(path: Path, told: str) -> None:
    """One sentence, soon."""
    begun = time.monotonic()
    with pytest.raises(StorageError, match=told) as caught:
        source.picture(path, (32, 32))
    assert time.monotonic() - begun < SOON
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_a_picture_that_lacks_its_end_is_refused_wherever_that_is(name: str, tmp_path: Path) -> None:
    whole, path = FILES[name], tmp_path / f"p.{name}"
    told = "is cut off, its end is missing; copy it again" if "png" in name or "jpg" in name else "or damaged; save it"
    for cut in {*range(1, 12), *range(12, len(whole) - 12, len(whole) // 12)}:
        path.write_bytes(whole[:-cut])
        refused(path, told)


@pytest.mark.parametrize("name", ["png", "deep.png", "pillow.png"])
def test_a_png_of_which_a_byte_is_another_is_refused_wherever_that_is(name: str, tmp_path: Path) -> None:
    whole = FILES[name]
    for place in range(8, len(whole), len(whole) // 60):
        (tmp_path / "p.png").write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        refused(tmp_path / "p.png", r"p\.png is (not as it was saved|cut off)")


def scans(count: int) -> bytes:
    """A progressive JPEG of which the last scan comes again and again: a pass over the whole picture each time."""
    large = saved("JPEG", size=(8192, 4096), progressive=True)
    last = large[large.rindex(b"\xff\xda") : -2]
    return large[:-2] + count * last + b"\xff\xd9"


LONG: dict[str, Callable[[], bytes]] = {
    "p.jpg": lambda: scans(1000),
    "p.png": lambda: png(64, 64, zeros(2**28)),
    "length.png": lambda: FILES["png"][:33] + struct.pack(">I", 2**31 - 1) + FILES["png"][37:],
    "chunks.png": lambda: png(64, 64, zeros(0), chunk(b"aaAa") * 2**20),
    "marks.jpg": lambda: b"\xff\xd8" + b"\xff" * 2**22,
}


@pytest.mark.parametrize("name", LONG)
def test_what_would_be_decoded_for_hours_is_refused_soon(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(LONG[name]())
    refused(tmp_path / name, rf"{name} (is cut off|is not as it was saved|has more than 100 scans; save it again)")


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_picture_is_a_picture_or_a_sentence(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"p.{name}"
    for seed in range(30):
        random = np.random.default_rng((seed, len(FILES[name])))
        data = np.frombuffer(FILES[name], np.uint8).copy()
        places = random.integers(0, random.choice([len(data), 200]), random.integers(1, 9))
        data[places] ^= random.integers(1, 256, len(places), np.uint8)
        path.write_bytes(data[: random.integers(1, len(data))].tobytes() if seed % 6 == 0 else data.tobytes())
        shown = picture_or_sentence(path)
        if isinstance(shown, str):
            assert f"p.{name} " in shown
            assert "\n" not in shown
        else:
            assert shown.shape == (1, 3, 32, 32)
            assert 0 <= shown.min() <= shown.max() <= 1


def picture_or_sentence(path: Path) -> Tensor | str:
    """What becomes of a file."""
    try:
        return source.picture(path, (32, 32))
    except StorageError as error:
        return str(error)


def test_floats_that_are_no_numbers_are_black_and_endless_ones_white(tmp_path: Path) -> None:
    odd = np.array([[np.nan, np.inf, -np.inf, 7]], np.float32)
    for kind, values in (("Pf", odd), ("PF", np.repeat(odd, 3))):
        (tmp_path / "p.pfm").write_bytes(f"{kind}\n4 1\n-1.0\n".encode() + values.tobytes())
        shown = source.picture(tmp_path / "p.pfm", (4, 1))
        assert shown.tolist() == [[[[0, 1, 0, 1]]] * 3]


@pytest.mark.parametrize("own", [(1, 1), (65535, 1), (1, 65535)])
def test_a_picture_of_an_absurd_shape_is_shown_or_told(own: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(saved("PNG", size=own))
    assert source.picture(tmp_path / "p.png", (512, 512), "contain").shape == (1, 3, 512, 512)
    assert source.picture(tmp_path / "p.png", (512, 512), "stretch").shape == (1, 3, 512, 512)
    if max(own) > 1:
        refused_shape = rf"p\.png is {own[0]}x{own[1]}, too long a shape to cover 512x512; cut it"
        with pytest.raises(StorageError, match=refused_shape):
            source.picture(tmp_path / "p.png", (512, 512))


MARKED = b"<html><script>alert(1)</script></html>PK\x03\x04"


@pytest.mark.parametrize(
    ("name", "data", "is_picture"),
    [
        ("page.png", MARKED + FILES["png"], False),
        ("page.jpg", FILES["jpg"] + MARKED, True),
        ("photo.png", FILES["jpg"], True),
        ("lines.png", FILES["png"][:33] + chunk(b"tEXt", b"Comment\0" + MARKED) + FILES["png"][33:], True),
        ("film.png", b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(2000), False),
        ("lines.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', False),
    ],
)
def test_a_file_of_two_kinds_is_what_it_begins_as(name: str, data: bytes, is_picture: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    if is_picture:
        assert source.picture_size(tmp_path / name) == (96, 80)
    else:
        refused(tmp_path / name, rf"{name} is not a picture that can be read")
