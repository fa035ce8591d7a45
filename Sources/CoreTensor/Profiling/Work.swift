// How much work the larger operations do, for the profiler.

extension ConvolutionPlan {
    /// Multiply-adds counted as two, forward or of either gradient.
    var flops: Double {
        let channels = groups * inputs * outputs
        let places = output.reduce(1, *), taps = kernel.reduce(1, *)
        return 2 * Double(batch) * Double(channels) * Double(places) * Double(taps)
    }
}

extension AttentionPlan {
    /// Both products of the forward pass; half the square where it is causal.
    func flops(_ q: RawTensor, _ k: RawTensor, _ v: RawTensor) -> Double {
        let pairs = Double(q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2])
        return 2 * pairs * Double(q.shape[3] + v.shape[3]) * (causal ? 0.5 : 1)
    }
}

extension RecurrencePlan {
    /// The product with the recurrent weight in every step.
    func flops(_ weight: RawTensor) -> Double { 2 * Double(time * batch) * Double(weight.count) }
}

extension LinearAlgebraCall {
    /// The routine, without its arguments.
    var name: String {
        switch self {
        case .luFactor: "luFactor"
        case .luSolve: "luSolve"
        case .luInverse: "luInverse"
        case .cholesky: "cholesky"
        case .choleskySolve: "choleskySolve"
        case .choleskyInverse: "choleskyInverse"
        case .qr: "qr"
        case .householderProduct: "householderProduct"
        case .svd: "svd"
        case .eigh: "eigh"
        case .eig: "eig"
        case .triangularSolve: "triangularSolve"
        case .leastSquares: "leastSquares"
        }
    }
}
