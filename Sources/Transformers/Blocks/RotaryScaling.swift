#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// How rotary positions are stretched to sequences longer than those trained on, as Hugging Face's `rope_parameters`.
public enum RotaryScaling: Sendable, Equatable {
    /// As trained.
    case none
    /// All frequencies divided by `factor` (position interpolation; Chen et al., 2023).
    case linear(factor: Double)
    /// The base grows with the sequence once it is longer than `context` (NTK-aware; Reddit users bloc97 and emozilla, 2023).
    case dynamic(factor: Double, context: Int)
    /// Low frequencies are divided by `factor`, high ones stay, with a ramp between (YaRN; Peng et al., 2023).
    case yarn(YaRN)
    /// Wavelengths beyond `context / lowFrequency` are stretched by `factor`, those below `context / highFrequency` stay (Llama 3.1).
    case llama3(factor: Double, lowFrequency: Double, highFrequency: Double, context: Int)
    /// A factor for each frequency, of which there are two lists: up to `context` positions, and beyond (LongRoPE; Ding et al., 2024).
    case longRoPE(short: [Double], long: [Double], attentionFactor: Double, context: Int)

    /// The numbers of YaRN.
    public struct YaRN: Sendable, Equatable {
        /// How many times longer sequences become.
        public var factor: Double
        /// The length trained on.
        public var context: Int
        /// Rotations in `context` above which a frequency stays, and below which it is divided.
        public var betaFast, betaSlow: Double
        /// What cosines and sines are multiplied by; by the paper's formula if nil.
        public var attentionFactor: Double?
        /// Factors within the formula of ``attentionFactor`` (DeepSeek's), used if both are given.
        public var mscale, mscaleAllDimensions: Double?
        /// Whether the ends of the ramp are whole numbers.
        public var truncates: Bool

        /// The paper's numbers unless told otherwise.
        public init(
            factor: Double, context: Int, betaFast: Double = 32, betaSlow: Double = 1, attentionFactor: Double? = nil,
            mscale: Double? = nil, mscaleAllDimensions: Double? = nil, truncates: Bool = true
        ) {
            self.factor = factor
            self.context = context
            self.betaFast = betaFast
            self.betaSlow = betaSlow
            self.attentionFactor = attentionFactor
            self.mscale = mscale
            self.mscaleAllDimensions = mscaleAllDimensions
            self.truncates = truncates
        }

        var scale: Double {
            if let attentionFactor { return attentionFactor }
            func size(_ m: Double) -> Double { factor <= 1 ? 1 : 0.1 * m * log(factor) + 1 }
            if let mscale, let mscaleAllDimensions, mscale != 0, mscaleAllDimensions != 0 {
                return size(mscale) / size(mscaleAllDimensions)
            }
            return size(1)
        }
    }

    /// What cosines and sines are multiplied by.
    public var attentionFactor: Double {
        switch self {
        case .yarn(let yarn): yarn.scale
        case .longRoPE(_, _, let factor, _): factor
        default: 1
        }
    }

    /// Whether frequencies depend on the length of the sequence.
    var dependsOnLength: Bool {
        switch self {
        case .dynamic, .longRoPE: true
        default: false
        }
    }

    /// The inverse frequencies of `dim / 2` pairs of features for sequences of `length`, in radians per position.
    func inverseFrequencies(base: Double, dim: Int, length: Int) -> [Double] {
        func plain(_ base: Double) -> [Double] { stride(from: 0, to: dim, by: 2).map { pow(base, -Double($0) / Double(dim)) } }
        switch self {
        case .none: return plain(base)
        case .linear(let factor): return plain(base).map { $0 / factor }
        case .dynamic(let factor, let context):
            let times = factor * Double(max(length, context)) / Double(context) - (factor - 1)
            return plain(base * pow(times, Double(dim) / Double(dim - 2)))
        case .yarn(let yarn): return ramped(plain(base), yarn, base: base, dim: dim)
        case .llama3(let factor, let low, let high, let context):
            return plain(base).map { frequency in
                let rotations = Double(context) * frequency / (2 * .pi)
                if rotations < low { return frequency / factor }
                if rotations > high { return frequency }
                let smooth = (rotations - low) / (high - low)
                return (1 - smooth) * frequency / factor + smooth * frequency
            }
        case .longRoPE(let short, let long, _, let context):
            return zip(plain(base), length > context ? long : short).map { $0 / $1 }
        }
    }

    private func ramped(_ plain: [Double], _ yarn: YaRN, base: Double, dim: Int) -> [Double] {
        // The pair of features that turns this often within the trained context.
        func place(_ rotations: Double) -> Double {
            Double(dim) * log(Double(yarn.context) / (rotations * 2 * .pi)) / (2 * log(base))
        }
        var low = place(yarn.betaFast), high = place(yarn.betaSlow)
        if yarn.truncates { (low, high) = (floor(low), ceil(high)) }
        low = max(low, 0)
        high = min(high, Double(dim - 1))
        if low == high { high += 0.001 }
        return plain.enumerated().map { i, frequency in
            let ramp = min(max((Double(i) - low) / (high - low), 0), 1)
            return frequency / yarn.factor * ramp + frequency * (1 - ramp)
        }
    }
}
