"""Why images/engine/hub.py did not let vLLM start: the termination message of an engine, read by the operator."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

LONGEST = 1024
"""Characters of each text."""
Text = Annotated[str, Field(max_length=LONGEST)]


class HubRefusal(BaseModel):
    """What a hub did not give, of which repository, and why. No field holds a token or a password."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    hub: Text
    """`https://hub.example.com`."""
    repository: Text
    """`org/name`."""
    revision: Text
    """Branch, tag or commit."""
    token: bool
    """Whether one was sent."""
    asked: Text
    """A file; empty: the repository itself."""
    cause: Literal["Name", "Closed", "Dropped", "Silent", "Certificate", "Broken", "Status", "Token"]
    """How far it got: no token to send, no address, no listener, no connection, no answer, no trust, a broken connection, or a status."""
    message: Text
    """What was seen, with names and numbers: `no connection to hub.example.com:443 within 10 s`."""
    status: int | None = None
    """Of the answer, if one came."""
    code: Text = ""
    """X-Error-Code, by which hubs tell 403 and 404 apart."""
    says: Text = ""
    """X-Error-Message, the hub's own words. Not within `message`."""
    elsewhere: bool = False
    """Not the hub itself refused but a server that it sent to, as it does for weights."""


def hub_refusal(text: str) -> HubRefusal | None:
    """Read a termination message. None: it is another, such as the last words of vLLM."""
    try:
        return HubRefusal.model_validate_json(text)
    except ValidationError:
        return None
