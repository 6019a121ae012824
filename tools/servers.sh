#!/usr/bin/env bash
# Puts etcd and Consul into .servers/bin for the tests, without touching what the machine has installed. Idempotent.
# What is on PATH and new enough is taken first; else Debian's packages are unpacked beside the system.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.servers/bin
etcd_least=3.5.30 consul_least=1.8
# Debian releases to look in, the first that has a version new enough wins
etcd_releases=${ADDRCAST_ETCD_RELEASES:-sid trixie} consul_releases=${ADDRCAST_CONSUL_RELEASES:-bullseye}

stop() { printf 'servers: %s\n' "$*" >&2; exit 1; }

version() { # of an etcd or consul binary; nothing where it does not run
  local first
  case $(basename "$1") in
    etcd) first=$("$1" --version 2>/dev/null | head -n 1) ;;
    *) first=$("$1" version 2>/dev/null | head -n 1) ;;
  esac
  grep -oE '[0-9]+(\.[0-9]+)+' <<<"$first" | head -n 1 || true
}

# etcd before 3.5.30 lacks fixes that the store relies on: CVE-2026-33343, watches that lose events, wrong revisions
suits() { # binary, least version
  local found; found=$(version "$1")
  [ -n "$found" ] && [ "$(printf '%s\n%s\n' "$2" "$found" | sort -V | head -n 1)" = "$2" ]
}

take() { # binary: link it, and the tools beside it
  local from; from=$(dirname "$(realpath "$1")")
  shift
  mkdir -p "$bin"
  for name; do [ ! -x "$from/$name" ] || ln -sf "$from/$name" "$bin/$name"; done
}

mirror() { # the machine's own mirror of Debian
  { cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk '/^URIs:/{print $2}'
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | awk '/^deb /{for(i=2;i<=NF;i++) if ($i ~ /:\/\//) {print $i; break}}'
  } | grep -v security | head -n 1 || true
}

unpack() { # release, packages: apt with a state of its own, below $work
  local release=$1 root=$work/$1; shift
  mkdir -p "$root"/etc/apt/{preferences.d,apt.conf.d} "$root"/var/lib/apt/lists/partial "$root"/var/cache/apt/archives/partial \
    "$root"/var/lib/dpkg "$root/packages"
  touch "$root/var/lib/dpkg/status"
  cp /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $release main" >"$root/etc/apt/sources.list"
  printf 'Dir "%s";\nDir::State::status "%s/var/lib/dpkg/status";\nAPT::Sandbox::User "";\n' "$root" "$root" >"$root/apt.conf"
  (cd "$root/packages" && APT_CONFIG=$root/apt.conf apt-get -qq update && APT_CONFIG=$root/apt.conf apt-get -qq download "$@") \
    >"$root/log" 2>&1 || { tail -n 3 "$root/log" >&2; return 1; }
  mkdir -p ".servers/$release"
  for package in "$root"/packages/*.deb; do dpkg -x "$package" ".servers/$release"; done
}

provide() { # server, least version, releases, packages, tools beside it
  local server=$1 least=$2 releases=$3 packages=$4 tools=$5 found release
  ! suits "$bin/$server" "$least" || return 0
  if found=$(command -v "$server") && suits "$found" "$least"; then take "$found" "$server" $tools; return 0; fi
  command -v apt-get >/dev/null && command -v dpkg >/dev/null && [ -n "$(mirror)" ] ||
    stop "$server $least or newer is needed and was not found; install it and put it on PATH"
  for release in $releases; do
    echo "servers: unpacking $server from Debian's $release"
    unpack "$release" $packages || continue
    found=.servers/$release/usr/bin/$server
    if suits "$found" "$least"; then take "$found" "$server" $tools; return 0; fi
    echo "servers: $release has $server $(version "$found"), $least or newer is needed"
  done
  stop "no $server of $least or newer in Debian's ${releases// /, }; install one and put it on PATH"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
provide etcd $etcd_least "$etcd_releases" "etcd-server etcd-client" "etcdctl etcdutl"
provide consul $consul_least "$consul_releases" consul ""
