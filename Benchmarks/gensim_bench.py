#!/usr/bin/env python3
"""gensim's Word2Vec on the text of the workloads w2v_sgns*, for compare.py: pip install gensim.

    Benchmarks/compare.py --peer gensim='python3 Benchmarks/gensim_bench.py' --only 'w2v_sgns,w2v_sgns_hogwild' --rounds 5

50,000 words by Zipf's law in sentences of 20, vectors of 300 numbers, 5 words of noise, windows of up to 5 words, nothing thinned out. `w2v_sgns` has
one worker, `w2v_sgns_hogwild` as many as threads. Both of gensim's ways to read are timed and the faster one counts.
"""
import argparse, fnmatch, json, os, resource, statistics, tempfile, time
import numpy as np
from gensim.models import Word2Vec
from gensim.models.word2vec import FAST_VERSION

p = argparse.ArgumentParser()
p.add_argument("--only", default="*")
p.add_argument("--dtype", default="f32")
p.add_argument("--threads", type=int, default=2)
p.add_argument("--tries", type=int, default=1)
a = p.parse_args()

V, N = 50_000, 300_000
r = np.random.default_rng(0)
weights = 1 / np.arange(1, V + 1)
ids = np.concatenate([np.arange(V), r.choice(V, N - V, p=weights / weights.sum())])
sentences = [[f"w{i}" for i in row] for row in ids.reshape(-1, 20)]

for name, workers in (("w2v_sgns", 1), ("w2v_sgns_hogwild", a.threads)):
    if a.dtype != "f32" or not any(fnmatch.fnmatchcase(name, pattern) for pattern in a.only.split(",")):
        continue
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
        f.write("\n".join(" ".join(s) for s in sentences))
        f.flush()
        times = {"iterable": [], "corpus_file": []}
        model = Word2Vec(vector_size=300, window=5, negative=5, sg=1, min_count=1, sample=0, workers=workers, batch_words=10000)
        model.build_vocab(sentences)
        for _ in range(a.tries):
            for way in times:
                given = {"corpus_iterable": sentences} if way == "iterable" else {"corpus_file": f.name, "total_words": N}
                start = time.perf_counter()
                model.train(total_examples=len(sentences), epochs=1, **given)
                times[way].append(time.perf_counter() - start)
        best = min(times, key=lambda way: statistics.median(times[way]))
        seconds = statistics.median(times[best])
        print(json.dumps(dict(
            name=name, dtype="f32", threads=workers, median_ms=seconds * 1e3, words_s=round(N / seconds), way=best,
            fast_version=FAST_VERSION, peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)), flush=True)
