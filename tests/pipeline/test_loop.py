from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import skimage
import torch
from torch import Tensor

from render import Options, frames, load
from render.dream.ascent import dream
from render.dream.grade import grade
from render.dream.tiled import TiledNetwork
from render.errors import MissingError, SceneError, UsageError
from render.media.image import load_image
from render.media.noise import noise
from render.models.network import Network
from render.motion.camera import CameraPath, Move
from render.pipeline import engine, loop
from render.pipeline.build import ascent_settings, build_objectives, frame_objective
from render.pipeline.engine import open_engine
from render.pipeline.plan import plan
from render.pipeline.scene import Scene
from tests.conftest import engine_of
from tests.models.zoo import random_network

SCENE = """
size: [64, 48]
duration: 6
seed: 3
source: {noise: {grain: 8}}
camera: {zoom: 1.05, rotate: 2}
objectives: [{layer: blocks.4}, {statistics: none}]
dream: {octaves: 1, steps: 1, transforms: {jitter: 4}, first_frame: {steps: 3}}
"""


def scene_of(folder: Path, *sets: tuple[str, str]) -> Scene:
    file = folder / "scene.yaml"
    file.write_text(SCENE)
    return load(file, [("--set", key, value) for key, value in sets])


def last_picture(scene: Scene, network: Network) -> Tensor:
    return list(loop.frames(engine_of(scene, network)))[-1].picture


def test_frames_are_pictures_in_order(tmp_path: Path) -> None:
    rendered = list(frames(scene_of(tmp_path), Options(device="cpu")))
    assert [index for index, _ in rendered] == list(range(6))
    for _, frame in rendered:
        assert frame.shape == (1, 3, 48, 64)
        assert frame.dtype == torch.float32
        assert 0 <= frame.min() < frame.max() <= 1


def test_requested_frames_are_those_of_the_whole_film(tmp_path: Path) -> None:
    scene = scene_of(tmp_path)
    whole = dict(frames(scene, Options(precision="float32")))
    part = dict(frames(scene, Options(precision="float32", frames=(2, 4))))
    assert list(part) == [2, 3]
    assert all(torch.equal(part[index], whole[index]) for index in part)


def test_a_frame_depends_only_on_the_canvas_before_it(tmp_path: Path, network: Network) -> None:
    scene = scene_of(tmp_path)
    whole = list(loop.frames(engine_of(scene, network)))
    resumed = list(loop.frames(engine_of(scene, network), start=3, state=whole[2].state))
    assert [frame.index for frame in resumed] == [3, 4, 5]
    assert all(torch.equal(a.picture, b.picture) for a, b in zip(whole[3:], resumed, strict=True))


def test_the_picture_whose_content_is_held_is_read_once(tmp_path: Path, network: Network) -> None:
    picture = tmp_path / "coffee.png"
    shutil.copy(Path(skimage.__file__).parent / "data" / "coffee.png", picture)
    held = ("objectives", "[{layer: blocks.4}, {content: source, layer: blocks.2}]")
    run = loop.frames(engine_of(scene_of(tmp_path, ("source", f"{{image: {picture}}}"), held), network))
    next(run)
    picture.unlink()
    assert len(list(run)) == 5


def test_yielded_frames_are_not_modified_afterwards(tmp_path: Path, network: Network) -> None:
    run = loop.frames(engine_of(scene_of(tmp_path), network))
    pairs = [(frame.picture, frame.picture.clone()) for frame in run]
    assert all(torch.equal(picture, copy) for picture, copy in pairs)


def test_the_first_frame_is_not_moved_or_graded(tmp_path: Path, network: Network) -> None:
    picture = Path(skimage.__file__).parent / "data" / "coffee.png"
    scene = scene_of(tmp_path, ("source", f"{{image: {picture}}}"), ("dream.first_frame.steps", "0"))
    first = next(loop.frames(engine_of(scene, network)))
    assert torch.equal(first.picture, load_image(picture, (64, 48)))


def test_without_steps_camera_and_grade_nothing_changes(tmp_path: Path, network: Network) -> None:
    scene = scene_of(tmp_path, ("dream", "{steps: 0}"), ("camera", "{zoom: 1}"), ("grade.strength", "0"))
    first, *others = (frame.picture for frame in loop.frames(engine_of(scene, network)))
    assert all(torch.equal(first, other) for other in others)


def test_the_first_frame_has_its_own_steps(tmp_path: Path, network: Network) -> None:
    steps: list[tuple[int, int]] = []
    run = loop.frames(
        engine_of(scene_of(tmp_path), network), on_step=lambda octave, step, value: steps.append((octave, step))
    )
    next(run)
    assert steps == [(0, 0), (0, 1), (0, 2)]
    next(run)
    assert steps[3:] == [(0, 0)]


def test_an_objective_of_weight_zero_changes_nothing(tmp_path: Path, network: Network) -> None:
    def last(objectives: str) -> Tensor:
        return last_picture(scene_of(tmp_path, ("objectives", objectives)), network)

    assert torch.equal(last("[{layer: blocks.4}]"), last("[{layer: blocks.4}, {layer: blocks.9, weight: 0}]"))
    assert not torch.equal(last("[{layer: blocks.4}]"), last("[{layer: blocks.4}, {layer: blocks.9, weight: 1}]"))


@pytest.mark.parametrize("gradient", ["natural", "gaussian", "laplacian", "raw", "{natural: {decay_power: 0.1}}"])
def test_every_gradient_makes_its_own_film(tmp_path: Path, network: Network, gradient: str) -> None:
    def last(value: str) -> Tensor:
        return last_picture(scene_of(tmp_path, ("dream.gradient", value)), network)

    assert not torch.equal(last(gradient), last("{natural: {decay_power: 0.7}}"))


def test_bfloat16_differs_a_little_from_float32(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, ("duration", "1"))
    ((_, exact),) = frames(scene, Options(device="cpu", precision="float32"))
    ((_, coarse),) = frames(scene, Options(device="cpu", precision="bfloat16"))
    assert not torch.equal(exact, coarse)
    assert (exact - coarse).abs().mean() < 0.02


def test_a_device_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    scene = scene_of(tmp_path)
    missing = next((name for name in ("mps", "cuda") if not getattr(torch, name).is_available()), None)
    if missing is None:
        pytest.fail("a machine with both cuda and mps; extend this test")
    with pytest.raises(MissingError, match=missing):
        next(frames(scene, Options(device=missing)))
    with pytest.raises(UsageError, match="did you mean 'cuda'"):
        next(frames(scene, Options(device="cudda")))


@pytest.mark.parametrize(
    ("name", "layer", "size", "message"),
    [
        ("vit_b_32", "conv_proj", "[224, 224]", "vit_b_32 cannot see a picture of 140x140, an octave of 224x224"),
        ("vit_b_32", "conv_proj", "[96, 64]", "vit_b_32 cannot see a picture of 60x40, an octave of 96x64"),
        ("inception_v3", "Mixed_7c", "[120, 90]", "inception_v3 cannot see a picture of 75x56, an octave of 120x90"),
        ("inception_v3", "Mixed_7c", "[48, 48]", "inception_v3 cannot see a picture of 48x48; it was trained on"),
    ],
)
def test_an_octave_that_the_network_cannot_see_is_an_error_of_the_scene(
    name: str, layer: str, size: str, message: str, tmp_path: Path
) -> None:
    sets = [("network", name), ("objectives", f"[{{layer: {layer}}}]"), ("size", size)]
    with pytest.raises(SceneError) as caught:
        scene_of(tmp_path, *sets, ("dream.octaves", "2"), ("dream.octave_scale", "1.6"))
    assert message in str(caught.value)


def test_a_shallow_layer_sees_small_pictures(tmp_path: Path) -> None:
    sets = [("network", "inception_v3"), ("objectives", "[{layer: Conv2d_2a_3x3}]"), ("size", "[48, 48]")]
    assert scene_of(tmp_path, *sets).size == (48, 48)


def test_a_transformer_dreams_at_its_own_size(tmp_path: Path) -> None:
    sets = [("network", "vit_b_32"), ("objectives", "[{layer: encoder.layers.encoder_layer_3}]")]
    sets += [("size", "[224, 224]"), ("dream.octaves", "1"), ("duration", "1")]
    scene = scene_of(tmp_path, *sets)
    (frame,) = loop.frames(engine_of(scene, random_network("vit_b_32")))
    assert frame.picture.isfinite().all()


def test_a_film_in_tiles_is_nearly_the_same_film(tmp_path: Path) -> None:
    sets = ("size", "[352, 288]"), ("duration", "2"), ("dream.steps", "2")
    for setting, expected in (("off", None), ("auto", None), ("192", 192)):
        scene = scene_of(tmp_path, *sets, ("dream.tile_size", setting))
        assert open_engine(plan(scene), autotune=False).network.tile_size == expected
    whole, tiled = (list(frames(scene_of(tmp_path, *sets, ("dream.tile_size", each)))) for each in ("off", "192"))
    # differences of rounding grow with every step
    assert all((a - b).abs().mean() < 1e-3 for (_, a), (_, b) in zip(whole, tiled, strict=True))


@pytest.mark.parametrize("megabytes", [120, 200, 400])
def test_large_pictures_get_tiles_that_fit_into_half_of_the_free_memory(
    megabytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = megabytes * 2**20
    monkeypatch.setattr(engine, "free_memory", lambda device: free)
    scene = scene_of(tmp_path, ("size", "[960, 720]"), ("objectives.0.layer", "blocks.10"))
    network = open_engine(plan(scene), autotune=False).network
    assert network.tile_size is not None
    assert 128 <= network.tile_size < 960
    assert network.tile_size**2 * network.network.bytes_per_pixel(["blocks.10"]) <= free / 2
    larger = network.tile_size + 128
    assert larger**2 * network.network.bytes_per_pixel(["blocks.10"]) > free / 2


@pytest.mark.parametrize("tile", ["64", "20000", "all", "true", "1.5"])
def test_an_invalid_tile_size_is_an_error(tile: str, tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="tile_size"):
        scene_of(tmp_path, ("dream.tile_size", tile))


def test_with_cadence_1_the_loop_moves_grades_and_dreams_each_frame(tmp_path: Path, network: Network) -> None:
    scene = scene_of(tmp_path, ("dream.cadence", "1"))
    objectives = build_objectives(scene, network)
    tiled = TiledNetwork(network, tile_size=None)
    path = CameraPath(lambda index: Move(zoom=1.05, rotate=2), (64, 48), "mirror")
    canvas = noise((64, 48), grain=8, contrast=0.2, color=0, seed=3)
    for frame in loop.frames(engine_of(scene, network)):
        params = scene.params(frame.index)
        if frame.index > 0:
            canvas = grade(path.warp(canvas, frame.index - 1, frame.index), **params.grade._asdict())
        objective, settings = frame_objective(objectives, params), ascent_settings(scene.spec, params)
        canvas = dream(canvas, tiled, objective=objective, settings=settings, seed=(3, frame.index))
        assert torch.equal(frame.picture, canvas)
        assert torch.equal(frame.state.canvas, canvas)


def test_with_cadence_2_a_frame_is_dreamed_after_both_moves(tmp_path: Path, network: Network) -> None:
    steps: list[int] = []
    scene = scene_of(tmp_path, ("dream.cadence", "2"), ("grade.strength", "0"))
    whole = list(loop.frames(engine_of(scene, network), on_step=lambda *_: steps.append(1)))
    assert [frame.index for frame in whole] == list(range(6))
    assert len(steps) == 3 + 1 + 1 + 1  # frames 0, 2, 4 and the last
    params = scene.params(2)
    path = CameraPath(lambda index: Move(zoom=1.05, rotate=2), (64, 48), "mirror")
    dreamed = dream(
        path.warp(whole[0].picture, 0, 2),
        TiledNetwork(network, tile_size=None),
        objective=frame_objective(build_objectives(scene, network), params),
        settings=ascent_settings(scene.spec, params),
        seed=(3, 2),
    )
    assert torch.equal(whole[2].picture, dreamed)
    for frame in whole:
        assert 0 <= frame.picture.min() < frame.picture.max() <= 1
        dreamed_index = frame.index if frame.index in (0, 2, 4, 5) else frame.index - 1
        assert torch.equal(frame.state.canvas, whole[dreamed_index].picture)


@pytest.mark.parametrize("cadence", ["2", "4", "24"])
def test_a_film_with_cadence_resumes_at_any_frame(cadence: str, tmp_path: Path, network: Network) -> None:
    scene = scene_of(tmp_path, ("dream.cadence", cadence))
    whole = list(loop.frames(engine_of(scene, network)))
    for start in range(1, 6):
        state = whole[start - 1].state
        resumed = list(loop.frames(engine_of(scene, network), start=start, state=state))
        assert [frame.index for frame in resumed] == list(range(start, 6))
        assert all(torch.equal(a.picture, b.picture) for a, b in zip(whole[start:], resumed, strict=True))
