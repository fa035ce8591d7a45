import Tapestry

extension ModuleTable {
    /// Recurrent layers: both kinds of parameters, by PyTorch's names.
    static let recurrent: [String: Maker] = [
        "RNN": { o in
            try o.allow(recurrentOptions + ["nonlinearity"])
            let c = o.call
            let layer = RNN(
                try c.int(0, "input_size"), try c.int(1, "hidden_size"), layers: try c.int(2, "num_layers", or: 1),
                nonlinearity: try nonlinearity(c, 3), bias: c.bool(4, "bias", or: true), batchFirst: c.bool(5, "batch_first"),
                dropout: try dropout(o), bidirectional: c.bool(7, "bidirectional"), dtype: o.dtype)
            return GoldenModule(layer, parameters: named(layer)) { call in
                let (output, state) = layer(try call.tensor(0, "input"), state: try call.optionalTensor(1, "hx"))
                return ["out.0": output, "out.1": state]
            }
        },
        "GRU": { o in
            try o.allow(recurrentOptions)
            let c = o.call
            let layer = GRU(
                try c.int(0, "input_size"), try c.int(1, "hidden_size"), layers: try c.int(2, "num_layers", or: 1),
                bias: c.bool(3, "bias", or: true), batchFirst: c.bool(4, "batch_first"), dropout: try dropout(o),
                bidirectional: c.bool(6, "bidirectional"), dtype: o.dtype)
            return GoldenModule(layer, parameters: named(layer)) { call in
                let (output, state) = layer(try call.tensor(0, "input"), state: try call.optionalTensor(1, "hx"))
                return ["out.0": output, "out.1": state]
            }
        },
        "LSTM": { o in
            try o.allow(recurrentOptions + ["proj_size"])
            let c = o.call, size = try c.int(7, "proj_size", or: 0)
            let layer = LSTM(
                try c.int(0, "input_size"), try c.int(1, "hidden_size"), layers: try c.int(2, "num_layers", or: 1),
                bias: c.bool(3, "bias", or: true), batchFirst: c.bool(4, "batch_first"), dropout: try dropout(o),
                bidirectional: c.bool(6, "bidirectional"), projection: size > 0 ? size : nil, dtype: o.dtype)
            return GoldenModule(layer, parameters: named(layer)) { call in
                let (output, state) = layer(try call.tensor(0, "input"), state: state(call))
                return ["out.0": output, "out.1.0": state.hidden, "out.1.1": state.cell]
            }
        },
        "RNNCell": { o in
            try o.allow("input_size", "hidden_size", "bias", "nonlinearity")
            let c = o.call
            let layer = RNNCell(
                try c.int(0, "input_size"), try c.int(1, "hidden_size"), bias: c.bool(2, "bias", or: true),
                nonlinearity: try nonlinearity(c, 3), dtype: o.dtype)
            return GoldenModule(layer, parameters: named(layer)) {
                ["out": layer(try $0.tensor(0, "input"), state: try $0.optionalTensor(1, "hx"))]
            }
        },
        "GRUCell": { o in
            try o.allow("input_size", "hidden_size", "bias")
            let c = o.call
            let layer = GRUCell(
                try c.int(0, "input_size"), try c.int(1, "hidden_size"), bias: c.bool(2, "bias", or: true), dtype: o.dtype)
            return GoldenModule(layer, parameters: named(layer)) {
                ["out": layer(try $0.tensor(0, "input"), state: try $0.optionalTensor(1, "hx"))]
            }
        },
        "LSTMCell": { o in
            try o.allow("input_size", "hidden_size", "bias")
            let c = o.call
            let layer = LSTMCell(
                try c.int(0, "input_size"), try c.int(1, "hidden_size"), bias: c.bool(2, "bias", or: true), dtype: o.dtype)
            return GoldenModule(layer, parameters: named(layer)) {
                let next = layer(try $0.tensor(0, "input"), state: state($0))
                return ["out.0": next.hidden, "out.1": next.cell]
            }
        },
    ]

    private static let recurrentOptions = [
        "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional",
    ]

    /// Parameters under the names that the layer itself gives them, which are PyTorch's.
    static func named(_ module: Module) -> [String: Parameter?] {
        Dictionary(uniqueKeysWithValues: module.namedParameters.map { ($0.name, $0.parameter) })
    }

    private static func nonlinearity(_ call: GoldenCall, _ position: Int) throws -> RNNNonlinearity {
        let name = call.string(position, "nonlinearity", or: "tanh")
        guard let result = RNNNonlinearity(rawValue: name) else { throw GoldenError("nonlinearity \(name)") }
        return result
    }

    static func dropout(_ o: ModuleOptions, _ position: Int = 99, or standard: Double = 0) throws -> Double {
        try o.call.double(position, "dropout", or: standard)
    }

    private static func state(_ call: GoldenCall) -> LSTMState? {
        let parts = call.value(1, "hx").tensors
        return parts.count == 2 ? LSTMState(hidden: parts[0], cell: parts[1]) : nil
    }
}
