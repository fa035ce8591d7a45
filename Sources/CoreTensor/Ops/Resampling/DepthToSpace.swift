/// Which of the channels make a block in ``depthToSpace(_:blockSize:order:)``.
public enum DepthOrder: Sendable {
    /// Channels `[block, block, channels]`: those far apart (TensorFlow; ONNX's DCR).
    case blocksFirst
    /// Channels `[channels, block, block]`: those side by side, as ``pixelShuffle(_:factor:)`` takes them (ONNX's CRD).
    case channelsFirst
}

/// Channels moved into blocks of space: `x [batch, channels · b², height, width]` gives `[batch, channels, height · b, width · b]`.
///
/// Traps on inputs of another rank and if the channels do not divide.
public func depthToSpace(_ x: Tensor, blockSize b: Int, order: DepthOrder = .blocksFirst) -> Tensor {
    if x.rank != 4 || b < 1 || x.shape[1] % (b * b) != 0 {
        fail("depthToSpace", "an input of shape \(x.shape) in blocks of \(b); needs [batch, channels · \(b)², height, width]")
    }
    if order == .channelsFirst { return pixelShuffle(x, factor: b) }
    let (batch, channels, height, width) = (x.shape[0], x.shape[1] / (b * b), x.shape[2], x.shape[3])
    return x.reshaped([batch, b, b, channels, height, width]).permuted([0, 3, 4, 1, 5, 2])
        .reshaped([batch, channels, height * b, width * b])
}

/// Blocks of space moved into channels, the inverse of ``depthToSpace(_:blockSize:order:)``: `x [batch, channels, height · b, width · b]`
/// gives `[batch, channels · b², height, width]`.
///
/// Traps on inputs of another rank and if the sizes do not divide.
public func spaceToDepth(_ x: Tensor, blockSize b: Int, order: DepthOrder = .blocksFirst) -> Tensor {
    if x.rank != 4 || b < 1 || x.shape[2] % b != 0 || x.shape[3] % b != 0 {
        fail(
            "spaceToDepth", "an input of shape \(x.shape) in blocks of \(b); needs [batch, channels, height · \(b), width · \(b)]"
        )
    }
    if order == .channelsFirst { return pixelUnshuffle(x, factor: b) }
    let (batch, channels, height, width) = (x.shape[0], x.shape[1], x.shape[2] / b, x.shape[3] / b)
    return x.reshaped([batch, channels, height, b, width, b]).permuted([0, 3, 5, 1, 2, 4])
        .reshaped([batch, channels * b * b, height, width])
}
