"""An evaluation counts each episode's own steps, measures what was reached, and always ends."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from volition.learners.rollout import CUT_AFTER
from volition.run.evaluation import (
    ABREAST,
    FEWEST,
    Evaluation,
    doubts,
    evaluate,
    measures_of,
)
from volition.run.results import Session
from volition.run.sessions import settled
from volition.storage.documents import as_document, from_document
from volition.tasks.task import BUNDLED, EnvironmentSection, Task, bundled_names
from volition.tasks.truth import truth_of


class Countdown(gymnasium.Env[Any, Any]):
    """Observes what is left of a number that its seed chooses; may end there, or never."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, ends: bool, render_mode: str | None = None) -> None:
        self.ends, self.left = ends, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = 3 if seed is None else 3 + seed % 4
        return self._observed(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.left -= 1
        return self._observed(), 1.0, self.ends and self.left == 0, False, {}

    def _observed(self) -> Any:
        return np.array([self.left], np.float32)


gymnasium.register("volition-tests/Countdown-v0", lambda **kwargs: Countdown(**kwargs))


def still(observations: Any) -> Any:
    return np.zeros((len(observations), 1), np.float32)


def own_value(observations: Any) -> Any:
    return observations[..., 0]


def test_every_episode_is_measured_over_its_own_steps() -> None:
    """Seeds 10,000 and on: the numbers 3, 4, 5, 6, 3; environments go on while others run."""
    measures = {"steps": lambda seen: float(len(seen)), "first": lambda seen: float(seen[0, 0])}
    environment = EnvironmentSection(id="volition-tests/Countdown-v0", kwargs={"ends": True})
    told = evaluate(still, own_value, environment, 5, measures)
    assert told.true_returns == (3, 4, 5, 6, 3)
    assert told.learned_returns == (3, 6, 10, 15, 3)  # 2 + 1 + 0 and so on
    assert told.measures == {"steps": (3, 4, 5, 6, 3), "first": (2, 3, 4, 5, 2)}
    assert told.measured == {"steps": 4.2, "first": 3.2}
    assert (told.cut, told.warnings) == (0, [])
    assert from_document(Evaluation, as_document(told)) == told


def test_an_environment_without_end_is_cut_and_that_is_said() -> None:
    environment = EnvironmentSection(id="volition-tests/Countdown-v0", kwargs={"ends": False})
    told = evaluate(still, own_value, environment, 2)
    assert told.true_returns == (CUT_AFTER, CUT_AFTER)
    assert told.cut == 2
    assert "2 of 2 evaluation episodes were cut after 1000 steps" in told.warnings[0]


def test_a_limit_of_the_environments_own_is_kept() -> None:
    kwargs = {"ends": False, "max_episode_steps": CUT_AFTER + 5}
    environment = EnvironmentSection(id="volition-tests/Countdown-v0", kwargs=kwargs)
    told = evaluate(still, own_value, environment, 1)
    assert told.true_returns == (CUT_AFTER + 5,)
    assert told.cut == 0


def test_what_ends_by_itself_is_held_until_the_others_end() -> None:
    """The number 3: 2, 1, 0, and 0 until the end; the number 4: 3, 2, 1, 0."""
    environment = EnvironmentSection(id="volition-tests/Countdown-v0", kwargs={"ends": True})
    told = evaluate(still, lambda observations: own_value(observations) + 1, environment, 2)
    assert told.learned_returns == (3 + 2 + 1, 4 + 3 + 2 + 1)
    assert told.lengths == (3, 4)
    np.testing.assert_allclose(told.worth, [(6 + 997) / 1000, (10 + 996) / 1000])


def test_more_episodes_than_go_side_by_side_have_seeds_that_go_on() -> None:
    environment = EnvironmentSection(id="volition-tests/Countdown-v0", kwargs={"ends": True})
    ended: list[int] = []
    told = evaluate(still, own_value, environment, 2 * ABREAST + 3, tick=ended.append)
    assert told.true_returns == tuple(3 + n % 4 for n in range(2 * ABREAST + 3))
    assert ended == sorted(ended)
    assert ended[-1] == 2 * ABREAST + 3


def test_without_time_the_first_round_is_cut_and_that_is_said() -> None:
    environment = EnvironmentSection(id="volition-tests/Countdown-v0", kwargs={"ends": False})
    told = evaluate(still, own_value, environment, 15, seconds=0.0)
    assert told.true_returns == (1.0,) * FEWEST
    assert (told.cut, told.left_out, told.hurried) == (FEWEST, 15 - FEWEST, True)
    left_out, cut = told.warnings
    assert f"{FEWEST} of 15 evaluation episodes were acted" in left_out
    assert "cut after 1 steps" in cut
    assert "too large a share of the run's time" in cut


def sessions(*rewards: float, worst: float | None = None, untrained: float = -1.0) -> list[Session]:
    """As many, whose policies were tried; `worst` is the reward of their worst episodes."""
    return [
        Session(
            800 * number,
            1000.0,
            0.0,
            0.0,
            trial_reward=reward,
            trial_worst=reward if worst is None else worst,
            untrained_reward=untrained,
        )
        for number, reward in enumerate(rewards, start=1)
    ]


@pytest.mark.parametrize(
    ("history", "enough"),
    [
        (sessions(0.5, 1.0, 1.0, 1.0), False),  # not half of the sessions yet
        (sessions(0.5, 1.0, 1.0, 1.0, 1.0), True),
        (sessions(0.5, 0.6, 0.7, 1.0, 1.01), False),  # it has just risen
        (sessions(0.5, 0.6, 0.7, 1.0, 1.01, 0.2), True),  # and falls
        (sessions(0.01, 0.05, 0.05, 0.05, 0.05, 0.05), False),  # hardly better than judged states
        (sessions(0.5, 1.0, 1.0, 1.0, 1.0, worst=-0.5), False),  # some episodes do badly
        (sessions(-1.5, -1.2, -1.1, -1.1, -1.1), False),  # worse than untrained
        ([Session(800 * n, 1.0, 0.0, 0.0) for n in range(1, 9)], False),  # of 0.1: never tried
    ],
)
def test_when_it_is_enough(history: list[Session], enough: bool) -> None:
    assert settled(history, 10) is enough


def test_what_moves_is_learned_to_the_end_of_a_stage() -> None:
    ones = [1.0] * 9
    assert not settled(sessions(0.5, *ones[1:]), 10, moves=True)
    assert settled(sessions(0.5, *ones), 10, moves=True)


def evaluated(*worth: float) -> Evaluation:
    return Evaluation(worth, worth, worth=worth, lengths=(1,) * len(worth))


@pytest.mark.parametrize(
    ("worth", "says"),
    [
        ([1.0] * 50, None),
        ([1.0] * 48 + [-0.9] * 2, "2 of 50 evaluation episodes do badly"),
        ([1.0] * 99 + [-0.9], None),  # one in a hundred is no group
        ([-1.1] * 50, "no better than an untrained one"),
        ([0.05] * 50, "has hardly learned the goal"),
        ([-0.2] * 50, "a policy on the way did better"),
    ],
)
def test_a_run_that_went_wrong_says_so(worth: list[float], says: str | None) -> None:
    warnings = doubts(evaluated(*worth), sessions(0.5, 1.0, 1.0))
    assert bool(warnings) is (says is not None)
    assert says is None or any(says in warning for warning in warnings)


@pytest.mark.parametrize(
    ("late", "says"),
    [
        ([1.5] * 45 + [1.1] * 5, "5 of 50 evaluation episodes do badly"),  # left outside the garden
        ([1.5] * 30 + [1.1] * 20, "20 of 50 evaluation episodes do badly"),
        ([1.5] * 45 + [1.4] * 5, None),  # as far apart as judges hardly see
        (np.linspace(0.5, 1.5, 50).tolist(), None),  # no gap
        ([1.5] * 20 + [1.1] * 30, None),  # most come to that
    ],
)
def test_episodes_that_come_to_less_than_the_others_are_told(
    late: list[float], says: str | None
) -> None:
    evaluation = replace(evaluated(*[1.0] * 50), late=tuple(late), highest=(2.0,) * 50)
    warnings = doubts(evaluation, sessions(0.5, 1.0, 1.0), 1.3)
    assert len(warnings) == (says is not None)
    assert says is None or says in warnings[0]


@pytest.mark.parametrize(("highest", "stuck"), [(0.6, True), (1.28, False), (1.4, False)])
def test_a_policy_that_stops_on_the_way_is_told(highest: float, stuck: bool) -> None:
    """The race with seed 6: every episode ends at the third of five gates."""
    evaluation = replace(evaluated(*[0.3] * 50), late=(0.3,) * 50, highest=(highest,) * 50)
    warnings = doubts(evaluation, sessions(0.2, 0.3, 0.3), 1.3)
    assert [("in 50 of 50 evaluation episodes" in warning) for warning in warnings] == [
        True
    ] * stuck


def test_where_an_episode_has_got_to_is_its_last_part() -> None:
    """The number 3: 2, 1, 0; the number 4: 3, 2, 1, 0."""
    environment = EnvironmentSection(id="volition-tests/Countdown-v0", kwargs={"ends": True})
    told = evaluate(still, own_value, environment, 2)
    assert (told.highest, told.late) == ((2, 3), (0, 0))


def test_nothing_is_doubted_where_nothing_is_known() -> None:
    assert doubts(evaluated(0.0, 1.0), [Session(800, 1.0, 0.0, 0.0)]) == []
    assert doubts(Evaluation((0.0,), (0.0,)), sessions(1.0)) == []


@pytest.mark.parametrize("name", bundled_names())
def test_bundled_tasks_are_measured(name: str) -> None:
    for task in Task.read_all(BUNDLED / name).values():
        assert measures_of(task.goal.truth) == truth_of(task.name).measures


def test_what_is_true_is_named_beside_the_goal_and_not_found_by_its_words(tmp_path: Path) -> None:
    text = (BUNDLED / "cartpole" / "task.toml").read_text(encoding="utf-8")
    reworded = re.sub(r'(?m)^(name|text) = ".*"$', r'\1 = "mine"', text)
    (tmp_path / "task.toml").write_text(reworded)
    mine = Task.read(tmp_path)
    assert (mine.name, mine.goal.text) == ("mine", "mine")
    assert measures_of(mine.goal.truth) == truth_of("cartpole").measures
    (tmp_path / "task.toml").write_text(re.sub(r"(?m)^truth = .*$", "", text))
    assert not measures_of(Task.read(tmp_path).goal.truth)
