"""Options that several verbs of the command line have, and those of a live judge."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from volition.errors import InputError


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
WORD = re.compile(r"[A-Za-z_][\w./-]*")  # a string that needs no quotes
NOT_TOML = {"True": "true", "False": "false"}
NOT_BARE = {*NOT_TOML, *NOT_TOML.values(), "inf", "nan"}  # what is or seems to be no string
Folder = Annotated[Positional[Path], arg(metavar="RUN", help="A run folder.")]


@dataclass(frozen=True)
class Live:
    """A judge that is asked while you wait, in place of recorded judgments."""

    judge: Annotated[
        str | None,
        option(
            "PROVIDER:MODEL",
            "Such as openai:gpt-6-luna; providers: openai, anthropic, gemini, local, simulated.",
        ),
    ] = None
    base_url: Annotated[
        str | None, option("URL", "Ask there: any server that speaks the provider's protocol.")
    ] = None
    max_usd: Annotated[float | None, option("USD", "Spend no more than this, in all.")] = None
    max_judgments: Annotated[
        int | None, option("N", "Ask no more than this; by default the task's own number.")
    ] = None
    price_in: Annotated[
        float | None, option("USD", "Price of a million tokens that go in, if it is not known.")
    ] = None
    price_out: Annotated[float | None, option("USD", "Likewise of those that come out.")] = None
    per_request: Annotated[
        int,
        arg(metavar="N", help="Put so many comparisons into one request, on one contact sheet."),
    ] = 1
    samples: Annotated[
        int,
        arg(
            metavar="N", help="Ask so often where a judge gives no probabilities: the share counts."
        ),
    ] = 1
    concurrency: Annotated[int, arg(metavar="N", help="Requests under way at once, at most.")] = 32
    explain: Annotated[bool, arg(help="Let the judge say why.", help_behavior_hint="")] = False
    first: Annotated[
        int | None,
        option(
            "N",
            "Judge so many before learning begins, the others meanwhile; by default the "
            "task's own number.",
        ),
    ] = None
    querying: Annotated[
        Literal["information", "disagreement", "uniform"],
        arg(help="How the others are chosen from what the policy reaches."),
    ] = "information"
    reuse: Annotated[
        Path | None, option("RUN", "Take over what the same judge answered in another run.")
    ] = None
    dry_run: Annotated[
        bool, arg(help="Say what judging will take, and stop.", help_behavior_hint="")
    ] = False


NOT_LIVE = Live()


def live_settings(live: Live, task: Any) -> Any:
    """What was chosen about a live judge; None where none was."""
    from volition.run.folder import LiveSettings

    if live.judge is None:
        if given := [
            field.name for field in fields(Live) if getattr(live, field.name) != field.default
        ]:
            raise InputError(f"--{given[0].replace('_', '-')} needs a judge: name it with --judge")
        return None
    training = task.training
    first = training.first_judgments if live.first is None else live.first
    return LiveSettings(
        live.judge,
        training.max_judgments if live.max_judgments is None else live.max_judgments,
        live.max_usd,
        live.base_url,
        live.price_in,
        live.price_out,
        live.per_request,
        live.samples,
        live.concurrency,
        live.explain,
        first,
        live.querying,
    )


def read_kwargs(said: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments of an environment, each said as NAME=VALUE.

    A value is a number, a string, true, false or an array, as TOML has them; or a bare word, which
    is a string.

    Raises:
        InputError: One is not said so, or a name is said twice.
    """
    kwargs: dict[str, Any] = {}
    for each in said:
        name, equals, value = each.partition("=")
        if not (name.isidentifier() and equals):
            raise InputError(f"--kwargs takes NAME=VALUE, such as layouts=heldout, not {each!r}")
        if name in kwargs:
            raise InputError(f"--kwargs names {name} twice")
        kwargs[name] = _value(name, value)
    return kwargs


def said_kwargs(kwargs: Mapping[str, Any]) -> str:
    """Keyword arguments as `read_kwargs` takes them, for a shell."""
    return shlex.join(
        f"{name}={value if _is_word(value) else json.dumps(value)}"
        for name, value in kwargs.items()
    )


def _is_word(value: object) -> bool:
    return isinstance(value, str) and bool(WORD.fullmatch(value)) and value not in NOT_BARE


def _value(name: str, said: str) -> Any:
    try:
        document = tomllib.loads(f"value = {said}")
    except tomllib.TOMLDecodeError:
        if _is_word(said):
            return said
        document = {}
    value = document.get("value")
    if len(document) != 1 or not _can_be_kept(value):
        hint = f"write {NOT_TOML[said]}" if said in NOT_TOML else "quote text as '\"...\"'"
        raise InputError(
            f"--kwargs {name}={said}: that is no number, string, true, false or array as TOML has "
            f"them, and no bare word: {hint}"
        )
    return value


def _can_be_kept(value: object) -> bool:
    """Whether judgments.jsonl can say it, which has no dates; tables are for task.toml."""
    if isinstance(value, list):
        return all(map(_can_be_kept, value))
    return isinstance(value, str | int | float)
