"""A mirror of one model repository: as much of the Hugging Face hub's HTTP API as an engine needs to download it.

    HUB_TOKEN=... HUB_STRANGER=... python3 hub.py FOLDER ORG/NAME COMMIT --port 443 --certificate tls.crt --key tls.key

Standard library and one file, so that it runs in any image with Python: tests hand it to a Pod in a ConfigMap. What vLLM 0.32 with
huggingface_hub 2.4 and transformers 5.19 asks for, and what it takes for an answer, is read in their sources:

    GET  /api/models/ORG/NAME[/revision/REV]        what the repository is: commit and files
    GET  /api/models/ORG/NAME/tree/REV[/FOLDER]     its files with sizes and hashes
    HEAD /ORG/NAME/resolve/REV/FILE                 ETag, X-Repo-Commit and size of one file
    GET  /ORG/NAME/resolve/REV/FILE                 the file, or the Range of it that is asked for

The client tells refusals apart by status and X-Error-Code: 401 for no token or a wrong one, 403 GatedRepo for a token whose owner may not
read this repository, 404 RepoNotFound, RevisionNotFound and EntryNotFound. Each answer is a line in the log.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import ssl
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

BRANCH = "main"
LARGE = 10 * 1024 * 1024
"""Larger files the hub keeps apart from git (LFS), and tells their sha256."""
API = re.compile(r"/api/models/(?P<repository>[^/]+/[^/]+)(/(?P<what>revision|tree)/(?P<revision>[^/]+)(/(?P<path>.+))?)?")
FILE = re.compile(r"/(?P<repository>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
RANGE = re.compile(r"bytes=(?P<first>\d+)-(?P<last>\d*)")


class Refused(Exception):  # noqa: N818  an answer of the hub, not a fault of the mirror
    """What is asked for is not given."""

    def __init__(self, status: HTTPStatus, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})


class File:
    """One file of the repository. Its hashes are made once: a hub has them before anyone asks."""

    def __init__(self, path: str, where: Path) -> None:
        self.path = path
        self.where = where
        self.size = where.stat().st_size
        self.sha256 = self._sha256() if self.size > LARGE else ""
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()
        in_git = pointer if self.sha256 else where.read_bytes()
        self.blob = hashlib.sha1(b"blob %d\0" % len(in_git) + in_git, usedforsecurity=False).hexdigest()
        self.etag = self.sha256 or self.blob
        lfs = {"lfs": {"oid": self.sha256, "size": self.size, "pointerSize": len(pointer)}} if self.sha256 else {}
        self.listed = {"type": "file", "path": path, "size": self.size, "oid": self.blob} | lfs

    def _sha256(self) -> str:
        with self.where.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()


class Repository:
    """The one repository that the mirror has, and the one commit that it has of it; the branch main is the same."""

    def __init__(self, folder: Path, name: str, commit: str) -> None:
        self.name = name
        self.commit = commit
        found = sorted(path for path in folder.iterdir() if path.is_file())
        self.files = {path.name: File(path.name, path) for path in found}

    @cached_property
    def info(self) -> dict[str, Any]:
        """What it is."""
        siblings = [{"rfilename": path} for path in self.files]
        return {"id": self.name, "modelId": self.name, "sha": self.commit, "private": True, "gated": False, "siblings": siblings}

    def require(self, repository: str, revision: str) -> None:
        """Raises Refused for what the mirror does not have."""
        if repository != self.name:
            raise Refused(HTTPStatus.NOT_FOUND, "Repository not found", "RepoNotFound")
        if revision not in (self.commit, BRANCH):
            raise Refused(HTTPStatus.NOT_FOUND, f"Invalid rev id: {revision}", "RevisionNotFound")

    def tree(self, folder: str | None) -> list[dict[str, Any]]:
        """Every file. Raises Refused for a folder in it: there is none."""
        if folder:
            raise Refused(HTTPStatus.NOT_FOUND, f"{folder} does not exist on {self.commit}", "EntryNotFound")
        return [file.listed for file in self.files.values()]

    def file(self, path: str) -> File:
        """Raises Refused when there is no such file."""
        if path not in self.files:
            raise Refused(HTTPStatus.NOT_FOUND, "Entry not found", "EntryNotFound")
        return self.files[path]


class Hub(ThreadingHTTPServer):
    """Serves one repository to whoever has the token."""

    def __init__(self, address: tuple[str, int], repository: Repository, token: str, stranger: str) -> None:
        super().__init__(address, Answers)
        self.repository = repository
        self.token = token
        self.stranger = stranger
        """A token that is known, of somebody who may not read this repository."""

    def admit(self, authorization: str | None) -> None:
        """Raises Refused for who may not read, in the words of huggingface.co."""
        match (authorization or "").removeprefix("Bearer "):
            case "":
                raise Refused(HTTPStatus.UNAUTHORIZED, "Invalid username or password.")
            case self.token:
                return
            case self.stranger:
                raise Refused(HTTPStatus.FORBIDDEN, f"Access to model {self.repository.name} is restricted.", "GatedRepo")
            case _:
                raise Refused(HTTPStatus.UNAUTHORIZED, "Invalid credentials in Authorization header")


class Answers(BaseHTTPRequestHandler):
    """One connection of a client, with as many requests as it likes."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Everything: a HEAD is a GET whose body is not sent."""
        try:
            self._answer(unquote(urlsplit(self.path).path))
        except Refused as refused:
            self._json({"error": str(refused)}, refused.status, refused.headers)

    do_HEAD = do_GET  # noqa: N815  the base class's name

    def _answer(self, path: str) -> None:
        if path == "/":
            return self._json("This is a mirror of a model repository.")  # for probes
        asked = FILE.fullmatch(path) or API.fullmatch(path)
        if asked is None:
            raise Refused(HTTPStatus.NOT_FOUND, "Sorry, we can't find the page you are looking for.")
        self.server.admit(self.headers["Authorization"])
        repository = self.server.repository
        repository.require(asked["repository"], asked["revision"] or BRANCH)
        if asked.re is FILE:
            return self._file(repository.file(asked["path"]))
        return self._json(repository.tree(asked["path"]) if asked["what"] == "tree" else repository.info)

    def _file(self, file: File) -> None:
        part = RANGE.fullmatch(self.headers["Range"] or "")
        first = int(part["first"]) if part else 0
        last = min(int(part["last"]), file.size - 1) if part and part["last"] else file.size - 1
        if part and first > last:
            raise Refused(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"{file.path} has {file.size} bytes")
        of_it = {"Content-Range": f"bytes {first}-{last}/{file.size}"} if part else {}
        told = {"ETag": f'"{file.etag}"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"} | of_it
        self._head(HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK, last + 1 - first, told)
        if self.command == "GET":
            with file.where.open("rb") as content:
                content.seek(first)
                if part and part["last"]:
                    self.wfile.write(content.read(last + 1 - first))
                else:
                    shutil.copyfileobj(content, self.wfile, 1 << 20)

    def _json(self, document: object, status: HTTPStatus = HTTPStatus.OK, told: dict[str, str] | None = None) -> None:
        body = json.dumps(document).encode()
        self._head(status, len(body), {"Content-Type": "application/json"} | (told or {}))
        if self.command == "GET":
            self.wfile.write(body)

    def _head(self, status: HTTPStatus, length: int, told: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"X-Repo-Commit": self.server.repository.commit, "Content-Length": str(length), **told}.items():
            self.send_header(name, value)
        self.end_headers()


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    parser.add_argument("commit")
    parser.add_argument("--address", default="", help="all interfaces without it")
    parser.add_argument("--port", type=int, default=443)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    asked = parser.parse_args()
    repository = Repository(asked.folder, asked.name, asked.commit)
    with Hub((asked.address, asked.port), repository, os.environ["HUB_TOKEN"], os.environ["HUB_STRANGER"]) as hub:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(asked.certificate, asked.key)
        # The handshake belongs to the connection's own thread: a client that says nothing would stop all others here.
        hub.socket = tls.wrap_socket(hub.socket, server_side=True, do_handshake_on_connect=False)
        hub.serve_forever()


if __name__ == "__main__":
    main()
