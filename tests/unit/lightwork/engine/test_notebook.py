"""In a notebook a map shows a live bar, and results and reports show themselves."""

from __future__ import annotations

import sys
import types

import pytest

from lightwork import connect, task


@pytest.fixture
def shown(monkeypatch):
    """What a notebook's cell shows: one text for each display, as it was updated last."""
    texts: list[str] = []

    class Handle:
        def __init__(self, text: str) -> None:
            self.at = len(texts)
            texts.append(text)

        def update(self, text: str) -> None:
            texts[self.at] = text

    module = types.ModuleType("IPython")
    module.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    display = types.ModuleType("IPython.display")
    display.HTML = str
    display.display = lambda text, display_id: Handle(text)
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return texts


@task(cache=False, on_error="skip")
def odd_fails(x: int) -> int:
    if x % 2:
        raise ValueError(x)
    return x


def test_a_map_shows_a_bar(session, shown):
    with connect("serial", lake=session.lake.root, tenant="acme"):
        odd_fails.map(range(4)).wait()
        odd_fails.map(iter([2])).wait()
    known, unknown = [text for text in shown if text]
    assert known.startswith("<div><b>odd_fails</b> <progress value=")
    assert "4 of 4" in known
    assert "2 failed" in known
    assert "<progress" not in unknown
    assert unknown.startswith("<div><b>odd_fails</b> 1,")


def test_what_takes_long_is_shown_and_erased(session, shown):
    with connect("serial", lake=session.lake.root, tenant="acme") as opened:
        with opened.progress.doing("merging <files>"):
            assert shown[-1] == "<div><b>merging &lt;files&gt;</b> </div>"
        assert shown[-1] == ""


def test_results_show_themselves_without_computing(session):
    results = odd_fails.map(range(4))
    assert "odd_fails, not started" in results._repr_html_()
    results.wait()
    assert "<td>4</td><td>0</td><td>2</td><td>2</td>" in results._repr_html_()


def test_a_report_shows_itself(session):
    session.report.text("a <b> c")
    page = session.report._repr_html_()
    assert page.startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert 'sandbox="allow-scripts"' in page
    assert "<b>" not in page
