"""What every judge promises. A new judge is one line in `JUDGES`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers import Server, serving
from volition.comparison import Comparison
from volition.envs.scene import open_scene
from volition.goal import Goal
from volition.judges import make_judge
from volition.judges.base import Assignment, Judge, Question
from volition.judges.settings import JudgeSettings
from volition.judging.limits import Limits
from volition.judging.thread import Judging
from volition.judgment import Failure, Order, Reply, Verdict
from volition.questions.seeing import eye
from volition.storage.store import Store
from volition.tasks.task import Task
from volition.tasks.view import JudgeView

GOAL_ID = "goal"
VIEW = JudgeView(crop=(0.2, 0.2, 0.8, 0.8), size=(80, 80))  # as is found of a pendulum
KEY = "not-a-real-key-but-nobody-may-see-it"


@dataclass(frozen=True)
class Case:
    """A judge under contract.

    Attributes:
        name: As `--judge` takes it.
        wire: The way of asking, where there are several.
        address: Of its protocol on the test server; None where it asks no server.
        explains: Whether it can say why.
    """

    name: str
    wire: str | None = None
    address: Callable[[Server], str] | None = None
    explains: bool = False


def openai(server: Server) -> str:
    return server.openai


def own(server: Server) -> str:
    return server.url


JUDGES = [
    Case("simulated:exact"),
    Case("openai:test", "decisions", openai),
    Case("openai:test", "systemone", openai),
    Case("openai:test", "logprobs", openai),
    Case("openai:test", "votes", openai, explains=True),
    Case("anthropic:test", "votes", own, explains=True),
    Case("gemini:test", "decisions", own),
    Case("gemini:test", "logprobs", own),
    Case("gemini:test", "votes", own, explains=True),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def remembered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what probing has shown is kept, so that each judge is probed once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(params=JUDGES, ids=lambda case: f"{case.name}-{case.wire or 'own'}")
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture
def make(
    case: Case, server: Server, remembered: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Judge]:
    """Makes the judge; what differs from the usual options is given by name."""
    monkeypatch.setenv("VOLITION_API_KEY", KEY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(remembered))
    task = Task.find("pendulum")
    usual = JudgeSettings(
        case.name,
        wire=case.wire,
        base_url=case.address(server) if case.address else None,
        price_in=1.0,
        price_out=2.0,
    )
    assignment = Assignment(task.stated_goal(), VIEW, truth=task.name)

    def made(probe: bool = True, **differing: Any) -> Judge:
        return make_judge(replace(usual, **differing), replace(assignment, probe=probe))

    return made


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    """Pairs of pendulums that nobody can confuse, each put both ways round."""
    task = Task.find("pendulum")
    seen = eye(open_scene(task.environment.id), VIEW)
    pairs = [(0.1, 2.9), (-0.2, 1.9), (0.4, -2.4), (-0.3, 3.1), (0.5, 2.2), (0.0, -1.8)]
    comparisons = [
        Comparison.between(
            GOAL_ID,
            seen({"theta": high, "theta_dot": 0.0}),
            seen({"theta": low, "theta_dot": 0.0}),
        )
        for high, low in pairs
    ]
    return [Question(c, order) for c in comparisons for order in Order]


def ask(judge: Judge, questions: Sequence[Question]) -> Reply:
    async def once() -> Reply:
        try:
            return await judge.ask(questions)
        finally:
            await judge.close()

    return asyncio.run(once())


def check(outcomes: Sequence[Verdict | Failure], questions: Sequence[Question]) -> None:
    """That every verdict is about what was shown, in the order in which it was shown."""
    assert len(outcomes) == len(questions)
    for outcome, question in zip(outcomes, questions, strict=True):
        first, second = question.shown
        assert isinstance(outcome, Verdict), outcome
        higher = first.observations[0, 0] > second.observations[0, 0]
        assert (outcome.p_shown_first > 0.5) == higher


def test_one_question_a_request_is_answered_in_its_order(
    make: Callable[..., Judge], questions: list[Question]
) -> None:
    judge = make()
    for question in questions:
        check(judge.read(ask(judge, [question]), [question]), [question])


def test_many_questions_a_request_are_answered_in_their_orders(
    make: Callable[..., Judge], questions: list[Question]
) -> None:
    judge = make(per_request=len(questions))
    assert judge.per_request >= len(questions)
    check(judge.read(ask(judge, questions), questions), questions)


def test_reading_is_pure_and_needs_nothing_but_the_reply(
    make: Callable[..., Judge], questions: list[Question]
) -> None:
    batch = questions[:4]
    reply = ask(make(per_request=4), batch)
    kept = Reply("kept", json.loads(json.dumps(reply.raw)))
    assert make(per_request=4).read(kept, batch) == make(per_request=4).read(reply, batch)


def test_no_request_uses_more_than_was_estimated(
    make: Callable[..., Judge], questions: list[Question]
) -> None:
    for count in (1, 2, len(questions)):
        judge = make(per_request=count)
        estimate, reply = judge.estimate(questions[:count]), ask(judge, questions[:count])
        assert estimate.prompt_tokens >= reply.prompt_tokens
        assert estimate.completion_tokens >= reply.completion_tokens
        assert estimate.cost_usd is not None
        assert estimate.cost_usd >= reply.cost_usd


def test_the_identity_is_that_of_the_answers(make: Callable[..., Judge], case: Case) -> None:
    assert make().identity == make().identity
    assert make().identity.name.startswith(case.name.partition(":")[0])
    assert make().identity.simulated == case.name.startswith("simulated")
    if case.address is not None:
        assert make(per_request=7).identity.id != make().identity.id
        elsewhere = make(base_url="http://127.0.0.1:9/v1", probe=False)
        assert elsewhere.identity.id != make().identity.id


def test_what_probing_has_shown_is_known_with_the_judge(
    make: Callable[..., Judge], case: Case
) -> None:
    judge = make()
    if case.address is None:
        assert judge.capability is None
        return
    capability = judge.capability
    assert capability is not None
    assert capability.judge_id == judge.identity.id
    assert capability.soft == (case.wire != "votes")
    assert capability.price_known
    assert capability.cost_usd >= 0
    assert make(base_url="http://127.0.0.1:9/v1", probe=False).capability is None


def test_only_a_judge_in_this_process_answers_at_once(
    make: Callable[..., Judge], case: Case
) -> None:
    assert make().immediate is (case.address is None)


def test_the_key_is_nowhere_to_be_seen(
    make: Callable[..., Judge], questions: list[Question]
) -> None:
    judge = make()
    reply = ask(judge, questions[:1])
    assert KEY not in repr(judge) + repr(judge.identity) + repr(reply)


def test_a_principle_is_put_with_the_question(
    make: Callable[..., Judge], questions: list[Question]
) -> None:
    question = replace(questions[0], principle="Higher is better.")
    judge = make()
    check(judge.read(ask(judge, [question]), [question]), [question])


@pytest.mark.parametrize(
    "case", [case for case in JUDGES if case.explains], ids=lambda case: f"{case.name}-{case.wire}"
)
def test_the_judge_says_why_where_it_is_asked_to(
    make: Callable[..., Judge], questions: list[Question]
) -> None:
    judge = make(explain=True)
    (outcome,) = judge.read(ask(judge, questions[:1]), questions[:1])
    assert isinstance(outcome, Verdict)
    assert outcome.explanation


def test_a_judge_can_be_used_again_after_it_was_closed(
    make: Callable[..., Judge], questions: list[Question]
) -> None:
    judge = make()
    for _ in range(2):  # each on an event loop of its own
        check(judge.read(ask(judge, questions[:1]), questions[:1]), questions[:1])


def probabilities(raw: str) -> bool:
    """Whether it is what a simulated judge replies that says how likely its answers are."""
    answers = json.loads(raw)
    return isinstance(answers, list) and {type(answer) for answer in answers} <= {float}


@given(
    raw=st.one_of(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["choices", "message", "content", "answers", "1", "A", "error"]
                    ),
                    inner,
                    max_size=3,
                )
            ),
            max_leaves=8,
        )
        .map(json.dumps)
        .filter(lambda raw: not probabilities(raw)),
    )
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_other_reply_is_a_failure_and_never_a_verdict(
    make: Callable[..., Judge], questions: list[Question], raw: str
) -> None:
    for count in (1, 3):
        outcomes = make(per_request=count).read(Reply("x", raw), questions[:count])
        assert len(outcomes) == count
        assert all(isinstance(outcome, Failure) and outcome.kind for outcome in outcomes)


def test_judging_puts_it_all_into_the_store(
    make: Callable[..., Judge], questions: list[Question], tmp_path: Path
) -> None:
    with Store.create(tmp_path) as store:
        goal_id = store.add_goal(Goal("upright"))
    comparisons = {
        c.id: c for c in (Comparison.between(goal_id, *question.shown) for question in questions)
    }
    with Judging(tmp_path, Limits(max_usd=10.0)) as judging:
        judging.ask(make(per_request=4), comparisons.values())
        assert judging.wait(30)
    with Store.open(tmp_path) as store:
        preferences = store.preferences()
        assert len(preferences) == len(comparisons)
        for preference in preferences:
            c = comparisons[preference.comparison_id]
            higher = c.first.observations[0, 0] > c.second.observations[0, 0]
            assert (preference.p_first > 0.5) == higher
        assert store.verify() == []
