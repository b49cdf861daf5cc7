"""The container images of the box: engines, a model and the operator, made from package registries alone, without Docker.

`PYTHONPATH=tests python3 -m box.image list` names them; catalogue.py is where a new one is added.
"""
