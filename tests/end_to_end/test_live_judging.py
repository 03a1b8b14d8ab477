"""`train --judge`: a server that looks at the pictures judges, and a policy comes of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from servers import Server, serving
from volition.cli import main
from volition.errors import InputError, JudgeUnavailable
from volition.evidence.report.again import again
from volition.evidence.verification import verify
from volition.judges import make_judge
from volition.judges.settings import JudgeSettings
from volition.judgment import Verdict
from volition.run.asking.live import limits_of
from volition.run.creating import assignment_of
from volition.run.folder import RunFolder
from volition.run.gaming.record import read_record
from volition.run.results import Progress
from volition.run.run import Run, train
from volition.storage.compilation import enable_cache
from volition.tasks.task import Task

STEPS = 400


@pytest.fixture(autouse=True)
def _own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What probing has shown is kept for the test alone; compiled programs are for all."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(enable_cache()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / f"{tmp_path.name}-cache"))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(strict=False) as running:
        yield running


def live(server: Server, judgments: int = 12) -> JudgeSettings:
    return JudgeSettings(
        "openai:test", judgments, base_url=server.openai, price_in=0.1, price_out=0.4
    )


def probed(server: Server) -> None:
    """Lets the judge be probed, and forgets what that took at the server."""
    make_judge(live(server), assignment_of(Task.find("pendulum")))
    server.asked.clear()
    server.requests.clear()


def test_a_judge_that_looks_is_trained_on_and_asked_each_thing_once(
    server: Server, tmp_path: Path
) -> None:
    probed(server)
    told: list[Progress] = []
    run = train(
        "pendulum", judge=live(server), out=tmp_path / "run", steps=STEPS, listener=told.append
    )
    result = run.result
    assert (result.judge, result.simulated, result.judgments) == ("openai:test", False, 12)
    assert 0 < result.cost_usd < 0.01
    # After so few steps the policy may do badly; that is the only thing to be told.
    assert all("by the learned re" in warning for warning in result.warnings)
    assert verify(run.folder) == []
    assert any(p.stage == "judgments" and p.comparisons == 12 for p in told)
    with run.folder.open_store() as store:
        comparisons = store.comparisons()
        for preference in store.preferences():
            c = comparisons[preference.comparison_id]
            higher = c.first.observations[0, 0] > c.second.observations[0, 0]
            assert (preference.p_first > 0.5) == higher
    assert sorted(server.asked.values()) == [1] * 12


def test_the_same_again_costs_nothing_where_its_answers_are_reused(
    server: Server, tmp_path: Path
) -> None:
    train("pendulum", judge=live(server), out=tmp_path / "first", steps=STEPS)
    before = server.requests.total()
    again = train(
        "pendulum",
        judge=live(server),
        reuse=tmp_path / "first",
        seed=5,
        out=tmp_path / "second",
        steps=STEPS,
    )
    assert server.requests.total() == before
    result = again.result
    assert (result.judgments, result.cost_usd) == (12, 0.0)
    assert verify(again.folder) == []
    more = train(
        "pendulum",
        judge=live(server, 15),
        reuse=tmp_path / "first",
        seed=5,
        out=tmp_path / "third",
        steps=STEPS,
    )
    assert server.requests.total() == before + 3
    assert more.result.judgments == 15


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("unauthorized", "refuses the key"),
        ("overloaded", "has not answered for 1 s .*HTTP 529, Overloaded"),
    ],
)
def test_a_run_that_stopped_while_judging_goes_on_with_what_is_missing(
    server: Server, tmp_path: Path, fault: str, words: str
) -> None:
    probed(server)
    chosen = replace(live(server), patience=1.0)
    run = Run.create(Task.find("pendulum"), out=tmp_path / "run", live=chosen, steps=STEPS)
    server.faults += [""] * 5 + [fault] * 400
    with pytest.raises(JudgeUnavailable, match=words) as raised:
        run.advance()
    assert "every answer is kept: go on with `volition resume" in str(raised.value)
    server.faults.clear()
    with run.folder.open_store() as store:
        kept = len(store.preferences())
    assert kept < 12
    result = Run.open(tmp_path / "run", patience=5.0).advance()
    assert result.judgments == 12
    assert max(server.asked.values()) == 1, "what was answered is not asked again"


STOPPED = """
import sys
from volition.errors import Interrupted
from volition.run.run import Run
from volition.run.results import Progress

def tell(progress: Progress) -> None:
    print("judging", flush=True)

try:
    Run.open(sys.argv[1]).advance(tell)
except Interrupted as stopped:
    print(stopped)
    sys.exit(130)
"""


@pytest.mark.slow
def test_ctrl_c_while_judging_keeps_what_is_paid(server: Server, tmp_path: Path) -> None:
    probed(server)
    run = Run.create(
        Task.find("pendulum"),
        out=tmp_path / "run",
        live=replace(live(server, 100), concurrency=2),
        steps=STEPS,
    )
    server.behaviour.latency_s = 0.5
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED, run.folder.path],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SDL_VIDEODRIVER": "dummy"},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "judging\n"
        while server.in_flight < 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
    assert process.returncode == 130
    assert "every answer is kept" in said
    with run.folder.open_store() as store:
        verdicts = [j for j in store.judgments() if isinstance(j.outcome, Verdict)]
        assert len(verdicts) == server.asked.total(), "what was under way was waited for"
        assert 0 < len(verdicts) < 100
        assert store.spent_usd() == store.cost_usd()


def test_a_whole_run_on_one_request_costs_what_was_predicted(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    probed(server)
    options = [
        "train",
        "pendulum",
        "--judge",
        "openai:test",
        "--base-url",
        server.openai,
        "--max-judgments",
        "60",
        "--per-request",
        "60",
        "--price-in",
        "0.1",
        "--price-out",
        "0.4",
        "--max-usd",
        "0.01",
    ]
    assert main([*options, "--dry-run", "--json", "--out", str(tmp_path / "none")]) == 0
    assert not (tmp_path / "none").exists()
    assert server.requests.total() == 0, "a dry run asks nothing"
    predicted = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (predicted["judgments"], predicted["requests"]) == (60, 1)
    assert predicted["cost_usd"] <= 0.01
    whole = replace(live(server, 60), per_request=60, max_usd=0.01)
    run = train("pendulum", judge=whole, out=tmp_path / "run", steps=STEPS)
    with run.folder.open_store() as store:
        assert len({j.reply.id for j in store.judgments()}) == 1
        assert len(store.preferences()) == 60
        assert 0 < store.cost_usd() <= predicted["cost_usd"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--max-usd", "1"], "--max-usd needs a judge"),
        (["--judge", "openai:x", "--judgments", "full"], "not both"),
        (["--judge", "simulated:clever"], "there is no judge"),
        (
            ["--judge", "simulated:exact", "--max-judgments", "0"],
            "--max-judgments must be at least 1",
        ),
        (["--judge", "simulated:exact", "--price-in", "1"], "go together"),
        (["--judge", "simulated:exact", "--per-request", "0"], "--per-request must be at least 1"),
        (["--judge", "simulated:exact", "--first", "0"], "--first must be at least 1"),
        (["--judge", "simulated:exact", "--reuse", "nowhere"], "not a run folder"),
        (["--judge", "openai:x", "--base-url", "http://example.com"], "must be https"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_left_behind(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "pendulum", "--out", str(tmp_path / "run"), *options]) == 1
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_judge_that_says_nothing_ends_the_run_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    options = ["--judge", "simulated:useless", "--max-judgments", "300", "--out", str(run)]
    assert main(["train", "pendulum", "--steps", str(STEPS), *options]) == 1
    said = capsys.readouterr().err
    assert "simulated:useless is not fit to judge this goal" in said
    with RunFolder.open(run).open_store() as store:
        judged = len(store.preferences())
    told = re.search(r"it chose what was shown first in (\d+) of \1 comparisons", said)
    assert told is not None
    last = len(read_record(run).checks)  # which may have come in after that was found
    assert judged - last <= int(told[1]) <= judged
    assert 50 <= judged - last <= 60
    assert not (run / "result.json").exists()


def test_a_judge_that_wants_clips_is_shown_clips(server: Server, tmp_path: Path) -> None:
    probed(server)
    server.behaviour.still = 0.1
    task = Task.find("pendulum")
    run = Run.create(task, out=tmp_path / "run", live=live(server), steps=STEPS)
    assert server.requests.total() == 1, "it is asked once, and before all else"
    folder = RunFolder.open(run.folder.path)
    assert folder.task.view.clip is not None
    found = folder.settings.found["view.clip"]
    assert found.startswith("openai:test says that one picture cannot show this goal")
    assert folder.settings.probe_usd > 0
    assert " --clip " in again(folder).command
    with folder.open_store() as store:
        clips = [side for c in store.comparisons().values() for side in (c.first, c.second)]
        assert {len(clip.observations) for clip in clips} == {folder.task.view.clip.steps}
    Run.create(task, out=tmp_path / "said", live=live(server), steps=STEPS, clip=True)
    assert server.requests.total() == 1, "whoever says it need not ask"


def test_trying_the_judge_is_paid_from_the_same_purse(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more than --max-usd 1e-06"):
        make_judge(replace(live(server), max_usd=1e-6), assignment_of(Task.find("pendulum")))
    assert server.requests.total() == 0, "what cannot be paid is not asked"
    run = train(
        "pendulum", judge=replace(live(server), max_usd=0.01), out=tmp_path / "run", steps=STEPS
    )
    settings, result = run.folder.settings, run.result
    assert settings.live is not None
    assert settings.probe_usd > 0
    with run.folder.open_store() as store:
        assert result.cost_usd == pytest.approx(store.cost_usd() + settings.probe_usd)
    limits = limits_of(settings.live, 12, settings.probe_usd)
    assert limits.max_usd == pytest.approx(0.01 - settings.probe_usd)
    remembered = make_judge(live(server), assignment_of(Task.find("pendulum")))
    assert remembered.capability is not None
    assert remembered.capability.cost_usd == 0, "it is paid once"


def test_a_limit_in_dollars_needs_a_price(server: Server, tmp_path: Path) -> None:
    unpriced = replace(live(server), price_in=None, price_out=None, max_usd=1.0)
    with pytest.raises(InputError, match="--price-in"):
        train("pendulum", judge=unpriced, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_budget_that_ends_early_is_said_and_trained_on(server: Server, tmp_path: Path) -> None:
    probed(server)
    small = replace(live(server, 50), max_usd=0.001)
    run = train("pendulum", judge=small, out=tmp_path / "run", steps=2 * STEPS)
    result = run.result
    assert 0 < result.judgments < 50
    assert result.cost_usd <= 0.001
    assert f"{50 - result.judgments} comparisons have no verdict" in result.warnings[0]


def test_a_judge_that_says_nothing_is_an_error_with_the_reason(
    server: Server, tmp_path: Path
) -> None:
    probed(server)
    server.faults += ["refused"] * 100
    with pytest.raises(InputError, match=r"no verdict on any of 3 comparisons after \d+ x refused"):
        train("pendulum", judge=live(server, 3), out=tmp_path / "run", steps=STEPS)


def test_what_was_chosen_is_in_the_configuration_and_no_key_is(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOLITION_API_KEY", key := "nobody-may-see-this")
    chosen = replace(live(server), max_usd=0.5, per_request=3)
    run = Run.create(Task.find("pendulum"), out=tmp_path / "run", live=chosen, steps=STEPS)
    settings = RunFolder.open(tmp_path / "run").settings
    assert settings.live == chosen
    assert settings.judge_id is not None
    run.advance()
    for file in (tmp_path / "run").rglob("*"):
        assert not file.is_file() or key.encode() not in file.read_bytes(), file
