"""Faults of the disk: full, read-only, bytes that changed, a folder that moved, two at once.

Whatever is wrong is said in one line, and a run that could not go on goes on when it can.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tensorboardX.record_writer import RecordWriter

from conftest import SHORT
from volition import cli
from volition.errors import RunError, VolitionError
from volition.evidence.report.reading import read_evidence
from volition.evidence.verification import verify
from volition.run.evaluation import Evaluation
from volition.run.folder import RunFolder
from volition.run.results import Result
from volition.run.run import Run
from volition.storage.compilation import enable_cache
from volition.storage.database import DATABASE
from volition.storage.files import exclusively
from volition.storage.store import Store
from volition.storage.tensors import check_tree, read_description

TENSORS = (
    "checkpoint.safetensors",
    "policy/policy.safetensors",
    "kept/policy.safetensors",
    "reward_model/model.safetensors",
)
DOCUMENTS = ("config.toml", "result.json", "evaluation.json")


@pytest.fixture
def copy(run: Run, tmp_path: Path) -> Path:
    """A finished run of one's own."""
    return Path(shutil.copytree(run.folder.path, tmp_path / "copy"))


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """The exit code, and what a command says of errors: warnings and stages are none."""
    capsys.readouterr()
    code = cli.main(words)
    lines = capsys.readouterr().err.splitlines()
    return code, [line for line in lines if line.startswith("error:") or "Traceback" in line]


def learned(folder: Path) -> list[object]:
    """All that came of learning."""
    run = Run.open(folder)
    policy = folder / "policy" / "policy.safetensors"
    return [policy.read_bytes(), run.evaluation, run.reward_fit, run.result.return_mean]


# Full and read-only ----------------------------------------------------------------------------


class Full:
    """A file on a disk that has no room left, or may not be written."""

    def __init__(self, file: Any, number: int) -> None:
        self._file, self._number = file, number

    def write(self, data: bytes) -> int:
        self._file.write(data[: len(data) // 2])
        raise OSError(self._number, os.strerror(self._number))

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> Iterator[None]:
    """Within the block no file of that name can be written, to its end or at all."""
    honest: Callable[..., Any] = Path.open

    def opened(path: Path, mode: str = "r", *more: Any, **options: Any) -> Any:
        if name not in path.name or not set(mode) & set("wax"):
            return honest(path, mode, *more, **options)
        if number != errno.ENOSPC:
            raise OSError(number, os.strerror(number), str(path))
        return Full(honest(path, mode, *more, **options), number)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", opened)
        yield


STAGES = {  # what a run writes, and what comes after it and so is not there yet
    "result.json": ["result.json"],
    "evaluation.json": ["result.json", "evaluation.json"],
    "policy.safetensors": ["result.json", "evaluation.json", "policy"],
    "checkpoint.safetensors": [
        *("result.json", "evaluation.json", "policy", "kept", "checkpoint.safetensors"),
    ],
    "model.safetensors": [
        *("result.json", "evaluation.json", "policy", "kept", "checkpoint.safetensors"),
        "reward_model",
    ],
    "report.html": ["report.html"],
    "policy.mp4": ["policy.mp4"],
}


def without(folder: Path, names: list[str]) -> None:
    for name in names:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


CASES = [
    *((name, errno.ENOSPC) for name in STAGES),
    ("result.json", errno.EROFS),
]


@pytest.mark.parametrize(("name", "number"), CASES)
def test_what_cannot_be_written_is_said_and_done_later(
    name: str,
    number: int,
    run: Run,
    copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = learned(run.folder.path)
    without(copy, STAGES[name])
    if name not in ("report.html", "policy.mp4"):
        monkeypatch.setattr("volition.evidence.report.write_report", lambda run: run.folder.report)
    with failing(monkeypatch, name, number):
        code, lines = said(["resume", str(copy)], capsys)
    assert code == 1
    (line,) = lines
    assert "cannot be written: " in line
    assert os.strerror(number) in line
    assert name in line
    assert not [path for path in copy.rglob("*") if ".partial" in path.name]
    assert cli.main(["resume", str(copy)]) == 0
    assert learned(copy) == before
    assert verify(RunFolder.open(copy)) == []


def test_a_full_disk_ends_learning_and_not_the_curves_thread(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    without(copy, STAGES["checkpoint.safetensors"])
    with monkeypatch.context() as patched:
        patched.setattr(RecordWriter, "write", write)
        code, lines = said(["resume", str(copy)], capsys)
    assert (code, len(lines)) == (1, 1)
    assert "tensorboard cannot be written: No space left on device" in lines[0]


LIMITED = """
import resource, sys
limit = int(sys.argv[1])
import volition.run.run, volition.evidence.report
from volition import cli
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.mark.parametrize("limit", [2_000, 60_000])
def test_no_room_for_a_run_leaves_nothing_of_it(limit: int, tmp_path: Path) -> None:
    """The operating system itself refuses: no file may be larger than so many bytes."""
    words = ["train", "pendulum", "--steps", str(SHORT), "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(limit), *words],
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(enable_cache())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    errors = [line for line in done.stderr.splitlines() if "cache" not in line]
    assert "Traceback" not in done.stderr
    assert [line for line in errors if line.startswith("error:")], done.stderr
    assert list(tmp_path.iterdir()) == []


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Within the block the folder may be read, and not written, even by root."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.seteuid(65534)
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_a_folder_that_may_only_be_read_is_read(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is shown, verified and exported elsewhere; what would write in it says so."""
    for parent in copy.parents:
        if "pytest-of" in str(parent):
            parent.chmod(0o755)
    out = copy.parent / "elsewhere"
    out.mkdir()
    out.chmod(0o777)
    assert cli.main(["report", str(copy)]) == 0  # which imports all that it needs
    with as_nobody(copy):
        if os.access(copy, os.W_OK, effective_ids=True):
            pytest.skip("no folder is read-only here")
        assert verify(RunFolder.open(copy)) == []
        evidence = read_evidence(Run.open(copy))
        code, lines = said(["export", str(copy), "--out", str(out / "export")], capsys)
        assert (code, lines) == (0, [])
        code, lines = said(["report", str(copy)], capsys)
    assert len(evidence.comparisons) == 60
    assert code == 1
    assert len(lines) == 1
    assert "cannot be written" in lines[0]


# Changed bytes ---------------------------------------------------------------------------------


def flipped(data: bytes, place: int, chance: random.Random) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1 << chance.randrange(8)
    return bytes(changed)


def refused(read: Callable[[], object]) -> tuple[object, str | None]:
    """What is read, or the one line that says why it cannot be."""
    try:
        return read(), None
    except VolitionError as error:
        return None, str(error)


def names(message: str, file: Path) -> bool:
    return str(file) in message and len(message.splitlines()) == 1


@pytest.mark.parametrize("name", TENSORS)
def test_a_changed_byte_of_a_tensor_file_is_seen(name: str, copy: Path) -> None:
    file, chance = copy / name, random.Random(name)
    data, described = file.read_bytes(), read_description(file)
    header = int.from_bytes(data[:8], "little") + 8
    places = {*range(8), *chance.sample(range(8, header), 60), header, len(data) - 1}
    for place in sorted(places | {*chance.sample(range(header, len(data)), 60)}):
        file.write_bytes(flipped(data, place, chance))
        _, message = refused(lambda: check_tree(file))
        if message is None:
            assert place < header, f"byte {place} was changed in silence"
            assert read_description(file) == described
        else:
            assert names(message, file)
    file.write_bytes(data)
    assert verify(RunFolder.open(copy)) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_changed_byte_of_a_document_is_seen(name: str, copy: Path) -> None:
    file, chance = copy / name, random.Random(name)
    data = file.read_bytes()

    def read() -> object:
        folder = RunFolder.open(copy)
        kind = {"result.json": Result, "evaluation.json": Evaluation}.get(name)
        return folder if kind is None else folder.read(file, kind)

    before = read()
    for place in sorted(chance.sample(range(len(data)), min(len(data), 400))):
        file.write_bytes(flipped(data, place, chance))
        now, message = refused(read)
        if message is None:
            assert now == before, f"byte {place} was changed in silence"
        else:
            assert names(message, file)


def rows(file: Path) -> list[object]:
    """All that a store holds."""
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return [
            (name, connection.execute(f"SELECT * FROM {name}").fetchall())
            for (name,) in tables.fetchall()
        ]
    finally:
        connection.close()


def test_a_changed_byte_of_the_store_is_seen(copy: Path) -> None:
    file, chance = copy / DATABASE, random.Random(0)
    data, before = file.read_bytes(), rows(file)
    written = [place for place, byte in enumerate(data) if byte]
    detected = 0
    for place in [*range(100), *chance.sample(written, 250)]:
        for beside in copy.glob(f"{DATABASE}-*"):
            beside.unlink()
        file.write_bytes(flipped(data, place, chance))
        _, message = refused(lambda: RunFolder.open(copy).open_store().close())
        if message is None:
            assert rows(file) == before, f"byte {place} was changed in silence"
        else:
            assert names(message, file)
            detected += 1
    assert detected > 200


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE judgments SET p_shown_first = 0.25 WHERE sequence = 3",
        "UPDATE replies SET cost_usd = 7 WHERE rowid = 2",
        "UPDATE replies SET raw = raw || ' ' WHERE rowid = 1",
        "UPDATE segments SET states = '[]' WHERE rowid = 1",
        "DELETE FROM judgments WHERE sequence = 60",
        "INSERT INTO judges VALUES ('x', 'x', 0, '{}')",
        "DELETE FROM seals WHERE sealed = 'judgments'",
        "DROP TRIGGER judgments_no_update",
    ],
)
def test_a_row_that_was_changed_is_seen_by_whoever_reads_it(
    change: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = sqlite3.connect(copy / DATABASE)
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    made = dict(triggers.fetchall())
    for name in made:
        connection.execute(f"DROP TRIGGER {name}")
    if not change.startswith("DROP"):
        connection.execute(change)
    else:
        made.pop(change.split()[-1])
    for sql in made.values():
        connection.execute(sql)
    connection.commit()
    connection.close()
    assert len(verify(RunFolder.open(copy))) == 1
    for verb in ("report", "export", "resume"):
        code, lines = said([verb, str(copy)], capsys)
        assert (code, len(lines)) == (1, 1), verb
        assert DATABASE in lines[0]


def test_a_changed_byte_of_a_frame_is_seen_or_shows_the_same(copy: Path) -> None:
    file = min((copy / "frames").iterdir(), key=lambda path: path.stat().st_size)
    data, chance = file.read_bytes(), random.Random(0)
    with Store.open(copy) as store:
        before = store.frame(file.stem)
        for place in range(len(data)):
            file.write_bytes(flipped(data, place, chance))
            now, message = refused(lambda: store.frame(file.stem))
            assert now == before if message is None else names(message, file), f"byte {place}"


@pytest.mark.parametrize("name", [*TENSORS, *DOCUMENTS, DATABASE, "frames", "sheets"])
def test_what_was_changed_is_named_by_every_verb_that_reads_it(
    name: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = copy / name
    if file.is_dir():
        file = min(file.iterdir())
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 16
    file.write_bytes(bytes(data))
    code, _ = said(["verify", str(copy)], capsys)
    assert code == 1
    if name not in ("sheets", "kept/policy.safetensors"):  # which nobody learns from any more
        code, lines = said(["report", str(copy)], capsys)
        assert (code, len(lines)) == (1, 1)
        assert file.name in lines[0]


def test_a_resumed_run_learns_from_nothing_that_was_changed(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("volition.evidence.report.write_report", lambda run: run.folder.report)
    without(copy, STAGES["evaluation.json"])
    for name in ("checkpoint.safetensors", "kept/policy.safetensors", TENSORS[3], DATABASE):
        data = (copy / name).read_bytes()
        (copy / name).write_bytes(data[:-9] + flipped(data[-9:], 0, random.Random(1)))
        code, lines = said(["resume", str(copy)], capsys)
        assert (code, len(lines)) == (1, 1), name
        assert Path(name).name in lines[0]
        (copy / name).write_bytes(data)
    assert cli.main(["resume", str(copy)]) == 0


# One process at a time -------------------------------------------------------------------------


def test_two_at_once_are_refused_and_a_killed_one_is_not_waited_for(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    holding = (
        "import sys, time, pathlib\n"
        "from volition.storage.files import exclusively\n"
        "with exclusively(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(copy)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        code, lines = said(["resume", str(copy)], capsys)
        assert code == 1
        assert lines == [
            f"error: {copy} is in use: another process goes on with this run; wait until it ends, "
            "or stop it"
        ]
        other.send_signal(signal.SIGKILL)
        other.wait()
    started = time.perf_counter()
    with exclusively(copy):
        pass
    assert time.perf_counter() - started < 5
    assert cli.main(["resume", str(copy)]) == 0


def test_a_run_under_way_is_locked(copy: Path) -> None:
    without(copy, STAGES["evaluation.json"])
    refused: list[str] = []

    def listener(_: object) -> None:
        if not refused:
            with pytest.raises(RunError, match="is in use") as error:
                Run.open(copy).advance()
            refused.append(str(error.value))

    Run.open(copy).advance(listener)
    assert len(refused) == 1


def test_answers_are_not_added_to_a_run_under_way(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions, answers = tmp_path / "questions", tmp_path / "answers.csv"
    assert cli.main(["ask", str(copy), "--out", str(questions), "--pairs", "3"]) == 0
    answers.write_text("pair,choice\n1,A\n2,B\n3,A\n")
    words = ["answer", str(questions), str(answers), "--judge", "somebody"]
    with exclusively(copy):
        code, lines = said(words, capsys)
    assert (code, len(lines)) == (1, 1)
    assert "is in use" in lines[0]
    assert not (questions / "judgments.jsonl").exists()
    assert cli.main(words) == 0


# Elsewhere -------------------------------------------------------------------------------------


def test_a_run_that_was_moved_is_as_good_as_before(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = learned(copy)
    without(copy, STAGES["evaluation.json"])
    moved = tmp_path / "another place" / "run"
    moved.parent.mkdir()
    copy.rename(moved)
    capsys.readouterr()
    assert cli.main(["resume", str(moved), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["run"] == str(moved)
    assert learned(moved) == before
    again = moved.rename(tmp_path / "again")
    assert Run.open(again).result.run == str(again)
    for words in (["verify", str(again)], ["report", str(again)], ["export", str(again)]):
        assert cli.main(words) == 0
