import CoreTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What information is measured in.
public enum InformationUnit: Sendable {
    /// Natural logarithms.
    case nats
    /// Logarithms to base 2.
    case bits

    /// Nats in one unit.
    fileprivate var size: Double { self == .nats ? 1 : M_LN2 }
}

// Distributions are given by their probabilities along an axis, the last by default; they are not normalised here.

/// -Σ p ln p of distributions `[..., outcomes]`; 0 ln 0 is 0. The result lacks the axis.
public func entropy(_ p: Tensor, axis: Int = -1, in unit: InformationUnit = .nats) -> Tensor {
    -xLogX(p).sum(Axes([axis])) / unit.size
}

/// -Σ p ln q: what encoding `p` by a code for `q` takes; infinite where q is 0 and p is not. Broadcast.
public func crossEntropy(of p: Tensor, relativeTo q: Tensor, axis: Int = -1, in unit: InformationUnit = .nats) -> Tensor {
    checkBroadcast("crossEntropy", p, q)
    return -xLogY(p, q).sum(Axes([axis])) / unit.size
}

/// Σ p ln(p / q) (Kullback and Leibler, 1951): how far `p` is from `q`; infinite where q is 0 and p is not. Broadcast.
public func klDivergence(of p: Tensor, from q: Tensor, axis: Int = -1, in unit: InformationUnit = .nats) -> Tensor {
    checkBroadcast("klDivergence", p, q)
    return (xLogX(p) - xLogY(p, q)).sum(Axes([axis])) / unit.size
}

/// The mean divergence of two distributions from their middle (Lin, 1991): between 0 and ln 2 (one bit), symmetric. Broadcast.
public func jensenShannonDivergence(
    _ p: Tensor, _ q: Tensor, axis: Int = -1, in unit: InformationUnit = .nats
) -> Tensor {
    checkBroadcast("jensenShannonDivergence", p, q)
    let middle = (p + q) / 2
    return
        (klDivergence(of: p, from: middle, axis: axis, in: unit)
        + klDivergence(of: q, from: middle, axis: axis, in: unit)) / 2
}

/// Σ p(x, y) ln(p(x, y) / (p(x) p(y))) of a joint distribution `[..., x, y]`: what one variable tells of the other.
public func mutualInformation(_ joint: Tensor, in unit: InformationUnit = .nats) -> Tensor {
    if joint.rank < 2 { fail("mutualInformation", "a joint distribution \(joint.shape); needs [..., x, y]") }
    let x = entropy(joint.sum(-1), in: unit), y = entropy(joint.sum(-2), in: unit)
    return x + y - entropy(joint.flattened(from: -2), in: unit)
}

/// What knowing the group tells of the class: the entropy of the classes less the mean entropy within the groups, from counts
/// `[..., groups, classes]` (or shares of all). An empty group counts for nothing.
public func informationGain(_ counts: Tensor, in unit: InformationUnit = .bits) -> Tensor {
    if counts.rank < 2 { fail("informationGain", "counts \(counts.shape); needs [..., groups, classes]") }
    let x = counts.dtype.isFloatingPoint ? counts : counts.to(.float64)
    return mutualInformation(x / x.sum([-2, -1], keepDims: true), in: unit)
}

/// 1 - Σ p² of distributions or counts `[..., classes]`, which are normalised (Breiman et al., 1984): how often two draws differ.
public func giniImpurity(_ counts: Tensor, axis: Int = -1) -> Tensor {
    let x = counts.dtype.isFloatingPoint ? counts : counts.to(.float64)
    return 1 - square(x / x.sum(Axes([axis]), keepDims: true)).sum(Axes([axis]))
}

/// e to the loss: the perplexity of a mean negative log-likelihood in nats.
public func perplexity(_ meanLoss: Double) -> Double {
    #if canImport(Glibc)
        return Glibc.exp(meanLoss)
    #else
        return Musl.exp(meanLoss)
    #endif
}

/// 2 to the entropy in bits: how many outcomes, all alike, would be as uncertain as the distributions `[..., outcomes]`.
public func perplexity(of p: Tensor, axis: Int = -1) -> Tensor { exp(entropy(p, axis: axis)) }

/// A mean negative log-likelihood in nats, in bits.
public func bitsPerToken(_ meanLoss: Double) -> Double { meanLoss / M_LN2 }

/// Bits per byte (or character) of a text: the summed negative log-likelihood in nats of all tokens over the bytes they stand for.
public func bitsPerByte(_ summedLoss: Double, bytes: Int) -> Double { summedLoss / M_LN2 / Double(bytes) }

/// x ln y, 0 where x is 0 whatever y is.
private func xLogY(_ x: Tensor, _ y: Tensor) -> Tensor {
    let isZero = x.detached() .== 0
    return x * log(which(isZero, Tensor(ones: [], dtype: y.dtype, device: y.device), y))
}
