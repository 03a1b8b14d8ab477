"""An audit of a run's judge by people: which of its answers are looked at, and what that says."""
