"""Why an engine could not download its model: nobody but the engine's container talks to the hub.

Before vLLM starts images/engine/hub.py asks for what it needs, and says exactly what is wrong. What goes wrong after that, and in pods
that were made before there was that program, is told from vLLM's last words.

Measured with vLLM 0.32, huggingface_hub 2.4 and transformers 5.19 against a mirror that refuses, November 2026. Kubelet keeps the last
2 KiB of what the engine printed. What a hub says on purpose (no such repository, no such revision, not with this token) stands there. For
everything else the same words do: no name, no connection, a certificate that is not trusted, 404 of a server that is no hub, a bare 403,
5xx. Their cause is printed 7 KB earlier. All come within 10 s of asking, or 24 s where it tries again; 396 s where packets vanish. When
only the weights are refused they name no cause at all ("Engine core initialization failed").
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from allod.contracts.hubrefusal import LONGEST, HubRefusal, hub_refusal
from allod.domain.serving import pod as pods
from allod.domain.serving.engine.refusal import Reader, refused
from allod.domain.serving.health.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allod.domain.manifest import Manifest
    from allod.domain.serving.health.findings import RevisionSeen

ASKS = timedelta(seconds=40)
"""What images/engine/hub.py may take until it ends or becomes vLLM, beside twice its patience: its last try begins within 28 s, and may
wait 10 s for the hub's address."""
PATIENCE = ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT")
"""Variables by which a user gives a slow mirror more time, as hub.py and huggingface_hub read them."""
LEAST, MOST = 10.0, 86400.0
"""Seconds of patience: what hub.py has by itself, and more than anybody waits for an answer."""
HUB = "https://huggingface.co"
"""Where the engine asks unless HF_ENDPOINT names a mirror. Its words speak of this one even then."""
NO_REPOSITORY = re.compile(r"(\S+) is not a local folder and is not a valid model identifier listed on")
"""Of a repository that is not there, and of one that is private for who asks: hubs do not tell these apart."""
NO_REVISION = re.compile(r"(\S+) is not a valid git identifier .+ Check the model page at\s+'https://huggingface\.co/([^']+)'")
BAD_TOKEN = re.compile(r"There was a specific connection error when trying to load (\S+):\s+Client error '401 Unauthorized'")
GATED = re.compile(r"You are trying to access a gated repo\.\s+Make sure to have access to it at https://huggingface\.co/(\S+)\.\s")
LOGIN = re.compile(r"//[^/@\s']*@")
NO_ANSWER = re.compile(r"We couldn't connect to '([^']+)' to load the files")


@dataclass(frozen=True, slots=True)
class Last:
    """What an engine said before it ended, and as whom it had asked."""

    pod: str
    words: str
    hub: str
    reader: Reader

    def refusal(self, status: int, repository: str, revision: str = "", code: str = "") -> HubRefusal:
        """What hub.py would have left, as far as the words tell."""
        hub, repository, revision = (text[:LONGEST] for text in (self.hub, repository, revision))
        told = {"hub": hub, "repository": repository, "revision": revision, "code": code, "asked": "", "message": ""}
        return HubRefusal.model_validate(told | {"token": bool(self.reader.secret), "cause": "Status", "status": status})


def no_repository(last: Last) -> HubRefusal | None:
    """The hub has no such repository, or hides it."""
    found = NO_REPOSITORY.search(last.words)
    return last.refusal(404, found[1], code="RepoNotFound") if found else None


def no_revision(last: Last) -> HubRefusal | None:
    """The repository has no such branch, tag or commit."""
    found = NO_REVISION.search(last.words)
    return last.refusal(404, found[2], found[1], code="RevisionNotFound") if found else None


def bad_token(last: Last) -> HubRefusal | None:
    """The hub does not know the token: it is mistyped, revoked or expired."""
    found = BAD_TOKEN.search(last.words)
    return last.refusal(401, found[1]) if found else None


def gated(last: Last) -> HubRefusal | None:
    """The hub knows who asks, and does not let them read."""
    found = GATED.search(last.words)
    return last.refusal(403, found[1], code="GatedRepo") if found else None


def no_answer(last: Last) -> Finding | None:
    """The hub cannot be reached, or what answers is no hub."""
    found = NO_ANSWER.search(last.words)
    if not found:
        return None
    causes = "its name, port 443 (the only one that the model's NetworkPolicy opens), its certificate, or its answers"
    look = f"kubectl logs {last.pod} -c engine --previous says which"
    return Finding("HubUnavailable", f"the engine cannot download from {found[1]}: {causes}; {look}")


REFUSALS = (no_repository, no_revision, bad_token, gated)


def not_downloaded(seen: RevisionSeen) -> Finding | None:
    """The hub from which the engine downloads its model refuses it, does not have it, or does not answer.

    All of these may pass, as a mirror fills and tokens are renewed: told at once, given up only like a crash loop.
    """
    for pod, container in seen.engines():
        found = _told(pod, container, seen)
        if found:
            return replace(found, gives_up="WhenAnotherServes") if container.restarts >= pods.RESTARTS else found
    return None


def _told(pod: Manifest, container: pods.Container, seen: RevisionSeen) -> Finding | None:
    printed = container.ended.get("message", "")
    reader = Reader((seen.spec.get("model", {}).get("secretRef") or {}).get("name", ""))
    if refusal := hub_refusal(printed):
        until = past_hub(container, seen.spec)
        return None if until and seen.now >= until else refused(refusal, reader)
    last = Last(pods.name(pod), _open("\n".join(pods.lines(printed))), hub(seen.spec), reader)
    said = next((refusal for read in REFUSALS if (refusal := read(last))), None)
    return refused(said, reader) if said else no_answer(last)


def past_hub(container: pods.Container, spec: Mapping[str, Any]) -> datetime | None:
    """When an engine that a hub refused before has surely got what it asked for. None: it does not run, or was not refused."""
    if not container.running or not container.since or not hub_refusal(container.ended.get("message", "")):
        return None
    return datetime.fromisoformat(container.since) + ASKS + 2 * patience(spec)


def awaited(spec: Mapping[str, Any]) -> str:
    """What an engine that runs and does not serve yet is about, of a spec as the user wrote it; empty when it downloads nothing."""
    uri = str((spec.get("model") or {}).get("uri", ""))
    return f"the engine downloads {uri.removeprefix('hf://')} from {hub(spec)}, or loads it" if uri.startswith("hf://") else ""


def hub(spec: Mapping[str, Any]) -> str:
    """Where it downloads from."""
    return _open(_env(spec).get("HF_ENDPOINT") or HUB)


def patience(spec: Mapping[str, Any]) -> timedelta:
    """How long the hub may take for an answer: of several numbers the largest, and what is no number counts as none."""
    env, seconds = _env(spec), [LEAST]
    for name in PATIENCE:
        with suppress(ValueError):
            seconds.append(min(float(env.get(name, "")), MOST))  # in this order NaN stays, and is no maximum
    return timedelta(seconds=max(seconds))


def _env(spec: Mapping[str, Any]) -> Mapping[str, str]:
    """Variables that a user gives to the engine, of those whose values stand in the spec."""
    listed = (spec.get("engine") or {}).get("env") or []
    return {each["name"]: each.get("value") or "" for each in listed}


def _open(text: str) -> str:
    """Without the name and the password that an address may carry."""
    return LOGIN.sub("//", text)
