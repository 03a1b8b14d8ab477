"""From a judge to the store. Recorded judgments are imported; every reply is stored before use."""

from __future__ import annotations

from volition.judges.recorded import Recording
from volition.store import Store


def import_recording(recording: Recording, store: Store) -> None:
    """Stores all that was recorded. Doing it again, or after a kill, adds nothing twice."""
    store.add_judge(recording.judge)
    store.add_comparisons(recording.comparisons)
    store.add_replies(recording.judge.id, (judgment.reply for judgment in recording.judgments))
    store.add_judgments(recording.judgments)
