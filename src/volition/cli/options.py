"""Options that several verbs of the command line have, and those of a live judge."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, field, fields, make_dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from tyro.conf import Positional, Suppress, arg

from volition.errors import InputError
from volition.judges.settings import JudgeSettings
from volition.tasks.kwargs import NOT_TOML, can_be_said, is_word

if TYPE_CHECKING:
    from volition.tasks.task import Task


def option(metavar: str, help: str) -> Any:
    """An option whose help shows neither Python's types nor an absent default."""
    return arg(metavar=metavar, help=help, help_behavior_hint="")


Json = Annotated[
    bool,
    arg(help="Make the last line of standard output one JSON object.", help_behavior_hint=""),
]
Kwargs = Annotated[
    tuple[str, ...],
    option("NAME=VALUE ...", "Make the environment with these keyword arguments, too."),
]
Clip = Annotated[
    bool,
    arg(
        help="Show clips, whose length is found; else states, one picture each, unless the task "
        "or a live judge that is asked first says otherwise.",
        help_behavior_hint="",
    ),
]
Env = Annotated[
    str | None, option("ID", "In place of TASK: a Gymnasium environment's id, with --goal.")
]
GoalOrText = Annotated[
    str | None,
    option("NAME|TEXT", "One of the task's goals by name; with --env what is wanted, in words."),
]
PerSheet = Annotated[
    int | None, option("INT", "Comparisons on one sheet; by default 60, of clips fewer.")
]
Batches = Annotated[
    tuple[str, ...],
    option("PROVIDER:MODEL ...", "Also write files for these models' batch endpoints."),
]
Folder = Annotated[Positional[Path], arg(metavar="RUN", help="A run folder.")]
Host = Annotated[
    str,
    arg(metavar="ADDRESS", help="Listen there; any but this machine's own needs --token, too."),
]
Port = Annotated[int | None, option("N", "Listen there; by default the page's own, or a free one.")]
Token = Annotated[
    str, option("SIGNS", "The secret part of the address; by default made up anew each time.")
]


def needs_pages() -> ModuleType:
    """What serves the pages.

    Raises:
        InputError: The packages that it needs are missing.
    """
    try:
        return import_module("volition.web.serving")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise InputError(
            f"the pages need {error.name}, which is not installed: pip install starlette uvicorn"
        ) from None


def described(settings: type, options: Mapping[str, Any]) -> Any:
    """A dataclass as a group of options: those that are described, and no others.

    Args:
        settings: The dataclass. A field without a default is an empty word here.
        options: For each option, by its field, how it is described.
    """
    hints = get_type_hints(settings)
    rows: list[tuple[str, Any, Any]] = []
    for declared in fields(settings):
        default = "" if declared.default is MISSING else declared.default
        shown = options.get(declared.name, Suppress)
        rows.append((declared.name, Annotated[hints[declared.name], shown], field(default=default)))
    return make_dataclass(settings.__name__, rows, bases=(settings,), frozen=True)


JUDGE_OPTIONS = {
    "judge": option(
        "PROVIDER:MODEL",
        "Such as openai:gpt-6-luna; providers: openai, anthropic, gemini, local, simulated.",
    ),
    "base_url": option("URL", "Ask there: any server that speaks the provider's protocol."),
    "max_usd": option("USD", "Spend no more than this, in all."),
    "max_judgments": option(
        "N",
        "Ask so many, if the judge is fast enough; by default the task's own number, or as many as "
        "teach more.",
    ),
    "price_in": option("USD", "Price of a million tokens that go in, if it is not known."),
    "price_out": option("USD", "Likewise of those that come out."),
    "per_request": arg(
        metavar="N", help="Put so many comparisons into one request, on one contact sheet."
    ),
    "samples": arg(
        metavar="N", help="Ask so often where a judge gives no probabilities: the share counts."
    ),
    "concurrency": arg(metavar="N", help="Requests under way at once, at most."),
    "explain": arg(help="Let the judge say why.", help_behavior_hint=""),
    "patience": arg(
        metavar="SECONDS",
        help="Wait so long for a judge that does not answer: a provider that is down, a limit on "
        "the rate, a lost connection. Then stop, so that `volition resume` can go on.",
    ),
    "reasoning_tokens": arg(
        metavar="N", help="Room to reason in, for a model that cannot be told not to."
    ),
    "first": option(
        "N",
        "Judge so many before learning begins, the others meanwhile; by default the task's own "
        "number.",
    ),
    "querying": arg(help="How the others are chosen from what the policy reaches."),
}


JudgeOptions = Annotated[
    JudgeSettings, arg(name="", constructor=described(JudgeSettings, JUDGE_OPTIONS))
]
"""A judge that is asked while you wait, in place of recorded judgments."""
NO_JUDGE = JudgeSettings("")


def chosen_judge(live: JudgeSettings, **beside: object) -> JudgeSettings | None:
    """The judge that was chosen, or None.

    Args:
        live: Its settings.
        beside: Further options that need a judge.

    Raises:
        InputError: None was, and one of its options was given.
    """
    if live.judge:
        return live
    given = [name for name in JUDGE_OPTIONS if getattr(live, name) != getattr(NO_JUDGE, name)]
    given += [name for name, value in beside.items() if value]
    if given:
        raise InputError(f"--{given[0].replace('_', '-')} needs a judge: name it with --judge")
    return None


def read_kwargs(words: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments of an environment, each said as NAME=VALUE.

    A value is a number, a string, true, false or an array, as TOML has them; or a bare word, which
    is a string.

    Raises:
        InputError: One is not said so, or a name is said twice.
    """
    kwargs: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name.isidentifier() and equals):
            raise InputError(f"--kwargs takes NAME=VALUE, such as layouts=heldout, not {word!r}")
        if name in kwargs:
            raise InputError(f"--kwargs names {name} twice")
        kwargs[name] = _value(name, value)
    return kwargs


def _value(name: str, word: str) -> Any:
    try:
        document = tomllib.loads(f"value = {word}")
    except tomllib.TOMLDecodeError:
        if is_word(word):
            return word
        document = {}
    value = document.get("value")
    if len(document) != 1 or not can_be_said(value):
        hint = f"write {NOT_TOML[word]}" if word in NOT_TOML else "quote text as '\"...\"'"
        raise InputError(
            f"--kwargs {name}={word}: that is no number, string, true, false or array as TOML has "
            f"them, and no bare word: {hint}"
        )
    return value


def made_for(env: str, goal: str | None) -> Task:
    """A task made of an environment's id and a goal in words.

    Raises:
        InputError: There are no words.
        EnvironmentUnsupported: That can be no environment's id.
    """
    from volition.goal import Goal
    from volition.run.creating import task_for

    if not goal:
        raise InputError("--env needs --goal TEXT: what is wanted, in words")
    try:
        return task_for(env, Goal(goal))
    except ValueError as error:
        raise InputError(f"--goal: {error}") from None


def print_json(value: object) -> None:
    from volition.storage.documents import as_document

    print(json.dumps(as_document(value)))
