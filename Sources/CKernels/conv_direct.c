// Convolution with few channels per group (depthwise): the input is copied into padded planes, where every tap of a row of outputs is
// a dense row, and the rows are added up in registers.
#include "conv.h"
#include "windows.h"

#include <string.h>

typedef struct {
    int dtype;
    const tk_conv_shape *s;
    const int64_t *zoom;
    const char *x, *w, *bias, *g;
    char *y;
    int64_t size, volume;             // of an element; of the kernel
    int64_t depth, width;             // of the padded planes; a row holds the places of each remainder by the stride in turn
    int64_t block, blocks;            // rows of outputs per task
    int64_t *offsets;                 // of the taps of all inputs, for planes of `height` rows
    int64_t height;
} direct;

enum { SLACK = 64 };

static int64_t row_length(const direct *d) { return d->width * d->s->stride[2]; }
static int64_t plane_length(const direct *d, int64_t height) { return d->depth * height * row_length(d); }

// The padded planes of a group's inputs, for output rows from `first` on. The padding is zero already.
#define COPY_PLACES(T)                                                                                                     \
    {                                                                                                                      \
        const T *from = (const T *)d->x + ((plane * s->in[0] + id) * s->in[1] + ih) * s->in[2];                             \
        T *to = (T *)row;                                                                                                  \
        for (int64_t phase = 0; phase < s->stride[2]; phase++) {                                                           \
            int64_t q = phase - s->pad[2], step = s->stride[2];                                                            \
            if (zoom[2] == 1) {                                                                                            \
                int64_t lo = q >= 0 ? 0 : conv_ceil_div(-q, step), hi = s->in[2] - q <= 0 ? 0 : conv_ceil_div(s->in[2] - q, step);  \
                hi = conv_least(hi, d->width);                                                                             \
                if (step == 1 && hi > lo) memcpy(to + lo, from + q + lo, (size_t)(hi - lo) * sizeof(T));                    \
                else for (int64_t j = lo; j < hi; j++) to[phase * d->width + j] = from[q + j * step];                      \
            } else {                                                                                                       \
                for (int64_t i = 0; i < s->in[2]; i++) {                                                                   \
                    int64_t at = i * zoom[2] - q;                                                                          \
                    if (at >= 0 && at % step == 0 && at / step < d->width) to[phase * d->width + at / step] = from[i];     \
                }                                                                                                          \
            }                                                                                                              \
        }                                                                                                                  \
    }
static void fill_planes(const direct *d, int64_t first_plane, int64_t first, int64_t height, char *planes) {
    const tk_conv_shape *s = d->s;
    const int64_t *zoom = d->zoom;
    for (int64_t c = 0; c < s->inputs; c++)
        for (int64_t pd = 0; pd < d->depth; pd++)
            for (int64_t ph = 0; ph < height; ph++) {
                int64_t plane = first_plane + c, id = pd - s->pad[0], ih = ph + first * s->stride[1] - s->pad[1];
                if (id < 0 || ih < 0 || id % zoom[0] || ih % zoom[1]) continue;
                id /= zoom[0];
                ih /= zoom[1];
                if (id >= s->in[0] || ih >= s->in[1]) continue;
                // Rows are short: those that come next are asked for early.
                for (int64_t ahead = 0; ahead < s->in[2] * d->size; ahead += 64)
                    __builtin_prefetch(d->x + ((plane * s->in[0] + id) * s->in[1] + ih) * s->in[2] * d->size + 4096 + ahead);
                char *row = planes + (c * plane_length(d, height) + (pd * height + ph) * row_length(d)) * d->size;
                if (d->size == 4) COPY_PLACES(float)
                else COPY_PLACES(double)
            }
}

static void set_offsets(const direct *d, int64_t height, int64_t *offsets) {
    const tk_conv_shape *s = d->s;
    for (int64_t c = 0; c < s->inputs; c++)
        for (int64_t kd = 0; kd < s->kernel[0]; kd++)
            for (int64_t kh = 0; kh < s->kernel[1]; kh++)
                for (int64_t kw = 0; kw < s->kernel[2]; kw++) {
                    int64_t q = kw * s->dilation[2];
                    *offsets++ = c * plane_length(d, height) + (kd * s->dilation[0] * height + kh * s->dilation[1]) * row_length(d) +
                                 q % s->stride[2] * d->width + q / s->stride[2];
                }
}

static direct make_direct(int dtype, const tk_conv_shape *s, const int64_t *zoom) {
    direct d = {.dtype = dtype, .s = s, .zoom = zoom, .size = tk_element_size(dtype), .volume = conv_volume(s->kernel)};
    d.depth = (s->out[0] - 1) * s->stride[0] + (s->kernel[0] - 1) * s->dilation[0] + 1;
    d.width = ((s->out[2] - 1) * s->stride[2] + (s->kernel[2] - 1) * s->dilation[2]) / s->stride[2] + 1;
    d.block = conv_most(conv_ceil_div(65536, conv_most(s->out[0] * s->out[2], 1)), 8);
    d.blocks = conv_ceil_div(s->out[1], d.block);
    return d;
}

static int64_t block_height(const direct *d, int64_t rows) {
    return (rows - 1) * d->s->stride[1] + (d->s->kernel[1] - 1) * d->s->dilation[1] + 1;
}

static void direct_range(void *context, int64_t low, int64_t high) {
    const direct *d = context;
    const tk_conv_shape *s = d->s;
    const tk_windows *level = tk_current_windows();
    int64_t taps = s->inputs * d->volume, most = s->inputs * plane_length(d, block_height(d, conv_least(d->block, s->out[1]))) + SLACK;
    size_t bytes = (size_t)(most * d->size + taps * 8);
    int64_t *offsets = tk_alloc(bytes);
    char *planes = (char *)(offsets + taps);
    for (int64_t task = low; task < high; task++) {
        int64_t first = task % d->blocks * d->block, rows = conv_least(d->block, s->out[1] - first), height = block_height(d, rows);
        int64_t plane = task / d->blocks, group = plane % s->groups, x_row = s->stride[1] * row_length(d);
        // Blocks differ in where their padding lies; whole planes do not.
        if (task == low || d->blocks > 1) {
            memset(planes, 0, (size_t)(most * d->size));
            set_offsets(d, height, offsets);
        }
        fill_planes(d, plane * s->inputs, first, height, planes);
        for (int64_t o = 0; o < s->outputs; o++) {
            int64_t channel = group * s->outputs + o;
            for (int64_t od = 0; od < s->out[0]; od++) {
                int64_t from = od * s->stride[0] * height * row_length(d);
                int64_t to = ((plane * s->outputs + o) * s->out[0] + od) * s->out[1] * s->out[2] + first * s->out[2];
                if (d->dtype == TK_F32)
                    level->taps_f32((const float *)planes + from, x_row, offsets, (const float *)d->w + channel * taps, taps,
                                    d->bias ? ((const float *)d->bias)[channel] : 0, (float *)d->y + to, s->out[2], rows, s->out[2]);
                else
                    level->taps_f64((const double *)planes + from, x_row, offsets, (const double *)d->w + channel * taps, taps,
                                    d->bias ? ((const double *)d->bias)[channel] : 0, (double *)d->y + to, s->out[2], rows, s->out[2]);
            }
        }
    }
    tk_free(offsets, bytes);
}

void tk_conv_direct(int dtype, const tk_conv_shape *s, const int64_t zoom[3], const void *x, const void *w, const void *bias, void *y) {
    direct d = make_direct(dtype, s, zoom);
    d.x = x, d.w = w, d.bias = bias, d.y = y;
    int64_t work = conv_least(d.block, s->out[1]) * s->out[0] * s->out[2] * s->inputs * s->outputs * d.volume;
    tk_parallel_ranges(s->batch * s->groups * d.blocks, 8 * TK_GRAIN / (work + 1) + 1, direct_range, &d);
}

// All samples of one group, added up in double.
static void grad_weight_group(void *context, int64_t group) {
    const direct *d = context;
    const tk_conv_shape *s = d->s;
    const tk_windows *level = tk_current_windows();
    int64_t taps = s->inputs * d->volume, count = s->outputs * taps, height = block_height(d, conv_least(d->block, s->out[1]));
    size_t bytes = (size_t)((s->inputs * plane_length(d, height) + SLACK) * d->size + taps * 8 + count * 8);
    int64_t *offsets = tk_alloc(bytes);
    double *sums = (double *)(offsets + taps);
    char *planes = (char *)(sums + count);
    memset(sums, 0, (size_t)count * 8);
    for (int64_t sample = 0; sample < s->batch; sample++)
        for (int64_t first = 0; first < s->out[1]; first += d->block) {
            int64_t rows = conv_least(d->block, s->out[1] - first), plane = sample * s->groups + group;
            height = block_height(d, rows);
            if (sample == 0 || d->blocks > 1) {
                memset(planes, 0, (size_t)((s->inputs * plane_length(d, height) + SLACK) * d->size));
                set_offsets(d, height, offsets);
            }
            fill_planes(d, plane * s->inputs, first, height, planes);
            for (int64_t o = 0; o < s->outputs; o++)
                for (int64_t od = 0; od < s->out[0]; od++) {
                    int64_t from = od * s->stride[0] * height * row_length(d), x_row = s->stride[1] * row_length(d);
                    int64_t at = (((plane * s->outputs + o) * s->out[0] + od) * s->out[1] + first) * s->out[2];
                    if (d->dtype == TK_F32)
                        level->tap_sums_f32((const float *)planes + from, x_row, (const float *)d->g + at, s->out[2], rows, s->out[2],
                                            offsets, taps, sums + o * taps);
                    else
                        level->tap_sums_f64((const double *)planes + from, x_row, (const double *)d->g + at, s->out[2], rows, s->out[2],
                                            offsets, taps, sums + o * taps);
                }
        }
    for (int64_t i = 0; i < count; i++)
        if (d->dtype == TK_F32) ((float *)d->y)[group * count + i] = (float)sums[i];
        else ((double *)d->y)[group * count + i] = sums[i];
    tk_free(offsets, bytes);
}

void tk_conv_direct_grad_weight(int dtype, const tk_conv_shape *s, const void *x, const void *g, void *dw) {
    direct d = make_direct(dtype, s, (const int64_t[]){1, 1, 1});
    d.x = x, d.g = g, d.y = dw;
    tk_parallel(s->groups, grad_weight_group, &d);
}
