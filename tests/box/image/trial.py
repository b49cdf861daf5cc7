"""An image's program tried as a pod would run it, by what the image itself says (entry point, environment, user), without a cluster."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from box import waiting
from box.errors import Failed
from box.image import root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from box.image.product import Product

QUESTION = "What is the capital of France?"


def conversation(
    product: Product, folder: Path, args: Sequence[str], *, binds: Mapping[Path, str], variables: Mapping[str, str], seconds: float
) -> str:
    """Starts the image's entry point with `args`, asks one question, ends it by SIGTERM. Returns the answer."""
    config, port = configuration(product), free_port()
    user = int(config["User"].partition(":")[0])
    environment = {**dict(pair.split("=", 1) for pair in config["Env"]), **variables}
    argv = [*config["Entrypoint"], *args, "--host", "127.0.0.1", "--port", str(port)]
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(root.command(folder, argv, binds=binds, user=user), env=environment, stdout=log, stderr=log)
        try:
            waiting.until(f"{product.name} is healthy", lambda: healthy(server, port), seconds=seconds, todo="Its log is above.")
            answer = ask(port)
        except Failed:
            log.seek(0)
            print("".join(log.readlines()[-30:]))
            raise
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
    return f"{QUESTION} {answer}"


def healthy(server: subprocess.Popen[bytes], port: int) -> bool:
    """Whether /health says 200; a server that has ended is a failure at once. Not yet: an OSError, urllib's errors are."""
    if server.poll() is not None:
        raise Failed(f"It ended with exit code {server.returncode} before it was healthy.", "Its log is above.")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as response:
        return bool(response.status == 200)


def ask(port: int) -> str:
    """The model's answer to the question, of at least one word."""
    body = {"model": "smol", "messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": 20}
    url, headers = f"http://127.0.0.1:{port}/v1/chat/completions", {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=60) as response:
        answer = str(json.load(response)["choices"][0]["message"]["content"]).strip()
    if not answer:
        raise Failed("The model answered with nothing.", "Its log is above.")
    return answer


def once(folder: Path, argv: Sequence[str], *, user: int = root.NOBODY) -> str:
    """Runs a program to its end inside a root and returns what it printed."""
    ran = subprocess.run(root.command(folder, argv, user=user), env=root.environment(), capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Failed(
            f"{shlex.join(argv)[:80]} failed: {(ran.stdout + ran.stderr).strip()[-2000:]}", "The image does not work: see its recipe."
        )
    return ran.stdout.strip()


def configuration(product: Product) -> dict[str, Any]:
    """Entrypoint, Env, User of an image, from its archive."""
    (manifest,) = json.loads(_member(product, "manifest.json"))
    found: dict[str, Any] = json.loads(_member(product, manifest["Config"]))["config"]
    return found


@contextmanager
def unpacked(product: Product) -> Iterator[Path]:
    """The root file system of an image whose layers remove nothing from each other, for a while."""
    (manifest,) = json.loads(_member(product, "manifest.json"))
    with tempfile.TemporaryDirectory(dir=product.path.parent) as folder:
        for layer in manifest["Layers"]:
            taken = subprocess.Popen(["tar", "-xOf", str(product.path), layer], stdout=subprocess.PIPE)
            subprocess.run(["tar", "-xf", "-", "-C", folder], stdin=taken.stdout, check=True)
            taken.wait()
        Path(folder).chmod(0o755)
        yield Path(folder)


def _member(product: Product, name: str) -> bytes:
    return subprocess.run(["tar", "-xOf", str(product.path), name], check=True, capture_output=True).stdout


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
