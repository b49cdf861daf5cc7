"""The last part of the demo: the model is frozen and its standby answers; a bad revision is applied and nobody notices."""

from __future__ import annotations

import json
import signal
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from box import Box, containers
from demo import example
from demo.client import PATIENCE, asking
from demo.place import Unusable

if TYPE_CHECKING:
    from demo.client import Client
    from demo.place import Place
    from demo.terminal import Terminal

BAD_FLAG = "--flash-attention-3"
"""No flag of llama.cpp: an engine that gets it ends at once."""

RETURN = "allod.dev/return-traffic"
FLAPPING = "chat came back three times within the hour and was lost again: traffic waits for a person, so: kubectl annotate mdl/chat {wish}"


def survive(terminal: Terminal, place: Place) -> str:
    """Show it. Returns a line for the end: what was asked, and what was lost."""
    place.kube("apply", "-f", "-", stdin=example.documents(example.SURVIVE, place.model_uri))
    place.wait("chat", "StandbyReady", 120)
    name = place.kube("get", "mdl", "chat", "-o", "jsonpath={.status.servedName}")
    with asking(place, "chat", name, "chat-small") as client:
        if client.wait_for(name, 30) is None:
            raise Unusable("the client in the cluster got no answer within 30 s: kubectl logs demo-client")
        begun = time.time()
        moved = _freeze(terminal, place, client, name)
        _bad_revision(terminal, place, client)
    return counted(client, begun, moved.timestamp())


def counted(client: Client, begun: float, moved: float) -> str:
    """Who answered in the whole story, which begins with the failure, and in which part of it requests were lost."""
    heard, after = client.since(begun), client.since(moved)
    by = ", ".join(f"{heard.count(who)} by {who}" for who in dict.fromkeys(heard) if who != "lost")
    later = after.count("lost")
    lost = f"lost {heard.count('lost') - later} until the standby answered, {later} after that"
    return f"from the failure on asked {len(heard)} times: answered {by}; {lost}"


def _freeze(terminal: Terminal, place: Place, client: Client, name: str) -> datetime:
    """Returns when the standby answered."""
    frozen, before = datetime.now(), _history(place)  # noqa: DTZ005  # a person's own clock
    _say(terminal, frozen, f"the {_stop(place)}")
    moved = client.wait_for("chat-small", 60)
    if moved is None:
        raise Unusable(place.stuck("the standby did not answer within 60 s", "chat"))
    later = f"{(moved - frozen).total_seconds():.1f} s later to a client that asks once a second and waits {PATIENCE} s for an answer"
    _say(terminal, moved, f"chat-small answers, {later}; kubectl get mdl chat shows it")
    back = _back(terminal, place, client, name)
    cause = _told(place, "Recovered", before, 10)["cause"]
    _say(terminal, back, f"chat answers again from a new pod: {cause}")
    return moved


def _back(terminal: Terminal, place: Place, client: Client, name: str) -> datetime:
    """When the model answered again. The demo is itself the person for whom a model waits that was lost again and again."""
    end, asked = time.monotonic() + 180, False
    while time.monotonic() < end:
        if back := client.wait_for(name, 2):
            return back
        status = _status(place)
        if not asked and "Flapping" in [each["reason"] for each in status["conditions"] if each["type"] == "FailedOver"]:
            wish = f"{RETURN}={status['activeRevision']}"
            _say(terminal, datetime.now(), FLAPPING.format(wish=wish))  # noqa: DTZ005  # a person's own clock
            place.kube("annotate", "mdl/chat", wish)
            asked = True
    raise Unusable(place.stuck("traffic did not come back within 3 minutes", "chat"))


def _bad_revision(terminal: Terminal, place: Place, client: Client) -> None:
    applied, before = datetime.now(), _history(place)  # noqa: DTZ005  # a person's own clock
    patch = {"spec": {"engine": {"extraArgs": [BAD_FLAG]}}}
    place.kube("patch", "mdl", "chat", "--type=merge", "--patch", json.dumps(patch))
    _say(terminal, applied, f"a bad revision is applied: engine.extraArgs {BAD_FLAG}")
    try:
        failed = _told(place, "RevisionFailed", before, 120)
    finally:
        take_back(place)
    given_up = datetime.now()  # noqa: DTZ005  # a person's own clock
    heard = client.since(applied.timestamp())
    _say(terminal, given_up, f"revision {failed['from']} was given up: {failed['cause']}")
    _say(
        terminal,
        given_up,
        f"traffic never left the good one: {len(heard)} requests since the bad one came, {heard.count('lost')} of them lost",
    )
    _say(terminal, datetime.now(), "the edit is taken back: spec and what serves are one again")  # noqa: DTZ005  # a person's own clock


def take_back(place: Place) -> None:
    """The bad edit, and the wish for traffic, be it of a demo that was stopped: an apply leaves alone what others wrote."""
    place.kube("patch", "mdl", "chat", "--type=merge", "--patch", json.dumps({"spec": {"engine": {"extraArgs": None}}}))
    place.kube("annotate", "mdl/chat", f"{RETURN}-")  # followed once: the same again would be none


def _stop(place: Place) -> str:
    """Breaks the engine. Returns what was done to it."""
    pod = place.kube("get", "pods", "-l", "allod.dev/model=chat", "-o", "jsonpath={.items[0].metadata.name}")
    if place.is_box:
        containers.send(Box().processes(f"default/{pod}", "engine", match="llama-server"), signal.SIGSTOP)
        return "engine of chat is frozen: its process is stopped, its port stays open"
    # There is no way to the processes of somebody else's nodes.
    place.kube("delete", "pod", pod, "--grace-period=0", "--force")
    return "pod of chat is deleted by force, as if its node were lost"


def _told(place: Place, action: str, before: list[dict[str, Any]], seconds: int) -> dict[str, Any]:
    """The step of the history, once it is told."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := next((step for step in _history(place) if step["action"] == action and step not in before), None):
            return found
        time.sleep(0.2)
    raise Unusable(place.stuck(f"its status did not tell of {action} within {seconds} s", "chat"))


def _history(place: Place) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _status(place).get("history", [])
    return found


def _status(place: Place) -> dict[str, Any]:
    """Of chat, which has one by then."""
    found: dict[str, Any] = json.loads(place.kube("get", "mdl", "chat", "-o", "json"))["status"]
    return found


def _say(terminal: Terminal, at: datetime, what: str) -> None:
    terminal.line(f"{at:%H:%M:%S}.{at.microsecond // 100000}  {what}")
