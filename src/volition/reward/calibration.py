"""Whether answers come as often as they were said to be probable, and a factor to see to it; and
where what was labelled begins."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from volition.comparison import Floats

EDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 1.0)  # of the confidences that are counted together
TRIED = np.exp(np.linspace(-2.5, 2.5, 51))
THRESHOLDS, WIDTHS = 101, (0.03, 0.1, 0.3)  # that are tried; widths in deviations of what is said
REACHED = 0.7  # of what was labelled so are below any threshold that is tried
SURE = 0.8  # that it is so where it is called so
CERTAIN = 0.03  # from 0 and 1: no label is surer, since a judge may err
LEAST_DOUBT = 0.05  # deviations of what is said
LOG_TEMPERATURE_SD = 1.0  # of the prior, so that answers which all agree do not ask for infinity


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers that were predicted about as surely.

    Attributes:
        confidence: Mean probability that the prediction gave to the side it chose.
        agreement: How much of the judges' answers went to that side.
        judgments: How many.
    """

    confidence: float
    agreement: float
    judgments: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """How sure a reward model may be.

    Attributes:
        temperature: The factor by which its logits were multiplied (Guo et al., arXiv:1706.04599,
            whose T is the inverse).
        error: Expected calibration error with it: the mean distance of confidence and agreement.
        error_before: The same without.
        bins: The table behind it.
    """

    temperature: float
    error: float
    error_before: float
    bins: tuple[Bin, ...]


def calibrate(logits: Floats, of_order: Floats, p_first: Floats, count: Floats) -> Calibration:
    """The factor on `logits` under which held-out answers are most probable.

    Args:
        logits: Of P(first preferred) by what is seen, of judgments that were held out: (answers,).
        of_order: What the judge's bias to what is shown first adds: (answers,).
        p_first: What the judge said: (answers,).
        count: Of judgments: (answers,).
    """
    losses = []
    for factor in TRIED:
        scaled = factor * logits + of_order
        loss = float((count * (np.logaddexp(0, scaled) - p_first * scaled)).sum())
        losses.append(loss + (np.log(factor) / LOG_TEMPERATURE_SD) ** 2 / 2)
    temperature = float(TRIED[np.argmin(losses)])
    before, _ = _expected_error(logits + of_order, p_first, count)
    error, bins = _expected_error(temperature * logits + of_order, p_first, count)
    return Calibration(temperature, error, before, bins)


def _expected_error(
    logits: Floats, p_first: Floats, count: Floats
) -> tuple[float, tuple[Bin, ...]]:
    confidence = 1 / (1 + np.exp(-np.abs(logits).astype(np.float64)))
    agreement = np.where(logits > 0, p_first, 1 - p_first)
    bins = []
    for low, high in pairwise(EDGES):
        inside = (confidence >= low) & ((confidence < high) | (high == EDGES[-1]))
        if inside.any():
            weights = count[inside]
            bins.append(
                Bin(
                    float(np.average(confidence[inside], weights=weights)),
                    float(np.average(agreement[inside], weights=weights)),
                    int(weights.sum()),
                )
            )
    distances = [abs(bin.confidence - bin.agreement) * bin.judgments for bin in bins]
    return float(sum(distances) / count.sum()), tuple(bins)


def best_threshold(values: Floats, done: Floats) -> tuple[float, float]:
    """Where what is labelled begins, and how much that is in doubt, as a standard deviation.

    It is a high quantile (`SURE`) of what the labels leave open: what is called done too soon is
    left undone for good, and what is called harmless too soon is done; too late costs a few steps.
    Before any label each threshold that some of them exceed is as likely as any other.

    Args:
        values: Of each label's segment, by the ensemble: (rows,).
        done: Probability that it is so there, as it was judged: (rows,).
    """
    order = np.sort(values)
    low, high = float(order[0]), float(np.quantile(values[done > 0.5], REACHED))
    places = np.linspace(low, max(high, low + 1e-6), THRESHOLDS)
    losses = np.stack([_losses(values, done, places, w * float(values.std())) for w in WIDTHS])
    likely = np.exp(losses.min() - losses)  # (widths, places)
    of_places = likely.sum(0) / likely.sum()
    place = places[np.searchsorted(of_places.cumsum(), SURE)]
    doubt = np.sqrt((of_places * (places - (of_places * places).sum()) ** 2).sum())
    return float(place), float(max(doubt, LEAST_DOUBT * float(values.std()), 1e-6))


def _losses(values: Floats, done: Floats, places: Floats, width: float) -> Floats:
    """In nats, of all labels, at each of the thresholds: (places,)."""
    scaled = (values[None] - places[:, None]) / max(width, 1e-6)
    told = np.clip(1 / (1 + np.exp(-np.clip(scaled, -30, 30))), CERTAIN, 1 - CERTAIN)
    return np.asarray(-(done * np.log(told) + (1 - done) * np.log1p(-told)).sum(1))
