"""A revision whose engine a hub does not give its model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from allod.domain.serving.health.findings import RevisionSeen
from unit.domain.simulation import START

Spec = dict[str, Any]
MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
COMMIT = "12fd25f77366fa6b3b4b768ec3050bf629380bac"
HUB = "https://hub.example.com"
TRACEBACK = """\
  File "/usr/local/lib/python3.13/dist-packages/transformers/utils/hub.py", line 370, in cached_file
    file = cached_files(path_or_repo_id=path_or_repo_id, filenames=[filename], **kwargs)
  File "/usr/local/lib/python3.13/dist-packages/transformers/utils/hub.py", line 630, in cached_files
"""
MIRROR: Spec = {"engine": {"env": [{"name": "SSL_CERT_FILE", "value": "/etc/ca.crt"}, {"name": "HF_ENDPOINT", "value": HUB}]}}
TOKEN: Spec = {"model": {"secretRef": {"name": "hub"}}}
NOT_ACCEPTED = f"{HUB} does not accept the token in Secret hub: put a valid one into it"


@dataclass(frozen=True)
class Case:
    name: str
    words: str
    reason: str
    says: str
    spec: Spec = field(default_factory=lambda: MIRROR | TOKEN)

    def __str__(self) -> str:
        return self.name


def seen(words: str, spec: Spec | None = None, restarts: int = 0, *, ready: bool = False) -> RevisionSeen:
    """The revision whose only engine ended with these words after the end of a traceback."""
    ended = {"exitCode": 1, "reason": "Error", "message": f"{TRACEBACK}{words}"}
    engine = {"name": "engine", "restartCount": restarts, "ready": ready, "state": {"running": {}}, "lastState": {"terminated": ended}}
    pod = {"metadata": {"name": "smol-5b21aa0c-0"}, "spec": {"containers": []}, "status": {"containerStatuses": [engine]}}
    return RevisionSeen(START, wanted=1, pods=(pod,), spec=spec or {})
