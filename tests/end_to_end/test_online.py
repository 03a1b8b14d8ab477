"""Judge, reward model and policy side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from servers import Server, serving
from volition.errors import JudgeUnavailable
from volition.evidence.verification import verify
from volition.judges import make_judge
from volition.judges.settings import JudgeSettings
from volition.reward.model import RewardModel
from volition.run.creating import assignment_of
from volition.run.gaming.record import read_record
from volition.run.results import Progress
from volition.run.run import Run, train
from volition.storage.compilation import enable_cache
from volition.storage.store import Store
from volition.storage.tensors import read_description
from volition.tasks.task import Task
from volition.tasks.view import JudgeView

STEPS = 1600


@pytest.fixture(autouse=True)
def _own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(enable_cache()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / f"{tmp_path.name}-cache"))


def online(judgments: int = 40, judge: str = "simulated:exact") -> JudgeSettings:
    return JudgeSettings(judge, judgments, first=16, concurrency=4)


def probed(server: Server, live: JudgeSettings) -> None:
    """Lets the judge be probed, and forgets what that took at the server."""
    make_judge(live, assignment_of(Task.find("pendulum")))
    server.asked.clear()


def test_what_the_policy_reaches_is_asked_and_learned_from(tmp_path: Path) -> None:
    told: list[Progress] = []
    run = train(
        "pendulum", judge=online(200), out=tmp_path / "run", steps=STEPS, listener=told.append
    )
    result = run.result
    assert result.simulated
    checks = len(read_record(run.folder.path).checks)
    assert 44 <= result.judgments - checks <= 50, "no more in the first stage of learning"
    assert 8 <= checks <= 28, "15% of the others are kept for them"
    assert result.asked.startswith(f"{result.judgments} of at most 200 questions were asked: ")
    assert verify(run.folder) == []
    asked = sorted({p.judgments for p in told if p.stage == "policy"})
    assert asked[0] == 16
    assert len(asked) > 3, "questions are asked one wave after the other"
    assert run.history[-1].judgments == result.judgments
    with run.folder.open_store() as store:
        later = list(store.comparisons().values())[16:]
    velocities = [abs(s.states[0]["theta_dot"]) for c in later for s in (c.first, c.second)]
    assert np.mean(velocities) > 0, "states are those that the policy reached"


def test_a_judge_that_is_hardly_foretold_is_asked_more_at_once(tmp_path: Path) -> None:
    asked = {}
    for judge in ("simulated:exact", "simulated:noisy:0.35"):
        live = JudgeSettings(judge, first=30)
        run = train("pendulum", judge=live, out=tmp_path / judge, steps=STEPS)
        checks = len(read_record(run.folder.path).checks)
        asked[judge] = run.result.judgments - checks
    assert asked["simulated:exact"] <= 50, "no more of them in the first stage of learning"
    assert asked["simulated:noisy:0.35"] > 60, "they teach little, and no stage is waited for"


def test_a_simulated_judge_says_whether_its_truth_takes_clips(tmp_path: Path) -> None:
    views = {}
    for goal in ("curious", "hello"):
        run = Run.create(
            Task.find("lamp", goal).model_copy(update={"view": JudgeView()}),
            out=tmp_path / goal,
            live=JudgeSettings("simulated:exact", 8, first=8),
        )
        views[goal] = run.folder.task.view.clip, run.folder.settings.found["view.clip"]
    assert views["curious"][0] is None
    assert views["curious"][1].startswith("simulated:exact knows that one picture can show this")
    assert views["hello"][0] is not None
    assert views["hello"][1].startswith("simulated:exact knows that one picture cannot show this")


def test_a_run_on_a_judge_that_answers_at_once_can_be_repeated(tmp_path: Path) -> None:
    one, other = (
        train("pendulum", judge=online(), out=tmp_path / name, steps=STEPS)
        for name in ("one", "other")
    )
    assert one.evaluation == other.evaluation
    with one.folder.open_store() as store, other.folder.open_store() as again:
        assert store.comparison_ids() == again.comparison_ids()


def test_an_outage_while_the_policy_learns_costs_waiting_and_no_question(tmp_path: Path) -> None:
    told: list[Progress] = []
    with serving(strict=False, latency_s=0.01) as server:
        live = JudgeSettings(
            "openai:test",
            40,
            base_url=server.openai,
            price_in=0.1,
            price_out=0.4,
            first=16,
            concurrency=4,
            patience=60.0,
        )
        probed(server, live)
        server.behaviour.down_after, server.behaviour.down_s = server.requests.total() + 20, 3.0
        run = train(
            "pendulum", judge=live, out=tmp_path / "run", steps=2 * STEPS, listener=told.append
        )
    assert run.result.judgments >= 30, "hardly fewer than without it"
    lines = {p.waiting_for for p in told if p.stage == "policy" and p.waiting_for}
    assert any("HTTP 529, Overloaded; up to" in line for line in lines)


def test_a_slow_judge_makes_fewer_questions_and_no_fewer_steps(tmp_path: Path) -> None:
    with serving(latency_s=0.4, strict=False) as server:
        live = JudgeSettings(
            "openai:test",
            400,
            base_url=server.openai,
            price_in=0.1,
            price_out=0.4,
            first=8,
            concurrency=1,
        )
        probed(server, live)
        run = train("pendulum", judge=live, out=tmp_path / "run", steps=STEPS)
        result = run.result
        assert result.env_steps == STEPS
        assert result.judgments < 400
        checks = read_record(run.folder.path)
        asked = result.judgments + checks.probings * len(checks.probes)  # those are not learned
        said = f"{asked} of at most 400 comparisons were asked by the time"
        assert said in result.warnings[0]
        again = max(1, checks.probings)
        assert max(server.asked.values()) == again, "nothing but what is known is asked again"
    assert verify(run.folder) == []


def test_a_judge_that_fails_meanwhile_stops_the_run_which_goes_on_where_it_was(
    tmp_path: Path,
) -> None:
    with serving(strict=False) as server:
        live = JudgeSettings(
            "openai:test",
            40,
            base_url=server.openai,
            price_in=0.1,
            price_out=0.4,
            first=16,
            concurrency=4,
        )
        probed(server, live)
        run = Run.create(Task.find("pendulum"), out=tmp_path / "run", live=live, steps=STEPS)
        server.faults += [""] * 18 + ["unauthorized"] * 200
        with pytest.raises(JudgeUnavailable, match="go on with `volition resume"):
            run.advance()
        server.faults.clear()
        with Store.open(run.folder.path) as store:
            kept = len(store.preferences())
        assert kept >= 16
        result = Run.open(tmp_path / "run").advance()
        assert result.judgments > kept
        assert max(server.asked.values()) == 1, "what was answered is not asked again"
    assert verify(run.folder) == []


def test_the_reward_model_that_is_kept_knows_every_answer(tmp_path: Path) -> None:
    run = train("pendulum", judge=online(30), out=tmp_path / "run", steps=STEPS)
    known = read_description(run.folder.reward_model / "model.safetensors")
    with run.folder.open_store() as store:
        assert known["judgments"] == len(store.preferences()) > 16
    assert isinstance(run.reward_model, RewardModel)
