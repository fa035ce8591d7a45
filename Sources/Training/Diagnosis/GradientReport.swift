import CoreTensor
import Foundation
import NN

/// The gradient of one parameter, beside its weights.
public struct GradientStatistics: Sendable {
    /// The parameter's name.
    public let name: String
    /// √Σ g²; nil without a gradient.
    public let gradientNorm: Double?
    /// √Σ w².
    public let weightNorm: Double
    /// The share of gradients that are exactly 0; nil without a gradient.
    public let zeroShare: Double?
    /// The gradient's norm over the weights': far below 10⁻⁶ little is learned.
    public var ratio: Double? { gradientNorm.map { weightNorm > 0 ? $0 / weightNorm : .infinity } }
}

/// Gradient norms by parameter, for problems that show between layers: gradients that vanish or explode with depth, layers that nothing reaches.
/// Call it between `backward()` and the step.
public struct GradientReport: Sendable, CustomStringConvertible {
    /// One for each parameter, in the order of the model.
    public let parameters: [GradientStatistics]

    /// The gradients as they are.
    public init(_ model: Module) {
        func norm(_ x: Tensor) -> Double {
            let wide = x.detached().to(.float64)
            return (wide * wide).sum().item(Double.self).squareRoot()
        }
        parameters = withoutGrad {
            model.namedParameters.map { name, parameter in
                let gradient = parameter.grad
                return GradientStatistics(
                    name: name, gradientNorm: gradient.map(norm), weightNorm: norm(parameter.value),
                    zeroShare: gradient.map { $0.count > 0 ? ($0 .== 0).sum().item(Double.self) / Double($0.count) : 0 })
            }
        }
    }

    /// Parameters that the loss did not reach.
    public var withoutGradient: [String] { parameters.filter { $0.gradientNorm == nil }.map(\.name) }

    /// The largest norm of matrices over the smallest: above some thousands, gradients vanish or explode between layers.
    public var spread: Double {
        let norms = parameters.compactMap(\.gradientNorm)
        guard let low = norms.min(), let high = norms.max() else { return 1 }
        return low > 0 ? high / low : .infinity
    }

    /// A table.
    public var description: String {
        let width = max(parameters.map(\.name.count).max() ?? 0, 9)
        return
            (["parameter".padded(width) + "   |gradient|    |weight|       ratio    zeros"]
            + parameters.map { p in
                guard let norm = p.gradientNorm, let ratio = p.ratio, let zeros = p.zeroShare else {
                    return p.name.padded(width) + "   no gradient"
                }
                return p.name.padded(width)
                    + String(format: " %12.4e %12.4e %11.2e %7.1f%%", norm, p.weightNorm, ratio, 100 * zeros)
            }).joined(separator: "\n")
    }
}

extension String {
    /// With spaces up to a width.
    func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(width - count, 0)) }
}
