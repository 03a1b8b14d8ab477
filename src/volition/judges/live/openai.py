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
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from volition.judges import prompt as prompts
from volition.judges.base import Assignment
from volition.judges.live.connection import (
    AUTHORIZATION,
    PLACEHOLDER,
    Endpoint,
    Provider,
    client_library,
)
from volition.judges.live.judge import LiveJudge
from volition.judges.live.probe import live_judge
from volition.judges.live.wires import (
    FEW_LOGPROBS,
    TOP_LOGPROBS,
    Outcomes,
    Usage,
    Wire,
    choices,
    logprobs,
    post,
    read_choices,
    votes,
)
from volition.judges.prompt import Document, Part, Picture, Prompt, Token
from volition.judges.settings import REASONING_TOKENS, JudgeSettings
from volition.judgment import Failure, Verdict

if TYPE_CHECKING:
    import httpx2

PROVIDER = Provider("openai", "https://api.openai.com/v1", ("OPENAI_API_KEY",), library="openai")
OPENROUTER = "openrouter.ai"
DETAIL = "high"  # of every picture: what `auto` means differs between models
Pictures = Literal["images", "assets", "inline"]


@dataclass(frozen=True, slots=True)
class Service:
    """OpenAI's protocol, at whatever address."""

    model: str
    priced_as: str = "openai"

    def connect(self, client: httpx2.AsyncClient, endpoint: Endpoint) -> Any:
        return client_library(PROVIDER.library, PROVIDER.name).AsyncOpenAI(
            api_key=PLACEHOLDER,
            base_url=endpoint.url,
            http_client=client,
            max_retries=0,
            default_headers=AUTHORIZATION,
        )

    def picture_tokens(self, width: int, height: int, count: int) -> int:
        """What a picture is billed at `detail: high`, at most.

        OpenAI, "Images and vision", calculating costs: older models count tiles of 512 pixels once
        the shorter side has been reduced to 768, newer ones patches of 32 pixels times a factor.
        Which of them a model does is not to be had from its name, so the greater is taken, and the
        greatest factor; the one older model whose tiles cost thirty times as much is known.
        """
        scale = min(1.0, 2048 / max(width, height), 768 / min(width, height))
        tiles = ceil(width * scale / 512) * ceil(height * scale / 512)
        if "4o-mini" in self.model:
            return 2833 + 5667 * tiles
        patches = min(1536, ceil(width / 32) * ceil(height / 32))
        return max(85 + 170 * tiles, ceil(2.46 * patches))


# Closed questions --------------------------------------------------------------------------------


def decisions(model: str, official: bool) -> Wire:
    service = Service(model, "openai-decisions" if official else "openai")
    return Wire("decisions", 400, service, Decisions(model, official))


def systemone(model: str, pictures: Pictures) -> Wire:
    return Wire("systemone", 64, Service(model), SystemOne(model, pictures))


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions endpoint: one input, many closed questions, the probability of each option."""

    model: str
    official: bool

    @property
    def settings(self) -> Mapping[str, str]:
        return {"detail": DETAIL}

    def completion_tokens(self, count: int) -> int:
        return count

    async def send(self, library: Any, prompt: Prompt, samples: int) -> str:
        content = [_decision_part(part) for part in (*prompt.goal, *prompt.shown)]
        messages: list[Document] = [{"role": "user", "content": content}]
        if self.official:
            messages.insert(0, {"role": "system", "content": prompt.system})
        else:  # servers that follow this endpoint know user messages only
            content.insert(0, _decision_part(prompt.system))
        questions = [
            {
                "type": "choice",
                "name": str(number),
                "instructions": question,
                "choices": [{"value": letter} for letter in prompts.LETTERS],
            }
            for number, question in enumerate(prompt.questions, start=1)
        ]
        body = {"model": self.model, "input": messages, "questions": questions}
        return await post(library, "/decisions", body)

    def usage(self, document: Document) -> Usage:
        return _usage(document, "input", "output")

    def read(self, document: Document, count: int) -> list[Outcomes]:
        answers = document["answers"]
        if len(answers) != count:
            raise ValueError(f"{len(answers)} answers to {count} questions")
        return [[_decision(*numbered) for numbered in enumerate(answers, start=1)]]


def _decision_part(part: Part) -> Document:
    if isinstance(part, Picture):
        return {"type": "input_image", "image_url": part.data_url, "detail": DETAIL}
    return {"type": "input_text", "text": part}


def _decision(number: int, answer: Document) -> Verdict | Failure:
    if answer.get("name") not in (None, str(number)):
        raise ValueError(f"answer {number} is named {answer['name']!r}")
    if answer["type"] == "refusal":
        return Failure("refused", f"the model declined to answer pair {number}")
    pairs = [(option["value"], option["probability"]) for option in answer["probabilities"]]
    if len(dict(pairs)) != len(pairs):
        return Failure("unparsable", f"an option is given twice: {pairs!r:.200}")
    return prompts.read_probabilities(dict(pairs))


@dataclass(frozen=True, slots=True)
class SystemOne:
    """`/systemone`: a state, pictures of it, and closed questions by name.

    Attributes:
        pictures: Where they are; servers differ. `images`: in a list beside the state, which names
            them by their place (llama.cpp, Ollama, SGLang). `assets`: beside the state by name, as
            the protocol's inventor has it (and transformers). `inline`: in the state (OpenRouter).
    """

    model: str
    pictures: Pictures = "images"

    @property
    def settings(self) -> Mapping[str, str]:
        return {"pictures": self.pictures}

    def completion_tokens(self, count: int) -> int:
        return count

    async def send(self, library: Any, prompt: Prompt, samples: int) -> str:
        body = {"model": self.model, "questions": choices(prompt), **self._state(prompt)}
        return await post(library, "/systemone", body)

    def _state(self, prompt: Prompt) -> Document:
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
        assets = {name: {**form, "data_base64": shown.base64} for name, shown in named.items()}
        return {"state": state, "assets": assets}

    def usage(self, document: Document) -> Usage:
        return _usage(document, "input", "output")

    def read(self, document: Document, count: int) -> list[Outcomes]:
        return [read_choices(document["answers"], count)]


# Text --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chat:
    """Chat completions.

    Attributes:
        model: As the server names it.
        official: Whether OpenAI itself is asked, whose newest parameters others do not know.
        effort: How much a reasoning model is told to reason; None: it is not told.
        think: False: a server of open models is told to leave reasoning out of the template.
        room: Tokens that the model may write to itself before it answers.
        refused: What the server refused, so that it is left out or named otherwise.
    """

    model: str
    official: bool
    effort: str | None = None
    think: bool = True
    room: int = 0
    refused: frozenset[str] = frozenset()
    several = True

    @property
    def service(self) -> Service:
        return Service(self.model)

    @property
    def settings(self) -> Mapping[str, str]:
        settings = {"detail": DETAIL, "effort": str(self.effort)}
        if not self.think:
            settings["think"] = "False"
        # Said where it is not as usual: judges of earlier runs keep their ids.
        if self.room != (REASONING_TOKENS if self.official and self.effort != "none" else 0):
            settings["room"] = str(self.room)
        if self.refused:
            settings["without"] = ", ".join(sorted(self.refused))
        return settings

    def without(self, refused: frozenset[str]) -> Chat:
        return replace(self, refused=refused)

    def for_tokens(self) -> Document:
        top = FEW_LOGPROBS if "logprobs" in self.refused else TOP_LOGPROBS
        return {"logprobs": True, "top_logprobs": top, **self._temperature(0)}

    def _temperature(self, degrees: int) -> Document:
        # OpenAI's newest models refuse it.
        if self.official or "temperature" in self.refused:
            return {}
        return {"temperature": degrees}

    def for_object(self, schema: Document | None, samples: int, varied: bool) -> Document:
        form: Document = {"n": samples} if samples > 1 else {}
        form |= self._temperature(int(varied))
        if schema is not None:
            named = {"name": "choices", "strict": True, "schema": schema}
            form["response_format"] = {"type": "json_schema", "json_schema": named}
        return form

    async def send(self, library: Any, prompt: Prompt, ask: str, most: int, form: Document) -> str:
        content = [_chat_part(part) for part in (*prompt.goal, *prompt.shown, ask)]
        system = {"role": "system", "content": prompt.system}
        newer = self.official != ("limit" in self.refused)
        body = {
            "model": self.model,
            "messages": [system, {"role": "user", "content": content}],
            "max_completion_tokens" if newer else "max_tokens": most,
            **form,
            **({} if self.effort is None else {"reasoning_effort": self.effort}),
            **({} if self.think else {"chat_template_kwargs": {"enable_thinking": False}}),
        }
        return await post(library, "/chat/completions", body)

    def usage(self, document: Document) -> Usage:
        return _usage(document, "prompt", "completion")

    def candidates(self, document: Document) -> list[Document | Failure]:
        return [_declined(choice) or choice for choice in document["choices"]]

    def text(self, candidate: Document) -> str:
        content = candidate["message"].get("content")
        if isinstance(content, list):  # in parts, of which some may be thoughts
            words = (part.get("text") for part in content if "thinking" not in part)
            return "".join(word for word in words if isinstance(word, str))
        return content if isinstance(content, str) else ""

    def is_cut_off(self, candidate: Document) -> bool:
        return candidate.get("finish_reason") == "length"

    def tokens(self, candidate: Document) -> list[Token]:
        listed = (candidate.get("logprobs") or {}).get("content")
        return [
            Token(
                token["token"],
                tuple((top["token"], float(top["logprob"])) for top in token["top_logprobs"]),
            )
            for token in listed or ()
        ]


def _chat_part(part: Part) -> Document:
    if isinstance(part, Picture):
        return {"type": "image_url", "image_url": {"url": part.data_url, "detail": DETAIL}}
    return {"type": "text", "text": part}


def _declined(choice: Document) -> Failure | None:
    if choice.get("finish_reason") == "content_filter":
        return Failure("content_filter", "the provider's filter stopped the answer")
    if refusal := choice["message"].get("refusal"):
        return Failure("refused", f"{refusal:.300}")
    return None


def _usage(document: Document, prompt: str, completion: str) -> Usage:
    """What was billed, by what an endpoint calls the tokens that went in and came out."""
    billed = document["usage"]
    details = billed.get(f"{prompt}_tokens_details") or {}
    return Usage(
        billed[f"{prompt}_tokens"],
        billed.get(f"{completion}_tokens") or 0,
        details.get("cached_tokens") or 0,
        details.get("cache_write_tokens") or 0,
        billed.get("cost"),
    )


# Making a judge ----------------------------------------------------------------------------------


def make(model: str, settings: JudgeSettings, assignment: Assignment) -> LiveJudge:
    """The judge for this model; raises as `live_judge` does."""
    return live_judge(PROVIDER, wires, model, settings, assignment)


def wires(model: str, endpoint: Endpoint, settings: JudgeSettings) -> list[Wire]:
    """Every way of asking, best first. One that a server does not know costs nothing to try."""
    if endpoint.official:
        voting = [
            Chat(model, True, effort, room=0 if effort == "none" else settings.reasoning_tokens)
            for effort in ("none", "minimal", "low", None)
        ]
        chats, free = [voting[0], voting[-1]], voting[-1:]
    else:
        chats = [Chat(model, False, think=think) for think in (False, True)]
        # Last, for a model that reasons whatever it is told.
        free = [chats[-1], Chat(model, False, room=settings.reasoning_tokens)]
        voting = [*chats, free[-1]]
    by_vote = [
        votes(chat, settings.samples, settings.explain, enforced)
        for enforced, chats_so_asked in ((True, voting), (False, free))
        for chat in chats_so_asked
    ]
    if settings.explain:
        return by_vote
    return [*closed(model, endpoint), *(logprobs(chat) for chat in chats), *by_vote]


def closed(model: str, endpoint: Endpoint) -> list[Wire]:
    """The ways of asking closed questions, best first."""
    if endpoint.official:
        return [decisions(model, True)]
    if urlsplit(endpoint.url).hostname == OPENROUTER:
        return [decisions(model, False), systemone(model, "inline")]
    return [decisions(model, False), systemone(model, "images"), systemone(model, "assets")]
