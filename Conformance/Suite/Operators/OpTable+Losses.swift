import Tapestry

extension OpTable {
    static func reduction(_ call: GoldenCall) throws -> Reduction {
        let name = call.string(9, "reduction", or: "mean")
        guard let reduction = Reduction(rawValue: name) else { throw GoldenError("\(name) is no reduction") }
        return reduction
    }

    /// A loss of prediction and target with a reduction and other options.
    private static func loss(
        _ options: [String], _ f: @escaping @Sendable (Tensor, Tensor, Reduction, GoldenCall) throws -> Tensor
    ) -> Function {
        { call in
            try call.allow(["reduction", "target"] + options)
            return [try f(try call.tensor(0), try call.tensor(1, "target"), try reduction(call), call)]
        }
    }

    private static func margin(_ call: GoldenCall, _ position: Int, or standard: Double) throws -> Double {
        try call.double(position, "margin", or: standard)
    }

    static let losses: [String: Function] = [
        "nn.functional.mse_loss": loss(["weight"]) { x, z, reduction, call in
            mseLoss(x, z, weight: try call.optionalTensor(9, "weight"), reduction: reduction)
        },
        "nn.functional.l1_loss": loss(["weight"]) { x, z, reduction, call in
            l1Loss(x, z, weight: try call.optionalTensor(9, "weight"), reduction: reduction)
        },
        "nn.functional.huber_loss": loss(["delta", "weight"]) { x, z, reduction, call in
            huberLoss(
                x, z, delta: try call.double(9, "delta", or: 1), weight: try call.optionalTensor(9, "weight"),
                reduction: reduction)
        },
        "nn.functional.smooth_l1_loss": loss(["beta"]) { x, z, reduction, call in
            smoothL1Loss(x, z, beta: try call.double(9, "beta", or: 1), reduction: reduction)
        },
        "nn.functional.binary_cross_entropy": loss(["weight"]) { x, z, reduction, call in
            binaryCrossEntropy(x, z, weight: try call.optionalTensor(2, "weight"), reduction: reduction)
        },
        "nn.functional.binary_cross_entropy_with_logits": loss(["weight", "pos_weight"]) { x, z, reduction, call in
            bceWithLogits(
                x, z, weight: try call.optionalTensor(2, "weight"),
                positiveWeight: try call.optionalTensor(9, "pos_weight"), reduction: reduction)
        },
        "nn.functional.cross_entropy": loss(["weight", "ignore_index", "label_smoothing"]) { x, z, reduction, call in
            crossEntropy(
                x, z, weight: try call.optionalTensor(2, "weight"), ignoreIndex: try call.int(9, "ignore_index", or: -100),
                labelSmoothing: try call.double(9, "label_smoothing", or: 0), reduction: reduction,
                classAxis: x.rank == 1 ? 0 : 1)
        },
        "nn.functional.nll_loss": loss(["weight", "ignore_index"]) { x, z, reduction, call in
            nllLoss(
                x, z, weight: try call.optionalTensor(2, "weight"), ignoreIndex: try call.int(9, "ignore_index", or: -100),
                reduction: reduction, classAxis: x.rank == 1 ? 0 : 1)
        },
        "nn.functional.kl_div": loss(["log_target"]) { x, z, reduction, call in
            klDivergenceLoss(x, z, logTarget: call.bool(9, "log_target"), reduction: reduction)
        },
        "nn.functional.poisson_nll_loss": loss(["log_input", "full", "eps"]) { x, z, reduction, call in
            poissonNLLLoss(
                x, z, logInput: call.bool(2, "log_input", or: true), full: call.bool(3, "full"),
                eps: try call.double(9, "eps", or: 1e-8), reduction: reduction)
        },
        "nn.functional.gaussian_nll_loss": loss(["var", "full", "eps"]) { x, z, reduction, call in
            let full = call.bool(3, "full"), eps = try call.double(4, "eps", or: 1e-6)
            if case .float(let v) = call.value(2, "var") {
                return gaussianNLLLoss(x, z, variance: v, full: full, eps: eps, reduction: reduction)
            }
            return gaussianNLLLoss(
                x, z, variance: try call.tensor(2, "var"), full: full, eps: eps, reduction: reduction)
        },
        "nn.functional.soft_margin_loss": loss([]) { x, z, reduction, _ in softMarginLoss(x, z, reduction: reduction) },
        "nn.functional.hinge_embedding_loss": loss(["margin"]) { x, z, reduction, call in
            hingeEmbeddingLoss(x, z, margin: try margin(call, 2, or: 1), reduction: reduction)
        },
        "nn.functional.multi_margin_loss": loss(["p", "margin", "weight"]) { x, z, reduction, call in
            multiMarginLoss(
                x, z, p: try call.int(2, "p", or: 1), margin: try margin(call, 3, or: 1),
                weight: try call.optionalTensor(4, "weight"), reduction: reduction)
        },
        "nn.functional.multilabel_margin_loss": loss([]) { x, z, reduction, _ in
            multilabelMarginLoss(x, z, reduction: reduction)
        },
        "nn.functional.multilabel_soft_margin_loss": loss(["weight"]) { x, z, reduction, call in
            multilabelSoftMarginLoss(x, z, weight: try call.optionalTensor(2, "weight"), reduction: reduction)
        },
        "nn.functional.margin_ranking_loss": loss(["margin", "input2"]) { x, z, reduction, call in
            marginRankingLoss(x, z, try call.tensor(2, "target"), margin: try margin(call, 3, or: 0), reduction: reduction)
        },
        "nn.functional.cosine_embedding_loss": loss(["margin"]) { x, z, reduction, call in
            cosineEmbeddingLoss(x, z, try call.tensor(2, "target"), margin: try margin(call, 3, or: 0), reduction: reduction)
        },
        "nn.functional.triplet_margin_loss": loss(["margin", "p", "eps", "swap"]) { x, z, reduction, call in
            tripletMarginLoss(
                x, z, try call.tensor(2), margin: try margin(call, 3, or: 1), p: try call.double(4, "p", or: 2),
                eps: try call.double(5, "eps", or: 1e-6), swap: call.bool(6, "swap"), reduction: reduction)
        },
        "nn.functional.triplet_margin_with_distance_loss": loss(["margin", "swap"]) { x, z, reduction, call in
            tripletMarginLoss(
                x, z, try call.tensor(2), margin: try margin(call, 9, or: 1), swap: call.bool(9, "swap"), reduction: reduction)
        },
        "nn.functional.ctc_loss": { call in
            try call.allow("reduction", "blank", "zero_infinity", "input_lengths", "target_lengths")
            return [
                ctcLoss(
                    try call.tensor(0), try call.tensor(1),
                    inputLengths: try LossModuleRunner.lengths(call.value(2, "input_lengths")),
                    targetLengths: try LossModuleRunner.lengths(call.value(3, "target_lengths")),
                    blank: try call.int(4, "blank", or: 0),
                    reduction: try reduction(call), zeroInfinity: call.bool(6, "zero_infinity"))
            ]
        },
    ]
}
