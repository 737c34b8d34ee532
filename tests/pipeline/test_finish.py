"""What finishes a frame: the dream over its source, the view, and colours; the states do not change with it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from render import load
from render.choices import MixMode
from render.dream.color import adjust, from_linear, to_linear
from render.models.network import Network
from render.motion.camera import Move, compose_moves, inverse_affine
from render.motion.composite import mixed
from render.motion.warp import warp_affine
from render.pipeline import loop
from render.pipeline.loop import Frame
from tests.conftest import engine_of, photo_tensor
from tests.media.clips import LOSSLESS, write_clip

BASE = {
    "size": [64, 64],
    "duration": 4,
    "objectives": [{"layer": "blocks.4"}, {"statistics": "none"}],
    "dream": {"octaves": 1, "steps": 4, "step_size": 0.02},
    "camera": {"zoom": 1.02},
}


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A photo and a clip in the current folder."""
    monkeypatch.chdir(tmp_path)
    photo = (photo_tensor("chelsea", 96, 96)[0].permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)
    cv2.imwrite("photo.png", photo[:64, :64, ::-1])
    write_clip(tmp_path / "clip.mp4", np.stack([photo[i : i + 64, i : i + 64] for i in range(0, 24, 2)]), *LOSSLESS)


def frames_of(network: Network, **keys: Any) -> list[Frame]:
    """Returns the first frames of a scene."""
    return list(islice(loop.frames(engine_of(load({**BASE, **keys}), network)), 4))


def sources() -> Iterator[dict[str, Any]]:
    """Films from a picture and from a clip, with all frames dreamed and with some."""
    for cadence in (1, 2):
        dream = {**BASE["dream"], "cadence": cadence}  # type: ignore[dict-item]  # it is a mapping
        yield {"source": {"image": "photo.png"}, "dream": dream}
        yield {"source": {"video": "clip.mp4"}, "dream": dream, "fps": 25}


FINISHED = {
    "view": {"zoom": "1 + 0.1 * frame", "rotate": 5, "pan": [0.1, 0]},
    "mix": "0.3 * frame",
    "saturation": 0.5,
    "hue": "30 * frame",
    "exposure": -0.5,
}


@pytest.mark.parametrize("keys", list(sources()), ids=["picture", "clip", "picture, cadence 2", "clip, cadence 2"])
def test_the_states_are_those_of_the_film_without_it(keys: dict[str, Any], network: Network) -> None:
    plain, finished = frames_of(network, **keys), frames_of(network, **keys, **FINISHED)
    for before, after in zip(plain, finished, strict=True):
        assert np.array_equal(before.state.to_array(), after.state.to_array())
        assert not torch.equal(before.picture, after.picture)


@pytest.mark.parametrize("keys", list(sources()), ids=["picture", "clip", "picture, cadence 2", "clip, cadence 2"])
def test_a_mix_of_0_is_the_source_and_of_1_the_dream(keys: dict[str, Any], network: Network) -> None:
    plain = frames_of(network, **keys)
    undreamed = frames_of(network, **{**keys, "dream": {**keys["dream"], "steps": 0}})
    mix = frames_of(network, **keys, mix={0: 0, 2: 0, 3: 1})
    for index in (0, 1, 2):
        assert (mix[index].picture - undreamed[index].picture).abs().mean() < 0.01  # which was moved step by step
        assert (plain[index].picture - undreamed[index].picture).abs().mean() > 0.015
    assert torch.equal(mix[3].picture, plain[3].picture)


def test_nothing_is_done_where_nothing_is_set(network: Network) -> None:
    for frame in frames_of(network, source={"image": "photo.png"}):
        assert frame.picture is frame.state.canvas


def test_a_view_is_absolute(network: Network) -> None:
    keys = {"source": {"image": "photo.png"}}
    plain, viewed = frames_of(network, **keys), frames_of(network, **keys, view={"zoom": 1.25, "rotate": 10})
    affine = inverse_affine(compose_moves([Move(zoom=1.25, rotate=10)], (64, 64)))
    for before, after in zip(plain, viewed, strict=True):
        assert torch.equal(after.picture, warp_affine(before.picture, affine, border="mirror").clamp(0, 1))


def test_a_view_and_a_mix_are_part_of_a_camera_preview(network: Network) -> None:
    scene = load({**BASE, "source": {"image": "photo.png"}, "view": {"zoom": 1.5}, "exposure": 1}).without_dream()
    frame = next(loop.frames(engine_of(scene, network)))
    assert float(frame.picture.mean()) > float(frame.state.canvas.mean()) + 0.05


@pytest.mark.parametrize(
    ("mode", "source", "dream", "expected"),
    [
        ("normal", 0.2, 0.6, 0.6), ("screen", 0.2, 0.6, 0.68), ("lighten", 0.2, 0.6, 0.6), ("lighten", 0.7, 0.6, 0.7),
        ("soft_light", 0.2, 0.5, 0.2), ("soft_light", 0.2, 0.25, 0.12), ("soft_light", 0.64, 1.0, 0.8),
        ("soft_light", 0.2, 1.0, 0.448),
    ],
)  # fmt: skip
def test_modes_of_mixing(mode: MixMode, source: float, dream: float, expected: float) -> None:
    below, above = (torch.full((1, 3, 2, 2), value) for value in (source, dream))
    assert mixed(below, above, amount=1, mode=mode).flatten()[0].item() == pytest.approx(expected, abs=1e-6)
    half = mixed(below, above, amount=0.5, mode=mode).flatten()[0].item()
    assert half == pytest.approx((source + expected) / 2, abs=1e-6)
    assert torch.allclose(mixed(below, above, amount=0, mode=mode), below)


def luma(picture: Tensor) -> Tensor:
    """The luma of each pixel (ITU-R BT.709)."""
    return (picture * torch.tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1)).sum(1)


def test_colours_keep_the_luma_and_a_whole_turn_is_none(photo: Tensor) -> None:
    muted = 0.3 + 0.4 * photo
    grey = adjust(muted, exposure=0, saturation=0, hue=0)
    assert (grey.amax(1) - grey.amin(1)).max() < 1e-5
    for saturation, hue in ((0.5, 0), (1.0, 90), (0.8, 200)):
        assert torch.allclose(luma(adjust(muted, exposure=0, saturation=saturation, hue=hue)), luma(muted), atol=1e-5)
    assert adjust(muted, exposure=0, saturation=1, hue=720) is muted
    back = adjust(adjust(muted, exposure=0, saturation=1, hue=40), exposure=0, saturation=1, hue=-40)
    assert torch.allclose(back, muted, atol=1e-4)


def test_a_hue_of_120_degrees_turns_red_to_green() -> None:
    red = torch.tensor([0.6, 0.4, 0.4]).view(1, 3, 1, 1)
    turned = adjust(red, exposure=0, saturation=1, hue=120).flatten()
    assert turned[1] > turned[0] + 0.1
    assert turned[0] == pytest.approx(turned[2].item(), abs=1e-5)


def test_a_stop_doubles_the_light(photo: Tensor) -> None:
    dark = photo * 0.5
    brighter = adjust(dark, exposure=1, saturation=1, hue=0)
    assert torch.allclose(to_linear(brighter), (2 * to_linear(dark)).clamp(0, 1), atol=1e-5)
    assert torch.allclose(from_linear(to_linear(photo)), photo, atol=1e-5)
