"""The report says what the run folder says, and nothing that it is given becomes markup."""

from __future__ import annotations

import base64
import io
import json
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import av
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from volition.comparison import Pixels, encode_png
from volition.errors import RunError
from volition.evidence.film import (
    Episode,
    choose_episodes,
    encode_animation,
    encode_mp4,
    record_chosen,
    runs,
    side_by_side,
    write_mp4,
)
from volition.evidence.report import figures, write_report
from volition.evidence.report.again import again
from volition.evidence.report.landscapes import CIRCLES, Landscape, landscape, spearman
from volition.evidence.report.page import draw_figures, number, render_page
from volition.evidence.report.pairs import (
    consistency,
    measures,
    read_pairs,
    sample,
    shown_counts,
    win_shares,
)
from volition.evidence.report.reading import (
    Evidence,
    embedded,
    member_values,
    read_evidence,
)
from volition.goal import Goal
from volition.judgment import Failure
from volition.reward.fit import preferred_logits
from volition.reward.preferences import PreferenceData
from volition.run.creating import task_for
from volition.run.run import Run

HOSTILE = "</script><script>alert('goal')</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def evidence(run: Run) -> Evidence:
    return read_evidence(run)


@pytest.fixture(scope="module")
def episodes(run: Run, evidence: Evidence) -> list[Episode]:
    return record_chosen(run)


@pytest.fixture(scope="module")
def around(evidence: Evidence) -> Landscape:
    found = landscape(evidence.model, evidence.folder.task)
    assert found is not None
    return found


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.captions: list[str] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "figcaption":
            self.captions.append("")

    def handle_endtag(self, tag: str) -> None:
        while tag in self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "script" not in self._open and "style" not in self._open:
            self.text += data
        if "figcaption" in self._open:
            self.captions[-1] += data

    def of(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [
            found
            for name, found in self.tags
            if name == tag and attributes.items() <= found.items()
        ]


# The page -----------------------------------------------------------------------------------


def test_report_and_film_are_written_whole(run: Run, tmp_path: Path) -> None:
    folder = replace(run.folder, path=tmp_path / "run")
    shutil.copytree(run.folder.path, folder.path)
    page = write_report(Run(folder))
    assert page == folder.report
    assert not list(folder.path.glob(".*partial"))
    assert len(decode(folder.film.read_bytes())) == 201


def test_headline_is_the_result(evidence: Evidence, episodes: list[Episode]) -> None:
    page = Page(render_page(evidence, episodes, b""))
    result = evidence.result
    assert f"{number(result.return_mean)} ± {number(result.return_std)}" in page.text
    assert result.heldout_accuracy is not None
    assert f"{number(result.heldout_accuracy * 100, 1)}%" in page.text
    low, high = evidence.fit.heldout.interval
    assert f"{number(low * 100, 1)}–{number(high * 100, 1)}%" in page.text
    assert "evaluation only" in page.text
    assert evidence.folder.task.goal.text in page.text
    assert again(evidence.folder).command in page.text
    assert len(page.of("article")) == len(evidence.comparisons)


def test_nothing_is_asked_of_the_network(evidence: Evidence, episodes: list[Episode]) -> None:
    page = Page(render_page(evidence, episodes, b""))
    sources = [attributes.get(key) for _, attributes in page.tags for key in ("src", "href")]
    assert all(source.startswith(("data:", "#")) for source in sources if source)
    (policy,) = page.of("meta", **{"http-equiv": "Content-Security-Policy"})
    assert str(policy["content"]).startswith("default-src 'none'")
    assert "unsafe-inline" not in str(policy["content"]).partition("script-src")[2]


def test_every_picture_has_words(evidence: Evidence, episodes: list[Episode]) -> None:
    page = Page(render_page(evidence, episodes, b""))
    assert all(picture.get("alt") for picture in page.of("img"))
    assert all(chart.get("aria-label") for chart in page.of("div", **{"class": "chart"}))


def test_every_frame_is_in_the_page_once(evidence: Evidence, episodes: list[Episode]) -> None:
    text = render_page(evidence, episodes, b"")
    for segment in evidence.segments.values():
        assert text.count(embedded(segment.frames[0].pixels)) == 1


def test_of_many_pairs_a_page_shows_some_of_every_kind(
    evidence: Evidence, episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, drawn = read_pairs(evidence), list[int]()
    assert sample(pairs) == pairs
    monkeypatch.setattr("volition.evidence.report.pairs.PAIRS", 12)
    monkeypatch.setattr("volition.evidence.report.pairs.OF_A_KIND", 2)
    monkeypatch.setattr("volition.evidence.report.pairs.DOTS", 20)
    monkeypatch.setattr("volition.evidence.report.page.DOTS", 20)

    def looked_at(pixels: Pixels) -> str:
        drawn.append(len(pixels))
        return embedded(pixels)

    monkeypatch.setattr("volition.evidence.report.page.embedded", looked_at)
    shown = sample(pairs)
    assert len(shown) == 12
    assert [pairs.index(pair) for pair in shown] == sorted(pairs.index(pair) for pair in shown)
    unsure = sum("unsure" in pair.kinds for pair in pairs)
    assert 0 < min(unsure, 2) <= sum("unsure" in pair.kinds for pair in shown)
    text = render_page(evidence, episodes, b"")
    page = Page(text)
    assert len(page.of("article")) == 12
    assert "A judge compared 60 pairs" in text
    assert f"Here are 12 of {len(pairs)} pairs" in text
    assert f"volition export {evidence.result.run}" in text
    assert f"20 of the {len(evidence.segments)} judged states" in text
    assert len(drawn) < 12 * 2 + 10
    around = landscape(evidence.model, evidence.folder.task)
    assert around is not None
    assert len(trace(figures.landscape_figure(around, evidence), "judged states")["x"]) == 20


def test_a_shaded_frame_is_smaller_in_the_page_and_looks_the_same() -> None:
    across, down = np.meshgrid(np.arange(160), np.arange(112))
    noise = np.random.default_rng(0).integers(0, 3, (112, 160))
    shades = [across + noise, down + noise, (across + down) // 2 + noise]
    pixels = np.stack(shades, -1).astype(np.uint8)
    flat = np.full((72, 72, 3), 255, np.uint8)
    assert base64.b64decode(embedded(flat)) == encode_png(flat)
    shown = base64.b64decode(embedded(pixels))
    assert len(shown) < len(encode_png(pixels)) / 4
    decoded = np.asarray(Image.open(io.BytesIO(shown)).convert("RGB")).astype(int)
    assert np.abs(decoded - pixels).mean() < 4


def test_nothing_given_becomes_markup(evidence: Evidence, episodes: list[Episode]) -> None:
    goal = evidence.folder.task.goal.model_copy(update={"text": HOSTILE, "principles": (HOSTILE,)})
    task = evidence.folder.task.model_copy(update={"goal": goal, "summary": HOSTILE})
    judgments = [replace(j, reply=replace(j.reply, raw=HOSTILE)) for j in evidence.judgments]
    judges = {name: replace(judge, name=HOSTILE) for name, judge in evidence.judges.items()}
    hostile = replace(
        evidence,
        folder=replace(evidence.folder, task=task),
        judgments=judgments,
        judges=judges,
        result=replace(evidence.result, judge=HOSTILE, warnings=(HOSTILE,)),
    )
    page = Page(render_page(hostile, episodes, b""))
    assert HOSTILE in page.text
    assert len(page.of("script")) == 4
    assert not [attributes for _, attributes in page.tags if "onerror" in attributes]


def test_a_simulated_judge_is_named_everywhere(evidence: Evidence, episodes: list[Episode]) -> None:
    honest = Page(render_page(evidence, episodes, b""))
    assert "simulated judge" not in honest.text
    judges = {name: replace(judge, simulated=True) for name, judge in evidence.judges.items()}
    page = Page(render_page(replace(evidence, judges=judges), episodes, b""))
    assert page.captions
    assert all("simulated judge" in caption for caption in page.captions)
    headline = page.text[: page.text.index(evidence.folder.task.summary)]
    assert headline.count("simulated judge") == 2  # in the title and above the headline
    assert page.text.count("simulated judge") > len(page.captions) + len(evidence.comparisons)


def test_an_environment_of_unknown_geometry_gets_the_general_figures(
    evidence: Evidence, episodes: list[Episode]
) -> None:
    task = evidence.folder.task
    section = task.environment.model_copy(update={"id": "Another-v0"})
    folder = replace(evidence.folder, task=task.model_copy(update={"environment": section}))
    other = replace(evidence, folder=folder)
    assert set(draw_figures(other, episodes, landscape(other.model, folder.task))) == {
        "entries",
        "learned-return",
        "true-return",
        "returns",
    }
    page = Page(render_page(other, episodes, b""))
    assert page.of("div", id="entries")
    assert not page.of("div", id="landscape")
    assert "upright" not in page.text.replace(task.goal.text, "")


def test_a_pendulum_with_another_goal_is_not_measured_by_upright(
    evidence: Evidence, episodes: list[Episode]
) -> None:
    bundled = evidence.folder.task
    reworded = bundled.goal.model_copy(update={"text": "hang still", "truth": None})
    for task in (
        task_for("Pendulum-v1", Goal("hang still")),
        bundled.model_copy(update={"goal": reworded}),  # as in a changed copy of the bundled task
    ):
        other = replace(evidence, folder=replace(evidence.folder, task=task))
        page = Page(render_page(other, episodes, b""))
        assert page.of("div", id="circle")
        assert "upright" not in page.text
        assert "height" not in page.text
        assert "truly" not in page.text
        assert "Ensemble spread" in page.text
        drawn = draw_figures(other, episodes, landscape(other.model, task))
        traces = [
            some.get("name") for name in ("circle", "landscape") for some in drawn[name]["data"]
        ]
        assert "true height" not in traces
        assert traces.count("learned reward") == 2
    known = Page(render_page(evidence, episodes, b""))
    assert "from upright" in known.text
    assert "true height" in known.text
    assert "truly higher" in known.text


def test_an_unfinished_run_has_no_report(run: Run, tmp_path: Path) -> None:
    unfinished = replace(run.folder, path=tmp_path)
    with pytest.raises(RunError, match="unfinished"):
        write_report(Run(unfinished))


def test_command_quotes_what_a_shell_would_split(run: Run) -> None:
    settings = replace(run.folder.settings, judgments="my judgments", symmetric=True)
    command = again(replace(run.folder, settings=settings)).command
    assert command.startswith("volition train pendulum --judgments 'my judgments' ")
    assert command.endswith(" --symmetries")


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(-132.99, 0, "−133"), (-0.001, 1, "0.0"), (12345.6, 1, "12,345.6")],
)
def test_numbers_for_a_person(value: float, digits: int, text: str) -> None:
    assert number(value, digits) == text


# The figures --------------------------------------------------------------------------------


def trace(figure: figures.Figure, name: str) -> dict[str, Any]:
    (found,) = [some for some in figure["data"] if some.get("name") == name]
    return dict(found)


def test_figures_are_json_without_nan(
    evidence: Evidence, episodes: list[Episode], around: Landscape
) -> None:
    blank = replace(
        evidence,
        history=[replace(session, learned_return=float("nan")) for session in evidence.history],
    )
    drawn = draw_figures(blank, episodes, around)
    assert json.loads(json.dumps(drawn, allow_nan=False)) == drawn
    assert set(drawn["learned-return"]["data"][0]["y"]) == {None}


def test_landscape_is_what_the_reward_model_says(evidence: Evidence, around: Landscape) -> None:
    angle = np.radians(around.degrees)
    observed = jnp.stack([jnp.cos(angle), jnp.sin(angle), jnp.zeros(len(angle))], -1)
    said = np.asarray(evidence.model.members(observed))
    drawn = trace(figures.landscape_figure(around, evidence), "learned reward")
    np.testing.assert_allclose(drawn["x"], around.degrees)
    np.testing.assert_allclose(drawn["y"], said.mean(0), atol=1e-3)
    cautious = np.asarray(evidence.model.cautious(observed))
    assert around.peak_degrees == around.degrees[cautious.argmax()]
    assert around.ignores_velocity
    judged = trace(figures.landscape_figure(around, evidence), "judged states")
    assert len(judged["x"]) == len(evidence.segments)


def test_circle_and_environment_agree(run: Run) -> None:
    circle = CIRCLES["Pendulum-v1"]
    angles, velocities = np.array([-3.0, 0.0, 1.5]), np.array([1.0, -2.0, 0.5])
    observed = circle.observe(angles, velocities)
    np.testing.assert_allclose(circle.angle(observed), angles, atol=1e-6)
    np.testing.assert_allclose(circle.velocity(observed), velocities)
    with run.folder.open_store() as store:
        for segment in store.segments().values():
            state = segment.state
            again = circle.observe(np.array([state["theta"]]), np.array([state["theta_dot"]]))
            np.testing.assert_allclose(again, segment.observations, atol=1e-6)


def test_spearman_shares_ranks_of_ties() -> None:
    assert spearman([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert spearman([1, 2, 3], [9, 4, 1]) == pytest.approx(-1)
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5.
    assert spearman([0, 5, 5, 9], [1, 2, 3, 4]) == pytest.approx(4.5 / np.sqrt(4.5 * 5))


def test_curves_are_the_history(evidence: Evidence, episodes: list[Episode]) -> None:
    drawn = draw_figures(evidence, episodes, None)
    for key, name in (("learned_return", "learned-return"), ("true_return", "true-return")):
        (line,) = drawn[name]["data"]
        assert line["x"] == [session.env_steps for session in evidence.history]
        np.testing.assert_allclose(
            line["y"], [session.scalars[key] for session in evidence.history], atol=1e-4
        )
    returns = trace(drawn["returns"], "evaluation episodes")["y"]
    np.testing.assert_allclose(returns, sorted(evidence.true_returns), atol=1e-4)


def test_a_way_through_the_plane_breaks_where_the_angle_wraps(
    around: Landscape, episodes: list[Episode]
) -> None:
    for episode in episodes:
        drawn = trace(figures.plane_figure(around, episodes), f"{episode.place} episode")
        x = [np.nan if value is None else value for value in drawn["x"]]
        assert np.nanmax(np.abs(np.diff(x))) <= 180
        assert len(x) - np.isnan(x).sum() == len(episode.observations)


# The judge's answers ------------------------------------------------------------------------


def test_pairs_are_as_they_were_shown(evidence: Evidence) -> None:
    letters = {"first": "A", "second": "B", "tie": "tie"}
    for pair, judgment in zip(read_pairs(evidence), evidence.judgments, strict=True):
        line = json.loads(judgment.reply.raw)
        assert pair.label == str(line["pair"])
        assert pair.a.state["theta"] == line["first"]["theta"]
        assert pair.chosen == letters[line["verdict"]]


def test_probabilities_are_the_reward_models(evidence: Evidence) -> None:
    preferences = list(evidence.preferences.values())
    observed = {name: c.observations for name, c in evidence.comparisons.items()}
    data = PreferenceData.gather(observed, preferences)
    logits = preferred_logits(evidence.model, data.observations)
    said = [evidence.p_first(evidence.comparisons[p.comparison_id]) for p in preferences]
    np.testing.assert_allclose(said, 1 / (1 + np.exp(-logits)), atol=1e-5)


def test_a_swapped_repeat_is_undone(evidence: Evidence) -> None:
    first = evidence.judgments[0]
    (other_order,) = {type(first.order)(name) for name in ("forward", "swapped")} - {first.order}
    again = replace(first, order=other_order, reply=replace(first.reply, id="again"))
    repeated = replace(evidence, judgments=[first, again])
    (pair,) = read_pairs(repeated)
    one, other = pair.answers
    assert not one.swapped
    assert other.swapped
    assert {one.choice, other.choice} == {"A", "B"}  # the same place, so the other side
    assert consistency([pair]) == (0, 1)
    failed = replace(again, outcome=Failure("timeout", "no reply"))
    assert consistency(read_pairs(replace(evidence, judgments=[first, failed]))).trials == 0
    assert shown_counts([first, failed])["failure"] == 1


def test_a_pair_that_only_failed_has_no_choice(evidence: Evidence, episodes: list[Episode]) -> None:
    judgment = replace(evidence.judgments[0], outcome=Failure("refusal", "I would rather not"))
    preferences = dict(evidence.preferences)
    del preferences[judgment.comparison_id]
    failed = replace(
        evidence, judgments=[judgment, *evidence.judgments[1:]], preferences=preferences
    )
    pair = read_pairs(failed)[0]
    assert pair.chosen == "failure"
    assert not pair.disagrees
    assert "refusal" in Page(render_page(failed, episodes, b"")).text


def test_measures_are_the_fit_and_the_truth(evidence: Evidence) -> None:
    pairs = read_pairs(evidence)
    found = {measure.name: measure for measure in measures(evidence, pairs)}
    heldout = found["Reward model agrees with the judge, held out"].proportion
    assert heldout == evidence.fit.heldout
    truth = found["Judge chooses the side that is truly higher"]
    higher = sum(
        (abs(p.a.state["theta"]) < abs(p.b.state["theta"])) == (p.chosen == "A") for p in pairs
    )
    assert truth.proportion == (higher, len(pairs))
    assert truth.evaluation_only
    assert all(0 <= share <= 1 for share in win_shares(evidence).values())


# The film -----------------------------------------------------------------------------------


def decode(film: bytes) -> list[np.ndarray[Any, Any]]:
    with av.open(io.BytesIO(film), "r") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_film_shows_evaluated_episodes(evidence: Evidence, episodes: list[Episode]) -> None:
    places = choose_episodes(evidence.true_returns)
    assert [episode.place for episode in episodes] == ["worst", "median", "best"]
    assert episodes[0].true_return == min(evidence.true_returns)
    assert episodes[-1].true_return == max(evidence.true_returns)
    assert [episode.seed - 10_000 for episode in episodes] == list(places.values())
    assert {len(episode.observations) for episode in episodes} == {201}


def test_few_episodes_are_all_shown() -> None:
    assert choose_episodes([3.0]) == {"only": 0}
    assert choose_episodes([3.0, 1.0]) == {"worst": 1, "best": 0}


def test_panels_of_episodes_that_end_early_stand_still() -> None:
    black, white = (np.full((4, 4, 3), shade, np.uint8) for shade in (0, 255))
    short = Episode("worst", 0, 0.0, drawings=[black])
    long = Episode("best", 1, 1.0, drawings=[black, white, white])
    frames = side_by_side([short, long])
    assert [times for _, times in runs(frames)] == [1, 2]
    assert (frames[2][:, :4] == 0).all()
    assert (frames[2][:, -4:] == 255).all()


def test_film_of_odd_size_is_encoded(tmp_path: Path) -> None:
    frames = [np.full((33, 47, 3), shade, np.uint8) for shade in (40, 200, 40)]
    decoded = decode(write_mp4(frames, tmp_path / "film.mp4").read_bytes())
    assert [frame.shape for frame in decoded] == [(32, 46, 3)] * 3
    assert np.abs(decoded[1].astype(int) - 200).max() < 6
    assert decode(encode_mp4(frames))[0].shape == (32, 46, 3)


# Pictures for the documentation -------------------------------------------------------------


@pytest.mark.parametrize("form", ["webp", "gif"])
def test_an_animation_keeps_a_frame_that_repeats_once(form: str) -> None:
    still, other = (np.full((8, 8, 3), shade, np.uint8) for shade in (0, 255))
    encoded = encode_animation([still, still, still, other], form, lambda picture: picture)
    with Image.open(io.BytesIO(encoded)) as image:
        assert getattr(image, "n_frames", 1) == 2
        image.load()
        assert image.info["duration"] == 100


def test_members_of_any_number_of_rows(evidence: Evidence) -> None:
    for rows in (1, 1024, 1025):
        observed = np.tile(np.array([[1.0, 0.0, 0.0]], np.float32), (rows, 1))
        said = member_values(evidence.model, observed)
        assert said.shape == (5, rows)
        np.testing.assert_allclose(said, said[:, :1].repeat(rows, 1), atol=1e-5)
