"""Every wire against a server that speaks its protocol: what is sent, read, refused and lost."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from servers import Server, serving
from volition.comparison import Comparison, Frame, Segment
from volition.errors import InputError, JudgeUnavailable
from volition.goal import Goal
from volition.judges import make_judge
from volition.judges.base import AskError, Assignment, Judge, Question
from volition.judges.live import openai, probe
from volition.judges.live.connection import (
    Endpoint,
    fault_in,
    http_client,
    resolve,
    status_error,
)
from volition.judges.live.judge import LiveJudge
from volition.judges.live.wires import logprobs, votes
from volition.judges.prompt import Document
from volition.judges.settings import REASONING_TOKENS, JudgeSettings
from volition.judges.still_or_clip import ask_still_or_clip
from volition.judgment import Failure, Order, Reply, Verdict
from volition.tasks.view import JudgeView

KEY = "sk-the-key-that-nobody-may-see"


@dataclass(frozen=True)
class Case:
    """A way of asking: the judge's prefix, its wire, and the protocol that the server counts."""

    provider: str
    wire: str
    protocol: str

    def __str__(self) -> str:
        return f"{self.provider}-{self.wire}"


WIRES = [
    Case("openai", "decisions", "decisions"),
    Case("openai", "systemone", "systemone"),
    Case("openai", "logprobs", "chat"),
    Case("openai", "votes", "chat"),
    Case("anthropic", "votes", "messages"),
    Case("gemini", "decisions", "gemini-decisions"),
    Case("gemini", "logprobs", "gemini"),
    Case("gemini", "votes", "gemini"),
]
every_wire = pytest.mark.parametrize("case", WIRES, ids=str)
# One for each client library and endpoint: failures on the way do not depend on what is said.
every_library = pytest.mark.parametrize(
    "case", [WIRES[0], WIRES[3], WIRES[4], WIRES[5], WIRES[7]], ids=str
)


@pytest.fixture(autouse=True)
def _own_cache_and_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VOLITION_API_KEY", KEY)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.forget()
    return running


def named(server: Server, case: Case, **differing: Any) -> Judge:
    """A judge at the server; what differs is of its settings, or of what it is made for."""
    address = server.openai if case.provider == "openai" else server.url
    settings = JudgeSettings(f"{case.provider}:test", base_url=address, wire=case.wire)
    usual = Assignment(Goal("The disc is at the top."), JudgeView(), probe=False)
    given = {name: differing.pop(name) for name in [*differing] if hasattr(usual, name)}
    return make_judge(replace(settings, **differing), replace(usual, **given))


def make(server: Server, case: Case, **differing: Any) -> LiveJudge:
    """A judge that is not probed, with parameters that the server knows."""
    judge = named(server, case, **differing)
    assert isinstance(judge, LiveJudge)
    if case.provider == "openai" and case.wire in ("logprobs", "votes"):
        wire: Any = judge.wire
        chat = replace(wire.way.chat, think=True)
        judge = replace(judge, wire=replace(wire, way=replace(wire.way, chat=chat)))
    return judge


def disc(x: int, y: int) -> Segment:
    rows, columns = np.mgrid[:72, :72]
    pixels = np.full((72, 72, 3), 255, np.uint8)
    pixels[(columns - x) ** 2 + (rows - y) ** 2 <= 64] = 0
    return Segment(np.array([[x, y]], np.float32), (Frame(pixels),))


def questions(count: int = 1) -> list[Question]:
    """Pairs of discs, in either order."""
    pairs = [(disc(10 + n % 50, 14 + n // 50), disc(60 - n % 50, 56)) for n in range(count)]
    return [
        Question(Comparison.between("goal", *pair), list(Order)[n % 2])
        for n, pair in enumerate(pairs)
    ]


def right(question: Question, outcome: Verdict | Failure) -> bool:
    first, second = (float(segment.observations[0, 1]) for segment in question.shown)
    return isinstance(outcome, Verdict) and (outcome.p_shown_first > 0.5) == (first < second)


def ask(judge: LiveJudge, batch: Sequence[Question]) -> Reply:
    async def once() -> Reply:
        try:
            return await judge.ask(batch)
        finally:
            await judge.close()

    return asyncio.run(once())


def answers(judge: LiveJudge, batch: Sequence[Question]) -> list[Verdict | Failure]:
    return judge.read(ask(judge, batch), batch)


def fails(judge: LiveJudge, batch: Sequence[Question] | None = None) -> AskError:
    with pytest.raises(AskError) as raised:
        ask(judge, batch or questions())
    return raised.value


# What is sent and what comes back ----------------------------------------------------------------


@every_wire
def test_many_at_once_each_get_their_own_answer(server: Server, case: Case) -> None:
    judge, batch = make(server, case), questions(24)

    async def all_at_once() -> list[Reply]:
        replies = await asyncio.gather(*(judge.ask([question]) for question in batch))
        await judge.close()
        return replies

    replies = asyncio.run(all_at_once())
    assert len({reply.id for reply in replies}) == len(batch)
    for question, reply in zip(batch, replies, strict=True):
        assert right(question, judge.read(reply, [question])[0])
    assert server.requests[case.protocol] == len(batch)
    assert set(server.answered.values()) == {1}


@every_wire
def test_sixty_pairs_go_on_one_picture(server: Server, case: Case) -> None:
    batch = questions(60)
    judge = make(server, case, per_request=60)
    assert all(map(right, batch, answers(judge, batch)))
    assert server.requests.total() == 1
    assert server.pictures == [1]


@every_wire
def test_the_goals_pictures_go_with_every_request(
    server: Server, case: Case, tmp_path: Path
) -> None:
    for name in ("goal", "counter"):
        Image.fromarray(disc(30, 30).frames[0].pixels).save(tmp_path / f"{name}.png")
    goal = Goal("up", [tmp_path / "goal.png"], [tmp_path / "counter.png"])
    assert right(questions()[0], answers(make(server, case, goal=goal), questions())[0])
    assert server.pictures == [4]


@every_wire
def test_a_pair_can_be_laid_over_each_other(server: Server, case: Case) -> None:
    judge = make(server, case, view=JudgeView(overlay=True))
    for question in questions(2):
        assert right(question, answers(judge, [question])[0])
    assert server.pictures == [1, 1]
    assert judge.identity.id != make(server, case).identity.id


@every_wire
def test_the_reply_is_kept_byte_for_byte(server: Server, case: Case) -> None:
    reply = ask(make(server, case), questions())
    assert reply.raw == server.replies[0]
    assert reply.prompt_tokens > 0
    assert reply.latency_s > 0


@every_wire
def test_doubt_is_a_probability_or_a_share_of_votes(server: Server, case: Case) -> None:
    near = Question(Comparison.between("g", disc(20, 36), disc(40, 37)), Order.FORWARD)
    (outcome,) = answers(make(server, case, samples=10), [near])
    assert isinstance(outcome, Verdict)
    if case.provider == "anthropic":  # its votes are as certain as the test server is
        return
    assert 0.2 < outcome.p_shown_first < 0.8
    assert outcome.p_shown_first != 0.5


def test_votes_that_come_together_are_paid_once(server: Server) -> None:
    batch, case = questions(), WIRES[3]
    assert right(batch[0], answers(make(server, case, samples=5), batch)[0])
    assert server.requests["chat"] == 1
    server.behaviour.honours_n = False
    reply = ask(make(server, case, samples=5), batch)
    assert server.requests["chat"] == 1 + 5
    assert len(json.loads(reply.raw)) == 5
    assert right(batch[0], make(server, case, samples=5).read(reply, batch)[0])


def test_votes_that_fail_do_not_lose_the_others(server: Server) -> None:
    server.faults += ["server_error", "refused"]
    judge, batch = make(server, WIRES[4], samples=4), questions()
    reply = ask(judge, batch)
    assert len(json.loads(reply.raw)) == 3
    assert right(batch[0], judge.read(reply, batch)[0])


@pytest.mark.parametrize("pictures", ["images", "assets", "inline"])
def test_system_one_servers_want_pictures_in_different_places(
    server: Server, pictures: str
) -> None:
    judge = make(server, WIRES[1])
    wire: Any = judge.wire
    differing = replace(judge, wire=replace(wire, way=replace(wire.way, pictures=pictures)))
    assert right(questions()[0], answers(differing, questions())[0])
    assert [key for key in ("images", "assets") if key in server.bodies[0]] == (
        [pictures] if pictures != "inline" else []
    )


def test_the_goal_is_marked_for_anthropics_cache_and_sizes_are_said(server: Server) -> None:
    reply = ask(make(server, WIRES[4]), questions())
    content = server.bodies[0]["messages"][0]["content"]
    assert ["cache_control" in part for part in content] == [True] + [False] * (len(content) - 1)
    assert json.loads(reply.raw)["usage"]["cache_read_input_tokens"] > 0
    ask(make(server, WIRES[7]), questions())
    ask(make(server, WIRES[7], per_request=2), questions(2))
    sizes = [body["generationConfig"]["mediaResolution"] for body in server.bodies[1:]]
    assert sizes == ["MEDIA_RESOLUTION_MEDIUM", "MEDIA_RESOLUTION_HIGH"]
    ask(make(server, WIRES[3]), questions())
    pictures = [p for p in server.bodies[3]["messages"][1]["content"] if p["type"] == "image_url"]
    assert {p["image_url"]["detail"] for p in pictures} == {"high"}


def test_what_anthropic_itself_is_sent_says_that_pictures_are_never_reduced(
    server: Server,
) -> None:
    judge = make(server, WIRES[4])
    wire: Any = judge.wire
    messages = replace(wire.way.chat, official=True)
    official = replace(wire, way=replace(wire.way, chat=messages))
    ask(replace(judge, wire=official), questions())
    images = [p for p in server.bodies[0]["messages"][0]["content"] if p["type"] == "image"]
    assert all(image["transformations"] == {"oversized_image": "error"} for image in images)


def test_what_openai_itself_is_sent_has_its_own_parameters(server: Server) -> None:
    for case, wire in (
        (WIRES[0], openai.decisions("test", official=True)),
        (WIRES[2], logprobs(openai.Chat("test", official=True, effort="none"))),
        (
            WIRES[3],
            votes(openai.Chat("test", True, "low", room=REASONING_TOKENS), samples=3),
        ),
    ):
        judge = replace(make(server, case), wire=wire)
        assert right(questions()[0], answers(judge, questions())[0])
    decided, by_token, voted = server.bodies
    assert decided["input"][0]["role"] == "system"
    assert by_token["reasoning_effort"] == "none"
    assert "max_tokens" not in by_token
    assert voted["max_completion_tokens"] > REASONING_TOKENS


# What it costs -----------------------------------------------------------------------------------


def test_what_the_provider_reports_goes_before_every_price_list(server: Server) -> None:
    server.behaviour.cost_usd = 0.125
    assert ask(make(server, WIRES[3], price_in=1, price_out=1), questions()).cost_usd == 0.125


@every_wire
def test_a_reply_that_does_not_say_what_it_used_costs_what_was_reserved(
    server: Server, case: Case
) -> None:
    server.behaviour.forgets_usage = True
    judge, batch = make(server, case, price_in=3, price_out=5), questions()
    estimate, reply = judge.estimate(batch), ask(judge, batch)
    assert reply.cost_usd == pytest.approx(estimate.cost_usd)
    assert right(batch[0], judge.read(reply, batch)[0])


def test_prices_are_those_of_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    usual = Assignment(Goal("g"), JudgeView(), probe=False)
    by_wire = {
        wire: make_judge(JudgeSettings("openai:gpt-6-luna", wire=wire), usual).estimate(questions())
        for wire in ("decisions", "logprobs")
    }
    decided, chatted = by_wire["decisions"].cost_usd, by_wire["logprobs"].cost_usd
    assert decided is not None
    assert chatted is not None
    assert 0 < decided < chatted
    unknown = make_judge(JudgeSettings("openai:a-model-of-my-own"), usual)
    assert unknown.estimate(questions()).cost_usd is None


# What goes wrong ---------------------------------------------------------------------------------


@every_library
@pytest.mark.parametrize(
    ("fault", "kind", "again"),
    [
        ("rate_limited:7", "rate_limited", True),
        ("no_credit", "rejected", False),
        ("server_error", "server_error", True),
        ("overloaded", "server_error", True),
        ("cut_off", "connection", True),
        ("unauthorized", "rejected", False),
        ("rejected", "rejected", False),
        ("policy", "content_filter", False),
    ],
)
def test_a_fault_on_the_way_is_named_and_says_whether_to_ask_again(
    server: Server, case: Case, fault: str, kind: str, again: bool
) -> None:
    server.faults += [fault]
    error = fails(make(server, case))
    assert (error.kind, error.again) == (kind, again)
    assert error.retry_after_s == (7 if "7" in fault else None)
    assert (
        server.requests.total() == 1
    )  # nothing below retries: the caller counts what is in flight


@every_library
def test_a_slow_server_is_given_up_on(case: Case) -> None:
    with serving() as slow:
        slow.faults += ["slow:5"]
        started = time.monotonic()
        error = fails(replace(make(slow, case), timeout_s=0.3))
    assert (error.kind, error.again) == ("timeout", True)
    assert time.monotonic() - started < 4


@every_library
def test_a_dead_server_is_a_lost_connection(case: Case) -> None:
    with serving() as gone:
        judge = make(gone, case)
    assert fails(judge).kind == "connection"


@every_library
@pytest.mark.parametrize("fault", ["malformed", "html"])
def test_a_malformed_reply_is_kept_billed_and_a_failure(
    server: Server, case: Case, fault: str
) -> None:
    server.faults += [fault]
    judge, batch = make(server, case, price_in=1, price_out=1), questions()
    reply = ask(judge, batch)
    assert reply.raw in ('{"choices": [{"mess', "<html>busy</html>")
    assert reply.cost_usd > 0
    (outcome,) = judge.read(reply, batch)
    assert isinstance(outcome, Failure)
    assert outcome.kind == "unparsable"


@every_wire
@pytest.mark.parametrize("says", ["refused", "cut_short", "twice", "chatty", "filtered", "unasked"])
def test_what_is_no_answer_never_becomes_one(server: Server, case: Case, says: str) -> None:
    server.faults += [says]
    batch = questions(3)
    judge = make(server, case, per_request=3)
    reply = ask(judge, batch)
    for question, outcome in zip(batch, judge.read(reply, batch), strict=True):
        assert isinstance(outcome, Failure) or right(question, outcome)
    kinds = {o.kind for o in judge.read(reply, batch) if isinstance(o, Failure)}
    if says == "refused":
        assert kinds <= {"refused", "content_filter", "unparsable"}
        assert kinds
    if says in ("cut_short", "chatty"):
        assert kinds <= {"truncated", "unparsable"}
        assert kinds


def test_the_same_reply_sent_twice_is_two_replies(server: Server) -> None:
    judge = make(server, WIRES[1])  # its replies have no id and are the same to the byte

    async def twice() -> list[Reply]:
        replies = [await judge.ask(questions()) for _ in range(2)]
        await judge.close()
        return replies

    one, other = asyncio.run(twice())
    assert one.raw == other.raw
    assert one.id != other.id


def test_an_error_is_found_in_whatever_form_it_comes_under_200() -> None:
    endpoint = Endpoint("https://x", False, "K", None)
    faults: list[tuple[Document, str, str]] = [
        ({"error": "the model is overloaded"}, "server_error", "the model is overloaded"),
        ({"choices": None, "error": {"message": "m", "code": 502}}, "server_error", "m"),
        ({"choices": [{"error": {"message": "m", "code": "429"}}]}, "rate_limited", "m"),
        ({"object": "error", "message": "m", "code": 400}, "rejected", "m"),
        ({"type": "error", "error": {"type": "overloaded_error"}}, "server_error", "overloaded"),
        ({"error": {"message": "Invalid API key"}}, "rejected", "Invalid API key"),
        ({"error": {"message": "prompt is too long", "code": 400}}, "too_large", "too long"),
    ]
    for document, kind, words in faults:
        fault = fault_in(document, endpoint)
        assert fault is not None
        assert (fault.kind, fault.billed) == (kind, True)
        assert words in str(fault)
    answered: list[Document] = [
        {"choices": [{"message": {}}]},
        {"answers": [{}], "error": "x"},
        {"error": None},
    ]
    assert [fault_in(document, endpoint) for document in answered] == [None] * 3


@pytest.mark.parametrize(
    ("status", "body", "kind", "again", "billed"),
    [
        (429, "", "rate_limited", True, False),
        (503, "", "server_error", True, False),
        (529, "", "server_error", True, False),
        (500, "", "server_error", True, True),
        (502, "<html><style>b{}</style><h1>Bad Gateway</h1></html>", "server_error", True, True),
        (504, "", "timeout", True, True),
        (413, "<html><title>413</title></html>", "too_large", False, False),
        (400, "This model's maximum context length is 8192 tokens", "too_large", False, False),
        (400, "Invalid value", "rejected", False, False),
    ],
)
def test_a_status_says_whether_to_wait_and_whether_it_may_be_billed(
    status: int, body: str, kind: str, again: bool, billed: bool
) -> None:
    error = status_error(status, {}, body, Endpoint("https://x", False, "K", None))
    assert (error.kind, error.again, error.billed) == (kind, again, billed)
    assert "<" not in str(error)
    assert "b{}" not in str(error)


def test_waiting_is_read_from_every_providers_form() -> None:
    endpoint = Endpoint("https://x", False, "K", None)
    body = '{"error": {"details": [{"retryDelay": "34.5s"}]}}'
    soon = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 60))
    for headers, text, seconds in (
        ({"retry-after": "12"}, "", 12.0),
        ({"retry-after-ms": "250"}, "", 0.25),
        ({}, body, 34.5),
        ({"retry-after": "soon"}, "", None),
        ({}, "", None),
    ):
        assert status_error(429, headers, text, endpoint).retry_after_s == seconds
    dated = status_error(503, {"retry-after": soon}, "", endpoint).retry_after_s
    assert dated == pytest.approx(60, abs=3)


# Keys and addresses ------------------------------------------------------------------------------


@every_library
def test_another_server_gets_its_own_key_and_nothing_of_the_providers(
    server: Server, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "GEMINI_API_KEY",
        "GOOGLE_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "OPENAI_ADMIN_KEY",
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT_ID",
    ):
        monkeypatch.setenv(name, "the-providers-secret")
    for name in ("OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, "Authorization: Bearer the-providers-secret\nX-Mine: secret")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    server.behaviour.key = KEY
    assert right(questions()[0], answers(make(server, case), questions())[0])
    sent = json.dumps(server.headers)
    assert "secret" not in sent
    assert sent.count(KEY) == 1
    assert "volition-puts" not in sent


@every_library
def test_a_server_without_a_key_is_sent_none(
    server: Server, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VOLITION_API_KEY")
    monkeypatch.setenv("OPENAI_API_KEY", "the-providers-secret")
    answers(make(server, case), questions())
    assert "authorization" not in server.headers[0]
    assert "x-goog-api-key" not in server.headers[0]


@every_library
def test_the_key_is_in_no_error_log_or_traceback(
    server: Server, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    server.behaviour.key = "another"  # the server's refusal repeats what it was sent
    judge = make(server, case)
    with caplog.at_level(logging.DEBUG):
        error = fails(judge)
        server.behaviour.key = None
        ask(judge, questions())
    written = (
        "".join(traceback.format_exception(error)) + caplog.text + repr(judge) + repr(vars(error))
    )
    assert KEY not in written
    assert "VOLITION_API_KEY" in str(error)


@every_library
def test_a_redirect_is_not_followed(server: Server, case: Case) -> None:
    with serving() as elsewhere:
        server.faults += [f"redirect:{elsewhere.url}/v1/chat/completions"]
        error = fails(make(server, case))
        assert (error.kind, error.again) == ("rejected", False)
        assert elsewhere.requests.total() == 0
        assert server.requests.total() == 1


def test_a_client_asks_at_no_other_address(server: Server) -> None:
    import httpx2

    async def stray() -> None:
        client = http_client(resolve(openai.PROVIDER, server.openai), 5)
        try:
            await client.get("http://127.0.0.1:1/")
        finally:
            await client.aclose()

    with pytest.raises(httpx2.UnsupportedProtocol, match="refused to ask"):
        asyncio.run(stray())


def test_keys_are_those_of_the_address() -> None:
    names = ("OPENAI_API_KEY", "VOLITION_API_KEY", "OPENROUTER_API_KEY")
    keys = {name: f"secret-{place}" for place, name in enumerate(names)}
    for url, variable in (
        (None, "OPENAI_API_KEY"),
        ("https://api.openai.com/v1", "OPENAI_API_KEY"),
        ("https://api.openai.com.evil.org/v1", "VOLITION_API_KEY"),
        ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
        ("http://localhost:8000/v1", "VOLITION_API_KEY"),
        ("http://[::1]:8000/v1/", "VOLITION_API_KEY"),
    ):
        endpoint = resolve(openai.PROVIDER, url, keys)
        assert endpoint.key is not None
        assert (endpoint.variable, endpoint.key.get_secret_value()) == (variable, keys[variable])
        assert "secret-" not in repr(endpoint)
    assert resolve(openai.PROVIDER, "http://127.0.0.2/v1", {"OPENAI_API_KEY": "o"}).key is None


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.org/v1", "https"),
        ("https://me:secret@example.org/v1", "holds no key"),
        ("https://example.org/v1?key=secret", "holds no key"),
        ("ftp://example.org", "like https"),
        ("example.org/v1", "like https"),
        ("https://", "like https"),
        ("https://host:port/v1", "not an address"),
    ],
)
def test_an_address_that_will_not_do_is_refused(url: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(openai.PROVIDER, url, {})


def test_a_missing_key_is_named() -> None:
    for name, variable in (
        ("openai", "OPENAI_API_KEY"),
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("gemini", "GEMINI_API_KEY"),
    ):
        with pytest.raises(JudgeUnavailable, match=variable):
            make_judge(JudgeSettings(f"{name}:model"), Assignment(Goal("g"), JudgeView()))


# Probing -----------------------------------------------------------------------------------------


def probed(server: Server, case: Case = WIRES[0], **differing: Any) -> LiveJudge:
    differing = {"wire": None, "probe": True, **differing}
    judge = named(server, case, **differing)
    assert isinstance(judge, LiveJudge)
    return judge


def test_the_best_wire_that_works_is_taken(server: Server) -> None:
    expected = ["decisions", "systemone", "logprobs", "votes"]
    for known in (server.behaviour.speaks, {"systemone", "chat"}, {"chat"}):
        server.behaviour.speaks = frozenset(known)
        wire = expected.pop(0)
        judge = probed(server, per_request=len(expected) + 4)  # another judge, not remembered
        assert judge.wire.name == wire
        assert judge.capability is not None
        assert judge.capability.soft
        assert judge.capability.deterministic
        assert not judge.capability.price_known
        assert right(questions()[0], answers(judge, questions())[0])


def test_a_server_that_drops_logprobs_is_caught(server: Server) -> None:
    server.behaviour.speaks, server.behaviour.drops_logprobs = frozenset({"chat"}), True
    judge = probed(server)
    assert judge.wire.name == "votes"
    assert judge.capability is not None
    assert not judge.capability.soft
    assert any("accepts logprobs and returns none" in note for note in judge.capability.notes)


@every_library
def test_a_judge_that_does_not_see_is_caught(server: Server, case: Case) -> None:
    server.behaviour.blind = True
    with pytest.raises(JudgeUnavailable, match="does not read them"):
        probed(server, case)


def test_pictures_in_the_wrong_order_are_caught(server: Server) -> None:
    server.behaviour.rule = lambda pixels: -float(255 - pixels[: len(pixels) // 2].mean())
    with pytest.raises(JudgeUnavailable, match="does not tell a disc at the top"):
        probed(server)


@pytest.mark.parametrize("per_request", [1, 12])
def test_probing_is_cheap_and_remembered_for_a_day(
    server: Server, per_request: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = probed(server, per_request=per_request)
    requests = server.requests.total()
    assert requests <= (5 if per_request == 1 else 2)
    again = probed(server, per_request=per_request)
    assert server.requests.total() == requests
    assert again.capability == first.capability
    assert again.identity == first.identity
    day = probe.REMEMBERED_S
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + day + 1)
    probed(server, per_request=per_request)
    assert server.requests.total() == 2 * requests


def test_nothing_is_asked_where_it_must_not_be(server: Server) -> None:
    judge = probed(server, probe=False)
    assert judge.capability is None
    assert server.requests.total() == 0


def test_a_busy_server_is_waited_for(server: Server) -> None:
    server.faults += ["rate_limited:0.01", "server_error"]
    assert probed(server).wire.name == "decisions"


def test_a_refused_key_ends_the_probe_at_once(server: Server) -> None:
    server.behaviour.key = "another"
    with pytest.raises(JudgeUnavailable, match="VOLITION_API_KEY"):
        probed(server)
    assert server.requests.total() == 1


def test_a_dead_server_ends_the_probe() -> None:
    with serving() as gone:
        pass
    with pytest.raises(JudgeUnavailable, match="is the server up"):
        probed(gone, patience=0.2)


def test_a_model_that_is_not_there_is_said(server: Server) -> None:
    server.behaviour.speaks = frozenset()
    with pytest.raises(JudgeUnavailable, match="no such model or endpoint"):
        probed(server)


def test_a_wire_that_there_is_not_is_refused(server: Server) -> None:
    with pytest.raises(InputError, match="decisions, systemone, logprobs, votes"):
        probed(server, wire="telepathy")


def test_a_parameter_that_a_server_does_not_know_is_left_out(server: Server) -> None:
    server.behaviour.speaks = frozenset({"chat"})
    server.behaviour.drops_logprobs = True
    server.behaviour.rejects = frozenset({"response_format"})
    judge = probed(server)
    assert (judge.wire.name, judge.wire.way.settings["enforced"]) == ("votes", "False")


def test_probing_works_where_a_loop_runs_already(server: Server) -> None:
    async def in_a_notebook() -> LiveJudge:
        return probed(server)

    assert asyncio.run(in_a_notebook()).wire.name == "decisions"


def test_reasons_are_given_by_the_wire_that_can(server: Server) -> None:
    judge = probed(server, explain=True)
    (outcome,) = answers(judge, questions())
    assert judge.wire.name == "votes"
    assert isinstance(outcome, Verdict)
    assert "higher" in outcome.explanation


# The first question -------------------------------------------------------------------------------


@every_wire
def test_a_judge_is_asked_first_whether_one_picture_is_enough(server: Server, case: Case) -> None:
    judge = make(server, case, price_in=0.1, price_out=0.4)
    goal, frame = Goal("The disc rolls.", principles=["It is quick."]), disc(30, 30).frames[0]
    for p_still in (0.9, 0.2):
        server.behaviour.still = p_still
        opening = ask_still_or_clip(judge, goal, frame, 1.0, 0.01)
        assert opening.clip == (p_still < 0.5)
        assert 0 < opening.cost_usd < 0.01
        assert opening.said.startswith(f"{case.provider}:test says that one picture can")
    assert server.requests.total() == 2
    said = json.dumps(server.bodies[-1])
    assert "The disc rolls." in said
    assert "It keeps to: It is quick." in said
    assert server.pictures[-1] == 1


def test_without_an_answer_states_are_shown(server: Server) -> None:
    judge = make(server, WIRES[2], price_in=0.1, price_out=0.4)
    goal, frame = Goal("The disc rolls."), disc(30, 30).frames[0]
    unpaid = ask_still_or_clip(judge, goal, frame, 1.0, 1e-9)
    assert (unpaid.clip, unpaid.cost_usd, server.requests.total()) == (False, 0.0, 0)
    server.behaviour.still = 0.1
    for fault in ("rejected", "refused", "malformed"):
        server.faults.append(fault)
        opening = ask_still_or_clip(judge, goal, frame, 1.0, None)
        assert not opening.clip
        assert "did not say whether one picture can show this goal (" in opening.said
    server.faults += ["overloaded"] * 100
    with pytest.raises(JudgeUnavailable, match="Overloaded"):
        ask_still_or_clip(judge, goal, frame, 0.2, None)
