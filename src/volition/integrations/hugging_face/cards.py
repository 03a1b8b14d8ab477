"""Cards: a README.md whose front matter a hub reads, and whose figures are the run's own.

The front matter is YAML in which every value is written as JSON has it, which is YAML, too.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from volition.integrations.hugging_face.rows import Row
from volition.run.evaluation import Evaluation
from volition.run.folder import RunFolder
from volition.run.results import Result
from volition.tasks.task import Task

CARD = "README.md"
SIMULATED = (
    "**The judge is simulated.** It is an error model in place of a judge: it reads what is true "
    "of the goal and errs as real ones were measured to. No model and no person looked at a "
    "picture. Figures say nothing of what a real judge would have answered."
)
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))
SHOWN = 3  # pairs, on the card of a dataset
COLUMNS = {
    "image_a, image_b": "what was shown first, and then; of clips a list of frames",
    "storyboard_a, storyboard_b": "of clips: their frames in one picture",
    "goal, principle": "what was wanted, and the one principle of it that was asked about, if any",
    "p_a": "the probability that A represents the goal better; null where no verdict came",
    "judge, simulated": "who answered, and whether that is an error model in place of a judge",
    "order": "`forward` where A is the comparison's first side, `swapped` where it is its second",
    "failure, failure_message": "why no verdict came",
    "raw_reply, explanation": "as the judge wrote it",
    "prompt_tokens, completion_tokens, cost_usd, latency_s": "of the reply, in dollars and seconds",
    "reply_id": "rows with the same one were answered by one reply: count its cost once",
    "comparison_id": "rows with the same one are answers to the same question",
    "observations_a, observations_b": "what the environment observes, one row a step",
    "states_a, states_b": "the environment's own state at every step, as JSON; null if not known",
    "drawn_a, drawn_b": "whether the picture was drawn of that state, and not kept by the run",
    "kwargs": "what the environment was made with, as JSON, where a line said so",
}
FILES = {
    "comparisons.parquet": "one answer to one comparison a row, with the pictures inside",
    "comparisons.jsonl": "the same rows; pictures lie in `frames/`",
    "preferences.parquet": "`prompt`, `images`, `chosen`, `rejected`, as TRL's trainers take them",
    "judgments.jsonl": "a recording, one judgment a line: `volition train --judgments FOLDER`",
}


def dataset_card(run: RunFolder, rows: Sequence[Row], files: Sequence[str]) -> str:
    """The card of a dataset of judgments, as Markdown.

    Args:
        run: Whose judgments they are.
        rows: As of `rows_of`.
        files: That lie beside it.
    """
    simulated = any(row["simulated"] for row in rows)
    configs: list[object] = [
        {"config_name": name, "data_files": file, **default}
        for name, file, default in (
            ("judgments", "comparisons.parquet", {"default": True}),
            ("preferences", "preferences.parquet", {}),
        )
        if file in files
    ]
    size = next((name for most, name in SIZES if len(rows) < most), "100K<n<1M")
    front = {
        "pretty_name": f"Judgments of {run.task.name}",
        "tags": ["volition", "preferences", "rlaif", *(["simulated-judge"] if simulated else [])],
        "size_categories": [size],
        "configs": configs,
    }
    sections = [
        f"# Judgments of {_line(run.task.name)}",
        *([SIMULATED] if simulated else []),
        "A judge was shown two states of an environment, A and B, and asked which of them "
        "represents a goal better. Each row is an answer. The goal:",
        _goal(run.task),
        "## What was answered",
        _table(_answered(rows)),
        _pairs(rows),
        "## Files and columns",
        _table({f"`{name}`": told for name, told in FILES.items() if name in files}),
        _table({f"`{name.replace(', ', '`, `')}`": told for name, told in _columns(rows)}),
        "```python\nfrom datasets import load_dataset\n\n"
        'load_dataset("FOLDER OR OWNER/NAME", "judgments")["train"]\n```',
        _made(run),
    ]
    return _front_matter(front) + "\n\n".join(filter(None, sections)) + "\n"


def model_card(run: RunFolder, result: Result, evaluation: Evaluation, film: bool) -> str:
    """The card of what a run learned, as Markdown.

    Args:
        run: Whose.
        result, evaluation: What came of it.
        film: Whether `replay.mp4` lies beside it.
    """
    task = run.task
    returned = f"{result.return_mean:.2f} +/- {result.return_std:.2f}"
    metrics = [{"type": "mean_reward", "value": returned, "name": "mean_reward", "verified": False}]
    where = {"name": task.environment.id, "type": task.environment.id}
    kind = {"type": "reinforcement-learning", "name": "reinforcement-learning"}
    tags = ["reinforcement-learning", "reward-model", "rlaif", task.environment.id]
    front = {
        "library_name": "volition",
        "pipeline_tag": "reinforcement-learning",
        "tags": [*tags, *(["simulated-judge"] if result.simulated else [])],
        "model-index": [
            {"name": task.name, "results": [{"task": kind, "dataset": where, "metrics": metrics}]}
        ],
    }
    sections = [
        f"# {_line(task.name)}: a policy and the reward model that taught it",
        *([SIMULATED] if result.simulated else []),
        _goal(task),
        "The policy learned from the reward model alone, and the reward model from judgments. The "
        "environment's own reward was measured at the end and taught nothing.",
        "## Figures",
        _table(_figures(result, evaluation)),
        *(f"- {_line(warning)}" for warning in result.warnings),
        "`replay.mp4` shows episodes of the policy." if film else "",
        "## Use",
        "```python\nfrom volition import Run  # pip install volition\n\n"
        'run = Run.open("FOLDER")\n'
        "run.policy(observations)  # float32 (batch, obs_dim) -> actions (batch, ...)\n"
        "run.reward_model(observations)  # float32 (..., obs_dim) -> (...)\n```",
        "`volition compare FOLDER random --judge PROVIDER:MODEL` lets a judge compare it with the "
        "random policy. Models are safetensors: nothing here is a pickle.",
        _made(run),
    ]
    return _front_matter(front) + "\n\n".join(filter(None, sections)) + "\n"


def _answered(rows: Sequence[Row]) -> dict[str, str]:
    judges = Counter((row["judge"], row["simulated"]) for row in rows)
    replies = {(row["judge"], row["reply_id"]): row for row in rows}.values()
    failures = Counter(row["failure"] for row in rows if row["failure"] is not None)
    ties = sum(row["p_a"] == 0.5 for row in rows)
    first = sum(row["p_a"] is not None and row["p_a"] > 0.5 for row in rows)
    told = {
        f"judge {_line(name)}": f"{count:,} answers{', simulated' if simulated else ''}"
        for (name, simulated), count in judges.items()
    }
    tokens = sum(row["prompt_tokens"] + row["completion_tokens"] for row in replies)
    verdicts = len(rows) - sum(failures.values())
    return {
        "comparisons": f"{len({row['comparison_id'] for row in rows}):,}",
        **told,
        "verdicts": f"{verdicts:,}, of which {first:,} for A and {ties:,} ties",
        "answers without a verdict": ", ".join(f"{n} {kind}" for kind, n in failures.items())
        or "0",
        "replies": f"{len(replies):,}",
        "tokens": f"{tokens:,}",
        "cost": f"${sum(row['cost_usd'] for row in replies):.6g}",
    }


def _figures(result: Result, evaluation: Evaluation) -> dict[str, str]:
    heldout = result.heldout_accuracy
    return {
        "judge": _line(result.judge) + (", simulated" if result.simulated else ""),
        "judgments": f"{result.judgments:,}, ${result.cost_usd:.6g}",
        "judgments decided as the judge did by a reward model that did not see them": (
            "not measured" if heldout is None else f"{heldout:.1%}"
        ),
        "the environment's own return, evaluation only": (
            f"{result.return_mean:.2f} ± {result.return_std:.2f} over {result.episodes} episodes, "
            f"worst {min(evaluation.true_returns):.2f}"
        ),
        **{f"{name}, evaluation only": f"{mean:.4g}" for name, mean in result.measures.items()},
        "environment steps": f"{result.env_steps:,}",
        "seed": str(result.seed),
        **({"learning ended": _line(result.ended)} if result.ended else {}),
    }


def _goal(task: Task) -> str:
    """The goal as it was judged, and where."""
    goal, lines = task.stated_goal(), []
    lines.append(f"> {_line(goal.text)}")
    for kind, sentences in (
        ("principle", goal.principles),
        ("veto", goal.vetoes),
        ("stage", [stage.text for stage in goal.stages]),
    ):
        lines += [f"> - {kind}: {_line(sentence)}" for sentence in sentences]
    made = f" with `{json.dumps(task.environment.kwargs)}`" if task.environment.kwargs else ""
    count = len(goal.pictures)
    shown = (
        f" A judge is shown {count} picture{'s'[: count != 1]} of the goal, too." if count else ""
    )
    return "\n".join(lines) + f"\n\nEnvironment: `{task.environment.id}`{made}.{shown}"


def _pairs(rows: Sequence[Row]) -> str:
    """The first pairs with a verdict, to be looked at."""
    lines = ["| A | B | p_a |", "|---|---|---|"]
    for row in [row for row in rows if row["p_a"] is not None][:SHOWN]:
        a, b = (row.get(f"storyboard_{s}", row[f"image_{s}"]) for s in ("a", "b"))
        lines.append(f"| ![A]({a}) | ![B]({b}) | {row['p_a']:.3g} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _columns(rows: Sequence[Row]) -> list[tuple[str, str]]:
    return [(names, told) for names, told in COLUMNS.items() if names.split(", ")[0] in rows[0]]


def _made(run: RunFolder) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run.versions().items())
    return f"Written by `volition export` of a run made with {versions}."


def _table(rows: Mapping[str, str]) -> str:
    return "\n".join(
        ["| | |", "|---|---|", *(f"| {name} | {told} |" for name, told in rows.items())]
    )


def _line(text: str) -> str:
    """Somebody's words as a part of a line of Markdown that says what they say."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _front_matter(fields: Mapping[str, Any]) -> str:
    return "\n".join(["---", *_yaml(fields), "---", "", ""])


def _yaml(value: Any, indent: str = "") -> Iterator[str]:
    """Lines of YAML."""
    for key, inner in value.items():
        if not isinstance(inner, list):
            yield f"{indent}{key}: {json.dumps(inner, ensure_ascii=False)}"
            continue
        yield f"{indent}{key}:"
        for each in inner:
            lines = [json.dumps(each, ensure_ascii=False)]
            if isinstance(each, dict):
                lines = [*_yaml(each)]
            yield f"{indent}- {lines[0]}"
            yield from (f"{indent}  {line}" for line in lines[1:])
