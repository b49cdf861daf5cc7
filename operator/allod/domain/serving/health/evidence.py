"""Whether a pod serves: what the kubelet says, and what the operator's own connection to it says.

The kubelet's word is the floor: without it a pod is in no Service. Our own connection is quicker and sees a silent node 20 to 50 s before
Kubernetes does, so it may take a pod out, never put one in. And it may be us who are deaf, so silence counts only

- from a pod that was heard before: a policy that keeps us out keeps nobody else out;
- while most other pods are heard: when more than half of all fall silent, on several nodes, it is our own network (`blind`). And before
  that: silences of one cause come half a second apart, and the first of them comes when nobody else has been heard for longer than a beat.

A word of the engine (Faulty) and a closed port (Gone) are no silence: they count however many say so at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.names import TRAFFIC
from allod.domain.quantity import count
from allod.domain.serving import pod as pods
from allod.domain.serving.groups.lostrank import lost_rank
from allod.domain.serving.health.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from allod.domain.manifest import Manifest
    from allod.domain.serving.groups.group import Group
    from allod.domain.serving.health.beat import Beat
    from allod.domain.serving.seen import Seen

LOST = frozenset({"Faulty", "Gone"})
SILENT = frozenset({"Silent", "Unreachable"})
REASONS = {"Faulty": "EngineFails", "Gone": "EngineGone", "Silent": "NoHeartbeat", "Unreachable": "NoHeartbeat"}
HUNG = "hung:"
"""How the watchdog's word begins when the engine makes no step. Any other one is of an engine that answers, and answers with errors."""
FEW = 3
"""Pods that must be silent at least before it can be the operator's own network: below it a node with two pods would pass for one."""


QUIET = 0.6
"""Seconds without a word from anybody. Each of them speaks each 0.5 s. The first silence that is told of a way that broke is 0.7 s old at
least (SILENCE of listening.py less one beat), and nobody was heard meanwhile; beside the silence of one pod the others go on."""


def blindness(heard: Iterable[tuple[str, Beat]], quiet: float = 0.0) -> str:
    """Why silence says nothing, from (node, beat) of every pod that is listened to; empty when it does.

    More than half of them silent, on more than one node: models do not fail like that, the way to them does. `quiet` is how many seconds
    ago any of them was heard last.
    """
    known = [(node, beat.state) for node, beat in heard if beat.heard]
    spoke = [node for node, state in known if state not in LOST]
    everywhere = len(set(spoke))
    if quiet > QUIET and len(spoke) >= FEW and everywhere > 1:
        return f"none of {len(spoke)} pods on {everywhere} nodes was heard for {quiet:.1f} s: the way to them is likelier gone than they"
    silent = [node for node, state in known if state in SILENT]
    nodes = len(set(silent))
    if len(silent) < FEW or nodes < 2 or 2 * len(silent) <= len(known):  # noqa: PLR2004  # more than one; more than half
        return ""
    return f"{len(silent)} of {len(known)} pods on {count(nodes, 'node')} are silent at once: the way to them is likelier gone than they"


def serves(seen: Seen, pod: Manifest) -> bool:
    """Whether requests that are sent to it get answers, as far as anybody knows. One that is out while nobody may put it back gets none."""
    out = seen.model.spec.suspend and pod["metadata"].get("labels", {}).get(TRAFFIC) == "off"
    return pods.is_ready(pod) and lost(seen, pod) is None and not out


def group_serves(seen: Seen, group: Group) -> bool:
    """The same of a replica: the first pod answers, and no other is missing, for the next request would end all of them."""
    leader, there = group.leader, group.whole and all(pods.is_placed(pod) for pod in group.pods)
    return leader is not None and serves(seen, leader) and there and lost_rank(group) is None


def finding(seen: Seen, found: Iterable[Manifest]) -> Finding | None:
    """The first of these pods that is lost, in the words of what was heard of it."""
    for pod in found:
        if beat := lost(seen, pod):
            # A silent node or server may be nobody's fault; a fault that the engine tells of, or a dead process, is its own.
            reason = "EngineHung" if beat.message.startswith(HUNG) else REASONS[beat.state]
            return Finding(reason, f"{pods.name(pod)}: {beat.message}", "Never" if beat.state in SILENT else "WhenAnotherServes")
    return None


def lost(seen: Seen, pod: Manifest) -> Beat | None:
    """What our own connection says against it. None: nothing that counts."""
    beat = seen.beats.get(pod["metadata"].get("uid", ""))
    if beat is None or not beat.heard:
        return None
    if beat.state in LOST or (beat.state in SILENT and not seen.blind):
        return beat
    return None
