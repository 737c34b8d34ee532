"""The same scene gives the same bytes: twice, in pieces, and again from what the film itself carries."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from render import again, load
from render.errors import RenderError, SceneError, StorageError, UsageError
from render.film import encoder, ffmpeg, pictures
from render.film.files import sha256
from render.join import join
from tests.production.films import CLIP, FILM, FOLLOWED, FOLLOWING, FRAMES, SEQUENCE, contents, footage_in, make
from tests.production.processes import rendered

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize(
    "settings", [("--output", FILM), FOLLOWING, ("--output", "film.mov", "--set", "output.codec=prores")]
)
def test_another_process_makes_the_same_bytes(here: Path, settings: tuple[str, ...]) -> None:
    footage_in(here)
    assert rendered(here, "film.yaml", *settings).status == 0
    first = contents(here)
    assert rendered(here, "film.yaml", *settings, "--overwrite").status == 0
    assert contents(here) == first


@pytest.mark.parametrize("cuts", [[0, 7, 8, 20], [0, 4, 12, 20]])
def test_a_sequence_made_in_pieces_is_the_sequence(here: Path, whole: dict[str, str], cuts: list[int]) -> None:
    for span in reversed(list(pairwise(cuts))):
        make(f"output.path={SEQUENCE}", "output.depth=16", span=span)
    assert contents(here) == {name: data for name, data in whole.items() if name.endswith(".png")}


@pytest.mark.parametrize("kind", ["film", "followed", "h265", "prores"])
def test_a_film_made_in_pieces_and_joined_is_the_film(here: Path, whole: dict[str, str], kind: str) -> None:
    footage_in(here)
    suffix = ".mov" if kind == "prores" else ".mp4"
    settings = {
        "film": (),
        "followed": (f"source.video={CLIP}", "source.start=20"),
        "h265": ("output.codec=h265",),
        "prores": ("output.codec=prores", f"source.video={CLIP}"),
    }[kind]
    pieces = [Path(f"it's {first}{suffix}") for first in (0, 8, 12)]
    for piece, span in zip(pieces, ((0, 8), (8, 12), (12, 20)), strict=True):
        make(f"output.path={piece}", *settings, span=span)
    made = join([pieces[2], pieces[0], pieces[1]], Path(f"whole{suffix}"))
    assert made.frames == FRAMES
    known = {"film": FILM, "followed": FOLLOWED}.get(kind)
    if known is None:
        make(f"output.path=right{suffix}", *settings)
    assert sha256(made.path) == (whole[known] if known else sha256(here / f"right{suffix}"))
    assert not list(here.glob("*.join"))


def test_pieces_that_do_not_belong_together_are_told(here: Path) -> None:
    for name, span, seed in (("a", (0, 4), 3), ("b", (4, 8), 4), ("c", (8, 12), 3), ("d", (2, 6), 3)):
        make(f"output.path={name}.mp4", f"seed={seed}", span=span)
    for others, told in (
        ("ab", r"b\.mp4 is of another film: scene\.seed was 3, is 4"),
        ("ac", r"c\.mp4 begins at frame 8, where frame 4 is missing or there already"),
        ("ad", r"d\.mp4 begins at frame 2, where frame 4 is missing or there already"),
    ):
        with pytest.raises(UsageError, match=told):
            join([Path(f"{name}.mp4") for name in others], Path("all.mp4"))
    footage_in(here)
    with pytest.raises(StorageError, match="exists; --overwrite"):
        join([Path("a.mp4")], Path("d.mp4"))
    with pytest.raises(StorageError, match="carries no scene"):
        join([Path("a.mp4"), Path(CLIP)], Path("all.mp4"))
    assert not Path("all.mp4").exists()


def test_a_join_touches_nothing_but_its_film(here: Path) -> None:
    footage_in(here)
    settings = (f"source.video={CLIP}", "duration=8")
    for name, span in (("a", (0, 4)), ("b", (4, 8))):
        make(f"output.path={name}.mp4", *settings, span=span)
    (here / "all.mp4.join").mkdir()
    (here / "all.mp4.join" / "notes.txt").write_text("precious")
    before = contents(here)
    pieces = [Path("a.mp4"), Path("b.mp4")]
    clip = (here / CLIP).read_bytes()
    for target in ("a.mp4", CLIP):
        with pytest.raises(UsageError, match="is what the film is made from"):
            join(pieces, Path(target), overwrite=True)
    join(pieces, Path("all.mp4"))
    assert {**before, "all.mp4": sha256(here / "all.mp4")} == contents(here)
    assert (here / CLIP).read_bytes() == clip
    (here / CLIP).write_bytes(clip + b"\0" * 8)
    with pytest.raises(UsageError, match=r"what the pieces were made from has changed: files\.source\.video was"):
        join(pieces, Path("other.mp4"))
    assert not (here / "other.mp4").exists()


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_an_encoder_that_waits_for_the_dream_gives_the_same_bytes_each_time(here: Path, codec: str) -> None:
    """x265's did not, when its frames came now and then."""
    make(f"output.codec={codec}")
    first = contents(here)
    for _ in range(3):
        make(f"output.codec={codec}", overwrite=True)
        assert contents(here) == first


def test_a_join_by_the_command_line(here: Path, whole: dict[str, str]) -> None:
    for span in ("0:8", "8:20"):
        assert rendered(here, "film.yaml", "--frames", span).status == 0
    ended = rendered(here, "join", "film.0-8.mp4", "film.8-20.mp4", "--output", FILM)
    assert (ended.status, ended.out, ended.err) == (0, f"{FILM}: 20 frames\n", "")
    assert sha256(here / FILM) == whole[FILM]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_the_scene_that_a_film_carries_is_the_scene_that_it_was_made_from(config: Path, here: Path) -> None:
    """Whatever a shipped scene uses survives the way through a film's comment and YAML."""
    footage_in(here)
    cv2.imwrite("p.png", np.full((64, 64, 3), 99, np.uint8))
    sets = {"photo": "image=p.png", "cloud": "image=p.png", "stylize": f"video={CLIP}", "dreamscape": f"video={CLIP}"}
    key, _, value = f"source.{sets.get(config.stem, '')}".partition("=")
    scene = load(config, [("--set", key, value)] if value else [])
    written = scene.model_dump(mode="json", exclude_none=True, by_alias=True)
    film = here / f"carries{Path(str(scene.output.path)).suffix}"
    carry(film, {"scene": written, "files": {}})
    text = again.text(film)
    (here / "shown.yaml").write_text(text)
    for read in (load(film), load(here / "shown.yaml")):
        dumped = read.model_dump(mode="json", exclude_none=True, by_alias=True)
        assert {**dumped, "output": None} == {**written, "output": None}
    assert text.startswith("size: [")


def carry(film: Path, what: dict[str, Any]) -> None:
    """A tiny film, or picture, that says this of itself."""
    grey = ("-f", "lavfi", "-i", "color=gray:s=32x32:r=24:d=0.1")
    if film.suffix == ".mp4":
        meta = film.with_suffix(".txt")
        meta.write_text(f";FFMETADATA1\ncomment={encoder._escaped(json.dumps(what))}\n", encoding="utf-8")
        ffmpeg.run(*ffmpeg.QUIET, *grey, "-f", "ffmetadata", "-i", str(meta), "-map_metadata", "1", str(film))
        return
    cv2.imwrite(str(film), np.full((32, 32, 3), 99, np.uint8))
    film.write_bytes(pictures.with_comment(film.read_bytes(), json.dumps(what)))


def test_a_film_is_made_again_from_itself_byte_for_byte(here: Path, whole: dict[str, str]) -> None:
    assert rendered(here, "film.yaml").status == 0
    (here / "film.yaml").unlink()
    ended = rendered(here, FILM, "--output", "again.mp4")
    assert (ended.status, ended.err) == (0, "")
    assert contents(here) == {FILM: whole[FILM], "again.mp4": whole[FILM]}


def test_a_film_of_files_is_made_again_wherever_they_lie(here: Path, whole: dict[str, str]) -> None:
    (here / "scenes").mkdir()
    (here / "films").mkdir()
    footage_in(here / "scenes")
    (here / "film.yaml").rename(here / "scenes/film.yaml")
    arguments = ("--set", "source.start=20", "--set", "source={video: scenes/clip.mp4}")
    assert rendered(here, "scenes/film.yaml", *arguments, "--output", "films/a.mp4").status == 0
    made = sha256(here / "films/a.mp4")
    missing = rendered(here, "films/a.mp4", "--output", "b.mp4")
    assert missing.status == 4
    assert "films/a.mp4" in missing.err
    assert "--set source.video=" in missing.err
    given = rendered(here, "films/a.mp4", "--set", "source.video=scenes/clip.mp4", "--output", "b.mp4")
    assert (given.status, given.err) == (0, "")
    shutil.copy(here / "scenes/clip.mp4", here / "films/clip.mp4")
    beside = rendered(here, "films/a.mp4", "--output", "c.mp4")
    assert (beside.status, beside.err) == (0, "")
    (here / "films/clip.mp4").rename(here / "clip.mp4")
    current = rendered(here, "films/a.mp4", "--output", "d.mp4")
    assert (current.status, current.err) == (0, "")
    assert {sha256(here / f"{name}.mp4") for name in "bcd"} == {made}


def test_part_of_a_film_and_pictures_are_made_again_too(here: Path) -> None:
    make("output.path=part.mp4", span=(6, 15))
    make(f"output.path={SEQUENCE}", "duration=3")
    before = contents(here)
    assert rendered(here, "part.mp4", "--output", "again.mp4").status == 0
    assert rendered(here, "frames/001.png", "--output", "again/%03d.png").status == 0
    after = contents(here)
    assert after["again.mp4"] == before["part.mp4"]
    assert all(after[f"again/{i:03d}.png"] == before[f"frames/{i:03d}.png"] for i in range(3))


def test_a_film_of_one_thread_is_made_again_in_one(here: Path, whole: dict[str, str]) -> None:
    """The bytes depend on how many there are, and the film says it."""
    make()
    ended = rendered(here, FILM, "--output", "again.mp4", environment={"OMP_NUM_THREADS": None})
    assert (ended.status, ended.err) == (0, "")
    assert sha256(here / "again.mp4") == whole[FILM]


def test_what_differs_from_the_films_machine_is_warned_of(here: Path) -> None:
    make("duration=3")
    found = encoder.carried(here / FILM)
    assert found is not None
    found["versions"]["torch"] = "1.0"
    found["machine"]["device"] = "NVIDIA H100"
    found["weights"] = "0" * 64
    carry(here / "old.mp4", found)
    told: list[Any] = rendered(here, "old.mp4", "--output", "again.mp4", "--json").events
    assert told[0]["event"] == "warning"
    for change in ('versions.torch was "1.0", is ', 'machine.device was "NVIDIA H100", is "cpu"', 'weights was "000'):
        assert change in told[0]["message"]
    assert told[-1]["event"] == "film"
    assert sha256(here / "again.mp4") == sha256(here / FILM)
    quiet = rendered(here, "old.mp4", "--output", "quiet.mp4", "--quiet")
    assert (quiet.out, quiet.err) == ("", "")


def test_a_film_shows_its_scene(here: Path) -> None:
    make("duration=3", "camera.zoom={0: 1, end: {value: 1.05, ease: in_sine}}")
    shown = rendered(here, "show", FILM)
    assert shown.status == 0
    assert "ease: in_sine" in shown.out
    (here / "copy.yaml").write_text(shown.out)
    assert rendered(here, "copy.yaml", "--output", "copy.mp4").status == 0
    assert sha256(here / "copy.mp4") == sha256(here / FILM)
    full = rendered(here, "show", FILM, "--json")
    assert {"scene", "weights", "machine", "versions", "frames"} <= json.loads(full.out).keys()


def test_a_hostile_film_neither_commands_the_terminal_nor_floods_it(here: Path) -> None:
    make("duration=3")
    found = encoder.carried(here / FILM)
    assert found is not None
    found["versions"] |= {"\x1b]0;mine\x07\x1b[31m": "1", "big": "x" * 100_000, **{f"v{i}": "1" for i in range(999)}}
    carry(here / "hostile.mp4", found)
    ended = rendered(here, "hostile.mp4", "--output", "again.mp4")
    assert ended.status == 0
    assert all(character.isprintable() or character == "\n" for character in ended.err)
    assert len(ended.err) < 4000
    assert "more\n" in ended.err


HOSTILE: dict[str, tuple[Any, type[RenderError]]] = {
    "unknown keys": ({"scene": {"layers": [{"layer": "blocks.4"}], "zom": 1}}, SceneError),
    "nothing": ({"scene": {}}, SceneError),
    "no mapping": ({"scene": [1]}, StorageError),
    "deep": ({"scene": {"a": json.loads("[" * 500 + "]" * 500)}}, SceneError),
    "no text": ({"scene": {"seed": "\ud800"}}, SceneError),
    "other types": (
        {"scene": {"layers": [{"layer": "blocks.4"}]}, "files": 3, "machine": [], "frames": "x", "versions": None},
        SceneError,
    ),
}


@pytest.mark.parametrize("which", HOSTILE)
def test_a_film_that_carries_anything_else_is_a_sentence(here: Path, which: str) -> None:
    what, error = HOSTILE[which]
    carry(here / "hostile.png", what)
    if which == "other types":
        assert load(here / "hostile.png", [("--set", "duration", "1")]).length == 1
        return
    with pytest.raises(error):
        load(here / "hostile.png")


def test_what_is_no_film_of_ours_carries_no_scene(here: Path) -> None:
    footage_in(here)
    for arguments in (("show", CLIP), (CLIP,)):
        ended = rendered(here, *arguments)
        assert ended.status == 4
        assert ended.err == f"render: {CLIP} carries no scene, as the films of render do\n"
    assert "there is no film none.mp4" in rendered(here, "show", "none.mp4").err
