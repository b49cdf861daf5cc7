"""The rungs of the test ladder, from pure code to a real engine in a real pod: what each runs and how long it took."""
