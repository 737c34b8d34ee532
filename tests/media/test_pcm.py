"""Decoded samples: the same in one filter graph as in ffmpeg's usual way, which also decodes what is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from render.media import ffmpeg, pcm
from render.media.audio import AudioTrack, require_audio
from tests.sound import made

RATE = 32000
ENCODINGS = {
    "s.wav": (), "s.flac": (), "s.mp3": (), "s.m4a": (), "s.opus": (), "s.ogg": ("-c:a", "libvorbis"), "s.aac": (),
    "s.mkv": ("-c:a", "aac"), "s.ts": ("-c:a", "aac"), "we'ird [x];,:=\\ %n.wav": (),
    "5.1.m4a": ("-af", "pan=5.1|c0=c0|c1=c0|c4=c0"), "nine.wav": ("-af", "pan=9C|c0=c0|c8=c0"),
}  # fmt: skip


def samples(track: AudioTrack, chunk: int = pcm.CHUNK) -> np.ndarray:
    return np.concatenate(list(pcm.read_mono(track, rate=RATE, chunk=chunk)))


def usual(track: AudioTrack) -> np.ndarray:
    """The samples that ffmpeg decodes in its usual way."""
    return np.frombuffer(ffmpeg.run(*pcm._tolerant(track, RATE)), "<f4")


def song(length: float) -> np.ndarray:
    return made.made_music(110, length) + 0.003 * np.random.default_rng(0).standard_normal(round(length * made.RATE))


@pytest.mark.parametrize("name", ENCODINGS)
def test_one_graph_decodes_the_usual_samples(name: str, tmp_path: Path) -> None:
    track = require_audio(made.write_sound(tmp_path / name, song(5), *ENCODINGS[name]))
    found = np.frombuffer(ffmpeg.run(*pcm._in_one_graph(track, RATE, pcm.CHUNK)), "<f4")
    assert len(found) > 4.9 * RATE
    assert np.array_equal(found, usual(track))
    assert np.array_equal(samples(track), found)


@pytest.mark.parametrize("name", ["s.mp3", "s.flac", "s.m4a", "s.aac"])
def test_damage_is_decoded_as_usual(name: str, tmp_path: Path) -> None:
    track = require_audio(made.write_sound(tmp_path / name, song(12)))
    data, random = bytearray(track.path.read_bytes()), np.random.default_rng(2)
    for place in (0.5, 0.6, 0.7, 0.8):
        start = int(place * len(data))
        data[start : start + 60] = random.bytes(60)
    track.path.write_bytes(data)
    for chunk in (pcm.CHUNK, 3001):
        assert np.array_equal(samples(track, chunk), usual(track))


def test_channels_that_change_are_decoded_as_usual(tmp_path: Path) -> None:
    one, two = (made.write_sound(tmp_path / f"{n}.aac", song(6), "-ac", str(n)) for n in (1, 2))
    (tmp_path / "both.aac").write_bytes(one.read_bytes() + two.read_bytes())
    track = require_audio(tmp_path / "both.aac")
    found = samples(track)
    assert len(found) > 11.9 * RATE
    assert np.array_equal(found, usual(track))
