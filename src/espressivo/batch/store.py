"""Storage of an archive: a local folder, or one in an object store (fsspec).

Both write files atomically, which is the only guarantee that an archive relies on.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

from espressivo.errors import ArchiveError
from espressivo.files.atomic import flush_names, replacing
from espressivo.files.locks import locked
from espressivo.files.scratch import scratch_folder
from espressivo.text import shortened, to_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

_LOCK = ".lock"
_NO_NAME = re.compile(r"[\\:\0]")  # what leads elsewhere in a name on Windows


class Store(Protocol):
    """Files in a folder and its subfolders; names are relative paths with slashes.

    Attributes:
        has_locks: Whether `held` keeps other processes out.
    """

    has_locks: bool

    def names(self, folder: str = "") -> set[str]:
        """Return the names in a folder except hidden ones; empty if it is absent."""

    def read(self, name: str) -> bytes:
        """Return a file's content."""

    def ends(self, folder: str, n_bytes: int) -> dict[str, tuple[int, bytes]]:
        """Return the size of each file in a folder, and its last bytes, by name."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically; it is durable when this returns."""

    def delete(self, name: str) -> None:
        """Delete a file, and its subfolder if nothing else is there."""

    def held(self) -> AbstractContextManager[None]:
        """Lock the folder against other processes, if the storage supports locks."""


def is_remote(place: str | Path) -> bool:
    """Return whether a place is a URL for fsspec, such as `s3://...`."""
    return "://" in str(place)


def store_at(place: str | Path) -> Store:
    """Return the store at a path or URL."""
    if not is_remote(place):
        return LocalStore(Path(place))
    files, path = _filesystem_of(str(place))
    # fsspec writes local files in place, and has no locks.
    return LocalStore(Path(path)) if _is_local(files) else RemoteStore(str(place))


@contextmanager
def fetched(address: str, scratch: Path | None = None) -> Iterator[Path]:
    """Yield a local copy of a remote file, with the same name; delete it at exit.

    Args:
        address: URL for fsspec, such as `s3://notes/monday.ogg`.
        scratch: Folder for the copy; None: one in the system's temporary folder.

    Raises:
        OSError: There is no such file, it cannot be read, or it is no regular file.
        ArchiveError: The package for this kind of URL is not installed, or the URL is
            of several stores.
    """
    files, path = _filesystem_of(address)
    # A copy of a device, such as file:///dev/zero, would fill the disk.
    if _is_local(files) and Path(path).exists() and not Path(path).is_file():
        raise OSError(errno.EINVAL, "is no file", address)
    with ExitStack() as stack:
        parent = stack.enter_context(scratch_folder()) if scratch is None else scratch
        prefix = "espressivo-"
        folder = stack.enter_context(TemporaryDirectory(prefix=prefix, dir=parent))
        name = _NO_NAME.sub("_", address.rpartition("/")[2])[-100:]
        copy = Path(folder, name.lstrip(".") or "recording")
        with files.open(path, "rb") as remote, copy.open("wb") as file:
            shutil.copyfileobj(remote, file, 2**20)
        yield copy


class LocalStore:
    """Store in a local folder, which is created when it is locked."""

    has_locks = True

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self, folder: str = "") -> set[str]:
        """Return the names in a folder except hidden ones."""
        path = self.root / folder
        names = {file.name for file in path.iterdir()} if path.is_dir() else set()
        return {name for name in names if not name.startswith(".")}

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return (self.root / name).read_bytes()

    def ends(self, folder: str, n_bytes: int) -> dict[str, tuple[int, bytes]]:
        """Return the size of each file in a folder, and its last bytes, by name."""
        return {
            name: _end_of(self.root / folder / name, n_bytes)
            for name in self.names(folder)
        }

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically and flush it to the disk."""
        path = self.root / name
        if not path.parent.is_dir():
            path.parent.mkdir(exist_ok=True)
            flush_names(self.root)  # a crash of the machine must not lose the folder
        with replacing(path, durable=True) as partial:
            partial.write_bytes(content)

    def delete(self, name: str) -> None:
        """Delete a file, and its subfolder if nothing else is there."""
        path = self.root / name
        path.unlink()
        if path.parent != self.root:
            with suppress(OSError):  # it is not empty
                path.parent.rmdir()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder, and delete partial files that a killed process left.

        Raises:
            ArchiveError: Another process has locked the folder.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.root / _LOCK, patience_s=0))
            except TimeoutError as error:
                raise ArchiveError(
                    f"{self.root}: another process is writing there; wait for it, or "
                    "name another folder"
                ) from error
            for depth in ("", "*/"):
                for partial in self.root.glob(f"{depth}.*.partial"):
                    partial.unlink()
            yield


def _end_of(path: Path, n_bytes: int) -> tuple[int, bytes]:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - n_bytes))
        return size, file.read(n_bytes)


class RemoteStore:
    """Store in a folder of an object store, where puts are atomic."""

    has_locks = False

    def __init__(self, root: str) -> None:
        self.files, path = _filesystem_of(root)
        self.root = path.rstrip("/")

    def names(self, folder: str = "") -> set[str]:
        """Return the names in a folder except hidden ones."""
        # fsspec caches listings, but other processes write to the folder too.
        self.files.invalidate_cache()
        with suppress(FileNotFoundError):
            found = self.files.ls(self._path(folder), detail=False)
            names = {str(path).rstrip("/").rpartition("/")[2] for path in found}
            return {name for name in names if not name.startswith(".")}
        return set()

    def read(self, name: str) -> bytes:
        """Return the content of an object."""
        return bytes(self.files.cat_file(self._path(name)))

    def ends(self, folder: str, n_bytes: int) -> dict[str, tuple[int, bytes]]:
        """Return the size of each file in a folder, and its last bytes, by name."""
        self.files.invalidate_cache()
        found: list[dict[str, Any]] = []
        with suppress(FileNotFoundError):
            found = self.files.ls(self._path(folder), detail=True)
        paths = [str(each["name"]) for each in found]
        sizes = [int(each["size"] or 0) for each in found]
        # All at once, since each one would wait for the network.
        starts = [max(0, size - n_bytes) for size in sizes]
        contents = self.files.cat_ranges(paths, starts, sizes)
        names = (path.rstrip("/").rpartition("/")[2] for path in paths)
        return dict(zip(names, zip(sizes, contents, strict=True), strict=True))

    def write(self, name: str, content: bytes) -> None:
        """Put an object."""
        path = self._path(name)
        self.files.makedirs(path.rpartition("/")[0], exist_ok=True)
        self.files.pipe_file(path, content)

    def delete(self, name: str) -> None:
        """Delete an object."""
        self.files.rm_file(self._path(name))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Do nothing, since an object store has no locks."""
        yield

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}".rstrip("/")


def _filesystem_of(address: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path inside it.

    Raises:
        OSError: The store cannot be reached.
        ArchiveError: fsspec does not know the store, lacks a package for it, or the URL
            is of several.
    """
    import fsspec  # noqa: PLC0415 - of the extra `cluster`

    what = shortened(address)
    # In a chain, such as reference://a.wav::https://host/list, a file of any host says
    # which others are read in its place, those of this machine among them.
    if "::" in address:
        raise ArchiveError(
            f"{what}: is a chain of stores (::), whose files may name any others; give "
            "the address of one store"
        )
    try:
        files, path = fsspec.core.url_to_fs(address)
    except OSError:
        raise
    except Exception as error:  # each store has its own: "Install s3fs to access S3"
        raise ArchiveError(
            f"{what}: is of a store that fsspec cannot reach here "
            f"({shortened(to_line(error))}); install what it needs, or give another "
            "address"
        ) from error
    return files, str(path)


def _is_local(files: Any) -> bool:
    return "file" in (files.protocol if isinstance(files.protocol, tuple) else ())
