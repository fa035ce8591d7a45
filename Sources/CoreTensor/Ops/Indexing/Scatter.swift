// Writing to places that an index names, along an axis. The index has the tensor's rank; its axes may be shorter than the source's,
// and, beside the axis in question, than the tensor's.

/// How ``Tensor/scatterReduced(axis:index:source:_:includeSelf:)`` combines what arrives at one place.
public enum ScatterReduction: String, Sendable { case sum, prod, mean, max, min }

final class ScatterBackward: Node, @unchecked Sendable {
    let axis: Int
    init(axis: Int) {
        self.axis = axis
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let index = saved(0)
        if input == 1 { return g.gathered(axis: axis, index: index) }
        return g.scattered(axis: axis, index: index, source: Tensor(zeros: index.shape, dtype: g.dtype, device: g.device))
    }
}

extension Tensor {
    /// Checks an index and source for a scatter and calls `body` with the part of the tensor that the index spans; the result takes
    /// the part's place.
    private func scattering(
        _ name: String, _ axis: Int, _ index: Tensor, _ source: Tensor,
        _ body: (_ part: Tensor, _ axis: Int, _ index: Tensor, _ source: Tensor) -> Tensor
    ) -> Tensor {
        if rank == 0 || index.rank == 0 {
            let line = reshaped([count]), i = index.rank == 0 ? index.reshaped([1]) : index
            return line.scattering(name, axis, i, source.rank == 0 ? source.reshaped([1]) : source, body).reshaped(shape)
        }
        let axis = resolveAxis(name, axis, rank: rank)
        if index.count == 0 { return self }
        let source = source.rank == 0 ? source.expanded(to: index.shape) : source
        if index.rank != rank || source.rank != rank {
            fail(name, "index \(index.shape) and source \(source.shape) need the rank of \(shape)")
        }
        for other in [index, source] { requireSameDevice(name, physical, other.physical) }
        if source.dtype != dtype { fail(name, "a source of \(source.dtype) for \(dtype); convert with to(.\(dtype))") }
        var part = self, given = source
        var region: [TensorIndex] = []
        var isWhole = true
        for other in 0..<rank {
            let n = index.shape[other]
            if n > source.shape[other] || (other != axis && n > shape[other]) {
                fail(
                    name,
                    "an index of shape \(index.shape) is longer than source \(source.shape) or tensor \(shape) on axis \(other)")
            }
            if n < source.shape[other] { given = given.narrowed(axis: other, start: 0, length: n) }
            if other != axis && n < shape[other] {
                part = part.narrowed(axis: other, start: 0, length: n)
                isWhole = false
                region.append(.slice(from: 0, to: n, step: 1))
            } else {
                region.append(.all)
            }
        }
        let ids = Tensor(raw: checkedIndices(name, index, limit: shape[axis], what: "index"))
        let batched = index.isBatched ? ids.hiding(index.batchLevels) : ids
        let result = body(part, axis, batched, given)
        return isWhole ? result : replacing(region, with: result)
    }

    /// A copy with `source[i, j, k]` written to `[i, index[i, j, k], k]` for axis 1, and so on (PyTorch's `scatter`); where an index
    /// occurs twice the last in order stays.
    public func scattered(axis: Int, index: Tensor, source: Tensor) -> Tensor {
        scattering("scatter", axis, index, source) { part, axis, index, source in
            if [part, index, source].contains(where: \.isBatched) {
                return liftedTogether([part, index, source]) { plain, hidden in
                    plain[0].scattered(axis: axis + hidden, index: plain[1], source: plain[2])
                }
            }
            let out = part.raw.denseCopy()
            out.backend.scatterReduce(
                .set, source.raw.contiguous(), index: index.raw.contiguous(), out, outputView: AxisView(out.shape, axis: axis),
                n: index.shape[axis])
            return record(out, part, source) {
                let node = ScatterBackward(axis: axis)
                node.save(index)
                return node
            }
        }
    }

    /// A copy with one number written to the places that `index` names.
    public func scattered<S: TensorScalar>(axis: Int, index: Tensor, value: S) -> Tensor {
        scattered(axis: axis, index: index, source: Tensor(repeating: value, shape: index.shape, dtype: dtype, device: device))
    }

    /// A copy with the source's elements added at the places that `index` names (PyTorch's `scatter_add`).
    public func scatterAdded(axis: Int, index: Tensor, source: Tensor) -> Tensor {
        scattering("scatterAdd", axis, index, source) { part, axis, index, source in
            if part.dtype == .bool {
                return (part.to(.int64) + CoreTensor.scatterAdd(source.to(.int64), axis: axis, index: index, into: part.shape))
                    .to(.bool)
            }
            return part + CoreTensor.scatterAdd(source, axis: axis, index: index, into: part.shape)
        }
    }

    /// A copy with the source's elements combined at the places that `index` names (PyTorch's `scatter_reduce`); without
    /// `includeSelf` the tensor's own elements at those places do not take part. Ties of max and min share the gradient.
    public func scatterReduced(
        axis: Int, index: Tensor, source: Tensor, _ reduction: ScatterReduction, includeSelf: Bool = true
    ) -> Tensor {
        scattering("scatterReduce", axis, index, source) { part, axis, index, source in
            part.combined(axis, index, source, reduction, includeSelf)
        }
    }

    private func combined(_ axis: Int, _ index: Tensor, _ source: Tensor, _ reduction: ScatterReduction, _ includeSelf: Bool)
        -> Tensor
    {
        let ones = Tensor(ones: index.shape, dtype: .int64, device: device)
        let arrivals = { CoreTensor.scatterAdd(ones, axis: axis, index: index, into: self.shape) }
        var base = self
        if !includeSelf {
            let neutral: Tensor
            switch reduction {
            case .sum, .mean: neutral = Tensor(0, dtype: dtype)
            case .prod: neutral = Tensor(1, dtype: dtype)
            case .max: neutral = dtype.lowest
            case .min: neutral = dtype.highest
            }
            base = which(arrivals() .> 0, neutral.to(device: device), self)
        }
        switch reduction {
        case .sum: return base.scatterAdded(axis: axis, index: index, source: source)
        case .mean:
            let sum = base.scatterAdded(axis: axis, index: index, source: source)
            let n = (arrivals() + (includeSelf ? 1 : 0)).clamped(min: 1)
            return dtype.isDifferentiable ? sum / n.to(dtype) : floorDivide(sum, n.to(dtype))
        case .prod: return base.scatterCombined(axis, index, source, .prod)
        case .max: return base.scatterCombined(axis, index, source, .max)
        case .min: return base.scatterCombined(axis, index, source, .min)
        }
    }

    func scatterCombined(_ axis: Int, _ index: Tensor, _ source: Tensor, _ op: ScatterKernel) -> Tensor {
        if [self, index, source].contains(where: \.isBatched) {
            return liftedTogether([self, index, source]) { plain, hidden in
                plain[0].scatterCombined(axis + hidden, plain[1], plain[2], op)
            }
        }
        if dtype == .bool {
            let kind: ScatterKernel = op == .prod ? .min : op
            return to(.uint8).scatterCombined(axis, index, source.to(.uint8), kind).to(.bool)
        }
        if dtype.isComplex && op != .prod { fail("scatterReduce", "\(dtype) numbers have no order") }
        let out = raw.denseCopy()
        out.backend.scatterReduce(
            op, source.raw.contiguous(), index: index.raw.contiguous(), out, outputView: AxisView(shape, axis: axis),
            n: index.shape[axis])
        return record(out, self, source) {
            let node = ScatterCombineBackward(axis: axis, op: op)
            node.save(self)
            node.save(index)
            node.save(source)
            node.save(output: out)
            return node
        }
    }
}

final class ScatterCombineBackward: Node, @unchecked Sendable {
    let axis: Int
    let op: ScatterKernel
    init(axis: Int, op: ScatterKernel) {
        self.axis = axis
        self.op = op
        super.init()
    }

    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let x = saved(0), index = saved(1), source = saved(2), y = saved(3)
        func taken(_ t: Tensor) -> Tensor { t.gathered(axis: axis, index: index) }
        if op == .prod {
            if input == 0 {
                // The product of what arrived.
                return g * Tensor(onesLike: x).scatterCombined(axis, index, source, .prod)
            }
            // The whole over each; where one factor is 0, the product of the others.
            let isZero = source.detached() .== 0
            let zeros = taken(CoreTensor.scatterAdd(isZero.to(.int64), axis: axis, index: index, into: x.shape))
            let isOnly = isZero .& (zeros .== 1)
            let others = x.scatterCombined(axis, index, which(isOnly, 1, source), .prod)
            return which(isOnly, taken(g * others), taken(g * y) / which(isZero, 1, source))
        }
        let own = (x.detached() .== y.detached()).to(g.dtype), given = (source.detached() .== taken(y.detached())).to(g.dtype)
        let share = g / (own + CoreTensor.scatterAdd(given, axis: axis, index: index, into: x.shape))
        return input == 0 ? own * share : given * taken(share)
    }
}

extension DType {
    /// The smallest and the largest value, -∞ and ∞ for floats, as scalars.
    var lowest: Tensor {
        switch self {
        case .int8: Tensor(Int(Int8.min), dtype: self)
        case .uint8, .bool: Tensor(0, dtype: self)
        case .int32: Tensor(Int(Int32.min), dtype: self)
        case .int64: Tensor(Int.min, dtype: self)
        default: Tensor(-Double.infinity, dtype: self)
        }
    }
    var highest: Tensor {
        switch self {
        case .int8: Tensor(127, dtype: self)
        case .uint8: Tensor(255, dtype: self)
        case .bool: Tensor(1, dtype: self)
        case .int32: Tensor(Int(Int32.max), dtype: self)
        case .int64: Tensor(Int.max, dtype: self)
        default: Tensor(Double.infinity, dtype: self)
        }
    }
}
