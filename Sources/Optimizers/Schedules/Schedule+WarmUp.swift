import CoreTensor

/// Warm-ups, and the schedules of transformers that begin with one.
extension Schedule {
    /// A warm-up: step 0 has 1/steps of the rate, step `steps - 1` all of it.
    public static func warmUp(steps: Int) -> Schedule {
        .factor { step in steps > 0 ? min(Double(step + 1) / Double(steps), 1) : 1 }
    }

    /// A linear warm-up, then a cosine to `minimum` at `steps`: the usual schedule of transformers.
    public static func warmUpCosine(warmUp warmUpSteps: Int, steps: Int, minimum: Double = 0) -> Schedule {
        warmUp(steps: warmUpSteps).then(.cosine(steps: max(steps - warmUpSteps, 1), minimum: minimum), after: warmUpSteps)
    }

    /// From 0 (step 0) in equal steps to 1 at step `warmUp`, then `rest` of the steps since and of those left.
    private static func warmed(
        _ warmUp: Int, _ rest: @escaping @Sendable (_ step: Int, _ base: Double) -> Double
    ) -> Schedule {
        Schedule { step, base in
            step < warmUp ? base * Double(step) / Double(max(1, warmUp)) : rest(step, base)
        }
    }

    /// A linear warm-up from 0, then the starting rate (Hugging Face's `get_constant_schedule_with_warmup`).
    public static func constantWithWarmUp(_ warmUp: Int) -> Schedule { warmed(warmUp) { _, base in base } }

    /// A linear warm-up from 0, then a line to 0 at `steps` (`get_linear_schedule_with_warmup`).
    public static func linearWithWarmUp(_ warmUp: Int, steps: Int) -> Schedule {
        warmed(warmUp) { step, base in base * max(0, Double(steps - step) / Double(max(1, steps - warmUp))) }
    }

    /// A linear warm-up from 0, then `cycles` waves of a cosine between the starting rate and `minimum` times it
    /// (`get_cosine_schedule_with_warmup`, `get_cosine_with_min_lr_schedule_with_warmup`); half a wave ends at the minimum.
    public static func cosineWithWarmUp(
        _ warmUp: Int, steps: Int, cycles: Double = 0.5, minimum: Double = 0
    ) -> Schedule {
        warmed(warmUp) { step, base in
            let t = Double(step - warmUp) / Double(max(1, steps - warmUp))
            return base * max(0, (1 + cos(.pi * cycles * 2 * t)) / 2 * (1 - minimum) + minimum)
        }
    }

    /// A linear warm-up from 0, then `cycles` times half a cosine from the starting rate to 0
    /// (`get_cosine_with_hard_restarts_schedule_with_warmup`).
    public static func cosineHardRestartsWithWarmUp(_ warmUp: Int, steps: Int, cycles: Int = 1) -> Schedule {
        warmed(warmUp) { step, base in
            let t = Double(step - warmUp) / Double(max(1, steps - warmUp))
            if t >= 1 { return 0 }
            let part = (Double(cycles) * t).truncatingRemainder(dividingBy: 1)
            return base * max(0, (1 + cos(.pi * part)) / 2)
        }
    }

    /// A linear warm-up from 0, then a polynomial from the starting rate to the rate `end` at `steps`
    /// (`get_polynomial_decay_schedule_with_warmup`).
    public static func polynomialWithWarmUp(
        _ warmUp: Int, steps: Int, end: Double = 1e-7, power: Double = 1
    ) -> Schedule {
        warmed(warmUp) { step, base in
            if step > steps { return end }
            return (base - end) * pow(1 - Double(step - warmUp) / Double(steps - warmUp), power) + end
        }
    }

    /// A linear warm-up from 0, then 1 / √((t + s) / s) with s = `timescale` less the warm-up in the sum
    /// (`get_inverse_sqrt_schedule`). `timescale` is by default the warm-up, or 10,000 if there is none.
    public static func inverseSquareRootWithWarmUp(_ warmUp: Int, timescale: Int? = nil) -> Schedule {
        let scale = timescale ?? (warmUp == 0 ? 10_000 : warmUp)
        return warmed(warmUp) { step, base in base / (Double(step + scale - warmUp) / Double(scale)).squareRoot() }
    }

    /// How a phase of ``warmUpStableDecay(warmUp:stable:decay:warmUpShape:decayShape:minimum:cycles:)`` goes.
    public enum PhaseShape: String, Sendable {
        /// A line.
        case linear
        /// Half a cosine.
        case cosine
        /// One less a square root.
        case oneMinusSquareRoot
    }

    /// A warm-up, a plateau and a decay to `minimum` times the starting rate (Hu et al., 2024; `get_wsd_schedule`).
    public static func warmUpStableDecay(
        warmUp: Int, stable: Int, decay: Int, warmUpShape: PhaseShape = .linear, decayShape: PhaseShape = .cosine,
        minimum: Double = 0, cycles: Double = 0.5
    ) -> Schedule {
        .factor { step in
            func lifted(_ x: Double) -> Double { max(0, x * (1 - minimum) + minimum) }
            if step < warmUp {
                let t = Double(step) / Double(max(1, warmUp))
                switch warmUpShape {
                case .linear: return lifted(t)
                case .cosine: return lifted((1 - cos(.pi * t)) / 2)
                case .oneMinusSquareRoot: return lifted(1 - (1 - t).squareRoot())
                }
            }
            if step < warmUp + stable { return 1 }
            if step >= warmUp + stable + decay { return minimum }
            let t = Double(step - warmUp - stable) / Double(max(1, decay))
            switch decayShape {
            case .linear: return lifted(1 - t)
            case .cosine: return lifted((1 + cos(.pi * cycles * 2 * t)) / 2)
            case .oneMinusSquareRoot: return lifted(1 - t.squareRoot())
            }
        }
    }
}
