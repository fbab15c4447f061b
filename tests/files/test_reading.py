from __future__ import annotations

import os
import socket

import pytest

from espressivo.files.reading import read_regular


def test_files_and_links_to_them_are_read_whole(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("a")

    for name in ("a", "link"):
        assert read_regular(tmp_path / name, 5) == b"12345"
        with pytest.raises(OSError, match="larger than 4 bytes"):
            read_regular(tmp_path / name, 4)


def test_what_is_not_there_or_a_folder_says_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "a")
    with pytest.raises(OSError, match=r"[Dd]irectory|denied"):
        read_regular(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes and /dev")
def test_what_has_no_end_is_not_waited_for(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
        (tmp_path / "zero").symlink_to("/dev/zero")

        for name in ("pipe", "socket", "zero"):
            with pytest.raises(OSError):
                read_regular(tmp_path / name)
