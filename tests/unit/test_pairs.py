"""Pairs of pictures before a judge, without any environment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from servers import Server, serving
from volition import Goal, JudgeSettings, judge_pairs
from volition.errors import InputError
from volition.judges.base import Capability, Estimate, Question
from volition.judgment import Failure, JudgeIdentity, Reply, Verdict

GOAL = "The black disc is at the top."


def disc(y: int, size: int = 72) -> npt.NDArray[np.uint8]:
    rows, columns = np.mgrid[:size, :size]
    pixels = np.full((size, size, 3), 255, np.uint8)
    pixels[(columns - size // 2) ** 2 + (rows - y) ** 2 <= 12**2] = 0
    return pixels


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(strict=False) as running:
        yield running


class Brighter:
    """A judge of one's own: it prefers the brighter picture, and is asked at once."""

    identity = JudgeIdentity("brighter")
    capability: Capability | None = None
    immediate = True
    per_request = 1
    asked = 0

    def estimate(self, questions: Sequence[Question]) -> Estimate:
        return Estimate(0, 0, 0.0)

    async def ask(self, questions: Sequence[Question]) -> Reply:
        self.asked += 1
        (question,) = questions
        one, other = (segment.frames[0].pixels.mean() for segment in question.shown)
        return Reply("", str(one > other))

    def read(self, reply: Reply, questions: Sequence[Question]) -> list[Verdict | Failure]:
        return [Verdict(float(reply.raw == "True"))]

    async def close(self) -> None:
        pass


def test_pictures_of_every_kind_are_judged_in_their_order(tmp_path: Path) -> None:
    dark, light = disc(20), np.full((72, 72, 3), 200, np.uint8)
    Image.fromarray(light).save(tmp_path / "light.png")
    judge = Brighter()
    judged = judge_pairs(
        [
            (dark, light),
            (light, dark),
            (tmp_path / "light.png", dark),
            (dark, dark),
            (Image.fromarray(dark), np.zeros((8, 9, 3), np.uint8)),
        ],
        "The brighter one.",
        judge,
        out=tmp_path / "pairs",
    )
    assert [pair.p_first for pair in judged] == [1.0, 0.0, 0.0, 0.5, 1.0]
    assert judge.asked == 2, "what is the same comparison is asked once, the same picture never"
    again = judge_pairs(
        [(light, dark)], Goal("The brighter one."), judge, out=tmp_path / "pairs", seed=1
    )
    assert again[0].p_first == 0.0
    assert judge.asked == 2, "nothing is asked again"


def test_a_folder_of_pictures_is_judged_each_as_often(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for shade in range(6):
        Image.fromarray(np.full((8, 8, 3), 40 * shade, np.uint8)).save(folder / f"{shade}.png")
    (folder / "notes.txt").write_text("no picture")
    judge, out = Brighter(), tmp_path / "pairs"
    judged = judge_pairs(folder, "The brighter one.", judge, out=out)
    shades = [tuple(int(file.stem) for file in pair.files if file) for pair in judged]
    assert len({frozenset(pair) for pair in shades}) == len(judged) == judge.asked == 12
    assert [pair.p_first for pair in judged] == [float(one > other) for one, other in shades]
    orders = {judgment.order for pair in judged for judgment in pair.judgments}
    assert len(orders) == 2, "which is shown first is dealt at random"
    cycle = shades[:6]
    assert all(sum(shade in pair for pair in cycle) == 2 for shade in range(6))
    assert judge_pairs(folder, "The brighter one.", judge, out=out) == judged
    assert judge.asked == 12, "the same pairs again, of which none is asked"
    for count, told in ((0, "make 1 to 15 pairs"), (16, "count is 16: 6 pictures make 1 to 15")):
        with pytest.raises(InputError, match=told):
            judge_pairs(folder, "x", judge, count=count, out=tmp_path / "x")
    with pytest.raises(InputError, match=r"nowhere is no folder of pictures"):
        judge_pairs(tmp_path / "nowhere", "x", judge, out=tmp_path / "x")
    with pytest.raises(InputError, match=r"pairs holds 0 pictures, and two at least"):
        judge_pairs(out, "x", judge, out=tmp_path / "x")
    with pytest.raises(InputError, match=r"leave it out for pairs"):
        judge_pairs([(disc(20), disc(50))], "x", judge, count=1, out=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_live_judge_is_asked_by_its_name(server: Server, tmp_path: Path) -> None:
    settings = JudgeSettings(
        "openai:test", base_url=server.openai, price_in=0.1, price_out=0.4, max_usd=0.01
    )
    pairs = [(disc(16 + n), disc(56 - n)) for n in range(4)] + [(disc(58), disc(18))]
    judged = judge_pairs(pairs, GOAL, settings, out=tmp_path / "pairs")
    assert [pair.p_first is not None and pair.p_first > 0.5 for pair in judged] == [True] * 4 + [
        False
    ]
    assert all(len(pair.judgments) == 1 for pair in judged)


def test_what_fails_has_no_probability_and_says_why(server: Server, tmp_path: Path) -> None:
    settings = JudgeSettings("openai:test", base_url=server.openai, wire="votes")
    judge_pairs([(disc(16), disc(56))], GOAL, settings, out=tmp_path / "probed")
    server.faults += ["refused"] * 20
    (judged,) = judge_pairs([(disc(20), disc(50))], GOAL, settings, out=tmp_path / "pairs")
    assert judged.p_first is None
    assert {type(judgment.outcome) for judgment in judged.judgments} == {Failure}


def test_a_picture_that_is_none_is_named(tmp_path: Path) -> None:
    good = disc(20)
    bad: Any
    for bad, named in (
        (tmp_path / "nowhere.png", "pair 2: .*nowhere.png"),
        (np.zeros((4, 4), np.uint8), r"pair 2: a frame is uint8 \(height, width, 3\)"),
        (np.zeros((4, 4, 3)), r"pair 2: a frame is uint8 \(height, width, 3\), not float64"),
    ):
        with pytest.raises(InputError, match=named):
            judge_pairs([(good, disc(50)), (good, bad)], GOAL, Brighter(), out=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_several_sizes_do_not_go_onto_one_sheet(server: Server, tmp_path: Path) -> None:
    settings = JudgeSettings("openai:test", base_url=server.openai, per_request=2)
    with pytest.raises(InputError, match="several sizes"):
        judge_pairs([(disc(20), disc(50, 80))], GOAL, settings, out=tmp_path / "x")
    assert not (tmp_path / "x").exists()
