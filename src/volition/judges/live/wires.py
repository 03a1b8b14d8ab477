"""What the providers' wires have in common.

A wire is one way of asking one service. The service is a provider's client library and what it
bills; the way puts a prompt into the form of one endpoint, sends it, and reads what comes back.
An endpoint for closed questions is a way of its provider's own. An endpoint at which a model
writes, a `Chat`, is asked in the two ways that are here: for one letter, whose probability is read
off its token, and for a JSON object, which is a vote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from volition.judges import prompt as prompts
from volition.judges.live.connection import Endpoint
from volition.judges.prompt import Document, Prompt, Token
from volition.judgment import Failure, Verdict

if TYPE_CHECKING:
    import httpx2

TOP_LOGPROBS = 20
# What a server may refuse, and how its words say so. Asked without it, it may do: tried once.
REFUSABLE = {
    "limit": re.compile(r"max_(completion_)?tokens"),  # the one name of it, or the other
    "logprobs": re.compile(r"logprobs"),  # as many as we ask for
    "pictures": re.compile(
        r"(at most|only|more than|exactly|than|single|multiple|max\w*|limit\w*)\W.{0,20}"
        r"\b(image|picture)|(image|picture)s?\b.{0,30}\b(at most|only|limit|max|exceed)",
        re.I,
    ),  # more than one
    "temperature": re.compile(r"temperature"),
}
FEW_LOGPROBS = 5  # where a server refuses `TOP_LOGPROBS`
MOST_WRITTEN = 60  # questions that a model answers in one text
Outcomes = list[Verdict | Failure]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a provider says that it billed.

    Attributes:
        prompt_tokens: All that went in.
        cached_tokens: How many of them were read from the provider's cache.
        written_tokens: How many of them were written into it.
        cost_usd: None where the provider gives no amount, as most do not.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    written_tokens: int = 0
    cost_usd: float | None = None


class Service(Protocol):
    """How a provider is reached, and what it bills for a picture. A frozen value."""

    @property
    def priced_as(self) -> str:
        """The provider in the price lists."""
        ...

    def connect(self, client: httpx2.AsyncClient, endpoint: Endpoint) -> Any:
        """The provider's client library on this connection, with a placeholder for the key."""
        ...

    def picture_tokens(self, width: int, height: int, count: int) -> int:
        """What a picture of that size is billed, at most, among `count` questions."""
        ...


class Way(Protocol):
    """How one endpoint is asked. A frozen value; what it is given to read is never trusted."""

    @property
    def settings(self) -> Mapping[str, str]:
        """Beside the model, all that an answer depends on."""
        ...

    def completion_tokens(self, count: int) -> int:
        """What one answer to `count` questions is billed, at most; the request says so too."""
        ...

    async def send(self, library: Any, prompt: Prompt, samples: int) -> str:
        """One request, for `samples` votes if the provider can; the body of the reply as it came.

        Raises:
            Exception: Whatever the library raises.
        """
        ...

    def usage(self, document: Document) -> Usage:
        """What was billed. May raise LookupError, TypeError, ValueError on a malformed reply."""
        ...

    def read(self, document: Document, count: int) -> list[Outcomes]:
        """For each vote in the reply, an outcome for each question. May raise as `usage` does."""
        ...


@dataclass(frozen=True, slots=True)
class Wire:
    """One way of asking one service.

    Attributes:
        name: decisions, systemone, logprobs or votes.
        most: Questions that one request may hold.
        soft: Whether one answer is a probability; else it is a vote.
        several: Whether one request can be for several votes.
    """

    name: str
    most: int
    service: Service
    way: Way
    soft: bool = True
    several: bool = False

    def without(self, refused: frozenset[str]) -> Wire:
        """The same in a form that a server which refused these, of `REFUSABLE`, may take."""
        if isinstance(self.way, Logprobs):
            chat = self.way.chat.without(refused & {"limit", "logprobs", "temperature"})
            return replace(self, way=replace(self.way, chat=chat))
        if isinstance(self.way, Votes | Writes):
            chat_for_text = self.way.chat.without(refused & {"limit", "temperature"})
            return replace(self, way=replace(self.way, chat=chat_for_text))
        return self


def refused_in(words: str) -> frozenset[str]:
    """Which of `REFUSABLE` a server's words are about."""
    return frozenset(name for name, pattern in REFUSABLE.items() if pattern.search(words))


# Ways of asking a model that writes --------------------------------------------------------------


class Chat(Protocol):
    """An endpoint at which a model writes, asked in one manner. A frozen value.

    A candidate is one text that came back, in the provider's own form.
    """

    @property
    def service(self) -> Service: ...

    @property
    def settings(self) -> Mapping[str, str]:
        """Beside the model and the way of asking, all that an answer depends on."""
        ...

    @property
    def several(self) -> bool:
        """Whether one request can bring several candidates."""
        ...

    @property
    def room(self) -> int:
        """Tokens that the model may write to itself before it answers."""
        ...

    def without(self, refused: frozenset[str]) -> Self:
        """The same without what a server refused, as `Wire.without`."""
        ...

    def for_object(self, schema: Document | None, samples: int, varied: bool) -> Document:
        """What a request says beside the prompt so that JSON objects come back.

        Args:
            schema: Of the object; None: the server is not told it.
            samples: How many candidates this request is for.
            varied: Whether candidates are to differ, as votes do, or to be the model's best.
        """
        ...

    async def send(self, library: Any, prompt: Prompt, ask: str, most: int, form: Document) -> str:
        """The prompt, then `ask`, to be answered in `most` tokens; as `Way.send`."""
        ...

    def usage(self, document: Document) -> Usage:
        """As `Way.usage`."""
        ...

    def candidates(self, document: Document) -> Sequence[Document | Failure]:
        """What came back; a failure where the model declined or a filter stopped it."""
        ...

    def text(self, candidate: Document) -> str:
        """What the model wrote, without what it wrote to itself; empty where that was nothing."""
        ...

    def is_cut_off(self, candidate: Document) -> bool:
        """Whether the text ends because it reached its greatest length."""
        ...


class TokenChat(Chat, Protocol):
    """One that can also say how likely each token was."""

    def for_tokens(self) -> Document:
        """What a request says beside the prompt so that its tokens' probabilities come back."""
        ...

    def tokens(self, candidate: Document) -> Sequence[Token]:
        """The candidate's tokens; none where the server does not give them."""
        ...


@dataclass(frozen=True, slots=True)
class Logprobs:
    """The probability of the letter is read off the tokens that might have stood there."""

    chat: TokenChat

    @property
    def settings(self) -> Mapping[str, str]:
        return self.chat.settings

    def completion_tokens(self, count: int) -> int:
        # No room to reason: a model that reasons has no token that is its answer.
        return 4 if count == 1 else 8 * count

    async def send(self, library: Any, prompt: Prompt, samples: int) -> str:
        ask, most = prompts.ask_for_letter(prompt), self.completion_tokens(len(prompt.questions))
        return await self.chat.send(library, prompt, ask, most, self.chat.for_tokens())

    def usage(self, document: Document) -> Usage:
        return self.chat.usage(document)

    def read(self, document: Document, count: int) -> list[Outcomes]:
        candidate = self.chat.candidates(document)[0]
        if isinstance(candidate, Failure):
            return [[candidate] * count]
        if silence := _silence(self.chat, candidate, "it reasons before it answers"):
            return [[silence] * count]
        tokens = self.chat.tokens(candidate)
        if not tokens:
            message = "the server accepts logprobs and returns none"
            return [[Failure("no_probabilities", message)] * count]
        return [_marked(prompts.read_tokens(tokens, count), self.chat.is_cut_off(candidate))]


@dataclass(frozen=True, slots=True)
class Votes:
    """A JSON object from number to letter, sampled as often as wanted.

    Attributes:
        samples: How many are wanted; one is taken as the model's best guess.
        explain: The model also says why.
        enforced: Whether the server is given the schema of the answer; None: it always is.
    """

    chat: Chat
    samples: int = 1
    explain: bool = False
    enforced: bool | None = None

    @property
    def settings(self) -> Mapping[str, str]:
        settings = {**self.chat.settings, "explain": str(self.explain)}
        return settings if self.enforced is None else {**settings, "enforced": str(self.enforced)}

    def completion_tokens(self, count: int) -> int:
        return 16 + (100 if self.explain else 10) * count + self.chat.room

    async def send(self, library: Any, prompt: Prompt, samples: int) -> str:
        count = len(prompt.questions)
        schema = None if self.enforced is False else prompts.schema(count, self.explain)
        form = self.chat.for_object(schema, samples, varied=self.samples > 1)
        ask = prompts.ask_for_json(prompt, self.explain)
        return await self.chat.send(library, prompt, ask, self.completion_tokens(count), form)

    def usage(self, document: Document) -> Usage:
        return self.chat.usage(document)

    def read(self, document: Document, count: int) -> list[Outcomes]:
        return [self._read(candidate, count) for candidate in self.chat.candidates(document)]

    def _read(self, candidate: Document | Failure, count: int) -> Outcomes:
        if isinstance(candidate, Failure):
            return [candidate] * count
        advice = "give it more room with --reasoning-tokens"
        if silence := _silence(self.chat, candidate, advice):
            return [silence] * count
        outcomes = prompts.read_json(self.chat.text(candidate), count)
        return _marked(outcomes, self.chat.is_cut_off(candidate))


@dataclass(frozen=True, slots=True)
class Writes:
    """A JSON object of some other form, which says more than a letter.

    Attributes:
        schema: Of the object.
        most: Tokens that it may take.
        enforced: Whether the server is given the schema.
    """

    chat: Chat
    schema: Document
    most: int
    enforced: bool = True

    @property
    def settings(self) -> Mapping[str, str]:
        return {**self.chat.settings, "enforced": str(self.enforced)}

    def completion_tokens(self, count: int) -> int:
        return self.most + self.chat.room

    async def send(self, library: Any, prompt: Prompt, samples: int) -> str:
        form = self.chat.for_object(self.schema if self.enforced else None, 1, varied=False)
        ask = "\n\n".join(prompt.questions)
        return await self.chat.send(library, prompt, ask, self.completion_tokens(1), form)

    def usage(self, document: Document) -> Usage:
        return self.chat.usage(document)

    def read(self, document: Document, count: int) -> list[Outcomes]:
        return []  # no vote is in it

    def text(self, document: Document) -> str | Failure:
        """What the model wrote. May raise as `Way.read` does."""
        candidate = self.chat.candidates(document)[0]
        if isinstance(candidate, Failure):
            return candidate
        advice = "give it more room with --reasoning-tokens"
        if silence := _silence(self.chat, candidate, advice):
            return silence
        if self.chat.is_cut_off(candidate):
            return Failure("truncated", f"the reply is cut off at its greatest length: {advice}")
        return self.chat.text(candidate)


def _silence(chat: Chat, candidate: Document, advice: str) -> Failure | None:
    """Why there are no words to read; None where there are some."""
    if chat.text(candidate).strip():
        return None
    if chat.is_cut_off(candidate):
        return Failure(
            "truncated",
            f"the model used up all the tokens that it was allowed and wrote no answer: {advice}",
        )
    return Failure("unparsable", f"the model wrote no answer: {json.dumps(candidate):.200}")


def _marked(outcomes: Outcomes, cut_off: bool) -> Outcomes:
    """What could not be read because the text reached its greatest length is called that."""
    return [
        Failure("truncated", f"the reply is cut off at its greatest length: {outcome.message}")
        if cut_off and isinstance(outcome, Failure)
        else outcome
        for outcome in outcomes
    ]


def logprobs(chat: TokenChat) -> Wire:
    return Wire("logprobs", MOST_WRITTEN, chat.service, Logprobs(chat))


def votes(
    chat: Chat, samples: int = 1, explain: bool = False, enforced: bool | None = None
) -> Wire:
    way = Votes(chat, samples, explain, enforced)
    return Wire("votes", MOST_WRITTEN, chat.service, way, soft=False, several=chat.several)


def writes(chat: Chat, schema: Document, most: int, enforced: bool) -> Wire:
    return Wire("writes", 1, chat.service, Writes(chat, schema, most, enforced), soft=False)


# What several providers' forms share -------------------------------------------------------------


def choices(prompt: Prompt) -> Document:
    """Closed questions by their numbers, as Google and open decision servers take them."""
    criteria = {letter: f"{letter} is better" for letter in prompts.LETTERS}
    return {
        str(number): {"type": "choice", "instructions": question, "criteria": criteria}
        for number, question in enumerate(prompt.questions, start=1)
    }


def read_choices(answers: Document, count: int) -> Outcomes:
    """The outcomes of `choices`, whose answers have the probability of each option.

    Raises:
        ValueError: A number was not asked, so that the numbering has slipped.
    """
    numbers = [str(number) for number in range(1, count + 1)]
    if not answers.keys() <= set(numbers):
        raise ValueError(f"answers to what was not asked: {sorted(answers)!r:.200}")
    return [_read_choice(number, answers.get(number)) for number in numbers]


def _read_choice(number: str, answer: Document | None) -> Verdict | Failure:
    if answer is None or "probabilities" not in answer:
        return Failure("unparsable", f"no probabilities for pair {number}: {answer!r:.200}")
    return prompts.read_probabilities(answer["probabilities"])


async def post(library: Any, path: str, body: Document) -> str:
    """A request by OpenAI's or Anthropic's library, whose reply is left as it came.

    Their typed methods copy and check every part of a body first, which takes longer than all else.
    """
    import httpx2

    response: httpx2.Response = await library.post(path, cast_to=httpx2.Response, body=body)
    return response.text
