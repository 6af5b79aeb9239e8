"""`lightwork run --dashboard`."""

from __future__ import annotations

import re

import pytest

from lightwork.functions import discovery

LOOKS = """
import urllib.request
from lightwork import current_session, pipeline, task

@task(cache=False)
def double(x): return 2 * x

@pipeline
def looks() -> list:
    list(double.map([1, 2]))
    link = current_session().runner.cluster.dashboard
    if link is None:
        return []
    with urllib.request.urlopen(link) as response:
        return [link, response.status]
"""


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--dashboard"]])
def test_a_local_run_names_the_address_of_its_dashboard_if_it_is_asked_to(lightwork, project, options):
    (project / "cli_pipelines" / "looking.py").write_text(LOOKS)
    discovery.scan.cache_clear()
    done = lightwork("run", "looks", "--on", "local", "--workers", "1", "--result", "result.json", *options)
    assert done.code == 0, done.err
    named = re.findall(r"dashboard (http://[^\s,]+)", done.err)
    assert len(named) == len(options)
    expected = f'["{named[0]}", 200]' if options else "[]"
    assert (project / "result.json").read_text().strip() == expected


def test_a_serial_run_has_no_dashboard(lightwork):
    done = lightwork("run", "drawn", "--on", "serial", "--dashboard")
    assert done.code == 2
    assert done.err == "lightwork: run: --dashboard: a serial run has none; run it with --on local\n"
