"""Flags that a version of vLLM knows: an unknown one ends the engine at its start, minutes after a GPU was taken for it.

The version comes from the image's tag. Of a version without a table, or a tag without a version, only one thing is judged: argparse takes
abbreviations, and one of a flag that the API refuses would pass where the API compares whole names.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from allod.api.reserved import VLLM_FLAGS
from allod.domain.serving.engine.images import engine_image, minor_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allod.api.modeldeployment import ModelDeploymentSpec
    from allod.domain.serving.seen import Defaults

REMOVED = {
    "calculate-kv-scales": "scales come with the checkpoint",
    "cuda-graph-sizes": "use compilation-config.cudagraph_capture_sizes",
    "disable-log-requests": "requests are only logged with enable-log-requests",
    "enable-prompt-adapter": "prompt adapters are gone, LoRA remains",
    "enable-reasoning": "reasoning-parser alone turns it on",
    "guided-decoding-backend": "use structured-outputs-config.backend",
    "lora-extra-vocab-size": "adapters with tokens of their own are gone",
    "max-num-partial-prefills": "chunked prefill decides by itself",
    "max-seq-len-to-capture": "use compilation-config.max_cudagraph_capture_size",
    "num-scheduler-steps": "multi-step scheduling is gone, the engine schedules asynchronously",
    "num-speculative-tokens": "use speculative-config",
    "override-pooler-config": "use pooler-config",
    "preemption-mode": "preempted requests are always recomputed",
    "rope-scaling": "use hf-overrides",
    "rope-theta": "use hf-overrides",
    "speculative-model": "use speculative-config",
    "swap-space": "the engine no longer swaps to memory of the host",
    "task": "use model.task, or the flags runner and convert",
}
"""Gone by 0.32, with what stands in for them."""
ALIKE = 0.85
"""Ratio of difflib. Below it names come that have no more than a word in common."""


def unknown(spec: ModelDeploymentSpec, defaults: Defaults) -> tuple[str, ...]:
    """One phrase for each flag that this version does not know, or that is short for one that is refused."""
    if spec.engine.type != "vLLM":
        return ()
    version = minor_version(engine_image(spec, defaults))
    known = table(version) if version else None
    wrong = ((where, flag, _refused(flag) or (_unknown(flag, known, version) if known else "")) for where, flag in _written(spec))
    return tuple(f"{where} {flag} is {says}" for where, flag, says in wrong if says)


def _unknown(flag: str, known: frozenset[str], version: str | None) -> str:
    return "" if _is_known(flag, known) else f"unknown to vLLM {version}{_instead(flag, known)}"


def _instead(flag: str, known: frozenset[str]) -> str:
    """What stands in for a flag that is gone, or what may have been meant."""
    if flag in REMOVED:
        return f": {REMOVED[flag]}"
    if len(whole := [name for name in known if name.startswith(flag)]) == 1:
        return f": write {whole[0]} in full"
    near = get_close_matches(flag, sorted(known - {flag.removeprefix("no-")}), n=1, cutoff=ALIKE)
    return f": {near[0]} is known" if near else ""


@cache
def table(version: str) -> frozenset[str] | None:
    """Every flag of one minor version without its dashes, `no-` forms included. None: there is no table of this version."""
    file = files("allod.domain.serving.engine").joinpath("engine_flags", f"vllm-{version}.txt")
    if not file.is_file():
        return None
    names: set[str] = set()
    for line in file.read_text("utf-8").splitlines():
        kind, *options = line.split()
        if kind == "#":
            continue
        bare = {option.lstrip("-") for option in options}
        names |= bare
        if kind == "pair":
            names |= {f"no-{option.removeprefix('--')}" for option in options if option.startswith("--")}
    return frozenset(names)


def _written(spec: ModelDeploymentSpec) -> Iterator[tuple[str, str]]:
    for key, value in spec.engine.args.items():
        yield "engine.args:", _name(f"no-{key}" if value == "false" else key)
    for word in spec.engine.extra_args:
        if re.match(r"--?[A-Za-z]", word):
            yield "engine.extraArgs:", _name(word.lstrip("-"))


def _name(written: str) -> str:
    """Argparse in vLLM takes _ for -, and --json.key=value for a part of --json."""
    return re.split(r"[.=+]", written, maxsplit=1)[0].replace("_", "-")


def _is_known(flag: str, known: frozenset[str]) -> bool:
    """By its whole name; -O3 is vLLM's own spelling."""
    return flag in known or bool(re.fullmatch(r"O[0-9]", flag))


def _refused(flag: str) -> str:
    """That the API refuses by name what argparse would find by this one. A single letter is a flag of its own."""
    whole = next((name for name in VLLM_FLAGS if len(flag) > 1 and name != flag and name.startswith(flag)), None)
    return f"short for {whole}: {VLLM_FLAGS[whole]}" if whole else ""
