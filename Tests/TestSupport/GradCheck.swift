import ConformanceSuite
import Tapestry

/// Gradients by central differences in float64.
public enum GradCheck {
    /// ∂/∂x of ⟨weights, f(inputs)⟩ for each differentiable input, by central differences with step 1e-6 · max(1, |x|).
    public static func numeric(
        _ f: ([Tensor]) -> Tensor, _ inputs: [Tensor], weights: Tensor, wanted: [Bool]
    ) -> [Tensor?] {
        numericGradients(of: f, at: inputs, weights: weights, wanted: wanted)
    }

    /// The same by the tape.
    public static func tape(
        _ f: ([Tensor]) -> Tensor, _ inputs: [Tensor], weights: Tensor, wanted: [Bool], createGraph: Bool = false
    ) -> (inputs: [Tensor], gradients: [Tensor?]) {
        let leaves = zip(inputs, wanted).map { $1 ? ($0.requiresGrad ? $0 : $0.asLeaf()) : $0 }
        return (leaves, tapeGradients(of: f, at: leaves, weights: weights, wanted: wanted, createGraph: createGraph))
    }

    /// What is wrong with the gradients of `f` at `inputs`, or nil. `second` also checks the gradient of the gradient.
    public static func problem(
        _ f: @escaping ([Tensor]) -> Tensor, _ inputs: [Tensor], wanted: [Bool], second: Bool,
        tolerance: Tolerance = Tolerance(relative: 1e-5, absolute: 2e-7), generator: RandomGenerator
    ) -> String? {
        let y = withoutGrad { f(inputs) }
        let weights = Tensor(normal: y.shape, dtype: .float64, generator: generator)
        let byTape = tape(f, inputs, weights: weights, wanted: wanted).gradients
        let byDifference = numeric(f, inputs, weights: weights, wanted: wanted)
        for k in inputs.indices where wanted[k] {
            let g = byTape[k] ?? Tensor(zerosLike: inputs[k])
            if let wrong = mismatch(g, byDifference[k]!, tolerance) { return "gradient of input \(k): \(wrong)" }
        }
        if !second { return nil }
        // h(x, w) = Σ_k ⟨u_k, ∂⟨w, f⟩/∂x_k⟩, whose gradient by the tape is compared with its differences.
        let directions = inputs.map { Tensor(normal: $0.shape, dtype: .float64, generator: generator) }
        func h(_ xs: [Tensor]) -> Tensor {
            withGrad {
                let found = tape(
                    f, Array(xs.dropLast()), weights: xs.last!, wanted: wanted, createGraph: true
                ).gradients
                var total = Tensor(zeros: [], dtype: .float64)
                for k in inputs.indices { if let g = found[k] { total = total + (g * directions[k]).sum() } }
                return total
            }
        }
        let all = inputs + [weights]
        let one = Tensor(1.0, dtype: .float64)
        let secondTape = tape(h, all, weights: one, wanted: wanted + [true]).gradients
        let secondNumeric = numeric({ h($0).detached() }, all, weights: one, wanted: wanted + [true])
        for k in all.indices where (wanted + [true])[k] {
            let g = secondTape[k] ?? Tensor(zerosLike: all[k])
            let looser = Tolerance(relative: tolerance.relative * 10, absolute: tolerance.absolute * 10)
            if let wrong = mismatch(g, secondNumeric[k]!, looser) { return "second order, input \(k): \(wrong)" }
        }
        return nil
    }
}
