"""What a studio survives: random messages, many pages, scenes that vanish, and scenes of thousands of values."""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.studio.browser import Browser
from tests.studio.conftest import SCENE, StartStudio, StudioProcess, wait_until

SOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
MESSAGES = 10_000
PAGES = 30


def cookie_of(studio: StudioProcess) -> str:
    """Returns the cookie that a studio's address sets."""
    address = urlsplit(studio.address)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    connection.request("GET", f"/?{address.query}")
    header = connection.getresponse().getheader("set-cookie")
    connection.close()
    assert header is not None
    return header.partition(";")[0]


def status_of(studio: StudioProcess, cookie: str, path: str = "/") -> int:
    """Returns the status of a page."""
    connection = http.client.HTTPConnection(urlsplit(studio.address).netloc, timeout=60)
    connection.request("GET", path, headers={"cookie": cookie})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


@contextmanager
def socket_of(studio: StudioProcess, cookie: str) -> Iterator[ClientConnection]:
    """Yields a WebSocket of the page's protocol."""
    netloc = urlsplit(studio.address).netloc
    headers = {"cookie": cookie}
    with connect(f"ws://{netloc}{SOCKET}", origin=Origin(f"http://{netloc}"), additional_headers=headers) as socket:
        yield socket


def random_message(chance: random.Random) -> str | bytes:
    """Returns a message that looks more or less like one of the protocol."""
    value: object = chance.choice(
        [
            None,
            1e308,
            -1,
            "x" * 1000,
            [],
            {},
            {"id": 5, "args": [chance.random()]},
            [[[[]]]],
            {"client_id": "a" * 36},
            True,
        ]
    )
    name = chance.choice(["event", "handshake", "ack", "javascript_response", "log", "too_long_message", "update", ""])
    texts = [
        f"42{json.dumps([name, value])}",
        f"42{json.dumps([name, {'client_id': str(value), 'id': chance.randrange(100), 'args': value}])}",
        f"4{chance.randrange(10)}{json.dumps(value)}",
        "".join(chance.choices('0123456789[]{}",:-ae/', k=chance.randrange(40))),
        "3",
    ]
    return chance.choice(texts) if chance.random() < 0.95 else chance.randbytes(20)


def test_ten_thousand_random_messages_end_no_page(start_studio: StartStudio, browser: Browser) -> None:
    studio = start_studio()
    browser.open(studio.address)
    cookie, chance = cookie_of(studio), random.Random(1)
    sent = 0
    while sent < MESSAGES:
        with socket_of(studio, cookie) as socket:
            try:
                for _ in range(500):
                    socket.send(random_message(chance))
                    sent += 1
            except ConnectionClosed:
                sent += 1
    assert studio.process.poll() is None
    browser.type_at(1, " still")
    browser.wait("[role=status]", "Not saved")


def test_thirty_pages_are_open_and_closed_without_growth(start_studio: StartStudio) -> None:
    studio = start_studio()
    cookie = cookie_of(studio)
    assert {status_of(studio, cookie) for _ in range(PAGES)} == {200}
    process = psutil.Process(studio.process.pid)
    first = process.memory_info().rss
    assert {status_of(studio, cookie) for _ in range(2 * PAGES)} == {200}
    assert process.memory_info().rss - first < 100 * 2**20


def test_a_scene_that_is_deleted_or_replaced_stays_on_the_page(start_studio: StartStudio, browser: Browser) -> None:
    studio = start_studio()
    file = studio.folder / "scene.yaml"
    browser.open(studio.address)
    browser.until(lambda: browser.scene() == SCENE)
    file.unlink()
    browser.wait("[role=status]", "scene.yaml is gone")
    browser.click("Save")
    wait_until(lambda: file.exists() and file.read_text() == SCENE)
    file.unlink()
    file.mkdir()
    browser.type_at(1, "!")
    browser.click("Save")
    browser.wait(".notice", "scene.yaml")
    assert browser.scene() == SCENE.replace("a scene", "a scene!")


def test_a_scene_of_ten_thousand_values_is_edited(start_studio: StartStudio, browser: Browser) -> None:
    studio = start_studio()
    keys = ", ".join(f"{frame}: {1 + frame % 7 / 100:.2f}" for frame in range(9_900))
    text = SCENE.replace("duration: 12", "duration: 9900").replace("0: 1.02, 6: 1.05, 11: 1.02", keys)
    (studio.folder / "scene.yaml").write_text(text)
    browser.open(studio.address)
    browser.type_at(3, "x")
    browser.wait(".problems", "is not a rate", seconds=60)


@pytest.mark.parametrize(
    "path", ["/media/x", "/media/..%2f..%2fetc%2fpasswd", "/media/../scene.yaml", "/?scene=../x.yaml"]
)
def test_no_route_leads_out_of_the_folder(start_studio: StartStudio, path: str) -> None:
    studio = start_studio()
    (studio.folder.parent / "x.yaml").write_text("secret: 1\n")
    connection = http.client.HTTPConnection(urlsplit(studio.address).netloc, timeout=60)
    connection.request("GET", path, headers={"cookie": cookie_of(studio)})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert b"secret" not in body
    assert b"root:" not in body
    assert answer.status == (200 if path.startswith("/?") else 404)
