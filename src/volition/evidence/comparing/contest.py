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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from volition.comparison import Comparison, content_id
from volition.errors import InputError
from volition.evidence.comparing.acting import FilmedPair, act_pairs
from volition.evidence.comparing.page import ShownPair, ShownReply, render_comparison
from volition.evidence.comparing.result import ContestResult, Tally, summary
from volition.evidence.comparing.sides import (
    RANDOM,
    Side,
    are_alike,
    beside,
    find_sides,
    matter_of,
)
from volition.judges import make_judge
from volition.judges.base import Judge
from volition.judges.settings import JudgeSettings
from volition.judging.folders import QuestionFolder, put_under, write_questions
from volition.judging.limits import Limits
from volition.judging.thread import Judging
from volition.judgment import JudgeIdentity, Judgment, Order, Reply, Verdict, undo_order
from volition.run.asking.live import limits_of
from volition.run.correcting.changing import VERSIONS
from volition.run.correcting.comparing import PAGE, PAIRS, RESULT, versions_in
from volition.run.folder import RunFolder
from volition.run.rounds import read_verdicts
from volition.storage.compilation import enable_cache
from volition.storage.documents import read_document, write_document
from volition.storage.files import is_free, new_folder, write_whole
from volition.storage.store import Store
from volition.tasks.task import Task

ABOUT, FILMS = "compare.json", "films"


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
        policies: Names what the two do; none of folders before 0.2.
    """

    a: str
    b: str
    given_goal: str | None
    pairs: int
    seed: int
    rows: tuple[ActedPair, ...] = ()
    policies: tuple[str, ...] = ()


class Contest:
    """Two policies, and the pairs of their episodes that are judged.

    Args:
        a, b: As `Side.find` takes them.
        goal: One of the task's goals by name, or others in words; by default the goal of A.
        out: What is kept; by default a folder beside the run, named for both. It is made, or gone
            on with if it is about the same.
        pairs: How many episodes of each; by default as many as are kept, else `PAIRS`.
        seed: Of the sides on which they are shown, and of what is random in the random policy.
        acted: Is told how many pairs have been acted and filmed.

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
        acted: Callable[[int], None] = lambda _: None,
    ) -> None:
        enable_cache()
        self.a, self.b = find_sides(a, b)
        self.seed = seed
        self.folder = out or beside(self.a, self.b, goal)
        kept = self.folder / ABOUT
        known = read_document(kept, About) if kept.is_file() else None
        given = known.given_goal if known and goal is None else goal
        self.matter = matter_of(self.a, self.b, given)
        self.task = self.matter.task
        sides = self.a, self.b
        first, second = (str(s.run.folder.path.absolute()) if s.run else RANDOM for s in sides)
        count = pairs or (known.pairs if known else PAIRS)
        does = tuple(side.policy for side in sides)
        about = About(first, second, given, count, seed, policies=does)
        if known is None:
            known = _act(self.folder, about, (self.a, self.b), self.task, acted)
        self._check(known, about)
        self.rows = known.rows

    def _check(self, known: About, about: About) -> None:
        """That what is kept is about these two.

        Raises:
            InputError: It is not.
        """
        if known.policies and known.policies != about.policies:
            raise InputError(
                f"{self.folder} is about what {about.a} and {about.b} did then, and one of them "
                "does something else by now: choose another folder with --out"
            )
        # Versions may have moved since, in the run or with it; what they do is the same.
        if self.is_of_versions:
            known = replace(known, a=about.a, b=about.b)
        if replace(known, rows=(), policies=about.policies) != about:
            raise InputError(
                f"{self.folder} is about other runs, another goal, or other pairs: "
                "choose another folder with --out"
            )

    @property
    def is_of_versions(self) -> bool:
        """Whether it is kept in the run of which the two are versions."""
        home = self.a.home
        return home is not None and self.folder.resolve().parent == home / VERSIONS

    @property
    def page(self) -> Path:
        return self.folder / PAGE

    def put_to(self, live: JudgeSettings, same_judge: bool = False) -> None:
        """Asks a live judge about every pair that it has not answered yet.

        Raises:
            InputError: It is a judge that one of the two was trained on.
            JudgeUnavailable: It cannot be asked. What it answered is kept.
        """
        judge = make_judge(live, self.matter.assignment)
        self._refuse(judge.identity.name, same_judge)
        limits = self.beside_others(judge, limits_of(live, live.max_judgments or len(self.rows)))
        with Judging(self.folder, limits, self.seed) as judging:
            judging.ask(judge, self.differing(), self.matter.under)
            judging.wait()

    def beside_others(self, judge: Judge, limits: Limits) -> Limits:
        """These limits for a judge, where others have answered here before."""
        with Store.open(self.folder) as store:
            others = [j for j in store.judgments() if j.judge_id != judge.identity.id]
        paid = {j.reply.id: j.reply.cost_usd for j in others}
        usd, most = limits.max_usd, limits.max_judgments
        return replace(
            limits,
            max_usd=None if usd is None else usd + sum(paid.values()),
            max_judgments=None if most is None else most + len(others),
        )

    def ask(self, out: Path) -> QuestionFolder:
        """Writes the pairs as contact sheets, for a judge without a live connection."""
        differing = self.differing()
        if not differing:
            raise InputError("the two policies do exactly the same: there is nothing to judge")
        swapped = np.random.default_rng(self.seed).random(len(differing)) < 0.5
        pairs = [
            (c.second, c.first) if swap else (c.first, c.second)
            for c, swap in zip(differing, swapped, strict=True)
        ]
        alone = self.matter.under if len(self.matter.under) == 1 else None
        under = [*alone] * len(pairs) if alone else put_under(len(pairs), self.task.stated_goal())
        return write_questions(pairs, self.task, out, contest=self.folder.absolute(), under=under)

    def differing(self) -> list[Comparison]:
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

        Where judges answered that neither was trained on, theirs alone count.

        Raises:
            InputError: Nobody has judged yet.
        """
        with Store.open(self.folder) as store:
            judges, judgments = store.judges(), store.judgments()
            comparisons, cost = store.comparisons(), store.cost_usd()
        verdicts = [j for j in judgments if isinstance(j.outcome, Verdict)]
        trained_on = self.a.trained_on | self.b.trained_on
        second = [j for j in verdicts if not are_alike(judges[j.judge_id].name, trained_on)]
        verdicts = second or verdicts
        if not verdicts and any(row.comparison for row in self.rows):
            raise InputError(
                f"nobody has judged {self.folder} yet: name a judge with --judge, or "
                "write sheets with --ask"
            )
        pairs = [self._shown(row, comparisons, verdicts) for row in self.rows]
        asked = {j.judge_id for j in verdicts} or {*judges}
        counting = [judge for name, judge in judges.items() if name in asked]
        result = self._count([pair.preferred for pair in pairs], counting, cost)
        write_whole(self.page, render_comparison(result, pairs, sorted(trained_on)))
        write_document(self.folder / RESULT, result)
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
            goal=self.matter.said,
            judge=", ".join(names) or "nobody",
            simulated=any(judge.simulated for judge in judges),
            same_judge=any(are_alike(name, trained_on) for name in names),
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
            if not same_judge and are_alike(judge, side.trained_on):
                raise InputError(
                    f"{side.name} was trained on {judge}, which would judge whether it was obeyed: "
                    "name another judge, or say --same-judge, and the result will say so"
                )


def to_count(questions: QuestionFolder) -> str:
    """The command that counts the answers to what a comparison asked."""
    folder = questions.contest
    assert folder is not None
    known = read_document(folder / ABOUT, About)
    a, b = _where_now(folder, known)
    words = [
        "volition",
        "compare",
        a,
        b,
        "--out",
        str(folder),
        "--judgments",
        str(questions.folder),
    ]
    return shlex.join([*words, *(["--seed", str(known.seed)] if known.seed else [])])


def _where_now(folder: Path, known: About) -> tuple[str, str]:
    """Where the two are by now: the newest version of a run is the run itself."""
    if folder.parent.name != VERSIONS:
        return known.a, known.b
    run, numbers = folder.parent.parent, versions_in(folder)
    newest = RunFolder.open(run).settings.version
    a, b = (str(run if n == newest else folder.parent / str(n)) for n in numbers)
    return a, b


def _act(
    folder: Path,
    about: About,
    sides: tuple[Side, Side],
    task: Task,
    acted: Callable[[int], None],
) -> About:
    """Acts all episodes, and writes what is judged and the films: all of it, or nothing."""
    if not is_free(folder):
        raise InputError(f"{folder} is there already: choose another folder with --out")
    policies = [side.run.policy if side.run else None for side in sides]
    stagings = [side.run.staging if side.run else None for side in sides]
    try:
        with new_folder(folder) as partial, Store.create(partial) as store:
            (partial / FILMS).mkdir()
            goal_id = store.add_goal(task.stated_goal())
            rows: list[ActedPair] = []
            acted(0)
            for pair in act_pairs(
                policies, stagings, task.environment, task.view, about.pairs, about.seed
            ):
                rows.append(_stored(store, goal_id, pair))
                (partial / FILMS / f"{pair.seed}.mp4").write_bytes(pair.film)
                acted(len(rows))
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
