"""The model that stands in for another: its readiness, its waking, its drills."""
