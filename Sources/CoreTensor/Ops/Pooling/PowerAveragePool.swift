private func powerPool(
    _ operation: String, rank: Int, _ x: Tensor, _ norm: Double, _ kernelSize: SpatialSizes, _ stride: SpatialSizes?,
    _ ceilMode: Bool
) -> Tensor {
    let size = kernelSize.expanded(operation, "kernelSize", rank: rank, atLeast: 1)
    let powers = norm == 2 ? x * x : pow(x, norm)
    let mean = averagePool(rank, powers, kernelSize, stride, ceilMode)
    // As PyTorch: the sign of the mean, and its part above 0, times the number of places.
    let sums = sign(mean) * relu(abs(mean)) * Double(size.reduce(1, *))
    return pow(sums, 1 / norm)
}

private func averagePool(_ rank: Int, _ x: Tensor, _ kernelSize: SpatialSizes, _ stride: SpatialSizes?, _ ceilMode: Bool)
    -> Tensor
{
    switch rank {
    case 1: avgPool1d(x, kernelSize: kernelSize, stride: stride, ceilMode: ceilMode)
    case 2: avgPool2d(x, kernelSize: kernelSize, stride: stride, ceilMode: ceilMode)
    default: avgPool3d(x, kernelSize: kernelSize, stride: stride, ceilMode: ceilMode)
    }
}

/// Power-average pooling, (Σ xᵖ)^(1/p) over each window of the last axis with p = `norm`: the sum for 1, near the maximum for a large
/// one. `x [batch, channels, length]` or without batch.
public func lpPool1d(_ x: Tensor, norm: Double, kernelSize: SpatialSizes, stride: SpatialSizes? = nil, ceilMode: Bool = false)
    -> Tensor
{
    powerPool("lpPool1d", rank: 1, x, norm, kernelSize, stride, ceilMode)
}

/// ``lpPool1d(_:norm:kernelSize:stride:ceilMode:)`` over the last two axes.
public func lpPool2d(_ x: Tensor, norm: Double, kernelSize: SpatialSizes, stride: SpatialSizes? = nil, ceilMode: Bool = false)
    -> Tensor
{
    powerPool("lpPool2d", rank: 2, x, norm, kernelSize, stride, ceilMode)
}

/// ``lpPool1d(_:norm:kernelSize:stride:ceilMode:)`` over the last three axes.
public func lpPool3d(_ x: Tensor, norm: Double, kernelSize: SpatialSizes, stride: SpatialSizes? = nil, ceilMode: Bool = false)
    -> Tensor
{
    powerPool("lpPool3d", rank: 3, x, norm, kernelSize, stride, ceilMode)
}
