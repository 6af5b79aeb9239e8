#!/bin/sh
# Install the tools that a job's image lacks: each argument is a program and the Debian package of that name.
set -eu

missing=""
for tool in "$@"; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null 2>&1 || {
    echo "tools: the job's image lacks$missing, and has no apt-get to install it: choose another image" >&2
    exit 2
}
apt-get update -qq
# shellcheck disable=SC2086 # names of packages, one a word
apt-get install -qq --yes --no-install-recommends $missing >/dev/null
