"""Mistakes on the command line: a message on standard error and a status, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.cli.program import SCENE, Call

ABSENT = "mps" if torch.cuda.is_available() else "cuda"
"""A device that this machine lacks."""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["s.yml"], "there is no scene file s.yml; did you mean 's.yaml'?"),
        (["chek"], "'chek' is neither a command nor a scene file; did you mean 'check'?"),
        (["chek", "s.yaml"], "'chek' is neither a command nor a scene file; did you mean 'check'?"),
        (["show", "s.mp4"], "'show' was renamed to 'inspect'"),
        (["s.yaml", "--fresh"], "--fresh was renamed to --restart"),
        (["--fresh", "s.yaml"], "--fresh was renamed to --restart"),
        (["s.yaml", "--overwrit"], "no such option '--overwrit'; did you mean '--overwrite'?"),
        (["s.yaml", "--nope"], "no such option: --nope; `render film --help` describes the command"),
        (["--nope"], "no such option: --nope; `render film --help` describes the command"),
        (["film"], "missing argument 'SCENE'; `render film --help` describes the command"),
        (["s.yaml", "--set", "seed"], "--set needs KEY=VALUE, such as camera.zoom=1.02, not 'seed'"),
        (["s.yaml", "--frames", "1"], "--frames needs A:B, two frame numbers, not '1'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_named_with_its_remedy(arguments: list[str], message: str, call: Call) -> None:
    ended = call(*arguments)
    assert (ended.status, ended.out, ended.err) == (4 if "scene file s" in message else 2, "", f"render: {message}\n")


@pytest.mark.parametrize("command", [[], ["film"], ["check"], ["upgrade"]], ids=str)
@pytest.mark.parametrize("name", ["none.yaml", "schema.yaml", "check.mp4", "./chek", "xyz"])
def test_a_missing_file_is_status_4_whatever_its_name(command: list[str], name: str, call: Call) -> None:
    ended = call(*command, name)
    assert ended.status == 4
    assert ended.err.startswith("render: there is no ")


@pytest.mark.parametrize("word", ["chek", "flim", "score1", "inspct"])
def test_a_mistyped_command_is_status_2_with_and_without_arguments(word: str, call: Call) -> None:
    for arguments in ([word], [word, "s.yaml"], [word, "none.yaml"]):
        ended = call(*arguments)
        assert ended.status == 2
        assert "is neither a command nor a scene file; did you mean" in ended.err


@pytest.mark.parametrize("arguments", [["--scale", "0.5", "s.yaml"], ["--set", "size=[16, 16]", "film.yaml"]])
def test_options_may_come_before_the_scene(arguments: list[str], call: Call, folder: Path) -> None:
    (folder / "film.yaml").write_text(SCENE)
    assert "3 frames of 16x16" in call(*arguments).out


@pytest.mark.parametrize("name", ["chek", "show", "-s.yaml"])
def test_a_scene_with_the_name_of_a_mistake_is_rendered(name: str, call: Call, folder: Path) -> None:
    (folder / name).write_text(SCENE)
    assert "3 frames of 32x32" in call("--output=o.mp4", "--", name).out
    assert name.startswith("-") or "nothing to render" in call(name, "--output", "o.mp4").out


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["none.yaml"], 4),
        (["."], 4),
        (["s" * 300], 4),
        (["check"], 2),
        (["layers", "efficientnet_lite9"], 2),
        (["schema", "s.yaml"], 2),
        (["s.yaml", "s.yaml"], 2),
        (["s.yaml", "--set"], 2),
        (["s.yaml", "--set", "seed=x"], 2),
        (["s.yaml", "--set", "layers.².weight=1"], 2),
        (["s.yaml", "--set", "source.noise.grain=1e-6"], 2),
        (["s.yaml", "--set", "source.noise.grain=1e-9", "--scale", "0.5"], 2),
        (["s.yaml", "--set", "camera.shear=[1, 1]"], 2),
        (["s.yaml", "--set", "camera.zoom=1e308"], 2),
        (["s.yaml", "--set", "camera.zoom=1e-320"], 2),
        (["s.yaml", "--set", "camera.pan=[1e308, 0]"], 2),
        (["s.yaml", "--set", "dream.transforms.jitter=1e20"], 2),
        (["s.yaml", "--set", "dream.transforms.jitter=1e308", "--scale", "8"], 2),
        (["s.yaml", "--set", "size=[16384, 16384]", "--scale", "8"], 2),
        (["s.yaml", "--set", "objectives.0.weight=1e308"], 2),
        (["s.yaml", "--frames", "2:1"], 2),
        (["s.yaml", "--frames", "0:9"], 2),
        (["s.yaml", "--frames", "²:3"], 2),
        (["s.yaml", "--frames", "0:" + "9" * 5000], 2),
        (["s.yaml", "--scale", "0"], 2),
        (["s.yaml", "--scale", "nan"], 2),
        (["s.yaml", "--scale", "x"], 2),
        (["s.yaml", "--device", "tpu"], 2),
        (["s.yaml", "--device", ABSENT], 3),
        (["s.yaml", "--precision", "int8"], 2),
        (["s.yaml", "--output", ""], 2),
        (["s.yaml", "--output", "a.avi"], 2),
        (["s.yaml", "--output", ".mp4"], 2),
        (["s.yaml", "--output", "s.yaml/a.mp4"], 4),
        (["s.yaml", "--output", "a" * 300 + ".mp4"], 4),
        (["s.yaml", "--set", 'output.path="a\\0b.mp4"'], 2),
        (["s.yaml", "--set", 'output.path="\\ud800.mp4"'], 2),
        (["s.yaml", "--set", 'source={image: "a\\0b.png"}'], 2),
        (["s.yaml", "--set", "source={image: ~nobody-here/p.png}"], 4),
        (["s.yaml", "--set", "source={image: s.yaml}"], 4),
        (["s.yaml", "--set", "source={image: .}"], 4),
        (["join", "none.mp4", "--output", "a.mp4"], 4),
        (["inspect", "s.yaml"], 4),
        (["score", "none.mp4"], 4),
    ],
    ids=lambda value: " ".join(value)[-60:] if isinstance(value, list) else None,
)
def test_a_mistake_is_a_short_message_and_a_status(arguments: list[str], status: int, call: Call) -> None:
    ended = call(*arguments)
    assert (ended.status, ended.out) == (status, "")
    assert ended.err.startswith("render: ")
    assert len(ended.err) < 3000
