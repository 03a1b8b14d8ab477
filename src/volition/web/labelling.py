"""The page on which people judge: one pair at a time, blind to what the judge said.

    /                    the page
    /desk                what a person is asked next, and how far everybody is
    /answers             takes answers; they are on disk when it replies
    /sides/SIDE/N.png    a frame
    /results             what came of it, for whoever has answered

All that touches files is done on one thread, in the order in which it was asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from volition.errors import InputError, VolitionError
from volition.evidence.audit.counting import Audit, count
from volition.evidence.audit.sampling import Sample
from volition.judgment import Order
from volition.storage.labels import Choice, Label, LabelLog
from volition.web.guarding import Refused, on_refused
from volition.web.pages import page, static
from volition.web.people import People, Standing, check_name, disagreements
from volition.web.sources import Question, Source, shown_goal

T = TypeVar("T")
MOST_AHEAD = 64  # questions that a page holds
BACK = 20  # answers that can be taken back after a page was loaded anew
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
Json = dict[str, Any]


class Given(BaseModel):
    """An answer as a page hands it in."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str = Field(pattern=r"^[0-9A-Za-z-]{8,64}$")
    question: str = Field(pattern=r"^[0-9a-f]{16}$")
    choice: Choice
    seconds: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.0


class HandedIn(BaseModel):
    """Answers of one person."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    person: str
    answers: list[Given] = Field(max_length=1000)


class Desk:
    """Where people are asked. Everything but `people` and `audit` is called on one thread.

    Args:
        open_source: Opens what they are asked about, on the thread that will use it.
        sample: Of an audit, where it is one.
    """

    def __init__(self, open_source: Callable[[], Source], sample: Sample | None = None) -> None:
        self._open, self.sample = open_source, sample
        self._thread = ThreadPoolExecutor(1, "labels")

    async def on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def at_once(self, work: Callable[[], T]) -> T:
        """Does it on the thread, and waits; not for whoever answers requests."""
        return self._thread.submit(work).result()

    def open(self) -> None:
        """Opens it.

        Raises:
            VolitionError: It cannot be.
        """
        self.at_once(self._begin)

    def close(self) -> None:
        if hasattr(self, "source"):
            self.at_once(self.source.close)
        self._thread.shutdown()

    def _begin(self) -> None:
        self.source = self._open()
        self.people = People(self.source, LabelLog(self.source.folder))
        self.people.refresh()
        if not self.people.questions:
            raise InputError(
                f"{self.source.folder} has no pair yet that somebody could judge: "
                "begin when the run has asked its first questions"
            )

    def shown(self, question: Question, person: str) -> Json:
        """A question as that person's page has it: nothing in it tells what the judge said."""
        sides = [question.first, question.second]
        if question.order_for(person) is Order.SWAPPED:
            sides.reverse()
        return {
            "key": question.key,
            "sides": [{"name": side, "frames": self.source.frames(side)} for side in sides],
            "principle": question.principle,
            "veto": question.veto,
        }

    def desk(self, person: str, ahead: int, back: bool) -> Json:
        self.people.refresh()
        answered = list(self.people.answers(person).values())[-BACK:] if back else []
        by_asked = self.people.by_asked
        return {
            **_as_json(self.people.standing(person)),
            "next": [self.shown(q, person) for q in self.people.next_for(person, ahead)],
            "back": [
                {**self.shown(by_asked[label.question], person), "choice": label.choice}
                for label in answered
                if label.question in by_asked
            ],
        }

    def take(self, handed_in: HandedIn) -> Json:
        """Stores answers.

        Raises:
            InputError: One is to no question here; nothing is stored then.
        """
        person, now = (
            check_name(handed_in.person),
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )
        labels = []
        for given in handed_in.answers:
            question = self.people.questions.get(given.question)
            if question is None:
                raise InputError(f"there is no question {given.question}: load the page anew")
            order = question.order_for(person)
            labels.append(
                Label(
                    given.id,
                    person,
                    question.comparison_id,
                    order,
                    given.choice,
                    question.principle,
                    round(given.seconds, 3),
                    now,
                )
            )
        self.people.hand_in(labels)
        stored = [given.id for given in handed_in.answers]
        return {"stored": stored, **_as_json(self.people.standing(person))}

    def audit(self) -> Audit | None:
        """What came of the audit so far."""
        self.people.refresh()
        return None if self.sample is None else count(self.sample, self.people.means())

    def results(self, person: str) -> Json | None:
        """What the page of results shows; None for whoever has not answered all."""
        self.people.refresh()
        standing = self.people.standing(person)
        if standing.answered < standing.questions:
            return None
        return {
            "standing": standing,
            "audit": self.audit(),
            "disagreements": disagreements(self.people, person),
        }


def _as_json(standing: Standing) -> Json:
    told = asdict(standing)
    for name in ("with_judge", "with_people"):
        counted = getattr(standing, name)
        told[name] = {
            "same": counted.successes,
            "of": counted.trials,
            "interval": counted.interval,
        }
    return told


class LabelPages:
    """What is answered.

    Args:
        desk: Where people are asked, which is open.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._facts = {"title": desk.source.title, "audit": desk.sample is not None}
        self._pictures = shown_goal(desk.source.goal)

    async def home(self, request: Request) -> Response:
        source = self._desk.source
        about = {"goal": source.goal, "source": str(source.folder), "pictures": self._pictures}
        return page("label.html", {**self._facts, **about})

    async def next_questions(self, request: Request) -> Response:
        person = check_name(request.query_params.get("person", ""))
        ahead = _whole(request, "ahead", MOST_AHEAD)
        back = request.query_params.get("back") == "1"
        desk = self._desk
        return JSONResponse(await desk.on_thread(lambda: desk.desk(person, ahead, back)))

    async def answers(self, request: Request) -> Response:
        handed_in = HandedIn.model_validate_json(await request.body())
        return JSONResponse(await self._desk.on_thread(lambda: self._desk.take(handed_in)))

    async def picture(self, request: Request) -> Response:
        side, number = request.path_params["side"], request.path_params["number"]
        desk = self._desk
        png = await desk.on_thread(lambda: desk.source.picture(side, number))
        if png is None:
            return PlainTextResponse("there is no such picture\n", 404)
        return Response(png, media_type="image/png", headers=FOREVER)

    async def goal_picture(self, request: Request) -> Response:
        number = request.path_params["number"]
        if number >= len(self._pictures):
            return PlainTextResponse("there is no such picture\n", 404)
        return Response(self._pictures[number].png, media_type="image/png")

    async def results(self, request: Request) -> Response:
        person = check_name(request.query_params.get("person", ""))
        found = await self._desk.on_thread(lambda: self._desk.results(person))
        if found is None:
            return PlainTextResponse(
                "first answer all: what the judge said is shown afterwards\n", 403
            )
        return page("results.html", {**self._facts, "person": person, **found})


def labelling_app(desk: Desk) -> Starlette:
    """The pages of a desk that is open."""
    pages = LabelPages(desk)
    return Starlette(
        routes=[
            Route("/", pages.home),
            Route("/desk", pages.next_questions),
            Route("/answers", pages.answers, methods=["POST"]),
            Route("/sides/{side}/{number:int}.png", pages.picture),
            Route("/goal/{number:int}.png", pages.goal_picture),
            Route("/results", pages.results),
            static(),
        ],
        exception_handlers=HANDLERS,
    )


def _whole(request: Request, name: str, most: int) -> int:
    """A number of the address, from 1 on."""
    text = request.query_params.get(name, "1")
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise InputError(f"{name} is a whole number from 1 on")
    return min(int(text), most)


async def _wrong(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{error}\n", 400)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    first: Sequence[Any] = error.errors(include_url=False, include_input=False)[:1]
    where = ".".join(str(part) for part in first[0]["loc"])
    return PlainTextResponse(f"{where or 'the answers'}: {first[0]['msg']}\n", 400)


HANDLERS: dict[Any, Any] = {
    VolitionError: _wrong,
    ValidationError: _invalid,
    Refused: on_refused,
}
