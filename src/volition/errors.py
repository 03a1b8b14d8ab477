"""Every error that Volition raises on purpose.

    VolitionError               caught by the command line: one message, no traceback, exit code 1
    ├── InputError              what the user gave is wrong: a task folder, judgments, an option
    ├── EnvironmentUnsupported  an environment that is unknown, fails, or cannot be acted in
    ├── JudgeUnavailable        a judge cannot be asked: no key, unknown model, dead endpoint
    ├── JudgeUnfit              a judge's answers say nothing: always the first, always a tie
    ├── StoreError              judgments.sqlite or frames/ are damaged, or were changed by hand
    └── RunError                a run folder exists, is missing, is unfinished, or cannot be written

A message names the thing, the value, and what to do about it.
A failed judgment is not an error: it is a value, `volition.judgment.Failure`.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


class VolitionError(Exception):
    """Base of every error raised on purpose."""


class InputError(VolitionError):
    """A task folder, a file of judgments or an option is not as it must be."""


class EnvironmentUnsupported(VolitionError):
    """The environment is unknown, its spaces do not fit the learner, or it fails: it raises an
    error, or gives what is no observation or no picture."""


class JudgeUnavailable(VolitionError):
    """A judge cannot be asked at all: no key, an unknown model, an endpoint that does not answer.

    One call that fails is not this: it is retried, and then a `Failure`.
    """


class JudgeUnfit(VolitionError):
    """A judge's answers were examined and say nothing: whoever learned from them learned noise."""


class StoreError(VolitionError):
    """The store of judgments is damaged or was changed by hand."""


class RunError(VolitionError):
    """A run folder is in the way, missing, unfinished or not writable."""


class Interrupted(VolitionError):
    """The user pressed Ctrl-C; the run has been left so that it can be resumed."""


def needed(package: str, extra: str, purpose: str) -> ModuleType:
    """A package that one of the extras brings, imported when it is used.

    Args:
        package: As it is imported.
        extra: The extra's name.
        purpose: What it is needed for, as a message says it.

    Raises:
        InputError: It is not installed.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise InputError(
            f'{purpose} needs {package}, which is not installed: pip install "volition[{extra}]"'
        ) from None
