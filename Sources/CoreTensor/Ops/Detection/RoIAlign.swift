#if canImport(Glibc)
    import Glibc
#endif

/// What ``roiAlign(_:boxes:batchIndex:outputSize:spatialScale:samplingRatio:aligned:pooling:)`` makes of the samples of a place.
public enum RoIPooling: Sendable {
    /// Their mean.
    case mean
    /// The largest of the weighted neighbours of all samples, as ONNX defines it.
    case max
}

/// Regions of interest resampled to one size (He et al., 2017): `x [batch, channels, height, width]`, `boxes [n, 4]` (x₁, y₁, x₂, y₂)
/// in the images `batchIndex [n]` gives `[n, channels, outputSize...]`. torchvision's `roi_align`.
///
/// Boxes are multiplied by `spatialScale`. Each place of the output takes `samplingRatio`² bilinear samples, or with 0 as many as it
/// covers places of the input. `aligned` shifts the boxes by half a place; otherwise they are at least one place wide. Gradients flow to
/// `x`. Traps on shapes that do not fit.
public func roiAlign(
    _ x: Tensor, boxes: Tensor, batchIndex: Tensor, outputSize: SpatialSizes, spatialScale: Double = 1, samplingRatio: Int = 0,
    aligned: Bool = false, pooling: RoIPooling = .mean
) -> Tensor {
    let size = outputSize.expanded("roiAlign", "outputSize", rank: 2, atLeast: 1)
    if x.rank != 4 || boxes.rank != 2 || boxes.shape[1] != 4 || batchIndex.shape != [boxes.shape[0]] || samplingRatio < 0 {
        fail(
            "roiAlign",
            "input \(x.shape), boxes \(boxes.shape), batchIndex \(batchIndex.shape); need [batch, channels, height, width], [n, 4], [n]"
        )
    }
    let channels = x.shape[1], images = batchIndex.scalars(Int.self), corners = boxes.detached().scalars(Double.self)
    if boxes.shape[0] == 0 { return Tensor(zeros: [0, channels] + size, dtype: x.dtype, device: x.device) }
    let regions = images.enumerated().map { n, image -> Tensor in
        let axes = (0..<2).map { axis in
            let shift = aligned ? 0.5 : 0
            let start = corners[4 * n + 1 - axis] * spatialScale - shift, end = corners[4 * n + 3 - axis] * spatialScale - shift
            return RegionAxis(
                input: x.shape[2 + axis], start: start, extent: aligned ? end - start : Swift.max(end - start, 1),
                bins: size[axis],
                ratio: samplingRatio)
        }
        return regionPooled(x[image], axes, pooling)
    }
    return stack(regions)
}

/// The samples of a region along one axis.
private struct RegionAxis {
    let input: Int, start, extent: Double, bins, samples: Int

    init(input: Int, start: Double, extent: Double, bins: Int, ratio: Int) {
        (self.input, self.start, self.extent, self.bins) = (input, start, extent, bins)
        samples = Swift.max(ratio > 0 ? ratio : Int((extent / Double(bins)).rounded(.up)), 0)
    }

    /// The two neighbours of every sample with their weights; both 0 more than a place outside.
    var neighbours: (low: [Int], high: [Int], lowWeight: [Double], highWeight: [Double]) {
        let bin = extent / Double(bins)
        var result: (low: [Int], high: [Int], lowWeight: [Double], highWeight: [Double]) = ([], [], [], [])
        for i in 0..<bins * samples {
            let place = start + bin * (Double(i / samples) + (Double(i % samples) + 0.5) / Double(samples))
            let inside = place >= -1 && place <= Double(input), clipped = Swift.min(Swift.max(place, 0), Double(input - 1))
            let low = Int(clipped), part = clipped - Double(low)
            result.low.append(low)
            result.high.append(Swift.min(low + 1, input - 1))
            result.lowWeight.append(inside ? 1 - part : 0)
            result.highWeight.append(inside ? part : 0)
        }
        return result
    }
}

/// `x [channels, height, width]` to `[channels, bins...]`.
private func regionPooled(_ x: Tensor, _ axes: [RegionAxis], _ pooling: RoIPooling) -> Tensor {
    let bins = axes.map(\.bins), samples = axes.map(\.samples)
    if samples.contains(0) { return Tensor(zeros: [x.shape[0]] + bins, dtype: x.dtype, device: x.device) }
    let (rows, columns) = (axes[0].neighbours, axes[1].neighbours)
    func part(_ row: [Int], _ column: [Int], _ rowWeight: [Double], _ columnWeight: [Double]) -> Tensor {
        let taken = x.indexSelect(axis: 1, index: Tensor(row, shape: [row.count], device: x.device))
            .indexSelect(axis: 2, index: Tensor(column, shape: [column.count], device: x.device))
        return taken * Tensor(rowWeight, shape: [row.count, 1], dtype: x.dtype, device: x.device)
            * Tensor(columnWeight, shape: [column.count], dtype: x.dtype, device: x.device)
    }
    let parts = [
        part(rows.low, columns.low, rows.lowWeight, columns.lowWeight),
        part(rows.low, columns.high, rows.lowWeight, columns.highWeight),
        part(rows.high, columns.low, rows.highWeight, columns.lowWeight),
        part(rows.high, columns.high, rows.highWeight, columns.highWeight),
    ]
    let values = pooling == .mean ? parts[0] + parts[1] + parts[2] + parts[3] : stack(parts).max(0)
    let split = values.reshaped([x.shape[0], bins[0], samples[0], bins[1], samples[1]])
    return pooling == .mean ? split.mean([2, 4]) : split.max([2, 4])
}
