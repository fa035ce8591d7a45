import CKernels

/// Elementwise functions of one argument. Raw values are those of the C kernels.
public enum UnaryKernel: Int32, Sendable {
    case neg = 0
    case abs, sign, square, sqrt, rsqrt, reciprocal, exp, expm1, log, log1p, log2, log10, exp2, sin, cos, tan, asin, acos
    case atan, sinh, cosh, tanh, erf, erfc, sigmoid, logSigmoid, softplus, relu, geluErf, geluTanh, silu, floor, ceil
    case round, trunc, not
}

/// Derivatives fused with the incoming gradient: `g · f'(saved)`.
public enum UnaryGradKernel: Int32, Sendable {
    case tanhOutput = 0
    case sigmoidOutput, reluOutput, geluErf, geluTanh, silu, logSigmoid, softplus
}

public enum ClassifyKernel: Int32, Sendable { case isNaN = 0, isInf, isFinite }

public enum BinaryKernel: Int32, Sendable {
    case add = 0
    case sub, mul, div, pow, max, min, remainder, floorDivide, and, or, xor, atan2, hypot
}

public enum CompareKernel: Int32, Sendable { case equal = 0, notEqual, less, lessEqual, greater, greaterEqual }

public enum ReduceKernel: Int32, Sendable { case sum = 0, prod, max, min, any, all }

/// A tensor seen as `[outer, n, inner]`; the operation runs along the middle.
public struct AxisView: Sendable {
    public var outer: Int
    public var n: Int
    public var inner: Int

    init(_ shape: Shape, axis: Int) {
        outer = shape[..<axis].reduce(1, *)
        n = shape[axis]
        inner = shape[(axis + 1)...].reduce(1, *)
    }

    init(outer: Int, n: Int, inner: Int) {
        self.outer = outer
        self.n = n
        self.inner = inner
    }
}

/// Operands of a (batched) matrix product `op(a) · op(b)`; see `tk_gemm`.
public struct MatMulPlan: Sendable {
    public var transposeA = false
    public var transposeB = false
    public var m: Int
    public var n: Int
    public var k: Int
    /// Row lengths in memory.
    public var lda: Int
    public var ldb: Int
    /// Elements between the matrices of a batch; 0 repeats the same one.
    public var strideA = 0
    public var strideB = 0
    public var strideC = 0
    public var batch = 1
    public var accumulate = false
}

/// Sizes of a scaled dot-product attention; tensors are `[batch, heads, length, dim]` views with a dense last axis.
public struct AttentionPlan: Sendable {
    public var scale: Double
    public var causal: Bool
}
