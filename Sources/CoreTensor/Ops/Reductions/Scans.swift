final class CumulativeProductBackward: Node, @unchecked Sendable {
    let axis: Int
    init(axis: Int) {
        self.axis = axis
        super.init()
    }

    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let x = saved(0)
        // Without a 0: the sum from the right of g · y, over x.
        let weighted = conj(saved(1)) * g
        func fromTheRight(_ t: Tensor) -> Tensor { t.flipped(Axes([axis])).cumsum(axis: axis).flipped(Axes([axis])) }
        if !x.isBatched && !(x.detached() .== 0).any().item(Bool.self) { return fromTheRight(weighted) / conj(x) }
        // ∂y_j/∂x_i is the product of all of the first j but i: row by row of the triangle i ≤ j.
        let n = x.shape[axis]
        let parts = (0..<n).map { i -> Tensor in
            let before = i == 0 ? nil : x.narrowed(axis: axis, start: 0, length: i).prod(Axes([axis]), keepDims: true)
            let after = x.narrowed(axis: axis, start: i + 1, length: n - i - 1)
            let one = Tensor(ones: x.shape.enumerated().map { $0 == axis ? 1 : $1 }, dtype: x.dtype, device: x.device)
            let products = concatenate([one, after], axis: axis).cumprod(axis: axis)
            let slopes = before.map { products * $0 } ?? products
            return (conj(slopes) * g.narrowed(axis: axis, start: i, length: n - i)).sum(Axes([axis]), keepDims: true)
        }
        return concatenate(parts, axis: axis)
    }
}

final class LogCumulativeSumExpBackward: Node, @unchecked Sendable {
    let axis: Int
    init(axis: Int) {
        self.axis = axis
        super.init()
    }
    // Σ_{j ≥ i} g_j e^(x_i - y_j), by halves of one sign so that the sums stay logarithms
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let x = saved(0), y = saved(1)
        if g.isBatched || x.dtype.isComplex || (isGradEnabled && (x.requiresGrad || g.requiresGrad)) { return byMatrix(g, x, y) }
        func part(_ positive: Tensor) -> Tensor {
            let logs = log(positive) - y
            let sums = logs.flipped(Axes([axis])).logCumsumExp(axis: axis).flipped(Axes([axis]))
            return exp(sums + x)
        }
        let zero = Tensor(zerosLike: g)
        return part(which(g .> 0, g, zero)) - part(which(g .< 0, -g, zero))
    }
}

extension LogCumulativeSumExpBackward {
    /// With the whole triangle of slopes e^(x_i - y_j), i ≤ j: differentiable again.
    fileprivate func byMatrix(_ g: Tensor, _ x: Tensor, _ y: Tensor) -> Tensor {
        let xs = x.movedAxis(from: axis, to: -1), ys = y.movedAxis(from: axis, to: -1), gs = g.movedAxis(from: axis, to: -1)
        let n = xs.shape.last!
        let keep = Tensor(ones: [n, n], dtype: .bool, device: g.device).tril()  // [j, i]
        let slopes = which(keep, exp(which(keep, xs.unsqueezed(-2) - ys.unsqueezed(-1), 0)), 0)
        return (conj(slopes) * gs.unsqueezed(-1)).sum(-2).movedAxis(from: -1, to: axis)
    }
}

/// A value along an axis and the place it was taken from.
public struct ValuesAndIndices: Sendable {
    /// The values.
    public let values: Tensor
    /// Their positions along the axis, `int64`.
    public let indices: Tensor

    /// Both together.
    public init(values: Tensor, indices: Tensor) {
        self.values = values
        self.indices = indices
    }
}

extension Tensor {
    private func scanned(_ name: String, _ op: ScanKernel, _ axis: Int) -> (RawTensor) {
        let out = RawTensor(shape: shape, dtype, device)
        out.backend.scan(op, raw.contiguous(), out, positions: nil, AxisView(shape, axis: axis))
        return out
    }

    /// Running product along an axis; integers and bools multiply as `int64`.
    public func cumprod(axis: Int) -> Tensor {
        let axis = resolveAxis("cumprod", axis, rank: rank)
        if rank == 0 { return dtype.isDifferentiable ? self : to(.int64) }
        if isBatched { return lifted { x, hidden in x.cumprod(axis: axis + hidden) } }
        let x = dtype.isDifferentiable ? self : to(.int64)
        let out = x.scanned("cumprod", .prod, axis)
        return record(out, x) {
            let node = CumulativeProductBackward(axis: axis)
            node.save(x)
            node.save(output: out)
            return node
        }
    }

    /// ln of the running sum of eˣ along an axis, without overflow.
    public func logCumsumExp(axis: Int) -> Tensor {
        let axis = resolveAxis("logCumsumExp", axis, rank: rank)
        if rank == 0 { return dtype.isComplex ? self : asFloatingPoint("logCumsumExp") }
        if isBatched { return lifted { x, hidden in x.logCumsumExp(axis: axis + hidden) } }
        if dtype.isComplex {
            let out = withoutGrad { () -> RawTensor in
                let shift = detached().real.max(Axes([axis]), keepDims: true)
                return (log(exp(detached() - shift).cumsum(axis: axis)) + shift).raw
            }
            return record(out, self) {
                let node = LogCumulativeSumExpBackward(axis: axis)
                node.save(self)
                node.save(output: out)
                return node
            }
        }
        let x = asFloatingPoint("logCumsumExp")
        let out = x.scanned("logCumsumExp", .logSumExp, axis)
        return record(out, x) {
            let node = LogCumulativeSumExpBackward(axis: axis)
            node.save(x)
            node.save(output: out)
            return node
        }
    }

    /// Running maximum along an axis and where it is (the last of equals); a NaN stays.
    public func cummax(axis: Int) -> ValuesAndIndices { runningExtremum("cummax", .max, axis) }
    /// Running minimum along an axis and where it is (the last of equals); a NaN stays.
    public func cummin(axis: Int) -> ValuesAndIndices { runningExtremum("cummin", .min, axis) }

    private func runningExtremum(_ name: String, _ op: ScanKernel, _ axis: Int) -> ValuesAndIndices {
        let axis = resolveAxis(name, axis, rank: rank)
        if rank == 0 { return ValuesAndIndices(values: self, indices: Tensor(zeros: [], dtype: .int64, device: device)) }
        if isBatched {
            let both = liftedAll { x, hidden in
                let r = x.runningExtremum(name, op, axis + hidden)
                return [r.values, r.indices]
            }
            return ValuesAndIndices(values: both[0], indices: both[1])
        }
        if dtype.isComplex || dtype.isStorageOnly { fail(name, "\(dtype) numbers have no order") }
        let out = RawTensor(shape: shape, dtype, device), positions = RawTensor(shape: shape, .int64, device)
        out.backend.scan(op, raw.contiguous(), out, positions: positions, AxisView(shape, axis: axis))
        let indices = Tensor(raw: positions)
        return ValuesAndIndices(
            values: isRecording([self]) ? gathered(axis: axis, index: indices) : Tensor(raw: out), indices: indices)
    }
}
