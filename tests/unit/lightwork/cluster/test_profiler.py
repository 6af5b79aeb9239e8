"""What Dask measures of itself costs little where lightwork starts workers: no profiles, few ticks."""

from __future__ import annotations

import dask
import distributed  # noqa: F401 - it defines the setting
import pytest

from lightwork.cluster import local
from lightwork.manifests import dask as manifests

SETTING = "distributed.worker.profile.enabled"
VARIABLE = "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED"


def test_it_is_off_on_local_workers_and_the_dashboards_pages_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from bokeh.document import Document
    from distributed import Client
    from distributed.dashboard.components.shared import ProfileServer, ProfileTimePlot

    monkeypatch.delenv(VARIABLE, raising=False)
    with local.start_local(1) as cluster:
        pages = [kind(cluster.scheduler, doc=Document()) for kind in (ProfileTimePlot, ProfileServer)]
        with Client(cluster, set_as_default=False) as client:
            on_workers = client.run(lambda: dask.config.get("distributed.worker.profile.enabled"))
            callbacks = client.run(lambda dask_worker: sorted(dask_worker.periodic_callbacks))
            ticks = client.run(lambda dask_worker: dask_worker.periodic_callbacks["tick"].callback_time)
            ticks["scheduler"] = cluster.scheduler.periodic_callbacks["tick"].callback_time
    assert list(on_workers.values()) == [False]
    assert [page.subtitle.text for page in pages] == ["Profiling is disabled."] * 2
    assert not [name for names in callbacks.values() for name in names if "profile" in name]
    assert list(ticks.values()) == [500] * 2


def test_dasks_own_variable_turns_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "True")
    with dask.config.set({SETTING: True}):  # Dask reads its variables as it is imported
        undo = local._change_process()
        try:
            assert dask.config.get(SETTING) is True
        finally:
            undo()


@pytest.mark.parametrize("objects", [manifests.scheduler, manifests.workers])
def test_it_is_off_in_the_pods_of_schedulers_and_workers(objects) -> None:
    (container,) = objects()["spec"]["template"]["spec"]["containers"]
    given = {item["name"]: item["value"] for item in container["env"] if item["name"].startswith("DASK_")}
    with dask.config.set(dask.config.collect_env(given)):
        assert dask.config.get(SETTING) is False
        assert dask.config.get("distributed.admin.tick.interval") == "500ms"
        assert dask.config.get("distributed.admin.system-monitor.interval") == "2s"
        assert dask.config.get("distributed.admin.system-monitor.disk") is False
