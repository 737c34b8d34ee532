"""`render check`: warnings, tracks, defaults, and its JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.program import Call


def test_check_and_film_print_warnings_and_go_on(call: Call, folder: Path) -> None:
    arguments = ("s.yaml", "--set", "duration=3")
    message = "3 frames are 0.12 s at 24 fps; 3s with the unit are seconds"
    commands: list[tuple[str, ...]] = [("check", *arguments), (*arguments, "--camera-only")]
    for command in commands:
        ended = call(*command)
        assert ended.status == 0
        assert ended.err == f"render: --set:1:10: {message}\n    1 | duration=3\n{' ' * 17}^\n"
    assert call(*arguments, "--camera-only", "--quiet", "--overwrite").err == ""
    for command in commands:
        ended = call(*command, "--json")
        event = {"event": "warning", "message": message, "file": "--set", "line": 1, "column": 10}
        assert (ended.err, ended.events[0]) == ("", event)


def test_check_in_json_says_what_the_film_takes(call: Call, folder: Path) -> None:
    (event,) = call("check", "s.yaml", "--json").events
    known = {"event": "check", "path": "s.mp4", "frames": 3, "fps": "24", "width": 32, "height": 32}
    assert known.items() <= event.items()
    assert event["film_bytes"] < event["peak_bytes"] < event["free_bytes"]
    assert event["download_megabytes"] == 0


def test_check_in_json_lists_the_problems(call: Call, folder: Path) -> None:
    ended = call("check", "s.yaml", "--json", "--set", "fps=x", "--set", "seed=-1")
    *problems, error = ended.events
    assert [(each["event"], each["file"], each["line"], each["column"]) for each in problems] == [
        ("problem", "--set", 1, 5),
        ("problem", "--set", 1, 6),
    ]
    assert (error["event"], error["status"], ended.status) == ("error", 2, 2)
    assert all(each["message"] in error["message"] for each in problems)


TOUR = ("--set", "objectives=[{tour: classes, classes: [ant, bee]}]", "--set", "duration=4s")


def test_check_prints_the_tracks_that_change_and_the_turns_of_tours(call: Call, folder: Path) -> None:
    tracks = ("--set", "camera.zoom={0s: 1, 2s: 1.5}", "--set", "camera.pan=['0.1*sin(pi*t)', 0]")
    lines = [line.split() for line in call("check", "s.yaml", "--tracks", *TOUR, *tracks).out.splitlines()]
    assert [row[0] for row in lines if row[:1] and row[0].startswith("camera")] == ["camera.zoom", "camera.pan.0"]
    (zoom,) = (row for row in lines if row[:1] == ["camera.zoom"])
    assert (len(zoom), zoom[1], zoom[-1]) == (10, "1", "1.5")
    start = lines.index(["objectives.0", "fades", "in", "full", "fades", "out", "ends"])
    assert [" ".join(row) for row in lines[start + 1 :]] == ["ant 0 s 0 s 2 s 3 s", "bee 2 s 3 s 5 s 6 s"]
    assert call("check", "s.yaml", "--tracks").out.splitlines()[-1] == "no track changes"


def test_check_in_json_has_every_value_of_a_track_and_every_turn(call: Call, folder: Path) -> None:
    _, track, *turns = call(
        "check", "s.yaml", "--tracks", "--json", *TOUR, "--set", "camera.rotate={0: 0, 95: 95}"
    ).events
    assert track == {"event": "track", "key": "camera.rotate", "values": pytest.approx([*range(96)])}
    times = {"fades_in_s": 2, "full_s": 3, "fades_out_s": 5, "ends_s": 6}
    assert [turn["name"] for turn in turns] == ["ant", "bee"]
    assert turns[1] == {"event": "turn", "key": "objectives.0", "name": "bee", **times}


STILL = ("--set", "objectives=[{layer: blocks.1}]", "--set", "duration=1")


def test_check_prints_the_defaults_that_follow_from_the_scene(call: Call, folder: Path) -> None:
    lines = [line.split(maxsplit=1) for line in call("check", "s.yaml", "--defaults", *STILL).out.splitlines()]
    printed = lines[lines.index(["key", "default"]) + 1 :]
    assert ["objectives[]", '{"statistics": "natural"}'] in printed
    assert ["output.codec", '"png"'] in printed
    assert not [key for key, _ in printed if key.startswith("source")]  # the scene sets its grain
    film = ("--set", "output.path=s.png")
    assert call("s.yaml", *STILL, *film).status == 0
    assert call("check", "s.png", "--defaults").out.splitlines()[-1] == "no default follows from the scene"


def test_check_in_json_has_the_key_and_the_value_of_every_default(call: Call, folder: Path) -> None:
    _, *events = call("check", "s.yaml", "--defaults", "--json", *STILL).events
    defaults = {event["key"]: event["value"] for event in events}
    assert events == [{"event": "default", "key": key, "value": value} for key, value in defaults.items()]
    assert (defaults["objectives[]"], defaults["output.codec"]) == ({"statistics": "natural"}, "png")
    set_here = [f"--set={key}={json.dumps(value)}" for key, value in defaults.items() if key != "objectives[]"]
    assert len(call("check", "s.yaml", "--defaults", "--json", *STILL, *set_here).events) == 2
