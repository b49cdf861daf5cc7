"""What a hub is asked before vLLM downloads a model from it, so that a person reads within seconds and in one sentence why it cannot.

    python3 hub.py vllm serve ORG/NAME ARGS...

It asks what the repository is, then for one byte of config.json and one of the weights, as huggingface_hub would: at HF_ENDPOINT, with
HF_TOKEN, through the proxies and with the authorities that the environment names. Then it becomes `vllm serve ORG/NAME ARGS...`.

- Not given, for a reason that it knows: a JSON document (allod.contracts.hubrefusal) goes to /dev/termination-log, and it ends with 1.
- An answer that it does not know, or a fault of its own: vLLM tries, as if there were no such program.
- The files are there already: it asks once, and where no answer comes vLLM starts from them, offline.

Why: huggingface_hub 2.4 waits without a limit. Where packets vanish vLLM 0.32 ends after 396 s, at a server that is silent it never ends;
and the reason stands beyond the 2 KiB of its words that a kubelet keeps. With all files there, packets that vanish hold its first question
up for 831 s, and each file that the model does not have for 393 s (measured). It needs the standard library alone.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import queue
import signal
import socket
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote, unquote, urljoin, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from email.message import Message

T = TypeVar("T")

TERMINATION_LOG = Path("/dev/termination-log")
TIMEOUT: Final = 10.0  # seconds for a name, for a connection, and between two parts of an answer
PATIENCE: Final = ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT")  # huggingface_hub's own, for mirrors that are slower
PAUSES: Final = (1, 2, 4, 8)  # seconds between tries: a new pod's network may come to life after the pod
ENOUGH: Final = 20.0  # seconds after which no further try begins
HOPS: Final = 5
WEIGHTS: Final = (".safetensors", ".bin", ".pt", ".gguf")  # as vLLM prefers them
ELSEWHERE: Final = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_USE_MODELSCOPE", "HF_OIDC_RESOURCE")  # no hub is asked, or not so
WORDS: Final = 300  # characters of what a hub says
KEPT: Final = 4096  # bytes of a termination message that a kubelet keeps
FORWARD: Final = (301, 302, 303, 307, 308)
GIVEN: Final = (200, 206, 416)  # the last: of an empty file
PASSING: Final = (407, 429, 500, 502, 503, 504)


@dataclass(eq=False)
class RefusedError(Exception):
    """What is asked for is not given; its fields are the document's."""

    cause: str
    message: str
    asked: str = ""
    status: int | None = None
    code: str = ""
    says: str = ""
    elsewhere: bool = False  # than at the hub, where that sent to

    @property
    def sentence(self) -> str:
        """With the hub's own words."""
        return f"{self.message} ({self.says})" if self.says else self.message

    @property
    def passes(self) -> bool:
        """Whether it may be over by itself."""
        return self.status in PASSING if self.status else self.cause not in ("Certificate", "Token")


class StrangeError(Exception):
    """Not what a hub answers, or not to be asked from here."""


class Stay(urllib.request.HTTPRedirectHandler):
    """Redirects are followed one by one, for the token is the hub's alone."""

    def redirect_request(self, *_: Any) -> None:
        """Not by urllib."""


@dataclass(frozen=True)
class Answer:
    """Of one server to one question."""

    url: str
    status: int
    headers: Message
    body: bytes


class Hub:
    """One repository, at one revision, on the hub that the environment names."""

    def __init__(self, repository: str, revision: str) -> None:
        self.repository, self.revision = repository, revision
        whole = urlsplit((os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/"))
        login, _, netloc = whole.netloc.rpartition("@")
        self.address = whole._replace(netloc=netloc).geturl()
        self.token = token()
        bearer = f"Bearer {self.token}" if self.token else ""
        self._credentials = f"Basic {base64.b64encode(unquote(login).encode()).decode()}" if login else bearer
        self._timeout = max(TIMEOUT, *(float(os.environ.get(name) or 0) for name in PATIENCE))
        self._proxies = proxies()
        self._opener = urllib.request.build_opener(
            Stay, urllib.request.ProxyHandler(self._proxies), urllib.request.HTTPSHandler(context=authorities())
        )

    def look(self) -> None:
        """Ask for all that vLLM needs first. Raises RefusedError or StrangeError."""
        if not (self.token.isascii() and self.token.isprintable()):
            raise RefusedError("Token", "the token has a character that no HTTP header can carry")
        at = quote(self.revision, safe="")
        try:
            listed = json.loads(self._given(f"/api/models/{self.repository}/revision/{at}", "").body)
            files = [str(file["rfilename"]) for file in listed["siblings"]]
        except (StrangeError, ValueError, TypeError, LookupError) as error:
            say(f"{self.address} does not list the files of {self.repository} ({briefly(error)}): asking for config.json")
            files = ["config.json"]
        top = [file for file in files if "/" not in file]
        weights = [file for ending in WEIGHTS for file in top if file.endswith(ending)]
        for file in ["config.json"] * ("config.json" in files) + weights[:1]:
            self._given(f"/{self.repository}/resolve/{at}/{quote(file)}", file)

    def _given(self, path: str, asked: str) -> Answer:
        """Of a file one byte. Weights mostly stand elsewhere."""
        url = self.address + path
        for _ in range(HOPS):
            answer = self._answer(url, asked)
            if answer.status not in FORWARD:
                self._judge(answer, asked)
                return answer
            url = urljoin(url, answer.headers.get("Location", ""))
        raise StrangeError(f"{self.address} sends from place to place for {asked}")

    def _judge(self, answer: Answer, asked: str) -> None:
        """Raises unless it is given. That another server says 401 means nothing here: vLLM may have a token for it."""
        status, mine, code = answer.status, self._is_mine(answer.url), words(answer.headers.get("X-Error-Code", ""))
        if status in GIVEN:
            return
        says = words(answer.headers.get("X-Error-Message", ""))
        refused = (status == 401 and mine) or (status == 403 and (asked or code or says))  # noqa: PLR2004  HTTP's
        if not (refused or status in PASSING or (status == 404 and code in ("RepoNotFound", "RevisionNotFound"))):  # noqa: PLR2004
            raise StrangeError(f"{answer.url.partition('?')[0]} answers {status}")
        answers = f"{urlsplit(answer.url).netloc} answers {status} {http.client.responses.get(status, '')}".rstrip()
        raise RefusedError("Status", f"{answers} for {asked or self.repository}", asked, status, code, says, not mine)

    def _answer(self, url: str, asked: str) -> Answer:
        """Raises RefusedError when there is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StrangeError(f"{self.address} sends to {parts.scheme}://{parts.netloc}")
        proxy = "" if urllib.request.proxy_bypass(parts.netloc) else self._proxies.get(parts.scheme, "")
        there, through = (urlsplit(proxy), " through the proxy ") if proxy else (parts, "")
        port = there.port or (443 if there.scheme == "https" else 80)
        host = f"{parts.netloc}{through}{there.hostname}:{port}" if proxy else f"{parts.hostname}:{port}"
        request = urllib.request.Request(url, headers={"User-Agent": "allod"} | ({"Range": "bytes=0-0"} if asked else {}))  # noqa: S310  see above
        if self._credentials and self._is_mine(url):
            request.add_header("Authorization", self._credentials)
        try:
            within(TIMEOUT, lambda: socket.getaddrinfo(there.hostname, port, type=socket.SOCK_STREAM), socket.gaierror(0, "no answer"))
            # Twice as long for the whole of it: a name may have several addresses of which none answers.
            return within(2 * self._timeout, lambda: self._open(request, 1 if asked else -1), urllib.error.URLError(TimeoutError()))
        except OSError as error:
            raise RefusedError(*not_reached(error, host, str(there.hostname), f"within {self._timeout:g} s"), asked) from error

    def _open(self, request: urllib.request.Request, length: int) -> Answer:
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return Answer(request.full_url, answer.status, answer.headers, answer.read(length))
        except urllib.error.HTTPError as answer:
            with answer:
                return Answer(request.full_url, answer.code, answer.headers, b"")

    def _is_mine(self, url: str) -> bool:
        """Whether it stands on the hub itself, which alone gets the token."""
        mine, other = urlsplit(self.address), urlsplit(url)
        return (mine.scheme, mine.netloc.lower()) == (other.scheme, other.netloc.lower())


def words(header: str) -> str:
    """What a server says in a header, in one line. Most write UTF-8, which http.client takes for Latin-1."""
    with contextlib.suppress(UnicodeError):
        header = header.encode("latin-1").decode()
    return hidden(" ".join(header.split()))[:WORDS]


def not_reached(error: OSError, host: str, name: str, in_time: str) -> tuple[str, str]:
    """Why no answer came, told apart by where it ended: cause and message."""
    outside = isinstance(error, urllib.error.URLError)  # urllib puts into it what happens before a question is out
    inner = error.reason if isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError) else error
    says = getattr(inner, "verify_message", "") or inner.strerror or str(inner) or type(inner).__name__
    match inner:
        case socket.gaierror():
            return "Name", f"the name {name} has no address ({says})"
        case ConnectionRefusedError():
            return "Closed", f"nothing listens at {host}"
        case ssl.SSLCertVerificationError():
            return "Certificate", f"the certificate of {host} is not trusted ({says})"
        case TimeoutError() if outside and "handshake" not in str(inner):
            return "Dropped", f"no connection to {host} {in_time}"
        case TimeoutError():
            return "Silent", f"{host} takes the connection and does not answer {in_time}"
        case _:
            return "Broken", f"the connection to {host} fails ({says})"


def within(seconds: float, call: Callable[[], T], else_: OSError) -> T:
    """Raises what the call raises, and the other after that time: neither a name nor a list of addresses has a limit of its own."""
    done: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((call(), None))
        except Exception as error:  # noqa: BLE001  it is raised where the result is awaited
            done.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = done.get(timeout=seconds)
    except queue.Empty:
        raise else_ from None
    if error:
        raise error
    return result  # type: ignore[return-value]  # without an error it is the call's


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


def briefly(error: Exception) -> str:
    """In our own words. Those of others may repeat what they were given, such as a header with the token in it."""
    return str(error) if isinstance(error, StrangeError) else type(error).__name__


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


def are_there(repository: str, revision: str, command: Sequence[str]) -> bool:
    """Whether an earlier start of this pod, or another pod that writes to the same volume, has downloaded all."""
    home = Path(os.environ.get("HF_HOME", ""))
    cache = Path(os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or home / "hub")
    config, weights = (snapshot(Path(folder), repository, revision) for folder in (cache, value(command, "download-dir") or cache))
    needed = {name for index in weights.glob("*.index.json") for name in json.loads(index.read_text())["weight_map"].values()}
    whole = all((weights / name).is_file() for name in needed) if needed else any(file.suffix in WEIGHTS for file in weights.glob("*"))
    return (config / "config.json").is_file() and whole


def snapshot(cache: Path, repository: str, revision: str) -> Path:
    """Where huggingface_hub puts the files."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    branch = folder / "refs" / revision
    return folder / "snapshots" / (branch.read_text() if branch.is_file() else revision)


def value(command: Sequence[str], flag: str) -> str:
    """The last of `--flag=value` and `--flag value`; empty without one. An underscore is a dash to vLLM."""
    found = ""
    for word, after in zip(command, [*command[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name.replace("_", "-") == f"--{flag}":
            found = value if equals else after
    return found


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


def document(told: dict[str, Any]) -> bytes:
    """As JSON, whole: a kubelet keeps the end of what is longer, which nobody can read. The longest texts are cut first."""
    most = 1024
    while True:
        cut = {name: first(hidden(value), most) if isinstance(value, str) else value for name, value in told.items()}
        if len(written := json.dumps(cut, ensure_ascii=False).encode("utf-8", "replace")) <= KEPT:
            return written
        most //= 2


def first(text: str, most: int) -> str:
    """What is whole within so many bytes."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


def say(text: str) -> None:
    """One line of the container's log."""
    print(hidden(text), flush=True)  # noqa: T201  a container's log


if __name__ == "__main__":
    main(sys.argv[1:])
