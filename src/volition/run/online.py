"""Judging beside learning: what is asked next, what has come back, the reward model of now.

The learner's thread calls `Inquiry.turn` now and then and never waits: questions are chosen and
drawn, and the reward model is fitted, on a thread of their own, while requests are under way on the
judging thread. Questions are spread over the first part of the run, in waves; where the judge is
slow fewer are asked, and no step is taken later. A judge that answers at once, as a simulated one
may, is waited for, so that such a run can be repeated exactly.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from volition.comparison import Segment
from volition.envs.base import Scene
from volition.envs.scene import open_scene
from volition.learners.visited import Passages, Visited
from volition.questions.candidates import Candidates, choose
from volition.reward.examining import ENOUGH
from volition.reward.learning import learn_reward
from volition.reward.model import RewardModel
from volition.run.live import Asking
from volition.run.progress import Progress

BEGIN, END = 0.05, 0.7  # of the steps, between which questions are asked: answers must have time
WAVES = 8  # of questions at least, so that answers to the earlier ones guide the later
GROWTH = 0.1  # of the judgments, at least, before the reward model is fitted to them anew
AHEAD = 2  # times as many questions as can be under way may be, before no more is asked


@dataclass(frozen=True, slots=True)
class Learned:
    """A reward model, how many verdicts it was fitted to, and its held-out accuracy."""

    model: RewardModel
    verdicts: int
    heldout_accuracy: float


class Inquiry:
    """What a run asks its live judge while its policy learns. A context manager.

    Args:
        asking: The run's live judge. It has answered enough to fit a reward model.
    """

    def __init__(self, asking: Asking) -> None:
        self._folder, self._live = asking.folder, asking.live
        self._judging, self._judge = asking.judging, asking.judge
        with self._folder.open_store() as store:
            goal = self._folder.task.stated_goal()
            self._goal_id, self._put_under = store.add_goal(goal), goal.put_under
            self._asked = set(store.comparison_ids())
        self._first = len(self._asked)
        self._patient = self._judge.immediate
        self._rng = np.random.default_rng([self._folder.settings.seed, self._first])
        self._thread = ThreadPoolExecutor(1, "inquiry")
        self._work: Future[Learned | None] | None = None
        self._scene: Scene | None = None
        self.learned = self._refit()
        self._verdicts_before = self.learned.verdicts - self._judging.standing().verdicts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def turn(
        self, env_steps: int, visited: Visited, filmed: Collection[Segment] | None = None
    ) -> RewardModel | None:
        """Looks at what has come back, and asks or fits if it is time to.

        Args:
            env_steps: Taken so far.
            visited: What the policy has visited.
            filmed: What was filmed of it, where states cannot be drawn later.

        Returns:
            A new reward model, if there is one.

        Raises:
            JudgeUnavailable: The judge cannot be asked any more. What it answered is stored.
        """
        found = self._finished()
        if self._work is None:
            self._begin(env_steps, visited, filmed)
        if self._patient and self._work is not None:
            self._work.result()
            self._judging.wait()
            if (later := self._finished()) is not None:
                return later.model
        return found.model if found else None

    def told(self, progress: Progress) -> Progress:
        """The same with what is known of judging now."""
        standing = self._judging.standing()
        return replace(
            progress,
            judgments=self._verdicts_before + standing.verdicts,
            cost_usd=standing.spent_usd,
            heldout_accuracy=self.learned.heldout_accuracy,
        )

    def finish(self) -> None:
        """Waits for the answers to what was asked; afterwards nothing is under way."""
        if self._work is not None:
            self._work.result()
        self._judging.wait()

    def _finished(self) -> Learned | None:
        if self._work is None or not self._work.done():
            return None
        found, self._work = self._work.result(), None
        if found is not None:
            self.learned = found
        return found

    def _begin(self, env_steps: int, visited: Visited, filmed: Collection[Segment] | None) -> None:
        """Starts what is due: fitting to new answers, or a wave of questions."""
        self._judging.check()
        standing = self._judging.standing()
        new = self._verdicts_before + standing.verdicts - self.learned.verdicts
        wave = self._wave()
        enough = max(wave, round(GROWTH * self.learned.verdicts))
        room = AHEAD * self._live.concurrency * self._live.per_request - standing.waiting
        unexamined = ENOUGH - self.learned.verdicts
        if unexamined > 0:  # a judge that says nothing is asked no more than it takes to tell
            missing = unexamined - new - standing.waiting
            wave, room, enough = min(wave, missing), min(room, missing), min(enough, unexamined)
        if new and (new >= enough or (not standing.waiting and not self._left())):
            self._work = self._thread.submit(self._refit)
            return
        count = min(self._due(env_steps), room)
        if count >= min(wave, self._left()) > 0:
            steps = self._folder.task.view.steps
            reached = list(filmed) if filmed is not None else visited.passages(self._rng, steps)
            self._work = self._thread.submit(self._ask, reached, count)

    def _wave(self) -> int:
        """How many questions are asked together: whole requests."""
        live = self._live
        share = -(-(live.max_judgments - self._first) // (WAVES * live.per_request))
        return max(1, min(live.concurrency, share)) * live.per_request

    def _left(self) -> int:
        """How many more questions may be asked in all."""
        return self._live.max_judgments - len(self._asked)

    def _due(self, env_steps: int) -> int:
        """How many more questions may be asked by now."""
        share = env_steps / self._folder.settings.steps
        reached = min(1.0, max(0.0, (share - BEGIN) / (END - BEGIN)))
        left = max(0, self._live.max_judgments - self._first)
        return self._first + round(reached * left) - len(self._asked)

    def _ask(self, reached: Passages | list[Segment], count: int) -> None:
        chosen = choose(
            self._candidates(reached),
            self.learned.model,
            self._goal_id,
            self._asked,
            count,
            self._rng,
            self._live.querying,
        )
        self._asked |= {comparison.id for comparison in chosen}
        self._judging.ask(self._judge, chosen, self._put_under)

    def _candidates(self, reached: Passages | list[Segment]) -> Candidates:
        if isinstance(reached, list):
            return Candidates.filmed(reached)
        task = self._folder.task
        if self._scene is None:  # a drawing surface belongs to the thread that opened it
            self._scene = open_scene(task.environment.id, task.environment.kwargs)
        return Candidates.drawn(reached, self._scene, task.view)

    def _refit(self) -> Learned:
        with self._folder.open_store() as store:
            known: dict[str, Any] = learn_reward(self._folder, store)
        model = RewardModel.load(self._folder.reward_model)
        return Learned(model, known["judgments"], known["heldout"]["share"])
