"""The command line: exit statuses, what goes where, and no traceback for anything one can type."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import render
from render import cli
from render.film import ffmpeg

SCENE = """\
size: [32, 32]
duration: 3
source: {noise: {grain: 8}}
layers: [{layer: blocks.1}]
dream: {octaves: 1, steps: 1, jitter: 4}
"""
PYTHON_M = [sys.executable, "-m", "render"]
ABSENT = "mps" if torch.cuda.is_available() else "cuda"
"""A device that this machine lacks."""


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def events(self) -> list[Any]:
        """Standard output, a strict JSON object a line."""

        def no_constant(name: str) -> None:
            raise ValueError(f"{name} is not JSON")

        return [json.loads(line, parse_constant=no_constant) for line in self.out.splitlines()]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the scene `s.yaml` in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SCENE)
    return tmp_path


@pytest.fixture
def call(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """The program within this process; an exception that a shell would see as a traceback fails the test."""

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["render", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, *capsys.readouterr())

    return run


def shell(*arguments: str, program: list[str]) -> Ended:
    """The program as a process of its own."""
    made = subprocess.run([*program, *arguments], capture_output=True, text=True, check=False, timeout=120)
    return Ended(made.returncode, made.stdout, made.stderr)


def test_a_scene_becomes_a_film_that_is_kept_until_told_otherwise(call: Any, folder: Path) -> None:
    first = call("s.yaml")
    assert (first.status, first.err) == (0, "")
    assert first.out.startswith("s.mp4: 3 frames of 32x32 at 24 a second, made in ")
    film = (folder / "s.mp4").read_bytes()
    assert sorted(p.name for p in folder.iterdir()) == ["s.mp4", "s.yaml"]

    again = call("s.yaml")
    assert (again.status, again.out) == (0, "s.mp4 is this film already; nothing to do\n")

    other = call("s.yaml", "--set", "seed=8")
    assert (other.status, other.out) == (4, "")
    assert "--overwrite replaces it" in other.err
    assert (folder / "s.mp4").read_bytes() == film

    replaced = call("s.yaml", "--set", "seed=8", "--overwrite", "--quiet")
    assert replaced == Ended(0, "", "")
    assert (folder / "s.mp4").read_bytes() != film


def test_what_is_there_and_no_film_of_ours_is_not_overwritten(call: Any, folder: Path) -> None:
    (folder / "s.mp4").write_bytes(b"my only copy")
    assert call("s.yaml").status == 4
    assert (folder / "s.mp4").read_bytes() == b"my only copy"


def test_json_is_an_object_a_line(call: Any) -> None:
    made = call("--json", "s.yaml", "--output", "ü 😀.mp4")
    assert (made.status, made.err) == (0, "")
    *frames, film = made.events
    assert [(e["event"], e["frame"], e["first"], e["last"]) for e in frames] == [("frame", i, 0, 3) for i in range(3)]
    assert all(e["rate"] > 0 and e["left"] >= 0 and e["objective"] > 0 for e in frames)
    size = {"width": 32, "height": 32}
    assert film == {"event": "film", "path": "ü 😀.mp4", "frames": 3, "fps": "24", **size, "made": True}
    assert Path("ü 😀.mp4").is_file()


@pytest.mark.parametrize(
    "arguments", ["s.yaml --set fps=x", "none.yaml", "s.yaml --device tpu", "s.yaml --nope", "s.yaml --scale x"]
)
def test_an_error_in_json_is_an_object_too(arguments: str, call: Any) -> None:
    made = call(*arguments.split(), "--json")
    (event,) = made.events
    assert (event["event"], event["status"]) == ("error", made.status)
    assert event["message"]


def test_json_stays_json_when_the_objective_is_no_number(call: Any) -> None:
    made = call("s.yaml", "--json", "--set", "layers.0.weight=1e308")
    assert made.status in (0, 2)
    assert made.events


def test_some_frames_are_a_film_with_their_numbers_in_its_name(call: Any, folder: Path) -> None:
    assert "s.1-3.mp4: 2 frames" in call("s.yaml", "--frames", "1:3").out
    assert "named.mp4: 1 frame of" in call("s.yaml", "--frames", "0:1", "--output", "named.mp4").out
    assert call("s.yaml", "--frames", "1:3", "--set", "output.path=f/%02d.png", "--quiet").status == 0
    assert sorted(p.name for p in (folder / "f").iterdir()) == ["01.png", "02.png"]


def test_scale_shrinks_the_film(call: Any) -> None:
    assert "frames of 16x16" in call("s.yaml", "--scale", "0.5").out


def test_a_scene_is_checked_without_being_rendered(call: Any, folder: Path) -> None:
    right = call("check", "s.yaml", "--set", "duration=10s", "--set", "fps=29.97")
    assert (right.status, right.err) == (0, "")
    first, second = right.out.splitlines()
    assert first == "s.yaml is right: 300 frames of 32x32 at 30000/1001 a second, to s.mp4"
    assert re.fullmatch(r"the film will take about 34\.6 kB, 155 kB while it is made; [0-9.]+ [MG]B are free", second)
    wrong = call("check", "s.yaml", "--set", "camera.zom=1", "--set", "fps=x")
    assert (wrong.status, wrong.out) == (2, "")
    assert "did you mean 'zoom'?" in wrong.err
    assert "'x' is not a rate" in wrong.err
    assert not (folder / "s.mp4").exists()


@pytest.mark.parametrize("size", ["[32, 32]", "~"])
def test_a_check_finds_that_the_picture_is_missing(size: str, call: Any) -> None:
    made = call("check", "s.yaml", "--set", "source={image: none.png}", "--set", f"size={size}")
    assert made.status == 4
    assert "--set:1:16: cannot read" in made.err
    assert "none.png" in made.err


def test_the_networks_are_listed(call: Any) -> None:
    rows = json.loads(call("networks", "--json").out)
    by_name = {row["name"]: row for row in rows}
    assert len(rows) > 80
    assert by_name["efficientnet_lite0"]["here"] is True
    assert by_name["googlenet"]["parameters"] == 6624904
    assert by_name["googlenet"]["accuracy"] == 69.778
    assert by_name["googlenet"]["megabytes"] == pytest.approx(49.7, abs=0.1)
    table = call("networks").out.splitlines()
    assert table[0].split() == ["network", "parameters", "ImageNet", "top-1", "download", "here"]
    assert any(line.split() == ["efficientnet_lite0", "4.7", "M", "75.1", "%", "18", "MB", "yes"] for line in table)


def test_the_layers_of_a_network_are_listed(call: Any) -> None:
    rows = json.loads(call("layers", "efficientnet_lite0", "--json").out)
    assert [row["name"] for row in rows if row["name"].startswith("blocks.")] == [f"blocks.{i}" for i in range(16)]
    assert rows[11] == {
        "name": "blocks.10", "kind": "InvertedResidual", "channels": 112, "stride": 16, "receptive_field": 339
    }  # fmt: skip
    table = call("layers", "googlenet")
    assert table.status == 0
    assert ["inception4c", "Inception", "512", "16", "171"] in [line.split() for line in table.out.splitlines()]


def test_all_layers_of_a_network_are_listed_when_asked_for(call: Any) -> None:
    rows = json.loads(call("layers", "googlenet", "--all", "--json").out)
    assert {"inception4c.branch2.1.conv", "inception4c.cat", "fc"} <= {row["name"] for row in rows}
    assert "everything" in call("layers", "googlenet", "--all").out


def test_an_unknown_network_is_a_sentence(call: Any) -> None:
    for command in ("layers", "classes", "atlas"):
        made = call(command, "googlnet")
        assert made.status == 2
        assert made.err == "render: unknown network 'googlnet'; did you mean 'googlenet'?\n"


def test_the_classes_of_a_network_are_listed(call: Any) -> None:
    assert json.loads(call("classes", "--json").out)[954] == "banana"
    assert ["954", "banana"] in [line.split() for line in call("classes", "googlenet").out.splitlines()]


def test_an_atlas_is_made_and_not_overwritten_unasked(call: Any, folder: Path) -> None:
    arguments = ["atlas", "efficientnet_lite0", "--layers", "stem, blocks.2", "--side", "32"]
    made = call(*arguments)
    assert (made.status, made.out) == (0, "efficientnet_lite0.atlas.png: 2 pictures\n")
    assert "--overwrite replaces it" in call(*arguments).err
    assert call(*arguments, "--overwrite", "--quiet").out == ""
    assert call(*arguments, "--channels", "stem:1").status == 2


def test_the_schema_is_printed(call: Any) -> None:
    assert "properties" in json.loads(call("schema").out)


def test_version_and_help_are_given(call: Any) -> None:
    assert call("--version").out == f"render {render.__version__}\n"
    for arguments in ([], ["--help"]):
        made = call(*arguments)
        assert made.status == 0
        assert all(word in made.out for word in ("film", "check", "schema", "layers"))
    assert "--overwrite" in call("s.yaml", "--help").out


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["none.yaml"], 4),
        (["."], 4),
        (["s" * 300], 4),
        (["chek", "s.yaml"], 2),
        (["check"], 2),
        (["film"], 2),
        (["layers", "efficientnet_lite9"], 2),
        (["schema", "s.yaml"], 2),
        (["s.yaml", "s.yaml"], 2),
        (["s.yaml", "--nope"], 2),
        (["s.yaml", "--set"], 2),
        (["s.yaml", "--set", "seed"], 2),
        (["s.yaml", "--set", "seed=x"], 2),
        (["s.yaml", "--set", "layers.².weight=1"], 2),
        (["s.yaml", "--set", "source.noise.grain=1e-6"], 2),
        (["s.yaml", "--set", "source.noise.grain=1e-9", "--scale", "0.5"], 2),
        (["s.yaml", "--set", "camera.shear=[1, 1]"], 2),
        (["s.yaml", "--set", "camera.zoom=1e308"], 2),
        (["s.yaml", "--set", "camera.zoom=1e-320"], 2),
        (["s.yaml", "--set", "camera.pan=[1e308, 0]"], 2),
        (["s.yaml", "--set", "dream.jitter=1e20"], 2),
        (["s.yaml", "--set", "dream.jitter=1e308", "--scale", "8"], 2),
        (["s.yaml", "--set", "size=[16384, 16384]", "--scale", "8"], 2),
        (["s.yaml", "--set", "layers.0.weight=1e308"], 2),
        (["s.yaml", "--frames", "1"], 2),
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
        (["s.yaml", "--output", "a.gif"], 2),
        (["s.yaml", "--output", ".mp4"], 2),
        (["s.yaml", "--output", "s.yaml/a.mp4"], 4),
        (["s.yaml", "--output", "a" * 300 + ".mp4"], 4),
        (["s.yaml", "--set", 'output.path="a\\0b.mp4"'], 2),
        (["s.yaml", "--set", 'output.path="\\ud800.mp4"'], 2),
        (["s.yaml", "--set", 'source={image: "a\\0b.png"}'], 2),
        (["s.yaml", "--set", "source={image: ~nobody-here/p.png}"], 4),
        (["s.yaml", "--set", "source={image: s.yaml}"], 4),
        (["s.yaml", "--set", "source={image: .}"], 4),
    ],
    ids=lambda value: " ".join(value)[-60:] if isinstance(value, list) else None,
)
def test_a_mistake_is_a_message_and_a_status_never_a_traceback(arguments: list[str], status: int, call: Any) -> None:
    made = call(*arguments)
    assert made.status == status
    assert made.err
    assert "Traceback" not in made.err
    assert len(made.err) < 3000


@pytest.mark.parametrize("name", ["50%.yaml", "a%d.yaml", "no suffix", "ü.YAML"])
def test_a_scene_file_may_have_any_name(name: str, call: Any, folder: Path) -> None:
    (folder / name).write_text(SCENE)
    assert call("check", name, "--set", "output.codec=h265").status == 0


def test_a_check_finds_what_the_machine_lacks_too(call: Any, folder: Path) -> None:
    absent = call("check", "s.yaml", "--set", "network=vgg16", "--set", "layers=[{layer: features.3}]")
    assert "; weights of 528 MB are not on this machine yet" in absent.out
    in_the_way = call("check", "s.yaml", "--set", "output.path=s.yaml/a.mp4")
    assert (in_the_way.status, in_the_way.err) == (4, "render: cannot write in s.yaml: it is not a folder\n")


@pytest.mark.parametrize("jitter", ["4" + " + t" * 60, "-" * 64 + "4"])
def test_every_expression_can_be_scaled(jitter: str, call: Any) -> None:
    assert call("check", "s.yaml", "--set", f"dream.jitter={jitter!r}".replace("'", '"'), "--scale", "0.5").status == 0


def test_render_is_python_m_render(folder: Path) -> None:
    script = [str(Path(sys.executable).with_name("render"))]
    ways = [shell("chek", program=program) for program in (script, PYTHON_M)]  # ends before torch is imported
    assert ways[0] == ways[1]
    assert ways[0].status == 2
    assert ways[0].err.startswith("render: 'chek' is neither a command nor a scene file; did you mean 'check'?")


def test_a_machine_without_ffmpeg_is_status_3(folder: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(folder / "none"))
    for remembered in (ffmpeg.binary, ffmpeg.version, ffmpeg._containers):
        monkeypatch.setattr(ffmpeg, remembered.__name__, remembered.__wrapped__)
    made = call("s.yaml")
    assert (made.status, made.out) == (3, "")
    assert "Traceback" not in made.err
    assert str(folder / "none") in made.err


def test_a_reader_that_goes_away_ends_the_program_without_a_traceback(folder: Path) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([*PYTHON_M, "s.yaml", "--json"], stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        process.wait(60)
    assert "Traceback" not in err
    assert "s.mp4.parts" not in err  # nothing is wrong there


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a Linux device")
def test_a_full_disk_under_the_output_is_status_4(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        made = subprocess.run([*PYTHON_M, "schema"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert "Traceback" not in made.stderr
    assert made.returncode == 4


def test_a_terminal_shows_frame_rate_time_left_and_objective(folder: Path) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    whole = os.environ | {"COLUMNS": "100", "TERM": "xterm"}
    long = ["--set", "dream.first.steps=60", "--set", "size=[64, 64]"]
    with subprocess.Popen([*PYTHON_M, "s.yaml", *long], stdout=theirs, stderr=theirs, env=whole) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # Linux says so when the other side is closed
            while part := os.read(ours, 4096):
                shown += part
    os.close(ours)
    text = shown.decode()
    assert process.returncode == 0
    assert "first frame, step " in text
    assert "frame 3 of 3" in text
    assert "/s" in text
    assert "0:0" in text
    assert "objective" in text
    assert "s.mp4: 3 frames" in text


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("s.yml", "there is no scene file s.yml; did you mean 's.yaml'?"),
        ("chek", "'chek' is neither a command nor a scene file; did you mean 'check'?"),
    ],
)
def test_a_mistyped_scene_or_command_is_told_apart(word: str, says: str, call: Any) -> None:
    assert says in call(word).err
