"""A policy learned in sessions: each starts from reset environments and ends with a checkpoint.

The seed of a session's reset depends on its number alone, so a run that is killed and resumed goes
through the same states as one that was never interrupted, whatever the environment keeps inside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from volition import learners
from volition.comparison import Segment
from volition.envs.scene import find_scene
from volition.errors import Interrupted
from volition.finding.horizon import Stage, Stages
from volition.learners.base import Learner, Policy, RewardFunction, Transitions
from volition.learners.checkpoint import Checkpoint, Kept
from volition.learners.rollout import Rollout, Step, Watch
from volition.learners.visited import Visited
from volition.questions.filming import Filming
from volition.reward.model import RewardModel, opinions
from volition.reward.stages import Staging, unfitted
from volition.run.evaluation import LITTLE, Trial, Trials, abreast, doing_badly, scored_together
from volition.run.interrupting import PAUSED, Helm, noted
from volition.run.results import Listener, Progress, Session
from volition.storage.tracking.trackers import Tracker
from volition.tasks.task import EnvironmentSection, RewardSection, TrainingSection
from volition.tasks.view import JudgeView

TICK_S = 0.2  # between two signs of life
MIN_SESSION_STEPS = 200  # of every environment
LONGEST_EPISODE = 1000  # a session holds whole episodes, unless they are longer than this
TICK = 50  # steps between two signs of life
LEAST_SESSIONS = 10  # of the first stage
TRIED = 20  # sessions of a stage at most whose policy is tried: in a long one one in every few
UNTRIED = 4  # the first of so many parts, in which no policy is tried: nothing ends there
RISES = 0.02  # of the way from untrained to best: a trial that is nearer to the best is as good
ALIKE = 0.005  # likewise, of two of which the later is kept
PATIENCE = 2  # sessions at least without a better trial, before it is enough


class Position(NamedTuple):
    """Where learning is, as arrays only: a checkpoint is the leaves of this tree."""

    state: Any  # the learner's
    actions: jax.Array  # to take next
    visited: Visited


class StateReward(eqx.Module):
    """The reward of a transition: what the reward model says of the state it leads to."""

    model: RewardModel

    def __call__(self, transitions: Transitions) -> jax.Array:
        return self.model(jnp.asarray(transitions.next_observation))

    def relabelled(self, transitions: Transitions) -> Transitions:
        """Of a goal in stages, half of them as they would have been in any other stage, and all
        moving on as the model of now says.

        The environment does not know of stages, so every step teaches all of them (counterfactual
        experiences for reward machines: Toro Icarte et al., arXiv:2010.03950, section 3.3).
        """
        if not self.model.stages:
            return transitions
        entries, rows = len(self.model.stages) + 1, len(transitions.terminated)
        seen = jnp.asarray(transitions.observation)
        other = jax.nn.one_hot(jnp.arange(rows) // 2 % entries, entries)
        as_stored = (jnp.arange(rows) % 2 == 0)[:, None]
        stage = jnp.where(as_stored, seen[:, -entries:], other)
        before = jnp.concatenate([seen[:, :-entries], stage], -1)
        reached = jnp.asarray(transitions.next_observation)[:, :-entries]
        after = self.model.moved_on(jnp.concatenate([reached, stage], -1))
        return transitions._replace(observation=before, next_observation=after)

    @classmethod
    def over(cls, model: RewardModel, visited: Visited) -> StateReward:
        """The model normalised over what was visited; before that, over the judged states."""
        observations = visited.flat()
        return cls(model.normalised(observations) if len(observations) else model)


@dataclass(frozen=True, slots=True)
class Setup:
    """Who learns where: all that environments and learner are made from.

    Attributes:
        environment: Where.
        training: The learner, and how far ahead it looks.
        steps: Environment steps at most.
        seed: Of everything random.
        envs: Environments side by side.
        moves: Whether clips are judged, since the goal is how something moves.
        further: As of `Stages`, where a run is corrected.
        goal_stages: Of the goal; 0 where it has none.
        renewed: Whether the last correction is learned anew from all that was visited.
    """

    environment: EnvironmentSection
    training: TrainingSection
    steps: int
    seed: int
    envs: int = 4
    moves: bool = False
    further: tuple[tuple[int, int], ...] = ()
    goal_stages: int = 0
    renewed: bool = False

    def learner(self, rollout: Rollout) -> Learner[Any]:
        """The learner for the spaces of these environments.

        Raises:
            EnvironmentUnsupported: It cannot act there.
        """
        return learners.make(
            self.training.algorithm,
            rollout.observation_space,
            rollout.action_space,
            self.envs,
            gamma=self.training.gamma,
        )

    def rollout(self, filming: Filming | None = None, staging: Staging | None = None) -> Rollout:
        """The environments, whose states are told where they can be, and filmed elsewhere."""
        scene = find_scene(self.environment)
        if scene is not None:
            watch: Watch = lambda env, *_: scene.capture(env)  # noqa: E731
            return Rollout(self.environment, self.envs, watch, staging=staging)
        if filming is None:
            return Rollout(self.environment, self.envs, staging=staging)
        return Rollout(self.environment, self.envs, filming, "rgb_array", staging)

    def start(self, rollout: Rollout, learner: Learner[Any], steps: int) -> Position:
        """Where learning begins that takes so many steps, unless it is prolonged."""
        state, actions = learner.start(self.seed, steps)
        visited = Visited.empty(rollout.reset(0), rollout.fields, self.steps)
        return Position(state, actions, visited)

    def session_steps(self, rollout: Rollout) -> int:
        """Steps of every environment in one session, of which there is one at least."""
        return min(session_steps(rollout.episode_limit), -(-self.steps // self.envs))

    def sessions(self, rollout: Rollout) -> int:
        """How many there are at most."""
        return -(-self.steps // (self.session_steps(rollout) * self.envs))

    def stages(self, rollout: Rollout, learner: Learner[Any]) -> Stages:
        """The parts that learning has."""
        session = self.session_steps(rollout) * self.envs
        first = max(learner.first_steps, LEAST_SESSIONS * session)
        return Stages(min(first, self.steps), self.steps, session, self.further)

    def filming(self, view: JudgeView) -> Filming:
        """Films the environments; every stage says how much of it."""
        return Filming(view, 1.0, np.random.default_rng(self.seed))


class Companion(Protocol):
    """What goes on beside learning: it is told how far that is, and may bring a new reward."""

    def turn(
        self, env_steps: int, stage: Stage, visited: Visited, filmed: Collection[Segment] | None
    ) -> RewardModel | None:
        """Looks after what is under way; returns a new reward model, if there is one."""
        ...

    def report(self, progress: Progress) -> Progress:
        """The same with what it knows itself."""
        ...

    def questions(self, stage: Stage) -> int:
        """How many questions it may ask in a stage, at most."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether it has nothing more to bring, however long learning goes on."""
        ...

    @property
    def stopping(self) -> str:
        """Why learning is to stop; empty where it is to go on."""
        ...

    @property
    def held_up(self) -> bool:
        """Whether learning would run away from it, since nobody answers it."""
        ...


class Learned(NamedTuple):
    """What has come of learning.

    Attributes:
        policy: The best by the learned reward that was seen.
        kept_steps: Environment steps after which it was.
        history: What every session measured.
        ended: Why learning ended when it did.
    """

    policy: Policy
    kept_steps: int
    history: list[Session]
    ended: str


def learn_policy(
    setup: Setup,
    model: RewardModel,
    checkpoint: Checkpoint,
    curves: Callable[[int | None], Tracker],
    progress: Progress,
    listener: Listener,
    companion: Companion | None = None,
    filming: Filming | None = None,
    helm: Helm | None = None,
) -> Learned:
    """Learns from the last checkpoint on, until the learned reward no longer rises.

    After each session the policy is tried, without exploring. The best one is kept, beside the
    checkpoint of the last session; see `settled` for when it is enough.

    Args:
        setup: Who learns where.
        model: The reward model, the only signal.
        checkpoint: Where to go on, and what is left.
        curves: Opens what the sessions' numbers are told; it is given the last step that is done.
        progress: What the listener knows already.
        listener: Is told how far this is.
        companion: What goes on meanwhile.
        filming: Films the environments, where their states cannot be told.
        helm: What a person wants of it.

    Raises:
        Interrupted: Ctrl-C was pressed, or a person wants it to stop; a checkpoint has been
            written.
        JudgeUnavailable: The judge cannot be asked any more.
    """
    staging, helm = Staging.of(model), helm or Helm()
    with (
        closing(setup.rollout(filming, staging)) as rollout,
        Trials(setup.environment, staging) as trials,
    ):
        sessions = _Sessions(setup, rollout, trials, model, checkpoint, companion, filming)
        done = sessions.history[-1].env_steps if sessions.history else None
        with noted(helm.stops) as pressed, closing(curves(done)) as drawn:
            while not sessions.finished():
                session = sessions.run_one(progress, listener)
                why = companion.stopping if companion else ""
                held = pressed.is_set() or helm.pauses() or bool(why)
                sessions.save(at_once=sessions.finished() or held)
                drawn.add(session.scalars, session.env_steps)
                progress = replace(
                    companion.report(progress) if companion else progress,
                    env_steps=session.env_steps,
                    total_steps=sessions.stage.end,
                    updates_per_s=session.updates_per_s,
                    learned_return=session.learned_return,
                    true_return=session.true_return,
                )
                listener(progress)
                _wait_for(companion, pressed.is_set, progress, listener)
                _wait(helm, lambda: pressed.is_set() or sessions.finished(), progress, listener)
                if (pressed.is_set() or why) and not sessions.finished():
                    raise _stopped(session, why)
        return sessions.learned()


def _stopped(session: Session, why: str) -> Interrupted:
    return Interrupted(f"stopped after {session.env_steps} steps; {why or 'nothing is lost'}")


def _wait_for(
    companion: Companion | None, ends: Callable[[], bool], progress: Progress, listener: Listener
) -> None:
    """As long as it holds learning up."""
    while companion and companion.held_up and not ends():
        time.sleep(TICK_S)
        listener(companion.report(progress))


def _wait(helm: Helm, ends: Callable[[], bool], progress: Progress, listener: Listener) -> None:
    """As long as a person has it pause."""
    while helm.pauses() and not ends():
        listener(replace(progress, waiting_for=PAUSED))
        time.sleep(TICK_S)


def settled(history: Sequence[Session], total: int, moves: bool = False) -> bool:
    """Whether the learned reward no longer rises, in no episode that was tried.

    It is asked from half of the `total` sessions on that there are by the end of this stage, and so
    long after the best trial as a quarter of them takes. Of what moves it is asked at the end: the
    learned reward stops rising before the movement is what was meant. A policy that does badly from
    some starts, or is hardly better than the judged states are on average, is learned on.
    """
    tried = {
        number: Trial(session.trial_reward, session.trial_worst or 0.0)
        for number, session in enumerate(history, start=1)
        if session.trial_reward is not None
    }
    untrained = history[0].untrained_reward if history else None
    if untrained is None or not tried or (1 if moves else 2) * len(history) < total:
        return False
    best = max(tried.values(), key=lambda trial: trial.mean)
    if best.mean < LITTLE or not best.mean > untrained:
        return False
    enough = best.mean - RISES * (best.mean - untrained)
    reached = next(number for number, trial in tried.items() if trial.mean >= enough)
    if len(history) - reached < max(PATIENCE, total // 4):
        return False
    return not doing_badly([best.worst, best.mean, best.mean], untrained).any()


class _Sessions:
    """The sessions of a run, from its last checkpoint on."""

    def __init__(
        self,
        setup: Setup,
        rollout: Rollout,
        trials: Trials,
        model: RewardModel,
        checkpoint: Checkpoint,
        companion: Companion | None,
        filming: Filming | None,
    ) -> None:
        self._setup, self._rollout, self._companion = setup, rollout, companion
        self._model = self._judged = self._tried_by = model
        self._trials = trials
        self._learner = setup.learner(rollout)
        self._stages = setup.stages(rollout, self._learner)
        self._checkpoint = checkpoint
        scalars = checkpoint.history() if checkpoint.exists else []
        self.history: list[Session] = [Session.of(values) for values in scalars]
        self._position = setup.start(rollout, self._learner, self.stage.end)
        if checkpoint.exists:
            self._position = checkpoint.load(self._position)
        self._kept = checkpoint.load_kept(self.done)
        self._untrained, self._uncorrected = self._measured_first()
        self._best = self._best_before()
        fields = self._position.visited.states.shape[-1]
        self._filming = filming
        self._filmed = filming.kept if filming and not fields else None
        self._steps = setup.session_steps(rollout)

    def _measured_first(self) -> tuple[float | None, float | None]:
        """What the reward model says of a policy that has learned nothing and, where the run was
        corrected, of the one that it had before: measured as learning begins, or begins anew."""
        if self._since:
            return self._since[0].untrained_reward, self._since[0].uncorrected_reward
        state, _ = self._learner.start(self._setup.seed, self.stage.end)
        untrained = self._trials(self._learner.policy(state), self._model).mean
        if not self.done or self._kept is None:
            return untrained, None
        return untrained, self._trials(self._kept.policy, self._model).mean

    @property
    def done(self) -> int:
        return len(self.history)

    @property
    def _since(self) -> list[Session]:
        """The sessions since the last correction; all of them where there was none."""
        return self.history[self._stages.anew :]

    @property
    def stage(self) -> Stage:
        """That of the last session; the first one before there is any."""
        return self._stages.of(max(1, self.done))

    def finished(self) -> bool:
        if self.done >= self._stages.sessions(self._stages.last):
            return True
        waits = self._companion is not None and not self._companion.exhausted
        total = self._stages.sessions(self.stage.end) - self._stages.anew
        return not waits and settled(self._since, total, self._setup.moves)

    def run_one(self, progress: Progress, listener: Listener) -> Session:
        """The next session; returns what it measured."""
        envs, companion = self._rollout.envs, self._companion
        before = self.done * self._steps * envs
        stage = self._enter(self._stages.of(self.done + 1))

        def tick(taken: int) -> RewardFunction | None:
            steps, visited = before + taken * envs, self._position.visited
            model = companion.turn(steps, stage, visited, self._filmed) if companion else None
            now = companion.report(progress) if companion else progress
            listener(replace(now, env_steps=steps, total_steps=stage.end))
            if model is None:
                return None
            self._model = model
            self._rollout.staging = Staging.of(model)
            return StateReward.over(model, visited)

        reward = StateReward.over(self._model, self._position.visited)
        seeds = session_seeds(self._setup.seed, self.done)
        self._position, taken, speed = run_session(
            self._rollout, self._learner, reward, self._position, seeds, self._steps, tick
        )
        learned_return, true_return = _returns(self._judged, taken)
        trial = self._try(self.done + 1) if self._is_due(stage) else None
        told = companion.report(progress) if companion else None
        session = Session(
            before + self._steps * envs,
            speed.updates_per_s,
            learned_return,
            true_return,
            trial.mean if trial else None,
            trial.worst if trial else None,
            self._untrained,
            told.judgments if told else None,
            speed.metrics,
            self._uncorrected,
            told.evidence if told else None,
            len(told.alarms) if told and told.evidence is not None else None,
        )
        self.history.append(session)
        return session

    def _enter(self, stage: Stage) -> Stage:
        """Goes on in this stage, for which learning is prolonged where it is a new one."""
        if stage != self.stage:
            state = self._learner.prolong(self._position.state, stage.end)
            if self._setup.renewed and self._setup.further[-1][0] == stage.begin:
                state = self._learner.renewed(state, self._setup.seed + stage.begin)
            self._position = self._position._replace(state=state)
        if self._filming:
            asked = self._companion.questions(stage) if self._companion else 0
            self._filming.spread_over(stage.begin, stage.end, asked)
        return stage

    def _is_due(self, stage: Stage) -> bool:
        """Whether the policy is tried at the end of the session under way."""
        done, total = len(self._since), self._stages.sessions(stage.end) - self._stages.anew
        due = done % -(-total // TRIED) == 0 and done >= total // UNTRIED
        return due or done + 1 == total

    def _best_before(self) -> float | None:
        """The best trial up to the checkpoint, by the reward model of now."""
        if self._companion is not None:
            return self._trials(self._kept.policy, self._model).mean if self._kept else None
        tried = [s.trial_reward for s in self._since if s.trial_reward is not None]
        before = [] if self._uncorrected is None else [self._uncorrected]
        return max([*tried, *before], default=None)

    def _try(self, number: int) -> Trial:
        """Tries the policy of now, and keeps it if none was better by the reward model of now."""
        policy = self._learner.policy(self._position.state)
        trial = self._trials(policy, self._model)
        if self._kept and self._tried_by is not self._model:
            self._best = self._trials(self._kept.policy, self._model).mean
        self._tried_by = self._model
        if self._best is None or not self._is_worse(trial.mean, self._best):
            self._best = trial.mean if self._best is None else max(trial.mean, self._best)
            self._kept = Kept(policy, number)
            self._checkpoint.save_kept(self._kept)
        return trial

    def _is_worse(self, value: float, best: float) -> bool:
        """By more than makes no difference: of two that are as good the later is kept."""
        untrained = best if self._untrained is None else self._untrained
        return value < best - ALIKE * max(0.0, best - untrained)

    def learned(self) -> Learned:
        """The policy that is kept, and all that was measured."""
        kept = self._kept or Kept(self._learner.policy(self._position.state), self.done)
        taken, most = self.history[-1].env_steps, self._stages.last
        ended = f"the learned reward no longer rose after {taken:,} of at most {most:,} steps"
        if self.done >= self._stages.sessions(most):
            ended = f"all {taken:,} steps that learning may take were taken"
        steps = self.history[kept.session - 1].env_steps
        return Learned(kept.policy, steps, self.history, ended)

    def save(self, at_once: bool) -> None:
        scalars = [session.scalars for session in self.history]
        self._checkpoint.save(self._position, scalars, at_once)


def practise(setup: Setup, section: RewardSection, vetoes: int) -> None:
    """Gets the programs of learning and of evaluation ready by using them; nothing of it is kept.

    They depend on shapes alone, so a reward model that knows nothing will do.

    Args:
        setup: Who will learn where.
        section: What the reward model is given.
        vetoes: How many cap it.
    """
    with closing(Rollout(setup.environment, 1)) as one:
        plain = setup.learner(one).observation_shape
    blank = unfitted(section, plain, setup.goal_stages)
    with closing(setup.rollout(staging=Staging.of(blank))) as rollout:
        learner = setup.learner(rollout)
        shape, model = learner.observation_shape, blank.capped_by([None] * vetoes)
        reward = StateReward(model)
        state, actions, _ = setup.start(rollout, learner, setup.stages(rollout, learner).first)
        rollout.reset(0)
        step = rollout.step(np.asarray(actions))
        # The same step again and again: the programs are the same, and environments may be slow.
        for _ in range(learner.learns_every + 1):
            state, _, _ = learner.iterate(state, step.transitions, step.observations, reward)
    rows, dtype = abreast(shape), step.observations.dtype
    learner.policy(state)(np.zeros((rows, *shape), dtype))
    model(np.zeros((rows * scored_together(shape), *shape), dtype))


class Speed(NamedTuple):
    """How fast a learner was, and what it says of itself at the end."""

    updates_per_s: float
    metrics: dict[str, float]


def run_session(
    rollout: Rollout,
    learner: Learner[Any],
    reward: RewardFunction,
    position: Position,
    seeds: tuple[int, int],
    steps: int,
    tick: Callable[[int], RewardFunction | None] = lambda _: None,
) -> tuple[Position, list[Step], Speed]:
    """Steps the environments `steps` times, learning after each.

    Args:
        rollout: The environments.
        learner: Updates the policy after every vector step.
        reward: The learner's only signal.
        position: Where the last session ended. What is visited is added to it.
        seeds: The resets of this session and of the next, for whose first observations the last
            actions are chosen.
        steps: Of every environment.
        tick: Is told how many have been taken, now and then; may give a new reward function.

    Returns:
        Where this session ended, its steps, and the learner's speed.
    """
    state, actions, visited = position
    rollout.reset(seeds[0])
    taken: list[Step] = []
    started = time.perf_counter()
    for number in range(1, steps + 1):
        step = rollout.step(np.asarray(actions))
        following = step.observations if number < steps else rollout.reset(seeds[1])
        state, actions, metrics = learner.iterate(state, step.transitions, following, reward)
        visited.add(step)
        taken.append(step)
        if number % TICK == 0:
            later = tick(number)
            reward = reward if later is None else later
    actions.block_until_ready()
    seconds = time.perf_counter() - started
    speed = steps * learner.updates_per_iteration / seconds
    measured = {name: float(value) for name, value in metrics.items()}
    return Position(state, actions, visited), taken, Speed(speed, measured)


def session_steps(episode_limit: int | None) -> int:
    """How many steps of every environment a session has: whole episodes where they are short."""
    if episode_limit is None or episode_limit > LONGEST_EPISODE:
        return LONGEST_EPISODE
    return episode_limit * -(-MIN_SESSION_STEPS // episode_limit)


def session_seeds(seed: int, number: int) -> tuple[int, int]:
    """The seeds from which the environments are reset: of a session, and of the one after it."""
    first, second = (
        int(np.random.SeedSequence([seed, place]).generate_state(1)[0])
        for place in (number, number + 1)
    )
    return first, second


def _returns(model: RewardModel, steps: Sequence[Step]) -> tuple[float, float]:
    """Mean learned and true returns of the episodes that ended; NaN where none did."""
    reached = np.concatenate([step.transitions.next_observation for step in steps])
    rewards = opinions(model, reached[:, None])[1].reshape(len(steps), -1)  # (steps, envs)
    learned, true = [], []
    running = np.zeros(rewards.shape[1])
    for step, reward in zip(steps, rewards, strict=True):
        running = running + reward
        learned += running[step.ended].tolist()
        true += step.true_returns[step.ended].tolist()
        running[step.ended] = 0.0
    if not learned:
        return float("nan"), float("nan")
    return float(np.mean(learned)), float(np.mean(true))
