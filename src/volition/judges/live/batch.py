"""Providers' batch files: requests that are answered within a day, for half the price.

A file holds one request for each contact sheet, byte for byte the request that the live judge of
that model would make: it is taken from the provider's own client library, whose connection here
ends in this module. Results come back as a file too, and are read by the live judge's reader.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from volition.errors import InputError, JudgeUnavailable
from volition.judges.base import Question
from volition.judges.live import anthropic, gemini, openai
from volition.judges.live.connection import Endpoint, Provider, ask_error, http_client, resolve
from volition.judges.live.judge import MALFORMED, LiveJudge
from volition.judges.live.wires import Wire, votes
from volition.judges.prompt import Brief, Document, Prompt, compose
from volition.judges.settings import REASONING_TOKENS
from volition.judgment import Failure, Verdict

if TYPE_CHECKING:
    import httpx2

PRICE = 0.5  # of a live request, with every provider that is here
UPLOAD_TIMEOUT_S = 600.0

T = TypeVar("T")


class Form(Protocol):
    """What a provider's batches look like."""

    @property
    def provider(self) -> Provider: ...

    def wire(self, model: str) -> Wire:
        """The way of asking that this provider's models take without being probed."""
        ...

    def request(self, key: str, body: Document) -> Document:
        """A line of the file."""
        ...

    def reply(self, row: Document) -> tuple[str, Document | Failure] | None:
        """The key and the reply in a line of results; None where it is no line of this form."""
        ...

    def model(self, document: Document) -> str:
        """The model that gave a reply."""
        ...

    async def submit(self, library: Any, model: str, file: bytes) -> str:
        """Hands in a file; returns the batch's id."""
        ...

    async def fetch(self, library: Any, batch_id: str) -> str | None:
        """The file of results; None where the batch is still under way."""
        ...


class OpenAI:
    provider = openai.PROVIDER

    def wire(self, model: str) -> Wire:
        return votes(openai.Chat(model, official=True, room=REASONING_TOKENS), enforced=True)

    def request(self, key: str, body: Document) -> Document:
        return {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": body}

    def reply(self, row: Document) -> tuple[str, Document | Failure] | None:
        if not {"custom_id", "response"} <= row.keys():
            return None
        response = row["response"] or {}
        if row.get("error") or response.get("status_code") != 200:
            reason = json.dumps(row.get("error") or response.get("body"))
            return row["custom_id"], Failure("rejected", f"{reason:.300}")
        return row["custom_id"], response["body"]

    def model(self, document: Document) -> str:
        return str(document["model"])

    async def submit(self, library: Any, model: str, file: bytes) -> str:
        uploaded = await library.files.create(file=("volition.jsonl", file), purpose="batch")
        batch = await library.batches.create(
            input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        return str(batch.id)

    async def fetch(self, library: Any, batch_id: str) -> str | None:
        batch = await library.batches.retrieve(batch_id)
        if batch.status == "failed":
            raise JudgeUnavailable(f"the provider refused batch {batch_id}: {batch.errors}")
        if batch.status not in ("completed", "expired", "cancelled"):
            return None
        files = [name for name in (batch.output_file_id, batch.error_file_id) if name]
        return "".join([(await library.files.content(name)).text for name in files])


class Anthropic:
    provider = anthropic.PROVIDER

    def wire(self, model: str) -> Wire:
        # Not told to think nor not to: some models refuse the one, some the other.
        return votes(anthropic.Messages(model, think=True), enforced=True)

    def request(self, key: str, body: Document) -> Document:
        return {"custom_id": key, "params": body}

    def reply(self, row: Document) -> tuple[str, Document | Failure] | None:
        if not {"custom_id", "result"} <= row.keys():
            return None
        result = row["result"]
        if result["type"] != "succeeded":
            reason = json.dumps(result.get("error") or result["type"])
            return row["custom_id"], Failure("rejected", f"{reason:.300}")
        return row["custom_id"], result["message"]

    def model(self, document: Document) -> str:
        return str(document["model"])

    async def submit(self, library: Any, model: str, file: bytes) -> str:
        requests = [json.loads(line) for line in file.splitlines()]
        return str((await library.messages.batches.create(requests=requests)).id)

    async def fetch(self, library: Any, batch_id: str) -> str | None:
        import httpx2

        batch = await library.messages.batches.retrieve(batch_id)
        if batch.processing_status != "ended":
            return None
        results: httpx2.Response = await library.get(
            f"/v1/messages/batches/{batch_id}/results", cast_to=httpx2.Response
        )
        return results.text


class Gemini:
    provider = gemini.PROVIDER

    def wire(self, model: str) -> Wire:
        return votes(gemini.Content(model, "default"))

    def request(self, key: str, body: Document) -> Document:
        return {"key": key, "request": body}

    def reply(self, row: Document) -> tuple[str, Document | Failure] | None:
        if "key" not in row or not row.keys() & {"response", "error"}:
            return None
        if "response" not in row:
            return row["key"], Failure("rejected", f"{json.dumps(row['error']):.300}")
        return row["key"], row["response"]

    def model(self, document: Document) -> str:
        return str(document["modelVersion"])

    async def submit(self, library: Any, model: str, file: bytes) -> str:
        uploaded = await library.aio.files.upload(
            file=io.BytesIO(file), config={"mime_type": "application/jsonl"}
        )
        return str((await library.aio.batches.create(model=model, src=uploaded.name)).name)

    async def fetch(self, library: Any, batch_id: str) -> str | None:
        batch = await library.aio.batches.get(name=batch_id)
        state = batch.state.name.removeprefix("JOB_STATE_")
        if state in ("FAILED", "CANCELLED", "EXPIRED"):
            raise JudgeUnavailable(f"the provider gave up {batch_id}: {state} {batch.error or ''}")
        if state not in ("SUCCEEDED", "PARTIALLY_SUCCEEDED"):
            return None
        return bytes(await library.aio.files.download(file=batch.dest.file_name)).decode()


FORMS: Mapping[str, Form] = {"openai": OpenAI(), "anthropic": Anthropic(), "gemini": Gemini()}


# Files -----------------------------------------------------------------------------------------


def form_of(judge: str) -> tuple[Form, str]:
    """The form and the model that `PROVIDER:MODEL` names.

    Raises:
        InputError: There is no such provider, or no model is named.
    """
    provider, _, model = judge.partition(":")
    if provider not in FORMS or not model:
        known = ", ".join(f"{known}:MODEL" for known in FORMS)
        raise InputError(f"there are no batches of {judge!r}: --batch takes one of {known}")
    return FORMS[provider], model


def batch_file(judge: str, brief: Brief, requests: Mapping[str, Sequence[Question]]) -> bytes:
    """A provider's batch file: a line for each of `requests`, which are named by their keys.

    Raises:
        InputError: There is no such provider, or a request holds more than it takes.
        JudgeUnavailable: The provider's client library is not installed.
    """
    form, model = form_of(judge)
    wire = form.wire(model)
    for questions in requests.values():
        if len(questions) > wire.most:
            raise InputError(f"{judge} takes {wire.most} pairs a sheet, not {len(questions)}")
    prompts = [compose(brief, questions) for questions in requests.values()]
    bodies = asyncio.run(_bodies(form.provider, wire, prompts))
    lines = [form.request(*keyed) for keyed in zip(requests, bodies, strict=True)]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


async def _bodies(provider: Provider, wire: Wire, prompts: Sequence[Prompt]) -> list[Document]:
    """What the live judge would send. Nothing is sent: the connection ends here."""
    import httpx2

    bodies: list[Document] = []

    def keep(request: httpx2.Request) -> httpx2.Response:
        bodies.append(json.loads(request.content))
        return httpx2.Response(200, json={})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(keep)) as client:
        library = wire.service.connect(client, Endpoint(provider.url, True, "", None))
        for prompt in prompts:
            await wire.way.send(library, prompt, 1)
    return bodies


def most_usd(judge: str, brief: Brief, requests: Mapping[str, Sequence[Question]]) -> float | None:
    """US dollars that a batch will cost at most; None where no price is known."""
    form, model = form_of(judge)
    endpoint = Endpoint(form.provider.url, True, "", None)
    live = LiveJudge(judge, model, endpoint, form.wire(model), brief)
    costs = [live.estimate(questions).cost_usd for questions in requests.values()]
    known = [cost for cost in costs if cost is not None]
    return PRICE * sum(known) if len(known) == len(costs) else None


# Results ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Results:
    """What came back of a batch.

    Attributes:
        judge: `PROVIDER:MODEL` as the replies name them.
        outcomes: By request, an outcome for each of its questions; a failure for each where
            nothing came back.
    """

    judge: str
    outcomes: Mapping[str, list[Verdict | Failure]]


def read_results(text: str, counts: Mapping[str, int]) -> Results | None:
    """The outcomes in a provider's file of results; None where it is no such file.

    Args:
        text: The file.
        counts: How many questions each request held.

    Raises:
        InputError: A line is not as it must be, or answers what was not asked.
    """
    outcomes: dict[str, list[Verdict | Failure]] = {}
    judge = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        read = _read_line(line)
        if read is None:
            if number == 1:
                return None
            raise InputError(f"line {number} is not a result of a batch: {line:.80}")
        name, form, key, document = read
        if key not in counts or key in outcomes:
            again = "twice" if key in outcomes else "and was never asked"
            raise InputError(f"line {number}: {key!r} is answered {again}")
        if isinstance(document, Failure):
            outcomes[key] = [document] * counts[key]
            continue
        judge = judge or f"{name}:{_model(form, document)}"
        outcomes[key] = _outcomes(form, document, counts[key])
    if not outcomes:
        return None
    for key in counts.keys() - outcomes.keys():
        outcomes[key] = [Failure("missing", "the batch holds no reply to it")] * counts[key]
    return Results(judge, outcomes)


def _read_line(line: str) -> tuple[str, Form, str, Document | Failure] | None:
    try:
        row = json.loads(line)
        for name, form in FORMS.items():
            if (keyed := form.reply(row)) is not None:
                return name, form, *keyed
    except MALFORMED:
        return None
    return None


def _model(form: Form, document: Document) -> str:
    try:
        return form.model(document)
    except MALFORMED:
        return "unnamed"


def _outcomes(form: Form, document: Document, count: int) -> list[Verdict | Failure]:
    try:
        (outcomes,) = form.wire("").way.read(document, count)
    except MALFORMED as error:
        return [Failure("unparsable", f"{type(error).__name__}: {error}"[:300])] * count
    return outcomes


# Handing in and fetching -----------------------------------------------------------------------


def check_key(judge: str) -> None:
    """That a batch of this model could be handed in.

    Raises:
        InputError: There are no batches of it.
        JudgeUnavailable: The provider's key is not set.
    """
    resolve(form_of(judge)[0].provider, None)


def submit(judge: str, file: bytes) -> str:
    """Hands a batch file in; returns the batch's id.

    Raises:
        JudgeUnavailable: No key is set, or the provider refuses the batch.
    """
    form, model = form_of(judge)
    return asyncio.run(_asked(judge, lambda library: form.submit(library, model, file)))


def fetch(judge: str, batch_id: str) -> str | None:
    """The file of results as it came; None where the batch is still under way.

    Raises:
        JudgeUnavailable: No key is set, or the provider gave the batch up.
    """
    form, _ = form_of(judge)
    return asyncio.run(_asked(judge, lambda library: form.fetch(library, batch_id)))


async def _asked(judge: str, what: Callable[[Any], Awaitable[T]]) -> T:
    form, model = form_of(judge)
    endpoint = resolve(form.provider, None)
    client = http_client(endpoint, UPLOAD_TIMEOUT_S)
    try:
        return await what(form.wire(model).service.connect(client, endpoint))
    except JudgeUnavailable:
        raise
    except Exception as error:
        # Not chained: the library's exception holds the request, and that holds the key.
        raise JudgeUnavailable(f"{judge}: {ask_error(error, endpoint)}") from None
    finally:
        await client.aclose()
