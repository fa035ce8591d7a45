final class LinearBackward: Node, @unchecked Sendable {
    /// The weight in the type of the product, where that is not the weight's own.
    let lowered: RawTensor?
    init(lowered: RawTensor?) {
        self.lowered = lowered
        super.init()
    }

    // y = x Wᵀ + b over rows: dx = g W, dW = gᵀ x, db = Σ g
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        if !isGradEnabled, !g.isBatched, let result = direct(g.raw, input, sum: nil) { return Tensor(raw: result) }
        switch input {
        case 0: return matmul(g, saved(1).to(g.dtype))
        case 1:
            let x = saved(0)
            if lowered != nil && !g.isBatched { return matmul2(rows(g).transposed(), rows(x), as: saved(1).dtype) }
            return matmul(rows(g).transposed(), rows(x))
        default: return rows(g).sum(0)
        }
    }

    override func vjp(_ g: RawTensor, input: Int, addedTo sum: RawTensor) -> Bool {
        input < 2 && lowered == nil && direct(g, input, sum: sum) != nil
    }

    /// The gradient that need not be recorded, added to `sum` if there is one: one call of the backend, no views. Nil if the types
    /// differ.
    private func direct(_ g: RawTensor, _ input: Int, sum: RawTensor?) -> RawTensor? {
        let x = savedRaw(0), weight = savedRaw(1), right = lowered ?? weight
        if g.dtype != right.dtype || g.dtype != x.dtype { return nil }
        let outputs = weight.shape[0], inputs = weight.shape[1]
        let g = g.contiguous(), rows = outputs == 0 ? g.shape.dropLast().reduce(1, *) : g.count / outputs
        switch input {
        case 0:
            let dx = sum ?? RawTensor(x.layout, g.dtype, g.device)
            matrixProduct(
                g, rows, outputs, transposed: false, right, outputs, inputs, transposed: false, to: dx, adding: sum != nil)
            return dx
        case 1:
            // Of a weight that was lowered the gradient is summed, and arrives, in float32.
            let dw = sum ?? RawTensor(weight.layout, weight.dtype, g.device)
            matrixProduct(
                g, rows, outputs, transposed: true, x.contiguous(), rows, inputs, transposed: false, to: dw, adding: sum != nil)
            return dw
        default:
            let db = RawTensor(.dense([outputs]), g.dtype, g.device)
            db.backend.reduce(.sum, g, db, AxisView(outer: 1, n: rows, inner: outputs))
            return db
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
    if let bias, bias.rank != 1 || bias.shape[0] != weight.shape[0] {
        fail("linear", "a bias of shape \(bias.shape) does not fit a weight of shape \(weight.shape); needs [\(weight.shape[0])]")
    }
    if x.isBatched || weight.isBatched || bias?.isBatched == true {
        let product = matmul(x, weight.transposed())
        return bias.map { product + Autocast.lowered($0) } ?? product
    }
    // A float32 weight of a region that computes in 16 bits: its gradient is summed, and arrives, in float32.
    let region = Autocast.dtype
    let isLowered =
        (region == .bfloat16 || (region == .float16 && weight.raw.backend.multipliesHalfFloats)) && weight.dtype == .float32
        && (bias == nil || bias!.dtype == .float32)
    let x = isLowered ? Autocast.lowered(x) : x
    let type = isLowered ? region! : weight.dtype
    guard x.dtype == type, bias == nil || bias!.dtype == weight.dtype,
        type == .float32 || type == .float64 || type == .bfloat16
            || (type == .float16 && weight.raw.backend.multipliesHalfFloats),
        isLowered || region == nil || type == .float64
    else {
        let product = matmul(x, weight.transposed())
        return bias.map { product + Autocast.lowered($0) } ?? product
    }
    requireSameDevice("linear", x.raw, weight.raw)
    let lowered = isLowered ? Autocast.lowered(weight).raw : nil
    let outputs = weight.shape[0], inputs = weight.shape[1], rank = x.rank
    let rows = inputs == 0 ? x.shape.dropLast().reduce(1, *) : x.count / inputs
    let out = RawTensor(rank == 2 ? .dense(rows, outputs) : .dense(x.shape.dropLast() + [outputs]), type, x.device)
    matrixProduct(
        rank == 2 ? x.raw : x.raw.contiguous(), rows, inputs, transposed: false, lowered ?? weight.raw, outputs, inputs,
        transposed: true,
        bias: bias?.raw.contiguous(), to: out)
    return record(out, x, weight, bias) {
        let node = LinearBackward(lowered: lowered)
        node.save(x)
        node.save(weight)
        return node
    }
}
