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
from volition.judges.live.judge import Document, LiveJudge, Outcomes, Usage, brief_of, post
from volition.judges.live.probe import choose
from volition.judges.prompt import Part, Picture, Prompt
from volition.judgment import Failure

if TYPE_CHECKING:
    import httpx2

PROVIDER = Provider("anthropic", "https://api.anthropic.com", ("ANTHROPIC_API_KEY",))
REASONING_TOKENS = 4096  # allowed to a model that cannot be told not to think


@dataclass(frozen=True, slots=True)
class Messages:
    """The messages endpoint.

    Attributes:
        model: As the provider names it.
        think: False: the model is told not to think before it answers.
        explain: The model also says why.
        enforced: The server is given the schema of the answer.
        official: Whether Anthropic itself is asked.
    """

    model: str
    think: bool = False
    explain: bool = False
    enforced: bool = True
    official: bool = True
    name = "votes"
    soft = False
    several = False
    most = 60
    priced_as = "anthropic"

    @property
    def settings(self) -> Mapping[str, str]:
        return {
            "think": str(self.think),
            "explain": str(self.explain),
            "enforced": str(self.enforced),
        }

    def picture_tokens(self, width: int, height: int, count: int) -> int:
        """What a picture is billed, at most.

        Anthropic, "Vision", evaluating image size: width times height over 750, or, for newer
        models, patches of 28 pixels.
        """
        return max(ceil(width * height / 750), ceil(width / 28) * ceil(height / 28))

    def completion_tokens(self, count: int) -> int:
        return 16 + (100 if self.explain else 10) * count + REASONING_TOKENS * self.think

    def connect(self, client: httpx2.AsyncClient, endpoint: Endpoint) -> Any:
        library = client_library("anthropic", "anthropic")
        return library.AsyncAnthropic(
            api_key=PLACEHOLDER,
            base_url=endpoint.url,
            http_client=client,
            max_retries=0,
            default_headers=AUTHORIZATION,
            open_telemetry=False,
        )

    async def send(self, library: Any, prompt: Prompt, samples: int) -> str:
        count = len(prompt.asked)
        goal = [self._part(part) for part in prompt.goal]
        goal[-1]["cache_control"] = {"type": "ephemeral"}
        shown = [self._part(part) for part in prompt.shown]
        ask = self._part(prompts.ask_for_json(prompt, self.explain))
        more: dict[str, Any] = {}
        if not self.think:
            more["thinking"] = {"type": "disabled"}
        if self.enforced:
            form = {"type": "json_schema", "schema": prompts.schema(count, self.explain)}
            more["output_config"] = {"format": form}
        body = {
            "model": self.model,
            "max_tokens": self.completion_tokens(count),
            "system": prompt.system,
            "messages": [{"role": "user", "content": [*goal, *shown, ask]}],
            **more,
        }
        return await post(library, "/v1/messages", body)

    def _part(self, part: Part) -> dict[str, Any]:
        if not isinstance(part, Picture):
            return {"type": "text", "text": part}
        source = {"type": "base64", "media_type": "image/png", "data": part.base64}
        image: dict[str, Any] = {"type": "image", "source": source}
        if self.official:  # a picture is never made smaller unsaid
            image["transformations"] = {"oversized_image": "error"}
        return image

    def usage(self, document: Document) -> Usage:
        billed = document["usage"]
        cached = billed.get("cache_read_input_tokens") or 0
        written = billed.get("cache_creation_input_tokens") or 0
        prompt_tokens = billed["input_tokens"] + cached + written
        return Usage(prompt_tokens, billed["output_tokens"], cached, written)

    def read(self, document: Document, count: int) -> list[Outcomes]:
        stopped = document.get("stop_reason")
        if stopped == "refusal":
            details = document.get("stop_details") or {}
            said = details.get("explanation") or "the model declined to answer"
            return [[Failure("refused", f"{said:.300}")] * count]
        text = "".join(block["text"] for block in document["content"] if block["type"] == "text")
        outcomes = prompts.read_json(text, count)
        if stopped in ("max_tokens", "model_context_window_exceeded"):
            outcomes = [
                Failure("truncated", outcome.message) if isinstance(outcome, Failure) else outcome
                for outcome in outcomes
            ]
        return [outcomes]


def make(model: str, options: JudgeOptions) -> LiveJudge:
    """The judge for this model, asked in the best way that works.

    Raises:
        InputError: An option is not as it must be.
        JudgeUnavailable: A package or a key is missing, or no way of asking works.
    """
    endpoint = resolve(PROVIDER, options.base_url)
    client_library("anthropic", "anthropic")
    brief = brief_of(options)
    explain, official = options.explain, endpoint.official
    wires = [
        Messages(model, False, explain, True, official),
        Messages(model, True, explain, True, official),
        Messages(model, True, explain, False, official),
    ]
    return choose(
        [
            LiveJudge(
                f"anthropic:{model}",
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
