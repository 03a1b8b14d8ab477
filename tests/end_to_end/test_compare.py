"""Two policies before a judge: blind, counted right, resumable, and offline as well."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from volition import cli, compare
from volition.comparison import Segment
from volition.errors import InputError, RunError
from volition.evidence.comparing.contest import Contest
from volition.evidence.comparing.result import Tally
from volition.judges.settings import JudgeSettings
from volition.run.run import Run
from volition.storage.store import Store
from volition.tasks.truth import truth_of

PAIRS = 5
EXACT = JudgeSettings("simulated:exact", PAIRS)


@pytest.fixture(scope="module")
def acted(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison with the random policy that nobody has judged yet."""
    out = tmp_path_factory.mktemp("compare") / "kept"
    return Contest(str(run.folder.path), "random", out=out, pairs=PAIRS).folder


def contest(run: Run, acted: Path, tmp_path: Path) -> Contest:
    """That comparison, copied."""
    out = tmp_path / "kept"
    shutil.copytree(acted, out)
    return Contest(str(run.folder.path), "random", out=out)


def segments(made: Contest) -> list[tuple[Segment, Segment]]:
    """What is judged of A and of B, pair by pair."""
    with Store.open(made.folder) as store:
        comparisons = store.comparisons()
    pairs = []
    for row in made.rows:
        assert row.comparison is not None
        both = comparisons[row.comparison]
        swap = row.a != both.first.id
        pairs.append((both.second, both.first) if swap else (both.first, both.second))
    return pairs


def test_a_judge_that_is_right_counts_what_is_true(run: Run, acted: Path, tmp_path: Path) -> None:
    made = contest(run, acted, tmp_path)
    made.put_to(EXACT)
    result = made.conclude()
    potential = truth_of("pendulum").potential
    better = [potential(a.observations) > potential(b.observations) for a, b in segments(made)]
    assert result.wins == sum(better)
    assert result.losses == PAIRS - sum(better)
    assert result.ties == result.unjudged == 0
    assert result.simulated
    assert not result.same_judge
    assert "which is simulated" in result.summary
    assert "not answered" not in result.summary
    for a, b in segments(made):
        assert len(a.observations) == len(b.observations) == 200, "whole episodes"
        assert len(a.frames) == 6
        np.testing.assert_allclose(a.observations[0, :2], b.observations[0, :2], atol=0.1)
    with Store.open(made.folder) as store:
        once = store.judgments()
    assert len({judgment.order for judgment in once}) == 2, "the sides are dealt"
    again = Contest(str(run.folder.path), "random", out=made.folder)
    again.put_to(EXACT)
    assert again.conclude() == result
    with Store.open(made.folder) as store:
        assert len(store.judgments()) == len(once), "no answer is paid for twice"


def test_it_is_one_call(run: Run, acted: Path, tmp_path: Path) -> None:
    made = contest(run, acted, tmp_path)
    result = compare(run.folder.path, "random", EXACT, out=made.folder)
    assert result == made.conclude()
    assert result.wins + result.losses + result.ties == PAIRS


def test_pairs_that_were_not_answered_are_counted(run: Run, acted: Path, tmp_path: Path) -> None:
    made = contest(run, acted, tmp_path)
    made.put_to(replace(EXACT, max_judgments=PAIRS - 2))
    result = made.conclude()
    assert result.unjudged == 2
    assert result.wins + result.losses + result.ties == PAIRS - 2
    assert f"{result.ties} ties, 2 of {PAIRS} pairs not answered; win-rate" in result.summary


def test_the_page_holds_every_pair_on_film(run: Run, acted: Path, tmp_path: Path) -> None:
    made = contest(run, acted, tmp_path)
    made.put_to(EXACT)
    made.conclude()
    page = made.page.read_text(encoding="utf-8")
    assert page.count("<video") == page.count("data:video/mp4;base64,") == PAIRS
    assert page.count("simulated judge") > PAIRS
    assert not re.search(r"""(src|href)=["']?https?:""", page)
    assert "the random policy" in page
    film = (made.folder / "films" / "30000.mp4").read_bytes()
    assert film[4:8] == b"ftyp"
    assert b"avc1" in film


def test_it_can_be_judged_without_a_connection(
    run: Run, acted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = contest(run, acted, tmp_path)
    sheets = tmp_path / "sheets"
    both = str(run.folder.path), "random"
    assert cli.main(["compare", *both, "--out", str(made.folder), "--ask", str(sheets)]) == 0
    told = (sheets / "README.md").read_text()
    assert "random" not in told
    assert run.folder.path.name not in told.split()
    assert cli.main(["compare", *both, "--out", str(made.folder), "--judgments", str(sheets)]) == 1
    assert "has no answers yet" in capsys.readouterr().err
    (sheets / "mine.csv").write_text(
        "pair,choice\n" + "".join(f"{n + 1},A\n" for n in range(4)) + "5,tie\n"
    )
    assert cli.main(["answer", str(sheets), str(sheets / "mine.csv"), "--judge", "somebody"]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("count them: volition compare ")
    assert cli.main([*said.removeprefix("count them: volition ").split(), "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = [json.loads(line) for line in (sheets / "pairs.jsonl").read_text().splitlines()]
    a_frames = {a.frames[1].id for a, _ in segments(made)}
    of_a = [Path(row["first"]["frames"][1]).stem in a_frames for row in rows][:4]
    assert (result["wins"], result["losses"], result["ties"]) == (sum(of_a), 4 - sum(of_a), 1)
    assert result["judge"] == "recorded:somebody"
    assert not result["simulated"]
    assert cli.main([*said.removeprefix("count them: volition ").split()]) == 0, "twice is once"
    with Store.open(made.folder) as store:
        assert len(store.judgments()) == PAIRS


def test_the_judge_that_trained_one_is_refused(run: Run, acted: Path, tmp_path: Path) -> None:
    made = contest(run, acted, tmp_path)
    made.ask(sheets := tmp_path / "sheets")
    (sheets / "answers.csv").write_text("pair,choice\n" + "".join(f"{n + 1},B\n" for n in range(5)))
    cli.main(["answer", str(sheets), str(sheets / "answers.csv"), "--judge", "one-look"])
    with pytest.raises(InputError, match="was trained on recorded:one-look"):
        made.take_in(sheets)
    with Store.open(made.folder) as store:
        assert store.judgments() == []
    made.take_in(sheets, same_judge=True)
    result = made.conclude()
    assert result.same_judge
    assert "on which one of the two was trained" in result.summary
    assert "The same judge." in made.page.read_text()


def test_answers_to_other_pairs_are_refused(run: Run, acted: Path, tmp_path: Path) -> None:
    made = contest(run, acted, tmp_path)
    other = Contest(str(run.folder.path), "random", out=tmp_path / "more", pairs=2, seed=1)
    other.ask(sheets := tmp_path / "sheets")
    (sheets / "answers.csv").write_text("pair,choice\n1,A\n2,A\n")
    cli.main(["answer", str(sheets), str(sheets / "answers.csv"), "--judge", "x"])
    with pytest.raises(InputError, match="is about other pairs"):
        made.take_in(sheets)


def test_a_policy_against_itself_is_a_tie_that_nobody_is_asked_about(
    run: Run, tmp_path: Path
) -> None:
    baseline = tmp_path / "baseline"  # as a benchmark leaves one: no judgments, no reward model
    baseline.mkdir()
    shutil.copytree(run.folder.policy, baseline / "policy")
    shutil.copytree(run.folder.path / "task", baseline / "task")
    shutil.copyfile(run.folder.path / "config.toml", baseline / "config.toml")
    made = Contest(str(run.folder.path), str(baseline), out=tmp_path / "kept", pairs=2)
    result = made.conclude()
    assert (result.ties, result.win_rate, result.p_value) == (2, None, 1.0)
    with pytest.raises(InputError, match="exactly the same"):
        made.ask(tmp_path / "sheets")


def test_what_cannot_be_compared_is_explained(run: Run, acted: Path, tmp_path: Path) -> None:
    path = str(run.folder.path)
    with pytest.raises(InputError, match="the random policy against itself"):
        Contest("random", "random", out=tmp_path / "x")
    with pytest.raises(RunError, match="is not a run folder"):
        Contest(path, str(tmp_path), out=tmp_path / "x")
    made = contest(run, acted, tmp_path)
    with pytest.raises(InputError, match="is about other runs, another goal, or other pairs"):
        Contest(path, "random", out=made.folder, pairs=PAIRS + 1)
    with pytest.raises(InputError, match="is about other runs"):
        Contest(path, "random", "it hangs down", out=made.folder)
    with pytest.raises(InputError, match="nobody has judged"):
        made.conclude()
    words = Contest(path, "random", "It hangs straight down.", out=tmp_path / "words", pairs=2)
    with pytest.raises(InputError, match="a simulated judge answers from what is true"):
        words.put_to(EXACT)


@pytest.mark.parametrize("arguments", [[], ["--judge", "simulated:exact", "--ask", "x"]])
def test_one_way_of_judging_is_named(
    run: Run, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["compare", str(run.folder.path), "random", *arguments]) == 1
    assert "say who judges" in capsys.readouterr().err


def test_a_tally() -> None:
    assert Tally(9, 1, 3).rate.share == 0.9
    assert Tally(9, 1, 3).p_value == pytest.approx(22 / 1024)  # R: binom.test(9, 10)
    assert Tally(1, 9, 0).p_value == pytest.approx(22 / 1024)
    assert Tally(5, 5, 0).p_value == 1.0
    assert Tally(0, 0, 4).p_value == 1.0
    assert Tally(9, 1, 0).rate.interval == pytest.approx((0.5958, 0.9821), abs=1e-4)
