"""The container images of the box: engines, a model and the operator, made from package registries alone, without Docker.

`python3 tests/box/image list` names them; catalogue.py is where a new one is added.
"""
