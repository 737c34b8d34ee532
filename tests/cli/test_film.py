"""Rendering, checking, inspecting and joining films from the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml

from render.media import ffmpeg
from render.models.variants import VARIANTS
from tests.cli.program import SCENE, Call, Ended, strict_json


def test_a_scene_becomes_a_film_that_only_overwrite_replaces(call: Call, folder: Path) -> None:
    first = call("s.yaml")
    assert (first.status, first.err) == (0, "")
    assert first.out.startswith("s.mp4: 3 frames of 32x32 at 24 fps, rendered in ")
    film = (folder / "s.mp4").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["s.mp4", "s.yaml"]

    again = call("s.yaml")
    assert (again.status, again.out) == (0, "s.mp4 exists already; nothing to render\n")

    other = call("s.yaml", "--set", "seed=8")
    assert (other.status, other.out) == (4, "")
    assert "--overwrite replaces it" in other.err
    assert (folder / "s.mp4").read_bytes() == film

    replaced = call("s.yaml", "--set", "seed=8", "--overwrite", "--quiet")
    assert replaced == Ended(0, "", "")
    assert (folder / "s.mp4").read_bytes() != film


def test_a_file_that_is_no_film_is_not_overwritten(call: Call, folder: Path) -> None:
    (folder / "s.mp4").write_bytes(b"my only copy")
    assert call("s.yaml").status == 4
    assert (folder / "s.mp4").read_bytes() == b"my only copy"


def test_json_is_one_object_per_line(call: Call) -> None:
    ended = call("--json", "s.yaml", "--output", "ü 😀.mp4")
    assert (ended.status, ended.err) == (0, "")
    *frames, film = ended.events
    assert [(e["event"], e["frame"], e["first"], e["last"]) for e in frames] == [("frame", i, 0, 3) for i in range(3)]
    assert all(e["rate"] > 0 and e["objective"] > 0 for e in frames)
    assert [e["eta_s"] for e in frames] == [None, None, 0]
    size = {"width": 32, "height": 32}
    assert film == {"event": "film", "path": "ü 😀.mp4", "frames": 3, "fps": "24", **size, "made": True}
    assert Path("ü 😀.mp4").is_file()


@pytest.mark.parametrize(
    "arguments",
    ["s.yaml --set fps=x", "none.yaml", "s.yaml --device tpu", "s.yaml --nope", "s.yaml --scale x", "chek"],
)
def test_an_error_in_json_is_an_object_with_the_message(arguments: str, call: Call) -> None:
    in_text = call(*arguments.split())
    in_json = call(*arguments.split(), "--json")
    (event,) = in_json.events
    assert event == {"event": "error", "status": in_text.status, "message": event["message"]}
    assert in_text.err == f"render: {event['message']}\n"
    assert in_json.err == ""


def test_an_infinite_objective_is_null_in_json(call: Call, folder: Path) -> None:
    """The bias of a layer is so large that its mean square is no float32, while its gradient is finite."""
    path = VARIANTS["efficientnet_lite0"].weights_file()
    assert path is not None
    state = torch.load(path, map_location="cpu", weights_only=True)
    state["_blocks.1._bn2.bias"] += 3e19
    torch.save(state, folder / "large.pth")
    arguments = ("s.yaml", "--set", "network.weights_file=large.pth", "--precision", "float32")
    ended = call(*arguments, "--json")
    assert ended.status == 0
    *frames, film = ended.events
    assert [(event["event"], event["objective"]) for event in frames] == [("frame", None)] * 3
    assert film["made"]


def test_a_film_of_some_frames_has_their_numbers_in_its_name(call: Call, folder: Path) -> None:
    assert "s.1-3.mp4: 2 frames" in call("s.yaml", "--frames", "1:3").out
    assert "named.mp4: 1 frame of" in call("s.yaml", "--frames", "0:1", "--output", "named.mp4").out
    assert call("s.yaml", "--frames", "1:3", "--set", "output.path=f/%02d.png", "--quiet").status == 0
    assert sorted(path.name for path in (folder / "f").iterdir()) == ["01.png", "02.png"]


def test_scale_shrinks_the_film_and_is_in_its_name(call: Call) -> None:
    assert call("s.yaml", "--scale", "0.5").out.startswith("s.x0.5.mp4: 3 frames of 16x16")


def test_parts_are_joined(call: Call, folder: Path) -> None:
    for frames in ("0:2", "2:3"):
        assert call("s.yaml", "--frames", frames, "--quiet").status == 0
    assert call("join", "s.2-3.mp4", "s.0-2.mp4", "--output", "whole.mp4").out == "whole.mp4: 3 frames\n"
    again = call("join", "s.0-2.mp4", "s.2-3.mp4", "--output", "whole.mp4")
    assert again.status == 4
    assert "--overwrite replaces it" in again.err


def test_inspect_prints_the_scene_of_a_film(call: Call) -> None:
    call("s.yaml", "--quiet")
    assert yaml.safe_load(call("inspect", "s.mp4").out)["objectives"][0]["layer"] == "blocks.1"
    metadata = strict_json(call("inspect", "s.mp4", "--json").out)
    assert metadata["scene"]["size"] == [32, 32]
    assert metadata["frames"] == [0, 3]


def test_a_scene_is_checked_without_being_rendered(call: Call, folder: Path) -> None:
    valid = call("check", "s.yaml", "--set", "duration=10s", "--set", "fps=29.97")
    assert (valid.status, valid.err) == (0, "")
    first, second = valid.out.splitlines()
    assert first == "s.yaml: OK, 300 frames of 32x32 at 30000/1001 fps -> s.mp4"
    assert re.search(r"34\.6 kB.*[0-9.]+ [MG]B are free", second)
    invalid = call("check", "s.yaml", "--set", "camera.zom=1", "--set", "fps=x")
    assert (invalid.status, invalid.out) == (2, "")
    assert "did you mean 'zoom'?" in invalid.err
    assert "'x' is not a rate" in invalid.err
    assert not (folder / "s.mp4").exists()


@pytest.mark.parametrize("size", ["[32, 32]", "~"])
def test_check_reports_a_missing_picture(size: str, call: Call) -> None:
    ended = call("check", "s.yaml", "--set", "source={image: none.png}", "--set", f"size={size}")
    assert ended.status == 4
    assert "--set:1:16: cannot read" in ended.err
    assert "none.png" in ended.err


def test_check_reports_what_the_machine_lacks(call: Call) -> None:
    no_weights = call("check", "s.yaml", "--set", "network=vgg16", "--set", "objectives=[{layer: features.3}]")
    assert "; weights of 528 MB are not on this machine yet" in no_weights.out
    no_folder = call("check", "s.yaml", "--set", "output.path=s.yaml/a.mp4")
    assert (no_folder.status, no_folder.err) == (4, "render: cannot write in s.yaml: it is not a folder\n")


@pytest.mark.parametrize("name", ["50%.yaml", "a%d.yaml", "no suffix", "ü.YAML"])
def test_a_scene_file_may_have_any_name(name: str, call: Call, folder: Path) -> None:
    (folder / name).write_text(SCENE)
    assert call("check", name, "--set", "output.codec=h265").status == 0


@pytest.mark.parametrize("jitter", ["4" + " + t" * 60, "-" * 64 + "4"])
def test_every_expression_can_be_scaled(jitter: str, call: Call) -> None:
    assert call("check", "s.yaml", "--set", f'dream.transforms.jitter="{jitter}"', "--scale", "0.5").status == 0


def test_a_machine_without_ffmpeg_is_status_3(folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(folder / "none"))
    for cached in (ffmpeg.binary, ffmpeg.version, ffmpeg.containers):
        monkeypatch.setattr(ffmpeg, cached.__name__, cached.__wrapped__)
    ended = call("s.yaml")
    assert (ended.status, ended.out) == (3, "")
    assert str(folder / "none") in ended.err
