"""Versions side by side: small films, and what changed in the reward over the same states."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from volition.comparison import Frame, Segment
from volition.evidence.film import GAP, SMALL, encode_mp4, one_panel
from volition.evidence.report import versions
from volition.evidence.report.versions import changed_reward, small_films
from volition.goal import Goal
from volition.run.correcting.versions import Version
from volition.run.folder import RunFolder
from volition.run.run import Run
from volition.storage.documents import write_document


def frames_of(film: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(film), "r") as container:
        return [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]


def film(count: int = 20) -> bytes:
    """Of three episodes: a dark, a grey and a bright one."""
    gap = np.full((320, GAP, 3), 255, np.uint8)
    panels = [np.full((320, 320, 3), value, np.uint8) for value in (20, 120, 220)]
    frame = np.concatenate([panels[0], gap, panels[1], gap, panels[2]], 1)
    return encode_mp4([frame.copy() for _ in range(count)])


def test_a_small_film_shows_the_episode_that_is_chosen() -> None:
    for chosen, value in enumerate((20, 120, 220)):
        small = frames_of(one_panel(film(), 3, chosen))
        assert len(small) == 10, "half of the frames, in half the time each"
        assert small[0].shape == (SMALL, SMALL, 3)
        assert abs(float(small[0].mean()) - value) < 6


@pytest.mark.parametrize("damaged", [b"", b"no film", b"\0\0\0\x20ftypisom"])
def test_what_is_no_film_is_none(damaged: bytes) -> None:
    with pytest.raises(ValueError, match="it is no film"):
        one_panel(damaged, 3, 1)


def version(number: int) -> Version:
    return Version(number, False, False, "", "", Goal("Up."), 1, "", 0.0, 1, 0.0)


def test_films_stay_within_their_room_and_the_newest_come_first(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {}
    for number in (1, 2, 3, 4):
        path = tmp_path / str(number)
        path.mkdir()
        folders[number] = RunFolder(path, run.folder.task, run.folder.settings)
        if number != 3:
            (path / "policy.mp4").write_bytes(film() if number != 4 else b"damaged")
            evaluation = replace(run.evaluation, true_returns=(1.0, 2.0, 3.0))
            write_document(path / "evaluation.json", evaluation)
    shown = [version(number) for number in folders]
    films = small_films(shown, folders)
    assert [bool(films[number]) for number in folders] == [True, True, False, False]
    assert base64.b64decode(films[1])[4:8] == b"ftyp"
    monkeypatch.setattr(versions, "FILMS", len(films[1]))
    limited = small_films(shown, folders)
    assert [bool(limited[number]) for number in folders] == [False, True, False, False]


def states(count: int = 50) -> list[Segment]:
    """Around the circle."""
    frame = Frame(np.zeros((2, 2, 3), np.uint8))
    angles = np.linspace(-np.pi, np.pi, count, endpoint=False)
    rows = np.stack([np.cos(angles), np.sin(angles), 0 * angles], -1).astype(np.float32)
    return [Segment(row[None], (replace(frame),)) for row in rows]


def test_what_a_reward_gained_and_lost_is_found_over_the_same_states() -> None:
    segments = states()
    rows = np.stack([segment.observations[0] for segment in segments])
    up, left = rows[:, 0].astype(float), rows[:, 1].astype(float)
    rose, fell, likeness = changed_reward(segments, 3 * up + 7, up + left)
    assert all(moved.segment.observations[0, 1] > 0.5 for moved in rose), "what leans left"
    assert all(moved.segment.observations[0, 1] < -0.5 for moved in fell)
    assert [moved.by for moved in rose] == sorted((moved.by for moved in rose), reverse=True)
    assert rose[0].by > 0 > fell[0].by
    assert 0.5 < likeness < 0.9
    same = changed_reward(segments, up, 5 * up - 3)
    assert same[:2] == ((), ()), "another zero and another unit are no change"
    assert same[2] == pytest.approx(1.0)
    assert changed_reward(segments, up, 0 * up)[2] == 0.0
