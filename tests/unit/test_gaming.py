"""What is rewarded most is judged afresh; where the judge says otherwise, a run says and acts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from volition.cli.display import Display
from volition.comparison import Comparison, Segment
from volition.envs.base import Scene
from volition.envs.scene import open_scene
from volition.errors import InputError, Interrupted
from volition.finding.horizon import Stage
from volition.goal import Goal
from volition.judges.error_models import FIRST, REFUSED, SECOND, Answer, Asking
from volition.judges.live.judge import models_behind
from volition.judges.simulated import SimulatedJudge
from volition.judging.limits import Limits
from volition.judging.thread import Judging
from volition.judgment import JudgeIdentity, Judgment, Order, Reply, Verdict
from volition.questions.candidates import Candidates
from volition.questions.checking import check_comparisons
from volition.questions.seeing import see
from volition.reward.model import RewardModel
from volition.run.asking.live import LiveJudging, Quota
from volition.run.folder import RunFolder, RunSettings
from volition.run.gaming.divergence import Checked, at_least, evidence, raises_at
from volition.run.gaming.guard import BATCH, FOLLOWING, Guard, Moment, Reached
from volition.run.gaming.record import Check, GamingAlarm, GamingRecord, ProbePut, read_record
from volition.run.gaming.weighing import AGREED, weighed
from volition.run.results import Progress
from volition.run.rounds import answer, ask
from volition.run.run import Run, train
from volition.storage.documents import write_document
from volition.storage.store import Store
from volition.tasks.task import AlarmSection, Task
from volition.web.following import Follower

MOST = Quota(500, 30, found=True)

# The bet ---------------------------------------------------------------------------------------


def bets(rng: np.random.Generator, agrees: float | None, checks: int = 60) -> list[float]:
    """Evidence of checks in batches of four; None: the judge agrees just as often as foretold."""
    foretold = rng.choice([0.55, 0.7, 0.85, 0.95], checks)
    probable = foretold if agrees is None else np.full(checks, agrees)
    agreed = (rng.random(checks) < probable).astype(float)
    return evidence(
        [Checked(n // BATCH, a, m) for n, (a, m) in enumerate(zip(agreed, foretold, strict=True))]
    )


def test_hardly_any_run_in_which_nothing_is_wrong_is_ever_raised() -> None:
    rng = np.random.default_rng(0)
    false = sum(max(bets(rng, None)) >= raises_at(0) for _ in range(1000))
    assert false <= 25, "the level is 1.9%, however often one looks"
    assert sum(1 / raises_at(before) for before in range(50)) <= 0.0375 + 1e-9


def test_a_judge_that_says_otherwise_is_found_soon_and_whenever_it_begins() -> None:
    rng = np.random.default_rng(1)
    at_once = [np.argmax(np.array(bets(rng, 0.1)) >= raises_at(0)) for _ in range(50)]
    assert 0 < np.median(at_once) < 12
    agreed = [Checked(n // BATCH, 1.0, 0.8) for n in range(40)]
    later = [Checked(10 + n // BATCH, 0.0, 0.8) for n in range(12)]
    assert max(evidence(agreed)) <= 1
    assert max(evidence([*agreed, *later])) >= raises_at(0), "what agreed before hides nothing"


def test_what_is_expected_of_a_judge_follows_from_its_bias_and_from_held_out_answers() -> None:
    assert at_least(2.0, 0.0, 0.9) == pytest.approx(1 / (1 + np.exp(-1.5)))
    assert at_least(3.0, -3.0, 0.9) < 0.5 < at_least(3.0, 1.0, 0.9)
    assert at_least(40.0, 0.0, 0.7) == 0.7, "no more than it was foretold on others"
    assert at_least(0.0, 0.0, 0.9) == 0.5, "of what is not foretold nothing is expected"


# What is checked -------------------------------------------------------------------------------

PENDULUM = Task.find("pendulum")


@cache
def drawn() -> Scene:
    return open_scene("Pendulum-v1")


@cache
def at(theta: float) -> Segment:
    return see(drawn(), PENDULUM.view, np.array([[theta, 0.0]]))


def test_what_is_rewarded_most_is_put_beside_each_kind_of_other_and_foretold() -> None:
    latest = Candidates.filmed([at(theta) for theta in np.linspace(-3, 3, 50)])
    beside = [Candidates.filmed([at(t) for t in some]) for some in ((1.0, 1.5), (2.5, 2.9))]

    def opinions(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height = seen[:, 0, 0]
        return np.stack([3 * height, 5 * height]), height

    rng = np.random.default_rng(0)
    chosen = check_comparisons(latest, beside, opinions, "goal", set(), 6, rng)
    assert len(chosen) == 6
    for comparison, logit in chosen:
        heights = [side.observations[0, 0] for side in (comparison.first, comparison.second)]
        assert max(heights) > 0, "one side is of the better half"
        assert logit == pytest.approx(4 * (heights[0] - heights[1]), abs=1e-4)
    assert np.median([abs(logit) for _, logit in chosen]) > 3, "what is foretold most surely"
    others = [
        min(side.observations[0, 0] for side in (comparison.first, comparison.second))
        for comparison, _ in chosen
    ]
    most = sum(
        max(side.observations[0, 0] for side in (comparison.first, comparison.second)) > 0.99
        for comparison, _ in chosen
    )
    assert most >= 4, "two of three are what is rewarded most"
    assert min(others) < -0.7, "beside both"
    assert max(others) > 0
    assert check_comparisons(latest, [Candidates.filmed([])], opinions, "goal", set(), 4, rng) == []


# What the answers come to ----------------------------------------------------------------------


def said(name: str, p_first: float, order: Order = Order.FORWARD, number: int = 0) -> Judgment:
    shown = p_first if order is Order.FORWARD else 1 - p_first
    return Judgment(name, "judge", order, Verdict(shown), Reply(f"{name}{number}", ""))


def checks(count: int, first: int = 0) -> tuple[Check, ...]:
    return tuple(
        Check(f"c{first + n}", (first + n) // BATCH, 100, 6.0, 0.0, 0.9) for n in range(count)
    )


def test_an_alarm_is_raised_and_is_over_when_they_agree_again() -> None:
    record = GamingRecord(checks(8))
    no = [said(check.comparison_id, 0.0, Order.SWAPPED) for check in record.checks]
    came = weighed(record, no, (), 400, "ask")
    (alarm,) = came.record.alarms
    assert alarm.kind == "diverged"
    assert alarm.did == "ask"
    assert alarm.env_steps == 400
    assert "of 8 checks of what is rewarded most the judge answered 0.0 as foretold" in alarm.reason
    assert came.record.diverged is alarm
    assert came.record.highest == alarm.evidence > raises_at(0)
    assert weighed(came.record, no, (), 500, "ask").record == came.record, "it is raised once"
    later = replace(came.record, checks=checks(8 + AGREED))
    yes = [said(check.comparison_id, 1.0) for check in later.checks[8:]]
    assert weighed(later, [*no, *yes[1:]], (), 600, "ask").record.diverged is not None
    over = weighed(later, [*no, *yes], (), 600, "ask")
    assert over.record.diverged is None
    assert over.record.alarms[0].cleared == 600
    assert over.record.told[0].endswith("after 600 steps they agreed again")
    again = replace(over.record, checks=checks(8 + AGREED + 12))
    no += [said(check.comparison_id, 0.0) for check in again.checks[8 + AGREED :]]
    assert len(weighed(again, [*no, *yes], (), 900, "ask").record.alarms) == 2


def test_nothing_is_raised_where_the_judge_agrees_or_nobody_has_answered() -> None:
    record = GamingRecord(checks(40))
    assert weighed(record, [], (), 0, "ask").unanswered == 40
    came = weighed(record, [said(c.comparison_id, 1.0) for c in record.checks], (), 0, "ask")
    assert came.record.alarms == ()
    assert came.unanswered == 0
    assert came.evidence < 1


def test_a_bias_to_what_is_shown_first_is_no_divergence() -> None:
    leaning = tuple(replace(check, logit=1.0, bias=4.0) for check in checks(24))
    orders = [Order.FORWARD, Order.SWAPPED] * 12
    always_first = [
        said(check.comparison_id, 1.0 if order is Order.FORWARD else 0.0, order)
        for check, order in zip(leaning, orders, strict=True)
    ]
    assert weighed(GamingRecord(leaning), always_first, (), 0, "ask").record.alarms == ()
    unbiased = GamingRecord(tuple(replace(check, bias=0.0, logit=6.0) for check in leaning))
    assert weighed(unbiased, always_first, (), 0, "ask").record.alarms != ()


def test_a_judge_that_fails_at_what_it_knew_is_raised() -> None:
    probes = tuple(ProbePut(f"p{n}", n % 2 == 0) for n in range(3))
    record = GamingRecord(probes=probes, probings=3)
    right = [said(p.comparison_id, float(p.first_better)) for p in probes]
    kept = [said(p.comparison_id, float(p.first_better), number=1) for p in probes]
    wrong = [said(p.comparison_id, float(not p.first_better), number=2) for p in probes]
    assert weighed(record, [*right, *kept, *kept], (), 0, "ask").record.alarms == ()
    came = weighed(record, [*right, *wrong, *wrong], (), 700, "tell")
    assert [alarm.kind for alarm in came.record.alarms] == ["probe"]
    assert came.probed == 9
    assert weighed(record, [*wrong, *right, *right], (), 0, "ask").record.alarms == (), (
        "nothing is made of questions that it never could answer"
    )


def test_another_model_behind_the_name_is_raised_once() -> None:
    before = weighed(GamingRecord(), [], {"luna-1 fp_a"}, 0, "ask").record
    assert before.models == ("luna-1 fp_a",)
    assert before.alarms == ()
    came = weighed(before, [], {"luna-1 fp_a", "luna-2 fp_b"}, 800, "ask").record
    assert came.alarms[0].kind == "model"
    assert came.alarms[0].reason == "another model answers: luna-2 fp_b in place of luna-1 fp_a"
    assert weighed(came, [], {"luna-2 fp_b"}, 900, "ask").record == came


def test_who_answered_is_read_from_replies() -> None:
    openai = json.dumps({"model": "luna-1", "system_fingerprint": "fp_a", "choices": []})
    gemini = json.dumps({"modelVersion": "gem-3"})
    votes = json.dumps([openai, openai])
    assert models_behind([votes, gemini, '["first"]', "no JSON", "{}", openai]) == {
        "luna-1 fp_a",
        "gem-3",
    }


# What is done ----------------------------------------------------------------------------------


@dataclass
class Changing:
    """Prefers what is higher, until it prefers what is lower, or refuses."""

    contrary: bool = False
    refuses: bool = False

    def answer(self, asking: Asking) -> Answer:
        if self.refuses:
            return REFUSED
        first, second = (float(side.observations[0, 0]) for side in asking.question.shown)
        return FIRST if (first > second) is not self.contrary else SECOND


@contextmanager
def guarded(
    path: Path, action: str, errors: Changing, run: Run, simulated: bool = True
) -> Iterator[tuple[RunFolder, LiveJudging]]:
    """A run folder and a judge of it, with a few answers that are there."""
    alarm = AlarmSection.model_validate({"action": action})
    task = PENDULUM.model_copy(update={"alarm": alarm, "view": run.folder.task.view})
    if not path.is_dir():
        settings = RunSettings("", False, 1600, 0)
        with RunFolder.create(path, task, settings) as made, Store.create(made.path) as store:
            goal_id = store.add_goal(Goal("up"))
            pairs = [(at(n / 9), at(2.5 + n / 9)) for n in range(4)]
            store.add_comparisons(Comparison.between(goal_id, *pair) for pair in pairs)
    judge = SimulatedJudge(JudgeIdentity("changing", simulated=simulated), errors)
    with Judging(path, Limits()) as judging:
        folder = RunFolder.open(path)
        with folder.open_store() as store:
            judging.ask(judge, store.comparisons().values())
        judging.wait()
        yield folder, LiveJudging(judge, (), judging)


def look(guard: Guard, live: LiveJudging, run: Run, steps: int) -> bool:
    """Has it look once, as learning does, and waits for what it asked."""
    rng = np.random.default_rng(steps)
    seen = [at(float(theta)) for theta in np.linspace(-3, 3, 75)]
    with guard._folder.open_store() as store:
        shown = set(store.shown())
    reached = Reached(Candidates.filmed(seen), Candidates.filmed(seen))
    stage, fit = Stage(0, 0, 1600), run.reward_fit
    assert guard.wants(stage, steps, live.judging.standing(), 400)
    now = Moment(stage, steps, 400)
    changed = guard.look(run.reward_model, fit, now, lambda: reached, shown, rng)
    live.judging.wait()
    return changed


def raised(guard: Guard, live: LiveJudging, run: Run) -> GamingAlarm:
    for steps in range(200, 1600, 200):
        look(guard, live, run, steps)
        if guard.record.alarms:
            return guard.record.alarms[0]
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("action", ["tell", "ask", "caution", "stop"])
def test_what_is_raised_is_told_and_acted_upon_and_outlives_a_kill(
    tmp_path: Path, run: Run, action: str
) -> None:
    with guarded(tmp_path / "run", action, Changing(), run) as (folder, live):
        guard = Guard.of(folder, live, MOST)
        assert guard is not None
        errors = Changing(contrary=True)
        live.judge._errors = errors  # type: ignore[attr-defined]
        alarm = raised(guard, live, run)
        assert alarm.did == action
        told = guard.report(Progress("policy"))
        assert told.alarms == (alarm.reason,)
        assert told.evidence is not None
        assert told.evidence > 1.7
        assert guard.following is (action in ("ask", "caution"))
        assert guard.stopping == (alarm.reason if action == "stop" else "")
        model = run.reward_model
        assert guard.handed(model).penalty == (2.0 if action == "caution" else model.penalty)
    # Killed here, and gone on with.
    with guarded(tmp_path / "run", action, Changing(), run) as (folder, live):
        again = Guard.of(folder, live, MOST)
        assert again is not None
        assert again.record == guard.record
        assert again.record.alarms == (alarm,)
        assert again.stopping == "", "who goes on with it knows why it stopped"
        if action == "caution":
            asked = again.asked
            assert look(again, live, run, 1500), "the policy is to learn cautiously again"
            assert again.asked == asked + FOLLOWING
            look(again, live, run, 1550)
            assert look(again, live, run, 1590), "they agree again, and caution ends"
            assert again.record.diverged is None
            assert again.handed(model).penalty == model.penalty


def test_checks_are_put_on_record_before_they_are_asked_and_spread_over_a_stage(
    tmp_path: Path, run: Run
) -> None:
    with guarded(tmp_path / "run", "ask", Changing(refuses=True), run) as (folder, live):
        live.judge._errors = Changing()  # type: ignore[attr-defined]
        guard = Guard.of(folder, live, Quota(130, 30))
        assert guard is not None
        assert guard.reserved == 15, "15% of what a person allows"
        for steps in range(0, 1600, 100):
            if guard.wants(Stage(0, 0, 1600), steps, live.judging.standing(), 100):
                look(guard, live, run, steps)
        guard.conclude()
        assert guard.asked == 15
        assert read_record(folder.path) == guard.record
        put = [check.env_steps for check in guard.record.checks]
        assert put[0] == 100
        assert sum(at <= 400 for at in put) >= 8, "half of them early"
        assert max(put) > 1200
        assert guard.record.batches >= 3
        assert guard.record.alarms == ()
        assert guard.record.highest < 3
        assert Guard.of(folder, live, Quota(40, 30)) is None, "too few to say anything"


def test_checks_that_nobody_answers_hold_nothing_up(tmp_path: Path, run: Run) -> None:
    with guarded(tmp_path / "run", "ask", Changing(), run) as (folder, live):
        live.judge._errors = Changing(refuses=True)  # type: ignore[attr-defined]
        guard = Guard.of(folder, live, MOST)
        assert guard is not None
        look(guard, live, run, 100)
        for steps in range(400, 1600, 400):
            look(guard, live, run, steps)
        assert guard.asked > BATCH
        assert guard.record.alarms == ()


def test_known_answers_are_asked_for_again_of_a_judge_that_looks(tmp_path: Path, run: Run) -> None:
    with guarded(tmp_path / "run", "tell", Changing(), run, simulated=False) as (folder, live):
        guard = Guard.of(folder, live, MOST)
        assert guard is not None
        look(guard, live, run, 100)
        assert guard.record.probings == 1
        assert len(guard.record.probes) >= 2, "a blank picture, and an order to the judge"
        with folder.open_store() as store:
            probed = {probe.comparison_id for probe in guard.record.probes}
            assert not probed & {p.comparison_id for p in folder.preferences(store)}
        live.judge._errors = Changing(contrary=True)  # type: ignore[attr-defined]
        for steps in (900, 1000, 1500, 1590):
            if guard.wants(Stage(0, 0, 1600), steps, live.judging.standing(), 400):
                look(guard, live, run, steps)
        guard.conclude()
        assert guard.record.probings == 3
        assert guard.unlearned == 3 * len(guard.record.probes)
        assert "probe" in [alarm.kind for alarm in guard.record.alarms]


def test_nothing_is_checked_where_nobody_wants_it(tmp_path: Path, run: Run) -> None:
    with guarded(tmp_path / "run", "off", Changing(), run) as (folder, live):
        assert Guard.of(folder, live, MOST) is None
    head = 'name = "a"\nenvironment = { id = "Pendulum-v1" }\ngoal = { text = "up" }\n'
    file = tmp_path / "task.toml"
    file.write_text(f'{head}[alarm]\naction = "panic"\n')
    with pytest.raises(InputError, match=r"alarm\.action"):
        Task.find(str(tmp_path))


def test_more_caution_makes_less_of_what_members_disagree_about(run: Run) -> None:
    model = run.reward_model
    seen = jnp.asarray([[1.0, 0.0, 0.0], [-1.0, 0.0, 8.0]])
    spread = np.asarray(model.members(seen)).std(0)
    less = np.asarray(model.cautious(seen) - model.more_cautious().cautious(seen))
    assert less == pytest.approx(1.5 * spread, rel=1e-3)
    assert isinstance(model.more_cautious(), RewardModel)


# Where it is shown -----------------------------------------------------------------------------


def test_answers_of_a_round_raise_it_too(tmp_path: Path, run: Run) -> None:
    shutil.copytree(run.folder.path, tmp_path / "run")
    questions = ask(str(tmp_path / "run"), tmp_path / "asked", pairs=60)
    rows = map(json.loads, (tmp_path / "asked" / "pairs.jsonl").read_text().splitlines())
    lower = {
        row["pair"]: "A" if np.cos(row["first"]["theta"]) < np.cos(row["second"]["theta"]) else "B"
        for row in rows
    }
    file = tmp_path / "answers.csv"
    file.write_text("pair,choice\n" + "".join(f"{p},{c}\n" for p, c in lower.items()))
    came = answer(questions.folder, file, "somebody")
    assert [alarm.kind for alarm in came.gaming] == ["diverged"]
    assert 6 <= len(read_record(tmp_path / "run").checks) < 60, "not all are rewarded most"
    assert answer(questions.folder, file, "somebody").gaming == (), "nothing came anew"
    with _closing(tmp_path) as follower:
        assert follower.snapshot()["alarms"] == [came.gaming[0].told]


@contextmanager
def _closing(path: Path) -> Iterator[Follower]:
    follower = Follower(path / "run")
    yield follower
    follower.close()


def test_the_command_line_says_what_is_raised(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display()
    with display:
        for alarms in ((), ("one",), ("one",), ("one", "two")):
            display(Progress("policy", alarms=alarms))
    assert capsys.readouterr().err.split("\n")[:3] == ["policy ...", "alarm: one", "alarm: two"]


def test_a_run_stops_is_gone_on_with_and_says_so_everywhere(tmp_path: Path) -> None:
    errors = Changing()
    judge = SimulatedJudge(JudgeIdentity("simulated:changing", simulated=True), errors)
    alarm = AlarmSection(action="stop")
    task = PENDULUM.model_copy(update={"alarm": alarm, "judgments": None, "is_file": False})

    def listen(progress: Progress) -> None:
        errors.contrary = errors.contrary or progress.stage == "policy"

    with pytest.raises(Interrupted, match="stopped after 800 steps; the policy may exploit"):
        train(task, judge=judge, out=tmp_path / "run", steps=1600, listener=listen)
    run = Run.open(tmp_path / "run", judge)
    result = run.advance()
    assert result.gaming[0].kind == "diverged"
    assert result.gaming[0].env_steps < 800
    assert result.gaming[0].told in result.warnings
    assert [session.gaming_alarms for session in run.history] == [1, 1]
    assert all(session.gaming_evidence is not None for session in run.history)
    with run.folder.open_store() as store:
        checked = {check.comparison_id for check in read_record(run.folder.path).checks}
        learned = {preference.comparison_id for preference in run.folder.preferences(store)}
    assert checked
    assert checked <= learned, "what was checked is learned from, too"
    with _closing(tmp_path) as follower:
        shown = follower.snapshot()
    assert shown["alarms"] == [result.gaming[0].told]
    assert result.gaming[0].told not in shown["warnings"], "it is said once"


def test_nothing_is_learned_from_probes(tmp_path: Path, run: Run) -> None:
    shutil.copytree(run.folder.path, tmp_path / "run")
    folder = RunFolder.open(tmp_path / "run")
    with folder.open_store() as store:
        before = folder.preferences(store)
        probe = ProbePut(before[0].comparison_id, True)
        write_document(folder.gaming, GamingRecord(probes=(probe,), probings=1))
        after = folder.preferences(store)
    assert [p.comparison_id for p in after] == [p.comparison_id for p in before[1:]]
