"""Films where loops are posted: WebM, Matroska, GIF and WebP, read by ffmpeg and by a second reader."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from torch import Tensor

from render.choices import DEFAULT_CRF, DEFAULT_QUALITY
from render.errors import StorageError
from render.film.assembly import Placement, content_of, is_intact, linked_segments, write_film
from render.film.encoder import OutputFormat, SegmentEncoder, quantize
from render.film.metadata import read_metadata
from render.media import ffmpeg

FORMATS = (("vp9", ".webm"), ("h264", ".mkv"), ("h265", ".mkv"), ("gif", ".gif"), ("webp", ".webp"))
STREAMS = (("vp9", ".webm"), ("h264", ".mkv"), ("h265", ".mkv"))
LOOPING = (("gif", ".gif"), ("webp", ".webp"))
NTSC = Fraction(30000, 1001)
SCENE = {"scene": {"seed": 1, "note": "a=b;c # <d>\n\"e\" \\f '&amp;' é 🎬 " + "0123456789" * 7000}}
MAX_DIFFERENCE = {"gif": 9, "webp": 4}
"""Mean difference of a decoded value from the frame's, of 255, for soft frames; of others 4."""


def form_of(codec: str, fps: Fraction = Fraction(24), size: tuple[int, int] = (64, 48)) -> OutputFormat:
    """A codec with the quality that scenes have by default."""
    return OutputFormat(codec, fps, size=size, crf=DEFAULT_CRF.get(codec), quality=DEFAULT_QUALITY.get(codec))


def soft(count: int, form: OutputFormat) -> list[Tensor]:
    """Frames of large patches whose colours drift."""
    width, height = form.size
    random = torch.Generator().manual_seed(2)
    ends = torch.rand((2, 3, 3, 4), generator=random)
    steps = torch.linspace(0, 1, count).view(-1, 1, 1, 1)
    patches = torch.lerp(ends[:1], ends[1:], steps)
    frames = torch.nn.functional.interpolate(patches, (height, width), mode="bilinear", align_corners=True)
    return [frame.unsqueeze(0) for frame in frames]


def film_of(frames: list[Tensor], form: OutputFormat, target: Path, *, length: int = 5, repeat: int = 1) -> Path:
    """Writes a film of the frames, in segments of `length`."""
    work = target.with_suffix(".work")
    work.mkdir()
    segments = []
    for number, start in enumerate(range(0, len(frames), length)):
        segments.append(work / f"{number:05d}{form.suffix}")
        with SegmentEncoder(segments[-1], form) as segment:
            for frame in frames[start : start + length]:
                segment.write(frame)
            segment.finish()
    metadata = {**SCENE, "frames": [0, len(frames)]}
    write_film(segments, target, output_format=form, metadata=metadata, placement=Placement(repeat=repeat))
    return target


def decoded(film: Path, form: OutputFormat) -> NDArray[np.uint8]:
    """The frames as ffmpeg decodes them, NxHxWx3."""
    to_rgb = (
        "scale=in_color_matrix=bt709:flags=accurate_rnd+full_chroma_int" if film.suffix in (".webm", ".mkv") else "null"
    )
    output = ("-fps_mode", "passthrough", "-vf", to_rgb, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    raw = ffmpeg.run(*ffmpeg.QUIET, "-i", str(film), *output)
    return np.frombuffer(raw, np.uint8).reshape(-1, form.size[1], form.size[0], 3)


def read_again(film: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames as Pillow or OpenCV decodes them."""
    if film.suffix in (".gif", ".webp"):
        with Image.open(film) as image:
            for frame in ImageSequence.Iterator(image):
                yield np.asarray(frame.convert("RGB"))
        return
    video = cv2.VideoCapture(str(film))
    while True:
        is_there, picture = video.read()
        if not is_there:
            return
        yield np.asarray(picture, np.uint8)[..., ::-1]


def durations(film: Path) -> list[int]:
    """Milliseconds of each frame of an animated picture, by Pillow."""
    with Image.open(film) as image:
        found = []
        for frame in ImageSequence.Iterator(image):
            frame.load()
            found.append(frame.info["duration"])
        return found


@pytest.mark.parametrize(("codec", "suffix"), FORMATS)
def test_two_readers_find_every_frame_with_its_colours(tmp_path: Path, codec: str, suffix: str) -> None:
    form = form_of(codec)
    frames = soft(12, form)
    film = film_of(frames, form, tmp_path / f"film{suffix}")
    expected = np.stack([quantize(frame, 8) for frame in frames]).astype(float)
    for pictures in (decoded(film, form), np.stack(list(read_again(film)))):
        assert pictures.shape == expected.shape
        assert np.abs(pictures - expected).mean((1, 2, 3)).max() < MAX_DIFFERENCE.get(codec, 4)
        assert np.abs((pictures - expected).mean((0, 1, 2))).max() < 2  # OpenCV's own conversion shifts green by 1.5
    assert is_intact(film)


@pytest.mark.parametrize(("codec", "suffix"), FORMATS)
@pytest.mark.parametrize("count", [1, 3])
def test_frames_that_are_alike_are_all_there(tmp_path: Path, codec: str, suffix: str, count: int) -> None:
    form = form_of(codec)
    film = film_of([torch.full((1, 3, 48, 64), 0.5)] * count, form, tmp_path / f"film{suffix}", length=2)
    assert len(list(read_again(film))) == count


@pytest.mark.parametrize(("codec", "suffix"), FORMATS)
def test_the_scene_is_embedded_whole(tmp_path: Path, codec: str, suffix: str) -> None:
    form = form_of(codec)
    film = film_of(soft(2, form), form, tmp_path / f"film{suffix}")
    assert (read_metadata(film) or {})["scene"] == SCENE["scene"]


@pytest.mark.parametrize(("codec", "suffix"), FORMATS)
def test_the_same_frames_give_the_same_bytes_on_any_number_of_cores(tmp_path: Path, codec: str, suffix: str) -> None:
    form = form_of(codec, NTSC, (320, 128))
    frames = [torch.rand((1, 3, 128, 320), generator=torch.Generator().manual_seed(seed)) for seed in range(6)]
    first = film_of(frames, form, tmp_path / f"first{suffix}", length=4).read_bytes()
    assert film_of(frames, form, tmp_path / f"second{suffix}", length=4).read_bytes() == first
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)})
        assert film_of(frames, form, tmp_path / f"third{suffix}", length=4).read_bytes() == first
    finally:
        os.sched_setaffinity(0, cores)


@pytest.mark.parametrize(("codec", "suffix"), STREAMS)
def test_times_are_the_nearest_milliseconds_and_the_rate_is_exact(tmp_path: Path, codec: str, suffix: str) -> None:
    form = form_of(codec, NTSC)
    film = film_of(soft(40, form), form, tmp_path / f"film{suffix}", length=7)
    listing = ffmpeg.run(*ffmpeg.QUIET, "-i", str(film), "-map", "0:v", "-c", "copy", "-f", "framecrc", "-").decode()
    times = sorted(int(row.split(",")[2]) for row in listing.splitlines() if not row.startswith("#"))
    assert times == [int(1000 * index / NTSC + Fraction(1, 2)) for index in range(40)]
    described = subprocess.run([ffmpeg.binary(), "-i", str(film)], capture_output=True, text=True, check=False).stderr
    assert re.search(r"yuv420p\(tv, bt709.*, 29\.97 fps", described)


@pytest.mark.parametrize("fps", [Fraction(50), Fraction(25), Fraction(100, 3), Fraction(24), NTSC])
@pytest.mark.parametrize(("codec", "suffix"), LOOPING)
def test_durations_add_up_and_the_picture_loops(tmp_path: Path, codec: str, suffix: str, fps: Fraction) -> None:
    form = form_of(codec, fps, (16, 16))
    film = film_of(soft(60, form), form, tmp_path / f"film{suffix}", length=20)
    tick = 10 if codec == "gif" else 1
    ends = np.cumsum(durations(film)).tolist()
    assert ends == [tick * int(1000 / tick * index / fps + Fraction(1, 2)) for index in range(1, 61)]
    if codec == "gif" and fps in (50, 25, Fraction(100, 3)):
        assert len(set(durations(film))) == 1
    with Image.open(film) as image:
        assert image.info["loop"] == 0


@pytest.mark.parametrize(("codec", "suffix"), FORMATS)
def test_a_damaged_film_is_noticed(tmp_path: Path, codec: str, suffix: str) -> None:
    form = form_of(codec)
    film = film_of(soft(6, form), form, tmp_path / f"film{suffix}")
    data = bytearray(film.read_bytes())
    last_frame = data.rindex(b"ANMF") + 60 if suffix == ".webp" else len(data) - 400
    damaged = film.with_stem("damaged")
    damaged.write_bytes(data[:-300] if suffix != ".webp" else data[: last_frame - 80] + data[last_frame:])
    assert not is_intact(damaged)
    data[last_frame] ^= 0x10
    damaged.write_bytes(data)
    assert is_intact(damaged) is False


@pytest.mark.parametrize(("codec", "suffix"), STREAMS)
def test_a_repeated_film_is_made_from_one_and_back(tmp_path: Path, codec: str, suffix: str) -> None:
    form = form_of(codec, NTSC)
    frames = soft(13, form)
    once = film_of(frames, form, tmp_path / f"once{suffix}")
    thrice = film_of(frames, form, tmp_path / f"thrice{suffix}", repeat=3)
    pictures = decoded(thrice, form)
    assert np.array_equal(pictures, np.concatenate([decoded(once, form)] * 3))
    assert is_intact(thrice)
    for source, repeat, expected in ((once, 3, thrice), (thrice, 1, once)):
        made = tmp_path / f"{source.stem}-{repeat}{suffix}"
        with linked_segments([source], made, form) as segments:
            metadata = {**SCENE, "frames": [0, 13]}
            write_film(segments, made, output_format=form, metadata=metadata, placement=Placement(repeat=repeat))
        assert made.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"RIFF\xff\xff\xff\xffWEBPVP8X\xff\xff\xff\xff", b"GIF89a" + b"\xff" * 40]
)
def test_what_is_no_film_has_no_scene_and_no_content(tmp_path: Path, suffix: str, data: bytes) -> None:
    file = tmp_path / f"film{suffix}"
    file.write_bytes(data)
    assert read_metadata(file) is None
    assert is_intact(file) is None
    if suffix == ".gif":
        with pytest.raises(StorageError, match="truncated"):
            content_of(file)
