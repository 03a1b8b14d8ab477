"""A judge in this process: any image-text-to-text model of transformers, by its name on the hub or
by the folder that holds it.

The probability of A and of B is read off the logits of the next token, for all questions of a
request in one forward pass. No code that comes with a model is run.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from volition.comparison import content_id
from volition.errors import JudgeUnavailable
from volition.judges import prompt as prompts
from volition.judges.base import Assignment, Estimate, Question
from volition.judges.live.connection import client_library
from volition.judges.live.judge import brief_of
from volition.judges.live.probe import GOAL, check
from volition.judges.prompt import Brief, Document, Picture
from volition.judges.settings import JudgeSettings
from volition.judgment import Failure, JudgeIdentity, Reply, Verdict

EDGE = 1 << 16  # bytes
SPELLINGS = ("{}", " {}")  # of a letter: a tokenizer may have it with a space and without


@dataclass(slots=True)
class LocalJudge:
    """A model in memory. Questions of one request are a batch.

    Attributes:
        model: As it was asked for.
        weights: Which weights these are: the hub's revision, or a hash of the folder's files.
    """

    model: str
    weights: str
    brief: Brief
    per_request: int
    _network: Any = field(repr=False)
    _processor: Any = field(repr=False)
    _letters: dict[str, list[int]] = field(repr=False)
    capability = None
    immediate = False
    _one_at_a_time: asyncio.Lock | None = field(default=None, init=False, repr=False)
    _series: bytes = field(default_factory=lambda: uuid.uuid4().bytes, init=False, repr=False)
    _numbers: Iterator[int] = field(default_factory=itertools.count, init=False, repr=False)

    @property
    def identity(self) -> JudgeIdentity:
        settings = {
            "model": self.model,
            "weights": self.weights,
            "prompt": prompts.VERSION,
            "dtype": str(self._network.dtype),
            "overlay": str(self.brief.overlay),
        }
        return JudgeIdentity(f"local:{Path(self.model).name}", settings=settings)

    def estimate(self, questions: Sequence[Question]) -> Estimate:
        return Estimate(0, 0, 0.0)  # nothing is billed

    async def ask(self, questions: Sequence[Question]) -> Reply:
        started = time.perf_counter()
        self._one_at_a_time = self._one_at_a_time or asyncio.Lock()
        async with self._one_at_a_time:
            answers = await asyncio.to_thread(self._forward, questions)
        raw = json.dumps(answers)
        name = content_id(self._series, next(self._numbers).to_bytes(8, "little"), raw.encode())
        return Reply(name, raw, latency_s=time.perf_counter() - started)

    def read(self, reply: Reply, questions: Sequence[Question]) -> list[Verdict | Failure]:
        try:
            answers = json.loads(reply.raw)
        except (ValueError, RecursionError):
            answers = None
        if not isinstance(answers, list) or len(answers) != len(questions):
            return [Failure("unparsable", f"not a probability each: {reply.raw!r:.200}")] * len(
                questions
            )
        return [
            prompts.read_probabilities(answer)
            if isinstance(answer, dict)
            else Failure("unparsable", f"not probabilities: {answer!r:.200}")
            for answer in answers
        ]

    async def close(self) -> None:
        self._one_at_a_time = None  # it belongs to the loop that ends

    def _forward(self, questions: Sequence[Question]) -> list[dict[str, float]]:
        """For each question the probability of each letter among all tokens."""
        import torch

        inputs = self._processor.apply_chat_template(
            [self._conversation(question) for question in questions],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        ).to(self._network.device, dtype=self._network.dtype)
        with torch.inference_mode():
            logits = self._network(**inputs, logits_to_keep=1).logits[:, -1].float()
        probabilities = logits.softmax(-1)  # (questions, vocabulary)
        return [
            {letter: float(row[tokens].sum()) for letter, tokens in self._letters.items()}
            for row in probabilities.cpu()
        ]

    def _conversation(self, question: Question) -> list[Document]:
        prompt = prompts.compose(self.brief, [question])
        # The system's words go before the user's, since many models have no place for them.
        parts = (prompt.system, *prompt.goal, *prompt.shown, prompts.ask_for_letter(prompt))
        content = [
            {"type": "image", "image": Image.fromarray(part.frame.pixels)}
            if isinstance(part, Picture)
            else {"type": "text", "text": part}
            for part in parts
        ]
        return [{"role": "user", "content": content}]


def make(model: str, settings: JudgeSettings, assignment: Assignment) -> LocalJudge:
    """The judge for a model by its name on the hub, or its folder.

    Raises:
        JudgeUnavailable: A package or the model is missing, or it cannot answer with a letter.
    """
    transformers = client_library("transformers", "local")
    torch = client_library("torch", "local")
    processor, network = _load(transformers, model)
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None or not getattr(processor, "chat_template", None):
        raise JudgeUnavailable(f"local:{model} has no chat template: it cannot be asked")
    tokenizer.padding_side = "left"  # so that every question ends at the last position
    device = "cuda" if torch.cuda.is_available() else "cpu"
    letters = {letter: _tokens(tokenizer, letter) for letter in prompts.LETTERS}
    if not all(letters.values()):
        raise JudgeUnavailable(f"local:{model} has no token that is A, or none that is B")
    judge = LocalJudge(
        model,
        _weights(model, network),
        brief_of(assignment),
        settings.per_request,
        network.to(device).eval(),
        processor,
        letters,
    )
    if assignment.probe:
        check(judge.identity.name, replace(judge, brief=GOAL))
    return judge


def _load(transformers: ModuleType, model: str) -> tuple[Any, Any]:
    """The model's processor and its network.

    Raises:
        JudgeUnavailable: The model is missing.
    """
    try:
        processor = transformers.AutoProcessor.from_pretrained(model, trust_remote_code=False)
        network = transformers.AutoModelForImageTextToText.from_pretrained(
            model, trust_remote_code=False, dtype="auto", use_safetensors=True
        )
    except (OSError, ValueError, ImportError) as error:
        raise JudgeUnavailable(f"local:{model} cannot be loaded: {error}") from None
    return processor, network


def _tokens(tokenizer: Any, letter: str) -> list[int]:
    """Every token that is this letter and nothing else."""
    spelled = [tokenizer.encode(s.format(letter), add_special_tokens=False) for s in SPELLINGS]
    return sorted({tokens[0] for tokens in spelled if len(tokens) == 1} - {tokenizer.unk_token_id})


def _weights(model: str, network: Any) -> str:
    folder = Path(model)
    if not folder.is_dir():
        return str(getattr(network.config, "_commit_hash", None))
    return content_id(*(_glimpse(path) for path in sorted(folder.iterdir()) if path.is_file()))


def _glimpse(path: Path) -> bytes:
    """A file's name, its length, and how it begins and ends: weights are too long to hash whole."""
    size = path.stat().st_size
    with path.open("rb") as file:
        begins = file.read(EDGE)
        file.seek(max(0, size - EDGE))
        return b"\0".join((path.name.encode(), str(size).encode(), begins, file.read()))
