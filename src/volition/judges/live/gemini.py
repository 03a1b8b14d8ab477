"""Judges of Google's, through its own client library.

Three wires, best first. `decisions`: closed questions about one input, answered with calibrated
probabilities. `logprobs`: the probability read off the letter's own token. `votes`: a JSON object,
sampled. The goal stands first in every request, so that the provider's implicit cache can keep it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

from volition.judges import prompt as prompts
from volition.judges.base import JudgeOptions
from volition.judges.live.connection import (
    PLACEHOLDER,
    Endpoint,
    Provider,
    client_library,
    resolve,
)
from volition.judges.live.judge import Document, LiveJudge, Outcomes, Usage, Wire, brief_of
from volition.judges.live.probe import choose
from volition.judges.prompt import Part, Picture, Prompt, Token
from volition.judgment import Failure

if TYPE_CHECKING:
    import httpx2

PROVIDER = Provider(
    "gemini", "https://generativelanguage.googleapis.com", ("GEMINI_API_KEY", "GOOGLE_API_KEY")
)
API_VERSION = "v1beta"
TOP_LOGPROBS = 20
REASONING_TOKENS = 4096  # allowed to a model that cannot be told not to think
BLOCKED = frozenset(
    {"SAFETY", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "RECITATION", "IMAGE_SAFETY", "OTHER"}
)
# How large a model sees a picture is said in every request, since the default differs between
# models: a sheet needs more than a frame. Tokens of a picture at most, "Media resolution".
RESOLUTION = {False: ("medium", 560), True: ("high", 1120)}


@dataclass(frozen=True, slots=True)
class Content:
    """What the wires that generate text share.

    Attributes:
        model: As the provider names it.
        thinking: off, minimal, or as the model does by default. Which of them a model takes
            differs between generations.
    """

    model: str
    thinking: str = "off"

    @property
    def settings(self) -> dict[str, str]:
        return {"thinking": self.thinking}

    async def send(self, library: Any, prompt: Prompt, ask: str, **config: Any) -> str:
        types = client_library("google.genai.types", "gemini")
        thinking = {
            "off": {"thinking_budget": 0},
            "minimal": {"thinking_level": "MINIMAL"},
        }.get(self.thinking)
        resolution, _ = RESOLUTION[len(prompt.asked) > 1]
        response = await library.aio.models.generate_content(
            model=self.model,
            contents=types.UserContent(
                [
                    types.Part.from_bytes(data=part.png, mime_type="image/png")
                    if isinstance(part, Picture)
                    else types.Part.from_text(text=part)
                    for part in (*prompt.goal, *prompt.shown, ask)
                ]
            ),
            config=types.GenerateContentConfig(
                system_instruction=prompt.system,
                media_resolution=f"MEDIA_RESOLUTION_{resolution.upper()}",
                thinking_config=thinking,
                should_return_http_response=True,
                **config,
            ),
        )
        return str(response.sdk_http_response.body)

    def usage(self, document: Document) -> Usage:
        billed = document["usageMetadata"]
        thoughts = billed.get("thoughtsTokenCount") or 0
        return Usage(
            billed["promptTokenCount"],
            (billed.get("candidatesTokenCount") or 0) + thoughts,
            billed.get("cachedContentTokenCount") or 0,
        )


def connect(client: httpx2.AsyncClient, endpoint: Endpoint) -> Any:
    """Google's client on this connection, and never its cloud platform's, whatever is set."""
    library = client_library("google.genai", "gemini")
    return library.Client(
        vertexai=False,
        api_key=PLACEHOLDER,
        http_options={
            "base_url": endpoint.url,
            "api_version": API_VERSION,
            "httpx_async_client": client,
            "retry_options": {"attempts": 1},
        },
    )


def picture_tokens(width: int, height: int, count: int) -> int:
    """What a picture is billed, at most: by the resolution that is asked for, or, with older
    models, 258 for each tile of 768 pixels ("Media resolution", "Image understanding")."""
    tiles = ceil(width / 768) * ceil(height / 768)
    return max(RESOLUTION[count > 1][1], 258 * tiles)


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions endpoint: one input, many closed questions, the probability of each option."""

    model: str
    name = "decisions"
    soft = True
    several = False
    most = 100
    priced_as = "gemini"

    @property
    def settings(self) -> Mapping[str, str]:
        return {}

    def picture_tokens(self, width: int, height: int, count: int) -> int:
        return picture_tokens(width, height, count)

    def completion_tokens(self, count: int) -> int:
        return count

    def connect(self, client: httpx2.AsyncClient, endpoint: Endpoint) -> Any:
        return connect(client, endpoint)

    async def send(self, library: Any, prompt: Prompt, samples: int) -> str:
        resolution, _ = RESOLUTION[len(prompt.asked) > 1]
        criteria = {letter: f"{letter} is better" for letter in prompts.LETTERS}
        response = await library.aio.decisions.with_raw_response.create(
            model=f"models/{self.model.removeprefix('models/')}",
            input=[
                _decision_part(part, resolution)
                for part in (prompt.system, *prompt.goal, *prompt.shown)
            ],
            questions={
                str(number): {"type": "choice", "instructions": asked, "criteria": criteria}
                for number, asked in enumerate(prompt.asked, start=1)
            },
        )
        response.http_response.raise_for_status()  # the library takes a redirect for an answer
        return str(await response.text())

    def usage(self, document: Document) -> Usage:
        billed = document["usage"]
        return Usage(
            billed["total_input_tokens"],
            billed.get("total_output_tokens") or 0,
            billed.get("total_cached_tokens") or 0,
        )

    def read(self, document: Document, count: int) -> list[Outcomes]:
        feedback = document.get("prompt_feedback") or {}
        if reason := feedback.get("block_reason"):
            return [[_filtered(reason)] * count]
        answers = document["answers"]
        numbers = [str(number) for number in range(1, count + 1)]
        if not answers.keys() <= set(numbers):
            raise ValueError(f"answers to what was not asked: {sorted(answers)!r:.200}")
        return [
            [
                prompts.read_probabilities(answers[number]["probabilities"])
                if "probabilities" in answers.get(number, {})
                else Failure("unparsable", f"no probabilities for pair {number}")
                for number in numbers
            ]
        ]


def _decision_part(part: Part, resolution: str) -> dict[str, Any]:
    if isinstance(part, Picture):
        return {
            "type": "image",
            "data": part.base64,
            "mime_type": "image/png",
            "resolution": resolution,
        }
    return {"type": "text", "text": part}


@dataclass(frozen=True, slots=True)
class Logprobs:
    """The probability of the letter, read off the tokens that might have stood there."""

    content: Content
    name = "logprobs"
    soft = True
    several = False
    most = 60
    priced_as = "gemini"

    @property
    def settings(self) -> Mapping[str, str]:
        return self.content.settings

    def picture_tokens(self, width: int, height: int, count: int) -> int:
        return picture_tokens(width, height, count)

    def completion_tokens(self, count: int) -> int:
        return 4 if count == 1 else 8 * count

    def connect(self, client: httpx2.AsyncClient, endpoint: Endpoint) -> Any:
        return connect(client, endpoint)

    async def send(self, library: Any, prompt: Prompt, samples: int) -> str:
        return await self.content.send(
            library,
            prompt,
            prompts.ask_for_letter(prompt),
            max_output_tokens=self.completion_tokens(len(prompt.asked)),
            response_logprobs=True,
            logprobs=TOP_LOGPROBS,
            temperature=0.0,
        )

    def usage(self, document: Document) -> Usage:
        return self.content.usage(document)

    def read(self, document: Document, count: int) -> list[Outcomes]:
        if failure := _blocked(document):
            return [[failure] * count]
        candidate = document["candidates"][0]
        if (reason := candidate.get("finishReason")) in BLOCKED:
            return [[_filtered(reason)] * count]
        result = candidate.get("logprobsResult") or {}
        if not result.get("chosenCandidates"):
            said = "the server accepts logprobs and returns none"
            return [[Failure("no_probabilities", said)] * count]
        tokens = [
            Token(
                chosen["token"],
                tuple((c["token"], float(c["logProbability"])) for c in top["candidates"]),
            )
            for chosen, top in zip(result["chosenCandidates"], result["topCandidates"], strict=True)
        ]
        return [_marked_if_cut_off(candidate, prompts.read_tokens(tokens, count))]


@dataclass(frozen=True, slots=True)
class Votes:
    """A JSON object from number to letter, sampled as often as wanted."""

    content: Content
    samples: int = 1
    explain: bool = False
    name = "votes"
    soft = False
    several = True
    most = 60
    priced_as = "gemini"

    @property
    def settings(self) -> Mapping[str, str]:
        return {**self.content.settings, "explain": str(self.explain)}

    def picture_tokens(self, width: int, height: int, count: int) -> int:
        return picture_tokens(width, height, count)

    def completion_tokens(self, count: int) -> int:
        thinks = self.content.thinking != "off"
        return 16 + (100 if self.explain else 10) * count + REASONING_TOKENS * thinks

    def connect(self, client: httpx2.AsyncClient, endpoint: Endpoint) -> Any:
        return connect(client, endpoint)

    async def send(self, library: Any, prompt: Prompt, samples: int) -> str:
        count = len(prompt.asked)
        return await self.content.send(
            library,
            prompt,
            prompts.ask_for_json(prompt, self.explain),
            max_output_tokens=self.completion_tokens(count),
            response_mime_type="application/json",
            response_json_schema=prompts.schema(count, self.explain),
            candidate_count=samples if samples > 1 else None,
        )

    def usage(self, document: Document) -> Usage:
        return self.content.usage(document)

    def read(self, document: Document, count: int) -> list[Outcomes]:
        if failure := _blocked(document):
            return [[failure] * count]
        return [self._read_candidate(each, count) for each in document["candidates"]]

    def _read_candidate(self, candidate: dict[str, Any], count: int) -> Outcomes:
        if (reason := candidate.get("finishReason")) in BLOCKED:
            return [_filtered(reason)] * count
        parts = (candidate.get("content") or {}).get("parts") or []
        text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
        return _marked_if_cut_off(candidate, prompts.read_json(text, count))


def _blocked(document: Document) -> Failure | None:
    reason = (document.get("promptFeedback") or {}).get("blockReason")
    return None if reason is None else _filtered(reason)


def _filtered(reason: object) -> Failure:
    return Failure("content_filter", f"the provider's filter stopped the answer: {reason}")


def _marked_if_cut_off(candidate: dict[str, Any], outcomes: Outcomes) -> Outcomes:
    """What could not be read because the answer reached its greatest length is called that."""
    if candidate.get("finishReason") != "MAX_TOKENS":
        return outcomes
    return [
        Failure("truncated", outcome.message) if isinstance(outcome, Failure) else outcome
        for outcome in outcomes
    ]


def make(model: str, options: JudgeOptions) -> LiveJudge:
    """The judge for this model, asked in the best way that works.

    Raises:
        InputError: An option is not as it must be.
        JudgeUnavailable: A package or a key is missing, or no way of asking works.
    """
    endpoint = resolve(PROVIDER, options.base_url)
    client_library("google.genai", "gemini")
    brief = brief_of(options)
    contents = [Content(model, thinking) for thinking in ("off", "minimal", "default")]
    wires: list[Wire] = [Votes(each, options.samples, options.explain) for each in contents]
    if not options.explain:
        wires = [Decisions(model), *(Logprobs(each) for each in contents), *wires]
    return choose(
        [
            LiveJudge(
                f"gemini:{model}",
                model,
                endpoint,
                wire,
                brief,
                options.price,
                options.per_request,
                options.samples,
            )
            for wire in wires
        ],
        options,
    )
