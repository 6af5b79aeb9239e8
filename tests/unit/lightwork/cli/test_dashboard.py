"""`lightwork run --dashboard`."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.waiting import patience

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


PROGRAM = """
import sys
from lightwork.cli.main import execute
from lightwork.functions import discovery

if __name__ == "__main__":
    discovery.packages = lambda: ["cli_pipelines"]
    sys.exit(execute(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--dashboard"]])
def test_a_local_run_names_the_address_of_its_dashboard_if_it_is_asked_to(project, options):
    (project / "cli_pipelines" / "looking.py").write_text(LOOKS)
    (project / "program.py").write_text(PROGRAM)
    words = ["run", "looks", "--on", "local", "--workers", "1", "--result", "result.json", *options]
    done = subprocess.run(
        [sys.executable, "program.py", *words], capture_output=True, text=True, timeout=patience(60)
    )
    assert done.returncode == 0, done.stderr
    named = re.findall(r"dashboard (http://[^\s,]+)", done.stderr)
    assert len(named) == len(options), done.stderr
    assert json.loads((project / "result.json").read_text()) == ([named[0], 200] if options else [])


def test_a_serial_run_has_no_dashboard(lightwork):
    done = lightwork("run", "drawn", "--on", "serial", "--dashboard")
    assert done.code == 2
    assert done.err == "lightwork: run: --dashboard: a serial run has none; run it with --on local\n"
