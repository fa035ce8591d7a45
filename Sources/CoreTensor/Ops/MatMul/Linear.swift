final class LinearBackward: Node, @unchecked Sendable {
    /// The weight in the type of the product, where that is not the weight's own.
    let lowered: RawTensor?
    init(lowered: RawTensor?) {
        self.lowered = lowered
        super.init()
    }

    // y = x Wᵀ + b over rows: dx = g W, dW = gᵀ x, db = Σ g
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        switch input {
        case 0:
            if let lowered, !isGradEnabled { return matmul(g, Tensor(raw: lowered)) }
            return matmul(g, saved(1).to(g.dtype))
        case 1:
            let x = saved(0)
            if lowered != nil && !g.isBatched { return matmul2(rows(g).transposed(), rows(x), as: saved(1).dtype) }
            return matmul(rows(g).transposed(), rows(x))
        default: return rows(g).sum(0)
        }
    }

    private func rows(_ x: Tensor) -> Tensor { x.reshaped([x.shape.dropLast().reduce(1, *), x.shape.last!]) }
}

/// `x · weightᵀ + bias`: `[..., in] · [out, in]ᵀ + [out]` gives `[..., out]`; a weight `[in]` (with a bias `[]`) gives
/// `[...]`. The layer ``Linear``'s function.
public func linear(_ x: Tensor, _ weight: Tensor, _ bias: Tensor? = nil) -> Tensor {
    if weight.rank == 1 && x.rank > 0 && x.shape.last! == weight.shape[0] {
        if let bias, bias.count != 1 {
            fail("linear", "a bias of shape \(bias.shape) does not fit a weight of shape \(weight.shape); needs []")
        }
        let product = matmul(x, weight)
        return bias.map { product + Autocast.lowered($0) } ?? product
    }
    if weight.rank != 2 || x.rank == 0 || x.shape.last! != weight.shape[1] {
        fail("linear", "an input of shape \(x.shape) does not fit a weight of shape \(weight.shape) ([out, in])")
    }
    if let bias, bias.shape != [weight.shape[0]] {
        fail("linear", "a bias of shape \(bias.shape) does not fit a weight of shape \(weight.shape); needs [\(weight.shape[0])]")
    }
    if x.isBatched || weight.isBatched || bias?.isBatched == true {
        let product = matmul(x, weight.transposed())
        return bias.map { product + Autocast.lowered($0) } ?? product
    }
    // A float32 weight of a region that computes in bfloat16: its gradient is summed, and arrives, in float32.
    let isLowered = Autocast.dtype == .bfloat16 && weight.dtype == .float32 && (bias == nil || bias!.dtype == .float32)
    let x = isLowered ? Autocast.lowered(x) : x
    let type = isLowered ? .bfloat16 : weight.dtype
    guard x.dtype == type, bias == nil || bias!.dtype == weight.dtype,
        type == .float32 || type == .float64 || type == .bfloat16, isLowered || Autocast.dtype == nil || type == .float64
    else {
        let product = matmul(x, weight.transposed())
        return bias.map { product + Autocast.lowered($0) } ?? product
    }
    requireSameDevice("linear", x.raw, weight.raw)
    let rows = x.raw.reshaped([x.count / Swift.max(weight.shape[1], 1), weight.shape[1]])
    let lowered = isLowered ? Autocast.lowered(weight).raw : nil
    let columns = (lowered ?? weight.raw).transposedMatrix
    let flatRows = weight.shape[1] == 0 ? x.shape.dropLast().reduce(1, *) : rows.shape[0]
    let left = weight.shape[1] == 0 ? RawTensor(shape: [flatRows, 0], x.dtype, x.device) : rows
    let product = matmulForward(left, columns, bias: bias?.raw.contiguous())
    let out = product.view(Layout(shape: Array(x.shape.dropLast()) + [weight.shape[0]]))
    return record(out, inputs: bias.map { [x, weight, $0] } ?? [x, weight]) {
        let node = LinearBackward(lowered: lowered)
        node.save(x)
        node.save(weight)
        return node
    }
}

extension RawTensor {
    /// Rows and columns exchanged, as a view.
    fileprivate var transposedMatrix: RawTensor { view(Layout(shape: shape.reversed(), strides: layout.strides.reversed())) }
}
