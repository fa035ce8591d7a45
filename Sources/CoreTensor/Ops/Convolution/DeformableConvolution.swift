/// Convolution whose taps are moved by learned offsets (Dai et al., 2017) and weighted by a mask (Zhu et al., 2019): torchvision's
/// `deform_conv2d`.
///
/// `x [batch, inputs, height, width]`, `weight [outputs, inputs / groups, kernel...]`, `offset [batch, 2 · offsetGroups · taps, outHeight,
/// outWidth]` (for every tap its shift in y, then in x), `mask [batch, offsetGroups · taps, outHeight, outWidth]`, `bias [outputs]`
/// gives `[batch, outputs, outHeight, outWidth]`. Between places values are bilinear, outside 0. `padding` holds the places before each
/// axis. The groups of offsets are as many as their channels say. Traps on shapes that do not fit.
public func deformConv2d(
    _ x: Tensor, _ weight: Tensor, _ bias: Tensor? = nil, offset: Tensor, mask: Tensor? = nil, stride: SpatialSizes = 1,
    padding: SpatialSizes = 0, dilation: SpatialSizes = 1, groups: Int = 1
) -> Tensor {
    let operation = "deformConv2d"
    let stride = stride.expanded(operation, "stride", rank: 2, atLeast: 1)
    let padding = padding.expanded(operation, "padding", rank: 2, atLeast: 0)
    let dilation = dilation.expanded(operation, "dilation", rank: 2, atLeast: 1)
    guard x.rank == 4, weight.rank == 4, offset.rank == 4, groups > 0, x.shape[1] == weight.shape[1] * groups,
        weight.shape[0] % groups == 0, !weight.shape[2...].contains(0)
    else { fail(operation, "input \(x.shape), weight \(weight.shape), offset \(offset.shape) and \(groups) groups do not fit") }
    let (batch, inputs) = (x.shape[0], x.shape[1]), kernel = Array(weight.shape[2...]), taps = kernel[0] * kernel[1]
    let output = Array(offset.shape[2...]), sets = offset.shape[1] / (2 * taps), places = output[0] * output[1]
    if sets == 0 || offset.shape[1] != 2 * taps * sets || inputs % sets != 0 || offset.shape[0] != batch
        || mask.map({ $0.shape != [batch, sets * taps] + output }) == true
    {
        fail(operation, "offset \(offset.shape) and mask \(mask?.shape ?? []) for \(taps) taps and an input of \(x.shape)")
    }
    // Where each tap reads, by axis: [batch · sets, taps, outHeight, outWidth].
    let shifts = offset.reshaped([batch * sets, taps, 2] + output)
    func coordinate(_ axis: Int) -> Tensor {
        let steps =
            Tensor(arange: 0, to: Double(output[axis]), by: 1, dtype: x.dtype, device: x.device) * stride[axis] - padding[axis]
        let reach = Tensor(
            (0..<taps).map { (axis == 0 ? $0 / kernel[1] : $0 % kernel[1]) * dilation[axis] }, shape: [taps, 1, 1],
            dtype: x.dtype,
            device: x.device)
        let place =
            shifts.narrowed(axis: 2, start: axis, length: 1).squeezed(2) + reach + (axis == 0 ? steps.unsqueezed(-1) : steps)
        return (place * 2 + 1) / Double(x.shape[2 + axis]) - 1
    }
    let grid = stack([coordinate(1), coordinate(0)], axis: -1).reshaped([batch * sets, taps * output[0], output[1], 2])
    let parts = x.reshaped([batch * sets, inputs / sets] + x.shape[2...])
    var columns = gridSample(parts, grid).reshaped([batch, sets, inputs / sets, taps, places])
    if let mask { columns = columns * mask.reshaped([batch, sets, 1, taps, places]) }
    let filters = weight.reshaped([groups, weight.shape[0] / groups, weight.shape[1] * taps])
    let y = matmul(filters, columns.reshaped([batch, groups, weight.shape[1] * taps, places])).reshaped(
        [batch, weight.shape[0]] + output)
    return bias.map { y + $0.reshaped([-1, 1, 1]) } ?? y
}
