"""A correction in words: `volition say`, from the sentence to the next version and back.

The judges are simulated, and know what is true of the goal and of the planted principle.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from servers import Server, serving
from volition import cli
from volition.comparison import Observations
from volition.errors import RunError
from volition.evidence.comparing.contest import Contest
from volition.evidence.verification import verify
from volition.goal import Change, Principle
from volition.integrations.hugging_face.dataset import export
from volition.judgment import Verdict
from volition.run.correcting import changing
from volition.run.correcting.saying import plan, say, undo
from volition.run.correcting.versions import Version, versions_of
from volition.run.folder import RunFolder
from volition.run.run import Run
from volition.storage.compilation import enable_cache
from volition.storage.files import exclusively
from volition.storage.store import Store
from volition.tasks.truth import TRUTHS, Truth

LEFT, ALONE = "It never leans to the right.", "Nothing leans to the right."
PAIRS = 60
TASK = """\
name = "leaning"
environment = { id = "Pendulum-v1" }
goal = { text = "The rod points up.", truth = "leaning" }
view = { crop = [0.25, 0.25, 0.75, 0.75], size = [32, 32] }
reward = { observations = [0, 1] }
training = { steps = 1600 }
"""


def height(observed: Observations) -> float:
    return float(observed[:, 0].mean() + 1) / 2


def up_and_left(observed: Observations) -> float:
    """Up, but to the right of it nothing is worth much."""
    return height(observed) - 2 * float((observed[:, 1] < 0).mean())


def truth() -> Truth:
    alone = {ALONE: lambda observed: float((observed[:, 1] > 0).mean())}
    return Truth(height, (0, 1), principles={LEFT: up_and_left, **alone})


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, its film and its page. Tests must not change it."""
    enable_cache()
    folder = tmp_path_factory.mktemp("first")
    (folder / "task").mkdir()
    (folder / "task" / "task.toml").write_text(TASK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TRUTHS, "leaning", truth())
        words = ["train", str(folder / "task"), "--judge", "simulated:exact", "--out"]
        limits = ["--max-judgments", str(PAIRS), "--first", str(PAIRS), "--max-usd", "1"]
        assert cli.main([*words, str(folder / "run"), *limits]) == 0
    return folder / "run"


@pytest.fixture
def run(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Likewise one that a test may change."""
    monkeypatch.setitem(TRUTHS, "leaning", truth())
    shutil.copytree(first, tmp_path / "run")
    return tmp_path / "run"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def version_of(folder: Path) -> dict[str, bytes]:
    """What a run holds of its version, but for the curves and the configuration."""
    named = (*changing.OUTCOME, "checkpoint.safetensors", "kept")
    return {n: held for n, held in contents(folder).items() if n.split("/")[0] in named}


def answers(folder: Path) -> int:
    with RunFolder.open(folder).open_store() as store:
        return sum(isinstance(judgment.outcome, Verdict) for judgment in store.judgments())


def rewards(folder: Path) -> tuple[float, float]:
    """Of leaning 20 degrees to the left, and to the right."""
    angles = np.radians([20.0, -20.0])
    states = jnp.asarray(np.stack([np.cos(angles), np.sin(angles), 0 * angles], -1))
    left, right = np.asarray(Run.open(folder).reward_model(states)).tolist()
    return left, right


def test_a_principle_makes_the_next_version_and_goes_back(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, steps = version_of(run), Run.open(run).result.env_steps
    assert cli.main(["say", str(run), LEFT, "--yes", "--compare", "3", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "then at most 3 pairs of episodes of version 2 and version 1, blind" in out
    assert "version 2 against version 1: " in out
    assert f"version 1: The rod points up.\nversion 2: The rod points up.\n  - {LEFT}\n" in out
    assert "10 of 60 judged pairs are judged again first, at most 20 in all" in out
    assert "answers of the sample are others now" in err
    result = json.loads(out.splitlines()[-1])
    assert result["version"] == 2
    assert result["env_steps"] <= steps * 1.5
    assert rewards(run)[0] > rewards(run)[1] + 0.3, "what was said is in the reward"
    assert version_of(run / "versions" / "1") == before
    folder = RunFolder.open(run)
    with folder.open_store() as store:
        old, new = versions_of(folder, store)
        asked = [judgment.principle for judgment in store.judgments()][PAIRS:]
        counting = folder.judgments(store)
        put = store.put()
    assert (old.number, new.number, new.now, old.undone) == (1, 2, True, False)
    assert old.film == "versions/1/policy.mp4"
    assert 10 < asked.count(LEFT) <= 20 + 20
    pairs = [put[judgment.comparison_id].pair for judgment in counting]
    assert len(pairs) == len(set(pairs)), "what was asked again counts once"
    assert verify(folder) == []
    page = folder.report.read_text(encoding="utf-8")
    assert "What was said of it" in page
    assert 'href="versions/1/policy.mp4"' in page
    assert page.count('<article class="version') == 2
    assert page.count("in its median episode") == 2, "each version is on film in the page itself"
    check_compared(run, new, page)
    second_judge_counts_alone(run, capsys)
    paid = answers(run)
    after = version_of(run)

    assert cli.main(["say", str(run), "--undo"]) == 0
    assert "is version 1 again" in capsys.readouterr().out
    assert version_of(run) == before
    assert Run.open(run).advance() == Run.open(run).result, "nothing is learned anew"
    assert version_of(run) == before
    assert verify(RunFolder.open(run)) == []
    assert version_of(run / "versions" / "2") == after
    assert answers(run) == paid, "nothing that was paid for is deleted"
    assert cli.main(["say", str(run), "--list"]) == 0
    listed = capsys.readouterr().out
    assert "version 1 (now)" in listed
    assert "version 2 (taken back)" in listed
    assert "    against version 1: " in listed, "what came of comparing is kept with the version"


def check_compared(run: Path, version: Version, page: str) -> None:
    """That a version was compared with the one before, and that its page says so."""
    compared = version.compared
    assert compared is not None
    assert (compared.pairs, compared.unjudged) == (3, 0)
    assert compared.wins + compared.losses + compared.ties == 3
    assert (compared.simulated, compared.same_judge) == (True, True)
    assert compared.goal == f"The rod points up.\nWhat is meant by that:\n- {LEFT}"
    assert f'<a href="{compared.page}">Every pair</a>' in page
    assert "Blind, against version 1" in page
    assert "Worth more now than in version 1" in page
    with Store.open((run / compared.page).parent) as store:
        judgments = store.judgments()
    assert {judgment.principle for judgment in judgments} <= {None}, "the whole goal is put"
    assert len(judgments) <= 3


def second_judge_counts_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever trained neither is believed, and what it says shows on the run's page."""
    a, b = str(run), str(run / "versions" / "1")
    assert cli.main(["compare", a, b, "--judge", "simulated:strong"]) == 0
    assert "judged by simulated:strong, which is simulated\n" in capsys.readouterr().out
    assert "Judged by simulated:strong, under all" in (run / "report.html").read_text("utf-8")
    alone = Contest(a, b, LEFT, out=run.parent / "alone", pairs=1)
    assert alone.matter.under == (Principle(LEFT),)
    assert alone.matter.said == LEFT


def test_another_sentence_that_changes_nothing_is_asked_about_no_further(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is true of the goal is the same, so every answer is."""
    says = ["say", str(run), "The rod stands upright.", "--as", "goal", "--max-judgments", "14"]
    assert cli.main([*says, "--yes"]) == 0
    out, err = capsys.readouterr()
    assert "0 of 10 answers of the sample are others now, 0%" in err
    assert "version 2 and version 1 are not compared then: too few judgments are left" in out
    folder = RunFolder.open(run)
    assert folder.task.stated_goal().text == "The rod stands upright."
    with folder.open_store() as store:
        (_, new) = versions_of(folder, store)
        assert "10 of 60 judged pairs were judged again, 50 stay" in new.again
        assert answers(run) == PAIRS + 14, "and four about what the policy does now"


def test_a_correction_after_which_no_policy_does_better_says_so(run: Path) -> None:
    folder = RunFolder.open(run)
    say(folder, planned := plan(folder, Change("principle", LEFT), steps=800))
    corrected = Run.open(run)
    assert "has changed nothing" in corrected._unheeded(planned.begun)[0]
    assert corrected._unheeded(planned.begun + 400) == []


def test_a_veto_caps_and_replaces_nothing(run: Path) -> None:
    says = ["say", str(run), ALONE, "--as", "veto", "--yes", "--compare", "0"]
    assert cli.main(says) == 0
    (veto,) = Run.open(run).reward_fit.vetoes
    assert (veto.principle, veto.caps) == (ALONE, True)
    assert rewards(run)[0] > rewards(run)[1]
    folder = RunFolder.open(run)
    with folder.open_store() as store:
        assert len(folder.judgments(store)) == len(store.judgments()), "all that there is counts"
    assert verify(folder) == []


def test_corrections_follow_one_another_and_go_back_one_by_one(run: Path) -> None:
    folder = RunFolder.open(run)
    for said in (Change("principle", LEFT), Change("veto", ALONE)):
        folder = RunFolder.open(run)
        say(folder, plan(folder, said, steps=800))
        Run.open(run).advance()
    with RunFolder.open(run).open_store() as store:
        old, middle, new = versions_of(RunFolder.open(run), store)
    assert [old.number, middle.number, new.number] == [1, 2, 3]
    assert new.goal.principles == (LEFT,)
    assert new.goal.vetoes == (ALONE,)
    assert (old.env_steps, middle.env_steps, new.env_steps) == (1600, 800, 800)
    paid = answers(run)
    undo(run)
    assert RunFolder.open(run).settings.version == 2
    undo(run)
    assert RunFolder.open(run).settings.version == 1
    with pytest.raises(RunError, match="at its first version: there is nothing to go back to"):
        undo(run)
    folder = RunFolder.open(run)
    say(folder, plan(folder, Change("principle", LEFT), steps=800))
    Run.open(run).advance()
    assert RunFolder.open(run).settings.version == 4
    assert answers(run) == paid, "what was answered once is not asked again"
    assert verify(RunFolder.open(run)) == []


def test_what_is_exported_is_what_counts(run: Path, tmp_path: Path) -> None:
    folder = RunFolder.open(run)
    say(folder, plan(folder, Change("principle", LEFT), steps=800))
    Run.open(run).advance()
    folder = RunFolder.open(run)
    count, _ = export(folder, tmp_path / "export")
    with folder.open_store() as store:
        assert count == len({j.comparison_id for j in folder.judgments(store)})
        assert count < len(store.comparison_ids())


# What will not do ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("further", "reason"),
    [
        ([""], "a correction needs words"),
        (["x" * 501], "at most 500 characters"),
        (["not\x07so"], "control characters"),
        (["the rod points up"], "says that already"),
        (["leaning", "--max-usd", "0"], "which is all that may be"),
        ([LEFT], "give --yes"),
        ([LEFT, "--undo"], "or else give --undo or --list"),
        ([LEFT, "--yes", "--judge", "nobody:knows"], "there is no judge"),
        ([LEFT, "--yes", "--steps", "0"], "--steps must be at least 1"),
        ([LEFT, "--yes", "--compare", "-1"], "--compare must be at least 0, not -1"),
        ([LEFT, "--yes", "--per-sheet", "4"], "--per-sheet is of the sheets that --ask"),
        ([LEFT, "--yes", "--batch", "openai:x"], "--batch is of the sheets that --ask"),
        ([LEFT, "--yes", "--compare", "4", "--ask", "x"], "needs a judge that is connected"),
        (["--undo"], "at its first version"),
    ],
)
def test_one_line_says_what_is_wrong_and_nothing_is_written(
    further: list[str], reason: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(run)
    yes = ["--yes"] if "--max-usd" in further else []
    assert cli.main(["say", str(run), *further, *yes]) == 1
    err = capsys.readouterr().err
    assert reason in err
    assert err.count("\n") == 1
    assert contents(run) == before


def test_a_run_that_is_unfinished_or_in_use_is_not_corrected(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with exclusively(run):
        assert cli.main(["say", str(run), LEFT, "--yes"]) == 1
    assert "is in use: another process goes on with this run" in capsys.readouterr().err
    (run / "result.json").unlink()
    assert cli.main(["say", str(run), LEFT, "--yes"]) == 1
    assert "is unfinished: it has no result.json yet" in capsys.readouterr().err
    assert not (run / "versions").exists()


def test_what_looks_like_a_page_is_text(run: Path) -> None:
    said = "<script>alert('lean')</script> & [b]no[/b]"
    assert cli.main(["say", str(run), said, "--yes", "--steps", "800", "--compare", "0"]) == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "<script>alert(" not in page
    assert "&lt;script&gt;alert(" in page


# Killed --------------------------------------------------------------------------------------

SAYING = """
import os, signal, sys
sys.path[:0] = [{tests!r}, {here!r}]
from pathlib import Path
from test_corrections import LEFT, TRUTHS, truth
from volition import cli
from volition.evidence.comparing.contest import Contest
from volition.run.correcting import changing
from volition.run import sessions
from volition.storage.store import Store

TRUTHS["leaning"] = truth()
left = int({left})

def killed(of, name):
    function = getattr(of, name)
    def call(*arguments, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    setattr(of, name, call)

{kill}
sys.exit(cli.main({words}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kill", "left"),
    [
        ('killed(changing, "_copy")', 4),  # while what was is copied
        ('killed(changing, "_remove")', 3),  # while one version becomes the other
        ('killed(Store, "add_judgments")', 1),  # while the sample is judged
        ('killed(Store, "add_judgments")', 3),  # and what may have changed with it
        ('killed(sessions, "run_session")', 0),  # while the policy learns
        ('killed(Contest, "conclude")', 0),  # before the comparison that was judged is counted
    ],
)
def test_killed_at_any_moment_nothing_is_lost_or_asked_again(
    kill: str, left: int, run: Path
) -> None:
    before = version_of(run)
    here = Path(__file__).parent
    words = ["say", str(run), LEFT, "--yes", "--judge", "simulated:exact?per_request=5"]
    pairs = "2" if "Contest" in kill else "0"
    words += ["--compare", pairs]
    script = SAYING.format(
        tests=str(here.parent), here=str(here), left=left, kill=kill, words=words
    )
    env = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(enable_cache())}
    ended = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()[-2000:]
    known = answers(run)
    assert cli.main(words) == 0
    assert version_of(run / "versions" / "1") == before
    assert verify(RunFolder.open(run)) == []
    folder = RunFolder.open(run)
    with folder.open_store() as store:
        asked = Counter(judgment.comparison_id for judgment in store.judgments())
        (_, new) = versions_of(folder, store)
    assert max(asked.values()) == 1, "nothing that was answered is asked again"
    assert sum(asked.values()) >= known
    assert new.now
    if pairs != "0":
        assert new.compared is not None
        with Store.open((run / new.compared.page).parent) as store:
            compared = Counter(judgment.comparison_id for judgment in store.judgments())
        assert max(compared.values(), default=1) == 1
    assert cli.main(["say", str(run), "--undo"]) == 0
    assert version_of(run) == before


# A live judge, and one that is not connected ---------------------------------------------------


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(enable_cache()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving(strict=False) as running:
        yield running


def test_a_live_judge_is_asked_within_its_limits(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    priced = ["--base-url", server.openai, "--price-in", "0.1", "--price-out", "0.4"]
    out = tmp_path / "run"
    asks = ["--judge", "openai:test", "--max-judgments", "30", "--first", "30", "--max-usd", "0.1"]
    assert cli.main(["train", "pendulum", *asks, *priced, "--steps", "800", "--out", str(out)]) == 0
    assert answers(out) == 30
    before = Run.open(out).result.cost_usd
    server.asked.clear()
    stands = ["say", str(out), "Calmly.", "--as", "principle", "--yes"]
    assert cli.main([*stands, "--max-usd", "0.00000001"]) == 1
    assert "no verdict on any pair of the sample" in capsys.readouterr().err
    assert not server.asked
    assert cli.main(["say", str(out), "--undo"]) == 0
    limits = ["--max-usd", "0.05", "--max-judgments", "17", "--compare", "2"]
    assert cli.main([*stands, *limits]) == 0
    assert 12 <= sum(server.asked.values()) <= 17
    assert max(server.asked.values()) == 1
    result = Run.open(out).result
    folder = RunFolder.open(out)
    with folder.open_store() as store:
        compared = versions_of(folder, store)[-1].compared
    assert compared is not None
    assert compared.pairs == 2
    assert compared.cost_usd > 0, "the comparison is of what the correction may spend"
    assert before < result.cost_usd < result.cost_usd + compared.cost_usd < before + 0.05
    assert result.judge == "openai:test"
    assert RunFolder.open(out).task.stated_goal().principles == ("Calmly.",)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def answered(questions: Path) -> None:
    """By somebody who is not connected, and likes the rod up and left of the middle."""
    form = ["pair,choice"]
    for row in lines(questions / "pairs.jsonl"):
        first, second = (
            math.cos(row[side]["theta"]) - 2 * (math.sin(row[side]["theta"]) < 0)
            if row.get("principle")
            else math.cos(row[side]["theta"])
            for side in ("first", "second")
        )
        form.append(f"{row['pair']},{'A' if first > second else 'B'}")
    (questions / "form.csv").write_text("\n".join(form) + "\n")
    said = ["answer", str(questions), str(questions / "form.csv"), "--judge", "a person"]
    assert cli.main(said) == 0


def test_without_a_connection_it_goes_in_rounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, asked, further = tmp_path / "run", tmp_path / "asked", tmp_path / "further"
    assert cli.main(["train", "pendulum", "--steps", "1600", "--out", str(out)]) == 0
    before = contents(out)
    assert cli.main(["say", str(out), LEFT, "--yes"]) == 1
    assert "with --judge PROVIDER:MODEL, or write sheets" in capsys.readouterr().err
    assert cli.main(["say", str(out), LEFT, "--yes", "--ask", str(asked)]) == 0
    assert f"volition resume {out} --judgments {asked}" in capsys.readouterr().out
    assert contents(out) == before, "until it is answered the run is as it was"
    rows = lines(asked / "pairs.jsonl")
    assert 10 <= len(rows) <= 10 + 20
    assert [row.get("principle") for row in rows].count(LEFT) >= 10
    resumes = ["resume", str(out), "--judgments", str(asked)]
    assert cli.main(resumes) == 1
    assert "has no answers yet" in capsys.readouterr().err
    answered(asked)
    assert f"volition resume {out} --judgments {asked}" in capsys.readouterr().out
    assert contents(out) == before
    assert cli.main(resumes) == 0
    made = Run.open(out).result
    assert (made.version, made.env_steps) == (2, 2400)
    assert "a person" in made.judge
    assert verify(RunFolder.open(out)) == []
    assert cli.main(resumes) == 0
    assert Run.open(out).result == made, "doing it again changes nothing"
    compare_without_a_connection(out, tmp_path, capsys)

    assert cli.main(["ask", str(out), "--out", str(further), "--pairs", "16"]) == 0
    answered(further)
    assert cli.main(["resume", str(out)]) == 0
    folder = RunFolder.open(out)
    with folder.open_store() as store:
        (_, new) = versions_of(folder, store)
    again = int(new.again.split("; ")[1].split()[0])
    assert 10 < again <= 20, "what may have changed is asked first, and a third at most"
    assert Run.open(out).result.env_steps == 2400, "from where it was before the correction"
    assert cli.main(["say", str(out), "--undo"]) == 0
    assert version_of(out) == {n: before[n] for n in version_of(out)}


def compare_without_a_connection(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both, sheets = [str(out), str(out / "versions" / "1")], tmp_path / "compared"
    assert "Nobody has compared the two" in (out / "report.html").read_text("utf-8")
    assert cli.main(["compare", *both, "--pairs", "2", "--ask", str(sheets)]) == 0
    (sheets / "mine.csv").write_text("pair,choice\n1,A\n2,tie\n")
    said = ["answer", str(sheets), str(sheets / "mine.csv"), "--judge", "another person"]
    assert cli.main(said) == 0
    counts = capsys.readouterr().out.splitlines()[-1].removeprefix("count them: volition ")
    assert cli.main(shlex.split(counts)) == 0
    assert f"report: {out / 'report.html'}" in capsys.readouterr().out
    page = (out / "report.html").read_text("utf-8")
    assert "1 of 1 decided pairs" in page or "0 of 1 decided pairs" in page
    assert "Judged by recorded:another person, under all that the goal says" in page


def test_answers_to_what_another_run_asked_are_taken_under_the_same_goal_alone(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, other = tmp_path / "asked", tmp_path / "other"
    shutil.copytree(run, other)
    assert cli.main(["ask", str(run), "--out", str(asked), "--pairs", "4"]) == 0
    assert cli.main(["resume", str(other), "--judgments", str(asked)]) == 1
    assert "has no answers yet" in capsys.readouterr().err
    answered(asked)
    assert cli.main(["resume", str(other), "--judgments", str(asked)]) == 0
    assert answers(other) == answers(run)
    about = asked / "asked.json"
    about.write_text(about.read_text().replace("The rod points up.", "The rod hangs."))
    assert cli.main(["resume", str(other), "--judgments", str(asked)]) == 1
    assert "was asked under another goal" in capsys.readouterr().err


def test_sheets_of_an_earlier_version_are_not_taken(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = tmp_path / "asked"
    batch = ["--per-sheet", "4", "--batch", "openai:gpt-6-luna"]
    assert cli.main(["say", str(run), ALONE, "--yes", "--ask", str(asked), *batch]) == 0
    assert len(lines(asked / "batch" / "openai-gpt-6-luna.jsonl")) >= 3, "a request a sheet"
    answered(asked)
    folder = RunFolder.open(run)
    say(folder, plan(folder, Change("principle", LEFT), steps=800))
    before = contents(run)
    assert cli.main(["resume", str(run), "--judgments", str(asked)]) == 1
    assert "was asked of version 1, and" in capsys.readouterr().err
    assert contents(run) == before
