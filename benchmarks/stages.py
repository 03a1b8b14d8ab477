"""A wish that takes several things in turn: drafted as stages, and as one goal.

    python benchmarks/stages.py [--quick] [--seeds N] [--keep FOLDER] [--own]

`volition/Welcome-v0`: the door is opened, the guest is bowed to, the lamp is lit, the host steps
aside. For each seed three whole runs with the same judge, the same number of judgments and of
steps at most, all questions being about states that cover what can be, before the policy learns:

- in stages (the bundled goal `in-turn`): each stage is judged by itself, and whether it is done;
- at once (`at-once`): the same sentence, judged picture by picture. The judge answers by how many
  things are done in their order and how near the next is, as far as the picture tells: the door,
  the lamp and the host's place always, a bow only while it lasts; else one is as likely as not;
- at once, by a judge who doubts no bow that the picture leaves open.

So that it is known what is the goal's and what the judgments', the same learner also learns from
what these two judges go by, as a formula, with all of the steps and no judgment.

With --own a fourth run is made for the first two seeds: in stages, but no step teaches another
stage than the one in which it was taken.

The judge is simulated: it answers from what is true (`volition.tasks.truth`), with the errors of a
strong multimodal LLM. What the policies do is counted over 100 episodes: the share in which all
four things are done, each in its turn; and the same without the bow, which is what pictures can
tell.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from asked import learned_policy
from claims import claim, run_benchmark
from volition.envs.scene import open_scene
from volition.learners.base import Transitions
from volition.run.evaluation import evaluate
from volition.run.run import Run, train
from volition.run.sessions import StateReward
from volition.storage.compilation import enable_cache
from volition.tasks.task import Task
from volition.tasks.truth import truth_of
from volition.tasks.truth import welcome as w

JUDGE = "simulated:strong"
JUDGMENTS, STEPS = 400, 12_000
WELCOMED, BUT_FOR_BOW = "welcomed", "welcomed but for the bow"
OWN = "in stages, each step in its own"
STAGED, AT_ONCE, TRUSTING = "in stages", "at once", "at once, no bow doubted"


def task_of(name: str) -> Task:
    task = Task.find("welcome", "in-turn" if name in (STAGED, OWN) else "at-once")
    asked = {"first_judgments": JUDGMENTS, "max_judgments": JUDGMENTS}
    changed: dict[str, Any] = {"training": task.training.model_copy(update=asked)}
    if name == TRUSTING:
        changed["goal"] = task.goal.model_copy(update={"truth": "welcome-trusting"})
    return task.model_copy(update=changed)


def in_its_own_stage(reward: StateReward, transitions: Transitions) -> Transitions:
    """In the place of `StateReward.relabelled`: the stage that was under way stays."""
    model = reward.model
    if not model.stages:
        return transitions
    entries = len(model.stages) + 1
    stage = jnp.asarray(transitions.observation)[:, -entries:]
    reached = jnp.asarray(transitions.next_observation)[:, :-entries]
    after = model.moved_on(jnp.concatenate([reached, stage], -1))
    return transitions._replace(next_observation=after)


class Formula(eqx.Module):
    """What the judge of the whole wish goes by, at every step: 0 where half is done, and 1 or more
    where all is. As `volition.tasks.truth.welcome` has it.

    Attributes:
        unseen: What a bow counts that no picture shows.
    """

    unseen: jax.Array

    def __call__(self, transitions: Transitions) -> jax.Array:
        return 4.0 * self.potential(jnp.asarray(transitions.next_observation)) - 2.0

    def potential(self, seen: jax.Array) -> jax.Array:
        x, door, lamp, bow = w.MIDDLE + w.UNIT * seen[:, w.X], *seen[:, (w.DOOR, w.LAMP, w.BOW)].T

        def near(place: float) -> jax.Array:
            return 1 - jnp.abs(x - place) / w.ACROSS

        at_door, way = x <= w.NEAR_DOOR, w.WAY
        rising = self.unseen + (1 - self.unseen) * at_door * jnp.minimum(bow / w.BOWING, 1.0)
        bowed = jnp.where((bow >= w.BOWING) & at_door, 1.0, rising)
        lit = 1.0 + jnp.where(x >= w.ASIDE, 1.0, near(w.MAT))
        lighting = way * near(w.CORD) + (1 - way) * lamp
        further = bowed + jnp.where(lamp >= w.LIT, lit, lighting)
        opening = way * near(w.HANDLE) + (1 - way) * door
        return jnp.where(door >= w.OPEN, 1.0 + further, opening) / w.THINGS


def by_formula(name: str, seed: int) -> dict[str, float]:
    """What the run's own learner makes of it, by its measures over 100 episodes."""
    task = task_of(name)
    steps = task.training.model_copy(update={"steps": STEPS})
    task, truth = task.model_copy(update={"training": steps}), truth_of(task.goal.truth or "")
    formula = Formula(jnp.float32(1.0 if name == TRUSTING else w.UNKNOWN))
    seen = np.random.default_rng(0).uniform((-1, 0, 0, 0, 0), 1, (500, 5)).astype(np.float32)
    told = [truth.potential(one[None]) for one in seen]
    assert np.allclose(formula.potential(jnp.asarray(seen)), told, atol=1e-4)
    policy = learned_policy(task, lambda _: formula, seed)
    nothing = lambda observations: 0 * observations[..., 0]  # noqa: E731
    return evaluate(policy, nothing, task.environment, measures=truth.measures).measured


def learned(name: str, seed: int, folder: Path) -> Run:
    out = folder / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}"
    if out.exists():
        run = Run.open(out)
        run.advance()
        return run
    return train(task_of(name), judge=JUDGE, seed=seed, steps=STEPS, out=out)


def thresholds(run: Run, count: int = 1500) -> list[tuple[float, float]]:
    """Of each stage: of the states that are called done the share that are, and of those that are
    the share that are called so, over all that can be."""
    scene, rng = open_scene(run.folder.task.environment.id), np.random.default_rng(0)
    low, high = np.array(list((scene.ranges or {}).values())).T
    states = low + rng.random((count, len(low))) * (high - low)
    seen = np.stack(
        [scene.observe(dict(zip(scene.fields, s.tolist(), strict=True))) for s in states]
    )
    truth, staging, shares = truth_of(run.folder.task.goal.truth or ""), run.staging, []
    assert staging is not None
    for number, stage in enumerate(run.folder.task.stated_goal().stages):
        _, is_done = stage.asked
        done = np.array([truth.under(is_done.text)(one[None]) > 0.5 for one in seen])
        before = np.zeros((count, staging.entries))
        before[:, number] = 1.0
        called = staging.passed(staging.after(before, seen)) > number
        both = int((done & called).sum())
        shares.append((round(both / max(1, called.sum()), 2), round(both / done.sum(), 2)))
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where to leave the runs")
    parser.add_argument("--own", action="store_true", help="also without teaching other stages")
    options = parser.parse_args()
    enable_cache()
    seeds = range(1 if options.quick else options.seeds)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        made = {
            name: [learned(name, seed, folder) for seed in seeds]
            for name in (STAGED, AT_ONCE, TRUSTING)
        }
        runs = {name: [run.result for run in some] for name, some in made.items()}
        if options.own:
            with patch.object(StateReward, "relabelled", in_its_own_stage):
                own = [learned(OWN, seed, folder).result for seed in seeds[:2]]
            at_last = [round(result.measures[WELCOMED], 3) for result in own]
            done = [round(result.measures["things done in their turn"], 2) for result in own]
            unit, more = "share of episodes, best seed", {"all": at_last, "things_done": done}
            claim(f"the same {OWN}", max(at_last), unit, "reported", True, **more, simulated=True)
        formulas = {
            name: [by_formula(name, seed) for seed in seeds] for name in (AT_ONCE, TRUSTING)
        }
        told_done = [thresholds(run) for run in made[STAGED]]
    shares = {
        name: [round(result.measures[WELCOMED], 3) for result in results]
        for name, results in runs.items()
    }
    told_of = {
        name: {
            "all": shares[name],
            "but_for_the_bow": [round(result.measures[BUT_FOR_BOW], 3) for result in results],
            "judgments": [result.judgments for result in results],
            "steps": [result.env_steps for result in results],
            "seconds": [round(result.wall_s, 1) for result in results],
        }
        for name, results in runs.items()
    }
    common = {"simulated": True, "judge": JUDGE}
    held = [
        claim(
            "a wish in stages: all four things are done in their turn",
            min(shares[STAGED]),
            "share of episodes, worst seed",
            ">= 0.9",
            min(shares[STAGED]) >= 0.9,
            **told_of[STAGED],
            **common,
        ),
        *(
            claim(
                f"the same wish {name}",
                max(shares[name]),
                "share of episodes, best seed",
                "<= 0.3",
                max(shares[name]) <= 0.3,
                **told_of[name],
                **common,
            )
            for name in (AT_ONCE, TRUSTING)
        ),
    ]
    for name, reached in formulas.items():
        claim(
            f"the same wish {name}, from what that judge goes by, without judgments",
            max(round(each[WELCOMED], 3) for each in reached),
            "share of episodes, best seed",
            "reported",
            True,
            all=[round(each[WELCOMED], 3) for each in reached],
            but_for_the_bow=[round(each[BUT_FOR_BOW], 3) for each in reached],
            things_done=[round(each["things done in their turn"], 2) for each in reached],
            steps=STEPS,
            simulated=True,
        )
    precision = [share for shares in told_done for share, _ in shares]
    claim(
        "of the states that a threshold calls done, over all that can be, those that are",
        min(precision),
        "share, worst stage of all seeds",
        "reported",
        True,
        all=told_done,
        in_each="[of what is called done is, of what is done is called so], by stages",
        **common,
    )
    claim("stages", sum(held), f"of {len(held)} claims hold", "all", all(held), simulated=True)


if __name__ == "__main__":
    run_benchmark(main)
