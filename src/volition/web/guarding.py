"""What stands before every page: who may ask for what, and how much.

The token is the first part of every address, so there is no cookie that another site could use. A
host name that is not ours (as with DNS rebinding), a foreign origin, another method or too large a
body ends with one line, which is logged, too; the token is in none of them.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
import socket
from dataclasses import dataclass
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOG = logging.getLogger("volition.web")
TOKEN_BYTES = 24
LEAST_TOKEN = 16  # signs of one that a person chose
MOST_BYTES = 1 << 18  # of what is handed in: some thousand answers
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
WILDCARDS = ("0.0.0.0", "::")
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "media-src 'self'",
        "connect-src 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # an address holds the token
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def new_token() -> str:
    """One that nobody guesses."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Doors:
    """Under which names a page may be asked for.

    Attributes:
        token: The first part of every address.
        host: Where it listens.
    """

    token: str
    host: str

    def knows(self, header: str) -> bool:
        """Whether that `Host` is one of ours.

        Where everybody may connect, that is any address in numbers: another site that has its name
        point here still sends its name.
        """
        name = _without_port(header)
        if name in LOOPBACK or name == self.host.lower() or name == f"[{self.host}]":
            return True
        if self.host not in WILDCARDS:
            return False
        if name == socket.gethostname().lower():
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True

    def opens(self, token: str) -> bool:
        return secrets.compare_digest(token.encode(), self.token.encode())


class Refused(Exception):
    """A request that is not answered, and why."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Guard:
    """Lets through what it should, with the token taken off its path.

    Args:
        app: What answers.
        doors: Under which names.
    """

    def __init__(self, app: ASGIApp, doors: Doors) -> None:
        self._app, self._doors = app, doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        try:
            inside = self._admitted(scope)
        except Refused as refused:
            await refusal(refused, scope, self._doors.token)(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message)
            await send(message)

        await self._app(inside, _bounded(receive), guarded)

    def _admitted(self, scope: Scope) -> Scope:
        """What the app is asked.

        Raises:
            Refused: It is not to be asked that.
        """
        headers = Headers(scope=scope)
        if not self._doors.knows(headers.get("host", "")):
            raise Refused(HTTPStatus.MISDIRECTED_REQUEST, "this server has another name")
        token = scope["path"].split("/")[1] if scope["path"].startswith("/") else ""
        if not self._doors.opens(token):
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "wrong token: take the whole address that `volition` printed",
            )
        if scope["method"] not in ("GET", "HEAD"):
            _check_origin(scope["method"], headers)
        size = headers.get("content-length", "0")
        if not size.isdecimal() or int(size) > MOST_BYTES:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MOST_BYTES:,} bytes are taken"
            )
        return {**scope, "root_path": f"/{token}"}


def refusal(refused: Refused, scope: Scope, token: str) -> Response:
    """What is answered, which is logged, too."""
    client = scope.get("client") or ("somebody", 0)
    path = scope["path"].replace(token, "TOKEN")[:200]
    status, reason = refused.status, refused.reason
    LOG.warning("refused %d of %s: %s %r: %s", status, client[0], scope["method"], path, reason)
    return PlainTextResponse(
        f"{status.value} {status.phrase}: {reason}\n",
        status,
        {**HEADERS, "Cache-Control": "no-store", "Connection": "close"},
    )


async def on_refused(request: Request, error: Exception) -> Response:
    """For what is refused only once its body has come."""
    assert isinstance(error, Refused)
    return refusal(error, request.scope, request.scope["root_path"].strip("/"))


def _check_origin(method: str, headers: Headers) -> None:
    """That a page of our own asks for a change.

    Raises:
        Refused: It is another site's, or no page's.
    """
    if method != "POST":
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"{method} is not taken")
    origin = headers.get("origin")
    if origin is None or origin.partition("://")[2] != headers.get("host"):
        raise Refused(HTTPStatus.FORBIDDEN, "this was sent by another site")
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise Refused(HTTPStatus.FORBIDDEN, "this was sent by another site")
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "answers are JSON")


def _bounded(receive: Receive) -> Receive:
    """The same, for as long as not too much has come: a body need not say its length."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MOST_BYTES:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MOST_BYTES:,} bytes are taken"
            )
        return message

    return bounded


def _add_headers(message: Message) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers[name] = value
    headers.setdefault("Cache-Control", "no-store")


def _without_port(header: str) -> str:
    name = header.lower()
    if name.startswith("["):  # an address of IPv6
        return name.partition("]")[0] + "]"
    return name.partition(":")[0]
