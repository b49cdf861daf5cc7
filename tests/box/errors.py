"""What the box tells a person when it cannot go on: what is wrong, and what to do about it.

BoxError
├── NotThere       a program, a file or a kernel feature that the box needs is absent
├── NotAllowed     root or a capability is missing
├── Taken          a port or the state folder is in use
└── Failed         a program that the box started ended badly or never became ready
"""

from __future__ import annotations


class BoxError(Exception):
    """A failure in two sentences."""

    def __init__(self, wrong: str, todo: str) -> None:
        super().__init__(f"{wrong}\n  {todo}")
        self.wrong = wrong
        """What is wrong, and where."""
        self.todo = todo
        """What the person can do about it."""


class NotThere(BoxError):  # noqa: N818  the tree reads as sentences: "raise NotThere(...)"
    """A program, a file or a kernel feature that the box needs is absent."""


class NotAllowed(BoxError):  # noqa: N818  as above
    """The person at the machine lacks a right."""


class Taken(BoxError):  # noqa: N818  as above
    """Someone else has it."""


class Failed(BoxError):  # noqa: N818  as above
    """Something that the box started did not work."""
