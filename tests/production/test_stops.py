"""Ctrl-C and SIGTERM: a tidy end within a frame, and a sentence on how to go on."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from render.film import ffmpeg
from tests.production.films import FILM, FRAMES, contents, make, stopping_at
from tests.production.processes import Run, strays

GOES_ON = re.compile(
    rf"stopped; (\d+) of {FRAMES} frames are safe in {FILM}.parts, the same command goes on from there"
)
AT_ONCE = 5.0
"""Seconds, on a machine that does something else as well."""


def started(folder: Path, *arguments: str, **how: object) -> Run:
    return Run(folder, "film.yaml", *arguments, **how)  # type: ignore[arg-type]  # its own keywords


def is_caught(status: Path, number: signal.Signals) -> bool:
    """Whether a process handles a signal, proc(5); Python itself does so with Ctrl-C, before render is there."""
    found = re.search(r"SigCgt:\s*([0-9a-f]+)", status.read_text())
    return found is not None and bool(int(found[1], 16) >> (number - 1) & 1)


def tidy(folder: Path) -> None:
    """Nothing runs on, nothing half lies there."""
    assert not strays(folder)
    assert not list(folder.rglob("*.tmp*"))
    assert not (folder / FILM).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_told_with_what_is_safe_and_that_is_gone_on_with(
    here: Path, whole: dict[str, str], number: signal.Signals
) -> None:
    run = started(here, "--json").until_frame(9)
    begun = time.monotonic()
    ended = run.send(number).ended()
    assert time.monotonic() - begun < AT_ONCE
    assert ended.status == 130
    event = ended.events[-1]
    assert event["event"] == "error"
    assert event["status"] == 130
    safe = GOES_ON.fullmatch(event["message"])
    assert safe is not None
    assert not ended.err
    tidy(here)
    seen: list[int] = []
    make(watch=lambda progress: seen.append(progress.index))
    assert seen == list(range(int(safe[1]), FRAMES))
    assert 8 <= int(safe[1]) < FRAMES
    assert contents(here) == {FILM: whole[FILM]}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_without_json_is_told_in_a_line(here: Path, whole: dict[str, str], number: signal.Signals) -> None:
    ended = started(here).until_there(f"{FILM}.parts/00000.json").send(number).ended()
    assert ended.status == 130
    assert not ended.out
    assert GOES_ON.fullmatch(ended.err.strip().removeprefix("render: "))
    assert ended.err.count("\n") == 1
    tidy(here)
    make()
    assert contents(here) == {FILM: whole[FILM]}


@pytest.mark.parametrize("moment", range(6))
def test_a_second_one_ends_at_once_and_loses_nothing_either(here: Path, whole: dict[str, str], moment: int) -> None:
    run = started(here).until_there(f"{FILM}.parts/00001.json")
    run.send(signal.SIGINT)
    time.sleep(0.004 * moment)
    begun = time.monotonic()
    ended = run.send(signal.SIGINT).ended()
    assert time.monotonic() - begun < AT_ONCE
    assert ended.status == 130
    assert "Traceback" not in ended.err
    assert ended.err.count("\n") <= 1
    make()
    assert contents(here) == {FILM: whole[FILM]}


def test_before_the_first_frame_too_it_is_a_sentence(here: Path) -> None:
    for moment in (0.0, 0.05, 0.1, 0.2):
        run = started(here)
        status = Path(f"/proc/{run.pid}/status")
        run.until(lambda status=status: is_caught(status, signal.SIGTERM))  # type: ignore[misc]  # a lambda's default
        time.sleep(moment)
        ended = run.send(signal.SIGINT).ended()
        assert ended.status == 130
        assert re.fullmatch(r"render: stopped;.* the same command goes on.*\n", ended.err)


def test_after_the_film_is_told_of_it_ends_without_a_traceback(here: Path) -> None:
    run = started(here)
    run.until(lambda: bool(run.output().out))
    ended = run.send(signal.SIGINT).ended()
    assert ended.status in (0, 130)
    assert "Traceback" not in ended.err
    assert (here / FILM).exists()


def test_mixed_signals_end_at_once_too(here: Path, whole: dict[str, str]) -> None:
    run = started(here).until_there(f"{FILM}.parts/00001.json")
    ended = run.send(signal.SIGINT).send(signal.SIGTERM).ended()
    assert ended.status == 130
    assert "Traceback" not in ended.err
    make()
    assert contents(here) == {FILM: whole[FILM]}


def test_ctrl_c_during_the_join_says_how_to_go_on_too(here: Path, whole: dict[str, str]) -> None:
    joins = here.parent / "joins"
    slow = here.parent / "slow"
    slow.write_text(
        f'#!/bin/sh\ncase "$*" in *"-f concat"*) : > {joins}; exec sleep 60;; esac\nexec {ffmpeg.binary()} "$@"\n'
    )
    slow.chmod(0o755)
    run = started(here, environment={"IMAGEIO_FFMPEG_EXE": str(slow)}).until(joins.exists)
    ended = run.send(signal.SIGINT).ended()
    assert ended.status == 130
    assert not ended.out
    tidy(here)
    safe = GOES_ON.fullmatch(ended.err.strip().removeprefix("render: "))
    assert safe is not None
    assert int(safe[1]) == FRAMES
    make(watch=stopping_at(0))
    assert contents(here) == {FILM: whole[FILM]}
