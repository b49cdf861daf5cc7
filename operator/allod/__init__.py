"""Allod: private LLMs on Kubernetes, held outright."""

__version__ = "0.1.0"
