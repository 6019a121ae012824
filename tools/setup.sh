#!/usr/bin/env bash
# Makes .venv from the pinned requirements and installs addrcast into it. Idempotent; says what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.venv
stamp=$venv/.ready

stop() { printf 'setup: %s\n' "$*" >&2; exit 1; }

find_python() {
  for name in "${PYTHON:-python3}" python3 python3.11 python3.12 python3.13; do
    if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
      printf '%s' "$name"; return
    fi
  done
  stop "Python 3.11 or newer is needed and was not found; install it, or name it with PYTHON=/path/to/python"
}

# Debian leaves ensurepip and the OpenMP runtime out of its small images; root or sudo can add them.
install_debian() {
  local as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo -n)
  if ! command -v apt-get >/dev/null || { [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; }; then
    stop "missing: $*. On Debian or Ubuntu: sudo apt-get install $*; elsewhere install your system's equivalent"
  fi
  echo "setup: installing $*"
  "${as_root[@]}" apt-get -qq update
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}

python=$(find_python)
needs=()
"$python" -c 'import ensurepip, venv' 2>/dev/null || needs+=(python3-venv)
"$python" -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null || needs+=(libgomp1)
command -v ip >/dev/null || [ -x /usr/sbin/ip ] || needs+=(iproute2)  # for tests of kernel tables only
[ ${#needs[@]} -eq 0 ] || install_debian "${needs[@]}"

if [ ! -e "$stamp" ] || [ requirements/dev.txt -nt "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
  echo "setup: making $venv (about half a minute)"
  [ -x $venv/bin/python ] || "$python" -m venv "$venv"
  export PIP_DISABLE_PIP_VERSION_CHECK=1
  $venv/bin/python -m pip install --quiet --require-hashes -r requirements/dev.txt
  $venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
  touch "$stamp"
fi
