"""A scene file that a page edits: saves are atomic, edits elsewhere are noticed, drafts survive, one writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from render.errors import StorageError
from render.studio.scene_file import MAX_BYTES, ChangedError, SceneFile

TEXT = "# Ein Traum: ä\r\nfps: 24\r\n"


@pytest.fixture
def file(tmp_path: Path) -> SceneFile:
    path = tmp_path / "scene.yaml"
    path.write_bytes(TEXT.encode())
    return SceneFile(path, tmp_path / "drafts")


def test_a_save_keeps_how_lines_end(file: SceneFile) -> None:
    saved = file.read()
    assert saved.text == TEXT.replace("\r\n", "\n")
    again = file.save(saved.text.replace("24", "25"), saved)
    assert file.path.read_bytes() == TEXT.replace("24", "25").encode()
    assert file.read() == again != saved


def test_an_edit_elsewhere_is_not_overwritten(file: SceneFile) -> None:
    saved = file.read()
    file.path.write_bytes(b"fps: 30\n")
    with pytest.raises(ChangedError, match="changed elsewhere"):
        file.save("fps: 25\n", saved)
    assert file.path.read_bytes() == b"fps: 30\n"
    file.path.unlink()
    file.save("fps: 25\n", saved)  # deleted: the text is written again
    assert file.path.read_bytes() == b"fps: 25\r\n"


def test_a_save_through_a_link_replaces_the_file_and_not_the_link(file: SceneFile) -> None:
    link = file.path.with_name("link.yaml")
    link.symlink_to(file.path.name)
    linked = SceneFile(link, file.path.parent / "drafts")
    linked.save("fps: 1\n", linked.read())
    assert link.is_symlink()
    assert file.path.read_bytes() == b"fps: 1\r\n"


def test_a_draft_lasts_until_it_is_saved(file: SceneFile) -> None:
    saved = file.read()
    assert file.draft() is None
    file.keep_draft("fps: 12\n", saved)
    draft = SceneFile(file.path, file.path.parent / "drafts").draft()
    assert draft is not None
    assert (draft.text, draft.checksum) == ("fps: 12\n", saved.checksum)
    file.save(draft.text, saved)
    assert file.draft() is None


def test_a_damaged_draft_is_none(file: SceneFile) -> None:
    file.keep_draft("a", file.read())
    (draft,) = (file.path.parent / "drafts").glob("*.json")
    draft.write_bytes(draft.read_bytes()[:-5])
    assert file.draft() is None


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a" * (MAX_BYTES + 1)])
def test_what_is_no_text_is_refused(file: SceneFile, data: bytes) -> None:
    file.path.write_bytes(data)
    with pytest.raises(StorageError):
        file.read()
    assert file.read_or_none() is None


def test_a_folder_that_cannot_be_written_is_an_error(file: SceneFile, tmp_path: Path) -> None:
    (tmp_path / "drafts").write_bytes(b"no folder")
    with pytest.raises(StorageError):
        file.keep_draft("a", file.read())


def test_another_process_that_writes_is_noticed_and_its_end_too(file: SceneFile) -> None:
    program = (
        "import sys; from pathlib import Path; from render.studio.scene_file import SceneFile\n"
        "file = SceneFile(Path(sys.argv[1]), Path(sys.argv[2])); print(file.begin_writing(), flush=True); input()"
    )
    command = [sys.executable, "-c", program, str(file.path), str(file.path.parent / "drafts")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert not file.begin_writing()
        other.kill()
        other.wait()
    assert file.begin_writing()
    file.end_writing()
