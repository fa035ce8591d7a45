import Foundation
import Tapestry
import TestSupport

/// Rearranging, scanning, sorting, scattering and contracting.
extension OpCatalog {
    private static func moved(
        _ name: String, _ shapes: [[Int]], _ reference: @escaping @Sendable (ReferenceArray) -> ReferenceArray,
        _ call: @escaping @Sendable (Tensor) -> Tensor
    ) -> OpRow {
        OpRow(name, shapes.map { [.real($0)] }, .arrays { reference($0[0]) }, integers: allIntegers + [.bool], { call($0[0]) })
    }

    static let rearranging: [OpRow] = [
        moved(
            "movedAxes", [[2, 3, 4]], { a in ReferenceArray([4, 2, 3]) { a[[$0[1], $0[2], $0[0]]] } },
            { $0.movedAxis(from: -1, to: 0) }),
        moved(
            "rolled", [[5], [2, 3], [0, 3]],
            { a in ReferenceArray(a.shape) { i in a[Array(i.dropLast()) + [(i.last! - 2 + 2 * a.shape.last!) % a.shape.last!]] }
            },
            { $0.rolled(2, axis: -1) }),
        moved(
            "rotated", [[2, 3], [0, 2]],
            { a in ReferenceArray([a.shape[1], a.shape[0]]) { a[[$0[1], a.shape[1] - 1 - $0[0]]] } },
            { $0.rotated() }),
        moved(
            "tiled", [[2, 3], [3]],
            { a in
                let lead = a.shape.count == 2 ? a.shape[0] : 1
                return ReferenceArray([lead * 2, 9]) { i in a[(a.shape.count == 2 ? [i[0] % lead] : []) + [i[1] % 3]] }
            }, { $0.tiled([2, 3]) }),
        moved(
            "repeatInterleaved", [[2, 3]], { a in ReferenceArray([2, 6]) { a[[$0[0], $0[1] / 2]] } },
            { $0.repeatInterleaved(2, axis: 1) }),
        moved(
            "windows", [[7], [2, 7]],
            { a in
                ReferenceArray(Array(a.shape.dropLast()) + [3, 3]) { i in
                    a[Array(i.dropLast(2)) + [i[i.count - 2] * 2 + i[i.count - 1]]]
                }
            }, { $0.windows(axis: -1, size: 3, step: 2) }),
        moved(
            "diagonal", [[3, 4], [4, 2], [1, 0]],
            { a in
                let n = Swift.max(0, Swift.min(a.shape[0], a.shape[1] - 1))
                return ReferenceArray([n]) { a[[$0[0], $0[0] + 1]] }
            }, { $0.diagonal(offset: 1) }),
        moved(
            "diagonalEmbedded", [[3], [2, 3]],
            { a in
                ReferenceArray(Array(a.shape.dropLast()) + [4, 4]) { i in
                    i[i.count - 2] == i[i.count - 1] + 1 ? a[Array(i.dropLast())[..<(i.count - 2)] + [i[i.count - 1]]] : 0
                }
            }, { $0.diagonalEmbedded(offset: -1) }),
        moved(
            "split at", [[2, 5]], { a in ReferenceArray([2, 3]) { a[[$0[0], $0[1] + 2]] } }, { $0.split(at: [2], axis: 1)[1] }),
        moved("split evenly", [[5, 2]], { a in ReferenceArray([2, 2]) { a[[$0[0] + 3, $0[1]]] } }, { $0.split(evenly: 2)[1] }),
        OpRow(
            "replacingDiagonal", [[.real([3, 4]), .real([3])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([3, 4]) { $0[0] == $0[1] ? a[1][[$0[0]]] : a[0][$0] }
            }, { $0[0].replacingDiagonal($0[1]) }),
        OpRow(
            "meshgrid", [[.real([2]), .real([3])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in ReferenceArray([2, 3]) { a[0][[$0[0]]] * a[1][[$0[1]]] } },
            { meshgrid($0).reduce(Tensor(ones: [], dtype: $0[0].dtype, device: $0[0].device)) { $0 * $1 } }),
        OpRow(
            "cartesianProduct", [[.real([2]), .real([3])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([6, 2]) { $0[1] == 0 ? a[0][[$0[0] / 3]] : a[1][[$0[0] % 3]] }
            },
            { cartesianProduct($0) }),
        OpRow(
            "combinations", [[.real([4])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                let pairs = (0..<4).flatMap { i in ((i + 1)..<4).map { [i, $0] } }
                return ReferenceArray([6, 2]) { a[0][[pairs[$0[0]][$0[1]]]] }
            }, { combinations($0[0]) }),
        OpRow(
            "blockDiagonal", [[.real([2, 1]), .real([1, 3])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([3, 4]) { i in i[0] < 2 ? (i[1] < 1 ? a[0][i] : 0) : (i[1] >= 1 ? a[1][[0, i[1] - 1]] : 0) }
            }, { blockDiagonal($0) }),
        OpRow(
            "index by tensors", [[.real([3, 4, 2]), .integers([5], -3..<3), .integers([5], 0..<4)]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([5, 2]) { i in
                    let row = Int(a[1][[i[0]]])
                    return a[0][[row < 0 ? row + 3 : row, Int(a[2][[i[0]]]), i[1]]]
                }
            }, { $0[0][$0[1], $0[2]] }),
        OpRow(
            "replacing by tensors", [[.real([3, 2]), .real([2, 2])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([3, 2]) { $0[0] == 2 ? a[1][[0, $0[1]]] : $0[0] == 0 ? a[1][[1, $0[1]]] : a[0][$0] }
            },
            { $0[0].replacing([.tensor(Tensor([2, 0], device: $0[0].device))], with: $0[1], accumulate: false) }),
        OpRow(
            "taken", [[.real([2, 3]), .integers([4], -6..<6)]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in ReferenceArray([4]) { a[0].values[(Int(a[1][$0]) + 6) % 6] } },
            { $0[0].taken($0[1]) }),
        OpRow(
            "takenAlong", [[.real([2, 3]), .integers([1, 2], 0..<3)]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([2, 2]) { a[0][[$0[0], Int(a[1][[0, $0[1]]])]] }
            }, { $0[0].takenAlong($0[1], axis: 1) }),
        OpRow(
            "putting", [[.real([2, 3]), .real([2])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([2, 3]) { $0 == [0, 1] ? a[1].values[0] : $0 == [1, 2] ? a[1].values[1] : a[0][$0] }
            },
            { $0[0].putting($0[1], at: Tensor([1, -1], device: $0[0].device)) }),
        OpRow(
            "maskedSelect", [[.real([2, 3])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in ReferenceArray([4], [0, 2, 3, 5].map { a[0].values[$0] }) },
            batchable: false,
            { $0[0].maskedSelect(Tensor([true, false, true], device: $0[0].device)) }),
        OpRow(
            "maskedScatter", [[.real([2, 3]), .real([4])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray(
                    [2, 3], [a[1].values[0], a[0].values[1], a[1].values[1], a[1].values[2], a[0].values[4], a[1].values[3]])
            },
            { $0[0].maskedScatter(Tensor([true, false, true], device: $0[0].device), source: $0[1]) }),
        OpRow(
            "nonzero", [[.boolean([3, 2])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                let places = ReferenceArray.indices([3, 2]).filter { a[0][$0] != 0 }
                return ReferenceArray([places.count, 2], places.flatMap { $0.map(Double.init) })
            }, types: [], orders: 0, batchable: false, { $0[0].nonzero() }),
    ]

    static let scans: [OpRow] = [
        OpRow(
            "cumprod", [[.nonzero([2, 4], gap: 0.5, to: 1.5)], [.nonzero([5], gap: 0.5, to: 1.5)], [.real([0, 2])]],
            .arrays { $0[0].mapped(along: -1) { x in x.indices.map { x[...$0].reduce(1, *) } } }, integers: [.int64], slack: 4,
            { $0[0].cumprod(axis: -1) }),
        OpRow(
            "cumprod with a zero", [[.real([3])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in ReferenceArray([3], [a[0].values[0], 0, 0]) }, types: [.float32],
            { ($0[0] * Tensor([1, 0, 1], dtype: $0[0].dtype, device: $0[0].device)).cumprod(axis: 0) }),
        OpRow(
            "cummax", [[.distinct([2, 5])], [.distinct([4])]],
            .arrays { $0[0].mapped(along: -1) { x in x.indices.map { x[...$0].max()! } } }, integers: allIntegers,
            { $0[0].cummax(axis: -1).values }),
        OpRow(
            "cummin", [[.distinct([2, 5])], [.distinct([4])]],
            .arrays { $0[0].mapped(along: 0) { x in x.indices.map { x[...$0].min()! } } }, integers: allIntegers,
            { $0[0].cummin(axis: 0).values }),
        OpRow(
            "logCumsumExp", [[.real([2, 4], -5...5)], [.real([3])]],
            .arrays {
                $0[0].mapped(along: -1) { x in x.indices.map { Foundation.log(x[...$0].reduce(0) { $0 + Foundation.exp($1) }) } }
            }, slack: 2,
            { $0[0].logCumsumExp(axis: -1) }),
    ]

    static let sorting: [OpRow] = [
        OpRow(
            "sorted", [[.distinct([2, 5])], [.distinct([70])], [.real([0, 3])], [.distinct([])]],
            .arrays { $0[0].shape.isEmpty ? $0[0] : $0[0].mapped(along: -1) { $0.sorted() } }, integers: allIntegers,
            { $0[0].sorted().values }),
        OpRow(
            "sorted, descending", [[.distinct([3, 4])]], .arrays { $0[0].mapped(along: 0) { $0.sorted(by: >) } },
            integers: allIntegers,
            { $0[0].sorted(axis: 0, descending: true).values }),
        OpRow(
            "argsort", [[.distinct([2, 5])], [.distinct([64])]],
            .arrays { $0[0].mapped(along: -1) { x in x.indices.sorted { x[$0] < x[$1] }.map(Double.init) } },
            integers: allIntegers, orders: 0, { $0[0].argsort() }),
        OpRow(
            "topK", [[.distinct([2, 7])], [.distinct([90])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                let all = a[0].mapped(along: -1) { $0.sorted(by: >) }
                return ReferenceArray(Array(a[0].shape.dropLast()) + [3]) { all[$0] }
            }, integers: allIntegers, { $0[0].topK(3).values }),
        OpRow(
            "kthValue", [[.distinct([2, 5])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([2]) { i in (0..<5).map { a[0][[i[0], $0]] }.sorted()[1] }
            },
            integers: allIntegers, { $0[0].kthValue(2).values }),
        OpRow(
            "median", [[.distinct([3, 4])], [.distinct([5])]],
            .arrays { $0[0].reduced(-1) { x in x.sorted()[(x.count - 1) / 2] } }, integers: allIntegers,
            { $0[0].median(axis: -1).values }),
        OpRow(
            "median of all", [[.distinct([3, 4])], [.distinct([5])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([], [a[0].values.sorted()[(a[0].values.count - 1) / 2]])
            },
            orders: 1, batchable: false, { $0[0].median() }),
        OpRow(
            "mode", [[.integers([3, 9], 0..<3)]],
            .arrays { $0[0].reduced(-1) { x in Set(x).max { a, b in (x.count { $0 == a }, -a) < (x.count { $0 == b }, -b) }! } },
            types: [], orders: 0, { $0[0].mode().values }),
        OpRow(
            "quantile", [[.distinct([3, 5])]],
            .arrays {
                $0[0].reduced(-1) { x in
                    let s = x.sorted()
                    return s[1] + (s[2] - s[1]) * 0.2
                }
            }, types: [.float32], slack: 4, batchable: false,
            { $0[0].quantile(Tensor(0.3, dtype: $0[0].dtype, device: $0[0].device), -1) }),
        OpRow(
            "searchSorted", [[.distinct([6]), .real([3, 2], -1...1)]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([3, 2]) { i in Double(a[0].values.count { $0 < a[1][i] }) }
            }, types: [.float32], orders: 0,
            { $0[0].sorted().values.searchSorted($0[1]) }),
        OpRow(
            "isIn", [[.integers([3, 4], 0..<9), .integers([4], 0..<9)]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([3, 4]) { a[1].values.contains(a[0][$0]) ? 1 : 0 }
            }, types: [], orders: 0, { $0[0].isIn($0[1]) }),
        OpRow(
            "bincount", [[.integers([12], 0..<4)]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([4]) { i in Double(a[0].values.count { Int($0) == i[0] }) }
            }, types: [],
            orders: 0, batchable: false, { $0[0].bincount(minimumLength: 4) }),
        OpRow(
            "histogram", [[.real([40], -0.99...0.99)]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([4]) { i in Double(a[0].values.count { Int(($0 + 1) * 2) == i[0] }) }
            }, types: [], orders: 0, batchable: false,
            { $0[0].histogram(bins: 4, range: -1...1).counts }),
        OpRow(
            "unique", [[.integers([20], 0..<6)]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                let s = Set(a[0].values).sorted()
                return ReferenceArray([s.count], s)
            }, types: [], orders: 0, batchable: false, { $0[0].unique().values }),
    ]

    static let statistics: [OpRow] = [
        OpRow("nanSum", [[.real([2, 3])]], .arrays { $0[0].reduced(-1) { $0.reduce(0, +) } }, slack: 2, { $0[0].nanSum(-1) }),
        OpRow(
            "nanMean", [[.real([2, 3])]], .arrays { $0[0].reduced(0) { $0.reduce(0, +) / Double($0.count) } }, slack: 2,
            { $0[0].nanMean(0) }),
        OpRow(
            "maximum along", [[.distinct([2, 4])]], .arrays { $0[0].reduced(-1) { $0.max()! } }, integers: allIntegers,
            { $0[0].maximum(axis: -1).values }),
        OpRow(
            "minimum along", [[.distinct([2, 4])]], .arrays { $0[0].reduced(0) { $0.min()! } }, integers: allIntegers,
            { $0[0].minimum(axis: 0).values }),
        OpRow(
            "countNonzero", [[.boolean([3, 4])]], .arrays { $0[0].reduced(0) { $0.reduce(0, +) } }, types: [], orders: 0,
            { $0[0].countNonzero(0) }),
        OpRow(
            "differences", [[.real([2, 5])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in ReferenceArray([2, 4]) { a[0][[$0[0], $0[1] + 1]] - a[0][$0] } },
            slack: 2, { $0[0].differences() }),
        OpRow(
            "trapezoid", [[.real([2, 5])]], .arrays { $0[0].reduced(-1) { half * trapezoids($0).last! } }, slack: 2,
            { $0[0].trapezoid(spacing: 0.5) }),
        OpRow(
            "cumulativeTrapezoid", [[.real([5])]], .arrays { ReferenceArray([4], trapezoids($0[0].values)) }, slack: 2,
            { $0[0].cumulativeTrapezoid() }),
        OpRow(
            "centralDifferences", [[.real([6])]], .arrays { ReferenceArray([6], centralSlopes($0[0].values)) }, types: [.float32],
            { $0[0].centralDifferences(axis: 0) }),
        OpRow(
            "covariance", [[.real([2, 5])]],
            .arrays(covarianceReference), types: [.float32], slack: 2, { $0[0].covariance() }),
        OpRow("correlation", [[.real([3, 6])]], .golden("corrcoef"), types: [.float32], { $0[0].correlation() }),
    ]

    static let distances: [OpRow] = [
        OpRow(
            "cosineSimilarity", [[.real([2, 3]), .real([2, 3])]],
            .arrays(cosineReference), slack: 4, { cosineSimilarity($0[0], $0[1]) }),
        OpRow(
            "normalized", [[.real([2, 3])]],
            .arrays { $0[0].mapped(along: 1, unit) }, slack: 2,
            { normalized($0[0]) }),
        OpRow(
            "cdist", [[.real([3, 2]), .real([4, 2])]],
            .arrays(distanceReference), types: [.float32], slack: 2, { cdist($0[0], $0[1]) }),
        OpRow("pdist", [[.real([4, 2])]], .golden("nn.functional.pdist"), types: [.float32], { pdist($0[0], p: 3) }),
        OpRow(
            "pairwiseDistance", [[.real([3, 2]), .real([3, 2])]], .golden("nn.functional.pairwise_distance"), types: [.float32],
            { pairwiseDistance($0[0], $0[1]) }),
        OpRow(
            "renormalized", [[.real([3, 2, 2])]], .golden("renorm"), types: [.float32],
            { $0[0].renormalized(p: 2, axis: 0, maxNorm: 1) }),
    ]

    private static func scatter(
        _ name: String, _ golden: String, orders: Int = 2, _ call: @escaping @Sendable (Tensor, Tensor, Tensor) -> Tensor
    ) -> OpRow {
        OpRow(
            name, [[.distinct([3, 4]), .integers([2, 4], 0..<3), .distinct([2, 4])]], .golden(golden), orders: orders,
            { call($0[0], $0[1], $0[2] + 0.031) })
    }

    static let scattering: [OpRow] = [
        OpRow(
            "scattered", [[.real([3, 4]), .real([2, 4])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([3, 4]) { $0[0] == 2 ? a[1][[0, $0[1]]] : $0[0] == 0 ? a[1][[1, $0[1]]] : a[0][$0] }
            }, integers: allIntegers,
            { $0[0].scattered(axis: 0, index: Tensor([[2, 2, 2, 2], [0, 0, 0, 0]], device: $0[0].device), source: $0[1]) }),
        OpRow(
            "scatterAdded", [[.real([3, 4]), .integers([2, 4], 0..<3), .real([2, 4])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([3, 4]) { i in
                    (0..<2).reduce(a[0][i]) { Int(a[1][[$1, i[1]]]) == i[0] ? $0 + a[2][[$1, i[1]]] : $0 }
                }
            },
            { $0[0].scatterAdded(axis: 0, index: $0[1], source: $0[2]) }),
        scatter("scatterReduced mean", "scatter_reduce", { $0.scatterReduced(axis: 0, index: $1, source: $2, .mean) }),
        scatter(
            "scatterReduced sum", "scatter_reduce",
            { $0.scatterReduced(axis: 0, index: $1, source: $2, .sum, includeSelf: false) }),
        scatter("scatterReduced max", "scatter_reduce", { $0.scatterReduced(axis: 0, index: $1, source: $2, .max) }),
        scatter(
            "scatterReduced min", "scatter_reduce",
            { $0.scatterReduced(axis: 0, index: $1, source: $2, .min, includeSelf: false) }),
        scatter("scatterReduced prod", "scatter_reduce", { $0.scatterReduced(axis: 0, index: $1, source: $2, .prod) }),
        OpRow(
            "indexAdded", [[.real([3, 2]), .real([2, 2])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([3, 2]) { $0[0] == 1 ? a[0][$0] + a[1][[0, $0[1]]] + a[1][[1, $0[1]]] : a[0][$0] }
            }, slack: 2,
            { $0[0].indexAdded(axis: 0, index: Tensor([1, 1], device: $0[0].device), source: $0[1]) }),
        OpRow(
            "indexCopied", [[.real([3, 2]), .real([2, 2])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([3, 2]) { $0[0] == 2 ? a[1][[0, $0[1]]] : $0[0] == 0 ? a[1][[1, $0[1]]] : a[0][$0] }
            },
            { $0[0].indexCopied(axis: 0, index: Tensor([2, 0], device: $0[0].device), source: $0[1]) }),
        OpRow(
            "indexFilled", [[.real([3, 2]), .real([])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([3, 2]) { $0[0] == 1 ? a[1].values[0] : a[0][$0] }
            },
            { $0[0].indexFilled(axis: 0, index: Tensor([1], device: $0[0].device), value: $0[1]) }),
    ]

    static let contractions: [OpRow] = [
        OpRow(
            "outer", [[.real([2]), .real([3])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in ReferenceArray([2, 3]) { a[0][[$0[0]]] * a[1][[$0[1]]] } },
            integers: [.int64], { outer($0[0], $0[1]) }),
        OpRow(
            "dot", [[.real([4]), .real([4])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([], [zip(a[0].values, a[1].values).reduce(0) { $0 + $1.0 * $1.1 }])
            }, slack: 4, { dot($0[0], $0[1]) }),
        OpRow(
            "inner", [[.real([2, 4]), .real([3, 4])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([2, 3]) { i in (0..<4).reduce(0) { $0 + a[0][[i[0], $1]] * a[1][[i[1], $1]] } }
            },
            slack: 4, { inner($0[0], $0[1]) }),
        OpRow(
            "tensordot", [[.real([2, 3, 4]), .real([4, 2, 5])]],
            .arrays(tensordotReference), slack: 8, { tensordot($0[0], $0[1], axes: ([0, 2], [1, 0])) }),
        OpRow(
            "kron", [[.real([2, 2]), .real([1, 3])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in
                ReferenceArray([2, 6]) { a[0][[$0[0], $0[1] / 3]] * a[1][[0, $0[1] % 3]] }
            }, { kron($0[0], $0[1]) }),
        OpRow(
            "einsum", [[.real([2, 3, 4]), .real([2, 4, 5]), .real([5])]],
            .arrays(einsumReference), slack: 16, { einsum("bik,bkj,j->ib", $0[0], $0[1], $0[2]) }),
        OpRow(
            "einsum of a diagonal", [[.real([3, 3])]],
            .arrays { (a: [ReferenceArray]) -> ReferenceArray in ReferenceArray([], [(0..<3).reduce(0) { $0 + a[0][[$1, $1]] }])
            }, slack: 2,
            { einsum("ii", $0[0]) }),
    ]

    @Sendable private static func covarianceReference(_ a: [ReferenceArray]) -> ReferenceArray {
        func row(_ r: Int) -> [Double] {
            let x = (0..<5).map { a[0][[r, $0]] }, mean = x.reduce(0, +) / 5
            return x.map { $0 - mean }
        }
        return ReferenceArray([2, 2]) { (i: [Int]) -> Double in
            let x: [Double] = row(i[0]), y: [Double] = row(i[1])
            var total = 0.0
            for k in 0..<5 { total += x[k] * y[k] }
            return total / 4
        }
    }

    @Sendable private static func cosineReference(_ a: [ReferenceArray]) -> ReferenceArray {
        return ReferenceArray([2]) { (i: [Int]) -> Double in
            var d = 0.0, x = 0.0, y = 0.0
            for k in 0..<3 {
                let u: Double = a[0][[i[0], k]], v: Double = a[1][[i[0], k]]
                d += u * v
                x += u * u
                y += v * v
            }
            return d / (x * y).squareRoot()
        }
    }

    @Sendable private static func distanceReference(_ a: [ReferenceArray]) -> ReferenceArray {
        return ReferenceArray([3, 4]) { (i: [Int]) -> Double in
            let x: Double = a[0][[i[0], 0]] - a[1][[i[1], 0]]
            let y: Double = a[0][[i[0], 1]] - a[1][[i[1], 1]]
            return Foundation.hypot(x, y)
        }
    }

    @Sendable private static func tensordotReference(_ a: [ReferenceArray]) -> ReferenceArray {
        return ReferenceArray([3, 5]) { (i: [Int]) -> Double in
            var sum = 0.0
            for x in 0..<2 { for y in 0..<4 { sum += a[0][[x, i[0], y]] * a[1][[y, x, i[1]]] } }
            return sum
        }
    }

    @Sendable private static func einsumReference(_ a: [ReferenceArray]) -> ReferenceArray {
        return ReferenceArray([3, 2]) { (i: [Int]) -> Double in
            var sum = 0.0
            for k in 0..<4 { for j in 0..<5 { sum += a[0][[i[1], i[0], k]] * a[1][[i[1], k, j]] * a[2].values[j] } }
            return sum
        }
    }

    private static let half = 0.5

    /// Running integrals between places one apart.
    private static func trapezoids(_ x: [Double]) -> [Double] {
        var sum = 0.0
        return (1..<x.count).map { i in
            sum += (x[i] + x[i - 1]) / 2
            return sum
        }
    }

    private static func centralSlopes(_ x: [Double]) -> [Double] {
        let last = x.count - 1
        return x.indices.map { i in
            if i == 0 { return x[1] - x[0] }
            if i == last { return x[last] - x[last - 1] }
            return (x[i + 1] - x[i - 1]) / 2
        }
    }

    @Sendable private static func unit(_ x: [Double]) -> [Double] {
        let length = x.reduce(0.0) { $0 + $1 * $1 }.squareRoot()
        return x.map { $0 / length }
    }
}
