"""`volition draft`: a model that sees writes, a person approves, a policy learns."""

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
from typing import Any

import pytest

from servers import Server, serving
from volition.cli import main
from volition.drafting.draft import open_draft, save
from volition.storage.compilation import enable_cache
from volition.tasks.task import Task
from volition.tasks.truth import TRUTHS, Truth

WISH = "Make it stand."
GIVEN: dict[str, Any] = {
    "goal": "The rod stands up.",
    "principles": [{"text": "Higher is better.", "picture": 1, "why": "it hangs"}],
    "vetoes": [{"text": "It never leans left.", "picture": 3, "why": "it leans"}],
    "questions": ["Does it have to be quick?"],
}


@pytest.fixture(autouse=True)
def _own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(enable_cache()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / f"{tmp_path.name}-cache"))
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(writes=f"Here it is:\n```json\n{json.dumps(GIVEN)}\n```") as running:
        yield running


def command(server: Server, out: Path, *more: str, judge: str = "openai:test") -> list[str]:
    url = server.openai if judge.startswith("openai") else server.url
    return [
        *("draft", "pendulum", "--goal", WISH, "--pictures", "4", "--out", str(out)),
        *("--judge", judge, "--base-url", url, "--price-in", "1", "--price-out", "4", *more),
    ]


@pytest.mark.parametrize("judge", ["openai:test", "anthropic:test", "gemini:test"])
def test_a_model_writes_what_a_wish_means(
    server: Server, tmp_path: Path, judge: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "d"
    assert main(command(server, folder, "--json", judge=judge)) == 0
    came = capsys.readouterr()
    said = json.loads(came.out.splitlines()[-1])
    assert (said["goal"], said["judge"], said["approved"]) == (GIVEN["goal"], judge, False)
    assert said["principles"] == GIVEN["principles"]
    assert 0 < said["cost_usd"] < 0.1
    assert "choosing 4 pictures of Pendulum-v1" in came.err
    assert f"veto: {GIVEN['vetoes'][0]['text']} (picture 3: it leans)" in came.out
    assert "it asks: Does it have to be quick?" in came.out
    assert server.requests.total() == 1
    assert server.pictures == [1]
    draft = open_draft(folder)
    assert json.dumps(GIVEN["goal"]) in json.dumps(draft.replies[0].raw).replace("\\", "")
    task = Task.read(folder)
    goal = task.goal_in_parts()
    assert (goal.principles, goal.vetoes) == (("Higher is better.",), ("It never leans left.",))
    stated = task.stated_goal()
    assert stated.text.startswith(f"{goal.text}\nWhat is meant by that:\n- Higher is better.\n")
    assert not stated.principles, "what is drafted together is judged together"
    assert main(command(server, folder, judge=judge)) == 0
    assert server.requests.total() == 1, "what was written is not asked again"


def test_nothing_trains_before_a_person_approves(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "d"
    assert main(command(server, folder)) == 0
    asking = ["--judge", "openai:test", "--base-url", server.openai, "--max-judgments", "12"]
    train = ["train", str(folder), *asking, "--steps", "400", "--out", str(tmp_path / "run")]
    capsys.readouterr()
    assert main(train) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[-1].startswith(f"error: {folder} is a draft that nobody has approved: read and ed")
    assert told[-1].endswith(f"then `volition draft {folder} --approve`")
    assert server.requests.total() == 1
    assert not (tmp_path / "run").exists()
    constitution = folder / "constitution.txt"
    constitution.write_text(constitution.read_text() + "\nIt is still.\n")
    assert main(["draft", str(folder), "--approve"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "principle: It is still." in told
    assert main(train) == 0
    constitution.write_text("It is fast.\n")
    capsys.readouterr()
    assert main([*train[:-1], str(tmp_path / "other")]) == 1
    assert "was edited after it was approved: approve it again" in capsys.readouterr().err


def test_a_script_approves_at_once(server: Server, tmp_path: Path) -> None:
    assert main(command(server, tmp_path / "d", "--yes")) == 0
    assert open_draft(tmp_path / "d").approved
    assert "Approved</strong>" in (tmp_path / "d" / "draft.html").read_text()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--max-usd", "0.0001"], "openai:test was not asked: it may cost \\$0.0"),
        (["--judge", "simulated:strong"], "simulated:strong cannot write, since it only chooses"),
        (["--judge", "local:some/model"], "local:some/model cannot write"),
        (["--judge", "recorded:x"], "there is no judge 'recorded:x' that writes"),
        (["--judge", "openai"], "there is no judge 'openai' that writes"),
        (["--env", "CartPole-v1"], "give either a TASK or --env ID"),
        (["--ask", "elsewhere"], "give one of --out, --ask"),
        (["--pictures", "25"], "--pictures must be at most 24, not 25"),
        (["--goal", " "], "--goal says nothing"),
    ],
)
def test_what_cannot_be_drafted_is_said(
    server: Server,
    tmp_path: Path,
    more: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(command(server, tmp_path / "d", *more)) == 1
    assert re.search(told, capsys.readouterr().err.splitlines()[-1])
    assert server.requests.total() == 0


def test_a_reply_of_no_use_is_kept_and_asked_for_once_more(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, good = tmp_path / "d", server.behaviour.writes
    many = [{"text": f"The {n}th.", "picture": 1, "why": ""} for n in range(1000)]
    server.behaviour.writes = json.dumps({**GIVEN, "principles": many})
    assert main(command(server, folder)) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert "principles: at most 7 are taken, and there are 1000; its reply is kept in" in told
    assert not (folder / "task.toml").exists()
    spent = open_draft(folder).spent_usd
    server.behaviour.writes = good
    assert main(command(server, folder)) == 0
    draft = open_draft(folder)
    assert [bool(reply.fault) for reply in draft.replies] == [True, False]
    assert draft.spent_usd > spent > 0


def test_an_outage_is_waited_for_and_a_refused_form_is_left_out(
    server: Server, tmp_path: Path
) -> None:
    server.faults += ["overloaded", "server_error", "rate_limited:0.05"]
    server.behaviour.rejects = frozenset({"response_format", "temperature"})
    assert main(command(server, tmp_path / "d", "--patience", "20")) == 0
    settings = open_draft(tmp_path / "d").replies[0].settings
    assert (settings["enforced"], settings["without"]) == ("False", "temperature")


def test_a_server_that_stays_down_ends_it_and_the_same_command_goes_on(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.faults += ["overloaded"] * 50
    assert main(command(server, tmp_path / "d", "--patience", "0.5")) == 1
    assert "has not answered for 0.5 s (--patience)" in capsys.readouterr().err
    server.faults.clear()
    assert main(command(server, tmp_path / "d")) == 0
    assert server.answered["a text"] == 1


def test_a_folder_of_something_else_is_left_alone(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "d"
    assert main(command(server, folder)) == 0
    assert main(command(server, folder, "--goal", "Let it hang.")) == 1
    assert "is a draft of another wish ('Make it stand.')" in capsys.readouterr().err
    assert main(command(server, folder, "--seed", "3")) == 1
    assert "is a draft of the wish shown otherwise" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    assert main(command(server, tmp_path / "other")) == 1
    assert "is there already: choose another folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["file"]
    assert main(["draft", str(folder), "--judge", "openai:x"]) == 1
    assert "is a draft: --check or --approve it" in capsys.readouterr().err


# Stopped -------------------------------------------------------------------------------------


def started(arguments: list[str]) -> subprocess.Popen[str]:
    # Whoever runs the tests in the background may have them ignore Ctrl-C, and all they start.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heed}; import sys; from volition.cli import main; sys.exit(main(sys.argv[1:]))"
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=pipe, text=True)


def until(happened: Any) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_killed_after_it_was_answered_it_asks_nothing_again(server: Server, tmp_path: Path) -> None:
    """What was under way counts as much as it may have cost; what came is read later."""
    folder = tmp_path / "d"
    server.behaviour.latency_s = 3.0
    process = started(command(server, folder))
    until(lambda: server.requests.total() == 1)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    reserved = open_draft(folder).spent_usd
    assert reserved > 0
    server.behaviour.latency_s = 0.0
    assert main(command(server, folder)) == 0
    done = open_draft(folder)
    assert done.spent_usd > reserved
    # As though it had been killed between the reply and its reading.
    save(folder, replace(done, proposal=None))
    (folder / "task.toml").unlink()
    before = server.requests.total()
    assert main(command(server, folder)) == 0
    assert server.requests.total() == before
    assert open_draft(folder) == done
    assert Task.read(folder).goal_in_parts().vetoes == ("It never leans left.",)


def test_ctrl_c_waits_for_the_reply_that_is_under_way(server: Server, tmp_path: Path) -> None:
    server.behaviour.latency_s = 1.0
    process = started(command(server, tmp_path / "d"))
    until(lambda: server.requests.total() == 1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.splitlines()[-1].startswith("stopped; what came is kept")
    assert main(command(server, tmp_path / "d")) == 0
    assert server.requests.total() == 1


# Without a connection ------------------------------------------------------------------------


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    folder = tmp_path / "asked"
    words = ["draft", "--env", "CartPole-v1", "--goal", WISH, "--pictures", "4"]
    words += ["--kwargs", "sutton_barto_reward=true", "--ask", str(folder)]
    assert main(words) == 0
    return folder


def test_anybody_writes_into_a_folder(asked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (asked / "README.md").read_text()
    assert f"> {WISH}" in page
    assert sorted(path.name for path in (asked / "pictures").iterdir()) == [
        f"0{number}.png" for number in (1, 2, 3, 4)
    ]
    assert main(["train", str(asked), "--judge", "simulated:strong"]) == 1
    assert "is an unfinished draft: nobody has written one yet" in capsys.readouterr().err
    (asked / "answer.json").write_text(json.dumps(GIVEN))
    capsys.readouterr()
    assert main(["draft", "--answer", str(asked), "--judge", "somebody", "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["judge"], said["goal"]) == ("somebody", "The rod stands up.")
    task = Task.read(asked)
    assert task.environment.kwargs == {"sutton_barto_reward": True}
    assert main(["draft", "--answer", str(asked), "--judge", "somebody"]) == 0
    assert main(["draft", "--answer", str(asked), "--judge", "another"]) == 1
    assert "has the draft of somebody already" in capsys.readouterr().err
    assert main(["draft", str(asked), "--approve", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["approved"] is True


def test_a_fault_in_an_answer_is_named_and_nothing_is_written(
    asked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in asked.iterdir() if path.is_file()}
    capsys.readouterr()
    assert main(["draft", "--answer", str(asked), "--judge", "somebody"]) == 1
    told = capsys.readouterr().err
    assert f"{asked / 'answer.json'}: goal: it says nothing: ''" in told
    faulty = asked / "mine.json"
    vetoes = [{"text": "veto:\nall", "picture": 5, "why": ""}]
    faulty.write_text(json.dumps({**GIVEN, "vetoes": vetoes}))
    assert main(["draft", "--answer", str(faulty), "--judge", "somebody"]) == 1
    told = capsys.readouterr().err
    assert f"{faulty}: vetoes 1, text: it holds a line break" in told
    assert f"{faulty}: vetoes 1, picture: there are pictures 1 to 4, and no 5" in told
    faulty.write_bytes(b"\n\xff")
    assert main(["draft", "--answer", str(faulty), "--judge", "somebody"]) == 1
    assert f"{faulty}:2 is not UTF-8 text" in capsys.readouterr().err
    faulty.unlink()
    after = {path.name: path.read_bytes() for path in asked.iterdir() if path.is_file()}
    assert after == before
    assert main(["draft", "--answer", str(asked)]) == 1
    assert "--judge says who wrote it" in capsys.readouterr().err
    assert main(["draft", "--answer", str(asked.parent), "--judge", "somebody"]) == 1
    assert "holds no draft.json: it is not a draft" in capsys.readouterr().err


# Whether it holds together -------------------------------------------------------------------


def test_principles_are_checked_and_nothing_is_asked_again(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server looks at nothing but how high the rod is, by whatever principle it is asked."""
    folder = tmp_path / "d"
    assert main(command(server, folder)) == 0
    judge = ["--judge", "openai:test", "--base-url", server.openai]
    capsys.readouterr()
    assert main(["draft", str(folder), "--check", *judge, "--json"]) == 0
    came = capsys.readouterr().out
    assert "  says the same as “It never leans left.” of " in came
    check = json.loads(came.splitlines()[-1])["check"]
    assert (check["judge"], check["pairs"], check["simulated"]) == ("openai:test", 12, False)
    assert [len(sentence["findings"]) for sentence in check["sentences"]] == [1, 1]
    assert "Whether they hold together" in (folder / "draft.html").read_text()
    assert sum("by this principle alone" in json.dumps(body) for body in server.bodies) == 24
    before = server.requests.total()
    assert main(["draft", str(folder), "--check", *judge]) == 0
    assert server.requests.total() == before
    constitution = folder / "constitution.txt"
    constitution.write_text(constitution.read_text().replace("Higher", "Much higher"))
    assert main(["draft", str(folder), "--check", *judge]) == 0
    assert server.requests.total() == before + 12, "of the sentence that was changed"
    capsys.readouterr()
    assert main(["draft", str(folder), "--check"]) == 1
    assert "--judge says who compares" in capsys.readouterr().err


def test_principles_are_checked_by_somebody_who_is_not_connected(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, sheets = tmp_path / "d", tmp_path / "sheets"
    assert main(command(server, folder)) == 0
    before = contents(folder)
    check = ["draft", str(folder), "--check"]
    assert main([*check, "--ask", str(sheets)]) == 0
    assert "24 pairs on 2 sheets" in capsys.readouterr().out
    assert contents(folder) == before
    told = (sheets / "README.md").read_text()
    assert f"> {GIVEN['goal']}\n\nJudge the pairs 1 to 12 by this principle alone" in told
    assert main([*check, "--answer", str(sheets)]) == 1
    assert "has no answers yet: run `volition answer" in capsys.readouterr().err
    chosen = []
    for line in (sheets / "pairs.jsonl").read_text().splitlines():
        row = json.loads(line)
        left, right = (abs(row[side]["theta"]) for side in ("first", "second"))
        tied = row["principle"] == "Higher is better."
        chosen.append("tie" if tied else "A" if left < right else "B")
    form = sheets / "answers.csv"
    lines = ["pair,choice", *(f"{number},{c}" for number, c in enumerate(chosen, start=1))]
    form.write_text("\n".join(lines[:-1]))
    answers = ["answer", str(sheets), str(form), "--judge", "<i>you</i>"]
    assert main(answers) == 1
    assert "no answer for the pairs 24" in capsys.readouterr().err
    form.write_text("\n".join(lines))
    assert main(answers) == 0
    assert f"volition draft {folder} --check --answer {sheets}" in capsys.readouterr().out
    for _ in range(2):  # taken again, they are the same
        assert main([*check, "--answer", str(sheets), "--json"]) == 0
        came = json.loads(capsys.readouterr().out.splitlines()[-1])["check"]
        assert (came["judge"], came["pairs"]) == ("recorded:<i>you</i>", 12)
        assert [(one["decided"], one["ties"]) for one in came["sentences"]] == [(0, 12), (12, 0)]
        assert "12 of 12 pairs decide nothing" in came["sentences"][0]["findings"][0]
    assert server.requests.total() == 1
    page = (folder / "draft.html").read_text()
    assert "recorded:&lt;i&gt;you&lt;/i&gt; compared 12 pairs" in page
    constitution = folder / "constitution.txt"
    constitution.write_text("It is another.\n")
    assert main([*check, "--answer", str(sheets)]) == 1
    assert "asks about no sentence of" in capsys.readouterr().err
    constitution.write_text("It is another.\nveto: It never leans left.\n")
    assert main([*check, "--answer", str(sheets)]) == 0
    assert "principle: It is another.\n  nobody has judged by it yet" in capsys.readouterr().out
    for more, why in (
        (["--ask", str(sheets), "--judge", "a:b"], "--judge does not go with --check --ask"),
        (["--answer", str(sheets), "--judge", "you"], "--check --answer: the answers say who"),
        (["--ask", str(sheets)], "is there already"),
        (["--ask", "one", "--answer", "other"], "give one of"),
    ):
        assert main([*check, *more]) == 1
        assert why in capsys.readouterr().err


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_contradiction_is_found(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    up, down = "Higher is better.", "Lower is better."
    truth = Truth(
        lambda o: float(o[:, 0].mean() + 1) / 2,
        (0, 1),
        principles={down: lambda o: float(1 - o[:, 0].mean()) / 2},
    )
    monkeypatch.setitem(TRUTHS, "rod", truth)
    task = tmp_path / "task"
    task.mkdir()
    (task / "task.toml").write_text(
        'name = "rod"\nenvironment = { id = "Pendulum-v1" }\n'
        f'goal = {{ text = "{WISH}", truth = "rod" }}\n'
    )
    principles = [{"text": text, "picture": 1, "why": ""} for text in (up, down)]
    server.behaviour.writes = json.dumps({**GIVEN, "principles": principles, "vetoes": []})
    folder = tmp_path / "d"
    words = command(server, folder, "--yes")
    words[1] = str(task)
    assert main(words) == 0
    capsys.readouterr()
    assert main(["draft", str(folder), "--check", "--judge", "simulated:noisy:0.01"]) == 0
    told = capsys.readouterr().out
    assert "the simulated judge simulated:noisy" in told
    assert f"contradicts “{down}” in 12 of 12 pairs" in told
