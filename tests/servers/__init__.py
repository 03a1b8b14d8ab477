"""Model servers for tests: every provider's protocol on loopback, answered from the pixels."""

from servers.server import Behaviour, Server, serving

__all__ = ["Behaviour", "Server", "serving"]
