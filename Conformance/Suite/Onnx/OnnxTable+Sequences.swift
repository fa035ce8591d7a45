import Tapestry

extension OnnxTable {
    static let sequences: [String: OnnxOperator] = [
        "SequenceEmpty": { _ in OnnxValue.sequence([]) },
        "SequenceConstruct": { OnnxValue.sequence($0.inputs) },
        "SequenceAt": { try $0.sequence()[try place($0, 1)] },
        "SequenceErase": { call in
            var list = try call.sequence()
            list.remove(at: try place(call, 1, standard: -1))
            return OnnxValue.sequence(list)
        },
        "SequenceInsert": { call in
            var list = try call.sequence()
            list.insert(call.inputs[1], at: call.has(2) ? try place(call, 2) : list.count)
            return OnnxValue.sequence(list)
        },
        "SequenceLength": { Tensor(try $0.sequence().count) },
        "ConcatFromSequence": { call in
            let tensors = try call.sequence().map { value -> Tensor in
                guard case .tensor(let x, _) = value else { throw GoldenError("no tensor in the sequence") }
                return x
            }
            let axis = try call.int("axis", or: 0)
            return try call.flag("new_axis") ? stack(tensors, axis: axis) : concatenate(tensors, axis: axis)
        },
        "SplitToSequence": { call in
            let x = try call.x(), axis = try call.axis(0, rank: x.rank), size = x.shape[axis]
            guard let split = try call.optional(1) else {
                let parts = x.split(size: 1, axis: axis)
                let keeps = try call.flag("keepdims", or: true)
                return OnnxValue.sequence(parts.map { .tensor(keeps ? $0 : $0.squeezed(Axes([axis]))) })
            }
            let each = split.scalars(Int.self)
            let sizes = split.rank == 0 ? stride(from: 0, to: size, by: each[0]).map { Swift.min(each[0], size - $0) } : each
            return OnnxValue.sequence(x.split(sizes: sizes, axis: axis).map { .tensor($0) })
        },
        "Optional": { $0.inputs.first ?? OnnxValue.none },
        "OptionalHasElement": { call in
            Tensor(call.has(0))
        },
        "OptionalGetElement": { $0.inputs[0] },
    ]

    /// A position that may count from the end.
    private static func place(_ call: OnnxCall, _ i: Int, standard: Int = 0) throws -> Int {
        let count = try call.sequence().count, named = try call.inputInts(i)?.first ?? standard
        let position = named < 0 ? named + count : named
        guard (0...count).contains(position) else { throw GoldenError("\(call.op): position \(named) of \(count)") }
        return position
    }
}
