import Foundation
import Tapestry

extension OnnxTable {
    static let shape: [String: OnnxOperator] = [
        "Reshape": { call in
            let x = try call.x(), keepsZero = try call.flag("allowzero")
            let sizes = try call.intsInEither("shape", input: 1) ?? []
            return x.reshaped(sizes.enumerated().map { $1 == 0 && !keepsZero ? x.shape[$0] : $1 })
        },
        "Flatten": { call in
            let x = try call.x(), axis = try call.axis(1, rank: x.rank), outer = x.shape[..<axis].reduce(1, *)
            return x.reshaped([outer, x.shape[axis...].reduce(1, *)])
        },
        "Squeeze": { call in
            let x = try call.x()
            return x.squeezed(try call.intsInEither("axes", input: 1).map { Axes($0) } ?? .all)
        },
        "Unsqueeze": { call in
            let x = try call.x(), axes = try call.intsInEither("axes", input: 1) ?? []
            let rank = x.rank + axes.count
            return axes.map { $0 < 0 ? $0 + rank : $0 }.sorted().reduce(x) { $0.unsqueezed($1) }
        },
        "Transpose": { call in
            let x = try call.x()
            return x.permuted(try call.ints("perm") ?? Array((0..<x.rank).reversed()))
        },
        "Concat": { concatenate(try $0.tensors, axis: try $0.int("axis", or: 1)) },
        "Split": { call in outputs(try parts(call, try call.intsInEither("split", input: 1))) },
        "Slice": { call in
            let x = try call.x()
            let starts = try call.intsInEither("starts", input: 1) ?? [], ends = try call.intsInEither("ends", input: 2) ?? []
            let axes = try call.intsInEither("axes", input: 3) ?? Array(0..<starts.count)
            let steps = try call.inputInts(4) ?? axes.map { _ in 1 }
            return axes.indices.reduce(x) { sliced($0, axes[$1], starts[$1], ends[$1], steps[$1]) }
        },
        "Expand": { call in
            let x = try call.x(), wanted = try call.inputInts(1) ?? []
            guard let shape = broadcastShape(x.shape, wanted) else { throw GoldenError("Expand: \(x.shape) to \(wanted)") }
            return x.expanded(to: shape)
        },
        "Tile": { call in
            let x = try call.x(), counts = try call.inputInts(1) ?? []
            if call.opset >= 6 { return x.tiled(counts) }
            let axis = try call.x(2).item(Int.self)
            return x.tiled((0..<x.rank).map { $0 == axis ? counts[0] : 1 })
        },
        "Pad": { call in
            let x = try call.x(), mode = try call.string("mode", or: "constant")
            let pads = try call.intsInEither("pads", input: 1) ?? call.ints("paddings") ?? []
            let axes = (try call.inputInts(3) ?? Array(0..<x.rank)).map { $0 < 0 ? $0 + x.rank : $0 }
            var amounts = [Int](repeating: 0, count: 2 * x.rank)
            for (i, axis) in axes.enumerated() {
                amounts[2 * (x.rank - 1 - axis)] = pads[i]
                amounts[2 * (x.rank - 1 - axis) + 1] = pads[axes.count + i]
            }
            let value = try call.inputDoubles(2)?.first ?? call.double("value", or: 0)
            let modes: [String: PaddingMode] = [
                "constant": .constant(value), "reflect": .reflect, "edge": .replicate, "wrap": .circular,
            ]
            guard let padding = modes[mode] else { throw Unsupported("Pad mode \(mode)") }
            return x.padded(amounts, mode: padding)
        },
        "Shape": { call in
            let shape = try call.x().shape
            func bound(_ i: Int) -> Int { Swift.min(Swift.max(i < 0 ? i + shape.count : i, 0), shape.count) }
            let start = bound(try call.int("start", or: 0)), end = bound(try call.int("end", or: shape.count))
            return Tensor(Array(shape[start..<Swift.max(start, end)]), shape: [Swift.max(end - start, 0)])
        },
        "Size": { Tensor(try $0.x().count) },
        "DepthToSpace": { call in
            let order: DepthOrder = try call.string("mode", or: "DCR") == "CRD" ? .channelsFirst : .blocksFirst
            return depthToSpace(try call.x(), blockSize: try call.int("blocksize", or: 1), order: order)
        },
        "SpaceToDepth": { spaceToDepth(try $0.x(), blockSize: try $0.int("blocksize", or: 1)) },
        "CenterCropPad": { call in
            let x = try call.x(), sizes = try call.inputInts(1) ?? []
            let axes = (try call.ints("axes") ?? Array(0..<x.rank)).map { $0 < 0 ? $0 + x.rank : $0 }
            var amounts = [Int](repeating: 0, count: 2 * x.rank)
            for (axis, size) in zip(axes, sizes) {
                let missing = size - x.shape[axis], place = 2 * (x.rank - 1 - axis)
                // Both halves are rounded towards zero; the rest goes to the end.
                amounts[place] = missing / 2
                amounts[place + 1] = missing - missing / 2
            }
            return x.padded(amounts)
        },
        "Trilu": { call in
            let x = try call.x(), k = try call.inputInts(1)?.first ?? 0
            return try call.flag("upper", or: true) ? x.triu(diagonal: k) : x.tril(diagonal: k)
        },
        "EyeLike": { call in
            let x = try call.x(), type = try call.optionalInt("dtype").map(onnxType) ?? x.dtype
            let ones = Tensor(ones: x.shape, dtype: .float32), k = try call.int("k", or: 0)
            return ones.triu(diagonal: k).tril(diagonal: k).to(type)
        },
        "ConstantOfShape": { call in
            let value = call.tensor("value") ?? Tensor([0.0], dtype: .float32)
            return value.reshaped([]).expanded(to: try call.inputInts(0) ?? []).contiguous()
        },
        "Constant": { call in
            if let value = call.tensor("value") { return value }
            if let number = try call.optionalInt("value_int") { return Tensor(number) }
            if let numbers = try call.ints("value_ints") { return Tensor(numbers, shape: [numbers.count]) }
            if call.has("value_float") { return Tensor(try call.double("value_float", or: 0), dtype: .float32) }
            if let numbers = try call.doubles("value_floats") { return Tensor(numbers, shape: [numbers.count], dtype: .float32) }
            throw Unsupported("Constant of text or a sparse tensor")
        },
        "Range": { call in
            let start = try call.x(0), step = try call.x(2).item(Double.self), type = start.dtype
            let length = try call.x(1).item(Double.self) - start.item(Double.self)
            let count = Swift.max(Int((length / step).rounded(.up)), 0)
            let wide: DType = type.isInteger ? .int64 : .float64
            return (start.to(wide) + Tensor(arange: count, dtype: wide) * (try call.x(2).to(wide))).to(type)
        },
        "ReverseSequence": { call in
            let x = try call.x(), time = try call.axis(0, "time_axis", rank: x.rank)
            return x.reversedSequences(
                lengths: try call.x(1), axis: time, batchAxis: try call.axis(1, "batch_axis", rank: x.rank))
        },
    ]

    /// Sizes of `Split` and `SplitToSequence`: given, or as equal as possible with a smaller last one.
    static func parts(_ call: OnnxCall, _ sizes: [Int]?) throws -> [Tensor] {
        let x = try call.x(), axis = try call.axis(0, rank: x.rank)
        if let sizes { return x.split(sizes: sizes, axis: axis) }
        let count = try call.int("num_outputs", or: call.outputCount), size = x.shape[axis]
        let each = (size + count - 1) / Swift.max(count, 1)
        return x.split(sizes: (0..<count).map { Swift.max(Swift.min(each, size - $0 * each), 0) }, axis: axis)
    }

    /// Python's slice, with ends far out of range allowed.
    private static func sliced(_ x: Tensor, _ axis: Int, _ start: Int, _ end: Int, _ step: Int) -> Tensor {
        let axis = axis < 0 ? axis + x.rank : axis, size = x.shape[axis]
        func bound(_ i: Int, _ low: Int, _ high: Int) -> Int { Swift.min(Swift.max(i < 0 ? i + size : i, low), high) }
        let range = step > 0 ? (0, size) : (-1, size - 1)
        let from = bound(start, 0, range.1)
        let to = bound(Swift.max(end, -size - 1), range.0, range.1)
        if step == 1 { return x.narrowed(axis: axis, start: from, length: Swift.max(to - from, 0)) }
        let places = Array(stride(from: from, to: to, by: step))
        return x.indexSelect(axis: axis, index: Tensor(places, shape: [places.count]))
    }
}
