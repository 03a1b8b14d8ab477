"""The report's page: what `templates/report.html` is filled with.

Goal texts and judges' replies are not to be trusted: the template escapes all that it is given, and
a content security policy lets no script run but the page's own two, and no request leave the page.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np
from markupsafe import Markup

from volition.comparison import Segment
from volition.evidence.film import Episode
from volition.evidence.report import figures
from volition.evidence.report.again import again
from volition.evidence.report.discoveries import discoveries
from volition.evidence.report.landscapes import Landscape, landscape
from volition.evidence.report.pairs import (
    DOTS,
    Pair,
    consistency,
    measures,
    read_pairs,
    sample,
    shown_counts,
)
from volition.evidence.report.reading import Evidence, as_base64, embedded
from volition.evidence.report.versions import shown_versions
from volition.goal import Goal
from volition.run.correcting.changing import VERSIONS

TEMPLATES = Path(__file__).parent / "templates"
LADDER = 9  # judged states shown from the lowest to the highest predicted reward


def render_page(evidence: Evidence, episodes: Sequence[Episode], film: bytes) -> str:
    """The page, with everything that it shows inside it."""
    pairs, ladder = read_pairs(evidence), _ladder(evidence)
    shown, stories = sample(pairs), shown_versions(evidence)
    pictures = _embedded(
        [rung.segment for rung in ladder]
        + [segment for pair in shown for segment in (pair.a, pair.b)]
        + [segment for story in stories for segment in story.segments]
    )
    around = landscape(evidence.model, evidence.folder.task)
    scripts = {"plotly": plotly_source(), "script": read_source("report.js")}
    return template("report.html").render(
        run=evidence.result,
        task=evidence.folder.task,
        settings=evidence.folder.settings,
        judges=list(evidence.judges.values()),
        simulated=evidence.simulated,
        recorded=all(judge.name.startswith("recorded:") for judge in evidence.judges.values()),
        interval=evidence.fit.heldout.interval,
        heldout=evidence.fit.heldout,
        fit=evidence.fit,
        goal=_goal(evidence.folder.task.goal_in_parts()),
        film=base64.b64encode(film).decode(),
        episodes=episodes,
        sheets=[Picture.of(path) for path in sorted(evidence.folder.sheets.glob("*"))],
        pairs=shown,
        judged=len(pairs),
        dots=_dots(len(evidence.segments)),
        counts=shown_counts(evidence),
        consistency=consistency(pairs),
        measures=measures(evidence, pairs),
        filters=_filters(pairs),
        landscape=around,
        ladder=ladder,
        figures=draw_figures(evidence, episodes, around),
        frames={name: picture.encoded for name, picture in pictures.items()},
        sizes={name: (picture.width, picture.height) for name, picture in pictures.items()},
        facts=_facts(evidence),
        discoveries=discoveries(evidence),
        versions=evidence.folder.versions(),
        stories=stories,
        places=_places(evidence),
        again=again(evidence.folder),
        style=Markup(read_source("report.css")),
        **{name: Markup(source) for name, source in scripts.items()},
        script_hashes=" ".join(f"'sha256-{digest_source(source)}'" for source in scripts.values()),
    )


def _places(evidence: Evidence) -> dict[int, str]:
    """Where each version of a corrected run is, as a command names it."""
    run = Path(evidence.result.run)
    return {
        version.number: shlex.quote(
            str(run if version.now else run / VERSIONS / str(version.number))
        )
        for version in evidence.versions
    }


class EmbeddedFrame(NamedTuple):
    """A frame inside of the page, and its size in pixels."""

    encoded: str
    width: int
    height: int


def _embedded(segments: Sequence[Segment]) -> dict[str, EmbeddedFrame]:
    """The frames that are shown, by their ids; each is looked at once, since it may be drawn."""
    pictures = {}
    for frame in (frame for segment in segments for frame in segment.frames):
        pixels = frame.pixels
        if frame.id not in pictures:
            height, width = pixels.shape[:2]
            pictures[frame.id] = EmbeddedFrame(embedded(pixels), width, height)
    return pictures


def draw_figures(
    evidence: Evidence, episodes: Sequence[Episode], around: Landscape | None
) -> dict[str, figures.Figure]:
    """Every figure that Plotly draws, by the id of its place in the page."""
    history = evidence.history
    steps = [session.env_steps for session in history]
    drawn = {
        "learned-return": figures.learning_figure(
            steps, [s.learned_return for s in history], "learned return", figures.ACCENT
        ),
        "true-return": figures.learning_figure(
            steps, [s.true_return for s in history], "true return", figures.TRUTH
        ),
        "returns": figures.returns_figure(evidence, episodes),
    }
    if around is None:
        pictures = bool(evidence.model.picture)  # whose entries mean nothing one by one
        return drawn if pictures else {"entries": figures.entries_figure(evidence), **drawn}
    return {
        "circle": figures.circle_figure(around, evidence),
        "landscape": figures.landscape_figure(around, evidence),
        "plane": figures.plane_figure(around, episodes),
        **drawn,
    }


def plotly_source() -> str:
    """Plotly's JavaScript, as its Python package brings it."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


class Picture(NamedTuple):
    """A picture inside of the page."""

    name: str
    uri: str

    @classmethod
    def of(cls, path: Path) -> Picture:
        kind = mimetypes.guess_type(path.name)[0] or "image/png"
        return cls(path.name, f"data:{kind};base64,{as_base64(path)}")


class ShownGoal(NamedTuple):
    """The goal, its pictures inside of the page."""

    text: str
    principles: tuple[str, ...]
    vetoes: tuple[str, ...]
    images: list[Picture]
    counterexamples: list[Picture]


def _goal(goal: Goal) -> ShownGoal:
    pictures = ([Picture.of(path) for path in some] for some in (goal.images, goal.counterexamples))
    return ShownGoal(goal.text, goal.principles, goal.vetoes, *pictures)


@dataclass(frozen=True, slots=True)
class Filter:
    """One of the gallery's: a name for the page's script, words for a person, and a count."""

    name: str
    words: str
    count: int


def _filters(pairs: Sequence[Pair]) -> list[Filter]:
    """Those that show anything, and two that are always there."""
    counts = Counter(kind for pair in pairs for kind in pair.kinds)
    offered = [
        Filter("all", "All", counts["all"]),
        Filter("disagrees", "Reward model disagrees", counts["disagrees"]),
        Filter("unsure", "Reward model unsure", counts["unsure"]),
        Filter("tie", "Ties", counts["tie"]),
        Filter("repeated", "Asked twice", counts["repeated"]),
        Filter("failure", "Failures", counts["failure"]),
    ]
    return [choice for choice in offered if choice.count or choice.name in ("all", "disagrees")]


def _dots(states: int) -> str:
    """What a figure shows a dot of."""
    return "every judged state" if states <= DOTS else f"{DOTS:,} of the {states:,} judged states"


class Rung(NamedTuple):
    """A judged segment and its predicted reward, in logits."""

    segment: Segment
    value: float


def _ladder(evidence: Evidence) -> list[Rung]:
    """Judged segments from the lowest to the highest predicted reward, evenly spread by rank."""
    values = {name: float(evidence.values[name].mean()) for name in evidence.segments}
    ranked = sorted(values, key=values.__getitem__)
    chosen = np.linspace(0, len(ranked) - 1, min(LADDER, len(ranked))).round().astype(int)
    return [Rung(evidence.segments[ranked[n]], values[ranked[n]]) for n in chosen]


def _facts(evidence: Evidence) -> dict[str, str]:
    """The run's configuration and cost, for a person to read."""
    task, settings, replies = evidence.folder.task, evidence.folder.settings, evidence.judgments
    latencies = [judgment.reply.latency_s for judgment in replies if judgment.reply.latency_s]
    tokens = [
        sum(j.reply.prompt_tokens for j in replies),
        sum(j.reply.completion_tokens for j in replies),
    ]
    facts = {
        "Task": task.name,
        "Environment": f"{task.environment.id} {task.environment.kwargs or ''}".strip(),
        "Judge": ", ".join(judge.name for judge in evidence.judges.values()),
        "Judgments": settings.judgments or "asked while the run was made",
        "Symmetries used": ", ".join(s.name for s in task.reward.symmetries)
        if settings.symmetric
        else "none",
        "Weight decay": f"{evidence.fit.strength:g}, chosen by held-out judgments",
        "Algorithm": f"{task.training.algorithm.upper()}, discount {task.training.gamma:g}",
        "Environment steps": f"{evidence.result.env_steps:,}, {settings.envs} side by side",
        "Updates": f"{evidence.result.updates_per_s:,.0f} per second",
        "Wall time": f"{evidence.result.wall_s:.1f} s",
        "Cost": f"${evidence.result.cost_usd:.2f}",
        "Seed": str(settings.seed),
        "Evaluation": f"{evidence.result.episodes} episodes from fixed seeds",
    }
    if evidence.result.kept_steps is not None:
        facts["Policy kept"] = (
            f"that after {evidence.result.kept_steps:,} steps, the best by the learned reward"
        )
    if evidence.result.ended:
        facts["Learning"] = evidence.result.ended
    if evidence.result.asked:
        facts["Questions"] = evidence.result.asked
    if any(tokens):
        facts["Tokens"] = f"{tokens[0]:,} in, {tokens[1]:,} out"
    if latencies:
        facts["Judge's latency"] = f"{float(np.median(latencies)):.2f} s (median)"
    return facts


@cache
def template(name: str) -> jinja2.Template:
    """One of the package's templates, which escape all that they are given."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment.get_template(name)


def number(value: float, digits: int = 0) -> str:
    """A number with a true minus sign and no negative zero."""
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def read_source(name: str) -> str:
    """A style or a script of the package's own."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def digest_source(source: str) -> str:
    """Names a script in a content security policy."""
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
