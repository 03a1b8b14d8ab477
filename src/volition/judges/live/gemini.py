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

from volition.judges.base import Assignment
from volition.judges.live.connection import PLACEHOLDER, Endpoint, Provider, client_library
from volition.judges.live.judge import LiveJudge
from volition.judges.live.probe import live_judge
from volition.judges.live.wires import (
    TOP_LOGPROBS,
    Outcomes,
    Usage,
    Wire,
    choices,
    logprobs,
    read_choices,
    votes,
)
from volition.judges.prompt import Document, Part, Picture, Prompt, Token
from volition.judges.settings import REASONING_TOKENS, JudgeSettings
from volition.judgment import Failure

if TYPE_CHECKING:
    import httpx2

PROVIDER = Provider(
    "gemini",
    "https://generativelanguage.googleapis.com",
    ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    library="google.genai",
)
API_VERSION = "v1beta"
BLOCKED = frozenset(
    {"SAFETY", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "RECITATION", "IMAGE_SAFETY", "OTHER"}
)
# How large a model sees a picture is said in every request, since the default differs between
# models: a sheet needs more than a frame. Tokens of a picture at most, "Media resolution".
RESOLUTION = {False: ("medium", 560), True: ("high", 1120)}
THINKING = {
    "off": {"thinking_budget": 0},
    "minimal": {"thinking_level": "MINIMAL"},
    "default": None,
}


@dataclass(frozen=True, slots=True)
class Service:
    """Google's own, and never its cloud platform, whatever is set."""

    priced_as = "gemini"

    def connect(self, client: httpx2.AsyncClient, endpoint: Endpoint) -> Any:
        return client_library(PROVIDER.library, PROVIDER.name).Client(
            vertexai=False,
            api_key=PLACEHOLDER,
            http_options={
                "base_url": endpoint.url,
                "api_version": API_VERSION,
                "httpx_async_client": client,
                "retry_options": {"attempts": 1},
            },
        )

    def picture_tokens(self, width: int, height: int, count: int) -> int:
        """By the resolution that is asked for, or, with older models, 258 for each tile of 768
        pixels ("Media resolution", "Image understanding")."""
        tiles = ceil(width / 768) * ceil(height / 768)
        return max(RESOLUTION[count > 1][1], 258 * tiles)


def _resolution(prompt: Prompt) -> str:
    return RESOLUTION[len(prompt.questions) > 1][0]


# Closed questions --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions endpoint: one input, many closed questions, the probability of each option."""

    model: str

    @property
    def settings(self) -> Mapping[str, str]:
        return {}

    def completion_tokens(self, count: int) -> int:
        return count

    async def send(self, library: Any, prompt: Prompt, samples: int) -> str:
        parts, resolution = (prompt.system, *prompt.goal, *prompt.shown), _resolution(prompt)
        response = await library.aio.decisions.with_raw_response.create(
            model=f"models/{self.model.removeprefix('models/')}",
            input=[_decision_part(part, resolution) for part in parts],
            questions=choices(prompt),
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
        return [read_choices(document["answers"], count)]


def _decision_part(part: Part, resolution: str) -> Document:
    if not isinstance(part, Picture):
        return {"type": "text", "text": part}
    image = {"type": "image", "data": part.base64, "mime_type": "image/png"}
    return {**image, "resolution": resolution}


# Text --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Content:
    """The endpoint that generates text.

    Attributes:
        model: As the provider names it.
        thinking: off, minimal, or default, as the model does by itself. Which of them a model
            takes differs between generations.
        reasoning_tokens: Room to think in.
    """

    model: str
    thinking: str = "off"
    reasoning_tokens: int = REASONING_TOKENS
    service = Service()
    several = True

    @property
    def settings(self) -> Mapping[str, str]:
        settings = {"thinking": self.thinking}
        if self.room not in (0, REASONING_TOKENS):
            settings["room"] = str(self.room)
        return settings

    @property
    def room(self) -> int:
        return self.reasoning_tokens if self.thinking != "off" else 0

    def without(self, refused: frozenset[str]) -> Content:
        return self

    def for_tokens(self) -> Document:
        return {"response_logprobs": True, "logprobs": TOP_LOGPROBS, "temperature": 0.0}

    def for_object(self, schema: Document | None, samples: int, varied: bool) -> Document:
        return {
            "response_mime_type": "application/json",
            "response_json_schema": schema,
            "candidate_count": samples if samples > 1 else None,
        }

    async def send(self, library: Any, prompt: Prompt, ask: str, most: int, form: Document) -> str:
        types = client_library(f"{PROVIDER.library}.types", PROVIDER.name)
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
                media_resolution=f"MEDIA_RESOLUTION_{_resolution(prompt).upper()}",
                thinking_config=THINKING[self.thinking],
                should_return_http_response=True,
                max_output_tokens=most,
                **form,
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

    def candidates(self, document: Document) -> list[Document | Failure]:
        reason = (document.get("promptFeedback") or {}).get("blockReason")
        if reason is not None:
            return [_filtered(reason)]
        return [
            _filtered(candidate["finishReason"])
            if candidate.get("finishReason") in BLOCKED
            else candidate
            for candidate in document["candidates"]
        ]

    def text(self, candidate: Document) -> str:
        parts = (candidate.get("content") or {}).get("parts") or []
        return "".join(part.get("text", "") for part in parts if not part.get("thought"))

    def is_cut_off(self, candidate: Document) -> bool:
        return candidate.get("finishReason") == "MAX_TOKENS"

    def tokens(self, candidate: Document) -> list[Token]:
        result = candidate.get("logprobsResult") or {}
        if not result.get("chosenCandidates"):
            return []
        return [
            Token(
                chosen["token"],
                tuple((c["token"], float(c["logProbability"])) for c in top["candidates"]),
            )
            for chosen, top in zip(result["chosenCandidates"], result["topCandidates"], strict=True)
        ]


def _filtered(reason: object) -> Failure:
    return Failure("content_filter", f"the provider's filter stopped the answer: {reason}")


# Making a judge ----------------------------------------------------------------------------------


def make(model: str, settings: JudgeSettings, assignment: Assignment) -> LiveJudge:
    """The judge for this model; raises as `live_judge` does."""
    return live_judge(PROVIDER, wires, model, settings, assignment)


def wires(model: str, endpoint: Endpoint, settings: JudgeSettings) -> list[Wire]:
    """Every way of asking, best first."""
    contents = [Content(model, thinking, settings.reasoning_tokens) for thinking in THINKING]
    voting = [votes(content, settings.samples, settings.explain) for content in contents]
    if settings.explain:
        return voting
    decisions = Wire("decisions", 100, Service(), Decisions(model))
    return [decisions, *(logprobs(content) for content in contents), *voting]
