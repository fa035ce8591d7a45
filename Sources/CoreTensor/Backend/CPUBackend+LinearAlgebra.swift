import CKernels

/// Decompositions and solvers by LAPACK.
extension CPUBackend {
    /// By LAPACK, the matrices of a batch shared out over the pool.
    public func linearAlgebra(_ call: LinearAlgebraCall) {
        func int32(_ raw: RawTensor) -> UnsafeMutablePointer<Int32> { raw.pointer.assumingMemoryBound(to: Int32.self) }
        switch call {
        case .luFactor(let a, let pivots, let info, let pivot):
            tk_lu_factor(a.kind, a.batch, a.m, a.n, a.pointer, int32(pivots), int32(info), pivot)
        case .luSolve(let a, let pivots, let b, let adjoint):
            tk_lu_solve(a.kind, b.batch, b.m, b.n, a.pointer, int32(pivots), b.pointer, adjoint)
        case .luInverse(let a, let pivots, let b):
            tk_lu_inverse(a.kind, b.batch, b.n, a.pointer, int32(pivots), b.pointer)
        case .cholesky(let a, let upper, let info):
            tk_cholesky(a.kind, a.batch, a.n, a.pointer, upper, int32(info))
        case .choleskySolve(let a, let upper, let b):
            tk_cholesky_solve(a.kind, b.batch, b.m, b.n, a.pointer, upper, b.pointer)
        case .choleskyInverse(let a, let upper, let info):
            tk_cholesky_inverse(a.kind, a.batch, a.n, a.pointer, upper, int32(info))
        case .qr(let a, let tau):
            tk_qr(a.kind, a.batch, a.m, a.n, a.pointer, tau.pointer)
        case .householderProduct(let a, let tau):
            tk_householder_product(a.kind, a.batch, a.m, a.n, Int64(tau.shape.last!), a.pointer, tau.pointer)
        case .svd(let a, let s, let u, let vh, let full, let info):
            tk_svd(
                a.kind, a.batch, a.m, a.n, u == nil ? 0 : full ? 2 : 1, a.pointer, s.pointer, u?.pointer, vh?.pointer,
                int32(info))
        case .eigh(let a, let w, let vectors, let upper, let info):
            tk_eigh(a.kind, a.batch, a.n, a.pointer, w.pointer, vectors, upper, int32(info))
        case .eig(let a, let w, let v, let info):
            tk_eig(a.kind, a.batch, a.n, a.pointer, w.pointer, v?.pointer, int32(info))
        case .triangularSolve(let a, let b, let form):
            tk_triangular_solve(a.kind, b.batch, b.m, b.n, a.pointer, b.pointer, form.rawValue)
        case .leastSquares(let a, let b, let driver, let rcond, let s, let rank, let info):
            tk_least_squares(
                a.kind, a.batch, a.m, a.n, b.n, driver.rawValue, a.pointer, b.pointer, rcond, s?.pointer, int32(rank),
                int32(info))
        }
    }
}

extension ColumnMajor {
    fileprivate var kind: Int32 { raw.dtype.lapackKind! }
    fileprivate var batch: Int64 { Int64(batchCount) }
    fileprivate var m: Int64 { Int64(rows) }
    fileprivate var n: Int64 { Int64(columns) }
    fileprivate var pointer: UnsafeMutableRawPointer { raw.pointer }
}
