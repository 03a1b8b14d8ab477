"""Sessions, checkpoints and files: whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from volition.errors import RunError
from volition.run.run import Run
from volition.run.sessions import session_seeds, session_steps
from volition.storage.tensors import load_tree, read_description, save_tree


@pytest.mark.parametrize(
    ("episode_limit", "steps"), [(200, 200), (150, 300), (1000, 1000), (5000, 1000), (None, 1000)]
)
def test_a_session_holds_whole_episodes_where_they_are_short(
    episode_limit: int | None, steps: int
) -> None:
    assert session_steps(episode_limit) == steps


def test_every_session_of_every_run_starts_elsewhere() -> None:
    seeds = [session_seeds(seed, number) for seed in range(20) for number in range(20)]
    assert len({first for first, _ in seeds}) == 400
    assert session_seeds(3, 4)[1] == session_seeds(3, 5)[0]


def test_learning_curves_are_those_of_the_episodes(run: Run) -> None:
    history = run.history
    assert [session.env_steps for session in history] == [800, 1600]
    assert all(-2000 < session.true_return < 0 for session in history)


def test_a_tree_survives_the_disk_or_is_refused(tmp_path: Path) -> None:
    tree: dict[str, Any] = {
        "a": (jnp.arange(3), jnp.ones((2, 2), jnp.float32)),
        "b": jnp.array(True),
    }
    path = tmp_path / "tree.safetensors"
    save_tree(path, tree, {"said": "x"})
    back = load_tree(path, tree)
    assert back["b"].dtype == np.bool_
    np.testing.assert_array_equal(back["a"][1], tree["a"][1])
    assert read_description(path) == {"said": "x"}
    with pytest.raises(RunError, match=r"a\.0 is of shape \(3,\), and must be of shape \(4,\)"):
        load_tree(path, {"a": (jnp.arange(4),)})
    with pytest.raises(RunError, match="c is missing"):
        load_tree(path, {"c": jnp.arange(3)})
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(RunError, match="cannot be read"):
        read_description(path)
    assert [p.name for p in tmp_path.iterdir()] == ["tree.safetensors"]
