"""A run's report: one self-contained page, and the film of the learned policy beside it.

Everything is derived from the run folder, which is read once (`evidence.py`). `landscapes.py` is
the only place that knows the geometry of particular environments.
"""

from __future__ import annotations

from pathlib import Path

from volition.evidence.film import encode_mp4, record_chosen, side_by_side
from volition.evidence.report.page import render_page
from volition.evidence.report.reading import read_evidence
from volition.run.run import Run
from volition.storage.compilation import enable_cache
from volition.storage.files import write_whole


def write_report(run: Run) -> Path:
    """Writes RUN/policy.mp4 and RUN/report.html; returns the path of the page.

    Raises:
        RunError: The run is unfinished, or a file of it is damaged.
        StoreError: Its judgments are damaged.
    """
    enable_cache()
    folder, evidence, episodes = run.folder, read_evidence(run), record_chosen(run)
    film = encode_mp4(side_by_side(episodes))
    write_whole(folder.film, film)
    write_whole(folder.report, render_page(evidence, episodes, film))
    return folder.report
