"""A door from 127.0.0.1 of the machine into the box: `python -m box.agent door STATE BOX-PID PORT=HOST:PORT`

A socket belongs to the network that it was made in. So this program listens on the machine first, then moves into the box's network and
connects from there: no interface, no route and no rule on the machine. HOST is an address, SERVICE.NAMESPACE or POD.SERVICE.NAMESPACE.
It ends with the box. To a NetworkPolicy it is an outsider at the address of the box.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from box import dns, namespaces, processes
from box.errors import BoxError, Failed, NotThere, Taken


@dataclass(frozen=True)
class Door:
    """An open door."""

    port: int
    target: str
    pid: int

    def close(self) -> None:
        """No new connection is taken and those that are open end."""
        processes.kill([self.pid])


def hosts(state: Path) -> Path:
    """The names and addresses of the cluster, written by the agent of dns.py."""
    return state / "hosts"


def open_door(state: Path, box: int, target: str, port: int = 0) -> Door:
    """Lets a program listen on 127.0.0.1:PORT (0: any free one) that lives as long as the box."""
    host, _, number = target.rpartition(":")
    if not host or not number.isdigit():
        raise BoxError(f"{target} is no place in the cluster.", "Write SERVICE.NAMESPACE:PORT, POD.SERVICE.NAMESPACE:PORT or ADDRESS:PORT.")
    if not _is_address(host) and not dns.lookup(hosts(state), host):
        raise NotThere(
            f"There is no {host} in the cluster's DNS.", "Write SERVICE.NAMESPACE; `python3 tests/box kubectl get services -A` lists them."
        )
    listening = listen(port)
    port = listening.getsockname()[1]
    # The arguments say all that `doors` must find again; the socket is handed over open, so the port is taken from now on.
    command = [sys.executable, "-m", "box.agent", "door", "door-of", str(state), str(box), f"{port}={target}", str(listening.fileno())]
    environment = {**os.environ, "PYTHONPATH": str(namespaces.SOURCES)}
    with listening:
        processes.spawn(command, state / "log" / "door.log", environment, [listening.fileno()])
    for door in doors(state):
        if door.port == port:
            return door
    raise Failed(f"The door to {target} ended at once.", f"Look at {state}/log/door.log.")


def doors(state: Path) -> list[Door]:
    """All that are open."""
    found = []
    for pid, words in processes.commands():
        if "door-of" in words and words[words.index("door-of") + 1 : words.index("door-of") + 2] == [str(state)]:
            port, target = words[words.index("door-of") + 3].split("=")
            found.append(Door(int(port), target, pid))
    return sorted(found, key=lambda door: door.port)


def listen(port: int) -> socket.socket:
    """A socket on 127.0.0.1; 0 takes any free port."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Taken(
                f"Port {port} of 127.0.0.1 is taken by another program.", "Choose another one, or 0 for any that is free."
            ) from error
        raise Failed(
            f"Cannot listen on 127.0.0.1:{port}: {error.strerror}.", "Choose a port above 1023, or 0 for any that is free."
        ) from error


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdigit()


async def serve(state: Path, target: str, listening: socket.socket, ends_with: int) -> None:
    """Until the process behind the descriptor `ends_with` has ended."""
    host, _, port = target.rpartition(":")

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            address = host if _is_address(host) else random.choice(dns.lookup(hosts(state), host))
            inner_reader, inner_writer = await asyncio.open_connection(address, int(port))
        except (OSError, IndexError) as error:  # IndexError: no address bears the name now
            print(f"{target}: {error}", file=sys.stderr, flush=True)
            writer.close()
            return
        try:
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        except OSError:  # either side may go at any time
            pass
        finally:
            inner_writer.close()
            writer.close()

    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(ends_with, ended.set)
    async with await asyncio.start_server(one, sock=listening):
        await ended.wait()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the sender has no more, which the receiver is told while the other direction may go on."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def main(_mark: str, state: str, box: str, door: str, descriptor: str) -> None:
    listening = socket.socket(fileno=int(descriptor))
    ends_with = os.pidfd_open(int(box))
    namespaces.enter_network(int(box))
    asyncio.run(serve(Path(state), door.partition("=")[2], listening, ends_with))
