"""The bytes of PNG and JPEG: streams of several, and embedded comments."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from render.media import ffmpeg
from render.media.image_bytes import embedded_comment, split_stream, with_comment

SUFFIXES = (".png", ".jpg")
COMMENT = 'a "scene" of ü and 雪\n' + "x" * 200_000


def encoded(suffix: str, side: int = 64) -> bytes:
    """A photo with noise, so that any pair of bytes is likely in the file."""
    noise = np.random.default_rng(side).integers(0, 60, (side, side, 3), dtype=np.uint8)
    photo = cv2.resize(skimage.data.astronaut(), (side, side)) // 2 + noise
    is_encoded, data = cv2.imencode(suffix, photo, [cv2.IMWRITE_JPEG_QUALITY, 98])
    assert is_encoded
    return data.tobytes()


def decoded(data: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_comment_is_embedded_and_the_picture_is_unchanged(suffix: str) -> None:
    plain = encoded(suffix)
    commented = with_comment(plain, COMMENT)
    assert embedded_comment(commented) == COMMENT
    assert embedded_comment(plain) is None
    assert np.array_equal(decoded(commented), decoded(plain))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_stream_is_split_into_its_pictures(suffix: str, tmp_path: Path) -> None:
    pictures = [encoded(suffix, side) for side in (32, 64, 200)]
    pictures[1] = with_comment(pictures[1], "in the middle")
    (tmp_path / "stream").write_bytes(b"".join(pictures))
    assert list(split_stream(tmp_path / "stream")) == pictures


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_ffmpeg_decodes_a_picture_with_a_comment(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"picture{suffix}"
    file.write_bytes(with_comment(encoded(suffix), COMMENT))
    command = [ffmpeg.binary(), "-v", "error", "-i", str(file), "-f", "null", "-"]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stderr == ""


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"text", encoded(".jpg")[:9]])
def test_incomplete_pictures_embed_nothing(data: bytes) -> None:
    assert embedded_comment(data) is None
