import CoreTensor
import NN

/// Loss scaling for training in 16-bit floats (Micikevicius et al., 2018): the loss is multiplied so that small gradients do not
/// vanish, the gradients are divided again before the step, and steps with infinite gradients are left out.
///
/// ```swift
/// scaler.scale(loss).backward()
/// scaler.step(optimizer)
/// scaler.update()
/// ```
public final class GradScaler {
    /// What the loss is multiplied by now.
    public private(set) var scale: Double
    /// What the scale is multiplied by after ``growthInterval`` good steps.
    public let growthFactor: Double
    /// What the scale is multiplied by after a step with infinite gradients.
    public let backoffFactor: Double
    /// Good steps in a row before the scale grows.
    public let growthInterval: Int
    /// False makes every function pass through.
    public let isEnabled: Bool
    /// Good steps since the scale last changed.
    public private(set) var growthCount = 0
    /// The optimizers whose gradients were divided, and whether some were infinite.
    private var unscaled: [ObjectIdentifier: Bool] = [:]

    /// Traps on a growth factor not above 1 or a backoff factor not below it.
    public init(
        scale: Double = 65536, growthFactor: Double = 2, backoffFactor: Double = 0.5, growthInterval: Int = 2000,
        isEnabled: Bool = true
    ) {
        if !(growthFactor > 1) { fail("GradScaler", "a growthFactor of \(growthFactor); must be above 1") }
        if !(backoffFactor < 1) { fail("GradScaler", "a backoffFactor of \(backoffFactor); must be below 1") }
        self.scale = scale
        self.growthFactor = growthFactor
        self.backoffFactor = backoffFactor
        self.growthInterval = growthInterval
        self.isEnabled = isEnabled
    }

    /// The loss times the scale.
    public func scale(_ loss: Tensor) -> Tensor { isEnabled ? loss * scale : loss }

    /// Divides the optimizer's gradients by the scale, in place, and looks for infinite ones: before clipping. A device is waited for once,
    /// not for each parameter. Traps if they were divided since the last ``update(to:)``.
    public func unscale(_ optimizer: Optimizer) {
        if !isEnabled { return }
        if unscaled[ObjectIdentifier(optimizer)] != nil {
            fail("GradScaler", "the gradients of this optimizer were divided already; call update() after each step")
        }
        let factor = 1 / scale
        var finite: [Device: [Tensor]] = [:]
        rewriteGradients(optimizer.parameters) { gradient in
            gradient *= factor
            finite[gradient.device, default: []].append(gradient.isFinite.all().reshaped([1]))
        }
        unscaled[ObjectIdentifier(optimizer)] = finite.values.contains { !concatenate($0).all().item(Bool.self) }
    }

    /// Divides the gradients if ``unscale(_:)`` has not, then steps unless some are infinite. Answers whether it did.
    @discardableResult
    public func step(_ optimizer: Optimizer) -> Bool {
        if !isEnabled {
            optimizer.step()
            return true
        }
        if unscaled[ObjectIdentifier(optimizer)] == nil { unscale(optimizer) }
        if unscaled[ObjectIdentifier(optimizer)] == true { return false }
        optimizer.step()
        return true
    }

    /// Adapts the scale after the steps of all optimizers, or sets it.
    public func update(to newScale: Double? = nil) {
        if !isEnabled { return }
        if let newScale {
            scale = newScale
        } else if unscaled.values.contains(true) {
            scale *= backoffFactor
            growthCount = 0
        } else {
            growthCount += 1
            if growthCount == growthInterval {
                let grown = scale * growthFactor
                // A scale that no float32 holds would make every loss infinite.
                if Float(grown).isFinite { scale = grown }
                growthCount = 0
            }
        }
        unscaled = [:]
    }

    /// Scale and count, for a checkpoint.
    public struct State: Sendable, Codable, Equatable {
        /// What the loss is multiplied by.
        public var scale: Double
        /// Good steps since the scale last changed.
        public var growthCount: Int
    }

    /// The state between two steps; setting it resumes training.
    public var state: State {
        get { State(scale: scale, growthCount: growthCount) }
        set { (scale, growthCount) = (newValue.scale, newValue.growthCount) }
    }
}
