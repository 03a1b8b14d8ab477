"""Where a judge is asked, with which key, and what can go wrong on the way.

Keys come from the environment. A provider's key goes to that provider's own address and nowhere
else: with another base URL the key is `VOLITION_API_KEY`, or the variable that belongs to that
server, or there is none. No client library ever holds a key: each is given a placeholder, and the
key takes its place in the header when a request leaves, after anything that could log or print it.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from volition.errors import InputError, JudgeUnavailable
from volition.judges.base import AskError
from volition.judges.prompt import Document

if TYPE_CHECKING:
    import httpx2

PLACEHOLDER = "volition-puts-the-key-here"
# Goes before what the libraries take from variables such as OPENAI_CUSTOM_HEADERS.
AUTHORIZATION = {"Authorization": f"Bearer {PLACEHOLDER}"}
OWN_KEY = "VOLITION_API_KEY"
SERVER_KEYS = {  # host: the variable in which people keep the key to that server
    "openrouter.ai": "OPENROUTER_API_KEY",
    "router.huggingface.co": "HF_TOKEN",
    "api.typesafe.ai": "TYPESAFE_API_KEY",
}
POOLS = 16
# All that another server than the provider's own is sent, so that nothing of an account with the
# provider (organization, project, custom headers) goes there.
HARMLESS = frozenset(
    {
        "accept",
        "accept-encoding",
        "anthropic-version",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-stainless-raw-response",  # tells the library itself to leave the reply as it came
    }
)


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider, as those know it who have its key.

    Attributes:
        name: The judges' prefix; also the extra of this package that brings its client library.
        url: Its own address.
        variables: Those that may hold its key, first one first.
        library: The client library, as it is imported.
    """

    name: str
    url: str
    variables: tuple[str, ...]
    library: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to ask, with the key that may go there. Its `repr` shows no key.

    Attributes:
        url: Without a slash at the end.
        official: Whether it is the provider's own.
        variable: The environment variable that holds, or would hold, the key.
        key: None where none is set; a server of one's own may need none.
    """

    url: str
    official: bool
    variable: str
    key: SecretStr | None

    @property
    def loopback(self) -> bool:
        return _is_loopback(urlsplit(self.url).hostname or "")

    def redact(self, text: str) -> str:
        """The text without the key, in case a server repeats it."""
        return text.replace(self.key.get_secret_value(), "[key]") if self.key else text


def resolve(
    provider: Provider, base_url: str | None, environ: Mapping[str, str] | None = None
) -> Endpoint:
    """The address to ask and its key.

    Raises:
        InputError: The base URL is not one, or would carry pictures and keys in the clear.
        JudgeUnavailable: The provider's key is not set.
    """
    variables = os.environ if environ is None else environ
    url = (base_url or provider.url).rstrip("/")
    host = _checked_host(url)
    official = host == urlsplit(provider.url).hostname
    names = provider.variables if official else (SERVER_KEYS.get(host, OWN_KEY), OWN_KEY)
    name = next((name for name in names if variables.get(name)), names[0])
    key = variables.get(name, "").strip()
    if official and not key:
        raise JudgeUnavailable(
            f"{provider.name} needs a key: set {' or '.join(provider.variables)} in the "
            "environment, or give the address of a server of your own with --base-url"
        )
    return Endpoint(url, official, name, SecretStr(key) if key else None)


def _checked_host(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"--base-url {url!r} is not an address: {error}") from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise InputError(f"--base-url is like https://host/v1, not {url!r}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InputError(
            "--base-url holds no key, user or query, since it is written into the run: "
            f"set {OWN_KEY} in the environment"
        )
    if parts.scheme == "http" and not _is_loopback(host):
        raise InputError(f"--base-url must be https, for pictures and keys go to {host}")
    return host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def client_library(name: str, extra: str) -> ModuleType:
    """A provider's client library, imported when it is first needed.

    Raises:
        JudgeUnavailable: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise JudgeUnavailable(
            f"this judge needs a package that is not installed ({error.name}): "
            f"pip install 'volition[{extra}]'"
        ) from None


def http_client(endpoint: Endpoint, timeout_s: float) -> httpx2.AsyncClient:
    """A client that asks at one address only, follows no redirect and puts the key in place."""
    import httpx2

    key = endpoint.key.get_secret_value() if endpoint.key else None
    address = httpx2.URL(endpoint.url)

    async def leave(request: httpx2.Request) -> None:
        there = request.url
        if (there.scheme, there.host, there.port) != (address.scheme, address.host, address.port):
            raise httpx2.UnsupportedProtocol(f"refused to ask {there.host} for {address.host}")
        for name, value in list(request.headers.items()):
            if PLACEHOLDER in value and key:
                request.headers[name] = value.replace(PLACEHOLDER, key)
            elif PLACEHOLDER in value or not (endpoint.official or name.lower() in HARMLESS):
                del request.headers[name]

    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=256)
    return httpx2.AsyncClient(
        follow_redirects=False,
        timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, 10.0)),
        limits=limits,
        event_hooks={"request": [leave]},
        # A proxy has no business between this machine and itself.
        trust_env=not endpoint.loopback,
        transport=_several_pools(address.scheme, limits) if endpoint.loopback else None,
    )


def _several_pools(scheme: str, limits: httpx2.Limits) -> httpx2.AsyncBaseTransport:
    """Connections in several pools: for every request a pool looks at each of its idle connections,
    which is most of the time that a request to a fast server takes."""
    import httpx2

    context = httpx2.create_ssl_context() if scheme == "https" else False  # costly to make
    pools = [httpx2.AsyncHTTPTransport(verify=context, limits=limits) for _ in range(POOLS)]
    turn = itertools.cycle(pools)

    class SeveralPools(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            return await next(turn).handle_async_request(request)

        async def aclose(self) -> None:
            for pool in pools:
                await pool.aclose()

    return SeveralPools()


# What goes wrong ---------------------------------------------------------------------------------


class KeyRefused(AskError):
    """The key is missing, wrong or not allowed: no other request can do better."""


TURNED_AWAY = frozenset({429, 503, 529})
BY_WORDS = {  # the status that an error without one would have
    429: re.compile(r"rate.?limit|too.?many|quota", re.I),
    529: re.compile(r"overload|capacity|unavailable|busy|try again", re.I),
    504: re.compile(r"time.?out|timed out", re.I),
    401: re.compile(r"api.?key|authenticat|unauthori[sz]ed", re.I),
    400: re.compile(r"invalid|unsupported|not.?(found|supported)|permission|bad.?request", re.I),
}
TOO_LARGE = re.compile(
    r"context.?(length|window)|(request|payload|body|prompt|input)\b.{0,40}\btoo (large|long)", re.I
)
BLOCKED = re.compile(r"content[_ ](policy|filter|management)|responsible ?ai|prohibited", re.I)
# Not "billing": a mere limit on the rate mentions that, too.
NO_CREDIT = re.compile(r"insufficient_quota|billing_hard_limit|credit balance", re.I)


def ask_error(error: Exception, endpoint: Endpoint) -> AskError:
    """What a client library's exception means here; it holds nothing of the request."""
    import httpx2

    response = getattr(error, "response", None)
    if isinstance(response, httpx2.Response):
        return status_error(response.status_code, response.headers, response.text, endpoint)
    causes = [error, error.__cause__, error.__context__]
    unsent = any(isinstance(c, httpx2.ConnectError | httpx2.ConnectTimeout) for c in causes)
    if not unsent and any(isinstance(c, httpx2.TimeoutException | TimeoutError) for c in causes):
        return AskError("timeout", f"{endpoint.url} did not answer in time", again=True)
    if any(isinstance(cause, httpx2.TransportError) for cause in causes):
        cause = next(cause for cause in causes if isinstance(cause, httpx2.TransportError))
        reason = endpoint.redact(str(cause)) or type(cause).__name__
        reason = f"no answer from {endpoint.url}: {reason}"
        return AskError("connection", reason, again=True, billed=not unsent)
    reason = endpoint.redact(f"{type(error).__name__}: {error}")
    return AskError("rejected", f"the request could not be made: {reason:.300}", again=False)


def status_error(
    status: int, headers: Mapping[str, str], body: str, endpoint: Endpoint
) -> AskError:
    """What a reply with an error status means."""
    reason = f"HTTP {status}, {endpoint.redact(_error_message(body))}"
    wait = _retry_after(headers, body)
    # Turned away at the door; any other error may have come after the work was done.
    billed = status not in TURNED_AWAY
    if status == 429 and NO_CREDIT.search(body):
        return AskError("rejected", f"the account has no credit left ({reason})", again=False)
    if status == 429:
        return AskError("rate_limited", reason, again=True, retry_after_s=wait)
    if status in (408, 504):
        return AskError("timeout", reason, again=True, retry_after_s=wait, billed=billed)
    if status >= 500 and status != 501:
        return AskError("server_error", reason, again=True, retry_after_s=wait, billed=billed)
    if status == 400 and BLOCKED.search(body):
        return AskError("content_filter", reason, again=False, billed=True)
    if status == 413 or (status == 400 and TOO_LARGE.search(body)):
        reason = f"{endpoint.url} takes no request as large as this one ({reason})"
        return AskError("too_large", reason, again=False)
    if status == 401:
        reason = f"{endpoint.url} refuses the key in {endpoint.variable} ({reason})"
        return KeyRefused("rejected", reason, again=False)
    if status == 403:
        reason = f"{endpoint.url} does not allow this ({reason})"
    elif status == 404:
        reason = f"{endpoint.url} has no such model or endpoint ({reason})"
    elif 300 <= status < 400:
        reason = f"{endpoint.url} redirects elsewhere, which is not followed ({status})"
    return AskError("rejected", reason, again=False)


def fault_in(document: Document, endpoint: Endpoint) -> AskError | None:
    """What an error means that came under the status of an answer; None where there is none."""
    for choice in document.get("choices") or [document]:
        error = choice.get("error") if isinstance(choice, dict) else None
        if isinstance(choice, dict) and choice.get("object") == "error":  # as vLLM had it
            error = {name: choice.get(name) for name in ("message", "type", "code")}
        if not error:
            return None
    if any(document.get(name) for name in ("answers", "candidates", "content")):
        return None
    words = json.dumps(error)
    kinds = (status for status, pattern in BY_WORDS.items() if pattern.search(words))
    fault = status_error(
        _status(error) or next(kinds, 500), {}, json.dumps({"error": error}), endpoint
    )
    fault.billed = True  # it did answer
    return fault


def _status(error: object) -> int | None:
    """The status that an error gives of itself."""
    for name in ("code", "status", "status_code"):
        value = error.get(name) if isinstance(error, dict) else None
        if str(value).isdigit() and 400 <= int(str(value)) < 600:
            return int(str(value))
    return None


def _error_message(body: str) -> str:
    """The words in the error form that the providers share; else how the body begins."""
    try:
        document: Any = json.loads(body)
    except ValueError:
        # A page, such as of a proxy in between: its words.
        page = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", body, flags=re.S | re.I)
        return " ".join(page.split())[:200]
    for key in ("error", "message", "detail"):
        if isinstance(document, list) and document:
            document = document[0]
        if isinstance(document, dict) and key in document:
            document = document[key]
    return (document if isinstance(document, str) else json.dumps(document))[:300]


def _retry_after(headers: Mapping[str, str], body: str) -> float | None:
    """Seconds to wait, from `retry-after-ms`, `retry-after` or Google's `retryDelay`."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        if value := headers.get("retry-after"):
            if re.fullmatch(r"[\d.]+", value):
                return float(value)
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
    delay = re.search(r'"retryDelay":\s*"([\d.]+)s"', body)
    return float(delay[1]) if delay else None
