"""Who may use the page: an ASGI application that answers for another one only those who know its token or password.

The token is in the address that is printed; opening it sets a cookie, which every later request needs. A request of
another site is refused by the headers that browsers add and no script can change: Host (a name that was rebound to this
machine), Origin (another page), and the cookie, which is sent to the page's own site only.
"""

from __future__ import annotations

import asyncio
import hmac
import html
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN_BYTES = 32
MAX_FORM = 4096
"""Bytes of the password's form."""
FAILURE_SECONDS = 1.0
"""What a wrong password costs; one is looked at after the other."""
NOT_LET_IN = (403, "open the address that `render studio` printed")
SAFE_METHODS = ("GET", "HEAD")
POLICY = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Headers of every answer. The page's own framework compiles templates in the browser, which needs 'unsafe-eval'."""


@dataclass(frozen=True)
class Access:
    """What is needed to get in: the addresses (`127.0.0.1:8080`) that the page has, and a token or a password."""

    hosts: frozenset[str]
    password: str | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(TOKEN_BYTES))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(TOKEN_BYTES))
    cookie: str = "render-studio"


class Guard:
    """The application in front of another one; it refuses who has no access, and bodies that are too large."""

    def __init__(self, app: App, access: Access, *, max_body: int) -> None:
        self.app = app
        self._access = access
        self._max_body = max_body
        self._attempts = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or hands it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif refusal := self._refusal(scope):
            await _refuse(scope, send, refusal)
        elif self._has_session(scope):
            connection = _Connection(receive, self._max_body)
            try:
                await self.app(scope, connection.receive, _with_policy(send))
            except RuntimeError:  # of Starlette: nothing was answered
                if not connection.is_closed:
                    raise
        elif scope["type"] == "http":
            await self._let_in(scope, receive, send)
        else:
            await _refuse(scope, send, NOT_LET_IN)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Returns status and sentence for a request that no page of this address makes."""
        hosts, origins = _headers(scope, b"host"), _headers(scope, b"origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._access.hosts:
            return 421, "this page has another address"
        is_read = scope["type"] == "http" and scope["method"] in SAFE_METHODS
        if (origins or not is_read) and origins != [f"http://{hosts[0]}"]:
            return 403, "a page of another address may not use this one"
        if scope["type"] == "http" and scope["method"] not in (*SAFE_METHODS, "POST", "PUT", "DELETE"):
            return 405, "this method is not used here"
        lengths = _headers(scope, b"content-length")
        if any(not length.isdecimal() or int(length) > self._max_body for length in lengths):
            return 413, f"at most {self._max_body} bytes are accepted"
        return None

    def _has_session(self, scope: Scope) -> bool:
        for header in _headers(scope, b"cookie"):
            try:
                morsel = SimpleCookie(header).get(self._access.cookie)
            except CookieError:
                continue
            if morsel is not None and _is_equal(morsel.value, self._access.session):
                return True
        return False

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sets the cookie for who has the token or the password; a form is for the latter."""
        access = self._access
        tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        if access.password is None:
            if len(tokens) == 1 and _is_equal(tokens[0], access.token):
                await self._welcome(send)
            else:
                await _refuse(scope, send, NOT_LET_IN)
        elif scope["method"] == "POST":
            async with self._attempts:
                values = parse_qs((await _body(receive, MAX_FORM)).decode("latin-1"), encoding="utf-8")
                if _is_equal(values.get("password", [""])[0], access.password):
                    await self._welcome(send)
                else:
                    await asyncio.sleep(FAILURE_SECONDS)
                    await _answer(send, 403, _form("That is not the password."))
        else:
            await _answer(send, 401, _form(""))

    async def _welcome(self, send: Send) -> None:
        """Sets the cookie. The page that follows is requested by this one, so that the browser sends the cookie."""
        cookie = f"{self._access.cookie}={self._access.session}; Path=/; HttpOnly; SameSite=Strict"
        document = _document('<meta http-equiv="refresh" content="0;url=/"><p><a href="/">Open the studio</a></p>')
        await _answer(send, 200, document, cookie=cookie)


def _headers(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _is_equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


class _Connection:
    """What a browser sends; a body that is longer than the limit closes it."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._remaining = limit
        self.is_closed = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._remaining -= len(message.get("body", b""))
            if self._remaining < 0:
                message = {"type": "http.disconnect"}
        self.is_closed |= message["type"] == "http.disconnect"
        return message


def _with_policy(send: Send) -> Send:
    async def with_policy(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {key.lower() for key, _ in message.get("headers", [])}
            added = [(key.encode(), value.encode()) for key, value in POLICY.items() if key.encode() not in own]
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return with_policy


async def _body(receive: Receive, limit: int) -> bytes:
    """Returns the body of a request, the part of it within the limit."""
    body = b""
    while len(body) <= limit:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return body[:limit]


async def _refuse(scope: Scope, send: Send, refusal: tuple[int, str]) -> None:
    status, sentence = refusal
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": sentence})  # before it is accepted: status 403
    else:
        await _answer(send, status, _document(f"<p>{html.escape(sentence)}</p>"))


async def _answer(send: Send, status: int, document: str, *, cookie: str | None = None) -> None:
    body = document.encode()
    described = {
        "content-type": "text/html; charset=utf-8",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        **POLICY,
        **({} if cookie is None else {"set-cookie": cookie}),
    }
    encoded = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in described.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def _form(sentence: str) -> str:
    return _document(
        f'<form method="post" action="/"><p role="alert">{sentence}</p><label>Password '
        '<input type="password" name="password" autocomplete="current-password" required autofocus></label> '
        "<button>Open</button></form>"
    )


def _document(body: str) -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>render studio</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        f'content="light dark"><body style="font: 16px system-ui; margin: 3rem">{body}'
    )
