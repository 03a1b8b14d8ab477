"""A learned policy as a file, which says its own form: nothing else is needed to act by it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from volition.comparison import check_reduced
from volition.errors import RunError
from volition.learners.base import Policy, PolicyForm
from volition.learners.ppo import PPOPolicy
from volition.learners.sac import SACPolicy
from volition.storage.documents import as_document, from_document
from volition.storage.tensors import check_finite, load_tree, read_description, save_tree

POLICY_FILE = "policy.safetensors"
FORM = "form"
POLICIES: Mapping[str, type[SACPolicy] | type[PPOPolicy]] = {"sac": SACPolicy, "ppo": PPOPolicy}


def save_policy(folder: Path, policy: Policy, session: int = 0) -> None:
    """Writes a policy as safetensors; its form, and after which session it was, in the header.

    Raises:
        RunError: It is not finite.
    """
    check_finite(policy, "the policy")
    folder.mkdir(exist_ok=True)
    description = {FORM: as_document(policy.form), "session": session}
    save_tree(folder / POLICY_FILE, policy, description)


def session_of(folder: Path) -> int:
    """After which session the policy in a folder was.

    Raises:
        RunError: There is none, or it is damaged.
    """
    return int(read_description(folder / POLICY_FILE).get("session", 0))


def load_policy(folder: Path, form: PolicyForm | None = None) -> Policy:
    """The policy in a folder.

    Args:
        folder: With the policy's file in it.
        form: Of a policy whose file does not say it.

    Raises:
        RunError: There is none, it is damaged, or an older version made it that saw larger
            pictures.
    """
    path = folder / POLICY_FILE
    description: dict[str, Any] = read_description(path)
    try:
        known = from_document(PolicyForm, description[FORM]) if form is None else form
        check_reduced(known.observation_shape, str(path))
        like = POLICIES[known.learner].of_form(known)
    except (KeyError, ValueError) as error:
        raise RunError(f"{path} does not say what form its policy has: {error}") from error
    return load_tree(path, like)


def says_its_form(folder: Path) -> bool:
    """Whether the policy's file does; those of 0.1 do not.

    Raises:
        RunError: There is none, or it is damaged.
    """
    return FORM in read_description(folder / POLICY_FILE)
