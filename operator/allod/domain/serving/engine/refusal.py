"""What a person is told of a hub that does not give a model, from what images/engine/hub.py saw when it asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from allod.domain.serving.health.finding import Finding

if TYPE_CHECKING:
    from allod.contracts.hubrefusal import HubRefusal

TODO = {
    "Name": "see that HF_ENDPOINT in engine.env names the hub, and that the cluster's DNS knows it",
    "Closed": "see that the hub runs, and that HF_ENDPOINT in engine.env has its port",
    "Dropped": "a NetworkPolicy or a firewall is between, and the model's own policy opens TCP 443 alone",
    "Silent": "look at the hub, or at the proxy before it",
    "Certificate": "put its authority into the file that SSL_CERT_FILE in engine.env names",
    "Broken": "look at the hub, and at proxies and firewalls between",
    "Status": "the hub is busy or ill, or something between answers in its place",
}
"""By cause, where the hub itself said nothing of the model."""


@dataclass(frozen=True, slots=True)
class Reader:
    """As whom the engine asks."""

    secret: str
    """Its token comes from it; empty: the model names none."""

    @property
    def name(self) -> str:
        """Within a sentence."""
        return f"the owner of the token in Secret {self.secret}" if self.secret else "who has no token"

    @property
    def remedy(self) -> str:
        """What gives the right to read."""
        return "ask for access there" if self.secret else "name a Secret with a token in model.secretRef"


def refused(refusal: HubRefusal, reader: Reader) -> Finding:
    """Refusals of the hub itself first; all else is that there is no hub to be had."""
    if refusal.cause == "Token":
        whose = f"Secret {reader.secret}" if reader.secret else "the engine's environment"
        return Finding("ModelAccessRefused", f"{refusal.message}: put a valid one into {whose}")
    match None if refusal.elsewhere else refusal.status:
        case 404:
            return not_found(refusal, reader)
        case 401:
            return Finding("ModelAccessRefused", f"{refusal.hub} {_token(refusal, reader)}")
        case 403 if refusal.code or refusal.says:
            says = f" ({refusal.says})" if refusal.says and refusal.code != "GatedRepo" else ""
            return Finding(
                "ModelAccessRefused", f"{refusal.hub} does not show {refusal.repository} to {reader.name}{says}: {reader.remedy}"
            )
        case _:
            cannot = f"the engine cannot download {refusal.repository} from {refusal.hub}"
            # Programs of older revisions have the hub's words in the message already.
            says = f" ({refusal.says})" if refusal.says and refusal.says not in refusal.message else ""
            return Finding("HubUnavailable", f"{cannot}: {refusal.message}{says}; {TODO[refusal.cause]}")


def not_found(refusal: HubRefusal, reader: Reader) -> Finding:
    """The hub answered, and has no such thing for who asks."""
    if refusal.code == "RevisionNotFound":
        lacks = f"{refusal.repository} has no revision {refusal.revision} on {refusal.hub}"
        return Finding("ModelNotFound", f"{lacks}: correct model.revision")
    lacks = f"{refusal.hub} has no repository {refusal.repository}, or does not show it to {reader.name}"
    return Finding("ModelNotFound", f"{lacks}: correct model.uri, or {reader.remedy}")


def _token(refusal: HubRefusal, reader: Reader) -> str:
    """What is wrong with it. Who has none may also have asked for a repository that is not there: hubs do not tell."""
    if refusal.token:
        return f"does not accept the token {f'in Secret {reader.secret}: put a valid one into it' if reader.secret else 'of the engine'}"
    if reader.secret:
        return f"wants a token for {refusal.repository}, and that in Secret {reader.secret} is empty: put a valid one into it"
    return f"wants a token for {refusal.repository}, or has no such repository: {reader.remedy}, or correct model.uri"
