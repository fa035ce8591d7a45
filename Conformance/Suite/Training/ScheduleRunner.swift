import Foundation
import Tapestry

/// torch.optim.lr_scheduler's and transformers' rates (and momenta) in force at each step.
enum ScheduleRunner {
    @Sendable static func run(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let options = try GoldenOptions(item["kwargs"], file)
        let bases = (item["base_lr"] as! [NSNumber]).map(\.doubleValue)
        let optimizer = SGD(
            bases.map { ParameterGroup([Parameter(Tensor(zeros: [1]))], learningRate: $0) }, learningRate: 1, momentum: 0.9)
        let name = item["scheduler"] as! String
        let advance: (Int) -> Void
        if name == "ReduceLROnPlateau" {
            let plateau = plateau(optimizer, options)
            let metrics = (item["metrics"] as! [NSNumber]).map(\.doubleValue)
            advance = { plateau.advance(metrics[$0]) }
        } else {
            let schedules = try bases.indices.map { try schedule(name, options, group: $0) }
            let scheduler = LearningRateScheduler(optimizer, schedules)
            advance = { _ in scheduler.advance() }
        }
        try options.finish()
        let rates = item["lr"] as! [[NSNumber]]
        for (step, expected) in rates.enumerated() {
            for (group, rate) in zip(optimizer.groups, expected) {
                if !isClose(group.learningRate, rate) { return "step \(step): rate \(group.learningRate), expected \(rate)" }
            }
            if let momenta = item["momentum"] as? [Any] {
                let expected = (momenta[step] as? [NSNumber]) ?? [momenta[step] as! NSNumber]
                for (group, momentum) in zip(optimizer.groups, expected) {
                    if !isClose(group.momentum!, momentum) {
                        return "step \(step): momentum \(group.momentum!), expected \(momentum)"
                    }
                }
            }
            if step < rates.count - 1 { advance(step) }
        }
        return nil
    }

    private static func isClose(_ a: Double, _ b: NSNumber) -> Bool {
        Swift.abs(a - b.doubleValue) <= 1e-14 + 1e-11 * Swift.abs(b.doubleValue)
    }

    private static func plateau(_ optimizer: Optimizer, _ o: GoldenOptions) -> ReduceOnPlateau {
        ReduceOnPlateau(
            optimizer, mode: o.string("mode") == "max" ? .max : .min, factor: o.number("factor", 0.1),
            patience: o.int("patience", 10), threshold: o.number("threshold", 1e-4),
            thresholdMode: o.string("threshold_mode") == "abs" ? .absolute : .relative, cooldown: o.int("cooldown", 0),
            minima: o.numbers("min_lr") ?? optimizer.groups.map { _ in o.number("min_lr", 0) }, epsilon: o.number("eps", 1e-8))
    }

    /// The schedule of one group: an option may be a list with a value for each.
    static func schedule(_ name: String, _ o: GoldenOptions, group: Int) throws -> Schedule {
        func each(_ key: String) -> Double? { o.numbers(key)?[group] ?? o.number(key) }
        func momenta(_ low: Double, _ high: Double) -> (low: Double, high: Double)? {
            let range = (low: each("base_momentum") ?? low, high: each("max_momentum") ?? high)
            return o.flag("cycle_momentum", true) ? range : nil
        }
        let anneal: Schedule.Anneal = o.string("anneal_strategy") == "linear" ? .linear : .cosine
        let warmUp = o.int("num_warmup_steps", 0), total = o.int("num_training_steps", 0)
        switch name.split(separator: " ").first.map(String.init) ?? name {
        case "StepLR": return .step(every: o.int("step_size", 1), factor: o.number("gamma", 0.1))
        case "MultiStepLR": return .steps(at: (o.numbers("milestones") ?? []).map { Int($0) }, factor: o.number("gamma", 0.1))
        case "ConstantLR": return .scaled(by: o.number("factor", 1.0 / 3), steps: o.int("total_iters", 5))
        case "LinearLR":
            return .linear(
                from: o.number("start_factor", 1.0 / 3), to: o.number("end_factor", 1), steps: o.int("total_iters", 5))
        case "ExponentialLR": return .exponential(factor: o.number("gamma", 1))
        case "PolynomialLR": return .polynomial(steps: o.int("total_iters", 5), power: o.number("power", 1))
        case "CosineAnnealingLR":
            return .cosineAnnealing(steps: o.int("T_max", 1), minimum: o.number("eta_min", 0))
        case "CosineAnnealingWarmRestarts":
            return .cosineWarmRestarts(
                first: o.int("T_0", 1), multiplier: o.int("T_mult", 1), minimum: o.number("eta_min", 0))
        case "CyclicLR":
            let modes: [String: Schedule.CycleMode] = [
                "triangular": .triangular, "triangular2": .triangular2, "exp_range": .exponential(gamma: o.number("gamma", 1)),
            ]
            return .cyclic(
                from: each("base_lr")!, to: each("max_lr")!, up: o.int("step_size_up", 2000),
                down: o.number("step_size_down").map { Int($0) }, mode: modes[o.string("mode") ?? "triangular"]!,
                momentum: momenta(0.8, 0.9))
        case "OneCycleLR":
            return .oneCycle(
                maximum: each("max_lr")!,
                steps: o.number("total_steps").map { Int($0) } ?? o.int("epochs", 1) * o.int("steps_per_epoch", 1),
                warmUp: o.number("pct_start", 0.3), anneal, momentum: momenta(0.85, 0.95),
                divisor: o.number("div_factor", 25), finalDivisor: o.number("final_div_factor", 1e4),
                threePhase: o.flag("three_phase"))
        case "SWALR":
            return Schedule.constant.annealed(
                to: each("swa_lr")!, after: 0, over: o.int("anneal_epochs", 10), anneal)
        case "LambdaLR", "MultiplicativeLR":
            guard let text = o.string("lambda") ?? o.string("lr_lambda") else { throw Unsupported("a function") }
            let formula = try StepFormula(text)
            return name == "LambdaLR" ? .factor { formula($0) } : .product { formula($0) }
        case "ChainedScheduler": return .chained(try list(o, group))
        case "SequentialLR": return .sequence(try list(o, group), at: (o.numbers("milestones") ?? []).map { Int($0) })
        case "get_constant_schedule": return .constant
        case "get_constant_schedule_with_warmup": return .constantWithWarmUp(warmUp)
        case "get_linear_schedule_with_warmup": return .linearWithWarmUp(warmUp, steps: total)
        case "get_cosine_schedule_with_warmup":
            return .cosineWithWarmUp(warmUp, steps: total, cycles: o.number("num_cycles", 0.5))
        case "get_cosine_with_min_lr_schedule_with_warmup":
            return .cosineWithWarmUp(
                warmUp, steps: total, cycles: o.number("num_cycles", 0.5), minimum: o.number("min_lr_rate", 0))
        case "get_cosine_with_hard_restarts_schedule_with_warmup":
            return .cosineHardRestartsWithWarmUp(warmUp, steps: total, cycles: o.int("num_cycles", 1))
        case "get_polynomial_decay_schedule_with_warmup":
            return .polynomialWithWarmUp(warmUp, steps: total, end: o.number("lr_end", 1e-7), power: o.number("power", 1))
        case "get_inverse_sqrt_schedule":
            return .inverseSquareRootWithWarmUp(warmUp, timescale: o.number("timescale").map { Int($0) })
        default: throw Unsupported("scheduler \(name)")
        }
    }

    /// Schedules written as calls: `ConstantLR(factor=.5,total_iters=8), ExponentialLR(gamma=.95)`.
    private static func list(_ o: GoldenOptions, _ group: Int) throws -> [Schedule] {
        guard let text = o.string("schedulers") else { throw Unsupported("schedulers that are no text") }
        var schedules: [Schedule] = []
        for match in text.matches(of: /(\w+)\(([^()]*)\)/) {
            var values: [String: GoldenValue] = [:]
            for pair in match.2.matches(of: /(\w+)\s*=\s*(\[[^\]]*\]|[^,]+)/) {
                let numbers = pair.2.split { "[], ".contains($0) }.compactMap { Double($0) }
                if numbers.isEmpty { throw Unsupported("\(pair.0)") }
                values[String(pair.1)] =
                    pair.2.hasPrefix("[") ? .list(numbers.map { .float($0) }) : .float(numbers[0])
            }
            let options = GoldenOptions(values)
            schedules.append(try schedule(String(match.1), options, group: group))
            try options.finish()
        }
        if schedules.isEmpty { throw Unsupported("schedulers \(text)") }
        return schedules
    }
}
