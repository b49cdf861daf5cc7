"""What vLLM takes of a GPU against what Allod reckons beforehand; its words when a model does not fit; starts; and the watchdog in it.

    python -m bench.gpu measure FOLDER     where the GPU and vLLM are: weights are made up, so no model is downloaded
    python -m bench.gpu publish FOLDER     where the repository is

A line of FOLDER/results.jsonl is written as soon as it is known, and the engine's own log is FOLDER/engine.log.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allod.domain.serving.health.findings import NO_ROOM
from allod.domain.serving.model.demand import GPU_UTILIZATION, Demand
from allod.domain.serving.model.fit import fit
from allod.domain.serving.pod import last_words
from bench import gpumodels as shapes
from bench.gpuengine import Engine, cache_config, errors, everything, holding, killed, leave, said, smi, used
from bench.gpufigures import figures
from bench.publication import publish
from bench.watchdog import HALVES, THRESHOLD
from box import machine
from support.vllm import WATCHDOG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.gpumodels import Shape

GIB = 2**30
NOMINAL = 80 * GIB
"""What a person writes into resources.gpu.memory for a card that is sold with 80 GB."""
LONGEST = 400
"""Seconds for a start."""
TAIL = 2048
"""Bytes of a failed container's log that kubelet keeps."""


@dataclass(frozen=True, slots=True)
class Case:
    """One start of vLLM."""

    name: str
    shape: Shape
    length: int
    utilization: str | None = None
    eager: bool = False
    kv_dtype: str | None = None
    quantization: str | None = None
    held: int = 0
    """GiB that another process holds meanwhile."""
    also: Callable[[Engine, dict[str, Any]], None] | None = None
    """What is measured once it serves."""
    middleware: str = ""

    @property
    def flags(self) -> list[str]:
        wanted = {
            "max-model-len": self.length,
            "gpu-memory-utilization": self.utilization,
            "kv-cache-dtype": self.kv_dtype,
            "quantization": self.quantization,
            "middleware": self.middleware or None,
        }
        return [f"--{flag}={value}" for flag, value in wanted.items() if value is not None] + ["--enforce-eager"] * self.eager

    def predicted(self, memory: int) -> dict[str, Any]:
        """What Allod says before anything starts."""
        demand = Demand(
            gpu_memory=memory,
            utilization=Fraction(self.utilization) if self.utilization else GPU_UTILIZATION,
            kv_dtype=self.kv_dtype or "auto",
            quantization=self.quantization,
            max_model_len=self.length,
        )
        return asdict(fit(self.shape.architecture, self.shape.weights, demand))


@dataclass(slots=True)
class Bench:
    """Where it measures, and where it writes."""

    folder: Path
    command: list[str]
    scratch: Path
    total: int = 0
    """Bytes of the GPU as CUDA counts them."""
    ends: float = float("inf")
    results: list[dict[str, Any]] = field(default_factory=list)

    def tell(self, **result: Any) -> None:
        line = json.dumps(result)
        print(line[:1500], flush=True)
        with (self.folder / "results.jsonl").open("a") as file:
            file.write(line + "\n")

    def run(self, case: Case) -> None:
        """One case: how it went, whatever happens."""
        result: dict[str, Any] = {
            "case": case.name,
            "model": case.shape.name,
            "flags": case.flags,
            "predicted": case.predicted(NOMINAL),
            "predictedOfTotal": case.predicted(self.total),
        }
        began = time.monotonic()
        try:
            with holding(case.held), self.started(case) as engine:
                self.watched(case, engine, result)
        except Exception as error:  # noqa: BLE001 - the other cases are still to come
            result["error"] = repr(error)[:500]
        self.tell(**result, seconds=round(time.monotonic() - began, 1))

    @contextlib.contextmanager
    def started(self, case: Case) -> Iterator[Engine]:
        """The server process; its log is appended to the folder's at the end."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        path = case.shape.write(self.scratch / "models")
        argv = [*self.command, "serve", str(path), "--served-model-name=smol", "--host=127.0.0.1", f"--port={port}"]
        argv += ["--load-format=dummy", "--shutdown-timeout=30", *case.flags]
        modules = self.scratch / "middleware"
        modules.mkdir(exist_ok=True)
        for module, name in (WATCHDOG | {HALVES: HALVES.name}).items():  # alone: halves.py lies beside an operator.py, not Python's
            shutil.copy(module, modules / name)
        ours = {"PYTHONPATH": f"{modules}:{os.environ.get('PYTHONPATH', '')}", "ALLOD_MODEL": "smol", "ALLOD_HANG_SECONDS": str(THRESHOLD)}
        ours |= {"VLLM_CACHE_ROOT": str(self.scratch / "cache"), "TRITON_CACHE_DIR": str(self.scratch / "triton")}
        ours |= {"TORCHINDUCTOR_CACHE_DIR": str(self.scratch / "inductor"), "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
        log = self.scratch / f"{case.name}.log"
        with log.open("wb") as output:
            environment = {**os.environ, **ours, "HF_HUB_OFFLINE": "1"}
            process = subprocess.Popen(argv, env=environment, stdout=output, stderr=output, start_new_session=True)
        engine = Engine(process, port, log)
        try:
            yield engine
        finally:
            engine.end()
            with (self.folder / "engine.log").open("ab") as kept:
                kept.write(f"\n===== {case.name}: {shlex.join(argv)}\n".encode() + log.read_bytes())

    def watched(self, case: Case, engine: Engine, result: dict[str, Any]) -> None:
        """From the start to the end of the process."""
        began = time.monotonic()
        try:
            engine.until("/health", 200, seconds=LONGEST)
            result["healthSeconds"] = round(time.monotonic() - began, 1)
        except TimeoutError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                engine.process.wait(5)
            tail = engine.log.read_bytes()[-TAIL:].decode(errors="replace")
            result |= {"exit": engine.process.poll(), "exitSeconds": round(time.monotonic() - began, 1), "tail": tail}
            result |= {"lastWords": last_words(tail), "named": bool(NO_ROOM.search(tail)), "said": said(engine.log)}
            result["errors"] = errors(engine.log.read_text(errors="replace"))
            return
        result |= {"said": said(engine.log), "usedMiB": used(), "cacheConfig": cache_config(engine)}
        if case.also:
            case.also(engine, result)
        if engine.process.poll() is None:
            leave(engine, result)


CASES = [
    Case("qwen3-8b-first-start", shapes.QWEN3_8B, 32768, also=everything, middleware="halves.Halves"),
    Case("qwen3-8b-occupied", shapes.QWEN3_8B, 32768, eager=True, held=20),
    Case("qwen25-72b-too-heavy", shapes.QWEN25_72B, 8192, eager=True),
    Case("qwen3-8b-second-start", shapes.QWEN3_8B, 32768),
    Case("qwen3-8b-eager", shapes.QWEN3_8B, 32768, eager=True, also=killed),
    Case("qwen3-32b", shapes.QWEN3_32B, 16384),
    Case("qwen3-32b-long", shapes.QWEN3_32B, 40960, utilization="0.9", eager=True),
    Case("qwen3-32b-no-room", shapes.QWEN3_32B, 8192, utilization="0.78", eager=True),
    Case("deepseek-v2-lite", shapes.DEEPSEEK_V2_LITE, 32768),
    Case("llama-8b", shapes.LLAMA_8B, 131072),
    Case("qwen3-8b-half", shapes.QWEN3_8B, 32768, utilization="0.5", eager=True),
    Case("qwen3-8b-fp8-cache", shapes.QWEN3_8B, 32768, eager=True, kv_dtype="fp8"),
    Case("qwen3-32b-fp8", shapes.QWEN3_32B, 32768, eager=True, quantization="fp8"),
    Case("gemma2-9b", shapes.GEMMA2_9B, 8192, eager=True),
    Case("gpt-oss-20b", shapes.GPT_OSS_20B, 32768, eager=True),
    Case("deepseek-v2-lite-eager", shapes.DEEPSEEK_V2_LITE, 32768, eager=True),
]


def measure(folder: Path, command: list[str], seconds: float, names: list[str]) -> None:
    """All cases, or those that are named, until the time is over."""
    folder.mkdir(parents=True, exist_ok=True)
    asks = "import json, torch, vllm; print(json.dumps([torch.__version__, vllm.__version__, *torch.cuda.mem_get_info()]))"
    torch, vllm, free, total = json.loads(
        subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    )
    ends = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as scratch:
        bench = Bench(folder, command, Path(scratch), total)
        gpu = {"name": smi("name"), "driver": smi("driver_version"), "totalMiB": int(smi("memory.total")), "usedMiB": used()}
        versions = {"torch": torch, "vllm": vllm, "freeBytes": free, "totalBytes": total}
        bench.tell(case="machine", machine=machine.description(), gpu=gpu | versions)
        for case in CASES:
            if (not names or case.name in names) and time.monotonic() < ends:
                bench.run(case)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["measure", "publish"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vllm", default="vllm", help="the command, such as `python3 -m vllm.entrypoints.cli.main`")
    parser.add_argument("--seconds", type=float, default=3600, help="after them no further case is begun")
    parser.add_argument("--only", default="", help="names of cases, by comma")
    asked = parser.parse_args()
    if asked.what == "measure":
        measure(asked.folder, shlex.split(asked.vllm), asked.seconds, [name for name in asked.only.split(",") if name])
        return
    lines = [json.loads(line) for line in (asked.folder / "results.jsonl").read_text().splitlines()]
    found = {line["case"]: line for line in lines}
    cases = {case.name: case.predicted(NOMINAL) for case in CASES}
    print(publish("gpu", figures(found, cases), found["machine"]["machine"] | {"gpu": found["machine"]["gpu"]}))


if __name__ == "__main__":
    main()
