import Tapestry

extension OpTable {
    static let structure: [String: Function] = [
        "reshape": { [try $0.tensor(0).reshaped(try $0.ints(1))] },
        "view": { call in
            if case .dtype = call.value(1) { throw Unsupported("views of another type") }
            return [try call.tensor(0).reshaped(try call.ints(1))]
        },
        "flatten": {
            [try $0.tensor(0).flattened(from: try $0.int(1, "start_dim", or: 0), through: try $0.int(2, "end_dim", or: -1))]
        },
        "unflatten": { [try $0.tensor(0).unflattened(try $0.int(1), into: try $0.ints(2))] },
        "squeeze": { call in
            if call.arguments.count == 1 { return [try call.tensor(0).squeezed()] }
            return [try call.tensor(0).squeezed(Axes(try call.ints(1)))]
        },
        "unsqueeze": { [try $0.tensor(0).unsqueezed(try $0.int(1))] },
        "permute": { [try $0.tensor(0).permuted(try $0.ints(1, "dims"))] },
        "transpose": { call in
            let x = try call.tensor(0)
            return [x.transposed(try call.int(1), try call.int(2))]
        },
        "t": { call in
            let x = try call.tensor(0)
            return [x.rank < 2 ? x : x.T]
        },
        "expand": { [try expand($0)] }, "broadcast_to": { [try expand($0)] },
        "sum_to_size": { [try $0.tensor(0).summed(to: try $0.ints(1))] },
        "flip": { [try $0.tensor(0).flipped(Axes(try $0.ints(1, "dims")))] },
        "tril": { [try $0.tensor(0).tril(diagonal: try $0.int(1, "diagonal", or: 0))] },
        "triu": { [try $0.tensor(0).triu(diagonal: try $0.int(1, "diagonal", or: 0))] },
        "narrow": { [try $0.tensor(0).narrowed(axis: try $0.int(1), start: try $0.int(2), length: try $0.int(3))] },
        "select": { call in
            let x = try call.tensor(0), axis = try call.int(1)
            let lead = [TensorIndex](repeating: .all, count: axis < 0 ? axis + x.rank : axis)
            return [x.slice(lead + [.at(try call.int(2))])]
        },
        "split": { call in
            if case .list = call.value(1) {
                return try call.tensor(0).split(sizes: try call.ints(1), axis: try call.int(2, "dim", or: 0))
            }
            return try call.tensor(0).split(size: try call.int(1), axis: try call.int(2, "dim", or: 0))
        },
        "split_with_sizes": { try $0.tensor(0).split(sizes: try $0.ints(1), axis: try $0.int(2, "dim", or: 0)) },
        "chunk": { try $0.tensor(0).chunked(try $0.int(1), axis: try $0.int(2, "dim", or: 0)) },
        "cat": { call in
            try call.allow("dim")
            return [concatenate(call.value(0).tensors, axis: try call.int(1, "dim", or: 0))]
        },
        "stack": { [stack($0.value(0).tensors, axis: try $0.int(1, "dim", or: 0))] },
        "gather": { [try $0.tensor(0).gathered(axis: try $0.int(1), index: try $0.tensor(2))] },
        "index_select": { [try $0.tensor(0).indexSelect(axis: try $0.int(1), index: try $0.tensor(2))] },
    ]

    static func expand(_ call: GoldenCall) throws -> Tensor {
        let x = try call.tensor(0)
        var shape = try call.ints(1)
        let lead = shape.count - x.rank
        for i in shape.indices where shape[i] == -1 && i >= lead { shape[i] = x.shape[i - lead] }
        return x.expanded(to: shape)
    }
}
