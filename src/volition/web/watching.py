"""The pages on which runs are watched and steered.

/                       all runs of a folder
/events                 the same as it changes, as server-sent events
/run/NAME               one run
/run/NAME/events        what changes of it: `state`, and `pairs` as they are judged
/run/NAME/wish          takes what a person wants of it
/run/NAME/film          films what its best policy does now
/compare?run=A&run=B    several beside each other
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from volition.errors import InputError, RunError
from volition.judging.limits import Wanted
from volition.run.folder import CONFIG, RunFolder
from volition.run.interrupting import Helm
from volition.web.following import Follower, row_of, runs_in
from volition.web.labelling import HANDLERS
from volition.web.pages import page, static
from volition.web.serving import Address, serve

T = TypeVar("T")
Json = dict[str, Any]
PORT = 8766
LOOK_S = 1.0  # between two looks at a folder
FORGET_S = 60.0  # after which nobody follows a run that nobody looks at
KEEP_ALIVE_S = 15.0
MOST_COMPARED = 8
STEERABLE = ("running", "paused")


class Wish(BaseModel):
    """What a person wants of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    wish: Literal["pause", "go", "stop", "budget"]
    max_usd: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None


class Unknown(InputError):
    """There is no such run."""


class Watch:
    """The runs of a folder. All that touches files is done on one thread.

    Args:
        root: A folder of runs, or a run.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._thread = ThreadPoolExecutor(1, "watch")
        self._filming = ThreadPoolExecutor(1, "film")
        self._followers: dict[str, Follower] = {}
        self._states: dict[str, tuple[float, Json]] = {}
        self._scratch = tempfile.TemporaryDirectory(prefix="volition-watch-")
        self.ended = False

    async def on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        self.ended = True

        def close_all() -> None:
            for follower in self._followers.values():
                follower.close()

        self._thread.submit(close_all).result()
        self._thread.shutdown()
        self._filming.shutdown(cancel_futures=True)
        self._scratch.cleanup()

    def rows(self) -> list[Json]:
        """Every run."""
        return [asdict(row_of(name, path)) for name, path in runs_in(self.root).items()]

    def state(self, name: str) -> Json:
        """One run, looked at once for all who watch it."""
        at, known = self._states.get(name, (0.0, {}))
        if time.monotonic() - at >= LOOK_S / 2:
            known = self._follower(name).snapshot()
            known["made_film"] = self._made_film(name)
            self._states[name] = time.monotonic(), known
        return known

    def pairs(self, name: str, after: int) -> list[Json]:
        return self._follower(name).pairs(after)

    def picture(self, name: str, side: str, number: int) -> bytes | None:
        return self._follower(name).picture(side, number)

    def folder(self, name: str) -> RunFolder:
        """A run of that name.

        Raises:
            Unknown: There is none.
        """
        return RunFolder.open(self._path(name))

    def wish(self, name: str, wish: Wish) -> str:
        """Says to a run what a person wants; returns what will be done.

        Raises:
            InputError: It is not under way, or cannot do that.
        """
        folder = self.folder(name)
        state = row_of(name, folder.path).state
        if state not in STEERABLE:
            raise InputError(f"{name} is {state}: nothing of it is under way")
        helm = Helm(folder.control)
        helm.want(_wanted(helm(), wish, folder))
        self._states.pop(name, None)
        return {
            "pause": "it pauses after the session at hand, and asks nothing more until then",
            "go": "it goes on",
            "stop": "it stops after the session at hand; `volition resume` goes on",
            "budget": f"it may spend ${wish.max_usd or 0:g} in all",
        }[wish.wish]

    async def film(self, name: str) -> Path:
        """Films what the best policy that the run has seen does; returns the file.

        Raises:
            InputError: There is none yet.
        """
        folder = await self.on_thread(lambda: self.folder(name))
        out = Path(self._scratch.name) / f"{folder.path.name}.mp4"
        await asyncio.get_running_loop().run_in_executor(self._filming, _film, folder, out)
        return out

    def made_film(self, name: str) -> Path:
        return Path(self._scratch.name) / f"{self._path(name).name}.mp4"

    def _made_film(self, name: str) -> str:
        file = self.made_film(name)
        return f"{file.stat().st_mtime_ns:x}" if file.is_file() else ""

    def _path(self, name: str) -> Path:
        found = runs_in(self.root).get(name)
        if found is None:
            raise Unknown(f"there is no run {name!r} here")
        return found

    def _follower(self, name: str) -> Follower:
        path = self._path(name)
        for other, follower in list(self._followers.items()):
            if time.monotonic() - follower.used > FORGET_S and other != name:
                self._followers.pop(other).close()
        if name not in self._followers:
            self._followers[name] = Follower(path)
        return self._followers[name]


def _wanted(wanted: Wanted, wish: Wish, folder: RunFolder) -> Wanted:
    """What is wanted now."""
    if wish.wish == "pause":
        return replace(wanted, pause=True)
    if wish.wish == "go":
        return replace(wanted, pause=False)
    if wish.wish == "stop":
        return replace(wanted, stop=True)
    live = folder.settings.judge
    if live is None or live.max_usd is None:
        raise InputError(f"{folder.path.name} has no limit in dollars that could be raised")
    most = max(live.max_usd, wanted.max_usd or 0.0)
    if wish.max_usd is None or wish.max_usd <= most:
        raise InputError(f"a budget can only be raised: it is ${most:g}")
    return replace(wanted, max_usd=wish.max_usd)


def _film(folder: RunFolder, out: Path) -> None:
    """An episode of the policy that is kept, as a film."""
    from volition.evidence.film import Episode, record, write_mp4
    from volition.learners.policies import POLICY_FILE, load_policy
    from volition.run.evaluation import FIRST_SEED

    if not (folder.kept / POLICY_FILE).is_file():
        raise InputError(f"{folder.path.name} has kept no policy yet: it is too early for a film")
    episode = Episode("", FIRST_SEED, float("nan"))
    record(load_policy(folder.kept), folder.task.environment, [episode], folder.task.view)
    write_mp4(episode.drawings, out)


class WatchPages:
    """What is answered.

    Args:
        watch: The runs.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    async def home(self, request: Request) -> Response:
        root = self._watch.root
        if (root / CONFIG).is_file():
            return RedirectResponse(f"run/{quote(root.resolve().name)}", 303)
        return page("runs.html", {"folder": str(root), "root": ""})

    async def all_events(self, request: Request) -> Response:
        return _events(self._watch, request, lambda _: {"runs": self._watch.rows()})

    async def one_run(self, request: Request) -> Response:
        name = request.path_params["name"]
        folder = await self._watch.on_thread(lambda: self._watch.folder(name))
        goal = folder.task.goal.text
        return page("run.html", {"name": name, "task": folder.task, "goal": goal, "root": "../"})

    async def run_events(self, request: Request) -> Response:
        name, watch = request.path_params["name"], self._watch
        await watch.on_thread(lambda: watch.folder(name))

        def look(seen: int) -> Json:
            return {"state": watch.state(name), "pairs": watch.pairs(name, seen)}

        return _events(watch, request, look)

    async def wish(self, request: Request) -> Response:
        said = Wish.model_validate_json(await request.body())
        name, watch = request.path_params["name"], self._watch
        return JSONResponse({"told": await watch.on_thread(lambda: watch.wish(name, said))})

    async def film(self, request: Request) -> Response:
        await self._watch.film(request.path_params["name"])
        return JSONResponse({"told": "filmed"})

    async def picture(self, request: Request) -> Response:
        place, watch = request.path_params, self._watch
        png = await watch.on_thread(
            lambda: watch.picture(place["name"], place["side"], place["number"])
        )
        if png is None:
            return PlainTextResponse("there is no such picture\n", 404)
        return Response(png, media_type="image/png", headers={"Cache-Control": "private"})

    async def shown_film(self, request: Request) -> Response:
        place, watch = request.path_params, self._watch
        folder = await watch.on_thread(lambda: watch.folder(place["name"]))
        file = folder.film if place["which"] == "policy" else watch.made_film(place["name"])
        if place["which"] not in ("policy", "now") or not file.is_file():
            return PlainTextResponse("there is no film yet\n", 404)
        return FileResponse(file, media_type="video/mp4")

    async def compare(self, request: Request) -> Response:
        names = list(dict.fromkeys(request.query_params.getlist("run")))[:MOST_COMPARED]
        watch = self._watch
        states = [await watch.on_thread(partial(watch.state, name)) for name in names]
        if request.query_params.get("json") == "1":
            return JSONResponse({"runs": states})
        return page("compare.html", {"states": states, "root": "", "names": names})


def watching_app(watch: Watch) -> Starlette:
    """The pages of runs."""
    pages = WatchPages(watch)
    return Starlette(
        routes=[
            Route("/", pages.home),
            Route("/events", pages.all_events),
            Route("/compare", pages.compare),
            Route("/run/{name}", pages.one_run),
            Route("/run/{name}/events", pages.run_events),
            Route("/run/{name}/wish", pages.wish, methods=["POST"]),
            Route("/run/{name}/film", pages.film, methods=["POST"]),
            Route("/run/{name}/sides/{side}/{number:int}.png", pages.picture),
            Route("/run/{name}/{which}.mp4", pages.shown_film),
            static(),
        ],
        exception_handlers={**HANDLERS, Unknown: _unknown},
    )


async def _unknown(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{error}\n", 404)


def _events(watch: Watch, request: Request, look: Callable[[int], Json]) -> Response:
    """A stream of what changes: each thing that `look` names is sent when it is another one."""

    async def stream() -> AsyncIterator[str]:
        sent: Json = {}
        seen, silent = 0, time.monotonic()
        while not watch.ended and not await request.is_disconnected():
            try:
                now = await watch.on_thread(partial(look, seen))
            except (InputError, RunError) as error:
                yield _event("gone", {"why": str(error)})
                return
            pairs = now.pop("pairs", [])
            changed = {name: value for name, value in now.items() if sent.get(name) != value}
            for name, value in changed.items():
                yield _event(name, value)
            if pairs:
                seen = pairs[0]["sequence"]
                yield _event("pairs", pairs)
            sent |= changed
            if changed or pairs:
                silent = time.monotonic()
            elif time.monotonic() - silent > KEEP_ALIVE_S:
                silent = time.monotonic()
                yield ": still here\n\n"
            await asyncio.sleep(LOOK_S)

    return StreamingResponse(stream(), media_type="text/event-stream")


def _event(name: str, value: object) -> str:
    return f"event: {name}\ndata: {json.dumps(value)}\n\n"


def watch(root: Path, address: Address, tell: Callable[[str], None]) -> None:
    """Lets people watch and steer runs until Ctrl-C, which stops no run.

    Args:
        root: A run, or a folder of runs.
        address: Where the pages are served.
        tell: Is told their address.

    Raises:
        RunError: It is neither, or damaged.
        InputError: Nobody can listen there.
    """
    if not root.is_dir():
        raise RunError(f"{root} is not a folder: name a run, or a folder of runs such as runs/")
    if (root / CONFIG).is_file():
        RunFolder.read_config(root)
    watched = Watch(root)
    try:
        serve(watching_app(watched), address, PORT, tell)
    finally:
        watched.close()
