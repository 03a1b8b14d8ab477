"""A provider that is down, busy or odd costs waiting, and neither questions nor too much money."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from servers import Server, serving
from servers.counted import answered, settle
from volition.comparison import Comparison, Frame, Segment
from volition.errors import JudgeUnavailable
from volition.goal import Goal
from volition.judges import make_judge
from volition.judges.base import Assignment
from volition.judges.live.judge import LiveJudge
from volition.judges.live.streams import document_of
from volition.judges.settings import JudgeSettings
from volition.judging.lane import Standing
from volition.judging.limits import Limits
from volition.judging.thread import Judging
from volition.judgment import Failure
from volition.storage.store import Store
from volition.tasks.view import JudgeView

GOAL = Goal("The disc is at the top.")
COUNT = 40
PATIENCE_S = 10.0  # so that the longest pause is half a second
PRICE = 1e-6  # US dollars a token


@pytest.fixture(autouse=True)
def _own_cache_and_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "VOLITION_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.forget()
    running.behaviour.strict = False
    return running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Store.create(tmp_path / "run") as store:
        store.add_goal(GOAL)
    return tmp_path / "run"


def chosen(server: Server, wire: str | None = "votes", **differing: Any) -> JudgeSettings:
    provider = differing.pop("provider", "openai")
    address = server.openai if provider == "openai" else server.url
    million = PRICE * 1e6
    settings = JudgeSettings(
        f"{provider}:test",
        base_url=address,
        wire=wire,
        price_in=million,
        price_out=million,
        patience=PATIENCE_S,
    )
    return replace(settings, **differing)


def made(settings: JudgeSettings, probe: bool = False) -> LiveJudge:
    judge = make_judge(settings, Assignment(GOAL, JudgeView(), probe=probe))
    assert isinstance(judge, LiveJudge)
    return judge


def pairs(folder: Path, count: int = COUNT) -> list[Comparison]:
    with Store.open(folder) as store:
        (goal_id,) = store.goal_texts()
    return [
        Comparison.between(goal_id, disc(10 + n % 50, 14 + n // 50), disc(60 - n % 50, 56))
        for n in range(count)
    ]


def disc(x: int, y: int) -> Segment:
    rows, columns = np.mgrid[:72, :72]
    pixels = np.full((72, 72, 3), 255, np.uint8)
    pixels[(columns - x) ** 2 + (rows - y) ** 2 <= 64] = 0
    return Segment(np.array([[x, y]], np.float32), (Frame(pixels),))


def judged(folder: Path, judge: LiveJudge, count: int = COUNT, **limits: Any) -> Standing:
    """Where judging is when all was asked and waited for."""
    allowed = Limits(**{"patience_s": PATIENCE_S, **limits})
    with Judging(folder, allowed) as judging:
        judging.ask(judge, pairs(folder, count))
        assert judging.wait(60)
        return judging.standing()


def failures(folder: Path) -> list[Failure]:
    with Store.open(folder) as store:
        assert store.verify() == []
        return [j.outcome for j in store.judgments() if isinstance(j.outcome, Failure)]


# Outages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "down_with",
    ["overloaded", "server_error", "lost", "cut_off", "rate_limited", "rate_limited:0.3"],
)
def test_a_provider_that_is_down_for_a_while_costs_no_question(
    server: Server, folder: Path, down_with: str
) -> None:
    behaviour = server.behaviour
    behaviour.price, behaviour.down_with = PRICE, down_with
    behaviour.down_after, behaviour.down_s = COUNT // 3, 1.5
    standing = judged(folder, made(chosen(server)), max_usd=1.0)
    assert (standing.verdicts, standing.given_up, standing.unasked) == (COUNT, 0, 0)
    assert len(answered(folder)) == COUNT
    assert set(server.answered.values()) == {1}, "nothing answered is asked again"
    assert server.requests.total() < 2 * COUNT + 40, "one that is down is not hammered"
    assert 0 < server.billed <= standing.spent_usd + 1e-9


def test_a_provider_that_turns_away_three_in_ten_costs_no_question(
    server: Server, folder: Path
) -> None:
    server.behaviour.busy_share, server.behaviour.busy_with = 0.3, "overloaded"
    started = time.monotonic()
    standing = judged(folder, made(chosen(server)), 100)
    assert (standing.verdicts, standing.given_up) == (100, 0)
    assert time.monotonic() - started < 20
    assert failures(folder) == []
    assert server.answered.total() == 100


def test_who_is_waited_for_and_how_long_yet_is_told(
    server: Server, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.behaviour.down_after, server.behaviour.down_s = 5, 2.5
    told = set()
    with Judging(folder, Limits(patience_s=PATIENCE_S)) as judging, caplog.at_level(logging.INFO):
        judging.ask(made(chosen(server)), pairs(folder))
        while not judging.wait(0.05):
            told.add(judging.standing().waiting_for)
        assert judging.standing().waiting_for == ""
    assert "" in told, "not before it takes a while"
    (line, *_) = sorted(told - {""})
    assert line.startswith("waiting for openai:test: HTTP 529, Overloaded; up to ")
    assert line.endswith(" s more")
    assert caplog.text.count("waiting for openai:test: HTTP 529, Overloaded") == 1


def test_past_its_patience_a_run_stops_with_one_line_and_goes_on_with_what_is_missing(
    server: Server, folder: Path
) -> None:
    server.behaviour.down_after, server.behaviour.down_s = COUNT // 3, 1000.0
    with pytest.raises(
        JudgeUnavailable, match=r"^openai:test has not answered for 1 s .*: HTTP 529, Overloaded$"
    ):
        judged(folder, made(chosen(server)), patience_s=1.0)
    before = answered(folder)
    assert 0 < len(before) < COUNT
    server.behaviour.down_after = None
    standing = judged(folder, made(chosen(server)))
    assert (standing.verdicts, standing.given_up) == (COUNT - len(before), 0)
    assert set(server.answered.values()) == {1}


@pytest.mark.parametrize("outages", [1, 4])
def test_no_number_of_outages_gives_a_comparison_up(
    server: Server, folder: Path, outages: int
) -> None:
    for _ in range(outages):
        server.faults += ["server_error"] * 400
        with pytest.raises(JudgeUnavailable, match="The server had an error"):
            judged(folder, made(chosen(server)), 10, patience_s=0.4)
        server.faults.clear()
    assert judged(folder, made(chosen(server)), 10).verdicts == 10


def test_an_hour_is_waited_for_only_if_it_is_allowed(server: Server, folder: Path) -> None:
    server.faults += [""] * 5 + ["rate_limited:3600"] * 100
    started = time.monotonic()
    with pytest.raises(
        JudgeUnavailable, match=r"asks to wait another 3(600|599) s, longer .*HTTP 429"
    ):
        judged(folder, made(chosen(server)))
    assert time.monotonic() - started < 5
    server.faults.clear()
    server.faults += ["rate_limited:3600"] * 100
    with Judging(folder, Limits(patience_s=7200)) as judging:
        judging.ask(made(chosen(server)), pairs(folder))
        assert not judging.wait(1.5)
        assert "HTTP 429, Rate limit reached; up to 71" in judging.standing().waiting_for
        asked = server.requests.total()
        assert not judging.wait(0.5)
        assert server.requests.total() == asked


def test_one_that_must_wait_long_stops_no_other(server: Server, folder: Path) -> None:
    server.faults += ["", "rate_limited:3600"]
    with pytest.raises(JudgeUnavailable, match="asks to wait another"):
        judged(folder, made(chosen(server)))
    assert len(answered(folder)) == COUNT - 1


def test_a_question_that_always_fails_is_left_while_others_are_answered(
    server: Server, folder: Path
) -> None:
    poisoned = disc(17, 14).frames[0].pixels
    rule = server.behaviour.rule

    def fails(pixels: Any) -> float:
        scale = pixels.shape[0] // 72
        if (pixels[::scale, ::scale] == poisoned).all():
            raise RuntimeError("the server cannot see this one")
        return rule(pixels)

    server.behaviour.rule = fails
    server.behaviour.latency_s = 0.1
    standing = judged(folder, made(chosen(server)), patience_s=1.0, concurrency=2)
    assert (standing.verdicts, standing.given_up) == (COUNT - 1, 1)
    server.behaviour.rule = rule
    assert judged(folder, made(chosen(server))).verdicts == 1, "it is pending yet"


@pytest.mark.parametrize("fault", ["overloaded", "rate_limited:0.2", "server_error", "cut_off"])
def test_trying_a_judge_waits_as_well(server: Server, fault: str) -> None:
    server.faults += [fault] * 7
    assert made(chosen(server, None), probe=True).wire.name == "decisions"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("rate_limited:3600", r"asks to wait another 3(600|599) s, longer .* HTTP 429, Rate limit"),
        ("overloaded", r"has not answered for 1 s .* HTTP 529, Overloaded"),
    ],
)
def test_trying_a_judge_has_an_end(server: Server, fault: str, words: str) -> None:
    server.faults += [fault] * 1000
    with pytest.raises(JudgeUnavailable, match=words):
        made(chosen(server, None, patience=1.0), probe=True)
    assert server.requests.total() < 40


# Odd servers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["", "529", "429", "502"])
def test_an_error_under_the_status_of_an_answer_is_waited_for(
    server: Server, folder: Path, code: str
) -> None:
    server.faults += [f"error_inside:{code}"] * 10
    standing = judged(folder, made(chosen(server)), 20)
    assert (standing.verdicts, standing.given_up) == (20, 0)
    kept = failures(folder)
    assert len(kept) == 10, "each may have been billed, so each is in the store"
    assert all("Provider returned error: overloaded" in failure.message for failure in kept)
    assert {f.kind for f in kept} == {"rate_limited" if code == "429" else "server_error"}


def test_an_error_inside_that_no_waiting_mends_is_said(server: Server) -> None:
    server.faults += ["error_inside:401"] * 10
    with pytest.raises(JudgeUnavailable, match="Provider returned error"):
        made(chosen(server, None), probe=True)
    assert server.requests.total() == 1


def test_words_in_parts_are_read_and_thoughts_are_not(server: Server, folder: Path) -> None:
    server.faults += ["parts"] * 5
    assert judged(folder, made(chosen(server)), 5).verdicts == 5
    assert failures(folder) == []


def test_a_model_that_reasons_is_given_room(server: Server, folder: Path) -> None:
    server.behaviour.speaks = frozenset({"chat"})
    server.behaviour.reasoning_tokens = 1000
    judge = made(chosen(server, None), probe=True)
    assert judge.wire.name == "votes"
    assert judge.wire.way.settings["room"] == "4096"
    assert judge.capability is not None
    assert any("used up all the tokens" in note for note in judge.capability.notes)
    assert judged(folder, judge, 5).verdicts == 5


def test_a_model_that_reasons_for_longer_is_said_with_the_option(server: Server) -> None:
    server.behaviour.speaks = frozenset({"chat"})
    server.behaviour.reasoning_tokens = 6000
    with pytest.raises(JudgeUnavailable, match="give it more room with --reasoning-tokens"):
        made(chosen(server, None), probe=True)
    judge = made(chosen(server, None, reasoning_tokens=8000), probe=True)
    assert judge.wire.way.settings["room"] == "8000"


def test_a_reply_that_is_cut_off_is_called_that(server: Server, folder: Path) -> None:
    server.faults += ["cut_short"] * 3
    standing = judged(folder, made(chosen(server)), 1)
    assert standing.given_up == 1
    assert {f.kind for f in failures(folder)} == {"truncated"}
    assert all("cut off at its greatest length" in f.message for f in failures(folder))


@pytest.mark.parametrize(
    ("provider", "wire"), [("openai", "votes"), ("openai", "logprobs"), ("anthropic", "votes")]
)
def test_a_stream_that_nobody_asked_for_is_read(
    server: Server, folder: Path, provider: str, wire: str
) -> None:
    server.behaviour.streams, server.behaviour.price = True, PRICE
    judge = made(chosen(server, wire, provider=provider))
    standing = judged(folder, judge, 12)
    assert standing.verdicts == 12
    assert standing.spent_usd == pytest.approx(server.billed), "its usage is read, too"


def test_events_without_an_answer_are_no_document() -> None:
    assert document_of('data: {"error": {"message": "no"}}\n\n') == {"error": {"message": "no"}}
    for body in ("data: [DONE]\n\n", ": ping\n\n", "data: 3\n\n", "data: {\n\n"):
        with pytest.raises(ValueError, match=r"Expecting|events"):
            document_of(body)


def test_a_request_too_large_for_a_proxy_is_made_smaller(server: Server, folder: Path) -> None:
    single, packed = (made(chosen(server, per_request=n)) for n in (1, 16))
    judged(folder, single, 1)
    server.behaviour.most_bytes = 12_000
    standing = judged(folder, packed, 16)
    assert (standing.verdicts, standing.given_up) == (16, 0)
    assert {f.kind for f in failures(folder)} == {"too_large"}


def test_a_pair_too_large_for_a_proxy_is_said_in_one_line(server: Server, folder: Path) -> None:
    server.behaviour.most_bytes = 100
    words = r"takes no request as large as this one \(HTTP 413, 413 Request Entity Too Large nginx"
    with pytest.raises(JudgeUnavailable, match=words) as raised:
        judged(folder, made(chosen(server)))
    assert "\n" not in str(raised.value)


def test_a_server_that_takes_one_picture_gets_both_states_on_one(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    server.behaviour.speaks, server.behaviour.one_picture = frozenset({"chat"}), True
    settings = chosen(server, None)
    judge = made(settings, probe=True)
    assert judge.brief.one_picture
    assert judge.wire.name == "logprobs"
    server.pictures.clear()
    assert judged(folder, judge, 12).verdicts == 12
    assert set(server.pictures) == {1}
    _assert_remembered(server, settings, judge)


@pytest.mark.parametrize(
    ("behaviour", "refused"),
    [
        ({"most_logprobs": 5}, "logprobs"),
        ({"rejects": frozenset({"max_tokens"})}, "limit"),
        ({"rejects": frozenset({"temperature"})}, "temperature"),
        ({"rejects": frozenset({"max_tokens", "temperature"})}, "limit, temperature"),
    ],
)
def test_what_a_server_refuses_is_tried_otherwise_once_and_remembered(
    server: Server, behaviour: dict[str, Any], refused: str
) -> None:
    server.behaviour.speaks = frozenset({"chat"})
    for name, value in behaviour.items():
        setattr(server.behaviour, name, value)
    settings = chosen(server, None)
    judge = made(settings, probe=True)
    assert judge.wire.name == "logprobs"
    assert judge.wire.way.settings["without"] == refused
    _assert_remembered(server, settings, judge)


def _assert_remembered(server: Server, settings: JudgeSettings, judge: LiveJudge) -> None:
    """That the same judge is found again without asking, by what is remembered or by a run's."""
    asked = server.requests.total()
    assert made(settings, probe=True).identity == judge.identity
    known = Assignment(GOAL, JudgeView(), probe=False, known_id=judge.identity.id)
    assert make_judge(replace(settings, samples=1), known).identity == judge.identity
    assert server.requests.total() == asked


# The budget -------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_usd", [0.002, 0.01])
def test_the_bill_stays_below_the_limit_through_outages_by_the_servers_own_count(
    server: Server, folder: Path, max_usd: float
) -> None:
    behaviour = server.behaviour
    behaviour.price, behaviour.busy_share, behaviour.latency_s = PRICE, 0.3, 0.01
    behaviour.busy_with = "lost"
    standing = judged(folder, made(chosen(server)), max_usd=max_usd, concurrency=64)
    settle(server)
    assert server.billed <= max_usd
    assert standing.given_up == 0
    assert standing.verdicts + standing.unasked == COUNT
    assert Counter(server.answered.values()).keys() <= {1}
