"""Following footage: at cuts, behind objects, under a moving camera, resumed at any frame, with every flow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import optical_flow

from render.errors import MissingError, SceneError, StorageError
from render.media import ffmpeg
from render.media.clip import clip_frames
from render.models.network import Network
from render.motion import flow
from render.motion.propagate import FootageInterval, ShotStart
from render.pipeline import inputs, loop
from render.pipeline.inputs import dreamed_frames, propagator
from render.pipeline.loop import Frame
from render.pipeline.plan import plan
from render.pipeline.scene import Scene
from tests.conftest import engine_of, photo_tensor
from tests.footage import STILL, clip_of, panned, pictures_of, scene_of
from tests.media.clips import LOSSLESS, Frames, levels, write_clip


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def frames_of(scene: Scene, network: Network) -> list[Frame]:
    return list(loop.frames(engine_of(scene, network)))


def test_the_dream_after_a_cut_does_not_depend_on_the_shot_before(workspace: Path, network: Network) -> None:
    write_clip(workspace / "c.mp4", np.concatenate([panned("coffee", 8), panned("chelsea", 8)]), *LOSSLESS)
    scene = scene_of(workspace)
    assert plan(scene).shots == {0, 8}
    after = frames_of(scene, network)[8]
    write_clip(workspace / "c.mp4", np.concatenate([panned("rocket", 8), panned("chelsea", 8)]), *LOSSLESS)
    other = frames_of(scene_of(workspace), network)[8]
    assert torch.equal(after.picture, other.picture)


@pytest.mark.parametrize(("cuts", "shots"), [("none", {0}), ("[4, 0.4s]", {0, 4, 10}), ("auto", {0, 8})])
def test_shots_begin_at_detected_or_named_cuts(cuts: str, shots: set[int], workspace: Path, network: Network) -> None:
    write_clip(workspace / "c.mp4", np.concatenate([panned("coffee", 8), panned("chelsea", 8)]), *LOSSLESS)
    scene = scene_of(workspace, ("follow.cuts", cuts))
    assert plan(scene).shots == shots
    steps, counts = [0], []
    for _ in loop.frames(engine_of(scene, network), on_step=lambda *_: steps.append(1)):
        counts.append(sum(steps))
        steps.clear()
    assert {index for index, count in enumerate(counts) if count == 3} == shots


def test_a_cut_after_the_end_is_an_error(workspace: Path) -> None:
    write_clip(workspace / "c.mp4", levels(5), *LOSSLESS)
    with pytest.raises(SceneError, match="a cut at frame 50, after the film's end at 5"):
        scene_of(workspace, ("follow.cuts", "[2, 2s]"))


def test_an_uncovered_area_is_the_source_and_the_object_keeps_its_dream(workspace: Path, network: Network) -> None:
    """A textured square crosses another texture."""
    background, square = 0.2 + 0.5 * photo_tensor("astronaut", 160, 96), photo_tensor("chelsea", 40, 40)

    def crossing(place: int) -> Frames:
        picture = background.clone()
        picture[..., 28:68, place : place + 40] = square
        return clip_of(picture)

    write_clip(workspace / "c.mp4", np.concatenate([crossing(16 + 8 * i) for i in range(10)]), *LOSSLESS)
    scene = scene_of(workspace, ("follow.persistence", "1"), ("dream.steps", "2"), ("dream.step_size", "0.02"))
    source = propagator(plan(scene), network.device)
    frames = frames_of(scene, network)
    intervals = [interval for interval in source.intervals(0) if isinstance(interval, FootageInterval)]
    assert [interval.index for interval in intervals] == list(range(1, 10))
    for interval in intervals:
        canvas = source.propagate(frames[interval.index - 1].state.canvas, interval, persistence=1.0)
        left = 16 + 8 * interval.index
        uncovered = (..., slice(29, 67), slice(left - 8 + 1, left - 1))
        inside = (..., slice(40, 56), slice(left + 12, left + 28))
        change = canvas - interval.clip_frames[-1].picture
        assert change[uncovered].abs().max() < 1e-3
        assert change[inside].abs().mean() > 0.02


def test_without_flow_the_dream_stays_where_it_is(workspace: Path, network: Network) -> None:
    write_clip(workspace / "c.mp4", np.concatenate([clip_of(photo_tensor("coffee", 96, 64))] * 3), *LOSSLESS)
    scene = scene_of(
        workspace, ("follow", "{flow: none, persistence: 1}"), ("dream.first_frame.steps", "2"), ("dream.steps", "0")
    )
    first, *others = pictures_of(scene, network)
    assert all((first - other).abs().max() < 2e-4 for other in others)


@pytest.mark.parametrize(
    "follow", ["{flow: farneback}", "{flow: none}", "{mode: blend}", "{persistence: 0.5}", "{persistence: 0}"]
)
def test_every_setting_of_follow_makes_its_own_film(follow: str, workspace: Path, network: Network) -> None:
    write_clip(workspace / "c.mp4", panned("coffee", 3), *LOSSLESS)
    plain, other = (
        pictures_of(scene_of(workspace), network),
        pictures_of(scene_of(workspace, ("follow", follow)), network),
    )
    assert torch.equal(plain[0], other[0])
    assert not torch.equal(plain[2], other[2])


def test_persistence_is_a_track(workspace: Path, network: Network) -> None:
    write_clip(workspace / "c.mp4", panned("coffee", 4), *LOSSLESS)
    scene = scene_of(workspace, ("follow.persistence", "{0: 1, 3: 0}"))
    assert [scene.params(i).persistence for i in range(4)] == pytest.approx([1, 2 / 3, 1 / 3, 0])
    alone = pictures_of(scene_of(workspace, ("follow.persistence", "0")), network)
    assert torch.equal(pictures_of(scene, network)[3], alone[3])


def test_the_camera_zooms_into_a_playing_clip(workspace: Path, network: Network) -> None:
    """Two zooms of 1.5 resample the clip once, not its zoomed pictures one after the other."""
    write_clip(workspace / "c.mp4", panned("astronaut", 3), *LOSSLESS)
    zoomed = pictures_of(scene_of(workspace, STILL, ("camera.zoom", "1.5")), network)
    plain = pictures_of(scene_of(workspace, STILL), network)
    middle = torch.nn.functional.interpolate(plain[2], scale_factor=2.25, mode="bicubic", align_corners=False)
    top, left = (middle.shape[2] - 64) // 2, (middle.shape[3] - 96) // 2
    assert (zoomed[2] - middle[..., top : top + 64, left : left + 96]).abs().mean() < 0.015
    assert torch.equal(zoomed[0], plain[0])


CAMERA = (("camera.zoom", "1.05"), ("camera.rotate", "2"), ("source.start", "3"))


@pytest.mark.parametrize("sets", [(), CAMERA, (("dream.cadence", "3"),), (("dream.cadence", "4"), *CAMERA)])
def test_a_film_resumes_at_any_frame(sets: tuple[tuple[str, str], ...], workspace: Path, network: Network) -> None:
    write_clip(workspace / "c.mp4", np.concatenate([panned("coffee", 8), panned("chelsea", 5)]), *LOSSLESS)
    scene = scene_of(workspace, *sets)
    whole = frames_of(scene, network)
    for start in (5, 8, 9):
        state = whole[start - 1].state
        resumed = list(loop.frames(engine_of(scene, network), start=start, state=state))
        assert [frame.index for frame in resumed] == list(range(start, len(whole)))
        assert all(torch.equal(a.picture, b.picture) for a, b in zip(whole[start:], resumed, strict=True))


def test_the_first_and_the_last_frame_of_each_shot_are_dreamed(workspace: Path, network: Network) -> None:
    assert dreamed_frames([0, 8], 13, cadence=3) == {0, 3, 6, 7, 8, 11, 12}
    assert dreamed_frames([0], 5, cadence=1) == {0, 1, 2, 3, 4}
    assert dreamed_frames([0, 4], 5, cadence=24) == {0, 3, 4}
    write_clip(workspace / "c.mp4", np.concatenate([panned("coffee", 8), panned("chelsea", 5)]), *LOSSLESS)
    intervals = list(propagator(plan(scene_of(workspace, ("dream.cadence", "3"))), network.device).intervals(0))
    assert [interval.index for interval in intervals] == [0, 3, 6, 7, 8, 11, 12]
    assert [interval.index for interval in intervals if isinstance(interval, ShotStart)] == [0, 8]


def test_intervals_from_any_frame_are_the_last_ones_of_the_film(workspace: Path, network: Network) -> None:
    write_clip(workspace / "c.mp4", np.concatenate([panned("coffee", 8), panned("chelsea", 5)]), *LOSSLESS)
    source = propagator(plan(scene_of(workspace, ("dream.cadence", "3"), ("follow.cuts", "[8]"))), network.device)
    whole = list(source.intervals(0))
    for start in (1, 2, 3, 5, 7, 8, 9, 11, 12):
        expected, intervals = [interval for interval in whole if interval.index >= start], list(source.intervals(start))
        assert [interval.index for interval in intervals] == [interval.index for interval in expected]
        for interval, other in zip(intervals, expected, strict=True):
            assert type(interval) is type(other)
            if isinstance(interval, FootageInterval) and isinstance(other, FootageInterval):
                assert interval.frames == other.frames
                assert torch.equal(interval.source, other.source)


@pytest.mark.parametrize("mode", ["residual", "blend"])
def test_interpolated_frames_follow_the_clip(mode: str, workspace: Path, network: Network) -> None:
    """What the dream added moves with the clip, on the clip's own picture of each frame."""
    write_clip(workspace / "c.mp4", panned("astronaut", 7), *LOSSLESS)
    more = (("dream.first_frame.steps", "12"), ("dream.steps", "0"), ("follow.persistence", "1"), ("follow.mode", mode))
    plain = pictures_of(scene_of(workspace, *more), network)
    between = pictures_of(scene_of(workspace, ("dream.cadence", "3"), *more), network)
    stills = pictures_of(scene_of(workspace, *more[1:], ("dream.first_frame.steps", "0")), network)
    assert torch.equal(plain[0], between[0])
    for still, exact, faded in zip(stills[1:], plain[1:], between[1:], strict=True):
        changed, off = (exact - still)[..., 8:-8, 16:-16], (faded - exact)[..., 8:-8, 16:-16]
        assert off.abs().mean() < 0.15 * changed.abs().mean()


def test_numbered_pictures_are_a_clip(workspace: Path, network: Network) -> None:
    (workspace / "shots").mkdir()
    ffmpeg.run(
        *ffmpeg.QUIET, "-i", str(write_clip(workspace / "c.mp4", panned("coffee", 5), *LOSSLESS)), "shots/%04d.png"
    )
    scene = scene_of(workspace, ("source.video", "shots/%04d.png"), ("fps", "25"))
    assert (scene.length, scene.size) == (5, (96, 64))
    of_clip, of_pictures = pictures_of(scene_of(workspace), network), pictures_of(scene, network)
    assert (of_clip[0] - of_pictures[0]).abs().mean() < 0.01


def test_a_picture_that_cannot_be_read_is_named(workspace: Path, network: Network) -> None:
    (workspace / "shots").mkdir()
    ffmpeg.run(*ffmpeg.QUIET, "-i", str(write_clip(workspace / "c.mp4", levels(5), *LOSSLESS)), "shots/%04d.png")
    (workspace / "shots" / "0003.png").write_bytes(b"no picture")
    scene = scene_of(workspace, ("source.video", "shots/%04d.png"), ("follow.cuts", "none"))
    with pytest.raises(StorageError, match=r"0003\.png is not a picture that can be read"):
        pictures_of(scene, network)
    (workspace / "shots" / "0003.png").unlink()
    with pytest.raises(StorageError, match=r"picture 3 of .*%04d\.png is missing; there are 1 to 5"):
        scene_of(workspace, ("source.video", "shots/%04d.png"))


def test_the_next_frame_is_decoded_while_one_is_dreamed_and_closing_ends_everything(
    workspace: Path, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(workspace / "c.mp4", panned("coffee", 6), *LOSSLESS)
    decoded, threads = [threading.Event() for _ in range(6)], set()
    readers: list[ffmpeg.Reader] = []
    real, init = clip_frames, ffmpeg.Reader.__init__

    def watched(*arguments: Any, **options: Any) -> Iterator[Tensor]:
        for index, frame in enumerate(real(*arguments, **options)):
            threads.add(threading.current_thread())
            decoded[index].set()
            yield frame

    def recorded(self: ffmpeg.Reader, arguments: list[str]) -> None:
        readers.append(self)
        init(self, arguments)

    monkeypatch.setattr(inputs, "clip_frames", watched)
    monkeypatch.setattr(ffmpeg.Reader, "__init__", recorded)
    run = loop.frames(engine_of(scene_of(workspace, ("follow.cuts", "none")), network))
    for index in range(3):
        next(run)
        assert decoded[index + 1].wait(10)
    assert not decoded[5].is_set()
    assert threading.main_thread() not in threads
    run.close()
    assert len(readers) > 0
    assert all(reader._process.poll() is not None for reader in readers)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("name", ["raft_small", "raft_large"])
def test_raft_estimates_flow_or_names_its_missing_weights(
    name: flow.Raft, workspace: Path, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights in torch's download folder; before that none, where nothing can be downloaded."""
    write_clip(workspace / "c.mp4", panned("coffee", 3)[:, :60, :90], *LOSSLESS)
    monkeypatch.setenv("TORCH_HOME", str(workspace / "torch"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(MissingError, match=r"follow\.flow: dis needs no download"):
        pictures_of(scene_of(workspace, ("follow.flow", name)), network)
    torch.manual_seed(0)
    state = {"raft_small": optical_flow.raft_small, "raft_large": optical_flow.raft_large}[name]().state_dict()
    folder = workspace / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / flow.raft_weights(name).url.rsplit("/", 1)[1])
    frames = pictures_of(scene_of(workspace, ("follow.flow", name)), network)
    assert len(frames) == 3
    assert all(torch.isfinite(frame).all() for frame in frames)
