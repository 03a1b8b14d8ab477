"""Whole runs: the honest wall, being killed and going on, and every kind of bad input."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.envs.classic_control import PendulumEnv

from conftest import SHORT, angles, judged
from volition import cli
from volition.goal import Goal
from volition.learners.policies import load_policy
from volition.run.run import Run, train
from volition.storage.database import DATABASE
from volition.storage.tensors import read_description
from volition.tasks.task import BUNDLED

Make = Callable[..., Path]
RESULT_KEYS = {
    *("run", "task", "judge", "judgments", "cost_usd", "return_mean", "return_std", "episodes"),
    *("heldout_accuracy", "env_steps", "updates_per_s", "wall_s", "seed"),
}


def files_that_learning_wrote(run: Run) -> list[bytes]:
    folder = run.folder.path
    paths = ["reward_model/model.safetensors", "policy/policy.safetensors"]
    return [(folder / path).read_bytes() for path in paths]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "volition.cli", *map(str, arguments)]


def volition(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False)


def test_the_environments_reward_reaches_evaluation_only(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest_step: Callable[..., Any] = PendulumEnv.step

    def step(env: PendulumEnv, action: Any) -> Any:
        observation, _, terminated, truncated, info = honest_step(env, action)
        return observation, float("nan"), terminated, truncated, info

    monkeypatch.setattr(PendulumEnv, "step", step)
    blind = train("pendulum", out=tmp_path / "blind", steps=SHORT)
    assert np.isnan(blind.result.return_mean)
    assert files_that_learning_wrote(blind) == files_that_learning_wrote(run)


def test_another_seed_gives_another_run(run: Run, tmp_path: Path) -> None:
    other = train("pendulum", out=tmp_path / "other", steps=SHORT, seed=1)
    assert all(
        ours != theirs
        for ours, theirs in zip(
            files_that_learning_wrote(run), files_that_learning_wrote(other), strict=True
        )
    )


def test_killed_at_any_moment_it_goes_on_to_the_same_result(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    kills = 0
    for delay in (2.0, 4.0, 6.0):
        verb = (
            ("resume", out)
            if out.exists()
            else ("train", "pendulum", "--out", out, "--steps", str(SHORT))
        )
        with subprocess.Popen(command(*verb), stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + delay
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            kills += process.poll() is None
            process.kill()
    assert kills
    if not out.exists():
        volition("train", "pendulum", "--out", out, "--steps", str(SHORT))
    done = volition("resume", out, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["judgments"] == 60
    assert files_that_learning_wrote(Run.open(out)) == files_that_learning_wrote(run)
    assert volition("verify", out).returncode == 0


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "stopped"
    arguments = command("train", "pendulum", "--out", out, "--steps", "400000")
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (out / "checkpoint.safetensors").is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"volition resume {out}" in told
    assert "Traceback" not in told
    history = read_description(out / "checkpoint.safetensors")["history"]
    assert history[-1]["env_steps"] > 0


def test_the_json_line_has_what_a_script_needs(tmp_path: Path, task_folder: Make) -> None:
    lines = [judged(a, b, "first" if abs(a) < abs(b) else "second") for a, b in angles(20)]
    done = volition("train", task_folder(lines), "--out", tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert set(result) >= RESULT_KEYS
    assert (result["judgments"], result["cost_usd"], result["seed"]) == (20, 0, 0)
    assert (tmp_path / "run" / "report.html").stat().st_size > 1_000_000


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The message of a command that must fail."""
    code = cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert code == 1
    assert printed.out == ""
    assert "error: " in printed.err
    assert "Traceback" not in printed.err
    return printed.err


GOOD = [judged(0.1, 2.0, "first"), judged(1.5, -0.4, "second"), judged(3.0, 1.0, "second")]


def test_a_malformed_task_leaves_nothing_behind(
    tmp_path: Path, task_folder: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = task_folder(GOOD, toml='name = "x"\n'), tmp_path / "run"
    assert "environment: Field required" in error_of(capsys, "train", folder, "--out", out)
    assert not list(tmp_path.glob("*run*"))


def test_a_wrong_judgment_leaves_nothing_behind(
    tmp_path: Path, task_folder: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = task_folder([*GOOD, {**GOOD[0], "winner": 1}]), tmp_path / "run"
    assert "judgments.jsonl:4: there is no key winner" in error_of(
        capsys, "train", folder, "--out", out
    )
    assert not [path for path in tmp_path.iterdir() if "run" in path.name]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "holds no judgments"),
        ([judged(a, b, "tie") for a, b in angles(6)], "all ties, or contradict each other"),
        ([judged(0.1, 2, "first"), judged(0.1, 2, "second")], "contradict each other completely"),
    ],
)
def test_judgments_that_say_nothing(
    tmp_path: Path,
    task_folder: Make,
    capsys: pytest.CaptureFixture[str],
    lines: list[dict[str, Any]],
    told: str,
) -> None:
    out = tmp_path / "run"
    assert told in error_of(capsys, "train", task_folder(lines), "--out", out)
    assert not out.exists()


def test_judgments_no_better_than_chance_are_warned_of(
    tmp_path: Path, task_folder: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [judged(a, b, ("first", "second")[n % 2]) for n, (a, b) in enumerate(angles(24))]
    assert cli.main(["train", str(task_folder(lines)), "--out", str(tmp_path / "run")]) == 0
    assert "warning: the reward model decides" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ("Pendulums-v1", "gymnasium cannot make 'Pendulums-v1'"),
        ("Blackjack-v1", "Blackjack-v1 cannot be set to a state"),
    ],
)
def test_an_environment_that_will_not_do(
    task_folder: Make, capsys: pytest.CaptureFixture[str], environment: str, told: str
) -> None:
    folder = task_folder(GOOD)
    toml = (folder / "task.toml").read_text().replace("Pendulum-v1", environment)
    (folder / "task.toml").write_text(toml)
    assert told in error_of(capsys, "train", folder, "--out", folder / "run")


def test_a_goal_on_the_fly_needs_judgments(
    tmp_path: Path, task_folder: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("train", "--env", "Pendulum-v1", "--goal", "upright")
    assert "or give judgments with --judgments" in error_of(capsys, *asked)
    assert "--env needs --goal TEXT" in error_of(capsys, *asked[:3])
    given = task_folder(GOOD)
    out = tmp_path / "run"
    code = cli.main([*asked, "--judgments", str(given), "--steps", "400", "--out", str(out)])
    assert code == 0
    assert Run.open(out).folder.task.goal.text == "upright"


def test_a_goal_with_pictures_from_python(tmp_path: Path, task_folder: Make) -> None:
    picture = BUNDLED / "pendulum" / "goal.png"
    goal = Goal("upright", images=[picture], counterexamples=[picture])
    made = train("Pendulum-v1", goal, judgments=task_folder(GOOD), steps=400, out=tmp_path / "run")
    copied = made.folder.task.stated_goal()
    assert copied.images == copied.counterexamples
    assert copied.images[0].read_bytes() == picture.read_bytes()
    assert copied.images[0].is_relative_to(made.folder.path)


def test_an_existing_run_is_not_overwritten(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    told = error_of(capsys, "train", "pendulum", "--out", run.folder.path)
    assert "is there already" in told
    assert "volition resume" in told


def test_a_disk_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    told = error_of(capsys, "train", "pendulum", "--out", "/proc/run")
    assert "/proc/run cannot be written" in told


def test_a_run_with_a_truncated_database(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run.folder.path, copy)
    os.truncate(copy / DATABASE, 5000)
    for verb in ("export", "report"):
        assert DATABASE in error_of(capsys, verb, copy)
    (copy / "result.json").unlink()
    assert DATABASE in error_of(capsys, "resume", copy)
    assert cli.main(["verify", str(copy)]) == 1
    assert DATABASE in capsys.readouterr().err


def test_a_folder_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("resume", "export", "report", "verify", "play"):
        assert "not a run folder" in error_of(capsys, verb, tmp_path)
    wrong = error_of(capsys, "score", tmp_path, "--judgments", tmp_path)
    assert "not a run folder" in wrong


def test_the_best_policy_is_kept_and_a_run_that_learned_little_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With this seed the second of three sessions is the best, and none is good."""
    out = tmp_path / "run"
    words = ["train", "pendulum", "--seed", "36", "--steps", "2400", "--out", str(out)]
    assert cli.main(words) == 0
    warnings = capsys.readouterr().err
    run = Run.open(out)
    rewards = [session.trial_reward or 0.0 for session in run.history]
    best = int(np.argmax(rewards))
    assert 0 < best < len(rewards) - 1
    assert run.result.kept_steps == run.history[best].env_steps < run.result.env_steps
    kept, policy = (load_policy(out / name) for name in ("kept", "policy"))
    seen = np.random.default_rng(0).uniform(-1, 1, (8, 3)).astype(np.float32)
    np.testing.assert_array_equal(kept(seen), policy(seen))
    assert "it has hardly learned the goal" in warnings
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "it has hardly learned the goal" in page
    assert f"that after {run.result.kept_steps:,} steps" in page
