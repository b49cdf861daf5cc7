"""Docker archives: what is in them, and that equal input gives equal bytes."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from box import archive

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a program, a link and a file that only others than its owner may not write."""
    folder = tmp_path / "root"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "hello").write_text("#!/bin/sh\necho hello\n")
    (folder / "bin" / "hello").chmod(0o755)
    (folder / "hi").symlink_to("bin/hello")
    (folder / "data").write_bytes(b"x" * 3000)
    return folder


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {entry.name: content.read() for entry in tar if (content := tar.extractfile(entry))}


def image(path: Path) -> dict[str, Any]:
    found = members(path)
    (manifest,) = json.loads(found["manifest.json"])
    return {**json.loads(found[manifest["Config"]]), "tags": manifest["RepoTags"], "layers": manifest["Layers"]}


def test_each_layer_lies_under_its_own_digest_as_the_image_says(tmp_path: Path, root: Path) -> None:
    written = archive.write(tmp_path / "out.tar", "allod.test/hello:1", [root, root / "data"])
    made, found = image(written), members(written)
    digests = [hashlib.sha256(found[layer]).hexdigest() for layer in made["layers"]]
    assert made["rootfs"]["diff_ids"] == [f"sha256:{digest}" for digest in digests]
    assert made["layers"] == [f"{digest}.tar" for digest in digests]
    assert made["tags"] == ["allod.test/hello:1"]


def test_a_folder_lands_at_the_root_and_belongs_to_root(tmp_path: Path, root: Path) -> None:
    written = archive.write(tmp_path / "out.tar", "hello", [root])
    (tmp_path / "layer.tar").write_bytes(members(written)[image(written)["layers"][0]])
    with tarfile.open(tmp_path / "layer.tar") as layer:
        entries = {entry.name: entry for entry in layer}
    assert set(entries) == {"bin", "bin/hello", "data", "hi"}
    assert {(entry.uid, entry.gid, entry.mtime) for entry in entries.values()} == {(0, 0, 0)}
    assert entries["bin/hello"].mode == 0o755
    assert entries["hi"].linkname == "bin/hello"


def test_a_tar_is_taken_as_it_is(tmp_path: Path, root: Path) -> None:
    with tarfile.open(tmp_path / "root.tar", "w") as tar:
        tar.add(root / "data", "etc/data")
    written = archive.write(tmp_path / "out.tar", "hello", [tmp_path / "root.tar"])
    assert members(written)[image(written)["layers"][0]] == (tmp_path / "root.tar").read_bytes()


def test_the_same_layer_twice_is_stored_once(tmp_path: Path, root: Path) -> None:
    written = archive.write(tmp_path / "out.tar", "hello", [root, root])
    assert len(image(written)["rootfs"]["diff_ids"]) == 2
    with tarfile.open(written) as tar:
        assert len(tar.getnames()) == 3


def test_equal_input_gives_equal_bytes_whatever_the_files_times_are(tmp_path: Path, root: Path) -> None:
    first = archive.write(tmp_path / "first.tar", "hello", [root]).read_bytes()
    os.utime(root / "data", (1, 1))
    assert archive.write(tmp_path / "second.tar", "hello", [root]).read_bytes() == first


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        archive.write(tmp_path / "out.tar", "hello", [tmp_path / "absent.tar"])
    assert not list(tmp_path.iterdir())
