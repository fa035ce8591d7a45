import CCUDA
import CoreTensor

// MARK: Matrix decompositions and solvers, a block of threads to each matrix of a batch, in double

extension CUDABackend {
    /// The type that a routine works in, float64 or complex128, and the end of its kernels' names.
    private func wide(_ dtype: DType) -> (type: DType, suffix: StaticString) {
        dtype.isComplex ? (.complex128, "c128") : (.float64, "f64")
    }

    /// The numbers in double: themselves, or a copy.
    private func widened(_ x: RawTensor, as type: DType? = nil) -> RawTensor {
        let type = type ?? wide(x.dtype).type
        if x.dtype == type { return x }
        let out = scratch(x.shape, type)
        cast(x, to: out)
        return out
    }

    /// Calls `body` with `x` in double, in which it is changed.
    private func changing(_ x: RawTensor, _ body: (RawTensor) -> Void) {
        let copy = widened(x)
        body(copy)
        if copy.dtype != x.dtype { cast(copy, to: x) }
    }

    /// Room in double for a result of another type.
    private func making(_ x: RawTensor?, _ body: (RawTensor?) -> Void) {
        guard let x, x.dtype.byteCount != (x.dtype.isComplex ? 16 : 8) else { return body(x) }
        let copy = scratch(x.shape, wide(x.dtype).type)
        body(copy)
        cast(copy, to: x)
    }

    private func launch<each A: BitwiseCopyable>(
        _ kernel: StaticString, _ suffix: StaticString, _ a: ColumnMajor, _ arguments: repeat each A
    ) {
        let size = max(a.rows, a.columns), warps = size <= 16 ? 1 : size <= 64 ? 2 : 8
        context.launch(KernelName(kernel, suffix), grid: (a.batchCount, 1), block: (32, warps), repeat each arguments)
    }

    private func sizes(_ m: Int, _ n: Int, k: Int = 0, flags: Int = 0, tolerance: Double = 0) -> tk_cuda_matrices {
        tk_cuda_matrices(m: Int64(m), n: Int64(n), k: Int64(k), flags: Int64(flags), tolerance: tolerance)
    }

    /// Householder, Gauss and Cholesky as LAPACK packs their factors, Jacobi's turns for Hermitian eigenvalues and singular values, QR steps for
    /// other eigenvalues. float32 and complex64 go through double.
    public func linearAlgebra(_ call: LinearAlgebraCall) {
        let name: StaticString = "linearAlgebra"
        switch call {
        case .luFactor(let a, let pivots, let info, let pivot):
            changing(a.raw) {
                launch(
                    "tk_lu_factor", wide(a.raw.dtype).suffix, a, address($0, name), address(pivots, name), address(info, name),
                    sizes(a.rows, a.columns, flags: pivot ? 1 : 0))
            }
        case .luSolve(let a, let pivots, let b, let adjoint):
            let factors = widened(a.raw)
            changing(b.raw) {
                launch(
                    "tk_lu_solve", wide(a.raw.dtype).suffix, b, address(factors, name), address(pivots, name), address($0, name),
                    sizes(b.rows, b.columns, flags: adjoint ? 1 : 0))
            }
        case .luInverse(let a, let pivots, let b):
            linearAlgebra(.luSolve(a, pivots: pivots, b: b, adjoint: false))
        case .cholesky(let a, let upper, let info):
            changing(a.raw) {
                launch(
                    "tk_cholesky", wide(a.raw.dtype).suffix, a, address($0, name), address(info, name),
                    sizes(a.rows, a.columns, flags: upper ? 1 : 0))
            }
        case .choleskySolve(let a, let upper, let b):
            let factor = widened(a.raw)
            changing(b.raw) {
                launch(
                    "tk_cholesky_solve", wide(a.raw.dtype).suffix, b, address(factor, name), address($0, name),
                    sizes(b.rows, b.columns, flags: upper ? 1 : 0))
            }
        case .choleskyInverse(let a, let upper, let info):
            let factor = scratch(a.raw.shape, wide(a.raw.dtype).type)
            cast(a.raw, to: factor)
            changing(a.raw) {
                launch(
                    "tk_cholesky_inverse", wide(a.raw.dtype).suffix, a, address(factor, name), address($0, name),
                    address(info, name), sizes(a.rows, a.columns, flags: upper ? 1 : 0))
            }
        case .qr(let a, let tau):
            changing(a.raw) { a64 in
                making(tau) {
                    launch(
                        "tk_qr", wide(a.raw.dtype).suffix, a, address(a64, name), address($0, name), sizes(a.rows, a.columns))
                }
            }
        case .householderProduct(let a, let tau):
            let factors = widened(tau)
            changing(a.raw) {
                launch(
                    "tk_householder", wide(a.raw.dtype).suffix, a, address($0, name), address(factors, name),
                    sizes(a.rows, a.columns, k: tau.shape.last!))
            }
        case .svd(let a, let s, let u, let vh, let full, let info):
            let x = widened(a.raw)
            making(s) { s in
                making(u?.raw) { u in
                    making(vh?.raw) { vh in singularValues(a, x, s: s!, u: u, vh: vh, full: full, info: info) }
                }
            }
        case .eigh(let a, let w, let vectors, let upper, let info):
            let n = a.rows, batch = a.batchCount, type = wide(a.raw.dtype)
            let turned = scratch([batch, n, n], type.type), turns = scratch([batch, n, 4], .float64)
            let order = scratch([batch, n], .float64)
            if batch * n == 0 { return }
            changing(a.raw) { a64 in
                making(w) {
                    launch(
                        "tk_eigen_hermitian", type.suffix, a, address(a64, name), address($0, name), address(turned, name),
                        address(turns, name), address(order, name), address(info, name),
                        sizes(n, n, flags: (vectors ? 1 : 0) | (upper ? 2 : 0)))
                }
            }
        case .eig(let a, let w, let v, let info):
            let n = a.rows, x = scratch(a.raw.shape, .complex128)
            cast(a.raw, to: x)
            let z = scratch(x.shape, .complex128), triangle = scratch(x.shape, .complex128)
            if x.count == 0 { return }
            making(w) { w in
                making(v?.raw) { v in
                    launch(
                        "tk_schur", "", a, address(x, name), address(z, name), address(triangle, name), address(w, name),
                        address(v, name), address(info, name), sizes(n, n, flags: v == nil ? 0 : 1))
                }
            }
        case .triangularSolve(let a, let b, let form):
            let triangle = widened(a.raw)
            changing(b.raw) {
                launch(
                    "tk_triangular_solve", wide(a.raw.dtype).suffix, b, address(triangle, name), address($0, name),
                    sizes(b.rows, b.columns, flags: Int(form.rawValue)))
            }
        case .leastSquares(let a, let b, let driver, let rcond, let s, let rank, let info):
            leastSquares(a, b, driver, rcond, s, rank, info)
        }
    }

    /// The singular values of a matrix with more columns than rows are those of its adjoint, whose vectors change places.
    private func singularValues(
        _ a: ColumnMajor, _ x: RawTensor, s: RawTensor, u: RawTensor?, vh: RawTensor?, full: Bool, info: RawTensor
    ) {
        let name: StaticString = "svd", batch = a.batchCount, high = max(a.rows, a.columns), low = min(a.rows, a.columns)
        if batch * low == 0 { return }
        let type = wide(a.raw.dtype), columns = full ? high : low
        let w = scratch([batch, low, high], type.type), v = scratch([batch, low, low], type.type)
        let left = scratch([batch, u == nil ? 0 : columns, high], type.type), room = scratch([batch, high], type.type)
        let norms = scratch([batch, low], .float64), order = scratch([batch, low], .int64)
        let turned = a.rows < a.columns ? 1 : 0, shape = sizes(high, low, k: columns, flags: turned | (u == nil ? 0 : 2))
        launch(
            "tk_singular_values", type.suffix, a, address(x, name), address(s, name), address(w, name), address(v, name),
            address(left, name), address(room, name), address(norms, name), address(order, name), address(info, name), shape)
        guard let u, let vh else { return }
        launch(
            "tk_singular_vectors", type.suffix, a, address(v, name), address(left, name), address(order, name), address(u, name),
            address(vh, name), shape)
    }

    /// By singular values, whatever the driver: the solution of least size, as all of them find it.
    private func leastSquares(
        _ a: ColumnMajor, _ b: ColumnMajor, _ driver: LeastSquaresDriver, _ rcond: Double, _ s: RawTensor?, _ rank: RawTensor,
        _ info: RawTensor
    ) {
        let name: StaticString = "lstsq", m = a.rows, n = a.columns, k = min(m, n), batch = a.batchCount
        let type = wide(a.raw.dtype), columns = b.columns
        let u = scratch([batch, k, m], type.type), vh = scratch([batch, n, k], type.type)
        let values = scratch([batch, k], .float64), room = scratch([batch, columns, k], type.type)
        singularValues(a, widened(a.raw), s: values, u: u, vh: vh, full: false, info: info)
        // gels knows no tolerance: it refuses what rounding cannot tell from a matrix of lower rank.
        let precision = a.raw.dtype == .float32 || a.raw.dtype == .complex64 ? 0x1p-23 : 0x1p-52
        let tolerance = driver == .gels ? 0x1p-52 * Double(max(m, n)) : rcond < 0 ? precision : rcond
        changing(b.raw) {
            launch(
                "tk_least_squares", type.suffix, a, address(u, name), address(values, name), address(vh, name), address($0, name),
                address(room, name), address(rank, name), address(driver == .gels ? info : nil, name),
                sizes(m, n, k: k, flags: columns, tolerance: tolerance))
        }
        if let s { cast(values, to: s) }
    }
}
