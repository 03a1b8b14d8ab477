"""The reward model: it recovers a known ranking, and its held-out answers are held out."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from conftest import clip, segment
from volition.errors import InputError, RunError
from volition.judgment import Preference
from volition.reward.fit import BLOCK, CLIP_STEPS, fit, preferred_logits, score
from volition.reward.model import RewardModel
from volition.reward.preferences import AnswerData, PreferenceData, Proportion
from volition.tasks.task import RewardSection, Symmetry

BOTH = RewardSection(observations=(0, 1))
MIRROR = RewardSection(observations=(0, 1), symmetries=(Symmetry(name="mirror", negate=(1,)),))


def scripted(count: int, seed: int = 0, flipped: float = 0.0) -> PreferenceData:
    """A judge that prefers the larger cosine, of observations (cos, sin, noise)."""
    rng = np.random.default_rng(seed)
    angles = rng.uniform(-np.pi, np.pi, (count, 2))
    noise = rng.normal(size=angles.shape)
    observations = np.stack([np.cos(angles), np.sin(angles), noise], -1)[:, :, None]
    prefers_first = (observations[:, 0, 0, 0] > observations[:, 1, 0, 0]) ^ (
        rng.random(count) < flipped
    )
    return PreferenceData(
        observations.astype(np.float32),
        prefers_first.astype(np.float32),
        np.ones(count, np.float32),
    )


def circle(count: int = 180) -> tuple[np.ndarray, jnp.ndarray]:
    angles = np.linspace(-np.pi, np.pi, count, endpoint=False)
    return angles, jnp.asarray(np.stack([np.cos(angles), np.sin(angles), 0 * angles], -1))


def test_a_known_ranking_is_recovered_from_a_hundred_answers() -> None:
    fitted = fit(scripted(100), BOTH, symmetric=False, seed=0)
    angles, observations = circle()
    rewards = np.asarray(fitted.model(observations))
    assert abs(np.degrees(angles[rewards.argmax()])) <= 10
    assert np.corrcoef(np.cos(angles).argsort().argsort(), rewards.argsort().argsort())[0, 1] > 0.98
    assert fitted.heldout.share > 0.93
    assert fitted.heldout.trials == 100
    assert score(fitted.model, scripted(300, seed=1)).share > 0.95


def test_a_fit_compiles_four_programs(tmp_path: Path) -> None:
    """And none to move arrays to the device, or to take one model of many: so it was 40."""
    compiled: list[str] = []

    def count(event: str, duration_secs: float, **kwargs: str | int) -> None:
        compiled.extend([event] * event.endswith("backend_compile_duration"))

    rng = np.random.default_rng(0)
    seen = rng.normal(size=(40, 2, 1, 9)).astype(np.float32)  # a shape that no other test has
    data = PreferenceData(
        seen, (seen[:, 0, 0, 0] > seen[:, 1, 0, 0]).astype(np.float32), np.ones(40, np.float32)
    )
    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        model = fit(data, RewardSection(), symmetric=False, seed=0).model
        model.save(tmp_path / "model")
        RewardModel.load(tmp_path / "model").capped_by([None])
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    assert len(compiled) == 4


def test_more_noise_chooses_more_weight_decay() -> None:
    clean = fit(scripted(200), BOTH, symmetric=False, seed=0)
    noisy = fit(scripted(200, flipped=0.3), BOTH, symmetric=False, seed=0)
    assert noisy.strength > clean.strength
    assert score(noisy.model, scripted(300, seed=1)).share > 0.9


def test_random_answers_are_not_learned() -> None:
    fitted = fit(scripted(200, flipped=0.5), BOTH, symmetric=False, seed=0)
    low, high = fitted.heldout.interval
    assert low < 0.5 < high or fitted.heldout.share < 0.6


def test_a_declared_symmetry_holds() -> None:
    _, observations = circle()
    mirrored = observations * jnp.array([1.0, -1.0, 1.0])
    asymmetry = {}
    for symmetric in (False, True):
        model = fit(scripted(40), MIRROR, symmetric=symmetric, seed=0).model
        asymmetry[symmetric] = float(jnp.abs(model(observations) - model(mirrored)).mean())
    assert asymmetry[True] < 0.5 * asymmetry[False]


def test_the_reward_model_sees_only_what_it_is_given() -> None:
    model = fit(scripted(40), BOTH, symmetric=False, seed=0).model
    _, observations = circle()
    changed = observations.at[:, 2].set(100.0)
    np.testing.assert_array_equal(model(observations), model(changed))


@pytest.mark.parametrize("constant", [0.0, 3.0, 1e6])
def test_what_never_varied_in_what_was_judged_has_no_influence(constant: float) -> None:
    data = scripted(60)
    data.observations[..., 2] = constant
    fitted = fit(data, RewardSection(), symmetric=False, seed=0)
    _, observations = circle()
    there = fitted.model(observations.at[:, 2].set(constant))
    assert np.std(there) > 0.3
    moved = fitted.model(observations.at[:, 2].set(constant + np.linspace(-100, 100, 180)))
    np.testing.assert_allclose(moved, there, atol=1e-5)


def test_an_entry_that_is_not_taken_has_no_influence() -> None:
    data = scripted(60)
    data.observations[..., 2] = np.random.default_rng(1).normal(size=data.observations.shape[:3])
    model = fit(data, RewardSection(), symmetric=False, seed=0, taken=(0, 1)).model
    assert model.inputs == (0, 1, 2)
    assert model.entries == (0, 1)
    _, observations = circle()
    np.testing.assert_array_equal(model(observations), model(observations.at[:, 2].set(100.0)))


def test_numbers_of_any_size_are_standardised() -> None:
    data = scripted(60)
    data.observations[..., 0] *= 1e30
    data.observations[..., 2] *= 1e-4
    fitted = fit(data, BOTH, symmetric=False, seed=0)
    assert fitted.heldout.share > 0.9


def test_normalised_rewards_have_zero_mean_and_unit_scale() -> None:
    data = scripted(40)
    model = fit(data, BOTH, symmetric=False, seed=0).model
    seen = np.random.default_rng(0).normal(size=(1024, 3)).astype(np.float32)
    rewards = np.asarray(model.normalised(seen)(jnp.asarray(seen)))
    assert rewards.mean() == pytest.approx(0, abs=1e-3)
    assert rewards.std() == pytest.approx(1, abs=1e-3)


def test_doubt_lowers_the_reward() -> None:
    model = fit(scripted(40), BOTH, symmetric=False, seed=0).model
    _, observations = circle()
    values = np.asarray(model.members(observations))
    assert (np.asarray(model.cautious(observations)) < values.mean(0)).all()


def test_ties_pull_together() -> None:
    data = scripted(100)
    softened = data._replace(p_first=np.where(data.p_first > 0.5, 0.6, 0.4).astype(np.float32))
    sure, unsure = (fit(d, BOTH, symmetric=False, seed=0).model for d in (data, softened))
    spread = [np.abs(preferred_logits(m, data.observations)).mean() for m in (sure, unsure)]
    assert spread[1] < 0.25 * spread[0]


def test_the_same_seed_gives_the_same_model_bit_for_bit() -> None:
    one, other = (fit(scripted(30), BOTH, symmetric=False, seed=7).model for _ in range(2))
    _, observations = circle()
    np.testing.assert_array_equal(one(observations), other(observations))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_very_few_answers_still_give_a_model(count: int) -> None:
    fitted = fit(scripted(count), BOTH, symmetric=False, seed=0)
    assert np.isfinite(np.asarray(fitted.model(circle()[1]))).all()


def test_nothing_to_learn_is_said() -> None:
    ties = scripted(10)._replace(p_first=np.full(10, 0.5, np.float32))
    with pytest.raises(InputError, match="none of the 10 comparisons prefers one side"):
        fit(ties, BOTH, symmetric=False, seed=0)
    with pytest.raises(InputError, match="nothing to learn"):
        PreferenceData.gather({}, [])


def test_an_entry_that_does_not_exist_is_named() -> None:
    with pytest.raises(InputError, match=r"reward.observations names the observation entry 3"):
        fit(scripted(10), RewardSection(observations=(3,)), symmetric=False, seed=0)
    section = RewardSection(symmetries=(Symmetry(name="m", negate=(5,)),))
    with pytest.raises(InputError, match=r"reward.symmetries names the observation entry 5"):
        fit(scripted(10), section, symmetric=True, seed=0)


@pytest.mark.parametrize("shape", [(3,), (24, 24, 3)])
def test_a_model_that_knows_nothing_gives_finite_rewards(shape: tuple[int, ...]) -> None:
    inputs, picture = (tuple(range(3)), ()) if len(shape) == 1 else ((), shape)
    rewards = RewardModel.unfitted(inputs, picture)(jnp.ones((4, *shape)))
    assert rewards.shape == (4,)
    assert np.isfinite(rewards).all()


def test_a_saved_model_is_the_same_model(tmp_path: Path) -> None:
    model = fit(scripted(30), BOTH, symmetric=False, seed=0).model
    model.save(tmp_path)
    _, observations = circle()
    np.testing.assert_array_equal(RewardModel.load(tmp_path)(observations), model(observations))
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(RunError, match="cannot be read"):
        RewardModel.load(tmp_path)


def test_wilson_interval() -> None:
    # Wilson (1927); the values of R's binom::binom.wilson
    assert Proportion(81, 263).interval == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert Proportion(10, 10).interval[1] == pytest.approx(1.0)
    assert Proportion(0, 0).interval == (0.0, 1.0)


# Judges ------------------------------------------------------------------------------------------


def answered(
    count: int, *biases: float, seed: int = 0, slope: float = 12.0, twice: bool = False
) -> PreferenceData:
    """Judges, each of that bias to what is shown first, of the height of (cos, sin, 0)."""
    rng = np.random.default_rng(seed)
    angles = rng.uniform(-np.pi, np.pi, (count, 2))
    observations = np.stack([np.cos(angles), np.sin(angles), 0 * angles], -1)[:, :, None]
    comparison = np.tile(np.arange(count), 1 + twice)
    judge = rng.integers(len(biases), size=len(comparison))
    sign = rng.choice([-1.0, 1.0], len(comparison))
    gap = slope * (np.cos(angles[:, 0]) - np.cos(angles[:, 1]))[comparison] / 2
    logits = gap + np.array(biases)[judge] * sign
    first = (rng.random(len(comparison)) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    said = AnswerData(
        comparison.astype(np.int32),
        judge.astype(np.int32),
        sign.astype(np.float32),
        first,
        np.ones(len(comparison), np.float32),
        np.zeros(len(comparison), np.int32),
    )
    p_first = np.bincount(comparison, first) / np.bincount(comparison)
    return PreferenceData(
        observations.astype(np.float32),
        p_first.astype(np.float32),
        np.bincount(comparison).astype(np.float32),
        said,
        tuple(map(str, range(len(biases)))),
    )


@pytest.mark.parametrize("bias", [-2.0, 0.0, 2.0])
def test_a_bias_to_what_is_shown_first_is_found_and_does_not_spoil_the_reward(bias: float) -> None:
    fitted = fit(answered(300, bias), BOTH, symmetric=False, seed=0)
    assert fitted.judges["0"].bias == pytest.approx(bias, abs=0.8)
    assert fitted.judges["0"].slope == 1.0
    assert score(fitted.model, scripted(500, seed=1)).share > 0.96


def test_each_judge_has_a_bias_and_a_slope_of_its_own() -> None:
    sure, noise = answered(400, 2.0, -2.0), answered(400, 0.0, seed=1, slope=0.0)
    first, second = sure.answer_data(), noise.answer_data()
    both = PreferenceData(
        np.concatenate([sure.observations, noise.observations]),
        np.concatenate([sure.p_first, noise.p_first]),
        np.concatenate([sure.weight, noise.weight]),
        AnswerData(
            np.concatenate([first.comparison, second.comparison + 400]),
            np.concatenate([first.judge, second.judge + 2]),
            *(np.concatenate(columns) for columns in zip(first[2:], second[2:], strict=True)),
        ),
        ("a", "b", "noise"),
    )
    fitted = fit(both, BOTH, symmetric=False, seed=0)
    assert fitted.judges["a"].bias > 1.2
    assert fitted.judges["b"].bias < -1.2
    assert abs(fitted.judges["noise"].bias) < 0.5
    assert fitted.judges["noise"].slope < 0.5 * min(fitted.judges[n].slope for n in "ab")
    assert score(fitted.model, scripted(500, seed=2)).share > 0.96


def test_a_comparison_asked_twice_is_held_out_as_one() -> None:
    fitted = fit(answered(60, 0.0, twice=True), BOTH, symmetric=False, seed=0)
    assert fitted.heldout.trials <= 60
    assert fitted.unseen.shape == (60,)


def test_held_out_answers_are_as_probable_as_said() -> None:
    for slope in (2.0, 12.0):
        calibration = fit(
            answered(600, 1.0, slope=slope), BOTH, symmetric=False, seed=0
        ).calibration
        assert calibration.error < 0.06
        assert sum(bin.judgments for bin in calibration.bins) == 600


def test_the_temperature_changes_no_order() -> None:
    model = fit(scripted(60), BOTH, symmetric=False, seed=0).model
    _, observations = circle()
    surer = model.scaled(3.0)
    np.testing.assert_allclose(
        surer.members(observations), 3 * model.members(observations), rtol=1e-4
    )


def swings(count: int, steps: int, seed: int = 0) -> PreferenceData:
    """A judge that prefers the clip whose cosine is larger on average, of a rod that turns."""
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform(-np.pi, np.pi, (count, 2, 1)), rng.normal(0, 0.08, (count, 2, 1))
    angles = start + speed * np.arange(steps)
    observations = np.stack([np.cos(angles), np.sin(angles), np.repeat(speed, steps, -1)], -1)
    higher = observations[..., 0].mean(-1)
    return PreferenceData(
        observations.astype(np.float32),
        (higher[:, 0] > higher[:, 1]).astype(np.float32),
        np.ones(count, np.float32),
    )


@pytest.mark.parametrize("steps", [2, CLIP_STEPS, 30])
def test_what_clips_say_of_single_states_is_learned(steps: int) -> None:
    fitted = fit(swings(150, steps), BOTH, symmetric=False, seed=0)
    assert fitted.heldout.share > 0.9
    assert score(fitted.model, swings(300, steps, seed=1)).share > 0.93
    angles, observations = circle()
    assert abs(np.degrees(angles[np.asarray(fitted.model(observations)).argmax()])) <= 15
    assert np.corrcoef(np.cos(angles), fitted.model(observations))[0, 1] > 0.95


def test_a_symmetry_reflects_every_step_of_a_clip() -> None:
    section = RewardSection(symmetries=(Symmetry(name="mirror", negate=(1, 2)),))
    model = fit(swings(60, 20), section, symmetric=True, seed=0).model
    data = swings(40, 20, seed=2)
    mirrored = data.observations * np.array([1, -1, -1], np.float32)
    said, turned = (preferred_logits(model, each) for each in (data.observations, mirrored))
    assert np.abs(said - turned).mean() < 0.3 * np.abs(said).mean()


def test_many_clips_are_looked_at_in_blocks_and_say_the_same() -> None:
    model = fit(swings(60, 30), BOTH, symmetric=False, seed=0).model
    data = swings(BLOCK // 30 + 7, 30, seed=3)
    whole = preferred_logits(model, data.observations)
    alone = [preferred_logits(model, data.observations[row : row + 40]) for row in (0, 100, 220)]
    for row, logits in zip((0, 100, 220), alone, strict=True):
        np.testing.assert_allclose(whole[row : row + 40], logits, atol=1e-4)


def test_clips_and_states_are_not_compared_together() -> None:
    observed = {
        "clips": (clip(1).observations, clip(2).observations),
        "states": (segment(1).observations, segment(2).observations),
    }
    preferences = [Preference(name, 1.0, 1.0) for name in observed]
    with pytest.raises(InputError, match=r"differ in shape: \[\(1, 1\), \(5, 1\)\]"):
        PreferenceData.gather(observed, preferences)
