"""The batch endpoints of every provider on loopback: files in, files out, answered from the pixels.

A batch is under way the first time it is asked for, and done the second time.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from servers import protocols
from servers.eyes import compare, find_pairs, ink_height
from servers.protocols import Answer
from servers.server import address

STAMP = "2026-01-01T00:00:00Z"
Row = dict[str, Any]


def reply(protocol: str, body: Row, says: str | None = None) -> Row:
    """What a model answers to a request, looking at its pictures."""
    asked: protocols.Asked = getattr(protocols, f"read_{protocol}")(body, True)
    pairs = find_pairs(asked.parts)
    answer = Answer([compare(pair, ink_height) for pair in pairs], says)
    write: Any = getattr(protocols, f"write_{protocol}")
    more = {} if protocol == "messages" else {"logprobs": False}
    return dict(json.loads(write(asked, answer, **more)))


def results(provider: str, file: str, model: str = "") -> list[Row]:
    """A provider's lines of results to a batch file, last request first."""
    lines = []
    for row in reversed([json.loads(line) for line in file.splitlines()]):
        if provider == "openai":
            response = {"status_code": 200, "request_id": "r", "body": reply("chat", row["body"])}
            lines.append(
                {"id": "x", "custom_id": row["custom_id"], "response": response, "error": None}
            )
        elif provider == "anthropic":
            message = reply("messages", row["params"])
            result = {"type": "succeeded", "message": message}
            lines.append({"custom_id": row["custom_id"], "result": result})
        else:
            # The body of a live request does not name the model: its address does.
            response = {**reply("gemini", row["request"]), "modelVersion": model}
            lines.append({"key": row["key"], "response": response})
    return lines


@dataclass
class Batches:
    """A running server.

    Attributes:
        url: Without a path.
        key: What requests must carry.
        files: What was handed in, or is to be fetched, by name.
        polls: How often the batch was asked for.
    """

    key: str
    url: str = ""
    files: dict[str, str] = field(default_factory=dict)
    polls: int = 0
    model: str = ""

    def app(self) -> Starlette:
        routes = {
            "POST /v1/files": self.openai_upload,
            "POST /v1/batches": self.openai_create,
            "GET /v1/batches/{id}": self.openai_batch,
            "GET /v1/files/{name}/content": self.content,
            "POST /v1/messages/batches": self.anthropic_create,
            "GET /v1/messages/batches/{id}": self.anthropic_batch,
            "GET /v1/messages/batches/{id}/results": self.content,
            "POST /upload/v1beta/files": self.gemini_upload,
            "POST /upload/here": self.gemini_bytes,
            "POST /v1beta/models/{model}:batchGenerateContent": self.gemini_create,
            "GET /v1beta/batches/{id}": self.gemini_batch,
            "GET /v1beta/files/{name}:download": self.content,
        }
        return Starlette(
            routes=[
                Route(path.split()[1], self._guarded(endpoint), methods=[path.split()[0]])
                for path, endpoint in routes.items()
            ]
        )

    def _guarded(self, endpoint: Any) -> Any:
        async def admit(request: Request) -> Response:
            names = ("x-api-key", "x-goog-api-key", "authorization")
            sent = {request.headers.get(name) for name in names}
            # The address to which Google's library uploads is a secret itself.
            if not {self.key, f"Bearer {self.key}"} & sent and endpoint != self.gemini_bytes:
                return JSONResponse({"error": {"message": "Incorrect API key provided"}}, 401)
            response: Response = await endpoint(request)
            return response

        return admit

    async def content(self, request: Request) -> Response:
        return PlainTextResponse(self.files["results"])

    def _done(self) -> bool:
        self.polls += 1
        return self.polls > 1

    def _keep(self, provider: str, file: str) -> None:
        lines = [json.dumps(row) for row in results(provider, file, self.model)]
        self.files["results"] = "\n".join(lines) + "\n"

    # OpenAI ------------------------------------------------------------------------------------

    async def openai_upload(self, request: Request) -> Response:
        kind = request.headers["content-type"].encode()
        sent = message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + await request.body())
        parts = {
            str(part.get_param("name", header="content-disposition")): part
            for part in sent.walk()
            if not part.is_multipart()
        }
        assert str(parts["purpose"].get_payload()) == "batch"
        content: Any = parts["file"].get_payload(decode=True)
        self.files["file-1"] = content.decode()
        return JSONResponse(
            {
                "id": "file-1",
                "object": "file",
                "bytes": 1,
                "created_at": 0,
                "purpose": "batch",
                "filename": "volition.jsonl",
                "status": "processed",
            }
        )

    async def openai_create(self, request: Request) -> Response:
        body = await request.json()
        assert body["endpoint"] == "/v1/chat/completions"
        self._keep("openai", self.files[body["input_file_id"]])
        return JSONResponse(self._openai("validating"))

    async def openai_batch(self, request: Request) -> Response:
        return JSONResponse(self._openai("completed" if self._done() else "in_progress"))

    def _openai(self, status: str) -> Row:
        done = {"output_file_id": "results"} if status == "completed" else {}
        return {
            "id": "batch_1",
            "object": "batch",
            "completion_window": "24h",
            "created_at": 0,
            "endpoint": "/v1/chat/completions",
            "input_file_id": "file-1",
            "status": status,
            **done,
        }

    # Anthropic ---------------------------------------------------------------------------------

    async def anthropic_create(self, request: Request) -> Response:
        requests = (await request.json())["requests"]
        self._keep("anthropic", "\n".join(json.dumps(row) for row in requests))
        return JSONResponse(self._anthropic("in_progress"))

    async def anthropic_batch(self, request: Request) -> Response:
        return JSONResponse(self._anthropic("ended" if self._done() else "in_progress"))

    def _anthropic(self, status: str) -> Row:
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        url = f"{self.url}/v1/messages/batches/msgbatch_1/results" if status == "ended" else None
        return {
            "id": "msgbatch_1",
            "type": "message_batch",
            "processing_status": status,
            "request_counts": counts,
            "created_at": STAMP,
            "expires_at": STAMP,
            "results_url": url,
        }

    # Gemini ------------------------------------------------------------------------------------

    async def gemini_upload(self, request: Request) -> Response:
        return Response(headers={"x-goog-upload-url": f"{self.url}/upload/here"})

    async def gemini_bytes(self, request: Request) -> Response:
        self.files["files/1"] = (await request.body()).decode()
        document = {"file": {"name": "files/1", "mimeType": "application/jsonl"}}
        return JSONResponse(document, headers={"x-goog-upload-status": "final"})

    async def gemini_create(self, request: Request) -> Response:
        self.model = request.path_params["model"]
        source = (await request.json())["batch"]["inputConfig"]["fileName"]
        self._keep("gemini", self.files[source])
        return JSONResponse(self._gemini("BATCH_STATE_PENDING"))

    async def gemini_batch(self, request: Request) -> Response:
        done = self._done()
        return JSONResponse(self._gemini(f"BATCH_STATE_{'SUCCEEDED' if done else 'RUNNING'}"))

    def _gemini(self, state: str) -> Row:
        output = {"responsesFile": "files/results"} if state.endswith("SUCCEEDED") else {}
        return {
            "name": "batches/1",
            "metadata": {"state": state, "name": "batches/1", "output": output},
        }


@contextmanager
def taking_batches(key: str) -> Iterator[Batches]:
    """A server in a thread of its own, on a free port."""
    server = Batches(key)
    config = uvicorn.Config(server.app(), port=0, log_config=None, lifespan="off", ws="none")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        if not thread.is_alive():
            raise RuntimeError("the server did not start")
        time.sleep(0.002)
    server.url = address(running)
    try:
        yield server
    finally:
        running.should_exit = True
        running.force_exit = True
        thread.join(5)
