"""Judgments, reward models and policies as folders that a hub takes, each with a card."""
