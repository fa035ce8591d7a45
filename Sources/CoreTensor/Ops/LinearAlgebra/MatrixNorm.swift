extension LinearAlgebra {
    /// Which norm of a matrix (or, in ``norm(_:_:axes:keepDims:dtype:)``, of a vector).
    public enum NormOrder: Sendable, Equatable, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral {
        /// √Σ |aᵢⱼ|².
        case frobenius
        /// Σ σᵢ.
        case nuclear
        /// Of matrices: ±1 the largest (smallest) sum of a column's sizes, ±∞ of a row's, ±2 the largest (smallest) singular value.
        /// Of vectors: any number.
        case p(Double)

        /// ``p(_:)``.
        public init(integerLiteral value: Int) { self = .p(Double(value)) }
        /// ``p(_:)``.
        public init(floatLiteral value: Double) { self = .p(value) }
    }

    /// The norm of the matrices that two different axes span, rows first. Throws as ``svd(_:fullMatrices:)`` for the nuclear norm and ±2.
    /// PyTorch's `torch.linalg.matrix_norm`.
    public static func matrixNorm(
        _ x: Tensor, _ order: NormOrder = .frobenius, axes: (Int, Int) = (-2, -1), keepDims: Bool = false, dtype: DType? = nil
    ) throws -> Tensor {
        if x.rank < 2 { fail("matrixNorm", "needs a matrix [..., m, n], not the shape \(x.shape)") }
        if !x.dtype.isDifferentiable { fail("matrixNorm", "\(x.dtype) has no norm; convert with to(.float32)") }
        let rows = resolveAxis("matrixNorm", axes.0, rank: x.rank), columns = resolveAxis("matrixNorm", axes.1, rank: x.rank)
        if rows == columns { fail("matrixNorm", "axes \(axes) are the same") }
        if order == .frobenius { return vectorNorm(x, 2, axes: [rows, columns], keepDims: keepDims, dtype: dtype) }
        let x = dtype.map { x.to($0) } ?? x
        let last = (0..<x.rank).filter { $0 != rows && $0 != columns } + [rows, columns]
        let matrix = x.permuted(last)
        var result: Tensor
        switch order {
        case .nuclear: result = try svdvals(matrix).sum([-1])
        case .p(2): result = largest(try svdvals(matrix))
        case .p(-2): result = try svdvals(matrix).min([-1])
        case .p(1): result = largest(abs(matrix).sum([-2]))
        case .p(-1): result = abs(matrix).sum([-2]).min([-1])
        case .p(.infinity): result = largest(abs(matrix).sum([-1]))
        case .p(-.infinity): result = abs(matrix).sum([-1]).min([-1])
        default: fail("matrixNorm", "\(order) is no norm of a matrix; use .frobenius, .nuclear, ±1, ±2 or ±.infinity")
        }
        if keepDims {
            var kept = x.shape
            kept[rows] = 1
            kept[columns] = 1
            result = result.reshaped(kept)
        }
        return result
    }

    /// The largest along the last axis; 0 of nothing.
    private static func largest(_ sizes: Tensor) -> Tensor {
        sizes.shape.last! == 0 ? sizes.sum([-1]) : sizes.max([-1])
    }

    /// A vector's or a matrix's norm, by the number of axes: without an order the 2-norm of all elements (over `axes`, if given); with an
    /// order the vector norm over one axis, the matrix norm over two, and without axes by the rank, 1 or 2. PyTorch's
    /// `torch.linalg.norm`. Throws as ``matrixNorm(_:_:axes:keepDims:dtype:)``.
    public static func norm(
        _ x: Tensor, _ order: NormOrder? = nil, axes: [Int]? = nil, keepDims: Bool = false, dtype: DType? = nil
    ) throws -> Tensor {
        if let axes, axes.count > 2 || axes.isEmpty, order != nil {
            fail("norm", "\(axes.count) axes; a norm with an order has one or two")
        }
        guard let order else {
            return vectorNorm(x, 2, axes: axes.map { Axes($0) } ?? .all, keepDims: keepDims, dtype: dtype)
        }
        let axes = axes ?? Array(0..<x.rank)
        if axes.count == 1 {
            guard case .p(let p) = order else { fail("norm", "\(order) is a norm of matrices; \(axes) is one axis") }
            return vectorNorm(x, p, axes: Axes(axes), keepDims: keepDims, dtype: dtype)
        }
        if axes.count != 2 { fail("norm", "a tensor of shape \(x.shape) is no vector or matrix; name the axes") }
        return try matrixNorm(x, order, axes: (axes[0], axes[1]), keepDims: keepDims, dtype: dtype)
    }

    /// The condition number of `[..., m, n]`, the largest over the smallest singular value for order 2 (the default; -2 the inverse of
    /// it), else |A| |A⁻¹| of square matrices, ∞ where A is singular; 0 for empty matrices. PyTorch's `torch.linalg.cond`.
    /// Throws as ``svd(_:fullMatrices:)``.
    public static func cond(_ x: Tensor, _ order: NormOrder = 2) throws -> Tensor {
        requireMatrices("cond", x)
        if x.shape.suffix(2).contains(0) {
            return Tensor(zeros: Array(x.shape.dropLast(2)), dtype: x.dtype.real, device: x.device)
        }
        if order == 2 || order == -2 {
            let s = try svdvals(x)
            let k = s.shape.last!
            let first = s.slice([.ellipsis, .at(0)]), last = s.slice([.ellipsis, .at(k - 1)])
            return order == 2 ? first / last : last / first
        }
        requireSquare("cond", x)
        let (inverse, info) = invWithInfo(x)
        let isSingular = (info .!= 0)
        let infinity = Tensor(Double.infinity, dtype: x.dtype.real, device: x.device)
        // Singular matrices stand aside, so that their inverses (full of NaN) reach no decomposition.
        let safe = which(isSingular.unsqueezed(-1).unsqueezed(-1), Tensor(zeros: [], dtype: x.dtype, device: x.device), inverse)
        let product = try matrixNorm(x, order) * matrixNorm(safe, order)
        return which(isSingular .| product.detached().isNaN, infinity, product)
    }
}
