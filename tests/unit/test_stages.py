"""Goals in stages: said, judged, learned, and moved on in."""

from __future__ import annotations

from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from volition.comparison import Comparison, Frame, Segment
from volition.drafting.draft import DraftedStage
from volition.drafting.reply import read_reply
from volition.drafting.strict import Unreadable
from volition.envs.own.welcome import SPOILT, Welcome
from volition.errors import EnvironmentUnsupported, InputError
from volition.goal import MOST_STAGES, Goal, GoalStage, Principle
from volition.judges.base import Question
from volition.judges.error_models import Asking, Chance, Truthful
from volition.judges.prompt import Brief, compose
from volition.judging.folders import put_under
from volition.judgment import JudgeIdentity, Judgment, Order, Reply, Verdict
from volition.learners.base import Transitions, relabelled
from volition.learners.learned_reward import LearnedReward
from volition.learners.rollout import Rollout
from volition.reward.calibration import best_threshold
from volition.reward.learning import Judged, Recipe, RewardFit
from volition.reward.model import RewardModel
from volition.reward.preferences import Labels
from volition.reward.stages import Staging, check_observed, learn, topics
from volition.run.sessions import StateReward
from volition.tasks.task import EnvironmentSection, RewardSection, Task
from volition.tasks.truth import truth_of
from volition.tasks.truth.welcome import done_in_turn

STAGES = (GoalStage("to the right", "it is far right"), GoalStage("up", "it is far up"))
TASK = 'name = "t"\nenvironment = { id = "Pendulum-v1" }\n[goal]\ntext = "g"\n'
FAR = 0.5  # from where on a stage is done, in an entry of its own


# What is said --------------------------------------------------------------------------------


def test_each_stage_is_asked_about_by_itself_and_whether_it_is_done() -> None:
    goal = Goal("first right, then up", stages=STAGES)
    assert goal.put_under == (
        Principle("to the right", asks="stage"),
        Principle("done: it is far right", asks="done"),
        Principle("up", asks="stage"),
        Principle("done: it is far up", asks="done"),
    )
    assert goal.put_under_after(()) == goal.put_under
    alone = Goal("g", vetoes=["v"], stages=STAGES)
    assert alone.put_under.count(Principle("v", veto=True)) * 3 == len(alone.put_under)
    assert GoalStage(" a ").done == "a"
    assert Goal("g", stages=["a", ("b", "c")]).stages == (GoalStage("a"), GoalStage("b", "c"))
    dealt = put_under(8, goal)
    assert dealt == [principle for principle in goal.put_under for _ in range(2)]


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        (
            [f"s{number}" for number in range(1000)],
            f"2 to {MOST_STAGES} stages, and 1000 are given",
        ),
        (["a"], "2 to 12 stages, and 1 are given"),
        (["a", " "], r":7: goal.stages.1: a stage needs words"),
        (["a", ""], r":8: goal.stages.1.text: String should have at least 1 character"),
        (["a", "a"], "two stages say the same, 'a'"),
        (["a", "done: b"], "a stage's text begins with 'done:'"),
        (["a", "b" * 301], "a stage has 301 characters, and may have 300: 'bbbb"),
        (["a", "b\\u202e"], r"one line of text, and holds U\+202E"),
    ],
)
def test_stages_that_cannot_be(tmp_path: Path, stages: list[str], told: str) -> None:
    tables = "".join(f'[[goal.stages]]\ntext = "{text}"\n' for text in stages)
    (tmp_path / "task.toml").write_text(TASK + tables)
    with pytest.raises(InputError, match=told) as error:
        Task.read(tmp_path)
    assert len(str(error.value).splitlines()) == 1


def test_principles_stand_beside_stages_only_as_part_of_the_goals_words(tmp_path: Path) -> None:
    stages = '[[goal.stages]]\ntext = "a"\n[[goal.stages]]\ntext = "b"\ndone = "c"\n'
    (tmp_path / "task.toml").write_text(TASK + 'principles = ["p"]\n' + stages)
    with pytest.raises(InputError, match="has stages, each judged by itself, and beside them the"):
        Task.read(tmp_path)
    (tmp_path / "c.txt").write_text("p\n")
    together = 'constitution = "c.txt"\ntogether = true\n'
    (tmp_path / "task.toml").write_text(TASK + together + stages)
    goal = Task.read(tmp_path).stated_goal()
    assert goal.stages == (GoalStage("a"), GoalStage("b", "c"))
    assert goal.text.endswith("- p")


def test_a_draft_may_be_in_stages() -> None:
    def reply(stages: str) -> str:
        principles = '[{"text": "p", "picture": 1, "why": ""}]'
        return (
            f'{{"goal": "g", "principles": {principles}, "vetoes": [], "questions": [], '
            f'"stages": {stages}}}'
        )

    two = '[{"text": "a", "done": "b"}, {"text": "c", "done": "d"}]'
    assert read_reply(reply(two), 1).stages == (DraftedStage("a", "b"), DraftedStage("c", "d"))
    assert read_reply(reply("[]"), 1).stages == ()
    for stages, told in (
        ('[{"text": "a", "done": "b"}]', "stages: a goal has 2 to 12 stages, and 1 are given"),
        ('[{"text": "a", "done": ""}, {"text": "c", "done": "d"}]', "stages 1, done: it says noth"),
        ('[{"text": "a"}]', "stages 1, done: it is missing"),
        ("[" + ", ".join(['{"text": "a", "done": "b"}'] * 7) + "]", "stages: at most 6 are taken"),
        ('[{"text": "a", "done": "b"}, {"text": "a", "done": "d"}]', "two stages say the same"),
    ):
        with pytest.raises(Unreadable, match=told):
            read_reply(reply(stages), 1)


# What is asked -------------------------------------------------------------------------------


def segment(*entries: float) -> Segment:
    frame = Frame(np.full((8, 8, 3), abs(hash(entries)) % 256, np.uint8))
    return Segment(np.array([entries], np.float32), (frame,))


def test_whether_a_stage_is_done_is_asked_of_what_is_shown_first() -> None:
    env, seen = Welcome(), []
    for door in (0.1, 0.8, 1.0):
        env.set_state(np.array([5.0, 0.0, door, 0.0, 0.0, 0.0]))
        seen.append(Segment(env.observe()[None], segment(door).frames))
    (wants, is_done), judge = (
        GoalStage("The host opens the door.", "The door is wide open.").asked,
        (Truthful("welcome-in-turn", Chance("t"))),
    )

    def answer(first: Segment, second: Segment, under: Principle) -> object:
        comparison = Comparison.between("g", first, second)
        order = Order.FORWARD if comparison.first == first else Order.SWAPPED
        return judge.answer(Asking(Question.put(comparison, order, under)))

    shut, ajar, wide = seen
    assert answer(ajar, shut, wants) == "first"
    assert answer(ajar, shut, is_done) == "second", "it is not done in the first"
    assert answer(shut, wide, is_done) == "second"
    assert answer(wide, shut, is_done) == "first"
    question = Question.put(Comparison.between("g", shut, wide), Order.FORWARD, is_done)
    (line,) = compose(Brief("g"), [question]).questions
    assert "is this stage done in A?" in line
    assert line.endswith(": The door is wide open.)")


# What is learned -----------------------------------------------------------------------------


def judged(count: int = 90, seed: int = 0) -> Judged:
    """Of points on a plane, by an exact judge: stages are to the right, and up."""
    rng = np.random.default_rng(seed)
    observed, judgments = {}, []
    for number in range(count):
        pair = rng.uniform(-1, 1, (2, 1, 2)).astype(np.float32)
        stage = number % 2
        wants, done = STAGES[stage].asked
        for kind, principle in enumerate((wants, done)):
            name, order = f"{number} {kind}", (Order.FORWARD, Order.SWAPPED)[number // 2 % 2]
            observed[name] = (pair[0], pair[1])
            shown = pair if order is Order.FORWARD else pair[::-1]
            first, second = shown[:, 0, stage]
            chosen = first > FAR if kind else first > second
            reply = Reply(name, "")
            judgments.append(
                Judgment(name, "j", order, Verdict(float(chosen)), reply, principle.text)
            )
    return Judged(judgments, observed, {"j": JudgeIdentity("simulated:exact", simulated=True)})


@pytest.fixture(scope="module")
def learned() -> tuple[RewardModel, RewardFit]:
    return learn(judged(), Recipe(RewardSection(), stages=STAGES))


def at(stage: int, *points: tuple[float, float]) -> np.ndarray:
    one_hot = np.eye(3, dtype=np.float32)[[stage] * len(points)]
    return np.hstack([np.array(points, np.float32), one_hot])


def test_each_stage_has_a_reward_and_a_threshold_of_its_own(
    learned: tuple[RewardModel, RewardFit],
) -> None:
    model, fit = learned
    assert [stage.text for stage in fit.stages] == ["to the right", "up"]
    assert all(stage.known is not None and stage.known > 0.95 for stage in fit.stages)
    assert fit.heldout.share > 0.85
    assert fit.heldout.trials == sum(stage.heldout.trials for stage in fit.stages) == 90
    points = np.random.default_rng(1).uniform(-1, 1, (400, 2)).astype(np.float32)
    for stage in (0, 1):
        moved = np.asarray(model.moved_on(jnp.asarray(at(stage, *map(tuple, points)))))
        done = moved[:, 2:].argmax(1) == stage + 1
        assert (done == (points[:, stage] > FAR)).mean() > 0.93
        reward = np.asarray(model(jnp.asarray(at(stage, *map(tuple, points)))))
        assert np.corrcoef(reward, points[:, stage])[0, 1] > 0.9


def test_moving_on_never_costs(learned: tuple[RewardModel, RewardFit]) -> None:
    model, _ = learned
    best, worst = (1.0, 1.0), (-1.0, -1.0)
    rewards = [
        float(model(jnp.asarray(at(*seen)))[0])
        for seen in ((0, best), (1, worst), (1, best), (2, worst))
    ]
    assert rewards == sorted(rewards)
    assert model.normalised(at(0, best, worst)) is model
    assert float(model.worth_of(1.5)) == pytest.approx(0.0)


def test_a_stage_of_which_nobody_knows_when_it_is_done_is_never_done(tmp_path: Path) -> None:
    of = judged()
    few = [j for j in of.judgments if j.principle != "done: it is far right"]
    model, fit = learn(of._replace(judgments=few), Recipe(RewardSection(), stages=STAGES))
    assert fit.stages[0].known is None
    (warning,) = fit.warnings
    assert warning.startswith("nobody can tell when the stage “to the right” is done: of 0 judg")
    staging = Staging.of(model)
    assert staging is not None
    assert staging.passed(staging.after(at(0, (0, 0)), np.ones((1, 2), np.float32))).tolist() == [0]
    model.save(tmp_path / "m")
    loaded = RewardModel.load(tmp_path / "m")
    seen = jnp.asarray(at(1, (0.3, 0.9)))
    np.testing.assert_array_equal(loaded(seen), model(seen))
    np.testing.assert_array_equal(loaded.moved_on(seen), model.moved_on(seen))
    with pytest.raises(InputError, match="none of the 2 stages has 6 judgments that prefer one"):
        learn(of._replace(judgments=of.judgments[:4]), Recipe(RewardSection(), stages=STAGES))


def test_a_threshold_is_found_and_called_late_rather_than_soon() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=200)
    found, doubt = best_threshold(values, (values > 0.4).astype(np.float32))
    assert 0.35 < found < 0.55
    assert doubt < 0.2
    few, doubted = best_threshold(values[:12], (values[:12] > 0.4).astype(np.float32))
    assert few > 0.3
    assert doubted > doubt
    slips = np.where(rng.random(200) < 0.05, values <= 0.4, values > 0.4).astype(np.float32)
    assert 0.2 < best_threshold(values, slips)[0] < 0.8


def test_labels_are_of_what_was_shown_first() -> None:
    of = judged(8)
    asked = [j for j in of.judgments if j.principle == "done: it is far right"]
    labels = Labels.of(of.observed, asked)
    assert (labels.observations[:, 0, 0] > FAR).tolist() == (labels.done > 0.5).tolist()


# Moving on -----------------------------------------------------------------------------------


def test_the_host_and_the_device_move_on_alike(learned: tuple[RewardModel, RewardFit]) -> None:
    model, _ = learned
    staging = Staging.of(model)
    assert staging is not None
    reached = np.random.default_rng(2).uniform(-1, 1, (300, 2)).astype(np.float32)
    for stage in (0, 1, 2):
        before = at(stage, *([(0.0, 0.0)] * 300))
        on_host = staging.after(before, reached)
        on_device = np.asarray(model.moved_on(jnp.asarray(at(stage, *map(tuple, reached)))))
        np.testing.assert_array_equal(on_host, on_device)
    assert (staging.begun(reached)[:, 2:] == [1, 0, 0]).all()
    assert Staging.of(RewardModel.unfitted((0, 1))) is None


def test_every_step_teaches_every_stage(learned: tuple[RewardModel, RewardFit]) -> None:
    model, _ = learned
    rows = 12
    stored = at(1, *([(0.0, 0.0)] * rows))
    reached = at(1, *([(0.9, -0.9)] * rows))  # the first stage is done here, the second is not
    step = Transitions(stored, np.zeros((rows, 1)), reached, np.zeros(rows, np.bool_))
    told = relabelled(step, StateReward(model))
    before, after = (
        np.asarray(x)[:, 2:].argmax(1) for x in (told.observation, told.next_observation)
    )
    assert before[::2].tolist() == [1] * 6
    assert before[1::2].tolist() == [0, 1, 2, 0, 1, 2]
    assert after[before == 0].tolist() == [1, 1], "as the model of now says"
    assert after[before > 0].tolist() == before[before > 0].tolist()
    plain = StateReward(RewardModel.unfitted((0, 1)))
    assert relabelled(step, plain) is step


def test_environments_begin_every_episode_in_the_first_stage() -> None:
    blank = RewardModel.unfitted((0, 1, 2, 3, 4))
    always = eqx.tree_at(lambda model: model.shift, blank, jnp.float32(-1e6))
    staging = Staging.of(blank.in_stages([None, None], [always, None]))
    rollout = Rollout(EnvironmentSection(id="volition/Welcome-v0"), 2, staging=staging)
    assert rollout.observation_space.shape == (8,)
    assert rollout.reset(0)[:, 5:].tolist() == [[1, 0, 0]] * 2
    still = np.zeros((2, 3), np.float32)
    for number in range(100):
        step = rollout.step(still)
        assert step.transitions.next_observation[:, 5:].tolist() == [[0, 1, 0]] * 2
        assert step.observations[:, 5:].tolist() == [[1, 0, 0] if number == 99 else [0, 1, 0]] * 2
    rollout.close()
    with pytest.raises(EnvironmentUnsupported, match="vectors of numbers, and here they have the"):
        check_observed((8, 8, 3), "Pictures-v0")


def test_another_library_observes_the_stage_too() -> None:
    model = RewardModel.unfitted((0, 1, 2, 3, 4)).in_stages([None] * 2, [None] * 2)
    env = LearnedReward(Welcome(), model)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert observation[5:].tolist() == [1, 0, 0]
    observation, reward, *_ = env.step(np.zeros(3, np.float32))
    assert env.observation_space.contains(observation)
    assert float(reward) == pytest.approx(float(model(jnp.asarray(observation))))


def test_each_question_of_a_stage_has_its_turn(learned: tuple[RewardModel, RewardFit]) -> None:
    model, _ = learned
    goal = Goal("g", stages=STAGES)
    asked = topics(model, goal.stages, goal.put_under, 6, first=3)
    assert {topic.under[0].text: topic.questions for topic in asked if topic.under[0]} == {
        "done: it is far up": 2,
        "to the right": 2,
        "done: it is far right": 1,
        "up": 1,
    }
    visited = np.stack([at(stage, (0.1, 0.2)) for stage in (0, 1, 2) for _ in range(80)])
    up = next(topic for topic in asked if topic.under[0] and topic.under[0].text == "up")
    assert up.among(visited).tolist() == [False] * 80 + [True] * 160
    assert up.among(visited[:90]).all(), "hardly anything was visited there"
    done = next(topic for topic in asked if topic.of_done)
    values, reward = done.opinions(visited)
    assert values.shape == (5, 240)
    assert reward.shape == (240,)
    unknown = model.in_stages(model.stages, [None, None])
    assert not any(t.of_done for t in topics(unknown, goal.stages, goal.put_under, 4, 0))
    (one,) = topics(RewardModel.unfitted((0,)), (), (None,), 6, 0)
    assert one.questions == 6
    assert one.among(visited).all()


# The hall ------------------------------------------------------------------------------------


def welcome(*, bow: bool = True, lamp_first: bool = False) -> tuple[np.ndarray, Welcome]:
    """A scripted host; returns what was observed after each step."""
    env, seen = Welcome(), []
    env.reset(seed=0)

    def act(until: object, walk: float, hand: float = 0.0, deep: float = 0.0) -> None:
        for _ in range(40):
            seen.append(env.step(np.array([walk, hand, deep], np.float32))[0])
            if until():  # type: ignore[operator]
                return
        raise AssertionError("it never comes about")

    if lamp_first:
        act(lambda: env.lamp >= 1.0, 1.0, 1.0)
    act(lambda: env.x <= 2.5, -1.0)
    act(lambda: env.door >= 1.0, 0.0, 1.0)
    if bow:
        act(lambda: env.bow >= 0.9, 0.0, deep=1.0)
    act(lambda: env.lamp >= 1.0, 1.0, 1.0)
    act(lambda: env.x >= 7.0, 1.0)
    return np.stack(seen), env


def test_a_welcome_is_counted_by_truth_and_environment_alike() -> None:
    for kwargs, done, but_for_bow in (
        ({}, 4, 3),
        ({"bow": False}, 0, 3),
        ({"lamp_first": True}, 0, 0),
    ):
        observed, env = welcome(**kwargs)
        assert done_in_turn(observed) == done == env._info()["metrics"]["done"]
        assert done_in_turn(observed, with_bow=False) == but_for_bow
        assert env._info()["metrics"]["welcomed"] == (done == 4)
    assert env.done == SPOILT, "the lamp was lit before its turn"


def test_no_picture_tells_of_a_bow_that_is_over() -> None:
    (bowed, _), (plain, _) = welcome(), welcome(bow=False)
    truth, trusting = truth_of("welcome-at-once"), truth_of("welcome-trusting")
    assert truth.potential(bowed[-1:]) == pytest.approx(truth.potential(plain[-1:]), abs=0.02)
    assert trusting.potential(plain[-1:]) > truth.potential(plain[-1:]), "it doubts no bow"
    step = int(bowed[:, 4].argmax())
    assert truth.potential(bowed[step : step + 1]) > truth.potential(bowed[step - 4 : step - 3])
