"""The providers' protocols, seen from the server.

Requests are checked against the client libraries' own types, and replies are built from them.
"""

from __future__ import annotations

import base64
import json
import math
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from pydantic import TypeAdapter, ValidationError

from servers.eyes import NotAPicture, Part, decode, decode_url

FLOOR = -9999.0  # what a token has that was never considered


@dataclass(frozen=True)
class Asked:
    """A request, whatever its protocol.

    Attributes:
        parts: Words and pictures in the order in which the model meets them.
        count: Questions that are asked by the protocol; None where they stand in the words.
        samples: Answers that are wanted.
    """

    parts: list[Part]
    count: int | None = None
    samples: int = 1
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        return "\n".join(part for part in self.parts if isinstance(part, str))

    @property
    def prompt_tokens(self) -> int:
        """Four characters a token and patches of 32 pixels."""
        patches: int = sum(
            math.ceil(part.shape[0] / 32) * math.ceil(part.shape[1] / 32)
            for part in self.parts
            if not isinstance(part, str)
        )
        return len(self.words) // 4 + patches


@dataclass(frozen=True)
class Answer:
    """What the model says: for each question the probability of A, or something in its place.

    Attributes:
        says: None: an answer. Else refused, filtered, cut_short, twice, unasked, chatty; in chat
            silent, where reasoning took all the room, and parts, where words come as a list.
        text: What it writes in place of a choice.
    """

    probabilities: list[float]
    says: str | None = None
    text: str | None = None


class BadRequest(Exception):
    """The request is not of the protocol's form."""


# Checking ----------------------------------------------------------------------------------------


@cache
def _adapter(module: str, name: str) -> Any:
    return TypeAdapter(getattr(import_module(module), name))


def check(body: dict[str, Any], module: str, name: str) -> None:
    """That a body is what the library's own type describes, and has no key that it does not."""
    unknown = body.keys() - _keys(getattr(import_module(module), name))
    if unknown:
        raise BadRequest(f"Unrecognized request arguments: {', '.join(sorted(unknown))}")
    try:
        _walk(_adapter(module, name).validate_python(body))
    except ValidationError as error:
        raise BadRequest(f"{error.error_count()} errors, such as {error.errors()[0]}") from None


def _keys(typed: Any) -> set[str]:
    return {key for base in (typed, *typed.__mro__) for key in getattr(base, "__annotations__", {})}


def _walk(value: Any) -> None:
    """Reads what is checked only when it is read."""
    if isinstance(value, dict):
        for inner in value.values():
            _walk(inner)
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for inner in value:
            _walk(inner)


def _content(messages: list[dict[str, Any]], text: str) -> Iterable[dict[str, Any]]:
    """The parts of every message; bare words are a part of type `text`."""
    for message in messages:
        if isinstance(message["content"], str):
            yield {"type": text, "text": message["content"]}
        else:
            yield from message["content"]


# Decisions ---------------------------------------------------------------------------------------


def read_decisions(body: dict[str, Any], strict: bool) -> Asked:
    if strict:
        check(body, "openai.types.decision_create_params", "DecisionCreateParams")
    parts: list[Part] = [
        part["text"] if part["type"] == "input_text" else decode_url(part["image_url"])
        for part in _content(body["input"], "input_text")
    ]
    for question in body["questions"]:
        if [choice["value"] for choice in question["choices"]] != ["A", "B"]:
            raise BadRequest("questions: choices")
        parts.append(question["instructions"])
    return Asked(parts, len(body["questions"]), body=body)


def write_decisions(asked: Asked, answer: Answer) -> str:
    from openai.types.decision import Decision

    answers = []
    for question, p in zip(asked.body["questions"], answer.probabilities, strict=True):
        if answer.says == "refused":
            answers.append({"type": "refusal", "name": question["name"]})
            continue
        # The endpoint rounds to two decimals.
        options = [
            {"value": "A", "probability": round(p, 2)},
            {"value": "B", "probability": round(1 - p, 2)},
        ]
        if answer.says == "chatty":
            options = [{"value": "C", "probability": 1.0}]
        answers.append(
            {
                "type": "choice",
                "name": question["name"],
                "probabilities": options,
                "choice": "A" if p >= 0.5 else "B",
                "confidence": max(p, 1 - p),
            }
        )
    if answer.says == "twice":
        answers.append(answers[0])
    if answer.says == "cut_short":
        answers = answers[:-1]
    usage = {
        "input_tokens": asked.prompt_tokens,
        "output_tokens": 0,
        "total_tokens": asked.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    document = {"answers": answers, "model": asked.body["model"], "usage": usage}
    return Decision.model_validate(document).model_dump_json()


# System One --------------------------------------------------------------------------------------


def read_systemone(body: dict[str, Any], strict: bool) -> Asked:
    if strict and (unknown := body.keys() - {"model", "state", "questions", "images", "assets"}):
        raise BadRequest(f"unknown fields: {sorted(unknown)}")
    parts: list[Part] = []
    if isinstance(body["state"], list):
        if "images" in body:
            raise BadRequest("pictures stand in the state here")
        parts += [
            part if isinstance(part, str) else decode_url(part["image_url"]["url"])
            for part in body["state"]
        ]
    else:
        named = {
            f"[image {place}]": decode_url(url)
            for place, url in enumerate(body.get("images", []), start=1)
        }
        for name, asset in body.get("assets", {}).items():
            named[name] = decode(asset["data_base64"])
        parts += [named.get(line, line) for line in body["state"].split("\n")]
    for question in body["questions"].values():
        if question["type"] != "choice" or list(question["criteria"]) != ["A", "B"]:
            raise BadRequest("questions: criteria")
        parts.append(question["instructions"])
    return Asked(parts, len(body["questions"]), body=body)


def write_systemone(asked: Asked, answer: Answer) -> str:
    answers: dict[str, Any] = {}
    for number, p in zip(asked.body["questions"], answer.probabilities, strict=True):
        answers[number] = {
            "type": "choice",
            "choice": "A" if p >= 0.5 else "B",
            "confidence": max(p, 1 - p),
            "probabilities": {"A": p, "B": 1 - p},
        }
        if answer.says == "refused":
            answers[number] = {"type": "choice", "error": "invalid_question"}
        if answer.says == "chatty":
            answers[number]["probabilities"] = {"C": 1.0}
    if answer.says == "twice":
        answers["999"] = answers["1"]
    if answer.says == "cut_short":
        del answers[number]
    usage = {"input_tokens": asked.prompt_tokens, "output_tokens": 0}
    return json.dumps({"model": asked.body.get("model"), "answers": answers, "usage": usage})


# Chat completions --------------------------------------------------------------------------------


def read_chat(body: dict[str, Any], strict: bool) -> Asked:
    if strict:
        check(
            body, "openai.types.chat.completion_create_params", "CompletionCreateParamsNonStreaming"
        )
    parts: list[Part] = [
        part["text"] if part["type"] == "text" else decode_url(part["image_url"]["url"])
        for part in _content(body["messages"], "text")
    ]
    return Asked(parts, None, body.get("n") or 1, body)


def write_chat(asked: Asked, answer: Answer, *, logprobs: bool) -> str:
    from openai.types.chat import ChatCompletion

    body = asked.body
    # As many of the votes for A as its probability says.
    choices = []
    for sample in range(asked.samples):
        wanted = body.get("logprobs")
        letters = [_vote(p, sample, asked.samples) for p in answer.probabilities]
        tokens = _letter_tokens(letters, answer)
        text = "".join(token for token, _ in tokens) if wanted else say_json(asked, letters, answer)
        choices.append(
            {
                "index": sample,
                "message": {
                    "role": "assistant",
                    "content": None if answer.says == "refused" else text,
                    "refusal": "I cannot judge this." if answer.says == "refused" else None,
                },
                "finish_reason": {"cut_short": "length", "filtered": "content_filter"}.get(
                    answer.says or "", "stop"
                ),
                "logprobs": {"content": [_logprob(*token) for token in tokens], "refusal": None}
                if wanted and logprobs
                else None,
            }
        )
    completion = (len(tokens) if wanted else 5 * len(answer.probabilities)) * len(choices)
    document = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body["model"],
        "choices": choices,
        "usage": {
            "prompt_tokens": asked.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": asked.prompt_tokens + completion,
        },
    }
    written = ChatCompletion.model_validate(document).model_dump_json()
    return _chat_otherwise(written, answer.says) if answer.says in ("silent", "parts") else written


def _chat_otherwise(reply: str, says: str) -> str:
    """A reply as servers send it that the library's types do not describe."""
    document = json.loads(reply)
    for choice in document["choices"]:
        message = choice["message"]
        if says == "silent":
            message |= {"content": None, "reasoning_content": "Let me look at the pictures"}
            choice["finish_reason"], choice["logprobs"] = "length", None
        else:
            thought = {"type": "thinking", "thinking": [{"type": "text", "text": "A? B?"}]}
            message["content"] = [thought, {"type": "text", "text": message["content"]}]
    return json.dumps(document)


def tokens_in(reply: str) -> int:
    """What a reply says that it used, in all."""
    document = json.loads(reply)
    usage = document.get("usage") or document.get("usageMetadata") or {}
    return sum(v for k, v in usage.items() if isinstance(v, int) and not k.startswith("total"))


def streamed(protocol: str, reply: str) -> str:
    """A reply as the events of a stream, a few characters in each."""
    document = json.loads(reply)
    events: list[dict[str, Any]] = []
    if protocol == "messages":
        text = document["content"][0]["text"]
        block = {"type": "content_block_start", "index": 0}
        events += [
            {"type": "message_start", "message": {**document, "content": [], "stop_reason": None}},
            {**block, "content_block": {"type": "text", "text": ""}},
        ]
        for start in range(0, len(text), 4):
            delta = {"type": "text_delta", "text": text[start : start + 4]}
            events.append({"type": "content_block_delta", "index": 0, "delta": delta})
        events.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}})
        events.append({"type": "message_stop"})
    else:
        head = {"id": document["id"], "object": "chat.completion.chunk"}
        for choice in document["choices"]:
            index, text = choice["index"], choice["message"]["content"]
            for start in range(0, len(text), 4):
                piece = {"index": index, "delta": {"content": text[start : start + 4]}}
                events.append({**head, "choices": [piece], "usage": None})
            end = {"index": index, "delta": {}, "finish_reason": choice["finish_reason"]}
            end["logprobs"] = choice["logprobs"]
            events.append({**head, "choices": [end]})
        events.append({**head, "choices": [], "usage": document["usage"]})
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return ": started\n\n" + "".join(lines) + "data: [DONE]\n\n"


def _vote(p: float, sample: int, samples: int) -> str:
    return "A" if (p >= 0.5 if samples == 1 else sample < round(p * samples)) else "B"


def _letter_tokens(letters: Sequence[str], answer: Answer) -> list[tuple[str, float | None]]:
    """The tokens of an answer in letters, with the probability of A where a letter stands."""
    if answer.says == "chatty":
        return [("The", None), (" picture", None), (" says", None), (" answer", None), (" B", None)]
    if len(letters) == 1:
        return [(letters[0], answer.probabilities[0])]
    tokens: list[tuple[str, float | None]] = []
    for number, letter in enumerate(letters, start=1):
        p = answer.probabilities[number - 1]
        tokens += [(str(number), None), (f" {letter}", p), ("\n", None)]
    if answer.says == "twice":
        tokens += tokens[:3]
    return tokens[:-3] if answer.says == "cut_short" else tokens


def _logprob(token: str, p: float | None) -> dict[str, Any]:
    def entry(text: str, probability: float) -> dict[str, Any]:
        value = math.log(probability) if probability > 0 else FLOOR
        return {"token": text, "logprob": value, "bytes": list(text.encode())}

    if p is None:
        return {**entry(token, 0.9), "top_logprobs": [entry(token, 0.9), entry("...", 0.1)]}
    space = " " if token.startswith(" ") else ""
    top = [entry(f"{space}A", p * 0.98), entry(f"{space}B", (1 - p) * 0.98), entry("The", 0.02)]
    own = next(alternative for alternative in top if alternative["token"] == token)
    return {**own, "top_logprobs": sorted(top, key=lambda each: -each["logprob"])}


def say_json(asked: Asked, letters: Sequence[str], answer: Answer) -> str:
    """The letters as the JSON object that was asked for; or what the model writes in its place."""
    if answer.text is not None:
        return answer.text
    if answer.says == "chatty":
        return "The picture says: answer B."
    explained = '"why"' in asked.words
    pairs = [
        f'"{number}": '
        + json.dumps({"why": f"{letter} is higher", "choice": letter} if explained else letter)
        for number, letter in enumerate(letters, start=1)
    ]
    if answer.says == "twice":
        pairs.append(pairs[0].replace('"A"', '"C"').replace('"B"', '"A"').replace('"C"', '"B"'))
    if answer.says == "unasked":
        pairs.append('"999": "A"')
    text = "{" + ", ".join(pairs) + "}"
    return text[: len(text) // 2] if answer.says == "cut_short" else text


# Anthropic messages ------------------------------------------------------------------------------


def read_messages(body: dict[str, Any], strict: bool) -> Asked:
    if strict:
        check(body, "anthropic.types.message_create_params", "MessageCreateParamsNonStreaming")
    system = body.get("system", "")
    parts: list[Part] = [system] if isinstance(system, str) else [part["text"] for part in system]
    for message in body["messages"]:
        for part in message["content"]:
            if part["type"] == "text":
                parts.append(part["text"])
            elif part["source"]["type"] != "base64":
                raise NotAPicture(f"a picture by {part['source']['type']}")
            else:
                parts.append(decode(part["source"]["data"]))
    return Asked(parts, body=body)


def write_messages(asked: Asked, answer: Answer) -> str:
    from anthropic.types import Message

    letters = [_vote(p, 0, 1) for p in answer.probabilities]
    stop = {"cut_short": "max_tokens", "refused": "refusal"}.get(answer.says or "", "end_turn")
    content = (
        []
        if answer.says == "refused"
        else [{"type": "text", "text": say_json(asked, letters, answer)}]
    )
    cached = any("cache_control" in part for part in asked.body["messages"][0]["content"])
    document = {
        "id": f"msg_{uuid.uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": asked.body["model"],
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": asked.prompt_tokens - 10 * cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 10 * cached,
            "output_tokens": 5 * len(letters),
        },
    }
    return Message.model_validate(document).model_dump_json()


# Gemini ------------------------------------------------------------------------------------------


def read_gemini(body: dict[str, Any], strict: bool) -> Asked:
    from google.genai import types

    try:
        contents = [types.Content.model_validate(each) for each in body["contents"]]
        system = types.Content.model_validate(body.get("systemInstruction") or {"parts": []})
        config = types.GenerationConfig.model_validate(body.get("generationConfig") or {})
    except ValidationError as error:
        raise BadRequest(f"{error.errors()[0]}") from None
    parts: list[Part] = []
    for part in [part for content in (system, *contents) for part in content.parts or []]:
        if part.inline_data is not None and part.inline_data.data is not None:
            parts.append(decode(base64.b64encode(part.inline_data.data).decode()))
        elif part.file_data is not None:
            raise NotAPicture("a picture by its address")
        else:
            parts.append(part.text or "")
    return Asked(parts, None, config.candidate_count or 1, body)


def write_gemini(asked: Asked, answer: Answer, *, logprobs: bool) -> str:
    from google.genai import types

    config = asked.body.get("generationConfig") or {}
    if answer.says == "filtered":
        blocked = {"promptFeedback": {"blockReason": "SAFETY"}}
        return types.GenerateContentResponse.model_validate(blocked).model_dump_json(
            by_alias=True, exclude_none=True
        )
    candidates = []
    for sample in range(asked.samples):
        letters = [_vote(p, sample, asked.samples) for p in answer.probabilities]
        wanted = config.get("responseLogprobs")
        tokens = _letter_tokens(letters, answer)
        text = "".join(token for token, _ in tokens) if wanted else say_json(asked, letters, answer)
        finish = {"cut_short": "MAX_TOKENS", "refused": "SAFETY"}.get(answer.says or "", "STOP")
        candidate: dict[str, Any] = {"index": sample, "finishReason": finish}
        if answer.says != "refused":
            candidate["content"] = {"role": "model", "parts": [{"text": text}]}
        if wanted and logprobs:
            candidate["logprobsResult"] = _gemini_logprobs(tokens)
        candidates.append(candidate)
    completion = (len(tokens) if wanted else 5 * len(answer.probabilities)) * len(candidates)
    document = {
        "candidates": candidates,
        "modelVersion": "test",
        "responseId": uuid.uuid4().hex,
        "usageMetadata": {
            "promptTokenCount": asked.prompt_tokens,
            "candidatesTokenCount": completion,
            "totalTokenCount": asked.prompt_tokens + completion,
        },
    }
    return types.GenerateContentResponse.model_validate(document).model_dump_json(
        by_alias=True, exclude_none=True
    )


def _gemini_logprobs(tokens: Sequence[tuple[str, float | None]]) -> dict[str, Any]:
    listed = [_logprob(*token) for token in tokens]
    return {
        "chosenCandidates": [
            {"token": each["token"], "logProbability": each["logprob"]} for each in listed
        ],
        "topCandidates": [
            {
                "candidates": [
                    {"token": top["token"], "logProbability": top["logprob"]}
                    for top in each["top_logprobs"]
                ]
            }
            for each in listed
        ],
    }


def read_gemini_decisions(body: dict[str, Any], strict: bool) -> Asked:
    from google.genai import decisions

    try:
        decisions.CreateDecisionRequest.model_validate(body)
    except ValidationError as error:
        raise BadRequest(f"{error.errors()[0]}") from None
    parts: list[Part] = [
        part["text"] if part["type"] == "text" else decode(part["data"]) for part in body["input"]
    ]
    for question in body["questions"].values():
        if list(question["criteria"]) != ["A", "B"]:
            raise BadRequest("questions: criteria")
        parts.append(question["instructions"])
    return Asked(parts, len(body["questions"]), body=body)


def write_gemini_decisions(asked: Asked, answer: Answer) -> str:
    from google.genai import decisions

    if answer.says in ("refused", "filtered"):
        return json.dumps({"prompt_feedback": {"block_reason": "safety"}})
    answers = json.loads(write_systemone(asked, answer))["answers"]
    usage = {"total_input_tokens": asked.prompt_tokens, "total_output_tokens": 0}
    document = {"answers": answers, "usage": usage}
    if answer.says != "chatty":
        decisions.CreateDecisionResponse.model_validate(document)
    return json.dumps(document)
