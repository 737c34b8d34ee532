"""Who may use the studio's page: those who know its token or password, from a page of its own address."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from render.studio.security import Access, Guard, Message, Receive, Scope, Send

HOST = "127.0.0.1:8420"
MAX_BODY = 1000


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of the body; accepts every WebSocket."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length, more = length + len(message["body"]), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-frame-options", b"SAMEORIGIN")]})
    await send({"type": "http.response.body", "body": str(length).encode()})


class Client:
    """Sends requests to a guard, with the cookie that it set."""

    def __init__(self, password: str | None = None) -> None:
        self.access = Access(frozenset({HOST, "localhost:8420"}), password)
        self.guard = Guard(application, self.access, max_body=MAX_BODY)
        self.cookie = ""

    def send(self, method: str = "GET", path: str = "/", *, body: bytes = b"", **headers: str) -> list[Message]:
        """Returns the answer's messages. A header of an empty value is not sent."""
        target, _, query = path.partition("?")
        sent = {"host": HOST, "cookie": self.cookie, **headers}
        if method not in ("GET", "HEAD"):
            sent = {"origin": f"http://{HOST}", **sent}
        kind = "websocket" if method == "WEBSOCKET" else "http"
        scope = {
            "type": kind,
            "method": method,
            "path": target,
            "query_string": query.encode(),
            "headers": [(key.replace("_", "-").encode(), value.encode()) for key, value in sent.items() if value],
        }
        answer: list[Message] = []
        parts = [body[i : i + 100] for i in range(0, len(body), 100)] or [b""]
        requests = [
            {"type": "http.request", "body": part, "more_body": i < len(parts) - 1} for i, part in enumerate(parts)
        ]

        async def receive() -> Message:
            return requests.pop(0)

        async def keep(message: Message) -> None:
            answer.append(message)

        asyncio.run(self.guard(scope, receive, keep))
        return answer

    def status(self, *arguments: Any, **options: Any) -> int:
        """Returns the status of an answer, 101 for an accepted WebSocket, 403 for a refused one, 0 for none."""
        answer = self.send(*arguments, **options)
        kinds = {"websocket.accept": 101, "websocket.close": 403}
        return (kinds.get(answer[0]["type"]) or int(answer[0]["status"])) if answer else 0

    def enter(self) -> Client:
        """Opens the address that was printed."""
        first, *_ = self.send(path=f"/?token={self.access.token}")
        cookies = [value.decode() for key, value in first["headers"] if key == b"set-cookie"]
        assert first["status"] == 200
        assert all(flag in cookies[0] for flag in ("HttpOnly", "SameSite=Strict", "Path=/"))
        self.cookie = cookies[0].partition(";")[0]
        return self


def test_the_printed_address_lets_in() -> None:
    client = Client().enter()
    assert client.status() == 200
    assert client.status("WEBSOCKET", origin=f"http://{HOST}") == 101


@pytest.mark.parametrize(
    "path", ["/", "/?token=", "/?token=wrong", "/?token=a&token=b", "/_nicegui/3/static/a.js", "/media/1"]
)
@pytest.mark.parametrize("cookie", ["", "render-studio=wrong", "render-studio=", "render-studio", "other=1", '"\x01'])
def test_nothing_is_answered_without_the_token(path: str, cookie: str) -> None:
    client = Client()
    assert client.status(path=path, cookie=cookie) == 403
    assert client.status("WEBSOCKET", path, origin=f"http://{HOST}", cookie=cookie) == 403
    assert client.status("POST", path, cookie=cookie) == 403


@pytest.mark.parametrize(
    "host", ["", "evil.example", "127.0.0.1", "127.0.0.1:1", "evil.example:8420", f"{HOST}.evil.example"]
)
def test_a_name_that_is_not_the_pages_is_refused(host: str) -> None:
    client = Client().enter()
    assert client.status(host=host) == 421
    assert client.status("WEBSOCKET", host=host, origin=f"http://{host}") == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", f"https://{HOST}", "http://127.0.0.1:9", f"http://{HOST}.evil"]
)
def test_a_page_of_another_address_is_refused(origin: str) -> None:
    client = Client().enter()
    assert client.status(origin=origin) == 403
    assert client.status("POST", origin=origin) == 403
    assert client.status("WEBSOCKET", origin=origin) == 403


def test_what_changes_something_needs_an_origin() -> None:
    client = Client().enter()
    assert client.status("POST", origin="") == 403
    assert client.status("WEBSOCKET", origin="") == 403
    assert client.status("POST") == 200
    assert client.status("TRACE") == 405


def test_a_body_that_is_too_large_is_refused_whatever_it_says() -> None:
    client = Client().enter()
    assert client.status("POST", body=b"a" * MAX_BODY) == 200
    assert client.status("POST", content_length=str(MAX_BODY + 1)) == 413
    assert client.status("POST", content_length="-1") == 413
    assert client.status("POST", body=b"a" * (MAX_BODY + 1)) == 0


def test_every_answer_forbids_frames_and_other_sources() -> None:
    for answer in (Client().send(), Client().enter().send()):
        headers = dict(answer[0]["headers"])
        assert b"default-src 'self'" in headers[b"content-security-policy"]
        assert headers[b"referrer-policy"] == b"no-referrer"
        assert len(headers) == len(answer[0]["headers"])


def test_a_password_replaces_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("render.studio.security.FAILURE_SECONDS", 0.0)
    client = Client("käse & more")
    assert client.status() == 401
    assert client.status(path=f"/?token={client.access.token}") == 401
    assert client.status("POST", body=b"password=wrong") == 403
    assert client.status("POST", body=b"") == 403
    assert client.status("POST", body=b"a=" * 5000, content_length="") == 403
    first, *_ = client.send("POST", body=b"password=k%C3%A4se+%26+more")
    client.cookie = dict(first["headers"])[b"set-cookie"].decode().partition(";")[0]
    assert client.status() == 200


def test_wrong_passwords_are_looked_at_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    client = Client("right")
    assert [client.status("POST", body=b"password=wrong") for _ in range(3)] == [403, 403, 403]
    assert slept == [1.0, 1.0, 1.0]
