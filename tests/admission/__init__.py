"""What the API server must take and what it must refuse: one table, run by the evaluator of `allod lint` and by a real kube-apiserver."""
