"""What the API server refuses about an engine's settings."""

from __future__ import annotations

from allod.api.markers import Cel
from allod.api.modeluri import IMAGE, TAG
from allod.api.reserved import (
    LLAMACPP_FLAGS,
    LLAMACPP_SHORT,
    PREFIXES,
    VARIABLES,
    VLLM_FLAGS,
    VLLM_SHORT,
    cel_map,
    raw_flag,
)
from allod.api.values import cel_string

IMAGE_SHAPE = Cel(
    "image-shape",
    f"self.matches({cel_string(f'^{IMAGE}({TAG})?$')})",
    "engine.image is a reference such as registry.corp/vllm/vllm-openai:v0.32.0: host and path in lower case, then a tag or a digest",
)

UTILIZATION = Cel(
    "gpu-memory-utilization",
    "!self.matches('^0([.]0*)?$')",
    'engine.gpuMemoryUtilization is above "0": it is the part of each GPU that the engine takes, such as "0.85"',
)

FLAG = r"^[a-z0-9][a-z0-9-]*(\.[A-Za-z0-9_-]+)*$"
"""A flag without dashes; what follows a dot is a key inside a JSON value, as in `hf-overrides.rope_theta`."""

ARG_NAMES = Cel(
    "args-names",
    f"self.all(flag, flag.matches({cel_string(FLAG)}))",
    "a key of engine.args is a long flag as the engine's manual has it, without the leading dashes and with - for _: enable-prefix-caching",
    f"'engine.args has %s: write a long flag without the leading dashes and with - for _, such as enable-prefix-caching'"
    f".format([self.filter(flag, !flag.matches({cel_string(FLAG)}))])",
)


def _args(engine: str, flags: dict[str, str]) -> Cel:
    table = cel_map(flags)
    return Cel(
        f"args-{engine.lower()}",
        f"self.type != '{engine}' || !has(self.args) || self.args.all(flag, !(flag in {table}))",
        f"engine.args repeats what has a field of its own, or opens {engine} to everybody",
        f"'engine.args may not set %s'"
        f".format([self.args.filter(flag, flag in {table}).map(flag, '%s (%s)'.format([flag, {table}[flag]]))])",
        field_path=".args",
    )


def _extra_args(engine: str, flags: dict[str, str], short: tuple[str, ...]) -> Cel:
    taken = cel_string(raw_flag(flags, short))
    return Cel(
        f"extra-args-{engine.lower()}",
        f"self.type != '{engine}' || !has(self.extraArgs) || self.extraArgs.all(arg, !arg.matches({taken}))",
        f"engine.extraArgs repeats what has a field of its own, or opens {engine} to everybody",
        f"'engine.extraArgs may not set %s: docs/reference/modeldeployment.md lists what to use instead'"
        f".format([self.extraArgs.filter(arg, arg.matches({taken}))])",
        field_path=".extraArgs",
    )


def _vllm_only(field: str, instead: str) -> Cel:
    return Cel(
        f"llamacpp-{field.lower()}",
        f"self.type != 'LlamaCpp' || !has(self.{field})",
        f"engine.{field} is a setting of vLLM: with LlamaCpp {instead}",
        field_path=f".{field}",
    )


ENGINE = (
    _args("vLLM", VLLM_FLAGS),
    _args("LlamaCpp", LLAMACPP_FLAGS),
    _extra_args("vLLM", VLLM_FLAGS, VLLM_SHORT),
    _extra_args("LlamaCpp", LLAMACPP_FLAGS, LLAMACPP_SHORT),
    _vllm_only("dtype", "the GGUF file decides, so leave it out"),
    _vllm_only("quantization", "the GGUF file decides, so leave it out"),
    _vllm_only("kvCacheDtype", "use engine.args {cache-type-k: q8_0, cache-type-v: q8_0}"),
    _vllm_only("gpuMemoryUtilization", "there is no GPU, so leave it out"),
    Cel(
        "vllm-threads",
        "self.type != 'vLLM' || !has(self.threads)",
        "engine.threads is a setting of LlamaCpp: with vLLM leave it out",
        field_path=".threads",
    ),
)

_TAKEN = cel_map(VARIABLES)
_OURS = " && ".join(f"!variable.name.startsWith('{prefix}')" for prefix in PREFIXES)

ENV = (
    Cel(
        "env-reserved",
        f"self.all(variable, !(variable.name in {_TAKEN}))",
        "engine.env sets a variable that the operator sets itself, or one that opens the engine to everybody",
        f"'engine.env may not set %s'.format([self.filter(v, v.name in {_TAKEN}).map(v, '%s (%s)'.format([v.name, {_TAKEN}[v.name]]))])",
    ),
    Cel(
        "env-prefix",
        f"self.all(variable, {_OURS})",
        "engine.env may not set ALLOD_ variables, which are the operator's, nor LLAMA_ARG_ ones: use engine.args",
    ),
)
