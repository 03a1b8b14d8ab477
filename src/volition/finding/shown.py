"""Which entries of an observation a frame shows.

A judge cannot have judged what no frame shows, so a reward model that is given it fits noise there.
Where an environment can be set to a state, some are drawn again with one field changed. Elsewhere
frames and observations of the same moments are compared, and an entry is left out only where two
things hold: no frame foretells it, and it says how fast entries change that frames foretell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

import numpy as np
import numpy.typing as npt

from volition.comparison import Floats, Observations, State, observed
from volition.envs.base import Scene
from volition.envs.scene import draw, find_scene, make_env
from volition.errors import EnvironmentUnsupported
from volition.questions.exploring import acting, coarse, explore, farthest
from volition.reward.inputs import inverses
from volition.tasks.task import EnvironmentSection, RewardSection, Task
from volition.tasks.view import JudgeView

KEY = "reward.observations"
STATES = 12  # that are drawn again
EXPLORED = 240  # steps, out of which they are taken where a scene has no ranges
MOVED = 1e-6  # of an entry, in units of 1 or of its size: less is rounding
MOMENTS, APART = 96, 4  # that are filmed elsewhere, and steps from one to the next
LONGEST = 48  # steps of an episode there: many are seen
FOLDS = 4  # of whole episodes
FORETOLD, HARDLY, RATE = 0.5, 0.05, 0.8  # shares of an entry's variance
RIDGES = (0.01, 0.1, 1.0)  # for each moment that the regression learns from
NAMED = 6  # fields at most, in what a person reads
STILL = 1e-6  # an entry that deviates by less is constant

Entries = tuple[int, ...]


def find_shown(task: Task) -> tuple[RewardSection, Mapping[str, str]]:
    """The task's section `reward` with what it leaves open, and how each key was found.

    What the task says itself is left as it is. Where a frame shows everything, or nobody knows, the
    section is left open; where pictures are observed, there is nothing to find.

    Raises:
        EnvironmentUnsupported: The environment is unknown, or cannot be made.
    """
    if task.reward.observations is not None:
        return task.reward, {}
    scene = find_scene(task.environment)
    try:
        found = _hidden(task.environment, scene, task.view)
    except EnvironmentUnsupported as error:  # whoever needs it says so; recordings can do without
        return task.reward, {KEY: f"all, since what a frame shows was not found: {error}"}
    if found is None:
        return task.reward, {}
    hidden, dimension, how = found
    if not hidden:
        return task.reward, {KEY: f"all {dimension}: {how}"}
    shown = tuple(entry for entry in range(dimension) if entry not in hidden)
    reward = task.reward.model_copy(update={"observations": shown})
    return reward, {KEY: f"all {dimension} but {_listed(hidden)}: {how}"}


def _hidden(
    environment: EnvironmentSection, scene: Scene | None, view: JudgeView
) -> tuple[Entries, int, str] | None:
    """The entries that no frame shows, of how many, and how that was found; None of pictures."""
    if view.clip is not None:
        with closing(make_env(environment.id, environment.kwargs)) as env:
            shape = np.shape(observed(env.reset(seed=0)[0]))
        return ((), *shape, "a clip shows how things move, too") if len(shape) == 1 else None
    rng = np.random.default_rng(0)
    if scene is not None:
        states = _states(environment, scene, rng)
        shape = np.shape(scene.observe(states[0]))
        if len(shape) != 1:
            return None
        hidden, fields = hidden_in_scene(scene, view, states)
        how = f"{len(states)} states were drawn again with one field changed, and "
        named = ", ".join(fields[:NAMED]) + (", ..." if len(fields) > NAMED else "")
        how += f"no frame shows {named}" if hidden else "frames show what changed"
        return hidden, *shape, how
    filmed = _filmed(environment, view, rng)
    if filmed is None:
        return None
    hidden = hidden_in_film(*filmed)
    how = f"of {len(filmed[0])} frames filmed on the way "
    how += (
        "none foretells these, which say how fast others change"
        if hidden
        else ("was not seen that any entry shows in none")
    )
    return hidden, filmed[1].shape[-1], how


def _listed(entries: Entries) -> str:
    """Such as `1, 3, 6 to 9`."""
    runs: list[list[int]] = []
    for entry in entries:
        if runs and entry == runs[-1][-1] + 1:
            runs[-1].append(entry)
        else:
            runs.append([entry])
    named = [f"{r[0]} to {r[-1]}" if len(r) > 2 else ", ".join(map(str, r)) for r in runs]
    return ", ".join(named)


# Where a state can be set ------------------------------------------------------------------------


def _states(environment: EnvironmentSection, scene: Scene, rng: np.random.Generator) -> list[State]:
    """Some that lie far from each other."""
    if scene.ranges is None:
        explored = explore(environment, scene, EXPLORED, rng)
        places = farthest(coarse(explored.observations), STATES, rng)
        values = explored.states[places]
    else:
        low, high = np.array([scene.ranges[field] for field in scene.fields]).T
        values = rng.uniform(low, high, (STATES, len(low)))
    return [dict(zip(scene.fields, row, strict=True)) for row in values.tolist()]


def hidden_in_scene(
    scene: Scene, view: JudgeView, states: Sequence[State]
) -> tuple[Entries, tuple[str, ...]]:
    """The entries that change only with fields which no frame shows, and those fields.

    An entry that changes with no field is not among them, since nobody knows what it says.
    """
    seen = np.stack([scene.observe(state) for state in states])
    tolerance = MOVED * np.maximum(1.0, np.abs(seen))
    changed = [dict(state) for state in [*states[1:], states[0]]]
    moves = {}
    for field in scene.fields:
        others = [{**s, field: c[field]} for s, c in zip(states, changed, strict=True)]
        now = np.stack([scene.observe(state) for state in others])
        moves[field] = (np.abs(now - seen) > tolerance).any(0)
    unseen = [field for field in scene.fields if moves[field].any()]
    for state, other in zip(states, changed, strict=True):
        shown = _shown_fields(scene, view, state, other, unseen)
        unseen = [field for field in unseen if field not in shown]
    by_hidden = np.any([moves[field] for field in unseen], 0) if unseen else np.zeros(1, bool)
    visible = [moves[field] for field in scene.fields if field not in unseen]
    by_shown = np.any(visible, 0) if visible else np.zeros(1, bool)
    if not by_shown.any():  # a view that shows nothing is another trouble
        return (), ()
    return tuple(np.flatnonzero(by_hidden & ~by_shown).tolist()), tuple(unseen)


def _shown_fields(
    scene: Scene, view: JudgeView, state: State, other: State, fields: list[str]
) -> list[str]:
    """Those of the fields that look different where they are as in the other state.

    They are changed together, and halved where that shows: hardly any drawing is needed where most
    show nothing.
    """
    if not fields:
        return []
    plain = view.frame(scene.draw(state)).pixels
    shown: list[str] = []
    together = [fields]
    while together:
        some = together.pop()
        changed = {**state, **{field: other[field] for field in some}}
        if np.array_equal(plain, view.frame(scene.draw(changed)).pixels):
            continue
        if len(some) == 1:
            shown += some
        else:
            together += [some[: len(some) // 2], some[len(some) // 2 :]]
    return shown


# Elsewhere ---------------------------------------------------------------------------------------


def _filmed(
    environment: EnvironmentSection, view: JudgeView, rng: np.random.Generator
) -> tuple[Floats, Observations, Observations, npt.NDArray[np.int64]] | None:
    """Frames as `coarse` has them (moments, ...), what is observed then and a step before (moments,
    obs_dim), and the number of each moment's episode. None where pictures are observed."""
    looks, now, before, episodes = [], [], [], []
    made = make_env(environment.id, environment.kwargs, render_mode="rgb_array")
    with closing(made) as env:
        env.action_space.seed(int(rng.integers(2**31)))
        for step, (last, observation, episode) in enumerate(_followed(env, rng)):
            if observation.ndim != 1:
                return None
            if last is not None and step % APART == 0:
                looks.append(coarse(view.frame(draw(env)).pixels))
                now.append(observation)
                before.append(last)
                episodes.append(episode)
                if len(looks) == MOMENTS:
                    break
    if not looks:
        return None
    return np.stack(looks), np.stack(now), np.stack(before), np.array(episodes)


def _followed(
    env: object, rng: np.random.Generator
) -> Iterator[tuple[Observations | None, Observations, int]]:
    """What was observed a step before, what is now, and the number of the episode."""
    last, episode = None, -1
    for observation, started in acting(env, 2 * MOMENTS * APART, rng, LONGEST):
        episode += started
        now = observed(observation).copy()
        yield None if started else last, now, episode
        last = now


def hidden_in_film(
    looks: Floats, now: Observations, before: Observations, episodes: npt.NDArray[np.int64]
) -> Entries:
    """The entries which no frame foretells, and which say how fast others change that frames do.

    Foretold is by ridge regression, in episodes that it did not learn from: what frames do not
    foretell may still be seen by whoever knows what to look for, so that alone is not enough.

    Args:
        looks: Frames as `coarse` has them (moments, ...).
        now: What is observed at these moments (moments, obs_dim).
        before: A step before.
        episodes: The number of each moment's episode (moments,).
    """
    now, before = now.astype(np.float64), before.astype(np.float64)  # squares of large numbers
    folds = np.unique(episodes, return_inverse=True)[1] % FOLDS
    if len(np.unique(folds)) < FOLDS:
        return ()
    by_frame = _foretold(looks.reshape(len(looks), -1), now, folds)
    told = by_frame >= FORETOLD
    if not told.any():
        return ()
    by_change = _foretold((now - before)[:, told], now, folds)
    varies = now.std(0) > STILL
    return tuple(np.flatnonzero(varies & (by_frame <= HARDLY) & (by_change >= RATE)).tolist())


def _foretold(features: Floats, targets: Floats, folds: npt.NDArray[np.int64]) -> Floats:
    """Of each target's variance, the share that is foretold from the features, by the ridge that
    does so best: (targets,)."""
    x, y = _standard(features), _standard(targets)
    alike = np.einsum("af,bf->ab", x, x) / x.shape[1]
    best = np.full(y.shape[1], -np.inf)
    for ridge in RIDGES:
        error = np.zeros_like(y)
        for fold in np.unique(folds):
            out, rest = folds == fold, folds != fold
            middle = y[rest].mean(0)
            damped = alike[np.ix_(rest, rest)] + ridge * np.eye(rest.sum(), dtype=np.float32)
            weights = inverses(damped[None])[0] @ (y[rest] - middle)
            error[out] = y[out] - middle - alike[np.ix_(out, rest)] @ weights
        best = np.maximum(best, 1.0 - np.square(error).mean(0) / np.maximum(y.var(0), STILL))
    return best


def _standard(rows: Floats) -> Floats:
    deviation = rows.std(0, np.float64)
    standard = (rows - rows.mean(0)) / np.where(deviation > STILL, deviation, np.inf)
    return np.asarray(standard, np.float32)
