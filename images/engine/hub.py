"""What a hub is asked before vLLM downloads a model from it, so that a person reads within seconds and in one sentence why it cannot.

    python3 hub.py vllm serve ORG/NAME ARGS...

It asks what the repository is, then for one byte of config.json and one of the weights, as huggingface_hub would: at HF_ENDPOINT, with
HF_TOKEN, through the proxies and with the authorities that the environment names. Then it becomes `vllm serve ORG/NAME ARGS...`.

- Not given, for a reason that it knows: a JSON document (allod.contracts.hubrefusal) goes to /dev/termination-log, and it ends with 1.
- An answer that it does not know, or a fault of its own: vLLM tries, as if there were no such program.
- The files are there already: it asks once, and where no answer comes vLLM starts from them, offline.

Why: huggingface_hub 2.4 waits without a limit. Where packets vanish vLLM 0.32 ends after 396 s, at a server that is silent it never ends;
and the reason stands beyond the 2 KiB of its words that a kubelet keeps. With all files there, packets that vanish hold its first question
up for 831 s, and each file that the model does not have for 393 s (measured).

What is asked: `allod_asking.py`; as whom: `allod_access.py`; what an answer means: `allod_refusal.py`; what is there: `allod_cache.py`. All
need the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

from allod_access import say
from allod_asking import Hub
from allod_cache import are_there, value
from allod_refusal import RefusedError, briefly, document

TERMINATION_LOG = Path("/dev/termination-log")
PAUSES: Final = (1, 2, 4, 8)
"""Seconds between tries: a new pod's network may come to life after the pod."""
ENOUGH: Final = 20.0
"""Seconds after which no further try begins."""
ELSEWHERE: Final = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_USE_MODELSCOPE", "HF_OIDC_RESOURCE")
"""With one of these set no hub is asked, or not so."""


def prepare(hub: Hub, *, there: bool) -> None:
    """Raises RefusedError when vLLM could not download."""
    start = time.monotonic()
    for pause in (0,) if there else (*PAUSES, 0):
        try:
            hub.look()
        except RefusedError as error:
            if there and (error.passes or error.cause == "Certificate"):
                os.environ["HF_HUB_OFFLINE"] = "1"
                return say(f"{error.sentence}: vLLM starts from the files of {hub.repository} that are there")
            if there:
                return say(f"{error.sentence}: vLLM tries by itself, as the files are there")
            if not (pause and error.passes) or time.monotonic() - start > ENOUGH:
                raise
            say(f"{error.sentence}; asking again in {pause} s")
            time.sleep(pause)
        else:
            return say(f"{hub.address} gives {hub.repository} at {hub.revision}")
    return None


def main(command: list[str]) -> None:
    """Run as a container's first process. It ends with 1 when vLLM could not download, and else becomes vLLM."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))  # a first process hears nothing that it does not ask for
    try:
        if other := [name for name in ELSEWHERE if os.environ.get(name, "").lower() not in ("", "0", "false", "no", "off")]:
            say(f"no hub is asked, as {other[0]} is set")
        else:
            hub = Hub(command[2], value(command, "revision") or "main")
            prepare(hub, there=are_there(hub.repository, hub.revision, command))
    except RefusedError as error:
        of = {"hub": hub.address, "repository": hub.repository, "revision": hub.revision, "token": bool(hub.token)}
        say(error.sentence)
        with contextlib.suppress(OSError):  # where there is no such file a kubelet keeps the line above
            TERMINATION_LOG.write_bytes(document(of | asdict(error)))
        sys.exit(1)
    except Exception as error:  # noqa: BLE001  what is not known here is vLLM's to judge
        say(f"vLLM tries by itself: {briefly(error)}")
    os.execvp(command[0], command)  # noqa: S606  no shell is wanted: vLLM is to be the first process


if __name__ == "__main__":
    main(sys.argv[1:])
