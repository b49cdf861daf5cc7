from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from box import machine
from box.errors import BoxError
from box.image.catalogue import named
from demo import example, guard
from demo.answer import NoAnswer, forwarded, streamed
from demo.example import MARKED, ROOT
from demo.place import Place, Unusable, box, current
from demo.survive import survive, take_back
from demo.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

QUESTION = "What is Kubernetes?"
SYSTEM = "allod-system"
IMAGES = ("operator", "llama.cpp", "model-gguf")


def program(*arguments: str) -> None:
    """Runs a part of the box. It shows its own progress and says itself what is wrong."""
    subprocess.run((sys.executable, "-m", *arguments), cwd=ROOT, check=True)


def bring_up(terminal: Terminal) -> Place:
    machine.require_root("A cluster with nodes")  # before minutes are spent on what needs none
    with terminal.step("tools", "Kubernetes, containerd, Helm: built or fetched once, then cached") as step:
        program("box", "prepare")
        step.result = "ready"
    with terminal.step("images", "operator, llama.cpp, a model of 135 million parameters") as step:
        program("box.image", "build", *IMAGES)
        step.result = "ready"
    with terminal.step("cluster", "two real nodes, each with four pretended GPUs") as step:
        program("box", "up")
        program("box", "load", *(str(image.path) for name in IMAGES for image in named(name)))
        place = box()
        step.result = f"{len(place.kube('get', 'nodes', '--no-headers').splitlines())} nodes Ready"
    return place


def somebodys() -> Place:
    """A person's own cluster: named before anything is done there, and left alone where the demo would damage it."""
    place = current()
    print(f"  on {place.name}; the operator goes to namespace {SYSTEM}.", flush=True)
    guard.check(place)
    return place


def install(terminal: Terminal, place: Place) -> None:
    with terminal.step("operator", "helm upgrade --install allod charts/allod") as step:
        settings = [argument for key, value in place.values.items() for argument in ("--set-string", f"{key}={value}")]
        if not place.kube("get", "namespace", SYSTEM, "--ignore-not-found", "--output", "name"):
            place.kube("create", "namespace", SYSTEM)
            place.kube("label", "namespace", SYSTEM, MARKED)
        chart = ("upgrade", "--install", "allod", "charts/allod", "--namespace", SYSTEM, "--labels", MARKED, *settings)
        place.run(*place.helm, *chart, "--wait", "--timeout", "3m")
        lease = place.kube("get", "lease", "-n", SYSTEM, "allod", "-o", "jsonpath={.spec.holderIdentity}")
        step.result = f"2 replicas, {lease} leads"


def serve(terminal: Terminal, place: Place) -> None:
    there = place.kube("get", "mdl", "--output", "jsonpath={.items[*].metadata.name}").split()
    # Who deleted chat after an earlier demo has its standby still, which keeps the name until chat says that it stands in.
    file = example.SURVIVE if "chat-small" in there and "chat" not in there else example.CHAT
    with terminal.step("model", f"kubectl apply -f {file.relative_to(ROOT)}") as step:
        place.kube("apply", "-f", "-", stdin=example.documents(file, place.model_uri))
        take_back(place)
        place.wait("chat", "Ready", 180)
        shown = place.kube("get", "mdl", "chat", "-o", "jsonpath={.status.activeRevision} {.status.readyReplicas}/{.status.replicas}")
        revision, ready = shown.split()
        step.result = f"chat   revision {revision}   {ready} ready"


def ask(terminal: Terminal, place: Place, question: str) -> None:
    with terminal.step("ask", f'"{question}"') as step, forwarded(place.kubectl, "chat", place.environment) as port:
        started, first, pieces = time.monotonic(), 0.0, 0
        print(f"{'':<18}", end="", flush=True)
        for piece in streamed(port, place.kube("get", "mdl", "chat", "-o", "jsonpath={.status.servedName}"), question):
            first = first or time.monotonic() - started
            pieces += 1
            print(piece.replace("\n", f"\n{'':<18}"), end="", flush=True)
        print(flush=True)
        if not pieces:
            raise NoAnswer("the stream ended without a word")
        step.result = f"first word after {first:.1f} s, {pieces / (time.monotonic() - started):.0f} tokens a second"


def show_survival(terminal: Terminal, place: Place) -> None:
    with terminal.step("survive", "a standby is added, and a client asks once a second") as step:
        step.result = survive(terminal, place)


def farewell(terminal: Terminal, place: Place) -> None:
    terminal.line()
    print("The models, and what the operator made for chat:")
    print(place.kube("get", "mdl"))
    print(place.kube("get", "controllerrevisions,statefulsets,pods,services,networkpolicies,pdb", "-l", "allod.dev/model=chat"))
    print("The cluster stays up. Try:" if place.is_box else "Try:")
    if place.is_box:
        print(f"  export KUBECONFIG={place.environment['KUBECONFIG']}")
        print(f"  export PATH={Path(place.kubectl[0]).parent}:{Path(sys.executable).parent}:$PATH")
    print("  kubectl events --for mdl/chat                what happened, as a story")
    print("  kubectl apply -f docs/examples/article.yaml  tensor parallel 4 on one GPU: refused, with the numbers")
    print("  kubectl explain mdl.spec.engine              every field, in full sentences")
    if place.is_box:
        print("  make demo                                    again: what is built and up stays, most of it is the story's own time")
        print("  make cluster-down                            end it; nothing is left but the cache")
        return
    print("End it; the CRDs stay until you delete them, as they do with every uninstall of the chart:")
    print("  kubectl delete mdl chat chat-small")
    print(f"  helm uninstall allod --namespace {SYSTEM} --wait")
    if MARKED in place.kube("get", "namespace", SYSTEM, "--show-labels"):  # one that was there before is not ours to end
        print(f"  kubectl delete namespace {SYSTEM}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="demo", description="A real cluster, a real model, its answer, and its failure survived.")
    parser.add_argument("--cluster", choices=["box", "current"], default="box")
    parser.add_argument("--question", default=QUESTION)
    asked = parser.parse_args(arguments)
    try:
        print("Allod demo: a real Kubernetes cluster, a real model, and its failure survived.", flush=True)
        terminal = Terminal(steps=7 if asked.cluster == "box" else 4)
        place = bring_up(terminal) if asked.cluster == "box" else somebodys()
        install(terminal, place)
        serve(terminal, place)
        ask(terminal, place, asked.question)
        show_survival(terminal, place)
        farewell(terminal, place)
    except KeyboardInterrupt:
        print("\nStopped. What is up stays up: make demo goes on from there, make cluster-down ends a cluster in a box.", file=sys.stderr)
        return 130
    except (Unusable, NoAnswer, BoxError) as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(
            f"\nThe demo stopped: {' '.join(error.cmd)} ended with {error.returncode}; what it says above is the reason.", file=sys.stderr
        )
        return 1
    return 0
