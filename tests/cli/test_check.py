"""`render check`: warnings, and its JSON."""

from __future__ import annotations

from pathlib import Path

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
