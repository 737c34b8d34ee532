"""The score of a film, against films whose figures are known."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from render import cli, load, render
from render.errors import StorageError, UsageError
from render.film import ffmpeg
from render.motion.flow import Motion
from render.motion.warp import grid
from render.score import Moves, Score, difference, score, sharpness
from tests.conftest import photo_tensor
from tests.film.clips import LOSSLESS, footage, made
from tests.footage import panned

ZOOM = """
size: [96, 64]
duration: 6
source: {noise: {grain: 8}}
camera: {zoom: 1.05, rotate: 2}
layers: [{layer: blocks.4}]
dream: {octaves: 1, steps: 1, jitter: 4}
grade: {strength: 0}
output: {crf: 8}
"""
CLIP = """
source: {video: c.mp4}
layers: [{layer: blocks.4}]
dream: {octaves: 1, steps: 2, jitter: 4}
output: {crf: 8}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a clip of two shots in it."""
    monkeypatch.chdir(tmp_path)
    made(tmp_path / "c.mp4", np.concatenate([panned("coffee", 8), panned("astronaut", 8)]), *LOSSLESS)
    return tmp_path


def film(text: str, *sets: tuple[str, str], span: tuple[int, int] | None = None) -> Path:
    Path("s.yaml").write_text(text)
    scene = load("s.yaml", [("--set", key, value) for key, value in sets])
    return render(scene, span=span).path


def mean(values: list[float]) -> float:
    return float(np.mean(values))


def test_a_difference_is_the_mean_square_over_what_is_trusted() -> None:
    columns, rows = grid(torch.empty(1, 3, 8, 8))
    trusted = np.zeros((8, 8), np.float32)
    trusted[:, :4] = 1
    now = torch.full((1, 3, 8, 8), 0.5)
    before = now.clone()
    before[..., :2] += 0.2
    before[..., 4:] = 1
    assert difference(before, now, Motion(columns, rows, trusted)) == pytest.approx(0.02)
    assert difference(before, now, Motion(columns, rows, 0 * trusted)) == 0


def test_sharpness_is_the_energy_of_fine_detail() -> None:
    flat, photo = torch.full((1, 3, 32, 32), 0.3), photo_tensor("coffee", 64, 64)
    assert sharpness(flat) < 1e-10
    assert sharpness(torch.nn.functional.avg_pool2d(photo, 3, 1, 1)) < 0.5 * sharpness(photo)


def test_a_drift_is_measured_from_the_first_frame_or_beside_the_clips() -> None:
    dark, light = Score(), Score()
    stands = Motion(*grid(torch.empty(1, 3, 8, 8)), np.ones((8, 8), np.float32))
    for i in range(3):
        dark.add(torch.full((1, 3, 8, 8), 0.1 + 0.1 * i), _moves(stands if i else None), 1.0)
        light.add(torch.full((1, 3, 8, 8), 0.5 + 0.1 * i), _moves(stands if i else None), 1.0)
    assert dict(dark.rows())["brightness, furthest drift"] == pytest.approx(0.2)
    assert dict(dark.rows(light))["brightness, furthest drift"] == pytest.approx(0, abs=1e-6)
    assert dict(dark.rows())["E_warp"] == pytest.approx(0.01)


def _moves(near: Motion | None) -> Any:
    return Moves(near)


def test_a_zoom_is_measured_along_its_own_camera(here: Path) -> None:
    """Along the camera a film that is only zoomed hardly changes; the same film without its motion known would."""
    found, beside = score(film(ZOOM, ("dream.steps", "0"), ("source", "{noise: {grain: 12}}")), quiet=True)
    assert beside is None
    assert len(found.e_warp) == 5
    assert set(found.far) == {2, 4}
    assert mean(found.e_warp) < 2e-4
    dreamed, _ = score(film(ZOOM, ("output.path", "dreamed.mp4")), quiet=True)
    assert mean(dreamed.e_warp) > 2 * mean(found.e_warp)
    assert dreamed.objective[-1] > dreamed.objective[0]


def test_following_is_steadier_than_dreaming_each_frame_alone(here: Path) -> None:
    followed, source = score(film(CLIP, ("output.path", "a.mp4")), here / "c.mp4", quiet=True)
    alone, _ = score(film(CLIP, ("output.path", "b.mp4"), ("follow.keep", "0")), here / "c.mp4", quiet=True)
    assert source is not None
    assert len(followed.e_warp) == 14  # none across the cut
    assert mean(source.e_warp) < mean(followed.e_warp) < mean(alone.e_warp)
    assert mean(followed.objective) > mean(source.objective)
    assert set(followed.far) == {2, 4}
    assert len(followed.far[2]) == 2


@pytest.mark.parametrize(("text", "source"), [(ZOOM, None), (CLIP, "c.mp4")])
def test_a_film_that_is_dreamed_now_and_then_is_no_less_steady(text: str, source: str | None, here: Path) -> None:
    clip = None if source is None else here / source
    plain, _ = score(film(text, ("output.path", "a.mp4")), clip, quiet=True)
    between, _ = score(film(text, ("output.path", "b.mp4"), ("dream.every", "3")), clip, quiet=True)
    assert len(between.e_warp) == len(plain.e_warp)
    assert mean(between.e_warp) < mean(plain.e_warp)
    assert mean(between.objective) > 0.5 * mean(plain.objective)


def test_a_clip_scored_against_itself_is_as_steady_as_it_can_be(here: Path) -> None:
    found, beside = score(here / "c.mp4", here / "c.mp4", quiet=True)
    assert beside is not None
    assert found.e_warp == pytest.approx(beside.e_warp, abs=1e-6)
    assert mean(found.e_warp) < 1e-3


def test_a_piece_and_a_sequence_are_measured_at_their_own_frames(here: Path) -> None:
    whole, _ = score(film(CLIP, ("output", "{path: a/%03d.png, depth: 16}")), here / "c.mp4", quiet=True)
    piece, _ = score(film(CLIP, ("output", "{path: b/%03d.png, depth: 16}"), span=(4, 10)), here / "c.mp4", quiet=True)
    assert piece.objective == pytest.approx(whole.objective[4:10], rel=1e-4)
    assert piece.e_warp == pytest.approx([*whole.e_warp[4:7], *whole.e_warp[7:8]], rel=1e-3)


def test_a_single_picture_has_a_score(here: Path) -> None:
    picture = film(CLIP, ("output", "{path: a.png}"), ("duration", "1"))
    found, _ = score(picture, here / "c.mp4", quiet=True)
    assert len(found.objective) == 1
    assert not found.e_warp


def test_what_cannot_be_measured_says_why(here: Path) -> None:
    made_film = film(CLIP, ("output.path", "a.mp4"))
    with pytest.raises(UsageError, match=r"a\.mp4 follows a clip, whose motion is the film's; --source names it"):
        score(made_film, quiet=True)
    with pytest.raises(UsageError, match=r"c\.mp4 carries no scene, its motion is not known; --source names"):
        score(here / "c.mp4", quiet=True)
    with pytest.raises(StorageError, match="cannot read the clip"):
        score(made_film, here / "gone.mp4", quiet=True)


def test_the_command_prints_a_table_or_json(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    film(CLIP, ("output.path", "a.mp4"))

    def printed(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["render", "score", "a.mp4", "--source", "c.mp4", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0
        return capsys.readouterr().out

    rows = [line.split("  ")[0] for line in printed().splitlines()[1:]]
    assert rows[:2] == ["E_warp", "E_warp, a shot's first frame and 2 later"]
    assert rows[-6:] == [
        "objective",
        "sharpness",
        "brightness",
        "brightness, furthest drift",
        "contrast",
        "contrast, furthest drift",
    ]
    told = json.loads(printed("--json"))
    assert len(told["film"]["objective"]) == len(told["source"]["objective"]) == 16
    assert set(told["film"]["far"]) == {"2", "4"}


def test_real_footage_is_as_steady_as_its_camera(tmp_path: Path) -> None:
    clip = tmp_path / "c.mp4"
    ffmpeg.run(*ffmpeg.QUIET, "-i", str(footage("carphone_pristine.mp4")), "-frames:v", "40", "-qp", "0", str(clip))
    found, beside = score(clip, clip, quiet=True)
    assert beside is not None
    assert len(found.objective) == 40
    assert mean(found.e_warp) < 2e-3


def test_a_film_with_a_flicker_is_less_steady(here: Path) -> None:
    shot = panned("coffee", 12).astype(np.float32)
    shot[::2] *= 0.9
    made(here / "f.mp4", shot.astype(np.uint8), *LOSSLESS)
    made(here / "g.mp4", panned("coffee", 12), *LOSSLESS)
    flickering, _ = score(here / "f.mp4", here / "g.mp4", quiet=True)
    steady, _ = score(here / "g.mp4", here / "g.mp4", quiet=True)
    assert mean(flickering.e_warp) > 3 * mean(steady.e_warp)
