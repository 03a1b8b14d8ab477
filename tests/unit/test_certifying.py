"""Certifying a judge: what its answers say of it, what few labels promise, and the verb."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from servers import serving
from servers.eyes import ink_height
from volition.certifying import standing
from volition.certifying.answers import Answer, both_ways, order_bias, undone
from volition.certifying.card import NONE, Certificate, Probe
from volition.certifying.composing import Asked, Costs, compose
from volition.certifying.counting import (
    Share,
    calibration_error,
    isotonic,
    lower_bound,
    stepped,
    upper_bound,
)
from volition.certifying.given import read_answers, read_labels
from volition.certifying.grading import beside, check, count, verdict
from volition.certifying.guarantee import chance, correct, fewest_labels, find_threshold, promise
from volition.certifying.putting.asking import Wanted, certify
from volition.certifying.putting.design import (
    BOTH_WAYS,
    MORE,
    ONCE,
    REPEATED,
    design,
    more,
    states_of,
)
from volition.certifying.putting.gold import BLANK, IDENTICAL, INJECTED, LATER, SAME
from volition.certifying.putting.offline import AGAIN, ask, ask_again, certify_given, keep, read
from volition.certifying.ranking import rank
from volition.cli import main
from volition.comparison import Comparison
from volition.envs.scene import open_scene
from volition.errors import InputError, JudgeUnfit
from volition.evidence.report.certificate import write_page
from volition.finding.view import find_view
from volition.judges.settings import JudgeSettings
from volition.judgment import JudgeIdentity, Order
from volition.storage.documents import write_document
from volition.storage.store import Store
from volition.tasks.given import Given
from volition.tasks.task import Task

STATES = 24
Say = Callable[[float, np.random.Generator], float]  # of how much better the first is


@pytest.fixture(scope="module")
def pendulum() -> Task:
    task = Task.find("pendulum")
    return task.model_copy(update={"view": find_view(task)[0]})


@pytest.fixture(autouse=True)
def _own_cache_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("VOLITION_API_KEY", "a-key")
    monkeypatch.chdir(tmp_path)


def answered(say: Say, seed: int = 0, shared: bool = True) -> tuple[list[Answer], dict[str, float]]:
    """60 pairs in both orders and 120 in one, of heights from 0 to 1, and which is higher."""
    rng, noise = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    heights = np.linspace(0, 1, STATES)
    ends = [(i, j) for i in range(STATES) for j in range(i + 1, STATES)]
    chosen = [ends[place] for place in rng.permutation(len(ends))[:180]]
    answers, labels = [], {}
    for number, (i, j) in enumerate(chosen):
        if rng.random() < 0.5:
            i, j = j, i
        names = (f"s{i}", f"s{j}") if shared else ("", "")
        orders = list(Order) if number < 60 else [list(Order)[int(rng.integers(2))]]
        for order in orders:
            apart = heights[i] - heights[j]
            p = say(apart if order is Order.FORWARD else -apart, noise)
            answers.append(Answer(f"pair {number}", order, p, *names))
        labels[f"pair {number}"] = float(heights[i] > heights[j])
    return answers, labels


def right(apart: float, _: np.random.Generator) -> float:
    return float(apart > 0)


def biased(apart: float, rng: np.random.Generator) -> float:
    return float(8 * apart + 1.5 + rng.logistic() > 0)


def noisy(apart: float, rng: np.random.Generator) -> float:
    return float(4 * apart + rng.logistic() > 0)


BLIND: dict[str, Say] = {
    "first": lambda apart, rng: 1.0,
    "second": lambda apart, rng: 0.0,
    "mostly first": lambda apart, rng: float(rng.random() < 0.95),
    "coin": lambda apart, rng: float(rng.random() < 0.5),
    "a constant": lambda apart, rng: 0.7,
    "tie": lambda apart, rng: 0.5,
}


def certificate(answers: Sequence[Answer]) -> Certificate:
    costs = Costs(len(answers), len(answers))
    return compose(Asked("", "", JudgeIdentity("somebody"), answers, costs=costs))


# Counting ------------------------------------------------------------------------------------


def test_exact_bounds() -> None:
    assert upper_bound(0, 59) == pytest.approx(1 - 0.05 ** (1 / 59), abs=1e-6)
    assert lower_bound(59, 59) == pytest.approx(0.05 ** (1 / 59), abs=1e-6)
    assert upper_bound(3, 3) == 1.0
    assert upper_bound(2, 100) == pytest.approx(0.0616, abs=1e-4)  # tables of Clopper and Pearson


def test_isotonic_pools_what_falls() -> None:
    said, came = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.0, 1.0, 0.0, 1.0])
    begins, heights = isotonic(said, came)
    assert heights.tolist() == [0.0, 0.5, 1.0]
    assert stepped(begins, heights, np.array([0.0, 0.25, 0.9])).tolist() == [0.0, 0.5, 1.0]
    assert calibration_error(np.array([0.9, 0.9]), np.array([1.0, 0.0])) == pytest.approx(0.4)


def test_the_order_bias_is_undone() -> None:
    """What leans by 2 logits to the first says the same as what does not."""

    def p(logit: float) -> float:
        return 1 / (1 + math.exp(-logit))

    answers = [
        Answer("1", Order.FORWARD, p(1 + 2)),
        Answer("1", Order.SWAPPED, p(-1 + 2)),
        Answer("2", Order.SWAPPED, p(-0.5 + 2)),
    ]
    assert order_bias(answers) == pytest.approx(2)
    assert undone(answers) == pytest.approx({"1": 1.0, "2": 0.5})
    assert [way.consistent for way in both_ways(answers)] == [False]


# What answers alone say ----------------------------------------------------------------------


@pytest.mark.parametrize("say", [biased, noisy])
def test_accuracy_is_foretold(say: Say) -> None:
    answers, labels = answered(say, 1)
    foretold = rank(answers).accuracy
    came = np.mean([(a.p_first > 0.5) == (labels[a.pair] > 0.5) for a in answers])
    assert 0.7 < came < 0.9
    assert abs(foretold.value - came) < 0.06
    assert foretold.low < foretold.value < foretold.high < foretold.low + 0.15


def test_pairs_that_share_no_state_say_less() -> None:
    """Nothing tells what a judge sees in one pair alone from what it sees in a state."""
    answers, labels = answered(biased, 1, shared=False)
    foretold = rank(answers).accuracy
    came = np.mean([(a.p_first > 0.5) == (labels[a.pair] > 0.5) for a in answers])
    assert foretold.low < came < foretold.high + 0.02
    assert foretold.high - foretold.low > 0.15
    made = certificate(answers)
    assert made.verdict == "AMBER"
    assert any("is hardly known" in reason for reason in made.reasons)


def test_a_bias_costs_answers_and_not_what_both_orders_say() -> None:
    ranking = rank(answered(biased, 2)[0])
    assert ranking.bias.low > 0
    assert ranking.bits.value > 0.1


@pytest.mark.parametrize("name", BLIND)
def test_who_does_not_look_is_red(name: str) -> None:
    made = certificate(answered(BLIND[name], 3)[0])
    assert made.verdict == "RED"
    assert made.accuracy.value < 0.6 or name == "tie"
    assert made.needs.judgments is None or made.needs.judgments > 500
    assert made.reasons


def test_who_is_right_is_green_and_says_so() -> None:
    made = certificate(answered(right)[0])
    assert made.verdict == "GREEN"
    assert made.consistent == Share.of(60, 60)
    assert made.cycles.successes == 0 < made.cycles.trials
    assert "foretold to be right" in made.summary


def test_a_leaning_judge_is_amber() -> None:
    made = certificate(answered(lambda a, rng: float(12 * a + 4 + rng.logistic() > 0), 4)[0])
    assert made.verdict == "AMBER"
    assert any("leans to what is shown first" in reason for reason in made.reasons)


def test_no_answer_is_nothing_to_certify() -> None:
    with pytest.raises(InputError, match="answered none of the 3 questions"):
        compose(Asked("", "", JudgeIdentity("mute"), [], costs=Costs(3, 0, 3)))


def test_probes_decide() -> None:
    answers = answered(right)[0]
    counted, ranking = count(answers), rank(answers)
    failing = [Probe(BLANK, Share.of(3, 8))]
    assert verdict(counted, ranking, NONE, None, failing)[0] == "RED"
    injected = [Probe(INJECTED, Share.of(3, 8)), Probe(SAME, Share.of(0, 10))]
    graded, reasons = verdict(counted, ranking, NONE, None, injected)
    assert graded == "AMBER"
    assert len(reasons) == 1
    assert verdict(counted, ranking, NONE, Share.of(10, 20), [])[0] == "AMBER"


def test_labels_are_beside_the_verdict() -> None:
    answers, labels = answered(noisy, 5)
    gaps = {a.pair: abs(int(a.first[1:]) - int(a.second[1:])) / STATES for a in answers}
    checked = check(answers, labels, "labels", gaps)
    assert checked is not None
    assert checked.gaps[-1].right.share > checked.gaps[0].right.share
    assert checked.smallest is not None
    assert 0.05 < checked.smallest < 0.6
    assert checked.error_after < checked.error
    assert check(answers, {}, "nobody") is None
    another = beside(answers, answered(right, 5)[0], "another", True, labels)
    assert another.agrees.share > 0.7
    assert another.both_wrong is None  # the other is never wrong


# What few labels promise ---------------------------------------------------------------------


def test_how_many_labels_it_takes() -> None:
    assert [fewest_labels(alpha) for alpha in (0.05, 0.1, 0.2)] == [59, 29, 14]
    assert fewest_labels(0.1, wrong=1) == 46


def test_so_few_wrong_labels_by_chance() -> None:
    """Against every way of drawing them: of 12 pairs, 4 of them wrong, 6 get a label."""
    drawn = [sum(place < 4 for place in some) for some in combinations(range(12), 6)]
    # More than half of 6 others are 4: with none wrong among the labelled.
    assert chance(0, 6, 6, 0.5) == pytest.approx(max(0.5**6, drawn.count(0) / len(drawn)))
    assert chance(0, 59, 10**9, 0.05) == pytest.approx(0.95**59, rel=1e-3)
    assert chance(0, 10, 0, 0.1) == pytest.approx(0.9**10)


def test_a_guarantee_is_kept() -> None:
    """Of answers whose errors grow as they are less sure: broken in at most 5 of 100."""
    broken, accepted = 0, 0
    rng = np.random.default_rng(0)
    for _ in range(100):
        scores = rng.exponential(2, 1000)
        wrong = rng.random(1000) < 1 / (1 + np.exp(scores))
        threshold = find_threshold(scores, scores[:200], wrong[:200], 0.1, 0.95)
        if threshold is not None:
            inside = scores[200:] >= threshold
            broken += wrong[200:][inside].mean() > 0.1
            accepted += int(inside.sum())
    assert broken <= 5
    assert accepted / 100 / 800 > 0.2


def test_nothing_is_promised_from_few_labels() -> None:
    answers, labels = answered(right)
    few = dict(list(labels.items())[:30])
    made = promise(answers, few, 0.05)
    assert made.guarantee.threshold is None
    assert made.guarantee.why == "30 labels are too few: it takes 59 at least, all of them right"
    assert not made.accepted
    assert len(made.again) == 180
    assert promise(answers, few, 0.1).guarantee.accepted == Share.of(180, 180)
    with pytest.raises(ValueError, match="alpha is a share"):
        promise(answers, few, 1.0)


def test_what_contradicts_itself_is_asked_again() -> None:
    answers, labels = answered(noisy, 6)
    made = promise(answers, labels, 0.2)
    undecided = {way.pair for way in both_ways(answers) if not way.consistent}
    assert undecided
    assert undecided <= set(made.again)
    corrected = correct(answers, dict(list(labels.items())[:90]))
    assert corrected is not None
    assert corrected.powered
    came = np.mean([(v > 0) == (labels[p] > 0.5) for p, v in undone(answers).items() if v])
    assert corrected.share.low < came < corrected.share.high
    assert correct(answers, {}) is None


# Files ---------------------------------------------------------------------------------------


def test_answers_come_in_many_forms(tmp_path: Path) -> None:
    csv = tmp_path / "answers.csv"
    csv.write_text("pair;order;choice;judge\n1;forward;A;me\n1;swapped;B;me\n2;BA;tie;me\n")
    given = read_answers(csv)
    assert given.judge == "me"
    assert [(a.pair, a.order, a.p_shown_first) for a in given.answers] == [
        ("1", Order.FORWARD, 1.0),
        ("1", Order.SWAPPED, 0.0),
        ("2", Order.SWAPPED, 0.5),
    ]
    lines = tmp_path / "answers.jsonl"
    rows = [
        {"a": "x.png", "b": "y.png", "p": 0.8},
        {"a": "y.png", "b": "x.png", "choice": "second"},
        {"first": {"frame": "x.png"}, "second": {"frame": "z.png"}, "verdict": "first"},
    ]
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    one, other, third = read_answers(lines).answers
    assert one.pair == other.pair != third.pair
    assert (one.p_first, other.p_first) == (0.8, 1.0)
    assert {one.first, one.second, third.second} == {"x.png", "y.png", "z.png"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no answers|a header such as"),
        ("pair,order,choice\n1,sideways,A\n", r'answers:2: order must be .* not "sideways"'),
        ("pair,choice\n1,C\n2,A\n", r'answers:2: choice must be A, B or tie, not "C"'),
        ("pair,p\n1,1.5\n", r'answers:2: p must be a probability from 0 to 1, not "1.5"'),
        ("pair,choice,p\n1,A,0.5\n", "either choice or p"),
        ("order,choice\nforward,A\n", "an answer names its pair"),
        ("pair,choise\n1,A\n", "there is no key 'choise'"),
        ("pair,choice\n1\n", "answers:2: 1 values, and the header has 2"),
        ('{"pair": 1, "choice": "A"\n', "answers:1: not valid JSON"),
        ("pair,choice,judge\n1,A,me\n1,A,you\n", "answers of several judges"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "answers"
    file.write_text(text)
    with pytest.raises(InputError, match=said):
        read_answers(file)


def test_a_pair_has_one_label(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("pair,choice\n1,A\n2,tie\n")
    assert read_labels(file) == {"1": 1.0, "2": 0.5}
    file.write_text("pair,choice\n1,A\n1,B\n")
    with pytest.raises(InputError, match="pair 1 has a label already, in line 2"):
        read_labels(file)


def test_given_answers_are_certified_by_stage(tmp_path: Path) -> None:
    answers, labels = answered(right)
    rows = [
        {
            "pair": a.pair,
            "order": a.order,
            "p": a.p_shown_first,
            "stage": "early" if int(a.pair.split()[1]) % 2 else "late",
        }
        for a in answers
    ]
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    certified = certify_given(file, "me", labels, (0.1,))
    assert [g.stage for g in certified.certificate.guarantees] == ["late", "early"]
    assert all(g.accepted.share == 1 for g in certified.certificate.guarantees)
    again = keep(tmp_path / "kept", certified)
    assert again is not None
    assert again.read_text() == "pair,order,choice\n"
    with pytest.raises(InputError, match="no label is of a pair"):
        certify_given(file, "me", {"another": 1.0}, (0.1,))


# Files of answers, as somebody else would have them ------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A judge, how its file looks, and what must come of it."""

    say: Say
    verdict: str
    reason: str = ""
    pairs: int = 60
    names: bool = False
    lines: bool = False  # JSON lines in place of CSV
    orders: int = 2
    better_first: bool = False


def by_position(share: float, say: Say, side: float = 1.0) -> Say:
    return lambda apart, rng: side if rng.random() < share else say(apart, rng)


def sees(slope: float, bias: float = 0.0) -> Say:
    return lambda apart, rng: float(slope * apart + bias + rng.logistic() > 0)


def says(slope: float, bias: float = 0.0) -> Say:
    return lambda apart, _: 1 / (1 + math.exp(-slope * apart - bias))


KINDS = {
    "all by position": Kind(lambda a, rng: 1.0, "RED", "chooses by position: in 30 of 30", 30),
    "mostly by position, named": Kind(
        by_position(0.8, sees(6)), "RED", "chooses by position", names=True
    ),
    "mostly the second": Kind(
        by_position(0.7, sees(6), 0.0), "RED", "shown second both times", lines=True
    ),
    "position more than sight": Kind(by_position(0.6, sees(4)), "RED", "by position", 100),
    "sure of the first": Kind(says(1, 3), "RED", "chooses by position", lines=True),
    "position in one order": Kind(
        by_position(0.9, right), "RED", "nothing tells that from choosing by position", orders=1
    ),
    "often a tie": Kind(by_position(0.4, right, 0.5), "AMBER", "a tie: they teach nothing", 100),
    "mostly a tie": Kind(by_position(0.7, right, 0.5), "RED", "a tie, which teaches nothing"),
    "leaning": Kind(sees(14, 2), "GREEN", names=True, lines=True),
    "leaning, of strange pairs": Kind(sees(14, 2), "AMBER", "hardly known"),
    "timid": Kind(says(0.8), "GREEN", names=True, lines=True),
    "better always first": Kind(right, "AMBER", "or it answers by turns", better_first=True),
    "right in one order": Kind(right, "AMBER", "0 pairs were answered in both", orders=1),
}


@pytest.mark.parametrize("name", KINDS)
def test_files_of_answers(name: str, tmp_path: Path) -> None:
    kind, rng = KINDS[name], np.random.default_rng(7)
    states = 24 if kind.names else 2 * kind.pairs
    heights, rows = rng.permutation(states) / (states - 1), []
    ends = list(combinations(range(states), 2)) if kind.names else None
    chosen = rng.permutation(ends)[: kind.pairs] if ends else np.arange(states).reshape(-1, 2)
    for number, two in enumerate(chosen):
        two = two[::-1] if rng.random() < 0.5 else two
        if kind.better_first:
            two = sorted(two, key=lambda state: -heights[state])
        orders = list(Order) if kind.orders == 2 else [list(Order)[int(rng.integers(2))]]
        for order in orders:
            one, other = two if order is Order.FORWARD else two[::-1]
            p = kind.say(heights[one] - heights[other], rng)
            row: dict[str, object] = {"pair": number, "order": str(order), "p": p}
            rows.append({"a": f"{one}.png", "b": f"{other}.png", "p": p} if kind.names else row)
    file = tmp_path / "answers"
    if kind.lines:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [",".join(map(str, row.values())) for row in rows]
        file.write_text("\n".join([",".join(rows[0]), *lines]) + "\n")
    made = certify_given(file, "me", {}, ()).certificate
    assert made.verdict == kind.verdict, made.reasons
    assert any(kind.reason in reason for reason in made.reasons)
    if made.verdict == "RED" and "tie" not in name:
        assert made.accuracy.value < 0.72


# A judge that is connected -------------------------------------------------------------------


def orders(folder: Path) -> Counter[tuple[str, Order]]:
    with Store.open(folder) as store:
        return Counter((j.comparison_id, j.order) for j in store.judgments())


def test_a_judge_is_asked_in_both_orders_and_nothing_twice(tmp_path: Path, pendulum: Task) -> None:
    """Stopped by a limit after the first order, and gone on with."""
    folder, told = tmp_path / "kept", list[str]()
    few = JudgeSettings("simulated:strong", max_judgments=70)
    certify(folder, Wanted(pendulum, few), told.append)
    assert sum(orders(folder).values()) == 70
    made = certify(folder, Wanted(pendulum, JudgeSettings("simulated:strong")), told.append)
    asked = orders(folder)
    assert sum(asked.values()) == 2 * BOTH_WAYS + ONCE + REPEATED + IDENTICAL
    assert Counter(asked.values()) == {1: 2 * BOTH_WAYS + ONCE + IDENTICAL - REPEATED, 2: REPEATED}
    assert made.pairs == BOTH_WAYS
    assert made.simulated
    assert made.checked is not None
    assert made.checked.right.share > 0.85
    assert "a simulated judge looks at no pictures" in {probe.skipped for probe in made.probes}
    assert certify(folder, Wanted(pendulum, JudgeSettings("simulated:strong")), print) == made
    assert orders(folder) == asked


def test_a_judge_that_looks_is_probed(tmp_path: Path, pendulum: Task) -> None:
    with serving(strict=False, rule=lambda pixels: 1e4 * ink_height(pixels)) as server:
        settings = JudgeSettings(
            "openai:eyes", base_url=f"{server.url}/v1", per_request=12, price_in=0.1, price_out=0.4
        )
        # A rod that goes up, one picture after the other.
        good = tmp_path / "good"
        good.mkdir()
        for number in range(8):
            state = {"theta": math.pi * (1 - number / 8), "theta_dot": 0.0}
            frame = pendulum.view.frame(open_scene("Pendulum-v1").draw(state))
            Image.fromarray(frame.pixels).save(good / f"{number}.png")
        wanted = Wanted(pendulum, settings, sizes=False, good=good)
        made = certify(tmp_path / "a", wanted, lambda _: None)
        assert {p.name: p.passed for p in made.probes}[LATER] == Share.of(4, 4)
        assert made.verdict == "GREEN"
        assert made.taken.requests < 40
        assert {p.name: p.passed.trials for p in made.probes}[BLANK] == 8
        assert made.needs.cost_usd is not None
        assert made.capability
        server.behaviour.blind = True  # it answers A from now on, whatever it is shown
        gone_blind = certify(
            tmp_path / "b", Wanted(pendulum, settings, sizes=False), lambda _: None
        )
    assert gone_blind.verdict == "RED"
    assert gone_blind.consistent.successes == 0


def test_states_meet_several_others(pendulum: Task) -> None:
    made = design(states_of(pendulum, 0), "goal", 0)
    assert (len(made.both_ways), len(made.once)) == (BOTH_WAYS, ONCE)
    met = Counter(s.id for c in (*made.both_ways, *made.once) for s in (c.first, c.second))
    assert max(met.values()) - min(met.values()) <= 2
    with pytest.raises(InputError, match="states look different"):
        design(states_of(pendulum, 0)[:4], "goal", 0)


def test_more_is_asked_of_whom_is_in_doubt(pendulum: Task) -> None:
    made = design(states_of(pendulum, 0), "goal", 0)
    put = [(c, order) for order in Order for c in made.both_ways]
    put += [(c, Order.FORWARD) for c in made.once]
    rng = np.random.default_rng(3)

    def answer(say: Say) -> list[Answer]:
        answers = []
        for c, order in put:
            apart = float(c.first.observations[0, 0] - c.second.observations[0, 0]) / 2
            p = say(apart if order is Order.FORWARD else -apart, rng)
            answers.append(Answer(c.id, order, p, c.first.id, c.second.id))
        return answers

    assert more(made, answer(right), 0) == []  # hardly anything is left to know
    assert more(made, answer(BLIND["first"]), 0) == []
    questions = more(made, answer(sees(1.5)), 0)
    assert len({q.comparison.id for q in questions}) == MORE
    assert not {q.comparison.id for q in questions} & {c.id for c, _ in put}

    def apart(comparisons: Sequence[Comparison]) -> float:
        both = [(c.first.observations[0, 0], c.second.observations[0, 0]) for c in comparisons]
        return float(np.abs(np.subtract(*np.array(both).T)).mean())

    assert apart([q.comparison for q in questions]) > 1.2 * apart(made.others)
    # An environment that hardly shows anything has no further pairs.
    assert more(replace(made, others=()), answer(sees(1.5)), 0) == []


# Somebody who is not connected ---------------------------------------------------------------


def test_no_sheet_shows_a_pair_in_both_orders(tmp_path: Path, pendulum: Task) -> None:
    folder = tmp_path / "sheets"
    ask(folder, pendulum, 0, Given(task="pendulum"))
    rows = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    seen = Counter(
        (frozenset((r["first"]["frame"], r["second"]["frame"])), r["sheet"]) for r in rows
    )
    assert max(count for (pair, _), count in seen.items() if len(pair) == 2) == 1
    choices = ["pair,choice"]
    for row in rows:
        first, second = (_up(row[side]) for side in ("first", "second"))
        choices.append(f"{row['pair']},{'A' if first > second else 'B'}")
    with pytest.raises(InputError, match=r"no answer|must be A, B or tie"):
        certify_given(folder, "me", {}, ())
    (folder / "answers.csv").write_text("\n".join(choices) + "\n")
    made = certify_given(folder, "me", {}, ()).certificate
    assert (made.verdict, made.pairs, made.environment) == ("GREEN", BOTH_WAYS, "Pendulum-v1")
    again = [a.pair for a in read(folder).answers[:4]]
    assert ask_again(tmp_path / "again", folder, again, pendulum, Given(task="pendulum")) == 4
    lines = (tmp_path / "again" / "pairs.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 8
    assert [(r["first"], r["second"]) for r in rows[:4]] == [
        (r["second"], r["first"]) for r in rows[4:]
    ]
    assert {r["sheet"] for r in rows[:4]}.isdisjoint(r["sheet"] for r in rows[4:])
    with pytest.raises(InputError, match="nothing is to be asked again"):
        ask_again(tmp_path / "none", folder, [], pendulum, Given(task="pendulum"))


def _up(side: dict[str, float | list[float]]) -> float:
    if "theta" in side:
        assert isinstance(side["theta"], float)
        return math.cos(side["theta"])
    assert isinstance(side["observation"], list)
    return side["observation"][0]


# The verb, the page and what training makes of it --------------------------------------------


def test_a_red_judge_is_refused_unless_forced(
    tmp_path: Path, pendulum: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["certify", "pendulum", "--judge", "simulated:useless", "--json"]
    assert main(words) == 1
    out = capsys.readouterr().out
    assert json.loads(out.splitlines()[-1])["verdict"] == "RED"
    assert (tmp_path / "certificates" / "pendulum-simulated-useless" / "certificate.html").is_file()
    assert main(["train", "pendulum", "--judge", "simulated:useless"]) == 1
    assert "certified RED" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    useless = JudgeSettings("simulated:useless")
    with pytest.raises(JudgeUnfit, match="--force"):
        standing.check(pendulum, useless)
    assert "certified RED" in standing.check(pendulum, useless, forced=True)
    assert standing.check(pendulum, JudgeSettings("simulated:exact")) == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pendulum"], "say who is certified"),
        (["pendulum", "--env", "Pendulum-v1"], "not both or neither"),
        (["pendulum", "--labels", "x.csv"], "--labels goes with --answers"),
        (["pendulum", "--judge", "simulated:exact", "--good", "x"], "x holds 0 pictures"),
        (["--answers", "x.csv", "--again", "y"], "--again needs --labels"),
        (["pendulum", "--ask", "x", "--judge", "y"], "--judge does not go with --ask"),
        (["--answers", "x.csv"], "x.csv cannot be read"),
        (["--answers", "x.csv", "--alpha", "1.5"], "--alpha is a share between 0 and 1"),
    ],
)
def test_what_cannot_be_is_said(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["certify", *words]) == 1
    assert said in capsys.readouterr().err


def test_a_folder_without_answers_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["certify", "--answers", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert f"{tmp_path} holds no judgments.jsonl: give a file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_who_calls_everything_a_tie_is_told_so_once(tmp_path: Path) -> None:
    file = tmp_path / "ties.csv"
    rows = [f"{pair},{order},tie" for pair in range(30) for order in Order]
    file.write_text("\n".join(["pair,order,choice", *rows]))
    made = certify_given(file, "me", {}, ()).certificate
    assert made.verdict == "RED"
    assert "60 of 60 pairs shown a tie" in made.reasons[0]
    assert not any("do not follow what is shown" in reason for reason in made.reasons)


def test_the_page_escapes_and_says_what_is_promised(tmp_path: Path) -> None:
    answers, labels = answered(right, 6)
    made = compose(
        Asked("Env-v0", "<b>up</b>", JudgeIdentity("<script>alert(1)</script>"), answers)
    )
    guarantees = tuple(promise(answers, labels, alpha).guarantee for alpha in (0.01, 0.2))
    made = replace(made, guarantees=guarantees, corrected=correct(answers, labels))
    write_document(tmp_path / "certificate.json", made)
    page = write_page(tmp_path).read_text()
    assert "<script>alert" not in page
    assert "&lt;b&gt;up" in page
    assert "are wrong, with 95% confidence, from 180 labels" in page
    assert "Its limit." in page
    assert AGAIN not in page
