import CoreTensor
import Foundation
import NN

/// The result of one operation.
public struct ActivationStatistics: Sendable {
    /// The operation as the tape calls it: `ReLUBackward`.
    public let operation: String
    /// The module whose parameter it takes, by its path in the model (`blocks.0.attention.qkv`; empty for the model itself); nil where it takes
    /// none, as ReLU, or the report was not given the model.
    public let module: String?
    /// For operations without parameters: the module of the last operation before that had some.
    public let after: String?
    /// The user's line that called it; nil where there is no debug information.
    public fileprivate(set) var line: String?
    /// Its shape.
    public let shape: Shape
    /// Mean and standard deviation of all elements.
    public let mean, standardDeviation: Double
    /// The smallest and the largest element.
    public let minimum, maximum: Double
    /// The share of elements that are exactly 0.
    public let zeroShare: Double
    /// The share of elements that are NaN or infinite.
    public let nonFiniteShare: Double
    /// For results of a ReLU with a batch as first axis: the share of units that are 0 for the whole batch. Such units learn nothing from it.
    public let deadShare: Double?
    /// For tanh, sigmoid and softmax: the share of elements within 1 % of an end of their range, where the derivative is all but 0.
    public let saturatedShare: Double?
}

/// What flows through a model: statistics of every recorded operation's result, in order, for ReLUs that are dead, functions that are saturated,
/// activations that grow or shrink from layer to layer.
///
/// ```swift
/// print(ActivationReport(model) { model(x) })
/// ```
public struct ActivationReport: Sendable, CustomStringConvertible {
    /// One for each operation that was recorded, in the order of the calls.
    public let operations: [ActivationStatistics]

    /// Runs `body` and looks at what is recorded on this thread meanwhile: operations on what requires no gradient are not among it. With the
    /// model they are named by its modules.
    public init<R>(_ model: Module? = nil, _ body: () throws -> R) rethrows {
        var seen: [ActivationStatistics] = [], sites: [CallSite] = []
        let owners = Self.owners(model)
        var last: String?
        _ = try OutputWatch.run({ node, output in
            let module = Self.owner(of: node, owners)
            last = module ?? last
            if output.dtype.isFloatingPoint && output.count > 0 {
                seen.append(Self.statistics(node, output, module, after: module == nil ? last : nil))
                sites.append(node.site)
            }
        }) { try withGrad(body) }
        for (index, line) in CallSite.userLines(of: sites).enumerated() { seen[index].line = line }
        operations = seen
    }

    /// The modules' paths by the leaves of their parameters.
    private static func owners(_ model: Module?) -> [ObjectIdentifier: String] {
        var owners: [ObjectIdentifier: String] = [:]
        for (name, parameter) in model?.namedParameters ?? [] {
            guard let leaf = parameter.value.tapeNode else { continue }
            owners[ObjectIdentifier(leaf)] = name.split(separator: ".").dropLast().joined(separator: ".")
        }
        return owners
    }

    /// The module of the first parameter among a node's inputs, which may be seen through a cast or another view.
    private static func owner(of node: Node, _ owners: [ObjectIdentifier: String]) -> String? {
        if owners.isEmpty { return nil }
        for case let edge? in node.nextEdges {
            var source = edge.node
            while views.contains(source.name), let next = source.nextEdges.first ?? nil { source = next.node }
            if let owner = owners[ObjectIdentifier(source)] { return owner }
        }
        return nil
    }

    /// Operations that only show a parameter in another way.
    private static let views: Set = [
        "CastBackward", "ReshapeBackward", "PermuteBackward", "ExpandBackward", "SliceBackward",
    ]

    private static func statistics(
        _ node: Node, _ output: Tensor, _ module: String?, after: String?
    ) -> ActivationStatistics {
        withoutGrad {
            let x = output.to(.float64), count = Double(x.count)
            func share(_ mask: Tensor) -> Double { mask.sum().item(Double.self) / count }
            let mean = x.mean().item(Double.self)
            var dead: Double?, saturated: Double?
            if node.name.hasPrefix("ReLU") && x.rank >= 2 {
                let units = (x .> 0).any(0)
                dead = 1 - units.sum().item(Double.self) / Double(max(units.count, 1))
            }
            if node.name.hasPrefix("Tanh") { saturated = share(abs(x) .> 0.99) }
            if node.name.hasPrefix("Sigmoid") || node.name.hasPrefix("Softmax") { saturated = share((x .> 0.99) .| (x .< 0.01)) }
            return ActivationStatistics(
                operation: node.name, module: module, after: after, line: nil, shape: output.shape, mean: mean,
                standardDeviation: ((x - mean) * (x - mean)).mean().item(Double.self).squareRoot(),
                minimum: x.min().item(Double.self),
                maximum: x.max().item(Double.self), zeroShare: share(x .== 0), nonFiniteShare: 1 - share(x.isFinite),
                deadShare: dead, saturatedShare: saturated)
        }
    }

    /// The operations with a share of dead units above `share`.
    public func deadReLUs(above share: Double = 0.5) -> [ActivationStatistics] {
        operations.filter { ($0.deadShare ?? 0) > share }
    }

    /// A table.
    public var description: String {
        let names = operations.map {
            ($0.module.map { $0.isEmpty ? "" : "\($0) " } ?? $0.after.map { "after \($0): " } ?? "")
                + $0.operation.replacingOccurrences(of: "Backward", with: "") + ($0.line.map { " \($0)" } ?? "")
        }
        let width = max(names.map(\.count).max() ?? 0, 9)
        return
            (["operation".padded(width) + "        mean          sd         min         max   zeros"]
            + zip(names, operations).map { name, o in
                var text = name.padded(width)
                text += String(
                    format: " %11.3e %11.3e %11.3e %11.3e %6.1f%%", o.mean, o.standardDeviation, o.minimum, o.maximum,
                    100 * o.zeroShare)
                if let dead = o.deadShare { text += String(format: "  dead %.1f%%", 100 * dead) }
                if let saturated = o.saturatedShare { text += String(format: "  saturated %.1f%%", 100 * saturated) }
                if o.nonFiniteShare > 0 { text += String(format: "  not finite %.1f%%", 100 * o.nonFiniteShare) }
                return text
            }).joined(separator: "\n")
    }
}

/// How sharp attention is. Scores that are not divided by √d grow with d until softmax picks a single key, where its derivative p (1 - p) is all but 0
/// (Vaswani et al., 2017, section 3.2.1).
public struct AttentionSaturation: Sendable, Equatable {
    /// The mean entropy of the rows over that of even attention, log(keys): 1 is even, 0 picks one key.
    public let entropy: Double
    /// The mean over the rows of their largest weight.
    public let largest: Double
    /// The share of rows whose largest weight is above 0.99.
    public let saturatedShare: Double
    /// The mean of p (1 - p), the factor of the gradient, over its value for even attention.
    public let gradientShare: Double

    /// - Parameter weights: rows that add up to 1, `[..., queries, keys]`; more than one key.
    public init(weights: Tensor) {
        if weights.rank < 1 || weights.shape.last! < 2 || weights.count == 0 {
            fail("AttentionSaturation", "weights of shape \(weights.shape); needs [..., queries, keys] with at least 2 keys")
        }
        let keys = Double(weights.shape.last!)
        let p = weights.detached().to(.float64)
        let rows = Double(weights.count) / keys
        (entropy, largest, saturatedShare, gradientShare) = withoutGrad {
            // 0 log 0 is 0.
            let terms = p * log(p.clamped(min: 1e-300))
            let tops = p.max(-1)
            return (
                -terms.sum().item(Double.self) / rows / Foundation.log(keys), tops.mean().item(Double.self),
                (tops .> 0.99).sum().item(Double.self) / rows,
                (p * (1 - p)).sum().item(Double.self) / rows / (1 - 1 / keys)
            )
        }
    }

    /// Of queries `[..., queries, d]` and keys `[..., keys, d]` with softmax(scale · q kᵀ); nil: 1/√d.
    public init(query: Tensor, key: Tensor, scale: Double? = nil) {
        if query.rank < 2 || key.rank < 2 || query.shape.last != key.shape.last {
            fail(
                "AttentionSaturation", "queries \(query.shape) and keys \(key.shape); needs [..., queries, d] and [..., keys, d]")
        }
        let scale = scale ?? 1 / Double(query.shape.last!).squareRoot()
        self.init(weights: withoutGrad { softmax(matmul(query.detached(), key.detached().transposed(-1, -2)) * scale) })
    }
}
