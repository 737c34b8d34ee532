"""Media probing in every container: frame rate, duration, start of each stream, truncated files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from render.errors import StorageError
from render.media import ffmpeg
from render.media.probe import probe_media
from tests.media.clips import LOSSLESS, footage, levels, write_clip

CONTAINERS = {
    "c.mp4": ("libx264", "aac"),
    "c.mov": ("libx264", "aac", "-movflags", "+faststart"),
    "c.mkv": ("libx264", "libvorbis"),
    "c.webm": ("libvpx", "libopus"),
    "c.avi": ("mpeg4", "libmp3lame", "-bf", "2"),
    "c.flv": ("flv", "libmp3lame", "-ar", "44100"),
    "c.ts": ("libx264", "aac"),
    "c.wmv": ("wmv2", "wmav2"),
    "c.ogv": ("libtheora", "libvorbis"),
    "fragments.mp4": ("libx264", "aac", "-movflags", "+frag_keyframe+empty_moov"),
}
ENDLESS = ("c.ts", "c.wmv", "c.ogv", "c.flv")
"""Containers that do not store their length: a truncated file is a shorter clip."""


def contained(folder: Path, name: str) -> Path:
    """Encodes two seconds of 50 frames, with audio; returns the path."""
    video, audio, *options = CONTAINERS[name]
    inputs = ["-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=2", "-f", "lavfi", "-i", "sine=d=2"]
    ffmpeg.run(*ffmpeg.QUIET, *inputs, "-c:v", video, "-c:a", audio, *options, str(folder / name))
    return folder / name


@pytest.mark.parametrize("name", CONTAINERS)
def test_rate_duration_and_audio_are_probed_in_every_container(name: str, tmp_path: Path) -> None:
    media = probe_media(contained(tmp_path, name), "clip")
    assert media.video is not None
    assert media.audio is not None
    assert media.video.rate == 25
    assert media.video.end - media.video.start == 2
    assert media.video.size == (96, 64)
    assert float(media.audio.end - media.audio.start) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("name", CONTAINERS)
def test_half_a_file_is_truncated(name: str, tmp_path: Path) -> None:
    path = contained(tmp_path, name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if name in ENDLESS:
        video = probe_media(path, "clip").video
        assert video is not None
        assert 0 < video.end - video.start < 2
        return
    with pytest.raises(StorageError, match=f"{name} is truncated; copy it again"):
        probe_media(path, "clip")


@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.99])
@pytest.mark.parametrize("name", ["c.mov", "c.avi", "fragments.mp4"])
def test_a_file_without_its_end_is_truncated_wherever_it_ends(name: str, fraction: float, tmp_path: Path) -> None:
    """Also between two packets, where decoders find no error; packets of silence have four bytes."""
    video, audio, *options = CONTAINERS[name]
    inputs = ["-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=2", "-f", "lavfi", "-i", "anullsrc=d=2"]
    path = tmp_path / name
    ffmpeg.run(*ffmpeg.QUIET, *inputs, "-c:v", video, "-c:a", audio, *options, str(path))
    whole = path.read_bytes()
    for cut in range(8):
        path.write_bytes(whole[: int(len(whole) * fraction) - cut])
        with pytest.raises(StorageError, match="is truncated"):
            probe_media(path, "clip")


@pytest.mark.parametrize("length", ["00000001 66726565 ffffffffffffffff", "7fffffff 66726565", "ffffffff 66726565"])
def test_a_box_longer_than_any_file_is_truncated(length: str, tmp_path: Path) -> None:
    (tmp_path / "odd.mp4").write_bytes(contained(tmp_path, "c.mp4").read_bytes() + bytes.fromhex(length))
    with pytest.raises(StorageError, match=r"odd\.mp4 is truncated"):
        probe_media(tmp_path / "odd.mp4", "clip")


@pytest.mark.parametrize("length", ["00000000 66726565", "00000001 66726565", "00000007 66726565", "ff"])
def test_bytes_after_the_last_box_are_ignored(length: str, tmp_path: Path) -> None:
    (tmp_path / "odd.mp4").write_bytes(contained(tmp_path, "c.mp4").read_bytes() + bytes.fromhex(length))
    assert probe_media(tmp_path / "odd.mp4", "clip").video is not None


def test_a_clock_that_jumps_back_is_an_error(tmp_path: Path) -> None:
    one = contained(tmp_path, "c.ts").read_bytes()
    (tmp_path / "three.ts").write_bytes(3 * one)
    with pytest.raises(StorageError, match=r"the clock of .*three\.ts jumps back, as of clips put together"):
        probe_media(tmp_path / "three.ts", "clip")


def test_an_unsupported_colour_matrix_is_an_error_that_names_it(tmp_path: Path) -> None:
    tagged = ("-vf", "format=yuv444p,setparams=colorspace=ycgco", "-c:v", "libx264")
    with pytest.raises(StorageError, match=r"c\.mp4 stores its colours as ycgco, which is not read"):
        probe_media(write_clip(tmp_path / "c.mp4", levels(3), *tagged), "clip")


@pytest.mark.parametrize("rate", ["1/3", "2/3", "1/15", "25/3", "1/2", "1000", "24000/1001", "60000/1001"])
def test_frame_rates_are_exact(rate: str, tmp_path: Path) -> None:
    video = probe_media(write_clip(tmp_path / "c.mp4", levels(9), *LOSSLESS, fps=rate), "clip").video
    assert video is not None
    assert video.rate == Fraction(rate)
    assert video.end - video.start == 9 / Fraction(rate)


def test_frames_that_are_decoded_in_another_order_are_all_counted() -> None:
    for name, count in (("bikes.mp4", 250), ("carphone_pristine.mp4", 120)):
        video = probe_media(footage(name), "clip").video
        assert video is not None
        assert round((video.end - video.start) * video.rate) == count


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        (
            ("-vf", "settb=1/1000,setpts=N*40", "-enc_time_base", "1/1000", "-fps_mode", "vfr"),
            25,
        ),  # ticks of a millisecond
        (("-vf", "setpts='if(lt(N,5),N,N+10)/25/TB'", "-fps_mode", "vfr"), 25),  # a gap
        (
            ("-vf", "settb=1/1000,setpts='(N+0.2*mod(N,2))/30/TB'", "-enc_time_base", "1/1000", "-fps_mode", "vfr"),
            30,
        ),  # uneven, as of telephones
    ],
)
def test_the_rate_is_that_of_the_frames_outside_gaps(options: tuple[str, ...], rate: int, tmp_path: Path) -> None:
    video = probe_media(write_clip(tmp_path / "c.mkv", levels(20), *options, *LOSSLESS), "clip").video
    assert video is not None
    assert video.rate == pytest.approx(rate, rel=0.02)


@pytest.mark.parametrize("order", ["0", "2"])
@pytest.mark.parametrize("codec", ["mpeg2video", "mpeg1video"])
@pytest.mark.parametrize("container", ["mpeg", "vob", "dvd", "svcd"])
def test_a_program_stream_keeps_its_last_frame(container: str, codec: str, order: str, tmp_path: Path) -> None:
    """Its packets of a few bytes have no times of their own. The frame lasts from its time as decoded on."""
    path = write_clip(tmp_path / "c.mpg", levels(25), "-c:v", codec, "-bf", order, "-f", container)
    timing = ("-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "framecrc", "-")
    decoded = ffmpeg.run(*ffmpeg.QUIET, "-copyts", "-i", str(path), *timing).decode().splitlines()
    times = [int(line.split(",")[2]) for line in decoded if not line.startswith("#")]
    video = probe_media(path, "clip").video
    assert video is not None
    assert len(times) == 25
    assert video.rate == 25
    assert video.end == Fraction(max(times), 90000) + Fraction(1, 25)


def test_one_frame_is_a_clip(tmp_path: Path) -> None:
    video = probe_media(write_clip(tmp_path / "c.mp4", levels(1), *LOSSLESS), "clip").video
    assert video is not None
    assert video.end - video.start == Fraction(1, 25)
    assert video.rate == 25


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile c.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nc.ts\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    ],
)
def test_a_list_of_other_files_is_not_a_clip(text: str, tmp_path: Path) -> None:
    contained(tmp_path, "c.mp4")
    contained(tmp_path, "c.ts")
    for suffix in ("mp4", "m3u8", "sdp", "ffconcat"):
        (tmp_path / f"list.{suffix}").write_text(text)
        with pytest.raises(StorageError, match=rf"list\.{suffix} is not a clip that can be read"):
            probe_media(tmp_path / f"list.{suffix}", "clip")


def test_a_folder_and_a_missing_file_are_errors_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    with pytest.raises(StorageError, match=r"shots is a folder, not a clip; shots/%04d\.png names pictures in it"):
        probe_media(tmp_path / "shots", "clip")
    with pytest.raises(StorageError, match=r"cannot read the sound .*song\.mp3: No such file"):
        probe_media(tmp_path / "song.mp3", "sound")


def test_a_changed_file_is_probed_again(tmp_path: Path) -> None:
    before = probe_media(write_clip(tmp_path / "c.mp4", levels(5), *LOSSLESS), "clip").video
    after = probe_media(write_clip(tmp_path / "c.mp4", levels(9), *LOSSLESS), "clip").video
    assert before is not None
    assert after is not None
    assert (before.end, after.end) == (Fraction(5, 25), Fraction(9, 25))
