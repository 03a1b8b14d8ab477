"""From what a person says to a change of the goal: the one place where somebody else may propose
what the words become."""

from __future__ import annotations

from volition.errors import InputError
from volition.goal import Change, Goal, Kind, alike, hidden_sign

LONGEST = 500  # characters of a correction


def propose(goal: Goal, words: str, kind: Kind = "principle") -> Change:
    """What these words become: a principle, a veto, or the goal's sentence, as they stand.

    Args:
        goal: As it is.
        words: What a person says.
        kind: What they become.

    Raises:
        InputError: They are none, too many, hold what nobody sees, or say what the goal says.
    """
    text = words.strip()
    if not text:
        raise InputError('a correction needs words, such as volition say RUN "not so close"')
    if len(text) > LONGEST:
        raise InputError(
            f"a correction has at most {LONGEST} characters, and this one has {len(text):,}: say "
            "one thing at a time"
        )
    if hidden_sign(text):
        raise InputError(
            "a correction is one line of text, and this one holds control characters: leave them "
            "out"
        )
    known = {"goal": [goal.text], "principle": goal.principles, "veto": goal.vetoes}
    for what, sentences in known.items():
        if any(alike(text) == alike(sentence) for sentence in sentences):
            named = "its sentence" if what == "goal" else f"a {what} of it"
            raise InputError(f"the goal says that already, as {named}: {text}")
    change = Change(kind, text)
    try:
        change.of(goal)
    except ValueError as error:
        raise InputError(f"the goal cannot be changed so: {error}") from None
    return change
