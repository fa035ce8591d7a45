import Foundation
import Tapestry
import TestSupport

extension OpCatalog {
    private static let reducible: [[Int]] = [[2, 3], [3, 2, 4], [5], [1, 1], [0, 3], [2, 17]]

    private static func reduction(
        _ name: String, of operand: ([Int]) -> Operand = { .real($0) }, shapes: [[Int]] = reducible, integers: [DType] = [],
        types: [DType] = [.float32, .float16, .bfloat16], orders: Int = 2, slack: Double = 1,
        by reference: @escaping @Sendable ([Double]) -> Double, _ call: @escaping @Sendable (Tensor, Axes, Bool) -> Tensor
    ) -> [OpRow] {
        // Over the last axis, the first axis, and everything.
        [
            OpRow(
                name, shapes.map { [operand($0)] }, .arrays { $0[0].reduced(-1, reference) }, types: types, integers: integers,
                orders: orders, slack: slack, { call($0[0], -1, false) }),
            OpRow(
                "\(name) over axis 0, kept", shapes.map { [operand($0)] },
                .arrays {
                    let r = $0[0].reduced(0, reference)
                    return ReferenceArray([1] + r.shape, r.values)
                }, types: types, integers: integers, orders: orders, slack: slack, { call($0[0], 0, true) }),
            OpRow(
                "\(name) over all", shapes.map { [operand($0)] }, .arrays { ReferenceArray([], [reference($0[0].values)]) },
                types: types, integers: integers, orders: orders, slack: slack, { call($0[0], .all, false) }),
        ]
    }

    private static let filled = reducible.filter { !$0.contains(0) }

    static let reductions: [OpRow] =
        reduction("sum", integers: [.int64, .int32], by: { $0.reduce(0, +) }, { $0.sum($1, keepDims: $2) })
        + reduction(
            "compensated sum", integers: [.int64], by: { $0.reduce(0, +) }, { $0.sum($1, keepDims: $2, compensated: true) })
        + reduction("mean", shapes: filled, by: { $0.reduce(0, +) / Double($0.count) }, { $0.mean($1, keepDims: $2) })
        + reduction(
            "prod", of: { .nonzero($0, gap: 0.7, to: 1.3) }, integers: [.int64, .int32], slack: 4, by: { $0.reduce(1, *) },
            { $0.prod($1, keepDims: $2) })
        + reduction(
            "max", of: { .distinct($0) }, shapes: filled, integers: allIntegers, by: { $0.max()! }, { $0.max($1, keepDims: $2) })
        + reduction(
            "min", of: { .distinct($0) }, shapes: filled, integers: allIntegers, by: { $0.min()! }, { $0.min($1, keepDims: $2) })
        + reduction(
            "variance", shapes: [[2, 3], [3, 2, 4], [5, 5], [2, 17]], slack: 2,
            by: { x in
                let mean = x.reduce(0, +) / Double(x.count)
                return x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(x.count - 1)
            }, { $0.variance($1, keepDims: $2) })
        + reduction(
            "standardDeviation", shapes: [[2, 3], [3, 2, 4], [2, 17]], slack: 2,
            by: { x in
                let mean = x.reduce(0, +) / Double(x.count)
                return (x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(x.count)).squareRoot()
            }, { $0.standardDeviation($1, correction: 0, keepDims: $2) })
        + reduction(
            "logSumExp", of: { .real($0, -6...6) }, shapes: filled,
            by: { x in Foundation.log(x.map { Foundation.exp($0) }.reduce(0, +)) },
            { $0.logSumExp($1, keepDims: $2) })
        + reduction(
            "any", of: { .boolean($0) }, types: [], orders: 0, by: { $0.contains { $0 != 0 } ? 1 : 0 },
            { $0.any($1, keepDims: $2) })
        + reduction(
            "all", of: { .boolean($0) }, types: [], orders: 0, by: { $0.allSatisfy { $0 != 0 } ? 1 : 0 },
            { $0.all($1, keepDims: $2) })
        + [
            OpRow(
                "prod with a zero", [[.real([4, 3])]],
                .arrays { ReferenceArray([4], $0[0].shape.isEmpty ? [] : (0..<4).map { _ in 0 }) }, types: [.float32],
                { ($0[0] * Tensor([[1, 0, 1]], dtype: $0[0].dtype, device: $0[0].device)).prod(-1) }),
            OpRow(
                "argmax", filled.map { [.distinct($0)] },
                .arrays { $0[0].reduced(-1) { x in Double(x.indices.max { x[$0] < x[$1] }!) } }, integers: allIntegers, orders: 0,
                { $0[0].argmax(axis: -1) }),
            OpRow(
                "argmin", filled.map { [.distinct($0)] },
                .arrays { $0[0].reduced(0) { x in Double(x.indices.min { x[$0] < x[$1] }!) } }, integers: allIntegers, orders: 0,
                { $0[0].argmin(axis: 0) }),
            OpRow(
                "cumsum", reducible.map { [.real($0)] },
                .arrays { $0[0].mapped(along: 0) { x in x.indices.map { x[...$0].reduce(0, +) } } }, integers: [.int64],
                slack: 2, { $0[0].cumsum(axis: 0) }),
            OpRow(
                "cumsum over the last axis", reducible.map { [.real($0)] },
                .arrays { $0[0].mapped(along: -1) { x in x.indices.map { x[...$0].reduce(0, +) } } }, integers: [.int32],
                slack: 2, { $0[0].cumsum(axis: -1) }),
        ]

    private static func moving(
        _ name: String, _ shapes: [[Int]], _ reference: @escaping @Sendable (ReferenceArray) -> ReferenceArray,
        _ call: @escaping @Sendable (Tensor) -> Tensor
    ) -> OpRow {
        OpRow(name, shapes.map { [.real($0)] }, .arrays { reference($0[0]) }, integers: allIntegers + [.bool], { call($0[0]) })
    }

    static let shapes: [OpRow] = [
        moving("reshaped", [[2, 6], [12], [3, 2, 2]], { ReferenceArray([4, 3], $0.values) }, { $0.reshaped(4, -1) }),
        moving("flattened", plainShapes + [[2, 3, 2]], { ReferenceArray([$0.values.count], $0.values) }, { $0.flattened() }),
        moving(
            "unsqueezed", plainShapes, { ReferenceArray($0.shape + [1], $0.values) }, { $0.unsqueezed(-1) }),
        moving(
            "squeezed", [[1, 3], [2, 1, 1], [0, 1], [1]], { a in ReferenceArray(a.shape.filter { $0 != 1 }, a.values) },
            { $0.squeezed() }),
        moving(
            "permuted", [[2, 3, 4], [1, 0, 2]],
            { a in ReferenceArray([a.shape[2], a.shape[0], a.shape[1]]) { a[[$0[1], $0[2], $0[0]]] } }, { $0.permuted(2, 0, 1) }),
        moving(
            "transposed", [[2, 3], [17, 19], [0, 2]], { a in ReferenceArray([a.shape[1], a.shape[0]]) { a[[$0[1], $0[0]]] } },
            { $0.T }),
        moving(
            "expanded", [[3], [1, 3], [2, 1, 3], []],
            { a in ReferenceArray([2, 4, 3]) { a.broadcast($0) } }, { $0.expanded(to: [2, 4, 3]) }),
        moving(
            "flipped", [[2, 3], [5], [0, 2]],
            { a in ReferenceArray(a.shape) { i in a[zip(i, a.shape).map { $1 - 1 - $0 }] } }, { $0.flipped() }),
        moving(
            "tril", [[3, 3], [2, 4, 3], [0, 2]],
            { a in ReferenceArray(a.shape) { i in i[i.count - 1] <= i[i.count - 2] ? a[i] : 0 } }, { $0.tril() }),
        moving(
            "triu", [[3, 3], [2, 3, 4]],
            { a in ReferenceArray(a.shape) { i in i[i.count - 1] >= i[i.count - 2] + 1 ? a[i] : 0 } }, { $0.triu(diagonal: 1) }),
        OpRow(
            "summed", [[.real([4, 3])], [.real([2, 4, 3])]],
            .arrays { a in
                ReferenceArray([1, 3]) { i in
                    ReferenceArray.indices(a[0].shape).filter { $0.last == i[1] }.reduce(0) { $0 + a[0][$1] }
                }
            }, types: [.float32], { $0[0].summed(to: [1, 3]) }),
        OpRow(
            "concatenate", [[.real([2, 3]), .real([4, 3])], [.real([0, 3]), .real([1, 3])]],
            .arrays { ReferenceArray([$0[0].shape[0] + $0[1].shape[0], 3], $0[0].values + $0[1].values) }, integers: allIntegers,
            { concatenate($0) }),
        OpRow(
            "concatenate the last axis", [[.real([2, 3]), .real([2, 1]), .real([2, 2])]],
            .arrays { a in
                ReferenceArray([2, 6]) { i in
                    i[1] < 3 ? a[0][i] : i[1] < 4 ? a[1][[i[0], 0]] : a[2][[i[0], i[1] - 4]]
                }
            }, integers: allIntegers, { concatenate($0, axis: -1) }),
        OpRow(
            "stack", [[.real([2, 3]), .real([2, 3])], [.real([]), .real([])], [.real([0]), .real([0])]],
            .arrays { ReferenceArray([2] + $0[0].shape, $0[0].values + $0[1].values) }, integers: allIntegers, { stack($0) }),
    ]

    static let indexing: [OpRow] = [
        moving(
            "slice", [[5, 4], [4, 9]], { a in ReferenceArray([2, a.shape[1] - 2]) { a[[1 + 2 * $0[0], $0[1] + 1]] } },
            { $0[TensorIndex.every(2, from: 1, to: 4), 1 ..< -1 + $0.shape[1]] }),
        moving(
            "index", [[3, 4], [2, 3]], { a in ReferenceArray([a.shape[0]]) { a[[$0[0], a.shape[1] - 2]] } }, { $0[0..., -2] }),
        moving(
            "narrowed", [[3, 4], [2, 3, 2]],
            { a in ReferenceArray([a.shape[0], 2] + a.shape[2...]) { a[[$0[0], $0[1] + 1] + $0[2...]] } },
            { $0.narrowed(axis: 1, start: 1, length: 2) }),
        OpRow(
            "replacing", [[.real([4, 3]), .real([2, 3])], [.real([4, 3]), .real([3])], [.real([4, 3]), .real([])]],
            .arrays { a in
                ReferenceArray([4, 3]) { i in 1...2 ~= i[0] ? a[1].broadcast([i[0] - 1, i[1]]) : a[0][i] }
            }, integers: allIntegers, { $0[0].replacing([(1..<3).tensorIndex], with: $0[1]) }),
        OpRow(
            "gathered", [[.real([3, 4]), .integers([3, 6], 0..<4)], [.real([2, 4]), .integers([0, 2], 0..<4)]],
            .arrays { a in ReferenceArray(a[1].shape) { a[0][[$0[0], Int(a[1][$0])]] } },
            { $0[0].gathered(axis: 1, index: $0[1]) }),
        OpRow(
            "indexSelect", [[.real([4, 3]), .integers([5], 0..<4)], [.real([4, 3]), .integers([0], 0..<4)]],
            .arrays { a in ReferenceArray(a[1].shape + [3]) { a[0][[Int(a[1][[$0[0]]]), $0[1]]] } },
            { $0[0].indexSelect(axis: 0, index: $0[1]) }),
        OpRow(
            "indexSelect the last axis", [[.real([2, 3, 4]), .integers([5], 0..<4)]],
            .arrays { a in ReferenceArray([2, 3, 5]) { a[0][[$0[0], $0[1], Int(a[1][[$0[2]]])]] } },
            { $0[0].indexSelect(axis: -1, index: $0[1]) }),
        OpRow(
            "embedding", [[.integers([2, 3], 0..<5), .real([5, 4])], [.integers([0], 0..<5), .real([5, 4])]],
            .arrays { a in ReferenceArray(a[0].shape + [4]) { a[1][[Int(a[0][Array($0.dropLast())]), $0.last!]] } },
            { embedding($0[0], $0[1]) }),
    ]
}
