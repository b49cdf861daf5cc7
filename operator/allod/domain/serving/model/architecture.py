"""The shape of a model, as far as memory depends on it."""

from __future__ import annotations

from dataclasses import dataclass


class UnreadableError(ValueError):
    """A model file is not what its name says, or claims sizes that no model has. The text is a sentence for a person."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """Layers and heads of one model."""

    name: str
    """As the files call it: `LlamaForCausalLM`, or GGUF's `llama`."""
    layers: int
    attention_heads: int
    kv_heads: int
    """Equal to `attention_heads` without grouped-query attention."""
    head_dim: int
    """Values per head. Often not hidden size / heads: taken from the files where they say it."""
    latent: int | None = None
    """Multi-head latent attention (DeepSeek V2, V3, R1): values per token and layer, the same on every tensor rank. None: no MLA."""
    context: int | None = None
    """Tokens that the model was made for. None: the files do not say."""
    dtype: str = "bfloat16"
    """Of the stored weights: bfloat16, float16, float32."""
    quantization: str | None = None
    """Method that the checkpoint was quantized with. None: it was not."""
    kv_dtype: str | None = None
    """KV cache type that the checkpoint asks for. None: that of the weights."""
    irregular: str | None = None
    """Why the KV cache cannot be computed by one formula: `sliding-window attention`. None: every layer is alike."""
    embeddings: int = 0
    """Values of the embeddings and of the output layer, which quantization while loading leaves as they are. 0: not known."""
    hidden: int = 0
    """Values of one token between layers. This and the next three decide about LoRA adapters; 0: not known."""
    vocabulary: int = 0
    """Tokens."""
    width: int = 0
    """Values inside of the feed-forward network of a layer, or of one expert of it."""
    experts: int = 0
    """Of one layer. 0: it is no mixture of experts."""
    pools: bool = False
    """The files say how the vectors of tokens become one of the text. Read of GGUF alone: only llama.cpp wants to know it from there."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much there is to load."""

    stored: int
    """Bytes in the files."""
    parameters: int | None = None
    """None: the files do not tell without being read whole."""
    plain_parameters: int = 0
    """Those stored as plain floats: an engine converts them to its own dtype while loading."""
    plain_stored: int = 0
    """Bytes of those."""

    def __add__(self, other: Weights) -> Weights:
        return Weights(
            stored=self.stored + other.stored,
            parameters=None if self.parameters is None or other.parameters is None else self.parameters + other.parameters,
            plain_parameters=self.plain_parameters + other.plain_parameters,
            plain_stored=self.plain_stored + other.plain_stored,
        )
