import Foundation
import Tapestry
import TestSupport

/// What models are made of: products, normalisation, attention, losses.
extension OpCatalog {
    static let products: [OpRow] = [
        OpRow(
            "matmul",
            [
                [.real([2, 3]), .real([3, 4])], [.real([5, 2, 3]), .real([3, 4])], [.real([2, 1, 2, 3]), .real([3, 3, 2])],
                [.real([0, 3]), .real([3, 2])], [.real([2, 0]), .real([0, 2])], [.real([17, 5]), .real([5, 33])],
                [.real([3, 1, 4]), .real([3, 4, 2])],
            ], .arrays { $0[0].matmul($0[1]) }, integers: [.int64, .int32], slack: 4, { matmul($0[0], $0[1]) }),
        OpRow(
            "matmul of vectors", [[.real([4]), .real([4])]],
            .arrays { a in ReferenceArray([], [zip(a[0].values, a[1].values).reduce(0) { $0 + $1.0 * $1.1 }]) }, slack: 4,
            { $0[0] • $0[1] }),
        OpRow(
            "matmul with transposes", [[.real([3, 2]), .real([4, 3])]],
            .arrays { a in ReferenceArray([2, 4]) { i in (0..<3).reduce(0) { $0 + a[0][[$1, i[0]]] * a[1][[i[1], $1]] } } },
            slack: 4,
            { matmul($0[0].T, $0[1].T) }),
        OpRow(
            "linear",
            [
                [.real([2, 3]), .real([4, 3]), .real([4])], [.real([2, 5, 3]), .real([4, 3]), .real([4])],
                [.real([0, 3]), .real([4, 3]), .real([4])], [.real([3]), .real([4, 3]), .real([4])],
            ],
            .arrays { a in
                ReferenceArray(Array(a[0].shape.dropLast()) + [4]) { i in
                    (0..<3).reduce(a[2].values[i.last!]) { $0 + a[0][Array(i.dropLast()) + [$1]] * a[1][[i.last!, $1]] }
                }
            }, slack: 4, { linear($0[0], $0[1], $0[2]) }),
        OpRow(
            "linear with GELU",
            [[.real([2, 3]), .real([4, 3]), .real([4])], [.real([2, 5, 3]), .real([4, 3]), .real([4])]],
            .arrays { a in
                ReferenceArray(Array(a[0].shape.dropLast()) + [4]) { i in
                    let x = (0..<3).reduce(a[2].values[i.last!]) { $0 + a[0][Array(i.dropLast()) + [$1]] * a[1][[i.last!, $1]] }
                    return x * 0.5 * erfc(-x / 2.0.squareRoot())
                }
            }, slack: 4, { linear($0[0], $0[1], $0[2], activation: .gelu) }),
        OpRow(
            "attention",
            [
                [.real([1, 2, 3, 4]), .real([1, 2, 3, 4]), .real([1, 2, 3, 4])],
                [.real([2, 2, 2, 4]), .real([2, 1, 5, 4]), .real([2, 1, 5, 4])],
            ], .arrays { attentionReference($0, causal: false) }, types: [.float32], slack: 4,
            { scaledDotProductAttention($0[0], $0[1], $0[2]) }),
        OpRow(
            "causal attention", [[.real([1, 2, 5, 4]), .real([1, 2, 5, 4]), .real([1, 2, 5, 4])]],
            .arrays { attentionReference($0, causal: true) }, types: [.float32], slack: 4,
            { scaledDotProductAttention($0[0], $0[1], $0[2], causal: true) }),
        OpRow(
            "masked attention",
            [[.real([1, 2, 3, 4]), .real([1, 2, 3, 4]), .real([1, 2, 3, 4])]],
            .arrays { attentionReference($0, causal: true) }, types: [.float32], slack: 4,
            { scaledDotProductAttention($0[0], $0[1], $0[2], mask: Tensor(ones: [3, 3], device: $0[0].device).tril().to(.bool)) }),
        OpRow(
            "attention with soft cap, ALiBi and window",
            [
                [.real([1, 2, 5, 4]), .real([1, 2, 5, 4]), .real([1, 2, 5, 4])],
                [.real([2, 4, 3, 3]), .real([2, 2, 7, 3]), .real([2, 2, 7, 2])],
            ],
            .arrays { attentionReference($0, causal: true, window: 3, softCap: 1.5, slopes: alibiSlopes(heads: $0[0].shape[1])) },
            types: [.float32], slack: 4,
            {
                scaledDotProductAttention(
                    $0[0], $0[1], $0[2], causal: true, window: 3, softCap: 1.5, alibiSlopes: alibiSlopes(heads: $0[0].shape[1]))
            }),
        OpRow(
            "attention with an added mask and a window",
            [[.real([1, 2, 4, 3]), .real([1, 2, 6, 3]), .real([1, 2, 6, 3]), .real([2, 1, 6])]],
            .arrays { attentionReference($0, causal: false, window: 3) }, types: [.float32], slack: 4,
            { scaledDotProductAttention($0[0], $0[1], $0[2], mask: $0[3], window: 3) }),
    ]

    /// A fourth array is added to the scores: `[heads, 1, keys]`.
    @Sendable static func attentionReference(
        _ a: [ReferenceArray], causal: Bool, window: Int = .max, softCap: Double? = nil, slopes: [Double]? = nil
    ) -> ReferenceArray {
        let q = a[0], k = a[1], v = a[2], groups = q.shape[1] / k.shape[1], keys = k.shape[2], dim = q.shape[3]
        return ReferenceArray(Array(q.shape.dropLast()) + [v.shape[3]]) { i in
            let (b, h, row, d) = (i[0], i[1], i[2], i[3])
            let position = row + keys - q.shape[2]
            let weights = (0..<keys).map { j -> Double in
                if causal && j > position || Swift.abs(j - position) >= window { return 0 }
                var score = (0..<dim).reduce(0.0) { $0 + q[[b, h, row, $1]] * k[[b, h / groups, j, $1]] }
                score /= Double(dim).squareRoot()
                if let softCap { score = softCap * Foundation.tanh(score / softCap) }
                if let slopes { score -= slopes[h] * Double(Swift.abs(j - position)) }
                if a.count > 3 { score += a[3][[h, 0, j]] }
                return Foundation.exp(score)
            }
            let total = weights.reduce(0, +)
            return (0..<keys).reduce(0.0) { $0 + weights[$1] / total * v[[b, h / groups, $1, d]] }
        }
    }

    private static let rows4: [[Int]] = [[2, 3], [4], [3, 2, 5], [0, 3], [2, 19]]

    static let normalizations: [OpRow] = [
        OpRow(
            "softmax", rows4.map { [.real($0, -5...5)] },
            .arrays {
                $0[0].mapped(along: -1) { x in
                    let e = x.map { Foundation.exp($0) }
                    return e.map { $0 / e.reduce(0, +) }
                }
            }, { softmax($0[0]) }),
        OpRow(
            "softmax over axis 0", [[2, 3], [4], [3, 2, 5]].map { [.real($0, -5...5)] },
            .arrays {
                $0[0].mapped(along: 0) { x in
                    let e = x.map { Foundation.exp($0) }
                    return e.map { $0 / e.reduce(0, +) }
                }
            }, { softmax($0[0], axis: 0) }),
        OpRow(
            "logSoftmax", rows4.map { [.real($0, -5...5)] },
            .arrays {
                $0[0].mapped(along: -1) { x in x.map { $0 - Foundation.log(x.map { Foundation.exp($0) }.reduce(0, +)) } }
            }, { logSoftmax($0[0]) }),
        OpRow(
            "layerNorm", [[2, 3], [3, 2, 5], [0, 3], [2, 19]].map { [.real($0), .real([$0.last!]), .real([$0.last!])] },
            .arrays { a in
                let normal = a[0].mapped(along: -1) { x in
                    let mean = x.reduce(0, +) / Double(x.count)
                    let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(x.count)
                    return x.map { ($0 - mean) / (variance + 1e-5).squareRoot() }
                }
                return .map([normal, a[1], a[2]]) { $0[0] * $0[1] + $0[2] }
            }, slack: 4, { layerNorm($0[0], weight: $0[1], bias: $0[2]) }),
        OpRow(
            "rmsNorm", [[2, 3], [3, 2, 5], [0, 3], [2, 19]].map { [.real($0), .real([$0.last!])] },
            .arrays { a in
                let normal = a[0].mapped(along: -1) { x in
                    let square = x.reduce(0) { $0 + $1 * $1 } / Double(x.count)
                    return x.map { $0 / (square + 1e-6).squareRoot() }
                }
                return .map([normal, a[1]]) { $0[0] * $0[1] }
            }, slack: 4, { rmsNorm($0[0], weight: $0[1]) }),
    ]

    static let losses: [OpRow] = [
        OpRow(
            "crossEntropy", [[.real([4, 3]), .integers([4], 0..<3)], [.real([5, 17]), .integers([5], 0..<17)]],
            .arrays { a in
                let rows = a[0].shape[0], classes = a[0].shape[1]
                let losses = (0..<rows).map { r -> Double in
                    let x = (0..<classes).map { a[0][[r, $0]] }
                    return Foundation.log(x.map { Foundation.exp($0) }.reduce(0, +)) - x[Int(a[1].values[r])]
                }
                return ReferenceArray([], [losses.reduce(0, +) / Double(rows)])
            }, { crossEntropy($0[0], $0[1]) }),
        OpRow(
            "crossEntropy, smoothed, unreduced", [[.real([4, 3]), .integers([4], 0..<3)]],
            .arrays { a in
                ReferenceArray([4]) { i in
                    let x = (0..<3).map { a[0][[i[0], $0]] }
                    let lse = Foundation.log(x.map { Foundation.exp($0) }.reduce(0, +))
                    return 0.9 * (lse - x[Int(a[1][i])]) + 0.1 * (lse - x.reduce(0, +) / 3)
                }
            }, { crossEntropy($0[0], $0[1], labelSmoothing: 0.1, reduction: .none) }),
        OpRow(
            "mseLoss", [[.real([2, 3]), .real([2, 3])]],
            .arrays { a in
                ReferenceArray([], [zip(a[0].values, a[1].values).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / 6])
            },
            { mseLoss($0[0], $0[1]) }),
        OpRow(
            "l1Loss", [[.real([2, 3], 0...1), .real([2, 3], 1.1...2)]],
            .arrays { a in ReferenceArray([], [zip(a[0].values, a[1].values).reduce(0) { $0 + abs($1.0 - $1.1) } / 6]) },
            { l1Loss($0[0], $0[1]) }),
        OpRow(
            "bceWithLogits", [[.real([2, 3], -5...5), .real([2, 3], 0...1)]],
            .arrays { a in
                let each = zip(a[0].values, a[1].values).map { x, y -> Double in
                    let p = 1 / (1 + Foundation.exp(-x))
                    return -(y * Foundation.log(p) + (1 - y) * Foundation.log(1 - p))
                }
                return ReferenceArray([], [each.reduce(0, +) / 6])
            }, { bceWithLogits($0[0], $0[1]) }),
    ]
}
