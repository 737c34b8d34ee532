"""The same scene gives the same bytes: twice, in parts that are joined, and again from what the film embeds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from render import load
from render.analysis.join import join
from render.errors import RenderError, SceneError, StorageError, UsageError
from render.film import encoder
from render.film.metadata import read_metadata
from render.media import ffmpeg
from render.media.image_bytes import with_comment
from render.pipeline.embedded import embedded_scene
from render.system.checksum import sha256
from tests.production.films import (
    CLIP,
    FILM,
    FOLLOWED,
    FOLLOWED_ARGUMENTS,
    FRAMES,
    SEQUENCE,
    checksums,
    make,
    write_clip,
)
from tests.production.processes import run_render
from tests.sound.made import made_music, write_sound

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize(("film", "arguments"), [(FILM, ()), (FOLLOWED, FOLLOWED_ARGUMENTS)])
def test_another_process_makes_the_same_bytes(
    workspace: Path, reference: dict[str, str], film: str, arguments: tuple[str, ...]
) -> None:
    write_clip(workspace)
    assert run_render(workspace, "film.yaml", *arguments).status == 0
    assert checksums(workspace) == {film: reference[film]}


def test_a_sequence_made_in_parts_is_the_sequence(workspace: Path, reference: dict[str, str]) -> None:
    """Of which one ends where a segment does."""
    for frames in ((12, 20), (7, 12), (0, 7)):
        make(f"output.path={SEQUENCE}", "output.bit_depth=16", frames=frames)
    assert checksums(workspace) == {name: data for name, data in reference.items() if name.endswith(".png")}


@pytest.mark.parametrize(
    "kind", ["film", "falling bit rate", "followed", "h265", pytest.param("prores", marks=pytest.mark.slow)]
)
def test_a_film_made_in_parts_and_joined_is_the_film(workspace: Path, reference: dict[str, str], kind: str) -> None:
    write_clip(workspace)
    suffix = ".mov" if kind == "prores" else ".mp4"
    settings = {
        "film": (),
        # The rates of the first segment, of the first part and of the film differ.
        "falling bit rate": ("dream.steps=0", "source.noise.grain=2", "camera.zoom=1.2"),
        "followed": (f"source.video={CLIP}", "source.start=20"),
        "h265": ("output.codec=h265",),
        "prores": ("output.codec=prores", f"source.video={CLIP}"),
    }[kind]
    parts = [Path(f"it's {first}{suffix}") for first in (0, 8, 12)]
    for part, frames in zip(parts, ((0, 8), (8, 12), (12, 20)), strict=True):
        make(f"output.path={part}", *settings, frames=frames)
    joined = join([parts[2], parts[0], parts[1]], Path(f"joined{suffix}"))
    assert joined.frames == FRAMES
    if kind in ("film", "followed"):
        expected = reference[FILM if kind == "film" else FOLLOWED]
    else:
        expected = sha256(make(f"output.path=whole{suffix}", *settings).path)
    assert sha256(joined.path) == expected
    assert not list(workspace.glob("*.join*"))


def test_parts_that_do_not_belong_together_are_refused(workspace: Path) -> None:
    for name, frames, seed in (("a", (0, 4), 3), ("b", (4, 8), 4), ("c", (8, 12), 3), ("d", (2, 6), 3)):
        make(f"output.path={name}.mp4", f"seed={seed}", frames=frames)
    for names, message in (
        ("ab", r"b\.mp4 is part of another film: scene\.seed was 3, is 4"),
        ("ac", r"c\.mp4 begins at frame 8, where frame 4 is missing"),
        ("ad", r"d\.mp4 begins at frame 2, where frame 4 is missing"),
    ):
        with pytest.raises(UsageError, match=message):
            join([Path(f"{name}.mp4") for name in names], Path("all.mp4"))
    write_clip(workspace)
    with pytest.raises(StorageError, match="exists; --overwrite"):
        join([Path("a.mp4")], Path("d.mp4"))
    with pytest.raises(StorageError, match="embeds no scene"):
        join([Path("a.mp4"), Path(CLIP)], Path("all.mp4"))
    assert not Path("all.mp4").exists()


def test_a_join_writes_nothing_but_its_film(workspace: Path) -> None:
    write_clip(workspace)
    settings = (f"source.video={CLIP}", "duration=8")
    for name, frames in (("a", (0, 4)), ("b", (4, 8))):
        make(f"output.path={name}.mp4", *settings, frames=frames)
    (workspace / "all.mp4.join").mkdir()
    (workspace / "all.mp4.join" / "notes.txt").write_text("precious")
    before = checksums(workspace)
    parts = [Path("a.mp4"), Path("b.mp4")]
    clip = (workspace / CLIP).read_bytes()
    for target in ("a.mp4", CLIP):
        with pytest.raises(UsageError, match="is what the film is made from"):
            join(parts, Path(target), overwrite=True)
    join(parts, Path("all.mp4"))
    assert {**before, "all.mp4": sha256(workspace / "all.mp4")} == checksums(workspace)
    assert (workspace / CLIP).read_bytes() == clip
    (workspace / CLIP).write_bytes(clip + b"\0" * 8)
    with pytest.raises(UsageError, match=r"files that the parts were made from have changed: files\.source\.video was"):
        join(parts, Path("other.mp4"))
    assert not (workspace / "other.mp4").exists()


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "h265"), ("mov", "prores")])
def test_a_codec_encodes_the_same_bytes_each_time(workspace: Path, suffix: str, codec: str) -> None:
    """x265 did not, when its frames arrived at irregular intervals."""
    settings = ("duration=12", f"output.codec={codec}", f"output.path=film.{suffix}")
    make(*settings)
    first = checksums(workspace)
    for _ in range(3):
        make(*settings, overwrite=True)
        assert checksums(workspace) == first


def test_the_command_line_joins_films(workspace: Path, reference: dict[str, str]) -> None:
    for frames in ("0:8", "8:20"):
        assert run_render(workspace, "film.yaml", "--frames", frames).status == 0
    result = run_render(workspace, "join", "film.0-8.mp4", "film.8-20.mp4", "--output", FILM)
    assert (result.status, result.out, result.err) == (0, f"{FILM}: 20 frames\n", "")
    assert sha256(workspace / FILM) == reference[FILM]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_the_embedded_scene_of_a_config_is_that_scene(config: Path, workspace: Path) -> None:
    """Whatever a shipped scene uses is preserved in a film's comment, and in the YAML that is printed from it."""
    write_clip(workspace)
    cv2.imwrite("p.png", np.full((64, 64, 3), 99, np.uint8))
    for style in ("strokes.jpg", "styles/strokes.jpg"):  # beside a film, and where a scene names it
        Path(style).parent.mkdir(exist_ok=True)
        cv2.imwrite(style, np.full((64, 64, 3), 99, np.uint8))
    write_sound(workspace / "song.wav", made_music(128, 10, pattern="four"))
    needed = dict.fromkeys(("photo", "cloud", "paint"), "source.image=p.png")
    needed |= dict.fromkeys(("stylize", "dreamscape"), f"source.video={CLIP}")
    needed["music"] = "output.audio=song.wav"
    key, _, value = needed.get(config.stem, "").partition("=")
    scene = load(config, [("--set", key, value)] if value else [])
    written = scene.spec.model_dump(mode="json", exclude_none=True, by_alias=True)
    film = workspace / f"embeds{Path(scene.output.path).suffix}"
    write_film(film, {"scene": written, "files": {}})
    text = embedded_scene(film)
    (workspace / "embedded.yaml").write_text(text)
    for loaded in (load(film), load(workspace / "embedded.yaml")):
        dumped = loaded.spec.model_dump(mode="json", exclude_none=True, by_alias=True)
        assert {**dumped, "output": None} == {**written, "output": None}
    assert text.startswith("size: [")


def write_film(film: Path, metadata: dict[str, Any]) -> None:
    """Writes a tiny film, or picture, that embeds this metadata."""
    grey = ("-f", "lavfi", "-i", "color=gray:s=32x32:r=24:d=0.1")
    if film.suffix == ".mp4":
        comment = film.with_suffix(".txt")
        comment.write_text(f";FFMETADATA1\ncomment={encoder._escape(json.dumps(metadata))}\n", encoding="utf-8")
        ffmpeg.run(*ffmpeg.QUIET, *grey, "-f", "ffmetadata", "-i", str(comment), "-map_metadata", "1", str(film))
        return
    cv2.imwrite(str(film), np.full((32, 32, 3), 99, np.uint8))
    film.write_bytes(with_comment(film.read_bytes(), json.dumps(metadata)))


def test_a_film_is_made_again_from_itself_byte_for_byte(workspace: Path, reference: dict[str, str]) -> None:
    assert run_render(workspace, "film.yaml").status == 0
    (workspace / "film.yaml").unlink()
    result = run_render(workspace, FILM, "--output", "again.mp4")
    assert (result.status, result.err) == (0, "")
    assert checksums(workspace) == {FILM: reference[FILM], "again.mp4": reference[FILM]}


def test_a_film_of_files_is_made_again_wherever_the_files_are(workspace: Path) -> None:
    (workspace / "scenes").mkdir()
    (workspace / "films").mkdir()
    write_clip(workspace / "scenes")
    (workspace / "film.yaml").rename(workspace / "scenes/film.yaml")
    arguments = ("--set", "source.start=20", "--set", "source={video: scenes/clip.mp4}", "--set", "duration=0.2s")
    assert run_render(workspace, "scenes/film.yaml", *arguments, "--output", "films/a.mp4").status == 0
    expected = sha256(workspace / "films/a.mp4")
    missing = run_render(workspace, "films/a.mp4", "--output", "b.mp4")
    assert missing.status == 4
    assert "films/a.mp4" in missing.err
    assert "--set source.video=" in missing.err
    override = ("--set", "source.video=scenes/clip.mp4")
    overridden = run_render(workspace, "films/a.mp4", *override, "--output", "b.mp4")
    assert (overridden.status, overridden.err) == (0, "")
    shutil.copy(workspace / "scenes/clip.mp4", workspace / "films/clip.mp4")
    beside_the_film = run_render(workspace, "films/a.mp4", "--output", "c.mp4")
    assert (beside_the_film.status, beside_the_film.err) == (0, "")
    (workspace / "films/clip.mp4").rename(workspace / "clip.mp4")
    in_the_current_folder = run_render(workspace, "films/a.mp4", "--output", "d.mp4")
    assert (in_the_current_folder.status, in_the_current_folder.err) == (0, "")
    assert {sha256(workspace / f"{name}.mp4") for name in "bcd"} == {expected}


def test_a_range_of_frames_and_a_sequence_are_made_again_from_themselves(workspace: Path) -> None:
    make("output.path=part.mp4", frames=(6, 15))
    make(f"output.path={SEQUENCE}", "duration=3")
    before = checksums(workspace)
    assert run_render(workspace, "part.mp4", "--output", "again.mp4").status == 0
    assert run_render(workspace, "frames/001.png", "--output", "again/%03d.png").status == 0
    after = checksums(workspace)
    assert after["again.mp4"] == before["part.mp4"]
    assert all(after[f"again/{i:03d}.png"] == before[f"frames/{i:03d}.png"] for i in range(3))


def test_a_film_of_one_thread_is_made_again_in_one_thread(workspace: Path, reference: dict[str, str]) -> None:
    """The bytes depend on the number of threads, which the film embeds."""
    make()
    result = run_render(workspace, FILM, "--output", "again.mp4", environment={"OMP_NUM_THREADS": None})
    assert (result.status, result.err) == (0, "")
    assert sha256(workspace / "again.mp4") == reference[FILM]


def test_differences_from_the_machine_of_the_film_are_a_warning(workspace: Path) -> None:
    make("duration=3")
    metadata = read_metadata(workspace / FILM)
    assert metadata is not None
    metadata["versions"]["torch"] = "1.0"
    metadata["machine"]["device"] = "NVIDIA H100"
    metadata["weights"] = "0" * 64
    write_film(workspace / "old.mp4", metadata)
    events = run_render(workspace, "old.mp4", "--output", "again.mp4", "--json").events
    message = " ".join(event["message"] for event in events if event["event"] == "warning")
    for change in ('versions.torch was "1.0", is ', 'machine.device was "NVIDIA H100", is ', 'weights was "000'):
        assert change in message
    assert events[-1]["event"] == "film"
    assert sha256(workspace / "again.mp4") == sha256(workspace / FILM)
    quiet = run_render(workspace, "old.mp4", "--output", "quiet.mp4", "--quiet")
    assert (quiet.status, quiet.out, quiet.err) == (0, "", "")


def test_inspect_prints_the_embedded_scene(workspace: Path) -> None:
    make("duration=3", "camera.zoom={0: 1, end: {value: 1.05, ease: in_sine}}")
    result = run_render(workspace, "inspect", FILM)
    assert result.status == 0
    assert "ease: in_sine" in result.out
    (workspace / "copy.yaml").write_text(result.out)
    assert run_render(workspace, "copy.yaml", "--output", "copy.mp4").status == 0
    assert sha256(workspace / "copy.mp4") == sha256(workspace / FILM)
    metadata = json.loads(run_render(workspace, "inspect", FILM, "--json").out)
    assert {"scene", "weights", "machine", "versions", "frames"} <= metadata.keys()


def test_hostile_metadata_neither_controls_the_terminal_nor_floods_it(workspace: Path) -> None:
    make("duration=3")
    metadata = read_metadata(workspace / FILM)
    assert metadata is not None
    hostile = {"\x1b]0;mine\x07\x1b[31m": "1", "big": "x" * 100_000, **{f"v{i}": "1" for i in range(999)}}
    metadata["versions"] |= hostile
    write_film(workspace / "hostile.mp4", metadata)
    result = run_render(workspace, "hostile.mp4", "--output", "again.mp4")
    assert result.status == 0
    assert all(character.isprintable() or character == "\n" for character in result.err)
    assert len(result.err) < 4000
    assert "more\n" in result.err


HOSTILE: dict[str, tuple[Any, type[RenderError]]] = {
    "unknown keys": ({"objectives": [{"layer": "blocks.4"}], "zom": 1}, SceneError),
    "nothing": ({}, SceneError),
    "no mapping": ([1], StorageError),
    "deep": ({"a": json.loads("[" * 500 + "]" * 500)}, SceneError),
    "no text": ({"seed": "\ud800"}, SceneError),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_film_that_embeds_an_invalid_scene_is_an_error_message(workspace: Path, kind: str) -> None:
    scene, error = HOSTILE[kind]
    write_film(workspace / "hostile.png", {"scene": scene})
    with pytest.raises(error):
        load(workspace / "hostile.png")


@pytest.mark.parametrize("arguments", [("inspect", CLIP), (CLIP,)])
def test_a_film_of_another_program_embeds_no_scene(workspace: Path, arguments: tuple[str, ...]) -> None:
    write_clip(workspace)
    result = run_render(workspace, *arguments)
    assert result.status == 4
    assert result.err == f"render: {CLIP} embeds no scene, as films made by render do\n"


def test_a_missing_film_is_reported(workspace: Path) -> None:
    result = run_render(workspace, "inspect", "none.mp4")
    assert (result.status, result.err) == (4, "render: there is no film none.mp4\n")
