#!/bin/sh
# Install what a job's image does not bring: each argument is a program, and the Debian package with its name.
set -eu

missing=""
for tool in "$@"; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null 2>&1 || {
    echo "tools: the job's image has no$missing, and no apt-get to install it with: choose another image" >&2
    exit 2
}
apt-get update -qq
# shellcheck disable=SC2086 # names of packages, one a word
apt-get install -qq --yes --no-install-recommends $missing >/dev/null
