final class LinearBackward: Node, @unchecked Sendable {
    // y = x Wᵀ + b over rows: dx = g W, dW = gᵀ x, db = Σ g
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        switch input {
        case 0: return matmul(g, saved(1))
        case 1:
            let x = saved(0)
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
        return bias.map { product + $0 } ?? product
    }
    if weight.rank != 2 || x.rank == 0 || x.shape.last! != weight.shape[1] {
        fail("linear", "an input of shape \(x.shape) does not fit a weight of shape \(weight.shape) ([out, in])")
    }
    if let bias, bias.shape != [weight.shape[0]] {
        fail("linear", "a bias of shape \(bias.shape) does not fit a weight of shape \(weight.shape); needs [\(weight.shape[0])]")
    }
    if x.isBatched || weight.isBatched || bias?.isBatched == true {
        let product = matmul(x, weight.transposed())
        return bias.map { product + $0 } ?? product
    }
    guard x.dtype == weight.dtype, bias == nil || bias!.dtype == x.dtype,
        x.dtype == .float32 || x.dtype == .float64
    else {
        let product = matmul(x, weight.transposed())
        return bias.map { product + $0 } ?? product
    }
    requireSameDevice("linear", x.raw, weight.raw)
    let rows = x.raw.reshaped([x.count / Swift.max(weight.shape[1], 1), weight.shape[1]])
    let columns = weight.raw.view(
        Layout(shape: weight.shape.reversed(), strides: weight.raw.layout.strides.reversed()))
    let flatRows = weight.shape[1] == 0 ? x.shape.dropLast().reduce(1, *) : rows.shape[0]
    let left = weight.shape[1] == 0 ? RawTensor(shape: [flatRows, 0], x.dtype, x.device) : rows
    let product = matmulForward(left, columns, bias: bias?.raw.contiguous())
    let out = product.view(Layout(shape: Array(x.shape.dropLast()) + [weight.shape[0]]))
    return record(out, inputs: bias.map { [x, weight, $0] } ?? [x, weight]) {
        let node = LinearBackward()
        node.save(x)
        node.save(weight)
        return node
    }
}
