import CoreTensor

/// A layer that keeps running statistics of what it sees in training: batch normalisation.
public protocol RunningStatistics: Module {
    /// The share of each batch in the running statistics; nil is the mean over all batches since the last reset.
    var momentum: Double? { get set }
    /// Forgets what was seen.
    func resetRunningStatistics()
}

/// Computes the running statistics of all ``RunningStatistics`` layers of a model anew, as the mean over the batches (PyTorch's
/// `update_bn`): for weights that were averaged and have seen no data. `forward` runs the model on a batch.
public func updateRunningStatistics<Batches: Sequence>(
    of model: Module, over batches: Batches, _ forward: (Batches.Element) throws -> Void
) rethrows {
    let layers = model.namedModules.compactMap { $0.module as? any RunningStatistics }
    if layers.isEmpty { return }
    let momenta = layers.map(\.momentum)
    let modes = model.namedModules.map { ($0.module, $0.module.isTraining) }
    for layer in layers {
        layer.resetRunningStatistics()
        layer.momentum = nil
    }
    model.train()
    defer {
        for (layer, momentum) in zip(layers, momenta) { layer.momentum = momentum }
        // From the outside in, so that each module ends with its own mode.
        for (module, isTraining) in modes { module.train(isTraining) }
    }
    for batch in batches { try withoutGrad { try forward(batch) } }
}
