"""Something in the cache that is made from inputs, and is made again only when they have changed."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from box import cache, lock, machine, prerequisites
from box.image.inputs import digest, meaning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from box.progress import Progress

REPOSITORY = Path(__file__).parents[3]
HERE = "tests/box/image"


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """A file or a folder, and how it is made."""

    name: str
    """What a person types: `python3 tests/box/image build NAME`."""
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
    programs: Mapping[str, str] = field(default_factory=dict)
    """Programs of the machine that making it needs, with the Debian package that has each."""
    root: bool = False
    """Whether only root can make it."""
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
            require([self])
            with lock.in_turn(cache.folder() / "images.lock", progress, "builds images"):
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

    def stale(self) -> list[Product]:
        """What must be made to have it, itself last."""
        return [] if self.fresh() else [*(stale for needed in self.needs for stale in needed.stale()), self]


def require(products: Iterable[Product]) -> None:
    """Refuses before minutes are spent, when the machine lacks something that making these needs."""
    making = stale(products)
    names = ", ".join(dict.fromkeys(each.name for each in making))
    if any(each.root for each in making):
        machine.require_root(f"Making {names}")
    prerequisites.check(f"Making {names}", programs(making))


def stale(products: Iterable[Product]) -> list[Product]:
    """What must be made to have them."""
    return [each for product in products for each in product.stale()]


def programs(products: Iterable[Product]) -> dict[str, str]:
    """What making these needs on the machine."""
    return {program: package for each in products for program, package in each.programs.items()}


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
