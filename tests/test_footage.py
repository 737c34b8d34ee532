"""Films of footage: the source's time, colour and place, what the dream does at cuts and behind things, read-ahead."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import optical_flow

from render import cli, load, loop, render, sources
from render.dream.networks import Network
from render.errors import MissingError, SceneError, StorageError, UsageError
from render.film import clip, ffmpeg, sound
from render.film.clip import Clip
from render.motion import flow
from render.scene.model import Scene
from tests.conftest import photo_tensor
from tests.film.clips import FLASH, LOSSLESS, RATE, Frames, click, flashing, heard, levels, made

SCENE = """
seed: 3
source: {video: c.mp4}
layers: [{layer: blocks.4}]
dream: {octaves: 1, steps: 1, jitter: 4, first: {steps: 3}}
"""
STILL = ("dream", "{steps: 0}")


def scene_of(folder: Path, *sets: tuple[str, str]) -> Scene:
    (folder / "scene.yaml").write_text(SCENE)
    return load(folder / "scene.yaml", [("--set", key, value) for key, value in sets])


def filmed(photo: Tensor) -> Frames:
    """1xHxWx3 of a 1x3xHxW."""
    picture: Frames = np.rint(255 * photo.permute(0, 2, 3, 1).numpy()).astype(np.uint8)
    return picture


def panned(name: str, count: int) -> Frames:
    """A photo that moves two pixels a frame."""
    photo = photo_tensor(name, 160, 64)
    return np.concatenate([filmed(photo[..., 2 * i : 2 * i + 96]) for i in range(count)])


def whole(scene: Scene, network: Network) -> list[Tensor]:
    return [frame for _, frame in loop.frames(scene, network)]


# Time and colour, through the whole of a render that changes nothing.


@pytest.mark.parametrize("kind", ["25", "30000/1001", "gap"])
def test_a_film_has_the_frames_of_its_clip_at_their_times(kind: str, here: Path) -> None:
    """`levels`, of which 4 stands until frame 15 in the clip with a gap."""
    gap = kind == "gap"
    moved = ("-vf", "setpts='if(lt(N,5),N,N+10)/25/TB'", "-fps_mode", "vfr") if gap else ()
    rate = Fraction(25 if gap else kind)
    made(here / "c.mp4", levels(10), *moved, *LOSSLESS, fps="25" if gap else kind)
    film = render(scene_of(here, STILL, ("output.path", "film.mp4"), ("size", "[64, 48]")))
    count = 20 if gap else 10
    assert (film.frames, film.fps) == (count, rate)
    probed = clip.probe(film.path)
    shown = [round((255 * float(f.mean()) - 20) / 5) for f in clip.frames(probed, (64, 48), probed.fps, film.frames)]
    assert shown == ([0, 1, 2, 3, *[4] * 11, 5, 6, 7, 8, 9] if gap else list(range(10)))
    listed = ffmpeg.run(*ffmpeg.QUIET, "-i", str(film.path), "-c", "copy", "-f", "framecrc", "-").decode().splitlines()
    (tick,) = (Fraction(line.partition(": ")[2]) for line in listed if line.startswith("#tb"))
    times = sorted(int(line.split(",")[2]) * tick for line in listed if not line.startswith("#"))
    assert times == [i / rate for i in range(count)]


def test_grey_ramps_and_primaries_come_out_as_they_were(here: Path) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32] = np.repeat(np.linspace(0, 255, 16).astype(np.uint8), 4)[None, :, None]
    for i, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]):
        picture[32:, 16 * i : 16 * i + 16] = colour
    made(here / "c.mp4", np.stack([picture] * 3), *LOSSLESS)
    render(scene_of(here, STILL, ("output.path", "film/%d.png")))
    for frame in clip.frames(clip.probe(here / "film/%d.png"), (64, 64), Fraction(25), 3):
        assert np.abs(255 * frame[0].permute(1, 2, 0).numpy() - picture).max() <= 2


def test_the_clips_sound_is_in_step_from_any_start(here: Path) -> None:
    flashing(here / "c.mp4")
    for start in (0, 12):
        settings = ("source.start", str(start)), ("fps", "25"), ("output.path", f"{start}.mp4")
        film = render(scene_of(here, STILL, *settings))
        assert film.frames == 60 - start
        frames = clip.frames(clip.probe(film.path), (64, 48), film.fps, film.frames)
        (flash,) = (i for i, frame in enumerate(frames) if float(frame.mean()) > 0.5)
        assert flash == FLASH - start
        assert click(film.path) == pytest.approx(flash / 25, abs=1 / 50)


def test_the_sound_stays_in_step_at_another_rate_and_in_a_piece_of_the_film(here: Path) -> None:
    flashing(here / "c.mp4")
    film = render(scene_of(here, STILL, ("fps", "10"), ("output.path", "slow.mp4")))
    assert film.frames == 24
    assert click(film.path) == pytest.approx(FLASH / 25, abs=1 / 20)
    piece = render(scene_of(here, STILL, ("output.path", "piece.mp4")), span=(20, 45))
    assert click(piece.path) == pytest.approx((FLASH - 20) / 25, abs=1 / 50)


@pytest.mark.parametrize("kind", ["25", "30000/1001", "60", "gap"])
def test_sound_is_within_a_frame_at_the_end(kind: str, here: Path) -> None:
    """A flash and a click in the last second but a few frames of ten, and again behind a gap of three seconds."""
    rate = Fraction(25 if kind == "gap" else kind)
    count, flash = int(10 * rate), int(10 * rate) - 4
    flashing(here / "even.mkv", count=count, fps=str(rate), flash=flash)
    how: tuple[str, ...] = ("-c", "copy")
    if kind == "gap":  # frames 50 to 124 are gone, the times of the others stay
        how = ("-vf", "select='not(between(n,50,124))'", "-fps_mode", "vfr", *LOSSLESS, "-c:a", "copy")
    ffmpeg.run(*ffmpeg.QUIET, "-i", "even.mkv", *how, "c.mp4", folder=here)
    film = render(scene_of(here, STILL, ("output.path", "film.mp4")))
    assert (film.frames, film.fps) == (count, rate)
    frames = clip.frames(clip.probe(film.path), (64, 48), film.fps, film.frames)
    assert [i for i, frame in enumerate(frames) if float(frame.mean()) > 0.5] == [flash]
    assert click(film.path) == pytest.approx(float(flash / rate), abs=float(1 / rate))
    assert len(heard(film.path)) / RATE == pytest.approx(float(count / rate), abs=0.001)


@pytest.mark.parametrize(("audio", "when"), [("none", None), ("song.m4a", 0.4), ("source", FLASH / 25)])
def test_the_sound_is_the_one_that_the_scene_names(audio: str, when: float | None, here: Path) -> None:
    flashing(here / "c.mp4")
    flashing(here / "other.mp4", fps="75")
    ffmpeg.run(*ffmpeg.QUIET, "-i", "other.mp4", "-vn", "-c:a", "aac", "song.m4a", folder=here)
    film = render(scene_of(here, STILL, ("output.audio", audio), ("output.path", "film.mp4")))
    if when is None:
        assert sound.probe(film.path) is None
    else:
        assert click(film.path) == pytest.approx(when, abs=1 / 50)


def test_a_film_without_a_clip_may_have_a_song(here: Path) -> None:
    flashing(here / "c.mp4")
    ffmpeg.run(*ffmpeg.QUIET, "-i", "c.mp4", "-vn", "-c:a", "aac", "song.m4a", folder=here)
    sets = ("source", "{noise: {grain: 8}}"), ("size", "[64, 48]"), ("fps", "25"), ("duration", "3s")
    film = render(scene_of(here, STILL, *sets, ("output.audio", "song.m4a"), ("output.path", "film.mp4")))
    assert film.frames == 75
    assert click(film.path) == pytest.approx(FLASH / 25, abs=1 / 50)
    found = sound.required(film.path)
    assert float(found.end) == pytest.approx(3, abs=0.001)


def test_a_film_never_replaces_what_it_is_made_from(here: Path) -> None:
    before = flashing(here / "c.mp4").read_bytes()
    for overwrite in (False, True):
        with pytest.raises(UsageError, match=r"c\.mp4 is what the film is made from; --output names another path"):
            render(scene_of(here, STILL, ("output.path", "c.mp4")), overwrite=overwrite)
    assert (here / "c.mp4").read_bytes() == before


def test_a_clip_slower_than_a_frame_a_second_is_a_film(here: Path) -> None:
    made(here / "c.mp4", levels(4), *LOSSLESS, fps="1/2")
    film = render(scene_of(here, STILL, ("output.path", "film.mp4")))
    assert (film.frames, film.fps) == (4, Fraction(1, 2))
    assert clip.probe(film.path).duration == 8


# The dream.


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_at_a_cut_the_dream_is_that_of_the_shot_alone(here: Path, network: Network) -> None:
    """No residue: the shot after a cut is dreamed to the same bytes as if the film began there, but for its seed."""
    shots = np.concatenate([panned("coffee", 8), panned("chelsea", 8)])
    made(here / "c.mp4", shots, *LOSSLESS)
    scene = scene_of(here)
    assert sources.shots(scene) == {0, 8}
    _, after = next(item for item in loop.frames(scene, network) if item[0] == 8)
    made(here / "c.mp4", np.concatenate([panned("rocket", 8), panned("chelsea", 8)]), *LOSSLESS)
    _, other = next(item for item in loop.frames(scene_of(here), network) if item[0] == 8)
    assert torch.equal(after, other)


@pytest.mark.parametrize(("cuts", "begins"), [("none", {0}), ("[4, 0.4s]", {0, 4, 10}), ("auto", {0, 8})])
def test_cuts_are_found_or_named(cuts: str, begins: set[int], here: Path, network: Network) -> None:
    made(here / "c.mp4", np.concatenate([panned("coffee", 8), panned("chelsea", 8)]), *LOSSLESS)
    scene = scene_of(here, ("follow.cuts", cuts))
    assert sources.shots(scene) == begins
    steps: dict[int, int] = {}
    run = loop.frames(scene, network, on_step=lambda *_: steps.__setitem__(len(done), steps.get(len(done), 0) + 1))
    done: list[int] = []
    for index, _ in run:
        done.append(index)
    assert {index for index, count in steps.items() if count == 3} == begins


def test_a_cut_after_the_end_is_shown(here: Path) -> None:
    made(here / "c.mp4", levels(5), *LOSSLESS)
    with pytest.raises(SceneError, match="a cut at frame 50, after the film's end at 5"):
        scene_of(here, ("follow.cuts", "[2, 2s]"))


def test_what_an_object_uncovers_is_a_fresh_dream_of_the_source(here: Path, network: Network) -> None:
    """A textured square crosses another texture; where it was, nothing of it is left, and where it is, its dream is."""
    back, square = 0.2 + 0.5 * photo_tensor("astronaut", 160, 96), photo_tensor("chelsea", 40, 40)

    def crossing(place: int) -> Frames:
        scene = back.clone()
        scene[..., 28:68, place : place + 40] = square
        return filmed(scene)

    made(here / "c.mp4", np.concatenate([crossing(16 + 8 * i) for i in range(10)]), *LOSSLESS)
    scene = scene_of(here, ("follow.keep", "1"), ("dream.steps", "2"), ("dream.step_size", "0.02"))
    canvases: list[tuple[Tensor, Tensor]] = []
    canvas = None
    asked, begun = sources.shown(scene, network.device), iter(loop.frames(scene, network))
    for new, (index, frame) in zip(asked, begun, strict=True):
        assert new is not None
        if canvas is not None:
            canvases.append((loop.born(canvas, new, scene.at(index), scene), new.picture))
        canvas = frame
    asked.close()
    for i, (born, picture) in enumerate(canvases, 1):
        trail = (..., slice(29, 67), slice(16 + 8 * (i - 1) + 1, 16 + 8 * i - 1))
        kept = (..., slice(40, 56), slice(16 + 8 * i + 12, 16 + 8 * i + 28))
        assert (born - picture)[trail].abs().max() < 1e-3
        assert (born - picture)[kept].abs().mean() > 0.02


def test_without_flow_the_dream_stays_where_it_is(here: Path, network: Network) -> None:
    made(here / "c.mp4", np.concatenate([filmed(photo_tensor("coffee", 96, 64))] * 3), *LOSSLESS)
    scene = scene_of(here, ("follow", "{flow: none, keep: 1}"), ("dream.first.steps", "2"), ("dream.steps", "0"))
    first, *others = whole(scene, network)
    assert all((first - other).abs().max() < 1e-5 for other in others)


@pytest.mark.parametrize("follow", ["{flow: farneback}", "{flow: none}", "{mode: linear}", "{keep: 0.5}", "{keep: 0}"])
def test_every_way_of_following_makes_its_own_film(follow: str, here: Path, network: Network) -> None:
    made(here / "c.mp4", panned("coffee", 3), *LOSSLESS)
    plain, other = whole(scene_of(here), network), whole(scene_of(here, ("follow", follow)), network)
    assert torch.equal(plain[0], other[0])
    assert not torch.equal(plain[2], other[2])


def test_keep_is_a_track(here: Path, network: Network) -> None:
    made(here / "c.mp4", panned("coffee", 4), *LOSSLESS)
    scene = scene_of(here, ("follow.keep", "{0: 1, 3: 0}"))
    assert [scene.at(i).keep for i in range(4)] == pytest.approx([1, 2 / 3, 1 / 3, 0])
    alone = whole(scene_of(here, ("follow.keep", "0")), network)
    assert torch.equal(whole(scene, network)[3], alone[3])


def test_the_camera_zooms_into_a_playing_clip(here: Path, network: Network) -> None:
    """Two zooms of 1.5 read the clip itself once, not its zoomed pictures one after the other."""
    made(here / "c.mp4", panned("astronaut", 3), *LOSSLESS)
    zoomed = whole(scene_of(here, STILL, ("camera.zoom", "1.5")), network)
    plain = whole(scene_of(here, STILL), network)
    middle = torch.nn.functional.interpolate(plain[2], scale_factor=2.25, mode="bicubic", align_corners=False)
    top, left = (middle.shape[2] - 64) // 2, (middle.shape[3] - 96) // 2
    assert (zoomed[2] - middle[..., top : top + 64, left : left + 96]).abs().mean() < 0.01
    assert torch.equal(zoomed[0], plain[0])


@pytest.mark.parametrize("sets", [(), (("camera.zoom", "1.05"), ("camera.rotate", "2"), ("source.start", "3"))])
def test_a_film_goes_on_from_any_frame(sets: tuple[tuple[str, str], ...], here: Path, network: Network) -> None:
    made(here / "c.mp4", np.concatenate([panned("coffee", 8), panned("chelsea", 8)]), *LOSSLESS)
    scene = scene_of(here, *sets)
    frames = whole(scene, network)
    for start in (1, 5, 8, 9):
        resumed = [frame for _, frame in loop.frames(scene, network, start, frames[start - 1].clone())]
        assert all(torch.equal(a, b) for a, b in zip(frames[start:], resumed, strict=True))


def test_numbered_pictures_are_a_clip(here: Path, network: Network) -> None:
    (here / "shots").mkdir()
    ffmpeg.run(*ffmpeg.QUIET, "-i", str(made(here / "c.mp4", panned("coffee", 5), *LOSSLESS)), "shots/%04d.png")
    scene = scene_of(here, ("source.video", "shots/%04d.png"), ("fps", "25"))
    assert (scene.length, scene.size) == (5, (96, 64))
    of_clip, of_pictures = whole(scene_of(here), network), whole(scene, network)
    assert (of_clip[0] - of_pictures[0]).abs().mean() < 0.01


def test_a_picture_that_cannot_be_read_is_named(here: Path, network: Network) -> None:
    (here / "shots").mkdir()
    ffmpeg.run(*ffmpeg.QUIET, "-i", str(made(here / "c.mp4", levels(5), *LOSSLESS)), "shots/%04d.png")
    (here / "shots" / "0003.png").write_bytes(b"no picture")
    scene = scene_of(here, ("source.video", "shots/%04d.png"), ("follow.cuts", "none"))
    with pytest.raises(StorageError, match=r"0003\.png is not a picture that can be read"):
        whole(scene, network)
    (here / "shots" / "0003.png").unlink()
    with pytest.raises(StorageError, match=r"picture 3 of .*%04d\.png is missing; there are 1 to 5"):
        scene_of(here, ("source.video", "shots/%04d.png"))


def test_the_next_frame_is_read_while_this_one_is_dreamed_and_nothing_is_left_running(
    here: Path, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(here / "c.mp4", panned("coffee", 6), *LOSSLESS)
    asked, threads = [threading.Event() for _ in range(6)], set()
    readers: list[ffmpeg.Reader] = []
    real, init = clip.frames, ffmpeg.Reader.__init__

    def watched(found: Clip, *arguments: object, **options: object) -> Iterator[Tensor]:
        for index, frame in enumerate(real(found, *arguments, **options)):  # type: ignore[arg-type]
            threads.add(threading.current_thread())
            asked[index].set()
            yield frame

    def kept(self: ffmpeg.Reader, arguments: list[str]) -> None:
        readers.append(self)
        init(self, arguments)

    monkeypatch.setattr(clip, "frames", watched)
    monkeypatch.setattr(ffmpeg.Reader, "__init__", kept)
    run = loop.frames(scene_of(here, ("follow.cuts", "none")), network)
    for index in range(3):
        next(run)
        assert asked[index + 1].wait(10)
    assert not asked[5].is_set()
    assert threading.main_thread() not in threads
    run.close()  # type: ignore[attr-defined]
    assert len(readers) > 1
    assert all(reader._process.poll() is not None for reader in readers)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("name", ["raft_small", "raft_large"])
def test_raft_finds_the_flow_of_a_scene_or_says_what_is_missing(
    name: flow.Raft, here: Path, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights, where torch keeps what it downloads; and none, where nothing can be fetched."""
    made(here / "c.mp4", panned("coffee", 3)[:, :60, :90], *LOSSLESS)
    monkeypatch.setenv("TORCH_HOME", str(here / "torch"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(MissingError, match=r"follow\.flow: dis needs no download"):
        whole(scene_of(here, ("follow.flow", name)), network)
    torch.manual_seed(0)
    state = {"raft_small": optical_flow.raft_small, "raft_large": optical_flow.raft_large}[name]().state_dict()
    folder = here / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / flow.trained(name).url.rsplit("/", 1)[1])
    frames = whole(scene_of(here, ("follow.flow", name)), network)
    assert len(frames) == 3
    assert all(torch.isfinite(frame).all() for frame in frames)


# What is no clip.

BAD = {
    "missing": "cannot read the clip .*c.mp4: No such file or directory",
    "folder": "c.mp4 is a folder, not a clip",
    "text": "c.mp4 is not a clip that can be read",
    "empty": "c.mp4 is empty",
    "cut off": "c.mp4 is cut off, its end is missing; copy it again",
    "cut off after its index": "c.mp4 is cut off, its end is missing; copy it again",
    "no picture": "c.mp4 holds no picture that can be read",
    "no frame": "c.mp4 (holds no picture|is not a clip) that can be read",
    "start at the end": "c.mp4 ends at 0.4 s, the film cannot start at 0.4 s",
    "start after the end": "c.mp4 ends at 0.4 s, the film cannot start at 9 s",
}


def spoil(kind: str, path: Path) -> list[str]:
    """Makes a bad clip of a good one; the command's further arguments."""
    whole = path.read_bytes()
    match kind:
        case "missing" | "folder":
            path.unlink()
            if kind == "folder":
                path.mkdir()
        case "text":
            path.write_text("a text file named .mp4")
        case "empty":
            path.write_bytes(b"")
        case "cut off":
            path.write_bytes(whole[: len(whole) // 2])
        case "cut off after its index":
            ffmpeg.run(*ffmpeg.QUIET, "-i", str(path), "-c", "copy", "-movflags", "+faststart", "fast.mp4")
            Path("fast.mp4").rename(path)
            path.write_bytes(path.read_bytes()[:-200])
        case "no picture":
            ffmpeg.run(*ffmpeg.QUIET, "-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", str(path))
        case "no frame":
            ffmpeg.run(*ffmpeg.QUIET, "-f", "lavfi", "-i", "color=s=64x48", "-frames:v", "0", str(path))
        case "start at the end":
            return ["--set", "source.start=10"]
        case "start after the end":
            return ["--set", "source.start=9s"]
    return []


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_clip_is_told_in_a_sentence_and_leaves_nothing_behind(
    kind: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["render", "scene.yaml", "--set", "dream.steps=0", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        return ended.value.code

    (here / "scene.yaml").write_text(SCENE)
    good = made(here / "c.mp4", levels(10), *LOSSLESS).read_bytes()
    before = {"c.mp4", "scene.yaml"}
    assert run(*spoil(kind, here / "c.mp4")) == StorageError.status == 4
    errors = capsys.readouterr().err
    message = errors.partition("\n")[0]
    assert re.search(BAD[kind], message)
    assert message.startswith("render: scene.yaml:3:17: ") or "--set" in message
    assert errors.count("\n") == 3
    assert {path.name for path in here.iterdir()} <= before
    if kind == "folder":
        (here / "c.mp4").rmdir()
    (here / "c.mp4").write_bytes(good)
    assert run() == 0
    assert "scene.mp4: 10 frames of 64x48 at 25 a second" in capsys.readouterr().out
