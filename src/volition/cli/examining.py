"""The verbs that examine: certify, score, compare, verify."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from volition.cli.options import (
    JUDGE_OPTIONS,
    NO_JUDGE,
    Clip,
    Env,
    Folder,
    GoalOrText,
    Json,
    Kwargs,
    described,
    made_for,
    option,
    print_json,
    read_kwargs,
)
from volition.errors import InputError
from volition.judges.settings import JudgeSettings
from volition.tasks.numbers import check_counts

if TYPE_CHECKING:
    from volition.certifying.card import Certificate
    from volition.certifying.putting.asking import Wanted
    from volition.certifying.putting.offline import Certified
    from volition.evidence.comparing.contest import Contest
    from volition.evidence.scoring import Decided
    from volition.tasks.task import Task

CERTIFIED_OPTIONS = {
    "judge": option("PROVIDER:MODEL", "Who is certified; with --answers the name of who judged."),
    **{
        name: JUDGE_OPTIONS[name]
        for name in (
            *("base_url", "max_usd", "price_in", "price_out", "per_request", "samples"),
            *("concurrency", "reasoning_tokens"),
        )
    },
    "max_judgments": option("N", "Put no more questions than this, in all; by default some 300."),
    "patience": arg(
        metavar="SECONDS",
        help="Wait so long for a judge that does not answer. Then stop: the same command goes on.",
    ),
}
CertifiedOptions = Annotated[
    JudgeSettings, arg(name="", constructor=described(JudgeSettings, CERTIFIED_OPTIONS))
]


Second = Annotated[
    str | None, option("PROVIDER:MODEL", "Another judge, on the pairs put in both orders.")
]
GoodClip = Annotated[
    Path | None,
    option("FOLDER", "Pictures of a clip that reaches the goal, named in the order of time."),
]
NoSizes = Annotated[
    bool,
    arg(help="Do not try how many pairs go into one request.", help_behavior_hint=""),
]
AskSheets = Annotated[
    Path | None, option("FOLDER", "Write sheets for whoever is not connected, and stop.")
]
GivenAnswers = Annotated[
    Path | None, option("FOLDER|FILE", "Certify by these: such sheets, or CSV, or JSON lines.")
]
Labels = Annotated[
    Path | None, option("FILE", "What a person, or a better judge, says of some pairs.")
]
Alphas = Annotated[
    tuple[float, ...],
    option("SHARE ...", "With labels: at most so many of the accepted answers may be wrong."),
]
AskAgain = Annotated[
    Path | None,
    option("FOLDER", "With sheets and labels: write sheets of what is not accepted, anew."),
]


def certify(
    subject: Annotated[
        Positional[str | None], option("TASK", "A bundled task, or a task folder.")
    ] = None,
    *,
    env: Env = None,
    goal: GoalOrText = None,
    kwargs: Kwargs = (),
    clip: Clip = False,
    live: CertifiedOptions = NO_JUDGE,
    second: Second = None,
    good: GoodClip = None,
    no_sizes: NoSizes = False,
    ask: AskSheets = None,
    answers: GivenAnswers = None,
    labels: Labels = None,
    alpha: Alphas = (0.05, 0.1, 0.2),
    again: AskAgain = None,
    seed: Annotated[int, arg(help="Of the states and the pairs.")] = 0,
    out: Annotated[
        Path | None, option("FOLDER", "What is kept; by default one under certificates/.")
    ] = None,
    json: Json = False,
) -> int:
    """Find out whether a judge is fit for a goal, before any money goes into training.

    Pairs are put in both orders and again, some with answers that are known; the certificate says
    GREEN, AMBER or RED, and why. The exit code is 1 where it is RED.
    """
    from volition.certifying.putting.asking import Wanted

    check_counts(seed=seed)
    if answers is not None:
        given = _Given(answers, labels, alpha, again, live.judge.strip())
        return _certify_given(given, out, seed, json)
    if labels is not None or again is not None:
        which = "--labels" if labels is not None else "--again"
        raise InputError(f"{which} goes with --answers: which answers?")
    chosen = _chosen(subject, env, goal, kwargs)
    task = _viewed(chosen, clip)
    if ask is not None:
        if live.judge:
            raise InputError("--judge does not go with --ask: nobody is asked then")
        return _write_sheets(ask, chosen, task, seed)
    if not live.judge:
        raise InputError(
            "say who is certified: --judge PROVIDER:MODEL; or write sheets with --ask FOLDER, or "
            "give answers with --answers"
        )
    other = None if second is None else JudgeSettings(second, max_usd=live.max_usd)
    return _certify_live(Wanted(task, live, other, seed, not no_sizes, good), out, json)


def _chosen(
    subject: str | None, env: str | None, goal: str | None, kwargs: tuple[str, ...]
) -> Task:
    from volition.tasks.task import Task

    if bool(subject) == bool(env):
        raise InputError("give either a TASK or --env ID with --goal, not both or neither")
    task = made_for(env, goal) if env else Task.find(str(subject), goal)
    return task.with_kwargs(read_kwargs(kwargs))


def _viewed(task: Task, clip: bool) -> Task:
    """The task with nothing left open of what a judge is shown of it."""
    from volition.finding.view import find_view
    from volition.tasks.truth import TRUTHS

    truth = TRUTHS.get(task.goal.truth or "")
    moves = truth is not None and truth.moves
    return task.model_copy(update={"view": find_view(task, clip or moves)[0]})


def _certify_live(wanted: Wanted, out: Path | None, as_json: bool) -> int:
    from volition.certifying.putting.asking import certify as certify_judge
    from volition.certifying.standing import FOLDER

    folder = out or FOLDER / _file_name(f"{wanted.task.name}-{wanted.judge.judge}")
    certificate = certify_judge(folder, wanted, lambda words: print(words, file=sys.stderr))
    return _concluded(folder, certificate, as_json)


@dataclass(frozen=True, slots=True)
class _Given:
    """Answers that are given, and what is done with them."""

    answers: Path
    labels: Path | None
    alphas: tuple[float, ...]
    again: Path | None
    judge: str


def _certify_given(given: _Given, out: Path | None, seed: int, as_json: bool) -> int:
    from volition.certifying.given import read_labels
    from volition.certifying.putting.offline import SHOWN, certify_given, keep, told
    from volition.certifying.standing import FOLDER

    for share in given.alphas:
        if not 0 < share < 1:
            raise InputError(f"--alpha is a share between 0 and 1, not {share:g}")
    if given.again is not None and not (given.labels and (given.answers / SHOWN).is_file()):
        raise InputError(
            "--again needs --labels, and answers in a folder of `volition certify --ask`"
        )
    known = {} if given.labels is None else read_labels(given.labels)
    certified = certify_given(given.answers, given.judge, known, given.alphas, seed)
    name = f"{given.answers.resolve().stem}-{certified.certificate.judge}"
    folder = out or FOLDER / _file_name(name)
    listed = keep(folder, certified)
    code = _concluded(folder, certified.certificate, False)
    for guarantee in certified.certificate.guarantees:
        print(told(guarantee))
    if listed is not None:
        print(f"to be asked again, in both orders, of a better judge or a person: {listed}")
    if given.again is not None:
        _write_sheets_again(given.again, given.answers, certified)
    if as_json:
        print_json(certified.certificate)
    return code


def _write_sheets_again(out: Path, folder: Path, certified: Certified) -> None:
    from volition.certifying.putting.offline import ask_again, to_ask_again
    from volition.judging.folders import read_questions
    from volition.run.rounds import task_asked_about

    questions, _ = read_questions(folder)
    task = task_asked_about(folder)
    if questions.view is not None:
        task = task.model_copy(update={"view": questions.view})
    pairs = ask_again(out, folder, to_ask_again(certified), task, questions.given)
    print(f"{pairs} pairs in both orders: {out / 'README.md'} says how to judge them")
    then = ["volition", "certify", "--answers", str(out), "--judge", "NAME"]
    print(f"then: {shlex.join(then)}")


def _concluded(folder: Path, certificate: Certificate, as_json: bool) -> int:
    from volition.evidence.report.certificate import write_page

    page = write_page(folder)
    print(certificate.summary)
    for reason in certificate.reasons:
        print(f"  {reason}")
    print(f"page: {page}")
    if as_json:
        print_json(certificate)
    return 1 if certificate.verdict == "RED" else 0


def _write_sheets(out: Path, chosen: Task, task: Task, seed: int) -> int:
    from volition.certifying.putting.offline import ask
    from volition.run.creating import given_of

    readme = ask(out, task, seed, given_of(chosen, None))
    print(f"{readme} says how to judge the sheets")
    then = ["volition", "certify", "--answers", str(out), "--judge", "NAME"]
    print(f"then: {shlex.join(then)}")
    return 0


def _file_name(words: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", words).strip("-.")[:120]


def score(
    run: Folder,
    *,
    judgments: Annotated[
        Path, arg(help="A folder of recorded judgments, a JSONL file, or one of the task's sets.")
    ],
    json: Json = False,
) -> int:
    """Measure a run's reward model on judgments that it never saw."""
    from volition.evidence.scoring import score_run
    from volition.run.run import Run

    scored = score_run(Run.open(run), judgments)
    _print_score(scored)
    for stage in scored.stages:
        print(f"the stage “{stage.stage}” alone:")
        _print_score(stage)
    for veto in scored.vetoes:
        print(f"by the veto “{veto.principle}” alone:")
        _print_score(veto)
    if json:
        print_json(scored)
    return 0


def _print_score(scored: Decided) -> None:
    if scored.comparisons:
        low, high = scored.interval
        print(
            f"{scored.accuracy:.2%} of {scored.comparisons} comparisons decided as the judge "
            f"did (95% Wilson interval {low:.2%} to {high:.2%})"
        )
    print(
        f"left out: {scored.ties} ties of the judge, {scored.seen} comparisons that the run "
        "was trained on"
    )


OtherGoal = Annotated[
    str | None,
    option(
        "NAME|TEXT",
        "Another of the task's goals, one of its principles alone, or in words; by default that of "
        "RUN_A, all of it where that was corrected.",
    ),
]
KeptIn = Annotated[
    Path | None,
    option(
        "FOLDER", "What is kept; by default beside the run, named for both, of two versions in it."
    ),
]


def compare(
    run_a: Annotated[
        Positional[str], option("RUN_A", "A run folder, or any folder with a policy; or random.")
    ],
    run_b: Annotated[Positional[str], option("RUN_B", "Another; or random, the random policy.")],
    *,
    goal: OtherGoal = None,
    judge: Annotated[
        str | None, option("PROVIDER:MODEL", "Who compares; none that RUN_A or RUN_B learned from.")
    ] = None,
    base_url: Annotated[str | None, option("URL", "Ask there, as for train.")] = None,
    max_usd: Annotated[float | None, option("USD", "Spend no more than this, in all.")] = None,
    ask: Annotated[
        Path | None, option("FOLDER", "Write the pairs for a judge without a live connection.")
    ] = None,
    judgments: Annotated[
        Path | None, option("FOLDER", "Take the answers to it from here, after `volition answer`.")
    ] = None,
    same_judge: Annotated[
        bool,
        arg(help="Let a judge compare that one of the two learned from.", help_behavior_hint=""),
    ] = False,
    pairs: Annotated[
        int | None, option("N", "Episodes of each, from the same seeds; by default 40.")
    ] = None,
    seed: Annotated[int, arg(help="Of the sides, and of the random policy.")] = 0,
    out: KeptIn = None,
    json: Json = False,
) -> int:
    """Let a judge compare two policies, blind, by clips of their episodes from the same seeds."""
    from volition.cli.display import told_if_slow
    from volition.evidence.comparing.contest import Contest
    from volition.judges.settings import JudgeSettings

    check_counts(seed=seed, pairs=pairs)
    if [judge, ask, judgments].count(None) != 2:
        raise InputError(
            "say who judges: one of --judge PROVIDER:MODEL, --ask FOLDER or --judgments FOLDER"
        )
    with told_if_slow(f"{run_a} and {run_b} act, from the same seeds ..."):
        contest = Contest(run_a, run_b, goal, out=out, pairs=pairs, seed=seed)
    if ask is not None:
        questions = contest.ask(ask)
        print(f"{questions.pairs} pairs: {ask / 'README.md'} says how to judge them")
        print(f"then: volition answer {ask} {ask / 'answers.csv'} --judge NAME")
        return 0
    if judge is not None:
        settings = JudgeSettings(judge, len(contest.rows), max_usd, base_url)
        contest.put_to(settings, same_judge)
    elif judgments is not None:
        contest.take_in(judgments, same_judge)
    result = contest.conclude()
    print(result.summary)
    print(f"page: {contest.page}")
    _show_on_its_page(contest)
    if json:
        print_json(result)
    return 0


def _show_on_its_page(contest: Contest) -> None:
    """Writes the page of a run anew, of which two versions were compared."""
    from volition.evidence.report import write_report
    from volition.run.run import Run

    if contest.is_of_versions and contest.a.home is not None:
        run = Run.open(contest.a.home)
        if run.folder.result.is_file():
            print(f"report: {write_report(run)}")


def verify(run: Folder) -> int:
    """Check a run: re-hash every frame, follow every reference, derive every preference again."""
    from volition.evidence.verification import verify as verify_run
    from volition.run.folder import RunFolder

    defects = verify_run(RunFolder.open(run))
    for defect in defects:
        print(defect, file=sys.stderr)
    print(f"{run}: {len(defects)} defects" if defects else f"{run}: all is well")
    return 1 if defects else 0
