"""Stills, and sequences of pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from render import frames, load
from render.errors import SceneError, StorageError
from render.film import encoder
from render.film.metadata import read_metadata
from render.models.variants import VARIANTS
from render.system.checksum import sha256
from tests.production.films import make, must_not_dream


@pytest.mark.parametrize("name", ["still.png", "still.jpg", "odd name 100%.jpeg"])
def test_a_scene_of_one_frame_makes_a_picture(workspace: Path, name: str) -> None:
    assert make("duration=1", "size=[65, 43]", f"output.path={name}").made
    picture = cv2.imread(name, cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    assert picture.shape == (43, 65, 3)
    settings = {"duration": "1", "size": "[65, 43]", "output.path": "x.png"}
    scene = load("film.yaml", [("--set", key, value) for key, value in settings.items()])
    ((_, frame),) = frames(scene)
    max_difference = 0.01 if name.endswith("png") else 2
    assert np.abs(picture - encoder.quantize(frame, 8).astype(int)).mean() < max_difference
    assert {path.name for path in workspace.iterdir()} == {"film.yaml", name}


@pytest.mark.parametrize("name", ["still.png", "still.jpg"])
def test_a_picture_embeds_its_provenance(workspace: Path, name: str) -> None:
    settings = ("duration=1", f"output.path={name}")
    make(*settings)
    first = (workspace / name).read_bytes()
    assert not make(*settings, on_frame=must_not_dream).made
    with pytest.raises(StorageError, match="is another film; --overwrite replaces it"):
        make(*settings, "seed=4")
    metadata = read_metadata(workspace / name)
    assert metadata is not None
    assert metadata["weights"] == sha256(VARIANTS["efficientnet_lite0"].weights_file() or Path())
    assert make(*settings, overwrite=True).made
    assert (workspace / name).read_bytes() == first


def test_a_title_is_inserted_before_the_suffix(workspace: Path) -> None:
    scene = load("film.yaml", [("--set", "duration", "1"), ("--set", "output.path", "s.png")])
    assert scene.titled("x0.5").output.path == "s.x0.5.png"


def test_a_sequence_of_jpegs_is_numbered(workspace: Path) -> None:
    make("duration=3", "output.path=f/%02d.jpg")
    assert sorted(path.name for path in (workspace / "f").iterdir()) == ["00.jpg", "01.jpg", "02.jpg"]


def test_several_frames_do_not_fit_into_one_picture(workspace: Path) -> None:
    message = r"3 frames do not fit into one picture; duration: 1 makes one, still/%05d\.png"
    with pytest.raises(SceneError, match=message):
        make("duration=3", "output.path=still.png")


def test_a_changed_guide_or_mask_is_detected(workspace: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    cv2.imwrite("guide.png", picture)
    cv2.imwrite("mask.png", picture)
    settings = ("duration=1", "output.path=s.png", "objectives.0={layer: blocks.4, guide: guide.png, mask: mask.png}")
    make(*settings)
    assert not make(*settings, on_frame=must_not_dream).made
    for name in ("guide.png", "mask.png"):
        cv2.imwrite(name, 255 - picture)
        with pytest.raises(StorageError, match="another film"):
            make(*settings)
        cv2.imwrite(name, picture)
        assert not make(*settings, on_frame=must_not_dream).made
