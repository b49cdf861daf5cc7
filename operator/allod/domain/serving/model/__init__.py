"""What a model's files say about it, and whether it fits: pure, and no length that a file claims is trusted."""
