"""As whom a hub is asked, and by which way: all from the environment, as huggingface_hub reads it.

Here is also the one way into the log, which keeps the token out of it.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import urllib.request
from pathlib import Path


class StrangeError(Exception):
    """Not what a hub answers, or not to be asked from here."""


def token() -> str:
    """As huggingface_hub finds and cleans it: a line break within is none of it. Empty without one."""
    file = Path(os.environ.get("HF_TOKEN_PATH") or Path(os.environ.get("HF_HOME", ""), "token"))
    named = cleaned(os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN") or "")
    return named or (cleaned(file.read_text("utf-8", "replace")) if file.is_file() else "")


def cleaned(token: str) -> str:
    """As huggingface_hub has it."""
    return token.replace("\r", "").replace("\n", "").strip()


def hidden(text: str) -> str:
    """Without the token, whoever wrote the text: it goes to a log, or into the model's status."""
    with contextlib.suppress(OSError):  # a file that cannot be read has told nobody
        if secret := token():
            return text.replace(secret, "...")
    return text


def say(text: str) -> None:
    """One line of the container's log."""
    print(hidden(text), flush=True)  # noqa: T201  a container's log


def proxies() -> dict[str, str]:
    """By scheme of what is asked. Raises StrangeError for one that speaks no plain HTTP."""
    named = urllib.request.getproxies()
    found = {scheme: way for scheme in ("http", "https") if (way := named.get(scheme) or named.get("all"))}
    for way in found.values():
        if "://" in way and not way.startswith("http://"):
            raise StrangeError(f"the proxy speaks {way.partition('://')[0]}")
    return {scheme: way if "://" in way else f"http://{way}" for scheme, way in found.items()}


def authorities() -> ssl.SSLContext:
    """As httpx2 has it, and what older versions trust beside: never fewer than vLLM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file or folder:
        context.load_verify_locations(file or None, None if file else folder)
        return context
    context.load_default_certs()
    with contextlib.suppress(ImportError):
        import certifi  # noqa: PLC0415  there in vLLM's images, though nothing here needs it

        context.load_verify_locations(certifi.where())
    return context
