# shellcheck shell=bash disable=SC2154
# What `tests/lab.sh up all` adds: two clusters of Patroni with an etcd each, two registries, pgBackRest, Barman, backup
# files, web servers with TLS, and a check of the team's own. Sourced by lab.sh, whose functions and variables it uses.

etcd_east=25601 etcd_west=25603 registry_east=25631 registry_west=25632 https=25641
# The members: REST API and PostgreSQL.
declare -A rest=([n1]=25611 [n2]=25612 [n4]=25614 [n5]=25615)
declare -A node=([n1]=25621 [n2]=25622 [n4]=25624 [n5]=25625)

needs_all() {
  for program in etcd patroni pgbackrest barman docker-registry skopeo openssl curl; do
    command -v $program >/dev/null || die "$program is not installed: apt-get install etcd-server patroni pgbackrest barman docker-registry skopeo openssl curl"
  done
}

# Words that run a program as the user of the databases: for the configuration, one TOML string each.
as_words() {
  local words=("$@") text=
  [ "$(id -u)" != 0 ] || words=(setpriv --reuid=postgres --regid=postgres --init-groups "$@")
  for word in "${words[@]}"; do text+="\"$word\", "; done
  echo "[${text%, }]"
}

# A directory that the databases' user owns.
own_dir() {
  mkdir -p "$1"
  [ "$(id -u)" != 0 ] || chown postgres:postgres "$1"
}

launch_as_postgres() {
  local name=$1; shift
  if [ "$(id -u)" = 0 ]; then
    launch "$name" setpriv --reuid=postgres --regid=postgres --init-groups env HOME="$lab" LC_ALL=C "$@"
  else
    launch "$name" env LC_ALL=C "$@"
  fi
}

# --- Patroni ---------------------------------------------------------------------------------------------------------

start_etcd() {
  local name=$1 port=$2 client="http://127.0.0.1:$2" peer="http://127.0.0.1:$(($2 + 1))"
  launch "$name" etcd --name "$name" --data-dir "$lab/$name" --listen-client-urls "$client" --advertise-client-urls "$client" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "$name=$peer" --unsafe-no-fsync
  until_ok "$name" curl -sf "http://127.0.0.1:$port/health"
}

# JSON is YAML.
patroni_config() {
  local name=$1 scope=$2 etcd=$3 follows=$4
  own_dir "$lab/patroni-$name"
  cat >"$lab/patroni-$name/patroni.yml" <<END
{ "scope": "$scope", "name": "$name",
  "restapi": { "listen": "127.0.0.1:${rest[$name]}", "connect_address": "127.0.0.1:${rest[$name]}" },
  "etcd3": { "host": "127.0.0.1:$etcd" },
  "bootstrap": {
    "dcs": { "ttl": 20, "loop_wait": 2, "retry_timeout": 4, $follows "postgresql": { "use_pg_rewind": true, "use_slots": true,
      "parameters": { "max_connections": 40, "wal_keep_size": "256MB", "fsync": "off", "wal_log_hints": "on" } } },
    "initdb": [{ "encoding": "UTF8" }, { "auth": "trust" }, "no-sync"] },
  "postgresql": {
    "listen": "127.0.0.1:${node[$name]}", "connect_address": "127.0.0.1:${node[$name]}",
    "data_dir": "$lab/patroni-$name/data", "bin_dir": "$pgbin", "pgpass": "$lab/patroni-$name/pgpass",
    "pg_hba": ["local all all trust", "host all all 127.0.0.0/8 trust", "host replication all 127.0.0.0/8 trust"],
    "basebackup": [{ "checkpoint": "fast" }],
    "authentication": { "superuser": { "username": "postgres", "password": "lab" },
                        "replication": { "username": "postgres", "password": "lab" } },
    "parameters": { "unix_socket_directories": "$lab/patroni-$name" } },
  "watchdog": { "mode": "off" } }
END
  chmod 644 "$lab/patroni-$name/patroni.yml"
}

start_patroni() { launch_as_postgres "patroni-$1" patroni "$lab/patroni-$1/patroni.yml"; }

node_sql() { pg psql -XAtq -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "${node[$1]}" -U postgres -d postgres -c "$2"; }

# Whether a member has a role that is one of these, and its PostgreSQL runs.
has_role() {
  curl -s "http://127.0.0.1:${rest[$1]}/patroni" | python3 -c '
import json, sys
told = json.load(sys.stdin)
sys.exit(0 if told.get("role") in sys.argv[1:] and told.get("state") in ("running", "streaming") else 1)' "${@:2}"
}

stop_patroni() {
  stop "patroni-$1"
  # Patroni may be killed before it has stopped its PostgreSQL.
  if [ -f "$lab/patroni-$1/data/postmaster.pid" ]; then
    pg pg_ctl -D "$lab/patroni-$1/data" -w -m immediate stop >/dev/null 2>&1 || true
  fi
}

up_patroni() {
  start_etcd etcd-east $etcd_east
  start_etcd etcd-west $etcd_west
  for name in n1 n2; do patroni_config $name prod $etcd_east ""; done
  local follows="\"standby_cluster\": { \"host\": \"127.0.0.1\", \"port\": ${node[n1]}, \"create_replica_methods\": [\"basebackup\"] },"
  for name in n4 n5; do patroni_config $name dr $etcd_west "$follows"; done
  start_patroni n1
  until_ok "Patroni n1" has_role n1 master primary
  node_sql n1 "CREATE ROLE lifeboat LOGIN IN ROLE pg_monitor"
  start_patroni n2
  start_patroni n4
  until_ok "Patroni n4" has_role n4 standby_leader
  start_patroni n5
  for name in n2 n5; do until_ok "Patroni $name" has_role $name replica; done
}

# Changes the dynamic configuration of the cluster that this member belongs to.
patroni_patch() { curl -sf -X PATCH -H 'Content-Type: application/json' -d "$2" "http://127.0.0.1:${rest[$1]}/config" >/dev/null; }

# --- registries ------------------------------------------------------------------------------------------------------

start_registry() {
  cat >"$lab/registry-$1.yml" <<END
version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: "$lab/registry-$1" }, delete: { enabled: true } }
http: { addr: "127.0.0.1:$2" }
END
  launch "registry-$1" docker-registry serve "$lab/registry-$1.yml"
  until_ok "registry $1" curl -sf "http://127.0.0.1:$2/v2/"
}

# An image of two platforms with this build's name in it, as a directory that skopeo can push.
build_image() {
  python3 - "$lab/image-$1" "$1" <<'END'
import gzip, hashlib, json, pathlib, sys
top, build = pathlib.Path(sys.argv[1]), sys.argv[2]
blobs = top / "blobs" / "sha256"
blobs.mkdir(parents=True, exist_ok=True)
def blob(content, media, **more):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return {"mediaType": media, "digest": "sha256:" + digest, "size": len(content), **more}
oci, manifests = "application/vnd.oci.image.", []
for architecture in ("amd64", "arm64"):
    inner = f"layer of {build} for {architecture}".encode()
    layer = blob(gzip.compress(inner, mtime=0), oci + "layer.v1.tar+gzip")
    config = blob({"architecture": architecture, "os": "linux", "config": {}, "rootfs": {"type": "layers",
                   "diff_ids": ["sha256:" + hashlib.sha256(inner).hexdigest()]}}, oci + "config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": oci + "manifest.v1+json", "config": config, "layers": [layer]}
    platform = {"os": "linux", "architecture": architecture}
    manifests.append(blob(manifest, oci + "manifest.v1+json", platform=platform))
index = {"schemaVersion": 2, "mediaType": oci + "index.v1+json", "manifests": manifests}
named = blob(index, oci + "index.v1+json", annotations={"org.opencontainers.image.ref.name": "v1"})
(top / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
(top / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
END
}

copy_image() {
  skopeo --insecure-policy copy -q --all --src-tls-verify=false --dest-tls-verify=false "$1" "$2"
}

at_east() { echo "docker://127.0.0.1:$registry_east/shop/api:v1"; }
at_west() { echo "docker://127.0.0.1:$registry_west/shop/api:v1"; }

up_registries() {
  start_registry east $registry_east
  start_registry west $registry_west
  for build in one two; do build_image $build; done
  copy_image "oci:$lab/image-one:v1" "$(at_east)"
  copy_image "$(at_east)" "$(at_west)"
}

# --- backups ---------------------------------------------------------------------------------------------------------

# What the primary needs from its first start.
archive_settings() {
  cat <<END
archive_mode = on
archive_timeout = 60
archive_command = 'pgbackrest --config=$lab/pgbackrest.conf --stanza=main archive-push %p'
END
}

pgbackrest_config() {
  for name in log lock spool repo1 repo2; do own_dir "$lab/pgbackrest/$name"; done
  [ "$(id -u)" != 0 ] || chown postgres:postgres "$lab/pgbackrest"
  as_postgres tee "$lab/pgbackrest.conf" >/dev/null <<END
[global]
repo1-path=$lab/pgbackrest/repo1
repo1-retention-full=2
repo2-path=$lab/pgbackrest/repo2
repo2-retention-full=2
repo2-cipher-type=aes-256-cbc
repo2-cipher-pass=the-key-of-the-lab
log-path=$lab/pgbackrest/log
lock-path=$lab/pgbackrest/lock
spool-path=$lab/pgbackrest/spool
start-fast=y
archive-timeout=20
[main]
pg1-path=$lab/east
pg1-port=$east
pg1-socket-path=$lab
pg1-user=postgres
END
  as_postgres chmod 640 "$lab/pgbackrest.conf"
}

# From /, which every user may be in.
backrest() { (cd / && as_postgres pgbackrest --config="$lab/pgbackrest.conf" --stanza=main --log-level-console=error "$@"); }
barman_run() { (cd / && as_postgres barman -c "$lab/barman.conf" "$@") >>"$lab/barman.out" 2>&1; }

barman_slot() { [ "$(sql $east "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'barman' AND active")" = 1 ]; }

# Barman's cron starts the receiver and takes in what it received.
start_barman() {
  # shellcheck disable=SC2016
  launch_as_postgres barman-cron bash -c 'cd /; while :; do barman -c "$0" cron; sleep 15; done' "$lab/barman.conf"
  until_ok "Barman's receiver" barman_slot
}

stop_barman() {
  stop barman-cron
  barman_run receive-wal --stop main || true
}

dump() {
  as_postgres "$pgbin/pg_dump" -h "$lab" -p $east -U postgres -Fc -f "$lab/dumps/.writing" orders
  as_postgres mv "$lab/dumps/.writing" "$lab/dumps/orders_$(date -u +%Y-%m-%dT%H%M%S).dump"
}

newest_dump() { find "$lab/dumps" -name 'orders_*.dump' | sort | tail -1; }

up_backups() {
  backrest stanza-create
  backrest --repo=1 --type=full backup
  backrest --repo=2 --type=full backup
  own_dir "$lab/barman"
  cat >"$lab/barman.conf" <<END
[barman]
barman_user=$([ "$(id -u)" = 0 ] && echo postgres || id -un)
barman_home=$lab/barman
barman_lock_directory=$lab/barman
log_file=$lab/barman/log
configuration_files_directory=$lab/none
path_prefix=$pgbin
[main]
description=the lab's primary
conninfo=host=$lab port=$east user=postgres dbname=postgres
streaming_conninfo=host=$lab port=$east user=postgres
backup_method=postgres
streaming_archiver=on
slot_name=barman
create_slot=auto
minimum_redundancy=1
last_backup_maximum_age=1 DAY
immediate_checkpoint=true
END
  start_barman
  barman_run switch-wal --force --archive main
  barman_run backup --wait main
  own_dir "$lab/dumps"
  dump
}

# --- web servers with TLS, and a check of the team's own -------------------------------------------------------------

authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=the lab's authority" \
    -addext keyUsage=critical,keyCertSign,cRLSign -keyout "$lab/tls/authority.key" -out "$lab/tls/authority.pem" 2>/dev/null
}

# A certificate for both sites that is good for so many days.
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=shop.lab.test" \
    -keyout "$lab/tls/$1.key" -out "$lab/tls/$1.csr" 2>/dev/null
  openssl x509 -req -in "$lab/tls/$1.csr" -CA "$lab/tls/authority.pem" -CAkey "$lab/tls/authority.key" -CAcreateserial \
    -days "$2" -out "$lab/tls/$1.pem" \
    -extfile <(echo "subjectAltName=DNS:shop.lab.test,IP:127.0.0.1,IP:127.0.0.2") 2>/dev/null
}

start_https() {
  launch "https-$1" python3 -c '
import http.server, ssl, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"{\"status\": \"ok\"}"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Health)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[3] + ".pem", sys.argv[3] + ".key")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()' "$2" $https "$lab/tls/$3"
}

up_endpoints() {
  mkdir -p "$lab/tls"
  authority
  certificate good 90
  certificate ending 3
  start_https east 127.0.0.1 good
  start_https west 127.0.0.2 good
  until_ok "the web servers with TLS" curl -sf --cacert "$lab/tls/authority.pem" "https://127.0.0.2:$https/"
  cat >"$lab/check-queue" <<END
#!/bin/sh
# A check of the team's own, as Nagios runs them.
depth=\$(cat "$lab/queue")
if [ "\$depth" -gt 100 ]; then echo "CRITICAL: \$depth messages wait|depth=\$depth;50;100"; exit 2; fi
echo "OK: \$depth messages wait|depth=\$depth;50;100"
END
  chmod 755 "$lab/check-queue"
  echo 3 >"$lab/queue"
}

# --- all of it -------------------------------------------------------------------------------------------------------

up_all() {
  echo "lab: Patroni, registries, backups, web servers with TLS; about half a minute" >&2
  up_patroni
  up_registries
  up_backups
  up_endpoints
}

down_all() {
  if [ -f "$lab/barman.conf" ]; then stop_barman; fi
  for name in n5 n4 n2 n1; do stop_patroni $name; done
  for name in etcd-east etcd-west registry-east registry-west https-east https-west; do stop $name; done
}

configuration_all() {
  cat <<END

[[plan]]
# Two clusters that Patroni manages, the second one a standby cluster of the first.
name       = "clusters"
tier       = 1
strategy   = "warm-standby"
objectives = { rpo = "30s", rto = "5m" }
sites      = { east = "the lab's cluster prod", west = "the lab's cluster dr" }
home       = "east"
requires   = ["replication", "standby"]

[[plan.probe]]
name = "members"
kind = "patroni"
at   = { east = ["http://127.0.0.1:${rest[n1]}", "http://127.0.0.1:${rest[n2]}"], west = ["http://127.0.0.1:${rest[n4]}", "http://127.0.0.1:${rest[n5]}"] }

[[plan.probe]]
name = "cluster-db"
kind = "postgres"
at   = { east = "postgres://lifeboat@127.0.0.1:${node[n1]},127.0.0.1:${node[n2]}/postgres?sslmode=disable&target_session_attrs=primary", west = "postgres://lifeboat@127.0.0.1:${node[n4]},127.0.0.1:${node[n5]}/postgres?sslmode=disable" }
standby_names = { west = "n4" }

[[plan]]
# Everything that a backup can be, of the primary of shop.
name       = "vault"
tier       = 2
strategy   = "backup-restore"
objectives = { rpo = "26h", rto = "8h" }
sites      = { east = "where the database is", west = "where the backups are" }
home       = "east"
requires   = ["backup"]

[[plan.probe]]
name     = "vault-db"
kind     = "postgres"
at       = { east = "postgres://lifeboat@127.0.0.1:$east/orders?sslmode=disable", west = "postgres://lifeboat@127.0.0.1:$west/orders?sslmode=disable" }
password = { file = "$lab/password" }

[[plan.probe]]
name     = "repositories"
kind     = "pgbackrest"
stanza   = "main"
interval = "15s"
site     = "west"
database = "vault-db"
repos    = { 1 = { site = "east" }, 2 = { site = "west" } }
argv     = $(as_words pgbackrest "--config=$lab/pgbackrest.conf")

[[plan.probe]]
name     = "barman"
kind     = "barman"
server   = "main"
interval = "15s"
site     = "west"
database = "vault-db"
argv     = $(as_words barman -c "$lab/barman.conf")

[[plan.probe]]
name     = "dumps"
kind     = "backup-files"
site     = "west"
location = "$lab/dumps"
pattern  = "orders_{%Y-%m-%dT%H%M%S}.dump"
max_age  = "26h"
interval = "5s"
settle   = "1s"
decode   = "newest"

[[plan]]
# What runs beside the database.
name       = "catalog"
tier       = 2
strategy   = "pilot-light"
objectives = { rpo = "1h", rto = "1h" }
sites      = { east = "the lab's registry", west = "its copy" }
home       = "east"
requires   = ["images", "standby"]

[[plan.probe]]
name     = "images"
kind     = "images"
interval = "5s"
http     = true
at       = { east = "127.0.0.1:$registry_east/shop", west = "127.0.0.1:$registry_west/shop" }
images   = ["api:v1"]

[[plan.probe]]
name  = "health"
kind  = "http"
area  = "standby"
at    = { east = "https://127.0.0.1:$https/", west = "https://127.0.0.2:$https/" }
roots = "$lab/tls/authority.pem"
json  = { pointer = "/status", equals = "ok" }

[[plan.probe]]
name     = "certificate"
kind     = "tls"
area     = "standby"
interval = "10s"
at       = { east = "127.0.0.1:$https", west = "127.0.0.2:$https" }
roots    = "$lab/tls/authority.pem"

[[plan.probe]]
name     = "queue"
kind     = "command"
area     = "standby"
interval = "5s"
argv     = ["$lab/check-queue"]
END
}

fault_all() {
  case $1 in
    hang-patroni-west) kill -STOP "$(cat "$lab/patroni-n4.pid")" ;;
    wake-patroni-west) kill -CONT "$(cat "$lab/patroni-n4.pid")" ;;
    stop-patroni-east) stop_patroni n1 ;;
    start-patroni-east) start_patroni n1 ;;
    pause-patroni) patroni_patch n4 '{"pause": true}' ;;
    resume-patroni) patroni_patch n4 '{"pause": null}' ;;
    promote-cluster-west) patroni_patch n4 '{"standby_cluster": null}' ;;
    hang-etcd-west) kill -STOP "$(cat "$lab/etcd-west.pid")" ;;
    wake-etcd-west) kill -CONT "$(cat "$lab/etcd-west.pid")" ;;
    push-image-east) copy_image "oci:$lab/image-two:v1" "$(at_east)" ;;
    sync-images) copy_image "$(at_east)" "$(at_west)" ;;
    delete-image-west) skopeo --insecure-policy delete --tls-verify=false "$(at_west)" ;;
    stop-registry-west) stop registry-west ;;
    start-registry-west) start_registry west $registry_west ;;
    break-archive) sql $east "ALTER SYSTEM SET archive_command = '/bin/false'"; sql $east "SELECT pg_reload_conf()"; sql $east "SELECT pg_switch_wal()" ;;
    mend-archive) sql $east "ALTER SYSTEM RESET archive_command"; sql $east "SELECT pg_reload_conf()" ;;
    hide-repository) chmod 000 "$lab/pgbackrest/repo1" ;;
    show-repository) chmod 750 "$lab/pgbackrest/repo1" ;;
    stop-barman) stop_barman ;;
    start-barman) start_barman ;;
    cut-dump) as_postgres truncate -s 3000 "$(newest_dump)" ;;
    new-dump) dump ;;
    stop-https-west) stop https-west ;;
    start-https-west) start_https west 127.0.0.2 good ;;
    end-certificate) stop https-west; sleep 0.3; start_https west 127.0.0.2 ending ;;
    renew-certificate) stop https-west; sleep 0.3; start_https west 127.0.0.2 good ;;
    fill-queue) echo 900 >"$lab/queue" ;;
    empty-queue) echo 3 >"$lab/queue" ;;
  esac
}
