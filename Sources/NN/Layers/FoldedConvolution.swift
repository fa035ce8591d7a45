import CoreTensor

extension Convolution {
    /// Takes a batch normalisation that follows this layer into its weight and bias, for evaluation: w γ / √(σ² + ε) and (b - μ) γ / √(σ² +
    /// ε) + β. Gives the new weight `[outputs, inputs / groups, kernel...]` and bias `[outputs]`, without history.
    ///
    /// Traps if the normalisation tracks no statistics or has another number of channels.
    public func folded(with norm: BatchNorm) -> (weight: Tensor, bias: Tensor) {
        let w = weight.value.detached()
        guard let running = norm.running, running.mean.shape == [w.shape[0]] else {
            fail(
                "folded",
                "a normalisation of \(norm.channels) channels after \(w.shape[0]) outputs; needs running statistics of as many")
        }
        let scale = (norm.weight?.value.detached() ?? Tensor(onesLike: running.mean)) / sqrt(running.variance + norm.eps)
        let shift = (bias?.value.detached() ?? Tensor(zerosLike: running.mean)) - running.mean
        let start = norm.bias?.value.detached() ?? Tensor(zerosLike: running.mean)
        return (w * scale.reshaped([w.shape[0]] + [Int](repeating: 1, count: w.rank - 1)), shift * scale + start)
    }
}

extension Conv1d {
    /// One layer that does in evaluation what this one and a batch normalisation after it do; see ``Convolution/folded(with:)``.
    public func folding(_ norm: BatchNorm1d) -> Conv1d {
        let (w, b) = folded(with: norm)
        let layer = Conv1d(
            w.shape[1] * groups, w.shape[0], kernelSize: SpatialSizes(Array(w.shape[2...])), stride: stride, padding: padding,
            dilation: dilation, groups: groups, paddingMode: paddingMode, dtype: w.dtype)
        layer.weight.value = w
        layer.bias!.value = b
        return layer
    }
}

extension Conv2d {
    /// One layer that does in evaluation what this one and a batch normalisation after it do; see ``Convolution/folded(with:)``.
    public func folding(_ norm: BatchNorm2d) -> Conv2d {
        let (w, b) = folded(with: norm)
        let layer = Conv2d(
            w.shape[1] * groups, w.shape[0], kernelSize: SpatialSizes(Array(w.shape[2...])), stride: stride, padding: padding,
            dilation: dilation, groups: groups, paddingMode: paddingMode, dtype: w.dtype)
        layer.weight.value = w
        layer.bias!.value = b
        return layer
    }
}

extension Conv3d {
    /// One layer that does in evaluation what this one and a batch normalisation after it do; see ``Convolution/folded(with:)``.
    public func folding(_ norm: BatchNorm3d) -> Conv3d {
        let (w, b) = folded(with: norm)
        let layer = Conv3d(
            w.shape[1] * groups, w.shape[0], kernelSize: SpatialSizes(Array(w.shape[2...])), stride: stride, padding: padding,
            dilation: dilation, groups: groups, paddingMode: paddingMode, dtype: w.dtype)
        layer.weight.value = w
        layer.bias!.value = b
        return layer
    }
}
