"""`espressivo models`: list, describe and verify bundled models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.cli.display.printing import print_json, say

if TYPE_CHECKING:
    import argparse

    from espressivo.model.classifier import ModelCard


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "models",
        help="list, show and verify models",
        description="List the bundled models, show a model's card, or verify a model "
        "folder: hash, format version, inputs and outputs.",
    )
    parser.set_defaults(run=_list)
    actions = parser.add_subparsers(metavar="ACTION")
    actions.add_parser("list", help="the bundled models").set_defaults(run=_list)
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


def _list(_: argparse.Namespace) -> int:
    from espressivo.model.classifier import read_card
    from espressivo.model.find import (
        bundled_models,
        find_model,
    )

    for name in bundled_models():
        folder = find_model(name)
        card = read_card(folder)
        size = (folder / "model.onnx").stat().st_size / 1e6
        say(f"{name} {card.version}  {size:.1f} MB  {', '.join(card.emotions)}")
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

    classifier = load_classifier(find_model(args.model))
    card = classifier.card
    if card.profile_head is not None:
        classifier.require_profile_head()
    say(f"{card.name} {card.version}: intact (sha256 {card.sha256})")
    return 0
