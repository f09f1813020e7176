#!/usr/bin/env python3
"""Many plans on a few real servers: what memory, CPU and the screen cost as the number of plans grows.

  tests/many.py up DIR               starts the servers: a PostgreSQL pair, BIND, unbound, two registries; on loopback,
                                     or at the address that --at gives
  tests/many.py write N DIR          prints a configuration of N plans with five probes each, pointed at them
  tests/many.py down DIR             stops them and removes DIR
  tests/many.py curve DIR N...       runs the board with each N and prints a line of a table for each
  tests/many.py ages DIR N...        the same for how old what is seen is when it is seen, from the question to the frame

Each plan has a `postgres` pair, `dns` (an authoritative server and a resolver), `http` at both sites, `images` in both
registries and `backup-files`. `--interval` is that of the first three; the others look once a minute, as they do.
`curve` counts what a busy machine does not change: CPU seconds, memory, wake-ups, bytes. Times are for comparing two
programs in one run, by turns. Needs what tests/all.sh installs.
"""

import argparse
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

from board import Board

LIMIT = 30
ZONE = "many.test"
IMAGE = "shop/api"


def until(what, holds, limit=LIMIT):
    """Waits until a condition holds; fails where it does not within the limit."""
    begun = time.monotonic()
    while not holds():
        if time.monotonic() - begun > limit:
            sys.exit(f"many: not within {limit} s: {what}")
        time.sleep(0.05)


# ---------------------------------------------------------------------------------------------------------- the servers


class Servers:
    """The servers in one directory. What is known of them is in `servers.json`, so that another call finds them."""

    def __init__(self, lab, at="127.0.0.1"):
        self.lab = pathlib.Path(lab).resolve()
        self.known = self.lab / "servers.json"
        self.at = json.loads(self.known.read_text())["at"] if self.known.exists() else at
        bins = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
        self.pgbin = bins[-1] if bins else sys.exit("many: PostgreSQL is not installed below /usr/lib/postgresql")

    def ports(self):
        return json.loads(self.known.read_text())["ports"]

    def launch(self, name, argv):
        with open(self.lab / f"{name}.log", "wb") as log:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.pids[name] = child.pid

    def pg(self, program, *args):
        who = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.getuid() == 0 else []
        argv = [*who, "env", "LC_ALL=C", f"HOME={self.lab}", str(self.pgbin / program), *map(str, args)]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=program != "pg_ctl", text=True)
        if done.returncode:
            sys.exit(f"many: {program} failed: {done.stderr}")
        return done.stdout

    def up(self):
        if self.known.exists():
            sys.exit(f"many: {self.lab} is up already")
        self.lab.mkdir(parents=True, exist_ok=True)
        self.lab.chmod(0o755)
        if os.getuid() == 0:
            shutil.chown(self.lab, "postgres", "postgres")
        names = ["east", "west", "bind", "unbound", "registry_east", "registry_west"]
        ports, self.pids = dict(zip(names, free_ports(self.at, len(names)))), {}
        self.known.write_text(json.dumps({"at": self.at, "ports": ports, "pids": {}}))
        self.postgres(ports)
        self.names(ports)
        for site in ("east", "west"):
            self.registry(site, ports[f"registry_{site}"])
        backups = self.lab / "backups"
        backups.mkdir()
        (backups / "orders.dump").write_bytes(b"PGDMP" + bytes(4096))
        os.utime(backups / "orders.dump", (time.time() - 3600,) * 2)
        self.known.write_text(json.dumps({"at": self.at, "ports": ports, "pids": self.pids}))
        print(f"up: {self.lab}")

    def postgres(self, ports):
        east, west = self.lab / "east", self.lab / "west"
        self.pg("initdb", "-D", east, "-U", "postgres", "-A", "trust", "-k", "-N", "-E", "UTF8")
        own = f"listen_addresses = '{self.at}'\nunix_socket_directories = '{self.lab}'\nfsync = off\n"
        own += "max_connections = 2100\nshared_buffers = 64MB\nwal_keep_size = 128MB\n"
        with open(east / "postgresql.conf", "a") as conf:
            conf.write(own + f"port = {ports['east']}\n")
        with open(east / "pg_hba.conf", "a") as hba:
            hba.write(f"host all,replication all {self.at}/24 trust\n")
        self.pg("pg_ctl", "-D", east, "-l", self.lab / "east.pg.log", "-w", "start")
        at = ["-h", self.at, "-p", ports["east"], "-U", "postgres"]
        self.pg("psql", "-XAtq", *at, "-c", "CREATE ROLE lifeboat LOGIN IN ROLE pg_monitor")
        self.pg("pg_basebackup", *at, "-D", west, "-R", "-X", "stream", "-C", "-S", "west", "-c", "fast")
        with open(west / "postgresql.conf", "a") as conf:
            conf.write(f"port = {ports['west']}\ncluster_name = 'west'\n")
        self.pg("pg_ctl", "-D", west, "-l", self.lab / "west.pg.log", "-w", "start")

    def names(self, ports):
        dns = self.lab / "dns"
        dns.mkdir()
        (dns / "zone").write_text(f"$TTL 20\n@ SOA ns1 host 1 3600 600 86400 5\n@ NS ns1\nns1 A {self.at}\n* A 127.0.0.1\n")
        (dns / "named.conf").write_text(
            f'options {{ directory "{dns}"; pid-file "{dns}/named.pid"; session-keyfile "{dns}/session.key";\n'
            f"  listen-on port {ports['bind']} {{ {self.at}; }}; listen-on-v6 {{ none; }};\n"
            "  recursion no; dnssec-validation no; notify no; };\ncontrols { };\n"
            f'zone "{ZONE}" {{ type primary; file "{dns}/zone"; }};\n'
        )
        (dns / "unbound.conf").write_text(
            f"server:\n  interface: {self.at}@{ports['unbound']}\n  access-control: {self.at}/24 allow\n  username: \"\"\n  chroot: \"\"\n  pidfile: \"\"\n"
            f'  directory: "{dns}"\n  use-syslog: no\n  do-not-query-localhost: no\n  local-zone: "test." nodefault\n'
            f'  module-config: "iterator"\nstub-zone:\n  name: "{ZONE}"\n  stub-addr: {self.at}@{ports["bind"]}\n'
        )
        self.launch("named", ["/usr/sbin/named", "-g", "-c", str(dns / "named.conf")])
        self.launch("unbound", ["/usr/sbin/unbound", "-d", "-c", str(dns / "unbound.conf")])
        for port in (ports["bind"], ports["unbound"]):
            until(f"DNS at port {port}", lambda: answers(self.at, port, f"plan-0.{ZONE}"))

    def registry(self, site, port):
        conf = self.lab / f"registry-{site}.yml"
        conf.write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.lab}/registry-{site}}}}}\nhttp: {{addr: '{self.at}:{port}'}}\n"
        )
        self.launch(f"registry-{site}", ["docker-registry", "serve", str(conf)])
        until(f"the registry at port {port}", lambda: listens(self.at, port))
        push(self.at, port)

    def down(self):
        if self.known.exists():
            for pid in json.loads(self.known.read_text())["pids"].values():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            for site in ("west", "east"):
                if (self.lab / site / "postmaster.pid").exists():
                    self.pg("pg_ctl", "-D", self.lab / site, "-w", "-m", "immediate", "stop")
        shutil.rmtree(self.lab, ignore_errors=True)


def free_ports(address, count):
    """Ports that are free for TCP and UDP, held until all are found."""
    held, ports = [], []
    while len(ports) < count:
        tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        tcp.bind((address, 0))
        held += [tcp, udp]
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            continue
        ports.append(tcp.getsockname()[1])
    for s in held:
        s.close()
    return ports


def listens(address, port):
    with socket.socket() as s:
        return s.connect_ex((address, port)) == 0


def answers(address, port, name):
    """Whether a DNS server answers an A question with at least one record (RFC 1035, section 4)."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        s.connect((address, port))
        try:
            s.send(struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1")
            return struct.unpack(">H", s.recv(512)[6:8])[0] > 0
        except OSError:
            return False


def push(address, port):
    """Pushes an image of one layer (OCI distribution specification, "Pushing")."""
    def digest(data):
        return "sha256:" + hashlib.sha256(data).hexdigest()

    def blob(data):
        c = http.client.HTTPConnection(address, port)
        c.request("POST", f"/v2/{IMAGE}/blobs/uploads/")
        where = c.getresponse()
        where.read()
        c.request("PUT", f"{where.getheader('Location')}&digest={digest(data)}", data)
        assert c.getresponse().status == 201
        return {"digest": digest(data), "size": len(data)}

    layer = blob(b"a layer, as good as any")
    config = blob(json.dumps({"architecture": "amd64", "os": "linux"}).encode())
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **layer}],
    })
    c = http.client.HTTPConnection(address, port)
    c.request("PUT", f"/v2/{IMAGE}/manifests/1", manifest, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"})
    assert c.getresponse().status == 201


# ---------------------------------------------------------------------------------------------------- the configuration


def configuration(n, servers, state, interval="5s", timeout="3s"):
    """N plans with five probes each."""
    lab, ports, at = servers.lab, servers.ports(), servers.at
    yield f'here = "elsewhere"\nstate = "{state}"\n\n[defaults]\ninterval = "{interval}"\ntimeout = "{timeout}"\n'
    rpo = max(30, 2 * (seconds(interval) + seconds(timeout)))
    for i in range(n):
        yield f"""
[[plan]]
name = "plan-{i:04}"
tier = {i % 9 + 1}
strategy = "warm-standby"
objectives = {{ rpo = "{rpo}s", rto = "5m" }}
sites = {{ east = "this machine", west = "this machine too" }}
home = "east"

[[plan.probe]]
name = "orders-db"
kind = "postgres"
at = {{ east = "postgres://lifeboat@{at}:{ports['east']}/postgres?sslmode=disable", \
west = "postgres://lifeboat@{at}:{ports['west']}/postgres?sslmode=disable" }}

[[plan.probe]]
name = "front-door"
kind = "dns"
record = "plan-{i}.{ZONE}"
answers = {{ east = ["127.0.0.1"], west = ["127.0.0.2"] }}
servers = ["{at}:{ports['bind']}"]
resolvers = ["{at}:{ports['unbound']}"]
max_ttl = "60s"

[[plan.probe]]
name = "health"
kind = "http"
area = "standby"
at = {{ east = "http://{at}:{ports['registry_east']}/v2/", west = "http://{at}:{ports['registry_west']}/v2/" }}

[[plan.probe]]
name = "images"
kind = "images"
at = {{ east = "http://{at}:{ports['registry_east']}/shop", west = "http://{at}:{ports['registry_west']}/shop" }}
images = ["api:1"]

[[plan.probe]]
name = "nightly-dump"
kind = "backup-files"
site = "west"
location = "{lab}/backups"
pattern = "*.dump"
max_age = "26h"
"""


def seconds(interval):
    return int(re.fullmatch(r"(\d+)s", interval).group(1))


# ------------------------------------------------------------------------------------------------------------ the curve


def measure(args, servers, n):
    with tempfile.TemporaryDirectory(prefix="many-") as scratch:
        config = pathlib.Path(scratch) / "many.toml"
        config.write_text("".join(configuration(n, servers, f"{scratch}/state", args.interval, args.timeout)))
        board = Board(args.bin, "--config", str(config))
        first = board.until("lifeboat", LIMIT)
        complete = board.until(f"● {n} ready", args.limit, needed=not args.anyway)
        cold_cpu, _ = board.used()
        board.rest(args.settle)
        (cpu, wakes), sent, begun = board.used(), board.sent, time.monotonic()
        board.rest(args.seconds)
        took = time.monotonic() - begun
        cpu2, wakes2 = board.used()
        rss, pss = board.memory()
        fds = board.fds()
        idle_bytes = (board.sent - sent) / took
        idle = keys(board, args.keys, b"")
        sweep = keys(board, args.keys, b"r")
        board.end()
    row = [n, f"{first * 1000:.1f}", "-" if complete is None else f"{complete:.2f}", f"{cold_cpu:.2f}", f"{(cpu2 - cpu) / took * 100:.2f}",
           f"{(wakes2 - wakes) / took:.0f}", f"{idle_bytes:.1f}", f"{rss:.1f} / {pss:.1f}", fds, idle, sweep]
    print("| " + " | ".join(map(str, row)) + " |", flush=True)


def ages(args, servers, n):
    """What the program says of itself once a minute: milliseconds from the question to the screen."""
    with tempfile.TemporaryDirectory(prefix="many-") as scratch:
        config, log = pathlib.Path(scratch) / "many.toml", pathlib.Path(scratch) / "log"
        config.write_text("".join(configuration(n, servers, f"{scratch}/state", args.interval, args.timeout)))
        board = Board(args.bin, "--config", str(config), "--log", str(log))
        board.until(f"● {n} ready", args.limit, needed=not args.anyway)

        def told():
            return [f.read_text() for f in pathlib.Path(scratch).glob("log*") if f.is_file()]

        count = "".join(told()).count("from question to screen")
        begun, (cpu, _) = time.monotonic(), board.used()
        # The first that is told holds the cold start, too; the two after it do not.
        while "".join(told()).count("from question to screen") < count + 3 and time.monotonic() - begun < 240:
            board.rest(0.5)
        used, took = board.used()[0] - cpu, time.monotonic() - begun
        board.end()
        lines = [line for line in "".join(told()).splitlines() if "from question to screen" in line]
    for line in lines[count + 1 : count + 3]:
        seen = dict(re.findall(r"(\w+)=([\d.]+)", line))
        print(f"| {n} | {seen['looks']} | {seen['median']} | {seen['p99']} | {seen['oldest']} | {used / took * 100:.2f} |", flush=True)


def keys(board, count, before):
    """Median and 99th percentile of the time from a key to its paint. With `before`, that key (poll now) is pressed again
    before every tenth, so that a sweep is under way."""
    times = []
    for i in range(count):
        if before and i % 10 == 0:
            os.write(board.fd, before)
        board.rest(0.03 + (i * 7 % 11) / 300)
        times.append(board.key(b"j" if i % 2 == 0 else b"k"))
    seen = sorted(t for t in times if t is not None)
    if len(seen) < count:
        return f"{count - len(seen)} of {count} unanswered"
    return f"{statistics.median(seen):.2f} / {seen[max(0, int(len(seen) * 0.99) - 1)]:.1f}" if seen else "-"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["up", "down", "write", "curve", "ages"])
    parser.add_argument("words", nargs="+", metavar="DIR or N")
    parser.add_argument("--bin", default="target/release/lifeboat")
    parser.add_argument("--at", default="127.0.0.1", help="the address at which the servers listen (up)")
    parser.add_argument("--interval", default="5s")
    parser.add_argument("--timeout", default="3s", help="longer where one server stands for a thousand")
    parser.add_argument("--seconds", type=float, default=30, help="how long to watch an idle board")
    parser.add_argument("--settle", type=float, default=10, help="how long to wait before")
    parser.add_argument("--keys", type=int, default=100, help="keys to press, idle and in sweeps")
    parser.add_argument("--limit", type=float, default=180, help="how long the first verdicts may take")
    parser.add_argument("--anyway", action="store_true", help="measure also where some plans are not ready by then")
    args = parser.parse_args()
    if args.verb in ("up", "down"):
        getattr(Servers(args.words[0], args.at), args.verb)()
    elif args.verb == "write":
        servers = Servers(args.words[1])
        state = servers.lab / "state"
        sys.stdout.writelines(configuration(int(args.words[0]), servers, state, args.interval, args.timeout))
    elif args.verb == "ages":
        servers = Servers(args.words[0])
        print("| plans | looks | median ms | p99 | oldest | CPU % |\n|---|---|---|---|---|---|")
        for n in map(int, args.words[1:]):
            ages(args, servers, n)
    else:
        servers = Servers(args.words[0])
        print("| plans | first paint ms | all judged s | CPU s by then | idle CPU % | wake-ups/s | bytes/s | RSS / PSS MB | fds "
              "| key ms med / p99 | in a sweep |\n|---|---|---|---|---|---|---|---|---|---|---|")
        for n in map(int, args.words[1:]):
            measure(args, servers, n)


if __name__ == "__main__":
    main()
