"""Judging beside learning: what is asked next, what has come back, the reward model of now.

The learner's thread calls `Inquiry.turn` now and then and never waits: questions are chosen and
drawn, and the reward model is fitted, on a thread of their own, while requests are under way on the
judging thread. Questions are spread over the first part of the run, in waves; where the judge is
slow fewer are asked, and no step is taken later. A judge that answers at once, as a simulated one
may, is waited for, so that such a run can be repeated exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Self

import numpy as np

from volition.comparison import Segment, Shown, shown_together
from volition.envs.base import Scene
from volition.envs.scene import open_scene
from volition.finding.horizon import Stage
from volition.goal import GoalStage
from volition.learners.visited import POOL, RECENT, Passages, Visited
from volition.questions import Querying
from volition.questions.candidates import Candidates, chosen_comparisons
from volition.reward.examining import ENOUGH
from volition.reward.learning import Doubling, RewardFit
from volition.reward.model import RewardModel
from volition.reward.stages import Topic, topics
from volition.run.asking.live import LiveJudging, Quota
from volition.run.gaming.guard import Guard, Moment, Reached
from volition.run.interrupting import PAUSED
from volition.run.results import Progress
from volition.tasks.task import EnvironmentSection
from volition.tasks.view import JudgeView

BEGIN, END = 0.05, 0.7  # of a stage, between which questions are asked: answers must have time
WAVES = 8  # of questions at least, so that answers to the earlier ones guide the later
GROWTH = 0.1  # of the judgments, at least, before the reward model is fitted to them anew
AHEAD = 2  # times as many questions as can be under way may be, before no more is asked
TEACHES = 0.03  # of held-out answers: so many more must all foretell than half of them do
POOR = 0.75  # of them: where fewer are foretold, questions wait for no stage of learning
HASTE = 0.25  # of what is learned from is then asked in each wave, at least


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked while a policy learns.

    Attributes:
        environment, view: What is shown of it.
        goal_id: Under which goal.
        quota: How many comparisons, those that were asked before among them.
        seed: Of the pairs that are considered.
        per_request: Comparisons in one request.
        concurrency: Requests under way at once.
        querying: How comparisons are chosen.
        asked: How many were asked before under this goal; None is all that were.
        goal_stages: Of the goal, each of which is asked about by itself.
    """

    environment: EnvironmentSection
    view: JudgeView
    goal_id: str
    quota: Quota
    seed: int
    per_request: int
    concurrency: int
    querying: Querying
    asked: int | None = None
    goal_stages: tuple[GoalStage, ...] = ()


Fitted = tuple[RewardModel, RewardFit]
Work = Callable[[], Fitted | None]


class Asked(NamedTuple):
    """What came of asking.

    Attributes:
        told: How many questions were asked, and why no more; empty where nobody was to be asked.
        warnings: What a person should know of it.
    """

    told: str = ""
    warnings: tuple[str, ...] = ()


class Inquiry:
    """What a run asks its live judge while its policy learns. A context manager.

    Args:
        live: The judge, which has answered enough to fit a reward model.
        plan: What is asked.
        shown_before: The pictures of every comparison that was asked.
        refit: Fits the reward model to all answers there are; it is called on another thread.
        weigh: What all answers there are taught more than half of them; likewise.
        hear: Takes in what people have answered since; returns how many answers that are.
        guard: Checks what the policy is rewarded most for, if anybody does.
    """

    def __init__(
        self,
        live: LiveJudging,
        plan: Plan,
        shown_before: Sequence[Shown],
        refit: Callable[[], tuple[RewardModel, RewardFit]],
        weigh: Callable[[], Doubling],
        hear: Callable[[], int] = lambda: 0,
        guard: Guard | None = None,
    ) -> None:
        self._judging, self._judge, self._put_under = live.judging, live.judge, live.put_under
        self._plan, self._refit, self._weigh, self._hear = plan, refit, weigh, hear
        self._wanted, self._guard = live.wanted, guard
        self._heard = 0  # of people, and not learned from yet
        self._shown = set(shown_before)
        self._asked = plan.asked if plan.asked is not None else len(shown_before)
        if guard is not None:  # its comparisons are stored beside the others
            self._asked = max(0, self._asked - guard.stored)
        self._rng = np.random.default_rng([plan.seed, self._asked])
        self._rng_of_checks = np.random.default_rng([plan.seed, 1, self._checked])
        self._thread = ThreadPoolExecutor(1, "inquiry")
        self._work: Future[Fitted | None] | None = None
        self._scene: Scene | None = None
        self._stage = Stage(0, 0, 1)
        self._model, self._fit = refit()
        self._verdicts_before = self._learned_from() - self._judging.standing().verdicts
        self._weighed, self._doubling = 0, Doubling(0.0, 0.0)  # so many answers, what they taught
        if self._left() <= 0 and self._unweighed():
            self._look()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def turn(
        self,
        env_steps: int,
        stage: Stage,
        visited: Visited,
        filmed: Collection[Segment] | None = None,
    ) -> RewardModel | None:
        """Looks at what has come back, and asks or fits if it is time to.

        Args:
            env_steps: Taken so far.
            stage: Of learning.
            visited: What the policy has visited.
            filmed: What was filmed of it, where states cannot be drawn later.

        Returns:
            A new reward model, if there is one.

        Raises:
            JudgeUnavailable: The judge cannot be asked any more. What it answered is stored.
        """
        self._stage = stage
        model = self._finished()
        if self._work is None:
            self._heard += self._hear()
            self._begin(env_steps, visited, filmed)
        if self._judge.immediate and self._work is not None:
            self._work.result()
            self._judging.wait()
            later = self._finished()
            return model if later is None else later
        return model

    def report(self, progress: Progress) -> Progress:
        """The same with what is known of judging now."""
        standing = self._judging.standing()
        if self._guard is not None:
            progress = self._guard.report(progress)
        return replace(
            progress,
            judgments=self._verdicts_before + self._verdicts() + self._fit.beside,
            cost_usd=standing.spent_usd,
            heldout_accuracy=self._fit.heldout_accuracy,
            waiting_for=PAUSED if self._wanted().pause else standing.waiting_for,
        )

    def questions(self, stage: Stage) -> int:
        """How many may be asked in a stage, besides those that were asked before it."""
        checks = self._guard.by(stage.number) if self._guard else 0
        return self._allowed(stage) - self._plan.quota.before(stage.number) + checks

    @property
    def stopping(self) -> str:
        """Why learning is to stop; empty where it is to go on."""
        return self._guard.stopping if self._guard else ""

    @property
    def exhausted(self) -> bool:
        """Whether all that is worth it was asked, answered and learned from."""
        quiet = self._left() <= 0 and self._work is None and not self._judging.standing().waiting
        return (
            quiet
            and self._new() <= 0
            and not self._heard
            and not (self._unweighed() or self._teaches())
            and not (self._guard and self._guard.following and self._checks_left() > 0)
        )

    def asked(self) -> Asked:
        """How many were asked, and why no more."""
        asked, most = self._asked + self._checked, self._plan.quota.most
        standing = self._judging.standing()
        if standing.unasked:
            put = f"{asked - standing.unasked} of at most {most} questions were asked"
            return Asked(f"{put}: the budget allows no more")
        if asked >= most:
            return Asked(f"all {asked} questions that may be asked were asked")
        told = f"{asked} of at most {most} questions were asked"
        if self._left() > 0:
            why = (
                f"{asked} of at most {most} comparisons were asked by the time the policy had "
                "learned: with more --steps, or a larger --first, there is time for more"
            )
            return Asked(f"{told}: the judge was slower than learning", (why,))
        if self._teaches():
            return Asked(f"{told}: learning has come to its last step, and more would teach more")
        if not self._plan.quota.found:
            return Asked(f"{told}: the others were kept for checks, and learning ended before")
        shares = f"{self._doubling.half:.1%} of the others, all of them {self._doubling.whole:.1%}"
        return Asked(f"{told}: half of the answers foretell {shares}, so more would hardly teach")

    @property
    def held_up(self) -> bool:
        """Whether nobody answers, so that what is left would not be asked in time."""
        standing = self._judging.standing()
        return (standing.down or bool(standing.waiting_for)) and self._left() > 0

    def finish(self) -> None:
        """Waits for the answers to what was asked; afterwards nothing is under way."""
        if self._work is not None:
            self._work.result()
        self._judging.wait()
        self._hear()
        if self._guard is not None:
            self._guard.conclude()

    def _finished(self) -> RewardModel | None:
        if self._work is None or not self._work.done():
            return None
        fitted, self._work = self._work.result(), None
        if fitted is None:
            return None
        self._model, self._fit = fitted
        return self._guard.handed(self._model) if self._guard else self._model

    def _begin(self, env_steps: int, visited: Visited, filmed: Collection[Segment] | None) -> None:
        """Starts what is due: checks, and what `_next` says."""
        self._judging.check()
        check = self._next_check(env_steps, visited, filmed)
        other = self._next(env_steps, visited, filmed)
        if check is not None or other is not None:
            self._work = self._thread.submit(self._both, check, other)

    def _both(self, check: Work | None, other: Work | None) -> Fitted | None:
        """First the check: it is foretold by a reward model that has not learned what others said
        since."""
        changed = check() if check is not None else None
        fitted = other() if other is not None else None
        return changed if fitted is None else fitted

    def _next_check(
        self, env_steps: int, visited: Visited, filmed: Collection[Segment] | None
    ) -> Work | None:
        """Weighing what was checked, and checking what the policy is rewarded most for."""
        guard, stage, left = self._guard, self._stage, self._checks_left()
        if guard is None or not guard.wants(stage, env_steps, self._judging.standing(), left):
            return None
        rng, steps = self._rng_of_checks, self._plan.view.steps
        kept: list[list[Segment] | Passages] = []
        if filmed is not None:
            segments = list(filmed)
            kept = [segments[-max(1, round(RECENT * len(segments))) :], segments]
        else:
            shares = ((RECENT,), (1.0,))
            kept = [visited.passages(rng, steps, POOL // 2, share) for share in shares]

        def check() -> Fitted | None:
            def reached() -> Reached:
                (topic,) = topics(self._model, (), self._put_under, 1, 0)
                return Reached(*(self._candidates(some, topic) for some in kept))

            at = Moment(stage, env_steps, left)
            shown = self._shown
            changed = guard.look(self._model, self._fit, at, reached, shown, rng)
            return (self._model, self._fit) if changed else None

        return check

    def _next(
        self, env_steps: int, visited: Visited, filmed: Collection[Segment] | None
    ) -> Work | None:
        """What is due: fitting to new answers, a wave of questions, or a look at whether more of
        them are worth it."""
        standing, learned_from = self._judging.standing(), self._fit.judgments
        new, wave = self._new() + self._heard, self._wave()
        enough = max(wave, round(GROWTH * learned_from))
        room = AHEAD * self._plan.concurrency * self._plan.per_request - standing.waiting
        unexamined = ENOUGH - learned_from
        if unexamined > 0:  # a judge that says nothing is asked no more than it takes to tell
            missing = unexamined - new - standing.waiting
            wave, room, enough = min(wave, missing), min(room, missing), min(enough, unexamined)
        if new and (new >= enough or (not standing.waiting and self._left() <= 0)):
            self._heard = 0
            return self._refit
        if self._left() <= 0 and not standing.waiting and self._unweighed():
            return self._look
        count = min(self._due(env_steps), room)
        if count >= min(wave, self._left()) > 0:
            steps = self._plan.view.steps
            reached = list(filmed) if filmed is not None else visited.passages(self._rng, steps)
            return partial(self._ask, reached, count)
        return None

    def _look(self) -> None:
        """Weighs whether more questions are worth it, by the answers there are."""
        self._weighed, self._doubling = self._fit.judgments, self._weigh()

    def _unweighed(self) -> bool:
        """Whether that is open: more may be asked, and as many answers were never weighed."""
        more = self._most() > self._asked and not self._judging.standing().unasked
        return more and self._weighed != self._fit.judgments

    def _teaches(self) -> bool:
        """Whether twice as many answers would teach more, as these do more than half of them."""
        more = self._most() > self._asked and not self._judging.standing().unasked
        return more and self._doubling.whole - self._doubling.half > TEACHES

    def _new(self) -> int:
        """How many answers came that are not learned from yet."""
        return self._verdicts_before + self._verdicts() - self._learned_from()

    def _verdicts(self) -> int:
        """How many came in this process of which something is learned."""
        beside = self._guard.unlearned if self._guard else 0
        return self._judging.standing().verdicts - beside

    @property
    def _checked(self) -> int:
        """How many judgments checks have taken."""
        return self._guard.asked if self._guard else 0

    def _most(self) -> int:
        """How many questions may be asked beside checks."""
        kept = max(self._guard.reserved, self._guard.asked) if self._guard else 0
        return self._plan.quota.most - kept

    def _checks_left(self) -> int:
        """How many checks there may be yet."""
        if self._judging.standing().unasked:
            return 0
        return self._plan.quota.most - self._asked - self._checked

    def _learned_from(self) -> int:
        """How many answers of judges who are no people have been learned from."""
        return self._fit.judgments - self._fit.beside

    def _wave(self) -> int:
        """How many questions are asked together: whole requests."""
        plan = self._plan
        questions = self._planned() / WAVES
        if self._poor():
            questions = max(questions, HASTE * self._fit.judgments)
        share = math.ceil(questions / plan.per_request)
        return max(1, min(plan.concurrency, share)) * plan.per_request

    def _allowed(self, stage: Stage) -> int:
        """How many questions may have been asked by the end of a stage."""
        if self._poor():
            return self._most()
        return min(self._most(), self._plan.quota.by(stage.number))

    def _planned(self) -> int:
        """How many may be asked in this stage while enough answers are foretold."""
        quota, number = self._plan.quota, self._stage.number
        return max(0, min(self._most(), quota.by(number)) - quota.before(number))

    def _poor(self) -> bool:
        """Whether so few are foretold that a policy would learn from chance, and it is to be found
        out how many questions are worth it."""
        foretold = self._fit.heldout_accuracy
        return self._plan.quota.found and foretold is not None and foretold < POOR

    def _left(self) -> int:
        """How many more questions may be asked in this stage."""
        if self._stage.number and self._judging.standing().unasked:
            return 0  # nothing is left to pay them with
        return self._allowed(self._stage) - self._asked

    def _due(self, env_steps: int) -> int:
        """How many more questions may be asked by now."""
        if self._poor():
            return min(self._wave(), self._left())
        number, begin, end = self._stage
        share = (env_steps - begin) / (end - begin)
        reached = min(1.0, max(0.0, (share - BEGIN) / (END - BEGIN)))
        return self._plan.quota.before(number) + round(reached * self._planned()) - self._asked

    def _ask(self, reached: Passages | list[Segment], count: int) -> None:
        plan = self._plan
        for topic in topics(self._model, plan.goal_stages, self._put_under, count, self._asked):
            chosen = chosen_comparisons(
                self._candidates(reached, topic),
                topic.opinions,
                plan.goal_id,
                self._shown,
                topic.questions,
                self._rng,
                plan.querying,
            )
            self._asked += len(chosen)
            self._shown |= {shown_together(c.first.frames, c.second.frames) for c in chosen}
            self._judging.ask(self._judge, chosen, topic.under)

    def _candidates(self, reached: Passages | list[Segment], topic: Topic) -> Candidates:
        if isinstance(reached, list):
            return Candidates.filmed(reached)
        about = topic.among(reached.observations)
        if self._scene is None:  # a drawing surface belongs to the thread that opened it
            environment = self._plan.environment
            self._scene = open_scene(environment.id, environment.kwargs)
        states = reached.states[about]
        return Candidates.drawn(reached.observations[about], states, self._scene, self._plan.view)
