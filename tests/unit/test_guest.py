"""The guest's house: what is harmed, what the walls allow, and that there is always a way round."""

from __future__ import annotations

from collections import deque
from math import hypot
from typing import Any

import numpy as np
import pytest

from volition.comparison import Comparison, Frame, Segment
from volition.envs.own import guest
from volition.envs.own.guest import KINDS, LAYOUTS, REACH, SPOTS, Guest, Thing
from volition.errors import InputError
from volition.goal import kept
from volition.judges.base import Question
from volition.judges.error_models import Asking, Chance, ErrorModel, Teacher, Truthful
from volition.judges.prompt import Brief, compose
from volition.judgment import Order
from volition.tasks.task import Task
from volition.tasks.truth import truth_of

T = Chance("t")
STEP = 0.1  # metres, of the grid on which a way is looked for


def walk(env: Guest, x: float, y: float, steps: int = 80) -> list[Any]:
    """Walks straight to a place; what was observed after each step."""
    observed = []
    for _ in range(steps):
        way = np.array([x - env.x, y - env.y], np.float32)
        action = (way / max(0.3, float(np.abs(way).max()))).astype(np.float32)
        observed.append(env.step(action)[0])
    return observed


def there_is_a_way(env: Guest) -> bool:
    """Whether the garden door is reached from the door through free places of a grid."""
    start = round(env.x / STEP), round(env.y / STEP)
    seen, waiting = {start}, deque([start])
    while waiting:
        column, row = waiting.popleft()
        x, y = column * STEP, row * STEP
        if x >= guest.WALL[0] - guest.BODY - STEP and abs(y - env.exit_y) < guest.DOORWAY / 2:
            return True
        for near in ((column + 1, row), (column - 1, row), (column, row + 1), (column, row - 1)):
            x, y = near[0] * STEP, near[1] * STEP
            room = guest.LEFT + guest.BODY <= x <= guest.WALL[0] - guest.BODY
            room = room and guest.TOP + guest.BODY <= y <= guest.BOTTOM - guest.BODY
            free = all(hypot(t.x - x, t.y - y) > REACH[t.kind] for t in env.things)
            if room and free and near not in seen:
                seen.add(near)
                waiting.append(near)
    return False


@pytest.mark.parametrize("layouts", LAYOUTS)
def test_the_straight_way_harms_and_another_does_not(layouts: str) -> None:
    env = Guest(layouts=layouts)
    for seed in range(60):
        env.reset(seed=seed)
        assert {KINDS[thing.kind] for thing in env.things} <= set(LAYOUTS[layouts])
        assert there_is_a_way(env), seed
        walk(env, guest.GARDEN_X, env.exit_y)
        metrics = env._info()["metrics"]
        assert metrics["arrived"] == 1.0
        assert metrics["harm"] >= 1.0, seed


def test_held_out_things_are_never_seen_in_training() -> None:
    assert set(LAYOUTS["seen"]).isdisjoint(LAYOUTS["heldout"])
    assert set(LAYOUTS["seen"]) | set(LAYOUTS["heldout"]) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("off", "harmed"), [(0.02, False), (-0.02, True)])
def test_a_thing_is_harmed_when_it_is_touched_and_stays_so(
    kind: str, off: float, harmed: bool
) -> None:
    env = Guest(layouts="seen" if kind in LAYOUTS["seen"] else "heldout")
    env.reset(seed=0)
    number = KINDS.index(kind)
    env.things = [Thing(number, 3.0, 3.0), *(Thing(number, 6.0, 0.8) for _ in SPOTS[1:])]
    env.x, env.y = 2.0, 3.0 + REACH[number] + off
    for _ in range(2):
        walk(env, 4.0, env.y, 30)
        assert env.things[0].harmed is harmed
        walk(env, 2.0, env.y, 30)


def test_walls_are_passed_through_the_garden_door_only() -> None:
    env = Guest()
    env.reset(seed=0)
    env.things = [Thing(0, 3.0, -9.0) for _ in SPOTS]
    env.exit_y = 4.5
    env.x, env.y = 5.0, 1.5
    walk(env, 8.0, 1.5)
    assert env.x == pytest.approx(guest.WALL[0] - guest.BODY)
    walk(env, env.x, 4.5)
    walk(env, 7.5, 4.5)
    assert env.x > guest.WALL[1]
    walk(env, 7.5, 1.5)
    walk(env, 1.0, 1.5)
    assert env.x == pytest.approx(guest.WALL[1] + guest.BODY)


def test_truth_is_derived_from_what_is_observed() -> None:
    env, truth = Guest(), truth_of("guest-thoughtful")
    for seed in range(20):
        env.reset(seed=seed)
        observed = np.stack(walk(env, guest.GARDEN_X, env.exit_y if seed % 2 else 1.0))
        metrics = env._info()["metrics"]
        assert {name: measure(observed) for name, measure in truth.measures.items()} == metrics


def test_the_potential_prefers_what_the_goal_means() -> None:
    env, potential = Guest(), truth_of("guest-thoughtful").potential

    def worth(x: float, harmed: int) -> float:
        env.reset(seed=0)
        env.things = [Thing(0, 3.0, 5.2, number < harmed) for number in range(len(SPOTS))]
        env.x, env.y = x, 1.0
        return potential(env.observe()[None])

    assert worth(7.0, 0) > worth(4.0, 0) > worth(1.0, 0)
    assert worth(4.0, 0) > worth(7.0, 2)
    assert worth(1.0, 1) > worth(1.0, 2)


def test_each_principle_of_the_careful_guest_prefers_what_it_says() -> None:
    env, truth = Guest(), truth_of("guest-careful")
    quick, all_the_way = Task.find("guest", "careful").stated_goal().principles
    (veto,) = Task.find("guest", "careful").stated_goal().vetoes

    def worth(principle: str, x: float, harmed: int) -> float:
        env.reset(seed=0)
        env.things = [Thing(0, 3.0, 5.2, number < harmed) for number in range(len(SPOTS))]
        env.x, env.y = x, env.exit_y
        return truth.under(principle)(env.observe()[None])

    edge = guest.WALL[1] + 0.05
    assert worth(quick, 6.0, 4) > worth(quick, 4.0, 0)
    assert worth(quick, edge, 0) - worth(quick, edge - 0.3, 0) < 0.05
    assert worth(all_the_way, edge, 4) - worth(all_the_way, edge - 0.3, 0) > 0.5
    assert worth(veto, 1.0, 0) == worth(veto, 7.0, 0) == 1.0
    assert worth(veto, 1.0, 0) > worth(veto, 7.0, 1) > worth(veto, 7.0, 2)


@pytest.mark.parametrize("judge", [Truthful("guest-careful", T), Teacher("guest-careful", T)])
def test_whether_a_veto_is_kept_to_is_asked_of_what_is_shown_first(judge: ErrorModel) -> None:
    """Whatever stands beside it: of two that both break something one may be better."""
    env = Guest()
    (veto,) = Task.find("guest", "careful").stated_goal().vetoes

    def state(harmed: int) -> Segment:
        env.reset(seed=0)
        env.things = [Thing(0, 3.0, 5.2, number < harmed) for number in range(len(SPOTS))]
        frame = Frame(np.full((8, 8, 3), harmed, np.uint8))
        return Segment(env.observe()[None], (frame,))

    for harmed, other in ((0, 1), (0, 4), (1, 0), (1, 4), (4, 3)):
        one = state(harmed)
        comparison = Comparison.between("g", one, state(other))
        order = Order.FORWARD if comparison.first == one else Order.SWAPPED
        question = Question.put(comparison, order, kept(veto))
        assert judge.answer(Asking(question)) == ("second" if harmed else "first")
    (line,) = compose(Brief("g"), [question]).questions
    assert line.endswith(f"and B if A violates it, whatever B shows: {veto})")


def test_unknown_layouts_are_refused() -> None:
    with pytest.raises(InputError, match="seen, heldout"):
        Guest(layouts="new")


def test_the_declared_mirror_is_one() -> None:
    """A house turned over, with everything in it, is observed as the symmetry says."""
    env, task = Guest(), Task.find("guest")
    (mirror,) = task.reward.symmetries
    sign = np.ones_like(env.reset(seed=0)[0])
    sign[list(mirror.negate)] = -1
    for seed in range(10):
        env.reset(seed=seed)
        observed = np.stack(walk(env, guest.GARDEN_X, env.exit_y))
        env.reset(seed=seed)
        env.y, env.door_y, env.exit_y = (guest.HEIGHT - y for y in (env.y, env.door_y, env.exit_y))
        for thing in env.things:
            thing.y = guest.HEIGHT - thing.y
        mirrored = np.stack(walk(env, guest.GARDEN_X, env.exit_y))
        np.testing.assert_allclose(mirrored, observed * sign, atol=1e-4)
