from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.test_report import REPORT

HOSTILE = [
    "</script><script>alert(1)</script>.wav",
    "<!--<script>.wav",
    "<img src=x onerror=alert(1)>",
    "'\"&amp;\\u003c\u2028\u202egnp.exe",
    "caf\udce9.wav",  # bytes that are no UTF-8, as Python reads them
]


class Page(HTMLParser):
    """The elements of a page in order, and the text of its scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.meta, self.texts, self.inside = [], {}, {}, ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, attributes))
        found = dict(attributes)
        self.inside = found.get("id", tag)
        if tag == "meta":
            self.meta[found.get("http-equiv")] = found.get("content")

    def handle_data(self, text):
        self.texts[self.inside] = self.texts.get(self.inside, "") + text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_text(name):
    levels = np.array([-100, -20.4, -19.6], np.float32)
    report = replace(REPORT, recording=name, warnings=(name,), loudness=levels)

    text = report.to_html(date="2026-11-28")

    page = Page(text)
    assert page.tags == Page(REPORT.to_html()).tags
    content = json.loads(page.texts["content"])
    assert content["report"] == report.to_dict()
    assert content["loudness"] == [-100, -20, -20]
    assert content["date"] == "2026-11-28"
    text.encode("utf-8")


def test_the_page_runs_its_own_script_and_loads_nothing():
    text = REPORT.to_html()
    page = Page(text)

    policy = page.meta["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    for kind in ("script", "style"):
        code = text.split(f"<{kind}>")[1].split(f"</{kind}>")[0]
        digest = hashlib.sha256(code.encode()).digest()
        # After a change of the page, this is what its policy must say.
        assert f"{kind}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert not any("src" in dict(a) or "href" in dict(a) for _, a in page.tags)
