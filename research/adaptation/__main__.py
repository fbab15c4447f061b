"""`python -m research.adaptation`: accuracy by history of speaker and setting."""

from __future__ import annotations

import argparse
import csv
import sys
import zlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.cli.arguments import whole_number
from espressivo.cli.display.progress import counting_bar
from espressivo.cli.evaluate import make_folder
from espressivo.files.atomic import replacing
from espressivo.model.classifier import load_classifier
from espressivo.model.find import find_model
from espressivo.training.corpora import CORPORA, read_corpus
from research.adaptation.checks import (
    Rate,
    embed_noises,
    noise_rates,
    spread_rates,
    voice_rates,
)
from research.adaptation.clips import choose, read_clips
from research.adaptation.figure import plot_settings, plot_speakers
from research.adaptation.notes import score_notes
from research.adaptation.parts import (
    SETTINGS,
    SHORT_HISTORIES,
    SHORT_SETTINGS,
    SPEAKER_HISTORIES,
    Material,
    score_archive,
    score_both,
    score_settings,
    score_speakers,
    score_windows_as_notes,
)
from research.adaptation.scores import Paired
from research.adaptation.tables import Case, all_tables
from research.adaptation.variants import EXCEPT, score_variants
from research.held_out import add_cases, require_held_out
from research.run import run
from research.tables import write_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from espressivo.model.classifier import Classifier
    from espressivo.training.corpora import Utterance
    from research.adaptation.clips import Clips

_DESCRIPTION = """\
How does adaptation without labels change accuracy? Clips of speakers who are in no
training corpus are scored with histories of their speaker, with settings of other clips
of their corpus, with both, and as parts of long notes. No clip is in its own history,
except in archives and notes, which are heard before they are judged. All is computed by
the exported model and by `espressivo.model.adaptation`. Intervals are 95 % bootstrap
intervals over speakers."""

_EPILOG = """\
example:
  S=$ESPRESSIVO_DATA/corpora; R=runs/base  # R/X/model was trained without X
  python -m research.adaptation --case $R/ravdess/model ravdess $S/ravdess \\
    --case $R/tess/model tess $S/tess --noise $ESPRESSIVO_DATA/noise --out report

What the model says of the clips is kept in OUT/clips, finished parts in OUT/parts, so
that the same command resumes an interrupted study. RAVDESS is also studied without its
calm speech, which otherwise counts as neutral."""

_PARTS = (
    "speakers",
    "settings",
    "both",
    "archive",
    "windows",
    "notes",
    "fit",
    "spread",
    "noise",
    "variants",
)
_WHOLE = "ravdess"  # scored on all clips: the aims of the method are stated on it


def main(argv: list[str] | None = None) -> int:
    """Run the study and return the exit code."""
    parser = argparse.ArgumentParser(
        "python -m research.adaptation",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_cases(parser, "; repeatable")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="write adaptation.md, tables.csv, cases.csv and figures into this folder",
    )
    parser.add_argument(
        "--noise",
        type=Path,
        metavar="DIR",
        help="also judge the noises of this folder under profiles of the speakers",
    )
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=_PARTS,
        default=_PARTS,
        metavar="PART",
        help=f"parts of the study: {', '.join(_PARTS)} (default: all)",
    )
    parser.add_argument(
        "--short",
        action="store_true",
        help="only short lists of speakers' histories and settings",
    )
    parser.add_argument(
        "--condition",
        default="clean",
        metavar="NAME",
        help="condition in which all clips are heard (default: %(default)s)",
    )
    parser.add_argument(
        "--clips",
        type=whole_number,
        default=240,
        metavar="N",
        help="clips of a corpus that are scored with a history of their own, equally "
        "many of each emotion; all of RAVDESS (default: %(default)s)",
    )
    parser.add_argument(
        "--most",
        type=whole_number,
        default=900,
        metavar="N",
        help="clips of a corpus, of each speaker and label in turn (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--draws",
        type=whole_number,
        default=10,
        metavar="N",
        help="settings and profiles drawn per condition (default: %(default)s)",
    )
    parser.add_argument(
        "--notes",
        type=whole_number,
        default=24,
        metavar="N",
        help="long notes of each kind that are analysed (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="random seed (default: 0)"
    )
    return run(_study_all, parser.parse_args(argv))


def _study_all(args: argparse.Namespace) -> int:
    make_folder(args.out)
    cases: list[Case] = []
    about = [["case", "clips", "scored", "speakers", "model", "sha256"]]
    for model, corpus, root in args.case:
        folder = find_model(model)
        utterances = choose(read_corpus(corpus, Path(root)), args.most, args.seed)
        require_held_out(folder, {corpus, *(u.corpus for u in utterances)})
        for case, row in _study(folder, corpus, utterances, args):
            cases.append(case)
            about.append(row)
    tables = all_tables(cases)
    text = "\n".join(table.to_markdown() for table in tables)
    (args.out / "adaptation.md").write_text(text, "utf-8")
    write_csv(tables, args.out / "tables.csv")
    with (args.out / "cases.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(about)
    if "speakers" in args.parts and not args.short:
        plot_speakers(cases, args.out / "speakers.png")
    if "settings" in args.parts and not args.short:
        plot_settings(cases, args.out / "settings.png")
    print(text)
    return 0


def _study(
    folder: Path, corpus: str, utterances: list[Utterance], args: argparse.Namespace
) -> Iterator[tuple[Case, list[str]]]:
    """Yield the results of one model on one corpus, and those without calm speech."""
    with counting_bar(f"{folder} on {corpus}") as progress:
        clips = read_clips(
            corpus,
            folder,
            utterances,
            args.out / "clips",
            condition=args.condition,
            progress=progress,
        )
    classifier = load_classifier(folder)
    title = CORPORA[corpus].title if corpus in CORPORA else corpus
    parts = _Parts(args, classifier)
    case = Case(corpus, title)
    material = parts.material(clips, whole=corpus == _WHOLE)
    parts.score(case, material)
    parts.check(case, material, utterances)
    yield case, parts.about(material, title)
    if clips.calm.any():
        name = f"{corpus}-without-calm"
        rest = Case(name, f"{title} without calm", averaged=False)
        few = parts.material(clips.without_calm(name), whole=corpus == _WHOLE)
        parts.score(rest, few)
        yield rest, parts.about(few, rest.title)


class _Parts:
    """The parts of the study for one model; finished ones are read from OUT/parts."""

    def __init__(self, args: argparse.Namespace, classifier: Classifier) -> None:
        self._args = args
        self._classifier = classifier
        self._card = classifier.require_adaptation()
        self._folder = args.out / "parts"
        self._folder.mkdir(exist_ok=True)

    def material(self, clips: Clips, *, whole: bool) -> Material:
        """Return the material of a corpus; `whole`: score all of its clips."""
        certainty = self._classifier.card.certainty
        return Material(
            clips,
            self._card,
            certainty.threshold if certainty else 0.5,
            clips.sample(len(clips) if whole else self._args.clips),
            self._args.draws,
            self._args.seed,
        )

    def about(self, material: Material, title: str) -> list[str]:
        """Return a row of `cases.csv`."""
        card, clips = self._classifier.card, material.clips
        counts = [len(clips), len(material.scored), len(set(clips.speakers.tolist()))]
        return [title, *map(str, counts), f"{card.name} {card.version}", card.sha256]

    def score(self, case: Case, material: Material) -> None:
        """Score clips of a corpus in all conditions."""
        histories = SHORT_HISTORIES if self._args.short else SPEAKER_HISTORIES
        settings = SHORT_SETTINGS if self._args.short else SETTINGS
        work: dict[str, Callable[[], dict[str, Paired]]] = {
            "speakers": partial(score_speakers, material, histories),
            "settings": partial(score_settings, material, settings),
            "both": partial(score_both, material),
            "archive": partial(score_archive, material),
            "windows": partial(score_windows_as_notes, material),
        }
        for name, part in work.items():
            if name in self._args.parts:
                case.parts[name] = self._once(case.name, name, part, _paired)

    def check(
        self, case: Case, material: Material, utterances: list[Utterance]
    ) -> None:
        """Do what is done once per corpus: notes, other settings, voices, noise."""
        few = self.material(material.clips, whole=False)
        n_notes = self._args.notes
        work: dict[str, Callable[[], dict[str, Paired]]] = {
            "notes": partial(
                score_notes, material, self._classifier, utterances, n_notes
            ),
            "variants": partial(score_variants, few),
        }
        for name, one in work.items():
            if name in self._args.parts and (name, case.name) != ("variants", EXCEPT):
                case.parts[name] = self._once(case.name, name, one, _paired)
        rates: dict[str, Callable[[], dict[str, Rate]]] = {
            "fit": partial(voice_rates, material),
            "spread": partial(spread_rates, material),
            "noise": partial(self._noises, material),
        }
        for name, part in rates.items():
            if name not in self._args.parts or (
                name == "noise" and not self._args.noise
            ):
                continue
            case.rates[name] = self._once(case.name, name, part, _rate)

    def _noises(self, material: Material) -> dict[str, Rate]:
        plain, voices = embed_noises(self._classifier, self._args.noise)
        return noise_rates(material, plain, voices)

    def _once(
        self,
        case: str,
        name: str,
        work: Callable[[], dict[str, Any]],
        make: Callable[[np.ndarray, float], Any],
    ) -> dict[str, Any]:
        """Return the results of a part, which are computed unless they are there."""
        args = self._args
        settings = (args.condition, args.short, args.clips, args.most, args.draws)
        key = zlib.crc32(repr((*settings, args.notes, args.seed)).encode())
        sha256 = self._classifier.card.sha256[:12]
        path = self._folder / f"{case}-{name}-{sha256}-{key:08x}.npz"
        if not path.exists():
            found = work()
            print(f"{case}: {name}", file=sys.stderr, flush=True)
            arrays: dict[str, Any] = {"names": np.array([*found])}
            for n, result in enumerate(found.values()):
                arrays[f"sums{n}"] = _sums(result)
                arrays[f"size{n}"] = getattr(result, "n_mean", 0.0)
            with replacing(path) as place, place.open("wb") as file:
                np.savez(file, **arrays)
        with np.load(path) as held:
            return {
                name: make(held[f"sums{n}"], float(held[f"size{n}"]))
                for n, name in enumerate(held["names"].tolist())
            }


def _sums(result: Paired | Rate) -> np.ndarray:
    return result.counts if isinstance(result, Rate) else result.sums


def _paired(sums: np.ndarray, size: float) -> Paired:
    return Paired(sums, size)


def _rate(counts: np.ndarray, _: float) -> Rate:
    return Rate(counts)


if __name__ == "__main__":
    sys.exit(main())
