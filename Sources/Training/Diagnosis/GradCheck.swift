import Autograd
import CoreTensor

/// Why a gradient is not that of its function.
public struct GradCheckError: Error, CustomStringConvertible {
    /// The input whose gradient is wrong, from 0.
    public let input: Int
    /// Which element of it, in row-major order; nil if the shape is wrong.
    public let element: Int?
    /// The gradient by the tape and by differences.
    public let byTape, byDifferences: Double
    /// Whether it is the gradient of the gradient.
    public let isSecondOrder: Bool
    /// All of it in a sentence.
    public var description: String {
        "\(isSecondOrder ? "second order: " : "")the gradient of input \(input)\(element.map { ", element \($0)," } ?? "") is \(byTape) by the tape "
            + "and \(byDifferences) by differences"
    }
}

/// Compares gradients by the tape with central differences (PyTorch's `gradcheck`), for a function of one's own:
///
/// ```swift
/// try gradCheck({ swish($0[0]) }, [Tensor(normal: [3, 4], dtype: .float64)])
/// ```
///
/// All float64 inputs are checked, along a random cotangent of the output; others are constants.
///
/// - Parameters:
///   - function: gives any tensor of float64. It must give the same for the same inputs, so no dropout.
///   - secondOrder: also checks the gradient of the gradient (`gradgradcheck`).
///   - step: h of (f(x + h) - f(x - h)) / 2h, relative to elements above 1.
///
/// Throws ``GradCheckError`` at the first element off by more than `absolute + relative · |difference|`. Traps if no input is float64 or the output is not.
public func gradCheck(
    _ function: @escaping ([Tensor]) -> Tensor, _ inputs: [Tensor], secondOrder: Bool = false, step: Double = 1e-6,
    relative: Double = 1e-3, absolute: Double = 1e-5, generator: RandomGenerator = RandomGenerator(seed: 0)
) throws {
    let wanted = inputs.map { $0.dtype == .float64 }
    if !wanted.contains(true) {
        fail("gradCheck", "no input is float64; differences in \(inputs.map(\.dtype)) would be too rough")
    }
    let y = withoutGrad { function(inputs.map { $0.detached() }) }
    if y.dtype != .float64 { fail("gradCheck", "an output of \(y.dtype); needs float64") }
    let weights = Tensor(normal: y.shape, dtype: .float64, generator: generator)
    let leaves = inputs.map { $0.detached() }
    try compare(function, leaves, weights, wanted, false, step, relative, absolute)
    if !secondOrder { return }
    // h(x, w) = Σ ⟨u, ∂⟨w, f⟩/∂x⟩, whose gradient by the tape is compared with its differences.
    let directions = inputs.map { Tensor(normal: $0.shape, dtype: .float64, generator: generator) }
    let h: ([Tensor]) -> Tensor = { all in
        withGrad {
            let found = tapeGradients(
                of: function, at: Array(all.dropLast()), weights: all.last!, wanted: wanted, createGraph: true)
            var total = Tensor(zeros: [], dtype: .float64)
            for (k, gradient) in found.enumerated() { if let gradient { total = total + (gradient * directions[k]).sum() } }
            return total
        }
    }
    try compare(h, leaves + [weights], Tensor(1.0, dtype: .float64), wanted + [true], true, step, relative * 10, absolute * 10)
}

private func compare(
    _ function: @escaping ([Tensor]) -> Tensor, _ inputs: [Tensor], _ weights: Tensor, _ wanted: [Bool], _ isSecondOrder: Bool,
    _ step: Double, _ relative: Double, _ absolute: Double
) throws {
    let byTape = tapeGradients(of: function, at: inputs, weights: weights, wanted: wanted)
    let byDifferences = numericGradients(
        of: { function($0).detached() }, at: inputs, weights: weights, wanted: wanted, step: step)
    for k in inputs.indices where wanted[k] {
        let expected = byDifferences[k]!.scalars(Double.self)
        let found = byTape[k]?.scalars(Double.self) ?? expected.map { _ in 0 }
        for i in expected.indices where !(abs(found[i] - expected[i]) <= absolute + relative * abs(expected[i])) {
            throw GradCheckError(
                input: k, element: i, byTape: found[i], byDifferences: expected[i], isSecondOrder: isSecondOrder)
        }
    }
}

/// ∂⟨weights, f(inputs)⟩ by central differences, for the inputs that are wanted: float64 of the inputs' shapes.
///
/// - Parameter step: h, times an element's size where that is above 1.
public func numericGradients(
    of function: ([Tensor]) -> Tensor, at inputs: [Tensor], weights: Tensor, wanted: [Bool], step: Double = 1e-6
) -> [Tensor?] {
    inputs.indices.map { k in
        if !wanted[k] { return nil }
        let values = inputs[k].scalars(Double.self)
        let slopes = values.indices.map { i -> Double in
            let h = step * max(1, abs(values[i]))
            func at(_ x: Double) -> Tensor {
                var moved = values
                moved[i] = x
                var all = inputs
                all[k] = Tensor(moved, shape: inputs[k].shape, dtype: .float64)
                return withoutGrad { function(all) }
            }
            // The difference first: the sum of differences loses less than the difference of sums.
            let difference = at(values[i] + h) - at(values[i] - h)
            return (difference * weights).sum().item(Double.self) / (2 * h)
        }
        return Tensor(slopes, shape: inputs[k].shape, dtype: .float64)
    }
}

/// ∂⟨weights, f(inputs)⟩ by the tape, for the inputs that are wanted; nil where the output does not depend on one. Inputs that require a gradient
/// are taken as they are, others become leaves.
public func tapeGradients(
    of function: ([Tensor]) -> Tensor, at inputs: [Tensor], weights: Tensor, wanted: [Bool], createGraph: Bool = false
) -> [Tensor?] {
    let leaves = zip(inputs, wanted).map { $1 ? ($0.requiresGrad ? $0 : $0.asLeaf()) : $0 }
    let y = function(leaves)
    guard y.requiresGrad else { return wanted.map { _ in nil } }
    let live = leaves.indices.filter { wanted[$0] }
    let found = gradients(of: [y], withRespectTo: live.map { leaves[$0] }, gradients: [weights], createGraph: createGraph)
    var result = [Tensor?](repeating: nil, count: leaves.count)
    for (i, gradient) in zip(live, found) { result[i] = gradient }
    return result
}
