"""What the demo counts at its end."""

from __future__ import annotations

from demo.client import Client
from demo.survive import counted


def asked(*who: str) -> Client:
    """A client that asked at 0, 1, 2 ... and was answered at once."""
    return Client([{"at": float(at), "took": 0.1, "who": each} for at, each in enumerate(who)])


def test_what_was_lost_is_told_by_the_part_of_the_story_to_which_it_belongs() -> None:
    client = asked("chat", "lost", "lost", "small", "small", "chat", "lost", "chat")
    says = "from the failure on asked 7 times: answered 2 by small, 2 by chat; lost 2 until the standby answered, 1 after that"
    assert counted(client, begun=1, moved=3.1) == says


def test_a_request_that_began_before_the_failure_is_no_part_of_it() -> None:
    assert "asked 1 times" in counted(asked("lost", "chat"), begun=1, moved=1)
