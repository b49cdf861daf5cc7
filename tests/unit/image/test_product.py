"""What is built again, and what is not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from box.errors import BoxError
from box.image import catalogue, product
from box.image.product import Product
from box.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

QUIET = Progress(quiet=True)
RECIPE = '''"""How a cake is made."""

EGGS = 3
"""Of a hen."""


def cake(out):
    """Mixes."""
    out.write_text("cake")  # sweet
'''


@pytest.fixture
def kitchen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one recipe and one source, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(product, "REPOSITORY", tmp_path)
    (tmp_path / "cake.py").write_text(RECIPE)
    (tmp_path / "sugar").mkdir()
    (tmp_path / "sugar" / "white").write_text("sweet")
    return tmp_path


def cake(*, needs: tuple[Product, ...] = (), made: list[str] | None = None, name: str = "cake") -> Product:
    def make(out: Path) -> None:
        (made if made is not None else []).append(name)
        out.write_text(name)

    return Product(name, f"images/{name}.tar", "a cake", make, ("cake.py",), ("sugar",), needs=needs, gigabytes=0)


def test_what_is_unchanged_is_made_once(kitchen: Path) -> None:
    made: list[str] = []
    for _ in range(2):
        cake(made=made).build(QUIET)
    assert made == ["cake"]
    assert (kitchen / "cache/allod/images/cake.tar").read_text() == "cake"


@pytest.mark.parametrize(
    ("edit", "again"),
    [
        ({"cake.py": RECIPE.replace("EGGS = 3", "EGGS = 4")}, True),
        ({"cake.py": RECIPE.replace('"cake"', '"pie"')}, True),
        ({"cake.py": RECIPE.replace("# sweet", "# very sweet").replace("Mixes.", "Mixes well.").replace("Of a hen", "Of a duck")}, False),
        ({"sugar/white": "sweeter"}, True),
        ({"sugar/brown": "sweet"}, True),
        ({"sugar/__pycache__/white.pyc": "compiled"}, False),
        ({"salt": "salty"}, False),
    ],
    ids=["a version", "code", "comments and docstrings", "a source", "a new source", "bytecode", "a file that is no input"],
)
def test_an_edit_makes_it_again_only_when_it_changes_what_comes_out(kitchen: Path, edit: dict[str, str], again: bool) -> None:  # noqa: FBT001  a table
    made: list[str] = []
    cake(made=made).build(QUIET)
    for name, text in edit.items():
        (kitchen / name).parent.mkdir(exist_ok=True)
        (kitchen / name).write_text(text)
    cake(made=made).build(QUIET)
    assert made == (["cake", "cake"] if again else ["cake"])


def test_a_link_counts_as_what_it_points_to(kitchen: Path) -> None:
    (kitchen / "sugar" / "link").symlink_to(kitchen / "honey")
    (kitchen / "honey").write_text("from bees")
    before = cake().digest()
    (kitchen / "honey").write_text("from other bees")
    assert cake().digest() != before


@pytest.mark.usefixtures("kitchen")
def test_what_it_needs_is_made_first_and_a_change_of_that_makes_it_again() -> None:
    made: list[str] = []
    egg = cake(made=made, name="egg")
    cake(needs=(egg,), made=made).build(QUIET)
    cake(needs=(replace(egg, recipe=("cake.py", "sugar")),), made=made).build(QUIET)
    assert made == ["egg", "cake", "egg", "cake"]


def test_a_recipe_that_fails_leaves_what_was_there_and_is_tried_again(kitchen: Path) -> None:
    cake().build(QUIET)
    (kitchen / "sugar" / "white").write_text("bitter")

    def burn(out: Path) -> None:
        out.write_text("half")
        raise BoxError("The oven is cold.", "Light it.")

    burning = replace(cake(), make=burn)
    with pytest.raises(BoxError, match="Light it"):
        burning.build(QUIET)
    assert burning.path.read_text() == "cake"
    assert sorted(path.name for path in burning.path.parent.iterdir()) == ["cake.tar", "cake.tar.inputs"]
    assert not burning.fresh()
    cake().build(QUIET)
    assert cake().fresh()


def test_a_disk_that_is_too_small_is_refused_before_anything_is_made(kitchen: Path) -> None:
    huge = replace(cake(), gigabytes=1e9)
    with pytest.raises(BoxError, match=r"cake takes about 1e\+09 GB"):
        huge.build(QUIET)
    assert not (kitchen / "cache/allod/images").exists()


def test_a_program_that_is_absent_is_named_with_its_package_before_anything_is_made(kitchen: Path) -> None:
    spoon = replace(cake(name="spoon"), programs={"no-such-spoon": "cutlery"})
    with pytest.raises(BoxError, match=r"Making spoon, cake needs no-such-spoon, which .*\s+apt-get install cutlery"):
        cake(needs=(spoon,)).build(QUIET)
    assert not (kitchen / "cache/allod/images").exists()


def test_a_program_that_is_absent_does_no_harm_to_what_is_there(kitchen: Path) -> None:
    cake().build(QUIET)
    replace(cake(), programs={"no-such-spoon": "cutlery"}).build(QUIET)
    assert (kitchen / "cache/allod/images/cake.tar").exists()


def test_every_product_has_a_name_and_a_place_of_its_own_and_its_inputs_exist() -> None:
    products = [*catalogue.IMAGES, *catalogue.FILES]
    assert len(set(products)) == len({each.name for each in products}) == len({each.place for each in products}) == len(products)
    missing = [name for each in products for name in (*each.recipe, *each.sources) if not (product.REPOSITORY / name).exists()]
    assert missing == []


def test_an_unknown_name_is_answered_with_those_that_exist() -> None:
    with pytest.raises(BoxError, match=r"no recipe named vlm[\s\S]*vllm-cpu"):
        catalogue.named("vlm")
