"""The dead man's switch: a metric in CloudWatch, written every minute as long as alerts reach their receiver.

Prometheus has one alert that always fires, and Alertmanager sends it here. If it has not come for a while, or
this process does not run, nothing is written any more, and an alarm of CloudWatch goes off that needs
neither of them.
"""

from __future__ import annotations

import datetime as dt
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

from lightwork.pods import signing

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightwork.pods.signing import Keys

EVERY = 60.0
"""Seconds between two values."""
HEARD_WITHIN = 300.0
"""Seconds for which the alert may stay away; Alertmanager repeats it every minute."""
METRIC, DIMENSION = "AlertsWork", "Cluster"
_SERVICE, _VERSION = "monitoring", "2010-08-01"


def body(namespace: str, cluster: str) -> bytes:
    """Return the body of the request that puts one value.

    Args:
        namespace: the metric's namespace in CloudWatch.
        cluster: the cluster's name, the metric's only dimension.
    """
    fields = {
        "Action": "PutMetricData",
        "Version": _VERSION,
        "Namespace": namespace,
        "MetricData.member.1.MetricName": METRIC,
        "MetricData.member.1.Dimensions.member.1.Name": DIMENSION,
        "MetricData.member.1.Dimensions.member.1.Value": cluster,
        "MetricData.member.1.Value": "1.0",
        "MetricData.member.1.Unit": "Count",
    }
    return urllib.parse.urlencode(fields).encode()


class Switch:
    """Writes a value every minute while the alert arrives.

    Args:
        namespace: the metric's namespace in CloudWatch.
        cluster: the cluster's name.
        region: the region of AWS.
        endpoint: the address of CloudWatch; AWS's own by default.
        keys: returns the credentials.
    """

    def __init__(
        self,
        namespace: str,
        cluster: str,
        region: str,
        *,
        endpoint: str | None = None,
        keys: Callable[[], Keys] = signing.pod_identity,
    ) -> None:
        self._body = body(namespace, cluster)
        self._scope = signing.Scope(region, _SERVICE)
        self._url = endpoint or f"https://{_SERVICE}.{region}.amazonaws.com/"
        self._keys = keys
        self._heard: float | None = None

    def hear(self, now: float) -> None:
        """Take note that the alert has arrived, at a time of a clock that does not go back."""
        self._heard = now

    def beat(self, now: float) -> bool:
        """Write a value if the alert has arrived lately; return whether it has.

        Raises:
            ValueError: AWS refuses.
            OSError: AWS cannot be reached, or the pod has no identity.
        """
        if self._heard is None or now - self._heard > HEARD_WITHIN:
            return False
        kind = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        moment = dt.datetime.now(dt.UTC)
        headers = signing.signed(self._url, self._body, self._scope, self._keys(), moment, kind)
        signing.fetched(urllib.request.Request(self._url, data=self._body, headers=headers, method="POST"))  # noqa: S310
        return True
