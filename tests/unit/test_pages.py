"""The pages over HTTP: who is let in, what is refused, and that answers are kept."""

from __future__ import annotations

import http.client
import json
import logging
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servers.pages import TOKEN, served
from volition.cli import main
from volition.errors import InputError
from volition.judgment import Order
from volition.run.run import Run
from volition.storage.labels import LABELS, Label, LabelLog
from volition.web.guarding import MOST_BYTES, Doors, is_loopback
from volition.web.label import finish_folder
from volition.web.labelling import Desk, labelling_app
from volition.web.people import People
from volition.web.serving import Address
from volition.web.sources import FolderSource, RunSource, shown_goal


@pytest.fixture(scope="module")
def copied(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages") / "run"
    shutil.copytree(run.folder.path, folder)
    return folder


@pytest.fixture(scope="module")
def port(copied: Path) -> Iterator[int]:
    desk = Desk(lambda: RunSource(Run.open(copied).folder))
    desk.open()
    with served(labelling_app(desk)) as listening:
        yield listening
    desk.close()


def ask(
    port: int,
    path: str,
    body: Any = None,
    token: str = TOKEN,
    method: str = "",
    **headers: str,
) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers of a reply."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    host = headers.pop("host", f"127.0.0.1:{port}")
    sent = {"Host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    data = None
    if body is not None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent.setdefault("Content-Type", "application/json")
        sent.setdefault("Origin", f"http://127.0.0.1:{port}")
    connection.request(method or ("POST" if data else "GET"), f"/{token}/{path}", data, sent)
    reply = connection.getresponse()
    text = reply.read().decode(errors="replace")
    connection.close()
    return reply.status, text, {name.lower(): value for name, value in reply.getheaders()}


def answers(port: int, person: str = "Anna", choice: str = "first") -> dict[str, Any]:
    """An answer to the next question of a person."""
    desk = json.loads(ask(port, f"desk?person={person}&ahead=1")[1])
    key = desk["next"][0]["key"]
    given = {"id": f"answer-{time.monotonic_ns()}", "question": key, "choice": choice}
    return {"person": person, "answers": [given]}


# Doors ---------------------------------------------------------------------------------------


def test_every_page_says_what_a_browser_may_do(port: int) -> None:
    for path in ("", "static/label.js", "desk?person=Anna", "nothing"):
        _, _, headers = ask(port, path)
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers
        assert "set-cookie" not in headers
        assert "server" not in headers or headers["server"] == "uvicorn"


@pytest.mark.parametrize(
    ("path", "token", "headers", "status", "words"),
    [
        ("", "wrong-token-of-a-guess", {}, 403, "wrong token"),
        ("", "", {}, 403, "wrong token"),
        ("", TOKEN[:-1], {}, 403, "wrong token"),
        ("", TOKEN, {"host": "evil.example"}, 421, "another name"),
        ("", TOKEN, {"host": "127.0.0.1.evil.example"}, 421, "another name"),
        ("", TOKEN, {"host": ""}, 421, "another name"),
        ("sides/..%2f..%2fconfig/0.png", TOKEN, {}, 404, ""),
        ("sides/%2e%2e/0.png", TOKEN, {}, 404, "no such picture"),
        ("sides/ffffffffffffffff/0.png", TOKEN, {}, 404, "no such picture"),
        ("static/..%2fconfig.toml", TOKEN, {}, 404, ""),
        ("static/../../../../etc/passwd", TOKEN, {}, 404, ""),
        ("goal/99.png", TOKEN, {}, 404, "no such picture"),
        ("results?person=Anna", TOKEN, {}, 403, "first answer all"),
        ("desk?person=", TOKEN, {}, 400, "a name has"),
        ("desk?person=Anna&ahead=-3", TOKEN, {}, 400, "ahead is a whole number"),
    ],
)
def test_refused(
    port: int, path: str, token: str, headers: dict[str, str], status: int, words: str
) -> None:
    got, text, _ = ask(port, path, token=token, **headers)
    assert (got, words in text) == (status, True), text
    assert TOKEN not in text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_a_post_of_another_site_stores_nothing(
    port: int, copied: Path, headers: dict[str, str], status: int
) -> None:
    before = LabelLog(copied).refresh()
    got, text, _ = ask(port, "answers", answers(port), **headers)
    assert got == status
    assert text.count("\n") == 1
    assert LabelLog(copied).refresh() == before


def test_a_post_that_does_not_say_where_it_comes_from_is_refused(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    sent = {"Content-Type": "application/json"}
    connection.request("POST", f"/{TOKEN}/answers", json.dumps(answers(port)), sent)
    assert connection.getresponse().status == 403
    connection.close()


def test_other_methods_are_refused(port: int) -> None:
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH"):
        assert ask(port, "answers", method=method)[0] == 405


def test_a_form_of_50_mb_is_refused_unread(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "volition.web"):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.putrequest("POST", f"/{TOKEN}/answers")
        origin = f"http://127.0.0.1:{port}"
        for name, value in (("Content-Type", "application/json"), ("Origin", origin)):
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(50_000_000))
        connection.endheaders()
        reply = connection.getresponse()  # before a byte of it was sent
        assert (reply.status, b"at most" in reply.read()) == (413, True)
        connection.close()
    (record,) = caplog.records
    assert "refused 413 of 127.0.0.1: POST '/TOKEN/answers'" in record.getMessage()


def test_a_body_that_does_not_say_its_length_is_cut_off(port: int) -> None:
    head = (
        f"POST /{TOKEN}/answers HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Origin: http://127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(head.encode() + chunk * (MOST_BYTES // 0x10000) + chunk)
        assert client.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"choice": "both"}, "choice"),
        ({"question": "../../x"}, "question"),
        ({"question": "0" * 16}, "there is no question"),
        ({"id": "x"}, "id"),
        ({"seconds": -1}, "seconds"),
        ({"more": 1}, "more"),
    ],
)
def test_an_answer_that_is_none_is_named(port: int, change: dict[str, Any], words: str) -> None:
    handed_in = answers(port)
    handed_in["answers"][0] |= change
    status, text, _ = ask(port, "answers", handed_in)
    assert (status, words in text, text.count("\n")) == (400, True, 1)


def test_refusals_are_logged_without_the_token(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "volition.web"):
        ask(port, "", token="a-guess")
        ask(port, "static/x", host="evil.example")
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "refused 403 of 127.0.0.1: GET '/a-guess/': wrong token" in said[0]
    assert "refused 421" in said[1]
    assert all(TOKEN not in line for line in said)


@pytest.mark.parametrize(
    ("header", "host", "known"),
    [
        ("127.0.0.1:8000", "127.0.0.1", True),
        ("localhost", "127.0.0.1", True),
        ("[::1]:8000", "::1", True),
        ("192.168.1.5:80", "127.0.0.1", False),
        ("192.168.1.5:80", "192.168.1.5", True),
        ("192.168.1.5:80", "0.0.0.0", True),
        ("rebound.example:80", "0.0.0.0", False),
    ],
)
def test_names_of_this_machine(header: str, host: str, known: bool) -> None:
    assert Doors(TOKEN, host).knows(header) == known


@pytest.mark.parametrize(
    ("host", "token", "words"),
    [
        ("0.0.0.0", "", "--host 0.0.0.0 is reached from other machines: give a token, too"),
        ("192.168.1.5", "", "give a token"),
        ("127.0.0.1", "short", "--token is 16 signs or more"),
        ("127.0.0.1", "a/b?c#d e%20f-0123456789", "--token is 16 signs or more"),
    ],
)
def test_nobody_listens_elsewhere_without_a_token(host: str, token: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Address(host, None, token)


def test_loopback() -> None:
    assert all(is_loopback(host) for host in ("localhost", "127.0.0.1", "127.3.2.1", "::1"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "example.org", "192.168.0.1", "::"))
    assert Address().doors.token != Address().doors.token


# Answers -------------------------------------------------------------------------------------


def test_nothing_tells_what_the_judge_said(port: int) -> None:
    text = ask(port, "desk?person=Blind&ahead=60&back=1")[1]
    for question in json.loads(text)["next"]:
        assert set(question) == {"key", "sides", "principle", "veto"}
    assert json.loads(text)["with_judge"]["of"] == 0


def test_an_answer_is_on_disk_when_it_is_taken(port: int, copied: Path) -> None:
    handed_in = answers(port, "Dora", "tie")
    status, text, _ = ask(port, "answers", handed_in)
    assert (status, json.loads(text)["answered"]) == (200, 1)
    (label,) = [label for label in LabelLog(copied).refresh() if label.person == "Dora"]
    assert (label.choice, label.key) == ("tie", handed_in["answers"][0]["id"])
    ask(port, "answers", handed_in)  # its reply was lost
    assert sum(label.person == "Dora" for label in LabelLog(copied).refresh()) == 1


def test_what_is_taken_back_is_asked_again(port: int) -> None:
    handed_in = answers(port, "Emil")
    key = handed_in["answers"][0]["question"]
    ask(port, "answers", handed_in)
    back = json.loads(ask(port, "desk?person=Emil&ahead=60&back=1")[1])
    assert [question["key"] for question in back["back"]] == [key]
    assert key not in [question["key"] for question in back["next"]]
    undo = {"id": "undo-of-emil", "question": key, "choice": "undo"}
    told = json.loads(ask(port, "answers", {"person": "Emil", "answers": [undo]})[1])
    assert told["answered"] == 0
    again = json.loads(ask(port, "desk?person=Emil&ahead=60")[1])
    assert key in [question["key"] for question in again["next"]]


def test_a_damaged_line_is_told(copied: Path, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "run"
    shutil.copytree(copied, folder)
    (folder / LABELS).write_text('{"id": "nonsense"}\n')
    assert main(["label", str(folder)]) == 1
    assert "a line is not as it was written" in capsys.readouterr().err
    assert main(["verify", str(folder)]) == 1
    assert "a line is not as it was written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "is neither a run folder nor a folder that `volition ask` wrote"),
        (["--port", "99999"], "--port is 0 to 65535"),
        (["--host", "0.0.0.0"], "give a token, too"),
        (["--audit", "-1"], "--audit is a whole number from 0 on"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, capsys: Any, options: list[str], words: str
) -> None:
    assert main(["label", str(tmp_path), *options]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_a_folder_of_questions_becomes_one_of_judgments(tmp_path: Path) -> None:
    folder = tmp_path / "asked"
    assert main(["ask", "pendulum", "--out", str(folder), "--pairs", "6"]) == 0
    source = FolderSource(folder)
    assert [picture.caption for picture in shown_goal(source.goal)] == ["The goal reached"]
    people = People(source, LabelLog(folder))
    people.refresh()
    questions = list(people.questions.values())
    assert source.picture(questions[0].first, 0) is not None
    assert source.picture(questions[0].first, 1) is None
    assert source.picture("../asked", 0) is None
    chosen: dict[int, str] = {}
    for question in questions:
        number = source.numbers[question.comparison_id]
        order = question.order_for("Anna")
        chosen[number] = "first" if order is Order.FORWARD else "second"
        assert "pairs have no answer yet" in finish_folder(folder, source, people)
        left = Label(f"label-{number}", "Anna", question.comparison_id, order, "first")
        people.hand_in([left])
    assert "is a folder of judgments by human:Anna" in finish_folder(folder, source, people)
    lines = (folder / "judgments.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert {row["pair"]: row["verdict"] for row in rows} == chosen
    assert {row["judge"] for row in rows} == {"human:Anna"}
    assert set(chosen.values()) == {"first", "second"}


def test_frames_outside_of_a_folder_are_no_frames(tmp_path: Path) -> None:
    folder = tmp_path / "asked"
    assert main(["ask", "pendulum", "--out", str(folder), "--pairs", "2"]) == 0
    file = folder / "pairs.jsonl"
    text = file.read_text()
    shown = json.loads(text.splitlines()[0])["first"]["frame"]
    file.write_text(text.replace(shown, "frames/../../secret.png"))
    with pytest.raises(InputError, match="is not one of its frames/"):
        FolderSource(folder)


def test_the_verb_serves_until_ctrl_c_and_says_what_became_of_the_answers(
    copied: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(copied, folder)
    (folder / LABELS).unlink(missing_ok=True)
    command = [sys.executable, "-m", "volition.cli", "label", str(folder), "--audit", "10"]
    with subprocess.Popen(
        [*command, "--token", TOKEN, "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[1]
        port = int(address.split(":")[2].partition("/")[0])
        assert ask(port, "answers", answers(port))[0] == 200
        time.sleep(1.1)  # later than what was read last is read again
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "Ctrl-C ends it; every answer is kept\n")
    assert TOKEN not in said
    assert "1 of 10 pairs answered; the run has the answers" in said
    told = json.loads(said.splitlines()[-1])
    assert told["verdicts"] == {"Anna": 1}
    assert (told["audit"]["looked_at"], told["audit"]["drawn"]) == (1, 10)
