"""What a model may be used for, computed from the licences of what it was made from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from espressivo.errors import ConfigError, CorpusError, ModelError
from espressivo.training.corpora import CORPORA
from espressivo.training.corpora.licence import UNSTATED, Licence, find_licence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Source:
    """A corpus that a model learned from, or the weights that it started from.

    Attributes:
        title: Its name for readers.
        licence: Its terms.
    """

    title: str
    licence: Licence

    def __str__(self) -> str:
        named = ", ".join(filter(None, (self.licence.name, self.licence.source)))
        return f"{self.title} ({named})"


def source_of_corpus(name: str, stated: Mapping[str, str]) -> Source:
    """Return the title and the terms of a corpus.

    What the trainer states comes first, since terms can be bought; then what the corpus
    declares. `manifest` states them for all tables of the trainer's own.

    Args:
        name: Name of the corpus of some utterances.
        stated: `licences` of a configuration: corpus -> identifier of a licence.
    """
    known = CORPORA.get(name)
    title = known.title if known else name
    if name in stated:
        return Source(title, find_licence(stated[name], source=STATED))
    if known:
        return Source(title, known.license)
    if "manifest" in stated:
        return Source(title, find_licence(stated["manifest"], source=STATED))
    return Source(title, UNSTATED)


def source_of_noise(stated: Mapping[str, str]) -> Source:
    """Return the terms of noise recordings, which the trainer states as `noise`."""
    title = "noise recordings"
    if "noise" not in stated:
        return Source(title, UNSTATED)
    return Source(title, find_licence(stated["noise"], source=STATED))


STATED = "as its trainer states"
"""Source of a licence that a configuration states."""


def sources_of_card(details: Mapping[str, Any]) -> list[Source]:
    """Return what a model was made from, as its `model.json` tells.

    Cards of espressivo 0.1 give licences as text only: the terms are then those that
    this version knows of a corpus of that name.

    Raises:
        ModelError: The card is not as `espressivo export` writes it.
    """
    try:
        return _sources_of_card(details)
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"model.json of {details.get('name')}: training_corpora and "
            f"starting_weights are not as espressivo writes them ({error!r}); export "
            "the model again"
        ) from error


def _sources_of_card(details: Mapping[str, Any]) -> list[Source]:
    corpora = details.get("training_corpora", ())
    sources = [_source_of_entry(entry) for entry in corpora]
    if not sources:
        # A model from elsewhere: without its data, nothing is known of its terms.
        sources.append(Source("the training data", UNSTATED))
    unlabelled = details.get("unlabelled_corpora", ())
    sources += [_source_of_entry(entry) for entry in unlabelled]
    if "noise_recordings" in details:
        sources.append(_source_of_entry(details["noise_recordings"]))
    start = details.get("starting_weights")
    if start is None or start["license"] is None:
        return sources  # random numbers
    try:
        terms = find_licence(start["license"])
    except ConfigError:
        terms = UNSTATED
    return [*sources, Source(start["name"], terms)]


def _source_of_entry(entry: Mapping[str, Any]) -> Source:
    if "terms" not in entry:
        return source_of_corpus(entry["name"], {})
    # A newer version may have written more than this one knows.
    known = {f.name for f in fields(Licence)} & entry["terms"].keys()
    terms = {name: entry["terms"][name] for name in known}
    return Source(entry["title"], replace(UNSTATED, **terms))


def permitted_use(sources: Sequence[Source]) -> dict[str, Any]:
    """Return what a model allows, forbids and asks, as JSON values.

    A model may be used commercially only if all its sources allow it: one that forbids
    it makes it `no`, else one that does not say makes it `unclear`.
    """
    unstated = [s for s in sources if s.licence.id == UNSTATED.id]
    stated = [s for s in sources if s.licence.id != UNSTATED.id]
    forbidding = [s.title for s in stated if s.licence.commercial == "no"]
    unclear = [s.title for s in stated if s.licence.commercial == "unclear"]
    open_ones = bool(unclear or unstated)
    return {
        "commercial": "no" if forbidding else "unclear" if open_ones else "yes",
        "forbids": _filled(
            {
                "commercial use": forbidding,
                "sharing of adaptations": _titles(
                    s for s in stated if s.licence.derivatives == "no"
                ),
            }
        ),
        "asks": _filled(
            {
                "the same licence for adaptations": _titles(
                    s for s in stated if s.licence.share_alike
                ),
                "to be named": [str(s) for s in stated if s.licence.attribution],
            }
        ),
        "unclear": _filled({"commercial use": unclear}),
        "unstated": _titles(unstated),
    }


def use_text(sources: Sequence[Source]) -> str:
    """Return `permitted_use` in sentences."""
    use = permitted_use(sources)
    forbids, asks = use["forbids"], use["asks"]
    sentences = []
    if use["commercial"] == "yes":
        sentences.append(
            "Any use, commercial use and sale included: no terms of its data or its "
            "starting weights forbid it."
        )
    if titles := forbids.get("commercial use"):
        sentences.append(
            f"Research and other non-commercial use: the terms of {_join(titles)} "
            "forbid commercial use."
        )
    if titles := use["unclear"].get("commercial use"):
        sentences.append(
            f"The terms of {_join(titles)} do not say whether commercial use is "
            "allowed: ask before you sell it."
        )
    if titles := forbids.get("sharing of adaptations"):
        sentences.append(
            f"Those of {_join(titles)} forbid sharing adaptations; whether trained "
            "weights are one is not settled."
        )
    if titles := asks.get("the same licence for adaptations"):
        sentences.append(
            f"Those of {_join(titles)} ask for the same licence on adaptations that "
            "are shared; whether trained weights are one is not settled."
        )
    if use["unstated"]:
        sentences.append(
            f"The terms of {_join(use['unstated'])} are for you to know and to add."
        )
    if any(s.licence.attribution for s in sources):
        sentences.append("Cite the corpora.")
    return " ".join(sentences)


def to_terms(licence: Licence) -> dict[str, Any]:
    """Return a licence as JSON values."""
    return asdict(licence)


def require_commercial(sources: Iterable[Source]) -> None:
    """Refuse sources from which no model may be made that is sold.

    Raises:
        CorpusError: Terms forbid commercial use, leave it open, or are not stated; all
            such sources are named.
    """
    complaints = [
        f"{source} {_COMPLAINTS[source.licence.commercial]}"
        if source.licence.id != UNSTATED.id
        else f"{source.title} states no licence"
        for source in sources
        if source.licence.commercial != "yes"
    ]
    if complaints:
        raise CorpusError(
            f"--licence commercial: {'; '.join(complaints)}; leave these out, or "
            "state terms that you hold: --set licences.NAME=own"
        )


_COMPLAINTS = {
    "no": "forbids commercial use",
    "unclear": "does not say whether commercial use is allowed",
}


def _titles(sources: Iterable[Source]) -> list[str]:
    return [source.title for source in sources]


def _filled(table: dict[str, list[str]]) -> dict[str, list[str]]:
    return {key: names for key, names in table.items() if names}


def _join(titles: Sequence[str]) -> str:
    *most, last = titles
    return f"{', '.join(most)} and {last}" if most else last
