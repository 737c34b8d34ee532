"""The metrics of films whose values are known."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from render import Options, load, render
from render.analysis.metrics import FrameMotion, Metrics, measure, sharpness, warp_error
from render.cli.main import main
from render.errors import StorageError, UsageError
from render.media import ffmpeg
from render.motion.flow import Motion
from render.motion.warp import pixel_grid
from tests.conftest import photo_tensor
from tests.footage import panned
from tests.media.clips import LOSSLESS, footage, write_clip

ZOOM = """
size: [96, 64]
duration: 6
source: {noise: {grain: 8}}
camera: {zoom: 1.05, rotate: 2}
objectives: [{layer: blocks.4}, {statistics: none}]
dream: {octaves: 1, steps: 1, transforms: {jitter: 4}}
grade: {strength: 0}
output: {crf: 8}
"""
CLIP = """
source: {video: c.mp4}
objectives: [{layer: blocks.4}, {statistics: none}]
dream: {octaves: 1, steps: 2, transforms: {jitter: 4}}
output: {crf: 8}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a clip of two shots."""
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "c.mp4", np.concatenate([panned("coffee", 8), panned("astronaut", 8)]), *LOSSLESS)
    return tmp_path


def film(text: str, *sets: tuple[str, str], frames: tuple[int, int] | None = None) -> Path:
    Path("s.yaml").write_text(text)
    scene = load("s.yaml", [("--set", key, value) for key, value in sets])
    return render(scene, Options(frames=frames)).path


def mean(values: list[float]) -> float:
    return float(np.mean(values))


def test_the_warp_error_is_the_mean_square_over_trusted_pixels() -> None:
    columns, rows = pixel_grid(torch.empty(1, 3, 8, 8))
    trusted = np.zeros((8, 8), np.float32)
    trusted[:, :4] = 1
    now = torch.full((1, 3, 8, 8), 0.5)
    before = now.clone()
    before[..., :2] += 0.2
    before[..., 4:] = 1
    assert warp_error(before, now, motion=Motion(columns, rows, trusted)) == pytest.approx(0.02, abs=1e-6)
    assert warp_error(before, now, motion=Motion(columns, rows, 0 * trusted)) == 0


def test_sharpness_is_the_energy_of_fine_detail() -> None:
    flat, photo = torch.full((1, 3, 32, 32), 0.3), photo_tensor("coffee", 64, 64)
    assert sharpness(flat) < 1e-10
    assert sharpness(torch.nn.functional.avg_pool2d(photo, 3, 1, 1)) < 0.5 * sharpness(photo)


def test_drift_is_that_from_the_first_frame_or_from_the_clips_own() -> None:
    dark, light = Metrics(), Metrics()
    still = Motion(*pixel_grid(torch.empty(1, 3, 8, 8)), np.ones((8, 8), np.float32))
    for i in range(3):
        motion = FrameMotion(still if i else None)
        dark.add(torch.full((1, 3, 8, 8), 0.1 + 0.1 * i), motion, objective=1.0)
        light.add(torch.full((1, 3, 8, 8), 0.5 + 0.1 * i), motion, objective=1.0)
    assert dict(dark.summary())["brightness, furthest drift"] == pytest.approx(0.2)
    assert dict(dark.summary(light))["brightness, furthest drift"] == pytest.approx(0, abs=1e-6)
    assert dict(dark.summary())["E_warp"] == pytest.approx(0.01)


def test_a_zoom_is_measured_along_its_own_camera(here: Path) -> None:
    """Along the camera, a film that is only zoomed hardly changes."""
    plain, source = measure(film(ZOOM, ("dream.steps", "0"), ("source", "{noise: {grain: 12}}")), quiet=True)
    assert source is None
    assert len(plain.e_warp) == 5
    assert set(plain.far) == {2, 4}
    assert mean(plain.e_warp) < 2e-4
    dreamed, _ = measure(film(ZOOM, ("output.path", "dreamed.mp4")), quiet=True)
    assert mean(dreamed.e_warp) > 2 * mean(plain.e_warp)
    assert dreamed.objective[-1] > dreamed.objective[0]


def test_following_is_steadier_than_dreaming_each_frame_alone(here: Path) -> None:
    followed, source = measure(film(CLIP, ("output.path", "a.mp4")), here / "c.mp4", quiet=True)
    alone, _ = measure(film(CLIP, ("output.path", "b.mp4"), ("follow.persistence", "0")), here / "c.mp4", quiet=True)
    assert source is not None
    assert len(followed.e_warp) == 14  # none across the cut
    assert mean(source.e_warp) < mean(followed.e_warp) < mean(alone.e_warp)
    assert mean(followed.objective) > mean(source.objective)
    assert set(followed.far) == {2, 4}
    assert len(followed.far[2]) == 2


@pytest.mark.parametrize(("text", "source"), [(ZOOM, None), (CLIP, "c.mp4")])
def test_a_film_with_cadence_is_steadier(text: str, source: str | None, here: Path) -> None:
    clip = None if source is None else here / source
    plain, _ = measure(film(text, ("output.path", "a.mp4")), clip, quiet=True)
    between, _ = measure(film(text, ("output.path", "b.mp4"), ("dream.cadence", "3")), clip, quiet=True)
    assert len(between.e_warp) == len(plain.e_warp)
    assert mean(between.e_warp) < mean(plain.e_warp)
    assert mean(between.objective) > 0.5 * mean(plain.objective)


def test_a_clip_measured_against_itself_has_the_metrics_of_the_clip(here: Path) -> None:
    metrics, source = measure(here / "c.mp4", here / "c.mp4", quiet=True)
    assert source is not None
    assert metrics.e_warp == pytest.approx(source.e_warp, abs=1e-6)
    assert mean(metrics.e_warp) < 1e-3


def test_a_part_of_a_film_is_measured_at_its_own_frames(here: Path) -> None:
    whole, _ = measure(film(CLIP, ("output", "{path: a/%03d.png, bit_depth: 16}")), here / "c.mp4", quiet=True)
    pictures = film(CLIP, ("output", "{path: b/%03d.png, bit_depth: 16}"), frames=(4, 10))
    part, _ = measure(pictures, here / "c.mp4", quiet=True)
    assert part.objective == pytest.approx(whole.objective[4:10], rel=1e-4)
    assert part.e_warp == pytest.approx([*whole.e_warp[4:7], *whole.e_warp[7:8]], rel=1e-3)


def test_a_single_picture_has_metrics(here: Path) -> None:
    picture = film(CLIP, ("output", "{path: a.png}"), ("duration", "1"))
    metrics, _ = measure(picture, here / "c.mp4", quiet=True)
    assert len(metrics.objective) == 1
    assert not metrics.e_warp


def test_a_tour_is_measured_by_the_objective_of_each_frame(here: Path) -> None:
    metrics, _ = measure(
        film(ZOOM, ("objectives", "[{tour: classes, hold: 1, fade: 1}, {statistics: none}]")), quiet=True
    )
    assert len(set(metrics.objective)) == len(metrics.objective) == 6


def test_films_of_unknown_motion_are_errors(here: Path) -> None:
    made_film = film(CLIP, ("output.path", "a.mp4"))
    with pytest.raises(UsageError, match=r"a\.mp4 follows a clip, whose motion is the film's; --source names it"):
        measure(made_film, quiet=True)
    with pytest.raises(UsageError, match=r"c\.mp4 embeds no scene, its motion is not known; --source names"):
        measure(here / "c.mp4", quiet=True)
    with pytest.raises(StorageError, match="cannot read the clip"):
        measure(made_film, here / "gone.mp4", quiet=True)


def test_the_command_prints_a_table_or_json(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    film(CLIP, ("output.path", "a.mp4"))

    def printed(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["render", "score", "a.mp4", "--source", "c.mp4", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
        return capsys.readouterr().out

    table = printed().splitlines()
    rows = [line.split("  ")[0] for line in table[1:]]
    assert rows[:3] == ["E_warp", "E_warp, beyond the clip's own", "E_warp, a shot's first frame and 2 later"]
    assert rows[-6:] == [
        "objective",
        "sharpness",
        "brightness",
        "brightness, furthest drift",
        "contrast",
        "contrast, furthest drift",
    ]
    good = [line.rstrip().split("  ")[-1].strip() for line in table[1:]]
    assert good[:3] == ["lower is steadier"] * 3
    assert all(" " in words and not words[0].isdigit() for words in good)
    output = json.loads(printed("--json"))
    values = [line.split()[-5:-3] for line in table[1:3]]
    assert float(values[1][-1]) == pytest.approx(float(values[0][0]) - float(values[0][1]), rel=1e-3)
    assert len(output["film"]["objective"]) == len(output["source"]["objective"]) == 16
    assert set(output["film"]["far"]) == {"2", "4"}


def test_real_footage_is_as_steady_as_its_camera(tmp_path: Path) -> None:
    clip = tmp_path / "c.mp4"
    ffmpeg.run(*ffmpeg.QUIET, "-i", str(footage("carphone_pristine.mp4")), "-frames:v", "24", "-qp", "0", str(clip))
    metrics, source = measure(clip, clip, quiet=True)
    assert source is not None
    assert len(metrics.objective) == 24
    assert mean(metrics.e_warp) < 2e-3


def test_a_film_with_a_flicker_is_less_steady(here: Path) -> None:
    shot = panned("coffee", 12).astype(np.float32)
    shot[::2] *= 0.9
    write_clip(here / "f.mp4", shot.astype(np.uint8), *LOSSLESS)
    write_clip(here / "g.mp4", panned("coffee", 12), *LOSSLESS)
    flickering, _ = measure(here / "f.mp4", here / "g.mp4", quiet=True)
    steady, _ = measure(here / "g.mp4", here / "g.mp4", quiet=True)
    assert mean(flickering.e_warp) > 3 * mean(steady.e_warp)
