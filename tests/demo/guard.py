"""Before anything is done on somebody's own cluster: whether the demo would damage what is there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demo import client, example
from demo.example import MARK, MARKED
from demo.place import Unusable

if TYPE_CHECKING:
    from demo.place import Place

CHART = "allod"
RELEASED = re.compile(rf"{CHART}-\d")
"""Helm says NAME-VERSION, and both may have a dash."""
RELEASE = "meta.helm.sh/release-name"
"""Annotation that Helm puts on what it makes."""
ELSEWHERE = "make demo without CLUSTER=current has a cluster of its own, and CLUSTER=current is for one without Allod"


@dataclass(frozen=True, slots=True)
class Found:
    """What a cluster has under the names that the demo takes, as JSON of helm and kubectl."""

    releases: tuple[dict[str, Any], ...] = ()
    """Of every chart, in all namespaces, but the demo's own."""
    operators: tuple[dict[str, Any], ...] = ()
    """Deployments of an operator of ours, in all namespaces."""
    models: tuple[dict[str, Any], ...] = ()
    """ModelDeployments of the context's namespace."""
    pods: tuple[dict[str, Any], ...] = ()
    """Of the context's namespace, with the name of the demo's client."""


def refusal(found: Found) -> str | None:
    """Why the demo must not begin, and what a person can do. None: nothing there would be damaged."""
    for release in found.releases:
        if RELEASED.match(release["chart"]):
            where = f"the Helm release {release['name']} in namespace {release['namespace']}"
            return f"{where} is Allod's and not of this demo, which would reset its values: {ELSEWHERE}."
    for each in found.operators:
        if RELEASE not in each["metadata"].get("annotations", {}):
            where = f"Deployment {each['metadata']['name']} in namespace {each['metadata']['namespace']}"
            return f"{where} is an operator of Allod that came without Helm, and a second one would write beside it: {ELSEWHERE}."
    for kind, each in _taken(found):
        if each["metadata"].get("labels", {}).get(MARK) != "true":
            where = f"{kind} {each['metadata']['name']} in namespace {each['metadata']['namespace']}"
            empty = "kubectl create namespace allod-demo && kubectl config set-context --current --namespace=allod-demo"
            return f"{where} is not of this demo, which would overwrite it: choose another namespace ({empty})."
    return None


def _taken(found: Found) -> list[tuple[str, dict[str, Any]]]:
    models = [each for each in found.models if each["metadata"]["name"] in example.names()]
    return [*(("ModelDeployment", each) for each in models), *(("Pod", each) for each in found.pods)]


def look(place: Place) -> Found:
    """Reads only. Raises Unusable with the words of helm or kubectl where it may not."""
    listing = (*place.helm, "list", "--all-namespaces", "--max", "0", "--output", "json")
    mine = {(each["name"], each["namespace"]) for each in json.loads(place.run(*listing, "--selector", MARKED))}
    releases = [each for each in json.loads(place.run(*listing)) if (each["name"], each["namespace"]) not in mine]
    # Without the CRD there is no model, and kubectl would not know the word.
    known = place.kube("get", "crd", "modeldeployments.allod.dev", "--ignore-not-found", "--output", "name")
    return Found(
        tuple(releases),
        _items(place, "deployments", "--all-namespaces", "--selector", f"app.kubernetes.io/name={CHART}"),
        _items(place, "modeldeployments.allod.dev") if known else (),
        _items(place, "pods", "--field-selector", f"metadata.name={client.NAME}"),
    )


def _items(place: Place, *what: str) -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(place.kube("get", *what, "--output", "json"))["items"])


def check(place: Place) -> None:
    """Raises Unusable where the demo would damage something."""
    if why := refusal(look(place)):
        raise Unusable(f"{why} Nothing was changed.")
