"""Judges of Anthropic's, through its own client library.

One wire, `votes`: a JSON object from number to letter; the share of several samples is the
probability, since the model's own probabilities are not to be had. The goal, which is the same in
every request, is marked to be kept in the provider's cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

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
from volition.judges.live.wires import Usage, Wire, post, votes
from volition.judges.prompt import Document, Part, Picture, Prompt
from volition.judges.settings import REASONING_TOKENS, JudgeSettings
from volition.judgment import Failure

if TYPE_CHECKING:
    import httpx2

PROVIDER = Provider(
    "anthropic", "https://api.anthropic.com", ("ANTHROPIC_API_KEY",), library="anthropic"
)
FULL = ("max_tokens", "model_context_window_exceeded")


@dataclass(frozen=True, slots=True)
class Service:
    """Anthropic's protocol, at whatever address."""

    priced_as = "anthropic"

    def connect(self, client: httpx2.AsyncClient, endpoint: Endpoint) -> Any:
        return client_library(PROVIDER.library, PROVIDER.name).AsyncAnthropic(
            base_url=endpoint.url,
            http_client=client,
            api_key=PLACEHOLDER,
            default_headers=AUTHORIZATION,
            max_retries=0,
            open_telemetry=False,
        )

    def picture_tokens(self, width: int, height: int, count: int) -> int:
        """Anthropic, "Vision", evaluating image size: width times height over 750, or, for newer
        models, patches of 28 pixels."""
        return max(ceil(width * height / 750), ceil(width / 28) * ceil(height / 28))


@dataclass(frozen=True, slots=True)
class Messages:
    """The messages endpoint.

    Attributes:
        model: As the provider names it.
        think: False: the model is told not to think before it answers.
        official: Whether Anthropic itself is asked.
        reasoning_tokens: Room to think in.
    """

    model: str
    think: bool = False
    official: bool = True
    reasoning_tokens: int = REASONING_TOKENS
    service = Service()
    several = False

    @property
    def settings(self) -> Mapping[str, str]:
        settings = {"think": str(self.think)}
        if self.think and self.reasoning_tokens != REASONING_TOKENS:
            settings["room"] = str(self.reasoning_tokens)
        return settings

    @property
    def room(self) -> int:
        return self.reasoning_tokens if self.think else 0

    def without(self, refused: frozenset[str]) -> Messages:
        return self

    def for_object(self, schema: Document | None, samples: int, varied: bool) -> Document:
        if schema is None:
            return {}
        return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}

    async def send(self, library: Any, prompt: Prompt, ask: str, most: int, form: Document) -> str:
        goal = [self._part(part) for part in prompt.goal]
        goal[-1]["cache_control"] = {"type": "ephemeral"}
        shown = [self._part(part) for part in (*prompt.shown, ask)]
        body = {
            "model": self.model,
            "max_tokens": most,
            "system": prompt.system,
            "messages": [{"role": "user", "content": [*goal, *shown]}],
            **({} if self.think else {"thinking": {"type": "disabled"}}),
            **form,
        }
        return await post(library, "/v1/messages", body)

    def _part(self, part: Part) -> Document:
        if not isinstance(part, Picture):
            return {"type": "text", "text": part}
        source = {"type": "base64", "media_type": "image/png", "data": part.base64}
        image: Document = {"type": "image", "source": source}
        if self.official:  # a picture is never made smaller unsaid
            image["transformations"] = {"oversized_image": "error"}
        return image

    def usage(self, document: Document) -> Usage:
        billed = document["usage"]
        cached = billed.get("cache_read_input_tokens") or 0
        written = billed.get("cache_creation_input_tokens") or 0
        prompt_tokens = billed["input_tokens"] + cached + written
        return Usage(prompt_tokens, billed["output_tokens"], cached, written)

    def candidates(self, document: Document) -> list[Document | Failure]:
        if document.get("stop_reason") != "refusal":
            return [document]
        details = document.get("stop_details") or {}
        reason = details.get("explanation") or "the model declined to answer"
        return [Failure("refused", f"{reason:.300}")]

    def text(self, candidate: Document) -> str:
        return "".join(block["text"] for block in candidate["content"] if block["type"] == "text")

    def is_cut_off(self, candidate: Document) -> bool:
        return candidate.get("stop_reason") in FULL


def make(model: str, settings: JudgeSettings, assignment: Assignment) -> LiveJudge:
    """The judge for this model; raises as `live_judge` does."""
    return live_judge(PROVIDER, wires, model, settings, assignment)


def wires(model: str, endpoint: Endpoint, settings: JudgeSettings) -> list[Wire]:
    """Every way of asking, best first."""
    quiet, thinking = (
        Messages(model, think, endpoint.official, settings.reasoning_tokens)
        for think in (False, True)
    )
    return [
        votes(messages, settings.samples, settings.explain, enforced)
        for messages, enforced in ((quiet, True), (thinking, True), (thinking, False))
    ]
