"""What somebody says of a run, or overrules in it, and what is proposed of that."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from volition.errors import InputError
from volition.goal import Change, Kind
from volition.judges.settings import JudgeSettings

if TYPE_CHECKING:
    from volition.run.correcting.proposal.kept import Proposal
    from volition.run.folder import RunFolder

SIMULATED = "simulated:"
EXPLAINED = 2 / 3  # of the overruled pairs, below which a person is warned


@dataclass(frozen=True, slots=True)
class Remark:
    """What is said of a run, as options have it."""

    words: str | None
    become: Kind | None
    overruled: Path | None
    by: str
    propose: Path | None
    answer: Path | None

    @property
    def ways(self) -> Sequence[str]:
        """In which of the ways it is said."""
        ways = {"WORDS": self.words, "--overruled": self.overruled, "--answer": self.answer}
        return [name for name, given in ways.items() if given is not None]

    def check(self) -> None:
        """That it is said in one way, with what belongs to that."""
        if len(self.ways) > 1:
            raise InputError(f"give one of {', '.join(self.ways)}")
        if self.become is not None and self.propose is not None:
            raise InputError("--as says what becomes of it now: leave it out with --propose")
        if self.become == "goal" and self.words is None:
            raise InputError("--as goal is of WORDS: what is proposed is a principle or a veto")
        if self.propose is not None and self.answer is not None:
            raise InputError("give one of --propose, --answer")
        if (self.words is None) != bool(self.by.strip()):
            raise InputError(
                "--by says who overrules, or who wrote with --answer: leave it out with WORDS"
                if self.by
                else f"{self.ways[0]} needs --by NAME: who was it?"
            )
        if self.by:
            from volition.judging.answers import read_name

            read_name(self.by, "--by")


def proposed(
    folder: RunFolder, remark: Remark, live: JudgeSettings, offline: bool
) -> tuple[Change | None, Path | None]:
    """What is said becomes, and the folder of the proposal, where there is one.

    Args:
        folder: Of the run.
        remark: What is said of it.
        live: The judge that was named, with its limits.
        offline: Whether nobody is asked now.

    Returns:
        No change where only the request for a proposal was written.
    """
    from volition.run.correcting.proposing import propose
    from volition.run.results import Result

    if (begun := _under_way(folder, remark)) is not None:
        return begun
    _check_new(folder, remark)
    judge = _judge(folder, live, offline)
    words, writes = remark.words, judge is not None and _can_write(judge)
    if words is not None and (remark.become is not None or not (writes or remark.propose)):
        kind = remark.become or "principle"
        return propose(folder.task.stated_goal(), words, kind), None
    folder.read(folder.result, Result)
    path = _begun(folder, remark)
    if remark.propose is not None:
        return _ask(folder, path, remark.propose)
    proposal = _written(folder, path, judge)
    assert proposal.change is not None
    kind = remark.become or proposal.change.kind
    return propose(folder.task.stated_goal(), proposal.change.text, kind), path


def _under_way(folder: RunFolder, remark: Remark) -> tuple[Change, Path | None] | None:
    """What the run is being corrected by, if that is what is said."""
    from volition.run.correcting.looking import read_overruled
    from volition.run.correcting.proposal.kept import digest_of, open_proposal
    from volition.run.correcting.proposal.writing import asked_by
    from volition.run.correcting.saying import is_under_way

    last = folder.settings.correction
    if last is None or last.live is None or not is_under_way(folder, None):
        return None
    if not last.proposal:
        as_said = Change(remark.become or "principle", (remark.words or "").strip())
        return (last.change, None) if last.change == as_said else None
    path = folder.proposals / last.proposal
    subject = open_proposal(path).subject
    if remark.answer is not None:
        same = asked_by(remark.answer) == path.name
    elif remark.overruled is not None:
        looked = read_overruled(remark.overruled)[1]
        same = (digest_of(looked, remark.by), remark.by) == (subject.overruled, subject.by)
    else:
        same = remark.become is None and subject.words == (remark.words or "").strip()
    return (last.change, path) if same else None


def _check_new(folder: RunFolder, remark: Remark) -> None:
    """That the run was not made what it is by these words: nobody is asked twice what they mean."""
    from volition.run.correcting.saying import said_of

    said, words = folder.settings.correction, remark.words and remark.words.strip()
    if said is not None and words and remark.become is None and words == said_of(folder):
        raise InputError(
            f"{folder.path} is what these words made of it already, as a {said.kind}: "
            f"{said.said}; say what is otherwise now, or take it back with --undo"
        )


def _judge(folder: RunFolder, live: JudgeSettings, offline: bool) -> JudgeSettings | None:
    """Who is at hand: the judge that is named, or the run's own; with what may be spent."""
    from volition.run.correcting.saying import left_usd, with_own

    own = None if offline else folder.settings.judge
    chosen = live if live.judge else own and with_own(own, live)
    if chosen is None or live.max_usd is not None:
        return chosen
    return replace(chosen, max_usd=left_usd(folder))


def _can_write(judge: JudgeSettings) -> bool:
    from volition.judges.writing import LIVE

    return judge.judge.partition(":")[0] in LIVE


def _begun(folder: RunFolder, remark: Remark) -> Path:
    """The folder of the proposal."""
    from volition.run.correcting.looking import read_overruled
    from volition.run.correcting.proposal.kept import begin_overruled, begin_words
    from volition.run.correcting.proposal.writing import take_answer

    if remark.answer is not None:
        return take_answer(folder, remark.answer, remark.by)[0]
    if remark.overruled is None:
        return begin_words(folder, remark.words or "", _tell)
    verdicts, looked = read_overruled(remark.overruled)
    if verdicts.version != folder.settings.version:
        raise InputError(
            f"{remark.overruled} shows version {verdicts.version}, and {folder.path} is version "
            f"{folder.settings.version} by now: write its verdicts with `volition ask "
            f"{folder.path} --verdicts --out FOLDER`"
        )
    if verdicts.goal != folder.task.stated_goal().text:
        raise InputError(
            f"{remark.overruled} shows verdicts of another goal, {verdicts.goal!r:.80}: they are "
            f"of {verdicts.run}"
        )
    source = remark.overruled if remark.overruled.is_dir() else remark.overruled.parent
    return begin_overruled(folder, looked, source, remark.by)


def _ask(folder: RunFolder, path: Path, out: Path) -> tuple[None, None]:
    from volition.run.correcting.proposal.writing import README, write_request

    write_request(folder, path, out)
    print(f"{out / README} says what is to be written")
    then = ["volition", "say", str(folder.path), "--answer", str(out), "--by", "NAME"]
    print(f"then: {shlex.join(then)}")
    return None, None


def _written(folder: RunFolder, path: Path, judge: JudgeSettings | None) -> Proposal:
    """What somebody has written, or writes now; shown, with how far it explains what was
    overruled."""
    from volition.run.correcting.proposal.kept import open_proposal
    from volition.run.correcting.proposal.writing import explain, write_by_simulation, write_live

    proposal = open_proposal(path)
    of_words = bool(proposal.subject.words)
    if proposal.change is None:
        if judge is not None and _can_write(judge):
            proposal = write_live(folder, path, judge, _tell)
        elif judge is not None and judge.judge.startswith(SIMULATED) and not of_words:
            proposal = write_by_simulation(folder, path)
        else:
            raise InputError(
                "nobody is at hand who writes: name a model with --judge PROVIDER:MODEL, or let "
                "anybody write, by --propose FOLDER"
            )
    assert proposal.change is not None
    by = f"{proposal.writer} (for counting alone)" if proposal.simulated else proposal.writer
    why = f" ({proposal.why})" if proposal.why else ""
    if of_words:
        print(f"said: {proposal.subject.words}")
    else:
        print(f"overruled by {proposal.subject.by}")
    print(f"{by} proposes, as a {proposal.change.kind}: {proposal.change.text}{why}")
    if not of_words:
        known = judge is not None and ":" in judge.judge and not judge.judge.startswith("object:")
        if judge is not None and known:
            explained = explain(folder, path, judge, _tell)
            print(explained.told)
            if explained.same < EXPLAINED * explained.of:
                _tell("warning: that explains too little: say no, and have it said otherwise")
        elif proposal.explained is not None:
            print(proposal.explained.told)
        else:
            print("not checked on the overruled pairs: no judge is at hand")
    return open_proposal(path)


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
