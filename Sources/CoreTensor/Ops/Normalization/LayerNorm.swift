final class LayerNormBackward: Node, @unchecked Sendable {
    let eps: Double
    let hasWeight: Bool, hasBias: Bool
    init(eps: Double, hasWeight: Bool, hasBias: Bool) {
        self.eps = eps
        self.hasWeight = hasWeight
        self.hasBias = hasBias
        super.init()
    }
    override var isJoint: Bool { true }

    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        guard let g = outputs[0] else { return needs.map { _ in nil } }
        let x = saved(0)
        let weight = hasWeight ? saved(3) : nil
        if g.isBatched || (isGradEnabled && (x.requiresGrad || g.requiresGrad || weight?.requiresGrad == true)) {
            return composed(x, weight, g, needs)
        }
        let dense = x.raw.contiguous()
        let width = [dense.shape.last!]
        let dx = needs[0] ? RawTensor(dense.layout, dense.dtype, dense.device) : nil
        let dw = hasWeight && needs[1] ? RawTensor(shape: width, dense.dtype, dense.device) : nil
        let db = hasBias && needs.last! ? RawTensor(shape: width, dense.dtype, dense.device) : nil
        dense.backend.layerNormGrad(
            dense, weight: weight?.raw.contiguous(), mean: saved(1).raw, rstd: saved(2).raw,
            g.raw.broadcast(to: x.shape).contiguous(), dx: dx, dweight: dw, dbias: db)
        var result: [Tensor?] = [dx.map { Tensor(raw: $0) }]
        if hasWeight { result.append(dw.map { Tensor(raw: $0) }) }
        if hasBias { result.append(db.map { Tensor(raw: $0) }) }
        return result
    }

    // With h = (x - mean) rstd and s = g w: dx = rstd (s - mean(s) - h mean(s h)), dw = Σ g h, db = Σ g
    private func composed(_ x: Tensor, _ weight: Tensor?, _ g: Tensor, _ needs: [Bool]) -> [Tensor?] {
        let centred = x - x.mean(-1, keepDims: true)
        let rstd = rsqrt((centred * centred).mean(-1, keepDims: true) + eps)
        let h = centred * rstd
        let s = weight.map { g * $0 } ?? g
        var result: [Tensor?] = [
            rstd * (s - s.mean(-1, keepDims: true) - h * (s * h).mean(-1, keepDims: true))
        ]
        if let weight { result.append((g * h).summed(to: weight.shape)) }
        if hasBias { result.append(g.summed(to: [x.shape.last!])) }
        return result
    }
}

/// (x - mean) / √(var + eps) · weight + bias over the last axis, variance without Bessel's correction (Ba et al., 2016).
/// `x [..., width]`, `weight` and `bias` `[width]`.
public func layerNorm(_ x: Tensor, weight: Tensor? = nil, bias: Tensor? = nil, eps: Double = 1e-5) -> Tensor {
    let x = Autocast.raised(x), weight = weight.map(Autocast.raised), bias = bias.map(Autocast.raised)
    checkNormalized("layerNorm", x, weight, bias)
    if weight?.isBatched == true || bias?.isBatched == true {
        let h = layerNorm(x, eps: eps), scaled = weight.map { h * $0 } ?? h
        return bias.map { scaled + $0 } ?? scaled
    }
    if x.isBatched { return x.lifted { x, _ in layerNorm(x, weight: weight, bias: bias, eps: eps) } }
    let dense = x.raw.contiguous()
    let statistics: DType = x.dtype == .float64 ? .float64 : .float32
    let mean = RawTensor(shape: Array(x.shape.dropLast()) + [1], statistics, x.device)
    let rstd = RawTensor(mean.layout, statistics, x.device)
    let out = RawTensor(dense.layout, x.dtype, x.device)
    out.backend.layerNorm(
        dense, weight: weight?.raw.contiguous(), bias: bias?.raw.contiguous(), out, mean: mean, rstd: rstd, eps: eps)
    return record(out, inputs: [x, weight, bias].compactMap { $0 }) {
        let node = LayerNormBackward(eps: eps, hasWeight: weight != nil, hasBias: bias != nil)
        node.save(x)
        node.save(Tensor(raw: mean))
        node.save(Tensor(raw: rstd))
        if let weight { node.save(weight) }
        return node
    }
}

/// ``layerNorm(_:weight:bias:eps:)`` over the last axes, whose sizes are `normalizedShape`; `weight` and `bias` have that shape.
public func layerNorm(
    _ x: Tensor, normalizedShape: [Int], weight: Tensor? = nil, bias: Tensor? = nil, eps: Double = 1e-5
) -> Tensor {
    overTrailing("layerNorm", x, normalizedShape, weight, bias) { x, weight, bias in
        layerNorm(x, weight: weight, bias: bias, eps: eps)
    }
}

/// Runs a normalisation of the last axis over several, taken as one.
func overTrailing(
    _ operation: String, _ x: Tensor, _ shape: [Int], _ weight: Tensor?, _ bias: Tensor?,
    _ body: (_ x: Tensor, _ weight: Tensor?, _ bias: Tensor?) -> Tensor
) -> Tensor {
    if shape.isEmpty || x.rank < shape.count || Array(x.shape.suffix(shape.count)) != shape {
        fail(operation, "an input of shape \(x.shape) does not end in the normalized shape \(shape)")
    }
    for case let parameter? in [weight, bias] where parameter.shape != shape {
        fail(operation, "a parameter of shape \(parameter.shape) does not fit the normalized shape \(shape)")
    }
    if shape.count == 1 { return body(x, weight, bias) }
    let flat = x.reshaped(Array(x.shape.dropLast(shape.count)) + [shape.reduce(1, *)])
    return body(flat, weight?.flattened(), bias?.flattened()).reshaped(x.shape)
}

func checkNormalized(_ operation: String, _ x: Tensor, _ parameters: Tensor?...) {
    if !x.dtype.isFloatingPoint || x.rank == 0 {
        fail(operation, "needs floats with at least one axis, not \(x.dtype) \(x.shape)")
    }
    for case let parameter? in parameters { requireSameDevice(operation, x.physical, parameter.physical) }
    for case let parameter? in parameters where parameter.shape != [x.shape.last!] || parameter.dtype != x.dtype {
        fail(
            operation,
            "a parameter of shape \(parameter.shape) and type \(parameter.dtype) does not fit an input of shape \(x.shape) "
                + "and type \(x.dtype); needs [\(x.shape.last!)]")
    }
}
