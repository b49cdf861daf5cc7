from __future__ import annotations

from admission.case import Case, llamacpp, vllm

TOKEN = {"name": "VLLM_API_KEY", "valueFrom": {"secretKeyRef": {"name": "key", "key": "token"}}}

ENGINE_CASES = (
    Case(
        "image-shape",
        vllm(engine__image="registry.corp:5000/vllm/vllm-openai:v0.32.0"),
        vllm(engine__image="registry.corp/vLLM:v0.32.0"),
        "spec.engine.image",
        "engine.image is a reference such as registry.corp/vllm/vllm-openai:v0.32.0: host and path in lower case, then a tag or a digest",
    ),
    Case(
        "gpu-memory-utilization",
        vllm(engine__gpuMemoryUtilization="0.01"),
        vllm(engine__gpuMemoryUtilization="0.0"),
        "spec.engine.gpuMemoryUtilization",
        'engine.gpuMemoryUtilization is above "0": it is the part of each GPU that the engine takes, such as "0.85"',
    ),
    Case(
        "ratio-shape",
        vllm(engine__gpuMemoryUtilization="1"),
        vllm(engine__gpuMemoryUtilization="85%"),
        "spec.engine.gpuMemoryUtilization",
        'it is 85%, and a ratio is a string between "0" and "1": "0.85"',
    ),
    Case(
        "args-names",
        vllm(engine__args={"reasoning-parser": "deepseek_r1", "hf-overrides.rope_theta": "1"}),
        vllm(engine__args={"--reasoning-parser": "deepseek_r1"}),
        "spec.engine.args",
        'engine.args has ["--reasoning-parser"]: write a long flag without the leading dashes and with - for _, such as'
        " enable-prefix-caching",
    ),
    Case(
        "args-vllm",
        vllm(engine__args={"enable-prefix-caching": "true", "ctx-size": "1"}),
        vllm(engine__args={"enable-prefix-caching": "true", "tensor-parallel-size": "4"}),
        "spec.engine.args",
        'engine.args may not set ["tensor-parallel-size (use parallelism.tensor)"]',
    ),
    Case(
        "args-llamacpp",
        llamacpp(engine__args={"cache-type-k": "q8_0", "max-model-len": "1"}),
        llamacpp(engine__args={"cache-type-k": "q8_0", "ctx-size": "4096"}),
        "spec.engine.args",
        'engine.args may not set ["ctx-size (use engine.maxModelLen)"]',
    ),
    Case(
        "extra-args-vllm",
        vllm(engine__extraArgs=["--model-impl", "transformers", "-c", "--ctx-size=1"]),
        vllm(engine__extraArgs=["--max_model_len=4096", "-tp", "4"]),
        "spec.engine.extraArgs",
        'engine.extraArgs may not set ["--max_model_len=4096", "-tp"]: docs/reference/modeldeployment.md lists what to use instead',
    ),
    Case(
        "extra-args-llamacpp",
        llamacpp(engine__extraArgs=["--mlock", "-ctk", "q8_0", "-tp"]),
        llamacpp(engine__extraArgs=["-c", "4096", "--host=127.0.0.1"]),
        "spec.engine.extraArgs",
        'engine.extraArgs may not set ["-c", "--host=127.0.0.1"]: docs/reference/modeldeployment.md lists what to use instead',
    ),
    Case(
        "llamacpp-dtype",
        vllm(engine__dtype="bfloat16"),
        llamacpp(engine__dtype="bfloat16"),
        "spec.engine.dtype",
        "engine.dtype is a setting of vLLM: with LlamaCpp the GGUF file decides, so leave it out",
    ),
    Case(
        "llamacpp-quantization",
        vllm(engine__quantization="fp8"),
        llamacpp(engine__quantization="fp8"),
        "spec.engine.quantization",
        "engine.quantization is a setting of vLLM: with LlamaCpp the GGUF file decides, so leave it out",
    ),
    Case(
        "llamacpp-kvcachedtype",
        vllm(engine__kvCacheDtype="fp8"),
        llamacpp(engine__kvCacheDtype="fp8"),
        "spec.engine.kvCacheDtype",
        "engine.kvCacheDtype is a setting of vLLM: with LlamaCpp use engine.args {cache-type-k: q8_0, cache-type-v: q8_0}",
    ),
    Case(
        "llamacpp-gpumemoryutilization",
        vllm(engine__gpuMemoryUtilization="0.85"),
        llamacpp(engine__gpuMemoryUtilization="0.85"),
        "spec.engine.gpuMemoryUtilization",
        "engine.gpuMemoryUtilization is a setting of vLLM: with LlamaCpp there is no GPU, so leave it out",
    ),
    Case(
        "vllm-threads",
        llamacpp(engine__threads=2),
        vllm(engine__threads=2),
        "spec.engine.threads",
        "engine.threads is a setting of LlamaCpp: with vLLM leave it out",
    ),
    Case(
        "env-reserved",
        vllm(engine__env=[{"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}, TOKEN]),
        vllm(engine__env=[{"name": "VLLM_SERVER_DEV_MODE", "value": "1"}]),
        "spec.engine.env",
        'engine.env may not set ["VLLM_SERVER_DEV_MODE (leave it out, as it lets every client stop or replace the model)"]',
    ),
    Case(
        "env-prefix",
        llamacpp(engine__env=[{"name": "OMP_NUM_THREADS", "value": "1"}]),
        llamacpp(engine__env=[{"name": "LLAMA_ARG_HOST", "value": "127.0.0.1"}]),
        "spec.engine.env",
        "engine.env may not set ALLOD_ variables, which are the operator's, nor LLAMA_ARG_ ones: use engine.args",
    ),
    Case(
        "env-one-value",
        vllm(engine__env=[TOKEN]),
        vllm(engine__env=[{**TOKEN, "value": "x"}]),
        "spec.engine.env[0]",
        "a variable of engine.env has either value or valueFrom: remove one of the two",
    ),
    Case(
        "env-one-source",
        vllm(engine__env=[{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]),
        vllm(engine__env=[{"name": "IP", "valueFrom": {}}]),
        "spec.engine.env[0].valueFrom",
        "valueFrom of a variable in engine.env has exactly one of secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef",
    ),
)
