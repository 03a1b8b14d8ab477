"""Sessions, checkpoints and files: whole or not at all."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from volition.errors import RunError
from volition.finding.horizon import Stage, Stages, discount, find_horizon
from volition.learners import sac
from volition.reward.learning import Judged, Recipe, doubling
from volition.run import sessions
from volition.run.asking.live import Quota
from volition.run.results import Progress
from volition.run.run import Run, train
from volition.run.sessions import session_seeds, session_steps
from volition.storage.tensors import load_tree, read_description, save_tree
from volition.tasks.task import EnvironmentSection, GoalSection, Task, TrainingSection
from volition.tasks.view import ClipSection, JudgeView


@pytest.mark.parametrize(
    ("episode_limit", "steps"), [(200, 200), (150, 300), (1000, 1000), (5000, 1000), (None, 1000)]
)
def test_a_session_holds_whole_episodes_where_they_are_short(
    episode_limit: int | None, steps: int
) -> None:
    assert session_steps(episode_limit) == steps


def test_no_session_is_longer_than_learning_may_be() -> None:
    setup = sessions.Setup(EnvironmentSection(id="Acrobot-v1"), TrainingSection(), 400, 0)
    with closing(setup.rollout()) as rollout:
        assert setup.session_steps(rollout) == 100, "of each of four environments"


def test_every_session_of_every_run_starts_elsewhere() -> None:
    seeds = [session_seeds(seed, number) for seed in range(20) for number in range(20)]
    assert len({first for first, _ in seeds}) == 400
    assert session_seeds(3, 4)[1] == session_seeds(3, 5)[0]


def test_each_stage_is_as_long_as_all_before_it_up_to_the_ceiling() -> None:
    stages = Stages(first=8_000, most=20_000, session=800)
    assert [stages.of(session) for session in (1, 10, 11, 20, 21, 25)] == [
        *[Stage(0, 0, 8_000)] * 2,
        *[Stage(1, 8_000, 16_000)] * 2,
        *[Stage(2, 16_000, 20_000)] * 2,
    ]
    assert Stages(first=8_000, most=1_000, session=800).of(2) == Stage(0, 0, 1_000)


@pytest.mark.parametrize(
    ("limit", "gamma"),
    [(50, 0.95), (100, 0.95), (200, 0.97), (300, 0.98), (500, 0.99), (1000, 0.99), (None, 0.99)],
)
def test_how_far_ahead_is_looked_follows_from_the_length_of_an_episode(
    limit: int | None, gamma: float
) -> None:
    assert discount(limit) == gamma


@pytest.mark.parametrize(
    ("limit", "steps", "gamma"), [(100, 12, 0.95), (100, 32, 0.97), (500, 32, 0.99)]
)
def test_no_less_far_than_a_clip_is_long(limit: int, steps: int, gamma: float) -> None:
    assert discount(limit, steps) == gamma
    clip = JudgeView(clip=ClipSection(steps=steps, frames=3))
    environment = EnvironmentSection(id="Pendulum-v1", kwargs={"max_episode_steps": limit})
    task = Task(name="mine", environment=environment, goal=GoalSection(text="up"), view=clip)
    found, how = find_horizon(task)
    assert found.gamma == gamma
    assert how["training.gamma"].endswith(f"for episodes of {limit} steps, and clips of {steps}")


def test_what_a_task_says_of_learning_is_left_as_it_is() -> None:
    goal, environment = GoalSection(text="upright"), EnvironmentSection(id="Pendulum-v1")
    said = TrainingSection(gamma=0.9, steps=4_000)
    task = Task(name="mine", environment=environment, goal=goal, training=said)
    assert find_horizon(task) == (said, {})
    found, how = find_horizon(task.model_copy(update={"training": TrainingSection()}))
    assert found.gamma == 0.97
    assert how["training.gamma"] == "0.97, for episodes of 200 steps"


def test_questions_grow_with_the_stages_of_learning_up_to_the_quota() -> None:
    found = Quota(500, 30, found=True)
    assert [found.by(stage) for stage in range(6)] == [50, 100, 200, 400, 500, 500]
    assert Quota(40, 30, found=True).by(0) == 40
    assert Quota(1000, 300, found=True).by(0) == 500
    assert Quota(700, 100).by(0) == 700  # somebody said so


def test_half_of_the_judgments_foretell_the_others_nearly_as_well_as_all(run: Run) -> None:
    """Of one look at the pendulum, which took sixty and needs fewer."""
    with run.folder.open_store() as store:
        judged = Judged(store.judgments(), store.observed(), store.judges())
    taught = doubling(judged, Recipe(run.folder.task.reward))
    assert 0.85 < taught.half <= 1.0
    assert 0.9 < taught.whole <= 1.0


class Stopped(Exception):
    """What a program is stopped by that nobody waits for."""


def test_a_run_that_is_stopped_between_two_stages_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sac, "FIRST_STEPS", (800, 3))
    monkeypatch.setattr(sessions, "LEAST_SESSIONS", 1)

    def stop(progress: Progress) -> None:
        if progress.learned_return is not None:  # a session has ended
            raise Stopped

    whole = train("pendulum", out=tmp_path / "whole", steps=1600)
    stopped = Run.create(Task.find("pendulum"), out=tmp_path / "stopped", steps=1600)
    with pytest.raises(Stopped):
        stopped.advance(stop)
    assert len(stopped.history) == 1
    stopped.advance()
    assert whole.result.ended == "all 1,600 steps that learning may take were taken"
    one, other = (run.folder.policy / "policy.safetensors" for run in (whole, stopped))
    assert one.read_bytes() == other.read_bytes()


def test_learning_curves_are_those_of_the_episodes(run: Run) -> None:
    history = run.history
    assert [session.env_steps for session in history] == [800, 1600]
    assert all(-2000 < session.true_return < 0 for session in history)


def test_a_tree_survives_the_disk_or_is_refused(tmp_path: Path) -> None:
    tree: dict[str, Any] = {
        "a": (jnp.arange(3), jnp.ones((2, 2), jnp.float32)),
        "b": jnp.array(True),
    }
    path = tmp_path / "tree.safetensors"
    save_tree(path, tree, {"said": "x"})
    back = load_tree(path, tree)
    assert back["b"].dtype == np.bool_
    np.testing.assert_array_equal(back["a"][1], tree["a"][1])
    assert read_description(path) == {"said": "x"}
    with pytest.raises(RunError, match=r"a\.0 is of shape \(3,\), and must be of shape \(4,\)"):
        load_tree(path, {"a": (jnp.arange(4),)})
    with pytest.raises(RunError, match="c is missing"):
        load_tree(path, {"c": jnp.arange(3)})
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(RunError, match="cannot be read"):
        read_description(path)
    assert [p.name for p in tmp_path.iterdir()] == ["tree.safetensors"]
