"""Models are exported with their cards, and what was exported is pushed as it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from servers.hub import Hub, serving
from volition import cli
from volition.errors import InputError, RunError
from volition.integrations.hugging_face.hub import push
from volition.integrations.hugging_face.model import export_model
from volition.judges.settings import JudgeSettings
from volition.run.folder import RunFolder
from volition.run.run import Run
from volition.tasks.given import Given

# The hub's library uploads by its HTTP client in a way that this calls old.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A finished run; a copy, since whoever opens an older store brings it to the newest form."""
    return Path(shutil.copytree(FIXTURES / "recorded-0.1", tmp_path / "recorded"))


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """An unfinished run, whose judge is simulated."""
    return Path(shutil.copytree(FIXTURES / "live-0.1", tmp_path / "live"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A stand-in on loopback, to which the library's own client speaks."""
    constants = import_module("huggingface_hub.constants")
    with serving() as standing:
        monkeypatch.setattr(
            constants, "HF_HUB_DISABLE_XET", True
        )  # which has a protocol of its own
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_ENDPOINT", standing.url)
        monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
        yield standing


def contents(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_dataset_is_pushed_as_it_is(
    tmp_path: Path, live: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cli.main(["export", str(live), "--out", str(out)]) == 0
    assert cli.main(["push", str(out), "owner/name", "--dry-run"]) == 0
    assert not hub.repositories
    assert cli.main(["push", str(out), "owner/name", "--private"]) == 0
    said = capsys.readouterr().out
    assert f"dataset: {len(contents(out))} files" in said
    assert f"{hub.url}/datasets/owner/name" in said
    (made,) = hub.repositories
    assert (made["type"], made["organization"], made["visibility"]) == (
        "dataset",
        "owner",
        "private",
    )
    assert hub.files == contents(out)
    assert hub.objects, "pictures and tables are kept apart"
    assert hub.tokens == {"Bearer hf_of_nobody"}


def test_what_is_refused_is_said_in_a_line(
    tmp_path: Path, recorded: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    export_model(RunFolder.open(recorded), out)
    hub.refuses = 403
    assert cli.main(["push", str(out), "owner/name"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"owner/name cannot be pushed to {hub.url}: " in line
    with pytest.raises(InputError, match="a name that is none"):
        push(out, "a name that is none", private=False)
    assert not hub.files


def test_what_is_to_be_private_is_not_put_where_everybody_sees_it(
    recorded: Path, tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    export_model(RunFolder.open(recorded), out)
    hub.private = False
    with pytest.raises(RunError, match="owner/name is there already, and everybody can see it"):
        push(out, "owner/name", private=True)
    assert not hub.files
    push(out, "owner/name", private=False)
    assert "visibility" not in hub.repositories[-1], "as its owner has it"
    monkeypatch.setattr(import_module("huggingface_hub"), "get_token", lambda: None)
    with pytest.raises(InputError, match=r"nobody is logged in to .*: run `hf auth login`"):
        push(out, "owner/name", private=False)


def test_what_is_no_export_is_not_pushed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no export of judgments or of a model"):
        push(FIXTURES, "owner/name", private=False)


def test_a_model_can_be_opened_where_it_is_taken(
    tmp_path: Path, recorded: Path, live: Path
) -> None:
    run = RunFolder.open(recorded)
    out = tmp_path / "out"
    files = {path.relative_to(out).as_posix() for path in export_model(run, out)}
    assert files == contents(out).keys()
    assert {"README.md", "policy/policy.safetensors", "reward_model/model.safetensors"} <= files
    taken, own = Run.open(out), Run.open(recorded)
    states = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_array_equal(taken.policy(states), own.policy(states))
    np.testing.assert_array_equal(taken.reward_model(states), own.reward_model(states))
    card = (out / "README.md").read_text()
    result = own.result
    assert f"{result.return_mean:.2f} ± {result.return_std:.2f} over 100 episodes" in card
    assert f"{result.heldout_accuracy:.1%}" in card
    assert run.task.goal.text.split(":")[0] in card
    with pytest.raises(RunError, match="is there already"):
        export_model(run, out)
    with pytest.raises(RunError, match="unfinished"):
        export_model(RunFolder.open(live), tmp_path / "unfinished")


def test_a_model_says_nothing_of_this_machine(tmp_path: Path, recorded: Path) -> None:
    run = RunFolder.open(recorded)
    home = str(tmp_path / "of somebody")
    settings = replace(
        run.settings,
        judgments=f"{home}/judgments",
        given=Given(task=f"{home}/task", reuse=f"{home}/other"),
        live=JudgeSettings("openai:m", base_url="http://10.0.0.7:8000/v1"),
        tracked_as="f00d",
        track=("wandb",),
    )
    environment = run.task.environment.model_copy(update={"home": home})
    task = run.task.model_copy(update={"environment": environment})
    export_model(replace(run, settings=settings, task=task), tmp_path / "out")
    for name, content in contents(tmp_path / "out").items():
        for secret in (home, "10.0.0.7", "f00d", str(recorded)):
            assert secret.encode() not in content, (name, secret)


def test_the_hub_reads_the_cards(tmp_path: Path, recorded: Path, live: Path) -> None:
    library = import_module("huggingface_hub")
    export_model(RunFolder.open(recorded), tmp_path / "model")
    card = library.ModelCard.load(tmp_path / "model" / "README.md")
    (result,) = card.data.eval_results
    own = Run.open(recorded).result
    assert result.metric_value == f"{own.return_mean:.2f} +/- {own.return_std:.2f}"
    assert (result.dataset_name, card.data.library_name) == ("Pendulum-v1", "volition")
    assert cli.main(["export", str(live), "--out", str(tmp_path / "data")]) == 0
    data = library.DatasetCard.load(tmp_path / "data" / "README.md").data
    assert [config["config_name"] for config in data.configs] == ["judgments", "preferences"]
    assert "simulated-judge" in data.tags
    assert data.size_categories == ["n<1K"]


def test_minari_reads_the_episodes(
    tmp_path: Path,
    recorded: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Rewards are the learned ones; the environment's own return is told beside them."""
    minari = import_module("minari")
    out = tmp_path / "out"
    words = ["--format", "minari", "--episodes", "3", "--seed", "7", "--out", str(out)]
    assert cli.main(["export", str(recorded), *words]) == 0
    assert "pendulum/learned-v0" in capsys.readouterr().out
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(out))
    dataset = minari.load_dataset("pendulum/learned-v0")
    assert (dataset.total_episodes, dataset.total_steps) == (3, 600)
    run = Run.open(recorded)
    env = dataset.recover_environment()
    for number, episode in enumerate(dataset.iterate_episodes()):
        seen, _ = env.reset(seed=7 + number)
        own = [0.0]
        np.testing.assert_array_equal(episode.observations[0], seen)
        for step, action in enumerate(episode.actions):
            seen, reward, *_ = env.step(action)
            own.append(own[-1] + float(reward))
            np.testing.assert_array_equal(episode.observations[step + 1], seen)
        learned = np.asarray(run.reward_model(episode.observations[1:]))
        np.testing.assert_allclose(episode.rewards, learned, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(episode.infos["true_return"][:, 0], own)
        assert episode.truncations[-1]
        assert not episode.terminations.any()
    env.close()
