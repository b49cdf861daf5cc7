"""images/engine/hub.py as the process that it is: with a small program in vLLM's place, and hubs on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hub
from allod.contracts.hubrefusal import HubRefusal, hub_refusal
from allod_cache import are_there
from allod_cache import value as value_of
from allod_refusal import KEPT, document
from unit.engine.asked import COMMIT, GIVES, HERE, LIST, REPOSITORY, Says, drops, refuses, serving, silent

TOKEN = "hf_secret"  # noqa: S105  of a hub that is made here
ALONE = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(hub.__file__).parent), "NO_PROXY": ""}


def run(tmp_path: Path, *words: str, **environment: str) -> tuple[int, str, str]:
    """As a container's first process, with a small program in vLLM's place. Its exit code, log and termination message."""
    with started(tmp_path, *words, **environment) as process:
        log, _ = process.communicate(timeout=20)
    left = tmp_path / "termination-log"
    return process.returncode, log, left.read_text() if left.exists() else ""


def started(tmp_path: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    vllm = tmp_path / "vllm"
    vllm.write_text('#!/bin/sh\necho "vllm $*, process $$, offline ${HF_HUB_OFFLINE:-no}"\nexit 7\n')
    vllm.chmod(0o755)
    patience = "allod_asking.TIMEOUT, hub.PAUSES, hub.ENOUGH = 0.3, (0.05, 0.05), 5"
    program = (
        f"import allod_asking, hub, pathlib, sys; hub.TERMINATION_LOG = pathlib.Path({str(tmp_path / 'termination-log')!r}); {patience}; "
    )
    path = {"PATH": f"{tmp_path}:{ALONE['PATH']}", "HF_HOME": str(tmp_path / "huggingface")}
    return subprocess.Popen(
        [sys.executable, "-c", f"{program}hub.main(sys.argv[1:])", "vllm", *words],
        env=ALONE | path | environment,
        stdout=subprocess.PIPE,
        text=True,
    )


SERVE = ("serve", REPOSITORY, "--host=0.0.0.0", f"--revision={COMMIT}")


def test_once_the_hub_gives_the_process_is_vllm(tmp_path: Path) -> None:
    with serving(GIVES) as server, started(tmp_path, *SERVE, HF_ENDPOINT=f"http://{HERE}:{server.port}") as process:
        log, _ = process.communicate(timeout=20)
    given, vllm = log.splitlines()
    assert given == f"http://{HERE}:{server.port} gives {REPOSITORY} at {COMMIT}"
    assert vllm == f"vllm {' '.join(SERVE)}, process {process.pid}, offline no"
    assert process.returncode == 7, "its exit code is vLLM's"


def test_without_a_revision_the_branch_main_is_asked(tmp_path: Path) -> None:
    with serving({}) as server:
        run(tmp_path, "serve", REPOSITORY, HF_ENDPOINT=f"http://{HERE}:{server.port}")
    assert server.paths == [f"/api/models/{REPOSITORY}/revision/main", f"/{REPOSITORY}/resolve/main/config.json"]


def test_what_is_not_given_is_one_document_without_a_secret(tmp_path: Path) -> None:
    with serving(GIVES | {LIST: refuses(401)}) as server:
        host = f"{HERE}:{server.port}"
        code, log, left = run(tmp_path, *SERVE, HF_ENDPOINT=f"http://robot:pass@{host}", HF_TOKEN=TOKEN)
    assert (code, log) == (1, f"{host} answers 401 Unauthorized for {REPOSITORY}\n")
    assert hub_refusal(left) == HubRefusal(
        hub=f"http://{host}",
        repository=REPOSITORY,
        revision=COMMIT,
        token=True,
        asked="",
        cause="Status",
        message=log.strip(),
        status=401,
    )
    assert not any(secret in left + log for secret in (TOKEN, "pass@", "robot"))
    assert server.paths == [LIST], "what does not pass is not asked again"


@pytest.mark.parametrize("token", ["hf_secret\u201d", "\u201chf_secret\u201d", "hf_secret\u4e2d", "hf_secret\x01more", "hf_secret\udcff"])
def test_a_token_that_no_header_can_carry_is_refused_and_told_nobody(token: str, tmp_path: Path) -> None:
    with serving(GIVES) as server:
        code, log, left = run(tmp_path, *SERVE, HF_ENDPOINT=f"http://{HERE}:{server.port}", HF_TOKEN=token)
    assert (code, log, server.paths) == (1, "the token has a character that no HTTP header can carry\n", [])
    told = hub_refusal(left)
    assert told
    assert (told.cause, told.message) == ("Token", log.strip())
    assert "secret" not in left


def test_who_repeats_the_token_does_not_get_it_into_the_log(tmp_path: Path) -> None:
    with serving({LIST: Says(302, {"Location": f"/{TOKEN}"}), f"/{TOKEN}": Says(418)}) as server:
        code, log, left = run(tmp_path, *SERVE, HF_ENDPOINT=f"http://{HERE}:{server.port}", HF_TOKEN=f"{TOKEN}\n")
    assert (code, left) == (7, "")
    assert f"{HERE}:{server.port}/... answers 418" in log
    assert TOKEN not in log


def test_of_a_fault_that_is_not_foreseen_only_its_kind_is_told(tmp_path: Path) -> None:
    with serving({LIST: Says(307, {"Location": "http://["})}) as server:
        code, log, _ = run(tmp_path, *SERVE, HF_ENDPOINT=f"http://{HERE}:{server.port}", HF_TOKEN=TOKEN)
    assert code == 7
    assert f"does not list the files of {REPOSITORY} (ValueError): asking for config.json" in log


@pytest.mark.parametrize("letter", ["x", "型", '"', "\x7f", "\x01"])
def test_a_document_is_whole_whatever_is_in_it(letter: str) -> None:
    told = {"hub": HERE, "repository": REPOSITORY, "revision": COMMIT, "token": True, "cause": "Status", "status": 403, "elsewhere": False}
    written = document(told | {"message": letter * 900, "says": letter * 900, "code": letter * 300, "asked": letter * 900})
    assert len(written) <= KEPT
    read = hub_refusal(written.decode())
    assert read
    assert (read.hub, read.repository, read.revision) == (HERE, REPOSITORY, COMMIT)
    assert read.says.startswith(letter * 60)


def test_what_may_pass_is_asked_again(tmp_path: Path) -> None:
    with drops() as port:
        code, log, left = run(tmp_path, *SERVE, HF_ENDPOINT=f"http://{HERE}:{port}")
    assert (code, log.count("; asking again in 0.05 s")) == (1, 2)
    assert json.loads(left)["cause"] == "Dropped"


def test_a_hub_that_comes_late_is_no_fault(tmp_path: Path) -> None:
    class Ill(dict[str, Says]):
        def get(self, path: str, default: Any = None) -> Any:
            return self.pop("ill", None) or super().get(path, default)

    with serving(Ill(GIVES | {"ill": refuses(503)})) as server:
        code, log, left = run(tmp_path, *SERVE, HF_ENDPOINT=f"http://{HERE}:{server.port}")
    assert (code, left) == (7, "")
    assert log.startswith(f"{HERE}:{server.port} answers 503 Service Unavailable for {REPOSITORY}; asking again")


def test_a_first_process_that_asks_hears_that_it_is_to_end(tmp_path: Path) -> None:
    with silent() as port, started(tmp_path, *SERVE, HF_ENDPOINT=f"http://{HERE}:{port}") as process:
        assert process.stdout
        assert "does not answer" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 128 + signal.SIGTERM


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_USE_MODELSCOPE"])
def test_where_no_hub_is_to_be_asked_none_is(variable: str, tmp_path: Path) -> None:
    with serving({LIST: refuses(401)}) as server:
        code, log, _ = run(tmp_path, *SERVE, HF_ENDPOINT=f"http://{HERE}:{server.port}", **{variable: "1"})
    assert (code, server.paths) == (7, [])
    assert log.startswith(f"no hub is asked, as {variable} is set\n")


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (("serve",), {}),
        (SERVE, {"HF_ENDPOINT": "http://["}),
        (SERVE, {"HF_ENDPOINT": "http://127.0.0.2:port"}),
        (SERVE, {"SSL_CERT_FILE": "/nowhere"}),
    ],
)
def test_what_it_cannot_do_vllm_tries(words: tuple[str, ...], environment: dict[str, str], tmp_path: Path) -> None:
    code, log, left = run(tmp_path, *words, **environment)
    assert (code, left) == (7, "")
    assert "vLLM tries by itself: " in log


def downloaded(cache: Path, *files: str, revision: str = COMMIT) -> None:
    """As huggingface_hub 2.4 leaves it."""
    folder = cache / "models--org--name"
    for name in files:
        file = folder / "snapshots" / COMMIT / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shards = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
        file.write_text(json.dumps(shards) if name.endswith(".index.json") else "")
    if revision != COMMIT:
        (folder / "refs").mkdir()
        (folder / "refs" / revision).write_text(COMMIT)


INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize(
    ("files", "whole"),
    [
        (("config.json", "model.safetensors"), True),
        (("config.json", INDEX, "model-1.safetensors", "model-2.safetensors"), True),
        (("config.json", INDEX, "model-1.safetensors"), False),
        (("config.json", "tokenizer.json"), False),
        (("model.safetensors",), False),
        ((), False),
    ],
)
def test_a_download_is_whole_or_it_is_none(files: tuple[str, ...], whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    downloaded(tmp_path / "hub", *files)
    assert are_there(REPOSITORY, COMMIT, SERVE) is whole


@pytest.mark.parametrize(("variable", "below"), [("HF_HOME", "hub"), ("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", "")])
def test_it_is_looked_for_where_huggingface_hub_puts_it(variable: str, below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, str(tmp_path))
    downloaded(tmp_path / below, "config.json", revision="main")
    downloaded(tmp_path / "large", "model.safetensors", revision="main")
    assert are_there(REPOSITORY, "main", ("vllm", "serve", REPOSITORY, f"--download-dir={tmp_path / 'large'}"))
    assert not are_there(REPOSITORY, "v2", ("vllm", "serve", REPOSITORY, f"--download-dir={tmp_path / 'large'}"))


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--download-dir=/a"], "/a"),
        (["--download-dir", "/a"], "/a"),
        (["--download_dir=/a"], "/a"),
        (["--download_dir", "/a", "--seed=1"], "/a"),
        (["--download-dir=/a", "--download-dir", "/b"], "/b"),
        (["--download-dir", "/a", "--download_dir=/b=c_d"], "/b=c_d"),
        (["--download-dir"], ""),
        (["--download-dirs=/a", "download-dir=/a"], ""),
    ],
)
def test_a_flag_is_read_as_vllm_reads_it(words: list[str], value: str) -> None:
    assert value_of(["vllm", "serve", REPOSITORY, *words], "download-dir") == value


def test_where_the_files_are_and_the_hub_is_not_vllm_starts_from_them_at_once(tmp_path: Path) -> None:
    downloaded(tmp_path / "huggingface" / "hub", "config.json", "model.safetensors")
    with drops() as port:
        code, log, left = run(tmp_path, *SERVE, HF_ENDPOINT=f"http://{HERE}:{port}")
    why, vllm = log.splitlines()
    assert why == f"no connection to {HERE}:{port} within 0.3 s: vLLM starts from the files of {REPOSITORY} that are there"
    assert vllm.endswith("offline 1")
    assert (code, left) == (7, "")


def test_where_the_files_are_a_refusal_is_vllms_matter(tmp_path: Path) -> None:
    downloaded(tmp_path / "huggingface" / "hub", "config.json", "model.safetensors")
    with serving(GIVES | {LIST: refuses(401)}) as server:
        code, log, left = run(tmp_path, *SERVE, HF_ENDPOINT=f"http://{HERE}:{server.port}")
    assert (code, left) == (7, "")
    assert log.splitlines()[-1].endswith("offline no")
