"""Pictures as bytes: streams of them, and the comment each carries."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from render.film import ffmpeg, pictures

SUFFIXES = (".png", ".jpg")
COMMENT = 'a "scene" of ü and 雪\n' + "x" * 200_000


def encoded(suffix: str, side: int = 64) -> bytes:
    """A photo as such a file; noise in it makes any two bytes likely."""
    noise = np.random.default_rng(side).integers(0, 60, (side, side, 3), dtype=np.uint8)
    photo = cv2.resize(skimage.data.astronaut(), (side, side)) // 2 + noise  # type: ignore[no-untyped-call]  # skimage has no types
    done, data = cv2.imencode(suffix, photo, [cv2.IMWRITE_JPEG_QUALITY, 98])
    assert done
    return data.tobytes()


def decoded(data: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_comment_is_carried_and_the_picture_stays_as_it_is(suffix: str) -> None:
    plain = encoded(suffix)
    carrying = pictures.with_comment(plain, COMMENT)
    assert pictures.comment_of(carrying) == COMMENT
    assert pictures.comment_of(plain) is None
    assert np.array_equal(decoded(carrying), decoded(plain))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pictures_in_a_stream_come_apart_as_they_were(suffix: str, tmp_path: Path) -> None:
    several = [encoded(suffix, side) for side in (32, 64, 200)]
    several[1] = pictures.with_comment(several[1], "in the middle")
    (tmp_path / "stream").write_bytes(b"".join(several))
    assert list(pictures.split(tmp_path / "stream")) == several


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_program_still_reads_a_picture_with_a_comment(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"picture{suffix}"
    file.write_bytes(pictures.with_comment(encoded(suffix), COMMENT))
    command = [ffmpeg.binary(), "-v", "error", "-i", str(file), "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"text", encoded(".jpg")[:9]])
def test_what_is_no_whole_picture_carries_nothing(data: bytes) -> None:
    assert pictures.comment_of(data) is None
