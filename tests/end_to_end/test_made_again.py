"""The command that a report prints makes the run again, whatever kind of run it is."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import Lines, angles, judged
from servers import Server, serving
from volition import cli
from volition.evidence.film import record_chosen
from volition.evidence.report.again import Again, again
from volition.evidence.report.page import render_page
from volition.evidence.report.reading import read_evidence
from volition.evidence.verification import verify
from volition.goal import Goal
from volition.judges import make_judge
from volition.judges.settings import JudgeSettings
from volition.run.creating import assignment_of
from volition.run.run import Run, train
from volition.storage.compilation import enable_cache
from volition.tasks.given import Given
from volition.tasks.task import Task

FEW = ["--steps", "800"]
STATES: Lines = [
    judged(one, other, "first" if abs(one) < abs(other) else "second")
    for one, other in angles(24, seed=1)
]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in a folder of its own, without films: what is printed is what matters here."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(enable_cache()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / f"{tmp_path.name}-cache"))
    monkeypatch.setattr("volition.evidence.report.write_report", lambda run: run.folder.report)
    monkeypatch.chdir(tmp_path)


def begun(words: list[str], out: str) -> Run:
    assert cli.main([*words, "--out", out]) == 0
    return Run.open(out)


def printed(run: Run) -> Again:
    return again(run.folder)


def made(commands: str | tuple[str, ...], out: str) -> Run:
    """The run that commands make, the last of which trains."""
    *before, last = [commands] if isinstance(commands, str) else commands
    for command in before:
        assert cli.main(shlex.split(command)[1:]) == 0
    return begun(shlex.split(last)[1:], out)


def same_policy(one: Run, other: Run) -> bool:
    policies = [(run.folder.policy / "policy.safetensors").read_bytes() for run in (one, other)]
    return policies[0] == policies[1] and one.evaluation == other.evaluation


def same_reward(one: Run, other: Run) -> bool:
    fits = [run.reward_fit for run in (one, other)]
    return all(
        getattr(fits[0], name) == getattr(fits[1], name)
        for name in ("judgments", "strength", "log_loss", "heldout", "calibration")
    )


def test_a_bundled_task() -> None:
    words = ["train", "pendulum", "--judgments", "one-look", "--seed", "3", "--symmetries", *FEW]
    run = begun(words, "run")
    shown = printed(run)
    assert shown.command == (
        "volition train pendulum --judgments one-look --steps 800 --seed 3 --symmetries"
    )
    assert shown.from_answers == ()
    assert same_policy(run, made(shown.command, "again"))


def test_one_of_several_goals_with_keyword_arguments() -> None:
    run = begun(
        ["train", "lamp", "--goal", "proud", "--kwargs", "max_episode_steps=60", *FEW], "run"
    )
    shown = printed(run)
    assert shown.command.startswith(
        "volition train lamp --goal proud --kwargs max_episode_steps=60 --judgments "
    )
    assert same_policy(run, made(shown.command, "again"))


def test_an_own_task_folder_and_its_questions(task_folder: Callable[..., Path]) -> None:
    folder = task_folder(STATES)
    assert cli.main(["ask", str(folder), "--out", "questions", "--pairs", "20"]) == 0
    Path("answers.csv").write_text("pair,choice\n" + "".join(f"{n},A\n" for n in range(1, 21)))
    answer = ["answer", "questions", "answers.csv", "--judge", "somebody"]
    assert cli.main(answer) == 0
    run = begun(["train", str(folder), "--judgments", "questions", *FEW], "run")
    shown = printed(run)
    assert shown.command.startswith(f"volition train {folder} --judgments questions --steps 800")
    assert same_policy(run, made(shown.command, "again"))


def test_an_environment_and_a_goal_in_words(task_folder: Callable[..., Path]) -> None:
    folder = task_folder(STATES)
    words = ["train", "--env", "Pendulum-v1", "--goal", "it's upright", "--kwargs", "g=9.5"]
    run = begun([*words, "--judgments", str(folder), *FEW], "run")
    shown = printed(run)
    assert "--env Pendulum-v1 --goal 'it'\"'\"'s upright' --kwargs g=9.5" in shown.command
    assert run.folder.task.environment.kwargs == {"g": 9.5}
    assert same_policy(run, made(shown.command, "again"))


def test_a_simulated_judge_and_its_answers() -> None:
    words = ["train", "pendulum", "--judge", "simulated:strong?soft=1", "--max-judgments", "24"]
    words += ["--first", "12", "--querying", "disagreement", "--per-request", "2", "--explain"]
    run = begun([*words, *FEW], "run")
    shown = printed(run)
    assert shown.command == (
        "volition train pendulum --judge 'simulated:strong?soft=1' --max-judgments 24 "
        "--per-request 2 --explain --first 12 --querying disagreement --steps 800 --seed 0"
    )
    assert same_policy(run, made(shown.command, "again"))
    assert "not as they came" in shown.promise
    learned, twice = made(shown.from_answers, "learned"), made(shown.from_answers[1], "twice")
    assert same_reward(run, learned)
    assert same_policy(learned, twice)
    assert learned.result.simulated, "who judged is no less simulated for having been recorded"
    assert learned.result.judge == "recorded:simulated:strong"
    assert verify(learned.folder) == []


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(strict=False) as running:
        yield running


def test_a_live_judge_and_its_answers(server: Server) -> None:
    words = ["train", "pendulum", "--judge", "openai:test", "--base-url", server.openai]
    words += ["--max-judgments", "12", "--max-usd", "0.5", "--concurrency", "4"]
    words += ["--price-in", "0.1", "--price-out", "0.4"]
    run = begun([*words, *FEW], "run")
    shown = printed(run)
    assert shown.command == (
        "volition train pendulum --judge openai:test --max-judgments 12 --max-usd 0.5 "
        f"--base-url {server.openai} --price-in 0.1 --price-out 0.4 --concurrency 4 "
        "--steps 800 --seed 0"
    )
    assert "asks openai:test again: that is paid for again" in shown.notes[0]
    paid = made(shown.command, "paid")
    assert paid.folder.settings.live == run.folder.settings.live
    before = server.requests.total()
    learned = made(shown.from_answers, "learned")
    assert server.requests.total() == before, "nobody is asked"
    assert "all was asked before learning began" in shown.promise
    assert same_reward(run, learned)
    assert same_policy(run, learned)
    assert learned.result.judge == "recorded:openai:test"
    page = render_page(read_evidence(run), record_chosen(run), b"")
    for words_shown in ("--judge openai:test", *shown.from_answers, "paid for again"):
        assert words_shown in page


def test_an_object_of_pythons_and_its_answers() -> None:
    judge = make_judge(JudgeSettings("simulated:exact"), assignment_of(Task.find("pendulum")))
    run = train("pendulum", judge=judge, out="run", steps=800)
    shown = printed(run)
    assert shown.command == ""
    assert "an object of Python's, simulated:exact" in shown.notes[0]
    assert same_reward(run, made(shown.from_answers, "learned"))


def test_a_task_of_pythons_is_not_said_to_be_another(task_folder: Callable[..., Path]) -> None:
    folder = task_folder(STATES)
    task = Task.find(str(folder))
    changed = task.model_copy(update={"training": task.training.model_copy(update={"gamma": 0.5})})
    goal = Goal("upright", principles=["high"])
    runs = [
        Run.create(changed, out="changed"),
        train("Pendulum-v1", goal, judgments=folder, out="stated", steps=800),
    ]
    for run in runs:
        shown = printed(run)
        assert (shown.command, shown.from_answers) == ("", ())
        assert "made in Python" in shown.notes[0]


def test_answers_that_came_later_are_named(task_folder: Callable[..., Path]) -> None:
    run = begun(["train", str(task_folder(STATES)), *FEW], "run")
    assert cli.main(["ask", "run", "--out", "more", "--pairs", "5"]) == 0
    Path("more.csv").write_text("pair,choice\n" + "".join(f"{n},B\n" for n in range(1, 6)))
    assert cli.main(["answer", "more", "more.csv", "--judge", "somebody"]) == 0
    assert printed(run).notes == ("Answers of somebody were added later, and are not in it.",)


def test_a_password_is_not_printed(run: Run) -> None:
    live = JudgeSettings("openai:x", base_url="https://me:secret@host/v1?key=hidden", wire="votes")
    settings = replace(run.folder.settings, live=live, judgments="")
    shown = again(replace(run.folder, settings=settings))
    assert "--base-url https://host/v1 " in shown.command
    assert "secret" not in str(shown)
    assert "hidden" not in str(shown)
    assert any("has been left out of the address" in note for note in shown.notes)
    assert any("The wire votes was chosen in Python" in note for note in shown.notes)


def test_what_was_taken_over_is_named(run: Run) -> None:
    given = Given(task="pendulum", reuse="runs/before")
    live = JudgeSettings("openai:x")
    settings = replace(run.folder.settings, given=given, live=live, judgments="")
    shown = again(replace(run.folder, settings=settings))
    assert " --judge openai:x --reuse runs/before --steps " in shown.command


def test_a_run_of_before_says_what_it_can(run: Run) -> None:
    folder = run.folder
    older = replace(folder, settings=replace(folder.settings, given=None))
    assert again(older).command.startswith("volition train pendulum --judgments one-look")
    proud = replace(older, task=Task.find("lamp", "proud"))
    assert again(proud).command.startswith("volition train lamp --goal proud --judgments")
