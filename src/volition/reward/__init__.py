"""From judgments to a reward model, and what the judgments say of the judge."""
