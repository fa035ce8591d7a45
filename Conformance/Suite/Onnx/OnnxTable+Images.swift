import Tapestry

extension OnnxTable {
    static let images: [String: OnnxOperator] = [
        "Resize": { try resized($0) }, "Upsample": { try resized($0) },
        "GridSample": { call in
            let modes: [String: GridSampleMode] = [
                "linear": .bilinear, "bilinear": .bilinear, "nearest": .nearest, "cubic": .bicubic, "bicubic": .bicubic,
            ]
            guard let mode = modes[try call.string("mode", or: "linear")],
                let padding = GridPaddingMode(rawValue: try call.string("padding_mode", or: "zeros"))
            else { throw Unsupported("GridSample mode") }
            let x = try call.x(0)
            guard (2...3).contains(x.rank - 2), mode != .bicubic || x.rank == 4 else {
                throw Unsupported("GridSample \(mode) over \(x.rank - 2) axes")
            }
            return gridSample(x, try call.x(1), mode: mode, paddingMode: padding, alignCorners: try call.flag("align_corners"))
        },
        "AffineGrid": { affineGrid(try $0.x(), size: try $0.inputInts(1) ?? [], alignCorners: try $0.flag("align_corners")) },
        "RoiAlign": { call in
            // Before opset 16 boxes were not shifted.
            let standard = call.opset >= 16 ? "half_pixel" : "output_half_pixel"
            let size = [try call.int("output_height", or: 1), try call.int("output_width", or: 1)]
            return roiAlign(
                try call.x(0), boxes: try call.x(1), batchIndex: try call.x(2), outputSize: SpatialSizes(size),
                spatialScale: try call.double("spatial_scale", or: 1), samplingRatio: try call.int("sampling_ratio", or: 0),
                aligned: try call.string("coordinate_transformation_mode", or: standard) == "half_pixel",
                pooling: try call.string("mode", or: "avg") == "max" ? .max : .mean)
        },
    ]

    private static func resized(_ call: OnnxCall) throws -> Tensor {
        let x = try call.x(), isUpsample = call.op == "Upsample" || call.opset < 11
        let axes = (try call.ints("axes") ?? Array(0..<x.rank)).map { $0 < 0 ? $0 + x.rank : $0 }
        var scales = try call.inputDoubles(isUpsample ? 1 : 2) ?? call.doubles("scales") ?? []
        var sizes = isUpsample ? [] : try call.inputInts(3) ?? []
        let roi = isUpsample ? [] : try call.inputDoubles(1) ?? []
        if sizes.isEmpty {
            sizes = axes.indices.map { Int((Double(x.shape[axes[$0]]) * scales[$0]).rounded(.down)) }
        } else {
            scales = axes.indices.map { Double(sizes[$0]) / Double(x.shape[axes[$0]]) }
            let policy = try call.string("keep_aspect_ratio_policy", or: "stretch")
            if policy != "stretch" {
                let scale = policy == "not_larger" ? scales.min()! : scales.max()!
                scales = scales.map { _ in scale }
                sizes = axes.map { Int((Double(x.shape[$0]) * scale + 0.5).rounded(.down)) }
            }
        }
        let transform = try call.string("coordinate_transformation_mode", or: isUpsample ? "asymmetric" : "half_pixel")
        let sampling = OnnxSampling(
            mode: try call.string("mode", or: "nearest"),
            nearest: try call.string("nearest_mode", or: isUpsample ? "floor" : "round_prefer_floor"), transform: transform,
            cubic: try call.double("cubic_coeff_a", or: -0.75), excludesOutside: try call.flag("exclude_outside"),
            antialias: try call.flag("antialias"))
        var y = x.to(x.dtype == .float64 ? .float64 : .float32), outside: Tensor?
        for (i, axis) in axes.enumerated() where sizes[i] != x.shape[axis] || scales[i] != 1 || !roi.isEmpty {
            let region = roi.isEmpty ? (0, 1) : (roi[i], roi[axes.count + i])
            let rows = sampling.rows(input: x.shape[axis], output: sizes[i], scale: scales[i], region: region)
            let weights = Tensor(rows.flatMap { $0.weights }, shape: [sizes[i], x.shape[axis]], dtype: y.dtype)
            y = matmul(weights, y.movedAxis(from: axis, to: 0).reshaped([x.shape[axis], -1]))
                .reshaped([sizes[i]] + y.movedAxis(from: axis, to: 0).shape.dropFirst()).movedAxis(from: 0, to: axis)
            let gone = Tensor(rows.map { $0.isOutside ? 1 : 0 }, shape: [sizes[i]], dtype: .bool).facing(axis: axis, rank: x.rank)
            outside = outside.map { $0 .| gone } ?? gone
        }
        if transform == "tf_crop_and_resize", let outside {
            y = which(outside, Tensor(try call.double("extrapolation_value", or: 0), dtype: y.dtype), y)
        }
        return y.to(x.dtype)
    }
}

/// How `Resize` finds an output place's value along one axis.
private struct OnnxSampling {
    let mode, nearest, transform: String
    let cubic: Double
    let excludesOutside, antialias: Bool

    /// Per output place the weights of the input's places, and whether it lies outside.
    func rows(input: Int, output: Int, scale: Double, region: (Double, Double)) -> [(weights: [Double], isOutside: Bool)] {
        (0..<output).map { o in
            let place = place(Double(o), Double(input), Double(output), scale, region)
            // The neighbour at or below, not the place itself, so that the distance is in (0, 1].
            let low = Int(place.rounded(.up)) - 1, part = place - Double(low)
            var taps = taps(part, Swift.min(scale, 1))
            if excludesOutside {
                taps = taps.map { (0..<input).contains(low + $0.offset) ? $0 : ($0.offset, 0) }
                let total = taps.reduce(0) { $0 + $1.weight }
                taps = taps.map { ($0.offset, $0.weight / total) }
            }
            var weights = [Double](repeating: 0, count: input)
            for tap in taps { weights[Swift.min(Swift.max(low + tap.offset, 0), input - 1)] += tap.weight }
            return (weights, place < 0 || place > Double(input - 1))
        }
    }

    private func place(_ o: Double, _ input: Double, _ output: Double, _ scale: Double, _ region: (Double, Double)) -> Double {
        let exact = scale * input
        switch transform {
        case "align_corners": return exact == 1 ? 0 : o * (input - 1) / (exact - 1)
        case "asymmetric": return o / scale
        case "pytorch_half_pixel": return exact == 1 ? -0.5 : (o + 0.5) / scale - 0.5
        case "half_pixel_symmetric": return input / 2 * (1 - output / exact) + (o + 0.5) / scale - 0.5
        case "tf_crop_and_resize":
            let length = (region.1 - region.0) * (input - 1)
            return (exact == 1 ? length / 2 : o * length / (exact - 1)) + region.0 * (input - 1)
        case "tf_half_pixel_for_nn": return (o + 0.5) / scale
        default: return (o + 0.5) / scale - 0.5
        }
    }

    /// Neighbours, as offsets from the lower one, with their weights. `part` in (0, 1] is the distance to the lower one.
    private func taps(_ part: Double, _ scale: Double) -> [(offset: Int, weight: Double)] {
        switch mode {
        case "nearest":
            let isHigh: Bool
            switch nearest {
            case "floor": isHigh = part == 1
            case "ceil": isHigh = true
            case "round_prefer_ceil": isHigh = part >= 0.5
            default: isHigh = part > 0.5
            }
            return [(isHigh ? 1 : 0, 1)]
        case "linear", "bilinear": return filtered(part, scale, support: 1) { Swift.max(1 - Swift.abs($0), 0) }
        default: return filtered(part, scale, support: 2, keys)
        }
    }

    /// A filter of a given half width, made wider by `antialias` when shrinking.
    private func filtered(_ part: Double, _ scale: Double, support: Int, _ filter: (Double) -> Double) -> [(
        offset: Int, weight: Double
    )] {
        let scale = antialias ? scale : 1
        let start = Int((-Double(support) / scale).rounded(.down)) + 1
        let raw = (start..<2 - start).map { (offset: $0, weight: filter((Double($0) - part) * scale)) }
        let total = raw.reduce(0) { $0 + $1.weight }
        return raw.map { ($0.offset, $0.weight / total) }
    }

    /// Keys' cubic kernel.
    private func keys(_ x: Double) -> Double {
        let x = Swift.abs(x)
        if x <= 1 { return ((cubic + 2) * x - (cubic + 3)) * x * x + 1 }
        return x < 2 ? (((x - 5) * x + 8) * x - 4) * cubic : 0
    }
}
