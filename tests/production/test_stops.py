"""Ctrl-C and SIGTERM: a tidy end within a frame, and a message that says how to resume."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from render.dream import ascent
from render.dream.transforms import Transform, random_transform
from render.media import ffmpeg
from tests.production.films import FILM, FRAMES, PARTS, append_index, checksums, make, must_not_dream
from tests.production.messages import STOPPED, STOPPED_WITH_FRAMES
from tests.production.processes import Run, running_processes

MAX_SECONDS = 5.0
"""From a signal to the end of the process, on a machine that is busy with other work."""


def is_caught(status: Path, number: signal.Signals) -> bool:
    """Whether a process handles a signal, proc(5); Python itself handles Ctrl-C before render does."""
    caught = re.search(r"SigCgt:\s*([0-9a-f]+)", status.read_text())
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


def assert_tidy(folder: Path) -> None:
    """Asserts that no process runs, and that there is no temporary file and no film."""
    assert not running_processes(folder)
    assert not list(folder.rglob("*.tmp*"))
    assert not (folder / FILM).exists()


def safe_frames(message: str) -> int:
    """The number of safe frames in the message of an interrupted run."""
    match = re.fullmatch(STOPPED_WITH_FRAMES, message)
    assert match is not None, message
    return int(match[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_film_reports_the_safe_frames_and_resumes_after_them(
    workspace: Path, reference: dict[str, str], number: signal.Signals
) -> None:
    run = Run(workspace, "film.yaml", "--json").wait_for_frame(9)
    start = time.monotonic()
    result = run.send_signal(number).wait()
    assert time.monotonic() - start < MAX_SECONDS
    assert result.status == 130
    event = result.events[-1]
    assert event["event"] == "error"
    assert event["status"] == 130
    safe = safe_frames(event["message"])
    assert 8 <= safe < FRAMES
    assert not result.err
    assert_tidy(workspace)
    indices: list[int] = []
    make(on_frame=append_index(indices))
    assert indices == list(range(safe, FRAMES))
    assert checksums(workspace) == {FILM: reference[FILM]}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_json_an_interruption_is_one_line(
    workspace: Path, reference: dict[str, str], number: signal.Signals
) -> None:
    result = Run(workspace, "film.yaml").wait_for_file(f"{PARTS}/00000.json").send_signal(number).wait()
    assert result.status == 130
    assert not result.out
    assert safe_frames(result.err.removeprefix("render: ").removesuffix("\n")) >= 4
    assert_tidy(workspace)
    make()
    assert checksums(workspace) == {FILM: reference[FILM]}


@pytest.mark.parametrize("step", [0, *(pytest.param(step, marks=pytest.mark.slow) for step in (1, 3, 4)), 2, 5])
def test_a_second_signal_ends_the_process_at_once_and_keeps_the_segments(
    workspace: Path, reference: dict[str, str], step: int
) -> None:
    run = Run(workspace, "film.yaml").wait_for_file(f"{PARTS}/00001.json")
    run.send_signal(signal.SIGINT)
    time.sleep(0.004 * step)
    start = time.monotonic()
    result = run.send_signal(signal.SIGINT).wait()
    assert time.monotonic() - start < MAX_SECONDS
    assert result.status == 130
    assert "Traceback" not in result.err
    assert result.err.count("\n") <= 1
    indices: list[int] = []
    make(on_frame=append_index(indices))
    assert indices[0] >= 8
    assert checksums(workspace) == {FILM: reference[FILM]}


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.1, 0.2])
def test_before_the_first_frame_an_interruption_is_one_line_too(workspace: Path, seconds: float) -> None:
    run = Run(workspace, "film.yaml")
    status = Path(f"/proc/{run.pid}/status")
    run.wait_until(lambda: is_caught(status, signal.SIGTERM))
    time.sleep(seconds)
    result = run.send_signal(signal.SIGINT).wait()
    assert result.status == 130
    assert re.fullmatch(rf"render: {STOPPED}\n", result.err)


def drop_an_interruption() -> None:
    """Makes the first step of the dream receive Ctrl-C, and drop it as a callback of C code does."""

    def interrupted(*arguments: Any, **options: Any) -> Transform:
        vars(ascent)["random_transform"] = random_transform
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return random_transform(*arguments, **options)

    vars(ascent)["random_transform"] = interrupted


def test_an_interruption_that_python_drops_ends_the_film_after_the_frame(workspace: Path) -> None:
    result = Run(workspace, "film.yaml", preexec=drop_an_interruption).wait()
    assert (result.status, result.out) == (130, "")
    assert re.fullmatch(rf"render: {STOPPED}\n", result.err)


def exit_slowly() -> None:
    """Makes the process wait before it exits."""
    exit_now = sys.exit

    def sleep_and_exit(status: int = 0) -> NoReturn:
        time.sleep(60)
        exit_now(status)

    sys.exit = sleep_and_exit  # type: ignore[assignment]  # typeshed's has another type


def test_an_interruption_after_the_film_is_finished_ends_without_a_traceback(workspace: Path) -> None:
    run = Run(workspace, "film.yaml", preexec=exit_slowly)
    run.wait_until(lambda: bool(run.result().out))
    start = time.monotonic()
    result = run.send_signal(signal.SIGINT).wait()
    assert time.monotonic() - start < MAX_SECONDS
    assert result.status == 130
    assert "Traceback" not in result.err
    assert (workspace / FILM).exists()


def test_a_closed_terminal_ends_as_ctrl_c_does(workspace: Path, reference: dict[str, str]) -> None:
    """In a terminal of its own, whose window is closed: every write to it fails from then on."""
    process, terminal = pty.fork()
    if process == 0:
        os.execve(sys.executable, [sys.executable, "-m", "render", "film.yaml"], os.environ)
    deadline = time.monotonic() + 60
    while not (workspace / PARTS / "00000.json").exists():
        assert time.monotonic() < deadline
        if select.select([terminal], [], [], 0.01)[0]:
            os.read(terminal, 2**16)
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 130)  # 0: it was finished
    make()
    assert checksums(workspace) == {FILM: reference[FILM]}


def test_nohup_keeps_a_render_running_when_the_terminal_is_closed(workspace: Path, reference: dict[str, str]) -> None:
    ignore = partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    run = Run(workspace, "film.yaml", preexec=ignore).wait_for_file(f"{PARTS}/00000.json")
    assert run.send_signal(signal.SIGHUP).wait().status == 0
    assert checksums(workspace) == {FILM: reference[FILM]}


def test_different_signals_end_the_process_at_once_too(workspace: Path, reference: dict[str, str]) -> None:
    run = Run(workspace, "film.yaml").wait_for_file(f"{PARTS}/00001.json")
    result = run.send_signal(signal.SIGINT).send_signal(signal.SIGTERM).wait()
    assert result.status == 130
    assert "Traceback" not in result.err
    make()
    assert checksums(workspace) == {FILM: reference[FILM]}


def test_ctrl_c_during_the_concatenation_says_how_to_resume(workspace: Path, reference: dict[str, str]) -> None:
    started = workspace.parent / "concatenation"
    slow = workspace.parent / "slow"
    slow.write_text(
        f'#!/bin/sh\ncase "$*" in *"-f concat"*) : > {started}; exec sleep 60;; esac\nexec {ffmpeg.binary()} "$@"\n'
    )
    slow.chmod(0o755)
    run = Run(workspace, "film.yaml", environment={"IMAGEIO_FFMPEG_EXE": str(slow)}).wait_until(started.exists)
    result = run.send_signal(signal.SIGINT).wait()
    assert result.status == 130
    assert not result.out
    assert_tidy(workspace)
    assert safe_frames(result.err.removeprefix("render: ").removesuffix("\n")) == FRAMES
    make(on_frame=must_not_dream)
    assert checksums(workspace) == {FILM: reference[FILM]}
