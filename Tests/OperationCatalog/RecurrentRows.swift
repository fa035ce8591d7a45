import Foundation
import Tapestry
import TestSupport

/// Recurrences, and bags of rows.
extension OpCatalog {
    static let recurrences: [OpRow] = [
        recurrence("recurrence with tanh", .tanh), recurrence("recurrence with relu", .relu),
        recurrence("recurrence with relu in reverse", .relu, reverse: true), recurrence("recurrence of LSTM", .lstm),
        recurrence("recurrence of LSTM in reverse, some sequences shorter", .lstm, lengths: [2, 3], reverse: true),
        recurrence("recurrence of GRU", .gru), recurrence("recurrence of GRU, some sequences shorter", .gru, lengths: [1, 3]),
        recurrence("recurrence of GRU in reverse", .gru, reverse: true),
    ]

    /// Arguments: the input's part of the gates, weight, first state, and in LSTM the first cell, in GRU the bias. The result: all states
    /// and the last cell side by side.
    private static func recurrence(
        _ name: String, _ kernel: RecurrentKernel, lengths: [Int]? = nil, reverse: Bool = false
    ) -> OpRow {
        let gates = kernel.gates, time = 3, batch = 2
        var samples: [[Operand]] = []
        // One smaller and one larger than a vector register.
        for hidden in [2, 19] {
            var sample: [Operand] = [
                .real([time, batch, gates * hidden]), .real([gates * hidden, hidden], -0.5...0.5), .real([batch, hidden]),
            ]
            if kernel == .lstm { sample.append(.real([batch, hidden])) }
            if kernel == .gru { sample.append(.real([gates * hidden])) }
            samples.append(sample)
        }
        if kernel == .relu {
            // Clear of the kink: everything counts.
            samples = samples.map { sample in
                [Operand.real(sample[0].shape, 1...2)] + [.real(sample[1].shape, 0...0.5), .real(sample[2].shape, 0.5...1)]
            }
        }
        return OpRow(
            name, samples, .arrays { steps($0, kernel, lengths, reverse) }, types: [.float32], slack: 4,
            { a in
                let (states, cell) = Tapestry.recurrence(
                    kernel, projected: a[0], weight: a[1], bias: kernel == .gru ? a[3] : nil, state: a[2],
                    cell: kernel == .lstm ? a[3] : nil, lengths: lengths, reverse: reverse)
                return cell.map { concatenate([states, $0.unsqueezed(0)]) } ?? states
            })
    }

    /// The recurrence, unit by unit.
    @Sendable private static func steps(
        _ a: [ReferenceArray], _ kernel: RecurrentKernel, _ lengths: [Int]?, _ reverse: Bool
    ) -> ReferenceArray {
        let time = a[0].shape[0], batch = a[0].shape[1], n = a[2].shape[1]
        var h = a[2], c = kernel == .lstm ? a[3] : a[2]
        var states = [ReferenceArray](repeating: h, count: time)
        func sigmoid(_ x: Double) -> Double { 1 / (1 + Foundation.exp(-x)) }
        for t in reverse ? (0..<time).reversed() : Array(0..<time) {
            let (old, oldCell) = (h, c)
            for b in 0..<batch where t < lengths?[b] ?? time {
                for j in 0..<n {
                    func x(_ gate: Int) -> Double { a[0][[t, b, gate * n + j]] }
                    func u(_ gate: Int) -> Double {
                        (0..<n).reduce(kernel == .gru ? a[3].values[gate * n + j] : 0) {
                            $0 + a[1][[gate * n + j, $1]] * old[[b, $1]]
                        }
                    }
                    let at = b * n + j
                    switch kernel {
                    case .tanh: h.values[at] = Foundation.tanh(x(0) + u(0))
                    case .relu: h.values[at] = Swift.max(x(0) + u(0), 0)
                    case .lstm:
                        c.values[at] =
                            sigmoid(x(1) + u(1)) * oldCell.values[at] + sigmoid(x(0) + u(0)) * Foundation.tanh(x(2) + u(2))
                        h.values[at] = sigmoid(x(3) + u(3)) * Foundation.tanh(c.values[at])
                    case .gru:
                        let r = sigmoid(x(0) + u(0)), z = sigmoid(x(1) + u(1))
                        h.values[at] = (1 - z) * Foundation.tanh(x(2) + r * u(2)) + z * old.values[at]
                    }
                }
            }
            states[t] = h
        }
        let all = states + (kernel == .lstm ? [c] : [])
        return ReferenceArray([all.count, batch, n], all.flatMap(\.values))
    }

    private static let bagIds = [0, 2, 1, 1, 3, 0]

    static let bags: [OpRow] = [
        OpRow(
            "embeddingBag of sums",
            [[.real([4, 3]), .real([6])]],
            .arrays { a in
                ReferenceArray([3, 3]) { i in
                    [0..<2, 2..<2, 2..<6][i[0]].reduce(0.0) { $0 + a[0][[bagIds[$1], i[1]]] * a[1].values[$1] }
                }
            }, types: [.float32], batchable: false,
            { embeddingBag(Tensor(bagIds, device: $0[0].device), $0[0], offsets: [0, 2, 2], mode: .sum, weights: $0[1]) }),
        OpRow(
            "embeddingBag of means without padding", [[.real([4, 3])]],
            .arrays { a in
                ReferenceArray([2, 3]) { i in
                    let rows = bagIds[(i[0] * 3)..<(i[0] * 3 + 3)].filter { $0 != 1 }
                    return rows.reduce(0.0) { $0 + a[0][[$1, i[1]]] } / Double(rows.count)
                }
            }, types: [.float32], batchable: false,
            { embeddingBag(Tensor(bagIds, shape: [2, 3], device: $0[0].device), $0[0], mode: .mean, paddingIndex: 1) }),
        OpRow(
            "embeddingBag of maxima", [[.distinct([4, 3])]],
            .arrays { a in
                ReferenceArray([2, 3]) { i in bagIds[(i[0] * 2)..<(i[0] == 0 ? 2 : 5)].map { a[0][[$0, i[1]]] }.max()! }
            }, types: [.float32], batchable: false,
            { embeddingBag(Tensor(bagIds, device: $0[0].device), $0[0], offsets: [0, 2, 5], mode: .max, includesEnd: true) }),
        OpRow(
            "bilinear",
            [
                [.real([2, 3]), .real([2, 4]), .real([5, 3, 4]), .real([5])],
                [.real([0, 2]), .real([0, 2]), .real([3, 2, 2]), .real([3])],
            ],
            .arrays { a in
                let (m, n) = (a[2].shape[1], a[2].shape[2])
                return ReferenceArray([a[0].shape[0], a[2].shape[0]]) { i in
                    ReferenceArray.indices([m, n]).reduce(a[3].values[i[1]]) {
                        $0 + a[0][[i[0], $1[0]]] * a[2][[i[1], $1[0], $1[1]]] * a[1][[i[0], $1[1]]]
                    }
                }
            }, types: [.float32], slack: 4, { bilinear($0[0], $0[1], $0[2], $0[3]) }),
        OpRow(
            "causal attention aligned to the first key",
            [
                [.real([1, 2, 3, 4]), .real([1, 2, 5, 4]), .real([1, 2, 5, 4])],
                [.real([2, 4, 4]), .real([2, 2, 4]), .real([2, 2, 4])],
            ], .golden("nn.functional.scaled_dot_product_attention"), types: [.float32], slack: 4,
            { scaledDotProductAttention($0[0], $0[1], $0[2], causal: true, alignment: .firstKey) }),
    ]
}
