"""The values of Fluent Bit's chart, which sends pods' logs to OpenSearch: a data stream for each tenant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from infra.config.streams import CLUSTER, FIELDS, LONGEST_FIELD, LONGEST_LINE, TENANT
from infra.services.charts.common import Values, container, size

SCRIPT = f"""\
local TENANT, CLUSTER, LINE, FIELD = "{TENANT}", "{CLUSTER}", {LONGEST_LINE}, {LONGEST_FIELD}
local NAMED = {{{", ".join(f"{name} = true" for name in FIELDS)}}}
{(Path(__file__).parent / "record.lua").read_text(encoding="utf-8")}"""
"""Makes a flat record of each line. Stream and tenant are those of the namespace, never the line's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipperValues:
    """The values that differ between clusters.

    Attributes:
        endpoint: the host name of the OpenSearch domain.
        region: the domain's region.
        account: the service account that has the shipper's role.
    """

    endpoint: str
    region: str
    account: str


def values(args: ShipperValues) -> Values:
    """Return the values: a pod on every node, whatever its taints; unsent lines wait on the node's disk."""
    return {
        "kind": "DaemonSet",
        "fullnameOverride": "fluent-bit",
        "testFramework": {"enabled": False},
        # It asks Kubernetes nothing: a line's pod and namespace are in the name of its file.
        "serviceAccount": {"create": True, "name": args.account, "automountServiceAccountToken": False},
        "rbac": {"create": False},
        "resources": size("50m", "256Mi", cpu_limit="500m"),
        # Log files belong to root, so it runs as root, without any other privilege.
        "securityContext": {**container(), "runAsNonRoot": False, "runAsUser": 0},
        "priorityClassName": "system-node-critical",
        "tolerations": [{"operator": "Exists"}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "serviceMonitor": {"enabled": True, "interval": "60s"},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
        "luaScripts": {"record.lua": SCRIPT},
        "extraVolumes": [
            {"name": "buffer", "hostPath": {"path": "/var/lib/fluent-bit", "type": "DirectoryOrCreate"}},
        ],
        "extraVolumeMounts": [{"name": "buffer", "mountPath": "/buffer"}],
        "daemonSetVolumes": [{"name": "varlog", "hostPath": {"path": "/var/log"}}],
        "daemonSetVolumeMounts": [{"name": "varlog", "mountPath": "/var/log", "readOnly": True}],
        "config": {
            "service": _SERVICE,
            "inputs": _INPUTS,
            "filters": _FILTERS,
            "outputs": _OUTPUTS.format(endpoint=args.endpoint, region=args.region),
            "customParsers": "",
        },
    }


_SERVICE = dedent(
    """\
    [SERVICE]
        Daemon Off
        Flush 5
        Log_Level warn
        Parsers_File /fluent-bit/etc/parsers.conf
        HTTP_Server On
        HTTP_Listen 0.0.0.0
        HTTP_Port 2020
        Health_Check On
        scheduler.cap 60
        storage.path /buffer/chunks
        storage.sync normal
        storage.backlog.mem_limit 32M
        storage.max_chunks_up 64
    """
)

_INPUTS = dedent(
    """\
    [INPUT]
        Name tail
        Path /var/log/containers/*.log
        Exclude_Path /var/log/containers/fluent-bit-*_logging_*.log
        multiline.parser cri
        Tag kube.*
        DB /buffer/positions.db
        Read_from_Head On
        Refresh_Interval 1
        Rotate_Wait 30
        Skip_Long_Lines On
        storage.type filesystem
    """
)
"""Excluded are the shipper's own pods, by pod and namespace: neither can contain an underscore."""

_FILTERS = dedent(
    """\
    [FILTER]
        Name lua
        Match kube.*
        script /fluent-bit/scripts/record.lua
        call flatten
    """
)
"""No filter asks the Kubernetes API, so its absence changes nothing, and nor do pods' annotations."""

_OUTPUTS = dedent(
    """\
    [OUTPUT]
        Name opensearch
        Match kube.*
        Host {endpoint}
        Port 443
        tls On
        tls.verify On
        AWS_Auth On
        AWS_Region {region}
        AWS_Service_Name es
        Index $stream
        Write_Operation create
        Time_Key_Nanos On
        Suppress_Type_Name On
        Generate_ID On
        Trace_Error On
        Buffer_Size 8M
        Retry_Limit no_limits
        storage.total_limit_size 2G
    """
)
"""`Generate_ID` derives the document's ID from the line and its time, so a line sent twice is stored once,
unless the stream has started a new index in between. A data stream takes only `create`; that a line exists
already (409) counts as success.
"""
