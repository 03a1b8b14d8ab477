"""A server on loopback that speaks every provider's protocol and answers from the pixels.

    with serving() as server:
        ...  # server.url; OpenAI's protocol is under /v1, Anthropic's and Gemini's where theirs is
        server.faults += ["rate_limited:0.2", "cut_off"]   # each spoils one request, in this order

It counts what it is asked. `PYTHONPATH=tests python -m servers` runs one as a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from servers import protocols
from servers.eyes import NotAPicture, Rule, compare, find_pairs, find_principle, ink_height
from servers.protocols import Answer, Asked, BadRequest

PROTOCOLS = frozenset({"decisions", "systemone", "chat", "messages", "gemini", "gemini-decisions"})
# Faults that change what the model says; the others change how the reply travels.
SAID = frozenset(
    {"refused", "filtered", "cut_short", "twice", "unasked", "chatty", "silent", "parts"}
)


@dataclass
class Behaviour:
    """What kind of server it is. May be changed while it runs.

    Attributes:
        speaks: The protocols it has; others are 404.
        strict: Refuses what the client libraries' types do not describe.
        rejects: Parameters of a chat request that it refuses.
        drops_logprobs: Accepts `logprobs` and returns none.
        honours_n: Gives as many answers as `n` asks for; else one.
        blind: Answers A, whatever it is shown.
        still: How likely it finds that one picture can show a goal, where it is asked that.
        key: What `Authorization` or `x-goog-api-key` must hold, if anything.
        latency_s: Before every answer.
        busy_share: Of the requests are turned away.
        busy_with: The fault with which they are.
        down_after: After so many requests it is down; None: it never is.
        down_s: For so long.
        down_with: The fault with which it answers meanwhile.
        one_picture: Refuses requests with more than one.
        most_logprobs: Refuses requests for more alternatives of a token.
        reasoning_tokens: Which the model writes to itself first; it says nothing if it may not.
        streams: Sends a stream of events, although none was asked for.
        most_bytes: Refuses longer requests, with a page as proxies have it.
        price: US dollars for each token, which `Server.billed` counts.
        forgets_usage: Leaves out what was billed.
        cost_usd: Reported in the usage, where the protocol has a place for it.
        rule: How good a picture is.
        writes: What the model writes where it is asked for no choice, if it writes at all.
    """

    speaks: frozenset[str] = PROTOCOLS
    strict: bool = True
    rejects: frozenset[str] = frozenset()
    drops_logprobs: bool = False
    honours_n: bool = True
    blind: bool = False
    still: float = 0.9
    key: str | None = None
    latency_s: float = 0.0
    busy_share: float = 0.0
    busy_with: str = "rate_limited:0.05"
    down_after: int | None = None
    down_s: float = 0.0
    down_with: str = "overloaded"
    one_picture: bool = False
    most_logprobs: int | None = None
    reasoning_tokens: int = 0
    streams: bool = False
    most_bytes: int | None = None
    price: float = 0.0
    forgets_usage: bool = False
    cost_usd: float | None = None
    rule: Rule = ink_height
    writes: str | None = None


@dataclass
class Server:
    """A running server, and what it has been asked.

    Attributes:
        url: Without a path.
        faults: Each spoils one request: `rate_limited:SECONDS`, `no_credit`, `server_error`,
            `overloaded`, `slow:SECONDS`, `cut_off`, `malformed`, `html`, `redirect`,
            `unauthorized`, `rejected`, `policy`, `error_inside:CODE`, or one of `SAID`.
        requests: Of every protocol, those that were spoiled among them.
        pictures: In each request.
        asked: How often each pair of pictures was put, by `Pair.key`.
        answered: Likewise, where the answer was sent whole.
        under: Likewise of single pairs, each by the principle that it was put under and its key.
        headers: Of each request, in strict mode.
        bodies: Of each request, in strict mode.
        replies: What was sent back, in strict mode.
        billed: US dollars, for every answer that was made, whether or not it arrived.
        down_at: When it went down, on the clock of `time.monotonic`.
    """

    behaviour: Behaviour
    url: str = ""
    faults: list[str] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    pictures: list[int] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    under: Counter[tuple[str, str]] = field(default_factory=Counter)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    most_in_flight: int = 0
    in_flight: int = 0
    billed: float = 0.0
    down_at: float | None = None
    chance: random.Random = field(default_factory=lambda: random.Random(0))

    def forget(self) -> None:
        """Begins anew, with the usual behaviour and nothing counted."""
        fresh = Server(Behaviour(), self.url)
        for each in fields(fresh):
            setattr(self, each.name, getattr(fresh, each.name))

    @property
    def openai(self) -> str:
        """The base URL for OpenAI's protocol."""
        return f"{self.url}/v1"

    def app(self) -> Starlette:
        routes = [
            ("/v1/decisions", "decisions"),
            ("/v1/systemone", "systemone"),
            ("/v1/chat/completions", "chat"),
            ("/v1/messages", "messages"),
            ("/v1beta/models/{model}:generateContent", "gemini"),
            ("/v1beta/decisions", "gemini-decisions"),
        ]
        return Starlette(
            routes=[
                *(Route(path, self._endpoint(name), methods=["POST"]) for path, name in routes),
                Route("/counts", self._counts),
            ]
        )

    async def _counts(self, request: Request) -> Response:
        return JSONResponse(
            {
                "requests": self.requests,
                "pictures": sum(self.pictures),
                "asked": self.asked,
                "answered": self.answered,
                "most_in_flight": self.most_in_flight,
            }
        )

    def _endpoint(self, protocol: str) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            self.requests[protocol] += 1
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            try:
                return await self._respond(protocol, request)
            except (BadRequest, NotAPicture, LookupError, ValueError, TypeError) as error:
                return failure(400, f"{type(error).__name__}: {error}")
            finally:
                self.in_flight -= 1

        return endpoint

    async def _respond(self, protocol: str, request: Request) -> Response:
        behaviour = self.behaviour
        document = await request.body()
        if behaviour.strict:
            self.headers.append(dict(request.headers))
        if protocol not in behaviour.speaks:
            return failure(404, "Not Found")
        if behaviour.key is not None and not self._admits(request):
            sent = request.headers.get("authorization", "")
            return failure(401, f"Incorrect API key provided: {sent}")
        fault, _, detail = (self.faults.pop(0) if self.faults else "").partition(":")
        if self._is_down():
            fault, _, detail = behaviour.down_with.partition(":")
        elif behaviour.busy_share and self.chance.random() < behaviour.busy_share:
            fault, _, detail = behaviour.busy_with.partition(":")
        if behaviour.most_bytes is not None and len(document) > behaviour.most_bytes:
            fault = "too_large"
        if spoiled := await spoil(fault, detail, self.url):
            return spoiled
        body = json.loads(document)
        if refused := self._refused(body):
            return failure(400, refused)
        if behaviour.latency_s:
            await asyncio.sleep(behaviour.latency_s)
        reply, keys, principle = self._answer(protocol, body, fault if fault in SAID else None)
        self.billed += behaviour.price * protocols.tokens_in(reply)
        if fault == "cut_off":
            return CutOff(reply)
        if fault == "lost":
            return failure(500, "The server had an error after it was done")
        self.answered.update(keys)
        self.under.update((principle, key) for key in keys if len(keys) == 1)
        if behaviour.strict:
            self.replies.append(reply)
        if behaviour.streams:
            return Response(protocols.streamed(protocol, reply), media_type="text/event-stream")
        return Response(reply, media_type="application/json")

    def _is_down(self) -> bool:
        behaviour, now = self.behaviour, time.monotonic()
        if behaviour.down_after is None or self.requests.total() <= behaviour.down_after:
            return False
        if self.down_at is None:
            self.down_at = now
        return now < self.down_at + behaviour.down_s

    def _refused(self, body: dict[str, Any]) -> str:
        """Why it does not take the request; empty where it does. In the words of real servers."""
        behaviour = self.behaviour
        if refused := behaviour.rejects & body.keys():
            return f"Unsupported parameter: {', '.join(refused)}"
        if behaviour.one_picture and json.dumps(body).count("data:image") > 1:
            return "At most 1 image(s) may be provided in one prompt."
        wanted, most = body.get("top_logprobs"), behaviour.most_logprobs
        if wanted and most is not None and wanted > most:
            return (
                f"Requested sample logprobs of {wanted}, which is greater than max allowed: {most}"
            )
        return ""

    def _admits(self, request: Request) -> bool:
        sent = (request.headers.get("authorization"), request.headers.get("x-goog-api-key"))
        return sent[0] == f"Bearer {self.behaviour.key}" or sent[1] == self.behaviour.key

    def _answer(
        self, protocol: str, body: dict[str, Any], says: str | None
    ) -> tuple[str, list[str], str]:
        """The reply, what was asked, and under which principle a single pair was."""
        behaviour = self.behaviour
        name = protocol.replace("-", "_")
        asked: Asked = getattr(protocols, f"read_{name}")(body, behaviour.strict)
        if not behaviour.honours_n:
            asked = Asked(asked.parts, asked.count, 1, asked.body)
        if behaviour.strict:
            self.bodies.append(body)
        self.pictures.append(sum(not isinstance(part, str) for part in asked.parts))
        pairs = find_pairs(asked.parts)
        first = "Can one such picture show" in json.dumps(body)
        writes = None if pairs or first or asked.count else behaviour.writes
        said = bool(pairs or first or writes is not None)
        if not said or (asked.count is not None and asked.count != len(pairs) + first):
            raise BadRequest(f"{asked.count} questions about {len(pairs)} pairs")
        keys = [pair.key for pair in pairs] if writes is None else ["a text"]
        self.asked.update(keys)
        allowed = body.get("max_tokens") or body.get("max_completion_tokens") or 0
        if allowed < behaviour.reasoning_tokens:
            says = "silent"
        p_a = [0.9 if behaviour.blind else compare(pair, behaviour.rule) for pair in pairs]
        answer = Answer([*p_a, behaviour.still] if first else p_a, says, writes)
        write: Any = getattr(protocols, f"write_{name}")
        if protocol in ("chat", "gemini"):
            reply = write(asked, answer, logprobs=not behaviour.drops_logprobs)
        else:
            reply = write(asked, answer)
        return self._billed(reply), keys, find_principle(asked.parts)

    def _billed(self, reply: str) -> str:
        if not self.behaviour.forgets_usage and self.behaviour.cost_usd is None:
            return reply
        document = json.loads(reply)
        if self.behaviour.forgets_usage:
            document.pop("usage", None)
            document.pop("usageMetadata", None)
        else:
            document["usage"]["cost"] = self.behaviour.cost_usd
        return json.dumps(document)


def failure(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error in the form that the providers share."""
    error = {"message": message, "type": "error", "code": None}
    return JSONResponse({"error": error}, status, headers)


async def spoil(fault: str, detail: str, url: str) -> Response | None:
    """The reply that a fault puts in place of an answer; None where there is to be one."""
    if fault == "slow":
        await asyncio.sleep(float(detail))
        return None
    plain = {
        "server_error": (500, "The server had an error"),
        "overloaded": (529, "Overloaded"),
        "no_credit": (429, "You exceeded your current quota: insufficient_quota"),
        "unauthorized": (401, "Incorrect API key provided"),
        "rejected": (400, "Invalid value"),
        "policy": (400, "Blocked by our content_policy"),
    }
    if fault == "rate_limited":
        return failure(429, "Rate limit reached", {"retry-after": detail} if detail else None)
    if fault in plain:
        return failure(*plain[fault])
    if fault == "redirect":
        return Response(status_code=307, headers={"location": detail or f"{url}/elsewhere"})
    if fault == "error_inside":
        code = int(detail) if detail else None
        error = {"message": "Provider returned error: overloaded", "code": code}
        return JSONResponse({"id": "x", "choices": None, "error": error})
    if fault == "too_large":
        page = "<html><head><title>413 Request Entity Too Large</title></head><hr>nginx</html>"
        return Response(page, 413, media_type="text/html")
    if fault in ("malformed", "html"):
        text = '{"choices": [{"mess' if fault == "malformed" else "<html>busy</html>"
        return Response(text, media_type="application/json")
    return None


class CutOff(Response):
    """Says how long it is and stops half way."""

    def __init__(self, reply: str) -> None:
        super().__init__(reply, media_type="application/json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await asyncio.sleep(0.01)
        raise ConnectionAbortedError("cut off on purpose")


@contextmanager
def serving(behaviour: Behaviour | None = None, **differing: Any) -> Iterator[Server]:
    """A server in a thread of its own, on a free port; `differing` are fields of `Behaviour`."""
    server = Server(behaviour or Behaviour(**differing))
    config = uvicorn.Config(server.app(), port=0, log_config=None, lifespan="off", ws="none")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        if not thread.is_alive():
            raise RuntimeError("the server did not start")
        time.sleep(0.002)
    server.url = address(running)
    try:
        yield server
    finally:
        running.should_exit = True
        running.force_exit = True
        thread.join(5)


def address(running: uvicorn.Server) -> str:
    return f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
