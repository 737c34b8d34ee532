"""Encoded films: every frame, exact timing and colours, and the format that players expect."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from render.choices import DEFAULT_CRF
from render.errors import StorageError
from render.film import encoder
from render.film.assembly import write_film, write_pictures
from render.film.encoder import OutputFormat, SegmentEncoder
from render.film.metadata import read_comment, read_metadata
from render.film.naming import numbered_path
from render.media import ffmpeg

FILM = Fraction(30000, 1001)
"""NTSC's rate, which is not a decimal fraction."""
FILMS = (("h264", ".mp4"), ("h264", ".mov"), ("h265", ".mp4"), ("h265", ".mov"), ("prores", ".mov"))
"""Every codec in every container that it supports."""
ANYTHING = "a=b;c # d\n\"e\" \\f 'g' [h] é 🎬 100%d\n;i"
SEED_1 = {"scene": {"seed": 1}}
COLOURS = {
    "black": (0.0, 0.0, 0.0),
    "grey": (0.5, 0.5, 0.5),
    "light grey": (0.8, 0.8, 0.8),
    "white": (1.0, 1.0, 1.0),
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "yellow": (1.0, 1.0, 0.0),
    "cyan": (0.0, 1.0, 1.0),
    "magenta": (1.0, 0.0, 1.0),
    "skin": (0.87, 0.67, 0.55),
    "leaf": (0.3, 0.6, 0.1),
}


def form_of(codec: str, fps: Fraction = Fraction(24), size: tuple[int, int] = (32, 32), depth: int = 8) -> OutputFormat:
    """A codec with the quality that scenes have by default."""
    bit_depth = depth if codec == "png" else None
    return OutputFormat(codec, fps, size=size, crf=DEFAULT_CRF.get(codec), bit_depth=bit_depth)


def flat(color: Sequence[float], form: OutputFormat) -> Tensor:
    """A frame of one colour."""
    return torch.tensor(color).view(1, 3, 1, 1).expand(1, 3, form.size[1], form.size[0])


def lively(count: int, form: OutputFormat, seed: int = 0) -> list[Tensor]:
    """Frames of noise, for which an encoder uses all its methods."""
    random = torch.Generator().manual_seed(seed)
    return [torch.rand((1, 3, form.size[1], form.size[0]), generator=random) for _ in range(count)]


def segment_of(frames: Iterable[Tensor], form: OutputFormat, path: Path) -> Path:
    """Writes a segment."""
    with SegmentEncoder(path, form) as segment:
        for frame in frames:
            segment.write(frame)
        segment.finish()
    return path


def film_of(frames: Sequence[Tensor], form: OutputFormat, target: Path, *, length: int = 48, note: str = "") -> Path:
    """Writes a film of the frames, in segments of `length`."""
    work = target.with_suffix(".work")
    work.mkdir()
    parts = [frames[start : start + length] for start in range(0, len(frames), length)]
    segments = [segment_of(part, form, work / f"{n:05d}{form.suffix}") for n, part in enumerate(parts)]
    if form.is_pictures:
        write_pictures(segments, target, metadata={"note": note}, first_number=0)
    else:
        write_film(segments, target, output_format=form, metadata={"note": note})
    return target


def note_of(film: Path) -> object:
    """The note that a film embeds."""
    return json.loads(read_comment(film) or "{}")["note"]


def packets(film: Path) -> list[tuple[Fraction, Fraction]]:
    """Presentation time and duration of each packet, in seconds, in presentation order."""
    text = ffmpeg.run(*ffmpeg.QUIET, "-i", str(film), "-map", "0:v", "-c", "copy", "-f", "framecrc", "-").decode()
    tick = Fraction(re.findall(r"#tb 0: (\S+)", text)[0])
    rows = [line.split(",") for line in text.splitlines() if not line.startswith("#")]
    return sorted((int(row[2]) * tick, int(row[3]) * tick) for row in rows)


def described(film: Path) -> str:
    """What ffmpeg says of a film."""
    return subprocess.run(
        [ffmpeg.binary(), "-hide_banner", "-i", str(film)], capture_output=True, text=True, check=False
    ).stderr


def planes(film: Path, form: OutputFormat) -> Iterator[tuple[NDArray[np.float64], ...]]:
    """Y, Cb and Cr of each frame as stored, on the scale of 8 bits."""
    is_prores = form.codec == "prores"
    pixels, kind = ("yuv422p10le", "u2") if is_prores else ("yuv420p", "u1")
    raw = ffmpeg.run(*ffmpeg.QUIET, "-i", str(film), "-f", "rawvideo", "-pix_fmt", pixels, "-")
    luma = form.size[0] * form.size[1]
    chroma = luma // 2 if is_prores else luma // 4
    for frame in np.frombuffer(raw, kind).astype(np.float64).reshape(-1, luma + 2 * chroma) / (4 if is_prores else 1):
        yield frame[:luma], frame[luma : luma + chroma], frame[luma + chroma :]


def boxes(film: Path) -> list[str]:
    """The types of the file's outermost boxes (ISO/IEC 14496-12, 4.2)."""
    data, offset, kinds = film.read_bytes(), 0, []
    while offset < len(data):
        size, kind = struct.unpack_from(">I4s", data, offset)
        kinds.append(kind.decode())
        offset += size if size > 1 else struct.unpack_from(">Q", data, offset + 8)[0]
    return kinds


@pytest.mark.parametrize("count", [1, 2, 48, 49, 97])
def test_every_frame_is_in_the_film_once_and_in_order(tmp_path: Path, count: int) -> None:
    form = form_of("h264")
    levels = [0.1 + 0.8 * index / count for index in range(count)]
    film = film_of([flat((level,) * 3, form) for level in levels], form, tmp_path / "film.mp4")
    decoded = [(luma.mean() - 16) / 219 for luma, _, _ in planes(film, form)]
    assert len(packets(film)) == count
    assert decoded == pytest.approx(levels, abs=0.4 * 0.8 / count + 0.001)


@pytest.mark.parametrize("fps", [Fraction(24), Fraction(25), Fraction(24000, 1001), FILM, Fraction(17, 3)])
@pytest.mark.parametrize(("segments", "length"), [(3, 48), (60, 7), (60, 1)])
def test_frames_are_equally_long_to_the_tick(tmp_path: Path, fps: Fraction, segments: int, length: int) -> None:
    form = form_of("h264", fps)
    one = segment_of(lively(length, form), form, tmp_path / "00000.mp4")
    film = tmp_path / "film.mp4"
    write_film([one] * segments, film, output_format=form, metadata={})
    assert packets(film) == [(index / fps, 1 / fps) for index in range(segments * length)]
    assert re.search(rf" {round(float(fps), 2):g} fps, ", described(film))


@pytest.mark.parametrize(("codec", "suffix"), FILMS)
@pytest.mark.parametrize("lengths", [(1, 7), (2, 5, 1, 6)])
def test_segments_of_different_lengths_make_frames_of_the_same_length(
    tmp_path: Path, lengths: tuple[int, ...], codec: str, suffix: str
) -> None:
    """A short segment is not reordered, and the ones after it are."""
    form = form_of(codec)
    parts = [segment_of(lively(n, form), form, tmp_path / f"{i}{form.suffix}") for i, n in enumerate(lengths)]
    film = tmp_path / f"film{suffix}"
    write_film(parts, film, output_format=form, metadata={})
    assert packets(film) == [(index / form.fps, 1 / form.fps) for index in range(sum(lengths))]


@pytest.mark.parametrize(("codec", "suffix"), FILMS)
def test_frames_of_every_codec_have_exact_times(tmp_path: Path, codec: str, suffix: str) -> None:
    form = form_of(codec, FILM)
    film = film_of(lively(10, form), form, tmp_path / f"film{suffix}", length=4)
    assert packets(film) == [(index / FILM, 1 / FILM) for index in range(10)]


@pytest.mark.parametrize(
    ("codec", "suffix", "stream"),
    [
        ("h264", ".mp4", r"h264 \(High\) \(avc1 .*yuv420p\(tv, bt709, progressive\), 32x32"),
        ("h264", ".mov", r"h264 \(High\) \(avc1 .*yuv420p\(tv, bt709, progressive\), 32x32"),
        ("h265", ".mp4", r"hevc \(Main\) \(hvc1 .*yuv420p\(tv, bt709(, progressive)?\), 32x32"),
        ("h265", ".mov", r"hevc \(Main\) \(hvc1 .*yuv420p\(tv, bt709(, progressive)?\), 32x32"),
        ("prores", ".mov", r"prores \(HQ\) \(apch .*yuv422p10le\(tv, bt709, progressive\), 32x32"),
    ],
)
def test_the_file_has_the_format_that_players_expect(tmp_path: Path, codec: str, suffix: str, stream: str) -> None:
    form = form_of(codec)
    film = film_of(lively(3, form), form, tmp_path / f"film{suffix}", note=ANYTHING)
    assert re.search(stream, described(film))
    kinds = boxes(film)
    assert kinds[0] == "ftyp"
    assert kinds.index("moov") < kinds.index("mdat")
    assert note_of(film) == ANYTHING


@pytest.mark.parametrize(("codec", "suffix"), FILMS)
def test_a_long_comment_is_embedded_completely(tmp_path: Path, codec: str, suffix: str) -> None:
    comment = "0123456789" * 10_000
    form = form_of(codec)
    film = film_of(lively(1, form), form, tmp_path / f"film{suffix}", note=comment)
    assert note_of(film) == comment


@pytest.mark.parametrize(("codec", "suffix"), [("h264", ".mp4"), ("h265", ".mp4"), ("prores", ".mov")])
def test_pixels_are_bt709(tmp_path: Path, codec: str, suffix: str) -> None:
    """Y, Cb and Cr of ITU-R BT.709-6, 3.2 to 3.5, limited range; and back."""
    form = form_of(codec)
    film = film_of([flat(color, form) for color in COLOURS.values()], form, tmp_path / f"film{suffix}")
    for (name, color), stored in zip(COLOURS.items(), planes(film, form), strict=True):
        red, green, blue = color
        luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        expected = 16 + 219 * luma, 128 + 224 * (blue - luma) / 1.8556, 128 + 224 * (red - luma) / 1.5748
        for plane, value in zip(stored, expected, strict=True):
            assert np.abs(plane - value).max() <= 1.1, name

    to_rgb = "scale=in_color_matrix=bt709:in_range=tv:flags=accurate_rnd+full_chroma_int"
    raw = ffmpeg.run(*ffmpeg.QUIET, "-i", str(film), "-vf", to_rgb, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    pixels = np.frombuffer(raw, np.uint8).reshape(len(COLOURS), -1, 3)
    for (name, color), decoded in zip(COLOURS.items(), pixels, strict=True):
        assert np.abs(decoded - 255 * np.array(color)).max() <= 2, name


@pytest.mark.parametrize(("codec", "suffix"), [("h264", ".mp4"), ("h265", ".mp4"), ("prores", ".mov"), ("png", ".png")])
def test_the_same_frames_give_the_same_bytes_on_any_number_of_cores(tmp_path: Path, codec: str, suffix: str) -> None:
    form = form_of(codec, FILM, (128, 96))
    frames = lively(12, form)

    def encode(name: str) -> bytes:
        (tmp_path / name).mkdir()
        target = tmp_path / name / f"%d{suffix}" if codec == "png" else tmp_path / f"{name}{suffix}"
        film = film_of(frames, form, target, length=5)
        files = sorted(film.parent.glob(f"*{suffix}")) if codec == "png" else [film]
        return b"".join(file.read_bytes() for file in files)

    first = encode("first")
    assert encode("second") == first
    if hasattr(os, "sched_setaffinity"):
        cores = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {min(cores)})
            assert encode("on one core") == first
        finally:
            os.sched_setaffinity(0, cores)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_png_sequence_stores_the_rounded_values_exactly(tmp_path: Path, depth: int) -> None:
    form = form_of("png", size=(33, 21), depth=depth)
    frames = [*lively(4, form), torch.linspace(0, 1, 33).expand(1, 3, 21, 33)]
    work = tmp_path / "work"
    work.mkdir()
    segments = [
        segment_of(frames[:3], form, work / "0.pngs"),
        segment_of(frames[3:], form, work / "1.pngs"),
    ]
    (tmp_path / "frames").mkdir()
    write_pictures(segments, tmp_path / "frames" / "%04d.png", metadata={"note": ANYTHING}, first_number=7)
    files = sorted((tmp_path / "frames").iterdir())
    assert [file.name for file in files] == ["0007.png", "0008.png", "0009.png", "0010.png", "0011.png"]
    for frame, file in zip(frames, files, strict=True):
        picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert picture is not None
        assert picture.dtype == (np.uint8 if depth == 8 else np.uint16)
        assert np.array_equal(picture[..., ::-1], encoder.quantize(frame, depth))
        assert note_of(file) == ANYTHING


@pytest.mark.parametrize("name", ["%05d.PNG", "%d.png", "a%3d b.png"])
def test_a_picture_of_a_sequence_embeds_its_metadata(tmp_path: Path, name: str) -> None:
    form = form_of("png")
    work = tmp_path / "work"
    work.mkdir()
    segment = segment_of(lively(1, form), form, work / "0.pngs")
    write_pictures([segment], tmp_path / name, metadata=SEED_1, first_number=12)
    picture = numbered_path(tmp_path / name, 12)
    assert picture.exists()
    assert (read_metadata(picture) or {})["scene"] == SEED_1["scene"]


def test_frames_are_quantized_to_the_nearest_level_and_clamped() -> None:
    frame = torch.tensor([-0.1, 0.0, 0.4999 / 255, 0.5001 / 255, 0.5, 254.4 / 255, 1.0, 1.1]).expand(1, 3, 2, 8)
    assert encoder.quantize(frame, 8)[0, :, 0].tolist() == [0, 0, 0, 1, 128, 254, 255, 255]
    levels = torch.arange(65536, dtype=torch.float32).view(1, 1, 256, 256).expand(1, 3, 256, 256) / 65535
    assert np.array_equal(encoder.quantize(levels, 16)[..., 1].ravel(), np.arange(65536))
    assert np.array_equal(encoder.quantize(levels[:, :, :, :1] * 0 + 1, 16), np.full((256, 1, 3), 65535))


def test_a_file_of_another_program_has_no_metadata(tmp_path: Path) -> None:
    form = form_of("h264")
    film = film_of(lively(1, form), form, tmp_path / "film.mp4", note="no scene")
    assert read_metadata(film) is None
    cv2.imwrite(str(tmp_path / "p.png"), np.zeros((8, 8, 3), np.uint8))
    assert read_metadata(tmp_path / "p.png") is None
    (tmp_path / "note.mp4").write_text("a note")
    for unreadable in (tmp_path / "note.mp4", tmp_path / "missing.png"):
        with pytest.raises(StorageError):
            read_metadata(unreadable)


def test_a_failed_concatenation_keeps_the_existing_film(tmp_path: Path) -> None:
    form = form_of("h264")
    film = tmp_path / "film.mp4"
    film.write_text("old")
    broken = tmp_path / "work" / "00000.mp4"
    broken.parent.mkdir()
    broken.write_text("not a segment")
    with pytest.raises(StorageError):
        write_film([broken], film, output_format=form, metadata={})
    assert film.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "work"]
    assert not list(broken.parent.glob("*.tmp*"))


@pytest.mark.parametrize("name", ["take #3", "what?", "it's", "100%", "a:b", 'q"\\', "a\nb", "é 🎬", "-x", "*[a]"])
@pytest.mark.parametrize("pattern", ["film.mp4", "%02d.png"])
def test_a_film_may_have_any_name(tmp_path: Path, name: str, pattern: str) -> None:
    form = form_of("png" if pattern.endswith("png") else "h264")
    folder = tmp_path / name
    work = folder / f"{pattern}.parts"
    work.mkdir(parents=True)
    segments = [segment_of(lively(1, form), form, work / f"0000{n}{form.suffix}") for n in range(2)]
    if form.is_pictures:
        write_pictures(segments, folder / pattern, metadata=SEED_1, first_number=0)
    else:
        write_film(segments, folder / pattern, output_format=form, metadata=SEED_1)
    shutil.rmtree(work)
    assert [path.name for path in sorted(folder.iterdir())] == (
        ["00.png", "01.png"] if form.bit_depth else ["film.mp4"]
    )
    assert (read_metadata(numbered_path(folder / pattern, 1)) or {})["scene"] == SEED_1["scene"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
@pytest.mark.parametrize("codec", ["h264", "prores", "png"])
def test_a_full_disk_is_an_error_that_says_so(tmp_path: Path, codec: str) -> None:
    form = form_of(codec, size=(128, 128))
    full = tmp_path / f"full{form.suffix}"
    full.symlink_to("/dev/full")
    with pytest.raises(StorageError, match="the disk is full"):
        segment_of(lively(30, form), form, full)
