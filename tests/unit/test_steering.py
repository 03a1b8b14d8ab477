"""A run that is steered from outside: it pauses, stops, may spend more, and hears people."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from test_judging import COST, Scripted, comparisons, stored
from test_pages import ask

from servers.pages import served
from volition.errors import Interrupted, JudgeUnavailable
from volition.evidence.verification import verify
from volition.goal import Goal
from volition.judges.settings import JudgeSettings
from volition.judging.limits import Limits, Wanted
from volition.judging.thread import Judging
from volition.judgment import Order
from volition.run.interrupting import Helm, Telling, UnderWay
from volition.run.results import Progress
from volition.run.run import Run
from volition.storage.documents import read_document
from volition.storage.files import exclusively, is_in_use
from volition.storage.labels import Label, LabelLog
from volition.storage.store import Store
from volition.tasks.task import Task
from volition.web.watching import Watch, watching_app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Store.create(tmp_path / "run") as store:
        store.add_goal(Goal("more"))
    return tmp_path / "run"


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


# Judging -------------------------------------------------------------------------------------


def test_nothing_is_asked_while_it_is_paused(folder: Path) -> None:
    helm, judge = Helm(folder / "control.json"), Scripted()
    helm.want(Wanted(pause=True))
    with Judging(folder, wanted=helm) as judging:
        judging.ask(judge, comparisons(folder, 5))
        assert not judging.wait(0.7)
        assert judge.requests == []
        assert judging.standing().waiting == 5
        helm.want(Wanted())
        assert judging.wait(20)
    assert len(judge.requests) == 5


def test_what_is_stopped_waits_for_what_is_under_way_and_asks_no_more(folder: Path) -> None:
    helm, judge = Helm(folder / "control.json"), Scripted(latency_s=0.3)
    with Judging(folder, Limits(concurrency=2), wanted=helm) as judging:
        judging.ask(judge, comparisons(folder, 6))
        until(lambda: judge.in_flight == 2)
        helm.want(Wanted(stop=True))
        assert judging.wait(20)
    assert 2 <= len(judge.requests) < 6
    assert len(stored(folder)) == len(judge.requests)


def test_a_budget_that_is_raised_pays_for_what_was_not_asked(folder: Path) -> None:
    helm, judge = Helm(folder / "control.json"), Scripted()
    with Judging(folder, Limits(max_usd=3.5 * COST, concurrency=1), wanted=helm) as judging:
        judging.ask(judge, comparisons(folder, 6))
        assert judging.wait(20)
        assert (len(judge.requests), judging.standing().unasked) == (3, 3)
        helm.want(Wanted(max_usd=2 * COST))  # less is no wish that can be had
        time.sleep(0.5)
        assert judging.standing().unasked == 3
        helm.want(Wanted(max_usd=5.5 * COST))
        until(lambda: judging.standing().unasked == 1)
        assert judging.wait(20)
    assert len(judge.requests) == 5
    assert max(judge.counts().values()) == 1


# The control file ----------------------------------------------------------------------------


def test_a_control_file_that_is_damaged_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    helm = Helm(tmp_path / "control.json")
    helm.want(Wanted(pause=True, max_usd=2.0))
    assert helm() == Wanted(pause=True, max_usd=2.0)
    (tmp_path / "control.json").write_text("{")
    assert helm() == Wanted(pause=True, max_usd=2.0)
    assert "it is not heeded" in caplog.text
    (tmp_path / "control.json").unlink()
    assert helm() == Wanted()


def test_going_on_ends_a_pause_and_a_stop_and_keeps_the_budget(tmp_path: Path) -> None:
    helm = Helm(tmp_path / "control.json")
    helm.want(Wanted(pause=True, stop=True, max_usd=2.0))
    helm.begin()
    assert Helm(tmp_path / "control.json")() == Wanted(max_usd=2.0)


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (None, "finished", ""),
        (Interrupted("stopped after 5 steps"), "stopped", "stopped after 5 steps"),
        (JudgeUnavailable("no key"), "failed", "no key"),
        (ZeroDivisionError("by zero"), "failed", "ZeroDivisionError: by zero"),
    ],
)
def test_how_a_run_ended_is_kept(
    tmp_path: Path, error: Exception | None, state: str, message: str
) -> None:
    told: list[Progress] = []
    file = tmp_path / "progress.json"
    ends = nullcontext() if error is None else pytest.raises(type(error))
    with ends, Telling(file, Helm(), told.append) as telling:
        telling(Progress("policy", env_steps=7))
        assert read_document(file, UnderWay).state == "running"
        if error is not None:
            raise error
    kept = read_document(file, UnderWay)
    assert (kept.state, kept.message, kept.progress.env_steps) == (state, message, 7)
    assert len(told) == 1


def test_who_is_in_a_folder(tmp_path: Path) -> None:
    assert not is_in_use(tmp_path)
    with exclusively(tmp_path):
        assert is_in_use(tmp_path)
    assert not is_in_use(tmp_path)


# A whole run ---------------------------------------------------------------------------------


def test_a_run_that_is_stopped_goes_on_and_has_heard_what_people_said(tmp_path: Path) -> None:
    judge = JudgeSettings("simulated:exact?latency=0.01", 16, first=8)
    run = Run.create(Task.find("pendulum"), None, tmp_path / "run", live=judge, steps=2400)
    helm, stages = Helm(run.folder.control), list[str]()

    def listen(progress: Progress) -> None:
        stages.append(progress.stage)
        if progress.stage == "policy" and progress.env_steps >= 800:
            helm.want(Wanted(stop=True))

    with pytest.raises(Interrupted, match="volition resume"):
        run.advance(listen)
    assert read_document(run.folder.progress, UnderWay).state == "stopped"
    with run.folder.open_store() as store:
        asked = [(j.comparison_id, j.reply.id) for j in store.judgments()]
        put = store.put()
    names = list(put)[:4]
    labels = [
        Label(f"label-{n}", "Anna", name, Order.FORWARD, "tie") for n, name in enumerate(names)
    ]
    LabelLog(run.folder.path).append(labels[:2])

    def hand_in(progress: Progress) -> None:
        if progress.env_steps > 1200:  # while it learns
            LabelLog(run.folder.path).append(labels)

    result = Run.open(run.folder.path).advance(hand_in)
    assert "human:Anna" in result.judge
    assert verify(run.folder) == []
    with run.folder.open_store() as store:
        judgments = store.judgments()
        assert [(j.comparison_id, j.reply.id) for j in judgments][: len(asked)] == asked
        assert sum(store.judges()[j.judge_id].is_person for j in judgments) == 4
        counting = {p.comparison_id: p.p_first for p in run.folder.preferences(store)}
    assert all(counting[name] == 0.5 for name in names)
    assert result.judgments == len(counting) == 16


# The page ------------------------------------------------------------------------------------


def test_what_cannot_be_wished_is_refused(tmp_path: Path) -> None:
    judge = JudgeSettings("simulated:exact", 16, 1.0, first=8)
    run = Run.create(Task.find("pendulum"), None, tmp_path / "runs" / "one", live=judge)
    watch = Watch(tmp_path / "runs")
    with served(watching_app(watch)) as port:

        def wish(said: dict[str, object], name: str = "one") -> tuple[int, str]:
            return ask(port, f"run/{name}/wish", said)[:2]

        assert wish({"wish": "pause"}) == (400, "one is unfinished: nothing of it is under way\n")
        assert wish({"wish": "pause"}, "other")[0] == 404
        assert wish({"wish": "pause"}, "..")[0] == 404
        assert ask(port, "run/one/policy.mp4")[0] == 404
        assert ask(port, "run/one/..%2f..%2fx.mp4")[0] == 404
        assert ask(port, "run/one/sides/..%2fframes/0.png")[0] == 404
        assert ask(port, "run/one/film", {}) == (
            400,
            "one has kept no policy yet: it is too early for a film\n",
            ask(port, "run/one/film", {})[2],
        )
        stop = threading.Event()

        def hold() -> None:
            with exclusively(run.folder.path):
                stop.wait(60)

        holding = threading.Thread(target=hold)
        holding.start()
        until(lambda: is_in_use(run.folder.path))
        assert wish({"wish": "dance"})[0] == 400
        assert wish({"wish": "budget", "max_usd": 0.5}) == (
            400,
            "a budget can only be raised: it is $1\n",
        )
        assert wish({"wish": "budget", "max_usd": 2.0})[0] == 200
        assert json.loads(wish({"wish": "pause"})[1])["told"].startswith("it pauses after")
        assert Helm(run.folder.control)() == Wanted(pause=True, max_usd=2.0)
        stop.set()
        holding.join()
    watch.close()


def test_events_tell_a_run_and_say_nothing_twice(run: Run) -> None:
    import http.client

    watch = Watch(run.folder.path)
    with served(watching_app(watch)) as port:
        status, _, headers = ask(port, "")
        assert (status, headers["location"]) == (303, "run/run")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", f"/secret-of-the-tests/run/{headers['location'][4:]}/events")
        reply = connection.getresponse()
        assert reply.headers["content-type"].startswith("text/event-stream")
        lines = [reply.readline().decode().strip() for _ in range(6)]
        connection.close()
    watch.close()
    assert [lines[0], lines[3]] == ["event: state", "event: pairs"]
    state = json.loads(lines[1].removeprefix("data: "))
    pairs = json.loads(lines[4].removeprefix("data: "))
    assert (state["state"], state["judgments"], state["verdicts"]) == ("finished", 60, 60)
    assert state["failures"] == {}
    assert len(state["curves"]["learned"]) == 2
    assert len(pairs) == 24
    assert pairs[0]["sequence"] > pairs[-1]["sequence"]
