"""Where learning is, on disk: written now and then, whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from volition.learners.base import Policy
from volition.learners.policies import POLICY_FILE, load_policy, save_policy, session_of
from volition.learners.visited import Visited
from volition.storage.tensors import (
    check_finite,
    load_arrays,
    load_tree,
    read_description,
    save_tree,
)

SAVING_SHARE = 20  # times as long as writing a checkpoint took, until the next one is written


Tree = TypeVar("Tree")


class Kept(NamedTuple):
    """The best policy so far, and after which session it was."""

    policy: Policy
    session: int


class Checkpoint:
    """The file of a run's last position, and the folder of the policy that is kept."""

    def __init__(self, path: Path, kept: Path) -> None:
        self._path, self._kept = path, kept
        self._saved_at, self._saving_s = time.perf_counter(), 0.0

    @property
    def exists(self) -> bool:
        return self._path.is_file()

    def save(self, position: object, history: Sequence[Mapping[str, float]], at_once: bool) -> None:
        """Writes a position, unless the last one is so recent that writing would take up the run.

        Sessions that are lost with a killed process are done again, in the same way.

        Raises:
            RunError: It is not finite; the last one that was is still there.
        """
        now = time.perf_counter()
        if at_once or now - self._saved_at >= SAVING_SHARE * self._saving_s:
            check_finite(position, f"what was learned after {len(history)} sessions")
            save_tree(self._path, position, {"history": [*history]})
            self._saved_at = time.perf_counter()
            self._saving_s = self._saved_at - now

    def save_kept(self, kept: Kept) -> None:
        """Keeps a policy in place of the one before."""
        save_policy(self._kept, kept.policy, kept.session)

    def load_kept(self, sessions: int) -> Kept | None:
        """The policy that was kept by the end of so many sessions, if it still is.

        One that was kept later, before the program was killed, will be found again.
        """
        if not (self._kept / POLICY_FILE).is_file():
            return None
        session = session_of(self._kept)
        return Kept(load_policy(self._kept), session) if session <= sessions else None

    def load(self, begin: Tree) -> Tree:
        """The position, of the form of `begin`.

        Raises:
            RunError: There is none, or it is damaged.
        """
        return load_tree(self._path, begin)

    def history(self) -> list[dict[str, float]]:
        """What every session measured, by name.

        Raises:
            RunError: There is none, or it is damaged.
        """
        history: list[dict[str, float]] = read_description(self._path)["history"]
        return history

    def visited(self) -> Visited:
        """What the policy has visited.

        Raises:
            RunError: There is no checkpoint, or it is damaged.
        """
        names = [f"visited.{name}" for name in Visited._fields]
        return Visited(*load_arrays(self._path, names))
