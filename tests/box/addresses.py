"""Who has which address inside the box. None of them exists outside it, so they may be the same in every box."""

from __future__ import annotations

BOX = "10.199.0.1"
"""The bridge that all nodes hang on: the API server, DNS and the registry listen here."""
API = f"{BOX}:6443"
"""The API server, for whoever is inside."""
BITS = 24
SERVICES = "10.201.0.0/16"
KUBERNETES = "10.201.0.1"
"""The Service `kubernetes`, always the first of the range."""
PODS = "10.200.0.0/16"
MOST_NODES = 50


def node(number: int) -> str:
    """Nodes count from 1."""
    return f"10.199.0.{10 + number}"


def pods(number: int) -> str:
    """Where the Pods of that node get their addresses."""
    return f"10.200.{number}.0/24"
