"""The two ends of a refinement that goes through a store: a folder of this machine, or one that fsspec reaches, which
have the same methods. Files go by their names below the folder, "sub/a.png".

An object store writes an object whole or not at all, so a process that dies leaves none that is half.
"""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol

from simrefine.addresses import Place, Url
from simrefine.data.folders import Reject, mirrored
from simrefine.errors import UserError
from simrefine.files import publishing_file, remove_leftovers, reporting_disk_faults
from simrefine.reading import Unreadable, read_regular
from simrefine.refining.places import MAX_MANIFEST_BYTES, Work, list_work, work_of_names
from simrefine.threads import run_ahead, thread_pool

CHANGED = ("LastModified", "last_modified", "updated", "mtime", "created")  # what stores call it, the surest first
REMOVING = 32  # objects at once
AGAIN = "the same command goes on where this one stopped"
INSTALL = "install it: pip install -c constraints.txt '.[store]' for s3, and gcsfs for gs or adlfs for az"


class Entry(NamedTuple):
    """A file.

    Args:
        size: bytes.
        changed: when, seconds since 1970 by the clock of its store; None where the store does not say.
    """

    size: int
    changed: float | None


class Tree(Protocol):
    """A folder, read and written by names."""

    address: Place

    def entries(self) -> dict[str, Entry]:
        """All files, none if the folder is not there. Links are none."""

    def work(self, exclude: Sequence[str], copy: Sequence[str], out: "Tree") -> tuple[Work, dict[str, Entry]]:
        """What there is to do with it as the input of `out`, see `list_work`, and its files."""

    def name_of(self, other: "Tree") -> str | None:
        """The name that another tree's folder has in this one, "" if it is the same; None if it lies elsewhere, as with
        one of this machine and one of a store."""

    def fetch(self, names: Sequence[str], folder: Path) -> None:
        """Puts the files of these names below a new `folder` of this machine: copies, or links."""

    def store(self, files: Sequence[tuple[Path, str]]) -> None:
        """Writes each file of this machine under its name; each is complete or absent at any time."""

    def read(self, name: str) -> bytes | None:
        """A small file; None if there is none."""

    def create(self, name: str, content: bytes) -> bool:
        """Writes a small file where there is none; False if there is one, as another process was first."""

    def remove(self, names: Iterable[str]) -> None:
        """Removes files, those that are there."""


def open_tree(address: Place) -> Tree:
    """The tree at an address.

    Raises:
        UserError: what reaches this kind of store is not installed, or there is no such kind.
    """
    return StoreTree(address) if isinstance(address, Url) else LocalTree(address)


class LocalTree:
    """A folder of this machine."""

    def __init__(self, folder: Path):
        self.address = folder

    def entries(self) -> dict[str, Entry]:
        found = {}
        for parent, _, names in os.walk(self.address):
            for path in (Path(parent, name) for name in names):
                if path.is_file() and not path.is_symlink():
                    found[path.relative_to(self.address).as_posix()] = _entry_of(path)
        return found

    def work(self, exclude: Sequence[str], copy: Sequence[str], out: "Tree") -> tuple[Work, dict[str, Entry]]:
        nowhere = Path(os.devnull) / "out"  # the output is not on this machine, so no file of the input lies in it
        work = list_work([self.address], nowhere, exclude, copy)
        records = [*(job.record for job in work.jobs), *(record for record, _ in work.labels)]
        unfit = {str(each.relative) for each in records if not _is_utf8(str(each.relative))}
        jobs = [job for job in work.jobs if str(job.record.relative) not in unfit]
        labels = [label for label in work.labels if str(label[0].relative) not in unfit]
        refused = [*work.refused, *(Reject(name, "has a name that no store can have: rename it") for name in unfit)]
        # What a dead link leads to has no entry: reading it will report the fault.
        entries = {str(each.relative): _entry_of(each.path) for each in records if each.path.exists()}
        return Work(jobs, labels, refused, work.linked), entries

    def name_of(self, other: Tree) -> None:
        return None

    def fetch(self, names: Sequence[str], folder: Path) -> None:
        for name in names:
            link = folder / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(Path(os.path.abspath(self.address / name)))

    def store(self, files: Sequence[tuple[Path, str]]) -> None:
        for parent in {mirrored(self.address, PurePosixPath(name)).parent for _, name in files}:
            remove_leftovers(parent)
        for path, name in files:
            target = self.address / name
            try:
                with open(path, "rb") as source, publishing_file(target) as file:
                    shutil.copyfileobj(source, file)
            except OSError as error:
                raise UserError(f"cannot write {target}: {error.strerror}", f"make room for it; {AGAIN}") from error

    def read(self, name: str) -> bytes | None:
        path = self.address / name
        try:
            return read_regular(path, MAX_MANIFEST_BYTES) if path.exists() else None
        except Unreadable:
            return b""

    def create(self, name: str, content: bytes) -> bool:
        try:
            with publishing_file(self.address / name, replace=False) as file:
                file.write(content)
        except UserError as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise
            return False
        return True

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            path = self.address / name
            if path.is_symlink() or path.is_file():
                with reporting_disk_faults(path):
                    path.unlink()


def _is_utf8(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def _entry_of(path: Path) -> Entry:
    status = path.stat()
    return Entry(status.st_size, status.st_mtime)


class StoreTree:
    """A folder in a store. Many files at once go through fsspec's own concurrency."""

    def __init__(self, address: Url):
        self.address = address
        with _reporting_store_faults(address):
            from fsspec.core import url_to_fs

            self._store, root = url_to_fs(address)
        self._root = root.rstrip("/")

    def entries(self) -> dict[str, Entry]:
        below = f"{self._root}/"
        found = {}
        with _reporting_store_faults(self.address):
            self._store.invalidate_cache()
            try:
                for about in self._files():
                    path = about["name"]
                    # One that ends in a slash stands for a folder; one with the folder's own name lies beside it.
                    if path.startswith(below) and not path.endswith("/"):
                        found[path.removeprefix(below)] = Entry(int(about.get("size") or 0), _changed(about))
            except FileNotFoundError:
                return {}
            finally:
                self._store.invalidate_cache()  # what fsspec keeps of a million files takes a GiB
        return found

    def _files(self) -> Iterator[dict[str, Any]]:
        """What the store says of each file: by a listing of its own, or else folder by folder, as the listing that
        fsspec makes for such stores passes over folders that cannot be read."""
        from fsspec.asyn import AsyncFileSystem

        if isinstance(self._store, AsyncFileSystem) and type(self._store)._find is not AsyncFileSystem._find:
            found = self._store.find(self._root, detail=True)
            yield from (about for about in found.values() if about["type"] == "file")
            return
        waiting = [self._root]
        while waiting:
            folder = waiting.pop()
            for about in self._store.ls(folder, detail=True):
                if about["type"] == "file":
                    yield about
                elif about["name"].rstrip("/") != folder:
                    waiting.append(about["name"])

    def work(self, exclude: Sequence[str], copy: Sequence[str], out: "Tree") -> tuple[Work, dict[str, Entry]]:
        inside = self.name_of(out)  # what an earlier run wrote there is no input
        entries = {name: e for name, e in self.entries().items() if not (inside and name.startswith(f"{inside}/"))}
        refused = _unfit(entries)
        fit = (name for name in entries if name not in refused)
        work = work_of_names(fit, self.address, exclude, copy)
        return Work(work.jobs, work.labels, [Reject(name, reason) for name, reason in refused.items()], ()), entries

    def name_of(self, other: Tree) -> str | None:
        if not isinstance(other, StoreTree) or self._store != other._store:
            return None
        own, others = f"{self._root}/", f"{other._root}/"
        return others.removeprefix(own).rstrip("/") if others.startswith(own) else None

    def fetch(self, names: Sequence[str], folder: Path) -> None:
        targets = [folder / name for name in names]
        with _reporting_store_faults(self.address):
            for parent in {target.parent for target in targets}:
                parent.mkdir(parents=True, exist_ok=True)
            self._store.get([self._path(name) for name in names], [str(target) for target in targets])

    def store(self, files: Sequence[tuple[Path, str]]) -> None:
        if files:
            with _reporting_store_faults(self.address):
                self._make_folders(name for _, name in files)
                self._store.put([str(path) for path, _ in files], [self._path(name) for _, name in files])

    def read(self, name: str) -> bytes | None:
        with _reporting_store_faults(self.address):
            self._store.invalidate_cache()
            try:
                small = self._store.size(self._path(name)) <= MAX_MANIFEST_BYTES
                return self._store.cat_file(self._path(name)) if small else b""
            except FileNotFoundError:
                return None

    def create(self, name: str, content: bytes) -> bool:
        with _reporting_store_faults(self.address):
            self._make_folders([name])
            try:
                self._store.pipe_file(self._path(name), content, mode="create")
            except FileExistsError:
                return False
        return True

    def remove(self, names: Iterable[str]) -> None:
        # One by one: given many, fsspec takes a name with a star or brackets for a pattern.
        threads = REMOVING if self._store.async_impl else 1
        with _reporting_store_faults(self.address), thread_pool(threads) as pool:
            for _ in run_ahead(pool, self._store.rm_file, map(self._path, names), 2 * threads):
                pass

    def _make_folders(self, names: Iterable[str]) -> None:
        """Makes those that the files of these names belong in. Object stores, with which fsspec deals asynchronously,
        have none, and would make a bucket; disks do, such as that of an SFTP server."""
        if not self._store.async_impl:
            for parent in {self._path(name).rpartition("/")[0] for name in names}:
                self._store.makedirs(parent, exist_ok=True)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _unfit(names: Iterable[str]) -> dict[str, str]:
    """Names that no folder of this machine can have, such as those that would lead out of it, and why."""
    names = set(names)
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    reasons = {}
    for name in sorted(names):
        if {"", ".", ".."} & set(name.split("/")) or "\0" in name:
            reasons[name] = "has a name that no file can have: rename it"
        elif name in folders:
            reasons[name] = "has the name of a folder: rename one of the two"
    return reasons


def _changed(about: dict[str, Any]) -> float | None:
    """When a file was changed, from what its store says of it; seconds since 1970."""
    for key in CHANGED:
        value = about.get(key)
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if value is not None:
            return value.timestamp() if isinstance(value, datetime) else float(value)
    return None


@contextmanager
def _reporting_store_faults(address: Url) -> Iterator[None]:
    """Turns what goes wrong between here and a store into a UserError: each kind of store has exceptions of its own.

    Raises:
        UserError: any Exception but another UserError.
    """
    try:
        yield
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f"{address} needs a package that is not there ({error})", INSTALL) from error
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{address}: {said}", _remedy(error)) from error


def _remedy(error: Exception) -> str:
    """What to do about a fault of a store, by its kind."""
    kind = type(error).__name__
    if isinstance(error, FileNotFoundError):
        return f"is there such a bucket, and such a folder in it? If an object went meanwhile, {AGAIN}"
    if isinstance(error, PermissionError) or any(word in kind for word in ("Credential", "Token", "Auth")):
        return "check the credentials of this store, and what they allow"
    if isinstance(error, ValueError) and "rotocol" in str(error):
        return "check the part before ://"
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return f"parts of the folder go through a temporary one: name a disk with room in TMPDIR, and {AGAIN}"
    return f"check the address and the connection; {AGAIN}"
