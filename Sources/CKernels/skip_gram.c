// Skip-gram with negative sampling (Mikolov et al., 2013): draws the pairs of each sentence and takes a step for each of them.
#include <string.h>

#include "levels.h"

// SplitMix64 (Steele, Lea and Flood, 2014).
static inline uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
static inline uint64_t draw(uint64_t *state) { return mix(*state += 0x9E3779B97F4A7C15u); }
static inline uint32_t below(uint32_t word, int64_t n) { return (uint32_t)(((uint64_t)word * (uint64_t)n) >> 32); }

// Walks over the pairs of some sentences, in order.
typedef struct {
    const tk_skip_gram_model *m;
    const tk_skip_gram_run *run;
    int64_t sentence, count, center, other, end;   // `count` words of the sentence were kept
    int32_t *kept;
    uint64_t random;
    float rate;
} walk;

static void enter_sentence(walk *w) {
    const tk_skip_gram_run *run = w->run;
    int64_t begin = run->starts[w->sentence], end = run->starts[w->sentence + 1];
    // A stream of its own: the same draws whoever trains on the sentence.
    w->random = mix(run->seed ^ mix((uint64_t)w->sentence + 0x9E3779B97F4A7C15u));
    const uint32_t *keep = w->m->keep;
    w->count = 0;
    for (int64_t i = begin; i < end; i++) {
        int32_t word = run->tokens[i];
        if (!keep || keep[word] == UINT32_MAX || (uint32_t)draw(&w->random) < keep[word]) w->kept[w->count++] = word;
    }
    double rate = run->rate - run->slope * (double)(begin - run->starts[run->first]);
    w->rate = (float)(rate > run->floor ? rate : run->floor);
    w->center = -1;
    w->other = w->end = 0;
}

static void begin_walk(walk *w, const tk_skip_gram_model *m, const tk_skip_gram_run *run, int32_t *kept) {
    *w = (walk){ .m = m, .run = run, .sentence = run->first - 1, .center = -1, .kept = kept };
}

static inline bool next_pair(walk *w) {
    for (;;) {
        if (w->other < w->end) {
            if (w->other++ != w->center) return true;   // the context is the one before `other`
        } else if (w->center + 1 < w->count) {
            int64_t reach = 1 + below((uint32_t)(draw(&w->random) >> 32), w->m->window), low = ++w->center - reach;
            w->other = low > 0 ? low : 0;
            w->end = w->center + reach + 1 < w->count ? w->center + reach + 1 : w->count;
        } else if (w->sentence + 1 < w->run->last) {
            w->sentence++;
            enter_sentence(w);
        } else return false;
    }
}

// Walker's alias method (1977): a column, then one of its two words.
static inline uint32_t draw_noise(walk *w) {
    uint64_t r = draw(&w->random);
    uint32_t column = below((uint32_t)(r >> 32), w->m->vocabulary);
    tk_alias a = w->m->noise[column];
    return (uint32_t)r < a.threshold ? column : a.alias;
}

typedef struct {
    tk_skip_rows rows;
    float *center;
    float rate;
} pair;

// Equal noise is one row that counts several times, and the context itself is no noise, as in word2vec.c.
static inline void add_noise(pair *p, uint32_t *words, uint32_t word, const tk_skip_gram_model *m) {
    for (int i = 0; i < p->rows.count; i++)
        if (words[i] == word) {
            if (i > 0) p->rows.times[i] += 1;
            return;
        }
    words[p->rows.count] = word;
    p->rows.times[p->rows.count] = 1;
    p->rows.row[p->rows.count++] = m->contexts + word * m->width;
}

static inline void first_row(pair *p, uint32_t *words, const tk_skip_gram_model *m, int32_t center, int32_t context) {
    p->center = m->centers + center * m->width;
    p->rows.row[0] = m->contexts + context * m->width;
    p->rows.times[0] = 1;
    p->rows.count = 1;
    words[0] = (uint32_t)context;
}

static bool prepare(walk *w, pair *p) {
    if (!next_pair(w)) return false;
    uint32_t words[TK_SKIP_ROWS];
    first_row(p, words, w->m, w->kept[w->center], w->kept[w->other - 1]);
    p->rate = w->rate;
    for (int i = 0; i < w->m->negatives; i++) add_noise(p, words, draw_noise(w), w->m);
    return true;
}

static int64_t longest(const tk_skip_gram_run *run) {
    int64_t most = 1;
    for (int64_t s = run->first; s < run->last; s++)
        if (run->starts[s + 1] - run->starts[s] > most) most = run->starts[s + 1] - run->starts[s];
    return most;
}

typedef struct {
    const tk_skip_gram_model *m;
    const tk_skip_gram_run *runs;
    tk_skip_gram_sums *sums;
} train_context;

static void train_task(void *context, int64_t task) {
    const train_context *c = context;
    const tk_skip_gram_model *m = c->m;
    const tk_skip_gram_run *run = c->runs + task;
    const tk_level *level = tk_current_level();
    size_t kept_bytes = (size_t)longest(run) * sizeof(int32_t), work_bytes = (size_t)m->width * sizeof(float);
    int32_t *kept = tk_alloc(kept_bytes);
    float *work = tk_alloc(work_bytes);
    walk w;
    begin_walk(&w, m, run, kept);
    tk_skip_gram_sums sums = { 0, 0 };
    // One pair ahead, whose rows are fetched meanwhile.
    pair pairs[2];
    bool more = prepare(&w, &pairs[0]);
    for (int64_t i = 0; more; i++) {
        pair *now = &pairs[i & 1], *next = &pairs[(i + 1) & 1];
        const float *ahead[TK_SKIP_ROWS + 1];
        int count = 0;
        more = prepare(&w, next);
        if (more) {
            for (int r = 0; r < next->rows.count; r++) ahead[count++] = next->rows.row[r];
            if (next->center != now->center) ahead[count++] = next->center;
        }
        sums.loss += level->skip_gram(now->center, &now->rows, m->width, now->rate, work, ahead, count);
        sums.pairs++;
    }
    c->sums[task] = sums;
    tk_free(kept, kept_bytes);
    tk_free(work, work_bytes);
}

void tk_skip_gram_train(const tk_skip_gram_model *m, const tk_skip_gram_run *runs, int64_t count, tk_skip_gram_sums *sums) {
    train_context c = { m, runs, sums };
    if (count == 1) train_task(&c, 0);
    else tk_parallel(count, train_task, &c);
}

double tk_skip_gram_step(const tk_skip_gram_model *m, const int32_t *words, int64_t pairs, double rate) {
    const tk_level *level = tk_current_level();
    size_t work_bytes = (size_t)m->width * sizeof(float);
    float *work = tk_alloc(work_bytes);
    double loss = 0;
    for (int64_t i = 0; i < pairs; i++, words += 2 + m->negatives) {
        pair p;
        uint32_t seen[TK_SKIP_ROWS];
        first_row(&p, seen, m, words[0], words[1]);
        for (int k = 0; k < m->negatives; k++) add_noise(&p, seen, (uint32_t)words[2 + k], m);
        loss += level->skip_gram(p.center, &p.rows, m->width, (float)rate, work, NULL, 0);
    }
    tk_free(work, work_bytes);
    return loss;
}

int64_t tk_skip_gram_pairs(const tk_skip_gram_model *m, const tk_skip_gram_run *run, int32_t *words, int64_t capacity) {
    size_t kept_bytes = (size_t)longest(run) * sizeof(int32_t);
    int32_t *kept = tk_alloc(kept_bytes);
    walk w;
    begin_walk(&w, m, run, kept);
    int64_t count = 0;
    while (next_pair(&w)) {
        int32_t *row = count < capacity ? words + count * (2 + m->negatives) : NULL;
        if (row) {
            row[0] = kept[w.center];
            row[1] = kept[w.other - 1];
        }
        for (int k = 0; k < m->negatives; k++) {
            uint32_t word = draw_noise(&w);
            if (row) row[2 + k] = (int32_t)word;
        }
        count++;
    }
    tk_free(kept, kept_bytes);
    return count;
}
