extension LinearAlgebra {
    /// `xⁿ` of square matrices `[..., m, m]` by repeated squaring; the identity for n = 0. Negative powers are those of the inverse and
    /// throw ``LinearAlgebraError/Reason/singular(row:)``. PyTorch's `torch.linalg.matrix_power`.
    public static func matrixPower(_ x: Tensor, _ n: Int) throws -> Tensor {
        if x.rank < 2 || x.shape[x.rank - 1] != x.shape[x.rank - 2] {
            fail("matrixPower", "needs square matrices [..., n, n], not the shape \(x.shape)")
        }
        if n == 0 {
            return Tensor(eye: x.shape.last!, dtype: x.dtype).to(device: x.device).expanded(to: x.shape).contiguous()
        }
        var base = n < 0 ? try inv(x) : x
        var left = n.magnitude
        var result: Tensor?
        while true {
            if left & 1 == 1 { result = result.map { matmul($0, base) } ?? base }
            left >>= 1
            if left == 0 { return result! }
            base = matmul(base, base)
        }
    }

    /// The product of two or more matrices in the order of least work (Cormen et al., Introduction to Algorithms, 15.2). The first and the
    /// last may be vectors, a row and a column. PyTorch's `torch.linalg.multi_dot`.
    public static func multiDot(_ tensors: [Tensor]) -> Tensor {
        let n = tensors.count
        if n < 2 { fail("multiDot", "needs at least two tensors, not \(n)") }
        var factors = tensors
        if factors[0].rank == 1 { factors[0] = factors[0].unsqueezed(0) }
        if factors[n - 1].rank == 1 { factors[n - 1] = factors[n - 1].unsqueezed(1) }
        for (i, factor) in factors.enumerated() {
            if factor.rank != 2 { fail("multiDot", "tensor \(i) must be a matrix, not \(tensors[i].shape)") }
            if factor.dtype != factors[0].dtype { fail("multiDot", "types differ: \(factors[0].dtype) and \(factor.dtype)") }
            if i > 0 && factors[i - 1].shape[1] != factor.shape[0] {
                fail("multiDot", "tensors \(i - 1) and \(i) do not fit: \(tensors[i - 1].shape) · \(tensors[i].shape)")
            }
        }
        let sizes = [factors[0].shape[0]] + factors.map { $0.shape[1] }
        // cost[i][j]: of the product i ... j, cut after cut[i][j]; in Double, which does not overflow.
        var cost = [[Double]](repeating: [Double](repeating: 0, count: n), count: n)
        var cut = [[Int]](repeating: [Int](repeating: 0, count: n), count: n)
        for length in 1..<n {
            for i in 0..<n - length {
                let j = i + length
                cost[i][j] = .infinity
                for k in i..<j {
                    let total = cost[i][k] + cost[k + 1][j] + Double(sizes[i]) * Double(sizes[k + 1]) * Double(sizes[j + 1])
                    if total < cost[i][j] { (cost[i][j], cut[i][j]) = (total, k) }
                }
            }
        }
        func product(_ i: Int, _ j: Int) -> Tensor {
            i == j ? factors[i] : matmul(product(i, cut[i][j]), product(cut[i][j] + 1, j))
        }
        var shape = product(0, n - 1)
        if tensors[n - 1].rank == 1 { shape = shape.reshaped([shape.shape[0]]) }
        return tensors[0].rank == 1 ? shape.reshaped(Array(shape.shape.dropFirst())) : shape
    }

    /// Σ conj(a) b along an axis, the others broadcast. PyTorch's `torch.linalg.vecdot`.
    public static func vecdot(_ a: Tensor, _ b: Tensor, axis: Int = -1) -> Tensor {
        let (a, b) = promoted(a, b)
        guard let shape = broadcastShape(a.shape, b.shape) else { fail("vecdot", "\(a.shape) and \(b.shape) do not broadcast") }
        let axis = resolveAxis("vecdot", axis, rank: shape.count)
        return (conj(a) * b).expanded(to: shape).sum(Axes([axis])).to(a.dtype)
    }

    /// The cross product along an axis of size 3, the others broadcast. PyTorch's `torch.linalg.cross`.
    public static func cross(_ a: Tensor, _ b: Tensor, axis: Int = -1) -> Tensor {
        let (a, b) = promoted(a, b)
        if a.rank != b.rank || a.rank == 0 { fail("cross", "\(a.shape) and \(b.shape) must have the same number of axes") }
        let axis = resolveAxis("cross", axis, rank: a.rank)
        if a.shape[axis] != 3 || b.shape[axis] != 3 {
            fail("cross", "axis \(axis) of \(a.shape) and \(b.shape) must have size 3")
        }
        if broadcastShape(a.shape, b.shape) == nil { fail("cross", "\(a.shape) and \(b.shape) do not broadcast") }
        func turned(_ x: Tensor, _ by: Int) -> Tensor {
            let head = x.narrowed(axis: axis, start: 0, length: by), tail = x.narrowed(axis: axis, start: by, length: 3 - by)
            return concatenate([tail, head], axis: axis)
        }
        return turned(a, 1) * turned(b, 2) - turned(a, 2) * turned(b, 1)
    }

    /// The powers `x⁰, x¹ … xᴺ⁻¹` along a new last axis: `[..., n]` gives `[..., n, N]`; N is n unless given. A scalar counts as a
    /// vector of one. PyTorch's `torch.linalg.vander`.
    public static func vander(_ x: Tensor, count: Int? = nil) -> Tensor {
        if x.rank == 0 { return vander(x.reshaped([1]), count: count) }
        let x = x.dtype.isInteger || x.dtype == .bool ? x.to(.int64) : x
        let count = count ?? x.shape.last!
        if count < 0 || (count < 1 && x.shape.last! > 0) { fail("vander", "\(count) powers") }
        if count == 0 { return Tensor(zeros: x.shape + [0], dtype: x.dtype, device: x.device) }
        var powers = [Tensor(onesLike: x)]
        for _ in 1..<Swift.max(count, 1) { powers.append(powers.count == 1 ? x : powers.last! * x) }
        return stack(powers, axis: -1)
    }

    /// The inverse under `tensordot`: `x` of shape `left + right`, whose first `split` axes are as many elements as the rest, gives
    /// `right + left`. Throws ``LinearAlgebraError/Reason/singular(row:)``. PyTorch's `torch.linalg.tensorinv`.
    public static func tensorinv(_ x: Tensor, split: Int = 2) throws -> Tensor {
        if split < 1 { fail("tensorinv", "split \(split) must be positive") }
        let left = Array(x.shape.prefix(split)), right = Array(x.shape.dropFirst(split))
        let n = left.reduce(1, *)
        if n != right.reduce(1, *) { fail("tensorinv", "\(left) and \(right) of \(x.shape) must have as many elements") }
        return try inv(x.reshaped([n, n])).reshaped(right + left)
    }

    /// The X with `tensordot(a, X, X.rank) = b`: `a` has the shape `b.shape + X.shape`, after its axes `movedToEnd` went to the end.
    /// Throws ``LinearAlgebraError/Reason/singular(row:)``. PyTorch's `torch.linalg.tensorsolve`.
    public static func tensorsolve(_ a: Tensor, _ b: Tensor, movedToEnd axes: [Int] = []) throws -> Tensor {
        let moved = axes.map { resolveAxis("tensorsolve", $0, rank: a.rank) }
        let ordered = a.permuted((0..<a.rank).filter { !moved.contains($0) } + moved)
        let shape = Array(ordered.shape.dropFirst(b.rank))
        if shape.reduce(1, *) != b.count || ordered.count != b.count * b.count {
            fail("tensorsolve", "\(a.shape) does not divide into \(b.shape) and as many elements")
        }
        return try solve(ordered.reshaped([b.count, b.count]), b.reshaped([b.count])).reshaped(shape)
    }
}
