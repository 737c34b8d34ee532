from __future__ import annotations

from pathlib import Path

import pytest
import skimage
import torch

from render import api, frames, load, loop, machine
from render.dream.ascent import dream
from render.dream.grade import grade
from render.dream.networks import Network
from render.errors import MissingError, SceneError, UsageError
from render.film import source
from render.motion.camera import Move, move
from render.scene.model import Scene
from render.wishes import ascent, objective, wishes
from tests.dream.zoo import network as random_network

SCENE = """
size: [64, 48]
duration: 6
seed: 3
source: {noise: {grain: 8}}
camera: {zoom: 1.05, rotate: 2}
layers: [{layer: blocks.4}]
dream: {octaves: 1, steps: 1, jitter: 4, first: {steps: 3}}
"""


def scene_of(folder: Path, text: str = SCENE, *sets: tuple[str, str]) -> Scene:
    file = folder / "scene.yaml"
    file.write_text(text)
    return load(file, [("--set", key, value) for key, value in sets])


def test_frames_are_images_and_come_in_order(tmp_path: Path) -> None:
    found = list(frames(scene_of(tmp_path), device="cpu"))
    assert [index for index, _ in found] == list(range(6))
    for _, frame in found:
        assert frame.shape == (1, 3, 48, 64)
        assert frame.dtype == torch.float32
        assert 0 <= frame.min() < frame.max() <= 1


def test_a_frame_depends_only_on_the_frame_before_it(tmp_path: Path, network: Network) -> None:
    scene = scene_of(tmp_path)
    whole = [frame for _, frame, _ in loop.frames(scene, network)]
    resumed = [frame for _, frame, _ in loop.frames(scene, network, start=3, canvas=whole[2].clone())]
    assert all(torch.equal(a, b) for a, b in zip(whole[3:], resumed, strict=True))


def test_frames_handed_out_are_not_changed_afterwards(tmp_path: Path, network: Network) -> None:
    pairs = [(frame, frame.clone()) for _, frame, _ in loop.frames(scene_of(tmp_path), network)]
    assert all(torch.equal(frame, copy) for frame, copy in pairs)


def test_the_first_frame_is_not_moved_or_graded(tmp_path: Path, network: Network) -> None:
    picture = Path(skimage.__file__).parent / "data" / "coffee.png"
    scene = scene_of(tmp_path, SCENE, ("source", f"{{image: {picture}}}"), ("dream.first.steps", "0"))
    _, first, _ = next(loop.frames(scene, network))
    assert torch.equal(first, source.picture(picture, (64, 48)))


def test_without_dream_camera_and_grade_the_film_stands_still(tmp_path: Path, network: Network) -> None:
    scene = scene_of(tmp_path, SCENE, ("dream", "{steps: 0}"), ("camera", "{}"), ("grade.strength", "0"))
    first, *others = (frame for _, frame, _ in loop.frames(scene, network))
    assert all(torch.equal(first, other) for other in others)


def test_the_first_frame_is_dreamed_with_its_own_steps(tmp_path: Path, network: Network) -> None:
    heard: list[tuple[int, int]] = []
    run = loop.frames(scene_of(tmp_path), network, on_step=lambda octave, step, value: heard.append((octave, step)))
    next(run)
    assert heard == [(0, 0), (0, 1), (0, 2)]
    next(run)
    assert heard[3:] == [(0, 0)]


def test_a_layer_of_weight_zero_changes_nothing(tmp_path: Path, network: Network) -> None:
    def last(layers: str) -> torch.Tensor:
        return list(loop.frames(scene_of(tmp_path, SCENE, ("layers", layers)), network))[-1][1]

    assert torch.equal(last("[{layer: blocks.4}]"), last("[{layer: blocks.4}, {layer: blocks.9, weight: 0}]"))
    assert not torch.equal(last("[{layer: blocks.4}]"), last("[{layer: blocks.4}, {layer: blocks.9, weight: 1}]"))


@pytest.mark.parametrize("gradient", ["natural", "gaussian", "laplacian", "raw", "{natural: {power: 0.1}}"])
def test_every_gradient_of_a_scene_makes_its_own_film(tmp_path: Path, network: Network, gradient: str) -> None:
    def last(value: str) -> torch.Tensor:
        return list(loop.frames(scene_of(tmp_path, SCENE, ("dream.gradient", value)), network))[-1][1]

    assert not torch.equal(last(gradient), last("{natural: {power: 0.7}}"))


def test_bfloat16_dreams_nearly_the_same(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, SCENE, ("duration", "1"))
    ((_, exact),) = frames(scene, "cpu", "float32")
    ((_, coarse),) = frames(scene, "cpu", "bfloat16")
    assert not torch.equal(exact, coarse)
    assert (exact - coarse).abs().mean() < 0.02


def test_a_device_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    scene = scene_of(tmp_path)
    missing = next((name for name in ("mps", "cuda") if not getattr(torch, name).is_available()), None)
    if missing is None:
        pytest.fail("a machine with both cuda and mps; extend this test")
    with pytest.raises(MissingError, match=missing):
        next(frames(scene, device=missing))
    with pytest.raises(UsageError, match="did you mean 'cuda'"):
        next(frames(scene, device="cudda"))


@pytest.mark.parametrize(
    ("name", "layer", "size", "says"),
    [
        ("vit_b_32", "conv_proj", "[224, 224]", "vit_b_32 cannot see a picture of 140x140, an octave of 224x224"),
        ("vit_b_32", "conv_proj", "[96, 64]", "vit_b_32 cannot see a picture of 60x40, an octave of 96x64"),
        ("inception_v3", "Mixed_7c", "[120, 90]", "inception_v3 cannot see a picture of 75x56, an octave of 120x90"),
        (
            "inception_v3",
            "Mixed_7c",
            "[48, 48]",
            "inception_v3 cannot see a picture of 48x48; it was trained on 299x299",
        ),
    ],
)
def test_an_octave_that_the_network_cannot_see_is_an_error_before_the_dream(
    name: str, layer: str, size: str, says: str, tmp_path: Path
) -> None:
    sets = [("network", name), ("layers", f"[{{layer: {layer}}}]"), ("size", size)]
    with pytest.raises(SceneError) as caught:
        scene_of(tmp_path, SCENE, *sets, ("dream.octaves", "2"), ("dream.octave_scale", "1.6"))
    assert says in str(caught.value)


def test_what_a_shallow_layer_needs_not_see_is_no_matter(tmp_path: Path) -> None:
    sets = [("network", "inception_v3"), ("layers", "[{layer: Conv2d_2a_3x3}]"), ("size", "[48, 48]")]
    assert scene_of(tmp_path, SCENE, *sets).size == (48, 48)


def test_a_transformer_dreams_at_the_size_it_was_trained_on(tmp_path: Path) -> None:
    sets = [("network", "vit_b_32"), ("layers", "[{layer: encoder.layers.encoder_layer_3}]")]
    sets += [("size", "[224, 224]"), ("dream.octaves", "1"), ("duration", "1")]
    scene = scene_of(tmp_path, SCENE, *sets)
    model = random_network("vit_b_32").eval().requires_grad_(False)
    vit = Network("vit_b_32", model, "", torch.device("cpu"), torch.float32)
    ((_, frame, _),) = loop.frames(scene, vit)
    assert frame.isfinite().all()


def test_a_film_in_tiles_is_the_same_film(tmp_path: Path, network: Network) -> None:
    sets = ("size", "[352, 288]"), ("duration", "2"), ("dream.steps", "2")
    for tile, side in (("off", None), ("auto", None), ("192", 192)):
        assert api.network(scene_of(tmp_path, SCENE, *sets, ("dream.tile", tile)), machine.choose()).tile == side
    whole, tiled = (list(frames(scene_of(tmp_path, SCENE, *sets, ("dream.tile", tile)))) for tile in ("off", "192"))
    # What is rounded otherwise grows with every step.
    assert all((a - b).abs().mean() < 1e-3 for (_, a), (_, b) in zip(whole, tiled, strict=True))


def test_large_pictures_on_a_small_machine_are_dreamed_in_tiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda device: 200 * 2**20)
    scene = scene_of(tmp_path, SCENE, ("size", "[640, 480]"), ("layers", "[{layer: blocks.10}]"))
    small = api.network(scene, machine.choose())
    assert small.tile is not None
    assert 128 <= small.tile < 640
    assert small.tile**2 * small.memory(["blocks.10"]) <= 100 * 2**20
    assert machine.free_memory(torch.device("cpu")) > 0


@pytest.mark.parametrize("tile", ["64", "20000", "all", "true", "1.5"])
def test_what_is_no_tile_is_told(tile: str, tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="a tile is auto, off or from 128 to 16384 pixels, not"):
        scene_of(tmp_path, SCENE, ("dream.tile", tile))


def test_dreaming_every_frame_is_the_plain_loop(tmp_path: Path, network: Network) -> None:
    """Moved, graded, dreamed, written out here once more."""
    scene = scene_of(tmp_path, SCENE, ("dream.every", "1"))
    asked = wishes(scene, network)
    canvas = source.noise((64, 48), 8, 0.2, 0, 3)
    for index, picture, state in loop.frames(scene, network):
        now = scene.at(index)
        if index > 0:
            moved = move(canvas, [Move(**now.camera._asdict())], "mirror")
            canvas = grade(moved, **now.grade._asdict())
        canvas = dream(canvas, network, objective(asked, now), ascent(scene, now), (3, index))
        assert torch.equal(picture, canvas)
        assert torch.equal(state, canvas)


def test_frames_between_dreamed_ones_leave_the_dreamed_ones_alone(tmp_path: Path, network: Network) -> None:
    """Two frames at once with the camera of both are dreamed as one frame with it is."""
    steps: list[int] = []
    scene = scene_of(tmp_path, SCENE, ("dream.every", "2"), ("grade.strength", "0"))
    found = list(loop.frames(scene, network, on_step=lambda *_: steps.append(1)))
    assert [index for index, _, _ in found] == list(range(6))
    assert len(steps) == 3 + 1 + 1 + 1  # frames 0, 2, 4 and the last
    now = scene.at(2)
    moved = move(found[0][1], [Move(zoom=1.05, rotate=2)] * 2, "mirror")
    again = dream(moved, network, objective(wishes(scene, network), now), ascent(scene, now), (3, 2))
    assert torch.equal(found[2][1], again)
    for index, picture, canvas in found:
        assert 0 <= picture.min() < picture.max() <= 1
        assert torch.equal(canvas, found[index if index in (0, 2, 4, 5) else index - 1][1])


@pytest.mark.parametrize("every", ["2", "4", "24"])
def test_a_film_that_is_dreamed_now_and_then_goes_on_from_any_frame(
    every: str, tmp_path: Path, network: Network
) -> None:
    scene = scene_of(tmp_path, SCENE, ("dream.every", every))
    found = list(loop.frames(scene, network))
    for start in range(1, 6):
        resumed = list(loop.frames(scene, network, start, found[start - 1][2].clone()))
        assert [index for index, _, _ in resumed] == list(range(start, 6))
        assert all(torch.equal(a[1], b[1]) for a, b in zip(found[start:], resumed, strict=True))
