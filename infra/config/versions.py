"""Every version that an estate uses, in one file, so that an upgrade is one change.

Each entry names the page that lists newer versions. Nothing floats: versions that AWS or a chart would choose
by default are pinned too, so that one commit makes the same estate in dev, staging and prod.
"""

from __future__ import annotations

from dataclasses import dataclass

KUBERNETES = "1.35"
"""The version that the cluster tests run; EKS supports it at the standard price until 2027-03-27.

Newer: the release calendar in the EKS user guide,
https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html
"""

NODE_IMAGE = "1.35.7-20260911"
"""Amazon Linux 2023 for EKS, x86; must be built for the version of `KUBERNETES`.

Newer: https://github.com/awslabs/amazon-eks-ami/releases, or the parameter
/aws/service/eks/optimized-ami/1.35/amazon-linux-2023/x86_64/standard/recommended/release_version of SSM.
"""

POSTGRESQL = "17.7"
"""Newer: https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-versions.html"""

OPENSEARCH = "OpenSearch_2.19"
"""The version that the tests run against as a real server.

Newer: https://docs.aws.amazon.com/opensearch-service/latest/developerguide/what-is.html
"""


PYTHON_IMAGE = "public.ecr.aws/docker/library/python:3.11.14-slim-bookworm"
"""The image of the Job that makes Argo's login to the archive, before the platform's own image exists.

It is Docker's official image, from AWS's copy, which limits the number of pulls less.
Newer: https://gallery.ecr.aws/docker/library/python
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A Helm chart.

    Attributes:
        name: its name in the repository.
        repository: the repository's URL.
        version: the chart's own version.
        newer: the page that lists newer versions.
        digest: the SHA-256 of its archive, as in the repository's index.yaml; None if it is not known yet.
        image_tag: the tag of its main image; None for the chart's default.
    """

    name: str
    repository: str
    version: str
    newer: str
    digest: str | None = None
    image_tag: str | None = None

    @property
    def file(self) -> str:
        """The name of its archive, as `helm package` gives it."""
        return f"{self.name}-{self.version}.tgz"


ADDONS = {
    "vpc-cni": "v1.22.4-eksbuild.3",
    "kube-proxy": "v1.35.3-eksbuild.29",
    "coredns": "v1.13.2-eksbuild.31",
    "eks-pod-identity-agent": "v1.3.10-eksbuild.3",
    "aws-ebs-csi-driver": "v1.66.0-eksbuild.1",
}
"""The EKS add-ons, in versions that EKS offers for `KUBERNETES` (its defaults in October 2026).

Newer: `aws eks describe-addon-versions --kubernetes-version 1.35 --addon-name NAME`
"""

CHARTS = {
    "argo-workflows": Chart(
        name="argo-workflows",
        repository="https://argoproj.github.io/argo-helm",
        version="0.47.5",
        digest="d136eee1ce707124e1ecd9918d0f008740e1e26b61226333e76bbe75f956dc49",
        # Not older: 3.7.11 fixes CVE-2026-31892 and CVE-2026-28229, 3.7.14 fixes CVE-2026-40886.
        image_tag="v3.7.14",
        newer="https://github.com/argoproj/argo-helm/releases (the chart's 1.x and 2.x are Argo 4)",
    ),
    "cluster-autoscaler": Chart(
        name="cluster-autoscaler",
        repository="https://kubernetes.github.io/autoscaler",
        version="9.59.0",
        digest="90276dafe65cf5d4328ef8313baf6cfb9d130683e0c9f3c28a03b4d8a9ed8f6e",
        # Its minor version must be that of Kubernetes, whose scheduler it simulates.
        image_tag="v1.35.2",
        newer="https://github.com/kubernetes/autoscaler/releases",
    ),
    "kube-prometheus-stack": Chart(
        name="kube-prometheus-stack",
        repository="https://prometheus-community.github.io/helm-charts",
        version="88.5.3",
        newer="https://github.com/prometheus-community/helm-charts/releases",
    ),
    "fluent-bit": Chart(
        name="fluent-bit",
        repository="https://fluent.github.io/helm-charts",
        version="0.58.1",
        digest="fc2235278cdb4e76befb8520464a66ff459c6d7711bbbc8755dedcc32799877b",
        newer="https://github.com/fluent/helm-charts/releases",
    ),
    "external-secrets": Chart(
        name="external-secrets",
        repository="https://charts.external-secrets.io",
        version="2.9.0",
        digest="da2d5c126a103b4c1b16a9dc1c168c4332a3687144e88ac070e594f81a0b6578",
        newer="https://github.com/external-secrets/external-secrets/releases",
    ),
}
"""The Helm charts of the estate. The driver brings their archives (`infra/driver/charts.py`)."""
