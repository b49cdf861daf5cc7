"""A client in the cluster that asks the model once a second and says who answered: a Pod of the operator's image, which has Python."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from demo.example import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demo.place import Place

NAME = "demo-client"
PATIENCE = 2
"""Seconds that it waits for an answer."""
PROGRAM = """
import http.client, json, sys, time
body = json.dumps({"model": sys.argv[2], "messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 2})
while True:
    began, who = time.time(), "lost"
    try:
        connection = http.client.HTTPConnection(sys.argv[1], 8000, timeout=float(sys.argv[4]))
        connection.request("GET", "/v1/models")
        listed = json.loads(connection.getresponse().read())["data"]
        names = {each["id"] for each in listed} | {alias for each in listed for alias in each.get("aliases", ())}
        who = sys.argv[3] if sys.argv[3] in names else sys.argv[2]
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        who = who if "choices" in answer else "lost"
    except (OSError, ValueError, KeyError, IndexError, http.client.HTTPException):
        who = "lost"
    print(json.dumps({"at": began, "took": round(time.time() - began, 3), "who": who}), flush=True)
    time.sleep(max(0.0, 1 - (time.time() - began)))
"""


@dataclass
class Client:
    """What it has said so far."""

    answers: list[dict[str, Any]] = field(default_factory=list)

    def last(self) -> str:
        return self.answers[-1]["who"] if self.answers else ""

    def since(self, moment: float) -> list[str]:
        """Who answered the requests that began after this moment."""
        return [str(answer["who"]) for answer in self.answers if answer["at"] >= moment]

    def wait_for(self, who: str, seconds: float) -> datetime | None:
        """When it was first answered by them from now on. None: not within that time."""
        begun = time.time()
        while time.time() - begun < seconds:
            for answer in self.answers:
                if answer["at"] + answer["took"] >= begun and answer["who"] == who:
                    return datetime.fromtimestamp(answer["at"] + answer["took"])  # noqa: DTZ006  # a person's own clock
            time.sleep(0.05)
        return None


def manifest(image: str, service: str, model: str, standby: str) -> dict[str, Any]:
    """The Pod, as restricted as a model's own."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": {MARK: "true"}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "client",
                    "image": image,
                    "command": ["python3", "-c", PROGRAM, service, model, standby, str(PATIENCE)],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


@contextmanager
def asking(place: Place, service: str, model: str, standby: str) -> Iterator[Client]:
    """A client that asks for as long as the context lasts. It knows who answered by the names that GET /v1/models lists."""
    place.kube("delete", "pod", NAME, "--ignore-not-found", "--wait")
    place.kube("apply", "-f", "-", stdin=json.dumps(manifest(place.client_image, service, model, standby)))
    place.kube("wait", "--for=condition=Ready", f"pod/{NAME}", "--timeout=60s")
    client = Client()
    command = [*place.kubectl, "logs", "--follow", NAME]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=place.environment) as logs:

        def read() -> None:
            for line in logs.stdout or ():
                client.answers.append(json.loads(line))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        try:
            yield client
        finally:
            logs.terminate()
            thread.join(5)
            place.kube("delete", "pod", NAME, "--wait=false")
