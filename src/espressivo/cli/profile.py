"""`espressivo profile`: speaker profiles, stored on this machine."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from espressivo.cli.arguments import add_model
from espressivo.cli.display.printing import print_json, say, tell
from espressivo.cli.recordings import analyze_recording
from espressivo.errors import EspressivoError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.analyzer import Analyzer
    from espressivo.profile.profile import Profile
    from espressivo.report import Report

_DESCRIPTION = """\
Manage speaker profiles (enrolment). With a profile, the model compares a recording
with the speaker's usual voice instead of the average of all speakers. A profile is made
from unlabelled recordings of the speaker. It contains counts, means and variances
(about 33 kB) but no audio, stays on this machine, and is valid for one model.

It helps from a handful of recordings on, most if they contain several emotions. It is
of no use for a speaker with a single recording."""

_EPILOG = """\
examples:
  espressivo profile create me
  espressivo analyze note.m4a --speaker me       uses it, then learns from the note
  espressivo profile create anna archive/anna/*.ogg
  espressivo profile update anna monday.ogg tuesday.ogg
  espressivo profile show anna
  espressivo profile delete anna

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
    actions.add_parser("list", help="the profiles on this machine").set_defaults(
        run=_list
    )
    for name, run, text in (
        ("create", _create, "begin a profile, from recordings or empty"),
        ("update", _update, "learn from more recordings of the same speaker"),
        ("merge", _merge, "add another profile of the same speaker and model"),
        ("show", _show, "what a profile was made from"),
        ("delete", _delete, "remove a profile; there is no way back"),
    ):
        action = actions.add_parser(name, help=text, description=f"{text}.")
        action.add_argument("speaker", metavar="NAME", help="or a path ending in .json")
        action.set_defaults(run=run)
        _add_options(name, action)


def _add_options(name: str, action: argparse.ArgumentParser) -> None:
    if name in {"create", "update"}:
        action.add_argument(
            "recordings",
            nargs="*" if name == "create" else "+",
            metavar="RECORDING",
            help="of this speaker alone, in any order",
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
            say(f"{name}: {_summary(Profile.load(name))}")
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

    path = profile_path(args.speaker)
    analyzer = load_model(args.model)
    empty = Profile.new(path.stem, analyzer.classifier)
    if path.exists():
        create(empty, path)  # raises, since the file exists, before the analysis begins
    reports, n_failed = _analyze_all(analyzer.with_profile(empty), args.recordings)
    # An empty profile is made only on request, not as the rest of a failure.
    if args.recordings and not reports:
        return 1
    made = empty.merged(*reports)
    create(made, path)
    say(f"{path}: {_summary(made)}")
    return 3 if n_failed else 0


def _update(args: argparse.Namespace) -> int:
    from espressivo.analyzer import load_model
    from espressivo.profile.profile import (
        Profile,
        learn,
    )

    analyzer = load_model(args.model, profile=Profile.load(args.speaker))
    reports, n_failed = _analyze_all(analyzer, args.recordings)
    if not reports:
        return 1
    # The profile is updated once, after all analyses: an interrupt changes nothing.
    say(f"{args.speaker}: {_summary(learn(args.speaker, *reports))}")
    return 3 if n_failed else 0


def _merge(args: argparse.Namespace) -> int:
    from espressivo.profile.profile import (
        Profile,
        learn,
    )

    others = [Profile.load(other) for other in args.others]
    say(f"{args.speaker}: {_summary(learn(args.speaker, *others))}")
    return 0


def _show(args: argparse.Namespace) -> int:
    from espressivo.profile.profile import Profile
    from espressivo.profile.store import profile_path

    profile = Profile.load(args.speaker)
    if args.json:
        import json

        print_json(json.dumps(profile.to_dict(), indent=1))
        return 0
    path = profile_path(args.speaker)
    say(f"{path}: {path.stat().st_size / 1000:.1f} kB")
    say(f"  speaker     {profile.speaker}")
    say(f"  model       {profile.model} {profile.model_version}")
    say(f"              sha256 {profile.model_sha256}")
    say(f"  heard       {_summary(profile)}")
    return 0


def _delete(args: argparse.Namespace) -> int:
    from espressivo.profile.profile import delete

    say(f"{delete(args.speaker)}: deleted")
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
        if report.speaker_statistics is None or not report.speaker_statistics.n_windows:
            tell(f"{given}: no speech found, nothing learned")
        else:
            reports.append(report)
        _warn(given, report.warnings)
    return reports, n_failed


def _warn(given: str, warnings: Sequence[str]) -> None:
    for warning in warnings:
        tell(f"warning: {given}: {warning}")


def _summary(profile: Profile) -> str:
    statistics = profile.speaker_statistics
    if not statistics.n_windows:
        return "nothing heard yet"
    minutes, seconds = divmod(round(profile.speech_s), 60)
    recordings = "recording" if statistics.n_recordings == 1 else "recordings"
    windows = "window" if statistics.n_windows == 1 else "windows"
    return (
        f"{minutes} min {seconds:02} s of speech, {statistics.n_windows} {windows} of "
        f"{statistics.n_recordings} {recordings}"
    )
