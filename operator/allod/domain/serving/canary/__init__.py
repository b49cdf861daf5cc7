"""Two revisions that share the traffic by weights: which part the candidate gets, and when the counts of both decide."""
