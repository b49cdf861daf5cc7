"""What is heard and counted of pods, the evidence that it gives, and the findings that follow from it."""
