"""Hostile and damaged pictures: each is loaded or an error of one line, soon and in little memory."""

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
from render.media.image import check_image, image_size, load_image
from render.media.image_bytes import PIXEL_LIMIT_VARIABLE, PNG_SIGNATURE
from tests.media import pictures
from tests.production.processes import run_render

PHOTO = cv2.resize(skimage.data.astronaut(), (96, 80))
SIDE = 50_000
MEGABYTES = 400
SOON = 2.0
"""Seconds of processor time, which other processes do not lengthen."""


def encoded(suffix: str, photo: object = PHOTO, *options: int) -> bytes:
    """The photo as OpenCV writes it."""
    return cv2.imencode(suffix, np.asarray(photo), options)[1].tobytes()


def saved(kind: str, mode: str = "RGB", size: tuple[int, int] = (0, 0), **options: object) -> bytes:
    """The photo, or a black picture of a size, as Pillow writes it."""
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
    "avif": saved("AVIF", quality=60),
    "deep.tif": encoded(".tif", PHOTO.astype(np.uint16) * 257),
    "alpha.tif": saved("TIFF", "RGBA", (96, 80)),
}


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, compressed: bytes, *chunks: bytes) -> bytes:
    """A black and white PNG with these pixels, and chunks before them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return PNG_SIGNATURE + header + b"".join(chunks) + chunk(b"IDAT", compressed) + chunk(b"IEND")


def zeros(count: int) -> bytes:
    """`count` zero bytes, compressed."""
    compressor = zlib.compressobj(1)
    return b"".join(compressor.compress(bytes(2**20)) for _ in range(count >> 20)) + compressor.flush()


def patched(name: str, mark: bytes, *, offset: int, value: bytes) -> bytes:
    """A file with replaced bytes at an offset from a mark in it."""
    start = FILES[name].index(mark) + offset
    return FILES[name][:start] + value + FILES[name][start + len(value) :]


WIDE, TALL, LARGE = (struct.pack(">II", *size) for size in ((96, 80), (80, 96), (SIDE, SIDE)))
BOMBS: dict[str, Callable[[], bytes]] = {
    "png": lambda: png(SIDE, SIDE, zeros((SIDE // 8 + 1) * SIDE)),
    "jpg": lambda: patched("jpg", b"\xff\xc0", offset=5, value=struct.pack(">HH", SIDE, SIDE)),
    "progressive.jpg": lambda: patched("progressive.jpg", b"\xff\xc2", offset=5, value=struct.pack(">HH", SIDE, SIDE)),
    "webp": lambda: bytes.fromhex("524946461a000000574542505650384c0e0000002ffebfff0f071011fd0f4444ff03"),
    "tif": lambda: saved("TIFF", "1", (2**14, 2**13 + 1), compression="group4"),
    "bmp": lambda: patched("bmp", b"BM", offset=18, value=struct.pack("<ii", SIDE, SIDE)),
    "ppm": lambda: FILES["ppm"].replace(b"96 80", b"50000 50000", 1),
    "pgm": lambda: FILES["pgm"].replace(b"96 80", b"50000 50000", 1),
    "pam": lambda: FILES["pam"].replace(b"WIDTH 96\nHEIGHT 80", b"WIDTH 50000\nHEIGHT 50000"),
    "pfm": lambda: FILES["pfm"].replace(b"96 80", b"50000 50000", 1),
    "hdr": lambda: FILES["hdr"].replace(b"-Y 80 +X 96", b"-Y 50000 +X 50000"),
    "gif": lambda: patched("gif", b"GIF", offset=6, value=struct.pack("<HH", SIDE, SIDE)),
    "jp2": lambda: FILES["jp2"].replace(WIDE, LARGE).replace(TALL, LARGE),
    "ras": lambda: patched("ras", b"\x59\xa6\x6a\x95", offset=4, value=struct.pack(">II", SIDE, SIDE)),
}


def limit_resources() -> None:
    """Limits the memory and the processor time of this process to little more than it has used."""
    resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
    limit = psutil.Process().memory_info().vms + MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def test_a_picture_of_too_many_pixels_is_an_error_before_it_is_decoded(tmp_path: Path) -> None:
    for name, create in BOMBS.items():
        (tmp_path / f"bomb.{name}").write_bytes(create())
    layers = ", ".join(f"{{layer: blocks.4, mask: bomb.{name}}}" for name in BOMBS)
    (tmp_path / "scene.yaml").write_text(f"objectives: [{layers}]\n")
    ended = run_render(tmp_path, "check", "scene.yaml", preexec=limit_resources)
    assert ended.status == 4
    for name in BOMBS:
        assert re.search(
            rf"bomb\.{name} has more than {2**27} pixels, .* set {PIXEL_LIMIT_VARIABLE} to allow", ended.err
        )
    assert "Traceback" not in ended.err


def test_the_environment_variable_sets_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p.png").write_bytes(FILES["png"])
    monkeypatch.setenv(PIXEL_LIMIT_VARIABLE, str(96 * 80))
    assert image_size(tmp_path / "p.png") == (96, 80)
    monkeypatch.setenv(PIXEL_LIMIT_VARIABLE, str(96 * 80 - 1))
    with pytest.raises(StorageError, match=rf"p\.png has more than 7679 pixels, .* {PIXEL_LIMIT_VARIABLE}"):
        image_size(tmp_path / "p.png")


@pytest.mark.parametrize(("value", "limit"), [("1000", 1000), ("lots", 2**27), ("", 2**27), ("9" * 30, 2**27)])
def test_a_variable_that_is_not_a_number_gives_the_default_limit(value: str, limit: int) -> None:
    """OpenCV alone would end the process."""
    code = "import render, cv2; from render.media.image_bytes import max_pixels; print(max_pixels())"
    environment = {**os.environ, PIXEL_LIMIT_VARIABLE: value}
    process = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    assert int(process.stdout) == limit


@pytest.mark.parametrize("chunks", [{}, {b"cICP": bytes([12, 13, 0, 1])}])
def test_a_large_picture_takes_the_memory_of_its_pixels_as_bytes_and_floats(
    chunks: dict[bytes, bytes], tmp_path: Path
) -> None:
    side = 2048
    (tmp_path / "p.png").write_bytes(pictures.png(np.full((side, side, 3), 128, np.uint8), chunks))
    tracemalloc.start()
    try:
        check_image(tmp_path / "p.png")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < side**2 * (3 + 12) + 2**23


UNREAD = {"folder": "is a folder, not a picture", "huge": "has 1099511627776 bytes; a picture has at most"}


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "socket", "huge"])
def test_a_file_of_another_kind_or_of_a_huge_size_is_not_read(kind: str, tmp_path: Path) -> None:
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
        refused(path, rf"p\.png {UNREAD.get(kind, 'is not a file')}")


def refused(path: Path, message: str) -> None:
    """Asserts that loading is an error of one line, soon."""
    start_time = time.process_time()
    with pytest.raises(StorageError, match=message) as caught:
        load_image(path, (32, 32))
    assert time.process_time() - start_time < SOON
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_a_picture_truncated_anywhere_is_an_error(name: str, tmp_path: Path) -> None:
    whole, path = FILES[name], tmp_path / f"p.{name}"
    message = "is truncated; copy it again" if "png" in name or "jpg" in name else "or damaged; save it"
    for cut in {*range(1, 12), *range(12, len(whole) - 12, len(whole) // 12)}:
        path.write_bytes(whole[:-cut])
        refused(path, message)


@pytest.mark.parametrize("name", ["png", "deep.png", "pillow.png"])
def test_a_png_with_a_changed_byte_anywhere_is_an_error(name: str, tmp_path: Path) -> None:
    whole = FILES[name]
    for offset in range(8, len(whole), len(whole) // 60):
        (tmp_path / "p.png").write_bytes(whole[:offset] + bytes([whole[offset] ^ 4]) + whole[offset + 1 :])
        refused(tmp_path / "p.png", r"p\.png is (damaged|truncated)")


def scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated; each takes a pass over the whole picture."""
    large = saved("JPEG", size=(8192, 4096), progressive=True)
    last = large[large.rindex(b"\xff\xda") : -2]
    return large[:-2] + count * last + b"\xff\xd9"


SLOW: dict[str, Callable[[], bytes]] = {
    "p.jpg": lambda: scans(1000),
    "p.png": lambda: png(64, 64, zeros(2**28)),
    "length.png": lambda: FILES["png"][:33] + struct.pack(">I", 2**31 - 1) + FILES["png"][37:],
    "chunks.png": lambda: png(64, 64, zeros(0), chunk(b"aaAa") * 2**20),
    "marks.jpg": lambda: b"\xff\xd8" + b"\xff" * 2**22,
}


@pytest.mark.parametrize("name", SLOW)
def test_a_picture_that_takes_hours_to_decode_is_an_error_soon(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(SLOW[name]())
    refused(tmp_path / name, rf"{name} (is truncated|is damaged|has more than 100 scans; save it again)")


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_picture_is_loaded_or_an_error_of_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"p.{name}"
    for seed in range(30):
        random = np.random.default_rng((seed, len(FILES[name])))
        data = np.frombuffer(FILES[name], np.uint8).copy()
        offsets = random.integers(0, random.choice([len(data), 200]), random.integers(1, 9))
        data[offsets] ^= random.integers(1, 256, len(offsets), np.uint8)
        path.write_bytes(data[: random.integers(1, len(data))].tobytes() if seed % 6 == 0 else data.tobytes())
        result = picture_or_message(path)
        if isinstance(result, str):
            assert f"p.{name} " in result
            assert "\n" not in result
        else:
            assert result.shape == (1, 3, 32, 32)
            assert 0 <= result.min() <= result.max() <= 1


def picture_or_message(path: Path) -> Tensor | str:
    """The picture of a file, or the message of the error."""
    try:
        return load_image(path, (32, 32))
    except StorageError as error:
        return str(error)


def test_nan_is_black_and_infinity_white(tmp_path: Path) -> None:
    odd = np.array([[np.nan, np.inf, -np.inf, 7]], np.float32)
    for kind, values in (("Pf", odd), ("PF", np.repeat(odd, 3))):
        (tmp_path / "p.pfm").write_bytes(f"{kind}\n4 1\n-1.0\n".encode() + values.tobytes())
        result = load_image(tmp_path / "p.pfm", (4, 1))
        assert result.tolist() == [[[[0, 1, 0, 1]]] * 3]


@pytest.mark.parametrize("size", [(1, 1), (65535, 1), (1, 65535)])
def test_a_picture_of_an_extreme_shape_is_loaded_or_an_error(size: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(saved("PNG", size=size))
    assert load_image(tmp_path / "p.png", (512, 512), fit="contain").shape == (1, 3, 512, 512)
    assert load_image(tmp_path / "p.png", (512, 512), fit="stretch").shape == (1, 3, 512, 512)
    if max(size) > 1:
        refused_shape = rf"p\.png is {size[0]}x{size[1]}, too long a shape to cover 512x512; cut it"
        with pytest.raises(StorageError, match=refused_shape):
            load_image(tmp_path / "p.png", (512, 512))


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
def test_the_first_bytes_decide_the_kind_of_a_file(name: str, data: bytes, is_picture: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    if is_picture:
        assert image_size(tmp_path / name) == (96, 80)
    else:
        refused(tmp_path / name, rf"{name} is not a picture that can be read")
