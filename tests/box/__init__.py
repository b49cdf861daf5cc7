"""A real Kubernetes cluster on one machine, for tests and demonstrations. README.md beside this file says how it works."""
