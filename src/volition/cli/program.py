"""The program: its verbs, and what becomes of their errors.

Every verb imports what it needs when it is called.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable

import tyro

from volition.cli.asking import answer, ask, label
from volition.cli.correcting.saying import say
from volition.cli.drafting import draft
from volition.cli.examining import certify, compare, score, verify
from volition.cli.exchanging.verbs import export, import_, push
from volition.cli.learning import play, report, resume, train, watch
from volition.cli.listing import doctor, tasks
from volition.cli.parsing import REGISTRY
from volition.errors import Interrupted, VolitionError

VERBS: dict[str, Callable[..., int]] = {
    verb.__name__.rstrip("_"): verb
    for verb in (
        train,
        resume,
        say,
        watch,
        report,
        play,
        certify,
        score,
        compare,
        export,
        import_,
        push,
        verify,
        ask,
        answer,
        label,
        draft,
        tasks,
        doctor,
    )
}
GARBAGE = 50_000  # new objects until garbage is looked for: imports make many, and hardly any of it


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code.

    0: done. 1: a clear error. 2: the command line is wrong. 130: stopped by Ctrl-C.
    """
    gc.set_threshold(GARBAGE)
    try:
        code = tyro.extras.subcommand_cli_from_dict(
            VERBS,
            args=arguments,
            prog="volition",
            description="Train agents to do what people mean: judgments in, behaviour out.",
            config=(tyro.conf.FlagCreatePairsOff,),
            registry=REGISTRY,
        )
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        return 130
    except VolitionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1
    except OSError as error:  # the disk is full, a folder may not be written, a name is too long
        where = f"{error.filename!s:.200}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    return int(code)
