"""Keyword arguments of an environment, as the command line takes them."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from volition.cli.options import read_kwargs
from volition.errors import InputError
from volition.tasks.kwargs import said_kwargs


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("layouts=heldout", "heldout"),
        ("file=models/two.xml", "models/two.xml"),
        ('layouts="held out"', "held out"),
        ("rolling=true", True),
        ("word='true'", "true"),
        ("g=9.81", 9.81),
        ("width=160", 160),
        ("range=[0.1, 1]", [0.1, 1]),
        ("equation='a=b'", "a=b"),
        ("mood='\U0001f600 ü'", "\U0001f600 ü"),
    ],
)
def test_a_value_is_tomls_or_a_bare_word(said: str, value: Any) -> None:
    kwargs = read_kwargs([said])
    (read,) = kwargs.values()
    assert read == value
    assert type(read) is type(value)
    assert read_kwargs(shlex.split(said_kwargs(kwargs))) == kwargs


def test_several_are_taken_and_one_not_twice() -> None:
    assert read_kwargs(["a=1", "b=x"]) == {"a": 1, "b": "x"}
    with pytest.raises(InputError, match="--kwargs names a twice"):
        read_kwargs(["a=1", "a=2"])


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("layouts", "takes NAME=VALUE, such as layouts=heldout, not 'layouts'"),
        ("=heldout", "takes NAME=VALUE"),
        ("two words=1", "takes NAME=VALUE"),
        ("rolling=True", "rolling=True: that is no number.*: write true"),
        ("rolling=", "no bare word: quote text"),
        ("place=32O", "quote text"),
        ("day=2020-01-01", "quote text"),
        ("table={a = 1}", "quote text"),
        ("a=1\nb=2", "quote text"),
    ],
)
def test_what_is_wrong_is_said(said: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_kwargs([said])
