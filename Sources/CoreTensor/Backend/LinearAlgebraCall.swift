/// One call of a LAPACK-like routine on a batch of matrices. Matrices are ``ColumnMajor``; what a case writes is named in its comment.
/// `info` is `int32`, one per matrix: 0, or what the routine found wrong.
public enum LinearAlgebraCall {
    /// `a` becomes its packed factors, `pivots` (`int32`, from 1) the exchanges of rows.
    case luFactor(ColumnMajor, pivots: RawTensor, info: RawTensor, pivot: Bool)
    /// `b` becomes A⁻¹ b, or A⁻ᴴ b.
    case luSolve(ColumnMajor, pivots: RawTensor, b: ColumnMajor, adjoint: Bool)
    /// `b`, the identity, becomes A⁻¹.
    case luInverse(ColumnMajor, pivots: RawTensor, b: ColumnMajor)
    /// `a` becomes its triangular factor.
    case cholesky(ColumnMajor, upper: Bool, info: RawTensor)
    /// `b` becomes A⁻¹ b, given A's factor.
    case choleskySolve(ColumnMajor, upper: Bool, b: ColumnMajor)
    /// The factor becomes the inverse of the matrix it is of.
    case choleskyInverse(ColumnMajor, upper: Bool, info: RawTensor)
    /// `a` becomes R above the vectors of the reflectors, `tau` their factors.
    case qr(ColumnMajor, tau: RawTensor)
    /// `a` becomes the product of the reflectors whose vectors it has.
    case householderProduct(ColumnMajor, tau: RawTensor)
    /// `s`, and `u` and `vh` unless nil: thin, or square if `full`. Destroys `a`.
    case svd(ColumnMajor, s: RawTensor, u: ColumnMajor?, vh: ColumnMajor?, full: Bool, info: RawTensor)
    /// `w` ascending; `a` becomes the eigenvectors if they are wanted and is destroyed otherwise.
    case eigh(ColumnMajor, w: RawTensor, vectors: Bool, upper: Bool, info: RawTensor)
    /// `w` and, unless nil, `v`, both complex. Destroys `a`.
    case eig(ColumnMajor, w: RawTensor, v: ColumnMajor?, info: RawTensor)
    /// `b` becomes op(A)⁻¹ b, or b op(A)⁻¹.
    case triangularSolve(ColumnMajor, b: ColumnMajor, form: TriangularForm)
    /// `b`, `[max(m, n), columns]`, becomes the solutions. `s` and `rank` for the drivers that find them. Destroys `a`.
    case leastSquares(
        ColumnMajor, b: ColumnMajor, driver: LeastSquaresDriver, rcond: Double, s: RawTensor?, rank: RawTensor, info: RawTensor)
}

/// How a triangular matrix takes part in a solution; raw values are those of the C kernels.
public struct TriangularForm: OptionSet, Sendable {
    /// The bits.
    public let rawValue: Int32
    /// The form with these bits.
    public init(rawValue: Int32) { self.rawValue = rawValue }

    /// The matrix stands on the left of the unknown.
    public static let left = TriangularForm(rawValue: 1)
    /// Its elements lie on and above the diagonal.
    public static let upper = TriangularForm(rawValue: 2)
    /// Its diagonal counts as ones.
    public static let unit = TriangularForm(rawValue: 4)
    /// Its transpose is meant.
    public static let transposed = TriangularForm(rawValue: 8)
}

/// LAPACK's routines for least squares; raw values are those of the C kernels.
public enum LeastSquaresDriver: Int32, Sendable {
    /// QR; the matrix has full rank.
    case gels = 0
    /// QR with exchanged columns; any rank.
    case gelsy
    /// Singular values by divide and conquer; any rank.
    case gelsd
    /// Singular values; any rank.
    case gelss
}

extension Backend {
    /// A backend without routines of its own says so.
    public func linearAlgebra(_ call: LinearAlgebraCall) {
        fail("LinearAlgebra", "this device has no matrix decompositions; move the tensor with to(device: .cpu)")
    }
}
