import CKernels

// Attention by separate operations: the reference, and the way to gradients of gradients, gradients of masks, and under `vmap`.

func repeatHeads(_ x: Tensor, _ groups: Int) -> Tensor {
    if groups == 1 { return x }
    let s = x.shape
    return x.unsqueezed(2).expanded(to: [s[0], s[1], groups, s[2], s[3]]).reshaped([s[0], s[1] * groups, s[2], s[3]])
}

func sumHeads(_ x: Tensor, _ groups: Int) -> Tensor {
    if groups == 1 { return x }
    let s = x.shape
    return x.reshaped([s[0], s[1] / groups, groups, s[2], s[3]]).sum(2)
}

/// Scores before the softmax, what is seen (nil: everything), and the derivative of the cap (nil: 1).
struct ComposedScores {
    var scores: Tensor
    var visible: Tensor?
    var capSlope: Tensor?
}

/// `q [batch, heads, length, dim]` and `k [batch, heads, keys, dim]`; `mask` takes the place of the plan's.
func composedScores(_ q: Tensor, _ k: Tensor, _ plan: AttentionPlan, mask: Tensor?) -> ComposedScores {
    var made = ComposedScores(scores: matmul(q, k.transposed()) * plan.scale)
    if let cap = plan.softCap {
        let t = tanh(made.scores / cap)
        made.scores = t * cap
        made.capSlope = 1 - t * t
    }
    let length = q.shape[2], keys = k.shape[2]
    func see(_ more: Tensor) { made.visible = made.visible.map { $0 .& more } ?? more }
    if plan.causal || plan.window != nil || plan.alibiSlopes != nil {
        let ahead =
            Tensor(arange: keys, device: q.device).unsqueezed(0)
            - (Tensor(arange: length, device: q.device) + plan.position).unsqueezed(1)
        if plan.causal { see(ahead .<= 0) }
        if let window = plan.window { see(abs(ahead) .< window) }
        if let slopes = plan.alibiSlopes {
            let each = Tensor(slopes, dtype: made.scores.dtype, device: q.device).reshaped([slopes.count, 1, 1])
            made.scores = made.scores - each * abs(ahead).to(made.scores.dtype)
        }
    }
    if let mask {
        if mask.dtype == .bool {
            see(mask)
        } else {
            let added = mask.to(made.scores.dtype)
            // -∞ hides, as false does, so that it makes no NaN.
            let shown = added.detached() .> -Double.infinity
            see(shown)
            made.scores = made.scores + which(shown, added, 0)
        }
    }
    return made
}

/// softmax of the scores; rows that see no key are 0.
func attentionProbabilities(_ composed: ComposedScores) -> Tensor {
    let scores = composed.scores
    guard let visible = composed.visible else { return softmax(scores) }
    let hidden = .!visible.expanded(to: scores.shape)
    // Finite, so that a fully hidden row has no ∞ - ∞; those rows are set to 0 after.
    return softmax(scores.maskedFill(hidden, scores.dtype == .float16 ? -6e4 : -1e30)).maskedFill(hidden, 0)
}

/// What dropout multiplies the weights by: 0, or 1 over what is kept.
func droppedFactors(_ plan: AttentionPlan, _ shape: Shape, _ dtype: DType, _ device: Device) -> Tensor {
    let kept = RawTensor(shape: shape, .bool, device)
    kept.backend.attentionKept(kept, plan)
    return Tensor(raw: kept).to(dtype) / (1 - plan.dropout)
}
