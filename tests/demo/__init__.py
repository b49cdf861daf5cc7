"""`make demo`: a real cluster, the operator from its chart, a model from one file, and its answer on the terminal."""
