"""Batch files hold the live judges' own requests, and results are read as their replies are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from servers import protocols
from servers.batches import reply, results
from servers.eyes import find_pairs, ink_height
from volition.comparison import Comparison, Frame, Segment
from volition.errors import InputError, JudgeUnavailable
from volition.judges.base import Question
from volition.judges.live.batch import FORMS, batch_file, check_key, most_usd, read_results
from volition.judges.prompt import Brief
from volition.judgment import Failure, Order, Verdict

Row = dict[str, Any]
JUDGES = ["openai:gpt-4o-mini", "anthropic:claude-haiku-4-5", "gemini:gemini-2.5-flash"]
every_judge = pytest.mark.parametrize("judge", JUDGES)


PROTOCOLS = {"openai": "chat", "anthropic": "messages", "gemini": "gemini"}


def body_of(row: Row) -> Row:
    return dict(row.get("body") or row.get("params") or row["request"])


def parts_of(judge: str, row: Row) -> Sequence[Any]:
    """The words and pictures of a request, checked against the client library's own types."""
    read: Any = getattr(protocols, f"read_{PROTOCOLS[judge.partition(':')[0]]}")
    request: protocols.Asked = read(body_of(row), True)
    return list(request.parts)


def bar(height: int) -> Segment:
    """A picture with ink at that height."""
    pixels = np.full((72, 72, 3), 255, np.uint8)
    pixels[70 - height : 72 - height, 10:60] = 0
    return Segment(np.array([[height]], np.float32), (Frame(pixels),))


def questions(heights: Sequence[tuple[int, int]]) -> list[Question]:
    """A is shown at the first height, B at the second."""
    batch = []
    for one, other in heights:
        a, b = bar(one), bar(other)
        comparison = Comparison.between("goal", a, b)
        batch.append(
            Question(comparison, Order.FORWARD if comparison.first == a else Order.SWAPPED)
        )
    return batch


BRIEF = Brief("the bar is high", (bar(60).frames[0],))
HEIGHTS = {"sheet-1": [(5, 40), (60, 10), (33, 20)], "sheet-2": [(1, 69), (50, 22)]}
REQUESTS = {key: questions(heights) for key, heights in HEIGHTS.items()}
COUNTS = {key: len(heights) for key, heights in HEIGHTS.items()}


@every_judge
def test_what_comes_back_is_read_as_it_was_asked(judge: str) -> None:
    provider, _, model = judge.partition(":")
    file = batch_file(judge, BRIEF, REQUESTS).decode()
    came = "".join(json.dumps(row) + "\n" for row in results(provider, file, model))
    read = read_results(came, COUNTS)
    assert read is not None
    assert read.judge == judge
    for key, heights in HEIGHTS.items():
        expected = [Verdict(float(one > other)) for one, other in heights]
        assert read.outcomes[key] == expected


@every_judge
def test_a_request_for_one_pair_shows_it_without_a_sheet(judge: str) -> None:
    (line,) = batch_file(judge, BRIEF, {"sheet-1": REQUESTS["sheet-1"][:1]}).splitlines()
    parts = parts_of(judge, json.loads(line))
    assert sum(not isinstance(part, str) for part in parts) == 3  # the goal, A and B
    ((first, second),) = [(pair.a, pair.b) for pair in find_pairs(parts)]
    assert ink_height(first) < ink_height(second)


@every_judge
def test_nothing_but_the_request_is_in_the_file(
    judge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in FORMS[judge.partition(":")[0]].provider.variables:
        monkeypatch.setenv(variable, "sk-secret-0123456789")
    file = batch_file(judge, BRIEF, REQUESTS)
    assert b"secret" not in file
    assert b"volition-puts-the-key-here" not in file
    assert len(file.splitlines()) == len(REQUESTS)


def line_of(provider: str, key: str, document: Row | None, failed: Row | None = None) -> str:
    if provider == "openai":
        status = 200 if document else 400
        response = {"status_code": status, "request_id": "r", "body": document or failed}
        return json.dumps({"id": "x", "custom_id": key, "response": response, "error": None})
    if provider == "anthropic":
        result = {"type": "succeeded", "message": document} if document else failed
        return json.dumps({"custom_id": key, "result": result})
    return json.dumps({"key": key, **({"response": document} if document else {"error": failed})})


@pytest.mark.parametrize(
    ("provider", "failed", "message"),
    [
        ("openai", {"error": {"message": "too large"}}, "too large"),
        ("anthropic", {"type": "errored", "error": {"message": "overloaded"}}, "overloaded"),
        ("anthropic", {"type": "expired"}, "expired"),
        ("gemini", {"code": 8, "message": "exhausted"}, "exhausted"),
    ],
)
def test_a_request_that_failed_is_a_failure_of_each_pair(
    provider: str, failed: Row, message: str
) -> None:
    read = read_results(line_of(provider, "sheet-1", None, failed), COUNTS)
    assert read is not None
    assert [type(outcome) for outcome in read.outcomes["sheet-1"]] == [Failure] * 3
    for outcome in read.outcomes["sheet-1"]:
        assert isinstance(outcome, Failure)
        assert outcome.kind == "rejected"
        assert message in outcome.message
    assert read.outcomes["sheet-2"] == [Failure("missing", "the batch holds no reply to it")] * 2


@pytest.mark.parametrize("says", ["refused", "cut_short"])
@every_judge
def test_a_reply_without_an_answer_is_a_failure(judge: str, says: str) -> None:
    provider = judge.partition(":")[0]
    row = json.loads(batch_file(judge, BRIEF, REQUESTS).splitlines()[0])
    came = reply(PROTOCOLS[provider], body_of(row), says)
    read = read_results(line_of(provider, "sheet-1", came), COUNTS)
    assert read is not None
    assert any(isinstance(outcome, Failure) for outcome in read.outcomes["sheet-1"])


@pytest.mark.parametrize("provider", FORMS)
def test_a_reply_that_is_no_reply_is_a_failure(provider: str) -> None:
    read = read_results(line_of(provider, "sheet-1", {"hello": 1}), COUNTS)
    assert read is not None
    assert {getattr(outcome, "kind", "") for outcome in read.outcomes["sheet-1"]} == {"unparsable"}


@pytest.mark.parametrize(
    "text", ["", "pair,choice\n1,A\n", '{"pair": 1, "choice": "A"}', "[]", "{"]
)
def test_other_files_are_not_results(text: str) -> None:
    assert read_results(text, COUNTS) is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["sheet-1", "sheet-1"], "line 2: 'sheet-1' is answered twice"),
        (["sheet-9"], "line 1: 'sheet-9' is answered and was never asked"),
        (["sheet-1", None], "line 2 is not a result of a batch"),
    ],
)
def test_results_of_another_batch_are_refused(lines: list[str | None], message: str) -> None:
    failed = {"type": "expired"}
    text = "\n".join(
        "{}" if key is None else line_of("anthropic", key, None, failed) for key in lines
    )
    with pytest.raises(InputError, match=message):
        read_results(text, COUNTS)


@pytest.mark.parametrize("judge", ["", "openai", "openai:", "local:model", "somebody:model"])
def test_a_model_without_batches_is_named(judge: str) -> None:
    with pytest.raises(InputError, match="--batch takes one of openai:MODEL, anthropic:MODEL"):
        batch_file(judge, BRIEF, REQUESTS)


def test_too_many_pairs_for_a_request_are_refused() -> None:
    with pytest.raises(InputError, match="takes 60 pairs a sheet, not 61"):
        batch_file(JUDGES[0], BRIEF, {"sheet-1": questions([(1, 2)] * 61)})


def test_what_a_batch_may_cost_is_known_where_a_price_is() -> None:
    most = most_usd("openai:gpt-4o-mini", BRIEF, REQUESTS)
    assert most is not None
    assert 0.001 < most < 0.05
    assert most_usd("openai:nobody-knows", BRIEF, REQUESTS) is None


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(JudgeUnavailable, match="set ANTHROPIC_API_KEY"):
        check_key("anthropic:claude-haiku-4-5")
