#!/usr/bin/env python3
"""Times Tapestry's benchmarks and those of other libraries in turns, and prints a table of ratios.

    Benchmarks/compare.py --peer stock='python3 torch_bench.py' --only 'matmul_*,conv_*' --dtype f32

A peer is a command that takes `--only NAMES --dtype TYPE --threads N` and prints one JSON object a line with `name`, `dtype` and
`median_ms` (and, if it has them, `flops`, `bytes`, `peak_rss_mb`). It may begin with settings: --peer tuned='env LD_PRELOAD=... python3 ...'.
Several peers may be given; the ratio is our time over that of the fastest, so below 1 is faster than every peer.

In each round every contender runs once, one after the other, on a few workloads at a time; the table has medians over the rounds and,
as ±, half the distance between the slowest and the fastest of our rounds. OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE are taken out of the
environment, as they hold the BLAS library below the CPU.
"""
import argparse, collections, json, os, platform, shlex, statistics, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FREE = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", required=True)
    p.add_argument("--ours", default=os.path.join(HERE, "..", ".build", "release", "Benchmarks"), help="our binary")
    p.add_argument("--only", default="*", help="names, with * for anything, separated by commas")
    p.add_argument("--dtype", default="f32", help="f32, bf16, int8")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--group", type=int, default=6, help="workloads per turn")
    p.add_argument("--budget", type=float, default=0.8, help="seconds of samples per workload and turn (ours)")
    p.add_argument("--memory", action="store_true", help="compare peak resident memory too; best with --group 1, a process for each workload")
    p.add_argument("--markdown", help="also write the table to this file")
    p.add_argument("--json", help="also write every measurement to this file")
    a = p.parse_args()
    for name in ("threads", "rounds", "group"):
        if getattr(a, name) < 1:
            p.error(f"--{name} is {getattr(a, name)}; it must be at least 1")
    a.peers = []
    for text in a.peer:
        name, equals, command = text.partition("=")
        if not equals or not command.strip():
            p.error(f"--peer {text!r}: give NAME=COMMAND")
        a.peers.append((name, shlex.split(command)))
    return a


def names(a):
    """Our workloads of the wanted type, in their order."""
    out = subprocess.run([a.ours, "--filter", a.only, "--list"], env=FREE, capture_output=True, text=True)
    if out.returncode:
        sys.exit(out.stderr.strip())
    found = []
    for line in out.stdout.splitlines():
        _, name, *dtype = line.split()
        if (dtype or ["f32"])[0] == a.dtype:
            found.append(name)
    return found


def run_ours(a, chunk):
    with tempfile.NamedTemporaryFile(suffix=".json") as f:
        command = [a.ours, "--filter", ",".join(chunk), "--dtype", a.dtype, "--budget", str(a.budget),
                   "--threads", str(a.threads), "--json", f.name]
        done = subprocess.run(command, env=FREE, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        report = json.load(open(f.name))
    rows = {m["name"]: m for m in report["measurements"] if m.get("dtype", "f32") == a.dtype}
    return report, rows


def run_peer(a, command, chunk):
    full = command + ["--only", ",".join(chunk), "--dtype", a.dtype, "--threads", str(a.threads)]
    done = subprocess.run(full, env=FREE, capture_output=True, text=True)
    rows = {}
    for line in done.stdout.splitlines():
        try:
            m = json.loads(line)
        except ValueError:
            continue
        if m.get("dtype", a.dtype) == a.dtype and m.get("median_ms") is not None:
            rows[m["name"]] = m
    if done.returncode and not rows:
        print(f"{' '.join(full)} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    return rows


def shown(ms):
    if ms is None:
        return "–"
    return f"{ms * 1e6:.0f} ns" if ms < 1e-3 else f"{ms * 1e3:.1f} µs" if ms < 1 else f"{ms:.2f} ms" if ms < 100 else f"{ms:.0f} ms"


def megabytes(values):
    known = [v for v in values or [] if v is not None]
    return f"{statistics.median(known):.0f}" if known else "–"


def main():
    a = arguments()
    todo = names(a)
    if not todo:
        sys.exit(f"no workload of type {a.dtype} is named {a.only}")
    times = collections.defaultdict(list)  # (workload, contender) -> ms
    memory = collections.defaultdict(list)  # (workload, contender) -> peak resident MB
    ours, report = {}, {}
    for start in range(0, len(todo), a.group):
        chunk = todo[start:start + a.group]
        for round in range(a.rounds):
            report, rows = run_ours(a, chunk)
            for name, m in rows.items():
                times[name, "ours"].append(m["medianSeconds"] * 1e3)
                ours[name] = m
                memory[name, "ours"].append(m.get("peakResidentMegabytes"))
            for peer, command in a.peers:
                for name, m in run_peer(a, command, chunk).items():
                    times[name, peer].append(m["median_ms"])
                    memory[name, peer].append(m.get("peak_rss_mb"))
        print(f"{min(start + a.group, len(todo))} of {len(todo)}", file=sys.stderr, flush=True)

    peers = [p for p, _ in a.peers]
    lines = [f"{platform.machine()}, {a.threads} threads, {a.dtype}, {a.rounds} rounds; "
             f"{report.get('peakGflops', 0):.0f} GFLOP/s, {report.get('peakGigabytesPerSecond', 0):.1f} GB/s", "",
             "| workload | Tapestry | ± | " + " | ".join(peers) + " | Tapestry / best | share of bound |" + (" peak MB, Tapestry | "
             + " | ".join(f"{p}" for p in peers) + " |" if a.memory else ""),
             "|---|---|---|" + "---|" * (len(peers) + 2) + "---|" * ((len(peers) + 1) * a.memory)]
    for name in todo:
        mine = times.get((name, "ours"))
        if not mine:
            continue
        own = statistics.median(mine)
        others = {p: statistics.median(times[name, p]) for p in peers if times.get((name, p))}
        ratio = f"{own / min(others.values()):.2f}" if others else "–"
        share = ours[name].get("shareOfBound")
        lines.append(f"| `{name}` | {shown(own)} | {(max(mine) - min(mine)) / 2 / own * 100:.0f} % | "
                     + " | ".join(shown(others.get(p)) for p in peers)
                     + f" | {ratio} | {f'{share:.2f}' if share else '–'} |"
                     + "".join(f" {megabytes(memory.get((name, who)))} |" for who in ["ours", *peers] if a.memory))
    text = "\n".join(lines) + "\n"
    print(text)
    if a.markdown:
        open(a.markdown, "w").write(text)
    if a.json:
        json.dump({f"{name} {who}": ms for (name, who), ms in times.items()}, open(a.json, "w"), indent=1)


main()
