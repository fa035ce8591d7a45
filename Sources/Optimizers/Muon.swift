import CoreTensor
import NN

/// Muon (Jordan et al., 2024): the momentum of a weight matrix, made nearly orthogonal by a few Newton-Schulz iterations, is the
/// step. For matrices of hidden layers; embeddings, heads, biases and norms belong to AdamW.
///
/// m ← μ m + (1-μ) g, o = NS(m, or with `nesterov` μ m + (1-μ) g anew), p ← p (1 - lr λ) - lr s o, with s of ``RateScaling``.
public final class Muon: Optimizer {
    /// s, by which the rate depends on a matrix of `[rows, columns]`.
    public enum RateScaling: String, Sendable {
        /// √max(1, rows / columns) (Jordan et al.).
        case original
        /// 0.2 √max(rows, columns), for AdamW's rates and decays (Liu et al., 2025).
        case matchRMSAdamW
        /// √(rows / columns) (Bernstein, 2025).
        case spectralUnclamped
    }

    /// μ; in force is each group's `momentum`.
    public let momentum: Double
    /// Whether the gradient is mixed into the momentum once more.
    public let nesterov: Bool
    /// a, b, c of the iteration x ← a x + (b G + c G²) x, G = x xᵀ.
    public let coefficients: (Double, Double, Double)
    /// The least norm that is divided by.
    public let epsilon: Double
    /// Iterations; fewer than 100.
    public let iterations: Int
    /// s.
    public let rateScaling: RateScaling

    /// One group of parameters, all with two axes. Traps on others and on numbers out of their range.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-3, weightDecay: Double = 0.1, momentum: Double = 0.95,
        nesterov: Bool = true, coefficients: (Double, Double, Double) = (3.4445, -4.7750, 2.0315), epsilon: Double = 1e-7,
        iterations: Int = 5, rateScaling: RateScaling = .original
    ) {
        self.init(
            [ParameterGroup(parameters)], learningRate: learningRate, weightDecay: weightDecay, momentum: momentum,
            nesterov: nesterov, coefficients: coefficients, epsilon: epsilon, iterations: iterations, rateScaling: rateScaling)
    }

    /// Groups with numbers of their own; those given here stand where a group has none.
    public init(
        _ groups: [ParameterGroup], learningRate: Double = 1e-3, weightDecay: Double = 0.1, momentum: Double = 0.95,
        nesterov: Bool = true, coefficients: (Double, Double, Double) = (3.4445, -4.7750, 2.0315), epsilon: Double = 1e-7,
        iterations: Int = 5, rateScaling: RateScaling = .original
    ) {
        Optimizer.check("epsilon", epsilon)
        if !(0..<100).contains(iterations) { fail("Muon", "\(iterations) iterations; must be in 0 ..< 100") }
        for group in groups {
            for parameter in group.parameters where parameter.shape.count != 2 {
                fail("Muon", "a parameter of shape \(parameter.shape); only matrices, give the others to AdamW")
            }
        }
        self.momentum = momentum
        self.nesterov = nesterov
        self.coefficients = coefficients
        self.epsilon = epsilon
        self.iterations = iterations
        self.rateScaling = rateScaling
        super.init(groups, learningRate: learningRate, weightDecay: weightDecay, momentum: momentum)
    }

    public override func update(
        _ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]
    ) {
        let mu = group.momentum ?? momentum
        var average = state.removeValue(forKey: "momentum") ?? Tensor(zerosLike: gradient)
        average += (gradient - average) * (1 - mu)
        let direction = nesterov ? gradient + (average - gradient) * mu : average
        state["momentum"] = average
        let rows = Double(parameter.shape[0]), columns = Double(parameter.shape[1])
        let scale =
            switch rateScaling {
            case .original: max(1, rows / columns).squareRoot()
            case .matchRMSAdamW: 0.2 * max(rows, columns).squareRoot()
            case .spectralUnclamped: (rows / columns).squareRoot()
            }
        let step = orthogonalized(direction).to(parameter.dtype) * (group.learningRate * scale)
        parameter.value = parameter.value.detached() * (1 - group.learningRate * group.weightDecay) - step
    }

    /// U S' Vᵀ of a matrix U S Vᵀ, with S' near 1. Values between the products are those of bfloat16, as in PyTorch's
    /// implementation; sums are of float32.
    private func orthogonalized(_ matrix: Tensor) -> Tensor {
        func rounded(_ x: Tensor) -> Tensor { x.to(.bfloat16).to(.float32) }
        let isTall = matrix.shape[0] > matrix.shape[1]
        var x = rounded(isTall ? matrix.T : matrix)
        let norm = rounded(sqrt(square(x).sum())).clamped(min: epsilon)
        x = rounded(x / norm)
        let (a, b, c) = coefficients
        for _ in 0..<iterations {
            let gram = rounded(matmul(x, x.T))
            let polynomial = rounded(gram * b + matmul(gram, gram) * c)
            x = rounded(x * a + matmul(polynomial, x))
        }
        return isTall ? x.T : x
    }
}
