"""Judgments as rows of plain values, one answer to one comparison each: A is what was shown first.

A picture is named by its file, and so is a picture that was observed. Two ways of putting it are
made of the same rows: a comparison with the probability of A, and what was preferred to what, in
the form that the trainers of TRL take (https://huggingface.co/docs/trl/dataset_formats).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from volition.comparison import Comparison, Segment
from volition.goal import DONE, KEPT
from volition.judges.base import Question
from volition.judging.recordings import Replied, line_of, observed_in
from volition.judgment import Failure, JudgeIdentity, Judgment
from volition.storage.store import FRAMES

Row = dict[str, Any]  # of JSONL and Parquet alike
STORYBOARDS = "storyboards"
# What is asked where a principle begins so: of A alone, whatever B shows.
OF_ONE = {DONE: "Is this so", KEPT: "Is this kept to"}
PICTURES = ("image_a", "image_b", "storyboard_a", "storyboard_b")


def rows_of(
    judgments: Sequence[Judgment],
    comparisons: Mapping[str, Comparison],
    judges: Mapping[str, JudgeIdentity],
    goals: Mapping[str, str],
) -> list[Row]:
    """A row for each judgment, in their order; failures, too.

    Args:
        judgments: What was said.
        comparisons: What it is about, by its id.
        judges: Who said it, by their ids.
        goals: The words of every goal, by its id.
    """
    return [
        _row(
            judgment,
            comparisons[judgment.comparison_id],
            judges[judgment.judge_id],
            goals[comparisons[judgment.comparison_id].goal_id],
        )
        for judgment in judgments
    ]


def _row(judgment: Judgment, comparison: Comparison, judge: JudgeIdentity, goal: str) -> Row:
    sides = zip(("a", "b"), Question(comparison, judgment.order).shown, strict=True)
    shown = [_side(name, segment) for name, segment in sides]
    line, outcome = line_of(judge, judgment), judgment.outcome
    failure = outcome if isinstance(outcome, Failure) else None
    replied = (line.reply if line else None) or Replied.of(judgment)
    return {
        **{name: value for side in shown for name, value in side.items() if name in PICTURES},
        "goal": goal,
        "principle": judgment.principle,
        "p_a": None if isinstance(outcome, Failure) else outcome.p_shown_first,
        "judge": judge.name,
        "simulated": judge.simulated,
        "order": judgment.order.value,
        "failure": failure.kind if failure else None,
        "failure_message": failure.message if failure else None,
        "raw_reply": replied.raw,
        "explanation": replied.explanation or None,
        "prompt_tokens": replied.prompt_tokens,
        "completion_tokens": replied.completion_tokens,
        "cost_usd": replied.cost_usd,
        "latency_s": replied.latency_s,
        "reply_id": replied.id or judgment.reply.id,
        "comparison_id": comparison.id,
        **{name: value for side in shown for name, value in side.items() if name not in PICTURES},
        "kwargs": json.dumps(line.kwargs) if line and line.kwargs is not None else None,
    }


def _side(name: str, segment: Segment) -> Row:
    """What is said of one side: its pictures, what was observed, and the environment's states."""
    frames = [f"{FRAMES}/{frame.id}.png" for frame in segment.frames]
    clip = len(frames) > 1
    pictured = segment.observations.dtype == np.uint8
    states = [dict(state) for state in segment.states]
    return {
        f"image_{name}": frames if clip else frames[0],
        **({f"storyboard_{name}": f"{STORYBOARDS}/{segment.id}.png"} if clip else {}),
        f"observations_{name}": observed_in(segment) if pictured else segment.observations.tolist(),
        f"states_{name}": json.dumps(states) if states else None,
        f"drawn_{name}": segment.drawn_with is not None,
    }


def as_preferences(rows: Sequence[Row]) -> Iterator[Row]:
    """The same rows as TRL takes them: `prompt`, `images`, `chosen` and `rejected`.

    The prompt asks which of the pictures represents the goal better, and the answer that was
    given is preferred to the other. Ties and failures prefer nothing and are left out.
    """
    for row in rows:
        p_a = row["p_a"]
        if p_a is None or p_a == 0.5:
            continue
        a, b = (_listed(row[f"image_{side}"]) for side in ("a", "b"))
        chosen, rejected = ("A", "B") if p_a > 0.5 else ("B", "A")
        yield {
            "images": [*a, *b],
            "prompt": [{"role": "user", "content": _question(row, len(a))}],
            "chosen": [{"role": "assistant", "content": chosen}],
            "rejected": [{"role": "assistant", "content": rejected}],
            **{name: value for name, value in row.items() if name not in PICTURES},
        }


def _listed(pictures: str | list[str]) -> list[str]:
    return [pictures] if isinstance(pictures, str) else pictures


def _question(row: Row, frames: int) -> str:
    """What a model is asked that is to judge as was judged."""
    if frames == 1:
        shown = "The first picture is A, the second is B."
    else:
        shown = (
            f"The first {frames} pictures are the frames of clip A in the order of time, the "
            f"others those of clip B."
        )
    asked = "Which of the two represents the goal better? Answer A or B."
    principle = row["principle"]
    of_one = next((which for which in OF_ONE if (principle or "").startswith(which)), None)
    if principle is not None and of_one is not None:
        said = principle.removeprefix(of_one).strip()
        asked = f"{OF_ONE[of_one]} in A: {said} Answer A if it is, B if it is not."
    elif principle is not None:
        asked = f"Judge by this: {principle}\n{asked}"
    return f"Goal: {row['goal']}\n{shown}\n{asked}"
