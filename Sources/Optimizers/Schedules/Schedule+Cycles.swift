import CoreTensor

/// Rates that go up and down, and momentum with them.
extension Schedule {
    /// Half a cosine from the starting rate to `minimum`, then from the start again: `first` steps, and `multiplier` times as many
    /// at each restart (Loshchilov and Hutter, 2017; PyTorch's CosineAnnealingWarmRestarts).
    public static func cosineWarmRestarts(first: Int, multiplier: Int = 1, minimum: Double = 0) -> Schedule {
        if first < 1 || multiplier < 1 {
            fail("Schedule.cosineWarmRestarts", "\(first) steps times \(multiplier); both must be at least 1")
        }
        return Schedule { step, base in
            var (t, length) = (step, first)
            if multiplier == 1 {
                t %= first
            } else {
                while t >= length {
                    t -= length
                    length *= multiplier
                }
            }
            return minimum + (base - minimum) * (1 + cos(.pi * Double(t) / Double(length))) / 2
        }
    }

    /// How the height of a cycle changes.
    public enum CycleMode: Sendable {
        /// It does not.
        case triangular
        /// Half of the one before.
        case triangular2
        /// γ to the step.
        case exponential(gamma: Double)
        /// A function of the cycle's number, from 1.
        case byCycle(@Sendable (_ cycle: Int) -> Double)
        /// A function of the step, from 0.
        case byStep(@Sendable (_ step: Int) -> Double)

        func height(cycle: Int, step: Int) -> Double {
            switch self {
            case .triangular: 1
            case .triangular2: 1 / pow(2, Double(cycle - 1))
            case .exponential(let gamma): pow(gamma, Double(step))
            case .byCycle(let f): f(cycle)
            case .byStep(let f): f(step)
            }
        }
    }

    /// Up from `low` to `high` in `up` steps and down again in `down` (as many, if nil), over and over (Smith, 2017; PyTorch's
    /// CyclicLR). `momentum` goes the other way, from the second number down to the first; nil leaves it alone. The
    /// starting rate does not count.
    public static func cyclic(
        from low: Double, to high: Double, up: Int = 2000, down: Int? = nil, mode: CycleMode = .triangular,
        momentum: (low: Double, high: Double)? = (0.8, 0.9)
    ) -> Schedule {
        if up < 1 || (down ?? 1) < 0 { fail("Schedule.cyclic", "\(up) steps up and \(down ?? up) down") }
        let total = Double(up + (down ?? up)), share = Double(up) / total
        let height: @Sendable (Int) -> Double = { step in
            let cycle = (1 + Double(step) / total).rounded(.down)
            let x = 1 + Double(step) / total - cycle
            return (x <= share ? x / share : (x - 1) / (share - 1)) * mode.height(cycle: Int(cycle), step: step)
        }
        var schedule = Schedule { step, _ in low + (high - low) * height(step) }
        if let momentum {
            schedule.momentumRule = { step in momentum.high - (momentum.high - momentum.low) * height(step) }
        }
        return schedule
    }

    /// One rise from `maximum` / `divisor` to `maximum` in the first `warmUp` of `steps`, then down to the start divided by
    /// `finalDivisor` (Smith and Topin, 2018; PyTorch's OneCycleLR). With `threePhase` first down to the start, as steeply as up.
    /// `momentum` goes the other way; nil leaves it alone. The starting rate does not count. Traps on steps past the end.
    public static func oneCycle(
        maximum: Double, steps: Int, warmUp: Double = 0.3, _ anneal: Anneal = .cosine,
        momentum: (low: Double, high: Double)? = (0.85, 0.95), divisor: Double = 25, finalDivisor: Double = 1e4,
        threePhase: Bool = false
    ) -> Schedule {
        if steps < 1 { fail("Schedule.oneCycle", "\(steps) steps") }
        if !(0...1).contains(warmUp) { fail("Schedule.oneCycle", "a warm-up of \(warmUp); must be a share in 0 ... 1") }
        let start = maximum / divisor, end = start / finalDivisor
        let (low, high) = momentum ?? (0, 0)
        let length = warmUp * Double(steps), last = Double(steps - 1)
        typealias Phase = (end: Double, rates: (Double, Double), momenta: (Double, Double))
        let rise: Phase = (length - 1, (start, maximum), (high, low))
        let phases: [Phase] =
            threePhase
            ? [rise, (2 * length - 2, (maximum, start), (low, high)), (last, (start, end), (high, high))]
            : [rise, (last, (maximum, end), (low, high))]
        let find: @Sendable (Int) -> (Phase, Double) = { step in
            if step > steps { fail("Schedule.oneCycle", "step \(step) of a schedule of \(steps) steps") }
            let index = phases.firstIndex { Double(step) <= $0.end } ?? phases.count - 1
            let before = index == 0 ? 0 : phases[index - 1].end
            return (phases[index], (Double(step) - before) / (phases[index].end - before))
        }
        var schedule = Schedule { step, _ in
            let (phase, t) = find(step)
            return anneal(from: phase.rates.0, to: phase.rates.1, t)
        }
        if momentum != nil {
            schedule.momentumRule = { step in
                let (phase, t) = find(step)
                return anneal(from: phase.momenta.0, to: phase.momenta.1, t)
            }
        }
        return schedule
    }
}
