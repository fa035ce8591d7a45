/// Matrix decompositions, solvers and norms, after PyTorch's `torch.linalg`: every function takes batches of matrices
/// `[..., m, n]` in `float32`, `float64`, `complex64` or `complex128`, and works on each by LAPACK; those of a batch are shared out over
/// the pool of threads. Results do not depend on the number of threads.
///
/// A matrix that a method cannot take (singular, not positive definite, NaN where it would not end) throws a
/// ``LinearAlgebraError``; shapes and types that make no sense trap.
public enum LinearAlgebra {}

/// What a numerical method found wrong with a matrix.
public struct LinearAlgebraError: Error, Equatable, CustomStringConvertible {
    /// What is wrong.
    public enum Reason: Sendable, Equatable {
        /// The pivot in this row (from 0) is exactly 0: there is no inverse.
        case singular(row: Int)
        /// The leading block of this size is not positive definite.
        case notPositiveDefinite(order: Int)
        /// The columns (or rows) are linearly dependent.
        case rankDeficient
        /// The iteration for eigenvalues or singular values did not converge.
        case notConverged
        /// A NaN or an infinity among the elements.
        case notFinite
    }

    /// The function: "solve", "cholesky" …
    public let operation: String
    /// What is wrong.
    public let reason: Reason
    /// The position of the matrix among the batch axes; `[]` for a single matrix.
    public let batchIndex: [Int]

    /// Names the function, the matrix and what it lacks.
    public var description: String {
        let place = batchIndex.isEmpty ? "the matrix" : "matrix \(batchIndex) of the batch"
        switch reason {
        case .singular(let row): return "\(operation): \(place) is singular: the pivot in row \(row) is 0"
        case .notPositiveDefinite(let order):
            return "\(operation): \(place) is not positive definite (its leading block of order \(order) is not)"
        case .rankDeficient: return "\(operation): \(place) does not have full rank"
        case .notConverged: return "\(operation): the iteration did not converge for \(place)"
        case .notFinite: return "\(operation): \(place) has a NaN or an infinite element"
        }
    }
}

/// Traps unless `x` is a batch of matrices of a type that LAPACK has.
func requireMatrices(_ operation: String, _ x: Tensor, _ what: String = "a matrix") {
    if x.rank < 2 { fail(operation, "needs \(what) [..., m, n], not the shape \(x.shape)") }
    requireLAPACKType(operation, x)
    let largest = Swift.max(x.shape[x.rank - 2], x.shape[x.rank - 1])
    if largest > Int(Int32.max) / 8 { fail(operation, "an axis of \(largest) is more than LAPACK's 32-bit integers take") }
}

func requireLAPACKType(_ operation: String, _ x: Tensor) {
    if x.dtype.lapackKind == nil {
        fail(operation, "\(x.dtype) has no decompositions; convert with to(.float32) or to(.float64)")
    }
}

/// Traps unless `x` is a batch of square matrices.
func requireSquare(_ operation: String, _ x: Tensor) {
    requireMatrices(operation, x, "a square matrix")
    if x.shape[x.rank - 1] != x.shape[x.rank - 2] {
        fail(operation, "needs square matrices [..., n, n], not the shape \(x.shape)")
    }
}

func requireSameType(_ operation: String, _ a: Tensor, _ b: Tensor) {
    if a.dtype != b.dtype { fail(operation, "types differ: \(a.dtype) and \(b.dtype)") }
    if a.device != b.device { fail(operation, "tensors on different devices: \(a.device) and \(b.device)") }
}

/// The batch axes that two batches of matrices broadcast to.
func requireBatch(_ operation: String, _ a: Tensor, _ b: Tensor) -> Shape {
    guard let batch = broadcastShape(Array(a.shape.dropLast(2)), Array(b.shape.dropLast(2))) else {
        fail(operation, "batch axes do not broadcast: \(a.shape) and \(b.shape)")
    }
    return batch
}

/// Throws for the first matrix whose `info` says that something is wrong with it.
func check(_ operation: String, _ info: RawTensor, _ reason: (Int) -> LinearAlgebraError.Reason) throws {
    let codes = Tensor(raw: info).scalars(Int.self)
    guard let i = codes.firstIndex(where: { $0 != 0 }) else { return }
    if codes[i] < 0 { fail(operation, "LAPACK refused argument \(-codes[i])") }
    throw LinearAlgebraError(operation: operation, reason: reason(codes[i]), batchIndex: batchIndex(i, info.shape))
}

/// Throws where a NaN or an infinity would keep a method from ending.
func requireFinite(_ operation: String, _ x: Tensor) throws {
    let finite = x.detached().isFinite
    if finite.all().item(Bool.self) { return }
    let whole = finite.flattened(from: -2).all(-1)
    let flags = whole.scalars(Bool.self)
    let i = flags.firstIndex(of: false)!
    throw LinearAlgebraError(operation: operation, reason: .notFinite, batchIndex: batchIndex(i, whole.shape))
}

private func batchIndex(_ flat: Int, _ shape: Shape) -> [Int] {
    var rest = flat
    var index: [Int] = []
    for size in shape.reversed() {
        index.insert(rest % size, at: 0)
        rest /= size
    }
    return index
}

/// The result of a function that throws, where a gradient rule needs it: rules cannot throw.
func inRule<R>(_ operation: String, _ body: () throws -> R) -> R {
    do { return try body() } catch { fail(operation, "the gradient needs a decomposition that failed: \(error)") }
}
