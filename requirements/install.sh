#!/bin/sh
# Install exactly the pinned requirements into .venv, and this repository's own packages as editable.
# `make setup` calls it from the repository's root. It does nothing if nothing has changed since the last
# complete run: the stamp is a copy of all its inputs, and is written last.
#
#   PYTHON=/path/to/python3   the Python for .venv; by default the first one found of 3.11 or newer
set -eu

venv=.venv
stamp=$venv/.setup
oldest="3.11"

say() { echo "setup: $*" >&2; }
die() { say "$*"; exit 1; }

# Print the inputs of the environment. The root is one of them: scripts in .venv hold its absolute path.
inputs() {
    pwd -P
    cat requirements/*.txt platform/pyproject.toml pipelines/pyproject.toml infra/pyproject.toml "$0"
}

current() { [ -x "$venv/bin/python" ] && "$venv/bin/python" -c "" 2>/dev/null && inputs | cmp -s - "$stamp"; }

# Print the Python to use. A candidate may exist but not run (a pyenv shim), or lack the modules that make a venv.
find_python() {
    without_venv=""
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.13 python3.14 python3; do
        version=$("$candidate" -c 'import sys; sys.version_info >= (3, 11) and print("%d.%d" % sys.version_info[:2])' \
            2>/dev/null) || continue
        [ -n "$version" ] || continue
        if "$candidate" -c "import ensurepip, venv" 2>/dev/null; then
            echo "$candidate"
            return
        fi
        without_venv=${without_venv:-$version}
    done
    [ -z "$without_venv" ] || die "Python $without_venv lacks its venv module: apt-get install python$without_venv-venv (or set PYTHON)"
    die "no Python $oldest or newer found: install python3 (or set PYTHON to one)"
}

# uv does not read pip's settings, so pass it the index and the certificates from there.
share_pip_settings() {
    setting() {
        for section in :env: install global; do
            "$venv/bin/python" -m pip config get "$section.$1" 2>/dev/null && return
        done
        return 0
    }
    if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
        index=$(setting index-url)
        [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
    fi
    if [ -z "${SSL_CERT_FILE:-}" ]; then
        certificates=$(setting cert)
        [ -z "$certificates" ] || export SSL_CERT_FILE="$certificates"
    fi
}

with_uv() {
    share_pip_settings
    [ -x "$venv/bin/uv" ] || return 1
    "$venv/bin/uv" pip sync $quiet --python "$venv/bin/python" --require-hashes \
        requirements/run.txt requirements/dev.txt requirements/build.txt
}

with_pip() {
    say "uv failed; retrying with pip"
    "$venv/bin/python" -m pip install $quiet --disable-pip-version-check --require-hashes \
        -r requirements/run.txt -r requirements/dev.txt -r requirements/build.txt
}

# pip refuses editables under --require-hashes, so they are installed separately, without dependencies. uv is faster.
own_packages() {
    set -- --quiet --no-deps --no-build-isolation -e ./platform -e ./pipelines -e ./infra
    "$venv/bin/uv" pip install --python "$venv/bin/python" "$@" 2>/dev/null ||
        "$venv/bin/python" -m pip install --disable-pip-version-check "$@"
}

current && exit 0
# Only one setup runs at a time; the others wait here and then have nothing to do.
mkdir -p "$venv"
if command -v flock >/dev/null 2>&1; then
    exec 9>"$venv/.setup.lock"
    flock 9
    current && exit 0
fi

quiet=""
[ -t 2 ] || quiet="--quiet"
root=$(head -n 1 "$stamp" 2>/dev/null || true)
rm -f "$stamp"
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1 ||
    [ -n "$root" ] && [ "$root" != "$(pwd -P)" ]; then
    python=$(find_python)
    say "creating .venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi
say "installing the pinned requirements"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
with_uv || with_pip || die "cannot install the requirements: check that a package registry can be reached"
own_packages || die "cannot install this repository's own packages"
inputs >"$stamp.new"
mv "$stamp.new" "$stamp"
say "done: .venv with $("$venv/bin/python" --version)"
