"""Models from a static host: downloaded, verified, and then there, or not at all."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from espressivo.errors import ModelError
from espressivo.model.classifier import load_classifier, read_card
from espressivo.model.download import Patience, downloading, require_safe
from espressivo.model.find import (
    bundled_models,
    find_model,
    find_pulled,
    is_name,
    models_folder,
    pulled_models,
)
from espressivo.model.index import (
    CARD_FILE,
    FILE,
    IndexedModel,
    files_of_card,
    is_sha256,
    read_index,
)
from espressivo.model.stage import disk_errors, publish, staged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from espressivo.types import Progress

_MOST_TEXT = 4_000_000  # bytes of model.json and models.json; ours have 17 thousand
_MOST_GRAPH = 2**31  # the largest file that ONNX's format allows


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model that was pulled.

    Attributes:
        name: Name by which `find_model` finds it, if `folder` is in `models_folder()`.
        version: Version of the model.
        folder: Folder of the model.
        sha256: SHA-256 of `model.json`, in hexadecimal.
        n_bytes: Size of what a program loads of it, in bytes.
        is_new: False: the same model was there already, and nothing was done.
    """

    name: str
    version: str
    folder: Path
    sha256: str
    n_bytes: int
    is_new: bool


def pull_model(
    url: str,
    *,
    name: str | None = None,
    sha256: str | None = None,
    folder: Path | None = None,
    replace: bool = False,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> Pulled:
    """Download a model folder, verify it, and put it among the pulled models.

    Args:
        url: URL of a model folder, or of a `models.json`.
        name: With a `models.json`, which of its models; with a folder, the name to
            store it under. None: the only one, or the name on its card.
        sha256: SHA-256 that `model.json` must have, in hexadecimal. None: whatever the
            host sends is taken.
        folder: Where to put the folder of the model; None: `models_folder()`.
        replace: Replace another version that is there.
        progress: Callback with the number of bytes downloaded, and to download.
        patience: How slow the host may be.

    Raises:
        ModelError: The URL is not allowed, the host fails or sends something else, the
            model is not intact, another one has its name, or the folder cannot be
            written to. Nothing has changed then.
    """
    if sha256 is not None and not is_sha256(sha256 := sha256.lower()):
        raise ModelError(f"{sha256}: is no SHA-256; pass the 64 digits of model.json's")
    if name is not None and not is_name(name):
        raise ModelError(
            f"{name!r} is no name for a model; take letters, digits, -, _ and dots, "
            "at most 64"
        )
    into = models_folder() if folder is None else folder
    patience = patience or Patience()
    base, entry = _located(url, name, patience)
    card = _text(urljoin(base, CARD_FILE), patience)
    found = hashlib.sha256(card).hexdigest()
    if sha256 is not None and found != sha256:
        raise ModelError(
            f"{base}{CARD_FILE}: its sha256 is {found}, not {sha256}; "
            "the host has another model: ask its maker which"
        )
    if entry is not None and found != entry.files[CARD_FILE].sha256:
        raise ModelError(
            f"{base}{CARD_FILE}: is not the one that {FILE} beside it describes; "
            "the host must write it anew, with `espressivo models index`"
        )
    pull = _Pull(base, entry, card, found, progress, patience)
    # The names of bundled models come first where models are found by name.
    taken = bundled_models() if folder is None else []
    with disk_errors(into), staged(into) as stage:
        return pull.into(into, stage, name, taken, replace=replace)


def remove_model(name: str) -> Path:
    """Delete a pulled model and return the folder that it was in.

    Raises:
        ModelError: No pulled model has this name, or it cannot be deleted.
    """
    if (folder := find_pulled(name)) is None:
        is_bundled = name in bundled_models()
        reason = "comes with espressivo, and stays" if is_bundled else "was not pulled"
        known = ", ".join(pulled_models()) or "none"
        raise ModelError(f"{name}: {reason} (pulled: {known})")
    with disk_errors(folder.parent), staged(folder.parent) as stage:
        folder.rename(stage / "gone")  # all of it at once; what is left is deleted
    return folder


@dataclass(frozen=True, slots=True)
class _Pull:
    """A pull whose `model.json` is there."""

    base: str  # URL of the folder, with a slash at the end
    entry: IndexedModel | None
    card_content: bytes
    sha256: str  # of `model.json`
    progress: Progress | None
    patience: Patience

    def into(
        self,
        folder: Path,
        stage: Path,
        name: str | None,
        taken: Sequence[str],
        *,
        replace: bool,
    ) -> Pulled:
        """Put the model into `folder`; `taken` are names that it cannot have."""
        new = stage / "model"
        new.mkdir()
        (new / CARD_FILE).write_bytes(self.card_content)
        with self._named_by_url(new):
            card = read_card(new)
        name = name or (self.entry.name if self.entry else card.name)
        if not is_name(name):
            raise ModelError(
                f"{self.base}{CARD_FILE}: {name!r} cannot be a folder's name; "
                "give one with --name"
            )
        target = folder / name
        if name in taken:
            self._require_bundled(name)
            target = find_model(name)
        if name in taken or self._is_there(target, replace=replace):
            return self._pulled(target, is_new=False)
        with self._named_by_url(new):
            self._download(new, files_of_card(card))
            load_classifier(new)
        try:
            publish(new, target, stage, replace=replace)
        except OSError:
            # Another process may have been first.
            if not self._is_there(target, replace=False):
                raise
            return self._pulled(target, is_new=False)
        return self._pulled(target, is_new=True)

    def _pulled(self, folder: Path, *, is_new: bool) -> Pulled:
        card = read_card(folder)
        files = (CARD_FILE, *files_of_card(card))
        n_bytes = sum((folder / file).stat().st_size for file in files)
        return Pulled(folder.name, card.version, folder, self.sha256, n_bytes, is_new)

    def _require_bundled(self, name: str) -> None:
        if not self._is_in(find_model(name)):
            raise ModelError(
                f"{name}: is the name of another version, which comes with espressivo; "
                f"pull {self.base} under another --name, or --to another folder"
            )

    def _is_there(self, target: Path, *, replace: bool) -> bool:
        """Return whether this model is there already; False where it can come.

        Raises:
            ModelError: Another model, or something else, has its name.
        """
        if not target.exists() and not target.is_symlink():
            return False
        if not (target / CARD_FILE).is_file():
            raise ModelError(
                f"{target}: is there and is no model folder; remove it, or name "
                "another --to"
            )
        if replace:
            return self._is_in(target) and _is_intact(target)
        if not self._is_in(target):
            version = "another version"
            with suppress(ModelError):
                version = f"version {read_card(target).version}"
            raise ModelError(
                f"{target}: holds {version} of that name; give --replace to replace it"
            )
        if not _is_intact(target):
            raise ModelError(
                f"{target}: holds this model, damaged; give --replace to replace it"
            )
        return True

    def _is_in(self, folder: Path) -> bool:
        return (folder / CARD_FILE).read_bytes() == self.card_content

    def _download(self, new: Path, files: dict[str, str]) -> None:
        """Download the graphs; `load_classifier` compares their hashes."""
        listed = None if self.entry is None else self.entry.files
        if listed is not None and any(
            file not in listed or listed[file].sha256 != sha256
            for file, sha256 in files.items()
        ):
            raise ModelError(
                f"{self.base}: {FILE} and {CARD_FILE} disagree about its files; "
                "the host must write it anew, with `espressivo models index`"
            )
        done = 0
        for file in files:
            most = _MOST_GRAPH if listed is None else listed[file].n_bytes
            url = urljoin(self.base, file)
            with (
                downloading(url, most, self.patience) as download,
                (new / file).open("xb") as out,
            ):
                total = done + download.n_bytes if download.n_bytes else None
                if listed is not None:
                    total = sum(listed[one].n_bytes for one in files)
                for block in download.blocks:
                    out.write(block)
                    done += len(block)
                    if self.progress is not None:
                        self.progress(done, total)

    @contextmanager
    def _named_by_url(self, new: Path) -> Iterator[None]:
        """Name the URL, in place of the temporary folder, in what is wrong."""
        try:
            yield
        except ModelError as error:
            text = (
                str(error)
                .replace(f"{new}{os.sep}", self.base)
                .replace(str(new), self.base)
            )
            raise ModelError(text) from error


def _located(
    url: str, name: str | None, patience: Patience
) -> tuple[str, IndexedModel | None]:
    """Return the URL of a model folder, with a slash at its end, and its entry."""
    require_safe(url)
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise ModelError(
            f"{url}: has a ? or #, which a folder's URL has not; leave out what follows"
        )
    if not parts.path.endswith(".json"):
        return url if url.endswith("/") else f"{url}/", None
    if parts.path.endswith(f"/{CARD_FILE}"):
        return url.removesuffix(CARD_FILE), None
    models = read_index(_text(url, patience), url)
    chosen = [one for one in models if name is None or one.name == name]
    if len(chosen) != 1:
        known = ", ".join(model.name for model in models) or "no model"
        remedy = "choose one with --name" if len(models) > 1 else "ask its maker"
        raise ModelError(f"{url}: offers {known}; {remedy}")
    return urljoin(url, f"{chosen[0].name}/"), chosen[0]


def _text(url: str, patience: Patience) -> bytes:
    with downloading(url, _MOST_TEXT, patience) as download:
        return b"".join(download.blocks)


def _is_intact(folder: Path) -> bool:
    try:
        load_classifier(folder)
    except ModelError:
        return False
    return True
