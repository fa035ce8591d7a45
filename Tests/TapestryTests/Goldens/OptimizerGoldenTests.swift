import ConformanceSuite
import Foundation
import Tapestry
import TestSupport
import Testing

/// torch.optim's trajectories, its schedulers and its clipping.
@Suite struct OptimizerGoldenTests {
    @Test func trajectories() throws {
        var passed = 0
        var skipped: [String] = []
        for manifest in Goldens.manifests("optim") {
            let file = try GoldenFile(manifest)
            for item in file.cases where item["kind"] as? String == "optimizer" {
                do {
                    try trajectory(item, file)
                    passed += 1
                } catch let reason as Unsupported {
                    skipped.append("\(item["name"]!) (\(reason))")
                }
            }
        }
        print("optimizers: \(passed) passed, \(skipped.count) skipped \(skipped)")
        #expect(passed >= 39)
    }

    private func trajectory(_ item: [String: Any], _ file: GoldenFile) throws {
        let name = item["name"] as! String, steps = item["steps"] as! Int
        let start = item["init"] as! [String: Any]
        let w = Parameter(try file.tensor(start["W"])), b = Parameter(try file.tensor(start["b"]))
        let x = try file.tensor(item["X"]), y = try file.tensor(item["Y"])
        let optimizer = try make(item, file, w, b)
        let losses = try file.tensor(item["losses"]).scalars(Double.self)
        let grads = item["grads"] as! [String: Any], params = item["params"] as! [String: Any]
        let paths = [
            (w, try file.tensor(grads["W"]), try file.tensor(params["W"])),
            (b, try file.tensor(grads["b"]), try file.tensor(params["b"])),
        ]
        let limit = x.dtype == .float64 ? Tolerance(relative: 1e-9, absolute: 1e-11) : Tolerance(relative: 1e-6, absolute: 1e-6)
        for step in 0..<steps {
            optimizer.zeroGrad()
            let loss = square(tanh(x • w.value + b.value) - y).mean()
            loss.backward()
            let error = Swift.abs(loss.item(Double.self) - losses[step])
            #expect(error <= limit.absolute + limit.relative * losses[step], "\(name): loss of step \(step)")
            for (parameter, gradient, _) in paths {
                let wrong = mismatch(parameter.grad!, gradient[step], limit)
                #expect(wrong == nil, "\(name): gradient at step \(step): \(wrong ?? "")")
            }
            optimizer.step()
            for (parameter, _, value) in paths {
                let wrong = mismatch(parameter.value, value[step], limit)
                #expect(wrong == nil, "\(name): parameters after step \(step): \(wrong ?? "")")
                if wrong != nil { return }
            }
        }
    }

    private func make(_ item: [String: Any], _ file: GoldenFile, _ w: Parameter, _ b: Parameter) throws -> Optimizer {
        var options: [String: GoldenValue] = [:]
        for (key, value) in item["kwargs"] as! [String: Any] { options[key] = try file.value(value) }
        var used: Set<String> = ["foreach", "fused", "capturable", "differentiable"]
        func number(_ key: String, _ standard: Double) -> Double {
            used.insert(key)
            switch options[key] ?? .none {
            case .float(let x): return x
            case .int(let i): return Double(i)
            case .tensor(let t): return t.item(Double.self)
            default: return standard
            }
        }
        func flag(_ key: String) -> Bool {
            used.insert(key)
            if case .bool(let b) = options[key] ?? .none { return b }
            return false
        }
        func pair(_ key: String, _ standard: (Double, Double)) -> (Double, Double) {
            used.insert(key)
            guard case .list(let list) = options[key] ?? .none, case .float(let a) = list[0], case .float(let b) = list[1] else {
                return standard
            }
            return (a, b)
        }
        var groups = [ParameterGroup([w, b])]
        if let list = item["param_groups"] as? [[String: Any]] {
            groups = try zip([w, b], list).map { parameter, values in
                var group = ParameterGroup([parameter])
                for (key, any) in values {
                    guard case .float(let x) = try file.value(any) else { throw Unsupported("group option \(key)") }
                    switch key {
                    case "lr": group.learningRate = x
                    case "weight_decay": group.weightDecay = x
                    default: throw Unsupported("group option \(key)")
                    }
                }
                return group
            }
        }
        let optimizer: Optimizer
        switch item["optimizer"] as! String {
        case "SGD":
            optimizer = SGD(
                groups, learningRate: number("lr", 1e-3), momentum: number("momentum", 0), dampening: number("dampening", 0),
                weightDecay: number("weight_decay", 0), nesterov: flag("nesterov"), maximize: flag("maximize"))
        case "Adam":
            optimizer = Adam(
                groups, learningRate: number("lr", 1e-3), betas: pair("betas", (0.9, 0.999)), epsilon: number("eps", 1e-8),
                weightDecay: number("weight_decay", 0), amsgrad: flag("amsgrad"), maximize: flag("maximize"))
        case "AdamW":
            optimizer = AdamW(
                groups, learningRate: number("lr", 1e-3), betas: pair("betas", (0.9, 0.999)), epsilon: number("eps", 1e-8),
                weightDecay: number("weight_decay", 1e-2), amsgrad: flag("amsgrad"), maximize: flag("maximize"))
        case "RMSprop":
            optimizer = RMSProp(
                groups, learningRate: number("lr", 1e-2), alpha: number("alpha", 0.99), epsilon: number("eps", 1e-8),
                weightDecay: number("weight_decay", 0), momentum: number("momentum", 0), centered: flag("centered"),
                maximize: flag("maximize"))
        default: throw Unsupported("optimizer \(item["optimizer"]!)")
        }
        for key in options.keys where !used.contains(key) { throw Unsupported("option \(key)") }
        return optimizer
    }

    @Test func schedules() throws {
        var passed = 0
        for manifest in Goldens.manifests("sched") {
            let file = try GoldenFile(manifest)
            for item in file.cases {
                var options: [String: GoldenValue] = [:]
                for (key, value) in item["kwargs"] as! [String: Any] { options[key] = try file.value(value) }
                func number(_ key: String) -> Double {
                    switch options[key] ?? .none {
                    case .float(let x): x
                    case .int(let i): Double(i)
                    default: 0
                    }
                }
                let schedule: Schedule
                switch item["scheduler"] as! String {
                case "StepLR": schedule = .step(every: Int(number("step_size")), factor: number("gamma"))
                case "MultiStepLR":
                    guard case .list(let list) = options["milestones"]! else { continue }
                    let at = list.map { if case .int(let i) = $0 { i } else { 0 } }
                    schedule = .steps(at: at, factor: number("gamma"))
                case "ExponentialLR": schedule = .exponential(factor: number("gamma"))
                default: continue
                }
                let bases = item["base_lr"] as! [Double]
                let optimizer = SGD(
                    bases.map { ParameterGroup([Parameter(Tensor(zeros: [1]))], learningRate: $0) }, learningRate: 1)
                let scheduler = LearningRateScheduler(optimizer, schedule)
                for (step, rates) in (item["lr"] as! [[NSNumber]]).enumerated() {
                    for (group, rate) in zip(optimizer.groups, rates) {
                        let error = Swift.abs(group.learningRate - rate.doubleValue)
                        #expect(error <= 1e-12 * rate.doubleValue, "\(item["name"]!) step \(step)")
                    }
                    scheduler.advance()
                }
                passed += 1
            }
        }
        #expect(passed >= 3)
    }

    /// Warm-up then cosine, as the formula of Loshchilov and Hutter (2017) says.
    @Test func warmUpCosine() {
        let schedule = Schedule.warmUpCosine(warmUp: 10, steps: 110, minimum: 0.1)
        #expect(schedule(0, base: 2) > 0)
        #expect(Swift.abs(schedule(9, base: 2) - 2) < 0.21)
        #expect(Swift.abs(schedule(10, base: 2) - 2) < 1e-12)
        #expect(Swift.abs(schedule(60, base: 2) - (0.1 + 0.5 * 1.9)) < 1e-12)
        #expect(Swift.abs(schedule(110, base: 2) - 0.1) < 1e-12)
        #expect(Swift.abs(schedule(500, base: 2) - 0.1) < 1e-12)
    }

    @Test func clipping() throws {
        var passed = 0
        for manifest in Goldens.manifests("optim") {
            let file = try GoldenFile(manifest)
            for item in file.cases {
                let kind = item["kind"] as! String
                guard kind.hasPrefix("clip_grad") else { continue }
                if kind == "clip_grad_norm" && GoldenFile.number(item["norm_type"]) != 2 { continue }
                let parameters = try (item["grads"] as! [Any]).map { any -> Parameter in
                    let g = try file.tensor(any)
                    let parameter = Parameter(Tensor(zerosLike: g))
                    parameter.grad = g
                    return parameter
                }
                if kind == "clip_grad_norm" {
                    let norm = clipGradNorm(parameters, maxNorm: GoldenFile.number(item["max_norm"]))
                    let expected = try file.tensor(item["total_norm"]).item(Double.self)
                    #expect(Swift.abs(norm - expected) <= 1e-12 * expected)
                } else {
                    clipGradValue(parameters, limit: GoldenFile.number(item["clip_value"]))
                }
                for (parameter, any) in zip(parameters, item["clipped"] as! [Any]) {
                    #expect(mismatch(parameter.grad!, try file.tensor(any)) == nil, "\(item["name"]!)")
                }
                passed += 1
            }
        }
        #expect(passed >= 3)
    }

    /// SGD's exponential-average form: v ← β v + (1 - β) g.
    @Test func averagedMomentum() {
        let p = Parameter(Tensor([1.0], dtype: .float64))
        let optimizer = SGD.averaged([p], learningRate: 0.1, beta: 0.9)
        var v = 0.0
        var x = 1.0
        for step in 1...5 {
            p.grad = Tensor([Double(step)], dtype: .float64)
            optimizer.step()
            v = 0.9 * v + 0.1 * Double(step)
            x -= 0.1 * v
            #expect(Swift.abs(p.value.item(Double.self) - x) < 1e-12)
        }
    }
}
