"""The parts of a benchmark: builds the C tools, starts mock, nginx and gateway, reads CPU time and memory of a process."""
import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "bench"
KEY = "sk-bench-not-a-secret"


def fail(text):
    sys.exit(f"bench: {text}")


def build_tools():
    """Compiles bench_mock and bench_load where they are older than their source."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for name, libs in (("bench_mock", ["-lssl", "-lcrypto"]), ("bench_load", [])):
        source, program = HERE / f"{name}.c", BUILD / name
        if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
            continue
        cc = os.environ.get("CC", "cc")
        subprocess.run([cc, "-std=gnu17", "-O2", "-Wall", "-Wextra", "-o", str(program), str(source), *libs], check=True)


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_certificate(folder):
    """A certificate of 127.0.0.1 and localhost, its own authority; gives (certificate, key)."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True)  # fmt: skip
    return cert, key


class Child:
    """A process that this program started; stopped by its id at the end."""

    def __init__(self, command, cpu=None, log=None, env=None):
        self.log = log
        out = open(log, "wb") if log else subprocess.PIPE
        pin = (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None
        self.process = subprocess.Popen(
            [str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT if log else None,
            preexec_fn=pin, env=env)  # fmt: skip
        self.pid = self.process.pid

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def wait_for_port(self, port, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                fail(f"{self.process.args[0]} ended at once:\n{Path(self.log).read_text() if self.log else ''}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.05)
        fail(f"{self.process.args[0]} does not listen on {port}")


def children(pid):
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_seconds(pids):
    """User and system time of all threads of the processes, to the nanosecond where the kernel counts so."""
    total = 0.0
    for pid in pids:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        try:
            total += sum(int((t / "schedstat").read_text().split()[0]) for t in tasks) / 1e9
        except (OSError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def rss_kib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


class Rig:
    """Mock, nginx and gateways in front of it. The measured process has a processor of its own where there are two."""

    def __init__(self, tick_us=2000, count=50):
        build_tools()
        raise_descriptor_limit()
        self.folder = Path(tempfile.mkdtemp(prefix="anyrouter-bench-"))
        processors = sorted(os.sched_getaffinity(0))
        self.tool_cpu, self.proxy_cpu = (processors[0], processors[-1]) if len(processors) > 1 else (None, None)
        self.started = []
        self.mock_port = self.tls_port = None
        self.cert, self.key = make_certificate(self.folder)
        self.start_mock(tick_us, count)

    def start_mock(self, tick_us, count):
        sys.path.insert(0, str(HERE))
        import shapes

        shapes.write_answers(self.folder, count)
        command = [BUILD / "bench_mock", "--dir", self.folder, "--tick-us", tick_us, "--cert", self.cert, "--key", self.key]
        mock = Child(command, self.tool_cpu)
        self.started.append(mock)
        words = mock.process.stdout.readline().decode().split()
        if len(words) != 3:
            fail("the mock did not start")
        self.mock_port, self.tls_port = int(words[1]), int(words[2])

    def nginx(self, tls=False):
        """Starts nginx with one worker; gives (child, port, pids to measure)."""
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        if not Path(program).exists():
            fail("nginx is missing: apt-get install nginx-light")
        port = free_port()
        top = self.folder / f"nginx-{port}"
        top.mkdir()
        scheme, to = ("https", self.tls_port) if tls else ("http", self.mock_port)
        verify = f"proxy_ssl_trusted_certificate {self.cert}; proxy_ssl_verify on; proxy_ssl_name localhost;" if tls else ""
        (top / "nginx.conf").write_text(f"""
            worker_processes 1; daemon off; pid {top}/pid; error_log {top}/error.log warn;
            worker_rlimit_nofile 65536;
            events {{ worker_connections 16384; }}
            http {{
              access_log off; tcp_nodelay on; keepalive_timeout 75s; keepalive_requests 100000000;
              client_body_temp_path {top}/body; proxy_temp_path {top}/proxy; fastcgi_temp_path {top}/f;
              uwsgi_temp_path {top}/u; scgi_temp_path {top}/s;
              upstream mock {{ server 127.0.0.1:{to}; keepalive 64; keepalive_requests 100000000; }}
              server {{
                listen 127.0.0.1:{port} backlog=4096;
                client_max_body_size 64m; client_body_buffer_size 1m;
                location / {{
                  proxy_pass {scheme}://mock; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_buffering off; proxy_read_timeout 600s; {verify}
                }}
              }}
            }}""")
        child = Child([program, "-p", top, "-c", top / "nginx.conf"], self.proxy_cpu, top / "log")
        self.started.append(child)
        child.wait_for_port(port)
        return child, port, children(child.pid)

    def gateway(self, program, dialect, tls=False):
        """Starts the gateway with one worker in front of the mock; gives (child, port, pids to measure)."""
        port = free_port()
        top = self.folder / f"gateway-{dialect}-{port}"
        top.mkdir()
        provider = {"chat": "openai-compatible", "messages": "anthropic-compatible", "responses": "responses-compatible", "gemini": "gemini-compatible"}[dialect]
        base = f"https://localhost:{self.tls_port}" if tls else f"http://127.0.0.1:{self.mock_port}"
        upstream = {"name": "mock", "provider": provider, "base_urls": [base], "keys": [KEY]}
        if tls:
            upstream["ca_file"] = str(self.cert)
        config = {"listen": [f"127.0.0.1:{port}"], "workers": 1, "upstreams": [upstream], "log": {"level": "warn"}}
        (top / "anyrouter.yaml").write_text(json.dumps(config, indent=1))
        env = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_PROXY", "_proxy")) and not k.startswith("ANYROUTER_")}
        command = [program, "serve", "--config", top / "anyrouter.yaml", "--data-dir", top / "data"]
        child = Child(command, self.proxy_cpu, top / "log", env)
        self.started.append(child)
        child.wait_for_port(port)
        return child, port, [child.pid]

    def load(self, port, request, marker, *options):
        """Runs the load generator; gives its figures. Any wrong answer ends the benchmark."""
        file = self.folder / "request"
        file.write_bytes(request)
        command = [BUILD / "bench_load", "--port", port, "--request", file, "--marker", marker, *options]
        child = Child(command, self.tool_cpu)
        out, _ = child.process.communicate()
        if child.process.returncode not in (0, 1):
            fail(f"the load generator ended with {child.process.returncode}")
        return json.loads(out)

    def close(self):
        for child in reversed(self.started):
            child.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
