"""What licences allow, alone and together."""

import json
from dataclasses import replace
from itertools import combinations

import pytest

from espressivo.errors import ConfigError, CorpusError, ModelError
from espressivo.training.config import (
    AugmentConfig,
    ClassifierConfig,
    ExperimentConfig,
)
from espressivo.training.corpora import CORPORA, register_corpus
from espressivo.training.corpora.corpus import Corpus
from espressivo.training.corpora.licence import UNSTATED, Licence, find_licence
from espressivo.training.corpora.use import (
    Source,
    permitted_use,
    require_commercial,
    source_of_corpus,
    sources_of_card,
    to_terms,
    use_text,
)

COMMERCIAL = {
    "crema-d": "yes",
    "emodb": "unclear",
    "emotiontts": "no",
    "emovo": "unclear",
    "iemocap": "no",
    "librispeech": "yes",
    "msp-podcast": "no",
    "nemo": "no",
    "ravdess": "no",
    "savee": "no",
    "tess": "no",
    "urdu": "no",
}

KNOWN = {  # commercial use, sharing of adaptations, share-alike, attribution
    "CC0-1.0": ("yes", "yes", False, False),
    "CC-BY-4.0": ("yes", "yes", False, True),
    "CC-BY-3.0": ("yes", "yes", False, True),
    "CC-BY-SA-4.0": ("yes", "yes", True, True),
    "CC-BY-ND-4.0": ("yes", "no", False, True),
    "CC-BY-NC-4.0": ("no", "yes", False, True),
    "CC-BY-NC-SA-4.0": ("no", "yes", True, True),
    "CC-BY-NC-ND-4.0": ("no", "no", False, True),
    "ODbL-1.0": ("yes", "yes", True, True),
    "MIT": ("yes", "yes", False, True),
    "Apache-2.0": ("yes", "yes", False, True),
    "own": ("yes", "yes", False, False),
    "research": ("no", "unclear", False, True),
}


@pytest.mark.parametrize("identifier", KNOWN)
def test_well_known_licences(identifier):
    found = find_licence(identifier)
    assert KNOWN[identifier] == (
        found.commercial,
        found.derivatives,
        found.share_alike,
        found.attribution,
    )
    assert find_licence(identifier.lower()) == found
    if not found.id.startswith("LicenseRef-"):
        assert find_licence(found.id) == found


@pytest.mark.parametrize(
    "text", ["CC-BY4.0", "CC-NC-4.0", "CC-BY-SA-ND-4.0", "free", ""]
)
def test_what_is_no_licence_says_what_is(text):
    with pytest.raises(ConfigError, match=r"no licence known here; pass CC-BY-4.0 or"):
        find_licence(text)


@pytest.mark.parametrize("name", CORPORA)
def test_every_corpus_states_its_terms(name):
    licence = CORPORA[name].license
    assert licence.commercial == COMMERCIAL[name]
    assert licence.source
    assert licence.url.startswith("http")
    assert str(licence) == f"{licence.name} ({licence.source})"
    json.dumps(to_terms(licence))


def sources(*names, stated=None):
    return [source_of_corpus(name, stated or {}) for name in names]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_model_allows_no_more_than_its_least_free_corpus(n):
    order = ("yes", "unclear", "no")
    for names in combinations(COMMERCIAL, n):
        worst = max((COMMERCIAL[name] for name in names), key=order.index)
        use = permitted_use(sources(*names))
        assert use["commercial"] == worst, names
        forbidding = [CORPORA[c].title for c in names if COMMERCIAL[c] == "no"]
        assert use["forbids"].get("commercial use", []) == forbidding
        text = use_text(sources(*names))
        assert ("Any use, commercial use and sale included" in text) == (worst == "yes")
        for title in forbidding:
            assert title in text


def test_free_corpora_make_a_model_that_may_be_sold():
    made_from = [*sources("crema-d", "librispeech"), Source("W", find_licence("MIT"))]
    use = permitted_use(made_from)
    assert use == {
        "commercial": "yes",
        "forbids": {},
        "asks": {
            "the same licence for adaptations": ["CREMA-D"],
            "to be named": [
                "CREMA-D (ODbL 1.0, Cao et al. 2014)",
                "LibriSpeech (CC BY 4.0, Panayotov et al. 2015)",
                "W (MIT)",
            ],
        },
        "unclear": {},
        "unstated": [],
    }
    require_commercial(made_from)


def test_all_that_stands_in_the_way_of_a_sale_is_named():
    with pytest.raises(CorpusError) as raised:
        require_commercial(sources("librispeech", "ravdess", "emodb", "calls"))
    text = str(raised.value)
    assert "RAVDESS (CC BY-NC-SA 4.0, Livingstone & Russo 2018) forbids" in text
    assert "EmoDB (free to use, Burkhardt et al. 2005) does not say whether" in text
    assert "calls states no licence" in text
    assert "LibriSpeech" not in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("name", "stated", "commercial"),
    [
        ("calls", {}, "unclear"),
        ("calls", {"manifest": "own"}, "yes"),
        ("calls", {"manifest": "own", "calls": "CC-BY-NC-4.0"}, "no"),
        ("calls", {"other": "own"}, "unclear"),
        # Whose licence was bought:
        ("ravdess", {"ravdess": "own"}, "yes"),
        # Rows of a manifest that are of a known corpus keep its terms.
        ("ravdess", {"manifest": "own"}, "no"),
    ],
)
def test_what_the_trainer_states(name, stated, commercial):
    (source,) = sources(name, stated=stated)
    assert source.licence.commercial == commercial
    assert permitted_use([source])["commercial"] == commercial


def test_unstated_terms_are_told_as_such():
    use = permitted_use(sources("calls"))
    assert (use["commercial"], use["unstated"]) == ("unclear", ["calls"])
    assert "terms of calls are for you to know" in use_text(sources("calls"))


def test_cards_tell_the_terms_they_were_made_with():
    own = source_of_corpus("calls", {"calls": "CC-BY-4.0"}).licence
    # A newer version may know more of a licence.
    terms = to_terms(own) | {"moral_rights": "kept"}
    entry = {"name": "calls", "title": "Calls", "license": "x", "terms": terms}
    start = {"name": "Whisper", "license": "MIT", "sha256": None}
    noise = entry | {"title": "noise"}
    card = {
        "training_corpora": [entry],
        "noise_recordings": noise,
        "starting_weights": start,
    }

    assert [str(s) for s in sources_of_card(card)] == [
        "Calls (CC BY 4.0, as its trainer states)",
        "noise (CC BY 4.0, as its trainer states)",
        "Whisper (MIT)",
    ]


@pytest.mark.parametrize(
    ("stated", "commercial"),
    [({}, "unclear"), ({"noise": "CC-BY-3.0"}, "yes"), ({"noise": "research"}, "no")],
)
def test_noise_counts_as_what_a_model_is_made_from(stated, commercial):
    card = pytest.importorskip(
        "espressivo.training.export.card", reason="needs the extra 'train'"
    )
    noisy = ExperimentConfig(
        "mine",
        {},
        augmentation=AugmentConfig(copies=("telephone", "varied")),
        licences=stated,
    )
    speech = replace(noisy, augmentation=AugmentConfig(copies=("telephone",)))
    learned = replace(speech, classifier=ClassifierConfig(background=True))

    assert len(card.sources_of(speech, ["librispeech"])) == 1
    for config in (noisy, learned):
        made_from = card.sources_of(config, ["librispeech"])
        assert made_from[1].title == "noise recordings"
        assert permitted_use(made_from)["commercial"] == commercial


def test_cards_of_version_0_1_tell_corpora_by_name():
    old = {"name": "tess", "title": "TESS", "license": "CC BY-NC-ND 4.0 (...)"}
    mine = {"name": "mine", "title": "mine", "license": "not known to espressivo"}
    card = {"training_corpora": [old, mine], "starting_weights": {"license": None}}
    tess, unknown = sources_of_card(card)
    assert tess.licence == CORPORA["tess"].license
    assert unknown.licence == UNSTATED


def test_a_model_without_a_word_on_its_data_is_unclear():
    use = permitted_use(sources_of_card({"name": "x"}))
    assert (use["commercial"], use["unstated"]) == ("unclear", ["the training data"])


@pytest.mark.parametrize(
    "card",
    [
        {"training_corpora": ["tess"]},
        {"training_corpora": [{"title": "T"}]},
        {"training_corpora": 3},
        {"training_corpora": [], "starting_weights": {"name": "W"}},
    ],
)
def test_a_card_of_other_making_is_one_line(card):
    with pytest.raises(ModelError, match="not as espressivo writes them"):
        sources_of_card({"name": "x"} | card)


def test_a_corpus_whose_licence_is_a_text_is_not_registered():
    tess = CORPORA["tess"]
    kept = {f: getattr(tess, f) for f in Corpus.__dataclass_fields__}
    mine = Corpus(**kept | {"name": "mine", "license": "CC0"})
    with pytest.raises(CorpusError, match=r"license is 'CC0', not a Licence; pass one"):
        register_corpus(mine)
    assert "mine" not in CORPORA


def test_terms_are_written_down_whole():
    licence = find_licence("CC-BY-NC-SA-4.0", source="Doe 2020", url="https://x.y")
    assert Licence(**to_terms(licence)) == licence
