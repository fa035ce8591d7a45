// Included by gemm.c once for each element type T.

static void N(plain_tile)(const product *p, const T *a, const T *b, T *c, int64_t rows, int64_t columns) {
    int64_t ar = p->transpose_a ? 1 : p->lda, ak = p->transpose_a ? p->lda : 1;
    int64_t bk = p->transpose_b ? 1 : p->ldb, bc = p->transpose_b ? p->ldb : 1;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            double sum = 0;
            for (int64_t l = 0; l < p->k; l++) sum += (double)a[i * ar + l * ak] * (double)b[l * bk + j * bc];
            c[i * p->ldc + j] += (T)sum;
        }
}

// Rows i0 ..< i0 + rows, columns j0 ..< j0 + columns of one matrix.
static void N(tile)(const product *p, int64_t matrix, int64_t i0, int64_t j0, int64_t rows, int64_t columns) {
    const T *a = (const T *)p->a + matrix * p->a_stride + (p->transpose_a ? i0 : i0 * p->lda);
    const T *b = (const T *)p->b + matrix * p->b_stride + (p->transpose_b ? j0 * p->ldb : j0);
    T *c = (T *)p->c + matrix * p->c_stride + i0 * p->ldc + j0;
    bool vector = p->m == 1 || p->n == 1, add = p->accumulate;
    if (p->bias) {
        const T *bias = (const T *)p->bias + j0;
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++) c[i * p->ldc + j] = bias[j];
        add = true;
    } else if (!add && (vector || p->plain || p->k == 0)) {   // gemv may scale what is there, a NaN too
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++) c[i * p->ldc + j] = 0;
        add = true;
    }
    if (p->k == 0) return;
    if (p->plain) N(plain_tile)(p, a, b, c, rows, columns);
    else if (p->m == 1) {
        blasint step = (blasint)(p->transpose_a ? p->lda : 1);
        if (p->transpose_b) GEMV(CblasRowMajor, CblasNoTrans, (blasint)columns, (blasint)p->k, 1, b, (blasint)p->ldb, a, step, 1, c, 1);
        else GEMV(CblasRowMajor, CblasTrans, (blasint)p->k, (blasint)columns, 1, b, (blasint)p->ldb, a, step, 1, c, 1);
    } else if (p->n == 1) {
        blasint step = (blasint)(p->transpose_b ? 1 : p->ldb), out = (blasint)p->ldc;
        if (p->transpose_a) GEMV(CblasRowMajor, CblasTrans, (blasint)p->k, (blasint)rows, 1, a, (blasint)p->lda, b, step, 1, c, out);
        else GEMV(CblasRowMajor, CblasNoTrans, (blasint)rows, (blasint)p->k, 1, a, (blasint)p->lda, b, step, 1, c, out);
    } else
        GEMM(CblasRowMajor, p->transpose_a ? CblasTrans : CblasNoTrans, p->transpose_b ? CblasTrans : CblasNoTrans, (blasint)rows,
             (blasint)columns, (blasint)p->k, 1, a, (blasint)p->lda, b, (blasint)p->ldb, add ? 1 : 0, c, (blasint)p->ldc);
}

static void N(task)(void *context, int64_t task) {
    const product *p = context;
    int64_t tiles = p->row_tiles * p->column_tiles;
    if (tiles == 1) {
        int64_t end = (task + 1) * p->group;
        if (end > p->batch) end = p->batch;
        for (int64_t matrix = task * p->group; matrix < end; matrix++) N(tile)(p, matrix, 0, 0, p->m, p->n);
        return;
    }
    int64_t matrix = task / tiles, t = task % tiles;
    int64_t i0 = t / p->column_tiles * p->tile_rows, j0 = t % p->column_tiles * p->tile_columns;
    int64_t rows = p->m - i0 < p->tile_rows ? p->m - i0 : p->tile_rows;
    int64_t columns = p->n - j0 < p->tile_columns ? p->n - j0 : p->tile_columns;
    N(tile)(p, matrix, i0, j0, rows, columns);
}

// One part of the sum over k, into its own dense buffer.
static void N(k_part)(void *context, int64_t task) {
    const product *p = context;
    int64_t matrix = task / p->k_parts, l0 = task % p->k_parts * p->k_part;
    product q = *p;
    q.a = (const T *)p->a + matrix * p->a_stride + (p->transpose_a ? l0 * p->lda : l0);
    q.b = (const T *)p->b + matrix * p->b_stride + (p->transpose_b ? l0 : l0 * p->ldb);
    q.c = (T *)p->partial + task * p->m * p->n;
    q.k = p->k - l0 < p->k_part ? p->k - l0 : p->k_part;
    q.ldc = p->n;
    q.bias = NULL;
    q.accumulate = false;
    N(tile)(&q, 0, 0, 0, p->m, p->n);
}

static void N(sum_parts)(const product *p) {
    for (int64_t matrix = 0; matrix < p->batch; matrix++)
        for (int64_t i = 0; i < p->m; i++) {
            T *c = (T *)p->c + matrix * p->c_stride + i * p->ldc;
            const T *bias = p->bias, *part = (const T *)p->partial + matrix * p->k_parts * p->m * p->n + i * p->n;
            for (int64_t j = 0; j < p->n; j++) {
                T sum = p->accumulate ? c[j] : bias ? bias[j] : 0;
                for (int64_t s = 0; s < p->k_parts; s++) sum += part[s * p->m * p->n + j];
                c[j] = sum;
            }
        }
}
