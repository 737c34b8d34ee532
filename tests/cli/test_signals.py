"""`render signals`: the values, their plot and their table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.program import Call
from tests.sound.made import made_music, write_sound

SCENE = """\
size: [64, 64]
duration: 16b
bpm: auto
signals: {kick: {audio: output, band: [20, 150], onsets: true}, both: "max(kick, 0.5)"}
objectives: [{layer: blocks.4}]
view: {zoom: "1 + 0.1 * kick"}
"""
LOOP = """\
size: [64, 64]
duration: 48
loop: {blend: 12}
objectives: [{layer: blocks.4}]
camera: {rotate: "sin(tau * t / duration)"}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder, with two scenes and a song."""
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(SCENE)
    Path("loop.yaml").write_text(LOOP)
    write_sound(Path("song.wav"), made_music(120, 12, pattern="four"))


def rows(path: str) -> list[dict[str, float]]:
    """Returns the lines of a table."""
    with Path(path).open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def test_a_plot_a_table_and_the_tempo_are_made(call: Call) -> None:
    ended = call("signals", "s.yaml", "--song", "song.wav", "--csv", "all.csv")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("120 beats per minute, beat 0 at 0.1")
    assert [line.split()[0] for line in ended.out.splitlines()[1:] if line] == [
        "signal", "kick", "both", "track", "view.zoom", "s.signals.png:",
    ]  # fmt: skip
    with Image.open("s.signals.png") as plot:
        assert plot.size[0] == 1600
        assert len(plot.convert("RGB").getcolors(2**20) or []) > 10
    table = rows("all.csv")
    assert list(table[0]) == ["frame", "time", "kick", "both", "view.zoom"]
    assert [row["frame"] for row in table] == list(range(192))
    assert all(row["view.zoom"] == pytest.approx(1 + 0.1 * row["kick"], abs=1e-6) for row in table)
    assert max(row["kick"] for row in table) > 0.9


def test_signals_have_their_extremes_and_the_instant_of_the_greatest(call: Call) -> None:
    Path("t.csv").write_text("time,level\n0,0.25\n1,0.75\n2,0.25\n")
    Path("t.yaml").write_text(
        "duration: 2s\nsignals: {hue: {csv: t.csv}}\nhue: 90*hue\nobjectives: [{layer: blocks.4}]\n"
    )
    ended = call("signals", "t.yaml", "--csv", "all.csv")
    assert (ended.status, ended.err) == (0, "")
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["signal", "least", "mean", "greatest", "at"] in lines
    assert ["hue", "0.25", "0.5", "0.75", "1", "s"] in lines
    assert Path("all.csv").read_text().splitlines()[25] == "24,1.000000,0.75,67.5"
    events = [json.loads(line) for line in call("check", "t.yaml", "--tracks", "--json").out.splitlines()]
    signal = next(event for event in events if event.get("event") == "signal")
    assert (signal["name"], max(signal["values"])) == ("hue", 0.75)


def test_the_table_of_a_loop_has_its_frames(call: Call) -> None:
    assert call("signals", "loop.yaml", "--csv", "loop.csv").status == 0
    assert [row["frame"] for row in rows("loop.csv")] == list(range(48))


def test_a_table_that_exists_is_replaced_only_with_overwrite(call: Call) -> None:
    Path("loop.csv").write_text("mine")
    refused = call("signals", "loop.yaml", "--csv", "loop.csv")
    assert refused.status == 4
    assert Path("loop.csv").read_text() == "mine"
    assert call("signals", "loop.yaml", "--csv", "loop.csv", "--overwrite").status == 0
    assert len(rows("loop.csv")) == 48


def test_a_scene_in_which_nothing_changes_has_no_curves(call: Call) -> None:
    Path("still.yaml").write_text("duration: 3\nobjectives: [{layer: blocks.4}]\n")
    ended = call("signals", "still.yaml", "--csv", "still.csv")
    assert (ended.status, ended.err) == (0, "")
    assert "no track changes" in ended.out
    assert [row["frame"] for row in rows("still.csv")] == [0, 1, 2]
