"""How a run is made again: the command that does it, and what may be promised of that.

A run on recorded judgments is the same again. A live judge is paid again and may say something
else; so beside its command stand those that learn from what it said, without asking anybody.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import PurePath
from urllib.parse import urlsplit

from volition.judges.settings import JudgeSettings
from volition.judging.recordings import RECORDED
from volition.run.asking.live import Quota
from volition.run.creating import CLIP, OBJECT
from volition.run.folder import RunFolder, RunSettings
from volition.storage.store import Store
from volition.tasks.given import Given
from volition.tasks.task import bundled_tasks

NOT_OPTIONS = ("judge", "wire")  # of a judge's settings: one is named first, one only in Python
SAME = "On the same machine, with the versions below, that gives the same result to the last bit."
IN_PYTHON = (
    "This task was made in Python, and no command names it. It stands in config.toml and task/ of "
    "the run's folder."
)
WITHOUT_ASKING = "Learned from what was answered, without asking anybody or paying again: "
AT_ONCE = f"{WITHOUT_ASKING}all was asked before learning began. {SAME}"
MEANWHILE = (
    f"{WITHOUT_ASKING}the same judgments, and the same reward model fitted to all of them. The "
    "policy has them from its first step on, and not as they came, so it is another policy; made "
    "twice, it is the same both times."
)


@dataclass(frozen=True, slots=True)
class Again:
    """How a run is made again.

    Attributes:
        command: For a shell, in the folder where the run was begun; empty where none does it.
        notes: What may be expected of it.
        from_answers: Commands that learn from the same answers without asking; none where the
            first one does so itself, or where it cannot be done.
        promise: What may be expected of those.
    """

    command: str
    notes: tuple[str, ...]
    from_answers: tuple[str, ...] = ()
    promise: str = ""


def again(folder: RunFolder) -> Again:
    """How the run in a folder is made again.

    Raises:
        StoreError: Its judgments are damaged.
    """
    settings, given = folder.settings, folder.settings.given or _guessed(folder)
    with folder.open_store() as store:
        added = _added(store, settings)
    said = _said(settings)
    if not given.words:
        return Again("", (IN_PYTHON, *said, *added))
    task, chosen = ["volition", "train", *given.words], _chosen(settings)
    if settings.live is None:
        words = [*task, "--judgments", settings.judgments, *chosen]
        return Again(shlex.join(words), (*said, *added) or (SAME,))
    live, notes = settings.live, [*_notes(settings.live), *said, *added]
    reused = ["--reuse", given.reuse] if given.reuse else []
    clips = ["--clip"] if folder.task.view.clip and CLIP in settings.found else []
    words = [*task, "--judge", live.judge, *_options(live), *reused, *clips, *chosen]
    command = "" if live.judge.startswith(OBJECT) else shlex.join(words)
    with folder.open_store() as store:
        count = len(store.comparison_ids())
    if said:
        return Again(command, tuple(notes))
    if added:
        why = "No recording can be made of what was answered: several judges answered."
        return Again(command, (*notes, why))
    learn = [*task, "--judgments", str(folder.path / "export"), *chosen]
    at_once = count <= Quota.of(live, folder.task.training).first
    return Again(
        command,
        tuple(notes),
        (shlex.join(["volition", "export", str(folder.path)]), shlex.join(learn)),
        AT_ONCE if at_once else MEANWHILE,
    )


def _said(settings: RunSettings) -> list[str]:
    """A note where the run was corrected, which no command that begins one does."""
    said = [f"“{correction.said}”" for correction in settings.corrections]
    if not said:
        return []
    return [f"What was said of it then is not in it: volition say RUN with {', then '.join(said)}."]


def _added(store: Store, settings: RunSettings) -> list[str]:
    """A note where others answered, too, which no command of one judge has in it."""
    names = [judge.name for judge in store.judges().values()]
    recorded = [name.removeprefix(RECORDED) for name in names if name.startswith(RECORDED)]
    own = PurePath(settings.judgments).name
    added = recorded if settings.live else [name for name in recorded if name != own]
    if len(names) < 2:
        return []
    return [f"Answers of {', '.join(added) or 'others'} were added later, and are not in it."]


def _chosen(settings: RunSettings) -> list[str]:
    symmetric = ["--symmetries"] if settings.symmetric else []
    return ["--steps", str(settings.steps), "--seed", str(settings.seed), *symmetric]


def _options(live: JudgeSettings) -> Iterator[str]:
    """A judge's settings that are not as they are by default, as options."""
    for setting in fields(live):
        value = getattr(live, setting.name)
        if setting.name in NOT_OPTIONS or setting.default is MISSING or value == setting.default:
            continue
        yield f"--{setting.name.replace('_', '-')}"
        if setting.name == "base_url":
            yield _without_secrets(value)
        elif value is not True:
            yield str(value)


def _notes(live: JudgeSettings) -> Iterator[str]:
    """What may be expected of asking a live judge again."""
    if live.judge.startswith(OBJECT):
        yield (
            f"The judge was an object of Python's, {live.judge.removeprefix(OBJECT)}, and no "
            "command can ask it: in Python, give it to volition.train again."
        )
    elif live.judge.startswith("simulated:"):
        yield (
            f"{SAME} That is, where the simulated judge answers at once; where it takes its time, "
            "what is asked depends on when its answers come."
        )
    else:
        yield (
            f"It asks {live.judge} again: that is paid for again, the answers may be others, and "
            "what is asked depends on when they come."
        )
    if live.wire is not None:
        yield f"The wire {live.wire} was chosen in Python; the command takes the best that works."
    if live.base_url is not None and _without_secrets(live.base_url) != live.base_url:
        yield "A user's name, a password or a query has been left out of the address."


def _without_secrets(url: str) -> str:
    """An address as a page may show it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _guessed(folder: RunFolder) -> Given:
    """How the task of a run of before 0.2 was named, as far as its name says."""
    for task in bundled_tasks():
        if task.name == folder.task.name:
            return Given(task=task.folder.name, goal=task.chosen or "")
    return Given(task="TASK_FOLDER")
