"""Spans around judging, named as OpenTelemetry's conventions for generative AI do
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/).

Whoever traces has imported OpenTelemetry and said where spans go, such as by
`opentelemetry-instrument volition train ...`. Where nobody has, nothing is imported and nothing is
done. What a judge wrote is in a span only where the conventions' own variable asks for it, and what
it was shown never is.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from volition.judgment import JudgeIdentity, Reply

TRACE = "opentelemetry.trace"
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
CAPTURES = ("true", "span_only", "span_and_event")
PROVIDERS = {"gemini": "gcp.gemini"}  # what the conventions call otherwise than we do


@contextmanager
def judging_span(judge: JudgeIdentity, questions: int) -> Iterator[Callable[[Reply], None]]:
    """A span around one request to a judge; what is yielded is to be given the reply.

    Args:
        judge: Who is asked.
        questions: How many the request holds.
    """
    if TRACE not in sys.modules:
        yield lambda _: None
        return
    from opentelemetry import trace

    model = judge.settings.get("model", judge.name.partition(":")[2] or judge.name)
    tracer = trace.get_tracer("volition")
    with tracer.start_as_current_span(
        f"chat {model}",
        kind=trace.SpanKind.CLIENT,
        attributes=_asked(judge, model, questions),
        record_exception=False,  # a provider's message may repeat what it was sent
        set_status_on_exception=False,
    ) as span:
        try:
            yield lambda reply: span.set_attributes(_replied(reply))
        except BaseException as error:
            span.set_attribute("error.type", getattr(error, "kind", type(error).__name__))
            span.set_status(trace.StatusCode.ERROR)
            raise


def _asked(judge: JudgeIdentity, model: str, questions: int) -> dict[str, str | int | bool]:
    provider = judge.name.partition(":")[0]
    said: dict[str, str | int | bool] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDERS.get(provider, provider),
        "gen_ai.request.model": model,
        "volition.judge.simulated": judge.simulated,
        "volition.judging.questions": questions,
    }
    if "endpoint" in judge.settings:
        place = urlsplit(judge.settings["endpoint"])
        said["server.address"] = place.hostname or ""
        said["server.port"] = place.port or (443 if place.scheme == "https" else 80)
    return said


def _replied(reply: Reply) -> dict[str, str | int | float]:
    said: dict[str, str | int | float] = {
        "gen_ai.usage.input_tokens": reply.prompt_tokens,
        "gen_ai.usage.output_tokens": reply.completion_tokens,
        "volition.judging.cost_usd": reply.cost_usd,
    }
    if os.environ.get(CAPTURE, "").lower() in CAPTURES:
        parts = [{"type": "text", "content": reply.raw}]
        said["gen_ai.output.messages"] = json.dumps([{"role": "assistant", "parts": parts}])
    return said
