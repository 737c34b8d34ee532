"""Provenance: what a film's bytes depend on is in it, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torchvision.models import optical_flow

from render import load
from render.models.network import Network
from render.motion import flow
from render.pipeline.plan import Options
from render.pipeline.provenance import provenance, provenance_diff
from render.system.checksum import sha256
from tests import footage
from tests.conftest import engine_of
from tests.media.clips import LOSSLESS, levels, write_clip

SCENE = """
size: [64, 48]
duration: 6
source: {image: pictures/still.png}
objectives: [{layer: blocks.1, mask: mask.png}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a scene and its pictures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    for name, level in (("pictures/still.png", 100), ("mask.png", 255)):
        cv2.imwrite(name, np.full((48, 64, 3), level, np.uint8))
    (tmp_path / "scene.yaml").write_text(SCENE)
    return tmp_path


CPU = Options(device="cpu", precision="float32")


def of_scene(network: Network, *settings: tuple[str, str], options: Options = CPU) -> dict[str, Any]:
    """Returns the provenance of SCENE with some keys set."""
    scene = load("scene.yaml", [("--set", key, value) for key, value in settings])
    return provenance(engine_of(scene, network, options))


def test_provenance_is_plain_json_with_checksums_and_versions(folder: Path, network: Network) -> None:
    metadata = of_scene(network, options=Options(device="cpu", precision="float32", frames=(1, 4)))
    assert json.loads(json.dumps(metadata)) == metadata
    assert metadata["frames"] == [1, 4]
    assert metadata["weights"] == network.sha256
    assert len(network.sha256) == 64
    assert metadata["machine"]["precision"] == "float32"
    assert metadata["machine"]["tile"] is None
    assert metadata["versions"]["torch"] == torch.__version__
    assert metadata["files"] == {
        "source.image": sha256(Path("pictures/still.png")),
        "objectives.0.mask": sha256(Path("mask.png")),
    }


def test_provenance_does_not_depend_on_paths(folder: Path, network: Network) -> None:
    before = of_scene(network)
    assert before["scene"]["source"]["image"] == "still.png"
    (folder / "elsewhere").mkdir()
    (folder / "pictures" / "still.png").rename(folder / "elsewhere" / "still.png")
    moved = of_scene(network, ("source.image", "elsewhere/still.png"), ("output.path", "elsewhere/film.mp4"))
    assert moved == before


@pytest.mark.parametrize("key", ["source.image", "objectives.0.mask"])
def test_a_changed_file_changes_the_provenance(key: str, folder: Path, network: Network) -> None:
    before = of_scene(network)
    file = folder / {"source.image": "pictures/still.png", "objectives.0.mask": "mask.png"}[key]
    cv2.imwrite(str(file), np.full((48, 64, 3), 50, np.uint8))
    (change,) = provenance_diff(before, of_scene(network))
    assert change.startswith(f"files.{key} was ")


@pytest.mark.parametrize(
    "setting", [("seed", "4"), ("camera.zoom", "1.03"), ("dream.steps", "3"), ("output.crf", "20")]
)
def test_a_changed_scene_changes_the_provenance(setting: tuple[str, str], folder: Path, network: Network) -> None:
    assert of_scene(network, setting)["scene"] != of_scene(network)["scene"]


def test_a_clip_and_the_weights_of_its_flow_have_checksums(
    folder: Path, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With random weights, where torch stores downloads."""
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch"))
    write_clip(folder / "c.mp4", levels(3), *LOSSLESS)
    checkpoints = folder / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    file = checkpoints / flow.raft_weights("raft_small").url.rsplit("/", 1)[1]
    torch.save(optical_flow.raft_small().state_dict(), file)
    scene = footage.scene_of(folder, ("follow.flow", "raft_small"))
    metadata = provenance(engine_of(scene, network, CPU))
    assert metadata["weights"] == {"network": network.sha256, "flow": sha256(file)}
    assert metadata["files"] == {"source.video": sha256(folder / "c.mp4")}
