#!/usr/bin/env bash
# A lab to try the board on: a PostgreSQL primary and standby, a database that is restored from dumps, BIND with unbound
# before it, and two web servers, all on fixed loopback ports. `all` adds Patroni with a standby cluster, two registries,
# pgBackRest, Barman, dumps, web servers with TLS and a check of the team's own. tests/all.sh installs what it needs.
#
#   tests/lab.sh up [all] [DIR]  starts it, says where its configuration is (default DIR: /tmp/lifeboat-lab)
#   tests/lab.sh down [DIR]      stops it and removes DIR
#   tests/lab.sh FAULT [DIR]     breaks or mends something; `tests/lab.sh faults` lists what
set -euo pipefail

verb=${1:-help}
all=
if [ "${2:-}" = all ]; then all=yes; shift; fi
lab=${2:-/tmp/lifeboat-lab}
# Below the range from which the kernel takes ports for outgoing connections.
east=25501 west=25502 reports=25503 bind=25353 unbound=25354 web=25380
here=$(cd "$(dirname "$0")" && pwd)
pgbin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)

die() { echo "lab: $*" >&2; exit 1; }

# shellcheck source=tests/lab_all.sh
. "$here/lab_all.sh"

# As user postgres where we are root: PostgreSQL refuses to run as root.
as_postgres() {
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid=postgres --regid=postgres --init-groups env HOME="$lab" LC_ALL=C "$@"
  else
    env LC_ALL=C "$@"
  fi
}

pg() { local program=$1; shift; as_postgres "$pgbin/$program" "$@"; }
sql() { local port=$1; shift; pg psql -XAtq -v ON_ERROR_STOP=1 -h "$lab" -p "$port" -U postgres -d "${3:-postgres}" -c "$1"; }

# Starts a program in the background; its process id goes to NAME.pid. The subshell becomes the program, so the id is its.
launch() {
  local name=$1; shift
  ( exec "$@" </dev/null >"$lab/$name.log" 2>&1 ) &
  echo $! >"$lab/$name.pid"
}

until_ok() {
  local what=$1 tries=0; shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 150 ] || die "not up within 15 s: $what; see $lab"
    sleep 0.1
  done
}

stop() {
  local pid
  [ -f "$lab/$1.pid" ] || return 0
  pid=$(cat "$lab/$1.pid")
  kill -CONT "$pid" 2>/dev/null || true
  kill "$pid" 2>/dev/null || true
  rm -f "$lab/$1.pid"
}

web() { launch "web-$1" python3 -m http.server -b "$2" -d "$lab/www" $web; }

ask() { dig +short +time=1 +tries=1 @127.0.0.1 -p "$1" shop.lab.test A | grep -q .; }

pg_server() {
  local name=$1 port=$2
  pg initdb -D "$lab/$name" -U postgres --auth-local=trust --auth-host=scram-sha-256 -k -N -E UTF8 >"$lab/$name.initdb"
  as_postgres tee -a "$lab/$name/postgresql.conf" >/dev/null <<END
port = $port
listen_addresses = '127.0.0.1'
unix_socket_directories = '$lab'
fsync = off
wal_keep_size = 128MB
END
}

pg_start() { pg pg_ctl -D "$lab/$1" -l "$lab/$1.log" -w start >/dev/null; }

up() {
  [ -n "$pgbin" ] || die "PostgreSQL is not installed below /usr/lib/postgresql"
  for program in named unbound dig nsupdate tsig-keygen python3; do
    PATH=$PATH:/usr/sbin command -v $program >/dev/null || die "$program is not installed"
  done
  [ -z "$all" ] || needs_all
  [ ! -e "$lab/lifeboat.toml" ] || die "$lab is up already: tests/lab.sh down $lab"
  mkdir -p "$lab"
  chmod 755 "$lab"
  [ "$(id -u)" != 0 ] || chown postgres:postgres "$lab"
  trap 'trap - ERR; echo "lab: failed; taking it down" >&2; down keep' ERR

  pg_server east $east
  if [ -n "$all" ]; then
    pgbackrest_config
    archive_settings | as_postgres tee -a "$lab/east/postgresql.conf" >/dev/null
  fi
  pg_start east
  sql $east "CREATE ROLE lifeboat LOGIN PASSWORD 'look' IN ROLE pg_monitor"
  sql $east "CREATE DATABASE orders"
  # The role that acts in a failover: it may promote, and nothing else.
  sql $east "CREATE ROLE failover LOGIN PASSWORD 'act' IN ROLE pg_monitor"
  psql_grant="GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO failover"
  as_postgres "$pgbin/psql" -X -q -h "$lab" -p $east -U postgres -d orders -c "$psql_grant"
  pg pg_basebackup -h "$lab" -p $east -U postgres -D "$lab/west" -R -X stream -C -S west -c fast
  as_postgres tee -a "$lab/west/postgresql.conf" >/dev/null <<<"port = $west
cluster_name = 'west'"
  pg_start west
  pg_server reports $reports
  pg_start reports
  sql $reports "CREATE ROLE lifeboat LOGIN PASSWORD 'look' IN ROLE pg_monitor, pg_read_all_data"
  sql $reports "CREATE TABLE sales AS SELECT now() - interval '5 hours' AS at"
  pg pgbench -h "$lab" -p $east -U postgres -i -q orders >/dev/null 2>&1
  # Five transactions a second, so that there is something to see.
  if [ "$(id -u)" = 0 ]; then
    launch writer setpriv --reuid=postgres --regid=postgres --init-groups "$pgbin/pgbench" -h "$lab" -p $east -U postgres -R 5 -T 86400 orders
  else
    launch writer "$pgbin/pgbench" -h "$lab" -p $east -U postgres -R 5 -T 86400 orders
  fi

  mkdir -p "$lab/dns"
  tsig-keygen -a hmac-sha256 lab-key >"$lab/dns/key.conf"
  cat >"$lab/dns/named.conf" <<END
include "$lab/dns/key.conf";
options {
  directory "$lab/dns"; pid-file "$lab/dns/named.pid"; session-keyfile "$lab/dns/session.key";
  listen-on port $bind { 127.0.0.1; }; listen-on-v6 { none; };
  recursion no; dnssec-validation no; notify no;
};
controls { };
zone "lab.test" { type primary; file "$lab/dns/lab.test"; allow-update { key lab-key; }; };
END
  cat >"$lab/dns/lab.test" <<END
\$TTL 20
@ SOA ns1 host 1 3600 600 86400 5
@ NS ns1
ns1 A 127.0.0.1
shop CNAME front
front A 127.0.0.1
mail A 127.0.0.1
END
  launch named /usr/sbin/named -g -c "$lab/dns/named.conf"
  cat >"$lab/dns/unbound.conf" <<END
server:
  interface: 127.0.0.1@$unbound
  username: ""
  chroot: ""
  directory: "$lab/dns"
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: no
  local-zone: "test." nodefault
  module-config: "iterator"
stub-zone:
  name: "lab.test"
  stub-addr: 127.0.0.1@$bind
END
  launch unbound /usr/sbin/unbound -d -c "$lab/dns/unbound.conf"
  mkdir -p "$lab/www"
  web east 127.0.0.1
  web west 127.0.0.2
  until_ok named ask $bind
  until_ok unbound ask $unbound
  until_ok "the standby" standby_streams
  printf 'look\n' >"$lab/password"
  printf 'act\n' >"$lab/act"
  sed -n 's/.*secret "\(.*\)";.*/\1/p' "$lab/dns/key.conf" >"$lab/dns/key.secret"
  chmod 600 "$lab/password" "$lab/act" "$lab/dns/key.secret"
  [ -z "$all" ] || up_all
  configuration >"$lab/lifeboat.toml"
  [ -z "$all" ] || configuration_all >>"$lab/lifeboat.toml"
  echo "up: the lab, with its configuration in $lab/lifeboat.toml"
  echo "lifeboat --config $lab/lifeboat.toml"
}

standby_streams() { [ "$(sql $west "SELECT status FROM pg_stat_wal_receiver")" = streaming ]; }

# A program of PostgreSQL, as its own user, as the words of an argv in TOML.
argv() {
  local words=() program=$1
  shift
  [ "$(id -u)" != 0 ] || words=(setpriv --reuid=postgres --regid=postgres --init-groups)
  words+=("$pgbin/$program" "$@")
  printf '"%s", ' "${words[@]}" | sed 's/, $//'
}

configuration() {
  cat <<END
here = "elsewhere"
state = "$lab/state"

[defaults]
interval = "5s"
timeout  = "3s"

[[plan]]
name       = "shop"
tier       = 1
strategy   = "warm-standby"
objectives = { rpo = "30s", rto = "5m" }
sites      = { east = "the lab's primary", west = "the lab's standby" }
home       = "east"
requires   = ["replication", "dns"]

[[plan.probe]]
name     = "orders-db"
kind     = "postgres"
at       = { east = "postgres://lifeboat@127.0.0.1:$east/orders?sslmode=disable", west = "postgres://lifeboat@127.0.0.1:$west/orders?sslmode=disable" }
password = { file = "$lab/password" }
act_as   = { user = "failover", password = { file = "$lab/act" } }

[[plan.probe]]
name      = "front-door"
kind      = "dns"
record    = "shop.lab.test"
answers   = { east = ["127.0.0.1"], west = ["127.0.0.2"] }
servers   = ["127.0.0.1:$bind"]
resolvers = ["127.0.0.1:$unbound"]
max_ttl   = "60s"
endpoint  = { port = $web, tls = false, http = "/" }

[[plan.failover]]
step   = "fence the old primary"
kind   = "postgres-fence"
probe  = "orders-db"
on     = "old-active"
stop   = [$(argv pg_ctl -D "$lab/east" -m fast -w stop)]
check  = [$(argv pg_controldata "$lab/east")]
expect = "5s"

[[plan.failover]]
step   = "promote the standby"
kind   = "postgres-promote"
probe  = "orders-db"
on     = "new-active"
expect = "5s"

[[plan.failover]]
step   = "move traffic"
kind   = "dns-update"
probe  = "front-door"
via    = "rfc2136"
zone   = "lab.test"
server = "127.0.0.1:$bind"
key    = { name = "lab-key", secret = { file = "$lab/dns/key.secret" } }
expect = "2s"

[[plan.failover]]
step   = "resolvers follow"
kind   = "dns-moved"
probe  = "front-door"
expect = "20s"

[[plan.contact]]
role  = "database on-call"
reach = "pager: shop-db"
after = "0s"

[[plan.loss]]
what = "carts of guests"
why  = "kept in the memory of the web servers"

[[plan]]
name       = "reports"
tier       = 3
strategy   = "backup-restore"
objectives = { rpo = "24h", rto = "8h" }
sites      = { east = "the lab's primary", west = "the lab's standby" }
home       = "east"
requires   = ["replication"]

[[plan.probe]]
name     = "restored"
kind     = "postgres"
mode     = "restored"
at       = { west = "postgres://lifeboat@127.0.0.1:$reports/postgres?sslmode=disable" }
password = { file = "$lab/password" }
freshness_query = "SELECT max(at) FROM sales"

[[plan]]
# Degraded from the start: nobody listens at the second of its servers.
name       = "mail"
tier       = 2
strategy   = "warm-standby"
objectives = { rpo = "5m", rto = "1h" }
sites      = { east = "the lab's primary", west = "the lab's standby" }
home       = "east"
requires   = ["dns"]

[[plan.probe]]
name      = "mx"
kind      = "dns"
record    = "mail.lab.test"
answers   = { east = ["127.0.0.1"], west = ["127.0.0.2"] }
servers   = ["127.0.0.1:$bind", "127.0.0.1:$((bind + 9))"]
resolvers = ["127.0.0.1:$unbound"]
max_ttl   = "60s"
END
}

down() {
  down_all
  for name in writer web-east web-west unbound named; do stop $name; done
  [ ! -f "$lab/east/postmaster.pid" ] || whole_server CONT 2>/dev/null || true
  for name in west east reports; do
    if [ -f "$lab/$name/postmaster.pid" ]; then
      pg pg_ctl -D "$lab/$name" -w -m immediate stop >/dev/null || true
    fi
  done
  [ "${1:-}" = keep ] || rm -rf "$lab"
}

# Moves the record by a signed update, as an operator would.
traffic() {
  nsupdate -k "$lab/dns/key.conf" <<END
server 127.0.0.1 $bind
zone lab.test
update delete front.lab.test A
update add front.lab.test 20 A $1
send
END
}

# A host that hangs: the postmaster and every process of its own.
whole_server() {
  local pid
  pid=$(head -1 "$lab/east/postmaster.pid")
  # shellcheck disable=SC2046
  kill "-$1" "$pid" $(ps -o pid= --ppid "$pid")
}

fault() {
  [ -e "$lab/lifeboat.toml" ] || die "$lab is not up: tests/lab.sh up $lab"
  case $1 in
    pause-replay) sql $west "SELECT pg_wal_replay_pause()" ;;
    resume-replay) sql $west "SELECT pg_wal_replay_resume()" ;;
    stop-standby) pg pg_ctl -D "$lab/west" -w -m fast stop >/dev/null ;;
    start-standby) pg_start west ;;
    crash-primary) pg pg_ctl -D "$lab/east" -w -m immediate stop >/dev/null ;;
    start-primary) pg_start east ;;
    hang-primary) whole_server STOP ;;
    wake-primary) whole_server CONT ;;
    promote-standby) sql $west "SELECT pg_promote(true, 30)" ;;
    move-traffic) traffic 127.0.0.2 ;;
    return-traffic) traffic 127.0.0.1 ;;
    stop-web-west) stop web-west ;;
    start-web-west) web west 127.0.0.2 ;;
    hang-dns) kill -STOP "$(cat "$lab/named.pid")" ;;
    wake-dns) kill -CONT "$(cat "$lab/named.pid")" ;;
    *)
      grep -q "^    $1) " "$here/lab_all.sh" || die "no such fault: $1; see: tests/lab.sh faults"
      [ -e "$lab/queue" ] || die "$1 needs what up all starts"
      fault_all "$1"
      ;;
  esac
}

case $verb in
  up) up ;;
  down) down ;;
  faults)
    sed -n 's/^    \([a-z-]*\)) .*;;$/\1/p' "$0"
    echo "with up all:"
    sed -n 's/^    \([a-z-]*\)) .*;;$/\1/p' "$here/lab_all.sh"
    ;;
  help | -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0" ;;
  *) fault "$verb" ;;
esac
