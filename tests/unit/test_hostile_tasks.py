"""What no task can be is refused before anything is begun: in one line that names file and key."""

from __future__ import annotations

import re
import struct
import sys
import zlib
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from PIL import Image

from volition import cli
from volition.envs.making import make_env
from volition.errors import InputError
from volition.goal import Goal
from volition.run.creating import task_for
from volition.run.run import Run
from volition.tasks.numbers import COUNTS, check_counts
from volition.tasks.task import Task
from volition.tasks.view import JudgeView

HEAD = 'name = "mine"\n[environment]\nid = "Pendulum-v1"\n'
GOAL = '[goal]\ntext = "upright"\n'
GOOD = HEAD + GOAL
PYTHONS = re.compile(
    r"<class|NoneType|\b(tuple|dict|dictionary|str|bool|int)\b|\w\(\)|Traceback|__"
)


def told(text: str | bytes, folder: Path) -> str:
    """What is said about a task.toml."""
    (folder / "task.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InputError) as error:
        Task.find(str(folder))
    return str(error.value)


TEXTS: dict[str, tuple[str | bytes, str]] = {
    # numbers
    "steps 10^18": (GOOD + f"[training]\nsteps = {10**18}\n", ":7: training.steps: .*100000000 "),
    "steps 2^70": (GOOD + f"[training]\nsteps = {2**70}\n", ":7: training.steps: 118.*64 bits"),
    "steps 2^63": (GOOD + f"[training]\nsteps = {2**63}\n", "training.steps: 92.* too large"),
    "5,000 digits": (GOOD + "[training]\nsteps = " + "9" * 5000, ":7: a number of 5,000 digits"),
    "9,000 hex digits": (GOOD + "[training]\nsteps = 0x" + "f" * 9000, "steps: a number of some"),
    "steps of text": (GOOD + '[training]\nsteps = "400"\n', "steps: .*whole number .*'400'"),
    "steps of a float": (GOOD + "[training]\nsteps = 400.0\n", "steps: .*whole number .*400.0"),
    "steps true": (GOOD + "[training]\nsteps = true\n", "steps: .*whole number .it is true"),
    "steps in an array": (GOOD + "[training]\nsteps = [400]\n", "steps: .*it is an array of 1"),
    "steps 0": (GOOD + "[training]\nsteps = 0\n", "steps: Input should be greater"),
    "steps -5": (GOOD + "[training]\nsteps = -5\n", "steps: Input should be greater .*-5"),
    "steps nan": (GOOD + "[training]\nsteps = nan\n", "steps: nan is not a finite number"),
    "gamma of text": (GOOD + '[training]\ngamma = "0.9"\n', "gamma: .*should be a number .*'0.9'"),
    "gamma true": (GOOD + "[training]\ngamma = true\n", "gamma: .*should be a number .*true"),
    "gamma 1": (GOOD + "[training]\ngamma = 1\n", "gamma: Input should be less than 1 .it is 1"),
    "gamma 1.0": (GOOD + "[training]\ngamma = 1.0\n", "gamma: Input should be less than 1"),
    "gamma -0.5": (GOOD + "[training]\ngamma = -0.5\n", "gamma: Input should be greater than 0"),
    "gamma 0": (GOOD + "[training]\ngamma = 0\n", "gamma: Input should be greater than 0"),
    "gamma nan": (GOOD + "[training]\ngamma = nan\n", ":7: training.gamma: nan is not a finite"),
    "gamma inf": (GOOD + "[training]\ngamma = inf\n", "gamma: inf is not a finite number"),
    "judgments 0": (GOOD + "[training]\nmax_judgments = 0\n", "max_judgments: Input should be gr"),
    "judgments 10^9": (
        GOOD + "[training]\nmax_judgments = 1000000000\n",
        "max_judgments: .* 100000",
    ),
    "first 10^9": (GOOD + "[training]\nfirst_judgments = 1000000000\n", "first_judgments: Input"),
    # what the judge is shown
    "crop of nothing": (GOOD + "[view]\ncrop = [0.5, 0.5, 0.5, 0.5]\n", "view: crop is left, top"),
    "crop turned": (GOOD + "[view]\ncrop = [1, 1, 0, 0]\n", "view: crop is left, top"),
    "crop outside": (GOOD + "[view]\ncrop = [0, 0, 2, 1]\n", "crop.2: Input should be less .*2"),
    "crop negative": (GOOD + "[view]\ncrop = [-0.1, 0, 1, 1]\n", "crop.0: Input should be greater"),
    "crop nan": (GOOD + "[view]\ncrop = [nan, 0, 1, 1]\n", "crop.0: nan is not a finite"),
    "crop of three": (GOOD + "[view]\ncrop = [0, 0, 1]\n", "crop.3: Field required"),
    "crop of five": (GOOD + "[view]\ncrop = [0, 0, 1, 1, 1]\n", "crop: it must hold at most 4"),
    "crop of text": (GOOD + '[view]\ncrop = ["0", 0, 1, 1]\n', "crop.0: .*should be a number"),
    "size huge": (GOOD + "[view]\nsize = [1000000, 1000000]\n", "size.0: Input should be less"),
    "size 4096": (GOOD + "[view]\nsize = [4096, 4096]\n", "size.0: Input should be less"),
    "size too many": (GOOD + "[view]\nsize = [2048, 2048]\n", "view: size is 2048 x 2048: a frame"),
    "size 0": (GOOD + "[view]\nsize = [0, 0]\n", "size.0: Input should be greater"),
    "size of floats": (GOOD + "[view]\nsize = [64.0, 64.0]\n", "size.0: .*whole number"),
    "size alone": (GOOD + "[view]\nsize = 64\n", "size: Input should be an array .it is 64"),
    "overlay of text": (GOOD + '[view]\noverlay = "yes"\n', "overlay: .*true or false .*'yes'"),
    "overlay 1": (GOOD + "[view]\noverlay = 1\n", "overlay: .*true or false"),
    "clip huge": (GOOD + "[view]\nclip = { steps = 100000, frames = 4 }\n", "clip.steps: Input"),
    "clip of text": (GOOD + '[view]\nclip = "4"\n', "clip: Input should be a table .it is '4'"),
    # keyword arguments
    "kwargs nan": (HEAD + "kwargs = { g = nan }\n" + GOAL, ":4: environment.kwargs.g: nan is not"),
    "kwargs inf": (HEAD + "kwargs = { g = -inf }\n" + GOAL, "environment.kwargs.g: -inf is not"),
    "kwargs a date": (HEAD + "kwargs = { g = 2020-01-01 }\n" + GOAL, "kwargs.g: 2020-01-01 is a d"),
    "kwargs a time": (HEAD + "kwargs = { g = 10:20:30 }\n" + GOAL, "kwargs.g: 10:20:30 is a date"),
    "kwargs nan inside": (HEAD + "kwargs = { a = [[1, nan]] }\n" + GOAL, "kwargs.a.0.1: nan is no"),
    "kwargs 2^64": (HEAD + f"kwargs = {{ g = {2**64} }}\n" + GOAL, "kwargs.g: 18.* too large"),
    "kwargs of text": (HEAD + 'kwargs = "g=1"\n' + GOAL, "kwargs: Input should be a table"),
    "kwargs an array": (HEAD + "kwargs = [1]\n" + GOAL, "kwargs: .*a table .it is an array of 1"),
    "3,000 arrays": (HEAD + f"kwargs = {{ a = {'[' * 3000}{']' * 3000} }}\n" + GOAL, ":4: it is n"),
    "3,000 tables": (
        HEAD + f"kwargs.{'a.' * 3000}b = 1\n" + GOAL,
        "it is nested more than 16 deep",
    ),
    "20 arrays": (HEAD + f"kwargs = {{ a = {'[' * 20}{']' * 20} }}\n" + GOAL, ":4: .*more than 16"),
    # the environment
    "id a number": (
        GOOD.replace('"Pendulum-v1"', "3"),
        "environment.id: .*text in quotes .it is 3",
    ),
    "id empty": (GOOD.replace("Pendulum-v1", ""), "environment.id: String should have at least 1"),
    "id of words": (GOOD.replace("Pendulum-v1", "a pendulum"), "environment.id: String should mat"),
    "id too long": (GOOD.replace("Pendulum-v1", "P" * 999), "environment.id: .*at most 200"),
    "id missing": ('name = "m"\n[environment]\n' + GOAL, "environment.id: Field required"),
    "environment of text": (
        'name = "m"\nenvironment = "Pendulum-v1"\n' + GOAL,
        "should be a table",
    ),
    "no environment": ('name = "m"\n' + GOAL, "environment: Field required"),
    # the goal
    "goal empty": (HEAD + '[goal]\ntext = ""\n', ":5: goal.text: "),
    "goal blank": (HEAD + '[goal]\ntext = " \\t "\n', ":5: goal.text: a goal needs words"),
    "goal a number": (HEAD + "[goal]\ntext = 3\n", "goal.text: .*text in quotes .it is 3"),
    "goal an array": (HEAD + '[goal]\ntext = ["a"]\n', "goal.text: .*it is an array of 1"),
    "goal of text": (HEAD.replace("[", 'goal = "x"\n[', 1), "goal: Input should be a table"),
    "no goal": (HEAD, "goal: Field required"),
    "goal with a null": (HEAD + '[goal]\ntext = "a\\u0000"\n', "goal.text: .*character U.0000"),
    "goal with escapes": (HEAD + '[goal]\ntext = "\\u001b[2J"\n', "goal.text: .*character U.001B"),
    "pictures of text": (GOOD + 'images = "a.png"\n', "goal.images: .*should be an array"),
    "picture missing": (GOOD + 'images = ["a.png"]\n', ":6: the goal picture a.png is missing"),
    "picture a folder": (GOOD + 'images = ["."]\n', "the goal picture . is missing"),
    "picture a text": (GOOD + 'images = ["task.toml"]\n', ":6: .*task.toml is not a picture"),
    "picture's null": (GOOD + 'images = ["\\u0000"]\n', "goal.images.0: .*character U.0000"),
    "picture's number": (GOOD + "images = [3]\n", "goal.images.0: .*text in quotes"),
    "goal of 1 MB": (HEAD + f'[goal]\ntext = "{"x" * 1_000_000}"\n', "goal.text: .*20000"),
    "a thousand": (
        GOOD + f"principles = {[f'The {n}th.' for n in range(1000)]}\n",
        ":4: the goal of mine holds 1,000 principles and vetoes, and may hold 100",
    ),
    "principle of 1 MB": (
        GOOD + f'principles = ["{"x" * 1_000_000}"]\n',
        ":4: .* a sentence of 1,000,000 characters, and it may have 4,000",
    ),
    "principle empty": (GOOD + 'principles = [" "]\n', ":4: .*a principle needs words"),
    "principle a veto": (GOOD + 'principles = ["x"]\nvetoes = ["x"]\n', ":4: .*either a principle"),
    "constitution missing": (GOOD + 'constitution = "c.md"\n', ":6: the constitution c.md is miss"),
    "truth unknown": (GOOD + 'truth = "x"\n', "goal.truth: 'x' is none of"),
    # what the reward model sees
    "entries negative": (GOOD + "[reward]\nobservations = [-1]\n", "observations.0: Input should"),
    "entries of text": (
        GOOD + '[reward]\nobservations = ["0"]\n',
        "observations.0: .*whole number",
    ),
    "negated twice": (GOOD + "[reward]\nsymmetries=[{name='m',negate=[0,0]}]\n", "negate: .*twice"),
    "negated nothing": (
        GOOD + "[reward]\nsymmetries=[{name='m',negate=[]}]\n",
        "at least 1, and h",
    ),
    # the file
    "an empty file": ("", "name: Field required"),
    "not TOML": ("name = = 1\n", "is not valid TOML"),
    "a null": (GOOD + "\0", "is not valid TOML"),
    "not UTF-8": (GOOD.encode() + b"# \xff\n", ":6 is not UTF-8 text: save it as UTF-8"),
    "UTF-16": (GOOD.encode("utf-16"), ":1 is not UTF-8 text"),
    "2 MB": (GOOD + "#" * 2**21, "has 2,097,.* bytes: a task.toml has at most 1,048,576"),
    "a key twice": ('name = "a"\n' + GOOD, "is not valid TOML"),
    "unknown keys": (GOOD + "nope = 1\n", ":6: goal.nope: there is no such key; allowed here: te"),
    "unknown section": (GOOD + "[nope]\n", ":6: nope: there is no such key"),
    "a key of two lines": (GOOD + '"a\\nb" = 1\n', r'goal."a\\nb": there is no such key'),
    "what it knows itself": ("is_file = true\n" + GOOD, ":1: is_file: there is no such key"),
    "another's folder": ('folder = "/"\n' + GOOD, ":1: folder: there is no such key"),
    "name empty": (GOOD.replace("mine", ""), "name: String should have at least 1"),
    "name of dots": (GOOD.replace("mine", "../x"), "name: String should match"),
    "name too long": (GOOD.replace("mine", "m" * 300), "name: String should have at most 100"),
    "name a number": (GOOD.replace('"mine"', "1"), "name: .*text in quotes"),
    "goals an array": ('goals = [1]\nname = "m"\n', ":1: goals: it holds a table for each goal"),
    "goals empty": ('name = "m"\n[goals]\n', "default_goal: it is one of"),
    "sets of numbers": (
        GOOD + "[judgments]\ndefault='a'\nsets={a=1}\n",
        "sets.a: .*text in quotes",
    ),
}


@pytest.mark.parametrize(("text", "says"), TEXTS.values(), ids=TEXTS)
def test_what_no_task_can_be_is_refused(tmp_path: Path, text: str | bytes, says: str) -> None:
    message = told(text, tmp_path)
    assert re.search(says, message), message
    first, *others = message.splitlines()
    assert first.startswith(str(tmp_path / "task.toml"))
    assert all(line.startswith(str(tmp_path)) for line in others)
    assert not PYTHONS.search(message.replace(str(tmp_path), "")), message
    assert len(message) < 1000


def test_many_defects_are_counted(tmp_path: Path) -> None:
    message = told(GOOD + "".join(f"key{n} = 1\n" for n in range(500)), tmp_path)
    assert len(message.splitlines()) == 9
    assert message.endswith("and 492 more of such")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert Task.find(str(tmp_path)).name == "mine"


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "task.toml").mkdir()
    with pytest.raises(InputError, match=r"task\.toml is a folder, and must be a file"):
        Task.find(str(tmp_path))


def png(width: int, height: int) -> bytes:
    """A picture that says it is so large, and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


PICTURES = {
    "50,000 x 50,000": (png(50_000, 50_000), "it has 2,500,000,000 pixels, and may have"),
    "12,000 x 12,000": (png(12_000, 12_000), "it is 12000 x 12000, and may have"),
    "0 x 0": (png(0, 0), "is not a picture that can be read"),
    "cut short": (png(64, 64), "is not a picture that can be read"),
    "empty": (b"", "is not a picture that can be read"),
}


@pytest.mark.parametrize(("data", "says"), PICTURES.values(), ids=PICTURES)
def test_a_goal_picture_that_cannot_be_seen_is_refused(
    tmp_path: Path, data: bytes, says: str
) -> None:
    (tmp_path / "goal.png").write_bytes(data)
    message = told(GOOD + 'images = ["goal.png"]\n', tmp_path)
    assert message.startswith(f"{tmp_path / 'task.toml'}:6: the goal picture goal.png: ")
    assert says in message
    assert len(message.splitlines()) == 1


def test_a_goal_picture_that_can_be_seen_is_taken(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "goal.png")
    (tmp_path / "task.toml").write_text(GOOD + 'images = ["goal.png"]\n')
    assert Task.find(str(tmp_path)).goal.images == ("goal.png",)


def test_a_crop_that_holds_no_pixel_is_refused() -> None:
    view = JudgeView(crop=(0.5, 0.5, 0.5001, 0.5001))
    with pytest.raises(InputError, match=r"crop is \[0.5, .* no pixel of a drawing of 100 x 50"):
        view.frame(np.zeros((50, 100, 3), np.uint8))


# The command line ----------------------------------------------------------------------------

COMMANDS = {
    "steps 10^18": (["--steps", str(10**18)], "--steps must be at most 100,000,000, not 1000000"),
    "steps of 5,000 digits": (["--steps", "9" * 5000], "--steps"),
    "steps 0": (["--steps", "0"], "--steps must be at least 1, not 0"),
    "steps 1e3": (["--steps", "1e3"], "'1e3' is not a whole number"),
    "steps None": (["--steps", "None"], "'None' is not a whole number"),
    "seed -1": (["--seed", "-1"], "--seed must not be negative: -1"),
    "seed 2^64": (["--seed", str(2**64)], "--seed must be at most 2,147,483,647"),
    "seed of text": (["--seed", "x"], "'x' is not a whole number"),
    "kwargs nan": (["--kwargs", "g=nan"], "--kwargs g: nan is not a finite number"),
    "kwargs -inf": (["--kwargs", "g=-inf"], "--kwargs g: -inf is not a finite number"),
    "kwargs 2^70": (["--kwargs", f"g={2**70}"], "--kwargs g: 118.* too large"),
    "kwargs of text": (
        ["--kwargs", "g='x'"],
        "Pendulum-v1 made with .*, at step 1 of an episode: step raised",
    ),
    "kwargs unknown": (["--kwargs", "nope=1"], "has no keyword argument 'nope'"),
    "max-usd nan": (["--judge", "simulated:exact", "--max-usd", "nan"], "--max-usd .*not nan"),
    "max-usd inf": (["--judge", "simulated:exact", "--max-usd", "inf"], "--max-usd .*not inf"),
    "max-usd -1": (["--judge", "simulated:exact", "--max-usd", "-1"], "--max-usd .*not -1"),
    "max-usd text": (["--judge", "simulated:exact", "--max-usd", "x"], "'x' is not a number"),
    "price nan": (
        ["--judge", "simulated:exact", "--price-in", "nan", "--price-out", "1"],
        "--price-in is a number of dollars .*not nan",
    ),
    "judgments 10^12": (
        ["--judge", "simulated:exact", "--max-judgments", str(10**12)],
        "--max-judgments must be at most 100,000",
    ),
    "first 10^12": (["--judge", "simulated:exact", "--first", str(10**12)], "--first must be at m"),
    "per-request 10^12": (
        ["--judge", "simulated:exact", "--per-request", str(10**12)],
        "--per-request must be at most 400",
    ),
    "concurrency 10^12": (
        ["--judge", "simulated:exact", "--concurrency", str(10**12)],
        "--concurrency must be at most 1,000",
    ),
    "samples 10^12": (["--judge", "simulated:exact", "--samples", str(10**12)], "--samples must"),
    "no judgments": (["--judgments", ""], "there are no judgments at ''"),
    "endless judgments": (["--judgments", "/dev/zero"], "/dev/zero is not there, or is no file"),
    "a long name": (["--out", "o" * 300], "cannot be written: File name too long"),
}
IDS = {
    "a module that is not there": (
        "minigrid:MiniGrid-Empty-5x5-v0",
        "there is no module 'minigrid'",
    ),
    "a module that is broken": (
        "broken_envs:Odd-v0",
        "'broken_envs' cannot be imported: SyntaxError: invalid s",
    ),
    "a module that fails": (
        "failing_envs:Odd-v0",
        "cannot be imported: RuntimeError: not today .failing_envs.py",
    ),
    "a module without it": ("hostile_envs:Other-v0", "cannot make 'hostile_envs:Other-v0'"),
    "an environment that fails": (
        "hostile_envs:Fails-v0",
        "RuntimeError: no wheels .hostile_envs.py:",
    ),
    "an environment that cannot step": (
        "hostile_envs:Stuck-v0",
        "at step 1 of an episode: step raised KeyError: .stuck",
    ),
    "words": ("a b", "'a b' is no environment's id"),
    "a colon": (":", "':' is no environment's id"),
    "two colons": ("a:b:c", "'a:b:c' is no environment's id"),
    "a path": ("../x", "cannot make '../x'"),
    "too long": ("x" * 999, "is no environment's id"),
    "another version": ("Pendulum-v99", "cannot make 'Pendulum-v99'"),
}
OWN = """
import gymnasium
from gymnasium.envs.classic_control import PendulumEnv

class Fails(PendulumEnv):
    def __init__(self, render_mode=None):
        raise RuntimeError("no wheels")

class Stuck(PendulumEnv):
    def step(self, action):
        raise KeyError("stuck")

for name, kind in {"Odd-v0": PendulumEnv, "Fails-v0": Fails, "Stuck-v0": Stuck}.items():
    gymnasium.register(name, kind, max_episode_steps=50)
"""


def refused(words: list[str], capsys: pytest.CaptureFixture[str], folder: Path) -> str:
    """What the command line says, nothing having been begun."""
    before = sorted(path.name for path in folder.iterdir())
    try:
        code = cli.main(words)
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    said = capsys.readouterr()
    assert code in (1, 2), said
    assert sorted(path.name for path in folder.iterdir() if path.name != "runs") == before
    assert not list(folder.glob("runs/*"))
    assert not list(folder.glob("runs/.*"))
    own_words = said.err.partition(" raised ")[0]  # what follows is the environment's
    assert not PYTHONS.search(own_words), said.err
    if code == 1:
        assert len(said.err.strip().splitlines()) == 1
    return said.err


@pytest.mark.parametrize(("words", "says"), COMMANDS.values(), ids=COMMANDS)
def test_what_no_run_can_be_is_refused(
    words: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    said = refused(["train", "pendulum", *words], capsys, tmp_path)
    assert re.search(says, said), said


@pytest.fixture
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with modules of environments in it."""
    (tmp_path / "hostile_envs.py").write_text(OWN)
    (tmp_path / "broken_envs.py").write_text("x = = 1\n")
    (tmp_path / "failing_envs.py").write_text("raise RuntimeError('not today')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "hostile_envs", raising=False)
    for name in ("Odd-v0", "Fails-v0", "Stuck-v0"):
        gymnasium.registry.pop(name, None)
    return tmp_path


@pytest.mark.parametrize(("env_id", "says"), IDS.values(), ids=IDS)
def test_an_environment_that_cannot_be_made_is_named(
    env_id: str, says: str, own_modules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--env", env_id, "--goal", "upright", "--judge", "simulated:exact"]
    said = refused(words, capsys, own_modules)
    assert re.search(says, said), said


@pytest.mark.usefixtures("own_modules")
def test_an_environment_of_the_working_folder_is_made() -> None:
    task = task_for("hostile_envs:Odd-v0", Goal("upright"))
    assert task.name == "odd-v0"
    env = make_env(task.environment.id)
    assert env.spec.max_episode_steps == 50
    env.close()


def test_an_empty_goal_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "--env", "Pendulum-v1", "--goal", " ", "--judge", "simulated:exact"]
    assert "--goal: a goal needs words" in refused(words, capsys, tmp_path)


@pytest.mark.parametrize(
    "kwargs", [{"g": None}, {"g": float("nan")}, {"g": object()}, {"g": {"a": {1, 2}}}]
)
def test_keyword_arguments_of_python_can_be_kept(kwargs: dict[str, object]) -> None:
    with pytest.raises(InputError, match="--kwargs g"):
        Task.find("pendulum").with_kwargs(kwargs)


@pytest.mark.parametrize("steps", [10**18, 2**70, 0, -1, 1.5, True, "400"])
def test_numbers_of_python_have_the_same_limits(steps: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--steps must be"):
        Run.create(Task.find("pendulum"), out=tmp_path / "run", steps=steps)
    assert not (tmp_path / "run").exists()


def test_every_limit_is_kept() -> None:
    for name, (least, most) in COUNTS.items():
        check_counts(**{name: int(least)}, **({} if name == "seed" else {"seed": int(most)}))
        for wrong in (int(least) - 1, int(most) + 1):
            with pytest.raises(InputError, match=f"--{name.replace('_', '-')} must"):
                check_counts(**{name: wrong})


@pytest.mark.parametrize(
    "name",
    [
        "x" * 5000,
        "a/" * 3000,
        "$(rm -rf ~)",
        "<script>alert(1)</script>",
        "\u202egnorw",
        "a\nb",
        "a\0b",
    ],
    ids=["long", "deep", "shell", "page", "turned", "line", "nul"],
)
@pytest.mark.parametrize("verb", ["train", "draft", "ask"])
def test_a_task_that_is_none_is_named_in_one_short_line(
    verb: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = {"draft": ["--judge", "openai:test"], "ask": ["--out", "asked"], "train": []}
    assert cli.main([verb, name, *words[verb]]) == 1
    told = capfd.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert len(told) < 600
    assert "\u202e" not in told
    assert list(tmp_path.iterdir()) == []
