/// Channels spread over space (Shi et al., 2016): `[..., channels · factor², height, width]` gives `[..., channels, height · factor, width ·
/// factor]`. Traps if factor² does not divide the channels.
public func pixelShuffle(_ x: Tensor, factor: Int) -> Tensor {
    if x.rank < 3 || factor < 1 || x.shape[x.rank - 3] % (factor * factor) != 0 {
        fail("pixelShuffle", "an input of shape \(x.shape) with factor \(factor); needs [..., channels · factor², height, width]")
    }
    let lead = Array(x.shape.dropLast(3)), n = lead.count
    let c = x.shape[n] / (factor * factor), h = x.shape[n + 1], w = x.shape[n + 2]
    return x.reshaped(lead + [c, factor, factor, h, w])
        .permuted(Array(0..<n) + [n, n + 3, n + 1, n + 4, n + 2])
        .reshaped(lead + [c, h * factor, w * factor])
}

/// The inverse of ``pixelShuffle(_:factor:)``: `[..., channels, height · factor, width · factor]` gives `[..., channels · factor², height,
/// width]`. Traps if the factor does not divide height and width.
public func pixelUnshuffle(_ x: Tensor, factor: Int) -> Tensor {
    if x.rank < 3 || factor < 1 || x.shape[x.rank - 2] % factor != 0 || x.shape[x.rank - 1] % factor != 0 {
        fail(
            "pixelUnshuffle",
            "an input of shape \(x.shape) with factor \(factor); needs [..., channels, height · factor, width · factor]")
    }
    let lead = Array(x.shape.dropLast(3)), n = lead.count
    let c = x.shape[n], h = x.shape[n + 1] / factor, w = x.shape[n + 2] / factor
    return x.reshaped(lead + [c, h, factor, w, factor])
        .permuted(Array(0..<n) + [n, n + 2, n + 4, n + 1, n + 3])
        .reshaped(lead + [c * factor * factor, h, w])
}

/// The channels of `groups` groups in turn (Zhang et al., 2018): `[batch, channels, ...]`, the first of each group, then the second of
/// each … Traps if the groups do not divide the channels.
public func channelShuffle(_ x: Tensor, groups: Int) -> Tensor {
    if x.rank < 3 || groups < 1 || x.shape[1] % groups != 0 {
        fail("channelShuffle", "an input of shape \(x.shape) in \(groups) groups; needs [batch, channels, places...]")
    }
    let rest = Array(x.shape[2...])
    return x.reshaped([x.shape[0], groups, x.shape[1] / groups] + rest).transposed(1, 2).reshaped(x.shape)
}
