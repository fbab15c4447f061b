from __future__ import annotations

import errno

import pytest

from espressivo.files.atomic import replacing, write_text


def test_what_stops_halfway_leaves_the_file_as_it_was(tmp_path):
    write_text("before", tmp_path / "a.txt")

    def stop_halfway():
        with replacing(tmp_path / "a.txt", errors=(RuntimeError,)) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_halfway()

    assert (tmp_path / "a.txt").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_what_a_library_raises_becomes_an_oserror(tmp_path):
    with (
        pytest.raises(OSError, match=r"want of room \(no space\)") as caught,
        replacing(tmp_path / "weights", errors=(RuntimeError,)),
    ):
        raise RuntimeError("no space")

    assert caught.value.errno == errno.EIO
    assert caught.value.filename == str(tmp_path / "weights")
    assert list(tmp_path.iterdir()) == []
