extension FFT {
    /// ``fft(_:count:axis:norm:)`` over several axes, all of them unless named. `counts` has an entry per axis (-1: as it is) and stands
    /// for the last axes if they are not named. PyTorch's `torch.fft.fftn`.
    public static func fftn(
        _ x: Tensor, counts: [Int]? = nil, axes: [Int]? = nil, norm: Norm = .backward
    ) -> Tensor {
        let plan = Plan("fftn", x, counts, axes)
        return plan.all.reduce(asComplex("fftn", x)) { complexTransform("fftn", $0, $1.count, $1.axis, norm, inverse: false) }
    }

    /// The inverse of ``fftn(_:counts:axes:norm:)``. PyTorch's `torch.fft.ifftn`.
    public static func ifftn(
        _ x: Tensor, counts: [Int]? = nil, axes: [Int]? = nil, norm: Norm = .backward
    ) -> Tensor {
        let plan = Plan("ifftn", x, counts, axes)
        return plan.all.reduce(asComplex("ifftn", x)) { complexTransform("ifftn", $0, $1.count, $1.axis, norm, inverse: true) }
    }

    /// ``rfft(_:count:axis:norm:)`` over the last of the axes, ``fft(_:count:axis:norm:)`` over the others. PyTorch's `torch.fft.rfftn`.
    public static func rfftn(
        _ x: Tensor, counts: [Int]? = nil, axes: [Int]? = nil, norm: Norm = .backward
    ) -> Tensor {
        let plan = Plan("rfftn", x, counts, axes, needsOne: true)
        let half = halfTransform("rfftn", x, plan.last.count, plan.last.axis, norm, inverse: false)
        return plan.others.reduce(half) { complexTransform("rfftn", $0, $1.count, $1.axis, norm, inverse: false) }
    }

    /// The inverse of ``rfftn(_:counts:axes:norm:)``; the last count is 2 (m - 1) unless given. PyTorch's `torch.fft.irfftn`.
    public static func irfftn(
        _ x: Tensor, counts: [Int]? = nil, axes: [Int]? = nil, norm: Norm = .backward
    ) -> Tensor {
        let plan = Plan("irfftn", x, counts, axes, needsOne: true)
        let z = plan.others.reduce(asComplex("irfftn", x)) {
            complexTransform("irfftn", $0, $1.count, $1.axis, norm, inverse: true)
        }
        return realTransform("irfftn", z, plan.last.count, plan.last.axis, norm, inverse: true)
    }

    /// ``fft(_:count:axis:norm:)`` over all but the last of the axes, then ``hfft(_:count:axis:norm:)``. PyTorch's `torch.fft.hfftn`.
    public static func hfftn(
        _ x: Tensor, counts: [Int]? = nil, axes: [Int]? = nil, norm: Norm = .backward
    ) -> Tensor {
        let plan = Plan("hfftn", x, counts, axes, needsOne: true)
        let z = plan.others.reduce(asComplex("hfftn", x)) {
            complexTransform("hfftn", $0, $1.count, $1.axis, norm, inverse: false)
        }
        return realTransform("hfftn", conj(z), plan.last.count, plan.last.axis, norm, inverse: false)
    }

    /// The inverse of ``hfftn(_:counts:axes:norm:)`` for a real tensor. PyTorch's `torch.fft.ihfftn`.
    public static func ihfftn(
        _ x: Tensor, counts: [Int]? = nil, axes: [Int]? = nil, norm: Norm = .backward
    ) -> Tensor {
        let plan = Plan("ihfftn", x, counts, axes, needsOne: true)
        let half = conj(halfTransform("ihfftn", x, plan.last.count, plan.last.axis, norm, inverse: true))
        return plan.others.reduce(half) { complexTransform("ihfftn", $0, $1.count, $1.axis, norm, inverse: true) }
    }

    /// ``fftn(_:counts:axes:norm:)`` over two axes.
    public static func fft2(_ x: Tensor, counts: [Int]? = nil, axes: [Int] = [-2, -1], norm: Norm = .backward) -> Tensor {
        fftn(x, counts: counts, axes: axes, norm: norm)
    }
    /// ``ifftn(_:counts:axes:norm:)`` over two axes.
    public static func ifft2(_ x: Tensor, counts: [Int]? = nil, axes: [Int] = [-2, -1], norm: Norm = .backward) -> Tensor {
        ifftn(x, counts: counts, axes: axes, norm: norm)
    }
    /// ``rfftn(_:counts:axes:norm:)`` over two axes.
    public static func rfft2(_ x: Tensor, counts: [Int]? = nil, axes: [Int] = [-2, -1], norm: Norm = .backward) -> Tensor {
        rfftn(x, counts: counts, axes: axes, norm: norm)
    }
    /// ``irfftn(_:counts:axes:norm:)`` over two axes.
    public static func irfft2(_ x: Tensor, counts: [Int]? = nil, axes: [Int] = [-2, -1], norm: Norm = .backward) -> Tensor {
        irfftn(x, counts: counts, axes: axes, norm: norm)
    }
    /// ``hfftn(_:counts:axes:norm:)`` over two axes.
    public static func hfft2(_ x: Tensor, counts: [Int]? = nil, axes: [Int] = [-2, -1], norm: Norm = .backward) -> Tensor {
        hfftn(x, counts: counts, axes: axes, norm: norm)
    }
    /// ``ihfftn(_:counts:axes:norm:)`` over two axes.
    public static func ihfft2(_ x: Tensor, counts: [Int]? = nil, axes: [Int] = [-2, -1], norm: Norm = .backward) -> Tensor {
        ihfftn(x, counts: counts, axes: axes, norm: norm)
    }

    /// The axes of a transform and their numbers of points (nil: as many as there are).
    private struct Plan {
        let all: [(axis: Int, count: Int?)]
        var last: (axis: Int, count: Int?) { all.last! }
        var others: ArraySlice<(axis: Int, count: Int?)> { all.dropLast() }

        init(_ operation: String, _ x: Tensor, _ counts: [Int]?, _ axes: [Int]?, needsOne: Bool = false) {
            if let counts, let axes, counts.count != axes.count {
                fail(operation, "\(counts.count) counts for \(axes.count) axes: \(counts) and \(axes)")
            }
            if let counts, counts.count > x.rank { fail(operation, "\(counts.count) counts for a tensor of shape \(x.shape)") }
            let named = axes ?? Array((x.rank - (counts?.count ?? x.rank))..<x.rank)
            let resolved = named.map { checkedAxis(operation, x, $0) }
            if Set(resolved).count != resolved.count { fail(operation, "an axis is named twice in \(named)") }
            if needsOne && resolved.isEmpty { fail(operation, "needs at least one axis") }
            all = resolved.enumerated().map { i, axis in
                let count = counts.map { $0[i] }
                return (axis, count == -1 ? nil : count)
            }
        }
    }

    /// The zero frequency moved to the middle of the axes, all of them unless named. PyTorch's `torch.fft.fftshift`.
    public static func fftshift(_ x: Tensor, axes: Axes = .all) -> Tensor {
        rolled("fftshift", x, axes) { $0 / 2 }
    }

    /// The inverse of ``fftshift(_:axes:)``. PyTorch's `torch.fft.ifftshift`.
    public static func ifftshift(_ x: Tensor, axes: Axes = .all) -> Tensor {
        rolled("ifftshift", x, axes) { -($0 / 2) }
    }

    private static func rolled(_ operation: String, _ x: Tensor, _ axes: Axes, _ shift: (Int) -> Int) -> Tensor {
        axes.resolved(operation, rank: x.rank).reduce(x) { $0.rolled(shift($0.shape[$1]), axis: $1) }
    }

    /// The frequencies of ``fft(_:count:axis:norm:)``'s points in cycles per unit, for samples `spacing` apart: `[count]`. PyTorch's
    /// `torch.fft.fftfreq`.
    public static func fftfreq(_ count: Int, spacing: Double = 1, dtype: DType = .float32) -> Tensor {
        if count < 1 { fail("fftfreq", "\(count) points; needs at least 1") }
        let positive = (count + 1) / 2
        return Tensor((0..<count).map { Double($0 < positive ? $0 : $0 - count) / (Double(count) * spacing) }, dtype: dtype)
    }

    /// The same for ``rfft(_:count:axis:norm:)``: `[count / 2 + 1]`. PyTorch's `torch.fft.rfftfreq`.
    public static func rfftfreq(_ count: Int, spacing: Double = 1, dtype: DType = .float32) -> Tensor {
        if count < 1 { fail("rfftfreq", "\(count) points; needs at least 1") }
        return Tensor((0...count / 2).map { Double($0) / (Double(count) * spacing) }, dtype: dtype)
    }
}
