"""Films in the formats in which loops are posted, and repeated ones: stopped, resumed, made again, replaced, joined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from render import Options, load, render
from render.analysis.join import join
from render.errors import Interrupted, SceneError, StorageError, UsageError
from render.film.assembly import is_intact
from render.media import ffmpeg
from render.pipeline.plan import plan
from render.pipeline.preflight import requirements
from render.system.checksum import sha256
from tests.production.films import FRAMES, append_index, interrupt_at, make, must_not_dream
from tests.sound.made import clicks, made_music, write_sound

FORMATS = ("film.webm", "film.mkv", "film.gif", "film.webp")
RATE = {".mp4": 44100, ".mov": 44100, ".mkv": 44100, ".webm": 48000}


def again(film: Path, output: str, *, repeat: int | None = None, overwrite: bool = False) -> Path:
    """Renders a film again from itself."""
    scene = load(film, [("--output", "output.path", output)])
    return render(scene, Options(repeat=repeat, overwrite=overwrite)).path


def samples(film: Path) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """The first channel of a film's sound, as ffmpeg decodes it."""
    return np.frombuffer(ffmpeg.run(*ffmpeg.QUIET, "-i", str(film), "-f", "f32le", "-ac", "1", "-"), np.float32)


@pytest.fixture
def song(workspace: Path) -> str:
    """The setting for a sound that is longer than the film, whose pitch rises."""
    sweep = ("-f", "lavfi", "-i", "aevalsrc='0.5*sin(1500*t*(1+t))':s=44100:d=3")
    ffmpeg.run(*ffmpeg.QUIET, *sweep, str(workspace / "song.wav"))
    return "output.audio=song.wav"


@pytest.mark.parametrize("name", FORMATS)
def test_a_stopped_film_resumes_and_is_made_again_from_itself(workspace: Path, name: str) -> None:
    settings = (f"output.path={name}", "duration=12")
    with pytest.raises(Interrupted):
        make(*settings, on_frame=interrupt_at(9))
    indices: list[int] = []
    film = make(*settings, on_frame=append_index(indices)).path
    assert indices[0] >= 8
    assert is_intact(film)
    assert not make(*settings, on_frame=must_not_dream).made
    assert sha256(again(film, f"again{film.suffix}")) == sha256(film)  # in one run
    with pytest.raises(StorageError, match="is another film; --overwrite replaces it"):
        make(*settings, "seed=4")
    assert sorted(path.suffix for path in workspace.glob("*.parts")) == []


@pytest.mark.parametrize("follower", [("signals.bass.audio=output", "exposure=2*bass"), ("bpm=auto", "duration=4b")])
@pytest.mark.parametrize("name", ["film.gif", "film.webp", "frames/%03d.png"])
def test_a_film_without_sound_follows_a_song(workspace: Path, name: str, follower: tuple[str, ...]) -> None:
    write_sound(workspace / "song.wav", made_music(120, 8))
    settings = [setting.partition("=") for setting in (*follower, "output.audio=song.wav")]
    overrides = [("--set", key, value) for key, _, value in settings]
    scenes = [load("film.yaml", [*overrides, ("--output", "output.path", path)]) for path in (name, "film.mp4")]
    silent, audible = (plan(scene) for scene in scenes)
    assert silent.audio is None
    assert audible.audio is not None
    assert silent.scene.length == audible.scene.length
    values = [scene.spec.timeline["exposure",] for scene in scenes]
    assert values[0].tolist() == values[1].tolist()


def test_a_gif_that_follows_a_song_is_made_again_from_itself(workspace: Path) -> None:
    write_sound(workspace / "song.wav", clicks([0.2, 0.5], 2))
    song = ("output.audio=song.wav", "signals.hit.audio=output", "signals.hit.onsets=true", "exposure=2*hit")
    film = make("output.path=film.gif", *song).path
    assert sha256(again(film, "again.gif")) == sha256(film)
    write_sound(workspace / "song.wav", clicks([0.3], 2))
    with pytest.raises(StorageError, match="is another film; --overwrite replaces it"):
        make("output.path=film.gif", *song)


@pytest.mark.parametrize("name", ["film.webm", "film.mkv", "film.webp"])
def test_parts_are_joined_to_the_film_of_one_run(workspace: Path, name: str) -> None:
    expected = sha256(make(f"output.path={name}", "duration=12").path)
    suffix = Path(name).suffix
    cuts = ((0, 4), (4, 8), (8, 12))
    parts = [make(f"output.path={a}{suffix}", "duration=12", frames=(a, b)).path for a, b in cuts]
    assert sha256(join(parts, workspace / f"joined{suffix}").path) == expected


def test_parts_of_a_gif_are_not_joined(workspace: Path) -> None:
    parts = [make(f"output.path={a}.gif", frames=(a, b)).path for a, b in ((0, 2), (2, 4))]
    with pytest.raises(UsageError, match=r"each \.gif has a palette of its own"):
        join(parts, workspace / "joined.gif")


@pytest.mark.parametrize("suffix", RATE)
def test_a_repeated_film_has_its_sound_without_a_join(workspace: Path, song: str, suffix: str) -> None:
    once = make(f"output.path=film{suffix}", song).path
    thrice = again(once, f"film.repeat3{suffix}", repeat=3)
    assert (
        ffmpeg.run(*ffmpeg.QUIET, "-i", str(thrice), "-map", "0:v", "-c", "copy", "-f", "framecrc", "-").count(b"\n0,")
        == 3 * FRAMES
    )
    length = RATE[suffix] * FRAMES // 24
    sound, repeated = samples(once), samples(thrice)
    assert abs(len(sound) - length) <= (1024 if suffix == ".mp4" else 1)
    assert abs(len(repeated) - 3 * length) <= (1024 if suffix == ".mp4" else 1)
    tolerance = 1e-6 if suffix in (".mov", ".mkv") else 0.005  # a sample too early or late is 0.03
    first, middle, last = repeated[:length], repeated[length : 2 * length], repeated[2 * length :][:length]
    for other in (first, last, sound[:length]):
        assert np.sqrt(np.mean((middle[: len(other)] - other)[200:-200] ** 2)) < tolerance


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_film_is_repeated_without_dreaming(workspace: Path, song: str, suffix: str) -> None:
    settings = (f"output.path=film{suffix}", "duration=5", song)
    once = sha256(make(*settings).path)
    scene = load("film.yaml", [("--set", key, value) for key, _, value in (each.partition("=") for each in settings)])
    repeated = render(scene.titled_by(repeat=3), Options(repeat=3)).path
    assert repeated.name == f"film.repeat3{suffix}"
    assert sha256(workspace / f"film{suffix}") == once
    assert sha256(again(repeated, f"again{suffix}")) == sha256(repeated)
    with pytest.raises(StorageError, match="is this film repeated another number of times"):
        render(scene, Options(repeat=2))
    render(scene, Options(repeat=3, overwrite=True))
    assert sha256(workspace / f"film{suffix}") == sha256(repeated)
    make(*settings, overwrite=True, on_frame=must_not_dream)
    assert sha256(workspace / f"film{suffix}") == once


@pytest.mark.parametrize("name", ["film.gif", "film.webp", "frames/%d.png"])
def test_what_cannot_be_repeated_is_refused(workspace: Path, name: str) -> None:
    with pytest.raises(UsageError, match="remove --repeat"):
        plan(load("film.yaml", [("--output", "output.path", name)]), Options(repeat=2))
    with pytest.raises(UsageError, match="from 1 to"):
        Options(repeat=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("output.path=film.gif", "output.crf=20"), "gif has no crf; remove it"),
        (("output.path=film.webp", "output.crf=20"), "webp has no crf; remove it; quality is its setting"),
        (("output.path=film.webm", "output.quality=20"), "vp9 has no quality; remove it; crf is its setting"),
        (("output.path=film.mp4", "output.crf=52"), "the crf of h264 is at most 51, not 52"),
        (("output.path=film.gif", "output.audio=song.wav"), "a .gif has no sound, and nothing in the scene follows"),
        (("output.path=film.webp", "output.audio=song.wav"), "a .webp has no sound, and nothing in the scene follows"),
        (
            ("output.path=frame.png", "duration=1", "output.audio=song.wav"),
            "pictures have no sound, and nothing in the scene follows",
        ),
        (("output.path=film.webm", "output.codec=h264"), "h264 needs a path that ends in .mp4 or .mov or .mkv"),
        (("output.path=film.gif", "fps=60"), "a .gif has at most 50 frames a second"),
    ],
)
def test_settings_that_do_not_fit_a_format_are_errors(workspace: Path, settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(SceneError, match=message):
        make(*settings)


def test_the_rate_of_a_gif_that_is_not_even_is_a_warning(workspace: Path) -> None:
    for fps, is_even in (("24", False), ("25", True), ("50", True), ("100/3", True)):
        scene = load("film.yaml", [("--set", "output.path", "film.gif"), ("--set", "fps", fps)])
        assert any("hundredths of a second" in str(problem) for problem in scene.warnings) is not is_even
        assert requirements(plan(scene)).film_bytes > 0
