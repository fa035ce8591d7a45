/// The average of each window is the product of one average per axis, so every axis is pooled by itself.
private func averagePool(
    _ operation: String, rank: Int, _ x: Tensor, _ kernelSize: SpatialSizes, _ stride: SpatialSizes?, _ padding: SpatialSizes,
    _ ceilMode: Bool, _ countIncludePad: Bool, _ divisorOverride: Int?
) -> Tensor {
    let windows = WindowGeometry(
        operation, x, rank: rank, kernelSize: kernelSize, stride: stride, padding: padding, ceilMode: ceilMode)
    if divisorOverride == 0 { fail(operation, "divisorOverride 0") }
    // What the sums along axis i are divided by.
    let axes = (0..<rank).map { windows.axis($0) }
    func divisors(_ i: Int) -> [Double] {
        if let divisorOverride { return axes[i].counts.map { _ in i == 0 ? Double(divisorOverride) : 1 } }
        return axes[i].counts.indices.map { Double(countIncludePad ? windows.extent(i, $0) : axes[i].counts[$0]) }
    }
    func map(_ i: Int, _ divisors: [Double]) -> AxisMap {
        let axis = axes[i]
        return AxisMap(inputs: axis.input, outputs: axis.output) { o in
            (0..<axis.counts[o]).map { (axis.starts[o] + $0, 1 / divisors[o]) }
        }
    }
    if x.dtype.isFloatingPoint { return x.mappedTrailing(by: (0..<rank).map { map($0, divisors($0)) }) }
    // Integers: exact sums in float64, one division, cut towards zero.
    let sums = x.to(.float64).mappedTrailing(by: (0..<rank).map { map($0, axes[$0].counts.map { _ in 1 }) })
    let divisor = (0..<rank).reduce(Tensor(1.0, dtype: .float64, device: x.device)) { product, i in
        product.unsqueezed(-1) * Tensor(divisors(i), dtype: .float64, device: x.device)
    }
    return trunc(sums / divisor).to(x.dtype)
}

/// The mean of each window of the last axis: `x [batch, channels, length]` or `[channels, length]`.
///
/// Windows of `kernelSize` places start every `stride` (default: `kernelSize`) places. Places in the padding count as 0 and, unless
/// `countIncludePad` is false, in the number that the sum is divided by. With `ceilMode` the last window may go over the end. Integers
/// are divided towards zero. Traps if a window is larger than the padded input or the padding more than half a window.
public func avgPool1d(
    _ x: Tensor, kernelSize: SpatialSizes, stride: SpatialSizes? = nil, padding: SpatialSizes = 0, ceilMode: Bool = false,
    countIncludePad: Bool = true
) -> Tensor { averagePool("avgPool1d", rank: 1, x, kernelSize, stride, padding, ceilMode, countIncludePad, nil) }

/// ``avgPool1d(_:kernelSize:stride:padding:ceilMode:countIncludePad:)`` over the last two axes; sums are divided by
/// `divisorOverride` if it is given.
public func avgPool2d(
    _ x: Tensor, kernelSize: SpatialSizes, stride: SpatialSizes? = nil, padding: SpatialSizes = 0, ceilMode: Bool = false,
    countIncludePad: Bool = true, divisorOverride: Int? = nil
) -> Tensor { averagePool("avgPool2d", rank: 2, x, kernelSize, stride, padding, ceilMode, countIncludePad, divisorOverride) }

/// ``avgPool2d(_:kernelSize:stride:padding:ceilMode:countIncludePad:divisorOverride:)`` over the last three axes.
public func avgPool3d(
    _ x: Tensor, kernelSize: SpatialSizes, stride: SpatialSizes? = nil, padding: SpatialSizes = 0, ceilMode: Bool = false,
    countIncludePad: Bool = true, divisorOverride: Int? = nil
) -> Tensor { averagePool("avgPool3d", rank: 3, x, kernelSize, stride, padding, ceilMode, countIncludePad, divisorOverride) }

func adaptiveAveragePool(_ operation: String, rank: Int, _ x: Tensor, _ size: AdaptiveSizes) -> Tensor {
    checkPooled(operation, x, rank: rank)
    if !x.dtype.isFloatingPoint { fail(operation, "needs floats, not \(x.dtype)") }
    let input = Array(x.shape[(x.rank - rank)...])
    let output = size.expanded(operation, input)
    if output.allSatisfy({ $0 == 1 }) { return x.mean(Axes(Array((x.rank - rank)..<x.rank)), keepDims: true) }
    return x.mappedTrailing(
        by: zip(input, output).map { inputs, outputs in
            let axis = adaptiveAxis(input: inputs, output: outputs)
            return AxisMap(inputs: inputs, outputs: outputs) { o in
                (0..<axis.counts[o]).map { (axis.starts[o] + $0, 1 / Double(axis.counts[o])) }
            }
        })
}

/// Average pooling to a given output size: window `o` of `n` runs from ⌊o · length / n⌋ to ⌈(o + 1) · length / n⌉. `x [batch, channels,
/// length]` or without batch gives `[batch, channels, outputSize]`; nil keeps the input's size. Floats.
public func adaptiveAvgPool1d(_ x: Tensor, outputSize: AdaptiveSizes) -> Tensor {
    adaptiveAveragePool("adaptiveAvgPool1d", rank: 1, x, outputSize)
}

/// ``adaptiveAvgPool1d(_:outputSize:)`` over the last two axes.
public func adaptiveAvgPool2d(_ x: Tensor, outputSize: AdaptiveSizes) -> Tensor {
    adaptiveAveragePool("adaptiveAvgPool2d", rank: 2, x, outputSize)
}

/// ``adaptiveAvgPool1d(_:outputSize:)`` over the last three axes.
public func adaptiveAvgPool3d(_ x: Tensor, outputSize: AdaptiveSizes) -> Tensor {
    adaptiveAveragePool("adaptiveAvgPool3d", rank: 3, x, outputSize)
}
