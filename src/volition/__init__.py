"""Train agents to do what people mean: judgments in, behaviour out."""

__version__ = "0.1.0"
