"""Names: of the working folder, whatever the film is called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from render.film.naming import max_name_bytes, work_folder


@pytest.mark.parametrize("name", ["film.mp4", "a b.mov", "%05d.png", "%d.png", "a%03d.jpg", "夢" * 81 + ".mp4"])
def test_the_folder_is_named_after_the_film(name: str) -> None:
    assert work_folder(Path("out") / name) == Path("out") / f"{name}.parts"


@pytest.mark.parametrize("name", ["x" * 246 + ".mp4", "夢" * 82 + ".mp4", "é" * 125 + ".mp4", "🎬" * 62 + ".mov"])
def test_a_name_up_to_the_limit_has_a_folder_within_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    folder = work_folder(tmp_path / name)
    assert len(os.fsencode(folder.name)) <= max_name_bytes(tmp_path)
    folder.mkdir()
    assert folder.suffix == ".parts"
    assert work_folder(tmp_path / f"y{name[1:]}") != folder


def test_names_that_mean_one_film_on_some_disk_have_one_folder() -> None:
    """Of a name that is shortened, on a disk that ignores case, or how accents are composed."""
    name = "x" * 200 + "é" * 23 + ".mp4"
    other = "x" * 200 + "É" * 23 + ".mp4"
    assert work_folder(Path(name)).name.casefold() == work_folder(Path(other)).name.casefold()


@pytest.mark.parametrize(
    ("one", "other"),
    [("%05d.png", "%5d.png"), ("%d.png", "%01d.png"), ("%d.png", "%1d.png"), ("a%3d.jpg", "a%03d.jpg")],
)
def test_patterns_of_the_same_pictures_have_one_folder(one: str, other: str) -> None:
    assert work_folder(Path(one)) == work_folder(Path(other))


def test_different_names_have_different_folders() -> None:
    names = ["%05d.png", "%04d.png", "a%02d.mp4", "a%2d.mp4", "A.mp4", "a.mp4", "a.mov"]
    assert len({work_folder(Path(name)) for name in names}) == len(names)
