"""Serves a page until Ctrl-C: on this machine alone, unless somebody says where else."""

from __future__ import annotations

import logging
import secrets
import socket
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from volition.errors import InputError
from volition.web.guarding import LEAST_TOKEN, WILDCARDS, Doors, Guard, is_loopback, new_token

HIGHEST_PORT = 65535
HURRY_S = 2  # for which open connections are waited for at the end
SAFE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"


@dataclass(frozen=True, slots=True)
class Address:
    """Where pages are served.

    Attributes:
        host: A name or number of this machine.
        port: 0 is any that is free, and None a page's own, or any if that is taken: a browser
            keeps what was not handed in yet by the port.
        token: The first part of every address; made up where nobody says it.

    Raises:
        InputError: It will not do.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    token: str = ""

    def __post_init__(self) -> None:
        if self.port is not None and not 0 <= self.port <= HIGHEST_PORT:
            raise InputError(f"--port is 0 to {HIGHEST_PORT}, not {self.port}")
        if self.token and (len(self.token) < LEAST_TOKEN or set(self.token) - set(SAFE)):
            raise InputError(
                f"--token is {LEAST_TOKEN} signs or more, letters, digits, - and _, such as "
                f"{new_token()}"
            )
        if not self.token and not is_loopback(self.host):
            raise InputError(
                f"--host {self.host} is reached from other machines: give a token, too, such as "
                f"--token {secrets.token_urlsafe(24)}"
            )

    @property
    def doors(self) -> Doors:
        return Doors(self.token or new_token(), self.host)


def serve(app: ASGIApp, address: Address, own_port: int, tell: Callable[[str], None]) -> None:
    """Serves until Ctrl-C.

    Args:
        app: What answers.
        address: Where.
        own_port: Of the page.
        tell: Is told the address to open, once somebody listens there.

    Raises:
        InputError: Nobody can listen there.
    """
    doors = address.doors
    logging.getLogger("volition.web").setLevel(logging.WARNING)
    with closing(_listening(address, own_port)) as listening:
        port = listening.getsockname()[1]
        config = uvicorn.Config(
            Guard(app, doors),
            log_level="error",
            access_log=False,  # addresses hold the token
            server_header=False,
            timeout_graceful_shutdown=HURRY_S,
            timeout_keep_alive=30,
        )
        tell(f"http://{_shown(address.host)}:{port}/{doors.token}/")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])


def _listening(address: Address, own_port: int) -> socket.socket:
    """A socket there.

    Raises:
        InputError: Nobody can listen there.
    """
    try:
        if address.port is not None:
            return bound(address.host, address.port)
        try:
            return bound(address.host, own_port)
        except OSError:
            return bound(address.host, 0)
    except OSError as error:
        raise InputError(
            f"nobody can listen at {address.host}, port {address.port or own_port} "
            f"({error.strerror or error}): choose another with --port or --host"
        ) from None


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        OSError: Nobody can.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol said: of such a socket alone asyncio sends small replies without waiting.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening


def _shown(host: str) -> str:
    """As an address names it; where all of this machine's are meant, one that others reach."""
    if host in WILDCARDS:
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
