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
        "LabelEncoder": { call in
            let x = try call.x()
            let keys = try call.tensor("keys_tensor")?.scalars(Double.self) ?? call.doubles("keys_floats") ?? call.ints("keys_int64s")?.map { Double($0) }
            guard let keys else { throw Unsupported("LabelEncoder of text") }
            let values: Tensor, standard: Double
            if let tensor = call.tensor("values_tensor") {
                (values, standard) = (tensor, call.tensor("default_tensor")?.scalars(Double.self).first ?? (tensor.dtype.isInteger ? -1 : 0))
            } else if let floats = try call.doubles("values_floats") {
                (values, standard) = (Tensor(floats, shape: [floats.count], dtype: .float32), try call.double("default_float", or: 0))
            } else if let whole = try call.ints("values_int64s") {
                (values, standard) = (Tensor(whole, shape: [whole.count]), Double(try call.int("default_int64", or: -1)))
            } else {
                throw Unsupported("LabelEncoder to text")
            }
            let list = values.scalars(Double.self)
            let found = x.scalars(Double.self).map { v in keys.firstIndex { $0 == v || ($0.isNaN && v.isNaN) }.map { list[$0] } ?? standard }
            return Tensor(found, shape: x.shape, dtype: values.dtype)
        },
    ]
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
