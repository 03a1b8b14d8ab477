"""A model in this process, and the same model behind a real model server.

Needs torch and transformers: `make test-local`. Nothing is downloaded; the model is made here.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
os.environ["HF_HUB_OFFLINE"] = "1"

from tiny import build

from volition.comparison import Comparison, Frame, Segment
from volition.errors import JudgeUnavailable
from volition.goal import Goal
from volition.judges.base import AskError, Assignment, Judge, Question
from volition.judges.live import openai
from volition.judges.live.connection import resolve
from volition.judges.live.judge import LiveJudge
from volition.judges.live.wires import Wire, logprobs, votes
from volition.judges.local import LocalJudge, make
from volition.judges.prompt import Brief
from volition.judges.settings import JudgeSettings
from volition.judgment import Failure, Order, Reply, Verdict
from volition.tasks.view import JudgeView

SETTINGS = JudgeSettings("local:tiny", per_request=8)
DISC = Assignment(Goal("The disc is at the top."), JudgeView(), probe=False)
pytestmark = pytest.mark.filterwarnings("default")  # the libraries' own warnings are theirs


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def judge(folder: Path) -> LocalJudge:
    return make(str(folder), SETTINGS, DISC)


def disc(x: int, y: int, colour: int = 0) -> Segment:
    rows, columns = np.mgrid[:72, :72]
    pixels = np.full((72, 72, 3), 255, np.uint8)
    pixels[(columns - x) ** 2 + (rows - y) ** 2 <= 144] = colour
    return Segment(np.array([[x, y]], np.float32), (Frame(pixels),))


def questions(count: int) -> list[Question]:
    pairs = [(disc(16 + n, 16), disc(50, 56 - n)) for n in range(count)]
    return [
        Question(Comparison.between("goal", *pair), list(Order)[n % 2])
        for n, pair in enumerate(pairs)
    ]


def ask(judge: Judge, batch: Sequence[Question]) -> Reply:
    async def once() -> Reply:
        try:
            return await judge.ask(batch)
        finally:
            await judge.close()

    return asyncio.run(once())


def probabilities(judge: Judge, batch: Sequence[Question]) -> list[float]:
    outcomes = judge.read(ask(judge, batch), batch)
    assert all(isinstance(outcome, Verdict) for outcome in outcomes), outcomes
    return [outcome.p_shown_first for outcome in outcomes if isinstance(outcome, Verdict)]


# In this process ---------------------------------------------------------------------------------


def test_a_batch_is_answered_as_each_question_by_itself(judge: LocalJudge) -> None:
    batch = questions(6)
    together = probabilities(judge, batch)
    apart = [probabilities(judge, [question])[0] for question in batch]
    assert together == pytest.approx(apart, abs=1e-4)
    assert len({round(p, 6) for p in together}) == len(batch)  # it sees the pictures


def test_questions_of_different_length_do_not_disturb_each_other(judge: LocalJudge) -> None:
    short, long = questions(2)
    long = replace(long, principle="What is said here is long. " * 20)
    together = probabilities(judge, [short, long])
    assert together == pytest.approx(
        [probabilities(judge, [short])[0], probabilities(judge, [long])[0]], abs=1e-4
    )


def test_the_order_of_the_pictures_matters(judge: LocalJudge) -> None:
    (question,) = questions(1)
    other = replace(question, order=Order.SWAPPED)
    assert probabilities(judge, [question]) != pytest.approx(
        probabilities(judge, [other]), abs=1e-6
    )


def test_nothing_is_billed_and_the_reply_is_kept(judge: LocalJudge) -> None:
    assert judge.capability is None
    assert not judge.immediate
    batch = questions(2)
    estimate, reply = judge.estimate(batch), ask(judge, batch)
    assert estimate.cost_usd == reply.cost_usd == 0
    assert [set(answer) for answer in json.loads(reply.raw)] == [{"A", "B"}] * 2
    assert judge.read(reply, batch) == judge.read(reply, batch)


@pytest.mark.parametrize("raw", ["", "{}", "[]", "[1, 2]", '[{"A": 1}, {"A": 0.01, "B": 0.01}]'])
def test_any_other_reply_is_a_failure(judge: LocalJudge, raw: str) -> None:
    outcomes = judge.read(Reply("x", raw), questions(2))
    assert all(isinstance(outcome, Failure) for outcome in outcomes)


def test_other_weights_are_another_judge(judge: LocalJudge, folder: Path, tmp_path: Path) -> None:
    again = make(str(folder), SETTINGS, DISC)
    assert again.identity == judge.identity
    other = build(tmp_path / "other", seed=1)
    shutil.copytree(other, tmp_path / "same-name" / folder.name)
    differing = make(str(tmp_path / "same-name" / folder.name), SETTINGS, DISC)
    assert differing.weights != judge.weights


def test_a_judge_that_cannot_see_is_caught(folder: Path) -> None:
    with pytest.raises(JudgeUnavailable, match="does not"):
        make(str(folder), SETTINGS, replace(DISC, probe=True))


def test_a_model_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(JudgeUnavailable, match="cannot be loaded"):
        make(str(tmp_path), SETTINGS, DISC)


def test_code_that_comes_with_a_model_is_not_run(folder: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    shutil.copytree(folder, odd)
    config = json.loads((odd / "config.json").read_text())
    config |= {
        "model_type": "odd",
        "auto_map": {"AutoConfig": "code.OddConfig", "AutoModelForImageTextToText": "code.Odd"},
    }
    (odd / "config.json").write_text(json.dumps(config))
    (odd / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(JudgeUnavailable, match="cannot be loaded"):
        make(str(odd), SETTINGS, DISC)
    assert not (tmp_path / "ran").exists()


# Behind `transformers serve` ---------------------------------------------------------------------


@pytest.fixture(scope="session")
def served(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a real model server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(folder)]
    log = tmp_path_factory.mktemp("served") / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait(10)


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        assert server.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.25)
        else:
            return
    raise AssertionError("the server did not start")


def asked_by(wire: Wire, url: str, folder: Path) -> LiveJudge:
    endpoint = resolve(openai.PROVIDER, url, {})
    return LiveJudge("openai:tiny", str(folder), endpoint, wire, Brief("The disc is at the top."))


def test_a_real_server_answers_with_probabilities(served: str, folder: Path) -> None:
    judge = asked_by(openai.systemone(str(folder), "assets"), served, folder)
    (question,) = questions(1)
    p = probabilities(judge, [question])
    assert 0 < p[0] < 1
    assert probabilities(judge, [question]) == pytest.approx(p, abs=1e-6)
    swapped = replace(question, order=Order.SWAPPED)
    assert probabilities(judge, [swapped]) != pytest.approx(p, abs=1e-6)
    assert ask(judge, [question]).prompt_tokens > 0


def test_a_real_server_drops_logprobs_in_silence(served: str, folder: Path) -> None:
    judge = asked_by(logprobs(openai.Chat(str(folder), False)), served, folder)
    batch = questions(1)
    (outcome,) = judge.read(ask(judge, batch), batch)
    assert isinstance(outcome, Failure)
    assert outcome.kind == "no_probabilities"


def test_what_a_real_model_rambles_is_no_vote(served: str, folder: Path) -> None:
    judge = asked_by(votes(openai.Chat(str(folder), False), enforced=False), served, folder)
    batch = questions(1)
    (outcome,) = judge.read(ask(judge, batch), batch)
    assert isinstance(outcome, Failure)


def test_an_endpoint_that_a_real_server_has_not_is_rejected(served: str, folder: Path) -> None:
    judge = asked_by(openai.decisions(str(folder), False), served, folder)
    with pytest.raises(AskError) as raised:
        ask(judge, questions(1))
    assert (raised.value.kind, raised.value.again) == ("rejected", False)


def test_probing_a_real_server_says_what_is_wrong_with_each_way(
    served: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(JudgeUnavailable) as raised:
        openai.make(
            str(folder), JudgeSettings("openai:tiny", base_url=served), replace(DISC, probe=True)
        )
    message = str(raised.value)
    assert "decisions: " in message
    assert "accepts logprobs and returns none" in message
    assert "systemone: it " in message  # its answers are read, and found to be random
