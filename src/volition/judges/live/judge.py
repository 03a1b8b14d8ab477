"""A judge that is asked over a network: all that the providers' wires have in common.

A wire puts a prompt into one provider's form, sends it, and reads what comes back. Everything else
is here and is done once: composing, timing, asking for several votes, counting and pricing tokens,
and merging votes. Retrying is not: the caller knows how much is in flight.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from volition.comparison import content_id
from volition.judges import prompt as prompts
from volition.judges.base import AskError, Assignment, Capability, Estimate, Question
from volition.judges.live.connection import Endpoint, ask_error, fault_in, http_client
from volition.judges.live.pricing import cost_usd
from volition.judges.live.streams import document_of
from volition.judges.live.wires import Outcomes, Usage, Wire, Writes
from volition.judges.prompt import Brief, Outline, Prompt
from volition.judges.settings import Price
from volition.judgment import Failure, JudgeIdentity, Reply, Verdict
from volition.storage.pictures import read_frame

if TYPE_CHECKING:
    import httpx2

TIMEOUT_S = 120.0
CHARACTERS_PER_TOKEN = 3  # of English, at least; four is usual
PART_TOKENS = 12  # at most, of what a provider writes around a part or a question


MALFORMED = (LookupError, TypeError, ValueError, AttributeError, RecursionError)


@dataclass(slots=True)
class LiveJudge:
    """Puts questions to a model over a wire.

    Attributes:
        name: For a person to read, such as `openai:gpt-6-luna`.
        per_request: Questions in one request at most.
        samples: Votes for each question, where the wire gives no probabilities.
    """

    name: str
    model: str
    endpoint: Endpoint
    wire: Wire
    brief: Brief
    price: Price | None = None
    per_request: int = 1
    samples: int = 1
    timeout_s: float = TIMEOUT_S
    capability: Capability | None = None
    immediate = False
    _client: httpx2.AsyncClient | None = field(default=None, init=False, repr=False)
    _library: Any = field(default=None, init=False, repr=False)
    # Every reply is one of its own, even where a server sends the same twice.
    _series: bytes = field(default_factory=lambda: uuid.uuid4().bytes, init=False, repr=False)
    _numbers: Iterator[int] = field(default_factory=itertools.count, init=False, repr=False)

    def __post_init__(self) -> None:
        self.per_request = min(self.per_request, self.wire.most)
        if self.wire.soft:
            self.samples = 1

    @property
    def identity(self) -> JudgeIdentity:
        settings = {
            "model": self.model,
            "prompt": prompts.VERSION,
            "wire": self.wire.name,
            "per_request": str(self.per_request),
            "samples": str(self.samples),
            "overlay": str(self.brief.overlay),
            **self.wire.way.settings,
        }
        if self.brief.one_picture:
            settings["pictures"] = "1"
        if not self.endpoint.official:
            settings["endpoint"] = self.endpoint.url
        return JudgeIdentity(self.name, settings=settings)

    def without(self, refused: frozenset[str]) -> LiveJudge:
        """The same in a form that a server which refused these, of `REFUSABLE`, may take."""
        brief = replace(self.brief, one_picture="pictures" in refused)
        return replace(self, wire=self.wire.without(refused), brief=brief)

    def estimate(self, questions: Sequence[Question]) -> Estimate:
        return self.estimate_of(prompts.outline(self.brief, questions), len(questions))

    def estimate_of(self, outline: Outline, count: int) -> Estimate:
        """What a request that holds this and has so many questions will use at most."""
        parts = len(outline.sizes) * 2 + count + 4
        tokens = len(outline.words.encode()) // CHARACTERS_PER_TOKEN + parts * PART_TOKENS
        tokens += sum(self.wire.service.picture_tokens(*size, count) for size in outline.sizes)
        prompt_tokens = tokens * self.samples
        completion_tokens = self.wire.way.completion_tokens(count) * self.samples
        # At most all of it is written into a cache, which may cost more than reading it.
        usage = Usage(prompt_tokens, completion_tokens, written_tokens=prompt_tokens)
        return Estimate(prompt_tokens, completion_tokens, self._cost(usage))

    async def ask(self, questions: Sequence[Question]) -> Reply:
        # Drawing and compressing a sheet takes longer than the loop may be held up; one pair does
        # not take as long as changing threads.
        if len(questions) == 1:
            prompt = _composed(self.brief, questions)
        else:
            prompt = await asyncio.to_thread(_composed, self.brief, questions)
        return await self.put(prompt, partial(self.estimate, questions))

    async def put(self, prompt: Prompt, estimate: Callable[[], Estimate]) -> Reply:
        """One request, as `ask` makes it of questions that are composed already.

        Args:
            prompt: What is put.
            estimate: What it will use at most.

        Raises:
            AskError: Nothing readable came back.
        """
        started = time.perf_counter()
        bodies, faults = await self._collect(prompt)
        if not bodies:
            raise faults[0]
        raw = bodies[0] if len(bodies) == 1 else json.dumps(bodies)
        usage, metered = self._usage(bodies, estimate)
        return Reply(
            content_id(self._series, next(self._numbers).to_bytes(8, "little"), raw.encode()),
            self.endpoint.redact(raw),
            usage.prompt_tokens,
            usage.completion_tokens,
            self._cost(usage) or 0.0,
            time.perf_counter() - started,
            metered=metered and not any(fault.billed for fault in faults),
        )

    def read(self, reply: Reply, questions: Sequence[Question]) -> list[Verdict | Failure]:
        return self.outcomes(reply, len(questions))

    def outcomes(self, reply: Reply, count: int) -> list[Verdict | Failure]:
        """The outcome of each of so many closed questions: the probability of A."""
        votes = [
            outcomes for body in _bodies(reply.raw) for outcomes in self._read_body(body, count)
        ]
        return [_merge([outcomes[place] for outcomes in votes]) for place in range(count)]

    def text(self, reply: Reply) -> str | Failure:
        """What was written, of a judge that was asked to write; never raises on a bad reply."""
        if not isinstance(self.wire.way, Writes):
            return Failure("unparsable", f"{self.name} was not asked to write")
        try:
            return self.wire.way.text(document_of(reply.raw))
        except MALFORMED as error:
            reason = f"{type(error).__name__}: {error}"
            return Failure("unparsable", f"{reason:.200}; the reply begins {reply.raw!r:.200}")

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
        self._client = self._library = None

    # Asking --------------------------------------------------------------------------------

    async def _collect(self, prompt: Prompt) -> tuple[list[str], list[AskError]]:
        """The bodies of as many requests as bring the votes, and what went wrong with others.

        A provider that can give several votes at once is billed the prompt once; whether a server
        does is seen from its first reply.
        """
        at_once = self.samples if self.wire.several else 1
        bodies, faults = await self._gather(prompt, at_once, self.samples if at_once == 1 else 1)
        if bodies and at_once > 1:
            missing = at_once - len(self._read_body(bodies[0], len(prompt.questions)))
            more, further = await self._gather(prompt, 1, missing)
            return bodies + more, faults + further
        return bodies, faults

    async def _gather(
        self, prompt: Prompt, samples: int, requests: int
    ) -> tuple[list[str], list[AskError]]:
        sent = [self._send(prompt, samples) for _ in range(requests)]
        came = await asyncio.gather(*sent, return_exceptions=True)
        bodies = [body for body in came if isinstance(body, str)]
        for error in came:
            if isinstance(error, BaseException) and not isinstance(error, AskError):
                raise error
        return bodies, [error for error in came if isinstance(error, AskError)]

    async def _send(self, prompt: Prompt, samples: int) -> str:
        if self._client is None:
            self._client = http_client(self.endpoint, self.timeout_s)
            self._library = self.wire.service.connect(self._client, self.endpoint)
        try:
            # The client's own limit begins anew with every byte that trickles in.
            async with asyncio.timeout(self.timeout_s):
                body = await self.wire.way.send(self._library, prompt, samples)
        except Exception as error:
            # Not chained: the library's exception holds the request, and that holds the key.
            raise ask_error(error, self.endpoint) from None
        if '"error"' in body and (fault := self._fault_in(body)) is not None:
            raise fault
        return body

    def _fault_in(self, body: str) -> AskError | None:
        try:
            return fault_in(document_of(body), self.endpoint)
        except MALFORMED:  # no error that can be read
            return None

    def _usage(self, bodies: Sequence[str], estimate: Callable[[], Estimate]) -> tuple[Usage, bool]:
        """What was billed in all, and whether all replies say it.

        One that does not is taken for as much as was estimated for it.
        """
        billed, metered = [], True
        for body in bodies:
            try:
                billed.append(_checked(self.wire.way.usage(document_of(body))))
            except MALFORMED:
                metered = False
                reserved = estimate()
                billed.append(
                    Usage(
                        reserved.prompt_tokens // self.samples,
                        reserved.completion_tokens // self.samples,
                    )
                )
        reported = [usage.cost_usd for usage in billed if usage.cost_usd is not None]
        total = Usage(
            sum(usage.prompt_tokens for usage in billed),
            sum(usage.completion_tokens for usage in billed),
            sum(usage.cached_tokens for usage in billed),
            sum(usage.written_tokens for usage in billed),
            sum(reported) if len(reported) == len(billed) else None,
        )
        return total, metered

    def _cost(self, usage: Usage) -> float | None:
        if usage.cost_usd is not None:
            return usage.cost_usd
        return cost_usd(
            self.wire.service.priced_as,
            self.model,
            usage.prompt_tokens,
            usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            written_tokens=usage.written_tokens,
            base_url=None if self.endpoint.official else self.endpoint.url,
            price=self.price,
        )

    # Reading -------------------------------------------------------------------------------

    def _read_body(self, body: str, count: int) -> list[Outcomes]:
        try:
            votes = self.wire.way.read(document_of(body), count)
            if votes and all(len(outcomes) == count for outcomes in votes):
                return votes
            reason = f"it answers {[len(outcomes) for outcomes in votes]} of {count} questions"
        except MALFORMED as error:
            reason = f"{type(error).__name__}: {error}"
        return [[Failure("unparsable", f"{reason:.200}; the reply begins {body!r:.200}")] * count]


NAMES_OF_MODELS = ("model", "modelVersion", "system_fingerprint")  # in replies


def models_behind(replies: Iterable[str]) -> set[str]:
    """Which models answered, by what their replies say: all that each provider says of it."""
    found = set()
    for raw in set(replies):
        for body in _bodies(raw):
            try:
                document = document_of(body)
            except MALFORMED:
                continue
            said = [document.get(name) for name in NAMES_OF_MODELS]
            if any(isinstance(name, str) for name in said):
                found.add(" ".join(name for name in said if isinstance(name, str) and name))
    return found - {""}


def brief_of(assignment: Assignment) -> Brief:
    """What every question has in common, its pictures read from their files."""
    goal = assignment.goal
    return Brief(
        goal.text,
        tuple(read_frame(path) for path in goal.images),
        tuple(read_frame(path) for path in goal.counterexamples),
        assignment.view.overlay,
    )


def _composed(brief: Brief, questions: Sequence[Question]) -> Prompt:
    """The prompt with its pictures compressed."""
    prompt = prompts.compose(brief, questions)
    for picture in prompt.pictures:
        _ = picture.base64
    return prompt


def _bodies(raw: str) -> list[str]:
    """The bodies that a reply is made of: one as it came, several as a JSON list of texts."""
    try:
        several = json.loads(raw)
    except MALFORMED:
        return [raw]
    if isinstance(several, list) and several and {type(body) for body in several} == {str}:
        return several
    return [raw]


def _checked(usage: Usage) -> Usage:
    counts: list[Any] = [usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens]
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        raise ValueError(f"not a number of tokens among {counts}")
    if usage.cost_usd is not None and not 0 <= usage.cost_usd < float("inf"):
        raise ValueError(f"not an amount of dollars: {usage.cost_usd}")
    return usage


def _merge(votes: Sequence[Verdict | Failure]) -> Verdict | Failure:
    """The share of the votes that could be read; a failure where none could."""
    verdicts = [vote for vote in votes if isinstance(vote, Verdict)]
    if not verdicts:
        return next(vote for vote in votes if isinstance(vote, Failure))
    share = sum(verdict.p_shown_first for verdict in verdicts) / len(verdicts)
    explanations = dict.fromkeys(verdict.explanation for verdict in verdicts if verdict.explanation)
    return Verdict(share, "\n".join(explanations))
