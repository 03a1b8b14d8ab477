"""SIGKILL at any moment of `draft`, its check, `train` and `say`, and of the learning after them.

    python benchmarks/killed.py [--quick] [--kills N] [--seed N]

Each command is first run undisturbed, twice: the first time its programs are compiled and the judge
is tried, the second says how long it takes. Then it is run again from the same beginning, killed at
a moment of that, started again, killed again, up to three times, and started once more until it
ends. Half of the moments are spread over its whole duration, the others over what it asks: such a
kill meets requests that are under way. The judge is a server on loopback that looks at the pictures
and counts (the tests' own, in `tests/servers`); it is no multimodal LLM.

After every kill and at every end what it answered is compared with what is on disk. A request that
was under way at a kill may be asked again; they are counted apart.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from claims import claim, run_benchmark
from volition.drafting.checking import FOLDER as CHECK
from volition.drafting.draft import CONSTITUTION, is_approved, is_draft, open_draft
from volition.evidence.verification import verify
from volition.judges.prompt import legible
from volition.judgment import Verdict
from volition.run.correcting.changing import LEARNER, OUTCOME, PENDING, VERSIONS
from volition.run.correcting.proposal.kept import PROPOSAL, open_proposal
from volition.run.folder import CONFIG, RunFolder
from volition.storage.database import DATABASE
from volition.storage.store import Store
from volition.tasks.task import TASK_FILE

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from servers import Server, serving
from servers.counted import settle
from servers.eyes import Pair

STAGES = {"draft": 3, "check": 3, "train": 6, "say": 9}  # and how many of the kills each has
KILLS, QUICK = 21, 4
CONCURRENCY = 4
LATENCY_S = 0.1
JUDGMENTS, STEPS = 40, 1600
WISH, SAID = "Make it stand, please.", "It stays on the left."
TEXT = ("", "a text")  # how the server counts what it writes,
OF_A_RUN = ("", "a proposal")  # which is this where a run is corrected
ENDED = "these words made of it already"  # it was killed when all was done
WRITTEN = {
    "goal": "The rod points straight up.",
    "principles": [
        {"text": "Higher is better.", "picture": 1, "why": "it hangs"},
        {"text": "The rod is seen.", "picture": 2, "why": "it is thin"},
    ],
    "vetoes": [{"text": "It never hangs straight down.", "picture": 3, "why": "it hangs"}],
    "questions": [],
}
PROPOSED = {"kind": "principle", "text": "The rod stays on the left.", "why": "said so"}
STALE = "learns from them"  # of a reward model in the middle of a run: answers came after its fit

A_TRIAL = 3  # kills, one after the other

Key = tuple[str, str]  # under which principle, and which pictures


@dataclass(frozen=True, slots=True)
class Moment:
    """When a command is killed.

    Attributes:
        seconds: After it began, or after the request.
        requests: That it has made by then; 0 where only time counts.
    """

    seconds: float
    requests: int = 0


@dataclass(slots=True)
class Seen:
    """What was seen at the kills and the ends of one command.

    Attributes:
        kills: Of them so far.
        again: Questions that were answered although their answers were on disk.
        lost: Answered, and not on disk after a kill: under way then.
        most_lost: At one kill.
        gone: Answers that were on disk and are no more.
        unanswered: Answered by the server and not on disk after an undisturbed end.
        defects: What `volition verify` says, and files that cannot be read.
        other: Files of the version before that are not as they were.
        failed: Commands that did not end well, by their last line.
        unlike: Outcomes that differ from the undisturbed ones, of the same answers in one order.
        alike: Outcomes that are the same, byte by byte.
        seconds: That it takes undisturbed.
        requests: That it makes then.
        moments: Of the kills, in seconds, or as requests.
    """

    kills: int = 0
    again: int = 0
    lost: int = 0
    most_lost: int = 0
    gone: int = 0
    unanswered: int = 0
    defects: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)
    alike: int = 0
    seconds: float = 0.0
    requests: int = 0
    moments: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """Where the commands are run: always the same, so that what comes of them can be the same."""

    work: Path
    server: Server
    concurrency: int

    @property
    def now(self) -> Path:
        return self.work / "now"

    @property
    def draft(self) -> Path:
        return self.now / "draft"

    @property
    def run(self) -> Path:
        return self.now / "run"

    def begin(self, stage: str) -> None:
        """Puts there what the stage begins with: what the one before has left."""
        names = list(STAGES)
        before = self.work / f"after-{names[names.index(stage) - 1]}" if stage != names[0] else None
        shutil.rmtree(self.now, ignore_errors=True)
        if before is None:
            self.now.mkdir()
        else:
            shutil.copytree(before, self.now)

    def words(self, stage: str) -> list[str]:
        """The command, as a person would give it again."""
        asks = ["--judge", "openai:test", "--base-url", self.server.openai, "--max-usd", "1"]
        asks += ["--price-in", "1", "--price-out", "4", "--concurrency", str(self.concurrency)]
        if stage == "draft":
            wish = ["draft", "pendulum", "--goal", WISH, "--pictures", "4", "--yes"]
            return [*wish, "--out", str(self.draft), *asks]
        if stage == "check":
            return ["draft", str(self.draft), "--check", *asks]
        if stage == "say":
            limits = ["--max-usd", "0.5", "--max-judgments", "20", "--steps", str(STEPS // 2)]
            return ["say", str(self.run), SAID, "--yes", *limits]
        if (self.run / CONFIG).is_file():
            return ["resume", str(self.run)]
        limits = ["--max-judgments", str(JUDGMENTS), "--first", str(JUDGMENTS)]
        limits += ["--steps", str(STEPS), "--out", str(self.run)]
        return ["train", str(self.draft), *asks, *limits]


# Processes -----------------------------------------------------------------------------------


@contextmanager
def started(place: Place, stage: str) -> Iterator[subprocess.Popen[str]]:
    """The stage's command, in a process group of its own."""
    caches = {
        name: str(place.work / name) for name in ("JAX_COMPILATION_CACHE_DIR", "XDG_CACHE_HOME")
    }
    with (
        (place.work / "told").open("w+") as told,
        subprocess.Popen(
            [sys.executable, "-m", "volition.cli", *place.words(stage)],
            stdout=subprocess.DEVNULL,
            stderr=told,
            text=True,
            env={**os.environ, **caches},
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def to_the_end(place: Place, stage: str, seen: Seen) -> float:
    """Seconds that the command took; that it ended well is noted."""
    began = time.perf_counter()
    with started(place, stage) as process:
        note(place, stage, process.wait(timeout=600), seen)
    return time.perf_counter() - began


def note(place: Place, stage: str, code: int, seen: Seen) -> None:
    """What a command said that did not end well."""
    if code not in (0, -signal.SIGKILL):
        told = (place.work / "told").read_text().splitlines() or ["no word"]
        if stage == "say" and ENDED in told[-1]:
            return
        seen.failed.append(f"{stage}: exit code {code}: {told[-1]}")


def killed_at(place: Place, stage: str, moment: Moment, seen: Seen) -> bool:
    """Kills the command then; whether it was still there. That it ended well else is noted."""
    asked = place.server.requests.total() + moment.requests
    with started(place, stage) as process:
        while place.server.requests.total() < asked and process.poll() is None:
            time.sleep(0.005)
        try:
            code = process.wait(timeout=moment.seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
    note(place, stage, code, seen)
    return code == -signal.SIGKILL


# What is on disk -----------------------------------------------------------------------------


def held(place: Place, seen: Seen) -> Counter[Key]:
    """Every answer that is on disk, read or not; what cannot be read is noted."""
    counted: Counter[Key] = Counter()
    if (place.run / CONFIG).is_file():
        proposals = RunFolder.open(place.run).proposals.glob(f"*/{PROPOSAL}")
        counted[OF_A_RUN] = sum(len(open_proposal(file.parent).replies) for file in proposals)
    if is_draft(place.draft):
        counted[TEXT] = len(open_draft(place.draft).replies)
    for folder in (place.draft / CHECK, place.run):
        if (folder / DATABASE).is_file():
            with Store.open(folder) as store:
                seen.defects += store.verify()
                counted.update(answers(store).keys())
    if (place.run / CONFIG).is_file():
        found = verify(RunFolder.open(place.run))
        seen.defects += [line for line in found if STALE not in line]
    return counted


def answers(store: Store) -> dict[Key, Any]:
    """The probability of each answer that is stored, as the server counts the question."""
    pictures = {
        name: Pair(*(legible(side.frames[0]).pixels for side in (put.first, put.second))).key
        for name, put in store.comparisons().items()
    }
    found: dict[Key, Any] = {
        (one.principle or "", pictures[one.comparison_id]): (
            one.order.name,
            one.outcome.p_shown_first,
        )
        for one in store.judgments()
        if isinstance(one.outcome, Verdict)
    }
    for judge in store.judges():
        for request, _ in store.unread(judge):
            for comparison, _order, principle in request.questions:
                found.setdefault((principle or "", pictures[comparison]), None)
    return found


def version_of(folder: Path) -> dict[str, bytes]:
    """What a folder holds of a version of a run, but for its curves."""
    names = (*OUTCOME, *(name for name in LEARNER if name != "tensorboard"))
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for name in names
        for path in ((folder / name).rglob("*") if (folder / name).is_dir() else [folder / name])
        if path.is_file()
    }


def changed(place: Place, before: Mapping[str, bytes]) -> list[str]:
    """What of the version before is neither in the run any more nor kept, as it was."""
    kept = place.run / VERSIONS / "1"
    now = version_of(kept if kept.is_dir() else place.run)
    differing = [name for name in before if now.get(name) != before[name]]
    untouched = RunFolder.read_config(place.run).settings.version == 1
    if kept.is_dir() and untouched and not (kept.parent / PENDING).is_file():
        own = version_of(place.run)
        differing += [f"{name} of the run" for name in before if own.get(name) != before[name]]
    return differing


def outcome(place: Place, stage: str) -> tuple[Any, Any]:
    """What a stage was answered, and what came of that."""
    if stage == "draft":
        draft = open_draft(place.draft)
        texts = [(place.draft / name).read_bytes() for name in (CONSTITUTION, TASK_FILE)]
        return None, (draft.proposal, is_approved(place.draft), texts)
    folder = place.draft / CHECK if stage == "check" else place.run
    with Store.open(folder) as store:
        came = list(answers(store).items())  # in their order, on which what is learned depends
    if stage == "check":
        check = open_draft(place.draft).check
        return sorted(came), check and replace(check, cost_usd=0.0)
    files = {
        name: data
        for name, data in version_of(place.run).items()
        if name.split("/")[0] in ("policy", "reward_model")
    }
    return came, files


# The kills -----------------------------------------------------------------------------------


def compare(
    place: Place, seen: Seen, before: Counter[Key], counted: Counter[Key], killed: bool
) -> Counter[Key]:
    """Compares what the server answered since then with what was and is on disk; returns that."""
    settle(place.server)
    answered = place.server.under - counted
    if (place.run / CONFIG).is_file() and TEXT in answered:
        answered[OF_A_RUN] = answered.pop(TEXT)
    now = held(place, seen)
    seen.again += sum(times for key, times in answered.items() if before[key])
    seen.again += sum(times - 1 for times in answered.values())
    seen.gone += (before - now).total()
    missing = (answered - now).total()
    if killed:
        seen.lost += missing
        seen.most_lost = max(seen.most_lost, missing)
    else:
        seen.unanswered += missing
    return now


def tried(place: Place, stage: str, seen: Seen, kills: list[Moment], undisturbed: Any) -> None:
    """One trial: a kill at each moment, where it has not ended by then, and to the end."""
    place.begin(stage)
    first = version_of(place.run) if stage == "say" else {}
    now = held(place, seen)
    for moment in (*kills, None):
        counted = Counter(place.server.under)
        killed = moment is not None and killed_at(place, stage, moment, seen)
        if moment is None:
            to_the_end(place, stage, seen)
        elif killed:
            seen.kills += 1
            at = f"request {moment.requests}" if moment.requests else f"{moment.seconds:.1f} s"
            seen.moments.append(at)
        seen.other += changed(place, first) if first else []
        now = compare(place, seen, now, counted, killed)
        if not killed:
            break
    came, made = outcome(place, stage)
    if came == undisturbed[0] and made == undisturbed[1]:
        seen.alike += 1
    elif came == undisturbed[0]:
        seen.unlike.append(f"killed at {', '.join(seen.moments[-len(kills) :])}")


def staged(place: Place, stage: str, kills: int, chance: random.Random) -> Seen:
    """All kills of a stage."""
    seen = Seen()
    place.begin(stage)
    to_the_end(place, stage, seen)  # programs are compiled, and the judge is tried
    settle(place.server)
    place.begin(stage)
    now, counted, asked = (
        held(place, seen),
        Counter(place.server.under),
        place.server.requests.total(),
    )
    seen.seconds = to_the_end(place, stage, seen)
    compare(place, seen, now, counted, killed=False)
    seen.requests = place.server.requests.total() - asked
    undisturbed = outcome(place, stage)
    shutil.copytree(place.now, place.work / f"after-{stage}")
    trials = 0
    while seen.kills < kills and trials < 2 * kills:  # some have ended before a later moment
        trial = drawn(seen, trials, kills, chance)[: kills - seen.kills]
        tried(place, stage, seen, trial, undisturbed)
        trials += 1
    return seen


def drawn(seen: Seen, trial: int, kills: int, chance: random.Random) -> list[Moment]:
    """The moments of a trial: the first kill anywhere, the others in what is left after it."""
    trials, found = max(1, round(kills / A_TRIAL)), []
    for place in range(A_TRIAL):
        share = (trial % trials + chance.random()) / trials if place == 0 else chance.random() / 2
        if (trial + place) % 2 and seen.requests:
            found.append(Moment(chance.random() * LATENCY_S, 1 + int(share * (seen.requests - 1))))
        else:
            found.append(Moment(share * seen.seconds))
    return found


def told(stage: str, seen: Seen, concurrency: int) -> bool:
    kept = not (seen.again or seen.gone or seen.unanswered or seen.defects or seen.other)
    return claim(
        f"{stage}, killed at any moment: asked again, lost, damaged or other than before",
        seen.again + seen.gone + seen.unanswered + len(seen.defects) + len(seen.other),
        f"of {seen.kills} kills",
        f"0; under way at one kill <= {concurrency}",
        kept and not seen.failed and not seen.unlike and seen.most_lost <= concurrency,
        **{name: getattr(seen, name) for name in Seen.__slots__},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} kills")
    parser.add_argument("--kills", type=int, default=None, help=f"in all; by default {KILLS}")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument(
        "--concurrency",
        type=int,
        default=CONCURRENCY,
        help="requests under way at once; with 1 answers come in the same order each time",
    )
    given = parser.parse_args()
    kills = given.kills or (QUICK if given.quick else KILLS)
    chance = random.Random(given.seed)
    held_claims, total, lost = [], 0, 0
    with (
        tempfile.TemporaryDirectory() as work,
        serving(
            strict=False,
            latency_s=LATENCY_S,
            writes=f"{json.dumps(WRITTEN)}\n{json.dumps(PROPOSED)}",
        ) as server,
    ):
        place = Place(Path(work), server, given.concurrency)
        for stage, share in STAGES.items():
            seen = staged(place, stage, max(1, round(kills * share / sum(STAGES.values()))), chance)
            held_claims.append(told(stage, seen, given.concurrency))
            total, lost = total + seen.kills, lost + seen.lost
    claim(
        "Killed at any moment, nothing that was answered is asked again",
        sum(held_claims),
        f"of {len(held_claims)} claims hold",
        "all, over at least 20 kills" if not given.quick else "all",
        all(held_claims) and (given.quick or given.kills is not None or total >= 20),
        kills=total,
        under_way_at_them=lost,
    )


if __name__ == "__main__":
    run_benchmark(main)
