/// How ``gridSample(_:_:mode:paddingMode:alignCorners:)`` finds values between elements.
public enum GridSampleMode: String, Sendable { case bilinear, nearest, bicubic }

/// What ``gridSample(_:_:mode:paddingMode:alignCorners:)`` reads outside the input.
public enum GridPaddingMode: String, Sendable {
    /// 0.
    case zeros
    /// The nearest element of the border.
    case border
    /// The input mirrored at its borders, as often as needed.
    case reflection
}

/// One axis of a sampling: from grid coordinates to places of the input.
private struct GridAxis {
    let size: Int
    let padding: GridPaddingMode
    let alignCorners: Bool

    /// -1 ... 1 to places 0 ... size - 1 (of the centres, or of the outer edges).
    func place(_ coordinate: Tensor) -> Tensor {
        alignCorners ? (coordinate + 1) * (Double(size - 1) / 2) : ((coordinate + 1) * Double(size) - 1) / 2
    }

    /// Places outside, brought inside as the mode says. Clamping stops the gradient, as PyTorch's does.
    func inside(_ place: Tensor) -> Tensor {
        switch padding {
        case .zeros: return place
        case .border: return clip(place)
        case .reflection:
            let low = alignCorners ? 0 : -0.5, span = alignCorners ? Double(size - 1) : Double(size)
            if span == 0 { return place * 0 }
            let distance = abs(place - low)
            let turns = floor(distance.detached() / span)
            let rest = distance - turns * span
            let isEven = (turns - floor(turns / 2) * 2) .== 0
            return clip(which(isEven, rest + low, span - rest + low))
        }
    }

    private func clip(_ place: Tensor) -> Tensor { maximumOrZero(place) }

    /// min(max(x, 0), size - 1); NaN becomes 0, and the gradient at the borders and outside is 0.
    private func maximumOrZero(_ x: Tensor) -> Tensor {
        let value = x.detached(), top = Double(size - 1)
        let isInside = (value .> 0) .& (value .< top)
        let border = which(value .>= top, Tensor(zerosLike: value) + top, Tensor(zerosLike: value))
        return which(isInside, x, border)
    }

    /// Whether whole places (floats) are in the input, and those places as indices, those outside as 0.
    func index(_ place: Tensor) -> (index: Tensor, isInside: Tensor) {
        let value = place.detached()
        let isInside = (value .>= 0) .& (value .<= Double(size - 1))
        return (which(isInside, value, Tensor(zerosLike: value)).to(.int64), isInside)
    }
}

/// `x [batch, channels, height, width]` (or with depth) read at the places that `grid [batch, outHeight, outWidth, 2]` (or `[...,
/// 3]`) names, in x, y (, z) order from -1 to 1: gives `[batch, channels, outHeight, outWidth]` (Jaderberg et al., 2015).
///
/// With `alignCorners` -1 and 1 are the centres of the first and last elements, otherwise their outer edges. `bicubic` is cubic along
/// every axis. Gradients flow to both arguments. Traps on shapes that do not fit.
public func gridSample(
    _ x: Tensor, _ grid: Tensor, mode: GridSampleMode = .bilinear, paddingMode: GridPaddingMode = .zeros,
    alignCorners: Bool = false
) -> Tensor {
    let rank = x.rank - 2
    if !(2...3).contains(rank) || grid.rank != x.rank || grid.shape.last! != rank || grid.shape[0] != x.shape[0]
        || x.dtype != grid.dtype
        || !x.dtype.isFloatingPoint || x.shape[2...].contains(0)
    {
        fail(
            "gridSample",
            "an input \(x.dtype) of shape \(x.shape) and a grid \(grid.dtype) of shape \(grid.shape); needs floats [batch, channels, 2 or 3 axes] "
                + "and [batch, 2 or 3 axes, 2 or 3]")
    }
    if x.dtype == .float16 || x.dtype == .bfloat16 {
        return gridSample(x.to(.float32), grid.to(.float32), mode: mode, paddingMode: paddingMode, alignCorners: alignCorners).to(
            x.dtype)
    }
    let axes = x.shape[2...].map { GridAxis(size: $0, padding: paddingMode, alignCorners: alignCorners) }
    // Places per axis, outermost first: the grid names the innermost first.
    let places = (0..<rank).map { i in axes[i].place(grid.slice([.ellipsis, .at(rank - 1 - i)])) }
    let samples: [[(Tensor, Tensor)]]  // per axis: whole places and weights
    switch mode {
    case .nearest:
        samples = (0..<rank).map { i in
            let place = round(axes[i].inside(places[i]).detached())
            return [(place, Tensor(onesLike: place))]
        }
    case .bilinear:
        samples = (0..<rank).map { i in
            let place = axes[i].inside(places[i])
            let low = floor(place.detached()), part = place - low
            return [(low, 1 - part), (low + 1, part)]
        }
    case .bicubic:
        samples = (0..<rank).map { i in
            let low = floor(places[i].detached()), part = places[i] - low
            return (-1...2).map { k in (axes[i].inside(low + Double(k)), cubicWeights(part - Double(k))) }
        }
    }
    return combined(x, axes, samples, outputs: Array(grid.shape[1..<(rank + 1)]))
}

/// Keys' kernel of a tensor of distances, a = -3/4.
private func cubicWeights(_ distance: Tensor) -> Tensor {
    let a = -0.75, t = abs(distance)
    let near = ((t * (a + 2) - (a + 3)) * t * t) + 1
    let far = (((t - 5) * t + 8) * t - 4) * a
    return which(t.detached() .<= 1, near, far)
}

/// The sum over all combinations of one sample per axis of the elements there times the weights.
private func combined(_ x: Tensor, _ axes: [GridAxis], _ samples: [[(Tensor, Tensor)]], outputs: [Int]) -> Tensor {
    let batch = x.shape[0], channels = x.shape[1], count = outputs.reduce(1, *)
    let planes = x.reshaped([batch, channels, x.shape[2...].reduce(1, *)])
    var total: Tensor?
    func visit(_ axis: Int, _ index: Tensor?, _ isInside: Tensor?, _ weight: Tensor?) {
        if axis == axes.count {
            let kept = which(isInside!, weight!, Tensor(zerosLike: weight!)).reshaped([batch, 1, count])
            let picked = planes.gathered(
                axis: 2, index: index!.reshaped([batch, 1, count]).expanded(to: [batch, channels, count]))
            let term = picked * kept
            total = total.map { $0 + term } ?? term
            return
        }
        for (place, factor) in samples[axis] {
            let (i, inside) = axes[axis].index(place)
            visit(
                axis + 1, index.map { $0 * axes[axis].size + i } ?? i, isInside.map { $0 .& inside } ?? inside,
                weight.map { $0 * factor } ?? factor)
        }
    }
    visit(0, nil, nil, nil)
    return total!.reshaped([batch, channels] + outputs)
}

/// The grid of an affine map for ``gridSample(_:_:mode:paddingMode:alignCorners:)``: `theta [batch, 2, 3]` and size `[batch, channels, height,
/// width]` give `[batch, height, width, 2]`; `theta [batch, 3, 4]` and a size with depth `[batch, depth, height, width, 3]`.
public func affineGrid(_ theta: Tensor, size: [Int], alignCorners: Bool = false) -> Tensor {
    let rank = size.count - 2
    if !(2...3).contains(rank) || theta.shape != [size[0], rank, rank + 1] || !theta.dtype.isFloatingPoint {
        fail("affineGrid", "maps of shape \(theta.shape) for a size \(size); needs [batch, 2, 3] or [batch, 3, 4]")
    }
    let places = Array(size[2...])
    var columns: [Tensor] = []
    // x, y (, z), 1
    for axis in (0..<rank).reversed() {
        let n = places[axis]
        let edge = alignCorners ? 1 : Double(n - 1) / Double(Swift.max(n, 1))
        let line =
            n == 1
            ? Tensor(zeros: [1], dtype: theta.dtype, device: theta.device)
            : Tensor(linspace: -edge, to: edge, count: n, dtype: theta.dtype, device: theta.device)
        columns.append(line.reshaped([n] + [Int](repeating: 1, count: rank - 1 - axis)).expanded(to: places))
    }
    columns.append(Tensor(ones: places, dtype: theta.dtype, device: theta.device))
    let base = stack(columns, axis: -1).reshaped([places.reduce(1, *), rank + 1])
    return matmul(base, theta.transposed()).reshaped([size[0]] + places + [rank])
}
