"""`espressivo models`: list, describe, verify, pull and index models."""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.display.printing import print_json, say, tell
from espressivo.errors import EspressivoError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from espressivo.model.classifier import ModelCard
    from espressivo.model.pull import Pulled
    from espressivo.types import Progress

_DESCRIPTION = """\
List the models on this machine, show a model's card, verify a model folder (hash,
format version, inputs and outputs), or fetch one from a static host."""

_EPILOG = """\
examples:
  espressivo models show espressivo-tiny --terms
  espressivo models pull https://HOST/PATH/my-model --sha256 HEX
  espressivo models pull https://HOST/PATH/models.json --name my-model
  espressivo analyze note.m4a --model my-model
  espressivo models index public/models     writes models.json, to host with it

Pulled models are stored in your data folder, or in the folder ESPRESSIVO_MODELS. Only
`pull` uses the network, and sends nothing but requests for the files."""

_PULL = """\
Download a model folder from a static host, compare its files with their hashes, load
it, and only then put it among the models that --model finds by name. The model that is
there already is kept; another version is replaced only with --replace."""

_INDEX = """\
Write DIR/models.json, the index of the model folders in DIR, which `espressivo models
pull` and the browser app read. Every model is verified first."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "models",
        help="list, show, verify, pull and index models",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=_list)
    actions = parser.add_subparsers(metavar="ACTION")
    actions.add_parser(
        "list", help="the bundled and the pulled models, with size and place"
    ).set_defaults(run=_list)
    for name, run, text in (
        ("show", _show, "a model's card: data, licences, results"),
        ("verify", _verify, "exit 0 when the folder is what its card says, else 1"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("model", metavar="NAME|DIR")
        if name == "show":
            action.add_argument(
                "--terms",
                action="store_true",
                help="print only what the model may be used for, and the licence of "
                "each corpus, as text (default: the whole card as JSON)",
            )
        action.set_defaults(run=run)
    _add_pull(actions)
    text = "delete a pulled model"
    remove = actions.add_parser("remove", help=text, description=f"{text}.")
    remove.add_argument("model", metavar="NAME")
    remove.set_defaults(run=_remove)
    index = actions.add_parser(
        "index",
        help="write models.json for a folder of models to host",
        description=_INDEX,
    )
    index.add_argument("folder", metavar="DIR", type=Path)
    index.add_argument(
        "--default",
        metavar="NAME",
        help="the model that an app loads first (default: espressivo's own default if "
        "it is there, or else the first by name)",
    )
    index.set_defaults(run=_index)


def _add_pull(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    pull = actions.add_parser(
        "pull",
        help="fetch a model folder from a URL",
        description=_PULL,
    )
    pull.add_argument(
        "url",
        metavar="URL",
        help="of a model folder or of a models.json; https, or http on this machine",
    )
    pull.add_argument(
        "--sha256",
        metavar="HEX",
        help="SHA-256 of the folder's model.json, which contains those of the other "
        "files (default: take what the host sends, and print its SHA-256)",
    )
    pull.add_argument(
        "--name",
        help="with a models.json: which of its models (default: the only one); with a "
        "folder: the name to store it under (default: the name on its card)",
    )
    pull.add_argument(
        "--to",
        metavar="DIR",
        type=Path,
        help="store it in DIR/NAME (default: in ESPRESSIVO_MODELS, or else in your "
        "data folder, where it is found by name)",
    )
    pull.add_argument(
        "--replace",
        action="store_true",
        help="replace another version of that name (default: exit 1)",
    )
    pull.set_defaults(run=_pull)


def _list(_: argparse.Namespace) -> int:
    from espressivo.model.find import (
        DEFAULT,
        bundled_models,
        pulled_models,
    )

    for name in bundled_models():
        _say_model(name, "bundled, the default" if name == DEFAULT else "bundled")
    for name in pulled_models():
        try:
            _say_model(name)
        except EspressivoError as error:
            tell(error)
    return 0


def _say_model(name: str, place: str | None = None) -> None:
    from espressivo.model.classifier import read_card
    from espressivo.model.find import find_model

    folder = find_model(name)
    card = read_card(folder)
    graph = folder / "model.onnx"
    try:
        size = graph.stat().st_size / 1e6
    except OSError as error:
        raise ModelError(
            f"{graph}: is missing; remove the model, and pull it again"
        ) from error
    emotions = ", ".join(card.emotions)
    say(f"{name} {card.version}  {size:.1f} MB  {emotions}  ({place or folder})")


def _pull(args: argparse.Namespace) -> int:
    from espressivo.model.pull import pull_model

    with _bytes_bar(args.url) as progress:
        pulled = pull_model(
            args.url,
            name=args.name,
            sha256=args.sha256,
            folder=args.to,
            replace=args.replace,
            progress=progress,
        )
    _say_pulled(pulled, is_checked=args.sha256 is not None)
    return 0


def _say_pulled(pulled: Pulled, *, is_checked: bool) -> None:
    there = "" if pulled.is_new else "there already, nothing done: "
    size = f"{pulled.n_bytes / 1e6:.1f} MB"
    say(f"{pulled.name} {pulled.version}: {there}{size} in {pulled.folder}")
    if is_checked:
        say(f"sha256 of model.json: {pulled.sha256}, as expected")
    else:
        say(
            f"sha256 of model.json: {pulled.sha256}, not checked against anything known"
        )
        say("  give --sha256 to refuse any other; see what its maker has published")
    say(f"what it may be used for: espressivo models show {pulled.folder} --terms")


@contextmanager
def _bytes_bar(url: str) -> Iterator[Progress]:
    from rich.progress import DownloadColumn, TimeRemainingColumn

    from espressivo.cli.display.progress import progress_bar
    from espressivo.text import to_line

    with progress_bar(DownloadColumn(), TimeRemainingColumn()) as bar:
        name = url.rstrip("/").rpartition("/")[2]
        task = bar.add_task(to_line(name), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _remove(args: argparse.Namespace) -> int:
    from espressivo.model.pull import remove_model

    say(f"{remove_model(args.model)}: removed")
    return 0


def _index(args: argparse.Namespace) -> int:
    from espressivo.files.atomic import write_text
    from espressivo.model.classifier import load_classifier
    from espressivo.model.index import FILE, index_models, to_json

    # Without hidden folders, in which exports and pulls are under way.
    folders = [card.parent for card in args.folder.glob("[!.]*/model.json")]
    if not folders:
        raise ModelError(
            f"{args.folder}: contains no model folder; pass a folder of model folders"
        )
    models = index_models(folders, args.default)
    for model in models:
        load_classifier(args.folder / model.name)
    write_text(to_json(models), args.folder / FILE)
    for model in models:
        default = "  (default)" if model.is_default else ""
        sha256 = model.files["model.json"].sha256
        say(
            f"{model.name} {model.version}  {model.n_bytes / 1e6:.1f} MB  "
            f"sha256 of model.json: {sha256}{default}"
        )
    return 0


def _show(args: argparse.Namespace) -> int:
    import json

    from espressivo.model.classifier import read_card
    from espressivo.model.find import find_model
    from espressivo.training.corpora.use import permitted_use, sources_of_card

    card = read_card(find_model(args.model))
    if args.terms:
        _print_terms(card)
        return 0
    # Cards of espressivo 0.1 lack it: it is computed from the corpora they name.
    computed = {"use": permitted_use(sources_of_card(card.details))}
    details = {**card.details, **computed}
    print_json(json.dumps(details, indent=2, ensure_ascii=False))
    return 0


def _print_terms(card: ModelCard) -> None:
    from rich.table import Table

    from espressivo.cli.display.console import PlainConsole
    from espressivo.text import to_line
    from espressivo.training.corpora.use import (
        permitted_use,
        sources_of_card,
        use_text,
    )

    sources = sources_of_card(card.details)
    say(f"{card.name} {card.version}: {use_text(sources)}")
    say(f"commercial use: {permitted_use(sources)['commercial']}")
    table = Table(box=None, pad_edge=False)
    for column in ("made from", "licence", "commercial"):
        table.add_column(column, overflow="fold")
    for source in sources:
        row = (source.title, str(source.licence), source.licence.commercial)
        table.add_row(*map(to_line, row))
    PlainConsole().print(table)


def _verify(args: argparse.Namespace) -> int:
    from espressivo.model.classifier import load_classifier
    from espressivo.model.find import find_model

    card = load_classifier(find_model(args.model)).card
    say(f"{card.name} {card.version}: intact (sha256 {card.sha256})")
    return 0
