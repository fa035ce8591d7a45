import ComplexModule
import Tapestry

extension OpTable {
    private static func parts(_ call: GoldenCall) throws -> [Tensor] {
        if case .list = call.value(0) { return call.value(0).tensors }
        return call.arguments.flatMap(\.tensors)
    }

    private static func cut(_ call: GoldenCall, _ axis: (Tensor) -> Int) throws -> [Tensor] {
        let x = try call.tensor(0)
        switch call.value(1, "indices_or_sections", "indices", "sections") {
        case .int(let n): return x.split(evenly: n, axis: axis(x))
        case .tensor(let t): return x.split(at: t.scalars(Int.self), axis: axis(x))
        default: return x.split(at: try call.ints(1, "indices"), axis: axis(x))
        }
    }

    static func axesOrAll(_ call: GoldenCall, _ position: Int, _ name: String) throws -> [Int] {
        switch call.value(position, name) {
        case .int(let i): return [i]
        default: return try call.ints(position, name)
        }
    }

    static let arrangement: [String: Function] = [
        "movedim": {
            [try $0.tensor(0).movedAxes(from: try axesOrAll($0, 1, "source"), to: try axesOrAll($0, 2, "destination"))]
        },
        "moveaxis": {
            [try $0.tensor(0).movedAxes(from: try axesOrAll($0, 1, "source"), to: try axesOrAll($0, 2, "destination"))]
        },
        "swapaxes": { [try $0.tensor(0).transposed(try $0.int(1), try $0.int(2))] },
        "roll": { call in
            let shifts = try axesOrAll(call, 1, "shifts")
            if case .none = call.value(2, "dims") { return [try call.tensor(0).rolled(shifts[0])] }
            return [try call.tensor(0).rolled(shifts, axes: try axesOrAll(call, 2, "dims"))]
        },
        "rot90": { call in
            if case .none = call.value(2, "dims") { return [try call.tensor(0).rotated(try call.int(1, "k", or: 1))] }
            let axes = try call.ints(2, "dims")
            return [try call.tensor(0).rotated(try call.int(1, "k", or: 1), axes: (axes[0], axes[1]))]
        },
        "repeat": { call in
            let x = try call.tensor(0), times = try call.ints(1)
            if times.count < x.rank { throw GoldenError("fewer repetitions than axes") }
            return [x.tiled(times)]
        },
        "tile": { [try $0.tensor(0).tiled(try $0.ints(1, "dims"))] },
        "repeat_interleave": { call in
            try call.allow("repeats", "dim", "output_size")
            let x = try call.tensor(0), axis: Int? = call.has("dim") ? try call.int(2, "dim") : nil
            if case .tensor(let times) = call.value(1, "repeats") { return [x.repeatInterleaved(times, axis: axis)] }
            return [x.repeatInterleaved(try call.int(1, "repeats"), axis: axis)]
        },
        "unfold": { [try $0.tensor(0).windows(axis: try $0.int(1), size: try $0.int(2), step: try $0.int(3))] },
        "ravel": one { $0.reshaped([-1]) }, "contiguous": one { $0.contiguous() }, "clone": one { $0 },
        "reshape_as": { [try $0.tensor(0).reshaped(try $0.tensor(1).shape)] },
        "view_as": { [try $0.tensor(0).reshaped(try $0.tensor(1).shape)] },
        "expand_as": { [try $0.tensor(0).expanded(to: try $0.tensor(1).shape)] },
        "broadcast_tensors": { broadcastTensors(try parts($0)) },
        "atleast_1d": { try parts($0).map { atLeast(1, $0) } }, "atleast_2d": { try parts($0).map { atLeast(2, $0) } },
        "atleast_3d": { try parts($0).map { atLeast(3, $0) } },
        "hstack": { call in
            let all = try parts(call).map { atLeast(1, $0) }
            return [concatenate(all, axis: all[0].rank == 1 ? 0 : 1)]
        },
        "vstack": { [concatenate(try parts($0).map { atLeast(2, $0) })] },
        "dstack": { [concatenate(try parts($0).map { atLeast(3, $0) }, axis: 2)] },
        "column_stack": { [concatenate(try parts($0).map { $0.rank < 2 ? $0.reshaped([-1, 1]) : $0 }, axis: 1)] },
        "tensor_split": { call in
            let axis = try call.int(2, "dim", or: 0)
            return try cut(call) { _ in axis }
        },
        "hsplit": { try cut($0) { $0.rank == 1 ? 0 : 1 } }, "vsplit": { try cut($0) { _ in 0 } },
        "dsplit": { try cut($0) { _ in 2 } },
        "unbind": { try $0.tensor(0).unstacked(axis: try $0.int(1, "dim", or: 0)) },
        "unsafe_chunk": { try $0.tensor(0).chunked(try $0.int(1), axis: try $0.int(2, "dim", or: 0)) },
        "unsafe_split": { call in
            if case .list = call.value(1) {
                return try call.tensor(0).split(sizes: try call.ints(1), axis: try call.int(2, "dim", or: 0))
            }
            return try call.tensor(0).split(size: try call.int(1), axis: try call.int(2, "dim", or: 0))
        },
        "fliplr": one { $0.flipped(1) }, "flipud": one { $0.flipped(0) },
        "meshgrid": { call in
            try call.allow("indexing")
            return meshgrid(try parts(call), indexing: call.string(9, "indexing", or: "ij") == "xy" ? .xy : .ij)
        },
        "cartesian_prod": { [cartesianProduct(try parts($0))] },
        "combinations": { call in
            [combinations(try call.tensor(0), try call.int(1, "r", or: 2), withReplacement: call.bool(2, "with_replacement"))]
        },
        "block_diag": { [blockDiagonal(try parts($0))] },
        "diag": { [try $0.tensor(0).diag(try $0.int(1, "diagonal", or: 0))] },
        "diagflat": { [try $0.tensor(0).flattened().diagonalEmbedded(offset: try $0.int(1, "offset", or: 0))] },
        "diag_embed": { call in
            [
                try call.tensor(0).diagonalEmbedded(
                    offset: try call.int(1, "offset", or: 0), axis1: try call.int(2, "dim1", or: -2),
                    axis2: try call.int(3, "dim2", or: -1))
            ]
        },
        "diagonal": { call in
            [
                try call.tensor(0).diagonal(
                    offset: try call.int(1, "offset", or: 0), axis1: try call.int(2, "dim1", or: 0),
                    axis2: try call.int(3, "dim2", or: 1))
            ]
        },
        "diagonal_copy": { call in
            [
                try call.tensor(0).diagonal(
                    offset: try call.int(1, "offset", or: 0), axis1: try call.int(2, "dim1", or: 0),
                    axis2: try call.int(3, "dim2", or: 1))
            ]
        },
        "diagonal_scatter": { call in
            [
                try call.tensor(0).replacingDiagonal(
                    try call.tensor(1), offset: try call.int(2, "offset", or: 0), axis1: try call.int(3, "dim1", or: 0),
                    axis2: try call.int(4, "dim2", or: 1))
            ]
        },
        "trace": one { $0.trace() },
        "tril_indices": {
            [Tensor.trilIndices(rows: try $0.int(0), columns: try $0.int(1), offset: try $0.int(2, "offset", or: 0))]
        },
        "triu_indices": {
            [Tensor.triuIndices(rows: try $0.int(0), columns: try $0.int(1), offset: try $0.int(2, "offset", or: 0))]
        },
        "select_scatter": { call in
            let x = try call.tensor(0), axis = try call.int(2, "dim")
            let lead = [TensorIndex](repeating: .all, count: axis < 0 ? axis + x.rank : axis)
            return [x.replacing(lead + [.at(try call.int(3, "index"))], with: try call.tensor(1))]
        },
        "slice_scatter": { call in
            let x = try call.tensor(0), axis = try call.int(2, "dim", or: 0)
            let lead = [TensorIndex](repeating: .all, count: axis < 0 ? axis + x.rank : axis)
            func bound(_ i: Int, _ name: String) throws -> Int? {
                if case .none = call.value(i, name) { return nil }
                return try call.int(i, name)
            }
            let part = TensorIndex.slice(
                from: try bound(3, "start"), to: try bound(4, "end"), step: try call.int(5, "step", or: 1))
            return [x.replacing(lead + [part], with: try call.tensor(1))]
        },
        "slice": { call in
            let x = try call.tensor(0), axis = try call.int(1, "dim", or: 0)
            let lead = [TensorIndex](repeating: .all, count: axis < 0 ? axis + x.rank : axis)
            func bound(_ i: Int, _ name: String) throws -> Int? {
                if case .none = call.value(i, name) { return nil }
                return try call.int(i, name)
            }
            return [
                x.slice(
                    lead + [.slice(from: try bound(2, "start"), to: try bound(3, "end"), step: try call.int(4, "step", or: 1))])
            ]
        },
    ]

    private static func index(_ value: GoldenValue) throws -> TensorIndex {
        switch value {
        case .int(let i): return .at(i)
        case .none: return .newAxis
        case .ellipsis: return .ellipsis
        case .tensor(let t): return t.rank == 0 && t.dtype.isInteger ? .tensor(t) : .tensor(t)
        case .slice(let bounds):
            func bound(_ i: Int) throws -> Int? {
                switch bounds[i] {
                case .int(let n): return n
                case .tensor(let t): return t.item(Int.self)
                case .none: return nil
                default: throw Unsupported("a bound of this kind")
                }
            }
            return .slice(from: try bound(0), to: try bound(1), step: try bound(2) ?? 1)
        case .list(let list):
            func elements(_ values: [GoldenValue]) throws -> Tensor {
                if values.isEmpty { return Tensor(zeros: [0], dtype: .int64) }
                return stack(
                    try values.map { value in
                        switch value {
                        case .int(let i): return Tensor(i)
                        case .bool(let b): return Tensor(b)
                        case .tensor(let t): return t
                        case .list(let inner): return try elements(inner)
                        default: throw Unsupported("an index of this kind")
                        }
                    })
            }
            return .tensor(try elements(list))
        default: throw Unsupported("an index of this kind")
        }
    }

    private static func indices(_ value: GoldenValue, isTuple: Bool) throws -> [TensorIndex] {
        if isTuple, case .list(let list) = value { return try list.map(index) }
        return [try index(value)]
    }

    private static func scatterReduction(_ name: String) throws -> ScatterReduction {
        switch name {
        case "sum", "add": .sum
        case "prod", "multiply": .prod
        case "mean": .mean
        case "amax": .max
        case "amin": .min
        default: throw GoldenError("no reduction \(name)")
        }
    }

    private static func source(_ call: GoldenCall, _ position: Int, _ index: Tensor, _ x: Tensor) throws -> Tensor {
        switch call.value(position, "src", "value") {
        case .int(let i): return Tensor(repeating: i, shape: index.shape, dtype: x.dtype)
        case .float(let f): return Tensor(repeating: f, shape: index.shape, dtype: x.dtype)
        case .bool(let b): return Tensor(repeating: b, shape: index.shape, dtype: x.dtype)
        case .complex(let re, let im): return Tensor(repeating: Complex(re, im), shape: index.shape, dtype: x.dtype)
        default: return try call.tensor(position, "src")
        }
    }

    static let indexing: [String: Function] = [
        "__getitem__": { call in
            [try call.tensor(0).slice(try indices(call.value(1), isTuple: call.isTuple(1)))]
        },
        "index_put": { call in
            try call.allow("accumulate")
            return [
                try call.tensor(0).replacing(
                    try indices(call.value(1), isTuple: true), with: try call.tensor(2), accumulate: call.bool(3, "accumulate"))
            ]
        },
        "take": { [try $0.tensor(0).taken(try $0.tensor(1))] },
        "put": { [try $0.tensor(0).putting(try $0.tensor(2), at: try $0.tensor(1), accumulate: $0.bool(3, "accumulate"))] },
        "take_along_dim": { call in
            let axis: Int?
            if case .none = call.value(2, "dim") { axis = nil } else { axis = try call.int(2, "dim") }
            return [try call.tensor(0).takenAlong(try call.tensor(1), axis: axis)]
        },
        "nonzero": { call in
            try call.allow("as_tuple")
            let found = try call.tensor(0).nonzero()
            return call.bool(9, "as_tuple") ? found.unstacked(axis: 1) : [found]
        },
        "argwhere": one { $0.nonzero() },
        "masked_select": { [try $0.tensor(0).maskedSelect(try $0.tensor(1))] },
        "masked_scatter": { [try $0.tensor(0).maskedScatter(try $0.tensor(1), source: try $0.tensor(2))] },
        "index_add": { call in
            try call.allow("alpha")
            var source = try call.tensor(3)
            switch call.value(9, "alpha") {
            case .int(let a): source = source.dtype == .bool ? (a == 0 ? source .& .!source : source) : source * a
            case .bool(let b): if !b { source = source.dtype == .bool ? source .& .!source : source * 0 }
            case .complex(let re, let im): source = source * Complex(re, im)
            default: source = source * (try call.double(9, "alpha", or: 1))
            }
            return [try call.tensor(0).indexAdded(axis: try call.int(1, "dim"), index: try call.tensor(2), source: source)]
        },
        "index_copy": {
            [try $0.tensor(0).indexCopied(axis: try $0.int(1, "dim"), index: try $0.tensor(2), source: try $0.tensor(3))]
        },
        "index_fill": { call in
            let x = try call.tensor(0)
            let value: Tensor
            switch call.value(3) {
            case .tensor(let t): value = t
            case .int(let i): value = Tensor(i, dtype: x.dtype)
            case .bool(let b): value = Tensor(b, dtype: x.dtype)
            case .complex(let re, let im): value = Tensor(Complex(re, im), dtype: x.dtype)
            default: value = Tensor(try call.double(3, "value", or: 0), dtype: x.dtype)
            }
            return [x.indexFilled(axis: try call.int(1, "dim"), index: try call.tensor(2), value: value)]
        },
        "index_reduce": { call in
            try call.allow("include_self")
            return [
                try call.tensor(0).indexReduced(
                    axis: try call.int(1, "dim"), index: try call.tensor(2), source: try call.tensor(3),
                    try scatterReduction(call.string(4, "reduce", or: "")), includeSelf: call.bool(9, "include_self", or: true))
            ]
        },
        "scatter": { call in
            try call.allow("reduce", "value")
            let x = try call.tensor(0), axis = try call.int(1, "dim"), index = try call.tensor(2, "index")
            let given = try source(call, 3, index, x)
            if case .string(let name) = call.value(9, "reduce") {
                return [x.scatterReduced(axis: axis, index: index, source: given, try scatterReduction(name))]
            }
            return [x.scattered(axis: axis, index: index, source: given)]
        },
        "scatter_add": {
            [
                try $0.tensor(0).scatterAdded(
                    axis: try $0.int(1, "dim"), index: try $0.tensor(2, "index"), source: try $0.tensor(3, "src"))
            ]
        },
        "scatter_reduce": { call in
            try call.allow("include_self")
            return [
                try call.tensor(0).scatterReduced(
                    axis: try call.int(1, "dim"), index: try call.tensor(2), source: try call.tensor(3),
                    try scatterReduction(call.string(4, "reduce", or: "")), includeSelf: call.bool(9, "include_self", or: true))
            ]
        },
    ]
}
