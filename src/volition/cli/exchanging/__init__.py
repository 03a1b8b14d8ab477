"""The verbs by which judgments, models and rollouts come and go: export, import, push."""
