"""The verbs by which people and others who are not connected judge: ask, answer, label."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from volition.cli.options import (
    Batches,
    Clip,
    Env,
    GoalOrText,
    Host,
    Json,
    Kwargs,
    PerSheet,
    Port,
    Token,
    made_for,
    needs_pages,
    option,
    print_json,
    read_kwargs,
)
from volition.errors import InputError
from volition.tasks.numbers import check_counts, check_dollars

OfVerdicts = Annotated[
    bool,
    arg(
        help="Of a run: write what was judged, for a person to look through and overrule.",
        help_behavior_hint="",
    ),
]


def ask(
    subject: Annotated[
        Positional[str | None],
        option("TASK|RUN", "A bundled task, a task folder, or a run folder."),
    ] = None,
    *,
    out: Annotated[Path, option("FOLDER", "A new folder for the questions.")],
    env: Env = None,
    goal: GoalOrText = None,
    kwargs: Kwargs = (),
    pairs: Annotated[int, arg(help="How many comparisons.")] = 60,
    per_sheet: PerSheet = None,
    clip: Clip = False,
    seed: Annotated[int, arg(help="Of the states that are shown.")] = 0,
    verdicts: OfVerdicts = False,
    batch: Batches = (),
    submit: Annotated[
        bool,
        arg(help="Hand the one batch in, at half the live price.", help_behavior_hint=""),
    ] = False,
    max_usd: Annotated[
        float | None, option("USD", "With --submit: what the batch may cost at most.")
    ] = None,
) -> int:
    """Write comparisons for a judge without a live connection: pictures and a form to fill in.

    Of a task they cover its states; of a run they are about what its policy does now, those that
    its reward model would learn most from.
    """
    from volition.run.rounds import ask as ask_about
    from volition.run.rounds import hand_in

    check_counts(seed=seed, pairs=pairs, per_sheet=per_sheet)
    _check_batch(batch, submit, max_usd)
    if bool(subject) == bool(env):
        raise InputError("give either a TASK, a RUN or --env ID, not both or neither")
    if verdicts:
        beside = env or goal or kwargs or per_sheet or clip or batch
        return _write_verdicts(Path(str(subject)), out, pairs, seed, bool(beside))
    questions = ask_about(
        made_for(env, goal) if env else str(subject),
        out,
        pairs=pairs,
        per_sheet=per_sheet,
        seed=seed,
        batches=batch,
        goal=None if env else goal,
        kwargs=read_kwargs(kwargs),
        clip=clip,
    )
    if questions.pairs < pairs:
        print(f"warning: a judge could tell only {questions.pairs} pairs apart", file=sys.stderr)
    sheets = "1 sheet" if len(questions.sheets) == 1 else f"{len(questions.sheets)} sheets"
    print(f"{questions.pairs} pairs on {sheets}: {out / 'README.md'} says how to judge them")
    if submit:
        print(f"handed in to {batch[0]} as {hand_in(questions, batch[0], max_usd)}")
    then = [] if submit else [str(out / "answers.csv"), "--judge", "NAME"]
    when = "later" if submit else "then"
    print(f"{when}: {shlex.join(['volition', 'answer', str(out), *then])}")
    return 0


def _write_verdicts(run: Path, out: Path, pairs: int, seed: int, beside: bool) -> int:
    from volition.evidence.report.verdicts import write_page
    from volition.run.correcting.looking import FORM, write_verdicts

    if beside:
        raise InputError("--verdicts takes a RUN, --out, --pairs and --seed, and nothing else")
    verdicts = write_verdicts(run, out, pairs, seed)
    page = write_page(out)
    print(f"{len(verdicts.said)} verdicts: look through {page}")
    print(f"and write into {out / FORM} what you would have otherwise")
    then = ["volition", "say", str(run), "--overruled", str(out), "--by", "YOURNAME"]
    print(f"then: {shlex.join(then)}")
    return 0


def _check_batch(batch: Sequence[str], submit: bool, max_usd: float | None) -> None:
    """That a batch can be handed in, where one is to be."""
    from volition.judges.live.batch import check_key

    check_dollars(max_usd=max_usd)
    if submit and len(batch) != 1:
        raise InputError("--submit hands one batch in: name one model with --batch PROVIDER:MODEL")
    if max_usd is not None and not submit:
        raise InputError("--max-usd limits a batch that is handed in with --submit")
    if submit:
        check_key(batch[0])


def answer(
    folder: Annotated[Positional[Path], option("FOLDER", "What `volition ask` wrote.")],
    file: Annotated[
        Positional[Path | None],
        option("FILE", "Answers as JSONL or CSV, or a batch's results; else they are fetched."),
    ] = None,
    *,
    judge: Annotated[
        str | None,
        option("NAME", "Who judged; shown with every result. A batch's results say it."),
    ] = None,
) -> int:
    """Take in the answers to what `ask` wrote: all of them, or none if one is wrong."""
    from volition.judging.answers import read_name
    from volition.run.rounds import answer as take_in

    answered = take_in(folder, file, None if judge is None else read_name(judge))
    questions, failures = answered.questions, answered.failures
    print(f"{questions.pairs - len(failures)} answers of {answered.judge} in {folder}")
    for pair, failure in failures.items():
        print(f"warning: pair {pair} has none: {failure.kind}, {failure.message}", file=sys.stderr)
    if answered.wants_clips:
        print(
            f"warning: {answered.judge} says that one picture cannot show this goal: ask again by "
            "the same `volition ask` with --clip and another --out",
            file=sys.stderr,
        )
    for alarm in answered.gaming:
        print(f"alarm: {alarm.reason}", file=sys.stderr)
    if questions.said is not None:
        command = ["volition", "resume", str(questions.run), "--judgments", str(folder)]
        print(f"the run is corrected by them: {shlex.join(command)}")
    elif questions.draft is not None:
        command = ["volition", "draft", str(questions.draft), "--check", "--answer", str(folder)]
        print(f"what they say of its sentences: {shlex.join(command)}")
    elif questions.contest is not None:
        from volition.evidence.comparing.contest import to_count

        print(f"count them: {to_count(questions)}")
    elif questions.run is None:
        words = questions.given.words
        if words:
            command = ["volition", "train", *words, "--judgments", str(folder)]
            print(f"train on them: {shlex.join(command)}")
        print(
            f"or measure a run by them: volition score RUN --judgments {shlex.quote(str(folder))}"
        )
    else:
        run = shlex.quote(str(questions.run))
        print(f"the run that asked has them too: volition resume {run}")
        print(f"then ask what its policy does by then: volition ask {run} --out NEXT")
    return 0


def label(
    folder: Annotated[
        Positional[Path], option("RUN|FOLDER", "A run, or what `volition ask` wrote.")
    ],
    *,
    audit: Annotated[
        int | None,
        option("N", "Audit the run's judge by a sample of so many answers; 0 goes on with it."),
    ] = None,
    seed: Annotated[int, arg(help="Of the sample.")] = 0,
    host: Host = "127.0.0.1",
    port: Port = None,
    token: Token = "",
    json: Json = False,
) -> int:
    """Let people judge in the browser, by keys or on a phone, until Ctrl-C.

    They see neither what the judge said nor each other's answers. Theirs overrule the judge's.
    With --audit they look at a sample of its answers, and the page says how often it is right.
    """
    check_counts(seed=seed)
    if audit is not None and audit < 0:
        raise InputError(f"--audit is a whole number from 0 on, not {audit}")
    serving = needs_pages()
    from volition.web.label import label as let_judge

    def tell(address: str) -> None:
        print(f"open {address}", flush=True)
        print("Ctrl-C ends it; every answer is kept", file=sys.stderr)

    labelled = let_judge(folder, serving.Address(host, port, token), tell, audit, seed)
    for name, count in labelled.verdicts.items():
        print(f"{name}: {count} verdicts")
    print(f"{labelled.answered} of {labelled.questions} pairs answered; {labelled.then}")
    if labelled.audit is not None and labelled.audit.accuracy is not None:
        low, high = labelled.audit.interval
        print(
            f"{labelled.audit.judge} is right in {labelled.audit.accuracy:.1%} of its answers (95% "
            f"interval {low:.1%} to {high:.1%}, corrected for the sampling; "
            f"{labelled.audit.looked_at} of {labelled.audit.drawn} looked at)"
        )
    if json:
        print_json(labelled)
    return 0
