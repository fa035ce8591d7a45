// Convolution in float32 as a matrix product whose right operand, the columns, never exists: the panels of 32 places that the kernel of
// the product reads are gathered from the input as they are needed.
#include "conv.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "gemm_panels.h"
#include "transpose_avx512.h"

// Rows of the columns per block, panels per task.
enum { BLOCK = 512, PANELS = 4, WIDE = TK_TILE_COLUMNS };

typedef struct {
    const tk_conv_shape *s;
    const float *x, *bias;
    float *packed, *y;
    int64_t places, rows, tasks;          // per sample; of the columns; per group
    row_split outputs;                    // of the weight, into panels
    int64_t packed_group;                 // elements per group
    const float *w;
} fused;

// Block after block, panel after panel, with a gap for what packing writes past the end.
static int64_t packed_offset(const fused *f, int64_t block, int64_t panel) {
    int64_t k = conv_least(BLOCK, f->rows - block * BLOCK);
    return block * (BLOCK * f->s->outputs + f->outputs.count * TK_PACK_GAP) + panel_offset(f->outputs, panel, k);
}

static void pack_task(void *context, int64_t task) {
    const fused *f = context;
    int64_t panel = task % f->outputs.count, group = task / f->outputs.count;
    for (int64_t block = 0; block * BLOCK < f->rows; block++)
        tk_pack_tile_rows(f->w + (group * f->s->outputs + panel_start(f->outputs, panel)) * f->rows + block * BLOCK, f->rows,
                          conv_least(BLOCK, f->rows - block * BLOCK), panel_rows(f->outputs, panel),
                          f->packed + group * f->packed_group + packed_offset(f, block, panel));
}

// What a tap of a panel reads: places `mask` of the 32, place j at offset + j · stride in each channel.
typedef struct { int64_t offset; uint32_t mask; } reading;
typedef struct { int32_t first, count; } tap;

// The readings of every tap for the places from `low` on (over all samples), `width` of them.
static void find_readings(const fused *f, int64_t group, int64_t low, int64_t width, tap *taps, reading *readings) {
    const tk_conv_shape *s = f->s;
    int32_t n = 0;
    int64_t plane = conv_volume(s->in), step = s->stride[2];
    for (int64_t kd = 0; kd < s->kernel[0]; kd++)
        for (int64_t kh = 0; kh < s->kernel[1]; kh++)
            for (int64_t kw = 0; kw < s->kernel[2]; kw++, taps++) {
                taps->first = n;
                int64_t sample = low / f->places, place = low % f->places;
                int64_t ow = place % s->out[2], oh = place / s->out[2] % s->out[1], od = place / s->out[2] / s->out[1];
                for (int64_t j = 0; j < width;) {
                    int64_t count = conv_least(s->out[2] - ow, width - j);
                    int64_t id = od * s->stride[0] - s->pad[0] + kd * s->dilation[0], ih = oh * s->stride[1] - s->pad[1] + kh * s->dilation[1];
                    if (id >= 0 && id < s->in[0] && ih >= 0 && ih < s->in[1]) {
                        int64_t iw = ow * step - s->pad[2] + kw * s->dilation[2];
                        int64_t lo = iw >= 0 ? 0 : conv_ceil_div(-iw, step), hi = s->in[2] - iw <= 0 ? 0 : conv_ceil_div(s->in[2] - iw, step);
                        hi = conv_least(hi, count);
                        if (hi > lo) {
                            int64_t from = (sample * s->groups + group) * s->inputs * plane + (id * s->in[1] + ih) * s->in[2] + iw;
                            uint32_t mask = (uint32_t)((((uint64_t)1 << (hi - lo)) - 1) << (j + lo));
                            readings[n++] = (reading){from - j * step, mask};
                        }
                    }
                    j += count;
                    ow = 0;
                    if (++oh == s->out[1]) { oh = 0; if (++od == s->out[0]) { od = 0; sample++; } }
                }
                taps->count = n - taps->first;
            }
}

// 16 places, `stride` apart, of those in the mask; the others keep `old`.
INLINE __m512 read_places(__m512 old, __mmask16 mask, const float *x, int64_t stride) {
    if (stride == 1) return _mm512_mask_loadu_ps(old, mask, x);
    if (stride == 2) {
        const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
        __m512 low = _mm512_maskz_loadu_ps((__mmask16)_pdep_u32(mask & 255, 0x5555), x);
        __m512 high = _mm512_maskz_loadu_ps((__mmask16)_pdep_u32(mask >> 8, 0x5555), x + 16);
        return _mm512_mask_blend_ps(mask, old, _mm512_permutex2var_ps(low, even, high));
    }
    __m512i index = _mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi32((int)stride));
    return _mm512_mask_i32gather_ps(old, mask, index, x, 4);
}

// Rows from ..< to of a panel of columns.
INLINE void fill_panel(const fused *f, int64_t from, int64_t to, const tap *taps, const reading *readings, float *out, const int64_t stride) {
    int64_t volume = conv_volume(f->s->kernel), plane = conv_volume(f->s->in);
    for (int64_t t = 0; t < volume; t++) {
        // Row c · volume + t of the columns is channel c's.
        int64_t c = from <= t ? 0 : conv_ceil_div(from - t, volume), end = to <= t ? 0 : conv_ceil_div(to - t, volume);
        const reading *r = readings + taps[t].first;
        int32_t count = taps[t].count;
        float *row = out + (c * volume + t - from) * WIDE;
        if (count == 1 && stride == 1 && r->mask == ~(uint32_t)0) {
            const float *x = f->x + r->offset + c * plane;
            for (; c < end; c++, row += volume * WIDE, x += plane) {
                _mm512_store_ps(row, _mm512_loadu_ps(x));
                _mm512_store_ps(row + 16, _mm512_loadu_ps(x + 16));
            }
            continue;
        }
        for (; c < end; c++, row += volume * WIDE) {
            __m512 low = _mm512_setzero_ps(), high = low;
            for (int32_t i = 0; i < count; i++) {
                const float *x = f->x + r[i].offset + c * plane;
                uint32_t mask = r[i].mask;
                if (mask & 0xffff) low = read_places(low, (__mmask16)mask, x, stride);
                if (mask >> 16) high = read_places(high, (__mmask16)(mask >> 16), x + 16 * stride, stride);
            }
            _mm512_store_ps(row, low);
            _mm512_store_ps(row + 16, high);
        }
    }
}
AVX512 static void fill_panel_any(const fused *f, int64_t from, int64_t to, const tap *taps, const reading *readings, float *out) {
    switch (f->s->stride[2]) {
    case 1: fill_panel(f, from, to, taps, readings, out, 1); break;
    case 2: fill_panel(f, from, to, taps, readings, out, 2); break;
    default: fill_panel(f, from, to, taps, readings, out, f->s->stride[2]);
    }
}

// Up to PANELS · 32 places of one group, all outputs.
AVX512 static void places_task(void *context, int64_t task) {
    const fused *f = context;
    const tk_conv_shape *s = f->s;
    int64_t group = task / f->tasks, start = task % f->tasks * PANELS * WIDE, all = s->batch * f->places;
    int64_t panels = conv_least(PANELS, conv_ceil_div(all - start, WIDE)), volume = conv_volume(s->kernel);
    int64_t block = conv_least(BLOCK, f->rows);
    size_t column_bytes = (size_t)(block * WIDE) * sizeof(float), tile_bytes = (size_t)(s->outputs * WIDE) * sizeof(float);
    size_t tap_bytes = (size_t)volume * sizeof(tap), reading_bytes = (size_t)(volume * WIDE) * sizeof(reading);
    size_t bytes = PANELS * (column_bytes + tile_bytes + tap_bytes + reading_bytes);
    char *memory = tk_alloc(bytes);
    float *columns = (float *)memory, *tiles = (float *)(memory + PANELS * column_bytes);
    reading *readings = (reading *)(memory + PANELS * (column_bytes + tile_bytes));
    tap *taps = (tap *)(memory + PANELS * (column_bytes + tile_bytes + reading_bytes));
    // A panel within one sample is written where it belongs, one across samples by way of a tile.
    float *to[PANELS];
    int64_t width[PANELS], ld[PANELS];
    for (int64_t p = 0; p < panels; p++) {
        int64_t low = start + p * WIDE;
        width[p] = conv_least(WIDE, all - low);
        find_readings(f, group, low, width[p], taps + p * volume, readings + p * volume * WIDE);
        bool whole = low / f->places == (low + width[p] - 1) / f->places;
        to[p] = whole ? f->y + (low / f->places * s->groups + group) * s->outputs * f->places + low % f->places : tiles + p * s->outputs * WIDE;
        ld[p] = whole ? f->places : WIDE;
    }
    for (int64_t b = 0; b * BLOCK < f->rows; b++) {
        int64_t k = conv_least(BLOCK, f->rows - b * BLOCK);
        for (int64_t p = 0; p < panels; p++)
            fill_panel_any(f, b * BLOCK, b * BLOCK + k, taps + p * volume, readings + p * volume * WIDE, columns + p * block * WIDE);
        for (int64_t a = 0; a < f->outputs.count; a++) {
            const float *w = f->packed + group * f->packed_group + packed_offset(f, b, a);
            for (int64_t p = 0; p < panels; p++)
                tk_multiply_tile(panel_rows(f->outputs, a), k, w, columns + p * block * WIDE, to[p] + panel_start(f->outputs, a) * ld[p], ld[p], width[p], b > 0);
        }
    }
    for (int64_t p = 0; p < panels; p++) {
        bool whole = ld[p] == f->places && to[p] != tiles + p * s->outputs * WIDE;
        if (whole && !f->bias) continue;
        for (int64_t o = 0; o < s->outputs; o++) {
            float add = f->bias ? f->bias[group * s->outputs + o] : 0, *row = to[p] + o * ld[p];
            if (whole) {
                for (int64_t j = 0; j < width[p]; j++) row[j] += add;
                continue;
            }
            for (int64_t j = 0; j < width[p]; j++) {
                int64_t at = start + p * WIDE + j;
                f->y[((at / f->places * s->groups + group) * s->outputs + o) * f->places + at % f->places] = row[j] + add;
            }
        }
    }
    tk_free(memory, bytes);
}

void tk_conv_avx512(const tk_conv_shape *shape, const float *x, const float *w, const float *bias, float *y) {
    tk_conv_shape s = *shape;
    bool flat = true;
    for (int i = 0; i < 3; i++) flat &= s.kernel[i] == 1 && s.stride[i] == 1 && s.pad[i] == 0 && s.in[i] == s.out[i];
    if (flat) {
        // Every row of places continues in the next.
        s.in[2] = s.out[2] = conv_volume(s.in);
        s.in[0] = s.in[1] = s.out[0] = s.out[1] = 1;
    }
    fused f = {.s = &s, .x = x, .w = w, .bias = bias, .y = y, .places = conv_volume(s.out), .rows = conv_taps(&s)};
    f.outputs = split_rows(s.outputs);
    int64_t blocks = conv_ceil_div(f.rows, BLOCK);
    f.packed_group = s.outputs * f.rows + blocks * f.outputs.count * TK_PACK_GAP;
    size_t bytes = (size_t)(s.groups * f.packed_group) * sizeof(float);
    f.packed = tk_alloc(bytes);
    tk_parallel(s.groups * f.outputs.count, pack_task, &f);
    f.tasks = conv_ceil_div(s.batch * f.places, PANELS * WIDE);
    tk_parallel(s.groups * f.tasks, places_task, &f);
    tk_free(f.packed, bytes);
}
#endif
