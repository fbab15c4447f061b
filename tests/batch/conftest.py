from __future__ import annotations

import pytest

pytest.importorskip("pyarrow", reason="needs the extra `archive`")

from espressivo.batch import (
    ArchiveOptions,
    analyze_archive,
)
from tests.archives import build_notes


@pytest.fixture(scope="session")
def notes(tmp_path_factory, note):
    return build_notes(tmp_path_factory.mktemp("archive") / "notes", note)


@pytest.fixture(scope="session")
def whole(tmp_path_factory, notes):
    """The tables of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    analyze_archive(notes, out, options=ArchiveOptions(shard_size=4))
    return out
