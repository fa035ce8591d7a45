import Tapestry
import TestSupport

/// Every operation, by family. A new operation adds its row here and gets every check of ``OpCatalogTests``.
package enum OpCatalog {
    package static let rows: [OpRow] = families.flatMap(\.rows)

    /// The rows by the kind of operation, as `Documentation/Operations.md` lists them.
    package static let families: [(title: String, rows: [OpRow])] = [
        ("Elementwise functions", unary + special), ("Activations", activations + moreActivations),
        ("Functions of two operands", binary + moreBinary + integers), ("Comparison, logic and choice", logic),
        ("Complex numbers", complexNumbers), ("Reductions", reductions), ("Scans", scans), ("Sorting and searching", sorting),
        ("Statistics", statistics), ("Distances and similarities", distances), ("Shape", shapes + rearranging + blocks),
        ("Indexing", indexing + indexTuples), ("Scattering", scattering), ("Products and contractions", products + contractions),
        ("Linear algebra", linearAlgebra), ("Fourier transforms", fourier + shortTime),
        ("Normalisation", normalizations + channelNorms),
        ("Convolution", convolutions + deformable), ("Pooling", pooling), ("Resampling", resampling), ("Detection", detection),
        ("Recurrences", recurrences), ("Tables and bilinear maps", bags),
        ("Losses", losses + elementLosses + rowLosses),
    ]

    /// Shapes for anything elementwise: a matrix, a scalar, empty ones, and one longer than a vector register.
    static let plainShapes: [[Int]] = [[2, 3], [], [0], [2, 0, 3], [37]]

    /// Pairs of shapes that broadcast.
    static let pairs: [([Int], [Int])] = [
        ([2, 3], [2, 3]), ([2, 3], [3]), ([2, 1], [1, 3]), ([], [4]), ([3, 1, 2], [2, 1]), ([0, 3], [3]), ([], []), ([19], [19]),
    ]

    static func each(_ domain: ([Int]) -> Operand) -> [[Operand]] { plainShapes.map { [domain($0)] } }

    static func eachPair(_ a: ([Int]) -> Operand, _ b: ([Int]) -> Operand) -> [[Operand]] { pairs.map { [a($0.0), b($0.1)] } }

    static let allIntegers: [DType] = [.int64, .int32, .int8, .uint8]
}
