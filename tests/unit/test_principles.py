"""A goal's constitution: read, put, and what is learned of each principle and each veto."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import pytest

from volition.comparison import ObservedPair
from volition.errors import InputError
from volition.goal import Goal, Principle, kept, read_constitution
from volition.judgment import Judgment, Order, Reply, Verdict, derive_preferences
from volition.reward.fit import fit
from volition.reward.learning import Judged, Recipe, digest, fit_veto
from volition.reward.model import FILE, RewardModel
from volition.reward.preferences import PreferenceData
from volition.reward.principles import ENOUGH, alarms, heeded
from volition.reward.stages import topics
from volition.storage.tensors import read_description, save_tree
from volition.tasks.task import RewardSection, Task

SEES = RewardSection(observations=(0, 1))
TASK = 'name = "t"\nenvironment = { id = "Pendulum-v1" }\n'
Floats = npt.NDArray[np.float32]


# The constitution ----------------------------------------------------------------------------


def test_a_constitution_file_has_one_principle_a_line() -> None:
    text = (
        "# How to move\n\nMove calmly.\n- Stay near\n  the middle.\nVeto: Nothing may\n  break.\n"
        "  - Be quick.\n# veto: not this one\n"
    )
    assert read_constitution(text) == [
        Principle("Move calmly."),
        Principle("Stay near the middle."),
        Principle("Nothing may break.", veto=True),
        Principle("Be quick."),
    ]


def test_a_task_reads_its_constitution(tmp_path: Path) -> None:
    (tmp_path / "constitution.txt").write_text("b\nveto: w\na\n")
    (tmp_path / "task.toml").write_text(
        TASK + '[goal]\ntext = "g"\nprinciples = ["a"]\nvetoes = ["v"]\n'
        'constitution = "constitution.txt"\n'
    )
    goal = Task.read(tmp_path).stated_goal()
    assert goal.principles == ("a", "b")
    assert goal.vetoes == ("v", "w")


def test_principles_that_are_judged_together_are_part_of_the_goals_words(tmp_path: Path) -> None:
    (tmp_path / "constitution.txt").write_text("a\nveto: v\nb\n")
    (tmp_path / "task.toml").write_text(
        TASK + '[goal]\ntext = "g"\nconstitution = "constitution.txt"\ntogether = true\n'
    )
    task = Task.read(tmp_path)
    goal = task.stated_goal()
    assert goal.text == (
        "g\nWhat is meant by that:\n- a\n- b\nWhat may not happen, whatever else is reached:\n- v"
    )
    assert goal.put_under == (None,)
    assert task.goal_in_parts().vetoes == ("v",)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        (None, 'constitution = "none.txt"', r"task.toml:5: the constitution none.txt is missing"),
        ("# nothing\n", 'constitution = "c.txt"', r"c.txt holds no principle: write one"),
        ("a\nveto: a\n", 'constitution = "c.txt"', r"'a' is either a principle or a veto"),
        ("veto:\n", 'constitution = "c.txt"', r"a veto needs words"),
        (None, 'vetoes = [" "]', r"a veto needs words"),
    ],
)
def test_a_constitution_that_is_wrong_is_explained(
    tmp_path: Path, file: str | None, content: str, told: str
) -> None:
    if file is not None:
        (tmp_path / "c.txt").write_text(file)
    (tmp_path / "task.toml").write_text(f'{TASK}[goal]\ntext = "g"\n{content}\n')
    with pytest.raises(InputError, match=told):
        Task.read(tmp_path)


def test_what_a_judgment_is_put_under() -> None:
    assert Goal("g").put_under == (None,)
    assert Goal("g", principles=["a", "b"]).put_under == (Principle("a"), Principle("b"))
    one = Counter(Goal("g", vetoes=["v"]).put_under)
    assert one[Principle("v", veto=True)] / one.total() == pytest.approx(1 / 3)
    several = Counter(Goal("g", principles=["a", "b"], vetoes=["v", "w", "x"]).put_under)
    vetoes = sum(count for each, count in several.items() if each and each.veto)
    assert vetoes / several.total() == pytest.approx(1 / 3)
    assert len({several[Principle(name)] for name in "ab"}) == 1
    assert len({several[Principle(name, veto=True)] for name in "vwx"}) == 1


# Slopes --------------------------------------------------------------------------------------


def judged_under(
    count: int, weights: Mapping[Any, float], flipped: float = 0.0, seed: int = 0
) -> tuple[list[Judgment], dict[str, ObservedPair]]:
    """Angles judged under one principle each, all by one judge; a principle prefers the greater
    weight x cosine, and 0 is chance."""
    rng = np.random.default_rng(seed)
    judgments, observed = [], {}
    for number in range(count):
        principle = list(weights)[number % len(weights)]
        angles = rng.uniform(-np.pi, np.pi, 2)
        first, second = (
            np.array([[np.cos(angle), np.sin(angle), 0]], np.float32) for angle in angles
        )
        gap = weights[principle] * (np.cos(angles[0]) - np.cos(angles[1]))
        prefers_first = rng.random() < 0.5 if gap == 0 else (gap > 0) ^ (rng.random() < flipped)
        order = Order.FORWARD if rng.random() < 0.5 else Order.SWAPPED
        shown_first = prefers_first if order is Order.FORWARD else not prefers_first
        name = str(number)
        observed[name] = first, second
        judgments.append(
            Judgment(name, "j", order, Verdict(float(shown_first)), Reply(name, ""), principle)
        )
    return judgments, observed


def test_a_principle_that_contradicts_the_others_is_found_and_hardly_counts() -> None:
    weights = {"up": 1.0, "high": 1.0, "down": -1.0, "loud": 0.0}
    judgments, observed = judged_under(240, weights, flipped=0.05)
    data = PreferenceData.gather(observed, derive_preferences(judgments))
    fitted = fit(data, SEES, symmetric=False, seed=0)
    heeds = {heed.principle: heed for heed in heeded(data, fitted.unseen, {})}
    assert {heed.judgments for heed in heeds.values()} == {60}
    assert min(heeds["up"].interval[0], heeds["high"].interval[0]) > 0.5
    assert heeds["down"].interval[1] < 0
    assert heeds["loud"].interval[0] < 0 < heeds["loud"].interval[1]
    assert heeds["up"].heldout.interval[0] > 0.7
    assert heeds["down"].heldout.interval[1] < 0.3
    found = {alarm.principles[0]: alarm.kind for alarm in alarms(list(heeds.values()), judgments)}
    assert found == {"down": "contradicts", "loud": "unheeded"}
    angles = np.linspace(-np.pi, np.pi, 180)
    rewards = fitted.model(jnp.asarray(np.stack([np.cos(angles), np.sin(angles), 0 * angles], -1)))
    assert np.corrcoef(np.cos(angles), rewards)[0, 1] > 0.9


def test_principles_that_agree_raise_no_alarm() -> None:
    judgments, observed = judged_under(90, {"up": 1.0, "high": 1.0, None: 1.0}, flipped=0.1)
    data = PreferenceData.gather(observed, derive_preferences(judgments))
    heeds = heeded(data, fit(data, SEES, symmetric=False, seed=0).unseen, {})
    assert [heed.principle for heed in heeds] == ["", "high", "up"]
    assert alarms(heeds, judgments) == []


def test_a_goal_without_principles_has_no_slopes() -> None:
    judgments, observed = judged_under(20, {None: 1.0})
    data = PreferenceData.gather(observed, derive_preferences(judgments))
    assert heeded(data, np.zeros(20, np.float32), {}) == []


def test_two_principles_that_are_answered_the_opposite_way_are_named() -> None:
    def of(number: int, principle: str, shown_first: float, order: Order) -> Judgment:
        reply = Reply(f"{number}{principle}", "")
        return Judgment(str(number), "j", order, Verdict(shown_first), reply, principle)

    judgments = [of(n, "fast", 1.0, Order.FORWARD) for n in range(8)]
    judgments += [of(n, "calm", 1.0, Order.SWAPPED) for n in range(6)]
    judgments += [of(n, "short", 0.0, Order.SWAPPED) for n in range(8)]
    (alarm,) = [each for each in alarms([], judgments) if "short" not in each.principles]
    assert alarm.kind == "opposite"
    assert alarm.principles == ("calm", "fast")
    assert "6 of the 6" in alarm.reason
    assert len(alarms([], judgments)) == 2


def test_few_answers_say_nothing_against_a_principle() -> None:
    judgments, observed = judged_under(2 * (ENOUGH - 1), {"up": 1.0, "down": -1.0})
    data = PreferenceData.gather(observed, derive_preferences(judgments))
    heeds = heeded(data, fit(data, SEES, symmetric=False, seed=0).unseen, {})
    assert alarms(heeds, judgments) == []


def test_the_principle_is_part_of_what_a_model_was_fitted_to() -> None:
    one, other, none = (judged_under(4, {name: 1.0})[0] for name in ("a", "b", None))
    names = {digest(derive_preferences(judgments)) for judgments in (one, other, none)}
    assert len(names) == 3


# Vetoes --------------------------------------------------------------------------------------


def plane(count: int, seed: int) -> Floats:
    """Pairs of states (x, y, 0), uniform: (count, 2, 1, 3)."""
    places = np.random.default_rng(seed).uniform(-1, 1, (count, 2, 1, 3)).astype(np.float32)
    places[..., 2] = 0
    return places


def answers(observations: Floats, value: Floats, seed: int = 0) -> PreferenceData:
    """A judge that prefers the greater value, and guesses where both are the same."""
    first, second = value[:, 0, 0], value[:, 1, 0]
    guessed = np.random.default_rng(seed).random(len(first)) < 0.5
    prefers = np.where(first == second, guessed, first > second).astype(np.float32)
    return PreferenceData(observations, prefers, np.ones(len(first), np.float32))


@pytest.fixture(scope="module")
def vetoed() -> tuple[RewardModel, RewardModel]:
    """A goal: far to the right; with the veto on the upper half, and without it."""
    states = plane(120, 0)
    plain = fit(answers(states, states[..., 0]), SEES, symmetric=False, seed=0).model
    judged = plane(80, 1)
    kept_to = (judged[..., 1] < 0).astype(np.float32)
    veto = fit(answers(judged, kept_to), SEES, symmetric=False, seed=0).model
    return plain, plain.capped_by([veto.as_veto(judged.reshape(-1, 3))])


def test_a_veto_caps_the_reward_whatever_the_goal_says(
    vetoed: tuple[RewardModel, RewardModel],
) -> None:
    plain, capped = vetoed
    grid = np.linspace(-1, 1, 21)
    x, y = (each.ravel() for each in np.meshgrid(grid, grid))
    states = jnp.asarray(np.stack([x, y, 0 * x], -1), jnp.float32)
    before, after = np.asarray(plain(states)), np.asarray(capped(states))
    violating, clean = y > 0.25, y < -0.5
    assert after[violating].max() < -0.5 < 1 < before[violating & (x > 0.8)].min()
    np.testing.assert_array_equal(after[clean], before[clean])
    assert (after <= before).all()
    # The best that is allowed is far to the right, below.
    assert x[after.argmax()] > 0.8
    assert y[after.argmax()] < 0
    # However far the goal's own reward goes, the cap stays where it is.
    surer = capped.scaled(100.0)
    np.testing.assert_allclose(
        np.asarray(surer(states))[violating & (x > 0.5)], after[violating & (x > 0.5)], atol=1e-4
    )


def test_where_a_veto_is_kept_to_is_learned_though_few_states_keep_to_it() -> None:
    """Of twenty judged states one keeps to it: what is best of an order is no zero."""
    veto, told = "It stays below.", []
    observed = {f"{n}": (pair[0], pair[1]) for n, pair in enumerate(plane(100, 4))}
    for n, (name, pair) in enumerate(observed.items()):
        order = Order.SWAPPED if n % 2 else Order.FORWARD
        keeps = Verdict(float(pair[n % 2][0, 1] < -0.8))
        told.append(Judgment(name, "j", order, keeps, Reply(name, ""), kept(veto).text))
    of = Judged(told, observed, {})
    model, known = fit_veto(of, veto, Recipe(SEES, (veto,)), None)
    assert model is not None
    assert known.caps
    assert known.known is not None
    assert known.known > 0.95
    x, y = (each.ravel() for each in np.meshgrid(*[np.linspace(-1, 1, 21)] * 2))
    grid = np.stack([x, y, 0 * x], -1)
    beyond = np.asarray(model(jnp.asarray(grid, jnp.float32)))
    assert (beyond[grid[:, 1] < -0.95] > -0.5).all(), "what keeps to it is hardly capped"
    assert (beyond[grid[:, 1] > 0] < -1).all()
    few = Judged(told[:2], observed, {})
    assert fit_veto(few, veto, Recipe(SEES, (veto,)), None)[0] is None


def test_whether_a_veto_is_kept_to_is_asked_by_its_own_model(
    vetoed: tuple[RewardModel, RewardModel],
) -> None:
    plain, capped = vetoed
    under = (None, kept("v"))
    assert topics(plain.capped_by([None]), (), under, 4, 0)[0].questions == 4, "of what is unknown"
    of_goal, of_veto = topics(capped, (), under, 5, 1)
    assert (of_goal.under, of_goal.questions, of_veto.questions) == ((None,), 2, 3)
    assert topics(capped, (), (None, Principle("v", veto=True)), 4, 0)[0].questions == 4
    states = plane(400, 3)[:, 0]
    values, reward = of_veto.opinions(states)
    np.testing.assert_allclose(reward, np.asarray(capped(states))[:, 0], atol=1e-4)
    beyond = np.asarray(capped.vetoes[0](states))[:, 0]
    sure, unsure = beyond < -1, np.abs(beyond) < 0.1
    assert np.abs(values[:, sure]).mean() > 2.5 > 1 > np.abs(values[:, unsure]).mean()
    assert (np.sign(values[:, sure]) == np.where(np.flatnonzero(sure) % 2, -1, 1)).all()


def test_a_veto_is_saved_and_an_older_model_still_loads(
    vetoed: tuple[RewardModel, RewardModel], tmp_path: Path
) -> None:
    plain, capped = vetoed
    states = jnp.asarray(plane(20, 2).reshape(-1, 3))
    capped.save(tmp_path, {"judgments": 3})
    np.testing.assert_array_equal(RewardModel.load(tmp_path)(states), capped(states))
    assert read_description(tmp_path / FILE)["judgments"] == 3
    form = read_description(tmp_path / FILE)["form"]
    del form["vetoes"]
    save_tree(tmp_path / FILE, plain, {"form": form})
    np.testing.assert_array_equal(RewardModel.load(tmp_path)(states), plain(states))


def test_a_veto_that_says_nothing_caps_nothing(vetoed: tuple[RewardModel, RewardModel]) -> None:
    plain, _ = vetoed
    states = jnp.asarray(plane(20, 2).reshape(-1, 3))
    np.testing.assert_array_equal(plain.capped_by([None])(states), plain(states))
