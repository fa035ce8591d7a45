import Tapestry

/// torch.nn's losses as modules: values and gradients of their inputs.
enum LossModuleRunner {
    /// Whether a module's name is one of these.
    static func contains(_ name: String) -> Bool { name.hasSuffix("Loss") }

    @Sendable static func run(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let name = item["module"] as? String ?? ""
        guard contains(name) else { throw Unsupported("module \(name)") }
        let gradient = item["grad"] as? [String: Any]
        let wanted = (gradient?["inputs"] as? [[String: Any]] ?? []).filter {
            ($0["grad"] as? [String: Any])?["k"] as? String == "tensor"
        }
        let leaves = Set(wanted.map { $0["path"] as! String })
        let arguments = try (item["args"] as! [Any]).enumerated().map {
            try file.value($1, path: "args.\($0)", leaves: leaves)
        }
        let options = try GoldenOptions(item["ctor_kwargs"], file)
        if !(item["ctor_args"] as? [Any] ?? []).isEmpty { throw Unsupported("arguments by position") }
        let loss = try call(name, options, GoldenCall(arguments, [:]))
        try options.finish()

        let output = (item["outputs"] as! [[String: Any]])[0]["value"]
        let expected = try file.tensor(output)
        if let wrong = mismatch(loss, expected) { return wrong }
        guard let gradient, !wanted.isEmpty else { return nil }
        var weight = (gradient["cotangents"] as! [Any])[0]
        if let entry = weight as? [String: Any], let inner = entry["value"] { weight = inner }
        let inputs = try wanted.map { entry -> Tensor in
            guard let index = Int((entry["path"] as! String).dropFirst(5)), case .tensor(let t) = arguments[index] else {
                throw Unsupported("gradient of \(entry["path"]!)")
            }
            return t
        }
        let found = gradients(of: [loss], withRespectTo: inputs, gradients: [try file.tensor(weight).asLeaf()])
        for ((entry, input), g) in zip(zip(wanted, inputs), found) {
            let z = try file.tensor(entry["grad"])
            if let wrong = mismatch(g ?? Tensor(zerosLike: input), z, .standard(input.dtype, .gradients)) {
                return "gradient of \(entry["path"]!): \(wrong)"
            }
        }
        return nil
    }

    private static func call(_ name: String, _ o: GoldenOptions, _ c: GoldenCall) throws -> Tensor {
        guard let reduction = Reduction(rawValue: o.string("reduction") ?? "mean") else { throw GoldenError("reduction") }
        let x = try c.tensor(0), y = try c.tensor(1)
        func weight(_ key: String = "weight") -> Tensor? {
            if case .tensor(let t) = o[key] { return t }
            return nil
        }
        let classAxis = x.rank == 1 ? 0 : 1, margin = o.number("margin"), eps = o.number("eps")
        switch name {
        case "CrossEntropyLoss":
            return CrossEntropyLoss(
                weight: weight(), ignoreIndex: o.int("ignore_index", -100), labelSmoothing: o.number("label_smoothing", 0),
                reduction: reduction, classAxis: classAxis)(x, y)
        case "NLLLoss":
            return NLLLoss(
                weight: weight(), ignoreIndex: o.int("ignore_index", -100), reduction: reduction, classAxis: classAxis)(x, y)
        case "BCELoss": return BCELoss(weight: weight(), reduction: reduction)(x, y)
        case "BCEWithLogitsLoss":
            return BCEWithLogitsLoss(weight: weight(), positiveWeight: weight("pos_weight"), reduction: reduction)(x, y)
        case "MSELoss": return MSELoss(reduction: reduction)(x, y)
        case "L1Loss": return L1Loss(reduction: reduction)(x, y)
        case "HuberLoss": return HuberLoss(reduction: reduction, delta: o.number("delta", 1))(x, y)
        case "SmoothL1Loss": return SmoothL1Loss(reduction: reduction, beta: o.number("beta", 1))(x, y)
        case "KLDivLoss": return KLDivLoss(reduction: reduction, logTarget: o.flag("log_target"))(x, y)
        case "PoissonNLLLoss":
            return PoissonNLLLoss(
                logInput: o.flag("log_input", true), full: o.flag("full"), eps: eps ?? 1e-8, reduction: reduction)(x, y)
        case "GaussianNLLLoss":
            return GaussianNLLLoss(full: o.flag("full"), eps: eps ?? 1e-6, reduction: reduction)(
                x, y, variance: try c.tensor(2))
        case "SoftMarginLoss": return SoftMarginLoss(reduction: reduction)(x, y)
        case "HingeEmbeddingLoss": return HingeEmbeddingLoss(margin: margin ?? 1, reduction: reduction)(x, y)
        case "MarginRankingLoss":
            return MarginRankingLoss(margin: margin ?? 0, reduction: reduction)(x, y, try c.tensor(2))
        case "CosineEmbeddingLoss":
            return CosineEmbeddingLoss(margin: margin ?? 0, reduction: reduction)(x, y, try c.tensor(2))
        case "MultiMarginLoss":
            return MultiMarginLoss(p: o.int("p", 1), margin: margin ?? 1, weight: weight(), reduction: reduction)(x, y)
        case "MultiLabelMarginLoss": return MultilabelMarginLoss(reduction: reduction)(x, y)
        case "MultiLabelSoftMarginLoss": return MultilabelSoftMarginLoss(weight: weight(), reduction: reduction)(x, y)
        case "TripletMarginLoss":
            return TripletMarginLoss(
                margin: margin ?? 1, p: o.number("p", 2), eps: eps ?? 1e-6, swap: o.flag("swap"), reduction: reduction)(
                    x, y, try c.tensor(2))
        case "TripletMarginWithDistanceLoss":
            return TripletMarginWithDistanceLoss(margin: margin ?? 1, swap: o.flag("swap"), reduction: reduction)(
                x, y, try c.tensor(2))
        case "CTCLoss":
            return CTCLoss(blank: o.int("blank", 0), reduction: reduction, zeroInfinity: o.flag("zero_infinity"))(
                x, y, inputLengths: try lengths(c.value(2)), targetLengths: try lengths(c.value(3)))
        default: throw Unsupported("module \(name)")
        }
    }

    /// Lengths, given as a tensor or as a list.
    static func lengths(_ value: GoldenValue) throws -> [Int] {
        switch value {
        case .tensor(let t): t.scalars(Int.self)
        case .list(let list):
            try list.map {
                guard case .int(let i) = $0 else { throw Unsupported("lengths that are no integers") }
                return i
            }
        case .int(let i): [i]
        default: throw Unsupported("no lengths")
        }
    }
}
