"""Films that a stranger made: what they embed is validated, and chooses no folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from render import Options, load
from render.analysis.join import join
from render.errors import StorageError
from render.film.metadata import is_valid_machine, read_metadata
from render.media.image_bytes import with_comment
from render.pipeline.embedded import embedded_scene
from render.pipeline.plan import plan
from render.text import escape_lines

SCENE: dict[str, Any] = {"size": [32, 32], "duration": 1, "objectives": [{"layer": "blocks.1"}]}


def picture(path: Path, **metadata: Any) -> Path:
    """A picture that embeds metadata."""
    cv2.imwrite(str(path), np.full((32, 32, 3), 99, np.uint8))
    path.write_bytes(with_comment(path.read_bytes(), json.dumps({"scene": SCENE, **metadata})))
    return path


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("machine", []),
        ("machine", {"precision": ["float32"]}),
        ("machine", {"precision": {"float32": 1}}),
        ("machine", {"threads": "2"}),
        ("machine", {"threads": True}),
        ("machine", {"threads": 10**6}),
        ("machine", {"flow_threads": 0}),
        ("machine", {"tile": 1.5}),
        ("machine", {"tile": -128}),
        ("machine", {"limits": ["AVX2"]}),
        ("frames", "x"),
        ("frames", [0]),
        ("frames", [0, "1"]),
        ("frames", [0, 1, 2]),
        ("frames", {"0": 1}),
        ("files", 3),
        ("files", {"source.image": None}),
        ("files", {"source.image": {"a": "b"}}),
        ("weights", [1]),
        ("weights", {"network": {}}),
        ("versions", None),
        ("versions", {"torch": [2]}),
        ("content", []),
        ("content", {"frames": [1]}),
    ],
)
def test_metadata_of_another_shape_is_an_error_in_a_sentence(tmp_path: Path, key: str, value: object) -> None:
    film = picture(tmp_path / "film.png", **{key: value})
    for read in (load, embedded_scene, lambda path: join([path], tmp_path / "joined.png")):
        with pytest.raises(
            StorageError, match=rf"film\.png embeds metadata that render does not write: '{key}"
        ) as error:
            read(film)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["machine", "frames", "files", "weights", "versions"])
def test_a_film_of_an_earlier_version_may_lack_any_of_it(tmp_path: Path, key: str) -> None:
    metadata: dict[str, Any] = {
        "machine": {"precision": "float32"},
        "frames": [0, 1],
        "files": {},
        "weights": "0",
        "versions": {},
    }
    del metadata[key]
    assert load(picture(tmp_path / "film.png", **metadata)).length == 1


def test_what_a_machine_recorded_is_validated() -> None:
    assert is_valid_machine({"precision": "bfloat16", "threads": 2, "tile": None, "something": {"new": 1}})
    invalid: tuple[object, ...] = (None, [], "cpu", {"threads": "2"}, {"tile": True}, {"precision": 32})
    for machine in invalid:
        assert not is_valid_machine(machine)


@pytest.mark.parametrize(
    "path", ["/tmp/elsewhere/x.png", "../../x.png", "~/x.png", "a/b/x.png", "./x.png", "//x.png", "~root/../x.png"]
)
def test_the_path_in_a_film_is_reduced_to_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    (tmp_path / "current").mkdir()
    monkeypatch.chdir(tmp_path / "current")
    film = picture(tmp_path / "film.png", scene={**SCENE, "output": {"path": path}})
    scene = load(film)
    assert plan(scene, Options(device="cpu", precision="float32")).target == Path("x.png")
    assert "path: x.png" in embedded_scene(film)
    chosen = load(film, [("--output", "output.path", "elsewhere/y.png")])
    assert plan(chosen, Options(device="cpu", precision="float32")).target == Path("elsewhere/y.png")


@pytest.mark.parametrize("name", ["{folder}/secret.png", "../other/secret.png", "a/../../other/secret.png"])
def test_a_film_names_no_file_in_another_folder(tmp_path: Path, name: str) -> None:
    for folder in ("films", "other"):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / "other" / "secret.png"), np.full((32, 32, 3), 9, np.uint8))
    source = {"source": {"image": name.format(folder=tmp_path / "other")}}
    film = picture(tmp_path / "films" / "film.png", scene={**SCENE, **source})
    with pytest.raises(StorageError, match=r"films/secret\.png.*--set source\.image=PATH says where it is"):
        load(film)
    chosen = load(film, [("--set", "source.image", str(tmp_path / "other" / "secret.png"))])
    assert chosen.paths["source", "image"] == tmp_path / "other" / "secret.png"


def test_a_printed_scene_is_the_scene_whatever_characters_its_names_have(tmp_path: Path) -> None:
    name = "a\u202egpj\u2066.\u200fé 🎬 夢.png"
    film = picture(tmp_path / "film.png", scene={**SCENE, "source": {"image": name}})
    printed = escape_lines(embedded_scene(film))
    assert not set("\u202e\u2066\u200f") & set(printed)
    assert yaml.safe_load(printed)["source"]["image"] == name


def test_a_pipe_is_not_read_for_metadata(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(StorageError, match="it is not a file"):
        read_metadata(tmp_path / "pipe.png")
