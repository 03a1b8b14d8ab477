"""What was visited: a ring of vector steps, and segments drawn from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.learners.base import Transitions
from volition.learners.rollout import Step
from volition.learners.visited import ROWS, Visited

ENVS = 3


def step(number: int, ended: bool = False) -> Step:
    """A vector step whose observation tells its number and its environment."""
    reached = np.stack([[number, env] for env in range(ENVS)]).astype(np.float32)
    transitions = Transitions(reached, reached, reached, np.zeros(ENVS, np.bool_))
    states = reached.astype(np.float64) * 10
    return Step(transitions, reached, np.full(ENVS, ended), np.zeros(ENVS), states)


def visited(steps: int, capacity: int, ends: frozenset[int] = frozenset()) -> Visited:
    ring = Visited.empty(np.zeros((ENVS, 2), np.float32), 2, capacity * ENVS)
    for number in range(steps):
        ring.add(step(number, number in ends))
    return ring


@settings(deadline=None, max_examples=60)
@given(
    steps=st.integers(0, 60),
    capacity=st.integers(1, 40),
    length=st.integers(1, 6),
    ends=st.frozensets(st.integers(0, 60)),
)
def test_a_segment_is_whole_and_its_states_are_those_of_its_observations(
    steps: int, capacity: int, length: int, ends: frozenset[int]
) -> None:
    ring = visited(steps, capacity, ends)
    observations, states = ring.passages(np.random.default_rng(0), length, 64)
    assert observations.shape == (len(observations), length, 2)
    np.testing.assert_array_equal(states, observations * 10)
    numbers = observations[..., 0].astype(int)
    assert (observations[..., 1] == observations[:, :1, 1]).all(), "of one environment"
    assert (np.diff(numbers) == 1).all(), "steps follow each other"
    assert (numbers >= steps - capacity).all()
    assert (numbers < steps).all()
    assert not any(int(number) in ends for number in numbers[:, :-1].ravel())


def test_half_of_what_is_drawn_is_recent() -> None:
    passages = visited(4000, 4000).passages(np.random.default_rng(0), 1, 2000)
    recent = (passages.observations[:, 0, 0] >= 3000).mean()
    assert recent == pytest.approx(0.5 + 0.5 * 0.25, abs=0.1)


def test_memory_is_bounded_for_pictures_too() -> None:
    pictures = Visited.empty(np.zeros((4, 64, 64, 3), np.uint8), 0, 10**9)
    assert pictures.observations.nbytes <= 1 << 26
    numbers = Visited.empty(np.zeros((4, 2), np.float32), 2, 10**9)
    assert len(numbers.flat()) == 0
    assert numbers.ended.size == ROWS
