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

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from volition.comparison import Comparison, content_id
from volition.errors import InputError, RunError
from volition.evidence.contest_acting import FRAMES, FilmedPair, act_pairs
from volition.evidence.contest_page import ShownPair, ShownReply, render_comparison
from volition.evidence.contest_result import ContestResult, Tally, summary
from volition.judges import make_judge
from volition.judges.settings import JudgeSettings
from volition.judging.folders import QuestionFolder, write_questions
from volition.judging.thread import Judging
from volition.judgment import JudgeIdentity, Judgment, Order, Reply, Verdict, undo_order
from volition.learners.rollout import CUT_AFTER
from volition.run.creating import assignment_of
from volition.run.live import limits_of
from volition.run.rounds import read_verdicts
from volition.run.run import Run
from volition.storage.compilation import enable_cache
from volition.storage.database import DATABASE
from volition.storage.documents import read_document, write_document
from volition.storage.files import is_free, new_folder, write_whole
from volition.storage.store import Store
from volition.tasks.task import GoalSection, Task, bundled_tasks
from volition.tasks.view import ClipSection

RANDOM = "random"
ABOUT, RESULT, PAGE, FILMS = "compare.json", "result.json", "compare.html", "films"
PAIRS = 40


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two policies.

    Attributes:
        name: As the page calls it; the judge never sees it.
        run: None for the random policy.
        trained_on: Names of the judges that it learned from.
    """

    name: str
    run: Run | None
    trained_on: frozenset[str]

    @classmethod
    def find(cls, named: str) -> Side:
        """A run folder, or any folder with a run's configuration and its `policy/`; or `random`.

        Raises:
            RunError: There is no policy.
        """
        if named == RANDOM:
            return cls("the random policy", None, frozenset())
        run = Run.open(named)
        folder = run.folder
        if not folder.policy.is_dir():
            raise RunError(f"{named} has no policy yet: go on with `volition resume {named}`")
        judges: frozenset[str] = frozenset()
        if (folder.path / DATABASE).is_file():
            with folder.open_store() as store:
                judges = frozenset(judge.name for judge in store.judges().values())
        return cls(folder.path.resolve().name, run, judges)


@dataclass(frozen=True, slots=True)
class ActedPair:
    """A pair of episodes, as in `compare.json`.

    Attributes:
        seed: From which both were reset.
        a: Id of the segment that A did.
        comparison: Its id; None where both did the same.
    """

    seed: int
    a: str
    comparison: str | None


@dataclass(frozen=True, slots=True)
class About:
    """What a comparison is about, as in `compare.json`.

    Attributes:
        a, b: The folders of the runs, or `random`.
        given_goal: One that was given in place of A's.
        pairs: How many episodes of each.
        seed: Of the sides, and of the random policy.
        rows: Every pair.
    """

    a: str
    b: str
    given_goal: str | None
    pairs: int
    seed: int
    rows: tuple[ActedPair, ...] = ()


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
        known = read_document(kept, About) if kept.is_file() else None
        given = known.given_goal if known and goal is None else goal
        self.task = _task(self.a, self.b, given)
        folders = [str(s.run.folder.path.absolute()) if s.run else RANDOM for s in (self.a, self.b)]
        about = About(
            folders[0], folders[1], given, pairs or (known.pairs if known else PAIRS), seed
        )
        if known is None:
            known = _act(self.folder, about, (self.a, self.b), self.task)
        if replace(known, rows=()) != about:
            raise InputError(
                f"{self.folder} is about other runs, another goal, or other pairs: "
                "choose another folder with --out"
            )
        self.rows = known.rows

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
        limits = limits_of(live, live.max_judgments or len(self.rows))
        with Judging(self.folder, limits, self.seed) as judging:
            judging.ask(judge, self._differing(), self.task.stated_goal().put_under)
            judging.wait()

    def ask(self, out: Path) -> QuestionFolder:
        """Writes the pairs as contact sheets, for a judge without a live connection."""
        differing = self._differing()
        if not differing:
            raise InputError("the two policies do exactly the same: there is nothing to judge")
        swapped = np.random.default_rng(self.seed).random(len(differing)) < 0.5
        pairs = [
            (c.second, c.first) if swap else (c.first, c.second)
            for c, swap in zip(differing, swapped, strict=True)
        ]
        return write_questions(pairs, self.task, out, contest=self.folder.absolute())

    def _differing(self) -> list[Comparison]:
        """The pairs that there is something to judge about."""
        with Store.open(self.folder) as store:
            comparisons = store.comparisons()
        return [comparisons[row.comparison] for row in self.rows if row.comparison]

    def take_in(self, answered: Path, same_judge: bool = False) -> None:
        """Stores what `volition answer` made of a folder that `ask` wrote.

        Raises:
            InputError: It is about other pairs, or the judge is one that trained one of the two.
        """
        with Store.open(self.folder) as store:
            by_frames: dict[tuple[tuple[str, ...], ...], tuple[Comparison, Order]] = {}
            for known in store.comparisons().values():
                ids = tuple(tuple(f.id for f in s.frames) for s in (known.first, known.second))
                by_frames[ids] = known, Order.FORWARD
                by_frames[ids[::-1]] = known, Order.SWAPPED
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

    def conclude(self) -> ContestResult:
        """Counts the answers, and writes `result.json` and the page.

        Raises:
            InputError: Nobody has judged yet.
        """
        with Store.open(self.folder) as store:
            judges, judgments = [*store.judges().values()], store.judgments()
            comparisons, cost = store.comparisons(), store.cost_usd()
        verdicts = [j for j in judgments if isinstance(j.outcome, Verdict)]
        if not verdicts and any(row.comparison for row in self.rows):
            raise InputError(
                f"nobody has judged {self.folder} yet: name a judge with --judge, or "
                "write sheets with --ask"
            )
        pairs = [self._shown(row, comparisons, verdicts) for row in self.rows]
        result = self._count([pair.preferred for pair in pairs], judges, cost)
        write_document(self.folder / RESULT, result)
        trained_on = sorted(self.a.trained_on | self.b.trained_on)
        write_whole(self.page, render_comparison(result, pairs, trained_on))
        return result

    def _count(
        self, preferred: Sequence[str | None], judges: Sequence[JudgeIdentity], cost: float
    ) -> ContestResult:
        tally = Tally(*(preferred.count(outcome) for outcome in ("A", "B", "tie")))
        names = sorted({judge.name for judge in judges})
        trained_on = self.a.trained_on | self.b.trained_on
        result = ContestResult(
            compare=str(self.folder),
            a=self.a.name,
            b=self.b.name,
            task=self.task.name,
            goal=self.task.goal.text,
            judge=", ".join(names) or "nobody",
            simulated=any(judge.simulated for judge in judges),
            same_judge=any(_alike(name, trained_on) for name in names),
            pairs=len(preferred),
            unjudged=preferred.count(None),
            wins=tally.wins,
            losses=tally.losses,
            ties=tally.ties,
            win_rate=tally.rate.share if tally.rate.trials else None,
            interval=tally.rate.interval,
            p_value=tally.p_value,
            cost_usd=round(cost, 9),
            seed=self.seed,
        )
        return replace(result, summary=summary(result))

    def _shown(
        self, row: ActedPair, comparisons: Mapping[str, Comparison], verdicts: Sequence[Judgment]
    ) -> ShownPair:
        """A pair with its film and all answers to it; alike episodes are a tie."""
        film = (self.folder / FILMS / f"{row.seed}.mp4").read_bytes()
        if not row.comparison:
            return ShownPair(row.seed, film, "tie", ())
        a_is_first = row.a == comparisons[row.comparison].first.id
        replies = []
        for judgment in verdicts:
            if judgment.comparison_id == row.comparison:
                assert isinstance(judgment.outcome, Verdict)
                p_first = undo_order(judgment.outcome, judgment.order)
                shown_first = "A" if a_is_first == (judgment.order is Order.FORWARD) else "B"
                p_a = p_first if a_is_first else 1 - p_first
                principle, raw = judgment.principle or "", judgment.reply.raw
                replies.append(ShownReply(p_a, shown_first, principle, raw))
        lean = sum(reply.p_a - 0.5 for reply in replies)
        preferred = "tie" if lean == 0 else "A" if lean > 0 else "B"
        return ShownPair(row.seed, film, preferred if replies else None, tuple(replies))

    def _refuse(self, judge: str, same_judge: bool) -> None:
        for side in (self.a, self.b):
            if not same_judge and _alike(judge, side.trained_on):
                raise InputError(
                    f"{side.name} was trained on {judge}, which would judge whether it was obeyed: "
                    "name another judge, or say --same-judge, and the result will say so"
                )


def beside(a: Side, b: Side) -> Path:
    """The folder of a comparison, where nobody names one."""
    names = [side.run.folder.path.resolve().name if side.run else RANDOM for side in (a, b)]
    runs = [side.run.folder.path for side in (a, b) if side.run]
    return (runs[0].parent if runs else Path()) / "-against-".join(names)


def to_count(questions: QuestionFolder) -> str:
    """The command that counts the answers to what a comparison asked."""
    assert questions.contest is not None
    known = read_document(questions.contest / ABOUT, About)
    words = [
        "volition",
        "compare",
        known.a,
        known.b,
        "--out",
        str(questions.contest),
        "--judgments",
        str(questions.folder),
    ]
    return shlex.join([*words, *(["--seed", str(known.seed)] if known.seed else [])])


def _alike(judge: str, trained_on: frozenset[str]) -> bool:
    """Whether it is one of them, whether its answers were recorded or not."""
    return judge.removeprefix("recorded:") in {n.removeprefix("recorded:") for n in trained_on}


def _task(a: Side, b: Side, goal: str | None) -> Task:
    """What is judged: a task whose view is a storyboard of FRAMES, unless it is one already.

    Raises:
        InputError: The two act in different environments, or neither is a run.
    """
    tasks = [side.run.folder.task for side in (a, b) if side.run]
    if not tasks:
        raise InputError("the random policy against itself says nothing: name a run folder")
    ids = {task.environment.id for task in tasks}
    if len(ids) > 1:
        raise InputError(f"the two act in different environments: {' and '.join(sorted(ids))}")
    task = tasks[0] if goal is None else _other_goal(tasks[0], goal)
    clip = task.view.clip or ClipSection(steps=CUT_AFTER, frames=FRAMES)
    view = task.view.model_copy(update={"clip": clip, "overlay": False})
    # A storyboard of the whole episode shows what was done in turn: the whole wish is judged.
    whole = task.goal.model_copy(update={"stages": ()})
    changed = {"view": view, "environment": tasks[0].environment, "goal": whole}
    return task.model_copy(update=changed)


def _other_goal(task: Task, goal: str) -> Task:
    """The bundled task of that goal's name in the same environment; else the goal in words."""
    for other in bundled_tasks():
        if other.chosen == goal and other.environment.id == task.environment.id:
            return other
    # No simulated judge knows what is true of a goal that somebody made up.
    stated = {"goal": GoalSection(text=goal), "name": f"{task.name}-in-other-words"}
    return task.model_copy(update=stated)


def _act(folder: Path, about: About, sides: tuple[Side, Side], task: Task) -> About:
    """Acts all episodes, and writes what is judged and the films: all of it, or nothing."""
    if not is_free(folder):
        raise InputError(f"{folder} is there already: choose another folder with --out")
    policies = [side.run.policy if side.run else None for side in sides]
    stagings = [side.run.staging if side.run else None for side in sides]
    try:
        with new_folder(folder) as partial, Store.create(partial) as store:
            (partial / FILMS).mkdir()
            goal_id = store.add_goal(task.stated_goal())
            rows = []
            for pair in act_pairs(
                policies, stagings, task.environment, task.view, about.pairs, about.seed
            ):
                rows.append(_stored(store, goal_id, pair))
                (partial / FILMS / f"{pair.seed}.mp4").write_bytes(pair.film)
            known = replace(about, rows=tuple(rows))
            write_document(partial / ABOUT, known)
        return known
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error}") from error


def _stored(store: Store, goal_id: str, pair: FilmedPair) -> ActedPair:
    if pair.a.id == pair.b.id:
        return ActedPair(pair.seed, pair.a.id, None)
    comparison = Comparison.between(goal_id, pair.a, pair.b)
    store.add_comparisons([comparison])
    return ActedPair(pair.seed, pair.a.id, comparison.id)


def compare(
    run_a: str | Path,
    run_b: str | Path,
    judge: str | JudgeSettings,
    *,
    goal: str | None = None,
    pairs: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    same_judge: bool = False,
) -> ContestResult:
    """Lets a judge compare two policies, blind, by clips of their episodes from the same seeds.

    Args:
        run_a, run_b: Run folders, or any folders with a policy; or `random`.
        judge: As `PROVIDER:MODEL`, or with all its settings.
        goal: One of the task's goals by name, or others in words; by default the goal of A.
        pairs: Episodes of each; by default 40.
        seed: Of the sides, and of the random policy.
        out: What is kept; by default a folder beside the run, named for both.
        same_judge: Let a judge compare that one of the two learned from.

    Raises:
        InputError: The two cannot be compared, or the judge is one that trained one of them.
        JudgeUnavailable: The judge cannot be asked. What it answered is kept.
    """
    folder = Path(out) if out else None
    contest = Contest(str(run_a), str(run_b), goal, out=folder, pairs=pairs, seed=seed)
    contest.put_to(JudgeSettings(judge) if isinstance(judge, str) else judge, same_judge)
    return contest.conclude()
