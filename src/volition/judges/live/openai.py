"""Judges that speak OpenAI's protocol: OpenAI itself, and with a base URL vLLM, SGLang, llama.cpp,
Ollama, LM Studio, OpenRouter and the like.

Four wires, best first. `decisions`: a list of closed questions about one input, answered with the
probability of every option. `systemone`: the same in the form that open decision servers share.
`logprobs`: chat, with the probability read off the letter's own token. `votes`: chat, a JSON
object; the share of several samples is the probability. Which of them works is found by probing,
since servers accept what they do not know and drop it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from volition.judges import prompt as prompts
from volition.judges.base import JudgeOptions
from volition.judges.live.connection import (
    AUTHORIZATION,
    PLACEHOLDER,
    Endpoint,
    Provider,
    client_library,
    resolve,
)
from volition.judges.live.judge import Document, LiveJudge, Outcomes, Usage, Wire, brief_of, post
from volition.judges.live.probe import choose
from volition.judges.prompt import Part, Picture, Prompt, Token
from volition.judgment import Failure

if TYPE_CHECKING:
    import httpx2

PROVIDER = Provider("openai", "https://api.openai.com/v1", ("OPENAI_API_KEY",))
OPENROUTER = "openrouter.ai"
DETAIL = "high"  # said for every picture: what `auto` means differs between models
TOP_LOGPROBS = 20
REASONING_TOKENS = 4096  # allowed to a model that cannot be told not to reason


@dataclass(frozen=True, slots=True)
class Chat:
    """What the wires of one model share.

    Attributes:
        model: As the server names it.
        official: Whether OpenAI itself is asked, whose newest parameters others do not know.
        effort: How much a reasoning model is told to reason; None: it is not told.
        think: False: a server of open models is told to leave reasoning out of the template.
    """

    model: str
    official: bool
    effort: str | None = None
    think: bool = True

    @property
    def settings(self) -> dict[str, str]:
        settings = {"detail": DETAIL, "effort": str(self.effort)}
        return settings if self.think else {**settings, "think": "False"}

    def connect(self, client: httpx2.AsyncClient, endpoint: Endpoint) -> Any:
        library = client_library("openai", "openai")
        return library.AsyncOpenAI(
            api_key=PLACEHOLDER,
            base_url=endpoint.url,
            http_client=client,
            max_retries=0,
            default_headers=AUTHORIZATION,
        )

    def most_tokens(self, count: int) -> int:
        """`count` tokens of an answer, and what an unbridled model may spend before it."""
        reasons = self.official and self.effort != "none"
        return count + REASONING_TOKENS * reasons

    async def send(self, library: Any, prompt: Prompt, ask: str, count: int, **more: Any) -> str:
        """A chat completion of at most `count` tokens."""
        limit = "max_completion_tokens" if self.official else "max_tokens"
        if self.effort is not None:
            more["reasoning_effort"] = self.effort
        if not self.think:
            more["chat_template_kwargs"] = {"enable_thinking": False}
        content = [_chat_part(part) for part in (*prompt.goal, *prompt.shown, ask)]
        told = {"role": "system", "content": prompt.system}
        messages = [told, {"role": "user", "content": content}]
        body = {"model": self.model, "messages": messages, limit: count, **more}
        return await post(library, "/chat/completions", body)

    def usage(self, document: Document) -> Usage:
        billed = document["usage"]
        details = billed.get("prompt_tokens_details") or {}
        return Usage(
            billed["prompt_tokens"],
            billed.get("completion_tokens") or 0,
            details.get("cached_tokens") or 0,
            details.get("cache_write_tokens") or 0,
            billed.get("cost"),
        )


def _chat_part(part: Part) -> dict[str, Any]:
    if isinstance(part, Picture):
        return {"type": "image_url", "image_url": {"url": part.data_url, "detail": DETAIL}}
    return {"type": "text", "text": part}


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions endpoint: one input, many closed questions, the probability of each option."""

    chat: Chat
    name = "decisions"
    soft = True
    several = False
    most = 400

    @property
    def priced_as(self) -> str:
        return "openai-decisions" if self.chat.official else "openai"

    @property
    def settings(self) -> Mapping[str, str]:
        return {"detail": DETAIL}

    def picture_tokens(self, width: int, height: int, count: int) -> int:
        return picture_tokens(self.chat.model, width, height)

    def completion_tokens(self, count: int) -> int:
        return count

    def connect(self, client: httpx2.AsyncClient, endpoint: Endpoint) -> Any:
        return self.chat.connect(client, endpoint)

    async def send(self, library: Any, prompt: Prompt, samples: int) -> str:
        content = [_decision_part(part) for part in (*prompt.goal, *prompt.shown)]
        # Servers that follow this endpoint know user messages only.
        told = {"role": "system", "content": prompt.system}
        if not self.chat.official:
            content.insert(0, _decision_part(prompt.system))
        user = {"role": "user", "content": content}
        questions = [
            {
                "type": "choice",
                "name": str(number),
                "instructions": asked,
                "choices": [{"value": letter} for letter in prompts.LETTERS],
            }
            for number, asked in enumerate(prompt.asked, start=1)
        ]
        messages = [told, user] if self.chat.official else [user]
        body = {"model": self.chat.model, "input": messages, "questions": questions}
        return await post(library, "/decisions", body)

    def usage(self, document: Document) -> Usage:
        return _decision_usage(document)

    def read(self, document: Document, count: int) -> list[Outcomes]:
        answers = document["answers"]
        if len(answers) != count:
            raise ValueError(f"{len(answers)} answers to {count} questions")
        return [[self._read_answer(*numbered) for numbered in enumerate(answers, start=1)]]

    def _read_answer(self, number: int, answer: dict[str, Any]) -> Any:
        if answer.get("name") not in (None, str(number)):
            raise ValueError(f"answer {number} is named {answer['name']!r}")
        if answer["type"] == "refusal":
            return Failure("refused", f"the model declined to answer pair {number}")
        pairs = [(option["value"], option["probability"]) for option in answer["probabilities"]]
        if len(dict(pairs)) != len(pairs):
            return Failure("unparsable", f"an option is given twice: {pairs!r:.200}")
        return prompts.read_probabilities(dict(pairs))


def _decision_part(part: Part) -> dict[str, Any]:
    if isinstance(part, Picture):
        return {"type": "input_image", "image_url": part.data_url, "detail": DETAIL}
    return {"type": "input_text", "text": part}


def _decision_usage(document: Document) -> Usage:
    billed = document["usage"]
    details = billed.get("input_tokens_details") or {}
    return Usage(
        billed["input_tokens"],
        billed.get("output_tokens") or 0,
        details.get("cached_tokens") or 0,
        details.get("cache_write_tokens") or 0,
        billed.get("cost"),
    )


@dataclass(frozen=True, slots=True)
class SystemOne:
    """`/systemone`: a state, pictures of it, and closed questions by name.

    Attributes:
        pictures: Where they are; servers differ. `images`: in a list beside the state, which names
            them by their place (llama.cpp, Ollama, SGLang). `assets`: beside the state by name, as
            the protocol's inventor has it (and transformers). `inline`: in the state (OpenRouter).
    """

    chat: Chat
    pictures: Literal["images", "assets", "inline"] = "images"
    name = "systemone"
    soft = True
    several = False
    most = 64
    priced_as = "openai"

    @property
    def settings(self) -> Mapping[str, str]:
        return {"pictures": self.pictures}

    def picture_tokens(self, width: int, height: int, count: int) -> int:
        return picture_tokens(self.chat.model, width, height)

    def completion_tokens(self, count: int) -> int:
        return count

    def connect(self, client: httpx2.AsyncClient, endpoint: Endpoint) -> Any:
        return self.chat.connect(client, endpoint)

    async def send(self, library: Any, prompt: Prompt, samples: int) -> str:
        chosen = {letter: f"{letter} is better" for letter in prompts.LETTERS}
        body = {
            "model": self.chat.model,
            "questions": {
                str(number): {"type": "choice", "instructions": asked, "criteria": chosen}
                for number, asked in enumerate(prompt.asked, start=1)
            },
            **self._state(prompt),
        }
        return await post(library, "/systemone", body)

    def _state(self, prompt: Prompt) -> dict[str, Any]:
        parts = (prompt.system, *prompt.goal, *prompt.shown)
        if self.pictures == "inline":
            inline = [_chat_part(part) if isinstance(part, Picture) else part for part in parts]
            return {"state": inline}
        words: list[str] = []
        named: dict[str, Picture] = {}
        for part in parts:
            if isinstance(part, Picture):
                words.append(f"[image {len(named) + 1}]")
                named[words[-1]] = part
            else:
                words.append(part)
        state = "\n".join(words)
        if self.pictures == "images":
            return {"state": state, "images": [picture.data_url for picture in named.values()]}
        form = {"type": "image", "format": "png"}
        assets = {name: {**form, "data_base64": each.base64} for name, each in named.items()}
        return {"state": state, "assets": assets}

    def usage(self, document: Document) -> Usage:
        return _decision_usage(document)

    def read(self, document: Document, count: int) -> list[Outcomes]:
        answers = document["answers"]
        numbers = [str(number) for number in range(1, count + 1)]
        if not answers.keys() <= set(numbers):
            raise ValueError(f"answers to what was not asked: {sorted(answers)!r:.200}")
        return [[self._read_answer(number, answers.get(number)) for number in numbers]]

    def _read_answer(self, number: str, answer: dict[str, Any] | None) -> Any:
        if answer is None or "probabilities" not in answer:
            return Failure("unparsable", f"no probabilities for pair {number}: {answer!r:.200}")
        return prompts.read_probabilities(answer["probabilities"])


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Chat: the probability of the letter is read off the tokens that might have stood there."""

    chat: Chat
    name = "logprobs"
    soft = True
    several = False
    most = 60
    priced_as = "openai"

    @property
    def settings(self) -> Mapping[str, str]:
        return self.chat.settings

    def picture_tokens(self, width: int, height: int, count: int) -> int:
        return picture_tokens(self.chat.model, width, height)

    def completion_tokens(self, count: int) -> int:
        # No room to reason: a model that reasons has no token that is its answer.
        return 4 if count == 1 else 8 * count

    def connect(self, client: httpx2.AsyncClient, endpoint: Endpoint) -> Any:
        return self.chat.connect(client, endpoint)

    async def send(self, library: Any, prompt: Prompt, samples: int) -> str:
        more = {} if self.chat.official else {"temperature": 0}
        count = self.completion_tokens(len(prompt.asked))
        return await self.chat.send(
            library,
            prompt,
            prompts.ask_for_letter(prompt),
            count,
            logprobs=True,
            top_logprobs=TOP_LOGPROBS,
            **more,
        )

    def usage(self, document: Document) -> Usage:
        return self.chat.usage(document)

    def read(self, document: Document, count: int) -> list[Outcomes]:
        choice = document["choices"][0]
        if failure := _declined(choice):
            return [[failure] * count]
        listed = (choice.get("logprobs") or {}).get("content")
        if not listed:
            said = "the server accepts logprobs and returns none"
            return [[Failure("no_probabilities", said)] * count]
        tokens = [
            Token(
                token["token"],
                tuple((top["token"], float(top["logprob"])) for top in token["top_logprobs"]),
            )
            for token in listed
        ]
        return [_marked_if_cut_off(choice, prompts.read_tokens(tokens, count))]


@dataclass(frozen=True, slots=True)
class Votes:
    """Chat: a JSON object from number to letter, sampled as often as wanted.

    Attributes:
        samples: How many are wanted; one is taken as the model's best guess.
        explain: The model also says why.
        enforced: The server is given the schema of the answer.
    """

    chat: Chat
    samples: int = 1
    explain: bool = False
    enforced: bool = True
    name = "votes"
    soft = False
    several = True
    most = 60
    priced_as = "openai"

    @property
    def settings(self) -> Mapping[str, str]:
        more = {"explain": str(self.explain), "enforced": str(self.enforced)}
        return {**self.chat.settings, **more}

    def picture_tokens(self, width: int, height: int, count: int) -> int:
        return picture_tokens(self.chat.model, width, height)

    def completion_tokens(self, count: int) -> int:
        return self.chat.most_tokens(16 + (100 if self.explain else 10) * count)

    def connect(self, client: httpx2.AsyncClient, endpoint: Endpoint) -> Any:
        return self.chat.connect(client, endpoint)

    async def send(self, library: Any, prompt: Prompt, samples: int) -> str:
        count, more = len(prompt.asked), dict[str, Any]()
        if samples > 1:
            more["n"] = samples
        if not self.chat.official:
            more["temperature"] = 0 if self.samples == 1 else 1
        if self.enforced:
            form = {
                "name": "choices",
                "strict": True,
                "schema": prompts.schema(count, self.explain),
            }
            more["response_format"] = {"type": "json_schema", "json_schema": form}
        ask = prompts.ask_for_json(prompt, self.explain)
        return await self.chat.send(library, prompt, ask, self.completion_tokens(count), **more)

    def usage(self, document: Document) -> Usage:
        return self.chat.usage(document)

    def read(self, document: Document, count: int) -> list[Outcomes]:
        return [self._read_choice(choice, count) for choice in document["choices"]]

    def _read_choice(self, choice: dict[str, Any], count: int) -> Outcomes:
        if failure := _declined(choice):
            return [failure] * count
        return _marked_if_cut_off(choice, prompts.read_json(choice["message"]["content"], count))


def _declined(choice: dict[str, Any]) -> Failure | None:
    if choice.get("finish_reason") == "content_filter":
        return Failure("content_filter", "the provider's filter stopped the answer")
    if refusal := choice["message"].get("refusal"):
        return Failure("refused", f"{refusal:.300}")
    return None


def _marked_if_cut_off(choice: dict[str, Any], outcomes: Outcomes) -> Outcomes:
    """What could not be read because the answer reached its greatest length is called that."""
    if choice.get("finish_reason") != "length":
        return outcomes
    return [
        Failure("truncated", outcome.message) if isinstance(outcome, Failure) else outcome
        for outcome in outcomes
    ]


def picture_tokens(model: str, width: int, height: int) -> int:
    """What a picture is billed at `detail: high`, at most.

    OpenAI, "Images and vision", calculating costs: older models count tiles of 512 pixels once the
    shorter side has been reduced to 768, newer ones patches of 32 pixels times a factor. Which of
    them a model does is not to be had from its name, so the greater is taken, and the greatest
    factor; the one older model whose tiles cost thirty times as much is known.
    """
    scale = min(1.0, 2048 / max(width, height), 768 / min(width, height))
    tiles = ceil(width * scale / 512) * ceil(height * scale / 512)
    if "4o-mini" in model:
        return 2833 + 5667 * tiles
    patches = min(1536, ceil(width / 32) * ceil(height / 32))
    return max(85 + 170 * tiles, ceil(2.46 * patches))


def make(model: str, options: JudgeOptions) -> LiveJudge:
    """The judge for this model, asked in the best way that works.

    Raises:
        InputError: An option is not as it must be.
        JudgeUnavailable: A package or a key is missing, or no way of asking works.
    """
    endpoint = resolve(PROVIDER, options.base_url)
    client_library("openai", "openai")
    brief = brief_of(options)
    return choose(
        [
            LiveJudge(
                f"openai:{model}",
                model,
                endpoint,
                wire,
                brief,
                options.price,
                options.per_request,
                options.samples,
            )
            for wire in wires(model, endpoint, options)
        ],
        options,
    )


def wires(model: str, endpoint: Endpoint, options: JudgeOptions) -> list[Wire]:
    """Every way of asking, best first. One that a server does not know costs nothing to try."""
    if endpoint.official:
        chats = [Chat(model, True, effort) for effort in ("none", None)]
        voting = [Chat(model, True, effort) for effort in ("none", "minimal", "low", None)]
    else:
        voting = chats = [Chat(model, False, think=think) for think in (False, True)]
    soft: list[Wire] = [Decisions(chats[0])]
    if not endpoint.official:
        inline = urlsplit(endpoint.url).hostname == OPENROUTER
        soft += [SystemOne(chats[0], "inline" if inline else "images")]
        soft += [] if inline else [SystemOne(chats[0], "assets")]
    soft += [Logprobs(chat) for chat in chats]
    votes: list[Wire] = [Votes(chat, options.samples, options.explain) for chat in voting]
    votes.append(Votes(voting[-1], options.samples, options.explain, enforced=False))
    return votes if options.explain else [*soft, *votes]
