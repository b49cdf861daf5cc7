"""What the model's HTTPRoute says: which revision was seen to get how much, and whether the Gateway sends by it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from allod.domain.names import child
from allod.domain.serving.health.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from allod.api.canary import GatewayReference
    from allod.domain.manifest import Manifest
    from allod.domain.serving.seen import Seen

API = "gateway.networking.k8s.io/v1/HTTPRoute"
SETTLES = timedelta(seconds=3)
"""A controller says that it has a route before its proxies do: requests met nobody for 0.1 s on busy cores (Contour 1.33: 3 of 1,100)."""
FOLLOWS = timedelta(minutes=1)
"""A controller that has not taken in a changed route by then does not work at present."""


def route(seen: Seen) -> Manifest | None:
    """The HTTPRoute of the model, as far as it is known."""
    name = seen.model.metadata.name
    return next((one for one in seen.children if one["kind"] == "HTTPRoute" and one["metadata"]["name"] == name), None)


def shares(seen: Seen, revisions: Iterable[str]) -> dict[str, int]:
    """Percent by revision, of those that get any."""
    found = route(seen)
    rules = (found["spec"].get("rules") or ()) if found else ()
    weights = {backend["name"]: backend.get("weight", 1) for rule in rules for backend in rule.get("backendRefs") or ()}
    named = {revision: weights.get(child(seen.model.metadata.name, revision), 0) for revision in revisions}
    return {revision: weight for revision, weight in named.items() if weight}


def follows(seen: Seen, now: datetime) -> bool:
    """Whether the Gateway sends by the newest weights: its controller has them, and its proxies had a moment. One that never says is quick.

    Contour takes a changed route in after 0.1 to 0.5 s, and pods that end at once (read in 1.33): requests would meet nobody, a 503.
    """
    settles = settled_at(seen)
    return told_newest(seen) and not (settles and now < settles)


def settled_at(seen: Seen) -> datetime | None:
    """When the proxies have had their moment. None: there is no route."""
    since = (seen.status.get("traffic") or {}).get("weighedAt")
    return datetime.fromisoformat(since) + SETTLES if since and route(seen) else None


def told_newest(seen: Seen) -> bool:
    """Whether the controller has taken in the route as it is, by its own word."""
    found, parent = route(seen), seen.model.spec.rollout.canary.parent_ref
    told = _parent(seen, found, parent) if found and parent else None
    if not found or not told:
        return True
    newest = found["metadata"].get("generation", 0)
    return all(each.get("observedGeneration", newest) >= newest for each in told.get("conditions") or ())


def given_up_at(seen: Seen) -> datetime | None:
    """When it counts as deaf. None: it follows, or RouteAccepted does not say yet that it does not: the minute runs from then."""
    told: Mapping[str, Any] = next((each for each in seen.status.get("conditions") or () if each["type"] == "RouteAccepted"), {})
    waits = told.get("status") == "Unknown" and not told_newest(seen)
    return datetime.fromisoformat(told["lastTransitionTime"]) + FOLLOWS if waits else None


def deaf(seen: Seen, now: datetime) -> Finding | None:
    """The Gateway sends by an older route than there is, and has for so long that nobody takes it for busy."""
    found, parent, since = route(seen), seen.model.spec.rollout.canary.parent_ref, given_up_at(seen)
    if not found or not parent or not since or now < since:
        return None
    name = f"the HTTPRoute {found['metadata']['name']}"
    late = f"Gateway {_namespace(seen, parent)}/{parent.name} has not taken in how {name} sends for more than a minute"
    return Finding("RouteNotFollowed", f"{late}, so requests may still go where they went: does its controller run?")


def _parent(seen: Seen, found: Manifest, parent: GatewayReference) -> Mapping[str, Any] | None:
    """What the controller of that Gateway says of the route."""
    return next((each for each in (found.get("status") or {}).get("parents") or () if _is(seen, parent, each.get("parentRef") or {})), None)


def problem(seen: Seen) -> Finding | None:
    """Why requests that come to the Gateway do not reach the model by the route's weights. None: they do."""
    parent = seen.model.spec.rollout.canary.parent_ref
    if parent is None:
        return None
    if API not in seen.apis:
        missing = (
            f"the cluster does not know the kind HTTPRoute ({API.rpartition('/')[0]}): install the Gateway API and a controller for it"
        )
        return Finding("GatewayAPIMissing", missing)
    found, named = route(seen), f"Gateway {_namespace(seen, parent)}/{parent.name}"
    if found is None:
        return Finding("RouteNotMade", f"the HTTPRoute for {named} is not made yet")
    told = _parent(seen, found, parent)
    if told is None:
        nobody = (
            f"no controller has taken the HTTPRoute {found['metadata']['name']}: is there a {named}, and does its class have a controller?"
        )
        return Finding("RouteNotTaken", nobody)
    for kind in ("Accepted", "ResolvedRefs"):
        said: Mapping[str, Any] = next((each for each in told.get("conditions") or () if each.get("type") == kind), {})
        if said.get("status") == "False":
            return Finding(said.get("reason") or f"Not{kind}", f"{named} does not send by the HTTPRoute: {said.get('message') or kind}")
    return None


def _is(seen: Seen, parent: GatewayReference, told: Mapping[str, Any]) -> bool:
    same = told.get("name") == parent.name and told.get("namespace", seen.model.metadata.namespace) == _namespace(seen, parent)
    return same and told.get("sectionName") == parent.section_name


def _namespace(seen: Seen, parent: GatewayReference) -> str:
    return parent.namespace or seen.model.metadata.namespace
