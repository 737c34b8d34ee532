"""Clips: time, rotation and colour as a player displays them, from synthetic files and from real footage."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from torch import Tensor

from render.choices import Fit
from render.errors import StorageError
from render.media import ffmpeg
from render.media.clip import Clip, clip_frames, probe_clip
from tests.media.clips import LOSSLESS, Frames, footage, levels, write_clip


def levels_of(clip: Clip, count: int, fps: Fraction | None = None, start: int = 0, skip: int = 0) -> list[int]:
    """The index in `levels` of each frame."""
    frames = clip_frames(clip, clip.size, fps=fps or clip.fps, frames=range(skip, skip + count), start=start)
    return [round((255 * float(frame.mean()) - 20) / 5) for frame in frames]


@pytest.mark.parametrize("rate", ["25", "30000/1001", "24000/1001", "50", "12.5"])
def test_every_frame_is_decoded_once_at_the_rate_of_the_clip(rate: str, tmp_path: Path) -> None:
    clip = probe_clip(write_clip(tmp_path / "c.mp4", levels(20), *LOSSLESS, fps=rate))
    assert clip.fps == Fraction(rate)
    assert clip.size == (64, 48)
    assert clip.duration == pytest.approx(float(20 / Fraction(rate)), abs=1e-3)
    assert levels_of(clip, 20) == list(range(20))


def test_at_another_rate_each_frame_is_the_one_displayed_at_its_time(tmp_path: Path) -> None:
    clip = probe_clip(write_clip(tmp_path / "c.mp4", levels(20), *LOSSLESS))
    assert levels_of(clip, 10, Fraction(25, 2)) == list(range(0, 20, 2))
    assert levels_of(clip, 20, Fraction(50)) == [i // 2 for i in range(20)]


def test_a_clip_of_variable_rate_with_a_gap_keeps_its_timing(tmp_path: Path) -> None:
    """Frames 0 to 4 at 25 per second, then none until 0.6 s, then 5 to 9."""
    times = "setpts='if(lt(N,5),N,N+10)/25/TB'"
    clip = probe_clip(write_clip(tmp_path / "c.mp4", levels(10), "-vf", times, "-fps_mode", "vfr", *LOSSLESS))
    assert float(clip.duration) == pytest.approx(0.8, abs=0.05)
    indices = levels_of(clip, 20, Fraction(25))
    assert indices[:5] == [0, 1, 2, 3, 4]
    assert set(indices[5:14]) == {4}
    assert indices[15:20] == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("container", ["ts", "mkv", "mp4"])
@pytest.mark.parametrize("first", [0, 3])
def test_a_start_in_a_gap_is_the_frame_before_the_gap(first: int, container: str, tmp_path: Path) -> None:
    """Frames 0 to 4, then none for eight seconds, then 5 to 9; the file's clock starts at 0 or three frames later."""
    times = f"setpts='(if(lt(N,5),N,N+200)+{first})/25/TB'"
    codec = ("-c:v", "libx264", "-g", "3", "-bf", "2", "-qp", "4")
    clip = probe_clip(write_clip(tmp_path / f"c.{container}", levels(10), "-vf", times, "-fps_mode", "vfr", *codec))
    assert clip.fps == 25
    assert round(clip.duration * 25) == 210
    expected = [*range(5), *[4] * 200, *range(5, 10)]
    # The frame in which the gap ends may be either of its neighbours.
    whole = levels_of(clip, 210)
    assert whole[:100] + whole[-5:] == expected[:100] + expected[-5:]
    for start in (2, 60, 150, 190, 204, 206):
        assert levels_of(clip, 4, start=start) == whole[start : start + 4]


def test_frames_that_avi_stores_in_another_order_are_in_order_of_time(tmp_path: Path) -> None:
    clip = probe_clip(write_clip(tmp_path / "c.avi", levels(20), "-c:v", "mpeg4", "-bf", "2", "-q:v", "1"))
    assert clip.fps == 25
    assert round(clip.duration * 25) == 20
    assert levels_of(clip, 20) == list(range(20))


def test_a_start_is_exact_and_after_the_end_the_last_frame_is_repeated(tmp_path: Path) -> None:
    clip = probe_clip(write_clip(tmp_path / "c.mp4", levels(20), *LOSSLESS))
    assert levels_of(clip, 5, start=8) == [8, 9, 10, 11, 12]
    assert levels_of(clip, 5, start=17) == [17, 18, 19, 19, 19]
    with pytest.raises(StorageError, match=r"c\.mp4 has no frame at 5 s"):
        levels_of(clip, 5, start=125)


def quarters() -> Frames:
    """Red, green, blue and white quarters."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32], picture[:24, 32:] = (255, 0, 0), (0, 255, 0)
    picture[24:, :32], picture[24:, 32:] = (0, 0, 255), (255, 255, 255)
    return np.stack([picture] * 3)


def corners(frame: Tensor) -> list[tuple[int, ...]]:
    """The colours of the quarters, row by row."""
    height, width = frame.shape[2:]
    centers = [(y, x) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    return [tuple(round(255 * float(c)) for c in frame[0, :, y, x]) for y, x in centers]


def test_a_rotated_clip_is_upright(tmp_path: Path) -> None:
    flat = write_clip(tmp_path / "flat.mp4", quarters(), *LOSSLESS)
    turned = tmp_path / "turned.mp4"
    ffmpeg.run(*ffmpeg.QUIET, "-display_rotation", "90", "-i", str(flat), "-c", "copy", str(turned))
    clip = probe_clip(turned)
    assert clip.size == (48, 64)
    (frame,) = clip_frames(clip, clip.size, fps=clip.fps, frames=range(1))
    expected = [(0, 255, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255)]
    assert np.abs(np.array(corners(frame)) - expected).max() <= 2


@pytest.mark.parametrize("pixels", ["yuv444p", "yuv444p10le", "yuv420p"])
@pytest.mark.parametrize("span", ["tv", "pc"])
@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
def test_colours_are_exact_in_every_format(matrix: str, span: str, pixels: str, tmp_path: Path) -> None:
    ramp = np.tile(np.repeat(np.linspace(0, 255, 16).astype(np.uint8), 4)[None, :, None], (16, 1, 3))
    pictures = np.concatenate([quarters(), np.tile(ramp, (3, 1, 1))[None]])
    colours = f"scale=out_color_matrix={matrix}:out_range={span}:flags=accurate_rnd+full_chroma_int,format={pixels}"
    tags = f"setparams=colorspace={matrix}:color_primaries={matrix}:color_trc={matrix}:range={span}"
    codec = ("-c:v", "libx264", "-qp", "0")
    clip = probe_clip(write_clip(tmp_path / "c.mp4", pictures, "-vf", f"{colours},{tags}", *codec))
    *_, first, last = clip_frames(clip, clip.size, fps=clip.fps, frames=range(4))
    assert np.abs(np.array(corners(first)) - corners_of(pictures[0])).max() <= 2
    assert np.abs(255 * last[0].permute(1, 2, 0).numpy() - pictures[-1]).max() <= 2


@pytest.mark.parametrize(
    ("size", "matrix"),
    [
        ((720, 576), "smpte170m"),
        ((1278, 576), "smpte170m"),
        ((320, 240), "smpte170m"),
        ((720, 578), "bt709"),
        ((640, 640), "bt709"),
        ((1280, 536), "bt709"),
        ((480, 720), "bt709"),
    ],
)
@pytest.mark.parametrize("rotation", [0, 90])
def test_untagged_colours_are_read_as_players_read_them(
    rotation: int, size: tuple[int, int], matrix: str, tmp_path: Path
) -> None:
    """BT.709 from 1280 columns or 577 rows on, as stored."""
    picture = np.full((1, size[1], size[0], 3), (208, 64, 48), np.uint8)
    colours = f"scale=out_color_matrix={matrix}:out_range=tv,format=yuv420p,setparams=colorspace=unknown:range=unknown"
    flat = write_clip(tmp_path / "flat.mp4", picture, "-vf", colours, "-c:v", "libx264", "-qp", "4")
    ffmpeg.run(
        *ffmpeg.QUIET, "-display_rotation", str(rotation), "-i", str(flat), "-c", "copy", str(tmp_path / "c.mp4")
    )
    clip = probe_clip(tmp_path / "c.mp4")
    (frame,) = clip_frames(clip, (32, 32), fps=clip.fps, frames=range(1))
    assert 255 * frame[0, :, 16, 16].numpy() == pytest.approx(np.array((208, 64, 48)), abs=3)


def corners_of(picture: NDArray[np.uint8]) -> list[tuple[int, ...]]:
    return [tuple(int(c) for c in picture[y, x]) for y in (12, 36) for x in (16, 48)]


@pytest.mark.parametrize(
    ("fit", "edge"), [("cover", (255, 255, 255)), ("contain", (0, 0, 0)), ("stretch", (255, 255, 255))]
)
def test_a_size_of_another_shape_is_filled_as_requested(fit: Fit, edge: Sequence[int], tmp_path: Path) -> None:
    white = np.full((2, 48, 64, 3), 255, np.uint8)
    clip = probe_clip(write_clip(tmp_path / "c.mp4", white, *LOSSLESS))
    (frame,) = clip_frames(clip, (60, 60), fps=clip.fps, frames=range(1), fit=fit)
    assert frame.shape == (1, 3, 60, 60)
    assert [255 * float(c) for c in frame[0, :, 0, 30]] == pytest.approx(list(edge), abs=2)


@pytest.mark.parametrize("size", [(101, 77), (16, 16), (7, 5)])
def test_an_odd_size_is_unchanged(size: tuple[int, int], tmp_path: Path) -> None:
    clip = probe_clip(write_clip(tmp_path / "c.mkv", levels(2, *size), "-c:v", "ffv1", "-pix_fmt", "yuv420p"))
    assert clip.size == size
    assert levels_of(clip, 2) == [0, 1]


def test_transparency_is_ignored(tmp_path: Path) -> None:
    half = ("-vf", "format=rgba,colorchannelmixer=aa=0.5", "-c:v", "png")
    assert levels_of(probe_clip(write_clip(tmp_path / "c.mov", levels(3), *half)), 3) == [0, 1, 2]


def numbered(folder: Path, names: Sequence[str]) -> Path:
    """Grey pictures of these names, each five levels brighter than the one before."""
    for name, picture in zip(names, levels(len(names)), strict=True):
        cv2.imwrite(str(folder / name), picture)
    return folder


def test_numbered_pictures_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    numbered(tmp_path, [f"s{n}.png" for n in (8, 9, 10, 11)])
    clip = probe_clip(tmp_path / "s%d.png", Fraction(12))
    assert clip == Clip(tmp_path / "s%d.png", (64, 48), fps=Fraction(12), duration=Fraction(4, 12), number=8)
    assert levels_of(clip, 4) == [0, 1, 2, 3]
    assert levels_of(clip, 6, Fraction(24)) == [0, 0, 1, 1, 2, 2]
    assert levels_of(clip, 3, Fraction(8)) == [0, 2, 3]
    assert levels_of(clip, 4, start=2) == [2, 3, 3, 3]
    assert levels_of(clip, 2, start=1, skip=1) == [2, 3]


@pytest.mark.parametrize("rate", ["12", "8", "6", "4.8", "3", "16", "48", "30000/1001"])
def test_numbered_pictures_of_a_film_are_those_of_a_clip(rate: str, tmp_path: Path) -> None:
    numbered(tmp_path, [f"{n}.png" for n in range(24)])
    of_pictures = probe_clip(tmp_path / "%d.png", Fraction(24))
    of_clip = probe_clip(write_clip(tmp_path / "c.mkv", levels(24), *LOSSLESS, fps="24"))
    count = int(Fraction(rate))
    assert levels_of(of_pictures, count, Fraction(rate)) == levels_of(of_clip, count, Fraction(rate))


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
def test_numbered_pictures_are_fitted_as_clips_are(fit: Fit, tmp_path: Path) -> None:
    photo = filmed_photo()
    cv2.imwrite(str(tmp_path / "001.png"), photo[..., ::-1])
    clip = probe_clip(write_clip(tmp_path / "c.mkv", photo[None], "-c:v", "ffv1", "-pix_fmt", "bgr0"))
    (of_clip,), (of_pictures,) = (
        list(clip_frames(each, (48, 60), fps=Fraction(24), frames=range(1), fit=fit))
        for each in (clip, probe_clip(tmp_path / "%03d.png"))
    )
    assert (of_clip - of_pictures).abs().mean() < 0.02


def filmed_photo() -> NDArray[np.uint8]:
    return np.ascontiguousarray(skimage.data.coffee()[:300:3, :420:3])


def test_pixels_that_are_not_square_are_scaled_to_squares(tmp_path: Path) -> None:
    clip = probe_clip(write_clip(tmp_path / "c.mp4", levels(2), "-vf", "setsar=4/3", *LOSSLESS))
    assert clip.size == (85, 48)


@pytest.mark.parametrize("name", ["bikes.mp4", "carphone_pristine.mp4", "bigbuckbunny.mp4"])
def test_a_start_in_real_footage_is_the_frame_of_that_index(name: str) -> None:
    clip = probe_clip(footage(name))
    whole = list(clip_frames(clip, (64, 48), fps=clip.fps, frames=range(120)))
    for start in (1, 37, 90, 119):
        (frame,) = clip_frames(clip, (64, 48), fps=clip.fps, frames=range(1), start=start)
        assert torch.equal(frame, whole[start])


def test_real_footage_has_its_size_duration_and_motion() -> None:
    clip = probe_clip(footage("bikes.mp4"))
    assert clip.size == (640, 272)
    assert clip.duration * clip.fps == 250
    small = list(clip_frames(clip, (64, 48), fps=clip.fps, frames=range(5), start=75))
    assert all(0.05 < float(frame.mean()) < 0.95 for frame in small)
    assert (small[0] - small[-1]).abs().mean() > 0.001


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "cannot read the clip"),
        ("text", "is not a clip that can be read"),
        ("empty", "is empty"),
        ("truncated", "is truncated"),
        ("sound", "holds no picture"),
    ],
)
def test_a_file_that_is_not_a_clip_is_an_error_of_one_line(kind: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "c.mp4"
    match kind:
        case "text":
            path.write_text("a text file named .mp4")
        case "empty":
            path.write_bytes(b"")
        case "truncated":
            whole = write_clip(tmp_path / "w.mp4", levels(20), *LOSSLESS).read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
        case "sound":
            ffmpeg.run(*ffmpeg.QUIET, "-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", str(path))
    with pytest.raises(StorageError, match=message) as caught:
        probe_clip(path)
    assert "\n" not in str(caught.value)
    assert "c.mp4" in str(caught.value)


def test_a_path_that_looks_like_an_option_or_a_pattern_is_a_path(tmp_path: Path) -> None:
    plain = write_clip(tmp_path / "c.mp4", levels(3), *LOSSLESS)
    odd = tmp_path / "-i http:%03d 'x'.mp4"
    shutil.copy(plain, odd)
    assert levels_of(probe_clip(odd), 3) == [0, 1, 2]
