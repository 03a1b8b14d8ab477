"""The report's figures as plain dictionaries for Plotly.

Colours are the page's own custom properties, `var(--name)`, which the page replaces by the colours
of the light or the dark scheme before it draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from volition.evidence.film import Episode
from volition.evidence.report.landscapes import Landscape
from volition.evidence.report.pairs import judged_states, win_shares
from volition.evidence.report.reading import Evidence

Figure = dict[str, Any]  # {"data": [...], "layout": {...}}

ACCENT, BAND, INK = "var(--accent)", "var(--band)", "var(--ink)"
TRUTH, GRID, SURFACE = "var(--truth)", "var(--line)", "var(--surface)"
DOTTED = {"color": TRUTH, "width": 1.5, "dash": "dot"}
UPRIGHT_TICKS = {
    "tickvals": [-180, -90, 0, 90, 180],
    "ticktext": ["−180°", "−90°", "upright", "90°", "180°"],
}


def circle_figure(landscape: Landscape, evidence: Evidence) -> Figure:
    """The reward as the distance from the pivot, in the direction in which the rod points."""
    low = float((landscape.mean - landscape.spread).min())
    around = np.append(landscape.degrees, 180.0)
    mean, spread = _closed(landscape.mean) - low, _closed(landscape.spread)
    angles, won = _judged_angles(landscape, evidence)
    rim = float((mean + spread).max()) * 1.1
    data = [
        _polar(
            np.concatenate([around, around[::-1]]),
            np.concatenate([mean + spread, (mean - spread)[::-1]]),
            name="spread",
            fill="toself",
            fillcolor=BAND,
            line={"width": 0},
        ),
        _polar(around, mean, name="learned reward", line={"color": ACCENT, "width": 2.5}),
        _judged(
            type="scatterpolar",
            theta=_numbers(angles),
            r=[rim] * len(angles),
            won=won,
            name="judged states",
        ),
    ]
    if landscape.meant_upright:
        height = _scaled(_closed(landscape.height), mean)
        data.insert(1, _polar(around, height, name="true height", line=DOTTED))
    polar = {
        "bgcolor": "rgba(0,0,0,0)",
        "radialaxis": {"visible": False, "range": [0, rim * 1.04]},
        "angularaxis": {
            "rotation": 90,
            "direction": "counterclockwise",
            "gridcolor": GRID,
            "linecolor": GRID,
            "tickvals": [0, 90, 180, 270],
            "ticktext": ["upright", "left", "down", "right"],
        },
    }
    return _figure(data, polar=polar, showlegend=False, margin={"l": 44, "r": 44, "t": 30, "b": 30})


def landscape_figure(landscape: Landscape, evidence: Evidence) -> Figure:
    """The reward over the angle: the ensemble's spread, the judged states, the height if meant."""
    degrees, mean, spread = landscape.degrees, landscape.mean, landscape.spread
    angles, won = _judged_angles(landscape, evidence)
    low, high = float((mean - spread).min()), float((mean + spread).max())
    data = [
        _line(
            np.concatenate([degrees, degrees[::-1]]),
            np.concatenate([mean + spread, (mean - spread)[::-1]]),
            name="ensemble spread",
            fill="toself",
            fillcolor=BAND,
            line={"width": 0},
            hoverinfo="skip",
        ),
        _line(
            degrees,
            mean,
            name="learned reward",
            line={"color": ACCENT, "width": 2.5},
            hovertemplate="%{x:.1f}°: %{y:.2f}<extra></extra>",
        ),
        _judged(
            x=_numbers(angles),
            y=[low - 0.1 * (high - low)] * len(angles),
            won=won,
            name="judged states",
        ),
    ]
    if landscape.meant_upright:
        height = _scaled(landscape.height, mean)
        data.insert(1, _line(degrees, height, name="true height", line=DOTTED, hoverinfo="skip"))
    note, mark = _peak(landscape.peak_degrees, high)
    return _figure(
        data,
        xaxis=_axis("angle of the rod", range=[-183, 183], **UPRIGHT_TICKS),
        yaxis=_axis(
            "learned reward (logits)", range=[low - 0.17 * (high - low), high + 0.12 * (high - low)]
        ),
        annotations=[note],
        shapes=[mark],
    )


def _peak(peak: float, high: float) -> tuple[Figure, Figure]:
    """Where the learned reward is greatest, in degrees: a note at `high`, and a line."""
    side, shift = ("right", -6) if peak > 90 else ("left", 6)  # where there is room for it
    note = {
        "x": peak,
        "xanchor": side,
        "xshift": shift,
        "y": high,
        "yanchor": "bottom",
        "showarrow": False,
        "text": f"peak {_signed(peak)}°",
        "font": {"color": ACCENT},
    }
    mark = {
        "type": "line",
        "x0": peak,
        "x1": peak,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"color": ACCENT, "width": 1, "dash": "dot"},
    }
    return note, mark


def plane_figure(landscape: Landscape, episodes: Sequence[Episode]) -> Figure:
    """The reward over angle and velocity, and the ways of the filmed episodes through it."""
    heat = {
        "type": "heatmap",
        "x": _numbers(landscape.plane_degrees),
        "y": _numbers(landscape.plane_velocities),
        "z": [_numbers(row) for row in landscape.plane],
        "colorscale": [[0, "var(--plane-low)"], [1, "var(--plane-high)"]],
        "zsmooth": "best",
        "showscale": False,
        "hovertemplate": "%{x:.0f}°, %{y:.1f} rad/s: %{z:.2f}<extra></extra>",
    }
    data: list[Figure] = [heat]
    for episode, dash in zip(episodes, ("solid", "dash", "dot"), strict=False):
        seen = np.stack(episode.observations)
        degrees = np.degrees(landscape.circle.angle(seen))
        velocities = landscape.circle.velocity(seen)
        x, y = _broken_where_it_wraps(degrees, velocities)
        data += [
            _line(
                x,
                y,
                name=f"{episode.place} episode",
                line={"color": INK, "width": 1.6, "dash": dash},
                hoverinfo="skip",
            ),
            _line(
                degrees[:1],
                velocities[:1],
                mode="markers",
                showlegend=False,
                marker={"color": SURFACE, "size": 9, "line": {"color": INK, "width": 2}},
                hovertemplate=f"start of the {episode.place} episode<extra></extra>",
            ),
            _line(
                degrees[-1:],
                velocities[-1:],
                mode="markers",
                showlegend=False,
                marker={"color": INK, "size": 9},
                hovertemplate=f"end of the {episode.place} episode<extra></extra>",
            ),
        ]
    top = landscape.circle.top_speed
    return _figure(
        data,
        xaxis=_axis("angle of the rod", range=[-180, 180], **UPRIGHT_TICKS),
        yaxis=_axis("angular velocity (rad/s)", range=[-top, top]),
    )


def entries_figure(evidence: Evidence) -> Figure:
    """For any environment: the reward of every judged state over each entry that it depends on."""
    segments, won = judged_states(evidence), win_shares(evidence)
    means = np.stack([segment.observations.mean(0) for segment in segments.values()])
    values = np.stack([evidence.values[name] for name in segments])  # (segments, members)
    shares = [won.get(name, 0.5) for name in segments]
    entries = evidence.model.entries
    data, layout = [], {}
    for number, entry in enumerate(entries, start=1):
        suffix = "" if number == 1 else str(number)
        data.append(
            _judged(
                x=_numbers(means[:, entry]),
                y=_numbers(values.mean(1)),
                won=shares,
                name="judged states",
                xaxis=f"x{suffix}",
                yaxis=f"y{suffix}",
                showlegend=number == 1,
                error_y={
                    "array": _numbers(values.std(1)),
                    "color": BAND,
                    "thickness": 1.5,
                    "width": 0,
                },
            )
        )
        layout[f"xaxis{suffix}"] = _axis(evidence.names[entry])
        layout[f"yaxis{suffix}"] = _axis("learned reward (logits)" if number == 1 else "")
    columns = min(2, len(entries))
    rows = -(-len(entries) // columns)
    layout["grid"] = {"rows": rows, "columns": columns, "pattern": "independent"}
    return _figure(data, height=320 * rows, **layout)


def learning_figure(
    steps: Sequence[int], values: Sequence[float], title: str, colour: str
) -> Figure:
    """What the training sessions measured, over the environment steps."""
    line = _line(
        steps,
        values,
        mode="lines+markers",
        name=title,
        line={"color": colour, "width": 2},
        marker={"size": 6},
        hovertemplate="%{x:,} steps: %{y:.1f}<extra></extra>",
    )
    return _figure(
        [line],
        showlegend=False,
        margin={"l": 64, "r": 16, "t": 16, "b": 52},
        xaxis=_axis("environment steps", rangemode="tozero"),
        yaxis=_axis(title),
    )


def returns_figure(evidence: Evidence, episodes: Sequence[Episode]) -> Figure:
    """The true return of every evaluation episode, from worst to best; the filmed ones marked."""
    ranked = sorted(evidence.true_returns)
    places = [ranked.index(episode.true_return) + 1 for episode in episodes]
    data = [
        _line(
            list(range(1, len(ranked) + 1)),
            ranked,
            mode="markers",
            name="evaluation episodes",
            marker={"color": TRUTH, "size": 5},
            hovertemplate="%{y:.1f}<extra></extra>",
        ),
        _line(
            places,
            [episode.true_return for episode in episodes],
            mode="markers",
            name="on film",
            marker={"color": ACCENT, "size": 11, "symbol": "circle-open", "line": {"width": 2}},
            text=[episode.place for episode in episodes],
            hovertemplate="%{text}: %{y:.1f}<extra></extra>",
        ),
    ]
    return _figure(
        data,
        showlegend=False,
        margin={"l": 64, "r": 16, "t": 16, "b": 52},
        xaxis=_axis("episodes, from worst to best"),
        yaxis=_axis("true return"),
    )


def _figure(data: list[Figure], **layout: Any) -> Figure:
    common = {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "var(--muted)", "size": 13},
        "margin": {"l": 60, "r": 16, "t": 48, "b": 52},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "bgcolor": "rgba(0,0,0,0)",
        },
        "hoverlabel": {"bgcolor": SURFACE, "bordercolor": GRID, "font": {"color": INK}},
        "dragmode": False,
    }
    return {"data": data, "layout": {**common, **layout}}


def _axis(title: str, **more: Any) -> Figure:
    return {
        "title": {"text": title, "standoff": 12, "font": {"size": 13}},
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "ticks": "",
        "fixedrange": True,
        **more,
    }


def _line(x: npt.ArrayLike, y: npt.ArrayLike, **more: Any) -> Figure:
    return {"type": "scatter", "mode": "lines", "x": _numbers(x), "y": _numbers(y), **more}


def _polar(theta: npt.ArrayLike, r: npt.ArrayLike, **more: Any) -> Figure:
    return {
        "type": "scatterpolar",
        "mode": "lines",
        "theta": _numbers(theta),
        "r": _numbers(r),
        "hoverinfo": "skip",
        **more,
    }


def _judged(won: Sequence[float], **more: Any) -> Figure:
    """Judged states as dots, filled where they won more than half of their comparisons."""
    marker = {
        "size": 7 if len(won) < 200 else 5,
        "color": [ACCENT if share > 0.5 else SURFACE for share in won],
        "line": {"color": ACCENT, "width": 1.2},
        "opacity": 0.85,
    }
    return {"type": "scatter", "mode": "markers", "marker": marker, "hoverinfo": "skip", **more}


def _judged_angles(
    landscape: Landscape, evidence: Evidence
) -> tuple[npt.NDArray[np.float32], list[float]]:
    won = win_shares(evidence)
    seen = {name: segment.observations for name, segment in judged_states(evidence).items()}
    angles = [np.degrees(landscape.circle.angle(observed))[-1] for observed in seen.values()]
    return np.array(angles, np.float32), [won.get(name, 0.5) for name in seen]


def _broken_where_it_wraps(
    degrees: npt.NDArray[np.float32], velocities: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """A gap where the rod passes straight down, where there would be a line across the figure."""
    wraps = np.flatnonzero(np.abs(np.diff(degrees)) > 180) + 1
    return np.insert(degrees, wraps, np.nan), np.insert(velocities, wraps, np.nan)


def _scaled(values: npt.NDArray[Any], like: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`values` moved and stretched to the range of `like`."""
    unit = (values - values.min()) / (values.max() - values.min())
    return np.asarray(like.min() + unit * (like.max() - like.min()))


def _closed(around: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.append(around, around[0])


def _numbers(values: npt.ArrayLike) -> list[float | None]:
    """Numbers as JSON has them: four significant decimals, and null for what is not finite."""
    flat = np.asarray(values, np.float64).round(4).tolist()
    return [value if math.isfinite(value) else None for value in flat]


def _signed(degrees: float) -> str:
    return f"{degrees:+.1f}".replace("-", "−").replace("+0.0", "0.0")
