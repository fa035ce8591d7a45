import Foundation
import Tapestry

/// What is numeric of the domain of classical machine learning.
extension OnnxTable {
    static let trees: [String: OnnxOperator] = [
        "TreeEnsemble": { call in
            let x = try call.x(), forest = try OnnxForest(call)
            let rows = (x.rank == 1 ? x.unsqueezed(0) : x).matrix(Double.self)
            let scores = rows.flatMap { forest.scores($0) }
            guard try call.int("post_transform", or: 0) == 0 else { throw Unsupported("TreeEnsemble with a transform") }
            return Tensor(scores, shape: [rows.count, forest.targets], dtype: x.dtype)
        },
        "TfIdfVectorizer": { try weighedGrams($0) },
        "LabelEncoder": { call in
            let x = try call.x()
            let keys =
                try call.tensor("keys_tensor")?.scalars(Double.self) ?? call.doubles("keys_floats")
                ?? call.ints("keys_int64s")?.map { Double($0) }
            guard let keys else { throw Unsupported("LabelEncoder of text") }
            let values: Tensor, standard: Double
            if let tensor = call.tensor("values_tensor") {
                (values, standard) = (
                    tensor, call.tensor("default_tensor")?.scalars(Double.self).first ?? (tensor.dtype.isInteger ? -1 : 0)
                )
            } else if let floats = try call.doubles("values_floats") {
                (values, standard) = (
                    Tensor(floats, shape: [floats.count], dtype: .float32), try call.double("default_float", or: 0)
                )
            } else if let whole = try call.ints("values_int64s") {
                (values, standard) = (Tensor(whole, shape: [whole.count]), Double(try call.int("default_int64", or: -1)))
            } else {
                throw Unsupported("LabelEncoder to text")
            }
            let list = values.scalars(Double.self)
            let found = x.scalars(Double.self).map { v in
                keys.firstIndex { $0 == v || ($0.isNaN && v.isNaN) }.map { list[$0] } ?? standard
            }
            return Tensor(found, shape: x.shape, dtype: values.dtype)
        },
    ]

    /// How often each n-gram of a pool occurs, with up to so many places left out between its parts.
    private static func weighedGrams(_ call: OnnxCall) throws -> Tensor {
        guard let pool = try call.ints("pool_int64s") else { throw Unsupported("TfIdfVectorizer of text") }
        let x = try call.x(), rows = (x.rank == 1 ? x.unsqueezed(0) : x).matrix(Int.self)
        let starts = try call.ints("ngram_counts") ?? [], columns = try call.ints("ngram_indexes") ?? []
        let mode = try call.string("mode", or: "TF"), skips = try call.int("max_skip_count", or: 0)
        let lengths = try call.int("min_gram_length", or: 1)...(try call.int("max_gram_length", or: 1))
        var places: [[Int]: Int] = [:]
        for (i, start) in starts.enumerated() {
            let end = i + 1 < starts.count ? starts[i + 1] : pool.count
            for first in stride(from: start, to: end, by: i + 1) { places[Array(pool[first..<first + i + 1])] = places.count }
        }
        let width = (columns.max() ?? -1) + 1
        var counts = [Double](repeating: 0, count: rows.count * width)
        for (r, row) in rows.enumerated() {
            for length in lengths {
                // One place alone has nothing to skip.
                for step in 1...(length == 1 ? 1 : skips + 1) {
                    for first in 0..<Swift.max(row.count - (length - 1) * step, 0) {
                        let gram = (0..<length).map { row[first + $0 * step] }
                        if let place = places[gram] { counts[r * width + columns[place]] += 1 }
                    }
                }
            }
        }
        let factors = try call.doubles("weights") ?? columns.map { _ in 1 }
        var weights = [Double](repeating: 1, count: width)
        for (place, column) in columns.enumerated() where mode != "TF" { weights[column] = factors[place] }
        let values = counts.enumerated().map { i, n in (mode == "IDF" ? Swift.min(n, 1) : n) * weights[i % width] }
        return Tensor(values, shape: x.rank == 1 ? [width] : [rows.count, width], dtype: .float32)
    }
}

/// A forest in ONNX's lists of nodes.
private struct OnnxForest {
    let targets: Int
    private let roots, feature, modes, yes, no, yesLeaf, noLeaf, leafTarget: [Int]
    private let split, weight: [Double]
    private let missingToYes: [Int]
    /// The sets of the nodes that ask for membership.
    private var sets: [Int: Set<Double>] = [:]
    private let aggregate: Int

    init(_ call: OnnxCall) throws {
        func ints(_ name: String) throws -> [Int] { try call.ints(name) ?? [] }
        targets = try call.int("n_targets", or: 1)
        aggregate = try call.int("aggregate_function", or: 1)
        (roots, feature, modes) = (try ints("tree_roots"), try ints("nodes_featureids"), try ints("nodes_modes"))
        (yes, no) = (try ints("nodes_truenodeids"), try ints("nodes_falsenodeids"))
        (yesLeaf, noLeaf) = (try ints("nodes_trueleafs"), try ints("nodes_falseleafs"))
        (leafTarget, missingToYes) = (try ints("leaf_targetids"), try ints("nodes_missing_value_tracks_true"))
        split = try call.doubles("nodes_splits") ?? []
        weight = try call.doubles("leaf_weights") ?? []
        // One list holds the sets of all such nodes in order, with NaN between them.
        var lists = (try call.doubles("membership_values") ?? []).split { $0.isNaN }.map { Array($0) }
        for node in modes.indices where modes[node] == 6 && !lists.isEmpty { sets[node] = Set(lists.removeFirst()) }
    }

    func scores(_ x: [Double]) -> [Double] {
        var result = [Double?](repeating: nil, count: targets)
        for root in roots {
            var node = root, leaf: Int?
            while leaf == nil {
                let isYes = holds(node, x[feature[node]])
                let isLeaf = (isYes ? yesLeaf : noLeaf)[node] != 0, next = (isYes ? yes : no)[node]
                if isLeaf { leaf = next } else { node = next }
            }
            let target = leafTarget[leaf!], value = weight[leaf!]
            switch aggregate {
            case 2: result[target] = Swift.min(result[target] ?? value, value)
            case 3: result[target] = Swift.max(result[target] ?? value, value)
            default: result[target] = (result[target] ?? 0) + value
            }
        }
        return result.map { ($0 ?? 0) / (aggregate == 0 ? Double(roots.count) : 1) }
    }

    private func holds(_ node: Int, _ value: Double) -> Bool {
        if value.isNaN && missingToYes.indices.contains(node) && missingToYes[node] != 0 { return true }
        switch modes[node] {
        case 0: return value <= split[node]
        case 1: return value < split[node]
        case 2: return value >= split[node]
        case 3: return value > split[node]
        case 4: return value == split[node]
        case 5: return value != split[node]
        default: return sets[node]?.contains(value) ?? false
        }
    }
}
