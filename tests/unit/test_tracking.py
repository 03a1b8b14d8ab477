"""A run is followed beside TensorBoard, and judging is traced, where somebody wants it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from volition import JudgeSettings, Run, Task, cli, train
from volition.errors import InputError
from volition.judges import make_judge
from volition.judges.base import AskError, Judge, Question
from volition.judging.thread import Judging
from volition.judgment import JudgeIdentity, Reply, Verdict
from volition.questions.covering import covering_comparisons
from volition.run.creating import assignment_of
from volition.run.folder import RunFolder
from volition.storage.store import Store
from volition.storage.tracking import trackers
from volition.storage.tracking.trackers import Subject, check_trackers
from volition.tracing import CAPTURE, judging_span

SHORT = 800


class Follower:
    """What a service is told; one of these fails after a while."""

    told: list[tuple[dict[str, float], int]]
    subject: Subject
    fails = False

    def __init__(self, subject: Subject) -> None:
        type(self).subject, type(self).told = subject, []

    def add(self, scalars: Mapping[str, float], step: int) -> None:
        self.told.append((dict(scalars), step))
        if self.fails:
            raise ConnectionError("the service is down")

    def close(self) -> None:
        self.told.append(({}, -1))


class Failing(Follower):
    fails = True


def test_services_are_told_what_tensorboard_is(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that fails is left out, and the run goes on, to what one reaches that is not followed."""
    monkeypatch.setattr(trackers, "TRACKERS", {"wandb": Follower, "trackio": Failing})
    monkeypatch.setattr(trackers, "needed", lambda *_: None)
    with caplog.at_level(logging.WARNING, "volition"):
        out, track = tmp_path / "run", ["wandb", "trackio", "wandb"]
        followed = train("pendulum", out=out, steps=run.folder.settings.steps, track=track)
    *sessions, closed = Follower.told
    assert closed == ({}, -1)
    assert sessions == [(session.scalars, session.env_steps) for session in followed.history]
    assert len(sessions) > 1
    assert len(Failing.told) == 1, "it is not told again"
    assert "trackio does not follow the run any more: ConnectionError" in caplog.text
    subject = Follower.subject
    assert (subject.name, subject.simulated) == ("run", False)
    assert subject.config["judge"] == "recorded:one-look"
    settings = RunFolder.open(out).settings
    assert (settings.track, settings.tracked_as) == (("wandb", "trackio"), subject.id)
    assert not run.folder.settings.track
    for name in ("policy/policy.safetensors", "reward_model/model.safetensors"):
        same = [(folder / name).read_bytes() for folder in (run.folder.path, out)]
        assert same[0] == same[1], "being followed changes nothing that is learned"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("neptune",), "--track takes wandb and trackio, not 'neptune'"),
        (("wandb",), r'needs wandb, which is not installed: pip install "volition\[wandb\]"'),
    ],
)
def test_what_cannot_follow_is_said_before_anything_begins(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    names: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=told):
        check_trackers(names)
    words = ["train", "pendulum", "--track", *names, "--out", str(tmp_path / "run")]
    assert cli.main(words) == 1
    assert "error: --track" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


# Spans ----------------------------------------------------------------------------------------


def test_nobody_who_does_not_trace_pays_for_it() -> None:
    """Judging itself imports no OpenTelemetry, though it may be installed."""
    program = (
        "import sys\n"
        "from volition.judging.thread import Judging\n"
        "from volition.judgment import JudgeIdentity\n"
        "from volition.tracing import judging_span\n"
        "with judging_span(JudgeIdentity('openai:m'), 1) as told:\n"
        "    told(None)\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


class Spoken:
    """A judge that answers with a reply of its own, and at times not at all."""

    identity = JudgeIdentity(
        "gemini:some-model",
        settings={"model": "some-model", "endpoint": "http://127.0.0.1:8080/v1"},
    )
    per_request, capability, immediate = 1, None, True

    def __init__(self, like: Judge) -> None:
        self._like, self._count = like, 0

    def estimate(self, questions: Any) -> Any:
        return self._like.estimate(questions)

    async def ask(self, questions: list[Question]) -> Reply:
        self._count += 1
        if self._count == 1:
            raise AskError("refused", "the secret words of a prompt", again=False)
        return Reply(f"{self._count}", "the judge's own words", 120, 7, 0.002, 0.5)

    def read(self, reply: Reply, questions: list[Question]) -> list[Verdict]:
        return [Verdict(0.75)] * len(questions)

    async def close(self) -> None:
        pass


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What OpenTelemetry's own SDK exports, in memory."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", lambda name: provider.get_tracer(name))
    return exporter


@pytest.mark.parametrize("captures", ["", "true"])
def test_every_request_to_a_judge_is_a_span(
    tmp_path: Path, spans: Any, monkeypatch: pytest.MonkeyPatch, captures: str
) -> None:
    monkeypatch.setenv(CAPTURE, captures)
    task = Task.find("pendulum")
    like = make_judge(JudgeSettings("simulated:exact"), assignment_of(task))
    judge: Any = Spoken(like)
    with Store.create(tmp_path) as store:
        goal_id = store.add_goal(task.stated_goal())
        store.add_judge(judge.identity)
    asked = covering_comparisons(task.environment, task.view, goal_id, 3, 0)
    with Judging(tmp_path) as judging:
        judging.ask(judge, asked)
        judging.wait()
    ended = spans.get_finished_spans()
    failed = [
        span for span in ended if not span.status.is_ok and span.status.status_code.value == 2
    ]
    assert [span.attributes["error.type"] for span in failed] == ["refused"]
    assert len(ended) == 3
    for span in ended:
        assert span.name == "chat some-model"
        assert span.kind.name == "CLIENT"
        assert span.attributes["gen_ai.operation.name"] == "chat"
        assert span.attributes["gen_ai.provider.name"] == "gcp.gemini"
        assert span.attributes["server.port"] == 8080
        assert not span.events, "an error's message may hold what was sent"
        if span in failed:
            continue
        assert span.attributes["gen_ai.usage.input_tokens"] == 120
        assert span.attributes["gen_ai.usage.output_tokens"] == 7
        said = json.loads(span.attributes.get("gen_ai.output.messages", "[]"))
        assert bool(said) is bool(captures)
    everything = " ".join(span.to_json() for span in ended)
    assert "secret words" not in everything
    assert ("the judge's own words" in everything) is bool(captures)


def test_the_names_are_those_of_the_conventions(spans: Any) -> None:
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as named

    known = {value for name, value in vars(named).items() if name.startswith("GEN_AI_")}
    with judging_span(JudgeIdentity("simulated:strong", simulated=True), 5) as told:
        told(Reply("1", "raw", 1, 2))
    (span,) = spans.get_finished_spans()
    assert span.attributes["volition.judge.simulated"] is True
    ours = {name for name in span.attributes if name.startswith("gen_ai.")}
    assert len(ours) == 5
    assert ours <= known
