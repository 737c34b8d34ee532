"""`camera.look_at`: the pan and pivot that it sets at every frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from render.scene.easings import EASINGS
from render.scene.model import SceneSpec

LENGTH = 96


def spec_of(look_at: dict[str, Any], **keys: Any) -> SceneSpec:
    """A spec of 96 frames at 24 fps whose camera looks at something."""
    camera = {"zoom": 1.02, "rotate": 1, "look_at": look_at}
    return SceneSpec.model_validate(
        {"duration": LENGTH, "camera": camera, "objectives": [{"layer": "blocks.10"}]} | keys
    )


def places(spec: SceneSpec) -> NDArray[np.float64]:
    """The point's place at every frame, in widths and heights: each frame's pivot and pan."""
    cameras = [spec.params(index).camera for index in range(spec.length)]
    return np.array([np.add(camera.pivot, camera.pan) for camera in cameras])


@pytest.mark.parametrize("ease", EASINGS)
def test_the_point_moves_along_the_eased_path_and_stays_exactly_in_the_middle(ease: str) -> None:
    path = places(spec_of({"point": [0.3, 0.83], "by": "3s", "ease": ease}))
    share = EASINGS[ease](np.arange(73) / 72)[:, None]
    assert path[0].tolist() == [0.3, 0.83]
    assert path[:73] == pytest.approx((1 - share) * [0.3, 0.83] + share * 0.5, abs=1e-15)
    assert (path[72:] == 0.5).all()


def test_each_move_is_about_the_points_place_in_the_frame_before() -> None:
    spec = spec_of({"point": [0.1, 0.9], "by": 50})
    pivots = np.array([spec.params(index).camera.pivot for index in range(1, LENGTH)])
    assert pivots == pytest.approx(places(spec)[:-1], abs=1e-15)
    assert (
        spec.params(51).camera
        == SceneSpec.model_validate({"camera": {"zoom": 1.02, "rotate": 1}, "objectives": [{"layer": "a"}]})
        .params(51)
        .camera
    )


@pytest.mark.parametrize(
    ("by", "fps", "frame"), [("50%", 24, 48), ("end", 24, 95), ("3s", 29.97, 90), (0.25, 24, 1), ("1e-300s", 24, 1)]
)
def test_the_point_has_arrived_in_the_first_frame_that_is_not_before_the_time(by: Any, fps: Any, frame: int) -> None:
    path = places(spec_of({"point": [0.3, 0.6], "by": by}, fps=fps))
    assert (path[frame:] == 0.5).all()
    assert (path[frame - 1] != 0.5).all()


@pytest.mark.parametrize("length", [1, 2, 40])
def test_a_film_that_ends_before_is_the_beginning_of_the_longer_one(length: int) -> None:
    look_at = {"point": [0.3, 0.6], "by": "3s"}
    assert places(spec_of(look_at, duration=length)).tolist() == places(spec_of(look_at)).tolist()[:length]


def test_the_scene_that_a_film_embeds_is_the_same_scene() -> None:
    spec = spec_of({"point": [0.3, 0.6], "by": "1.23456789012345s", "ease": "out_back"})
    embedded = spec.model_dump(mode="json", exclude_none=True)
    assert embedded["camera"]["look_at"] == {"point": [0.3, 0.6], "by": "1.23456789012345s", "ease": "out_back"}
    assert places(SceneSpec.model_validate(embedded)).tolist() == places(spec).tolist()
