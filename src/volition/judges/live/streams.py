"""Replies in pieces: some servers send a stream of events although none was asked for."""

from __future__ import annotations

import json

from volition.judges.prompt import Document

FIELDS = ("data:", "event:", "id:", "retry:", ":")


def document_of(body: str) -> Document:
    """The JSON object that a reply is, whether it came in one piece or in events.

    Raises:
        ValueError: It is none.
    """
    if body.lstrip().startswith(FIELDS):
        return _joined(_events(body))
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("the reply is no JSON object")
    return document


def _events(body: str) -> list[Document]:
    """What the events carry, each of which ends with an empty line."""
    carried = []
    for event in "\n".join(body.splitlines()).split("\n\n"):
        data = [line[5:].strip() for line in event.split("\n") if line.startswith("data:")]
        text = "\n".join(data)
        if text and text != "[DONE]":
            carried.append(json.loads(text))
    if not carried or not all(isinstance(document, dict) for document in carried):
        raise ValueError("the reply is a stream of events without JSON objects")
    return carried


def _joined(events: list[Document]) -> Document:
    failed = next((event for event in events if event.get("error")), None)
    if failed is not None:
        return failed
    if any("choices" in event for event in events):
        return _joined_chunks(events)
    if events[0].get("type") == "message_start":
        return _joined_message(events)
    return events[-1]


def _joined_chunks(events: list[Document]) -> Document:
    """A chat completion of OpenAI's out of its chunks."""
    choices: dict[int, Document] = {}
    whole: Document = {}
    for event in events:
        whole |= {name: value for name, value in event.items() if value is not None}
        for chunk in event.get("choices") or ():
            choice = choices.setdefault(chunk.get("index") or 0, {"message": {}})
            _extend(choice["message"], chunk.get("delta") or chunk.get("message") or {})
            if chunk.get("finish_reason") is not None:
                choice["finish_reason"] = chunk["finish_reason"]
            if tokens := (chunk.get("logprobs") or {}).get("content"):
                choice.setdefault("logprobs", {"content": []})["content"] += tokens
    for choice in choices.values():
        choice["message"].setdefault("content", None)
    return {**whole, "choices": [choices[index] for index in sorted(choices)]}


def _joined_message(events: list[Document]) -> Document:
    """A message of Anthropic's out of its events."""
    message: Document = dict(events[0]["message"])
    blocks: dict[int, Document] = {}
    for event in events[1:]:
        if event["type"] == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"])
        elif event["type"] == "content_block_delta":
            delta = {name: value for name, value in event["delta"].items() if name != "type"}
            _extend(blocks[event["index"]], delta)
        elif event["type"] == "message_delta":
            message |= event["delta"]
            message["usage"] = {**message.get("usage", {}), **event.get("usage", {})}
    return {**message, "content": [blocks[index] for index in sorted(blocks)]}


def _extend(whole: Document, more: Document) -> None:
    """Adds a piece to what came before: words to words, all else as it is."""
    for name, value in more.items():
        before = whole.get(name)
        both = isinstance(before, str) and isinstance(value, str)
        if value is not None:
            whole[name] = before + value if both and name != "role" else value
