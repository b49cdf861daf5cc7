"""LoRA adapters of a revision: what its pods should hold, and what of it they told."""
