"""The display of a job: a table on a terminal, lines in a log, JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from render.cli.job_display import JsonJobDisplay, LogJobDisplay, TableJobDisplay
from render.cli.output import print_table
from render.jobs.model import Job, Progress, Task, TaskState


def job_of(count: int) -> tuple[Job, dict[str, TaskState]]:
    """A job of some tasks, and their states."""
    folder = str(Path.cwd())
    tasks = tuple(
        Task(id=str(n), label=f"s{n}.yaml", scene=f"/s{n}.yaml", folder=folder, output=f"{folder}/s{n}.mp4")
        for n in range(1, count + 1)
    )
    return Job(name="job", created=0.0, tasks=tasks), {task.id: TaskState() for task in tasks}


def table_text(display: TableJobDisplay, *, width: int, height: int = 24) -> str:
    """What the table looks like."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, height=height)
    console.print(display._table())
    return stream.getvalue()


def test_the_table_shows_frame_rate_and_remaining_time_also_where_it_is_narrow() -> None:
    display = TableJobDisplay(Console(file=io.StringIO(), width=60, height=24))
    job, states = job_of(3)
    display.job(job, states)
    display.state(job.tasks[0], TaskState(state="RUNNING"))
    display.progress(job.tasks[0], Progress(frame=11, first=0, last=48, rate=1.5, eta_s=24.0))
    display.state(job.tasks[1], TaskState(state="SUCCEEDED", frames=48))
    text = table_text(display, width=60)
    for part in ("RUNNING", "12 of 48", "1.50/s", "24 s", "SUCCEEDED", "WAITING", "1 WAITING, 1 RUNNING, 1 SUCCEEDED"):
        assert part in text


def test_a_table_of_many_tasks_shows_those_that_run_and_failed_and_fits_the_terminal() -> None:
    display = TableJobDisplay(Console(file=io.StringIO(), width=100, height=12))
    job, states = job_of(100)
    display.job(job, states)
    display.state(job.tasks[70], TaskState(state="RUNNING"))
    display.state(job.tasks[90], TaskState(state="DEAD", status=4, message="no room"))
    text = table_text(display, width=100)
    assert len(text.splitlines()) <= 12
    assert "s71.yaml" in text
    assert "status 4: no room" in text
    assert "98 WAITING, 1 RUNNING, 1 DEAD" in text


def test_a_log_has_a_line_for_each_change_and_films_are_on_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = io.StringIO()
    display = LogJobDisplay(Console(file=stream))
    job, _ = job_of(2)
    display.state(job.tasks[0], TaskState(state="RUNNING"))
    display.warning(job.tasks[0], "a small \x1b[31mdisk")
    display.state(job.tasks[0], TaskState(state="SUCCEEDED", frames=9, seconds=3.4))
    display.state(job.tasks[1], TaskState(state="DEAD", status=2, message="wrong\n  here"))
    assert capsys.readouterr().out == "s1.mp4: 9 frames, rendered in 3 s\n"
    lines = ["s1.yaml: RUNNING", "render: s1.yaml: a small \\x1b[31mdisk", "s2.yaml: DEAD, status 2: wrong"]
    assert stream.getvalue().splitlines() == lines


def test_json_has_an_object_for_each_event(capsys: pytest.CaptureFixture[str]) -> None:
    display = JsonJobDisplay()
    job, states = job_of(1)
    display.job(job, states)
    display.state(job.tasks[0], TaskState(state="RUNNING"))
    display.progress(job.tasks[0], Progress(frame=1, first=0, last=4))
    display.warning(job.tasks[0], "hm")
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["job", "task", "frame", "warning"]
    assert events[0]["tasks"][0] == {key: value for key, value in events[1].items() if key != "event"} | {
        "state": "WAITING"
    }
    assert events[2] == {"event": "frame", "task": "1", "frame": 1, "first": 0, "last": 4, "rate": None, "eta_s": None}


@pytest.mark.parametrize("width", [20, 40, 80])
def test_no_name_is_markup_or_breaks_the_table(width: int) -> None:
    display = TableJobDisplay(Console(file=io.StringIO(), width=width, height=24))
    job, states = job_of(2)
    names = ("[red]a[/b] :smile:.yaml", "x" * 5000)
    tasks = tuple(task.model_copy(update={"label": name}) for task, name in zip(job.tasks, names, strict=True))
    display.job(job.model_copy(update={"tasks": tasks}), states)
    lines = table_text(display, width=width).splitlines()
    assert max(map(len, lines)) <= width
    if width == 80:
        assert "[red]a[/b] :smile:" in lines[1]


def test_a_table_of_a_list_has_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name",), [("[red]a[/b] :smile:",)])
    assert capsys.readouterr().out.splitlines()[1] == "[red]a[/b] :smile:"


def test_films_are_printed_when_the_table_is_gone_and_shots_are_no_films(capsys: pytest.CaptureFixture[str]) -> None:
    job, states = job_of(2)
    shot = job.tasks[0].model_copy(update={"film": "2"})
    done = TaskState(state="SUCCEEDED", frames=1, seconds=2)
    for display in (TableJobDisplay(Console(file=io.StringIO())), LogJobDisplay(Console(file=io.StringIO()))):
        with display:
            display.job(job, states)
            display.state(shot, done)
            display.state(job.tasks[1], done)
        assert capsys.readouterr().out == "s2.mp4: 1 frame, rendered in 2 s\n"
