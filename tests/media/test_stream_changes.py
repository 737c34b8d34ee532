"""Clips whose pictures change in mid-stream: size, pixel format, colours, interlacing, rotation, rate."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from render.media import ffmpeg
from render.media.clip import clip_frames, probe_clip
from tests.media.clips import Frames, levels, write_clip

H264 = ("-c:v", "libx264", "-qp", "2", "-g", "5", "-bf", "2", "-pix_fmt", "yuv420p")
VP8 = ("-c:v", "libvpx", "-crf", "4", "-b:v", "2M", "-g", "5")
VP9 = ("-c:v", "libvpx-vp9", "-lossless", "1", "-g", "5")
MJPEG = ("-c:v", "mjpeg", "-q:v", "2")
PNG = ("-c:v", "png")
TURNED = ("-bsf:v", "h264_metadata=display_orientation=insert:rotate=90")
INTERLACED = ("-flags", "+ilme+ildct", "-x264-params", "tff=1")
BT601, BT709 = (
    ("-vf", f"scale=out_color_matrix={name}:out_range={range_},setparams=colorspace={name}:range={range_}")
    for name, range_ in (("smpte170m", "tv"), ("bt709", "pc"))
)
COUNT = 12
"""Frames of each part."""
SMALL, LARGE, WIDE = (64, 48), (128, 96), (96, 48)
Part = tuple[tuple[int, int], tuple[str, ...], str]
CHANGES: dict[str, tuple[str, list[Part]]] = {
    "size, WebM VP8": ("webm", [(SMALL, VP8, "25"), (LARGE, VP8, "25"), (SMALL, VP8, "25")]),
    "size, WebM VP9": ("webm", [(LARGE, VP9, "25"), (SMALL, VP9, "25")]),
    "size, MPEG-TS": ("ts", [(SMALL, H264, "25"), (LARGE, H264, "25"), (WIDE, H264, "25")]),
    "size, Annex B": ("h264", [(SMALL, H264, "25"), (LARGE, H264, "25")]),
    "size, AVI": ("avi", [(SMALL, MJPEG, "25"), (LARGE, MJPEG, "25")]),
    "pixel format, Matroska": ("mkv", [(SMALL, (*PNG, "-pix_fmt", p), "25") for p in ("rgb24", "gray", "rgb48be")]),
    "pixel format, AVI": ("avi", [(SMALL, (*MJPEG, "-pix_fmt", p), "25") for p in ("yuvj420p", "yuvj444p")]),
    "colours, MPEG-TS": ("ts", [(SMALL, (*H264, *BT601), "25"), (SMALL, (*H264, *BT709), "25")]),
    "interlacing, MPEG-TS": ("ts", [(SMALL, (*H264, *INTERLACED), "25"), (LARGE, H264, "25")]),
    "rotation, MPEG-TS": ("ts", [(SMALL, H264, "25"), (SMALL, (*H264, *TURNED), "25"), (SMALL, H264, "25")]),
    "rate, Matroska": ("mkv", [(SMALL, PNG, "25"), (SMALL, PNG, "50"), (SMALL, PNG, "25")]),
}


def joined(path: Path, parts: list[Part]) -> Path:
    """Encodes a clip of parts of COUNT frames each, whose levels go on from part to part; returns its path."""
    names = []
    for number, (size, options, fps) in enumerate(parts):
        pictures = levels(COUNT * len(parts), *size)[COUNT * number : COUNT * (number + 1)]
        name = f"{number}{path.suffix}"
        write_clip(path.with_name(name), pictures, *options, fps=fps)
        names.append(f"file {name}\nduration {COUNT / float(Fraction(fps)):.6f}\n")
    path.with_name("list.txt").write_text("".join(names))
    arguments = ("-f", "concat", "-i", "list.txt", "-c", "copy", path.name)
    ffmpeg.run(*ffmpeg.QUIET, *arguments, folder=path.parent)
    return path


def visible(path: Path, frames: range, start: int = 0) -> list[int]:
    """The index in `levels` of the frames of a film at 25 fps."""
    shown = clip_frames(probe_clip(path), SMALL, fps=Fraction(25), frames=frames, start=start)
    return [round((255 * float(frame[..., 16:32, 24:40].mean()) - 20) / 5) for frame in shown]


@pytest.mark.parametrize("kind", CHANGES)
def test_each_frame_is_the_one_displayed_at_its_time_whatever_changes(kind: str, tmp_path: Path) -> None:
    container, parts = CHANGES[kind]
    clip = joined(tmp_path / f"c.{container}", parts)
    expected = [
        COUNT * number + index for number, (_, _, fps) in enumerate(parts) for index in range(0, COUNT, int(fps) // 25)
    ]
    assert visible(clip, range(len(expected))) == expected
    for first in (COUNT - 2, COUNT, COUNT + 3):  # a film that is resumed there, or begins there
        assert visible(clip, range(first, first + 5)) == expected[first : first + 5]
        assert visible(clip, range(5), start=first) == expected[first : first + 5]


def quarter(size: tuple[int, int]) -> Frames:
    """Black pictures whose upper left quarter is white."""
    picture = np.zeros((COUNT, size[1], size[0], 3), np.uint8)
    picture[:, : size[1] // 2, : size[0] // 2] = 255
    return picture


@pytest.mark.parametrize(
    ("options", "corner"), [(("-pix_fmt", "yuv444p"), (12, 16)), (TURNED, (36, 16))], ids=["size", "rotation"]
)
def test_pictures_after_the_change_are_upright_and_fill_the_film(
    options: tuple[str, ...], corner: tuple[int, int], tmp_path: Path
) -> None:
    """The corner is the middle of the white quarter, row and column."""
    second = LARGE if options[0] == "-pix_fmt" else SMALL
    write_clip(tmp_path / "0.ts", quarter(SMALL), *H264)
    write_clip(tmp_path / "1.ts", quarter(second), *H264, *options)
    (tmp_path / "list.txt").write_text("file 0.ts\nfile 1.ts\n")
    ffmpeg.run(*ffmpeg.QUIET, "-f", "concat", "-i", "list.txt", "-c", "copy", "c.ts", folder=tmp_path)
    clip = probe_clip(tmp_path / "c.ts")
    *_, frame = clip_frames(clip, SMALL, fps=clip.fps, frames=range(2 * COUNT))
    bright = np.argwhere(frame[0, 1].numpy() > 0.5)
    assert bright.mean(0) == pytest.approx(np.array(corner), abs=1.5)
    assert len(bright) == pytest.approx(SMALL[0] * SMALL[1] / 4, rel=0.1 if options != TURNED else 0.4)


@pytest.mark.parametrize("rate", ["60", "50", "24", "60000/1001"])
def test_at_half_the_rate_every_other_frame_is_shown_though_matroska_rounds_times(rate: str, tmp_path: Path) -> None:
    clip = probe_clip(write_clip(tmp_path / "c.mkv", levels(40), "-c:v", "libx264", "-qp", "0", "-bf", "2", fps=rate))
    frames = clip_frames(clip, clip.size, fps=Fraction(rate) / 2, frames=range(20))
    assert [round((255 * float(frame.mean()) - 20) / 5) for frame in frames] == list(range(0, 40, 2))
