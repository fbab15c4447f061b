"""What the wheel, the sdist and the npm package hold, against what they should."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

APP_LIMIT = 28.0
"""Megabytes (10^6 bytes) of the app with all models.

The models are 20.8, the runtime is 3.7 in gzip, speech detection 1.2.
"""

SMALLEST_APP_LIMIT = 8.0
"""Megabytes (10^6 bytes) of the app with its smallest model alone."""

_MODELS = [
    f"{model}/{file}"
    for model in ("espressivo-base", "espressivo-tiny")
    for file in (
        "model.json",
        "model.onnx",
        "LICENSES/TRAINING-DATA.md",
        "LICENSES/whisper-LICENSE.txt",
    )
] + [
    f"espressivo-nano/{file}"
    for file in ("model.json", "model.onnx", "LICENSES/TRAINING-DATA.md")
]
# What the licences of a build name.
_LICENSED = (
    "espressivo-base",
    "espressivo-nano",
    "Whisper",
    "Silero VAD",
    "onnxruntime-web",
    "Mediabunny",
    "mpg123",
)
# What a build from web/ may hold.
_BUILT = re.compile(
    r"licences\.txt|models/models\.json|models/[\w-]+/[\w./-]+"
    r"|assets/[\w.-]+\.(js|css|wasm(\.gz)?|onnx)|(espressivo|node)\.js|types/[\w/-]+\.d\.ts"
    r"|(index|example)\.html|sw\.js|_headers|manifest\.webmanifest|icons/[\w-]+\.(png|svg)"
)
_TESTS = ("tests/", "web/test/", "web/e2e/", "benchmarks/", "research/")


@dataclass(frozen=True, slots=True)
class Checkout:
    """Names of the files that the three are made from.

    Attributes:
        tracked: Git's files.
        app: Files in web/dist, with their sizes in bytes.
        lib: Files in web/lib, with their sizes in bytes.
    """

    tracked: frozenset[str]
    app: dict[str, int]
    lib: dict[str, int]

    @classmethod
    def read(cls, root: Path) -> Checkout:
        """Ask git, and list the builds."""
        said = subprocess.run(
            ["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True
        )
        tracked = frozenset(said.stdout.decode().strip("\0").split("\0"))
        return cls(tracked, _sizes(root / "web" / "dist"), _sizes(root / "web" / "lib"))

    def below(self, *folders: str) -> set[str]:
        """Return git's files whose names begin so."""
        return {name for name in self.tracked if name.startswith(folders)}

    def app_below(self, folder: str) -> set[str]:
        """Return the app's names in a folder; not its models, which the package has."""
        names = (name for name in self.app if not re.match(r"models/[^/]+/", name))
        return {f"{folder}/{name}" for name in names}


@dataclass(frozen=True, slots=True)
class Kind:
    """Content of one of the three.

    Attributes:
        pattern: File name.
        limit: Megabytes (10^6 bytes) it may have.
        promised: Names that it must hold, whatever the checkout holds.
        wanted: Names that it must hold, from a checkout.
        allowed: Further names that it may hold.
        models: Folder of the models.
    """

    pattern: str
    limit: float
    promised: tuple[str, ...]
    wanted: Callable[[Checkout], set[str]]
    allowed: Callable[[Checkout], set[str]]
    models: str


def _of_wheel(checkout: Checkout) -> set[str]:
    return {
        *(name.removeprefix("src/") for name in checkout.below("src/espressivo/")),
        *checkout.app_below("espressivo/assets/app"),
        "espressivo/assets/report.schema.json",
        *(f"dist-info/licenses/{name}" for name in checkout.below("LICENSE")),
    }


def _of_sdist(checkout: Checkout) -> set[str]:
    sources = checkout.below("src/", "web/src/", "web/build/", "web/public/", "LICENSE")
    return sources | checkout.app_below("web/dist")


_ASSETS = "espressivo/assets"
KINDS = {
    "wheel": Kind(
        "*.whl",
        limit=25,
        promised=(
            "espressivo/py.typed",
            f"{_ASSETS}/app/index.html",
            f"{_ASSETS}/app/licences.txt",
            f"{_ASSETS}/silero-vad-LICENSE.txt",
            f"{_ASSETS}/whisper-LICENSE.txt",
            "dist-info/licenses/LICENSE",
            *(f"dist-info/{n}" for n in ("METADATA", "WHEEL", "RECORD")),
            "dist-info/entry_points.txt",
        ),
        wanted=_of_wheel,
        allowed=lambda checkout: {
            f"dist-info/licenses/{name}"
            for name in checkout.tracked
            if name.endswith("-LICENSE.txt")
        },
        models=f"{_ASSETS}/models",
    ),
    "sdist": Kind(
        "*.tar.gz",
        limit=25,
        promised=(
            "PKG-INFO",
            "README.md",
            "hatch_build.py",
            "web/package-lock.json",
            "web/dist/index.html",
            "web/dist/licences.txt",
            f"src/{_ASSETS}/silero-vad-LICENSE.txt",
            f"src/{_ASSETS}/whisper-LICENSE.txt",
        ),
        wanted=_of_sdist,
        allowed=lambda checkout: {*checkout.tracked} - checkout.below(*_TESTS),
        models=f"src/{_ASSETS}/models",
    ),
    "npm package": Kind(
        "*.tgz",
        limit=24,
        promised=(
            "package.json",
            "README.md",
            "lib/espressivo.js",
            "lib/node.js",
            "lib/types/index.d.ts",
            "lib/assets/worker.js",
            "lib/assets/silero_vad.onnx",
            "lib/models/models.json",
            "lib/licences.txt",
        ),
        wanted=lambda checkout: {f"lib/{name}" for name in checkout.lib},
        allowed=lambda _: {"LICENSE"},
        models="lib/models",
    ),
}


def problems_of(kind: Kind, file: Path, checkout: Checkout) -> list[str]:
    """Return what is wrong with one of the three, a line each; print its size."""
    content = read(file)
    size = file.stat().st_size / 1e6
    print(f"{file.name}: {size:.2f} MB, {len(content)} files")
    wanted = {*kind.promised, *kind.wanted(checkout)}
    wanted |= {f"{kind.models}/{name}" for name in _MODELS}
    found = [f"{name} is missing" for name in sorted(wanted - content.keys())]
    stray = content.keys() - wanted - kind.allowed(checkout)
    found += [f"{name} does not belong there" for name in sorted(stray)]
    if size > kind.limit:
        found.append(f"{size:.2f} MB, not at most {kind.limit:.0f}")
    for name, data in content.items():
        if name.startswith(f"{kind.models}/") and name.endswith("/model.onnx"):
            card = json.loads(content.get(name.replace(".onnx", ".json"), b"{}"))
            if hashlib.sha256(data).hexdigest() != card.get("sha256"):
                found.append(f"{name} has another hash than model.json")
        if name.endswith("/licences.txt"):
            text = data.decode()
            found += [
                f"{name} is without {part}" for part in _LICENSED if part not in text
            ]
    return [f"{file.name}: {line}" for line in found]


def problems_of_build(
    where: str,
    sizes: dict[str, int],
    limit: float = float("inf"),
    smallest_limit: float = float("inf"),
) -> list[str]:
    """Return what is wrong with a folder that was built from `web/`, a line each.

    Args:
        where: The folder, for the lines.
        sizes: Names of its files, and bytes.
        limit: Megabytes (10^6 bytes) it may have.
        smallest_limit: Megabytes that it may have with its smallest model alone.
    """
    megabytes = sum(sizes.values()) / 1e6
    smallest = megabytes - sum(sorted(_bytes_of_models(sizes))[1:]) / 1e6
    print(f"{where}: {megabytes:.2f} MB, {len(sizes)} files")
    print(f"{where} with its smallest model alone: {smallest:.2f} MB")
    found = [f"{n} does not belong there" for n in sizes if not _BUILT.fullmatch(n)]
    runtimes = [name for name in sizes if name.endswith((".wasm", ".wasm.gz"))]
    if len(runtimes) != 1:
        found.append(f"{len(runtimes)} runtimes {runtimes}, not one; build it")
    if megabytes > limit:
        found.append(f"{megabytes:.2f} MB, not at most {limit:.0f}")
    if smallest > smallest_limit:
        found.append(
            f"{smallest:.2f} MB with its smallest model, not at most "
            f"{smallest_limit:.0f}"
        )
    return [f"{where}: {line}" for line in found]


def _bytes_of_models(sizes: dict[str, int]) -> list[int]:
    """Return the bytes of each model's folder."""
    models: dict[str, int] = {}
    for name, size in sizes.items():
        if found := re.match(r"models/([^/]+)/", name):
            models[found[1]] = models.get(found[1], 0) + size
    return [*models.values()]


def read(file: Path) -> dict[str, bytes]:
    """Return the files of a wheel or tarball, without the one folder all is in.

    `espressivo-VERSION.dist-info` of a wheel is `dist-info` here.
    """
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel:
            return {
                re.sub(r"^[^/]+\.(?=dist-info/)", "", name): wheel.read(name)
                for name in wheel.namelist()
            }
    with tarfile.open(file) as archive:
        return {
            member.name.partition("/")[2]: part.read()
            for member in archive
            if (part := archive.extractfile(member))
        }


def _sizes(folder: Path) -> dict[str, int]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
