"""A goal in stages, from the first judgment to the page: interrupted, resumed, judged by hand."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from volition.errors import InputError, Interrupted
from volition.evidence.playing import film_episodes
from volition.evidence.report import write_report
from volition.evidence.scoring import score_run
from volition.evidence.verification import verify
from volition.judges.settings import JudgeSettings
from volition.judging.folders import PAIRS_FILE, read_questions
from volition.learners.policies import POLICY_FILE
from volition.run.correcting.proposing import propose
from volition.run.results import Progress
from volition.run.rounds import answer, ask
from volition.run.run import Run, train
from volition.tasks.truth import truth_of

JUDGE = JudgeSettings("simulated:exact", max_judgments=132, first=132)  # all of them beforehand
STEPS = 1600  # two sessions


def interrupts(progress: Progress) -> None:
    """Ctrl-C while the first session is under way."""
    if progress.stage == "policy" and 0 < progress.env_steps < 800:
        signal.raise_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One that was interrupted, and went on."""
    out = tmp_path_factory.mktemp("stages") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("volition.run.run.LEAST_SECONDS", 0.0)  # for what little was learned
        with pytest.raises(Interrupted):
            train("welcome", judge=JUDGE, steps=STEPS, out=out, listener=interrupts)
        assert not (out / "result.json").exists()
        going_on = Run.open(out)
        going_on.advance()
    return going_on


@pytest.mark.slow
def test_a_run_in_stages_says_what_became_of_each(run: Run) -> None:
    result = run.result
    assert result.judgments == 132
    assert result.simulated
    assert result.stages[0].done == "The door is wide open."
    assert (
        sum(stage.judgments + stage.done_judgments for stage in result.stages) == result.judgments
    )
    assert result.stages_done is not None
    assert 0 <= result.stages_done <= 4
    assert set(result.measures) == set(truth_of("welcome-in-turn").measures)
    assert run.policy.form.observation_shape == (10,)
    assert run.staging is not None
    assert verify(run.folder) == []
    assert any(key == "training.gamma" for key in run.folder.settings.found)


@pytest.mark.slow
def test_it_learns_the_same_where_it_was_not_interrupted(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("volition.run.run.LEAST_SECONDS", 0.0)
    other = train("welcome", judge=JUDGE, steps=STEPS, out=tmp_path / "run")
    policies = [(each.folder.policy / POLICY_FILE).read_bytes() for each in (run, other)]
    assert policies[0] == policies[1]


@pytest.mark.slow
def test_each_stage_is_asked_about_while_learning_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("volition.run.run.LEAST_SECONDS", 0.0)
    judge = JudgeSettings("simulated:exact", max_judgments=112, first=96)
    asking = train("welcome", judge=judge, steps=800, out=tmp_path / "run")
    with asking.folder.open_store() as store:
        later = Counter(judgment.principle for judgment in store.judgments()[96:])
    asked = {one.text for one in asking.folder.put_under() if one is not None}
    assert len(later) > 4
    assert set(later) <= asked
    assert 8 <= sum(later.values()) <= 16


@pytest.mark.slow
def test_its_page_and_its_film_show_the_stages(run: Run, tmp_path: Path) -> None:
    page = write_report(run).read_text(encoding="utf-8")
    assert "The stages, one after the other" in page
    assert "done when: The host is bowing deeply at the door." in page
    film = film_episodes(run, 1, 7, tmp_path / "film.mp4", {})
    assert film.stat().st_size > 1000
    with pytest.raises(InputError, match="a goal in stages cannot be corrected yet"):
        propose(run.folder.task.stated_goal(), "Bow twice.")


@pytest.mark.slow
def test_whether_one_picture_shows_the_goal_is_not_asked_of_stages(tmp_path: Path) -> None:
    """The states of each stage are judged; no picture shows what is done in turn."""
    asked = ask("welcome", tmp_path / "asked", pairs=8)
    assert not asked.asks_first
    assert not read_questions(asked.folder)[0].asks_first
    assert (asked.folder / "answers.csv").read_text().splitlines()[1] == "1,"


def test_sheets_of_a_run_are_judged_by_stages_and_learned_from(run: Run, tmp_path: Path) -> None:
    truth = truth_of("welcome-in-turn")

    def potential(row: dict[str, Any], side: str) -> float:
        state = row[side]
        seen = [(state["x"] - 5.0) / 2.65, 0.0, state["door"], state["lamp"], state["bow"]]
        return truth.under(row["principle"])(np.array([seen], np.float32))

    folder = tmp_path / "sheets"
    ask(str(run.folder.path), folder, pairs=16, seed=3)
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert "say whether this stage is done in A" in readme
    assert "\n> The lamp is lit.\n" in readme
    lines, asked = (folder / PAIRS_FILE).read_text(encoding="utf-8").splitlines(), []
    for row in map(json.loads, lines):
        asked.append(row["principle"])
        first = potential(row, "first")
        second = 0.5 if row["principle"].startswith("done:") else potential(row, "second")
        with (folder / "mine.jsonl").open("a", encoding="utf-8") as file:
            choice = "A" if first > second else "B"
            file.write(json.dumps({"pair": row["pair"], "choice": choice}) + "\n")
    assert len(set(asked)) == 8
    before = score_run(run, judgments_of(folder, run))
    assert before.comparisons + before.ties == sum(not text.startswith("done:") for text in asked)
    assert {stage.stage for stage in before.stages} == {
        stage.text for stage in run.folder.task.stated_goal().stages
    }


def judgments_of(folder: Path, run: Run) -> Path:
    """What is answered there, which the run that asked is not told: it is copied beforehand."""
    about = folder / "asked.json"
    document = json.loads(about.read_text(encoding="utf-8"))
    about.write_text(json.dumps({**document, "run": None}), encoding="utf-8")
    return answer(folder, folder / "mine.jsonl", "somebody").questions.folder
