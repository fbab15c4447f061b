from __future__ import annotations

import json
import math
import os
import shutil
import stat
import subprocess
import sys
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import espressivo
from espressivo.errors import ModelError, ProfileError
from espressivo.model.find import (
    DEFAULT,
    find_model,
)
from espressivo.model.window_statistics import WindowStatistics
from espressivo.pipeline.window_classifier import AdaptationOptions, WindowClassifier
from espressivo.profile.profile import (
    Kind,
    Profile,
    create,
    delete,
    learn,
)
from espressivo.profile.store import (
    profile_names,
    profile_path,
)

MODEL = ("espressivo-tiny", "0.1.0", "f" * 64)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder of profiles of one's own."""
    monkeypatch.setenv("ESPRESSIVO_PROFILES", str(tmp_path / "profiles"))
    return tmp_path / "profiles"


N_DIMS, N_AXES = 3, 8


def some_voice(seed=0, n_windows=5):
    rng = np.random.default_rng(seed)
    voice = WindowStatistics.empty(N_DIMS, N_AXES)
    for _ in range(n_windows):
        row = 2 * rng.normal(size=N_DIMS + 1 + N_AXES)
        row[N_DIMS] = rng.random()
        voice = voice.with_window(row, 16_000)
    return replace(voice, n_recordings=1)


def some_profile(seed=0, name="me", kind=Kind.SPEAKER):
    return Profile(name, kind, *MODEL, statistics=some_voice(seed))


def assert_same(a, b):
    assert a.to_dict() == b.to_dict()


@pytest.mark.parametrize("kind", Kind)
def test_what_is_saved_is_loaded(folder, kind):
    path = some_profile(kind=kind).save()

    assert path == folder / "me.json"
    assert_same(Profile.load("me"), some_profile(kind=kind))
    assert_same(Profile.load(path), some_profile(kind=kind))
    assert_same(Profile.load(str(path)), some_profile(kind=kind))


def test_an_empty_profile_is_loaded_as_it_was():
    empty = Profile(
        "me", Kind.SPEAKER, *MODEL, statistics=WindowStatistics.empty(N_DIMS, N_AXES)
    )
    empty.save()

    assert_same(Profile.load("me"), empty)
    assert Profile.load("me").statistics.n_dims == N_DIMS


@pytest.mark.skipif(sys.platform != "linux", reason="XDG's folders are Linux's")
def test_profiles_lie_where_users_keep_such_things(tmp_path, monkeypatch):
    monkeypatch.delenv("ESPRESSIVO_PROFILES")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    usual = tmp_path / ".local" / "share" / "espressivo" / "profiles" / "me.json"
    assert profile_path("me") == usual
    assert some_profile().save() == usual
    assert stat.S_IMODE(usual.parent.stat().st_mode) == 0o700

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "elsewhere"))
    assert profile_path("me").is_relative_to(tmp_path / "elsewhere")


def test_a_profile_is_small_and_for_its_owner_alone():
    heard = Profile("me", Kind.SPEAKER, *MODEL, statistics=some_voice(n_windows=300))
    path = heard.save()

    assert path.stat().st_size < 16_000
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_is_left_beside_a_profile(folder):
    some_profile().save()
    learn("me", some_profile(1))

    assert {p.name for p in folder.iterdir()} <= {"me.json", ".profiles.lock"}
    assert profile_names() == ["me"]


def test_learning_adds_to_what_is_saved():
    create(some_profile())
    learned = learn("me", some_profile(1), some_profile(2))

    whole = some_profile().merged(some_profile(1), some_profile(2))
    assert_same(learned, whole)
    assert_same(Profile.load("me"), whole)
    assert learned.speech_s == 15.0


def test_what_another_model_heard_is_not_learned():
    create(some_profile())
    other = replace(some_profile(1), model_sha256="0" * 64)

    with pytest.raises(ProfileError, match="means nothing to another"):
        learn("me", other)
    assert_same(Profile.load("me"), some_profile())


def test_a_report_made_without_a_profile_teaches_nothing(analyzer, note):
    me = Profile.new("me", analyzer.classifier)

    with pytest.raises(ProfileError, match="was made without voices; analyse with a"):
        me.merged(analyzer.analyze(note[:64_000]))


def test_a_profile_that_is_there_is_not_created_again():
    create(some_profile())

    with pytest.raises(ProfileError, match=r"me\.json: exists; add to it"):
        create(some_profile(1))
    assert_same(Profile.load("me"), some_profile())


def test_deleting_leaves_nothing_to_load():
    create(some_profile())

    assert delete("me").name == "me.json"
    with pytest.raises(ProfileError, match="there is no such profile; run: espressivo"):
        Profile.load("me")
    with pytest.raises(ProfileError, match="nothing was deleted"):
        delete("me")


def test_a_profile_too_damaged_to_read_can_be_deleted():
    some_profile().save().write_text("?")

    delete("me")

    assert profile_names() == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../me", "a/b", ".hidden", "a\0b", "-", "x" * 65, "a\nb"]
)
def test_a_name_is_never_a_path(name):
    with pytest.raises(ProfileError, match="no name for a profile"):
        profile_path(name)


@pytest.mark.parametrize(
    "name",
    ["me", "Anna-2", "José", "speaker 07", "李", "สมศรี", "हिन्दी", "M\u0308n\u0304"],
)
def test_names_of_people_are_names(name, folder):
    some_profile(name=name).save()

    assert profile_names() == [name]
    assert Profile.load(name).name == name


# The same for people; macOS hands over the second.
COMPOSED, DECOMPOSED = "Zoë", unicodedata.normalize("NFD", "Zoë")


@pytest.mark.parametrize("made", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("asked", [COMPOSED, DECOMPOSED])
def test_two_spellings_are_one_profile(made, asked):
    path = create(some_profile(name=made), made)

    assert profile_names() == [COMPOSED]
    assert profile_path(asked) == path
    assert learn(asked, some_profile()).statistics.n_windows == 10
    with pytest.raises(ProfileError, match="exists"):
        create(some_profile(name=asked), asked)
    assert delete(asked) == path
    assert profile_names() == []


@pytest.mark.parametrize("asked", [COMPOSED, DECOMPOSED])
def test_a_file_that_is_spelled_otherwise_is_found(asked, folder):
    path = some_profile(name=COMPOSED).save()
    other = path.rename(path.with_name(f"{DECOMPOSED}.json"))

    assert profile_names() == [COMPOSED]
    assert Profile.load(asked).name == COMPOSED
    learn(asked, some_profile())
    assert [*path.parent.glob("*.json")] == [other]


@given(cut=st.integers(0, 600))
def test_a_truncated_profile_is_refused(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "me.json"
    some_profile().save(path)
    whole = path.read_bytes().rstrip()
    path.write_bytes(whole[: min(cut, len(whole) - 1)])

    with pytest.raises(ProfileError, match="is no profile, or was cut off"):
        Profile.load(path)


@pytest.mark.parametrize(
    "key",
    [
        *("espressivo", "kind", "name", "model", "n_windows", "n_samples", "n_dims"),
        *("cells", "weights", "sums", "mean", "scatter"),
    ],
)
def test_an_edited_profile_is_refused(key):
    path = some_profile().save()
    content = json.loads(path.read_text())
    edited = content[key] + 1 if isinstance(content[key], int) else "AAAA"
    for change in (
        content | {key: edited},
        {k: content[k] for k in content if k != key},
    ):
        path.write_text(json.dumps(change))
        with pytest.raises(ProfileError, match="was edited or damaged"):
            Profile.load("me")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": "espressivo.profile/3"}, "espressivo.profile/2; update espressivo"),
        ({"schema": f"espressivo.profile/{'9' * 5000}"}, "2; update espressivo"),
        ({"schema": "espressivo.profile/1"}, "restore it, or create it anew"),
        ({"schema": "espressivo.report/1"}, "restore it, or create"),
        ({"schema": None}, "restore it, or create"),
    ],
)
def test_another_format_is_refused(changes, reason):
    path = some_profile().save()
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    with pytest.raises(ProfileError, match=reason):
        Profile.load("me")


@pytest.mark.parametrize(
    "text", ["[]", "3", "null", '"me"', "{}", '{"schema": []}', "\x80", "[" * 100_000]
)
def test_what_is_no_profile_is_refused(tmp_path, text):
    path = tmp_path / "me.json"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(ProfileError, match=r"me\.json: is"):
        Profile.load(path)


def test_brackets_about_as_deep_as_python_reads_are_refused(tmp_path):
    path = tmp_path / "me.json"
    for depth in range(900, 1000):
        nested = "[" * depth + "]" * depth
        path.write_text(f'{{"schema": "espressivo.profile/2", "a": {nested}}}')

        with pytest.raises(ProfileError, match=r"me\.json: (is|was)"):
            Profile.load(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"n_windows": -1},
        {"n_windows": 0},
        {"mean": np.full(N_AXES, np.nan)},
        {"mean": np.zeros(N_AXES - 1)},
        {"mean": np.zeros(0), "scatter": np.zeros((0, 0))},
        {"scatter": -np.eye(N_AXES)},
        {"scatter": np.triu(np.ones((N_AXES, N_AXES)))},
        {"weights": np.full(5, -1.0)},
        {"weights": np.full(5, 2.0)},
        {"weights": np.ones(4)},
        {"cells": np.zeros((5, N_DIMS), np.int64)},
        {"sums": np.full((5, N_DIMS), np.inf)},
        {"sums": np.full((5, N_DIMS), 1e150)},
        {"weights": np.full(5, 5e-324), "sums": np.zeros((5, N_DIMS))},
        {"cells": np.arange(15).reshape(5, N_DIMS)},
        {"mean": np.full(N_AXES, 1e200)},
        {"scatter": np.diag(np.full(N_AXES, 1e300))},
        {"n_windows": math.inf},
        {"n_windows": 5.5},
        {"n_windows": "5"},
        {"n_windows": True},
        {"n_samples": 10**400},
    ],
)
def test_sums_that_cannot_be_are_refused_however_they_are_signed(changes):
    statistics = replace(some_voice(), **changes)
    Profile("me", Kind.SPEAKER, *MODEL, statistics=statistics).save()

    with pytest.raises(ProfileError, match="makes no sense"):
        Profile.load("me")


def test_what_is_neither_of_a_speaker_nor_of_a_setting_is_refused():
    replace(some_profile(), kind="room").save()

    with pytest.raises(ProfileError, match=r"makes no sense .*room"):
        Profile.load("me")


def test_each_recording_of_a_setting_counts_once():
    calls = some_profile(kind=Kind.SETTING)
    long, short = some_voice(1, n_windows=40), some_voice(2, n_windows=1)
    whole = calls.merged(Heard(long), Heard(short))

    weights = [s.weight / s.n_windows for s in (long, short)]
    assert whole.statistics.weight == pytest.approx(
        calls.statistics.weight + sum(weights)
    )
    assert whole.statistics.n_windows == 46
    speaker = some_profile().merged(Heard(long))
    assert speaker.statistics.weight == pytest.approx(some_voice().weight + long.weight)


class Heard:
    """A report, for what a profile needs of it."""

    model, model_version, model_sha256 = MODEL

    def __init__(self, statistics):
        self.statistics = statistics


@given(st.permutations(range(4)))
def test_profiles_merge_in_any_order(order):
    wanted = some_profile(0).merged(*map(some_profile, range(1, 4)))

    first, *others = (some_profile(seed) for seed in order)
    found = first.merged(*others).statistics

    assert found.n_windows == wanted.statistics.n_windows
    np.testing.assert_array_equal(found.cells, wanted.statistics.cells)
    for name in ("weights", "sums", "mean", "scatter"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(wanted.statistics, name), atol=1e-9
        )


def test_a_speaker_and_a_setting_are_not_merged():
    create(some_profile())

    with pytest.raises(ProfileError, match="merge profiles of one kind"):
        learn("me", some_profile(1, "hotline", Kind.SETTING))
    assert_same(Profile.load("me"), some_profile())


def test_a_setting_is_no_speaker_nor_a_speaker_a_setting(analyzer):
    card = analyzer.classifier.card
    own = card.name, card.version, card.sha256
    me = replace(Profile.new("me", analyzer.classifier))
    hotline = Profile.new("hotline", analyzer.classifier, "setting")
    assert me.model_sha256 == own[2]

    with pytest.raises(ProfileError, match=r"of a setting, not of a speaker; .*--set"):
        analyzer.with_profile(hotline)
    with pytest.raises(ProfileError, match=r"of a speaker, not of a setting; .*--spe"):
        analyzer.with_profile(None, me)
    assert analyzer.with_profile(me, hotline).setting is hotline


def test_replacing_takes_a_word_and_the_same_kind():
    create(some_profile(kind=Kind.SETTING))

    with pytest.raises(ProfileError, match=r"exists; add to it .* --replace"):
        create(some_profile(1, kind=Kind.SETTING))
    create(some_profile(1, kind=Kind.SETTING), overwrite=True)
    assert_same(Profile.load("me"), some_profile(1, kind=Kind.SETTING))
    with pytest.raises(ProfileError, match="of a setting, not of a speaker"):
        create(some_profile(), overwrite=True)
    profile_path("me").write_text("[]")
    with pytest.raises(
        ProfileError, match=r"is no profile.* profile delete .*me\.json"
    ):
        create(some_profile(1, kind=Kind.SETTING), overwrite=True)


def test_several_people_in_one_profile_are_told_of(analyzer):
    card = analyzer.classifier.require_adaptation()
    rng = np.random.default_rng(0)

    def heard(centre, n):
        found = WindowStatistics.empty(card.n_dims, card.n_axes)
        for _ in range(n):
            axes = centre + rng.normal(size=card.n_axes)
            row = np.concatenate([np.zeros(card.n_dims + 1), axes])
            found = found.with_window(row, 16_000)
        return found

    def profile(kind, *voices):
        me = Profile.new("me", analyzer.classifier, kind)
        return me.merged(*(replace(me, statistics=voice) for voice in voices))

    apart = 10 * np.sqrt(card.spread_limit)
    assert profile("speaker", heard(0, 40)).warning(card) is None
    both = profile("speaker", heard(0, 20), heard(apart, 20))
    assert "probably of several people" in both.warning(card)
    # A setting is of several, and of a few windows nobody can say.
    assert profile("setting", heard(0, 20), heard(apart, 20)).warning(card) is None
    assert profile("speaker", heard(0, 1), heard(apart, 1)).warning(card) is None
    adapted = analyzer.with_profile(both).analyze(np.zeros(16_000, np.float32))
    assert any("one profile for each" in warning for warning in adapted.warnings)
    judged = WindowClassifier(analyzer.classifier, AdaptationOptions(recording=True))
    warning = judged.effect(None, both.statistics, ()).several
    assert warning.startswith("the recording is probably of several people")
    assert warning.endswith("analyse each person's part by itself")


def test_a_profile_of_another_model_is_refused(analyzer):
    with pytest.raises(ProfileError, match="means nothing to another"):
        analyzer.with_profile(some_profile())


def test_a_profile_of_another_width_is_refused(analyzer):
    card = analyzer.classifier.card
    narrow = WindowStatistics.empty(2, 5)
    odd = Profile(
        "me", Kind.SPEAKER, card.name, card.version, card.sha256, statistics=narrow
    )

    with pytest.raises(ProfileError, match="2 dimensions and 5 axes, not"):
        analyzer.with_profile(odd)
    with pytest.raises(ProfileError, match="2 dimensions and 5 axes, not"):
        odd.merged(Profile.new("me", analyzer.classifier))


def test_a_model_that_cannot_adapt_takes_no_profile(tmp_path):
    plain = shutil.copytree(find_model(DEFAULT), tmp_path / "model")
    card = json.loads((plain / "model.json").read_text())
    del card["adaptation"]
    (plain / "model.json").write_text(json.dumps(card))
    analyzer = espressivo.load_model(plain)

    with pytest.raises(ModelError, match="cannot adapt to a speaker, a setting or"):
        Profile.new("me", analyzer.classifier)
    for option in ("adapt", "voices"):
        with pytest.raises(ModelError, match="cannot adapt"):
            espressivo.load_model(plain, **{option: True})


def test_a_folder_that_cannot_be_written_is_said_to_be(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ESPRESSIVO_PROFILES", str(tmp_path / "file" / "profiles"))

    with pytest.raises(ProfileError, match="cannot be written"):
        some_profile().save()


LEARNER = """
import sys
from tests.profile.test_profile import some_profile
from espressivo.profile import learn
for i in range(10):
    learn("me", some_profile(int(sys.argv[1]) * 100 + i))
"""


def test_processes_that_learn_at_once_lose_nothing():
    create(some_profile())
    workers = [
        subprocess.Popen([sys.executable, "-c", LEARNER, str(n)], env=os.environ)
        for n in range(4)
    ]
    assert [worker.wait() for worker in workers] == [0] * 4

    wanted = some_profile()
    for n in range(4):
        for i in range(10):
            wanted = wanted.merged(some_profile(n * 100 + i))
    found = Profile.load("me").statistics
    assert (found.n_windows, found.n_recordings) == (5 * 41, 41)
    for name in ("mean", "scatter", "weights", "sums"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(wanted.statistics, name), atol=1e-9
        )


CROWDED = """
import resource, signal
from tests.profile.test_profile import some_profile
from espressivo.profile import learn
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # as a full disk: a write fails
learn("me", some_profile(1))
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of a file's size are POSIX's")
def test_a_disk_that_takes_no_more_leaves_the_profile_as_it_was(folder):
    create(some_profile())
    before = (folder / "me.json").read_bytes()

    done = subprocess.run(
        [sys.executable, "-c", CROWDED], capture_output=True, text=True, check=False
    )

    assert "ProfileError" in done.stderr
    assert "cannot be written" in done.stderr
    assert (folder / "me.json").read_bytes() == before
    assert not list(folder.glob("*.partial"))
