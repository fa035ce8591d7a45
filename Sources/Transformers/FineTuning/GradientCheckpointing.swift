import Autograd
import CoreTensor
import NN

/// A model that can keep only what goes into its blocks, and compute what is within them again in the backward pass (Chen et al., 2016,
/// arXiv:1604.06174): activations of one block at a time in place of all, for about a third more computation. Gradients are the same.
///
/// ```swift
/// let model = try Models.load("models/some-model")
/// model.setGradientCheckpointing(true)
/// ```
public protocol GradientCheckpointing: Module {
    /// Whether blocks are computed again in the backward pass. Off at first; without effect where nothing is recorded.
    var usesGradientCheckpointing: Bool { get set }
}

extension GradientCheckpointing {
    /// The output of a block, computed by `body`.
    func blockOutput(_ body: @escaping () -> Tensor) -> Tensor { usesGradientCheckpointing ? checkpoint(body) : body() }
}

extension Module {
    /// Sets ``GradientCheckpointing/usesGradientCheckpointing`` of this model and of all models within. Traps if none has blocks.
    public func setGradientCheckpointing(_ isOn: Bool) {
        let models = ([self] + namedModules.map(\.module)).compactMap { $0 as? any GradientCheckpointing }
        if models.isEmpty {
            fail("setGradientCheckpointing", "a \(type(of: self)) has no blocks that could be computed again; see checkpoint(_:)")
        }
        for model in models { model.usesGradientCheckpointing = isOn }
    }
}
