import CoreTensor
import NN

/// A norm that cannot be clipped by: some gradient is infinite or not a number.
public struct NonFiniteGradientError: Error, CustomStringConvertible, Equatable {
    /// The norm found.
    public let norm: Double
    /// The finding as a sentence.
    public var description: String { "the norm of the gradients is \(norm); they cannot be clipped" }
}

/// The joint norm of all gradients, (Σ |g|^p)^(1/p) over all elements; `p` may be infinite (the largest size, -∞: the smallest) or
/// 0 (how many gradients are not all 0, PyTorch's norm of norms). 0 without gradients.
public func gradNorm(_ parameters: [Parameter], p: Double = 2) -> Double {
    let gradients = parameters.compactMap { $0.grad?.detached() }.filter { $0.count > 0 }
    return withoutGrad {
        if p == 2 {
            // A device is asked once.
            let byDevice = Dictionary(grouping: gradients, by: \.device)
            return byDevice.values.reduce(0) { $0 + sumOfSquares($1).item(Double.self) }.squareRoot()
        }
        // Sums in double, so that single precision does not overflow on the way.
        func total(_ f: (Tensor) -> Tensor) -> Double {
            gradients.reduce(0) { $0 + f(abs($1.to(.float64))).sum().item(Double.self) }
        }
        func largest(_ values: [Double]) -> Double {
            values.reduce(0) { $0.isNaN || $1.isNaN ? .nan : max($0, $1) }
        }
        switch p {
        case .infinity: return largest(gradients.map { abs($0).max().item(Double.self) })
        case -.infinity: return gradients.map { abs($0).min().item(Double.self) }.min() ?? 0
        case 0: return Double(gradients.count { ($0 .!= 0).any().item(Bool.self) })
        case 1: return total { $0 }
        default: return pow(total { CoreTensor.pow($0, p) }, 1 / p)
        }
    }
}

/// Scales all gradients together so that their joint norm is at most `maxNorm`, as PyTorch's `clip_grad_norm_`: the factor
/// is maxNorm / (norm + 1e-6), at most 1. Returns the norm before; check that it is finite.
///
/// - Parameter p: which norm: 2 is Euclidean, 1 the sum of sizes, infinity the largest size.
@discardableResult
public func clipGradNorm(_ parameters: [Parameter], maxNorm: Double, p: Double = 2) -> Double {
    if !(maxNorm >= 0) { fail("clipGradNorm", "a norm of \(maxNorm)") }
    let norm = gradNorm(parameters, p: p)
    scaleGradients(parameters, norm, maxNorm)
    return norm
}

/// Σ g² over tensors of one device, float64 `[]`.
private func sumOfSquares(_ gradients: [Tensor]) -> Tensor {
    let total = RawTensor(Layout(shape: []), .float64, gradients[0].device)
    total.backend.sumOfSquares(gradients.map { $0.contiguous().raw }, to: total)
    return Tensor(raw: total)
}

/// As ``clipGradNorm(_:maxNorm:p:)`` with the Euclidean norm, which is returned as a tensor, float64 `[]`, of the gradients' device: nobody
/// waits for the device, and the step can be captured in a graph. Traps if gradients are on several devices.
@discardableResult
public func clipGradNormOnDevice(_ parameters: [Parameter], maxNorm: Double) -> Tensor {
    if !(maxNorm >= 0) { fail("clipGradNormOnDevice", "a norm of \(maxNorm)") }
    let gradients = parameters.compactMap { $0.grad?.detached() }
    guard let device = gradients.first?.device else { return Tensor(0, dtype: .float64) }
    if let other = gradients.first(where: { $0.device != device }) {
        fail("clipGradNormOnDevice", "gradients on \(device) and \(other.device); clip those of each device for themselves")
    }
    return withoutGrad {
        let norm = sqrt(sumOfSquares(gradients))
        let factor = (maxNorm / (norm + 1e-6)).clamped(max: 1)
        rewriteGradients(parameters) { $0 *= factor.to($0.dtype) }
        return norm
    }
}

/// As ``clipGradNorm(_:maxNorm:p:)``, but throws ``NonFiniteGradientError`` and leaves the gradients alone if the norm is infinite
/// or not a number (PyTorch's `error_if_nonfinite`).
@discardableResult
public func clipFiniteGradNorm(_ parameters: [Parameter], maxNorm: Double, p: Double = 2) throws -> Double {
    if !(maxNorm >= 0) { fail("clipFiniteGradNorm", "a norm of \(maxNorm)") }
    let norm = gradNorm(parameters, p: p)
    if !norm.isFinite { throw NonFiniteGradientError(norm: norm) }
    scaleGradients(parameters, norm, maxNorm)
    return norm
}

private func scaleGradients(_ parameters: [Parameter], _ norm: Double, _ maxNorm: Double) {
    let factor = maxNorm / (norm + 1e-6)
    if factor < 1 || factor.isNaN { rewriteGradients(parameters) { $0 *= factor } }
}

/// Moves every element of every gradient into [-limit, limit].
public func clipGradValue(_ parameters: [Parameter], limit: Double) {
    if !(limit >= 0) { fail("clipGradValue", "a limit of \(limit)") }
    rewriteGradients(parameters) { $0 = $0.clamped(min: -limit, max: limit) }
}

/// Takes each gradient out of its parameter, so that it can be written in place.
func rewriteGradients(_ parameters: [Parameter], _ body: (inout Tensor) -> Void) {
    withoutGrad {
        for parameter in parameters {
            guard var g = parameter.grad else { continue }
            parameter.grad = nil
            body(&g)
            parameter.grad = g
        }
    }
}
