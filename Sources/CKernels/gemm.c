// Matrix products over OpenBLAS, which is set to one thread: the products are split over our own pool (two pools would fight for
// the cores). The split depends on the shape alone, so the result is the same bit for bit for any number of threads.
#include "CKernels.h"
#include <cblas.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "gemm_avx512.h"
#include "isa.h"

static pthread_once_t blas_once = PTHREAD_ONCE_INIT;
static void set_up_blas(void) { openblas_set_num_threads(1); }
void tk_prepare_blas(void) { pthread_once(&blas_once, set_up_blas); }

typedef struct {
    const void *a, *b, *bias;
    void *c;
    int64_t m, n, k, lda, ldb, ldc, a_stride, b_stride, c_stride, batch;
    int64_t tile_rows, tile_columns, row_tiles, column_tiles;   // of one matrix
    int64_t group;                                              // matrices per task (1 if a matrix has several tiles)
    int64_t k_parts, k_part;                                    // the sum over k in several parts (outputs too small to split)
    void *partial;
    bool transpose_a, transpose_b, accumulate, plain;
} product;

#define T float
#define N(name) name##_f32
#define GEMM cblas_sgemm
#define GEMV cblas_sgemv
#include "gemm_body.h"
#undef T
#undef N
#undef GEMM
#undef GEMV

#define T double
#define N(name) name##_f64
#define GEMM cblas_dgemm
#define GEMV cblas_dgemv
#include "gemm_body.h"
#undef T
#undef N
#undef GEMM
#undef GEMV

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// How many tiles the work of all matrices is worth, in multiply-adds.
static int64_t tiles_for(double work) {
    return work < 48.0 * 48 * 48 ? 1 : work < 112.0 * 112 * 112 ? 2 : work < 640.0 * 640 * 640 ? 4 : work < 1400.0 * 1400 * 1400 ? 8 :
           work < 6144.0 * 6144 * 6144 ? 16 : 64;
}

// Each tile packs its rows of A and its columns of B again; the constants are measured.
static double packing_cost(int64_t rows, int64_t columns) { return 1 + 28.0 / (double)rows + 15.0 / (double)columns; }

// Sets the best shape of tile for about `tiles` of them; returns what packing costs, relative to the arithmetic.
static double shape_tiles(product *p, int64_t tiles) {
    double best = 0, packing = 1;
    for (int64_t across = 1; across <= tiles; across *= 2) {
        int64_t down = tiles / across;
        int64_t rows = round_up(ceil_div(p->m, down), p->m >= 64 ? 8 : 4), columns = round_up(ceil_div(p->n, across), p->n >= 512 ? 64 : 16);
        if (rows > p->m) rows = p->m;
        if (columns > p->n) columns = p->n;
        int64_t used = ceil_div(p->m, rows) * ceil_div(p->n, columns);
        // An even number of tiles keeps two threads busy to the end.
        double cost = packing_cost(rows, columns) * (double)round_up(used, tiles > 1 ? 2 : 1) * (double)rows * (double)columns;
        if (used < tiles) cost *= 1.25;
        if (best == 0 || cost < best) {
            best = cost;
            packing = packing_cost(rows, columns);
            p->tile_rows = rows;
            p->tile_columns = columns;
        }
    }
    return packing;
}

static void choose_tiles(product *p) {
    double one = (double)p->m * (double)p->n * (double)p->k;
    int64_t tiles = tiles_for(one * (double)p->batch);
    if (p->batch > 1) {
        int64_t alone = tiles_for(one);
        tiles = ceil_div(tiles, p->batch);
        while (tiles & (tiles - 1)) tiles += tiles & -tiles;   // to a power of two
        if (tiles > alone) tiles = alone;
    }
    while (shape_tiles(p, tiles) > 1.12 && tiles > 4) tiles /= 2;
    while (p->tile_rows > 1 << 20) p->tile_rows = round_up(p->tile_rows / 2, 8);
    while (p->tile_columns > 1 << 20) p->tile_columns = round_up(p->tile_columns / 2, 64);
    p->row_tiles = ceil_div(p->m, p->tile_rows);
    p->column_tiles = ceil_div(p->n, p->tile_columns);
    p->group = 1;
    if (p->row_tiles * p->column_tiles == 1 && p->batch > 1) {
        double group = 64.0 * 64 * 64 / (one < 1 ? 1 : one);
        p->group = group < 1 ? 1 : group > (double)p->batch ? p->batch : (int64_t)group;
    }
}

#if defined(__x86_64__)
static void one_avx512(void *context, int64_t matrix) {
    const product *p = context;
    tk_sgemm g = { .a = (const float *)p->a + matrix * p->a_stride, .b = (const float *)p->b + matrix * p->b_stride, .bias = p->bias,
                   .c = (float *)p->c + matrix * p->c_stride, .m = p->m, .n = p->n, .k = p->k, .lda = p->lda, .ldb = p->ldb,
                   .ldc = p->ldc, .transpose_a = p->transpose_a, .transpose_b = p->transpose_b, .accumulate = p->accumulate };
    double work = (double)p->m * (double)p->n * (double)p->k;
    tk_sgemm_avx512(&g, p->batch == 1 && work > 64.0 * 64 * 64);
}

// A matrix by rows with a vector; false if this product is none.
static bool multiply_vector_avx512(const product *p) {
    bool row = p->m == 1 && p->transpose_b, column = p->n == 1 && !p->transpose_a && (p->transpose_b || p->ldb == 1 || p->k == 1);
    if (p->batch != 1 || p->plain || p->k < 16 || !(row || column)) return false;
    bool parallel = (double)p->m * (double)p->n * (double)p->k > 65536;
    if (row && !(p->transpose_a && p->lda != 1)) tk_sgemv_avx512(p->b, p->ldb, p->n, p->k, p->a, p->c, 1, p->bias, p->accumulate, parallel);
    else if (column && !p->bias) tk_sgemv_avx512(p->a, p->lda, p->m, p->k, p->b, p->c, p->ldc, NULL, p->accumulate, parallel);
    else return false;
    return true;
}

// By our own kernels where they beat OpenBLAS's; false if not.
static bool multiply_avx512(const product *p) {
    double work = (double)p->m * (double)p->n * (double)p->k;
    // Vectors, tiny products, and small outputs of long sums (which are split over k) stay with BLAS.
    if (p->m < 4 || p->n < 8 || p->k < 8 || work < 32.0 * 32 * 32) return false;
    if ((double)p->m * (double)p->n <= 128 * 128 && p->k >= 4096) return false;
    if (p->batch == 1) one_avx512((void *)p, 0);
    else tk_parallel(p->batch, one_avx512, (void *)p);
    return true;
}
#endif

void tk_activated_linear(int activation, int64_t rows, int64_t outputs, int64_t inputs, const float *x, const float *weight, const float *bias,
                         float *product, float *out) {
    float *c = product ? product : out;
#if defined(__x86_64__)
    // Sizes that multiply_avx512 takes.
    if (tk_isa_level() == 2 && rows >= 4 && outputs >= 8 && inputs >= 8 && (double)rows * (double)outputs * (double)inputs >= 64.0 * 64 * 64) {
        tk_sgemm g = { .a = x, .b = weight, .bias = bias, .c = c, .m = rows, .n = outputs, .k = inputs, .lda = inputs, .ldb = inputs,
                       .ldc = outputs, .transpose_b = true, .activated = out, .activation = activation };
        tk_sgemm_avx512(&g, true);
        return;
    }
#endif
    tk_gemm(TK_F32, false, true, rows, outputs, inputs, x, inputs, 0, weight, inputs, 0, c, outputs, 0, 1, false, bias);
    tk_unary(activation, TK_F32, c, out, rows * outputs);
}

void tk_gemm(int dtype, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
             int64_t a_stride, const void *b, int64_t ldb, int64_t b_stride, void *c, int64_t ldc, int64_t c_stride,
             int64_t batch, bool accumulate, const void *bias) {
    if (m <= 0 || n <= 0 || batch <= 0) return;
    if (k < 0) k = 0;
    if (accumulate) bias = NULL;
    if (k == 0 && accumulate) return;
    product p = { .a = a, .b = b, .bias = bias, .c = c, .m = m, .n = n, .k = k, .lda = lda, .ldb = ldb, .ldc = ldc,
                  .a_stride = a_stride, .b_stride = b_stride, .c_stride = c_stride, .batch = batch, .k_parts = 1, .k_part = k,
                  .transpose_a = transpose_a, .transpose_b = transpose_b, .accumulate = accumulate };
    // The row length of a single row means nothing.
    int64_t a_columns = transpose_a ? m : k, b_columns = transpose_b ? k : n;
    if ((transpose_a ? k : m) <= 1 && p.lda < a_columns) p.lda = a_columns;
    if ((transpose_b ? n : k) <= 1 && p.ldb < b_columns) p.ldb = b_columns;
    if (m == 1 && p.ldc < n) p.ldc = n;
    // What BLAS cannot express (its sizes are 32-bit) is computed by plain loops.
    p.plain = p.lda > INT_MAX || p.ldb > INT_MAX || p.ldc > INT_MAX || k > INT_MAX || p.lda < a_columns || p.ldb < b_columns || p.ldc < n;
#if defined(__x86_64__)
    if (dtype == TK_F32 && tk_isa_level() == 2 && (multiply_avx512(&p) || multiply_vector_avx512(&p))) return;
#endif
    tk_prepare_blas();
    if (m == 1 || n == 1) {
        // Matrix times vector: bound by reading the matrix. Fixed chunks of outputs.
        int64_t length = m * n, chunk = round_up(ceil_div(65536, k < 1 ? 1 : k), 64);
        if (chunk < 512 && (m == 1 ? !transpose_b : transpose_a)) chunk = 512;   // the matrix is read in rows of this length
        if (chunk > length) chunk = length;
        p.tile_rows = n == 1 ? chunk : 1;
        p.tile_columns = n == 1 ? 1 : chunk;
        p.row_tiles = ceil_div(m, p.tile_rows);
        p.column_tiles = ceil_div(n, p.tile_columns);
        p.group = p.row_tiles * p.column_tiles == 1 ? ceil_div(32768, length * (k < 1 ? 1 : k)) : 1;
        if (p.group > batch) p.group = batch;
    } else choose_tiles(&p);
    int64_t tiles = p.row_tiles * p.column_tiles;
    // A small output from a long sum: the sum is cut into fixed parts, added up in order.
    if (tiles * batch < 16 && !p.plain && (double)m * (double)n <= 128 * 128 && k >= 4096) {
        size_t size = dtype == TK_F64 ? 8 : 4;
        int64_t parts = k / 1024 < 16 ? k / 1024 : 16;
        p.k_part = round_up(ceil_div(k, parts), 64);
        p.k_parts = ceil_div(k, p.k_part);
        p.partial = tk_alloc((size_t)(batch * p.k_parts * m * n) * size);
        if (p.partial) {
            if (dtype == TK_F64) { tk_parallel(batch * p.k_parts, k_part_f64, &p); sum_parts_f64(&p); }
            else { tk_parallel(batch * p.k_parts, k_part_f32, &p); sum_parts_f32(&p); }
            tk_free(p.partial, (size_t)(batch * p.k_parts * m * n) * size);
            return;
        }
        p.k_parts = 1;
    }
    int64_t tasks = tiles == 1 ? ceil_div(batch, p.group) : tiles * batch;
    tk_task_fn fn = dtype == TK_F64 ? task_f64 : task_f32;
    if (tasks == 1) fn(&p, 0);
    else tk_parallel(tasks, fn, &p);
}
