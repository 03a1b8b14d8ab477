"""What an audit is worth to a run. Judge and auditor are simulated.

    python benchmarks/audit.py [--quick] [--seeds N]

The `weak` judge answers 500 comparisons that cover the cart-pole's states. A reward model is fitted
and the task's learner learns from it. Then 100 of the answers are audited: drawn in strata by what
that reward model says, answered by an auditor who is always right, and overruled where he says
otherwise. A reward model is fitted anew, and a policy learned. Shown for each seed, before and
after: how many of 400 other pairs the reward model decides as the truth does, and the mean true
return of 100 episodes. Beside them: 100 answers drawn without strata, the auditor's 100 answers
alone, an answer of his counting 3 and 10 times (`reward.person_weight`), and what the audit says of
the judge's accuracy, with its interval. The differences' intervals are Student's, 95%.

--quick leaves the policies out.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats

from asked import comparisons, judged, learned_return, opened
from claims import claim, run_benchmark
from volition.comparison import Comparison
from volition.evidence.audit.counting import Question, count
from volition.evidence.audit.sampling import Answered, draw
from volition.judgment import Judgment, Verdict, as_people_say, derive_preferences, undo_order
from volition.reward.fit import fit
from volition.reward.model import RewardModel, opinions
from volition.reward.preferences import PreferenceData
from volition.storage.compilation import enable_cache
from volition.tasks.task import Task

TASK = opened(Task.find("cartpole"))
ANSWERS, AUDITED, OTHERS = 500, 100, 400
AUDITOR = "the auditor"
WEIGHTS = (3, 10)
DESIGNS = ((500, 100, 0.1), (500, 100, 0.02), (2000, 100, 0.05), (300, 200, 0.1), (500, 30, 0.15))
SAMPLES, COVERS = 300, 0.93


def of_first(judgments: Sequence[Judgment]) -> dict[str, float]:
    """Probability that the first is preferred, of each comparison that has a side preferred."""
    return {
        j.comparison_id: p
        for j in judgments
        if isinstance(j.outcome, Verdict) and (p := undo_order(j.outcome, j.order)) != 0.5
    }


def reward_of(
    asked: Sequence[Comparison],
    judgments: Sequence[Judgment],
    seed: int,
    weights: Mapping[str, int] | None = None,
) -> RewardModel:
    observed = {c.id: c.observations for c in asked}
    data = PreferenceData.gather(observed, derive_preferences(judgments, weights))
    return fit(data, TASK.reward, False, seed).model


def said_by(model: RewardModel, asked: Sequence[Comparison]) -> dict[str, float]:
    """The reward model's probability that the first is preferred."""
    pairs = np.stack([np.stack(c.observations) for c in asked])
    values, _ = opinions(model, pairs.reshape(-1, *pairs.shape[2:]))
    first, second = values.mean(0).reshape(-1, 2).T
    return dict(zip((c.id for c in asked), 1 / (1 + np.exp(second - first)), strict=True))


def right(said: Mapping[str, float], truth: Mapping[str, float]) -> float:
    """Of what both prefer a side of, the share that is the same."""
    both = [name for name in said if name in truth]
    return float(np.mean([(said[name] > 0.5) == (truth[name] > 0.5) for name in both]))


def measure(seed: int, with_policies: bool) -> dict[str, Any]:
    """What one seed comes to."""
    asked = comparisons(TASK.name, ANSWERS + OTHERS, seed)
    answered, others = asked[:ANSWERS], asked[ANSWERS:]
    weak = judged(TASK, f"simulated:weak:{seed}", answered, seed)
    exact = {j.comparison_id: j for j in judged(TASK, "simulated:exact", asked, seed + 100)}
    truth, said = of_first(list(exact.values())), of_first(weak)
    before = reward_of(asked, weak, seed)
    by_model = said_by(before, answered)
    answers = [Answered(name, None, p, float(by_model[name])) for name, p in said.items()]
    sample = draw(answers, AUDITED, "simulated:weak", seed)
    drawn = [one.comparison_id for one in sample.drawn]
    audit = count(sample, {(name, None): truth.get(name, 0.5) for name in drawn})

    def overruled(names: Sequence[str]) -> list[Judgment]:
        his = [replace(exact[name], judge_id=AUDITOR) for name in names]
        return as_people_say([*weak, *his], [AUDITOR])

    by_chance = np.random.default_rng(seed).choice(list(said), AUDITED, replace=False).tolist()
    after = reward_of(asked, overruled(drawn), seed)
    alone = [replace(exact[name], judge_id=AUDITOR) for name in drawn]
    models = {
        "before": before,
        "after": after,
        "without strata": reward_of(asked, overruled(by_chance), seed),
        "auditor alone": reward_of(asked, alone, seed),
        **{f"weight {w}": reward_of(asked, overruled(drawn), seed, {AUDITOR: w}) for w in WEIGHTS},
    }
    row: dict[str, Any] = {
        "decided": {
            name: round(right(said_by(model, others), truth), 3) for name, model in models.items()
        },
        "judge_is_right": round(right(said, truth), 3),
        "audit_says": [round(value, 3) for value in (audit.accuracy or 0.0, *audit.interval)],
    }
    if with_policies:
        row["return"] = {
            name: round(learned_return(TASK, models[name], seed), 1) for name in ("before", "after")
        }
    print(f"seed {seed} (simulated judge and auditor): {row}", flush=True)
    return row


def coverage() -> tuple[float, dict[str, Any]]:
    """How often the interval holds the truth, in the design where it does so least often.

    The judge errs twice to four times as often where it is unsure or the reward model disagrees.
    """
    rng, found = np.random.default_rng(0), {}
    for answers, drawn, errs in DESIGNS:
        held, off, naive = 0, [], []
        for seed in range(SAMPLES):
            sure, agrees = rng.random(answers) < 0.5, rng.random(answers) < 0.8
            confirmed = rng.random(answers) >= errs * (1 + ~sure + 2 * ~agrees)
            known = [
                Answered(str(n), None, 1.0 if sure[n] else 0.7, 0.9 if agrees[n] else 0.1)
                for n in range(answers)
            ]
            sample = draw(known, drawn, "", seed)
            said: dict[Question, float | None] = {
                (one.comparison_id, None): float(confirmed[int(one.comparison_id)])
                for one in sample.drawn
            }
            audit, truth = count(sample, said), float(confirmed.mean())
            held += audit.interval[0] <= truth <= audit.interval[1]
            off.append((audit.accuracy or 0.0) - truth)
            drawn_right = [confirmed[int(one.comparison_id)] for one in sample.drawn]
            naive.append(float(np.mean(drawn_right)) - truth)
        found[f"{drawn} of {answers}, errors from {errs:.0%} on"] = {
            "held": round(held / SAMPLES, 3),
            "off_on_average": round(float(np.mean(off)), 3),
            "share_of_the_drawn_off": round(float(np.mean(naive)), 3),
        }
    return min(row["held"] for row in found.values()), found


def gain(rows: Sequence[Mapping[str, Any]], what: str) -> tuple[float, tuple[float, float]]:
    """After less before: the mean over the seeds, and its 95% interval."""
    gains = np.array([row[what]["after"] - row[what]["before"] for row in rows])
    half = stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains))
    mean = float(gains.mean())
    return round(mean, 3), (round(mean - half, 3), round(mean + half, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three seeds, no policies")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    enable_cache()
    least, designs = coverage()
    claim(
        "an audit's 95% interval holds the truth (simulated; the design in which it does least)",
        least,
        f"of {SAMPLES} samples",
        f">= {COVERS}",
        least >= COVERS,
        designs=designs,
    )
    seeds = 3 if options.quick else options.seeds
    rows = [measure(seed, not options.quick) for seed in range(seeds)]
    held = sum(
        row["audit_says"][1] <= row["judge_is_right"] <= row["audit_says"][2] for row in rows
    )
    claim(
        "an audit's interval holds the judge's accuracy (simulated)",
        held,
        f"of {seeds} seeds",
        f">= {seeds - 1}",
        held >= seeds - 1,
    )
    decided, interval = gain(rows, "decided")
    more: dict[str, Any] = {"interval": interval, "seeds": rows}
    holds = interval[0] > 0
    if not options.quick:
        more["return_gain"], more["return_interval"] = gain(rows, "return")
        holds = holds and more["return_interval"][0] > 0
    claim(
        f"{AUDITED} of {ANSWERS} answers of a weak judge audited make a better run (simulated)",
        decided,
        "more of other pairs decided as the truth does",
        "interval above 0" + ("" if options.quick else ", that of the true return, too"),
        holds,
        **more,
    )


if __name__ == "__main__":
    run_benchmark(main)
