import CoreTensor
import NN

extension TransformerBlock {
    /// One position of each sequence, `x [batch, 1, model]`, as one call of the backend; nil where it has to go step by step, which gives the
    /// same numbers. A token of a small model meets a hundred operations: called one by one they take as long as reading its weights.
    func step(_ x: Tensor, cache: inout KVCache.Layer) -> Tensor? {
        guard let kernel = feedForward.activation.decoderKernel, attention.scale == nil, x.rank == 3, x.shape[1] == 1,
            x.count > 0,
            norm == .pre, AttentionRecorder.current == nil, !isGradEnabled, !isAutocastEnabled, !x.isBatched,
            !attention.dropout.isActive, !feedForward.dropout.isActive, x.raw.isContiguous
        else { return nil }
        let type = x.dtype, width = x.shape[2]
        guard let first = attentionNorm.plan(width, type), let second = feedForwardNorm.plan(width, type),
            let qkv = attention.qkv.linearPlan(for: type), let output = attention.output.linearPlan(for: type),
            let expand = feedForward.expand.linearPlan(for: type), let project = feedForward.project.linearPlan(for: type)
        else { return nil }
        let input = x.raw, out = RawTensor(input.layout, type, x.device), before = cache.length
        let isDone = cache.extend(batch: x.shape[0], heads: attention.heads, dim: width / attention.heads, like: input) {
            let plan = DecoderBlockPlan(
                heads: attention.heads, attentionNorm: first, feedForwardNorm: second, qkv: qkv, output: output, expand: expand,
                project: project, activation: kernel, keys: $0, values: $1,
                length: before)
            return out.backend.decoderBlock(input, plan, out)
        }
        return isDone ? Tensor(raw: out) : nil
    }
}

extension FeedForwardActivation {
    /// The kernel that a backend's step through a block knows, if there is one.
    fileprivate var decoderKernel: UnaryKernel? {
        switch self {
        case .gelu: .geluErf
        case .geluTanh: .geluTanh
        case .relu: .relu
        case .silu: .silu
        default: nil
        }
    }
}

extension Dropout {
    fileprivate var isActive: Bool { isTraining && probability > 0 }
}

extension LayerNorm {
    /// Nil if it is not over the last axis of `width` alone, or has parts of another type.
    fileprivate func plan(_ width: Int, _ dtype: DType) -> DecoderBlockPlan.Norm? {
        let weight = weight?.value.raw, bias = bias?.value.raw
        func fits(_ x: RawTensor?) -> Bool { x.map { $0.dtype == dtype && $0.isContiguous } ?? true }
        return shape == [width] && fits(weight) && fits(bias) ? .init(weight: weight, bias: bias, eps: eps) : nil
    }
}
