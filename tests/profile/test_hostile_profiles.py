"""Profiles and settings that somebody made to do harm."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import unicodedata

import pytest

from espressivo.errors import ProfileError
from espressivo.profile.profile import Profile, create, learn
from espressivo.profile.store import profile_names, profile_path, with_checksum
from tests.profile.test_profile import folder as _folder
from tests.profile.test_profile import some_profile

profiles = _folder  # the fixture, under a name that is no argument here


def refused(path):
    """Return the one short line with which a profile is refused."""
    with pytest.raises(ProfileError) as caught:
        Profile.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600 + len(str(path))
    return message


def forged(path, **changes):
    """Write a profile with other content and the right checksum."""
    content = some_profile().to_dict()
    del content["sha256"]
    path.write_text(json.dumps(with_checksum(content | changes)))
    return path


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes and /dev")
def test_what_never_ends_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "zero.json").symlink_to("/dev/zero")

    for name in ("pipe.json", "zero.json"):
        assert "is a pipe or a device" in refused(tmp_path / name)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "x" * 10_000_000}, "larger than 4,000,000 bytes"),
        ({"name": "x" * 1_000_000}, "is no name"),
        ({"name": "\ud800"}, "is no name"),
        ({"schema": "x" * 1_000_000}, "and this version reads"),
        ({"kind": "x" * 1_000_000}, "is not a valid Kind"),
        ({"mean": "A" * 3_000_000}, "makes no sense"),
        ({"model": {"name": "x" * 1000, "version": "1", "sha256": ""}}, "is no name"),
    ],
)
def test_long_texts_are_one_short_line(tmp_path, changes, reason):
    assert reason in refused(forged(tmp_path / "me.json", **changes))


@pytest.mark.parametrize(
    "name",
    ["CON", "nul", "Com1", "LPT9", "aux ", "x" * 300, "..", "a\\b", "C:a", "me\0.json"],
)
def test_a_name_is_no_device_and_no_path_of_any_system(name):
    with pytest.raises(ProfileError, match="no name for a profile") as caught:
        profile_path(name)
    assert len(str(caught.value)) < 400


def test_names_that_only_begin_as_devices_are_names(profiles):
    for name in ("Connie", "Nul2", "aux Anna"):
        create(some_profile(name=name), name)

    assert profile_names() == ["Connie", "Nul2", "aux Anna"]


def test_a_name_in_a_file_is_composed_as_one_that_is_asked_for(tmp_path):
    decomposed = unicodedata.normalize("NFD", "Zoë")

    assert Profile.load(forged(tmp_path / "me.json", name=decomposed)).name == "Zoë"


KILLED = """
import os, signal
from tests.profile.test_profile import some_profile
from espressivo.profile import learn
import pathlib
pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
learn("me", some_profile(1))
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_what_a_killed_process_leaves_is_private_and_goes_with_the_next(profiles):
    create(some_profile())
    before = (profiles / "me.json").read_bytes()

    done = subprocess.run([sys.executable, "-c", KILLED], check=False)

    assert done.returncode == -signal.SIGKILL
    (left,) = profiles.glob(".*.partial")
    assert stat.S_IMODE(left.stat().st_mode) == 0o600
    assert (profiles / "me.json").read_bytes() == before
    more = "from espressivo.profile import learn\n"
    more += "from tests.profile.test_profile import some_profile\n"
    subprocess.run(
        [sys.executable, "-c", f"{more}learn('me', some_profile(1))"], check=True
    )
    assert not list(profiles.glob(".*.partial"))
    assert Profile.load("me").statistics.n_windows == 10
    assert learn("me", some_profile(2)).statistics.n_windows == 15
