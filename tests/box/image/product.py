"""Something in the cache that is made from inputs, and is made again only when they have changed."""

from __future__ import annotations

import ast
import fcntl
import hashlib
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from box import cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from box.progress import Progress

REPOSITORY = Path(__file__).parents[3]
HERE = "tests/box/image"


@dataclass(frozen=True, slots=True)
class Product:
    """A file or a folder, and how it is made."""

    name: str
    """What a person types: `python3 -m box.image build NAME`."""
    place: str
    """Its path in the cache, such as `images/base.tar`."""
    about: str
    """What it is, in one line."""
    make: Callable[[Path], None]
    """Makes it at the given path, which does not exist yet and lies beside its place."""
    recipe: tuple[str, ...]
    """The Python modules of the repository that say how; their comments and docstrings do not count."""
    sources: tuple[str, ...] = ()
    """Files and folders of the repository that are copied into it."""
    needs: tuple[Product, ...] = ()
    """What must be there before it is made."""
    image: str = ""
    """The container image's name in the box, when it is one."""
    seconds: float | None = None
    """About how long it takes with two cores, when a person will wonder."""
    gigabytes: float = 0.5
    """Free disk that making it takes."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        return cache.folder() / self.place

    def digest(self) -> str:
        """Changes when an input changes, or one of an input's inputs."""
        own = [digest(REPOSITORY, self.recipe, meaning), digest(REPOSITORY, self.sources, Path.read_bytes)]
        parts = [self.name, *own, *(needed.digest() for needed in self.needs)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def fresh(self) -> bool:
        """Whether it is there and was made from these inputs."""
        return self.path.exists() and self._made_from() == self.digest()

    def size(self) -> str:
        """`34 MB`: as noted when it was made, since a root file system has 40,000 files."""
        return self._stamp.read_text().splitlines()[1]

    def _made_from(self) -> str:
        return self._stamp.read_text().splitlines()[0] if self._stamp.exists() else ""

    @property
    def _stamp(self) -> Path:
        return self.path.with_name(f"{self.path.name}.inputs")

    def build(self, progress: Progress) -> None:
        """Makes it and what it needs, or says that it is there. At most one process of the machine builds at a time."""
        if not self.fresh():
            with _alone(progress):
                self._build(progress)
        else:
            progress.say(f"{self.name}: unchanged, {self.size()}")

    def _build(self, progress: Progress) -> None:
        if self.fresh():  # made by the process that was waited for, or for another product's sake
            return
        digest_now = self.digest()
        for needed in self.needs:
            needed._build(progress)  # noqa: SLF001  its own class; the lock is held
        cache.room_for(self.gigabytes, self.name)
        unfinished = self.path.with_name(f"{self.path.stem}.part{self.path.suffix}")
        remove(unfinished)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with progress.step(self.name, self.seconds):
                self.make(unfinished)
        except BaseException:  # also Ctrl-C: half an image may have a gigabyte
            remove(unfinished)
            raise
        self._stamp.unlink(missing_ok=True)
        remove(self.path)
        unfinished.replace(self.path)
        self._stamp.write_text(f"{digest_now}\n{size(self.path)}\n")
        progress.say(f"  {self.size()} in {self.path}")


def digest(root: Path, inputs: Iterable[str], read: Callable[[Path], bytes]) -> str:
    """One hash over names, contents and executable bits; a symbolic link counts as what it points to."""
    total = hashlib.sha256()
    for name in inputs:
        for path in _files(root / name):
            mode = "x" if path.stat().st_mode & 0o100 else "-"
            total.update(f"{path.relative_to(root)} {mode} {hashlib.sha256(read(path)).hexdigest()}\n".encode())
    return total.hexdigest()


def meaning(module: Path) -> bytes:
    """A Python module without its comments, docstrings and format: an edit of those rebuilds nothing."""
    tree = ast.parse(module.read_bytes())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):  # a lambda's body is one expression
            body[:] = [part for part in body if not _is_docstring(part)] or [ast.Pass()]
    return ast.unparse(tree).encode()  # the same text with every version of Python, unlike ast.dump


def _is_docstring(statement: ast.stmt) -> bool:
    """Also the docstring of an attribute: a text that stands alone does nothing."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(found for found in path.rglob("*") if found.is_file() and "__pycache__" not in found.parts)


def remove(path: Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def size(path: Path) -> str:
    """`34 MB`: of a file, or of all files in a folder, each counted once."""
    found = {(stat.st_dev, stat.st_ino): stat.st_size for stat in (each.lstat() for each in [path, *path.rglob("*")])}
    return f"{sum(found.values()) / 1e6:,.0f} MB"


@contextmanager
def _alone(progress: Progress) -> Iterator[None]:
    with (cache.folder() / "images.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("another process builds images: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
