#!/usr/bin/env bash
# Makes tests/fixtures/recordings/freeze-and-restart.jsonl anew: a real session at a real pair, whose primary is frozen
# and thawed, and whose standby is stopped and started. Run it when what a look brings has changed, and read what the
# timeline in tests/fast/recorded.rs then says. Needs what tests/lab.sh needs, and a built program.
#
#   tests/record.sh [PROGRAM]        default: target/debug/lifeboat
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "${1:-target/debug/lifeboat}")
out=$PWD/tests/fixtures/recordings/freeze-and-restart.jsonl
lab=/tmp/lifeboat-record
tests/lab.sh up "$lab" >/dev/null
trap 'tests/lab.sh down "$lab" >/dev/null' EXIT
east=$(grep -o '127.0.0.1:[0-9]*' "$lab/lifeboat.toml" | sed -n 1p)
west=$(grep -o '127.0.0.1:[0-9]*' "$lab/lifeboat.toml" | sed -n 2p)
LAB_PASSWORD=$(cat "$lab/password")
export LAB_PASSWORD
at() { echo "host=db.$1.example.com hostaddr=127.0.0.1 port=${2#*:} dbname=orders user=lifeboat sslmode=disable"; }
cat >"$lab/lifeboat.record.toml" <<END
here = "elsewhere"
state = "$lab/record-state"

[defaults]
interval = "5s"
timeout  = "2s"

[[plan]]
name       = "orders"
tier       = 1
strategy   = "warm-standby"
objectives = { rpo = "30s", rto = "5m" }
sites      = { east = "the primary", west = "the standby" }
home       = "east"
requires   = ["replication"]

[[plan.probe]]
name     = "orders-db"
kind     = "postgres"
at       = { east = "$(at east "$east")", west = "$(at west "$west")" }
password = { env = "LAB_PASSWORD" }
END
rm -f "$lab/session.jsonl"
# A session of 46 seconds, then q.
( sleep 46; printf q ) | TERM=xterm-256color script -qec "$program --config $lab/lifeboat.record.toml --record $lab/session.jsonl" /dev/null >/dev/null &
session=$!
sleep 7;  tests/lab.sh hang-primary "$lab"
sleep 13; tests/lab.sh wake-primary "$lab"
sleep 5;  tests/lab.sh stop-standby "$lab"
sleep 7;  tests/lab.sh start-standby "$lab"
wait $session
# Nothing of this machine belongs in it.
sed -e 's/"boot":"[0-9a-f-]\{36\}"/"boot":"00000000-0000-0000-0000-000000000000"/g' -e "s|$lab[^\"\\\\]*|/srv/lab|g" \
  -e 's|"name":"[^"]*lifeboat.record.toml"|"name":"lifeboat.toml"|' "$lab/session.jsonl" >"$out"
wc -lc "$out"
