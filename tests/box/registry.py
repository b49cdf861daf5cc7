"""A registry inside the box, for tests in which the pull itself matters. Other images are imported (`Box.load`), which is faster."""

from __future__ import annotations

import hashlib
import http.client
import json
import tarfile
from typing import IO, TYPE_CHECKING

from box import addresses, nodeconfig, tools, waiting
from box.errors import Failed

if TYPE_CHECKING:
    from pathlib import Path

    from box.box import Box
    from box.namespaces import Namespaces

PORT = 5000
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def start(box: Box) -> None:
    """Runs docker-registry in the box, when it does not run yet; its blobs go with the box."""
    if box.programs.alive("registry"):
        return
    config = box.state / "registry.json"
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(box.state / "registry")}},
        "http": {"addr": f"{addresses.BOX}:{PORT}"},
        "log": {"level": "warn"},
    }
    config.write_text(json.dumps(settings))
    program = tools.unpacked(box.progress) / "usr/bin/docker-registry"
    box.programs.start("registry", [program, "serve", config])

    def listens() -> bool:
        box.space.connect(addresses.BOX, PORT).close()
        return True

    waiting.until("the registry listens", listens, seconds=60)


def push(box: Box, image: Path, name: str) -> str:
    """Puts an image from a Docker archive there as `name` (`demo/hello:1`), and returns what a Pod writes to have it pulled."""
    start(box)
    repository, _, tag = name.partition(":")
    client = Client(box.space, repository)
    with tarfile.open(image) as archive:
        listed = json.load(_member(archive, "manifest.json"))[0]
        config = client.blob(CONFIG, _member(archive, listed["Config"]))
        layers = [client.blob(LAYER, _member(archive, layer)) for layer in listed["Layers"]]
    client.manifest(tag or "latest", {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers})
    return f"{nodeconfig.REGISTRY}/{repository}:{tag or 'latest'}"


class Client:
    """Uploads to one repository, from inside the box."""

    def __init__(self, space: Namespaces, repository: str) -> None:
        self.space = space
        self.repository = repository

    def blob(self, kind: str, content: IO[bytes]) -> dict[str, object]:
        """Uploads one file and returns its descriptor."""
        digest = "sha256:" + hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]  # a tar member is such a file
        size = content.seek(0, 2)
        content.seek(0)
        place = self._ask("POST", f"/v2/{self.repository}/blobs/uploads/")
        path = place[place.index("/v2/") :]
        self._ask("PUT", f"{path}&digest={digest}", content, {"Content-Type": "application/octet-stream", "Content-Length": str(size)})
        return {"mediaType": kind, "digest": digest, "size": size}

    def manifest(self, tag: str, document: dict[str, object]) -> None:
        """What makes the blobs an image."""
        self._ask("PUT", f"/v2/{self.repository}/manifests/{tag}", json.dumps(document).encode(), {"Content-Type": MANIFEST})

    def _ask(self, method: str, path: str, body: bytes | IO[bytes] | None = None, headers: dict[str, str] | None = None) -> str:
        """The Location of the answer."""
        connection = http.client.HTTPConnection(addresses.BOX, PORT)
        connection.sock = self.space.connect(addresses.BOX, PORT, timeout=120)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            said = answer.read().decode(errors="replace")
        finally:
            connection.close()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise Failed(f"The registry refused {method} {path}: {answer.status} {said}", "Its log: python3 tests/box logs registry")
        return answer.headers.get("Location", "")


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    content = archive.extractfile(name)
    if content is None:
        raise Failed(f"{name} in the image is not a file.", "The image must be a Docker archive, as `docker save` writes it.")
    return content
