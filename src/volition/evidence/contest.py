"""Two policies before a judge, blind: clips of their episodes from the same seeds.

A comparison of runs is a folder of its own:

    compare.json        which two, under which goal, how many pairs
    judgments.sqlite    every pair and every answer, each paid once
    frames/
    films/              both policies side by side, one film a seed
    result.json
    compare.html        all of it on one page

The judge sees storyboards, never names, and the sides are dealt anew for every pair. It may not be
the judge that one of the two was trained on: that one would be asked whether it was obeyed.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from volition.comparison import Comparison, Frame, Pixels, Segment, content_id, spaced
from volition.envs.scene import draw, make_env
from volition.errors import InputError, RunError
from volition.evidence.contest_page import ShownPair, render_comparison
from volition.evidence.film import Episode, encode_mp4, panel, side_by_side
from volition.judges import make_judge
from volition.judges.settings import JudgeSettings
from volition.judging.folders import Asked, write_questions
from volition.judging.thread import Judging
from volition.judgment import JudgeIdentity, Judgment, Order, Reply, Verdict, undo_order
from volition.learners.rollout import Rollout
from volition.reward.examining import at_least
from volition.reward.preferences import Proportion
from volition.run.creating import assignment_of
from volition.run.evaluation import CUT_AFTER, Acts
from volition.run.folder import RunFolder
from volition.run.live import limits_of
from volition.run.rounds import read_verdicts
from volition.run.run import Run
from volition.storage.compilation import enable_cache
from volition.storage.files import write_whole
from volition.storage.store import DATABASE, Store
from volition.tasks.task import EnvironmentSection, GoalSection, Task, bundled_tasks
from volition.tasks.view import ClipSection, JudgeView

RANDOM = "random"
ABOUT, RESULT, PAGE, FILMS = "compare.json", "result.json", "compare.html", "films"
FIRST_SEED = 30_000  # of the episodes: no training and no other evaluation begins there
PAIRS = 40
FRAMES = 6  # of an episode, where the task's goal shows in single states
FILMED = 90  # drawings of an episode on film

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two policies.

    Attributes:
        name: As the page calls it; the judge never sees it.
        run: Its folder; None for the random policy.
        trained_on: Names of the judges that it learned from.
    """

    name: str
    run: RunFolder | None
    trained_on: frozenset[str]

    @classmethod
    def find(cls, named: str) -> Side:
        """A run folder, or any folder with a run's configuration and its `policy/`; or `random`.

        Raises:
            RunError: There is no policy.
        """
        if named == RANDOM:
            return cls("the random policy", None, frozenset())
        run = RunFolder.open(Path(named))
        if not run.policy.is_dir():
            raise RunError(f"{named} has no policy yet: go on with `volition resume {named}`")
        judges: frozenset[str] = frozenset()
        if (run.path / DATABASE).is_file():
            with run.open_store() as store:
                judges = frozenset(judge.name for judge in store.judges().values())
        return cls(run.path.resolve().name, run, judges)


@dataclass(frozen=True, slots=True)
class Tally:
    """How often A's episode was preferred to B's."""

    wins: int
    losses: int
    ties: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the win-rate is A's share of the pairs that were decided; the p-value is that
        of the exact two-sided sign test."""
        decided = self.wins + self.losses
        rate = Proportion(self.wins, decided)
        more = max(self.wins, self.losses)
        return {
            **asdict(self),
            "win_rate": rate.share if decided else None,
            "interval": rate.interval,
            "p_value": min(1.0, 2 * at_least(more, decided, 0.5)) if decided else 1.0,
        }


class Contest:
    """Two policies, and the pairs of their episodes that are judged.

    Args:
        a, b: As `Side.find` takes them.
        goal: One of the task's goals by name, or others in words; by default the goal of A.
        out: What is kept; by default a folder beside the run, named for both. It is made, or gone
            on with if it is about the same.
        pairs: How many episodes of each; by default as many as are kept, else `PAIRS`.
        seed: Of the sides on which they are shown, and of what is random in the random policy.

    Raises:
        InputError: The two cannot be compared, or the folder is about others.
        RunError: One of them has no policy.
    """

    def __init__(
        self,
        a: str,
        b: str,
        goal: str | None = None,
        *,
        out: Path | None = None,
        pairs: int | None = None,
        seed: int = 0,
    ) -> None:
        enable_cache()
        self.a, self.b, self.seed = Side.find(a), Side.find(b), seed
        self.folder = out or beside(self.a, self.b)
        kept = self.folder / ABOUT
        known = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
        given = known.get("given_goal") if goal is None else goal
        self.task = _task(self.a, self.b, given)
        about = {
            "a": str(self.a.run.path.absolute()) if self.a.run else RANDOM,
            "b": str(self.b.run.path.absolute()) if self.b.run else RANDOM,
            "given_goal": given,
            "pairs": pairs or known.get("pairs", PAIRS),
            "seed": seed,
        }
        if not known:
            known = _act(self.folder, about, (self.a, self.b), self.task)
        if {key: known[key] for key in about} != about:
            raise InputError(
                f"{self.folder} is about other runs, another goal, or other pairs: "
                "choose another folder with --out"
            )
        self.rows: list[dict[str, Any]] = known["rows"]

    @property
    def page(self) -> Path:
        return self.folder / PAGE

    def put_to(self, live: JudgeSettings, same_judge: bool = False) -> None:
        """Asks a live judge about every pair that it has not answered yet.

        Raises:
            InputError: It is a judge that one of the two was trained on.
            JudgeUnavailable: It cannot be asked. What it answered is kept.
        """
        judge = make_judge(live, assignment_of(self.task))
        self._refuse(judge.identity.name, same_judge)
        with Store.open(self.folder) as store:
            comparisons = store.comparisons()
        with Judging(
            self.folder, limits_of(live, live.max_judgments or len(self.rows)), self.seed
        ) as judging:
            asked = [comparisons[row["comparison"]] for row in self.rows if row["comparison"]]
            judging.ask(judge, asked, self.task.stated_goal().put_under)
            judging.wait()

    def ask(self, out: Path) -> Asked:
        """Writes the pairs as contact sheets, for a judge without a live connection."""
        with Store.open(self.folder) as store:
            comparisons = store.comparisons()
        asked = [comparisons[row["comparison"]] for row in self.rows if row["comparison"]]
        if not asked:
            raise InputError("the two policies do exactly the same: there is nothing to judge")
        swapped = np.random.default_rng(self.seed).random(len(asked)) < 0.5
        pairs = [
            (c.second, c.first) if swap else (c.first, c.second)
            for c, swap in zip(asked, swapped, strict=True)
        ]
        return write_questions(pairs, self.task, out, contest=self.folder.absolute())

    def take_in(self, answered: Path, same_judge: bool = False) -> None:
        """Stores what `volition answer` made of a folder that `ask` wrote.

        Raises:
            InputError: It is about other pairs, or the judge is one that trained one of the two.
        """
        with Store.open(self.folder) as store:
            by_frames: dict[tuple[tuple[str, ...], ...], tuple[Comparison, Order]] = {}
            for each in store.comparisons().values():
                ids = tuple(tuple(f.id for f in s.frames) for s in (each.first, each.second))
                by_frames[ids] = each, Order.FORWARD
                by_frames[ids[::-1]] = each, Order.SWAPPED
            judgments, name = [], ""
            for number, verdict in enumerate(read_verdicts(answered)):
                if verdict.frames not in by_frames:
                    raise InputError(f"{answered} is about other pairs than {self.folder}")
                comparison, order = by_frames[verdict.frames]
                name = verdict.judge
                judge = JudgeIdentity(f"recorded:{name}", settings={"file": verdict.file_id})
                reply = Reply(content_id(judge.id.encode(), str(number).encode()), verdict.line)
                outcome, principle = verdict.verdict, verdict.principle
                judgments.append(
                    Judgment(comparison.id, judge.id, order, outcome, reply, principle)
                )
            self._refuse(f"recorded:{name}", same_judge)
            with store.transaction():
                store.add_judge(judge)
                store.add_replies(judge.id, [judgment.reply for judgment in judgments])
                store.add_judgments(judgments)

    def conclude(self) -> dict[str, Any]:
        """Counts the answers, and writes `result.json` and the page.

        Raises:
            InputError: Nobody has judged yet.
        """
        with Store.open(self.folder) as store:
            judges, judgments = store.judges(), store.judgments()
            comparisons, cost = store.comparisons(), store.cost_usd()
        verdicts = [j for j in judgments if isinstance(j.outcome, Verdict)]
        if not verdicts and any(row["comparison"] for row in self.rows):
            raise InputError(
                f"nobody has judged {self.folder} yet: name a judge with --judge, or "
                "write sheets with --ask"
            )
        pairs = [self._shown(row, comparisons, verdicts) for row in self.rows]
        wins, losses = (sum(pair.preferred == side for pair in pairs) for side in "AB")
        ties = sum(pair.preferred == "tie" for pair in pairs)
        names = sorted({judge.name for judge in judges.values()})
        trained_on = self.a.trained_on | self.b.trained_on
        result = {
            "compare": str(self.folder),
            "a": self.a.name,
            "b": self.b.name,
            "task": self.task.name,
            "goal": self.task.goal.text,
            "judge": ", ".join(names) or "nobody",
            "simulated": any(judge.simulated for judge in judges.values()),
            "same_judge": any(_alike(name, trained_on) for name in names),
            "pairs": len(pairs),
            "unjudged": sum(pair.preferred is None for pair in pairs),
            **Tally(wins, losses, ties).as_dict(),
            "cost_usd": round(cost, 9),
            "seed": self.seed,
        }
        result["said"] = _said(result)
        write_whole(self.folder / RESULT, json.dumps(result, indent=2))
        write_whole(self.page, render_comparison(result, pairs, sorted(trained_on)))
        return result

    def _shown(
        self, row: dict[str, Any], comparisons: dict[str, Comparison], verdicts: Sequence[Judgment]
    ) -> ShownPair:
        """A pair with its film and all that was said of it; alike episodes are a tie."""
        film = (self.folder / FILMS / f"{row['seed']}.mp4").read_bytes()
        if not row["comparison"]:
            return ShownPair(row["seed"], film, "tie", ())
        comparison = comparisons[row["comparison"]]
        said, leans = [], []
        for judgment in verdicts:
            if judgment.comparison_id == comparison.id:
                assert isinstance(judgment.outcome, Verdict)
                p_first = undo_order(judgment.outcome, judgment.order)
                p_a = p_first if row["a"] == comparison.first.id else 1 - p_first
                a_first = (row["a"] == comparison.first.id) == (judgment.order is Order.FORWARD)
                leans.append(p_a - 0.5)
                said.append(
                    (p_a, "A" if a_first else "B", judgment.principle or "", judgment.reply.raw)
                )
        if not leans:
            return ShownPair(row["seed"], film, None, ())
        lean = sum(leans)
        preferred = "tie" if lean == 0 else "A" if lean > 0 else "B"
        return ShownPair(row["seed"], film, preferred, tuple(said))

    def _refuse(self, judge: str, same_judge: bool) -> None:
        for side in (self.a, self.b):
            if not same_judge and _alike(judge, side.trained_on):
                raise InputError(
                    f"{side.name} was trained on {judge}, which would judge whether it was obeyed: "
                    "name another judge, or say --same-judge, and the result will say so"
                )


def _said(result: dict[str, Any]) -> str:
    """One line for a person."""
    low, high = result["interval"]
    rate = (
        "no pair is decided"
        if result["win_rate"] is None
        else (
            f"win-rate {result['win_rate']:.1%} (95% Wilson interval {low:.1%} to {high:.1%}, "
            f"p = {result['p_value']:.2g})"
        )
    )
    by = f"judged by {result['judge']}" + (", which is simulated" if result["simulated"] else "")
    if result["same_judge"]:
        by += ", on which one of the two was trained"
    counted = f"{result['wins']} wins, {result['losses']} losses, {result['ties']} ties"
    if result["unjudged"]:
        counted += f", {result['unjudged']} of {result['pairs']} pairs not answered"
    return f"{result['a']} against {result['b']}: {counted}; {rate}; {by}"


def beside(a: Side, b: Side) -> Path:
    """The folder of a comparison, where nobody names one."""
    names = [side.run.path.resolve().name if side.run else RANDOM for side in (a, b)]
    runs = [side.run.path for side in (a, b) if side.run]
    return (runs[0].parent if runs else Path()) / "-against-".join(names)


def to_count(asked: Asked) -> str:
    """The command that counts the answers to what a comparison asked."""
    assert asked.contest is not None
    known = json.loads((asked.contest / ABOUT).read_text(encoding="utf-8"))
    words = [
        "volition",
        "compare",
        known["a"],
        known["b"],
        "--out",
        str(asked.contest),
        "--judgments",
        str(asked.folder),
    ]
    return shlex.join([*words, *(["--seed", str(known["seed"])] if known["seed"] else [])])


def _alike(judge: str, trained_on: frozenset[str]) -> bool:
    """Whether it is one of them, whether its answers were recorded or not."""
    return judge.removeprefix("recorded:") in {n.removeprefix("recorded:") for n in trained_on}


def _task(a: Side, b: Side, goal: str | None) -> Task:
    """What is judged: a task whose view is a storyboard of FRAMES, unless it is one already.

    Raises:
        InputError: The two act in different environments, or neither is a run.
    """
    runs = [side.run for side in (a, b) if side.run]
    if not runs:
        raise InputError("the random policy against itself says nothing: name a run folder")
    ids = {run.task.environment.id for run in runs}
    if len(ids) > 1:
        raise InputError(f"the two act in different environments: {' and '.join(sorted(ids))}")
    task = runs[0].task if goal is None else _other_goal(runs[0].task, goal)
    clip = task.view.clip or ClipSection(steps=CUT_AFTER, frames=FRAMES)
    view = task.view.model_copy(update={"clip": clip, "overlay": False})
    changed = {"view": view, "environment": runs[0].task.environment}
    return task.model_copy(update=changed)


def _other_goal(task: Task, goal: str) -> Task:
    """The bundled task of that goal's name in the same environment; else the goal in words."""
    for other in bundled_tasks():
        if other.chosen == goal and other.environment.id == task.environment.id:
            return other
    # No simulated judge knows what is true of a goal that somebody made up.
    stated = {"goal": GoalSection(text=goal), "name": f"{task.name}-in-other-words"}
    return task.model_copy(update=stated)


# Acting --------------------------------------------------------------------------------------


def _act(
    folder: Path, about: dict[str, Any], sides: tuple[Side, Side], task: Task
) -> dict[str, Any]:
    """Acts all episodes, and writes what is judged and the films: all of it, or nothing."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already: choose another folder with --out")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        (partial / FILMS).mkdir(parents=True)
        with Store.create(partial) as store:
            goal_id = store.add_goal(task.stated_goal())
            rows = []
            acted = [_episodes(side, task.environment, about) for side in sides]
            for number, pair in enumerate(zip(*acted, strict=True)):
                length = max(FRAMES, *(len(observations) for observations, _ in pair))
                seed = FIRST_SEED + number
                moments = _moments(task.view, length, seed)
                seen = [
                    _look(task, seed, observations, actions, moments, length)
                    for observations, actions in pair
                ]
                film = side_by_side([episode for _, episode in seen])
                (partial / FILMS / f"{seed}.mp4").write_bytes(encode_mp4(film))
                rows.append(_row(store, goal_id, seed, *(segment for segment, _ in seen)))
        known = {**about, "rows": rows}
        (partial / ABOUT).write_text(json.dumps(known, indent=2), encoding="utf-8")
        partial.replace(folder)
        return known
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _row(store: Store, goal_id: str, seed: int, a: Segment, b: Segment) -> dict[str, Any]:
    if a.id == b.id:
        return {"seed": seed, "a": a.id, "comparison": None}
    comparison = Comparison.between(goal_id, a, b)
    store.add_comparisons([comparison])
    return {"seed": seed, "a": a.id, "comparison": comparison.id}


def _moments(view: JudgeView, length: int, seed: int) -> range:
    """The steps that are judged: as many as a clip has anywhere in the episode, or all of it."""
    assert view.clip is not None
    if view.clip.steps >= length:
        return range(length)
    start = int(np.random.default_rng(seed).integers(length - view.clip.steps + 1))
    return range(start, start + view.clip.steps)


def _episodes(
    side: Side, environment: EnvironmentSection, about: dict[str, Any]
) -> list[tuple[Array, Array]]:
    """What is observed after each step, and what was done, of every episode."""
    count = about["pairs"]
    with closing(Rollout(environment, count)) as rollout:
        policy: Acts = Run(side.run).policy if side.run else _Random(rollout, about["seed"])
        observations, running = rollout.reset(FIRST_SEED), np.ones(count, np.bool_)
        steps: list[tuple[Array, Array, Array]] = []
        while running.any() and len(steps) < (rollout.episode_limit or CUT_AFTER):
            actions = np.asarray(policy(observations))
            step = rollout.step(actions)
            reached = np.asarray(step.transitions.next_observation)
            steps.append((reached, actions, running))
            observations, running = step.observations, running & ~step.ended
    reached, actions, during = (np.stack(each) for each in zip(*steps, strict=True))
    return [(reached[during[:, n], n], actions[during[:, n], n]) for n in range(count)]


class _Random:
    """The random policy: float32 (batch, obs_dim) to actions drawn evenly."""

    def __init__(self, rollout: Rollout, seed: int) -> None:
        self._space = rollout.action_space
        self._space.seed(seed)

    def __call__(self, observations: Array) -> Array:
        return np.stack([self._space.sample() for _ in observations])


def _look(
    task: Task, seed: int, observations: Array, actions: Array, moments: range, length: int
) -> tuple[Segment, Episode]:
    """Acts an episode again and draws it: what the judge sees of it, and the film.

    What ended early stands still: its last state stands for all that would have come.
    """
    assert task.view.clip is not None
    last, frames_of = len(actions) - 1, task.view.clip.frames
    shown = [min(moments[step], last) for step in spaced(len(moments), frames_of)]
    filmed = [min(round(step), last) for step in np.linspace(0, length - 1, min(FILMED, length))]
    environment, drawn = task.environment, {}
    made = make_env(
        environment.id, environment.kwargs, render_mode="rgb_array", disable_env_checker=True
    )
    with closing(made) as env:
        env.reset(seed=seed)
        for step, action in enumerate(actions):
            env.step(action)
            if step in shown or step in filmed:
                drawn[step] = _drawn(task.view, draw(env))
    held = observations[[min(step, last) for step in moments]]
    episode = Episode("", seed, float("nan"), drawings=[drawn[step][1] for step in filmed])
    return Segment(held, tuple(drawn[step][0] for step in shown)), episode


def _drawn(view: JudgeView, drawing: Pixels) -> tuple[Frame, Pixels]:
    return view.frame(drawing), panel(view, drawing)
