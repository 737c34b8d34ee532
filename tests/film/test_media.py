"""What a file holds, whatever its container: rate, length, when each stream begins, and whether it is whole."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from render.errors import StorageError
from render.film import ffmpeg, media
from tests.film.clips import LOSSLESS, footage, levels, made

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
"""Containers that do not say how long they are: a shorter file is a shorter clip."""


def contained(folder: Path, name: str) -> Path:
    """Two seconds of 50 frames, with sound."""
    pictures, sound, *more = CONTAINERS[name]
    inputs = ["-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=2", "-f", "lavfi", "-i", "sine=d=2"]
    ffmpeg.run(*ffmpeg.QUIET, *inputs, "-c:v", pictures, "-c:a", sound, *more, str(folder / name))
    return folder / name


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_tells_its_rate_its_length_and_its_sound(name: str, tmp_path: Path) -> None:
    found = media.probe(contained(tmp_path, name), "clip")
    assert found.pictures is not None
    assert found.sound is not None
    assert found.pictures.rate == 25
    assert found.pictures.end - found.pictures.begin == 2
    assert found.pictures.size == (96, 64)
    assert float(found.sound.end - found.sound.begin) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("name", CONTAINERS)
def test_half_a_file_is_said_to_be_cut_off(name: str, tmp_path: Path) -> None:
    path = contained(tmp_path, name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if name in ENDLESS:
        found = media.probe(path, "clip").pictures
        assert found is not None
        assert 0 < found.end - found.begin < 2
        return
    with pytest.raises(StorageError, match=f"{name} is cut off, its end is missing; copy it again"):
        media.probe(path, "clip")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
@pytest.mark.parametrize("name", ["c.mov", "c.avi", "fragments.mp4"])
def test_a_file_that_lacks_its_end_is_cut_off_wherever_that_is(name: str, share: float, tmp_path: Path) -> None:
    """Also between two packets, where decoders see nothing wrong; sound of silence has packets of four bytes."""
    pictures, sound, *more = CONTAINERS[name]
    inputs = ["-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=2", "-f", "lavfi", "-i", "anullsrc=d=2"]
    path = tmp_path / name
    ffmpeg.run(*ffmpeg.QUIET, *inputs, "-c:v", pictures, "-c:a", sound, *more, str(path))
    whole = path.read_bytes()
    for cut in range(8):
        path.write_bytes(whole[: int(len(whole) * share) - cut])
        with pytest.raises(StorageError, match="is cut off, its end is missing"):
            media.probe(path, "clip")


@pytest.mark.parametrize("length", ["00000001 66726565 ffffffffffffffff", "7fffffff 66726565", "ffffffff 66726565"])
def test_a_box_longer_than_any_file_is_one_that_is_cut_off(length: str, tmp_path: Path) -> None:
    (tmp_path / "odd.mp4").write_bytes(contained(tmp_path, "c.mp4").read_bytes() + bytes.fromhex(length))
    with pytest.raises(StorageError, match=r"odd\.mp4 is cut off"):
        media.probe(tmp_path / "odd.mp4", "clip")


@pytest.mark.parametrize("length", ["00000000 66726565", "00000001 66726565", "00000007 66726565", "ff"])
def test_what_stands_after_the_last_box_is_no_obstacle(length: str, tmp_path: Path) -> None:
    (tmp_path / "odd.mp4").write_bytes(contained(tmp_path, "c.mp4").read_bytes() + bytes.fromhex(length))
    assert media.probe(tmp_path / "odd.mp4", "clip").pictures is not None


def test_a_clock_that_jumps_back_is_told(tmp_path: Path) -> None:
    one = contained(tmp_path, "c.ts").read_bytes()
    (tmp_path / "three.ts").write_bytes(3 * one)
    with pytest.raises(StorageError, match=r"the clock of .*three\.ts jumps back, as of clips put together"):
        media.probe(tmp_path / "three.ts", "clip")


def test_colours_that_are_not_read_are_named(tmp_path: Path) -> None:
    tagged = ("-vf", "format=yuv444p,setparams=colorspace=ycgco", "-c:v", "libx264")
    with pytest.raises(StorageError, match=r"c\.mp4 stores its colours as ycgco, which is not read"):
        media.probe(made(tmp_path / "c.mp4", levels(3), *tagged), "clip")


@pytest.mark.parametrize("rate", ["1/3", "2/3", "1/15", "25/3", "1/2", "1000", "24000/1001", "60000/1001"])
def test_every_rate_is_exact(rate: str, tmp_path: Path) -> None:
    found = media.probe(made(tmp_path / "c.mp4", levels(9), *LOSSLESS, fps=rate), "clip").pictures
    assert found is not None
    assert found.rate == Fraction(rate)
    assert found.end - found.begin == 9 / Fraction(rate)


def test_frames_that_are_decoded_in_another_order_all_count() -> None:
    for name, count in (("bikes.mp4", 250), ("carphone_pristine.mp4", 120)):
        found = media.probe(footage(name), "clip").pictures
        assert found is not None
        assert round((found.end - found.begin) * found.rate) == count


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        (("-vf", "settb=1/1000,setpts=N*40", "-enc_time_base", "1/1000", "-fps_mode", "vfr"), 25),  # counts in ms
        (("-vf", "setpts='if(lt(N,5),N,N+10)/25/TB'", "-fps_mode", "vfr"), 25),  # a gap
        (
            ("-vf", "settb=1/1000,setpts='(N+0.2*mod(N,2))/30/TB'", "-enc_time_base", "1/1000", "-fps_mode", "vfr"),
            30,
        ),  # uneven, as telephones record
    ],
)
def test_the_rate_is_that_of_the_frames_where_none_is_missing(
    options: tuple[str, ...], rate: int, tmp_path: Path
) -> None:
    found = media.probe(made(tmp_path / "c.mkv", levels(20), *options, *LOSSLESS), "clip").pictures
    assert found is not None
    assert found.rate == pytest.approx(rate, rel=0.02)


def test_one_frame_is_a_clip(tmp_path: Path) -> None:
    found = media.probe(made(tmp_path / "c.mp4", levels(1), *LOSSLESS), "clip").pictures
    assert found is not None
    assert found.end - found.begin == Fraction(1, 25)
    assert found.rate == 25


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile c.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nc.ts\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    ],
)
def test_a_list_of_other_files_is_no_clip(text: str, tmp_path: Path) -> None:
    contained(tmp_path, "c.mp4")
    contained(tmp_path, "c.ts")
    for suffix in ("mp4", "m3u8", "sdp", "ffconcat"):
        (tmp_path / f"list.{suffix}").write_text(text)
        with pytest.raises(StorageError, match=rf"list\.{suffix} is not a clip that can be read"):
            media.probe(tmp_path / f"list.{suffix}", "clip")


def test_what_is_no_file_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    with pytest.raises(StorageError, match=r"shots is a folder, not a clip; shots/%04d\.png names pictures in it"):
        media.probe(tmp_path / "shots", "clip")
    with pytest.raises(StorageError, match=r"cannot read the sound .*song\.mp3: No such file"):
        media.probe(tmp_path / "song.mp3", "sound")


def test_a_file_that_changes_is_looked_at_again(tmp_path: Path) -> None:
    before = media.probe(made(tmp_path / "c.mp4", levels(5), *LOSSLESS), "clip").pictures
    after = media.probe(made(tmp_path / "c.mp4", levels(9), *LOSSLESS), "clip").pictures
    assert before is not None
    assert after is not None
    assert (before.end, after.end) == (Fraction(5, 25), Fraction(9, 25))
