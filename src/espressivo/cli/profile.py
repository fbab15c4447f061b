"""`espressivo profile`: profiles of speakers and settings on this machine."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from espressivo.cli.arguments import add_model
from espressivo.cli.display.printing import print_json, say, tell
from espressivo.cli.display.profiles import effect, summary
from espressivo.cli.recordings import analyze_recording
from espressivo.errors import EspressivoError, ModelError, ProfileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.analyzer import Analyzer
    from espressivo.model.adaptation import AdaptationCard
    from espressivo.profile.profile import Profile
    from espressivo.report import Report

_DESCRIPTION = """\
Manage profiles (enrolment). With the profile of a speaker, a recording is compared with
that speaker's usual voice instead of the average of all speakers. A profile is made
from unlabelled recordings of one person; those of many people make a setting (see
`espressivo adapt`). Profiles contain counts, sums and variances (a few kilobytes) but
no audio, stay on this machine, and are valid for one model."""

_EPILOG = """\
examples:
  espressivo profile create me
  espressivo analyze note.m4a --speaker me       uses it, then learns from the note
  espressivo profile create anna archive/anna/*.ogg
  espressivo profile update anna monday.ogg tuesday.ogg
  espressivo profile show anna
  espressivo profile delete anna

what to use when:
  --speaker    one person who is recorded again and again, in any mood
  --setting    many people, one microphone, room, language or call centre
  --adapt      one long recording of one person, of whom nothing else is known

Profiles are stored in your data folder, or in the folder ESPRESSIVO_PROFILES. NAME can
also be a path ending in .json, such as a profile copied from another machine.

exit codes:
  0 done, 1 the profile or all recordings are at fault, 3 some recordings are (each is
  listed on stderr; the profile is updated with the others)"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "profile",
        help="what a speaker usually sounds like: create, update, show, delete",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=_list)
    actions = parser.add_subparsers(metavar="ACTION")
    actions.add_parser(
        "list", help="the profiles and settings on this machine"
    ).set_defaults(run=_list)
    for name, run, text in (
        ("create", _create, "begin a speaker's profile, from recordings or empty"),
        (
            "update",
            _update,
            "learn from more recordings of the same speaker or setting",
        ),
        (
            "merge",
            _merge,
            "add another profile of the same speaker (or setting) and model",
        ),
        ("show", _show, "what a profile was made from"),
        ("delete", _delete, "remove a profile; there is no way back"),
    ):
        action = actions.add_parser(name, help=text, description=f"{text}.")
        action.add_argument("name", metavar="NAME", help="or a path ending in .json")
        action.set_defaults(run=run)
        _add_options(name, action)


def _add_options(name: str, action: argparse.ArgumentParser) -> None:
    if name in {"create", "update"}:
        action.add_argument(
            "recordings",
            nargs="*" if name == "create" else "+",
            metavar="RECORDING",
            help="of this speaker (or setting) alone, in any order",
        )
        add_model(action)
    if name == "merge":
        action.add_argument(
            "others", nargs="+", metavar="OTHER", help="names or paths; they stay"
        )
    if name == "show":
        action.add_argument(
            "--json", action="store_true", help="print the file, to keep or to copy"
        )


def _list(_: argparse.Namespace) -> int:
    from espressivo.profile.profile import Profile
    from espressivo.profile.store import (
        profile_names,
        profiles_folder,
    )

    names = profile_names()
    if not names:
        say(f"no profiles in {profiles_folder()}; see `espressivo profile create -h`")
    for name in names:
        try:
            say(f"{name}: {summary(Profile.load(name))}")
        except EspressivoError as error:
            tell(error)
    return 0


def _create(args: argparse.Namespace) -> int:
    from espressivo.analyzer import load_model
    from espressivo.profile.profile import (
        Profile,
        create,
    )
    from espressivo.profile.store import profile_path

    path = profile_path(args.name)
    analyzer = load_model(args.model, voices=True)
    empty = Profile.new(path.stem, analyzer.classifier)
    if path.exists():
        create(empty, path)  # raises, since the file exists, before the analysis begins
    reports, n_failed = _analyze_all(analyzer, args.recordings)
    # An empty profile is made only on request, not as the rest of a failure.
    if args.recordings and not reports:
        return 1
    made = empty.merged(*reports)
    create(made, path)
    say(f"{path}: {summary(made)}")
    _warn_of_several(made, analyzer)
    return 3 if n_failed else 0


def _update(args: argparse.Namespace) -> int:
    from espressivo.analyzer import load_model
    from espressivo.profile.profile import (
        Kind,
        Profile,
        learn,
    )

    profile = Profile.load(args.name)
    role = "setting" if profile.kind is Kind.SETTING else "profile"
    analyzer = load_model(args.model, **{role: profile})
    reports, n_failed = _analyze_all(analyzer, args.recordings)
    if not reports:
        return 1
    # The profile is updated once, after all analyses: an interrupt changes nothing.
    learned = learn(args.name, *reports)
    say(f"{args.name}: {summary(learned)}")
    _warn_of_several(learned, analyzer)
    return 3 if n_failed else 0


def _merge(args: argparse.Namespace) -> int:
    from espressivo.profile.profile import (
        Profile,
        learn,
    )
    from espressivo.profile.store import profile_path

    path = profile_path(args.name)
    if path in map(profile_path, args.others):
        raise ProfileError(
            f"{args.name}: would count twice what it has heard; merge others into it"
        )
    others = [Profile.load(other) for other in args.others]
    say(f"{args.name}: {summary(learn(args.name, *others))}")
    return 0


def _show(args: argparse.Namespace) -> int:
    from espressivo.profile.profile import Profile
    from espressivo.profile.store import profile_path

    profile = Profile.load(args.name)
    if args.json:
        import json

        print_json(json.dumps(profile.to_dict(), indent=1))
        return 0
    path = profile_path(args.name)
    say(f"{path}: {path.stat().st_size / 1000:.1f} kB")
    say(f"  {profile.kind:<11} {profile.name}")
    say(f"  model       {profile.model} {profile.model_version}")
    say(f"              sha256 {profile.model_sha256}")
    say(f"  heard       {summary(profile).partition(', ')[2]}")
    if (card := _card_of(profile)) is not None:
        say(f"  offset      {effect(profile, card)}")
        if (warning := profile.warning(card)) is not None:
            tell(f"warning: {warning}")
    return 0


def _card_of(profile: Profile) -> AdaptationCard | None:
    """Return what the profile's model knows of voices; None if it is not here."""
    from espressivo.model.classifier import read_card
    from espressivo.model.find import find_model

    try:
        card = read_card(find_model(profile.model))
    except ModelError:  # a profile may be shown where its model is not
        return None
    return card.adaptation if card.sha256 == profile.model_sha256 else None


def _delete(args: argparse.Namespace) -> int:
    from espressivo.profile.profile import delete

    say(f"{delete(args.name)}: deleted")
    return 0


def _analyze_all(
    analyzer: Analyzer, recordings: Sequence[str]
) -> tuple[list[Report], int]:
    """Return the reports with speech, and the number of unreadable recordings."""
    reports: list[Report] = []
    n_failed = 0
    for given in recordings:
        try:
            report = analyze_recording(analyzer, given)
        except EspressivoError as error:
            tell(error)
            n_failed += 1
            continue
        if report.statistics is None or not report.statistics.n_windows:
            tell(f"{given}: no speech found, nothing learned")
        else:
            reports.append(report)
        _warn(given, report.warnings)
    return reports, n_failed


def _warn(given: str, warnings: Sequence[str]) -> None:
    for warning in warnings:
        tell(f"warning: {given}: {warning}")


def _warn_of_several(profile: Profile, analyzer: Analyzer) -> None:
    warning = profile.warning(analyzer.classifier.require_adaptation())
    if warning is not None:
        tell(f"warning: {warning}")
