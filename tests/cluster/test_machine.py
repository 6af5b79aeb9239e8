"""The machine's network stays stable while pods come and go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.settings import BRIDGE, BRIDGE_MAC, of_current_context


@pytest.mark.core
@pytest.mark.skipif(of_current_context(), reason="the cluster has its own network")
def test_the_bridge_keeps_its_mac_address_whatever_pods_are_attached(acme):
    bridge = Path("/sys/class/net") / BRIDGE
    assert list((bridge / "brif").iterdir()), "no pod is attached to the bridge"
    assert (bridge / "address").read_text().strip() == BRIDGE_MAC
