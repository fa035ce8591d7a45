import CKernels

/// The CPU: the C kernels and OpenBLAS.
public final class CPUBackend: Backend, Sendable {
    /// The only instance: the backend has no state of its own.
    public static let shared = CPUBackend()

    /// 64-byte aligned memory from the caching allocator; traps if the system has none.
    public func allocate(byteCount: Int) -> Storage { Storage(cpuByteCount: byteCount) }
    /// Back to the cache of the allocator, or to the system.
    public func deallocate(_ base: UnsafeMutableRawPointer, byteCount: Int) { tk_free(base, byteCount) }

    /// Any strides on both sides, by `tk_copy_strided`.
    public func copy(_ source: RawTensor, to destination: RawTensor) {
        withInt64(source.shape) { dims in
            withInt64(source.layout.strides) { from in
                withInt64(destination.layout.strides) { to in
                    tk_copy_strided(
                        source.dtype.code, Int32(source.layout.rank), dims, source.pointer, from, destination.pointer, to)
                }
            }
        }
    }

    /// Dense to dense, by `tk_cast`.
    public func cast(_ x: RawTensor, to out: RawTensor) {
        tk_cast(x.dtype.code, out.dtype.code, x.pointer, out.pointer, Int64(x.count))
    }

    /// Every element of the dense `out`, by `tk_fill`.
    public func fill(_ out: RawTensor, _ value: UnsafeRawPointer) {
        tk_fill(out.dtype.code, out.pointer, Int64(out.count), value)
    }

    /// `start + i · step` in double, or int64 for integers, by `tk_arange`.
    public func arange(_ out: RawTensor, start: Double, step: Double) {
        tk_arange(out.dtype.code, out.pointer, Int64(out.count), start, step)
    }

    // MARK: Elementwise

    /// Dense, by `tk_unary`. Integers have `neg`, `abs`, `sign`, `square` and `relu` only, bools `not` only.
    public func unary(_ op: UnaryKernel, _ x: RawTensor, _ out: RawTensor) {
        tk_unary(op.rawValue, x.dtype.code, x.pointer, out.pointer, Int64(x.count))
    }

    /// `g · f'(saved)` in one pass over dense elements, by `tk_unary_grad`.
    public func unaryGrad(_ op: UnaryGradKernel, saved: RawTensor, _ g: RawTensor, _ out: RawTensor) {
        tk_unary_grad(op.rawValue, saved.dtype.code, saved.pointer, g.pointer, out.pointer, Int64(saved.count))
    }

    /// Dense floats to bools, by `tk_classify`.
    public func classify(_ op: ClassifyKernel, _ x: RawTensor, _ out: RawTensor) {
        tk_classify(op.rawValue, x.dtype.code, x.pointer, boolPointer(out), Int64(x.count))
    }

    /// Dense or one repeated element by `tk_binary_dense`, any other strides by `tk_binary`. `out` may be `a` or `b` if both are
    /// dense.
    @inline(__always)
    public func binary(_ op: BinaryKernel, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor) {
        if a.isContiguous && b.isContiguous {
            tk_binary_dense(op.rawValue, out.dtype.code, a.pointer, 1, b.pointer, 1, out.pointer, Int64(out.count))
        } else {
            binaryStrided(op, a, b, out)
        }
    }

    @inline(never)
    private func binaryStrided(_ op: BinaryKernel, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor) {
        // One repeated element on either side needs no strides.
        let aRepeats = a.layout.strides.allSatisfy { $0 == 0 }
        let bRepeats = b.layout.strides.allSatisfy { $0 == 0 }
        if (aRepeats && b.isContiguous) || (bRepeats && a.isContiguous) {
            tk_binary_dense(
                op.rawValue, out.dtype.code, a.pointer, aRepeats ? 0 : 1, b.pointer, bRepeats ? 0 : 1, out.pointer,
                Int64(out.count))
            return
        }
        withInt64(out.shape) { dims in
            withInt64(a.layout.strides) { sa in
                withInt64(b.layout.strides) { sb in
                    tk_binary(
                        op.rawValue, out.dtype.code, Int32(out.layout.rank), dims, a.pointer, sa, b.pointer, sb,
                        out.pointer)
                }
            }
        }
    }

    /// Dense with one repeated element, by `tk_binary_dense`.
    public func binary(_ op: BinaryKernel, _ x: RawTensor, scalar value: Double, _ out: RawTensor) {
        withElement(value, 0, 0, x.dtype) {
            tk_binary_dense(op.rawValue, x.dtype.code, x.pointer, 1, $0, 0, out.pointer, Int64(x.count))
        }
    }

    /// Any strides to dense bools, by `tk_compare`.
    public func compare(_ op: CompareKernel, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor) {
        withInt64(out.shape) { dims in
            withInt64(a.layout.strides) { sa in
                withInt64(b.layout.strides) { sb in
                    tk_compare(
                        op.rawValue, a.dtype.code, Int32(out.layout.rank), dims, a.pointer, sa, b.pointer, sb,
                        boolPointer(out))
                }
            }
        }
    }

    /// Any strides, moved as raw elements by `tk_where`.
    public func select(_ condition: RawTensor, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor) {
        withInt64(out.shape) { dims in
            withInt64(condition.layout.strides) { sc in
                withInt64(a.layout.strides) { sa in
                    withInt64(b.layout.strides) { sb in
                        tk_where(
                            out.dtype.code, Int32(out.layout.rank), dims, boolPointer(condition), sc, a.pointer, sa,
                            b.pointer, sb, out.pointer)
                    }
                }
            }
        }
    }

    /// Dense floats and integers, by `tk_clamp`; NaN stays NaN.
    public func clamp(_ x: RawTensor, _ out: RawTensor, low: Double, high: Double) {
        tk_clamp(x.dtype.code, x.pointer, out.pointer, Int64(x.count), low, high)
    }

    /// Dense floats, by `tk_axpy`.
    public func axpy(_ alpha: Double, _ x: RawTensor, _ y: RawTensor) {
        tk_axpy(x.dtype.code, alpha, x.pointer, y.pointer, Int64(x.count))
    }

    // MARK: Reductions

    /// Along the middle of `[outer, n, inner]` by `tk_reduce`; float sums are blocked, so their error grows slowly.
    public func reduce(_ op: ReduceKernel, _ x: RawTensor, _ out: RawTensor, _ view: AxisView) {
        tk_reduce(
            op.rawValue, x.dtype.code, x.pointer, out.pointer, Int64(view.outer), Int64(view.n), Int64(view.inner))
    }

    /// Along the middle of `[outer, n, inner]` by `tk_arg_reduce`; the first of equals, and a NaN wins.
    public func argReduce(minimum: Bool, _ x: RawTensor, _ out: RawTensor, _ view: AxisView) {
        tk_arg_reduce(
            minimum, x.dtype.code, x.pointer, int64Pointer(out), Int64(view.outer), Int64(view.n), Int64(view.inner))
    }

    /// Along the middle of `[outer, n, inner]` by `tk_mean_m2`, numerically safe; floats only.
    public func meanAndM2(_ x: RawTensor, mean: RawTensor, m2: RawTensor, _ view: AxisView) {
        tk_mean_m2(
            x.dtype.code, x.pointer, mean.pointer, m2.pointer, Int64(view.outer), Int64(view.n), Int64(view.inner))
    }

    /// Along the middle of `[outer, n, inner]`, by `tk_cumsum`.
    public func cumsum(_ x: RawTensor, _ out: RawTensor, _ view: AxisView) {
        tk_cumsum(x.dtype.code, x.pointer, out.pointer, Int64(view.outer), Int64(view.n), Int64(view.inner))
    }

    /// Σ x² in double, by `tk_sum_of_squares`.
    public func sumOfSquares(_ x: RawTensor) -> Double {
        tk_sum_of_squares(x.dtype.code, x.pointer, Int64(x.count))
    }

    // MARK: Indexing

    /// Rows of `[rows, width]` by `tk_gather_rows`; `ids` were checked.
    public func gatherRows(_ table: RawTensor, ids: RawTensor, _ out: RawTensor) {
        tk_gather_rows(
            table.dtype.code, table.pointer, Int64(table.shape[1]), int64Pointer(ids), Int64(ids.count), out.pointer)
    }

    /// Sums rows into `[rows, width]` by `tk_scatter_rows`, the same bit for bit for any number of threads.
    public func scatterRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor) {
        tk_scatter_rows(
            out.dtype.code, out.pointer, Int64(out.shape[0]), Int64(out.shape[1]), int64Pointer(ids), Int64(ids.count),
            rows.pointer)
    }

    /// Rows into `[rows, width]` by `tk_set_rows`, each id once.
    public func setRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor) {
        tk_set_rows(out.dtype.code, out.pointer, Int64(out.shape[1]), int64Pointer(ids), Int64(ids.count), rows.pointer)
    }

    /// Rows added where they belong in `[rows, width]`, by `tk_add_rows`.
    public func addRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor) {
        tk_add_rows(out.dtype.code, out.pointer, Int64(out.shape[1]), int64Pointer(ids), Int64(ids.count), rows.pointer)
    }

    /// `out[o, j, i] = x[o, index[o, j, i], i]`, by `tk_gather`.
    public func gather(_ x: RawTensor, index: RawTensor, _ out: RawTensor, sourceView: AxisView, n: Int) {
        tk_gather(
            x.dtype.code, x.pointer, Int64(sourceView.outer), Int64(sourceView.n), Int64(sourceView.inner),
            int64Pointer(index), Int64(n), out.pointer)
    }

    /// `out[o, index[o, j, i], i] += x[o, j, i]` in the order of `j`, by `tk_scatter_add`.
    public func scatterAdd(_ x: RawTensor, index: RawTensor, _ out: RawTensor, outputView: AxisView, n: Int) {
        tk_scatter_add(
            x.dtype.code, out.pointer, Int64(outputView.outer), Int64(outputView.n), Int64(outputView.inner),
            int64Pointer(index), Int64(n), x.pointer)
    }

    /// By `tk_find_out_of_range`; nil if all indices are in range.
    public func firstOutOfRange(_ index: RawTensor, limit: Int) -> Int? {
        let position = tk_find_out_of_range(int64Pointer(index), Int64(index.count), Int64(limit))
        return position < 0 ? nil : Int(position)
    }
}

/// Sizes as the C kernels take them, without a copy: `Int` is `int64_t` wherever this package runs.
@inline(__always)
func withInt64<R>(_ values: [Int], _ body: (UnsafePointer<Int64>) -> R) -> R {
    values.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else {
            var none: Int64 = 0
            return body(&none)
        }
        return base.withMemoryRebound(to: Int64.self, capacity: buffer.count) { body($0) }
    }
}

@inline(__always)
func boolPointer(_ x: RawTensor) -> UnsafeMutablePointer<Bool> { x.pointer.assumingMemoryBound(to: Bool.self) }

@inline(__always)
func int64Pointer(_ x: RawTensor) -> UnsafeMutablePointer<Int64> { x.pointer.assumingMemoryBound(to: Int64.self) }
