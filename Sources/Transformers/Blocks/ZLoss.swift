import CoreTensor

/// `coefficient · mean(log² Σ eˡᵒᵍⁱᵗˢ)`: what keeps logits `[..., classes]` from drifting away, added to a loss (PaLM; Chowdhery et al., 2022).
public func zLoss(_ logits: Tensor, coefficient: Double = 1e-4) -> Tensor {
    let size = logits.logSumExp(-1)
    return (size * size).mean() * coefficient
}
