// A position of each sequence through a pre-norm transformer block with its cache of keys and values. The same kernels in the same order
// as one operation after the other, so the same bits; between them lies nothing but these calls, where the weights of a small
// model are read in the time that a dozen operations take to be called.
#include <math.h>
#include <string.h>

#include "CKernels.h"
#include "levels.h"

static void apply(const tk_linear *l, int dtype, int64_t rows, const void *x, void *y) {
    switch (l->kind) {
    case TK_LINEAR_DENSE:
        if (dtype == TK_BF16)
            tk_gemm_bf16(TK_BF16, false, true, rows, l->outputs, l->inputs, x, l->inputs, 0, l->weight, l->inputs, 0, y, l->outputs, 0, 1,
                         false, dtype, l->bias);
        else tk_gemm(dtype, false, true, rows, l->outputs, l->inputs, x, l->inputs, 0, l->weight, l->inputs, 0, y, l->outputs, 0, 1, false, l->bias);
        return;
    case TK_LINEAR_INT8_DYNAMIC:
        tk_linear_int8_dynamic(dtype, rows, l->outputs, l->inputs, x, l->weight, l->scales, l->sums, l->bias, y);
        return;
    case TK_LINEAR_INT8: tk_linear_int8(dtype, rows, l->outputs, l->inputs, x, l->weight, l->scales, l->bias, y); return;
    case TK_LINEAR_INT4:
        tk_linear_int4(dtype, rows, l->outputs, l->inputs, l->group, x, l->weight, l->scales, l->offsets, l->bias, y);
        return;
    }
}

// Row b's keys and values, the second and third part of `qkv`, to their place behind the others.
static void append(const tk_decoder_block *p, const char *qkv) {
    int64_t head = p->width / p->heads * tk_element_size(p->dtype), row = 3 * p->width * tk_element_size(p->dtype);
    for (int64_t b = 0; b < p->batch; b++)
        for (int64_t h = 0; h < p->heads; h++) {
            const char *key = qkv + b * row + p->width * tk_element_size(p->dtype) + h * head;
            int64_t place = ((b * p->heads + h) * p->capacity + p->length) * head;
            memcpy((char *)p->keys + place, key, (size_t)head);
            memcpy((char *)p->values + place, key + p->width * tk_element_size(p->dtype), (size_t)head);
        }
}

void tk_decoder_block_step(const tk_decoder_block *p, const void *x, void *y) {
    int64_t width = p->width, dim = width / p->heads, size = tk_element_size(p->dtype), n = p->batch * width;
    if (p->batch <= 0) return;
    // Parts in turn: norm or attention's or feed-forward's output; queries, keys, values or the hidden layer; the middle of the block.
    int64_t wide = 3 * width > p->expand.outputs ? 3 * width : p->expand.outputs;
    size_t bytes = (size_t)(p->batch * (2 * width + wide) * size), statistics_bytes = (size_t)(p->batch * (2 + p->heads)) * sizeof(float);
    char *narrow = tk_alloc(bytes), *broad = narrow + n * size, *middle = broad + p->batch * wide * size;
    float *mean = tk_alloc(statistics_bytes), *rstd = mean + p->batch, *lse = rstd + p->batch;

    tk_layer_norm(p->dtype, x, p->norm_weight[0], p->norm_bias[0], narrow, mean, rstd, p->batch, width, p->eps[0]);
    apply(&p->qkv, p->dtype, p->batch, narrow, broad);
    append(p, broad);
    tk_attention_strides own = { 3 * width, dim, 3 * width }, kept = { p->heads * p->capacity * dim, p->capacity * dim, dim };
    tk_attention_shape s = { .batch = p->batch, .heads = p->heads, .kv_heads = p->heads, .q_len = 1, .kv_len = p->length + 1, .dim = dim,
                             .value_dim = dim, .scale = 1 / sqrt((double)dim), .position = p->length, .q = own, .k = kept, .v = kept,
                             .out = { width, dim, width } };
    tk_attention(p->dtype, &s, broad, p->keys, p->values, narrow, lse);
    apply(&p->output, p->dtype, p->batch, narrow, broad);
    tk_binary_dense(TK_ADD, p->dtype, x, 1, broad, 1, middle, n);

    tk_layer_norm(p->dtype, middle, p->norm_weight[1], p->norm_bias[1], narrow, mean, rstd, p->batch, width, p->eps[1]);
    apply(&p->expand, p->dtype, p->batch, narrow, broad);
    tk_unary(p->activation, p->dtype, broad, broad, p->batch * p->expand.outputs);
    apply(&p->project, p->dtype, p->batch, broad, narrow);
    tk_binary_dense(TK_ADD, p->dtype, middle, 1, narrow, 1, y, n);
    tk_free(mean, statistics_bytes);
    tk_free(narrow, bytes);
}
