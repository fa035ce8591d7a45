import CoreTensor
import NN

/// Scales all gradients together so that their joint Euclidean norm is at most `maxNorm`, as PyTorch's `clip_grad_norm_`: the factor
/// is maxNorm / (norm + 1e-6), at most 1. Returns the norm before; check that it is finite.
@discardableResult
public func clipGradNorm(_ parameters: [Parameter], maxNorm: Double) -> Double {
    if !(maxNorm >= 0) { fail("clipGradNorm", "a norm of \(maxNorm)") }
    var squares = 0.0
    for parameter in parameters {
        if let g = parameter.grad { squares += g.raw.backend.sumOfSquares(g.contiguous().raw) }
    }
    let norm = squares.squareRoot()
    let factor = min(maxNorm / (norm + 1e-6), 1)
    if factor < 1 || factor.isNaN { rewriteGradients(parameters) { $0 *= factor } }
    return norm
}

/// Moves every element of every gradient into [-limit, limit].
public func clipGradValue(_ parameters: [Parameter], limit: Double) {
    if !(limit >= 0) { fail("clipGradValue", "a limit of \(limit)") }
    rewriteGradients(parameters) { $0 = $0.clamped(min: -limit, max: limit) }
}

/// Takes each gradient out of its parameter, so that it can be written in place.
private func rewriteGradients(_ parameters: [Parameter], _ body: (inout Tensor) -> Void) {
    withoutGrad {
        for parameter in parameters {
            guard var g = parameter.grad else { continue }
            parameter.grad = nil
            body(&g)
            parameter.grad = g
        }
    }
}
