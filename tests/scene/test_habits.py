"""Values written as in other programs or languages: the error says what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from render import load
from render.errors import SceneError
from render.scene.habits import remedy

SCENE = "objectives: [{layer: blocks.1}]\n"


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("1,03", "1.03"),
        ("-,5", "-0.5"),
        ("1,5/s", '"1.5/s"'),
        ("0:(1.02)", "{0: 1.02}"),
        ("0: (1.0), 48:(1.03), ", "{0: 1.0, 48: 1.03}"),
        ("0:(1.02+0.02*sin(2*3.14*t/30))", "1.02+0.02*sin(2*3.14*frame/30)"),
        ("46 %", "0.46"),
        ("12 px", "12"),
        ("-2.5°", "-2.5"),
        ("(1.02)", "1.02"),
    ],
)
def test_a_value_of_another_habit_has_a_remedy(text: str, instead: str) -> None:
    assert remedy(text) == instead


@pytest.mark.parametrize("text", ["1.03", "sin(t)", "max(1, 2)", "1:30", "a,b", "", "0:(1.02", "," * 20_000])
def test_other_texts_have_none(text: str) -> None:
    assert remedy(text) is None


@pytest.mark.parametrize(
    ("line", "says", "column"),
    [
        ("camera: {zoom: '1,03'}", "'1,03' is no number of a scene; write 1.03", 16),
        ("dream: {octave_scale: '1,4'}", "'1,4' is no number of a scene; write 1.4", 23),
        ("camera: {zoom: '0:(1.02)'}", "write {0: 1.02}", 16),
        ("camera: {pan: ['0:(0.1), 9:(0.2)', 0]}", "write {0: 0.1, 9: 0.2}", 16),
        ("camera: {rotate: {0: 1, 2s: '1,5'}}", "'1,5' is no number of a scene; write 1.5", 29),
        ("grade:\n  mean: 46%", "write 0.46", 9),
        (
            "camera:\n  zoom: 0: (1.02), 60: (1.04)",
            "mapping values are not allowed here; write {0: 1.02, 60: 1.04}",
            10,
        ),
    ],
)
def test_the_remedy_replaces_the_message_of_the_parser(line: str, says: str, column: int, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SCENE + line + "\n")
    with pytest.raises(SceneError) as caught:
        load(tmp_path / "s.yaml")
    (problem,) = caught.value.problems
    assert says in problem.message
    assert problem.position is not None
    assert problem.position.column == column


def test_what_is_written_instead_is_accepted(tmp_path: Path) -> None:
    for text in ("1,03", "0:(1.02), 48:(1.03)", "0:(1.02+0.01*sin(t/10))"):
        (tmp_path / "s.yaml").write_text(f"{SCENE}camera: {{zoom: {remedy(text)}}}\n")
        assert load(tmp_path / "s.yaml").params(1).camera.zoom > 1
