"""Asks a model through its Service, as a client does, and gives the answer as it comes."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


class NoAnswer(Exception):  # noqa: N818 - it is what happened, as a person would say it
    """The model did not answer; the message says what came instead."""


@contextmanager
def forwarded(kubectl: tuple[str, ...], service: str, environment: Mapping[str, str]) -> Iterator[int]:
    """A port of 127.0.0.1 that leads to port 8000 of the Service in the context's namespace, for as long as the Python context lasts."""
    command = [*kubectl, "port-forward", "--address", "127.0.0.1", f"service/{service}", ":8000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(environment)) as forward:
        try:
            said = forward.stdout.readline() if forward.stdout else ""
            if not (port := FORWARDING.search(said)):
                raise NoAnswer(f"kubectl port-forward said: {said.strip() or 'nothing'}")
            yield int(port[1])
        finally:
            forward.terminate()


def streamed(port: int, model: str, question: str, max_tokens: int = 64) -> Iterator[str]:
    """The pieces of the answer, in the order in which they come. Raises NoAnswer with the server's words when it refuses."""
    body = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": max_tokens, "temperature": 0, "stream": True}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != http.HTTPStatus.OK:
            raise NoAnswer(f"HTTP {response.status}: {response.read(2000).decode(errors='replace')}")
        for line in response:
            data = line.decode().removeprefix("data: ").strip()
            if line.startswith(b"data: ") and data != "[DONE]":
                yield from (choice["delta"].get("content") or "" for choice in json.loads(data)["choices"])
    except (ConnectionError, http.client.HTTPException, TimeoutError) as error:
        raise NoAnswer(f"the connection broke: {error!r}") from error
    finally:
        connection.close()
