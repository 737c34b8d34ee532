"""From scenes to a job: each scene becomes a task, and what a job of the same tasks has done before is kept."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from render.choices import IMAGE_CODECS
from render.errors import RenderError, UsageError
from render.film.naming import work_folder
from render.jobs.folder import JobFolder, all_jobs, create
from render.jobs.model import MAX_TASKS, NAME, UNFINISHED, Job, Resources, Task, TaskState, shots_by_film
from render.jobs.results import is_there
from render.pipeline.embedded import is_film
from render.pipeline.load import load, load_text
from render.pipeline.preflight import FRAME_BYTES_PER_PIXEL
from render.pipeline.scene import Scene
from render.scene.document import Override
from render.scene.yaml_tree import read_text
from render.system.device import check_names
from render.text import escape, escape_lines, quote


@dataclass(frozen=True)
class Entry:
    """A scene of a batch, as it was listed; relative paths are relative to the current folder.

    `output` replaces the scene's path. `folder` is where the film is made instead of the current folder; the paths of
    `scene` and `output` are absolute then. `position` says where the entry was written, empty for one of the command
    line.
    """

    scene: Path
    overrides: tuple[Override, ...] = ()
    scale: float = 1.0
    frames: tuple[int, int] | None = None
    output: str | None = None
    device: str = "auto"
    precision: str = "auto"
    overwrite: bool = False
    is_split: bool = False
    folder: Path | None = None
    position: str = ""


@dataclass(frozen=True)
class Tasks:
    """Tasks, and by id the states of those that have failed already: their scenes are wrong."""

    tasks: tuple[Task, ...]
    failed: Mapping[str, TaskState] = field(default_factory=dict)


def make_tasks(
    entries: Sequence[Entry], *, on_checked: Callable[[int, int], object] = lambda done, total: None
) -> Tasks:
    """Returns a task for each entry, after its scene was loaded and checked.

    A scene that is wrong is a task that has failed. `on_checked` is called after each, with their number so far and
    that of all. Raises UsageError for entries that name one film, that have names that are no text, or too many.
    """
    if len(entries) > MAX_TASKS:
        raise UsageError(f"{len(entries)} scenes; a job has at most {MAX_TASKS}")
    tasks: list[Task] = []
    failed: dict[str, TaskState] = {}
    for number, entry in enumerate(entries, 1):
        _require_text(entry)
        task, error = _task(entry, str(number))
        tasks.append(task)
        if error is not None:
            message = escape_lines(f"{entry.position}: {error}" if entry.position else str(error))
            failed[task.id] = TaskState(state="DEAD", status=error.status, message=message)
        on_checked(number, len(entries))
    _require_different_films([task for task in tasks if task.id not in failed])
    return Tasks(tuple(_labelled(tasks)), failed)


def job_name(entries: Sequence[Entry]) -> str:
    """Returns the name of a job of these entries: that of its first scene, and a checksum of what was listed.

    The same list in the same folder has the same name, whatever its scenes say by now.
    """
    listed = [
        [str(each.scene), each.overrides, each.scale, each.frames, each.output, each.is_split] for each in entries
    ]
    return name_of(entries[0].scene.stem, [str(Path.cwd()), listed])


def name_of(stem: str, listed: object) -> str:
    """Returns a job's name that begins like a file's, and ends in a checksum of what it is made of, as plain JSON."""
    checksum = hashlib.sha256(json.dumps(listed).encode("utf-8", "surrogatepass")).hexdigest()
    start = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:40]
    return f"{start or 'job'}-{checksum[:8]}"


def check_name(name: str) -> str:
    """Returns a name that the user gives to a job. Raises UsageError."""
    if not re.fullmatch(NAME, name):
        raise UsageError(
            f"a job's name has up to 80 letters, digits, '-', '_' and '.', and begins with a letter or digit, "
            f"not {quote(name)}"
        )
    return name


def open_job(name: str) -> JobFolder:
    """Opens the folder of a job, or creates it; its tasks are those of `submit`. Raises StorageError."""
    return create(Job(name=check_name(name), created=time.time(), tasks=()))


def submit(folder: JobFolder, made: Tasks) -> Job:
    """Writes the tasks of a job, whose folder this process has locked, and keeps the states of those that are the same.

    A task whose film is not there any more waits again. Raises UsageError when another job is making one of the films.
    """
    require_no_other_job(folder.name, made.tasks)
    before = _job_before(folder)
    known = {} if before is None else {task.id: task for task in before.tasks}
    shots = {} if before is None else shots_by_film(before)
    tasks: list[Task] = []
    for task in made.tasks:
        is_same = known.get(task.id) == task and not _is_gone(task, folder.state(task))
        tasks += [task, *shots.get(task.id, ())] if is_same else [task]
        if not is_same and task.id in known:
            folder.forget(task.id)
    kept = {task.id for task in tasks}
    for old in known.values():
        if old.id not in kept:
            folder.forget(old.id)
    for task_id, state in made.failed.items():
        folder.write_state(task_id, state)
        folder.log(task_id, state.message)
    job = Job(name=folder.name, created=time.time() if before is None else before.created, tasks=tuple(tasks))
    folder.write_job(job)
    return job


def _is_gone(task: Task, state: TaskState) -> bool:
    """Whether the film of a task that has succeeded is not there any more."""
    return state.state == "SUCCEEDED" and not is_there(task, state)


def _task(entry: Entry, task_id: str) -> tuple[Task, RenderError | None]:
    """Returns the task of an entry, and what is wrong with its scene."""
    folder = entry.folder or Path.cwd()
    task = Task(
        id=task_id,
        label=escape(entry.scene),
        scene=str(folder / entry.scene),
        folder=str(folder),
        overrides=entry.overrides,
        scale=entry.scale,
        frames=entry.frames,
        output=str(folder / (entry.output or f"{entry.scene.stem}.mp4")),
        device=entry.device,
        precision=entry.precision,
        overwrite=entry.overwrite,
        is_split=entry.is_split,
    )
    try:
        check_names(entry.device, entry.precision)
        text = None if is_film(entry.scene) else read_text(entry.scene)
        scene = _load(entry, text)
    except RenderError as error:
        return task, error
    width, height = scene.size
    is_picture = scene.output.codec in IMAGE_CODECS
    update = {
        "text": text,
        "kind": "still" if scene.output.is_one_picture else "film",
        "output": str(folder / scene.output.path),
        "is_split": entry.is_split and scene.clip is not None and entry.frames is None and not is_picture,
        "files": {".".join(map(str, key)): str(Path.cwd() / file) for key, file in scene.paths.items()},
        "resources": Resources(memory=FRAME_BYTES_PER_PIXEL * width * height),
    }
    return task.model_copy(update=update), None


def _require_text(entry: Entry) -> None:
    """Raises UsageError for what the files of a job, which are UTF-8, cannot hold: names of other bytes."""
    for text in (
        str(Path.cwd()),
        str(entry.scene),
        entry.output or "",
        *(part for each in entry.overrides for part in each),
    ):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{quote(text)} is not UTF-8, and cannot be part of a job; rename it") from None


def _load(entry: Entry, text: str | None) -> Scene:
    overrides = list(entry.overrides)
    if entry.output is not None:
        overrides.append(("--output", "output.path", json.dumps(entry.output, ensure_ascii=False)))
    if text is None:
        scene = load(entry.scene, overrides, scale=entry.scale)
    else:
        scene = load_text(text, entry.scene, overrides, scale=entry.scale)
    return scene if entry.output is not None else scene.titled_by(scale=entry.scale, frames=entry.frames)


def _labelled(tasks: Sequence[Task]) -> Iterator[Task]:
    """Yields the tasks, those of a scene that is listed several times with their film in the label, or its path."""
    scenes = Counter(task.label for task in tasks)
    films = Counter((task.label, Path(task.output).name) for task in tasks)
    for task in tasks:
        name = Path(task.output).name
        film = name if films[task.label, name] == 1 else task.output
        label = task.label if scenes[task.label] == 1 else f"{task.label} {escape(film)}"
        yield task.model_copy(update={"label": label})


def _require_different_films(tasks: Iterable[Task]) -> None:
    films: dict[Path, Task] = {}
    for task in tasks:
        film = _film(task)
        if film in films:
            raise UsageError(
                f"{films[film].label} and {task.label} make the same film, {escape(task.output)}; an output of its own "
                "for one of them names another path"
            )
        films[film] = task


def require_no_other_job(name: str, tasks: Iterable[Task]) -> None:
    """Raises UsageError when a job that is running makes one of the films."""
    films = {_film(task): task for task in tasks}
    for folder in all_jobs():
        if folder.name == name or not folder.is_running():
            continue
        for task, state in _states(folder):
            if _film(task) in films and state.state in UNFINISHED:
                raise UsageError(
                    f"job {folder.name} is making {escape(task.output)} already; `render jobs watch {folder.name}` "
                    "shows it"
                )


def _states(folder: JobFolder) -> Iterator[tuple[Task, TaskState]]:
    with contextlib.suppress(RenderError):  # a damaged job makes nothing
        for task in folder.job().tasks:
            yield task, folder.state(task)


def _job_before(folder: JobFolder) -> Job | None:
    return folder.job() if folder.has_job else None


def _film(task: Task) -> Path:
    """What is the same for tasks that make one film: its working folder, which is the same for all patterns."""
    path = Path(task.output)
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        path = path.resolve() if path.is_symlink() else path.parent.resolve() / path.name
    return work_folder(path)
