"""What ends a command before it has an answer: exit code 2."""

from __future__ import annotations


class UsageError(Exception):
    """The command cannot do what it was asked for. Its text is one sentence: what is wrong, and what to do."""
