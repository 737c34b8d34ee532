"""The command `studio`, without a browser: what it refuses, and what it says it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from render.cli.studio import studio
from render.errors import MissingError, StorageError, UsageError
from render.studio.server import Address, serve


def test_without_its_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("render.cli.studio.find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"pip install 'render-dreams\[studio\]'"):
        studio()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
def test_other_machines_need_a_password(host: str) -> None:
    with pytest.raises(UsageError, match="needs --password"):
        Address(host)
    assert not Address(host, password="a").is_loopback


def test_the_page_has_the_names_of_its_address() -> None:
    assert Address().hosts(8420) == {"127.0.0.1:8420", "localhost:8420"}
    assert "[::1]:80" in Address("::1").hosts(80)
    assert "192.168.1.5:80" in Address("192.168.1.5", password="a").hosts(80)


def test_a_scene_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        serve(tmp_path / "nowhere" / "scene.yaml", Address(), announce=print)
