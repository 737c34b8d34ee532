"""A film's content: whatever a disk or a person does to its packets is noticed."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from render.film.assembly import is_intact, write_film, write_pictures
from render.film.content import count_decoded_frames
from render.media import ffmpeg
from render.media.audio import AudioSpan, require_audio
from tests.film.test_encoder import FILMS, form_of, lively, segment_of

SCENE = {"scene": {"seed": 1}}
FRAMES = 12


def film(folder: Path, codec: str = "h264", suffix: str = ".mp4", *, with_sound: bool = True) -> Path:
    """A film of twelve frames in three segments, with a sound."""
    form = form_of(codec)
    parts = [segment_of(lively(4, form, i), form, folder / f"{i}{form.suffix}") for i in range(3)]
    tone = folder / "tone.m4a"
    ffmpeg.run(*ffmpeg.QUIET, "-f", "lavfi", "-i", "sine=d=1", str(tone))
    audio = AudioSpan(require_audio(tone), Fraction(0), Fraction(1, 2)) if with_sound else None
    target = folder / f"film{suffix}"
    write_film(parts, target, output_format=form, metadata={**SCENE, "frames": [0, FRAMES]}, audio=audio)
    return target


@pytest.mark.parametrize(("codec", "suffix"), FILMS)
@pytest.mark.parametrize("with_sound", [False, True])
def test_an_undamaged_film_is_intact_wherever_it_is(tmp_path: Path, codec: str, suffix: str, with_sound: bool) -> None:
    target = film(tmp_path, codec, suffix, with_sound=with_sound)
    assert is_intact(target)
    assert count_decoded_frames(target) == FRAMES
    assert is_intact(target.rename(tmp_path / f"elsewhere{suffix}"))


def cut(data: bytes) -> bytes:
    """The end is missing."""
    return data[:-400]


def zeros(data: bytes) -> bytes:
    """Pictures are zeros."""
    start = data.rindex(b"mdat") + 600
    return data[:start] + bytes(300) + data[start + 300 :]


def flipped(data: bytes) -> bytes:
    """One bit of a picture is another."""
    place = data.rindex(b"mdat") + 2000
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


def shifted(data: bytes) -> bytes:
    """A sample is said to be somewhere else."""
    place = data.index(b"stco") + 15
    return data[:place] + bytes([data[place] ^ 8]) + data[place + 1 :]


def slower(data: bytes) -> bytes:
    """The clock of the pictures is another."""
    place = data.index(b"mdhd") + 18
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def other_setup(data: bytes) -> bytes:
    """What the decoder is set up with is damaged."""
    place = data.index(b"avcC") + 14
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("damage", [cut, zeros, flipped, shifted, slower, other_setup], ids=lambda f: f.__name__)
def test_a_damaged_film_is_not_intact(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    target = film(tmp_path)
    target.write_bytes(damage(target.read_bytes()))
    assert is_intact(target) is False


def test_a_film_without_its_sound_or_with_fewer_frames_is_not_intact(tmp_path: Path) -> None:
    target = film(tmp_path)
    for name, arguments in {"mute": ("-an",), "short": ("-frames:v", "8"), "encoded": ("-c:v", "libx264")}.items():
        copy = tmp_path / f"{name}.mp4"
        codec = () if name == "encoded" else ("-c", "copy")
        ffmpeg.run(*ffmpeg.QUIET, "-i", str(target), *codec, *arguments, "-map_metadata", "0", str(copy))
        assert is_intact(copy) is False, name


@pytest.mark.parametrize("codec", ["png", "jpg"])
def test_a_damaged_picture_is_not_intact(tmp_path: Path, codec: str) -> None:
    form = form_of(codec)
    segment = segment_of(lively(2, form), form, tmp_path / f"0{form.suffix}")
    write_pictures([segment], tmp_path / f"%d.{codec}", metadata=SCENE, first_number=0)
    for number in range(2):
        picture = tmp_path / f"{number}.{codec}"
        assert is_intact(picture)
        data = picture.read_bytes()
        picture.write_bytes(data[:-200] + bytes([data[-200] ^ 1]) + data[-199:])
        assert is_intact(picture) is False
        picture.write_bytes(data[:-20])
        assert is_intact(picture) is False
