import Foundation
import Tapestry
import TestSupport

/// Losses and information theory.
extension OpCatalog {
    /// A loss that is the mean of a function of the elements of its arguments, which have one shape.
    private static func mean(_ f: @escaping @Sendable ([Double]) -> Double) -> OpRow.Reference {
        .arrays { a in
            let each = ReferenceArray.map(a, f).values
            return ReferenceArray([], [each.reduce(0, +) / Double(each.count)])
        }
    }

    /// A function of each row of the arguments.
    private static func rows(_ f: @escaping @Sendable ([[Double]]) -> Double) -> OpRow.Reference {
        .arrays { a in
            ReferenceArray([a[0].shape[0]]) { i in
                f(a.map { x in (0..<x.shape[1]).map { x[[i[0], $0]] } })
            }
        }
    }

    private static let signs = Tensor([[1.0, -1, 1], [-1, 1, -1]], dtype: .float64)

    static let elementLosses: [OpRow] = [
        OpRow(
            "huberLoss", [[.nonzero([2, 3], gap: 0.1, to: 0.4), .nonzero([2, 3], gap: 0.5, to: 0.9)]],
            mean { a in
                let d = Swift.abs(a[0] - a[1])
                return d <= 0.45 ? d * d / 2 : 0.45 * (d - 0.225)
            }, { huberLoss($0[0], $0[1], delta: 0.45) }),
        OpRow(
            "smoothL1Loss", [[.real([2, 3]), .real([2, 3])]],
            mean { a in
                let d = Swift.abs(a[0] - a[1])
                return d < 1.5 ? d * d / 3 : d - 0.75
            }, { smoothL1Loss($0[0], $0[1], beta: 1.5) }),
        OpRow(
            "binaryCrossEntropy", [[.real([2, 3], 0.1...0.9), .real([2, 3], 0...1)]],
            mean { a in -(a[1] * Foundation.log(a[0]) + (1 - a[1]) * Foundation.log(1 - a[0])) },
            { binaryCrossEntropy($0[0], $0[1]) }),
        OpRow(
            "klDivergenceLoss", [[.real([2, 3], -3...0), .real([2, 3], 0.1...1)]],
            mean { a in a[1] * (Foundation.log(a[1]) - a[0]) }, { klDivergenceLoss($0[0], $0[1]) }),
        OpRow(
            "poissonNLLLoss", [[.real([2, 3]), .real([2, 3], 1.5...4)]],
            mean { a in
                Foundation.exp(a[0]) - a[1] * a[0] + a[1] * Foundation.log(a[1]) - a[1] + 0.5
                    * Foundation.log(2 * .pi * a[1])
            }, slack: 2, { poissonNLLLoss($0[0], $0[1], full: true) }),
        OpRow(
            "gaussianNLLLoss", [[.real([2, 3]), .real([2, 3]), .real([2, 3], 0.3...2)]],
            mean { a in (Foundation.log(a[2]) + (a[0] - a[1]) * (a[0] - a[1]) / a[2]) / 2 }, slack: 2,
            { gaussianNLLLoss($0[0], $0[1], variance: $0[2]) }),
        OpRow(
            "softMarginLoss", [[.real([2, 3], -4...4)]],
            .arrays { a in
                let y = signs.scalars(Double.self)
                return ReferenceArray(
                    [], [zip(a[0].values, y).reduce(0) { $0 + Foundation.log(1 + Foundation.exp(-$1.0 * $1.1)) } / 6])
            }, { softMarginLoss($0[0], signs.to($0[0].dtype).to($0[0].device)) }),
        OpRow(
            "bradleyTerryLoss", [[.real([5]), .real([5])]],
            mean { a in Foundation.log(1 + Foundation.exp(a[1] - a[0] + 0.5)) },
            { bradleyTerryLoss($0[0], $0[1], margin: 0.5) }),
    ]

    static let rowLosses: [OpRow] = [
        OpRow(
            "crossEntropy of probabilities", [[.real([4, 3]), .real([4, 3], 0...1)]],
            rows { a in
                let lse = Foundation.log(a[0].map { Foundation.exp($0) }.reduce(0, +))
                return zip(a[0], a[1]).reduce(0) { $0 + $1.1 * (lse - $1.0) }
            }, slack: 2, { crossEntropy($0[0], $0[1], reduction: .none) }),
        OpRow(
            "crossEntropy, weighted", [[.real([4, 3]), .integers([4, 1], 0..<3)]],
            rows { a in
                let lse = Foundation.log(a[0].map { Foundation.exp($0) }.reduce(0, +))
                let weights = [0.5, 2, 1.25], y = Int(a[1][0])
                return 0.8 * weights[y] * (lse - a[0][y]) + 0.2 / 3 * (0..<3).reduce(0) { $0 + weights[$1] * (lse - a[0][$1]) }
            }, slack: 2,
            {
                crossEntropy(
                    $0[0], $0[1].squeezed(-1), weight: Tensor([0.5, 2, 1.25], dtype: $0[0].dtype, device: $0[0].device),
                    labelSmoothing: 0.2,
                    reduction: .none)
            }),
        OpRow(
            "multiMarginLoss", [[.distinct([4, 3]), .integers([4, 1], 0..<3)]],
            rows { a in
                let y = Int(a[1][0])
                return (0..<3).reduce(0) { $1 == y ? $0 : $0 + pow(max(0, 0.95 - a[0][y] + a[0][$1]), 2) / 3 }
            }, slack: 2, { multiMarginLoss($0[0], $0[1].squeezed(-1), p: 2, margin: 0.95, reduction: .none) }),
        OpRow(
            "tripletMarginLoss", [[.real([4, 3]), .real([4, 3]), .real([4, 3])]],
            rows { a in
                func d(_ x: [Double], _ y: [Double]) -> Double {
                    zip(x, y).reduce(0) { $0 + ($1.0 - $1.1 + 1e-6) * ($1.0 - $1.1 + 1e-6) }.squareRoot()
                }
                return max(0, d(a[0], a[1]) - d(a[0], a[2]) + 9)
            }, slack: 4, { tripletMarginLoss($0[0], $0[1], $0[2], margin: 9, reduction: .none) }),
        OpRow(
            "zLoss", [[.real([4, 3])]],
            rows { a in 0.5 * pow(Foundation.log(a[0].map { Foundation.exp($0) }.reduce(0, +)), 2) }, slack: 2,
            { zLoss($0[0], coefficient: 0.5, reduction: .none) }),
        OpRow(
            "entropy", [[.real([4, 3], 0.1...1)]],
            rows { a in -a[0].reduce(0) { $0 + $1 * Foundation.log2($1) } }, slack: 2, { entropy($0[0], in: .bits) }),
        OpRow(
            "klDivergence of distributions", [[.real([4, 3], 0.1...1), .real([4, 3], 0.1...1)]],
            rows { a in zip(a[0], a[1]).reduce(0) { $0 + $1.0 * Foundation.log($1.0 / $1.1) } }, slack: 4,
            { klDivergence(of: $0[0], from: $0[1]) }),
        OpRow(
            "ctcLoss", [[.real([4, 3])]],
            // Two steps after the first for one label: all ways to write "1" in four steps, blanks (0) around.
            .arrays { a in
                let p = a[0].mapped(along: -1) { x in
                    let e = x.map { Foundation.exp($0) }
                    return e.map { $0 / e.reduce(0, +) }
                }
                var total = 0.0
                for first in 0..<4 {
                    for last in first..<4 {
                        total += (0..<4).reduce(1.0) { $0 * p[[$1, $1 >= first && $1 <= last ? 1 : 0]] }
                    }
                }
                return ReferenceArray([], [-Foundation.log(total)])
            }, types: [.float32], orders: 1, slack: 4,
            { ctcLoss(logSoftmax($0[0]), Tensor([1]), inputLengths: [4], targetLengths: [1]) }),
    ]
}
