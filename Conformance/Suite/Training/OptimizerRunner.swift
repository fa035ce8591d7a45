import Tapestry

/// torch.optim's trajectories: losses, gradients and parameters of each step, on mean((tanh(X W + b) - Y)²).
enum OptimizerRunner {
    @Sendable static func run(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let run = try Run(item, file, .float32)
        let isDouble = run.x.dtype == .float64
        let limit = isDouble ? Tolerance(relative: 1e-9, absolute: 1e-10) : Tolerance(relative: 2e-5, absolute: 1e-5)
        // L-BFGS turns on the last digits of the losses: the comparison ends where a run from a start moved by rounding (or, of a
        // float32 case, in float64) takes another way.
        let twin = run.optimizer is LBFGS ? try Run(item, file, .float64, moved: isDouble ? 1e-15 : 0) : nil
        let losses = try file.tensor(item["losses"]).scalars(Double.self)
        let grads = item["grads"] as? [String: Any], params = item["params"] as! [String: Any]
        let wanted = try ["W", "b"].map { name in
            (try grads.map { try file.tensor($0[name]) }, try file.tensor(params[name]))
        }
        for step in 0..<(item["steps"] as! Int) {
            let (loss, gradients) = run.step()
            if let twin {
                _ = twin.step()
                let near = Tolerance(relative: isDouble ? 1e-11 : 1e-3, absolute: isDouble ? 1e-11 : 1e-3)
                if zip(twin.parameters, run.parameters).contains(where: {
                    mismatch($0.value, $1.value, near, anyType: true) != nil
                }) {
                    return nil
                }
            }
            let error = Swift.abs(loss - losses[step])
            let slack = twin == nil || isDouble ? 1.0 : 100
            if !(error <= slack * (limit.absolute + limit.relative * Swift.abs(losses[step]))) {
                return "loss of step \(step) is \(loss), expected \(losses[step])"
            }
            for (k, (gradient, value)) in wanted.enumerated() {
                if let gradient, let wrong = mismatch(gradients[k]!, gradient[step], limit) {
                    return "gradient at step \(step): \(wrong)"
                }
                let tolerance = twin == nil || isDouble ? limit : Tolerance(relative: 4e-3, absolute: 4e-3)
                if let wrong = mismatch(run.parameters[k].value, value[step], tolerance) {
                    return "parameters after step \(step): \(wrong)"
                }
            }
        }
        return nil
    }

    /// The model of the cases, in the case's type or wider.
    private struct Run {
        let x: Tensor, y: Tensor
        let parameters: [Parameter]
        let optimizer: Optimizer

        init(_ item: [String: Any], _ file: GoldenFile, _ atLeast: DType, moved: Double = 0) throws {
            func wide(_ any: Any?) throws -> Tensor {
                let tensor = try file.tensor(any)
                return tensor.to(tensor.dtype.promoted(with: atLeast))
            }
            let start = item["init"] as! [String: Any]
            x = try wide(item["X"])
            y = try wide(item["Y"])
            parameters = [Parameter(try wide(start["W"]) * (1 + moved)), Parameter(try wide(start["b"]))]
            optimizer = try OptimizerRunner.make(item, file, parameters[0], parameters[1])
        }

        /// One step; the loss before it and its gradients.
        func step() -> (Double, [Tensor?]) {
            func loss() -> Tensor {
                // Parameters outside the optimizer go on adding up their gradients, as in the cases.
                optimizer.zeroGrad()
                let loss = square(tanh(x • parameters[0].value + parameters[1].value) - y).mean()
                loss.backward()
                return loss
            }
            if optimizer is LBFGS { return (optimizer.step(loss).item(Double.self), [nil, nil]) }
            let first = loss()
            let gradients = parameters.map(\.grad)
            optimizer.step()
            return (first.item(Double.self), gradients)
        }
    }

    private static func make(
        _ item: [String: Any], _ file: GoldenFile, _ w: Parameter, _ b: Parameter
    ) throws -> Optimizer {
        let options = try GoldenOptions(item["kwargs"], file)
        let name = item["optimizer"] as! String
        // Muon takes matrices only; the case leaves the bias as it is.
        var groups = [ParameterGroup(name == "Muon" ? [w] : [w, b])]
        if let list = item["param_groups"] as? [[String: Any]] {
            groups = try zip([w, b], list).map { parameter, values in
                let own = try GoldenOptions(values, file)
                let betas = own.numbers("betas")
                let group = ParameterGroup(
                    [parameter], learningRate: own.number("lr"), weightDecay: own.number("weight_decay"),
                    momentum: own.number("momentum") ?? betas?[0])
                try own.finish()
                return group
            }
        }
        let optimizer = try make(name, groups, options)
        try options.finish()
        return optimizer
    }

    private static func make(_ name: String, _ groups: [ParameterGroup], _ o: GoldenOptions) throws -> Optimizer {
        let decay = o.number("weight_decay"), maximize = o.flag("maximize")
        func rate(_ standard: Double) -> Double { o.number("lr", standard) }
        let adam = (0.9, 0.999)
        switch name {
        case "SGD":
            return SGD(
                groups, learningRate: rate(1e-3), momentum: o.number("momentum", 0), dampening: o.number("dampening", 0),
                weightDecay: decay ?? 0, nesterov: o.flag("nesterov"), maximize: maximize)
        case "Adam":
            return Adam(
                groups, learningRate: rate(1e-3), betas: o.pair("betas", adam), epsilon: o.number("eps", 1e-8),
                weightDecay: decay ?? 0, amsgrad: o.flag("amsgrad"), maximize: maximize)
        case "AdamW":
            return AdamW(
                groups, learningRate: rate(1e-3), betas: o.pair("betas", adam), epsilon: o.number("eps", 1e-8),
                weightDecay: decay ?? 1e-2, amsgrad: o.flag("amsgrad"), maximize: maximize)
        case "RMSprop":
            return RMSProp(
                groups, learningRate: rate(1e-2), alpha: o.number("alpha", 0.99), epsilon: o.number("eps", 1e-8),
                weightDecay: decay ?? 0, momentum: o.number("momentum", 0), centered: o.flag("centered"), maximize: maximize)
        case "Adagrad":
            return Adagrad(
                groups, learningRate: rate(1e-2), learningRateDecay: o.number("lr_decay", 0), weightDecay: decay ?? 0,
                initialAccumulator: o.number("initial_accumulator_value", 0), epsilon: o.number("eps", 1e-10),
                maximize: maximize)
        case "Adadelta":
            return Adadelta(
                groups, learningRate: rate(1), rho: o.number("rho", 0.9), epsilon: o.number("eps", 1e-6),
                weightDecay: decay ?? 0, maximize: maximize)
        case "Adamax":
            return Adamax(
                groups, learningRate: rate(2e-3), betas: o.pair("betas", adam), epsilon: o.number("eps", 1e-8),
                weightDecay: decay ?? 0, maximize: maximize)
        case "NAdam":
            return NAdam(
                groups, learningRate: rate(2e-3), betas: o.pair("betas", adam), epsilon: o.number("eps", 1e-8),
                weightDecay: decay ?? 0, momentumDecay: o.number("momentum_decay", 4e-3),
                decoupledWeightDecay: o.flag("decoupled_weight_decay"), maximize: maximize)
        case "RAdam":
            return RAdam(
                groups, learningRate: rate(1e-3), betas: o.pair("betas", adam), epsilon: o.number("eps", 1e-8),
                weightDecay: decay ?? 0, decoupledWeightDecay: o.flag("decoupled_weight_decay"), maximize: maximize)
        case "ASGD":
            return ASGD(
                groups, learningRate: rate(1e-2), lambda: o.number("lambd", 1e-4), alpha: o.number("alpha", 0.75),
                start: o.number("t0", 1e6), weightDecay: decay ?? 0, maximize: maximize)
        case "Rprop":
            return Rprop(
                groups, learningRate: rate(1e-2), etas: o.pair("etas", (0.5, 1.2)), stepSizes: o.pair("step_sizes", (1e-6, 50)),
                maximize: maximize)
        case "Adafactor":
            var epsilons: (Double?, Double) = (nil, 1e-3)
            if case .list(let list) = o["eps"] { epsilons = (GoldenOptions.number(list[0]), GoldenOptions.number(list[1])!) }
            return Adafactor(
                groups, learningRate: rate(1e-2), beta2Decay: o.number("beta2_decay", -0.8), epsilons: epsilons,
                clippingThreshold: o.number("d", 1), weightDecay: decay ?? 0, maximize: maximize)
        case "Lion":
            return Lion(
                groups, learningRate: rate(1e-4), betas: o.pair("betas", (0.9, 0.99)), weightDecay: decay ?? 0, maximize: maximize
            )
        case "Muon":
            let abc = o.numbers("ns_coefficients") ?? [3.4445, -4.7750, 2.0315]
            let scalings: [String: Muon.RateScaling] = [
                "original": .original, "match_rms_adamw": .matchRMSAdamW, "spectral_unclamped": .spectralUnclamped,
            ]
            return Muon(
                groups, learningRate: rate(1e-3), weightDecay: decay ?? 0.1, momentum: o.number("momentum", 0.95),
                nesterov: o.flag("nesterov", true), coefficients: (abc[0], abc[1], abc[2]), epsilon: o.number("eps", 1e-7),
                iterations: o.int("ns_steps", 5), rateScaling: scalings[o.string("adjust_lr_fn") ?? "original"]!)
        case "LBFGS":
            return LBFGS(
                groups.flatMap(\.parameters), learningRate: rate(1), iterations: o.int("max_iter", 20),
                evaluations: o.number("max_eval").map { Int($0) }, gradientTolerance: o.number("tolerance_grad", 1e-7),
                changeTolerance: o.number("tolerance_change", 1e-9), historySize: o.int("history_size", 100),
                lineSearch: o.string("line_search_fn") == nil ? nil : .strongWolfe, maximize: maximize)
        default: throw Unsupported("optimizer \(name)")
        }
    }
}
