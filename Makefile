# One command per habit. `make` alone lists them.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin
BOX    := $(PYTHON) tests/box
# box: a cluster built on this machine. current: whatever `kubectl config current-context` says.
CLUSTER ?= box

.DEFAULT_GOAL := help
.PHONY: help demo test test-unit test-control-plane test-cluster test-vllm lint format generate bench bench-box bench-failover bench-gpu bench-rungs bench-nothing cluster cluster-down images clean

help:            ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/ready: pyproject.toml
	@echo "Python environment in $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed, $(PYTHON) is older: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: apt-get install python3-venv"; exit 1; }
	@$(RUN)/pip install --quiet --disable-pip-version-check --editable '.[operator,dev]'
	@touch $@

demo: $(VENV)/ready            ## a real cluster, the operator and a model that answers (CLUSTER=current: on your own cluster)
	@PYTHONPATH=tests $(RUN)/python -m demo --cluster $(CLUSTER)

test: $(VENV)/ready            ## everything: lint, then each rung, with its time
	@PYTHONPATH=tests $(RUN)/python -m rungs

test-unit: $(VENV)/ready            ## pure code, manifests, chart, queue, lease: no cluster
	@PYTHONPATH=tests $(RUN)/python -m rungs unit

test-control-plane: $(VENV)/ready            ## a real kube-apiserver on loopback: admission, the operator, the chart
	@PYTHONPATH=tests $(RUN)/python -m rungs control-plane

test-cluster: $(VENV)/ready            ## two real nodes: pods, GPUs, failures, the tutorial
	@PYTHONPATH=tests $(RUN)/python -m rungs cluster

test-vllm: $(VENV)/ready            ## real vLLM on CPU, alone and in pods (16 GB of memory)
	@PYTHONPATH=tests $(RUN)/python -m rungs vllm

lint: $(VENV)/ready            ## style, types, layers, and that generated files are up to date
	@PYTHONPATH=tests $(RUN)/python -m rungs lint

format: $(VENV)/ready            ## put the code into its one format
	@$(RUN)/ruff format --quiet . && $(RUN)/ruff check --quiet --fix .

generate: $(VENV)/ready            ## CRDs, the chart's copies, the reference pages
	@$(RUN)/python docs/reference/generate.py

bench: $(VENV)/ready            ## the figures in docs/benchmarks
	@PYTHONPATH=tests:images/engine $(RUN)/python -m bench

bench-box: $(VENV)/ready            ## how long the cluster in a box takes, and its memory
	@PYTHONPATH=tests:images/engine $(RUN)/python -m bench box

bench-failover: $(VENV)/ready            ## from a fault to the first answer of the standby, on real nodes
	@PYTHONPATH=tests:images/engine $(RUN)/python -m bench failover silence hang

bench-gpu: $(VENV)/ready            ## where a GPU and vLLM are: what vLLM takes of it against what Allod reckons, and the watchdog in it
	@PYTHONPATH=operator:tests:images/engine python3 -m bench.gpu measure build/gpu
	@PYTHONPATH=tests:images/engine $(RUN)/python -m bench.gpu publish build/gpu

bench-rungs: $(VENV)/ready            ## publish how long the rungs of the last `make test` took
	@PYTHONPATH=tests $(RUN)/python -m rungs --publish

bench-nothing: $(VENV)/ready            ## from an empty cache to two nodes Ready, with the images of the demo: all is fetched and built again
	@PYTHONPATH=tests:images/engine $(RUN)/python -m bench nothing

cluster:            ## two real nodes on this machine, and how to reach them
	@$(BOX) up

cluster-down:            ## end the cluster in a box; nothing is left but the cache
	@$(BOX) down

images:            ## every container image that demo and tests need
	@$(BOX)/image build all

clean:            ## the Python environment and caches of tools; not the box's cache
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .rungs.json
