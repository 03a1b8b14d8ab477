"""A stand-in for the Hugging Face hub on loopback: as much of it as an upload needs.

Files of a kind that the hub keeps apart come by Git LFS: asked for in a batch, put where that says,
and named by their hash in the commit; all others stand in the commit itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

ABOUT = {"id": "owner/name", "sha": "0" * 40, "siblings": []}
APART = (".parquet", ".png", ".safetensors", ".mp4")


@dataclass(slots=True)
class Hub:
    """What was put there.

    Attributes:
        url: Where it is.
        repositories: Those that were made, as they were asked for.
        files: Of the commits, by their names.
        private: Whether its repositories are.
        refuses: The status with which it refuses to make a repository; 0 where it does not.
        tokens: That came with requests.
    """

    url: str = ""
    repositories: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    private: bool = True
    refuses: int = 0
    tokens: set[str] = field(default_factory=set)


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub, for as long as the block takes."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._say({**ABOUT, "private": hub.private})

        def do_PUT(self) -> None:
            content = self._content()
            hub.objects[hashlib.sha256(content).hexdigest()] = content
            self._say({})

        def do_POST(self) -> None:
            content = self._content()
            hub.tokens.add(self.headers.get("Authorization", ""))
            if self.path == "/api/repos/create":
                if hub.refuses:
                    self._say({"error": "no such owner"}, hub.refuses)
                    return
                hub.repositories.append(json.loads(content))
                self._say({"url": f"{hub.url}/datasets/owner/name"})
            elif "/preupload/" in self.path:
                files = json.loads(content)["files"]
                self._say({"files": [_mode(file["path"]) for file in files]})
            elif self.path.endswith("/info/lfs/objects/batch"):
                objects = json.loads(content)["objects"]
                self._say({"transfer": "basic", "objects": [self._place(one) for one in objects]})
            elif "/commit/" in self.path:
                self._commit(content)
                self._say(
                    {"commitUrl": f"{hub.url}/datasets/owner/name/commit/1", "commitOid": "1" * 40}
                )
            else:
                self._say({})

        def _place(self, one: dict[str, Any]) -> dict[str, Any]:
            upload = {"href": f"{hub.url}/objects/{one['oid']}", "header": {}}
            return {**one, "actions": {"upload": upload}}

        def _commit(self, content: bytes) -> None:
            for line in content.decode().splitlines():
                row = json.loads(line)
                value = row["value"]
                if row["key"] == "file":
                    hub.files[value["path"]] = base64.b64decode(value["content"])
                elif row["key"] == "lfsFile":
                    hub.files[value["path"]] = hub.objects[value["oid"]]

        def _content(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content

        def _say(self, document: object, status: int = 200) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _mode(path: str) -> dict[str, Any]:
    mode = "lfs" if path.endswith(APART) else "regular"
    return {"path": path, "uploadMode": mode, "shouldIgnore": False}
