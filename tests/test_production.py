"""A film survives: killed at any moment, stopped, changed or finished, the next run does the right thing.

The films are tiny and dreamed on one core each, so that two renders run side by side.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from render import frames, load, render
from render.dream.efficientnet_lite import VARIANTS
from render.errors import Interrupted, RenderError, SceneError, StorageError, UsageError
from render.film import encoder
from render.film.files import sha256
from render.production import Film, Progress

SCENE = """
size: [64, 64]
duration: 20
seed: 3
source: {noise: {grain: 16}}
camera: {zoom: 1.02, rotate: 0.4}
layers: [{layer: blocks.4}]
dream: {octaves: 1, steps: 2, jitter: 2}
output: {segment: 4}
"""
FRAMES, SEGMENT = 20, 4
FILM = "film.mp4"
SEQUENCE = "frames/%03d.png"
DEEP = ("--output", SEQUENCE, "--set", "output.depth=16")
"""Arguments for a PNG sequence of 16 bits."""

Process = subprocess.Popen[str]
Moment = Callable[[Process, Path], object]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """One thread here as in the processes, because a film's bytes depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the scene in it, to work in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "film.yaml").write_text(SCENE)
    return tmp_path


def make(
    *settings: str,
    span: tuple[int, int] | None = None,
    overwrite: bool = False,
    fresh: bool = False,
    watch: Callable[[Progress], None] | None = None,
) -> Film:
    """The film of the scene here, in this process."""
    pairs = [setting.partition("=") for setting in settings]
    scene = load("film.yaml", [("--set", key, value) for key, _, value in pairs])
    return render(scene, span=span, overwrite=overwrite, fresh=fresh, watch=watch)


def stopping_at(frame: int) -> Callable[[Progress], None]:
    """Ctrl-C when a frame is done."""

    def watch(progress: Progress) -> None:
        if progress.index == frame:
            raise KeyboardInterrupt

    return watch


def contents(folder: Path) -> dict[str, str]:
    """The checksums of everything in a folder but the scene, by name."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "film.yaml")
    return {str(path.relative_to(folder)): sha256(path) for path in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The film and the sequence of uninterrupted runs."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "film.yaml").write_text(SCENE)
    with contextlib.chdir(folder):
        make()
        make(f"output.path={SEQUENCE}", "output.depth=16")
    return contents(folder)


# Real processes, killed and stopped.


def started(folder: Path, *arguments: str) -> Process:
    """`render film.yaml` in a folder, a process as from a terminal of its own."""
    (folder / "film.yaml").write_text(SCENE)
    return subprocess.Popen(
        [sys.executable, "-m", "render", "film.yaml", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def frame(number: int) -> Moment:
    """When a frame is done."""

    def reached(process: Process, folder: Path) -> bool:
        assert process.stdout is not None
        return any(json.loads(line).get("frame") == number for line in process.stdout)

    return reached


def there(name: str) -> Moment:
    """When a file is there."""

    def reached(process: Process, folder: Path) -> None:
        while process.poll() is None and not (folder / name).exists():
            time.sleep(0.0005)

    return reached


def later(seconds: float) -> Moment:
    """A while after the folder of the film is open."""

    def reached(process: Process, folder: Path) -> None:
        there(f"{FILM}.parts/film.json")(process, folder)
        time.sleep(seconds)

    return reached


def strays(folder: Path) -> list[str]:
    """The processes that work in a folder."""
    running = subprocess.run(["ps", "-A", "-o", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in running.splitlines() if str(folder) in line]


def survived(folder: Path, moments: Sequence[Moment], *arguments: str) -> list[int]:
    """Exit statuses of runs of the same command, each killed with `kill -9` at its moment, and of the last one."""
    statuses = []
    for moment in moments:
        with started(folder, *arguments, "--json") as process:
            moment(process, folder)
            process.kill()
        statuses.append(process.returncode)
    with started(folder, *arguments, "--json") as process:
        _, errors = process.communicate(timeout=120)
    assert not errors
    return [*statuses, process.returncode]


def stopped(folder: Path, moment: Moment, number: signal.Signals, *arguments: str) -> tuple[int, str, str, list[str]]:
    """Exit status, output, errors and stray processes of a run that got a signal at a moment, as from a terminal."""
    with started(folder, *arguments) as process:
        moment(process, folder)
        os.killpg(process.pid, number)
        output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors, strays(folder)


RANDOM = random.Random(7)
KILLS: dict[str, tuple[tuple[Moment, ...], tuple[str, ...]]] = {
    "its start, a segment's end and start, and its middle": (
        (frame(0), frame(SEGMENT - 1), frame(SEGMENT), frame(9)),
        (),
    ),
    "a segment not yet kept, the last frame, and the join": (
        (there(f"{FILM}.parts/00001.mp4"), frame(FRAMES - 1), there(f"{FILM}.parts/segments.txt")),
        (),
    ),
    "random moments": (tuple(later(RANDOM.uniform(0, 0.5)) for _ in range(3)), ()),
    "moments of a sequence": ((frame(7), frame(FRAMES - 1), there("frames/003.png")), DEEP),
}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Path, Future[list[int]]]]]:
    """The killed films, made two at a time while the other tests run."""
    with ThreadPoolExecutor(2) as pool:
        folders = {name: tmp_path_factory.mktemp("killed") for name in KILLS}
        yield {
            name: (folders[name], pool.submit(survived, folders[name], moments, *arguments))
            for name, (moments, arguments) in KILLS.items()
        }


@pytest.mark.parametrize("when", KILLS)
def test_a_film_killed_at_any_moment_is_the_film_of_an_uninterrupted_run(
    when: str, whole: dict[str, str], work: dict[str, tuple[Path, Future[list[int]]]]
) -> None:
    folder, statuses = work[when]
    *killed, last = statuses.result()
    assert last == 0
    if when == "random moments":
        assert -signal.SIGKILL in killed
    else:
        assert killed == [-signal.SIGKILL] * len(killed)
    right = {name: data for name, data in whole.items() if name.endswith(".png") == ("sequence" in when)}
    assert contents(folder) == right
    assert not list(folder.rglob("*.parts"))
    assert not strays(folder)


def test_ctrl_c_ends_tidily_and_says_how_to_go_on(here: Path, whole: dict[str, str]) -> None:
    status, output, errors, left = stopped(here, frame(9), signal.SIGINT, "--json")
    assert status == 130
    event = json.loads(output.splitlines()[-1])
    assert event["event"] == "error"
    assert event["status"] == 130
    safe = re.match(rf"stopped; (\d+) of {FRAMES} frames are safe in {FILM}.parts, ", event["message"])
    assert safe is not None
    assert "the same command goes on" in event["message"]
    assert not errors
    assert not left
    assert not list(here.rglob("*.tmp*"))
    assert not (here / FILM).exists()
    seen: list[int] = []
    make(watch=lambda progress: seen.append(progress.index))
    assert seen == list(range(int(safe[1]), FRAMES))
    assert 8 <= int(safe[1]) < FRAMES
    assert contents(here) == {FILM: whole[FILM]}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_without_json_is_told_in_a_line(here: Path, whole: dict[str, str], number: signal.Signals) -> None:
    status, output, errors, left = stopped(here, there(f"{FILM}.parts/00000.json"), number)
    assert status == 130
    assert not output
    assert errors.startswith("render: stopped; ")
    assert "the same command goes on" in errors
    assert errors.count("\n") == 1
    assert not left
    make()
    assert contents(here) == {FILM: whole[FILM]}


def test_ctrl_c_during_the_join_says_how_to_go_on_too(here: Path, whole: dict[str, str]) -> None:
    segment, aside = here / f"{FILM}.parts" / "00000.mp4", here / "00000.mp4"
    pipes: list[int] = []

    def joining(process: Process, folder: Path) -> None:
        there(f"{FILM}.parts/00000.json")(process, folder)
        segment.rename(aside)
        os.mkfifo(segment)  # holds the join up
        while not pipes and process.poll() is None:
            with contextlib.suppress(OSError):  # nobody reads it yet
                pipes.append(os.open(segment, os.O_WRONLY | os.O_NONBLOCK))
            time.sleep(0.001)
        aside.rename(segment)

    status, output, errors, left = stopped(here, joining, signal.SIGINT)
    for pipe in pipes:
        os.close(pipe)
    assert status == 130
    assert not output
    assert not left
    assert not list(here.rglob("*.tmp*"))
    assert errors.startswith("render: stopped; ")
    assert "the same command goes on" in errors
    make(watch=stopping_at(0))
    assert contents(here) == {FILM: whole[FILM]}


# Stopped by the API, which costs no process.


@pytest.mark.parametrize(
    ("gradient", "border", "frame_stopped"),
    [("natural", "mirror", 0), ("gaussian", "edge", 4), ("laplacian", "wrap", 5), ("raw", "black", 10)],
)
def test_every_kind_of_dream_goes_on_as_if_nothing_had_been(
    here: Path, gradient: str, border: str, frame_stopped: int
) -> None:
    settings = (
        f"dream.gradient={gradient}",
        f"camera.border={border}",
        "camera.zoom=0.98",
        "camera.pan=[0.01, 0.02]",
        "dream.octaves=2",
        "dream.first.steps=4",
        "duration=11",
        "layers=[{layer: blocks.2, weight: {0: 1, 10: 0}}, {layer: blocks.4, weight: {0: 0, 10: 1}}]",
        f"output.path={SEQUENCE}",
        "output.depth=16",
        "output.segment=3",
    )
    with pytest.raises(Interrupted):
        make(*settings, watch=stopping_at(frame_stopped))
    make(*settings)
    resumed = contents(here / "frames")
    shutil.rmtree(here / "frames")
    make(*settings)
    assert contents(here / "frames") == resumed
    assert len(resumed) == 11


def test_a_finished_film_is_what_was_asked_for(here: Path, whole: dict[str, str]) -> None:
    heard: list[Progress] = []
    film = make(watch=heard.append)
    assert film == Film(Path(FILM), FRAMES, Fraction(24), (64, 64), made=True)
    assert [progress.index for progress in heard] == list(range(FRAMES))
    assert {(progress.first, progress.last) for progress in heard} == {(0, FRAMES)}
    assert all(progress.objective is not None and progress.objective > 0 for progress in heard)
    carried = encoder.carried(here / FILM)
    assert carried is not None
    assert {"scene", "weights", "machine", "versions"} <= carried.keys()
    assert contents(here) == {FILM: whole[FILM]}


@pytest.mark.parametrize(
    "settings", [(), (f"output.path={SEQUENCE}",), ("output.path=frames/%03d.PNG",), ("output.path=film.mov",)]
)
def test_a_finished_film_is_left_alone(here: Path, settings: tuple[str, ...]) -> None:
    settings = ("duration=3", *settings)
    assert make(*settings).made
    before = contents(here)
    times = {path: path.stat().st_mtime_ns for path in here.rglob("*") if path.is_file()}
    assert not make(*settings, watch=stopping_at(0)).made
    assert contents(here) == before
    assert {path: path.stat().st_mtime_ns for path in here.rglob("*") if path.is_file()} == times
    assert not list(here.rglob("*.parts"))


def test_a_finished_film_is_made_again_when_asked_for(here: Path) -> None:
    make("duration=3")
    before = contents(here)
    assert make("duration=3", overwrite=True).made
    assert contents(here) == before


def test_frames_of_a_sequence_are_those_of_the_whole(here: Path, whole: dict[str, str]) -> None:
    film = make(f"output.path={SEQUENCE}", "output.depth=16", span=(5, 9))
    assert film.frames == 4
    assert contents(here) == {f"frames/{n:03d}.png": whole[f"frames/{n:03d}.png"] for n in range(5, 9)}


def test_frames_already_there_are_kept_when_the_whole_is_made(here: Path, whole: dict[str, str]) -> None:
    settings = (f"output.path={SEQUENCE}", "output.depth=16")
    make(*settings, span=(0, 2))
    with pytest.raises(Interrupted, match=r"8 of 20"):
        make(*settings, watch=stopping_at(10))
    make(*settings)
    assert contents(here) == {name: data for name, data in whole.items() if name.endswith(".png")}


def test_part_of_a_film_goes_on_too(here: Path) -> None:
    seen: list[int] = []

    def watch(progress: Progress) -> None:
        seen.append(progress.index)
        stopping_at(11)(progress)

    make(span=(6, 15))
    before = contents(here)
    (here / FILM).unlink()
    with pytest.raises(Interrupted):
        make(span=(6, 15), watch=watch)
    assert seen == list(range(12))
    seen.clear()
    assert make(span=(6, 15), watch=lambda progress: seen.append(progress.index)).frames == 9
    assert seen == list(range(10, 15))
    assert contents(here) == before


@pytest.mark.parametrize("span", [(5, 5), (9, 5), (-1, 3), (0, 21), (20, 21)])
def test_frames_outside_the_film_are_refused(here: Path, span: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="not within the film, 0:20"):
        make(span=span)
    assert not contents(here)


def test_a_changed_scene_is_refused_and_the_change_named_until_fresh_is_asked_for(here: Path) -> None:
    with pytest.raises(Interrupted):
        make("duration=6", watch=stopping_at(4))
    with pytest.raises(UsageError) as refusal:
        make("duration=6", "seed=9")
    assert "scene.seed was 3, is 9" in str(refusal.value)
    assert "--fresh" in str(refusal.value)
    with pytest.raises(UsageError, match=r"camera\.zoom was 1\.02, is \{"):
        make("duration=6", "camera.zoom={0: 1, end: 1.1}")
    seen: list[int] = []
    make("duration=6", "seed=9", fresh=True, watch=lambda progress: seen.append(progress.index))
    assert seen == list(range(6))
    fresh = contents(here)
    (here / FILM).unlink()
    make("duration=6", "seed=9")
    assert contents(here) == fresh


def test_a_changed_source_picture_is_refused(here: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    cv2.imwrite("p.png", picture)
    settings = ("duration=6", "source={image: p.png}", "output.path=zoom.mp4")
    with pytest.raises(Interrupted):
        make(*settings, watch=stopping_at(4))
    cv2.imwrite("p.png", 255 - picture)
    with pytest.raises(UsageError, match="source"):
        make(*settings)
    cv2.imwrite("p.png", picture)
    seen: list[int] = []
    make(*settings, watch=lambda progress: seen.append(progress.index))
    assert seen == [4, 5]
    cv2.imwrite("p.png", 255 - picture)
    with pytest.raises(StorageError, match="another film"):
        make(*settings)


def test_another_film_is_never_overwritten_unasked(here: Path) -> None:
    (here / FILM).write_text("somebody else's")
    with pytest.raises(StorageError, match=r"film\.mp4 exists and is another film; --overwrite"):
        make("duration=3", watch=stopping_at(0))
    assert (here / FILM).read_text() == "somebody else's"
    make("duration=3", overwrite=True)
    mine = contents(here)
    with pytest.raises(StorageError, match="another film"):
        make("duration=3", "seed=4", watch=stopping_at(0))
    assert contents(here) == mine


def test_a_picture_of_another_sequence_is_never_overwritten_unasked(here: Path) -> None:
    settings = ("duration=3", f"output.path={SEQUENCE}")
    make(*settings)
    (here / "frames" / "001.png").write_text("somebody else's")
    with pytest.raises(StorageError, match=r"001\.png exists and is another film"):
        make(*settings, watch=stopping_at(0))
    (here / "frames" / "001.png").unlink()
    assert make(*settings).made
    assert len(contents(here)) == 3


def test_an_old_film_stands_until_the_new_one_is_whole(here: Path) -> None:
    (here / FILM).write_text("old")
    with pytest.raises(Interrupted):
        make("duration=6", overwrite=True, watch=stopping_at(5))
    assert (here / FILM).read_text() == "old"
    make("duration=6", overwrite=True)
    assert encoder.carried(here / FILM) is not None


def kept_parts(here: Path, *settings: str) -> Path:
    """A copy of the whole folder of parts, as it is just before the clean-up; the film is made and the folder gone."""
    parts, copy = here / f"{FILM}.parts", here / "copy"

    def obstruct(progress: Progress) -> None:
        if progress.index == progress.last - 1:
            (here / FILM).mkdir()  # the join fails: all segments are there, the film is not

    with pytest.raises(StorageError, match="Is a directory"):
        make(*settings, watch=obstruct)
    shutil.copytree(parts, copy)
    (here / FILM).rmdir()
    make(*settings, watch=stopping_at(0))  # joins, dreams nothing
    assert (here / FILM).is_file()
    assert not parts.exists()
    return copy


def test_a_film_killed_between_join_and_clean_up_is_finished_and_cleaned_up(here: Path) -> None:
    copy = kept_parts(here, "duration=6")
    film = sha256(here / FILM)
    copy.rename(here / f"{FILM}.parts")
    assert not make("duration=6", watch=stopping_at(0)).made
    assert contents(here) == {FILM: film}
    assert not list(here.glob("*.parts"))


@pytest.mark.parametrize("removed", ["film.json", "00000.*", "*.json"])
def test_a_film_killed_amid_the_clean_up_is_finished_and_cleaned_up(here: Path, removed: str) -> None:
    copy = kept_parts(here, "duration=6")
    film = sha256(here / FILM)
    copy.rename(here / f"{FILM}.parts")
    for file in (here / f"{FILM}.parts").glob(removed):
        file.unlink()
    assert not make("duration=6", watch=stopping_at(0)).made
    assert contents(here) == {FILM: film}
    assert not list(here.glob("*.parts"))


def test_a_finished_film_is_finished_whatever_lies_beside_it(here: Path) -> None:
    make("duration=6")
    with pytest.raises(Interrupted):
        make("duration=6", "seed=9", overwrite=True, watch=stopping_at(4))
    assert not make("duration=6", watch=stopping_at(0)).made


def test_a_second_render_of_the_same_film_is_refused(here: Path) -> None:
    refusals: list[str] = []

    def watch(progress: Progress) -> None:
        if progress.index == 1:
            with pytest.raises(StorageError) as refusal:
                make("duration=3")
            refusals.append(str(refusal.value))

    make("duration=3", watch=watch)
    assert refusals == [f"{FILM}.parts is in use by another render, process {os.getpid()}"]


@pytest.mark.parametrize("mishap", [BrokenPipeError(32, "Broken pipe"), ValueError("mine"), OSError("mine")])
def test_what_the_watcher_raises_comes_out_as_it_is(here: Path, mishap: Exception) -> None:
    def watch(progress: Progress) -> None:
        raise mishap

    with pytest.raises(type(mishap)) as raised:
        make("duration=3", watch=watch)
    assert raised.value is mishap
    make("duration=3")
    assert list(contents(here)) == [FILM]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_in_the_films_place_is_noticed_before_the_dream(here: Path, overwrite: bool) -> None:
    (here / FILM).mkdir()
    seen: list[int] = []
    with pytest.raises(StorageError, match=r"folder|directory"):
        make("duration=3", overwrite=overwrite, watch=lambda progress: seen.append(progress.index))
    assert not seen


def test_a_number_in_a_folders_name_is_not_dreamed_in_vain(here: Path) -> None:
    seen: list[int] = []
    try:
        make("duration=3", "output.path=take%02d/dream.png", watch=lambda progress: seen.append(progress.index))
    except (RenderError, SceneError):
        assert not seen
    else:
        assert (here / "take02" / "dream.png").exists()


def test_a_film_that_cannot_be_written_is_refused_before_the_dream(here: Path) -> None:
    (here / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write in file"):
        make("output.path=file/film.mp4", watch=stopping_at(0))


@pytest.mark.parametrize("name", ["still.png", "still.jpg", "odd name 100%.jpeg"])
def test_a_scene_of_one_frame_makes_a_picture(here: Path, name: str) -> None:
    assert make("duration=1", "size=[65, 43]", f"output.path={name}").made
    picture = cv2.imread(name, cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    assert picture.shape == (43, 65, 3)
    sets = {"duration": "1", "size": "[65, 43]", "output.path": "x.png"}
    scene = load("film.yaml", [("--set", key, value) for key, value in sets.items()])
    ((_, frame),) = frames(scene)
    assert np.abs(picture - encoder.quantise(frame, 8).astype(int)).mean() < (0.01 if name.endswith("png") else 2)
    assert {path.name for path in here.iterdir()} == {"film.yaml", name}


@pytest.mark.parametrize("name", ["still.png", "still.jpg"])
def test_a_picture_knows_what_made_it(here: Path, name: str) -> None:
    settings = ("duration=1", f"output.path={name}")
    make(*settings)
    first = (here / name).read_bytes()
    assert not make(*settings).made
    with pytest.raises(StorageError, match="is another film; --overwrite replaces it"):
        make(*settings, "seed=4")
    carried = encoder.carried(here / name)
    assert carried is not None
    assert carried["weights"] == sha256(VARIANTS["efficientnet_lite0"].weights() or Path())
    assert make(*settings, overwrite=True).made
    assert (here / name).read_bytes() == first


def test_a_smaller_still_is_named_after_its_scale(here: Path) -> None:
    scene = load("film.yaml", [("--set", "duration", "1"), ("--set", "output.path", "s.png")])
    assert scene.titled("x0.5").output.path == "s.x0.5.png"


def test_a_sequence_of_jpegs_is_numbered(here: Path) -> None:
    make("duration=3", "output.path=f/%02d.jpg")
    assert sorted(path.name for path in (here / "f").iterdir()) == ["00.jpg", "01.jpg", "02.jpg"]


def test_more_frames_than_one_do_not_fit_into_a_picture(here: Path) -> None:
    with pytest.raises(
        SceneError, match=r"3 frames do not fit into one picture; duration: 1 makes one, still/%05d\.png"
    ):
        make("duration=3", "output.path=still.png")


def test_a_changed_guide_or_mask_is_noticed(here: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    cv2.imwrite("guide.png", picture)
    cv2.imwrite("mask.png", picture)
    settings = ("duration=1", "output.path=s.png", "layers.0={layer: blocks.4, guide: guide.png, mask: mask.png}")
    make(*settings)
    assert not make(*settings).made
    for name in ("guide.png", "mask.png"):
        cv2.imwrite(name, 255 - picture)
        with pytest.raises(StorageError, match="another film"):
            make(*settings)
        cv2.imwrite(name, picture)
        assert not make(*settings).made
