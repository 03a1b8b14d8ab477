"""Why a task is not learned: the judge, the questions, the reward model, or the learner?

    python benchmarks/why.py [--tasks NAME ...] [--seeds N] [--first N] [--keyless] [--learn]

For each task and seed the same learner learns twice with as many steps: on the truth (the potential
by which simulated judges answer), and in a whole run judged by `simulated:strong`. Both policies
act 20 fixed-seed episodes, and what they visit is valued by the truth, by what this judge sees of
it (its eye is warped), and by the reward model that the run learned from. That tells whose fault a
bad policy is:

    the learner    on the truth it does not reach what the task asks for, and no run is made
    the judge      what it sees prefers the run's policy, too
    exploration    the reward model prefers the policy of the truth, and it was not found
    the reward model, or the questions: it prefers the run's policy

The last two are told apart by three more reward models: of exact answers to the run's questions; of
those that it had and of 100 more about what the two policies visit; and of exact answers to all of
them. With --learn the learner learns from the last of these, too. `better` is by how much each
prefers the policy of the truth, in standard deviations of what was judged; `told` is how many of
1,000 pairs of moments of that policy's it decides as the truth does.

With --keyless the run is of the task without the keys of `view`, `reward` and `training`. Judges
and potentials are simulated; nothing here is drawn but what the run asks.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from asked import data, judged, learned_policy
from claims import claim, run_benchmark
from seeds import Bar
from sentence import named, without, written
from tasks import AtRandom, on_the_truth
from volition.comparison import Comparison, Frame, Segment
from volition.judges.error_models import Fallible
from volition.judges.settings import JudgeSettings
from volition.judgment import Judgment
from volition.learners.base import Acts, RewardFunction
from volition.learners.rollout import Rollout, episodes
from volition.learners.visited import Visited
from volition.reward.learning import Recipe, fit_entries
from volition.reward.model import RewardModel
from volition.run.evaluation import FIRST_SEED
from volition.run.run import Run, train
from volition.run.sessions import StateReward
from volition.storage.compilation import enable_cache
from volition.tasks.task import Task
from volition.tasks.truth import TRUTHS, of_state

FAILING = {  # and what the learner on the truth is to reach, for a run to be made beside it
    "reacher": Bar("distance at the end, in metres", 0.04, at_most=True),
    "lunar-lander": Bar("soft landings between the flags", 0.8),
    "half-cheetah-run": Bar("speed forward, in m/s", 2.0),
    "hopper-flip": Bar("turns backward", 1.0),
    "humanoid-kneel": Bar("kneels, of the last second, from 0 to 1", 0.8),
}
EPISODES, ASKED, PAIRS = 20, 100, 1000
ENOUGH = 0.9  # of the way from random acting to the learner on the truth
UNSEEN = Frame(np.zeros((1, 1, 3), np.uint8))  # a simulated judge looks at no picture

Visits = list[npt.NDArray[np.float32]]  # of each episode: (steps, obs_dim)


class Case(NamedTuple):
    """A run that is looked into."""

    task: Task  # as it was carried out
    judge: str
    seed: int
    sparse: bool  # whether entries of what is observed are chosen
    good: Visits  # of the policy of the truth
    own: Visits  # of the run's


def visits(policy: Acts, task: Task) -> Visits:
    """What a policy visits in the episodes of fixed seeds."""
    with closing(Rollout(task.environment, EPISODES)) as rollout:
        moments = list(episodes(rollout, policy, FIRST_SEED))
    reached = np.stack([moment.step.transitions.next_observation for moment in moments])
    running = np.stack([moment.running for moment in moments])
    return [reached[running[:, n], n] for n in range(EPISODES)]


def mean_of(value: Any, visited: Visits) -> float:
    """Of states (steps, obs_dim) by a function of them to (steps,), each episode counting alike."""
    return float(np.mean([np.mean(np.asarray(value(episode))) for episode in visited]))


def seen_by(case: Case, potential: of_state) -> Any:
    """What the judge sees of states: the truth, and how its eye is warped."""
    truth, errors = TRUTHS[case.task.name], judge_of(case)
    (_, warp), scale = errors.eye.warps[0], np.array(truth.scale or 1.0)

    def value(states: npt.NDArray[Any]) -> Any:
        seen = states[:, list(truth.seen)] / scale
        each = np.array([warp(state[None]) for state in seen])
        return potential.of_each(states) + errors.warp * each

    return value


def judge_of(case: Case) -> Fallible:
    from volition.judges import make_judge
    from volition.run.creating import assignment_of

    errors = make_judge(JudgeSettings(case.judge), assignment_of(case.task))._errors  # type: ignore[attr-defined]
    assert isinstance(errors, Fallible)
    return errors


def about_both(case: Case, rng: np.random.Generator) -> list[Comparison]:
    """Questions about what both policies visit, as long as those of the run."""
    steps = case.task.view.steps

    def some(visited: Visits) -> Segment:
        episode = visited[rng.integers(len(visited))]
        start = rng.integers(max(1, len(episode) - steps + 1))
        return Segment(episode[start : start + steps], (UNSEEN,))

    kinds = [(case.good, case.own), (case.good, case.good)]
    pairs = [tuple(map(some, kinds[n % 2])) for n in range(4 * ASKED)]
    whole = [pair for pair in pairs if all(len(side.observations) == steps for side in pair)]
    different = [pair for pair in whole if pair[0].id != pair[1].id]
    return [Comparison.between("goal", *pair) for pair in different[:ASKED]]


def model_of(
    case: Case, comparisons: Sequence[Comparison], answers: Sequence[Judgment]
) -> RewardModel:
    """What is learned from these answers, as in a run."""
    recipe = Recipe(case.task.reward, seed=case.seed, sparse=case.sparse)
    return fit_entries(data(comparisons, answers), recipe)[0].model


def told(model: RewardModel, case: Case, potential: of_state) -> float:
    """Share of pairs of moments of the good policy's that it decides as the truth does."""
    states = np.concatenate(case.good)
    pairs = np.random.default_rng(0).integers(len(states), size=(2, PAIRS))
    learned, true = (
        values[pairs[0]] - values[pairs[1]]
        for values in (np.asarray(model(states)), potential.of_each(states))
    )
    return round(float(np.mean((learned > 0)[true != 0] == (true > 0)[true != 0])), 3)


def looked_into(case: Case, run: Run, potential: of_state, learn: bool) -> dict[str, Any]:
    """What the reward models say of the two policies, and what else they might have learned."""
    with run.folder.open_store() as store:
        known = store.comparisons()
        answers = store.judgments()
    asked = [known[name] for name in dict.fromkeys(j.comparison_id for j in answers)]
    more = about_both(case, np.random.default_rng(case.seed))
    exact, kind = "simulated:exact", case.judge
    models = {
        "the run's": run.reward_model,
        "exact answers": model_of(case, asked, judged(case.task, exact, asked, case.seed)),
        "100 more questions": model_of(
            case, [*asked, *more], [*answers, *judged(case.task, kind, more, case.seed)]
        ),
    }
    every = [*asked, *more]
    last = model_of(case, every, judged(case.task, exact, every, case.seed))
    models["100 more, exact"] = last
    found: dict[str, Any] = {
        name: {
            "better": round(mean_of(model, case.good) - mean_of(model, case.own), 3),
            "told": told(model, case, potential),
            "entries": list(model.entries),
        }
        for name, model in models.items()
    }
    if learn:

        def signal(visited: Visited) -> RewardFunction:
            return StateReward.over(last, visited)

        policy = learned_policy(case.task, signal, case.seed)
        found["the learner on the last of them"] = measured(visits(policy, case.task), case.task)
    return found


def measured(visited: Visits, task: Task) -> dict[str, float]:
    """By what is true of the task."""
    truth = TRUTHS[task.name]
    means = {
        name: np.mean([m(episode) for episode in visited]) for name, m in truth.measures.items()
    }
    return {name: round(float(value), 3) for name, value in means.items()}


def why(way: float, judge: float, model: float) -> str:
    """Whose fault it is, by what prefers the policy of the truth."""
    if way >= ENOUGH:
        return "nothing: it is learned"
    if judge <= 0:
        return "the judge"
    return "exploration" if model > 0 else "the reward model or the questions"


def examine(name: str, seed: int, keyless: bool, learn: bool) -> bool:
    """One run, beside the learner on the truth."""
    task, kind = named(name), f"simulated:strong:{seed}"
    potential = TRUTHS[task.name].potential
    assert isinstance(potential, of_state)
    asked = without(task, list(written(task))) if keyless else task
    good = visits(on_the_truth(task, potential, seed), task)
    bar, reached = FAILING.get(name), measured(good, task)
    if bar is not None and not (
        reached[bar.measure] <= bar.bound if bar.at_most else reached[bar.measure] >= bar.bound
    ):
        return claim(
            f"{task.name}, seed {seed}: {bar.measure}, of the learner on the truth",
            reached[bar.measure],
            "mean of 20 episodes",
            f"{'<=' if bar.at_most else '>='} {bar.bound:g}",
            False,
            simulated=True,
            fault="the learner",
            steps=task.training.steps,
        )
    random = visits(AtRandom(task), task)
    with tempfile.TemporaryDirectory() as folder:
        run = train(asked, judge=JudgeSettings(kind), seed=seed, out=Path(folder) / "run")
        sparse = "observations" not in asked.reward.model_fields_set
        case = Case(run.folder.task, kind, seed, sparse, good, visits(run.policy, task))
        found = looked_into(case, run, potential, learn)
        result = run.result
    low, high, came = (mean_of(potential.of_each, v) for v in (random, good, case.own))
    seen = seen_by(case, potential)
    by_judge = mean_of(seen, good) - mean_of(seen, case.own)
    way = (came - low) / (high - low)
    fault = why(way, by_judge, found["the run's"]["better"])
    return claim(
        f"{task.name}{' without keys' if keyless else ''}, seed {seed}: of the way from random "
        "acting to the learner on the truth",
        round(way, 3),
        "share",
        f">= {ENOUGH}",
        way >= ENOUGH,
        simulated=True,
        fault=fault,
        potential={"random": round(low, 3), "truth": round(high, 3), "run": round(came, 3)},
        better_by_the_judge=round(by_judge, 3),
        models=found,
        on_the_truth=reached,
        run=measured(case.own, task),
        judgments=result.judgments,
        heldout=result.heldout_accuracy,
        warnings=result.warnings,
        seconds=round(result.wall_s, 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(FAILING))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--keyless", action="store_true", help="without what task.toml says of it")
    parser.add_argument("--learn", action="store_true", help="from the best informed model, too")
    arguments = parser.parse_args()
    enable_cache()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    held = [
        examine(name, seed, arguments.keyless, arguments.learn)
        for name in arguments.tasks
        for seed in seeds
    ]
    claim("Why", sum(held), f"of {len(held)} runs are learned", "all", all(held), simulated=True)


if __name__ == "__main__":
    run_benchmark(main)
