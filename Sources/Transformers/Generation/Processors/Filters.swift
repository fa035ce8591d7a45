import CoreTensor

/// Divides scores by a temperature: below 1 the likely become likelier, above 1 all become more alike.
public struct Temperature: LogitsProcessor {
    /// Above 0.
    public let temperature: Double
    /// Traps unless `temperature` is finite and above 0; greedy choice is ``GenerationOptions/temperature`` 0.
    public init(_ temperature: Double) {
        if !(temperature > 0 && temperature.isFinite) { fail("Temperature", "\(temperature); must be finite and above 0") }
        self.temperature = temperature
    }
    /// `scores / temperature`.
    public func callAsFunction(_ scores: Tensor, after tokens: [[Int]]) -> Tensor { scores / temperature }
}

/// Leaves the `k` best tokens, and those that tie with the last of them (Fan et al., 2018).
public struct TopK: LogitsProcessor {
    /// How many stay; more than the vocabulary leaves all.
    public let k: Int
    /// Traps unless `k` is at least 1.
    public init(_ k: Int) {
        if k < 1 { fail("TopK", "k is \(k); must be at least 1") }
        self.k = k
    }
    /// -∞ where a score is below the `k`-th best of its row.
    public func callAsFunction(_ scores: Tensor, after tokens: [[Int]]) -> Tensor {
        if k >= scores.shape[1] { return scores }
        let least = scores.topK(k).values.narrowed(axis: -1, start: k - 1, length: 1)
        return scores.maskedFill(scores .< least, -Double.infinity)
    }
}

/// Leaves the smallest set of the likeliest tokens whose probabilities sum to at least `mass` (nucleus sampling; Holtzman et al., 2020).
public struct TopP: LogitsProcessor {
    /// In 0 ... 1; 1 leaves all.
    public let mass: Double
    /// The number of tokens that stay in any case.
    public let minimumKept: Int
    /// Traps unless `mass` is in 0 ... 1.
    public init(_ mass: Double, minimumKept: Int = 1) {
        if !(0...1).contains(mass) { fail("TopP", "a mass of \(mass); must be in 0 ... 1") }
        self.mass = mass
        self.minimumKept = Swift.max(minimumKept, 1)
    }
    /// -∞ for the tokens outside the set.
    public func callAsFunction(_ scores: Tensor, after tokens: [[Int]]) -> Tensor {
        if mass >= 1 { return scores }
        // From the least likely on: what sums to at most 1 - mass goes.
        let sorted = scores.sorted(axis: -1), count = scores.shape[1]
        let isKept = Tensor(arange: count, device: scores.device) .>= Double(count - Swift.min(minimumKept, count))
        let removed = softmax(sorted.values).cumsum(axis: -1) .<= (1 - mass) .& .!isKept
        return scores.maskedFill(removed.gathered(axis: -1, index: sorted.indices.argsort(axis: -1)), -Double.infinity)
    }
}

/// Leaves tokens of at least `share` times the probability of the likeliest (Nguyen et al., 2024).
public struct MinP: LogitsProcessor {
    /// In 0 ... 1.
    public let share: Double
    /// The number of tokens that stay in any case.
    public let minimumKept: Int
    /// Traps unless `share` is in 0 ... 1.
    public init(_ share: Double, minimumKept: Int = 1) {
        if !(0...1).contains(share) { fail("MinP", "a share of \(share); must be in 0 ... 1") }
        self.share = share
        self.minimumKept = minimumKept
    }
    /// -∞ for the tokens below.
    public func callAsFunction(_ scores: Tensor, after tokens: [[Int]]) -> Tensor {
        let p = softmax(scores)
        return scores.filtered(p .< (p.max(-1, keepDims: true) * share), keeping: minimumKept)
    }
}

/// Leaves the tokens whose information is nearest to the expected one, up to a probability of `mass` (locally typical sampling; Meister
/// et al., 2023).
public struct TypicalP: LogitsProcessor {
    /// Above 0 and below 1.
    public let mass: Double
    /// The number of tokens that stay in any case.
    public let minimumKept: Int
    /// Traps unless `mass` is above 0 and below 1.
    public init(_ mass: Double, minimumKept: Int = 1) {
        if !(mass > 0 && mass < 1) { fail("TypicalP", "a mass of \(mass); must be above 0 and below 1") }
        self.mass = mass
        self.minimumKept = Swift.max(minimumKept, 1)
    }
    /// -∞ for the tokens further from the entropy.
    public func callAsFunction(_ scores: Tensor, after tokens: [[Int]]) -> Tensor {
        let logP = logSoftmax(scores), p = exp(logP)
        let entropy = (p * -logP).nanSum(-1, keepDims: true)
        let distance = abs(-logP - entropy)
        let order = distance.argsort(axis: -1)
        let sorted = distance.gathered(axis: -1, index: order)
        let cumulative = softmax(scores.gathered(axis: -1, index: order)).cumsum(axis: -1)
        let last = Swift.min(Swift.max(minimumKept - 1, 0), scores.shape[1] - 1)
        // The first token that brings the sum to the mass is the last to stay.
        let count = (cumulative .< mass).to(.int64).sum(-1, keepDims: true)
        let threshold = sorted.gathered(
            axis: -1, index: count.clamped(min: Double(last), max: Double(scores.shape[1] - 1)).to(.int64))
        return scores.maskedFill(distance .> threshold, -Double.infinity)
    }
}

/// Removes tokens of a probability below `epsilon` (Hewitt et al., 2022).
public struct EpsilonCutoff: LogitsProcessor {
    /// Above 0 and below 1.
    public let epsilon: Double
    /// The number of tokens that stay in any case.
    public let minimumKept: Int
    /// Traps unless `epsilon` is above 0 and below 1.
    public init(_ epsilon: Double, minimumKept: Int = 1) {
        if !(epsilon > 0 && epsilon < 1) { fail("EpsilonCutoff", "\(epsilon); must be above 0 and below 1") }
        self.epsilon = epsilon
        self.minimumKept = minimumKept
    }
    /// -∞ for the tokens below.
    public func callAsFunction(_ scores: Tensor, after tokens: [[Int]]) -> Tensor {
        scores.filtered(softmax(scores) .< epsilon, keeping: minimumKept)
    }
}

/// Removes tokens of a probability below min(ε, √ε · exp(-entropy)) (Hewitt et al., 2022).
public struct EtaCutoff: LogitsProcessor {
    /// Above 0 and below 1.
    public let epsilon: Double
    /// The number of tokens that stay in any case.
    public let minimumKept: Int
    /// Traps unless `epsilon` is above 0 and below 1.
    public init(_ epsilon: Double, minimumKept: Int = 1) {
        if !(epsilon > 0 && epsilon < 1) { fail("EtaCutoff", "\(epsilon); must be above 0 and below 1") }
        self.epsilon = epsilon
        self.minimumKept = minimumKept
    }
    /// -∞ for the tokens below.
    public func callAsFunction(_ scores: Tensor, after tokens: [[Int]]) -> Tensor {
        let logP = logSoftmax(scores), p = exp(logP)
        let entropy = (p * -logP).nanSum(-1, keepDims: true)
        let eta = (exp(-entropy) * epsilon.squareRoot()).clamped(max: epsilon)
        return scores.filtered(p .< eta, keeping: minimumKept)
    }
}
