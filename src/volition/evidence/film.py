"""Films of a policy: episodes recorded, drawn side by side, encoded as H.264 or animated WebP."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

from volition.comparison import Observations, Pixels, observed
from volition.envs.scene import draw
from volition.learners.base import Policy
from volition.learners.rollout import CUT_AFTER, Padded, Rollout, episodes
from volition.run.evaluation import FIRST_SEED, abreast
from volition.run.run import Run
from volition.storage.files import write_whole
from volition.tasks.task import EnvironmentSection
from volition.tasks.view import JudgeView

FRAMES_PER_SECOND = 30
PANEL = 320  # pixels at most, of the longer side
GAP = 12  # pixels between two panels
MARGIN = 0.04  # of the drawing, shown around what the judge sees
LONGEST = 250  # drawings of one episode at most; of a longer one every second, third ... is drawn
SMALL, SKIPPING = 224, 2  # pixels of the longer side, and one frame in so many, of a small film
STILL = 2e-3  # observations that differ by less look the same: the last drawing stands for them


@dataclass(slots=True)
class Episode:
    """An evaluation episode, as it was recorded again.

    Attributes:
        place: Its place among all: worst, median or best.
        seed: From which the environment was reset.
        true_return: As it was evaluated.
        observations: (obs_dim,) each, one for every step and the first; none of pictures.
        length: Its steps.
        drawings: uint8 (height, width, 3) each; a drawing that looks like the one before is it.
        steps: The step that each drawing shows.
    """

    place: str
    seed: int
    true_return: float
    observations: list[Observations] = field(default_factory=list)
    length: int = 0
    drawings: list[Pixels] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)


def choose_episodes(true_returns: Sequence[float]) -> dict[str, int]:
    """The worst, the median and the best episode by number; fewer where there are fewer."""
    order = np.argsort(true_returns, kind="stable").tolist()
    places = {"worst": order[0], "median": order[(len(order) - 1) // 2], "best": order[-1]}
    if len(order) < 3:
        places.pop("median")
    return places if len(order) > 1 else {"only": order[0]}


def record_chosen(run: Run) -> list[Episode]:
    """The episodes of `choose_episodes`, acted again from their seeds by the run's policy, and
    drawn."""
    evaluation, task = run.evaluation, run.folder.task
    returns = evaluation.true_returns
    chosen = [
        Episode(place, FIRST_SEED + number, returns[number])
        for place, number in choose_episodes(returns).items()
    ]
    lengths = evaluation.lengths
    longest = max((lengths[e.seed - FIRST_SEED] for e in chosen), default=None) if lengths else None
    record(run.policy, task.environment, chosen, task.view, longest)
    return chosen


def record(
    policy: Policy,
    environment: EnvironmentSection,
    recorded: Sequence[Episode],
    view: JudgeView,
    longest: int | None = None,
) -> None:
    """Acts the episodes all at once, each from its seed, and fills them in.

    Args:
        policy: Who acts.
        environment: Where.
        recorded: Their observations and drawings are appended to.
        view: The drawings show what it shows, and a little more around it.
        longest: Steps after which an episode is cut, as of `episodes`.
    """
    pens = _Pens(recorded, view)
    # As many rows as the evaluation has, so that its compiled program serves here, too.
    rows = max(len(recorded), abreast(policy.form.observation_shape))
    with closing(Rollout(environment, len(recorded), pens, "rgb_array")) as rollout:
        longest = longest or rollout.episode_limit or CUT_AFTER
        pens.every = -(-longest // LONGEST)
        seeds = [episode.seed for episode in recorded]
        for _ in episodes(rollout, Padded(policy, rows), seeds, longest):
            pass


class _Pens:
    """Watches environments side by side, and draws each into an episode of its own.

    An environment is known by its first look, which comes in the order of the episodes; after an
    episode has ended nothing more is drawn of it.
    """

    def __init__(self, recorded: Sequence[Episode], view: JudgeView) -> None:
        self.every = 1
        self._waiting = [_Pen(episode, view) for episode in recorded]
        self._pens: dict[int, _Pen] = {}

    def __call__(self, env: Any, observation: Any, ended: bool) -> Observations:
        pen = self._pens.get(id(env))
        if pen is None:
            pen = self._pens[id(env)] = self._waiting.pop(0)
            ended = False
        pen.look(env, observation, ended, self.every)
        return np.ones(1)


class _Pen:
    """Draws an environment into an episode, unless it looks as it did."""

    def __init__(self, episode: Episode, view: JudgeView) -> None:
        self._episode, self._view = episode, _with_margin(view)
        self._drawn: Observations | None = None
        self._ended, self._looks = False, 0

    def look(self, env: Any, seen: Any, ended: bool, every: int) -> None:
        """Takes in what a step led to. One step in `every` is drawn, and the last."""
        if self._ended:
            return
        self._ended = ended
        observation, episode = observed(seen).copy(), self._episode
        if observation.ndim == 1:
            episode.observations.append(observation)
        step = episode.length = self._looks
        self._looks += 1
        if step % every and not ended:
            return
        episode.steps.append(step)
        if self._drawn is not None and _alike(observation, self._drawn):
            episode.drawings.append(episode.drawings[-1])
            return
        self._drawn = observation
        episode.drawings.append(_reduced(self._view.frame(draw(env)).pixels))


def _alike(one: Observations, other: Observations) -> bool:
    if one.dtype == np.uint8:
        return bool((one == other).all())
    return bool(np.abs(one - other).max() < STILL)


def _with_margin(view: JudgeView) -> JudgeView:
    """The judge's view, a little wider and in full resolution."""
    left, top, right, bottom = view.crop
    return JudgeView(
        crop=(
            max(0, left - MARGIN),
            max(0, top - MARGIN),
            min(1, right + MARGIN),
            min(1, bottom + MARGIN),
        )
    )


def panel(view: JudgeView, drawing: Pixels) -> Pixels:
    """What a film shows of a drawing."""
    return _reduced(_with_margin(view).frame(drawing).pixels)


def _reduced(drawing: Pixels, longest: int = PANEL) -> Pixels:
    height, width = drawing.shape[:2]
    ratio = longest / max(height, width)
    if ratio >= 1:
        return drawing
    size = (round(width * ratio), round(height * ratio))
    return np.asarray(Image.fromarray(drawing).resize(size, Image.Resampling.BICUBIC))


def side_by_side(episodes: Sequence[Episode]) -> list[Pixels]:
    """The frames of a film of all the episodes; those that end early stand still."""
    frames: list[Pixels] = []
    shown: tuple[int, ...] = ()
    gap = np.full((len(episodes[0].drawings[0]), GAP, 3), 255, np.uint8)
    for number in range(max(len(episode.drawings) for episode in episodes)):
        panels = [e.drawings[min(number, len(e.drawings) - 1)] for e in episodes]
        ids = tuple(map(id, panels))
        # Where nothing has moved the frame is the same object, which `runs` recognises.
        if ids != shown:
            frame = np.concatenate([part for panel in panels for part in (gap, panel)][1:], 1)
        frames.append(frame)
        shown = ids
    return frames


def runs(frames: Sequence[Pixels]) -> Iterator[tuple[Pixels, int]]:
    """Every frame with the number of times that it follows itself."""
    for _, same in groupby(frames, key=id):
        repeated = list(same)
        yield repeated[0], len(repeated)


def write_mp4(drawings: Sequence[Pixels], out: Path) -> Path:
    """Writes frames as an H.264 film; returns its path."""
    write_whole(out, encode_mp4(drawings))
    return out


def encode_mp4(
    frames: Sequence[Pixels], rate: int = FRAMES_PER_SECOND, quality: str = "20"
) -> bytes:
    """Frames of one size, uint8 (height, width, 3) each, as H.264 in MP4, which browsers play.

    Args:
        frames: As they follow each other.
        rate: Frames a second.
        quality: x264's constant rate factor: the higher, the smaller and the worse.
    """
    height, width = (length // 2 * 2 for length in frames[0].shape[:2])  # yuv420p needs even ones
    buffer, converter = io.BytesIO(), VideoReformatter()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "superfast", "crf": quality}
        for frame, times in runs(frames):
            pixels = np.ascontiguousarray(frame[:height, :width])
            picture = converter.reformat(av.VideoFrame.from_ndarray(pixels), format="yuv420p")
            for _ in range(times):
                picture.pts = None
                container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return buffer.getvalue()


def one_panel(film: bytes, panels: int, chosen: int) -> bytes:
    """One of the episodes that a film of `side_by_side` shows, in half as many and smaller frames.

    Args:
        film: H.264 in MP4.
        panels: How many episodes it shows.
        chosen: Which of them, from 0.

    Raises:
        ValueError: It is no such film.
    """
    frames: list[Pixels] = []
    try:
        with av.open(io.BytesIO(film), "r") as container:
            for number, picture in enumerate(container.decode(video=0)):
                if number % SKIPPING == 0:
                    pixels = np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)
                    width = (pixels.shape[1] + GAP) // panels - GAP
                    left = chosen * (width + GAP)
                    frames.append(_reduced(pixels[:, left : left + width], SMALL))
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"it is no film: {error}") from error
    if not frames:
        raise ValueError("it is no film: it has no frame")
    return encode_mp4(frames, FRAMES_PER_SECOND // SKIPPING, "30")


def encode_animation(
    frames: Sequence[Pixels], format: str, decorate: Callable[[Image.Image], Image.Image]
) -> bytes:
    """Frames as an animated picture that loops; one that repeats is kept once, for longer.

    Args:
        frames: uint8 (height, width, 3) each.
        format: WebP or GIF.
        decorate: Is applied to every frame.
    """
    pictures, durations = [], []
    for frame, times in runs(frames):
        pictures.append(decorate(Image.fromarray(frame)))
        durations.append(round(times * 1000 / FRAMES_PER_SECOND))
    options: Mapping[str, Any] = {"quality": 80, "method": 4} if format.lower() == "webp" else {}
    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        format,
        save_all=True,
        append_images=pictures[1:],
        loop=0,
        duration=durations,
        **options,
    )
    return buffer.getvalue()
