import Tapestry

extension ModuleTable {
    /// Tables, bilinear maps, and what changes shapes or compares.
    static let tables: [String: Maker] = [
        "Embedding": { o in
            try o.allow(
                "num_embeddings", "embedding_dim", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse")
            let c = o.call, rows = try c.int(0, "num_embeddings")
            let layer = Embedding(
                rows, try c.int(1, "embedding_dim"), paddingIndex: padding(c, 2, rows), maxNorm: try number(c, 3, "max_norm"),
                normType: try c.double(4, "norm_type", or: 2), scaleGradByFrequency: c.bool(5, "scale_grad_by_freq"),
                dtype: o.dtype)
            return GoldenModule(layer, parameters: ["weight": layer.weight])
        },
        "EmbeddingBag": { o in
            try o.allow(
                "num_embeddings", "embedding_dim", "max_norm", "norm_type", "scale_grad_by_freq", "mode", "sparse",
                "include_last_offset", "padding_idx")
            let c = o.call, rows = try c.int(0, "num_embeddings")
            guard let mode = BagMode(rawValue: c.string(5, "mode", or: "mean")) else { throw GoldenError("mode") }
            let layer = EmbeddingBag(
                rows, try c.int(1, "embedding_dim"), mode: mode, paddingIndex: padding(c, 8, rows),
                includesEnd: c.bool(7, "include_last_offset"), maxNorm: try number(c, 2, "max_norm"),
                normType: try c.double(3, "norm_type", or: 2), scaleGradByFrequency: c.bool(4, "scale_grad_by_freq"),
                dtype: o.dtype)
            return GoldenModule(layer, parameters: ["weight": layer.weight]) { call in
                let offsets = try call.optionalTensor(1, "offsets")?.scalars(Int.self)
                return [
                    "out": layer(
                        try call.tensor(0, "input"), offsets: offsets, weights: try call.optionalTensor(2, "per_sample_weights"))
                ]
            }
        },
        "Bilinear": { o in
            try o.allow("in1_features", "in2_features", "out_features", "bias")
            let c = o.call
            let layer = Bilinear(
                try c.int(0, "in1_features"), try c.int(1, "in2_features"), try c.int(2, "out_features"),
                bias: c.bool(3, "bias", or: true), dtype: o.dtype)
            return GoldenModule(layer, parameters: ["weight": layer.weight, "bias": layer.bias]) {
                ["out": layer(try $0.tensor(0, "input1"), try $0.tensor(1, "input2"))]
            }
        },
        "CosineSimilarity": { o in
            try o.allow("dim", "eps")
            let layer = CosineSimilarity(axis: try o.call.int(0, "dim", or: 1), eps: try o.call.double(1, "eps", or: 1e-8))
            return GoldenModule(layer) { ["out": layer(try $0.tensor(0, "x1"), try $0.tensor(1, "x2"))] }
        },
        "PairwiseDistance": { o in
            try o.allow("p", "eps", "keepdim")
            let layer = PairwiseDistance(
                p: try o.call.double(0, "p", or: 2), eps: try o.call.double(1, "eps", or: 1e-6),
                keepDims: o.call.bool(2, "keepdim"))
            return GoldenModule(layer) { ["out": layer(try $0.tensor(0, "x1"), try $0.tensor(1, "x2"))] }
        },
        "Flatten": { o in
            try o.allow("start_dim", "end_dim")
            return GoldenModule(
                Flatten(from: try o.call.int(0, "start_dim", or: 1), through: try o.call.int(1, "end_dim", or: -1)))
        },
        "Unflatten": { o in
            try o.allow("dim", "unflattened_size")
            return GoldenModule(Unflatten(try o.call.int(0, "dim"), into: try o.call.ints(1, "unflattened_size")))
        },
        "Identity": { _ in GoldenModule(Identity()) },
        "RReLU": { o in
            try o.allow("lower", "upper", "inplace")
            let layer = RReLU(
                lower: try o.call.double(0, "lower", or: 1.0 / 8), upper: try o.call.double(1, "upper", or: 1.0 / 3))
            return GoldenModule(layer) { call in
                if layer.isTraining && layer.lower != layer.upper { throw Unsupported("random slopes") }
                return ["out": layer(try call.tensor(0, "input"))]
            }
        },
        "Dropout": random { Dropout($0) }, "Dropout1d": random { Dropout1d($0) }, "Dropout2d": random { Dropout2d($0) },
        "Dropout3d": random { Dropout3d($0) }, "AlphaDropout": random { AlphaDropout($0) },
        "FeatureAlphaDropout": random { FeatureAlphaDropout($0) },
    ]

    private static func random(_ make: @escaping @Sendable (Double) -> any Layer) -> Maker {
        { o in
            try o.allow("p", "inplace")
            let p = try o.call.double(0, "p", or: 0.5), layer = make(p)
            return GoldenModule(layer) { call in
                if layer.isTraining && p > 0 && p < 1 { throw Unsupported("dropout") }
                return ["out": layer(try call.tensor(0, "input"))]
            }
        }
    }

    private static func padding(_ call: GoldenCall, _ position: Int, _ rows: Int) -> Int? {
        if case .int(let i) = call.value(position, "padding_idx") { return i < 0 ? i + rows : i }
        return nil
    }

    private static func number(_ call: GoldenCall, _ position: Int, _ name: String) throws -> Double? {
        if case .none = call.value(position, name) { return nil }
        return try call.double(position, name, or: 0)
    }
}
