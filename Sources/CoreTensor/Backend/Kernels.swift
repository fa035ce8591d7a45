import CKernels

/// Elementwise functions of one argument. Raw values are those of the C kernels.
///
/// Integers have `neg`, `abs`, `sign`, `square`, `relu` and `not` (of all bits) only, bools `not` only. `round` takes halves to
/// even. Complex types have those that ``takesComplex`` says.
public enum UnaryKernel: Int32, Sendable {
    case neg = 0
    case abs, sign, square, sqrt, rsqrt, reciprocal, exp, expm1, log, log1p, log2, log10, exp2, sin, cos, tan, asin, acos
    case atan, sinh, cosh, tanh, erf, erfc, sigmoid, logSigmoid, softplus, relu, geluErf, geluTanh, silu, floor, ceil
    case round, trunc, not
    case asinh, acosh, atanh, lgamma, digamma, erfinv, erfcx, i0, i0e, i1, i1e, ndtri, logNdtr, sinc

    /// Whether the function has a complex form; `abs` has another type and goes its own way.
    public var takesComplex: Bool {
        switch self {
        case .neg, .sign, .square, .sqrt, .rsqrt, .reciprocal, .exp, .expm1, .log, .log1p, .log2, .log10, .exp2, .sin, .cos,
            .tan, .asin, .acos, .atan, .sinh, .cosh, .tanh, .asinh, .acosh, .atanh, .sigmoid, .silu, .sinc:
            true
        default: false
        }
    }
}

/// Derivatives fused with the incoming gradient: `g · f'(saved)`.
///
/// `saved` is the function's output where the case says so (`reluOutput`: g where it is above 0), else its input.
public enum UnaryGradKernel: Int32, Sendable {
    case tanhOutput = 0
    case sigmoidOutput, reluOutput, geluErf, geluTanh, silu, logSigmoid, softplus
}

/// Tests of single floats with a bool result. Raw values are those of the C kernels.
public enum ClassifyKernel: Int32, Sendable { case isNaN = 0, isInf, isFinite }

/// Elementwise functions of two arguments, broadcast by strides. Raw values are those of the C kernels.
///
/// Integers wrap, and their `div` cuts towards zero; by zero `div`, `floorDivide` and `remainder` give 0. `remainder` has the
/// sign of the divisor and `fmod` that of the dividend; `max` and `min` pass NaN on, `fmax` and `fmin` leave it out. `and`, `or`,
/// `xor` take bools and integers, `gcd`, `lcm` and the shifts integers, `fmod` numbers, what follows `min` else floats. Complex types
/// have the first five.
public enum BinaryKernel: Int32, Sendable {
    case add = 0
    case sub, mul, div, pow, max, min, remainder, floorDivide, and, or, xor, atan2, hypot
    case fmod, gcd, lcm, leftShift, rightShift, fmax, fmin, copySign, nextAfter, logAddExp, logAddExp2, xlogy, xlog1py, zeta
    case heaviside

    /// Whether the function has a complex form.
    public var takesComplex: Bool {
        switch self {
        case .add, .sub, .mul, .div, .pow: true
        default: false
        }
    }
}

/// Elementwise comparisons with a bool result, broadcast by strides. Raw values are those of the C kernels.
public enum CompareKernel: Int32, Sendable { case equal = 0, notEqual, less, lessEqual, greater, greaterEqual }

/// Reductions of `[outer, n, inner]` along the middle. Raw values are those of the C kernels.
///
/// `sum` and `prod` stay in the type (16-bit floats accumulate in float32, integers wrap); `max` and `min` pass NaN on; `any` and
/// `all` take bools.
public enum ReduceKernel: Int32, Sendable { case sum = 0, prod, max, min, any, all }

/// Running values along the middle of `[outer, n, inner]`. Raw values are those of the C kernels.
///
/// `prod` takes numbers; `max` and `min` any type but complex, and keep a NaN; `logSumExp` takes floats.
public enum ScanKernel: Int32, Sendable { case prod = 0, max, min, logSumExp }

/// How elements are put to the places that an index names. Raw values are those of the C kernels. `max` and `min` keep a NaN.
public enum ScatterKernel: Int32, Sendable { case set = 0, prod, max, min }

/// A tensor seen as `[outer, n, inner]`; the operation runs along the middle.
public struct AxisView: Sendable {
    /// The product of the sizes before the axis.
    public var outer: Int
    /// The size of the axis.
    public var n: Int
    /// The product of the sizes after the axis: the elements between two neighbours along it.
    public var inner: Int

    init(_ shape: Shape, axis: Int) {
        outer = shape[..<axis].reduce(1, *)
        n = shape[axis]
        inner = shape[(axis + 1)...].reduce(1, *)
    }

    /// The three sizes.
    public init(outer: Int, n: Int, inner: Int) {
        self.outer = outer
        self.n = n
        self.inner = inner
    }
}

/// Operands of a (batched) matrix product `op(a) · op(b)`; see `tk_gemm`.
public struct MatMulPlan: Sendable {
    /// Whether `a` lies in memory as `[k, m]` rows.
    public var transposeA = false
    /// Whether `b` lies in memory as `[n, k]` rows.
    public var transposeB = false
    /// Rows of `op(a)` and of the result.
    public var m: Int
    /// Columns of `op(b)` and of the result, which lies dense with rows of this length.
    public var n: Int
    /// Columns of `op(a)` and rows of `op(b)`: what is summed over.
    public var k: Int
    /// Row lengths in memory.
    public var lda: Int
    /// As ``lda``, of `b`.
    public var ldb: Int
    /// Elements between the matrices of a batch; 0 repeats the same one.
    public var strideA = 0
    /// As ``strideA``, of `b`.
    public var strideB = 0
    /// Elements between the matrices of the result.
    public var strideC = 0
    /// The number of products.
    public var batch = 1
    /// Whether the product is added to what the result holds.
    public var accumulate = false

    /// One product of dense matrices.
    public static func dense(m: Int, n: Int, k: Int, transposeA: Bool = false, transposeB: Bool = false) -> MatMulPlan {
        MatMulPlan(
            transposeA: transposeA, transposeB: transposeB, m: m, n: n, k: k, lda: Swift.max(transposeA ? m : k, 1),
            ldb: Swift.max(transposeB ? k : n, 1))
    }
}

/// Sizes of a scaled dot-product attention; tensors are `[batch, heads, length, dim]` views with a dense last axis.
public struct AttentionPlan: Sendable {
    /// What q · k is multiplied by before the softmax, 1 / √dim as a rule.
    public var scale: Double
    /// Whether a query sees only the keys up to its position.
    public var causal: Bool
    /// The position of query 0 among the keys.
    public var position: Int
    /// Only keys at a distance below this from a query's position are seen.
    public var window: Int?
    /// Scaled scores x become cap · tanh(x / cap).
    public var softCap: Double?
    /// One per head: slope · distance is subtracted from the scores.
    public var alibiSlopes: [Double]?
    /// `[batch, heads, queries, keys]` by strides, the last 0 or 1: true for what is seen, or numbers to add, of the log-sums' type.
    public var mask: RawTensor?
    /// The probability of a weight to become 0, the others growing.
    public var dropout = 0.0
    /// Which weights: a place in a random stream.
    public var seed: UInt64 = 0
    /// As ``seed``: the position.
    public var offset: UInt64 = 0
}
