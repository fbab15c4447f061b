"""`espressivo models`: list, describe and verify bundled models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


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
        print(f"{name} {card.version}  {size:.1f} MB  {', '.join(card.emotions)}")
    return 0


def _show(args: argparse.Namespace) -> int:
    import json

    from espressivo.model.classifier import read_card
    from espressivo.model.find import find_model

    details = read_card(find_model(args.model)).details
    print(json.dumps(details, indent=2, ensure_ascii=False))
    return 0


def _verify(args: argparse.Namespace) -> int:
    from espressivo.model.classifier import load_classifier
    from espressivo.model.find import find_model

    classifier = load_classifier(find_model(args.model))
    card = classifier.card
    if card.profile_head is not None:
        classifier.require_profile_head()
    print(f"{card.name} {card.version}: intact (sha256 {card.sha256})")
    return 0
