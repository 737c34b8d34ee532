"""Stills, and sequences of pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from render import frames, load
from render.dream.efficientnet_lite import VARIANTS
from render.errors import SceneError, StorageError
from render.film import encoder
from render.film.files import sha256
from tests.production.films import (
    make,
)


@pytest.mark.parametrize("name", ["still.png", "still.jpg", "odd name 100%.jpeg"])
def test_a_scene_of_one_frame_makes_a_picture(here: Path, name: str) -> None:
    assert make("duration=1", "size=[65, 43]", f"output.path={name}").made
    picture = cv2.imread(name, cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    assert picture.shape == (43, 65, 3)
    sets = {"duration": "1", "size": "[65, 43]", "output.path": "x.png"}
    scene = load("film.yaml", [("--set", key, value) for key, value in sets.items()])
    ((_, frame),) = frames(scene)
    assert np.abs(picture - encoder.quantise(frame, 8).astype(int)).mean() < (0.01 if name.endswith("png") else 2)
    assert {path.name for path in here.iterdir()} == {"film.yaml", name}


@pytest.mark.parametrize("name", ["still.png", "still.jpg"])
def test_a_picture_knows_what_made_it(here: Path, name: str) -> None:
    settings = ("duration=1", f"output.path={name}")
    make(*settings)
    first = (here / name).read_bytes()
    assert not make(*settings).made
    with pytest.raises(StorageError, match="is another film; --overwrite replaces it"):
        make(*settings, "seed=4")
    carried = encoder.carried(here / name)
    assert carried is not None
    assert carried["weights"] == sha256(VARIANTS["efficientnet_lite0"].weights() or Path())
    assert make(*settings, overwrite=True).made
    assert (here / name).read_bytes() == first


def test_a_smaller_still_is_named_after_its_scale(here: Path) -> None:
    scene = load("film.yaml", [("--set", "duration", "1"), ("--set", "output.path", "s.png")])
    assert scene.titled("x0.5").output.path == "s.x0.5.png"


def test_a_sequence_of_jpegs_is_numbered(here: Path) -> None:
    make("duration=3", "output.path=f/%02d.jpg")
    assert sorted(path.name for path in (here / "f").iterdir()) == ["00.jpg", "01.jpg", "02.jpg"]


def test_more_frames_than_one_do_not_fit_into_a_picture(here: Path) -> None:
    with pytest.raises(
        SceneError, match=r"3 frames do not fit into one picture; duration: 1 makes one, still/%05d\.png"
    ):
        make("duration=3", "output.path=still.png")


def test_a_changed_guide_or_mask_is_noticed(here: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    cv2.imwrite("guide.png", picture)
    cv2.imwrite("mask.png", picture)
    settings = ("duration=1", "output.path=s.png", "layers.0={layer: blocks.4, guide: guide.png, mask: mask.png}")
    make(*settings)
    assert not make(*settings).made
    for name in ("guide.png", "mask.png"):
        cv2.imwrite(name, 255 - picture)
        with pytest.raises(StorageError, match="another film"):
            make(*settings)
        cv2.imwrite(name, picture)
        assert not make(*settings).made
