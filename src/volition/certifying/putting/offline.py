"""Certifying whoever is not connected: contact sheets with pairs in both orders, and files of
answers.

No pair is on a sheet in both orders. What was shown where stands in `certify.json` of the folder,
beside what `volition ask` writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from volition.certifying.answers import Answer
from volition.certifying.card import FILE, Certificate
from volition.certifying.composing import Asked, compose
from volition.certifying.given import Given, read_answers
from volition.certifying.guarantee import Guarantee, Promised, correct, promise
from volition.certifying.putting import design as designs
from volition.certifying.putting.gold import gold_set
from volition.comparison import Comparison, Segment
from volition.errors import InputError
from volition.goal import Principle
from volition.judges.sheets import pairs_on_a_sheet
from volition.judging.answers import read_answers as read_choices
from volition.judging.folders import FORM_FILE, put_under, read_questions, write_questions
from volition.judging.recordings import JUDGMENTS_FILE, VERDICTS
from volition.judgment import JudgeIdentity, Order
from volition.storage.documents import read_document, write_document
from volition.storage.files import write_whole
from volition.storage.pictures import read_frame
from volition.tasks.given import Given as GivenTask
from volition.tasks.task import Task

SHOWN = "certify.json"
P_FIRST = {"A": 1.0, "B": 0.0, "tie": 0.5}
AGAIN = "ask-again.csv"


@dataclass(frozen=True, slots=True)
class ShownPair:
    """What a number on the sheets stands for.

    Attributes:
        pair: The comparison's id, with what it was put under.
        first, second: Likewise of its two segments.
        gold: Whether it is no pair to rank by, but one whose answer is known.
    """

    pair: str
    order: Order
    first: str
    second: str
    gold: bool = False


@dataclass(frozen=True, slots=True)
class Sheets:
    """A folder of sheets by which somebody is certified.

    Attributes:
        pairs: By their numbers, from 1.
    """

    environment: str
    goal: str
    pairs: tuple[ShownPair, ...]


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate of given answers.

    Attributes:
        promised: Under each guarantee, in their order.
    """

    certificate: Certificate
    promised: tuple[Promised, ...]


# Asking --------------------------------------------------------------------------------------


def ask(out: Path, task: Task, seed: int, given: GivenTask) -> Path:
    """Writes contact sheets into the new folder `out`; returns its instructions.

    Raises:
        InputError: The folder is there already, or hardly any two states look different.
        EnvironmentUnsupported: The environment fails.
    """
    segments = designs.states_of(task, seed)
    chosen = designs.design(segments, "certify", seed)
    rng = np.random.default_rng([seed, 2])
    again = list(chosen.both_ways)
    rng.shuffle(again)
    same = gold_set(chosen.both_ways, (), (), looks=False).questions
    dealt = [Order(order) for order in rng.choice(list(Order), len(chosen.once) + len(same))]
    blocks: list[list[tuple[Comparison, Order, bool]]] = [
        [(c, Order.FORWARD, False) for c in chosen.both_ways],
        [(c, order, False) for c, order in zip(chosen.once, dealt, strict=False)],
        [(c, Order.SWAPPED, False) for c in again],
        [(g.comparison, o, True) for g, o in zip(same, dealt[len(chosen.once) :], strict=True)],
    ]
    under = _put_under(chosen.both_ways + chosen.once, [g.comparison for g in same], task)
    rows = [row for block in blocks for row in sorted(block, key=lambda r: under[r[0].id][0])]
    write_questions(
        [_sides(comparison, order) for comparison, order, _ in rows],
        task,
        out,
        _per_sheet(len(chosen.both_ways), len(task.view.shown)),
        given=given,
        under=[under[comparison.id][1] for comparison, _, _ in rows],
    )
    goal = task.stated_goal().text
    shown = tuple(_shown(c, order, gold, under[c.id][1]) for c, order, gold in rows)
    write_document(out / SHOWN, Sheets(task.environment.id, goal, shown))
    return out / "README.md"


def ask_again(out: Path, folder: Path, again: Sequence[str], task: Task, given: GivenTask) -> int:
    """Writes sheets of some pairs that sheets showed before, in both orders; returns how many.

    Args:
        out: The new folder.
        folder: Of the sheets that showed them.
        again: The pairs.
        task: What they are about, by the view in which they were shown.
        given: How the task is named.

    Raises:
        InputError: There is none, or a folder is not as it must be.
    """
    sheets = read_document(folder / SHOWN, Sheets)
    rows = read_questions(folder)[1]
    known: dict[str, tuple[ShownPair, Segment, Segment, Principle | None]] = {}
    for shown, row in zip(sheets.pairs, rows, strict=True):
        if shown.pair in again and not shown.gold:
            sides = [_seen(row[side], folder) for side in ("first", "second")]
            if shown.order is Order.SWAPPED:
                sides.reverse()
            under = Principle(row["principle"]) if row.get("principle") else None
            known.setdefault(shown.pair, (shown, sides[0], sides[1], under))
    if not known:
        raise InputError(f"{folder}: every answer is accepted, so nothing is to be asked again")
    forward = sorted(known.values(), key=lambda row: str(row[3] or ""))
    shown_pairs = [replace(row[0], order=order) for order in Order for row in forward]
    write_questions(
        [(a, b) if o is Order.FORWARD else (b, a) for o in Order for _, a, b, _ in forward],
        task,
        out,
        _per_sheet(len(forward), len(task.view.shown)),
        given=given,
        under=[under for _ in Order for *_, under in forward],
    )
    write_document(out / SHOWN, Sheets(sheets.environment, sheets.goal, tuple(shown_pairs)))
    return len(forward)


def _seen(side: Mapping[str, Any], folder: Path) -> Segment:
    """A side of pairs.jsonl by its pictures alone, since nobody learns from it."""
    paths = side.get("frames") or [side["frame"]]
    frames = tuple(read_frame(folder / path) for path in paths)
    return Segment(np.zeros((len(frames), 1), np.float32), frames)


def _put_under(
    comparisons: Sequence[Comparison], others: Sequence[Comparison], task: Task
) -> Mapping[str, tuple[int, Principle | None]]:
    """What each is put under, by its id, with the place of that; the others under the first."""
    dealt = put_under(len(comparisons), task.stated_goal())
    kinds = list(dict.fromkeys(dealt))
    spread = np.random.default_rng(len(comparisons)).permutation(len(dealt))
    chosen = {c.id: dealt[at] for c, at in zip(comparisons, spread, strict=True)}
    known = {name: (kinds.index(under), under) for name, under in chosen.items()}
    return {c.id: known.get(c.id, (0, kinds[0])) for c in (*comparisons, *others)}


def _per_sheet(block: int, frames: int) -> int:
    """As many as a sheet holds well, so that a new sheet begins where a block of pairs does."""
    most = min(block, pairs_on_a_sheet(frames))
    return next(size for size in range(most, 0, -1) if block % size == 0)


def _sides(comparison: Comparison, order: Order) -> tuple[Segment, Segment]:
    first, second = comparison.first, comparison.second
    return (first, second) if order is Order.FORWARD else (second, first)


def _shown(comparison: Comparison, order: Order, gold: bool, under: Principle | None) -> ShownPair:
    words = f" {under.text}" if under else ""
    first, second = comparison.first.id + words, comparison.second.id + words
    return ShownPair(comparison.id + words, order, first, second, gold)


# Reading -------------------------------------------------------------------------------------


def read(path: Path) -> Given:
    """Answers: a folder that `ask` wrote and somebody answered, or any file of them.

    Raises:
        InputError: They are not as they must be.
    """
    return _of_sheets(path)[0] if (path / SHOWN).is_file() else read_answers(path)


def _of_sheets(folder: Path) -> tuple[Given, Sheets]:
    sheets = read_document(folder / SHOWN, Sheets)
    questions, rows = read_questions(folder)
    if len(rows) != len(sheets.pairs):
        raise InputError(f"{folder} was changed: {SHOWN} and pairs.jsonl are about other pairs")
    said, judge = _choices(folder, [row["pair"] for row in rows], questions.asks_first)
    answers = tuple(
        Answer(shown.pair, shown.order, said[number], shown.first, shown.second)
        for number, shown in enumerate(sheets.pairs, start=1)
        if number in said and not shown.gold
    )
    return Given(answers, judge), sheets


def _choices(folder: Path, pairs: Sequence[int], asks_first: bool) -> tuple[dict[int, float], str]:
    """By the pairs' numbers the probability of A: what `volition answer` made of the answers, or
    else what is written into the form."""
    file = folder / JUDGMENTS_FILE
    if not file.is_file():
        chosen = read_choices(folder / FORM_FILE, pairs, asks_first)
        return {number: P_FIRST[choice] for number, choice in chosen.items() if number}, ""
    said: dict[int, float] = {}
    judge = ""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            p = row["p_first"] if "p_first" in row else VERDICTS[row["verdict"]]
            said[int(row["pair"])], judge = float(p), str(row.get("judge", ""))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file}:{number} is no judgment: {error!r}") from None
    return said, judge


def certify_given(
    path: Path, name: str, labels: Mapping[str, float], alphas: Sequence[float], seed: int = 0
) -> Certified:
    """The certificate of answers that were given.

    Args:
        path: As of `read`.
        name: Who judged; by default whom the answers name, else the file.
        labels: Of some pairs, by a person or a better judge; may be none.
        alphas: For each of which a guarantee is sought, by labels.
        seed: Of the draws.

    Raises:
        InputError: The answers are not as they must be, or no label is of any of them.
    """
    environment = goal = ""
    if (path / SHOWN).is_file():
        given, sheets = _of_sheets(path)
        environment, goal = sheets.environment, sheets.goal
    else:
        given = read_answers(path)
    judge = name or given.judge or path.name
    settings = {"answers": given.id} if given.id else {}
    identity = JudgeIdentity(judge, judge.startswith("simulated:"), settings)
    answers = given.answers
    pairs = {answer.pair for answer in answers}
    if labels and not pairs & labels.keys():
        raise InputError(
            f"no label is of a pair in {path}: its pairs are such as {min(pairs)!r:.60}, and the "
            f"labels' such as {min(labels)!r:.60}"
        )
    asked = Asked(
        environment,
        goal,
        identity,
        answers,
        labels={pair: label for pair, label in labels.items() if pair in pairs},
        source="labels",
    )
    promised = tuple(
        promise(some, labels, alpha, stage)
        for stage, some in _by_stage(given).items()
        for alpha in (alphas if labels else ())
    )
    certificate = replace(
        compose(asked, seed),
        corrected=correct(answers, labels),
        guarantees=tuple(made.guarantee for made in promised),
    )
    return Certified(certificate, promised)


def _by_stage(given: Given) -> dict[str, list[Answer]]:
    """The answers of each stage of training, where the file says stages: what holds for one need
    not hold for another."""
    found: dict[str, list[Answer]] = {}
    for answer in given.answers:
        found.setdefault(given.stages.get(answer.pair, ""), []).append(answer)
    return found


def keep(folder: Path, certified: Certified) -> Path | None:
    """Writes the certificate, and under the first guarantee that accepts anything what is to be
    asked again, in both orders, of a better judge or a person; returns where that is."""
    folder.mkdir(parents=True, exist_ok=True)
    write_document(folder / FILE, certified.certificate)
    if not certified.promised:
        return None
    rows = ["pair,order,choice"]
    rows += [f"{_quoted(pair)},{order}," for pair in to_ask_again(certified) for order in Order]
    write_whole(folder / AGAIN, "\n".join(rows) + "\n")
    return folder / AGAIN


def to_ask_again(certified: Certified) -> list[str]:
    """The pairs that the first guarantee which accepts anything does not, the least sure first."""
    promised = certified.promised
    chosen = next((made for made in promised if made.accepted), promised[-1])
    alike = [made for made in promised if made.guarantee.alpha == chosen.guarantee.alpha]
    return [pair for made in alike for pair in made.again]


def _quoted(text: str) -> str:
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if any(sign in text for sign in ',"\n;') else text


def told(guarantee: Guarantee) -> str:
    """A guarantee, or why there is none, in one sentence."""
    stage = f"{guarantee.stage}: " if guarantee.stage else ""
    if guarantee.threshold is None:
        return f"{stage}at most {guarantee.alpha:.0%} wrong: nothing is accepted: {guarantee.why}"
    return (
        f"{stage}of the accepted answers ({guarantee.accepted.share:.0%} of "
        f"{guarantee.accepted.trials} pairs) at most {guarantee.alpha:.0%} are wrong, with "
        f"{guarantee.confidence:.0%} confidence, from {guarantee.labels} labels"
    )
