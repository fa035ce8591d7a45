import Tapestry

/// Clipping and loss scaling.
enum GradientRunners {
    private static func parameters(_ item: [String: Any], _ file: GoldenFile) throws -> [Parameter] {
        try (item["grads"] as! [Any]).map { any in
            let gradient = try file.tensor(any), parameter = Parameter(Tensor(zerosLike: gradient))
            parameter.grad = gradient
            return parameter
        }
    }

    private static func compare(_ item: [String: Any], _ file: GoldenFile, _ parameters: [Parameter]) throws -> String? {
        for (k, (parameter, any)) in zip(parameters, item["clipped"] as! [Any]).enumerated() {
            if let wrong = mismatch(parameter.grad!, try file.tensor(any)) { return "gradient \(k): \(wrong)" }
        }
        return nil
    }

    @Sendable static func clipNorm(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let parameters = try parameters(item, file)
        let norm = clipGradNorm(
            parameters, maxNorm: GoldenFile.number(item["max_norm"]), p: GoldenFile.number(item["norm_type"]))
        let expected = try file.tensor(item["total_norm"])
        if let wrong = mismatch(Tensor(norm, dtype: expected.dtype), expected) { return "norm: \(wrong)" }
        return try compare(item, file, parameters)
    }

    @Sendable static func clipValue(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let parameters = try parameters(item, file)
        clipGradValue(parameters, limit: GoldenFile.number(item["clip_value"]))
        return try compare(item, file, parameters)
    }

    /// A trace of scales and of SGD's steps on Σ p · [0.5, 0.25], with infinite losses on the way.
    @Sendable static func scaler(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let o = (item["kwargs"] as! [String: Any]).mapValues { GoldenFile.number($0) }
        let scaler = GradScaler(
            scale: o["init_scale"] ?? 65536, growthFactor: o["growth_factor"] ?? 2, backoffFactor: o["backoff_factor"] ?? 0.5,
            growthInterval: Int(o["growth_interval"] ?? 2000))
        let p = Parameter(Tensor((item["init"] as! [Any]).map { GoldenFile.number($0) }, shape: [2]))
        let optimizer = SGD([p], learningRate: 0.1)
        let slopes = Tensor([0.5, 0.25])
        for (step, entry) in (item["trace"] as! [[String: Any]]).enumerated() {
            if scaler.scale != GoldenFile.number(entry["scale_used"]) { return "step \(step): scale \(scaler.scale)" }
            optimizer.zeroGrad()
            var loss = (p.value * slopes).sum()
            if entry["inf"] as! Bool { loss = loss * Double.infinity }
            scaler.scale(loss).backward()
            if scaler.step(optimizer) == entry["skipped"] as! Bool { return "step \(step): skipped or not" }
            scaler.update()
            let expected = Tensor((entry["param_after"] as! [Any]).map { GoldenFile.number($0) }, shape: [2])
            if let wrong = mismatch(p.value, expected) { return "step \(step): \(wrong)" }
            if scaler.scale != GoldenFile.number(entry["scale_after"]) { return "step \(step): scale after \(scaler.scale)" }
        }
        return nil
    }
}
