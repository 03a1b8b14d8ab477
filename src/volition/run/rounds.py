"""Judging without a live connection: questions go into a folder, answers come back as a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from volition.comparison import Comparison, Segment, content_id, shown_together
from volition.envs.scene import find_scene, scenes_of
from volition.errors import InputError, JudgeUnavailable, RunError
from volition.finding.view import find_view
from volition.goal import Principle, Principles
from volition.judging.answers import FIRST, read_answers
from volition.judging.folders import (
    ASKED_FILE,
    BATCHES,
    Pair,
    QuestionFolder,
    Row,
    batch_name,
    check_new,
    read_questions,
    requests_of,
    write_questions,
)
from volition.judging.recordings import JUDGMENTS_FILE, open_recording
from volition.judgment import Failure, Verdict
from volition.questions.covering import covering_pairs
from volition.questions.filming import DRAWN_PER_SEGMENT, Filming
from volition.run.correcting.asking import JudgedAgain
from volition.run.folder import CONFIG, RunFolder
from volition.run.gaming.record import GamingAlarm
from volition.storage.files import exclusively, new_file, write_whole
from volition.tasks.given import Given
from volition.tasks.task import BUNDLED, Task

if TYPE_CHECKING:
    from volition.questions.candidates import Candidates
    from volition.reward.stages import Topic

OUTCOMES = {"A": Verdict(1.0), "B": Verdict(0.0), "tie": Verdict(0.5)}
VERDICTS = {1.0: "first", 0.0: "second", 0.5: "tie"}
P_FIRST = {verdict: p_first for p_first, verdict in VERDICTS.items()}
APART = 4  # steps from one segment that is filmed to the next, at least
UNLIMITED = 200  # steps of what the environment never cuts: many end their episodes earlier
NOISY = 0.5  # of the actions are random, in half of the environments

Outcomes = Mapping[int, Verdict | Failure]


@dataclass(frozen=True, slots=True)
class Answered:
    """What answers have come to.

    Attributes:
        questions: The folder, a judgments folder now.
        judge: Who judged.
        failures: Why pairs have no verdict, by their numbers. Only a batch may leave some out.
        wants_clips: Whether who judged says that one picture cannot show the goal.
        gaming: What they raise against the run that asked, as of `Result`.
    """

    questions: QuestionFolder
    judge: str
    failures: Mapping[int, Failure]
    wants_clips: bool = False
    gaming: tuple[GamingAlarm, ...] = ()


def ask(
    task_or_run: str | Task,
    out: Path,
    *,
    pairs: int = 60,
    per_sheet: int | None = None,
    seed: int = 0,
    batches: Sequence[str] = (),
    goal: str | None = None,
    kwargs: Mapping[str, Any] | None = None,
    clip: bool = False,
) -> QuestionFolder:
    """Writes comparisons worth judging into the new folder `out`.

    About a task they cover its states, or clips of it. For a run they are those near what its
    policy visits of which its reward model is least sure. Nothing is asked that its store holds.
    What cannot be set to a state is filmed, and is known by what was observed.

    Args:
        task_or_run: A task, its name or its folder, or a run folder.
        out: The folder to write.
        pairs: How many comparisons; a run may have fewer that a judge could tell apart.
        per_sheet: Comparisons on a contact sheet; by default as many as can be judged well.
        seed: Of the states and of the side on which each is shown.
        batches: Models (`PROVIDER:MODEL`) for which batch files are written, too.
        goal: One of the goals of a task that is named, by its name; else its default one.
        kwargs: Of the environment that is shown, beside the task's own.
        clip: Ask about clips, where the task does not say; a run asks about what it learns from.

    Raises:
        InputError: There is no such task, goal, run or model, or the folder is there already.
        EnvironmentUnsupported: The environment fails, or cannot be made so.
        RunError: The run has learned nothing yet.
    """
    check_new(out)
    if not isinstance(task_or_run, Task) and (Path(task_or_run) / CONFIG).is_file():
        if goal is not None:
            raise InputError(f"{task_or_run} is a run, which has its goal: leave --goal out")
        if kwargs:
            raise InputError(
                f"{task_or_run} is a run, whose environment is made as its own "
                "configuration says: leave --kwargs out"
            )
        if clip:
            raise InputError(
                f"{task_or_run} is a run, which goes on with what it learned from: leave --clip out"
            )
        return _ask_about_run(Path(task_or_run), out, pairs, per_sheet, seed, batches)
    found = task_or_run if isinstance(task_or_run, Task) else Task.find(task_or_run, goal)
    open_task = found.with_kwargs(kwargs or {})
    given = _given(open_task)
    task = open_task.model_copy(update={"view": find_view(open_task, clip)[0]})
    asked = covering_pairs(task.environment, task.view, pairs, seed)
    return write_questions(asked, task, out, per_sheet, batches=batches, given=given)


def _ask_about_run(
    path: Path, out: Path, pairs: int, per_sheet: int | None, seed: int, batches: Sequence[str]
) -> QuestionFolder:
    """Of a run that was corrected first what may have changed by that, and was not judged again."""
    run = RunFolder.open(path)
    asked, under = _changed_pairs(run, pairs) if run.settings.correction else ([], [])
    in_stages = bool(run.task.goal.stages)
    if in_stages:
        asked, under = _of_stages(run, pairs, seed)
    elif len(asked) < pairs:
        now = doubtful_pairs(run, pairs - len(asked), seed)
        asked += now
        under += spread_over(run.put_under(), len(now))
    order = sorted(range(len(asked)), key=lambda place: under.index(under[place]))
    return write_questions(
        [asked[place] for place in order],
        run.task,
        out,
        per_sheet,
        run.path.absolute(),
        batches,
        given=run.settings.given,
        under=[under[place] for place in order] if run.settings.correction or in_stages else None,
    )


def _changed_pairs(run: RunFolder, count: int) -> tuple[list[Pair], list[Principle | None]]:
    """Judged pairs that a correction may have changed, and what each is judged under."""
    with run.open_store() as store:
        again = JudgedAgain(run, store)
        places = [place for place in again.further() if not again.is_answered(place)][:count]
        return [again.sides(place) for place in places], [again.under(place) for place in places]


def spread_over(under: Principles, count: int) -> list[Principle | None]:
    """What each of so many pairs is put under, each as often as it is there."""
    grouped = sorted(under, key=under.index)
    return [grouped[place * len(grouped) // count] for place in range(count)]


def _given(task: Task) -> Given:
    """How the task is named, from wherever the command is given."""
    from volition.run.creating import given_of

    given = given_of(task, None)
    if given.task and task.folder.parent != BUNDLED:
        return replace(given, task=str(task.folder.absolute()))
    return given


def is_asked(folder: Path) -> bool:
    """Whether that is a folder of questions, answered or not."""
    return (folder / ASKED_FILE).is_file()


def task_asked_about(folder: Path) -> Task:
    """The task that a folder of questions is about.

    Raises:
        InputError: It is no such folder, or it does not name a task.
    """
    from volition.run.creating import task_of

    questions, _ = read_questions(folder)
    if not questions.given.words:
        raise InputError(f"{folder} does not name its task: name it with TASK, or --env and --goal")
    return task_of(questions.given)


def hand_in(questions: QuestionFolder, judge: str, max_usd: float | None = None) -> str:
    """Hands the batch file for that model in to its provider; returns the batch's id.

    Raises:
        InputError: It may cost more than `max_usd`, or nobody knows what it costs.
        JudgeUnavailable: No key is set, or the provider does not take it.
    """
    from volition.judges.live.batch import submit

    file = questions.folder / BATCHES / batch_name(judge)
    about = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    most = about["most_usd"]
    if max_usd is not None and (most is None or most > max_usd):
        known = "nobody knows what it costs" if most is None else f"it may cost ${most:.4f}"
        raise InputError(
            f"{file} was written, and not handed in: {known}, and --max-usd is {max_usd:g}"
        )
    about["id"] = submit(judge, file.read_bytes())
    file.with_suffix(".json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return str(about["id"])


def answer(folder: Path, file: Path | None = None, judge: str | None = None) -> Answered:
    """Completes a folder of questions into a judgments folder, and feeds the run that asked.

    Doing it again with the same answers changes nothing.

    Args:
        folder: What `ask` wrote.
        file: A choice for each pair, as `read_answers` takes it, or the results of a batch; left
            out, they are fetched from the provider to which the batch was handed in.
        judge: Who judged, for everything that shows these judgments; a batch's results say it.

    Raises:
        InputError: An answer is wrong or missing, or other answers are there already. Nothing is
            imported then.
        JudgeUnavailable: The batch is under way, or came to nothing.
        RunError: The run that asked is not where it was.
    """
    questions, rows = read_questions(folder)
    came = _outcomes(file or _fetched(folder), rows, questions.asks_first)
    outcomes, name = came.outcomes, judge or came.judge
    if name is None:
        raise InputError("who judged? Say it with --judge NAME")
    run = _open_run(questions) if questions.said is None else None
    failures = {pair: outcome for pair, outcome in outcomes.items() if isinstance(outcome, Failure)}
    judged = [
        {**row, **_said(outcome), "judge": name}
        for row in rows
        if isinstance(outcome := outcomes[row["pair"]], Verdict)
    ]
    if not judged:
        raise InputError(f"no pair has a verdict: {next(iter(failures.values())).message}")
    text = "".join(json.dumps(row) + "\n" for row in judged)
    gaming = _complete(folder / JUDGMENTS_FILE, text, run, name)
    return Answered(questions, name, failures, came.wants_clips, tuple(gaming))


@dataclass(frozen=True, slots=True)
class GivenVerdict:
    """A verdict of a folder that was answered.

    Attributes:
        frames: Ids of the frames that were shown first, and of those that were shown second.
        file_id: Names all the answers that came with it.
        line: As it stands in judgments.jsonl.
        principle: Under which alone it was asked, if any.
    """

    verdict: Verdict
    frames: tuple[tuple[str, ...], ...]
    judge: str
    file_id: str
    line: str
    principle: str | None


def read_verdicts(folder: Path) -> list[GivenVerdict]:
    """What `answer` made of a folder of questions that were shown in frames.

    Raises:
        InputError: It is no such folder, or nobody has answered yet.
    """
    read_questions(folder)
    file = folder / JUDGMENTS_FILE
    if not file.is_file():
        raise InputError(f"{folder} has no answers yet: run `volition answer {folder} FILE`")
    text = file.read_text(encoding="utf-8")
    given = []
    for line in text.splitlines():
        row = json.loads(line)
        p_first = row["p_first"] if "p_first" in row else P_FIRST[row["verdict"]]
        shown = [row[side].get("frames") or [row[side]["frame"]] for side in ("first", "second")]
        frames = tuple(tuple(Path(path).stem for path in side) for side in shown)
        name = content_id(text.encode())
        verdict, principle = Verdict(p_first), row.get("principle")
        given.append(GivenVerdict(verdict, frames, row["judge"], name, line, principle))
    return given


# Choosing ------------------------------------------------------------------------------------


def doubtful_pairs(run: RunFolder, count: int, seed: int) -> list[Pair]:
    """Pairs that the run has not asked, and that would teach its reward model most.

    They are of what its policy does now. Each answer that comes draws others, with the same seed.

    Args:
        run: Which has a checkpoint.
        count: How many; fewer come back where no more look different to a judge.
        seed: Of what is considered, and of the sides.

    Raises:
        RunError: The run has learned nothing yet, or nothing is left to ask.
    """
    return [pair for pair, _ in _doubtful(run, count, seed)]


def _of_stages(run: RunFolder, count: int, seed: int) -> tuple[list[Pair], list[Principle | None]]:
    """Such pairs, and the principle of a stage that each is judged under."""
    doubtful = _doubtful(run, count, seed)
    return [pair for pair, _ in doubtful], [under[0] for _, under in doubtful]


def _doubtful(run: RunFolder, count: int, seed: int) -> list[tuple[Pair, Principles]]:
    """Such pairs, and what each is put under: one of these."""
    from volition.questions.candidates import chosen_comparisons
    from volition.reward.model import RewardModel
    from volition.reward.stages import topics

    if not run.checkpoint.is_file():
        raise RunError(
            f"{run.path} has no {run.checkpoint.name} yet, so nobody knows what its policy "
            f"visits: go on with `volition resume {run.path}`, or ask about its task"
        )
    with run.open_store() as store:
        (goal_id, *_), shown_before = store.goal_texts(), set(store.shown())
    rng = np.random.default_rng([seed, len(shown_before)])
    model, goal = RewardModel.load(run.reward_model), run.task.stated_goal()
    chosen: list[tuple[Comparison, Principles]] = []
    for topic in topics(model, goal.stages, run.put_under(), count, 0):
        told, among = topic.opinions, candidates_of(run, topic, rng)
        some = chosen_comparisons(among, told, goal_id, shown_before, topic.questions, rng)
        shown_before |= {shown_together(c.first.frames, c.second.frames) for c in some}
        chosen += [(comparison, topic.under) for comparison in some]
    if not chosen:
        raise RunError(
            f"{run.path}: no two states that its policy visits look different to the judge, and "
            "were not asked about; ask about its task instead"
        )
    sides = rng.random(len(chosen)) < 0.5
    return [
        ((c.second, c.first) if swap else (c.first, c.second), under)
        for (c, under), swap in zip(chosen, sides, strict=True)
    ]


def candidates_of(run: RunFolder, topic: Topic, rng: np.random.Generator) -> Candidates:
    """What the policy visits: drawn where states can be set, and filmed elsewhere."""
    from volition.learners.checkpoint import Checkpoint
    from volition.questions.candidates import Candidates

    scene = find_scene(run.task.environment)
    if scene is None:
        return Candidates.filmed(film_policies(run, topic.questions, rng))
    visited, view = Checkpoint(run.checkpoint, run.kept).visited(), run.task.view
    observations, states = visited.passages(rng, view.steps)
    about = topic.among(observations)
    return Candidates.drawn(observations[about], states[about], scene, view)


def film_policies(run: RunFolder, count: int, rng: np.random.Generator) -> list[Segment]:
    """What the last policy does, and the one that is kept: enough for `count` pairs.

    In half of the environments some actions are random, as they are while a policy learns: what it
    would do next is as much worth asking about as what it does.
    """
    from volition.learners.checkpoint import Checkpoint
    from volition.learners.rollout import CUT_AFTER, AtRandom
    from volition.reward.model import RewardModel
    from volition.reward.stages import Staging
    from volition.run.creating import setup_of

    setup, checkpoint = setup_of(run.task, run.settings), Checkpoint(run.checkpoint, run.kept)
    wanted = 2 * count * DRAWN_PER_SEGMENT
    filming = Filming(run.task.view, 0.0, rng)
    segments: list[Segment] = []
    staging = Staging.of(RewardModel.load(run.reward_model)) if run.task.goal.stages else None
    with closing(setup.rollout(filming, staging)) as rollout:
        learner = setup.learner(rollout)
        history = checkpoint.history()
        stage = setup.stages(rollout, learner).of(len(history))
        position = checkpoint.load(setup.start(rollout, learner, stage.end))
        policies, kept = [learner.policy(position.state)], checkpoint.load_kept(len(history))
        if kept is not None and kept.session < len(history):
            policies.append(kept.policy)
        share = -(-wanted // (len(policies) * rollout.envs))  # for each in every environment
        episode = min(rollout.episode_limit or UNLIMITED, CUT_AFTER)
        steps = max(APART * share, episode)
        filming.begin_anew(share / steps)
        at_random = AtRandom(rollout, int(rng.integers(2**31)))
        for policy in policies:
            observations = rollout.reset(int(rng.integers(2**31)))
            for _ in range(steps):
                actions = np.array(policy(observations))
                noisy = rng.random(len(actions)) < NOISY * (np.arange(len(actions)) % 2)
                actions[noisy] = at_random(observations)[noisy]
                observations = rollout.step(actions).observations
                segments += filming.kept
                filming.kept.clear()
            filming.begin_anew(share / steps)
    return segments


# Answers -------------------------------------------------------------------------------------


class _Came(NamedTuple):
    """What a file of answers says: of every pair, who judged if it does, and whether clips are
    wanted."""

    outcomes: Outcomes
    judge: str | None = None
    wants_clips: bool = False


def _outcomes(file: Path, rows: Sequence[Row], asked_first: bool) -> _Came:
    from volition.judges.live.batch import read_results

    requests = requests_of(rows)
    try:
        text = file.read_text(encoding="utf-8-sig")
        results = read_results(text, {key: len(pairs) for key, pairs in requests.items()})
    except InputError as error:
        raise InputError(f"{file}, {error}\nnothing was imported") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    if results is None:
        answers = read_answers(file, [row["pair"] for row in rows], asked_first)
        wants_clips = answers.pop(FIRST, None) == "clip"
        chosen = {pair: OUTCOMES[choice] for pair, choice in answers.items()}
        return _Came(chosen, wants_clips=wants_clips)
    numbered = {
        pair: outcome
        for key, pairs in requests.items()
        for pair, outcome in zip(pairs, results.outcomes[key], strict=True)
    }
    return _Came(numbered, results.judge)


def _said(verdict: Verdict) -> Row:
    """A verdict as judgments.jsonl has it."""
    p_first = verdict.p_shown_first
    return {"verdict": VERDICTS[p_first]} if p_first in VERDICTS else {"p_first": p_first}


def _complete(judgments: Path, text: str, run: RunFolder | None, judge: str) -> list[GamingAlarm]:
    """Writes the judgments, and adds them to the run's store: both, or neither."""
    if judgments.exists() and judgments.read_text(encoding="utf-8") != text:
        raise InputError(
            f"{judgments} holds other answers already: copy the folder without it for a second "
            "judge, or remove it to replace them"
        )
    try:
        with new_file(judgments) as partial:
            partial.write_text(text, encoding="utf-8")
            return [] if run is None else _feed(run, partial, judge)
    except OSError as error:
        raise InputError(f"{judgments} cannot be written: {error}") from error


def _fetched(folder: Path) -> Path:
    """The results of the batch that was handed in, kept as they came before they are read."""
    from volition.judges.live.batch import fetch

    for file in sorted((folder / BATCHES).glob("*.json")):
        about = json.loads(file.read_text(encoding="utf-8"))
        if about["id"] is None:
            continue
        results = file.with_suffix(".results.jsonl")
        if not results.exists():
            text = fetch(about["judge"], about["id"])
            if text is None:
                raise JudgeUnavailable(
                    f"{about['judge']} has batch {about['id']} under way; most are done within an "
                    f"hour, all within a day: run `volition answer {folder}` again later"
                )
            write_whole(results, text)
        return results
    raise InputError(f"no batch of {folder} was handed in: give the file of answers")


def _open_run(questions: QuestionFolder) -> RunFolder | None:
    if questions.run is None:
        return None
    try:
        return RunFolder.open(questions.run)
    except RunError as error:
        raise RunError(
            f"the run that asked is not where it was ({error}): put it back, or correct `run` in "
            f"{questions.folder / ASKED_FILE}"
        ) from None


def _feed(run: RunFolder, judgments: Path, judge: str) -> list[GamingAlarm]:
    """Adds the judgments to the run's store; those that are there already are left alone. Returns
    what they raise."""
    from volition.judging.recordings import import_recording
    from volition.run.gaming.answered import weigh_round

    scenes = scenes_of(run.task.environment)
    with exclusively(run.path), run.open_store() as store:
        goal_id = store.add_goal(run.task.stated_goal())
        before = {preference.comparison_id for preference in store.preferences()}
        import_recording(open_recording(judgments, judge, goal_id, scenes, run.task.view), store)
        return weigh_round(run, store, before)
