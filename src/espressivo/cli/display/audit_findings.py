"""Findings of `espressivo corpora audit`, printed for a terminal by severity."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from espressivo.training.folds.audit import Audit
    from espressivo.training.folds.overlap import Finding, Kind


# Limits on lists, so that the verdict at the end stays on the screen.
_N_FOLDS, _N_NAMED, _N_CHARACTERS = 12, 4, 72

# Kinds of findings in the order of printing, the most severe first.
_PHRASES: dict[Kind, str] = {
    "recordings": "{} and {} share recordings",
    "speakers": "{} and {} share speakers",
    "audio": "{} and {} hold the same audio under different names",
    "selection": "{1} recordings choose the epoch: they are in {0} too",
    "talkers": "the speaker column does not say who speaks",
    "no-validation": "nothing validates: fix the epoch before the test is scored",
    "classes": "{} lacks a class",
    "twice-in-part": "{} lists a recording twice",
    "audio-in-part": "{} holds the same audio twice",
    "sessions": "{} and {} share sessions",
    "sentences": "{} and {} share sentences",
}


def print_audit(found: Audit, title: str, console: Console) -> None:
    """Print the counts of each part, the findings, and the verdict."""
    _print_counts(found, title, console)
    n_folds = len({count.fold for count in found.counts})
    grouped: dict[tuple[Kind, tuple[str, ...]], list[Finding]] = {}
    for finding in found.findings:
        grouped.setdefault((finding.kind, finding.parts), []).append(finding)
    if grouped:
        console.print()
    for key in sorted(grouped, key=_gravity):
        _print_finding(grouped[key], n_folds, console)
    for broken in found.undecodable[:_N_NAMED]:
        _line(console, "yellow", f"not compared: {broken.path}: {broken.reason}")
    _more(console, len(found.undecodable) - _N_NAMED, "recording")
    console.print()
    console.print(_verdict(found, n_folds))


def _gravity(group: tuple[Kind, tuple[str, ...]]) -> tuple[int, bool, tuple[str, ...]]:
    kind, parts = group
    return list(_PHRASES).index(kind), parts != ("train", "test"), parts


def _print_counts(found: Audit, title: str, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    labels = list(dict.fromkeys(name for c in found.counts for name in c.labels))
    table = Table(
        title=f"{title}, {counted(found.n_recordings, 'recording')}",
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("fold", overflow="fold")
    table.add_column("part", no_wrap=True)
    for name in (*(label or "unlabelled" for label in labels), "all", "speakers"):
        table.add_column(name, justify="right")
    table.add_column("in train", justify="right")
    shown = list(dict.fromkeys(count.fold for count in found.counts))[:_N_FOLDS]
    for count in found.counts:
        if count.fold not in shown:
            continue
        crossing = str(count.n_speakers_trained) if count.part != "train" else ""
        table.add_row(
            count.fold if count.part == "train" else "",
            count.part,
            *(str(count.labels.get(label, 0)) for label in labels),
            str(sum(count.labels.values())),
            str(count.n_speakers),
            Text(crossing, style="red" if count.n_speakers_trained else ""),
            end_section=count.part == "test",
        )
    console.print(table)
    n_folds = len({count.fold for count in found.counts})
    _more(console, n_folds - len(shown), "fold")


def _print_finding(same: list[Finding], n_folds: int, console: Console) -> None:
    first = same[0]
    phrase = _PHRASES[first.kind].format(*first.parts)
    style = "red" if first.leak else "yellow" if first.kind == "talkers" else "dim"
    word = {"red": "leak", "yellow": "wrong", "dim": "note"}[style]
    where = f", in {len(same)} of {counted(n_folds, 'fold')}" if first.fold else ""
    everywhere = len({finding.names for finding in same}) == 1
    lines = [[f] for f in same[: _N_NAMED if first.leak else 1]]
    _line(console, style, f"{word}: {phrase}{where}")
    for findings in [same] if everywhere else lines:
        if first.names:
            fold = "" if everywhere else f"{findings[0].fold}: "
            text = f"  {fold}{_named(findings[0])}{_size(findings)}"
            _line(console, "dim" if style == "dim" else "", text)
    if not everywhere and first.leak:
        _more(console, len(same) - len(lines), "fold")


def _named(finding: Finding) -> str:
    shown: list[str] = []
    for name in finding.names[:_N_NAMED]:
        if shown and len("".join((*shown, name))) > _N_CHARACTERS:
            break
        cut = len(name) > _N_CHARACTERS
        shown.append(f"{name[:_N_CHARACTERS]} ..." if cut else name)
    text = ("; " if finding.kind == "talkers" else ", ").join(shown)
    n_more = len(finding.names) - len(shown)
    return text + (f" and {n_more:,} more" if n_more else "")


def _size(findings: list[Finding]) -> str:
    part = findings[0].parts[-1] if findings[0].parts else "all"
    counts = sorted({f.n_utterances for f in findings})
    shares = sorted({round(100 * f.share) for f in findings})
    if not findings[0].share:
        return ""
    n = counted(counts[-1], "utterance")
    few = f"{counts[0]:,} to " if len(counts) > 1 else ""
    low = f"{shares[0]} to " if len(shares) > 1 else ""
    high = shares[-1] or "under 1"
    return f" ({few}{n}, {low}{high} % of {part})"


def _verdict(found: Audit, n_folds: int) -> Text:
    from rich.text import Text

    n_mute = found.n_recordings - found.n_decoded
    unsure = ""
    if not found.decoded:
        unsure = " (by names alone: no audio was compared)"
    elif n_mute:
        all_ = counted(found.n_recordings, "recording")
        unsure = f" (the audio of {n_mute:,} of {all_} could not be compared)"
    if found.leaks:
        n_leaking = len({finding.fold for finding in found.leaks})
        where = f" in {n_leaking} of {counted(n_folds, 'fold')}{unsure}"
        return Text.assemble(("leak", "bold red"), where)
    compared = "speaker" if n_mute == found.n_recordings else "speaker, no audio"
    where = f": no {compared} is in two parts of a fold{unsure}"
    return Text.assemble(("no leak", "bold green"), where)


def _line(console: Console, style: str, text: str) -> None:
    console.print(text, style=style)


def _more(console: Console, n: int, what: str) -> None:
    if n > 0:
        console.print(f"  ... and {counted(n, f'more {what}')} (--json names all)")


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, such as `1 fold` or `2 folds`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
