"""The values of Fluent Bit's chart, which sends pods' logs to OpenSearch: a data stream for each tenant."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

from infra.config.streams import CLUSTER, TENANT
from infra.services.charts.common import Values, container, size

ROUTE = f"""\
function route(tag, timestamp, record)
  local namespace = (record["kubernetes"] or {{}})["namespace_name"] or ""
  local tenant = string.match(namespace, "^tenant%-(.+)$")
  record["stream"] = tenant and ("{TENANT}" .. tenant) or "{CLUSTER}"
  record["tenant"] = tenant
  return 2, timestamp, record
end
"""
"""Sets a line's stream and tenant by its namespace, never by anything that a pod can set itself."""


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
        "serviceAccount": {"create": True, "name": args.account},
        "rbac": {"create": True},
        "resources": size("50m", "256Mi", cpu_limit="500m"),
        # Log files belong to root, so it runs as root, without any other privilege.
        "securityContext": {**container(), "runAsNonRoot": False, "runAsUser": 0},
        "priorityClassName": "system-node-critical",
        "tolerations": [{"operator": "Exists"}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "serviceMonitor": {"enabled": True, "interval": "60s"},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
        "luaScripts": {"route.lua": ROUTE},
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
        Exclude_Path /var/log/containers/fluent-bit-*.log
        multiline.parser docker, cri
        Tag kube.*
        DB /buffer/positions.db
        Skip_Long_Lines On
        storage.type filesystem
    """
)

_FILTERS = dedent(
    """\
    [FILTER]
        Name kubernetes
        Match kube.*
        Merge_Log On
        Merge_Log_Key line
        Keep_Log On
        K8S-Logging.Parser Off
        K8S-Logging.Exclude Off
        Annotations Off
        Buffer_Size 64k
    [FILTER]
        Name lua
        Match kube.*
        script /fluent-bit/scripts/route.lua
        call route
    """
)
"""Pods' annotations are ignored: a tenant can neither choose a parser nor exclude its logs."""

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
        Replace_Dots On
        Trace_Error On
        Retry_Limit 20
        storage.total_limit_size 2G
    """
)
"""`Generate_ID` derives the document's ID from the line and its time, so a line sent twice is stored once,
unless the stream has started a new index in between. A data stream takes only `create`; that a line exists
already (409) counts as success.
"""
