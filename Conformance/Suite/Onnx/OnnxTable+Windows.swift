import Tapestry

/// Convolution and pooling.
extension OnnxTable {
    static let windows: [String: OnnxOperator] = [
        "Conv": { try convolved($0, try $0.x(0), try $0.x(1), try $0.optional(2)) },
        "ConvTranspose": { call in
            let x = try call.x(0), weight = try call.x(1)
            let geometry = try OnnxGeometry(call, x, kernel: Array(weight.shape[2...])), rank = geometry.rank
            let stride = SpatialSizes(geometry.stride), dilation = SpatialSizes(geometry.dilation),
                groups = try call.int("group", or: 1)
            let full: Tensor
            switch rank {
            case 1: full = convTranspose1d(x, weight, stride: stride, groups: groups, dilation: dilation)
            case 2: full = convTranspose2d(x, weight, stride: stride, groups: groups, dilation: dilation)
            default: full = convTranspose3d(x, weight, stride: stride, groups: groups, dilation: dilation)
            }
            let extra = try call.ints("output_padding") ?? [Int](repeating: 0, count: rank)
            let mode = try call.string("auto_pad", or: "NOTSET")
            let wanted =
                try call.ints("output_shape").map { Array($0.suffix(rank)) }
                ?? (mode.hasPrefix("SAME") ? zip(geometry.input, geometry.stride).map { $0 * $1 } : nil)
            // Padding cuts the full result; what is still missing is zeros at the end.
            var amounts: [Int] = []
            for i in (0..<rank).reversed() {
                if let wanted {
                    let surplus = full.shape[2 + i] + extra[i] - wanted[i], total = Swift.max(surplus, 0)
                    let start = mode == "SAME_UPPER" ? total / 2 : total - total / 2
                    amounts += [-start, wanted[i] - full.shape[2 + i] + start]
                } else {
                    amounts += [-geometry.before[i], extra[i] - geometry.after[i]]
                }
            }
            let y = full.padded(amounts)
            return try call.optional(2).map { y + $0.facing(axis: 1, rank: y.rank) } ?? y
        },
        "CausalConvWithState": { call in
            let x = try call.x(0), weight = try call.x(1), kept = weight.shape[2] - 1
            let past = try call.optional(3) ?? Tensor(zeros: x.shape(with: kept, at: 2), dtype: x.dtype)
            let whole = concatenate([past, x], axis: 2)
            let y = conv1d(whole, weight, try call.optional(2), groups: x.shape[1])
            let isActive = ["silu", "swish"].contains(try call.string("activation", or: "none"))
            return outputs(isActive ? silu(y) : y, whole.narrowed(axis: 2, start: whole.shape[2] - kept, length: kept))
        },
        "DeformConv": { call in
            let x = try call.x(0), weight = try call.x(1)
            let geometry = try OnnxGeometry(call, x, kernel: Array(weight.shape[2...]))
            guard geometry.rank == 2 else { throw Unsupported("DeformConv over \(geometry.rank) axes") }
            return deformConv2d(
                x, weight, try call.optional(3), offset: try call.x(2), mask: try call.optional(4),
                stride: SpatialSizes(geometry.stride),
                padding: SpatialSizes(geometry.before), dilation: SpatialSizes(geometry.dilation),
                groups: try call.int("group", or: 1))
        },
        "Col2Im": { call in try columnsToImage(call) },
        "AveragePool": { call in
            let x = try call.x(), geometry = try pooled(call, x), includesPad = try call.flag("count_include_pad")
            if geometry.isPlain && geometry.dilation.allSatisfy({ $0 == 1 }) {
                let kernel = SpatialSizes(geometry.kernel), stride = SpatialSizes(geometry.stride),
                    padding = SpatialSizes(geometry.before)
                let ceil = geometry.isCeil
                switch geometry.rank {
                case 1:
                    return avgPool1d(
                        x, kernelSize: kernel, stride: stride, padding: padding, ceilMode: ceil, countIncludePad: includesPad)
                case 2:
                    return avgPool2d(
                        x, kernelSize: kernel, stride: stride, padding: padding, ceilMode: ceil, countIncludePad: includesPad)
                default:
                    return avgPool3d(
                        x, kernelSize: kernel, stride: stride, padding: padding, ceilMode: ceil, countIncludePad: includesPad)
                }
            }
            let counted = Tensor(ones: [1, 1] + geometry.input, dtype: x.dtype)
            let sums = windowSums(geometry.padded(x, value: 0, withExcess: true), geometry)
            var around = geometry
            if includesPad {
                let full = geometry.padded(counted, value: 1)
                let room = (0..<geometry.rank).reversed().flatMap { [0, geometry.excess[$0]] }
                return sums / windowSums(full.padded(room), geometry)
            }
            around.before = geometry.before
            return sums / windowSums(around.padded(counted, value: 0, withExcess: true), geometry)
        },
        "LpPool": { call in
            let x = try call.x(), geometry = try pooled(call, x), p = try call.double("p", or: 2)
            let padded = abs(geometry.padded(x, value: 0, withExcess: true))
            if geometry.dilation.contains(where: { $0 != 1 }) { return pow(windowSums(pow(padded, p), geometry), 1 / p) }
            let kernel = SpatialSizes(geometry.kernel), stride = SpatialSizes(geometry.stride)
            switch geometry.rank {
            case 1: return lpPool1d(padded, norm: p, kernelSize: kernel, stride: stride)
            case 2: return lpPool2d(padded, norm: p, kernelSize: kernel, stride: stride)
            default: return lpPool3d(padded, norm: p, kernelSize: kernel, stride: stride)
            }
        },
        "MaxPool": { call in
            let x = try call.x(), geometry = try pooled(call, x), isPlain = geometry.isPlain, rank = geometry.rank
            let lowest = OnnxInteger.of(x.dtype).map { Double($0.lowest) } ?? -.infinity
            let (values, places) = maxPoolWithIndices(
                isPlain ? x : geometry.padded(x, value: lowest, withExcess: true), rank: rank,
                kernelSize: SpatialSizes(geometry.kernel), stride: SpatialSizes(geometry.stride),
                padding: isPlain ? SpatialSizes(geometry.before) : 0, dilation: SpatialSizes(geometry.dilation),
                ceilMode: isPlain && geometry.isCeil)
            if call.outputCount < 2 { return values }
            // Positions in the padded plane to those in the whole input; ONNX counts through batch and channels.
            let axes =
                isPlain
                ? geometry.input
                : (0..<rank).map { geometry.input[$0] + geometry.before[$0] + geometry.after[$0] + geometry.excess[$0] }
            var rest = places, coordinates: [Tensor] = []
            for size in axes.reversed() {
                coordinates.insert(remainder(rest, Tensor(size)), at: 0)
                rest = floorDivide(rest, Tensor(size))
            }
            if !isPlain { coordinates = zip(coordinates, geometry.before).map { $0 - $1 } }
            let isColumnMajor = try call.flag("storage_order")
            let order = isColumnMajor ? Array((0..<rank).reversed()) : Array(0..<rank)
            var flat = Tensor(zerosLike: places)
            for axis in order { flat = flat * geometry.input[axis] + coordinates[axis] }
            let planes = Tensor(arange: x.shape[0] * x.shape[1]).reshaped(
                [x.shape[0], x.shape[1]] + Shape(repeating: 1, count: rank))
            return outputs(values, planes * geometry.input.reduce(1, *) + flat)
        },
        "MaxUnpool": { call in
            let x = try call.x(0), places = try call.x(1), rank = x.rank - 2
            let geometry = try pooled(call, x)
            let size = (0..<rank).map { i -> Int in
                let padding = geometry.before[i] + geometry.after[i]
                return (geometry.input[i] - 1) * geometry.stride[i] + geometry.kernel[i] - padding
            }
            let y = maxUnpool(x, indices: remainder(places, Tensor(size.reduce(1, *))), outputSize: size)
            guard let wanted = try call.inputInts(2)?.suffix(rank) else { return y }
            return y.padded(zip(wanted, size).reversed().flatMap { [0, $0 - $1] })
        },
        "GlobalAveragePool": { call in try spatial(call) { $0.mean($1, keepDims: true) } },
        "GlobalMaxPool": { call in try spatial(call) { $0.max($1, keepDims: true) } },
        "GlobalLpPool": { call in
            let p = try call.double("p", or: 2)
            return try spatial(call) { pow(pow(abs($0), p).sum($1, keepDims: true), 1 / p) }
        },
        "MaxRoiPool": { call in
            let x = try call.x(0), scale = try call.double("spatial_scale", or: 1), size = try call.ints("pooled_shape") ?? []
            let regions = try call.x(1).matrix(Double.self)
            return concatenate(
                regions.map { region in
                    let corners = region[1...].map { Int(($0 * scale).rounded()) }
                    func bins(_ axis: Int) -> [(start: Int, length: Int)] {
                        let start = corners[1 - axis],
                            extent = Double(Swift.max(corners[3 - axis] - start + 1, 1)) / Double(size[axis])
                        func inside(_ i: Double) -> Int { Swift.min(Swift.max(Int(i) + start, 0), x.shape[2 + axis]) }
                        return (0..<size[axis]).map {
                            let low = inside((Double($0) * extent).rounded(.down)),
                                high = inside((Double($0 + 1) * extent).rounded(.up))
                            return (low, Swift.max(high - low, 0))
                        }
                    }
                    let image = x.narrowed(axis: 0, start: Int(region[0]), length: 1)
                    let rows = bins(0).map { row in
                        stack(
                            bins(1).map { column in
                                if row.length == 0 || column.length == 0 {
                                    return Tensor(zeros: [1, x.shape[1]], dtype: x.dtype)
                                }
                                return image.narrowed(axis: 2, start: row.start, length: row.length)
                                    .narrowed(axis: 3, start: column.start, length: column.length).max([2, 3])
                            }, axis: -1)
                    }
                    return stack(rows, axis: -2)
                })
        },
    ]

    private static func pooled(_ call: OnnxCall, _ x: Tensor) throws -> OnnxGeometry {
        try OnnxGeometry(call, x, kernel: try call.ints("kernel_shape") ?? [])
    }

    /// Sums over the windows of an input that has its padding.
    private static func windowSums(_ x: Tensor, _ geometry: OnnxGeometry) -> Tensor {
        let flat = x.reshaped([x.shape[0] * x.shape[1], 1] + x.shape[2...])
        let y = convolved(
            flat, Tensor(ones: [1, 1] + geometry.kernel, dtype: x.dtype), stride: geometry.stride,
            padding: [Int](repeating: 0, count: geometry.rank), dilation: geometry.dilation, groups: 1)
        return y.reshaped(Array(x.shape[..<2]) + y.shape[2...])
    }

    private static func spatial(_ call: OnnxCall, _ f: (Tensor, Axes) -> Tensor) throws -> Tensor {
        let x = try call.x()
        return f(x, Axes(Array(2..<Swift.max(x.rank, 2))))
    }

    /// Any number of axes and padding that differs at the ends, by adding the columns into their places.
    private static func columnsToImage(_ call: OnnxCall) throws -> Tensor {
        let x = try call.x(0), size = try call.inputInts(1) ?? [], kernel = try call.inputInts(2) ?? [], rank = size.count
        let ones = [Int](repeating: 1, count: rank)
        let stride = try call.ints("strides") ?? ones, dilation = try call.ints("dilations") ?? ones
        let pads = try call.ints("pads") ?? [Int](repeating: 0, count: 2 * rank)
        let batch = x.shape[0], taps = kernel.reduce(1, *), channels = x.shape[1] / taps
        if rank == 2 && pads[0] == pads[2] && pads[1] == pads[3] {
            return fold(
                x, outputSize: SpatialSizes(size), kernelSize: SpatialSizes(kernel), dilation: SpatialSizes(dilation),
                padding: SpatialSizes(Array(pads[..<2])), stride: SpatialSizes(stride))
        }
        let whole = (0..<rank).map { size[$0] + pads[$0] + pads[rank + $0] }
        // The place that every tap of every block is added to, axis by axis, row-major.
        var place = Tensor(zeros: [1, 1], dtype: .int64)
        for axis in 0..<rank {
            let blocks = (whole[axis] - dilation[axis] * (kernel[axis] - 1) - 1) / stride[axis] + 1
            let here = (Tensor(arange: kernel[axis]) * dilation[axis]).unsqueezed(-1) + Tensor(arange: blocks) * stride[axis]
            let (a, b) = (place.shape, here.shape)
            place = (place.reshaped([a[0], 1, a[1], 1]) * whole[axis] + here.reshaped([1, b[0], 1, b[1]])).reshaped([
                a[0] * b[0], a[1] * b[1],
            ])
        }
        let flat = Tensor(zeros: [batch, channels, whole.reduce(1, *)], dtype: x.dtype)
        let source = x.reshaped([batch, channels, place.count])
        let index = place.reshaped([1, 1, place.count]).expanded(to: source.shape).contiguous()
        return flat.scatterAdded(axis: 2, index: index, source: source).reshaped([batch, channels] + whole)
            .padded((0..<rank).reversed().flatMap { [-pads[$0], -pads[rank + $0]] })
    }
}
