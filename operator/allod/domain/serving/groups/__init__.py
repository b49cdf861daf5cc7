"""Replicas of several nodes: which pods are one group, and when a lost rank takes its group down."""
