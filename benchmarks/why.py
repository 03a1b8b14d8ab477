"""Why a task is not learned: the learner, the judge, the questions, or the reward model?

    python benchmarks/why.py [--tasks NAME ...] [--seeds N] [--first N] [--steps N] [--keyless]
                             [--run]

For each task and seed the learner of a run learns from the truth itself, the potential by which
simulated judges answer, with as many steps as the task has (`--steps`: with so many). What its
policy visits in 20 fixed-seed episodes is "good" below. Then 400 pairs of segments, states or clips
as the task has them, are judged: those of the run's kind, by `simulated:strong`, and by
`simulated:exact`; about what exploring meets, as before there is a policy, and with every second
one about what is good. `told` is the share of 1,000 other pairs of good segments that are decided
as the truth does: by the judge's own eye, without its noise, and by the reward model that each kind
of answers teaches. So it is seen

    whether the learner reaches the goal if nothing else is in the way
    whether the judge sees the differences that a good policy makes
    whether it takes questions about what is good (`exploring` against `good`)
    whether the reward model learns it from answers without error (`exact good`)

With --run a whole run by that judge is made, too, and by how much its reward model, and its judge,
prefer what is good to what the run's own policy visits, in standard deviations of what was judged:
above 0 the better policy was there to be found. With `--steps 0` nothing learns: shares are of what
exploring meets, as at the beginning of a run. With --keyless that is without the keys of `view`,
`reward` and `training`. Judges and potentials are simulated; nothing is drawn but what a run asks.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from asked import data, judged
from claims import claim, run_benchmark
from seeds import Bar
from sentence import named, without, written
from tasks import on_the_truth
from volition.comparison import Comparison, Frame, Segment
from volition.envs.scene import find_scene
from volition.finding.found import find_out
from volition.judges import make_judge
from volition.judges.error_models import Fallible
from volition.judges.settings import JudgeSettings
from volition.learners.base import Acts
from volition.learners.rollout import Rollout, episodes
from volition.questions.exploring import LONGEST, explore
from volition.reward.learning import Recipe, fit_entries
from volition.reward.model import RewardModel, opinions
from volition.run.creating import assignment_of
from volition.run.evaluation import FIRST_SEED
from volition.run.run import train
from volition.storage.compilation import enable_cache
from volition.tasks.task import Task
from volition.tasks.truth import TRUTHS, of_state

BARS = {  # what the learner on the truth is to reach
    "reacher": Bar("distance at the end, in metres", 0.04, at_most=True),
    "lunar-lander": Bar("soft landings between the flags", 0.8),
    "half-cheetah-run": Bar("speed forward, in m/s", 3.0),
    "hopper-flip": Bar("turns backward", 1.0),
    "humanoid-kneel": Bar("kneels, of the last second, from 0 to 1", 0.8),
}
EPISODES, ASKED, PAIRS, EXPLORED = 20, 400, 1000, 12_000
FORETOLD = 0.8  # of the pairs, as of a judge that is fit for a goal
UNSEEN = Frame(np.zeros((1, 1, 3), np.uint8))  # a simulated judge looks at no picture

States = npt.NDArray[np.float32]  # (steps, obs_dim)
Values = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]  # of segments (segments, T, obs_dim)


class Case(NamedTuple):
    """A task with a judge, and what a good policy visits there."""

    task: Task  # with nothing left open
    sparse: bool  # whether entries of what is observed are chosen
    judge: str
    seed: int
    good: list[States]  # of each episode


def visits(policy: Acts, task: Task) -> list[States]:
    """What a policy visits in the episodes of fixed seeds."""
    with closing(Rollout(task.environment, EPISODES)) as rollout:
        moments = list(episodes(rollout, policy, FIRST_SEED))
    reached = np.stack([moment.step.transitions.next_observation for moment in moments])
    running = np.stack([moment.running for moment in moments])
    return [reached[running[:, n], n] for n in range(EPISODES)]


def met_by_exploring(task: Task, rng: np.random.Generator) -> list[States]:
    """What exploring meets before there is a policy, of each episode."""
    scene = find_scene(task.environment)
    assert scene is not None
    longest = max(LONGEST, 2 * task.view.steps)
    met = explore(task.environment, scene, EXPLORED, rng, longest)
    ends = np.flatnonzero(np.diff(met.episodes)) + 1
    return np.split(met.observations.astype(np.float32), ends)


def segments(visited: Sequence[States], count: int, steps: int, rng: np.random.Generator) -> States:
    """So many of so many steps, drawn at random: (count, steps, obs_dim)."""
    long = [episode for episode in visited if len(episode) >= steps]
    cut = []
    for place in rng.integers(len(long), size=count):
        start = rng.integers(len(long[place]) - steps + 1)
        cut.append(long[place][start : start + steps])
    return np.stack(cut)


def questions(case: Case, good: bool) -> list[Comparison]:
    """About what exploring meets; where asked, every second one about what is good."""
    rng, steps = np.random.default_rng([case.seed, 2]), case.task.view.steps
    met = segments(met_by_exploring(case.task, rng), 2 * ASKED, steps, rng)
    best = segments(case.good, 2 * ASKED, steps, rng)
    pairs = [(best if good and n % 2 else met)[2 * n : 2 * n + 2] for n in range(ASKED)]
    return [
        Comparison.between("goal", *(Segment(one, (UNSEEN,)) for one in pair))
        for pair in pairs
        if not np.array_equal(*pair)
    ]


def learned(case: Case, judge: str, asked: Sequence[Comparison]) -> RewardModel:
    """What a reward model learns from a judge's answers, as in a run."""
    recipe = Recipe(case.task.reward, seed=case.seed, sparse=case.sparse)
    return fit_entries(data(asked, judged(case.task, judge, asked, case.seed)), recipe)[0].model


def true_of(case: Case) -> Values:
    potential = TRUTHS[case.task.name].potential
    return lambda cut: np.array([potential(each) for each in cut])


def seen_by(case: Case) -> Values:
    """What the judge sees: the truth, and how its eye is warped."""
    truth, errors = TRUTHS[case.task.name], _errors(case)
    scale, true = np.array(truth.scale or 1.0), true_of(case)

    def value(cut: npt.NDArray[Any]) -> npt.NDArray[Any]:
        warped = [errors.eye.warped(each[:, list(truth.seen)] / scale) for each in cut]
        return true(cut) + errors.warp * np.array(warped)

    return value


def _errors(case: Case) -> Fallible:
    judge: Any = make_judge(JudgeSettings(case.judge), assignment_of(case.task))
    errors = judge._errors
    assert isinstance(errors, Fallible)
    return errors


def told(case: Case, values: Values) -> float:
    """Share of pairs of good segments that are decided as the truth does."""
    rng = np.random.default_rng([case.seed, 3])
    cut = segments(case.good, 2 * PAIRS, case.task.view.steps, rng)
    said, true = (of(cut).reshape(PAIRS, 2) @ (1, -1) for of in (values, true_of(case)))
    return round(float(np.mean(((said > 0) == (true > 0))[true != 0])), 3)


def reward_of(model: RewardModel) -> Values:
    return lambda cut: opinions(model, np.asarray(cut, np.float32))[1]


def measured(visited: Sequence[States], task: Task) -> dict[str, float]:
    """By what is true of the task."""
    return {
        name: round(float(np.mean([measure(episode) for episode in visited])), 3)
        for name, measure in TRUTHS[task.name].measures.items()
    }


def beside_a_run(case: Case, task: Task) -> dict[str, Any]:
    """A whole run, and who prefers what is good to what its policy visits."""
    with tempfile.TemporaryDirectory() as folder:
        judge = JudgeSettings(case.judge)
        run = train(task, judge=judge, seed=case.seed, out=Path(folder) / "run")
        own, result, model = visits(run.policy, case.task), run.result, run.reward_model
    rng = np.random.default_rng([case.seed, 4])
    steps = case.task.view.steps
    good, bad = (segments(visited, PAIRS, steps, rng) for visited in (case.good, own))
    better = {
        name: round(float(of(good).mean() - of(bad).mean()), 3)
        for name, of in (("reward model", reward_of(model)), ("judge", seen_by(case)))
    }
    return {
        "run": measured(own, case.task),
        "better": better,
        "told_by_the_run": told(case, reward_of(model)),
        "entries": list(model.entries),
        "judgments": result.judgments,
        "heldout": result.heldout_accuracy,
        "env_steps": result.env_steps,
        "warnings": result.warnings,
    }


def examine(name: str, seed: int, steps: int | None, keyless: bool, whole: bool) -> bool:
    task, kind = named(name), f"simulated:strong:{seed}"
    truth, bar = TRUTHS[task.name].potential, BARS[name]
    assert isinstance(truth, of_state)
    asked = without(task, list(written(task))) if keyless else task
    if steps:
        training = task.training.model_copy(update={"steps": steps})
        task = task.model_copy(update={"training": training})
    sparse = "observations" not in asked.reward.model_fields_set
    found = find_out(asked).task
    if steps == 0:
        good = met_by_exploring(found, np.random.default_rng([seed, 5]))
    else:
        good = visits(on_the_truth(task, truth, seed), task)
    case = Case(found, sparse, kind, seed, good)
    shares, entries = {"judge": told(case, seen_by(case))}, {}
    for about in ("exploring",) if steps == 0 else ("exploring", "good"):
        put = questions(case, about == "good")
        for judge in (kind, "simulated:exact"):
            model, called = learned(case, judge, put), f"{judge.split(':')[1]} {about}"
            shares[called] = told(case, reward_of(model))
            entries[called] = list(model.entries)
    more = {"simulated": True, "told": shares, "entries": entries}
    called = f"{task.name}{' without keys' if keyless else ''}, seed {seed}: "
    if steps == 0:
        share = shares["strong exploring"]
        called += "pairs of what exploring meets that a reward model decides as the truth does"
        return claim(called, share, "share", f">= {FORETOLD}", share >= FORETOLD, **more)
    reached = measured(good, task)[bar.measure]
    return claim(
        f"{called}{bar.measure}, of the learner on the truth",
        reached,
        f"mean of {EPISODES} episodes",
        f"{'<=' if bar.at_most else '>='} {bar.bound:g}",
        reached <= bar.bound if bar.at_most else reached >= bar.bound,
        **more,
        steps=task.training.steps,
        potential=round(float(np.mean([truth(episode) for episode in good])), 3),
        **(beside_a_run(case, asked) if whole else {}),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=BARS, default=list(BARS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--steps", type=int, help="of the learner on the truth; 0: none")
    parser.add_argument("--keyless", action="store_true", help="without what task.toml says of it")
    parser.add_argument("--run", action="store_true", help="and a whole run")
    chosen = parser.parse_args()
    enable_cache()
    held = [
        examine(name, seed, chosen.steps, chosen.keyless, chosen.run)
        for name in chosen.tasks
        for seed in range(chosen.first, chosen.first + chosen.seeds)
    ]
    claim("Why", sum(held), f"of {len(held)} claims hold", "all", all(held), simulated=True)


if __name__ == "__main__":
    run_benchmark(main)
