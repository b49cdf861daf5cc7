"""The kinds that we read or write, and where the API server serves each. A static table: no discovery round trips, no cache file."""

from __future__ import annotations

from dataclasses import dataclass

from allod.domain.names import API_VERSION, MANAGED_BY


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object. All of ours live in namespaces."""

    api_version: str
    kind: str
    plural: str
    labels: str = ""
    """Label selector of what we list and watch. Empty: all of the kind."""
    fields: str = ""
    """Field selector of the same."""

    @property
    def group(self) -> str:
        """API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """API version without its group."""
        return self.api_version.rpartition("/")[2]

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """URL path at the API server. Without a namespace: the objects of all namespaces."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        where = f"/namespaces/{namespace}" if namespace else ""
        return "/".join(part for part in (f"{root}{where}/{self.plural}", name, subresource) if part)


OURS = f"{MANAGED_BY}=allod"

MODELDEPLOYMENTS = Resource(API_VERSION, "ModelDeployment", "modeldeployments")
STATEFULSETS = Resource("apps/v1", "StatefulSet", "statefulsets", labels=OURS)
REFUSALS = Resource("v1", "Event", "events", fields="involvedObject.kind=StatefulSet,type=Warning")
"""Why the StatefulSet controller could not make a pod (quota, admission): nothing else tells, the pod does not exist.

The core group, because only there the field selector `involvedObject.kind` is served.
"""
CONTROLLERREVISIONS = Resource("apps/v1", "ControllerRevision", "controllerrevisions", labels=OURS)
PODMONITORS = Resource("monitoring.coreos.com/v1", "PodMonitor", "podmonitors", labels=OURS)
PROMETHEUSRULES = Resource("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules", labels=OURS)
HTTPROUTES = Resource("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", labels=OURS)

REQUIRED = (
    MODELDEPLOYMENTS,
    STATEFULSETS,
    Resource("v1", "Service", "services", labels=OURS),
    Resource("v1", "ConfigMap", "configmaps", labels=OURS),
    Resource("v1", "Pod", "pods", labels=OURS),
    CONTROLLERREVISIONS,
    Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", labels=OURS),
    Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", labels=OURS),
    REFUSALS,
)
"""Kept in the store, in this order: an event about a StatefulSet is of use only when the StatefulSet is known."""

OPTIONAL = (PODMONITORS, PROMETHEUSRULES, HTTPROUTES)
"""Kept in the store while the cluster serves them: they come with the Prometheus operator and the Gateway API, perhaps after us."""

WRITTEN_ONLY = (
    Resource("coordination.k8s.io/v1", "Lease", "leases"),
    Resource("events.k8s.io/v1", "Event", "events"),
)

_BY_KIND = {(each.api_version, each.kind): each for each in (*REQUIRED, *OPTIONAL, *WRITTEN_ONLY)}


def resource(api_version: str, kind: str) -> Resource:
    """Where a kind is served. A kind that is not in the table is a bug of ours: KeyError."""
    return _BY_KIND[api_version, kind]
