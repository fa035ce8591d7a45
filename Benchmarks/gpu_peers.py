#!/usr/bin/env python3
"""Times PyTorch, eager and compiled, on the workloads of the program GPUCheck, and compares.

    gpu_peers.py --json peers.jsonl                       every workload: a JSON object a line, printed and written
    gpu_peers.py --ours report.json --json peers.jsonl    then a table of our time over PyTorch's (below 1 is faster)
    gpu_peers.py --ours report.json --from peers.jsonl    the table alone, of measurements made before

Names, shapes and counts are GPUCheck's: 2mnk flops of a product; attention is causal and counts half of the square, backward 2.5 times
forward; bytes are each input and output once. Time is the device's own, between two events around many calls, the median of five samples.
`op_add_chain` is what the host takes for a small operation: the same chain through torch.compile would be one kernel, and is left out; its
graph is a CUDA graph. `--device cpu --size tiny` runs the script where there is no GPU.
"""
import argparse, fnmatch, json, statistics, sys, time


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", default="*", help="names, with * for anything, separated by commas")
    p.add_argument("--variants", default="eager,compiled")
    p.add_argument("--size", choices=["full", "tiny"], default="full")
    p.add_argument("--sample", type=float, default=60, help="milliseconds of a sample, of which there are five")
    p.add_argument("--device", default="cuda")
    p.add_argument("--list", action="store_true", help="only show the names")
    p.add_argument("--json", help="also write the lines to this file")
    p.add_argument("--ours", help="a report of GPUCheck --json to compare with")
    p.add_argument("--from", dest="measured", help="lines written before, in place of measuring")
    a = p.parse_args()
    a.variants = a.variants.split(",")
    if not set(a.variants) <= {"eager", "compiled"}:
        p.error(f"--variants {','.join(a.variants)}: eager, compiled or both")
    if a.measured and not a.ours:
        p.error("--from needs --ours")
    return a


class Work:
    """A call and what it does; `variants` are those that make sense."""
    def __init__(self, call, shape, flops=0, bytes=0, items=None, variants=("eager", "compiled")):
        self.call, self.shape, self.flops, self.bytes, self.items, self.variants = call, shape, flops, bytes, items, variants


def workloads(tiny, device):
    """(name, type, function of the variant that makes the Work)."""
    import torch
    import torch.nn.functional as F
    types = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
    size = {"f32": 4, "bf16": 2, "f16": 2}

    def random(shape, dtype="f32", deviation=1.0, grad=False):
        x = (torch.randn(shape, device=device) * deviation).to(types[dtype])
        return x.requires_grad_(grad)

    def compiled(f, variant):
        return torch.compile(f) if variant == "compiled" else f

    def plain(f, variant):
        f = compiled(f, variant)
        def call():
            with torch.no_grad():
                f()
        return call

    def backward(f, inputs, g, variant):
        y = compiled(f, variant)(*inputs)
        return lambda: torch.autograd.grad(y, inputs, g, retain_graph=True)

    def product(n, dtype):
        def make(variant):
            a, b = random((n, n), dtype), random((n, n), dtype)
            return Work(plain(lambda: a @ b, variant), f"{n} x {n} x {n}", flops=2 * n ** 3)
        return f"gemm_{n}", dtype, make

    squares = {"f32": [64], "bf16": [64]} if tiny else {"f32": [1024, 4096], "bf16": [1024, 2048, 4096, 8192], "f16": [4096]}
    for dtype, sizes in squares.items():
        for n in sizes:
            yield product(n, dtype)

    rows, inputs, outputs = (16, 32, 64) if tiny else (8192, 768, 3072)
    def linear_gelu(variant):
        x, w, b = random((rows, inputs), "bf16"), random((outputs, inputs), "bf16", 0.02), random((outputs,), "bf16")
        return Work(plain(lambda: F.gelu(F.linear(x, w, b)), variant), f"{rows} x {inputs} to {outputs}", flops=2 * rows * inputs * outputs)
    yield "linear_gelu", "bf16", linear_gelu

    def attention(batch, heads, length, dim, is_backward):
        def make(variant):
            shape = (batch, heads, length, dim)
            q, k, v = (random(shape, "bf16", grad=True) for _ in range(3))
            run = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)
            flops = 4 * batch * heads * dim * length * length / 2
            if not is_backward:
                return Work(plain(lambda: run(q, k, v), variant), str(list(shape)), flops=flops)
            return Work(backward(run, (q, k, v), random(shape, "bf16"), variant), str(list(shape)), flops=2.5 * flops)
        return f"attention_{'backward' if is_backward else 'forward'}_d{dim}_s{length}", "bf16", make
    for case in [(1, 2, 32, 16)] if tiny else [(8, 12, 1024, 64), (1, 16, 4096, 128), (1, 16, 16384, 128)]:
        for is_backward in (False, True):
            yield attention(*case, is_backward)

    n = 1000 if tiny else 1 << 26
    def elements(name, dtype, reads, f):
        def make(variant):
            a, b = random((n,), dtype), random((n,), dtype)
            return Work(plain(lambda: f(a, b), variant), str(n), bytes=(reads + 1) * n * size[dtype])
        return name, dtype, make
    yield elements("add", "f32", 2, lambda a, b: a + b)
    yield elements("add", "bf16", 2, lambda a, b: a + b)
    yield elements("gelu", "f32", 1, lambda a, b: F.gelu(a))
    yield elements("gelu", "bf16", 1, lambda a, b: F.gelu(a))
    yield elements("cast_to_bf16", "f32", 1, lambda a, b: a.to(torch.bfloat16))
    def total(variant):
        a = random((n,))
        return Work(plain(lambda: a.sum(), variant), str(n), bytes=4 * n)
    yield "sum", "f32", total

    rows, columns, tokens, classes = (8, 40, 8, 50) if tiny else (16384, 4096, 8192, 50257)
    def per_row(name, dtype, f, is_backward):
        def make(variant):
            x, w = random((rows, columns), dtype, grad=True), random((columns,), dtype)
            bytes = (3 if is_backward else 2) * rows * columns * size[dtype]
            if not is_backward:
                return Work(plain(lambda: f(x, w), variant), f"{rows} x {columns}", bytes=bytes)
            return Work(backward(lambda x: f(x, w), (x,), random((rows, columns), dtype), variant), f"{rows} x {columns}", bytes=bytes)
        return f"{name}_{'backward' if is_backward else 'forward'}", dtype, make
    for name, dtype, f in [("softmax", "f32", lambda x, w: torch.softmax(x, -1)), ("softmax", "bf16", lambda x, w: torch.softmax(x, -1)),
                           ("layer_norm", "bf16", lambda x, w: F.layer_norm(x, (columns,), w, w)),
                           ("rms_norm", "bf16", lambda x, w: F.rms_norm(x, (columns,), w, 1e-6))]:
        for is_backward in (False, True):
            yield per_row(name, dtype, f, is_backward)
    def loss(variant):
        x, labels = random((tokens, classes)), torch.randint(classes, (tokens,), device=device)
        return Work(plain(lambda: F.cross_entropy(x, labels), variant), f"{tokens} x {classes}", bytes=4 * tokens * classes)
    yield "cross_entropy_forward", "f32", loss

    d, vocabulary, layers = (16, 100, 1) if tiny else (768, 50257, 12)
    def adamw(variant):
        shapes = [(vocabulary, d), (1024, d)]
        for _ in range(layers):
            shapes += [(d,), (d,), (3 * d, d), (3 * d,), (d, d), (d,), (d,), (d,), (4 * d, d), (4 * d,), (d, 4 * d), (d,)]
        parameters = [random(s, deviation=0.02, grad=True) for s in shapes + [(d,), (d,)]]
        for p in parameters:
            p.grad = torch.randn_like(p) * 0.01
        step = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01, fused=True).step
        count = sum(p.numel() for p in parameters)
        return Work(step, f"{len(parameters)} tensors, {count} parameters", bytes=28 * count, variants=("eager",))
    yield "adamw_124m", "f32", adamw

    count = 10 if tiny else 1000
    def chain(x):
        y = x
        for _ in range(count):
            y = y + x
        return y
    def additions(variant):
        x = random((4,))
        return Work(plain(lambda: chain(x), "eager"), f"{count} additions of 4", items=("operations", count), variants=("eager",))
    yield "op_add_chain", "f32", additions
    if device == "cuda":
        def captured(variant):
            x = random((4,))
            chain(x)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                chain(x)
            return Work(graph.replay, f"{count} additions of 4", items=("operations", count), variants=("eager",))
        yield "op_add_chain_graph", "f32", captured
    yield "train_gpt2_124m", "bf16", lambda variant: gpt2(torch, F, tiny, device, variant)


def gpt2(torch, F, tiny, device, variant):
    """A training step of GPT-2, written as nanoGPT writes it: mixed precision, fused AdamW, tied embeddings, no dropout."""
    nn = torch.nn
    layers, heads, d, vocabulary, batch, length = (1, 2, 16, 20, 2, 8) if tiny else (12, 12, 768, 50257, 16, 1024)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
            self.qkv, self.output = nn.Linear(d, 3 * d), nn.Linear(d, d)
            self.expand, self.project = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

        def forward(self, x):
            b, t, _ = x.shape
            q, k, v = (y.view(b, t, heads, d // heads).transpose(1, 2) for y in self.qkv(self.norm1(x)).split(d, 2))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.output(y.transpose(1, 2).reshape(b, t, d))
            return x + self.project(F.gelu(self.expand(self.norm2(x)), approximate="tanh"))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.positions = nn.Embedding(vocabulary, d), nn.Embedding(length, d)
            self.blocks, self.norm = nn.ModuleList(Block() for _ in range(layers)), nn.LayerNorm(d)
            for p in self.parameters():
                nn.init.normal_(p, std=0.02)

        def forward(self, ids, targets):
            x = self.tokens(ids) + self.positions.weight[:ids.shape[1]]
            for block in self.blocks:
                x = block(x)
            logits = F.linear(self.norm(x), self.tokens.weight)
            return F.cross_entropy(logits.view(-1, vocabulary), targets.view(-1))

    model = Model().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, fused=True)
    run = torch.compile(model) if variant == "compiled" else model
    ids, targets = (torch.randint(vocabulary, (batch, length), device=device) for _ in range(2))

    def step():
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = run(ids, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    tokens = batch * length
    flops = 6 * (layers * 12 * d * d + vocabulary * d) * tokens + 3.5 * layers * 4 * length * length * d / 2 * batch
    return Work(step, f"L{layers} H{heads} d{d} V{vocabulary} B{batch} T{length}", flops=flops, items=("tokens", tokens))


def timed(torch, device, calls, call):
    """Milliseconds of a call."""
    if device != "cuda":
        start = time.perf_counter()
        for _ in range(calls):
            call()
        return (time.perf_counter() - start) * 1000 / calls
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(calls):
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / calls


def measure(a):
    import torch
    torch.backends.cuda.matmul.allow_tf32 = False
    patterns, lines = a.only.split(","), []
    out = open(a.json, "w", encoding="utf-8") if a.json else None
    name = torch.cuda.get_device_name() if a.device == "cuda" else "cpu"
    for workload, dtype, make in workloads(a.size == "tiny", a.device):
        if not any(fnmatch.fnmatch(workload, p) for p in patterns):
            continue
        if a.list:
            print(workload, dtype)
            continue
        for variant in a.variants:
            line = {"name": workload, "dtype": dtype, "variant": variant, "device": name, "torch": torch.__version__}
            try:
                work = make(variant)
                if variant not in work.variants:
                    continue
                for _ in range(3):
                    work.call()
                once = max(timed(torch, a.device, 1, work.call), 1e-4)
                calls = min(max(int(a.sample / once), 1), 10_000)
                timed(torch, a.device, calls, work.call)
                ms = statistics.median(timed(torch, a.device, calls, work.call) for _ in range(5))
                line |= {"shape": work.shape, "median_ms": ms}
                if work.flops:
                    line["tflops"] = work.flops / ms / 1e9
                if work.bytes:
                    line["gb_per_s"] = work.bytes / ms / 1e6
                if work.items:
                    line |= {"unit": work.items[0], "items_per_s": work.items[1] / ms * 1000}
            except Exception as error:  # what one workload lacks (memory, a compiler) is no reason to lose the others
                line["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            lines.append(line)
            for file in [sys.stdout] + ([out] if out else []):
                print(json.dumps(line), file=file, flush=True)
            work = None
            if a.device == "cuda":
                torch.cuda.empty_cache()
    return lines


def compare(ours, lines):
    """Our time over PyTorch's, a line a workload. A captured step is compared with PyTorch's best way of doing the same."""
    best = {}
    for line in lines:
        if line.get("median_ms"):
            best.setdefault((line["name"], line["dtype"]), {})[line["variant"]] = line["median_ms"]
    print(f"\n{'name':32}{'type':6}{'ours ms':>12}{'eager ms':>12}{'ratio':>8}{'compiled ms':>13}{'ratio':>8}")
    for t in ours["timings"]:
        peers = best.get((t["name"], t["dtype"])) or best.get((t["name"].removesuffix("_graph").removesuffix("_own"), t["dtype"]), {})
        if t.get("error"):
            print(f"{t['name']:32}{t['dtype']:6}  failed: {t['error']}")
            continue
        row = f"{t['name']:32}{t['dtype']:6}{t['milliseconds']:12.4f}"
        for variant, width in (("eager", 12), ("compiled", 13)):
            ms = peers.get(variant)
            row += f"{ms:{width}.4f}{t['milliseconds'] / ms:8.2f}" if ms else " " * (width + 8)
        print(row.rstrip())


def main():
    a = arguments()
    if a.measured:
        with open(a.measured, encoding="utf-8") as f:
            lines = [json.loads(line) for line in f if line.startswith("{")]
    else:
        lines = measure(a)
    if a.ours and not a.list:
        with open(a.ours, encoding="utf-8") as f:
            compare(json.load(f), lines)


main()
