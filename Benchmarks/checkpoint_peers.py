#!/usr/bin/env python3
"""PyTorch with transformers, or Hugging Face's tokenizers, on the files that `Benchmarks checkpoint` and `Benchmarks tokenizer` time.

    Benchmarks/checkpoint_peers.py checkpoint FOLDER [--dtype bfloat16] [--prompt 32] [--tokens 64]
    Benchmarks/checkpoint_peers.py tokenizer tokenizer.json --text FILE
    Benchmarks/checkpoint_peers.py compare --ours .build/release/Benchmarks [--rounds 5] checkpoint FOLDER ...

Prints one JSON object with the same keys. `compare` runs ours and the peer in turns, a fresh process each, and prints medians and ratios
(ours over the peer's; below 1 is faster, for rates above 1). Needs torch, transformers and tokenizers from PyPI.
"""
import argparse, json, os, statistics, subprocess, sys, time


def resident():
    for line in open("/proc/self/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6


def process_age():
    ticks = open("/proc/self/stat").read().rpartition(")")[2].split()[19]
    return float(open("/proc/uptime").read().split()[0]) - int(ticks) / os.sysconf("SC_CLK_TCK")


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def checkpoint(a):
    import torch, transformers

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(a.threads)
    config = transformers.AutoConfig.from_pretrained(a.folder)
    writes = config.model_type not in ("bert", "roberta", "distilbert")
    kind = transformers.AutoModelForCausalLM if writes else transformers.AutoModel
    start = time.perf_counter()
    model = kind.from_pretrained(a.folder, dtype=getattr(torch, a.dtype) if a.dtype else "auto").eval()
    out = {"model": type(model).__name__, "threads": a.threads, "loadSeconds": time.perf_counter() - start}
    weights = sum(p.numel() * p.element_size() for p in model.parameters()) / 1e6
    out["weightMegabytes"] = weights
    with torch.inference_mode():
        if writes:
            vocabulary = config.vocab_size
            ids = torch.tensor([[(i * 7919 + 11) % vocabulary for i in range(a.prompt)]])
            times, cache = [], None
            for step in range(a.tokens):
                start = time.perf_counter()
                # The last position's logits alone, as generation needs.
                result = model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
                ids, cache = result.logits[:, -1:].argmax(-1), result.past_key_values
                times.append(time.perf_counter() - start)
                if step == 0:
                    out["coldFirstTokenSeconds"] = process_age()
            out["firstTokenSeconds"] = times[0]
            out["decodeSeconds"] = statistics.median(times[1:])
            out["residentMegabytes"] = resident()
            length = min(512, config.max_position_embeddings)
            ids = (torch.arange(length) % vocabulary)[None]
            call = lambda: model(ids, use_cache=True, logits_to_keep=1)
            out["prefillSeconds"] = statistics.median(seconds(call) for _ in range(a.repeats))
        else:
            ids = (torch.arange(32 * 128) % config.vocab_size).reshape(32, 128)
            mask = torch.tensor([[1 if j < (128 if i % 2 == 0 else 64) else 0 for j in range(128)] for i in range(32)])

            def embed(mask):
                features = model(ids, attention_mask=mask).last_hidden_state
                weights = mask[..., None].float()
                vector = (features * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
                return torch.nn.functional.normalize(vector)

            full, plain, padded = torch.ones_like(mask), [], []
            for _ in range(a.repeats + 1):
                plain.append(seconds(lambda: embed(full)))
                padded.append(seconds(lambda: embed(mask)))
            out["sentencesSeconds"] = statistics.median(plain[1:])
            out["paddedSentencesSeconds"] = statistics.median(padded[1:])
            out["residentMegabytes"] = resident()
    out["residentOverWeights"] = out["residentMegabytes"] / weights
    return out


def tokenizer(a):
    os.environ["RAYON_NUM_THREADS"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import tokenizers

    path = os.path.join(a.tokenizer, "tokenizer.json") if os.path.isdir(a.tokenizer) else a.tokenizer
    tool = tokenizers.Tokenizer.from_file(path)
    tool.no_truncation()
    tool.no_padding()
    text = open(a.text, encoding="utf-8").read()
    size = len(text.encode()) / 1e6
    encodings, decodings = [], []
    for _ in range(a.repeats + 1):
        start = time.perf_counter()
        ids = tool.encode(text, add_special_tokens=False).ids
        middle = time.perf_counter()
        tool.decode(ids)
        encodings.append(middle - start)
        decodings.append(time.perf_counter() - middle)
    return {
        "megabytes": size, "tokens": len(ids), "encodeMegabytesPerSecond": size / statistics.median(encodings[1:]),
        "decodeMegabytesPerSecond": size / statistics.median(decodings[1:]),
    }


def compare(a):
    ours, theirs = [], []
    free = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    for _ in range(a.rounds):
        for command, results in (([a.ours], ours), ([sys.executable, __file__], theirs)):
            run = subprocess.run(command + a.rest, env=free, stdout=subprocess.PIPE, check=True, text=True)
            results.append(json.loads(run.stdout))
    print("| | Tapestry | peer | ratio |\n| --- | --- | --- | --- |")
    for key in ours[0]:
        values = [[r[key] for r in results if isinstance(r.get(key), (int, float))] for results in (ours, theirs)]
        if not all(values):
            continue
        mine, peer = map(statistics.median, values)
        print(f"| {key} | {mine:.4g} | {peer:.4g} | {mine / peer:.2f} |" if peer else f"| {key} | {mine:.4g} | {peer:.4g} | |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = p.add_subparsers(dest="command", required=True)
    c = commands.add_parser("checkpoint")
    c.add_argument("folder")
    c.add_argument("--dtype", choices=["float32", "bfloat16", "float16"])
    c.add_argument("--prompt", type=int, default=32)
    c.add_argument("--tokens", type=int, default=64)
    c.add_argument("--threads", type=int, default=2)
    c.add_argument("--repeats", type=int, default=9)
    t = commands.add_parser("tokenizer")
    t.add_argument("tokenizer")
    t.add_argument("--text", required=True)
    t.add_argument("--repeats", type=int, default=5)
    r = commands.add_parser("compare")
    r.add_argument("--ours", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".build", "release", "Benchmarks"))
    r.add_argument("--rounds", type=int, default=5)
    r.add_argument("rest", nargs=argparse.REMAINDER, help="checkpoint … or tokenizer …, as above")
    a = p.parse_args()
    if a.command == "compare":
        if a.rounds < 1 or not a.rest:
            p.error("compare needs --rounds of at least 1 and a command")
        return compare(a)
    print(json.dumps({"checkpoint": checkpoint, "tokenizer": tokenizer}[a.command](a)))


main()
