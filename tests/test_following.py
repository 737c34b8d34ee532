"""The dream of footage: at cuts, behind things, under a moving camera, from any frame on, with every flow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import optical_flow

from render import loop, sources
from render.dream.networks import Network
from render.errors import MissingError, SceneError, StorageError
from render.film import clip, ffmpeg
from render.film.clip import Clip
from render.motion import flow
from tests.conftest import photo_tensor
from tests.film.clips import LOSSLESS, Frames, levels, made
from tests.footage import STILL, filmed, panned, scene_of, whole


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
    _, after, _ = next(item for item in loop.frames(scene, network) if item[0] == 8)
    made(here / "c.mp4", np.concatenate([panned("rocket", 8), panned("chelsea", 8)]), *LOSSLESS)
    _, other, _ = next(item for item in loop.frames(scene_of(here), network) if item[0] == 8)
    assert torch.equal(after, other)


@pytest.mark.parametrize(("cuts", "begins"), [("none", {0}), ("[4, 0.4s]", {0, 4, 10}), ("auto", {0, 8})])
def test_cuts_are_found_or_named(cuts: str, begins: set[int], here: Path, network: Network) -> None:
    made(here / "c.mp4", np.concatenate([panned("coffee", 8), panned("chelsea", 8)]), *LOSSLESS)
    scene = scene_of(here, ("follow.cuts", cuts))
    assert sources.shots(scene) == begins
    steps: dict[int, int] = {}
    run = loop.frames(scene, network, on_step=lambda *_: steps.__setitem__(len(done), steps.get(len(done), 0) + 1))
    done: list[int] = []
    for index, _, _ in run:
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
    for new, (index, frame, _) in zip(asked, begun, strict=True):
        assert new.picture is not None
        if canvas is not None:
            canvases.append((loop.born(canvas, [new], scene.at(index), scene), new.picture))
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


CAMERA = (("camera.zoom", "1.05"), ("camera.rotate", "2"), ("source.start", "3"))


@pytest.mark.parametrize("sets", [(), CAMERA, (("dream.every", "3"),), (("dream.every", "4"), *CAMERA)])
def test_a_film_goes_on_from_any_frame(sets: tuple[tuple[str, str], ...], here: Path, network: Network) -> None:
    made(here / "c.mp4", np.concatenate([panned("coffee", 8), panned("chelsea", 8)]), *LOSSLESS)
    scene = scene_of(here, *sets)
    found = list(loop.frames(scene, network))
    for start in (1, 5, 8, 9):
        resumed = [frame for _, frame, _ in loop.frames(scene, network, start, found[start - 1][2].clone())]
        assert all(torch.equal(a, b) for (_, a, _), b in zip(found[start:], resumed, strict=True))


def test_of_each_shot_the_first_and_the_last_frame_are_dreamed(here: Path, network: Network) -> None:
    assert sources.dreamed([0, 8], 13, 3) == {0, 3, 6, 7, 8, 11, 12}
    assert sources.dreamed([0], 5, 1) == {0, 1, 2, 3, 4}
    assert sources.dreamed([0, 4], 5, 24) == {0, 3, 4}
    made(here / "c.mp4", np.concatenate([panned("coffee", 8), panned("chelsea", 5)]), *LOSSLESS)
    asked = list(sources.shown(scene_of(here, ("dream.every", "3")), network.device))
    assert [each.index for each in asked if each.is_dreamed] == [0, 3, 6, 7, 8, 11, 12]
    assert [each.index for each in asked if each.begins] == [0, 8]


@pytest.mark.parametrize("mode", ["residual", "linear"])
def test_frames_between_dreamed_ones_show_the_clip_and_follow_it(mode: str, here: Path, network: Network) -> None:
    """What the dream has added is where the clip's motion takes it, on the clip's own picture of that frame."""
    made(here / "c.mp4", panned("astronaut", 7), *LOSSLESS)
    more = (("dream.first.steps", "12"), ("dream.steps", "0"), ("follow.keep", "1"), ("follow.mode", mode))
    plain = whole(scene_of(here, *more), network)
    between = whole(scene_of(here, ("dream.every", "3"), *more), network)
    clip = whole(scene_of(here, *more[1:], ("dream.first.steps", "0")), network)
    assert torch.equal(plain[0], between[0])
    for still, exact, faded in zip(clip[1:], plain[1:], between[1:], strict=True):
        changed, off = (exact - still)[..., 8:-8, 16:-16], (faded - exact)[..., 8:-8, 16:-16]
        assert off.abs().mean() < 0.15 * changed.abs().mean()


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
        for index, frame in enumerate(real(found, *arguments, **options)):  # type: ignore[arg-type]  # as they come
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
    run.close()
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
