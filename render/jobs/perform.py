"""Performs a step of a task in this process, with torch: what a worker does, wherever an executor runs it."""

from __future__ import annotations

import contextlib
import json
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from render.analysis.join import join
from render.errors import DiskFullError, Interrupted, MissingError, RenderError, StorageError, UsageError
from render.film.assembly import is_intact
from render.film.atomic import ExistsError
from render.film.checkpoint import OtherMachineError, diff_json
from render.film.folder import unfinished_film
from render.film.lock import InUseError
from render.jobs import perform_sweep
from render.jobs.messages import DoneEvent, EndEvent, Event, FailedEvent, FrameEvent, Step, StoppedEvent, WarningEvent
from render.jobs.model import Task
from render.jobs.shots import group_shots
from render.media import ffmpeg
from render.pipeline import job
from render.pipeline.embedded import is_film
from render.pipeline.engine import open_engine
from render.pipeline.job import Film
from render.pipeline.load import NOWHERE_ELSE, load, load_text
from render.pipeline.plan import Options, Plan, plan
from render.pipeline.preflight import check_space, preflight
from render.pipeline.scene import Scene
from render.pipeline.segments import Callbacks, FrameProgress
from render.sweep.making import ChangedError
from render.system.memory import is_out_of_memory
from render.text import escape_lines

REPORT_INTERVAL = 0.1
"""Seconds between the events of frames; the first frame and the last have one in any case."""
IN_USE_SECONDS = 15.0
"""In which a worker of a driver that has died leaves the film that it was making: on a cluster up to 12.5."""
IN_USE_INTERVAL = 0.2
Report = Callable[[Event], None]
DECISIONS = ("precision", "tile")
"""What of a machine's description was decided for a film, and is taken over from it."""
_threads = torch.get_num_threads()
"""Threads of a new process; a film that was begun with another number leaves that behind."""


class _DamagedPart(StorageError):
    """A finished shot is not what was written; it was removed, to be rendered again."""


def perform(step: Step, report: Report) -> EndEvent:
    """Performs a step, and reports its frames and warnings; returns its end. Raises nothing but SystemExit."""
    try:
        torch.set_num_threads(_threads)
        with _folder(step.task.folder):
            return _perform(step, report)
    except (KeyboardInterrupt, Interrupted):
        return StoppedEvent()
    except (ffmpeg.KilledError, _DamagedPart) as error:
        return FailedEvent(status=error.status, message=escape_lines(str(error)), may_pass=True)
    except RenderError as error:
        is_refused = isinstance(error, MissingError | StorageError | OtherMachineError | ChangedError)
        return FailedEvent(status=error.status, message=escape_lines(str(error)), is_refused=is_refused)
    except Exception as error:
        if is_out_of_memory(error):
            message = "not enough memory; a smaller scale renders a smaller film"
            return FailedEvent(status=MissingError.status, message=message, is_refused=True)
        message = escape_lines(f"{type(error).__name__}: {error}")
        return FailedEvent(status=RenderError.status, message=message, detail=escape_lines(traceback.format_exc()))


@contextlib.contextmanager
def _folder(path: str) -> Iterator[None]:
    """Makes a folder the current one for the block. Raises StorageError when that cannot be."""
    before = Path.cwd()
    try:
        os.chdir(path)
    except OSError as error:
        raise StorageError(f"cannot work in {path}: {error.strerror}") from None
    try:
        yield
    finally:
        os.chdir(before)


def scene_of(task: Task, files: Mapping[str, str] = NOWHERE_ELSE) -> Scene:
    """Loads the scene of a task, with the task's output path, and `files` as of `load`.

    Raises as `load`, UsageError for a scene file that was wrong when the job was made, and has changed since.
    """
    name = "".join(letter if letter.isprintable() else "_" for letter in Path(task.output).name)
    overrides = [*task.overrides, ("--output", "output.path", json.dumps(name, ensure_ascii=False))]
    if task.text is None:
        scene = load(task.scene, overrides, scale=task.scale, files=files)
        if not is_film(Path(task.scene)):  # and where its film is to be was not known
            raise UsageError(f"{task.scene} was wrong when the job was made; the same `render batch` reads it again")
    else:
        scene = load_text(task.text, Path(task.scene), overrides, scale=task.scale, files=files)
    return scene.at(task.output)


def _perform(step: Step, report: Report) -> EndEvent:
    if step.task.sweep is not None or step.task.cell is not None:
        return perform_sweep.perform(step, report)
    scene = scene_of(step.task, step.files)
    match step.kind:
        case "join":
            target, overwrite = Path(step.task.output), step.task.overwrite
            if target.exists() and not overwrite:  # it may be the film, of a driver that died before it noted it
                return _render(scene, step.task, report)
            return _done(_join(scene, [Path(part) for part in step.parts], target, overwrite=overwrite))
        case "split":
            return _split(scene, step.task, report)
    return _render(scene, step.task, report)


def _render(scene: Scene, task: Task, report: Report) -> DoneEvent:
    """Renders a film, or finds that it is finished; `overwrite` replaces others, and does not make it again."""
    for problem in scene.warnings if task.film is None else ():
        _warn(report, str(problem))
    callbacks = Callbacks(on_frame=_Throttle(report), on_warning=lambda message: _warn(report, message))
    options = _options(task)
    if task.machine is not None:
        _require_machine(plan(scene, options), task.machine)
    until = time.monotonic() + IN_USE_SECONDS
    while True:
        try:
            if task.overwrite:
                with contextlib.suppress(ExistsError):
                    return _done(job.render(scene, replace(options, overwrite=False), callbacks))
            return _done(job.render(scene, options, callbacks))
        except InUseError:
            if time.monotonic() >= until:
                raise
            time.sleep(IN_USE_INTERVAL)


def _require_machine(planned: Plan, machine: Mapping[str, Any]) -> None:
    """Raises OtherMachineError when this machine makes other bytes than the one whose decisions are given."""
    here = {key: value for key, value in planned.device.describe().items() if key not in DECISIONS}
    there = {key: value for key, value in machine.items() if key not in DECISIONS}
    if here != there:
        changes = "; ".join(diff_json(there, here, name="machine"))
        raise OtherMachineError(f"this machine would make other bytes than the film's other shots: {changes}")


def _join(scene: Scene, parts: Sequence[Path], target: Path, *, overwrite: bool) -> Film:
    """Joins shots. Raises as `join`; _DamagedPart when a shot is damaged, after it was removed."""
    try:
        return join(parts, target, overwrite=overwrite, scene=scene)
    except (DiskFullError, ffmpeg.KilledError):
        raise
    except StorageError as error:
        damaged = [part for part in parts if part.exists() and not is_intact(part)]
        for part in damaged:
            part.unlink()
        if damaged:
            raise _DamagedPart(f"{damaged[0]} is damaged") from error
        raise


def _warn(report: Report, message: str) -> None:
    report(WarningEvent(message=escape_lines(message)))


def _split(scene: Scene, task: Task, report: Report) -> DoneEvent:
    """Finds the shots of a film; renders it where there is nothing to split, or an earlier run has begun it."""
    planned = plan(scene, _options(task))
    is_there = planned.target.exists() and not task.overwrite
    begun = is_there or unfinished_film(planned.folder) is not None
    shots = sorted(planned.shots)
    if begun or len(shots) == 1 or not planned.format.joins:
        return _render(scene, task, report)
    preflight(planned)
    check_space(planned, warn=lambda message: _warn(report, message))
    for problem in scene.warnings:
        _warn(report, str(problem))
    starts = group_shots(shots, scene.length, at_least=scene.output.segment_frames)
    return DoneEvent(shots=(*starts, scene.length), machine=open_engine(planned).describe())


def _options(task: Task) -> Options:
    return Options(
        device=task.device,
        precision=task.precision,
        frames=task.frames,
        overwrite=task.overwrite,
        quiet=True,
        machine=task.machine,
    )


def _done(film: Film) -> DoneEvent:
    return DoneEvent(path=str(film.path), frames=film.frames, size=film.size, fps=str(film.fps), is_new=film.made)


class _Throttle:
    """Reports the first frame, the last, and others at intervals."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._next = 0.0

    def __call__(self, progress: FrameProgress) -> None:
        now = time.monotonic()
        if now >= self._next or progress.index == progress.last - 1:
            self._next = now + REPORT_INTERVAL
            self._report(
                FrameEvent(
                    frame=progress.index,
                    first=progress.first,
                    last=progress.last,
                    rate=progress.rate,
                    eta_s=progress.eta_s,
                )
            )
