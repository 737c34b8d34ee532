"""What the page shows has ids; none leads to what was not named, is no file, or is outside the folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from render.studio import media as media_module
from render.studio.media import PREFIX, Media


def id_of(url: str) -> str:
    """The id in an address."""
    return url.removeprefix(PREFIX).partition("?")[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a film, beside which there is a secret."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "film.mp4").write_bytes(b"film")
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    return folder


def test_a_file_has_an_id_that_says_nothing_of_its_path(folder: Path) -> None:
    media = Media([folder])
    url = media.url(folder / "film.mp4")
    assert media.file(id_of(url)) == folder / "film.mp4"
    assert "film" not in url
    assert id_of(media.url(folder / "film.mp4")) == id_of(url)
    assert id_of(Media([folder]).url(folder / "film.mp4")) != id_of(url)


@pytest.mark.parametrize("media_id", ["", "film.mp4", "../secret.mp4", "/etc/passwd", "0" * 64, "%2e%2e%2fsecret.mp4"])
def test_other_ids_lead_to_nothing(folder: Path, media_id: str) -> None:
    media = Media([folder])
    media.url(folder / "film.mp4")
    assert media.file(media_id) is None


def test_links_folders_and_files_outside_are_not_shown(folder: Path) -> None:
    media = Media([folder])
    (folder / "link.mp4").symlink_to(folder.parent / "secret.mp4")
    (folder / "inner.mp4").symlink_to(folder / "film.mp4")
    (folder / "linked").symlink_to(folder.parent)
    paths = ["link.mp4", "inner.mp4", "linked/secret.mp4", "../secret.mp4", "none.mp4", "."]
    assert [media.file(id_of(media.url(folder / path))) for path in paths] == [None] * len(paths)


def test_a_file_that_becomes_a_link_is_not_shown_any_more(folder: Path) -> None:
    media = Media([folder])
    media_id = id_of(media.url(folder / "film.mp4"))
    (folder / "film.mp4").unlink()
    (folder / "film.mp4").symlink_to(folder.parent / "secret.mp4")
    assert media.file(media_id) is None


def test_the_address_changes_with_the_file(folder: Path) -> None:
    media = Media([folder])
    before = media.url(folder / "film.mp4")
    (folder / "film.mp4").unlink()
    (folder / "film.mp4").write_bytes(b"other")
    assert media.url(folder / "film.mp4") != before


def test_files_that_were_named_long_ago_are_forgotten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_module, "MAX_FILES", 2)
    media = Media([folder])
    first = id_of(media.url(folder / "film.mp4"))
    for name in ("a", "b"):
        media.url(folder / name)
    assert media.file(first) is None
